//! The arguments that say what is packed and onto which drives; `check` and `pack` share them.

use std::path::PathBuf;

use clap::Args;
use manifest::BlockLength;
use model::{DriveId, ImportDisposition};

use super::gather::is_same_file;
use super::size::{parse_block_length, parse_bytes};
use super::{DEFAULT_SESSION, How, InputError, InputFault, Inputs, SideFileSource, Source};
use super::{dataset, driveset, plan};
use crate::lint::{Findings, ignored_columns};
use crate::work::scan::KindRule;
use crate::work::{DriveTarget, Encryption, Formatting, ItemKind};

/// What is packed.
#[derive(Debug, Clone, Default, Args)]
#[command(next_help_heading = "What is packed")]
pub struct SourceArguments {
    /// A directory or file to pack; repeat it for more, each with its own --to
    #[arg(long, value_name = "PATH")]
    pub from: Vec<PathBuf>,
    /// Where it goes: CONTAINER[/PREFIX], SHARE[/DIRECTORY], or of a file its whole destination
    #[arg(long, value_name = "DESTINATION")]
    pub to: Vec<String>,
    /// Sources as rows of a dataset CSV, as the WAImportExport tool takes it
    #[arg(long, value_name = "FILE")]
    pub dataset: Option<PathBuf>,
    /// Sources and drives as a TOML plan
    #[arg(long, value_name = "FILE", conflicts_with_all = ["from", "to", "dataset", "session"])]
    pub plan: Option<PathBuf>,
    /// The session's name: a directory of this name holds its files on the drive
    #[arg(long, value_name = "ID", default_value = DEFAULT_SESSION)]
    pub session: String,
    /// What files become; auto is page for .vhd and .vhdx, block for the rest
    #[arg(long = "type", value_name = "TYPE", default_value = "auto")]
    pub kind: TypeWord,
    /// What happens when the destination exists: rename, no-overwrite, overwrite
    #[arg(long, value_name = "WORD", default_value_t = ImportDisposition::default())]
    pub disposition: ImportDisposition,
    /// Metadata of all items, as the XML file of the import format
    #[arg(long, value_name = "FILE")]
    pub metadata_file: Option<PathBuf>,
    /// Properties of all items, as the XML file of the import format
    #[arg(long, value_name = "FILE")]
    pub properties_file: Option<PathBuf>,
    /// Give each blob its Content-MD5
    #[arg(long)]
    pub content_md5: bool,
    /// How long the blocks of block blobs are: a multiple of 4 KiB up to 100 MiB. A blob that would have
    /// more than 50,000 of them gets longer ones
    #[arg(long = "block-bytes", value_name = "SIZE", default_value = "4MiB", value_parser = parse_block_length)]
    pub block_length: BlockLength,
    /// Leave out directories on other file systems
    #[arg(long)]
    pub one_file_system: bool,
}

/// The words of `--type`.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, clap::ValueEnum)]
pub enum TypeWord {
    /// Page blobs for virtual disks, block blobs for the rest.
    #[default]
    Auto,
    /// Block blobs.
    Block,
    /// Page blobs.
    Page,
    /// Files of a share.
    File,
}

impl TypeWord {
    fn rule(self) -> KindRule {
        match self {
            TypeWord::Auto => KindRule::ByName,
            TypeWord::Block => KindRule::Fixed(ItemKind::Block),
            TypeWord::Page => KindRule::Fixed(ItemKind::Page),
            TypeWord::File => KindRule::Fixed(ItemKind::File),
        }
    }
}

/// Onto which drives.
#[derive(Debug, Clone, Default, Args)]
#[command(next_help_heading = "Drives")]
pub struct DriveArguments {
    /// A device or image file to pack onto; repeat it for more
    #[arg(long = "drive", value_name = "PATH")]
    pub drives: Vec<PathBuf>,
    /// How large an image file is made: 500GB, 8TB; once for all, or once a drive
    #[arg(long = "size", value_name = "BYTES")]
    pub sizes: Vec<String>,
    /// The serial number that the drive must have; once a drive
    #[arg(long = "serial", value_name = "SERIAL")]
    pub serials: Vec<String>,
    /// Drives as rows of a driveset CSV, as the WAImportExport tool takes it
    #[arg(long, value_name = "FILE")]
    pub driveset: Option<PathBuf>,
}

impl SourceArguments {
    /// What they ask for, together with the drives. Columns that mean nothing become findings.
    ///
    /// # Errors
    /// The first thing that is wrong with them or with a file they name.
    pub fn inputs(&self, drives: &DriveArguments, findings: &mut Findings) -> Result<Inputs, InputError> {
        let how = self.how();
        let mut inputs = match &self.plan {
            Some(path) => plan::read(path, &how)?,
            None => self.without_plan(&how, findings)?,
        };
        if inputs.sources.is_empty() {
            return Err(InputError::at("arguments", InputFault::NoSource));
        }
        inputs.one_file_system |= self.one_file_system;
        inputs.drives.extend(drives.targets(findings)?);
        distinct(&inputs.drives)?;
        Ok(inputs)
    }

    /// What holds for sources that say nothing else.
    pub fn how(&self) -> How {
        How {
            kind: self.kind.rule(),
            disposition: self.disposition,
            metadata: self.metadata_file.clone().map(SideFileSource::File),
            properties: self.properties_file.clone().map(SideFileSource::File),
            content_md5: self.content_md5,
            block_length: self.block_length,
        }
    }

    fn without_plan(&self, how: &How, findings: &mut Findings) -> Result<Inputs, InputError> {
        let session = self.session.parse();
        let session = session.map_err(|error| InputError::at("--session", InputFault::Session(error)))?;
        let mut sources = self.pairs(how)?;
        if let Some(path) = &self.dataset {
            let file = dataset::read(path, how)?;
            ignored_columns(findings, path, &file.ignored_columns);
            sources.extend(file.sources);
        }
        Ok(Inputs { session, sources, drives: Vec::new(), one_file_system: false })
    }

    fn pairs(&self, how: &How) -> Result<Vec<Source>, InputError> {
        let (from, to) = (self.from.len(), self.to.len());
        if from != to {
            return Err(InputError::at("arguments", InputFault::Pairs { from, to }));
        }
        let pairs = self.from.iter().zip(&self.to);
        let source = |(from, to): (&PathBuf, &String)| Source {
            from: from.clone(),
            to: to.clone(),
            stated_directory: None,
            how: how.clone(),
            place: format!("--from {}", from.display()),
        };
        Ok(pairs.map(source).collect())
    }
}

impl DriveArguments {
    /// The drives: those of `--drive`, then those of the driveset.
    ///
    /// # Errors
    /// The first thing that is wrong with them or with the driveset.
    pub fn targets(&self, findings: &mut Findings) -> Result<Vec<DriveTarget>, InputError> {
        let mut targets = Vec::new();
        for (index, path) in self.drives.iter().enumerate() {
            targets.push(DriveTarget {
                path: path.clone(),
                size_bytes: self.size_bytes(index)?,
                serial: self.serial(index)?,
                formatting: Formatting::Format { asks: true },
                encryption: Encryption::Encrypt,
            });
        }
        if let Some(path) = &self.driveset {
            let file = driveset::read(path)?;
            ignored_columns(findings, path, &file.ignored_columns);
            targets.extend(file.drives);
        }
        Ok(targets)
    }

    fn size_bytes(&self, index: usize) -> Result<Option<u64>, InputError> {
        self.once_a_drive("--size", self.sizes.len(), self.sizes.len() != 1)?;
        let size = self.sizes.get(index).or(self.sizes.first());
        size.map(|text| parse_bytes(text).map_err(|fault| InputError::at("--size", fault))).transpose()
    }

    fn serial(&self, index: usize) -> Result<Option<DriveId>, InputError> {
        self.once_a_drive("--serial", self.serials.len(), true)?;
        let serial = self.serials.get(index).map(|text| DriveId::new(text));
        serial.transpose().map_err(|_| InputError::at("--serial", InputFault::Serial))
    }

    fn once_a_drive(&self, option: &'static str, found: usize, counts: bool) -> Result<(), InputError> {
        let drives = self.drives.len();
        if counts && found != 0 && found != drives {
            let fault = InputFault::DriveOptions { option, found, drives };
            return Err(InputError::at("arguments", fault));
        }
        Ok(())
    }
}

fn distinct(drives: &[DriveTarget]) -> Result<(), InputError> {
    for (index, drive) in drives.iter().enumerate() {
        if drives[..index].iter().any(|other| is_same_file(&other.path, &drive.path)) {
            let fault = InputFault::SameDrive { path: drive.path.display().to_string() };
            return Err(InputError::at("drives", fault));
        }
    }
    Ok(())
}
