//! The arguments of `pack`.

use std::fs::{self, File};
use std::io::Read;
use std::path::PathBuf;

use bitlocker::Method;
use bitlocker::format::Coverage;
use clap::{Args, ValueEnum};
use model::Md5Digest;
use model::digest::HashText;
use proof::proven::hash_all_like;
use serde::{Deserialize, Serialize};

use super::drive::Choices;
use super::session::{FrozenChoices, absolute};
use crate::inputs::{DriveArguments, SourceArguments};

/// More than any of the files that say what is asked for may have; the rest is not looked at.
const CONTENTS_BYTES_MAX: u64 = 1 << 30;

/// Packs files onto drives: partition table, BitLocker, NTFS, files, manifest, job entry.
///
/// Everything on the drives is destroyed. Sources are only read. When it was interrupted, the same
/// command goes on where it stopped.
#[derive(Debug, Clone, Args)]
pub struct PackArguments {
    /// What is packed.
    #[command(flatten)]
    pub sources: SourceArguments,
    /// Onto which drives.
    #[command(flatten)]
    pub drives: DriveArguments,
    /// How the drives are made.
    #[command(flatten)]
    pub making: MakingArguments,
    /// What is written beside the drives.
    #[command(flatten)]
    pub outputs: OutputArguments,
    /// How it works.
    #[command(flatten)]
    pub running: RunningArguments,
}

/// How the drives are made.
#[derive(Debug, Clone, Args)]
#[command(next_help_heading = "How the drives are made")]
pub struct MakingArguments {
    /// How the volumes are encrypted; cbc for readers older than Windows 10 1511
    #[arg(long, value_name = "CIPHER", default_value = "xts256")]
    pub cipher: CipherWord,
    /// A file whose first line is a password that opens the drives too
    #[arg(long, value_name = "FILE")]
    pub password_file: Option<PathBuf>,
    /// Make a startup key for each drive, and write it into this folder
    #[arg(long, value_name = "FOLDER")]
    pub bek_out: Option<PathBuf>,
    /// Encrypt the whole surface, not only what is used: for drives that held something before
    #[arg(long)]
    pub whole_surface: bool,
    /// What Windows shows for the drives
    #[arg(long, value_name = "TEXT", default_value = "DRAYAGE")]
    pub label: String,
    /// The drives have their BitLocker volumes already: files are added to them. This file holds the
    /// 48 digits that open them
    #[arg(long, value_name = "FILE")]
    pub recovery_password_file: Option<PathBuf>,
    /// The data lies on the drive already: it is hashed there, and a manifest is added. --from names a
    /// directory or file on the drive; nothing is formatted or copied
    #[arg(long)]
    pub in_place: bool,
    /// Destroy image files that hold something already
    #[arg(long)]
    pub overwrite: bool,
    /// Logical sector size of image files: 512 or 4096
    #[arg(long, value_name = "BYTES", default_value_t = 512)]
    pub sector_size: u32,
}

/// What is written beside the drives.
#[derive(Debug, Clone, Args)]
#[command(next_help_heading = "What is written beside the drives")]
pub struct OutputArguments {
    /// Where the job entry goes: serial numbers, keys and manifest hashes, for creating the job
    #[arg(long, value_name = "FILE", default_value = "drive.json")]
    pub job_out: PathBuf,
    /// The journal, which an interrupted pack goes on from [default: the job entry's path with .jrn]
    #[arg(long, value_name = "FILE")]
    pub journal: Option<PathBuf>,
}

/// How it works.
#[derive(Debug, Clone, Args)]
#[command(next_help_heading = "How it works")]
pub struct RunningArguments {
    /// Go on with the journal's interrupted session; sources and drives are the journal's
    #[arg(long, conflicts_with = "abort")]
    pub resume: bool,
    /// Give up the journal's interrupted session; nothing on its drives will look whole
    #[arg(long)]
    pub abort: bool,
    /// Pack what fits, though not everything does; what is missing is named
    #[arg(long)]
    pub allow_incomplete: bool,
    /// Read all data back at the end and compare it with the manifest
    #[arg(long)]
    pub verify: bool,
    /// Memory for data under way, in MiB
    #[arg(long, value_name = "MIB", default_value_t = 256, value_parser = clap::value_parser!(u32).range(16..=65_536))]
    pub buffer_mib: u32,
    /// Data between two checkpoints, in MiB: so much is copied again after a crash
    #[arg(long, value_name = "MIB", default_value_t = 1_024, value_parser = clap::value_parser!(u32).range(1..))]
    pub checkpoint_mib: u32,
}

/// The words of `--cipher`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum CipherWord {
    /// AES-XTS with two 256-bit keys.
    Xts256,
    /// AES-XTS with two 128-bit keys.
    Xts128,
    /// AES-CBC with a 256-bit key.
    Cbc256,
    /// AES-CBC with a 128-bit key.
    Cbc128,
}

impl CipherWord {
    fn method(self) -> Method {
        match self {
            CipherWord::Xts256 => Method::AesXts256,
            CipherWord::Xts128 => Method::AesXts128,
            CipherWord::Cbc256 => Method::AesCbc256,
            CipherWord::Cbc128 => Method::AesCbc128,
        }
    }
}

impl PackArguments {
    /// Where the journal is.
    pub fn journal_path(&self) -> PathBuf {
        self.outputs.journal.clone().unwrap_or_else(|| self.outputs.job_out.with_extension("jrn"))
    }

    /// What was chosen for all drives, as a session keeps it.
    pub fn frozen_choices(&self) -> FrozenChoices {
        let MakingArguments { cipher, whole_surface, password_file, bek_out, .. } = &self.making;
        FrozenChoices {
            cipher: *cipher,
            whole_surface: *whole_surface,
            password_file: password_file.as_deref().map(absolute),
            bek_folder: bek_out.as_deref().map(absolute),
            verify: self.running.verify,
        }
    }

    /// How the drives are made: as it was chosen when the session began, at the pace of this run.
    pub fn choices(&self, frozen: &FrozenChoices) -> Choices {
        let mebibytes = |count: u32| usize::try_from(count).unwrap_or(usize::MAX).saturating_mul(1 << 20);
        Choices {
            method: frozen.cipher.method(),
            coverage: if frozen.whole_surface { Coverage::WholeSurface } else { Coverage::UsedSpaceOnly },
            password_file: frozen.password_file.clone(),
            bek_folder: frozen.bek_folder.clone(),
            buffer_bytes: mebibytes(self.running.buffer_mib),
            checkpoint_bytes: u64::from(self.running.checkpoint_mib) << 20,
        }
    }

    /// What was asked for, so that the same command is known again: everything that decides what is on
    /// the drives, what stands in its files too: paths in them mean the same in every folder. How it works
    /// may differ from run to run. Holds no secret.
    pub fn request(&self) -> String {
        let SourceArguments {
            from,
            to,
            dataset,
            plan,
            session,
            kind,
            disposition,
            metadata_file,
            properties_file,
            content_md5,
            block_length,
            one_file_system,
        } = &self.sources;
        let DriveArguments { drives, sizes, serials, driveset } = &self.drives;
        let MakingArguments { cipher, password_file, bek_out, whole_surface, label, sector_size, .. } =
            &self.making;
        let MakingArguments { recovery_password_file, in_place, .. } = &self.making;
        // The same words mean something else in another folder.
        let from: Vec<PathBuf> = match in_place {
            true => from.clone(),
            false => from.iter().map(|path| absolute(path)).collect(),
        };
        let drives: Vec<PathBuf> = drives.iter().map(|path| absolute(path)).collect();
        let whole = |path: &Option<PathBuf>| path.as_deref().map(absolute);
        let (dataset, plan, driveset) = (contents(dataset), contents(plan), contents(driveset));
        let (metadata_file, properties_file) = (whole(metadata_file), whole(properties_file));
        let (password_file, bek_out) = (whole(password_file), whole(bek_out));
        let recovery_password_file = whole(recovery_password_file);
        let lines = [
            format!("from {from:?} to {to:?} dataset {dataset:?} plan {plan:?}"),
            format!("session {session} type {kind:?} disposition {disposition}"),
            format!("metadata {metadata_file:?} properties {properties_file:?} content-md5 {content_md5}"),
            format!("block-bytes {}", block_length.bytes()),
            format!("one-file-system {one_file_system} allow-incomplete {}", self.running.allow_incomplete),
            format!("drives {drives:?} sizes {sizes:?} serials {serials:?} driveset {driveset:?}"),
            format!(
                "cipher {cipher:?} password {password_file:?} bek {bek_out:?} whole-surface {whole_surface}"
            ),
            format!("label {label:?} sector-size {sector_size}"),
            format!("in-place {in_place} recovery-password {recovery_password_file:?}"),
        ];
        // The journal's marks cannot stand in a record.
        lines.join("\n").replace("[Begin", "[-Begin").replace("[End", "[-End")
    }
}

/// A file of what is asked for: where it is, and a digest of what it says; none of what can be read only
/// once.
fn contents(path: &Option<PathBuf>) -> Option<(PathBuf, String)> {
    let path = path.as_deref()?;
    let is_file = fs::metadata(path).is_ok_and(|found| found.is_file());
    let digest = || {
        let file = File::open(path).ok()?.take(CONTENTS_BYTES_MAX);
        hash_all_like(HashText::Md5(Md5Digest([0; 16])), file).ok()
    };
    let digest = if is_file { digest() } else { None };
    // `../d.csv` of another folder is the same file.
    let path = fs::canonicalize(path).unwrap_or_else(|_| absolute(path));
    Some((path, digest.map_or_else(|| "unknown".to_owned(), |digest| digest.to_string())))
}
