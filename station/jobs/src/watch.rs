//! The watch over the station's custody chain: verified at start and every night, signed in between.
//!
//! ```text
//! start ──whole chain against every checkpoint──▶ standing ──new rows──▶ standing ──▶ signed, stored, sent off
//! ```
//! Invariant: nothing is signed but what follows, entry by entry, from what was verified before. So a
//! chain that was rewritten or cut off is noticed before the station vouches for it, not only at night.
//! Checkpoints are looked for in the ledger and in the folders off the machine: whoever writes the
//! whole database anew has the latter against him. What the entries mean is not looked at here.

use std::fs::{File, OpenOptions};
use std::io::{self, Read, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use custody::{
    Broken, Checkpoint, Damage, Head, PublicKeys, SigningKey, TrustedCheckpoint, Verified, Verifier,
};
use ledger::{Ledger, OfficeError, StoredCheckpoint};
use model::Class;
use tokio::sync::Mutex;

/// Rows that are fetched at once.
const PAGE_ROWS: u32 = 500;
/// Longest file of checkpoints that is read: at one a quarter of an hour, eighty years.
const CHECKPOINTS_BYTES_MAX: u64 = 1 << 30;

/// What the watch needs.
pub struct Parts {
    /// Where the chain is.
    pub ledger: Arc<dyn Ledger>,
    /// The chain's name: the station's.
    pub chain: String,
    /// What checkpoints are signed with.
    pub signing_key: SigningKey,
    /// All keys that this station has signed with, this one among them.
    pub public_keys: PublicKeys,
    /// Folders off the machine that checkpoints are sent to.
    pub folders: Vec<PathBuf>,
}

/// Watches one chain.
pub struct Watch {
    parts: Parts,
    /// What has been verified, to go on from; none before the first time.
    standing: Mutex<Option<Verifier>>,
}

/// A checkpoint that was signed and is in the ledger.
#[derive(Debug)]
pub struct Signed {
    /// What was signed.
    pub checkpoint: Checkpoint,
    /// Folders that did not take it; the next checkpoint covers what this one does.
    pub not_sent: Vec<FolderError>,
}

/// The chain could not be verified, or is not what was written.
#[derive(Debug, thiserror::Error)]
pub enum WatchError {
    /// Somebody changed it.
    #[error("the custody chain {chain} is broken")]
    Broken {
        /// Which.
        chain: String,
        /// Where and how.
        #[source]
        broken: Broken,
    },
    /// A checkpoint that is not ours, or was changed.
    #[error("a checkpoint in {place} does not count")]
    Checkpoint {
        /// The ledger, or a file.
        place: String,
        /// Why.
        #[source]
        source: custody::CheckpointLineError,
    },
    /// The chain cannot be read or a checkpoint not stored.
    #[error(transparent)]
    Ledger(#[from] OfficeError),
    /// A folder off the machine cannot be read.
    #[error(transparent)]
    Folder(#[from] FolderError),
}

impl WatchError {
    /// A chain that cannot be trusted stops the station: what it would do next could not be proven.
    pub fn class(&self) -> Class {
        match self {
            WatchError::Broken { .. } | WatchError::Checkpoint { .. } => Class::StopStation,
            WatchError::Ledger(error) => error.class(),
            WatchError::Folder(_) => Class::RetryRequest,
        }
    }
}

/// A folder off the machine that is not there, or refuses.
#[derive(Debug, thiserror::Error)]
#[error("the checkpoints in {}", path.display())]
pub struct FolderError {
    /// The file.
    pub path: PathBuf,
    /// Why.
    #[source]
    pub source: io::Error,
}

impl Watch {
    /// Nothing is verified yet.
    pub fn new(parts: Parts) -> Watch {
        Watch { parts, standing: Mutex::new(None) }
    }

    /// The chain's name.
    pub fn chain(&self) -> &str {
        &self.parts.chain
    }

    /// The keys that its checkpoints are checked with.
    pub fn public_keys(&self) -> &PublicKeys {
        &self.parts.public_keys
    }

    /// Verifies the whole chain, from its first entry to the ledger's head, against every checkpoint.
    ///
    /// # Errors
    /// See [`WatchError`].
    pub async fn verify(&self) -> Result<Verified, WatchError> {
        let mut standing = self.standing.lock().await;
        let (verifier, verified) = self.whole().await?;
        *standing = Some(verifier);
        Ok(verified)
    }

    /// Verifies what is new and signs the chain's end; `None` when nothing is new since the last one.
    ///
    /// # Errors
    /// See [`WatchError`]; then nothing was signed.
    pub async fn checkpoint(&self, now_unix_ms: i64) -> Result<Option<Signed>, WatchError> {
        let mut standing = self.standing.lock().await;
        let verifier = match standing.take() {
            Some(verifier) => verifier,
            None => self.whole().await?.0,
        };
        let head = self.ledger_head().await?;
        *standing = Some(self.read_to(verifier, &head).await?);
        let last = self.parts.ledger.last_checkpoint(self.chain()).await?.map_or(0, |last| last.no);
        if last > head.no {
            return Err(self.cut_off(head.no, last, "a checkpoint"));
        }
        if last == head.no {
            return Ok(None);
        }
        let checkpoint = self.parts.signing_key.checkpoint(&head, now_unix_ms);
        let text = checkpoint.to_text();
        let stored = StoredCheckpoint {
            chain: checkpoint.chain.clone(),
            no: checkpoint.no,
            at_unix_ms: checkpoint.at_unix_ms,
            text: text.clone(),
        };
        self.parts.ledger.save_checkpoint(&stored).await?;
        let sent =
            self.files().map(|path| append(&path, &text).map_err(|source| FolderError { path, source }));
        Ok(Some(Signed { not_sent: sent.filter_map(Result::err).collect(), checkpoint }))
    }

    /// The whole chain up to the ledger's head; what comes after that head is the next time's.
    async fn whole(&self) -> Result<(Verifier, Verified), WatchError> {
        let head = self.ledger_head().await?;
        let verifier = self.read_to(self.verifier().await?, &head).await?;
        let verified = verifier.clone().finish(&head).map_err(|broken| self.broken(broken))?;
        Ok((verifier, verified))
    }

    async fn ledger_head(&self) -> Result<Head, WatchError> {
        let heads = self.parts.ledger.heads().await?;
        let ours = heads.into_iter().find(|head| head.chain == self.parts.chain);
        Ok(ours.unwrap_or_else(|| Head::start(&self.parts.chain)))
    }

    /// At the chain's start, with every checkpoint that there is.
    async fn verifier(&self) -> Result<Verifier, WatchError> {
        let mut checkpoints = self.stored_checkpoints().await?;
        for path in self.files() {
            checkpoints.extend(self.sent_checkpoints(path)?);
        }
        Verifier::new(&self.parts.chain, checkpoints).map_err(|broken| self.broken(broken))
    }

    async fn stored_checkpoints(&self) -> Result<Vec<TrustedCheckpoint>, WatchError> {
        let (mut trusted, mut above_no) = (Vec::new(), 0);
        loop {
            let page = self.parts.ledger.checkpoints(self.chain(), above_no, PAGE_ROWS).await?;
            let Some(last) = page.last() else { return Ok(trusted) };
            above_no = last.no;
            let text: Vec<&str> = page.iter().map(|checkpoint| checkpoint.text.as_str()).collect();
            trusted.extend(self.trust(&text.join("\n"), "the ledger")?);
        }
    }

    /// Those in one file; a folder that has none yet has none.
    fn sent_checkpoints(&self, path: PathBuf) -> Result<Vec<TrustedCheckpoint>, WatchError> {
        match read_bounded(&path) {
            Ok(file) => self.trust_sent(&file, &path),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(Vec::new()),
            Err(source) => Err(FolderError { path, source }.into()),
        }
    }

    fn trust_sent(&self, file: &[u8], path: &Path) -> Result<Vec<TrustedCheckpoint>, WatchError> {
        let sent = custody::sent_checkpoints_of(file, &self.parts.public_keys)
            .map_err(|source| WatchError::Checkpoint { place: path.display().to_string(), source })?;
        if let Some(first) = sent.torn.first() {
            tracing::error!(
                path = %path.display(),
                lines = sent.torn.len(),
                first = first as &dyn std::error::Error,
                "what is no checkpoint stands among the checkpoints and was passed over"
            );
        }
        Ok(sent.trusted)
    }

    fn trust(&self, text: &str, place: &str) -> Result<Vec<TrustedCheckpoint>, WatchError> {
        custody::checkpoints_of(text, &self.parts.public_keys)
            .map_err(|source| WatchError::Checkpoint { place: place.to_owned(), source })
    }

    /// Reads on from where the verifier is, up to the head's entry.
    async fn read_to(&self, mut verifier: Verifier, head: &Head) -> Result<Verifier, WatchError> {
        while verifier.head().no < head.no {
            let left = u32::try_from(head.no - verifier.head().no).unwrap_or(u32::MAX).min(PAGE_ROWS);
            let rows = self.parts.ledger.custody_rows(self.chain(), verifier.head().no, left).await?;
            if rows.is_empty() {
                break;
            }
            for row in &rows {
                verifier.push(row).map_err(|broken| self.broken(broken))?;
            }
        }
        let found = verifier.head();
        if found.no > head.no {
            return Err(self.cut_off(head.no, found.no, "what was there before"));
        }
        if found.no < head.no {
            return Err(self.cut_off(found.no, head.no, "the ledger's head"));
        }
        if found.hash != head.hash {
            let what = Damage::Head { no: head.no, hash: head.hash };
            return Err(self.broken(Broken { no: found.no, what }));
        }
        Ok(verifier)
    }

    fn cut_off(&self, no: u64, covered: u64, witness: &'static str) -> WatchError {
        self.broken(Broken { no, what: Damage::Truncated { covered, witness } })
    }

    fn broken(&self, broken: Broken) -> WatchError {
        WatchError::Broken { chain: self.parts.chain.clone(), broken }
    }

    fn files(&self) -> impl Iterator<Item = PathBuf> {
        let name = format!("{}.checkpoints", self.parts.chain);
        self.parts.folders.iter().map(move |folder| folder.join(&name))
    }
}

fn read_bounded(path: &Path) -> io::Result<Vec<u8>> {
    if std::fs::metadata(path)?.len() > CHECKPOINTS_BYTES_MAX {
        return Err(io::Error::new(io::ErrorKind::FileTooLarge, "longer than any file of checkpoints"));
    }
    std::fs::read(path)
}

/// Only ever longer: a folder may be on a medium that cannot be written over. Behind a line that was torn
/// off comes its end first, else this one would be lost with it.
fn append(path: &Path, line: &str) -> io::Result<()> {
    let mut file = OpenOptions::new().read(true).append(true).create(true).open(path)?;
    let before = if ends_in_a_line(&mut file)? { "" } else { "\n" };
    file.write_all(format!("{before}{line}\n").as_bytes())?;
    file.sync_all()
}

fn ends_in_a_line(file: &mut File) -> io::Result<bool> {
    if file.metadata()?.len() == 0 {
        return Ok(true);
    }
    let mut last = [0];
    file.seek(SeekFrom::End(-1))?;
    file.read_exact(&mut last)?;
    Ok(last == *b"\n")
}

#[cfg(test)]
mod tests;
