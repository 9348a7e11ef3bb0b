//! From what was asked for to what is there: looks at the sources and makes the work.
//!
//! A source that was named and is not there is an error; what is inside one and cannot be packed is a
//! finding.

use std::fs::Metadata as FileMetadata;
use std::path::Path;

use manifest::limits::SIDE_FILE_BYTES_MAX;
use manifest::{Metadata, Properties, SideFileError};

use super::table::read_bounded;
use super::{How, InputError, InputFault, Inputs, SideFileSource, Source};
use crate::lint::{Findings, left_out};
use crate::work::scan::Scan;
use crate::work::{Builder, Dataset, SideFile, Work};

impl Inputs {
    /// Finds what the sources hold. What has to be left out becomes a finding.
    ///
    /// # Errors
    /// A source or side file that was named and cannot be used.
    pub fn work(&self, findings: &mut Findings) -> Result<Work, InputError> {
        let mut builder = Builder::new(self.session.clone());
        for source in &self.sources {
            self.gather(source, &mut builder, findings)?;
        }
        Ok(builder.finish())
    }

    fn gather(
        &self,
        source: &Source,
        builder: &mut Builder,
        findings: &mut Findings,
    ) -> Result<(), InputError> {
        let at = |fault| InputError::at(source.place.clone(), fault);
        let found = std::fs::metadata(&source.from).map_err(|error| {
            InputError::at(format!("{}: {}", source.place, source.from.display()), InputFault::Read(error))
        })?;
        let is_directory = is_directory(source, &found).map_err(at)?;
        let root =
            builder.dataset(source.dataset(is_directory)?).map_err(|error| at(InputFault::TooMany(error)))?;
        let scan = Scan {
            builder,
            kind: source.how.kind,
            same_file_system: self.one_file_system,
            left_out: &mut |found| left_out(findings, &found),
        };
        let scanned =
            if is_directory { scan.directory(root, &source.from) } else { scan.file(root, &source.from) };
        scanned.map_err(|error| at(InputFault::TooMany(error)))
    }
}

impl Source {
    /// The dataset of this source, its side files read and checked.
    ///
    /// # Errors
    /// A destination or a side file that cannot be used.
    pub fn dataset(&self, is_directory: bool) -> Result<Dataset, InputError> {
        let at = |fault| InputError::at(self.place.clone(), fault);
        let How { disposition, content_md5, block_length, .. } = self.how;
        Ok(Dataset {
            source: self.from.components().collect(),
            is_directory,
            destination: destination(&self.to, is_directory).map_err(at)?,
            drive_directory: String::new(),
            disposition,
            metadata: self.side_file(self.how.metadata.as_ref(), |bytes| Metadata::parse(bytes).map(drop))?,
            properties: self
                .side_file(self.how.properties.as_ref(), |bytes| Properties::parse(bytes).map(drop))?,
            content_md5,
            block_length,
        })
    }

    fn side_file(
        &self,
        source: Option<&SideFileSource>,
        check: impl FnOnce(&[u8]) -> Result<(), SideFileError>,
    ) -> Result<Option<SideFile>, InputError> {
        let (path, bytes) = match source {
            None => return Ok(None),
            Some(SideFileSource::Xml(text)) => ("its own table".to_owned(), text.clone().into_bytes()),
            Some(SideFileSource::File(path)) => {
                let bytes = read_bounded(path, SIDE_FILE_BYTES_MAX as u64).map_err(|error| {
                    InputError::at(format!("{}: {}", self.place, error.place), error.fault)
                })?;
                (path.display().to_string(), bytes)
            }
        };
        check(&bytes).map_err(|error| {
            let fault = InputFault::SideFile { path, status: error.status(), error: Box::new(error) };
            InputError::at(self.place.clone(), fault)
        })?;
        Ok(Some(SideFile::new(&bytes)))
    }
}

/// Whether the source is a directory, which the slash at its end must agree with where it counts.
fn is_directory(source: &Source, found: &FileMetadata) -> Result<bool, InputFault> {
    let stated = source.stated_directory;
    let not_as_stated = |found, rule| {
        let path = source.from.display().to_string();
        Err(InputFault::NotAsStated { path, found, rule })
    };
    match (found.is_dir(), found.is_file(), stated) {
        (true, _, Some(false)) => {
            not_as_stated("directory", "a directory is written with a slash at its end")
        }
        (false, _, Some(true)) => not_as_stated("file", "a slash at the end means a directory"),
        (false, false, _) => not_as_stated("device, pipe or socket", "only directories and files are packed"),
        (is_directory, ..) => Ok(is_directory),
    }
}

/// The destination as items' names are put behind it.
fn destination(to: &str, is_directory: bool) -> Result<String, InputFault> {
    let invalid = || Err(InputFault::Destination { found: to.to_owned() });
    if to.is_empty() || to.starts_with('/') || to.contains("://") {
        return invalid();
    }
    let names_container_only = !to.contains('/');
    let needs_slash = (names_container_only || is_directory) && !to.ends_with('/');
    Ok(if needs_slash { format!("{to}/") } else { to.to_owned() })
}

/// Whether two paths are the same file of this machine; false when one is not there.
pub(crate) fn is_same_file(one: &Path, other: &Path) -> bool {
    use std::os::unix::fs::MetadataExt;
    match (std::fs::metadata(one), std::fs::metadata(other)) {
        (Ok(one), Ok(other)) => one.dev() == other.dev() && one.ino() == other.ino(),
        _ => one == other,
    }
}
