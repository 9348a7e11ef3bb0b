//! A session's files beside its journal: what it goes by until it ends.
//!
//! | file | holds |
//! | --- | --- |
//! | `<journal>.work` | what goes where: [`crate::work::Work`] |
//! | `<journal>.session` | the drives, and where the job entry goes |
//! | `<journal>.<n>.plan` | a drive's blueprint |
//! | `<journal>.<n>.hashes` | a drive's spool |
//!
//! All are on the medium before the journal says that the session started, and are removed when it has
//! ended. None holds a secret.

use std::fs::{self, File};
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use anyhow::{Context, anyhow};
use manifest::BitlockerKey;
use model::DriveId;
use serde::{Deserialize, Serialize};

use super::arguments::CipherWord;
use super::blueprint::{Blueprint, BlueprintError, write_whole};
use super::candidate::Candidate;
use super::consent::Consent;
use crate::failure::Failure;
use crate::work::{ItemId, Work};

/// A session as it was planned.
pub struct Session {
    journal: PathBuf,
    /// What goes where.
    pub work: Work,
    /// The rest.
    pub frozen: Frozen,
    /// What opens drives that have their volumes already, as far as it was given to this run.
    pub keys: Vec<Option<Arc<BitlockerKey>>>,
}

/// What is frozen besides the work.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Frozen {
    /// Where the job entry goes.
    pub job_out: PathBuf,
    /// The drives that items go to.
    pub drives: Vec<FrozenDrive>,
    /// Items that fit nowhere.
    pub nowhere: Vec<u32>,
    /// Sources that could not be read when they were looked at.
    pub unreadable: u64,
    /// How the drives are made.
    pub choices: FrozenChoices,
}

/// What was chosen when the session began: all its drives are made so, whichever run makes them.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct FrozenChoices {
    /// How the volumes are encrypted.
    pub cipher: CipherWord,
    /// Whether all of them is.
    pub whole_surface: bool,
    /// Holds a password that opens them too.
    pub password_file: Option<PathBuf>,
    /// Where startup keys go.
    pub bek_folder: Option<PathBuf>,
    /// Whether all data is read back at the end.
    pub verify: bool,
}

/// A drive of a frozen session.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct FrozenDrive {
    /// Where it is.
    pub path: PathBuf,
    /// Its serial number.
    pub serial: String,
    /// Whether it is an image file.
    pub is_image: bool,
    /// What stood there when it was agreed that it is made anew.
    pub consent: Option<Consent>,
}

impl Session {
    /// Writes a session down.
    ///
    /// # Errors
    /// When the file system refuses.
    pub fn save(
        journal: &Path,
        work: Work,
        frozen: Frozen,
        blueprints: &[Blueprint],
    ) -> Result<Session, Failure> {
        let session = Session { journal: journal.to_owned(), work, frozen, keys: Vec::new() };
        session.write(blueprints).context("saving the session beside its journal").map_err(Failure::fatal)?;
        Ok(session)
    }

    fn write(&self, blueprints: &[Blueprint]) -> anyhow::Result<()> {
        for (index, blueprint) in blueprints.iter().enumerate() {
            blueprint.save(&self.beside(&format!(".{index}.plan")))?;
        }
        let path = self.beside(".work");
        let part = self.beside(".work.part");
        let file = File::create(&part)?;
        self.work.save(&file)?;
        file.sync_all()?;
        fs::rename(&part, &path)?;
        Ok(write_whole(&self.beside(".session"), &serde_json::to_vec(&self.frozen)?)?)
    }

    /// Reads a session back.
    ///
    /// # Errors
    /// When one of its files is not there or not whole.
    pub fn load(journal: &Path) -> Result<Session, Failure> {
        let load = || {
            let path = beside(journal, ".work");
            let file = File::open(&path).with_context(|| format!("opening {}", path.display()))?;
            let work = Work::load(file).with_context(|| format!("reading {}", path.display()))?;
            let path = beside(journal, ".session");
            let text = fs::read(&path).with_context(|| format!("reading {}", path.display()))?;
            let frozen: Frozen =
                serde_json::from_slice(&text).with_context(|| format!("reading {}", path.display()))?;
            let is_item = |item: &u32| usize::try_from(*item).is_ok_and(|item| item < work.len());
            anyhow::ensure!(
                frozen.nowhere.iter().all(is_item),
                "{} names items that are not the session's",
                path.display()
            );
            anyhow::Ok(Session { journal: journal.to_owned(), work, frozen, keys: Vec::new() })
        };
        load().context("the session's files are not whole: give it up with --abort").map_err(Failure::fatal)
    }

    /// The blueprint of a drive.
    ///
    /// # Errors
    /// When it is not there or not whole.
    pub fn blueprint(&self, index: usize) -> Result<Blueprint, Failure> {
        let path = self.beside(&format!(".{index}.plan"));
        let load = || {
            let blueprint = Blueprint::load(&path)?;
            blueprint.check(&path, &self.work)?;
            Ok(blueprint)
        };
        load().map_err(|error: BlueprintError| Failure::fatal(error))
    }

    /// Where a drive's spool is.
    pub fn spool_path(&self, index: usize) -> PathBuf {
        self.beside(&format!(".{index}.hashes"))
    }

    /// The serial number of a drive.
    ///
    /// # Errors
    /// When the session's file holds none.
    pub fn drive_id(&self, index: usize) -> Result<DriveId, Failure> {
        DriveId::new(&self.frozen.drives[index].serial).map_err(|_| {
            Failure::fatal(anyhow!("the session's file holds no serial number for drive {index}"))
        })
    }

    /// Items that fit nowhere.
    pub fn nowhere(&self) -> impl ExactSizeIterator<Item = ItemId> + '_ {
        self.frozen.nowhere.iter().copied().map(ItemId)
    }

    /// Removes the session's files; the journal stays.
    pub fn remove(self) {
        let count = self.frozen.drives.len();
        let of_drives = (0..count).flat_map(|index| [format!(".{index}.plan"), format!(".{index}.hashes")]);
        for suffix in of_drives.chain([".work".to_owned(), ".session".to_owned()]) {
            remove(&self.beside(&suffix));
        }
    }

    fn beside(&self, suffix: &str) -> PathBuf {
        beside(&self.journal, suffix)
    }
}

impl From<&Candidate> for FrozenDrive {
    fn from(candidate: &Candidate) -> FrozenDrive {
        let path = absolute(&candidate.path);
        // A link to a device (/dev/disk/by-id) stays right when the drive comes back under another name.
        let path = if candidate.is_image { fs::canonicalize(&path).unwrap_or(path) } else { path };
        FrozenDrive {
            path,
            serial: candidate.id.to_string(),
            is_image: candidate.is_image,
            consent: candidate.consent.clone(),
        }
    }
}

/// A path that means the same in another working directory.
pub fn absolute(path: &Path) -> PathBuf {
    std::path::absolute(path).unwrap_or_else(|_| path.to_owned())
}

fn beside(journal: &Path, suffix: &str) -> PathBuf {
    let mut name = journal.as_os_str().to_owned();
    name.push(suffix);
    name.into()
}

/// What cannot be removed is in nobody's way: the next session replaces it.
fn remove(path: &Path) {
    match fs::remove_file(path) {
        Ok(()) => {}
        Err(error) if error.kind() == io::ErrorKind::NotFound => {}
        Err(error) => eprintln!("warning  {} cannot be removed: {error}", path.display()),
    }
}
