//! Reads a log, of any generation, and hands on what has to be repaired, blob by blob.
//!
//! Without a manifest each blob is handed on as soon as it was read. With one, the log's damaged
//! blobs are kept until the manifest has passed by: some hundred bytes each, and their lists.

use std::collections::HashMap;
use std::fs::File;
use std::io::{BufRead, BufReader, Read};
use std::path::Path;

use anyhow::{Context, bail};
use manifest::log::{CopyLogEntry, CopyLogReader, DriveLogReader, ErroredEntity, LoggedBlob, Word};
use manifest::{ManifestEvent, ManifestReader};
use model::status::DriveStatus;

use super::stop::Unresolved;
use super::work::{Work, is_damaged};

/// What a log's kind is told by stands in its first lines.
const SNIFFED_BYTES: u64 = 4 << 10;

/// A damaged blob: what to do, or why nothing can be done.
pub struct Damage {
    /// As the log names it.
    pub blob_path: String,
    /// The file's path on the drive, as far as the log has one.
    pub file_path: Option<String>,
    /// The repair.
    pub work: Result<Work, Unresolved>,
}

/// What a log says besides its blobs.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Head {
    /// The drive.
    pub drive_id: Option<String>,
    /// A status that concerns the drive as a whole, so that nothing was copied.
    pub fatal: Option<DriveStatus>,
}

/// Reads the damaged blobs of a log, and hands each to `each`.
///
/// # Errors
/// When log or manifest cannot be read or understood; what `each` returned.
pub fn read<E>(
    log: &Path,
    manifest: Option<&Path>,
    mut each: impl FnMut(Damage) -> Result<(), E>,
) -> anyhow::Result<Result<Head, E>> {
    let named = |path: &Path| path.display().to_string();
    let reader = open(log)?;
    let Some(manifest) = manifest else {
        let mut each = |blob: LoggedBlob| each(Damage::of_log(&blob));
        return blobs_of(reader, &mut each).with_context(|| format!("the log {}", named(log)));
    };
    let mut wanted = Wanted::default();
    let collected: anyhow::Result<Result<Head, std::convert::Infallible>> = blobs_of(reader, &mut |blob| {
        wanted.add(blob);
        Ok(())
    });
    let Ok(head) = collected.with_context(|| format!("the log {}", named(log)))?;
    let ended = pass_by(manifest, &mut wanted, &mut each);
    match ended.with_context(|| format!("the manifest {}", named(manifest)))? {
        Ok(()) => {}
        Err(error) => return Ok(Err(error)),
    }
    for blob in wanted.left() {
        let damage = Damage::of_log(&blob);
        if let Err(error) = each(damage) {
            return Ok(Err(error));
        }
    }
    Ok(Ok(head))
}

fn open(path: &Path) -> anyhow::Result<BufReader<File>> {
    let file = File::open(path).with_context(|| format!("opening {}", path.display()))?;
    Ok(BufReader::with_capacity(1 << 16, file))
}

/// The damaged blobs of a log of any generation.
fn blobs_of<E>(
    mut reader: impl BufRead,
    each: &mut impl FnMut(LoggedBlob) -> Result<(), E>,
) -> anyhow::Result<Result<Head, E>> {
    let mut start = Vec::new();
    reader.by_ref().take(SNIFFED_BYTES).read_to_end(&mut start)?;
    // Zero bytes are every second one of UTF-16.
    let text: String = start.iter().filter(|byte| **byte != 0).map(|byte| char::from(*byte)).collect();
    let whole = std::io::Cursor::new(start).chain(reader);
    if text.contains("<DriveLog") && !text.contains("<CopyLog") {
        drive_log(DriveLogReader::new(whole), each)
    } else if text.contains("<ErroredEntity") || text.contains("<CopyLog") {
        copy_log(CopyLogReader::new(whole), each)
    } else if text.contains("<File CloudFormat") {
        bail!("it is the verbose log of what landed; give the copy log or the error log")
    } else {
        bail!("it is neither a drive log nor a copy log")
    }
}

fn drive_log<E>(
    mut reader: DriveLogReader<impl BufRead>,
    each: &mut impl FnMut(LoggedBlob) -> Result<(), E>,
) -> anyhow::Result<Result<Head, E>> {
    while let Some(blob) = reader.next().map_err(described)? {
        if is_damaged(&blob)
            && let Err(error) = each(blob)
        {
            return Ok(Err(error));
        }
    }
    let head = reader.head();
    let fatal = head.status.as_ref().and_then(Word::known).filter(|status| is_fatal(*status));
    Ok(Ok(Head { drive_id: head.drive_id.clone(), fatal }))
}

fn is_fatal(status: DriveStatus) -> bool {
    !matches!(
        status,
        DriveStatus::Completed | DriveStatus::CompletedWithWarnings | DriveStatus::CompletedWithErrors
    )
}

/// A copy log tells a failed blob's name, and nothing of its parts.
fn copy_log<E>(
    mut reader: CopyLogReader<impl BufRead>,
    each: &mut impl FnMut(LoggedBlob) -> Result<(), E>,
) -> anyhow::Result<Result<Head, E>> {
    let mut head = Head::default();
    while let Some(entry) = reader.next().map_err(described)? {
        match entry {
            CopyLogEntry::Errored(entity) if is_error(&entity) => {
                let is_file = entity.cloud_format.as_deref() == Some("AzureFile");
                let blob = LoggedBlob { is_file, blob_path: entity.path, ..LoggedBlob::default() };
                if let Err(error) = each(blob) {
                    return Ok(Err(error));
                }
            }
            CopyLogEntry::Summary(totals) => head.drive_id = totals.drive_id,
            CopyLogEntry::Errored(_) | CopyLogEntry::File(_) => {}
        }
    }
    Ok(Ok(head))
}

/// Renamed things have landed; containers have no bytes.
fn is_error(entity: &ErroredEntity) -> bool {
    let category = entity.category.as_deref().unwrap_or_default();
    !category.ends_with("Renamed") && entity.kind.as_deref() != Some("Container")
}

fn described(error: manifest::log::LogError) -> anyhow::Error {
    let fault = error.fault.to_string();
    anyhow::Error::new(error).context(fault)
}

/// The damaged blobs of a log by what the manifest may know them by.
#[derive(Default)]
struct Wanted {
    blobs: Vec<Option<LoggedBlob>>,
    by_blob_path: HashMap<String, Vec<usize>>,
    by_file_path: HashMap<String, Vec<usize>>,
}

impl Wanted {
    fn add(&mut self, blob: LoggedBlob) {
        let index = self.blobs.len();
        if let Some(path) = &blob.blob_path {
            self.by_blob_path.entry(trimmed(path).to_owned()).or_default().push(index);
        }
        if let Some(path) = &blob.file_path {
            self.by_file_path.entry(path.clone()).or_default().push(index);
        }
        self.blobs.push(Some(blob));
    }

    /// The damage of an entry: by its name and file, by its name alone, or renamed by its file.
    fn take(&mut self, blob_path: &str, file_path: &str) -> Option<LoggedBlob> {
        let by_name = self.by_blob_path.get(trimmed(blob_path)).into_iter().flatten();
        let same_file = |blob: &LoggedBlob| blob.file_path.as_deref().is_none_or(|path| path == file_path);
        let renamed = |blob: &LoggedBlob| {
            let status =
                blob.disposition.as_ref().and_then(|disposition| disposition.status.as_ref()?.known());
            status == Some(model::status::DispositionStatus::Renamed)
        };
        let has = |index: &&usize, test: &dyn Fn(&LoggedBlob) -> bool| {
            self.blobs.get(**index).and_then(Option::as_ref).is_some_and(test)
        };
        let by_file = self.by_file_path.get(file_path).into_iter().flatten();
        let found = by_name
            .clone()
            .find(|index| has(index, &same_file))
            .or_else(|| by_file.clone().find(|index| has(index, &renamed)))
            .copied()?;
        self.blobs.get_mut(found)?.take()
    }

    fn left(self) -> impl Iterator<Item = LoggedBlob> {
        self.blobs.into_iter().flatten()
    }
}

fn trimmed(path: &str) -> &str {
    path.strip_prefix('/').unwrap_or(path)
}

/// Reads a manifest, and hands on those of its entries that are wanted.
fn pass_by<E>(
    path: &Path,
    wanted: &mut Wanted,
    each: &mut impl FnMut(Damage) -> Result<(), E>,
) -> anyhow::Result<Result<(), E>> {
    let mut reader = ManifestReader::new(open(path)?);
    let mut list = None;
    while let Some(event) = reader.next()? {
        match event {
            ManifestEvent::Drive(_) => {}
            ManifestEvent::List(header) => list = Some(header),
            ManifestEvent::Blob(entry) => {
                let Some(blob) = wanted.take(&entry.blob_path, &entry.file_path) else { continue };
                let damage = Damage {
                    blob_path: blob.blob_path.clone().unwrap_or_else(|| entry.blob_path.clone()),
                    file_path: Some(entry.file_path.clone()),
                    work: Work::of_manifest(&entry, list.as_ref(), Some(&blob)),
                };
                if let Err(error) = each(damage) {
                    return Ok(Err(error));
                }
            }
        }
    }
    Ok(Ok(()))
}

impl Damage {
    fn of_log(blob: &LoggedBlob) -> Damage {
        Damage {
            blob_path: blob.blob_path.clone().unwrap_or_else(|| "a blob without a name".to_owned()),
            file_path: blob.file_path.clone(),
            work: Work::of_log(blob),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read_text(log: &[u8], manifest: Option<&str>) -> anyhow::Result<(Head, Vec<(String, String)>)> {
        let folder = tempfile::tempdir()?;
        let (log_file, manifest_file) = (folder.path().join("log"), folder.path().join("manifest"));
        std::fs::write(&log_file, log)?;
        std::fs::write(&manifest_file, manifest.unwrap_or_default())?;
        let mut found = Vec::new();
        let ended = read(&log_file, manifest.map(|_| manifest_file.as_path()), |damage| {
            let what = match damage.work {
                Ok(work) => format!("{} bytes, complete {}", work.length_bytes, work.is_complete),
                Err(unresolved) => unresolved.to_string(),
            };
            found.push((damage.blob_path, what));
            Ok::<(), std::convert::Infallible>(())
        });
        let Ok(head) = ended?;
        Ok((head, found))
    }

    const NEWER: &str = "<DriveLog Version=\"2018-10-01\"><DriveId>D1</DriveId>\
        <Blob Status=\"ContainerRenamed\"><BlobPath>databox-1/a</BlobPath></Blob>\
        <Blob Status=\"Corrupted\"><BlobPath>con/b</BlobPath><OriginalFilePath>\\s\\b</OriginalFilePath>\
        <SizeInBytes>3</SizeInBytes></Blob><Status>CompletedWithErrors</Status></DriveLog>";
    const MANIFEST: &str = "<DriveManifest Version=\"2014-11-01\"><Drive><DriveId>D1</DriveId><BlobList>\
        <Blob><BlobPath>con/a</BlobPath><FilePath>\\s\\a</FilePath><Length>0</Length><BlockList/></Blob>\
        <Blob><BlobPath>con/b</BlobPath><FilePath>\\s\\b</FilePath><Length>3</Length><BlockList>\
        <Block Offset=\"0\" Length=\"3\" Hash=\"900150983CD24FB0D6963F7D28E17F72\"/></BlockList></Blob>\
        </BlobList></Drive></DriveManifest>";

    #[test]
    fn a_log_without_hashes_takes_them_from_the_manifest() {
        let (head, found) = read_text(NEWER.as_bytes(), None).unwrap();
        assert_eq!(head, Head { drive_id: Some("D1".to_owned()), fatal: None });
        assert!(found.len() == 1 && found[0].1.contains("--manifest FILE"), "{found:?}");
        let (_, found) = read_text(NEWER.as_bytes(), Some(MANIFEST)).unwrap();
        assert_eq!(found, [("con/b".to_owned(), "3 bytes, complete true".to_owned())]);
    }

    #[test]
    fn a_copy_log_names_what_failed_and_not_what_was_renamed() {
        let log = "<ErroredEntity CloudFormat=\"BlockBlob\" Path=\"con/b\"><Category>UploadErrorWin32</Category>\
            <ErrorCode>2</ErrorCode><Type>File</Type></ErroredEntity><ErroredEntity Path=\"con/a\">\
            <Category>BlobRenamed</Category></ErroredEntity><ErroredEntity Path=\"con/gone\">\
            <Category>UploadErrorUnknownType</Category></ErroredEntity>\
            <CopyLog Summary=\"Summary\"><DriveId>D1</DriveId></CopyLog>";
        let (head, found) = read_text(log.as_bytes(), Some(MANIFEST)).unwrap();
        assert_eq!(head.drive_id.as_deref(), Some("D1"));
        assert_eq!(found[0], ("con/b".to_owned(), "3 bytes, complete true".to_owned()));
        assert!(
            found.len() == 2 && found[1].0 == "con/gone" && found[1].1.contains("--manifest"),
            "{found:?}"
        );
    }

    #[test]
    fn a_drive_that_failed_as_a_whole_is_said_to_have() {
        let log = "<DriveLog><DriveId>D1</DriveId><Status>ManifestCorrupted</Status></DriveLog>";
        let (head, found) = read_text(log.as_bytes(), None).unwrap();
        assert_eq!((head.fatal, found.len()), (Some(DriveStatus::ManifestCorrupted), 0));
    }

    #[test]
    fn other_files_are_refused_by_their_kind_and_broken_ones_by_their_place() {
        let verbose = "<File CloudFormat=\"BlockBlob\" Path=\"c\\a\" Size=\"1\" crc64=\"2\">\n</File>";
        for (log, told) in [
            (verbose, "give the copy log"),
            ("", "neither a drive log nor a copy log"),
            ("<DriveManifest/>", "neither a drive log nor a copy log"),
            ("<DriveLog><Blob></Blub></DriveLog>", "line 1"),
        ] {
            let error = format!("{:#}", read_text(log.as_bytes(), None).unwrap_err());
            assert!(error.contains(told), "{log}: {error}");
        }
        let broken =
            read_text(NEWER.as_bytes(), Some("<DriveManifest Version=\"2014-11-01\"><Drive>")).unwrap_err();
        assert!(format!("{broken:#}").contains("the manifest "), "{broken:#}");
    }
}
