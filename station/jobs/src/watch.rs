//! The watch over the station's custody chain: verified at start and every night, signed in between.
//!
//! ```text
//! start ──whole chain against every checkpoint──▶ standing ──new rows──▶ standing ──▶ signed, stored, sent off
//! ```
//! Invariant: nothing is signed but what follows, entry by entry, from what was verified before. So a
//! chain that was rewritten or cut off is noticed before the station vouches for it, not only at night.
//! Checkpoints are looked for in the ledger and in the folders off the machine: whoever writes the
//! whole database anew has the latter against him. A folder that is out of reach keeps the station from
//! starting, and is told from then on; it gets what it lacks when it is back. No file is touched while the
//! chain is held. What the entries mean is not looked at here.

mod folder;

use std::path::PathBuf;
use std::sync::Arc;

use custody::{
    Broken, Checkpoint, Damage, Head, PublicKeys, SigningKey, TrustedCheckpoint, Verified, Verifier,
};
use ledger::{Ledger, OfficeError, StoredCheckpoint};
use model::Class;
use tokio::sync::{Mutex, MutexGuard};

pub use self::folder::FolderError;

use self::folder::Folder;

/// Rows that are fetched at once.
const PAGE_ROWS: u32 = 500;

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
    folders: Vec<Folder>,
    /// What has been verified, to go on from; none before the first time.
    standing: Mutex<Option<Verifier>>,
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

impl Watch {
    /// Nothing is verified yet.
    pub fn new(parts: Parts) -> Watch {
        let folders = parts.folders.iter().map(|folder| Folder::new(folder, &parts.chain)).collect();
        Watch { parts, folders, standing: Mutex::new(None) }
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
    /// See [`WatchError`]; also when a folder cannot be read, whose witness would be missing.
    pub async fn verify(&self) -> Result<Verified, WatchError> {
        let (sent, mut unread) = self.sent_checkpoints().await?;
        match unread.pop() {
            Some(error) => Err(error.into()),
            None => self.hold_against(sent).await,
        }
    }

    /// The same against what can be read, for a station that runs: also the folders that cannot be.
    ///
    /// # Errors
    /// See [`WatchError`].
    pub async fn verify_again(&self) -> Result<(Verified, Vec<FolderError>), WatchError> {
        let (sent, unread) = self.sent_checkpoints().await?;
        Ok((self.hold_against(sent).await?, unread))
    }

    /// Verifies what is new and signs the chain's end; `None` when nothing is new since the last one.
    ///
    /// # Errors
    /// See [`WatchError`]; then nothing was signed.
    pub async fn checkpoint(&self, now_unix_ms: i64) -> Result<Option<Checkpoint>, WatchError> {
        let (mut standing, verifier) = self.verified().await?;
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
        let stored = StoredCheckpoint {
            chain: checkpoint.chain.clone(),
            no: checkpoint.no,
            at_unix_ms: checkpoint.at_unix_ms,
            text: checkpoint.to_text(),
        };
        self.parts.ledger.save_checkpoint(&stored).await?;
        Ok(Some(checkpoint))
    }

    /// Sends every folder the checkpoints that it lacks, also those that it refused before, and says which folders
    /// did not take them.
    ///
    /// # Errors
    /// When the ledger cannot be read, or a file that comes back holds a checkpoint that does not count.
    pub async fn send_off(&self) -> Result<Vec<FolderError>, WatchError> {
        let mut not_sent = Vec::new();
        for folder in &self.folders {
            match self.send_to(folder).await {
                Ok(()) => {}
                Err(WatchError::Folder(error)) => not_sent.push(error),
                Err(error) => return Err(error),
            }
        }
        Ok(not_sent)
    }

    async fn send_to(&self, folder: &Folder) -> Result<(), WatchError> {
        let mut covered = match folder.covers().await? {
            Some(no) => no,
            None => {
                folder.read(&self.parts.public_keys, false).await?;
                folder.covers().await?.unwrap_or(0)
            }
        };
        loop {
            let page = self.parts.ledger.checkpoints(self.chain(), covered, PAGE_ROWS).await?;
            let Some(last) = page.last() else { return Ok(()) };
            covered = last.no;
            folder.append(page.into_iter().map(|stored| (stored.no, stored.text)).collect()).await?;
        }
    }

    /// What was verified so far, to go on from; the whole chain if nothing was.
    async fn verified(&self) -> Result<(MutexGuard<'_, Option<Verifier>>, Verifier), WatchError> {
        loop {
            let mut standing = self.standing.lock().await;
            if let Some(verifier) = standing.take() {
                return Ok((standing, verifier));
            }
            drop(standing);
            self.verify().await?;
        }
    }

    /// The whole chain up to the ledger's head; what comes after that head is the next time's.
    async fn hold_against(&self, mut checkpoints: Vec<TrustedCheckpoint>) -> Result<Verified, WatchError> {
        let mut standing = self.standing.lock().await;
        checkpoints.extend(self.stored_checkpoints().await?);
        let head = self.ledger_head().await?;
        let verifier = Verifier::new(&self.parts.chain, checkpoints).map_err(|broken| self.broken(broken))?;
        let verifier = self.read_to(verifier, &head).await?;
        let verified = verifier.clone().finish(&head).map_err(|broken| self.broken(broken))?;
        *standing = Some(verifier);
        Ok(verified)
    }

    async fn ledger_head(&self) -> Result<Head, WatchError> {
        let heads = self.parts.ledger.heads().await?;
        let ours = heads.into_iter().find(|head| head.chain == self.parts.chain);
        Ok(ours.unwrap_or_else(|| Head::start(&self.parts.chain)))
    }

    /// Those in the folders, and the folders that could not be read.
    async fn sent_checkpoints(&self) -> Result<(Vec<TrustedCheckpoint>, Vec<FolderError>), WatchError> {
        // Asked first: what is signed meanwhile may be in a folder already.
        let is_new = self.parts.ledger.last_checkpoint(self.chain()).await?.is_none();
        let (mut sent, mut unread) = (Vec::new(), Vec::new());
        for folder in &self.folders {
            match folder.read(&self.parts.public_keys, is_new).await {
                Ok(found) => sent.extend(found),
                Err(WatchError::Folder(error)) => unread.push(error),
                Err(error) => return Err(error),
            }
        }
        Ok((sent, unread))
    }

    async fn stored_checkpoints(&self) -> Result<Vec<TrustedCheckpoint>, WatchError> {
        let (mut trusted, mut above_no) = (Vec::new(), 0);
        loop {
            let page = self.parts.ledger.checkpoints(self.chain(), above_no, PAGE_ROWS).await?;
            let Some(last) = page.last() else { return Ok(trusted) };
            above_no = last.no;
            let text: Vec<&str> = page.iter().map(|checkpoint| checkpoint.text.as_str()).collect();
            trusted.extend(self.trust(&text.join("\n"))?);
        }
    }

    fn trust(&self, text: &str) -> Result<Vec<TrustedCheckpoint>, WatchError> {
        custody::checkpoints_of(text, &self.parts.public_keys)
            .map_err(|source| WatchError::Checkpoint { place: "the ledger".to_owned(), source })
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
}

#[cfg(test)]
mod tests;
