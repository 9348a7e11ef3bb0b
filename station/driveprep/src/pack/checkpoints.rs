//! Checkpoints of a copy: from time to time everything so far is brought to the medium and vouched for.

use std::time::{Duration, Instant};

use block::{WriteAt, WriteError};

use super::digest::Hashed;
use super::drive::Job;
use super::pipeline::Done;
use super::spool::{Spool, SpoolError};
use crate::journal::{Journal, JournalError};
use crate::work::ItemId;

/// At most that long between two checkpoints, so that a slow drive does not lose an hour.
const CHECKPOINT_EVERY: Duration = Duration::from_secs(60);

/// What ends a copy.
#[derive(Debug, thiserror::Error)]
pub enum CopyError {
    /// The drive.
    #[error(transparent)]
    Write(#[from] WriteError),
    /// The spool.
    #[error(transparent)]
    Spool(#[from] SpoolError),
    /// The journal.
    #[error(transparent)]
    Journal(#[from] JournalError),
}

/// Notes finished slabs, and vouches for them.
pub struct Checkpoints<'a> {
    job: &'a Job<'a>,
    journal: &'a mut Journal,
    spool: &'a mut Spool,
    target: &'a dyn WriteAt,
    every_bytes: u64,
    bytes: u64,
    since: Instant,
    next_slab: u64,
    /// The last place that was copied.
    last: Option<(ItemId, u64)>,
}

impl<'a> Checkpoints<'a> {
    /// From where the spool ends, one every so many bytes.
    pub fn new(
        job: &'a Job<'a>,
        journal: &'a mut Journal,
        spool: &'a mut Spool,
        target: &'a dyn WriteAt,
        every_bytes: u64,
    ) -> Checkpoints<'a> {
        let next_slab = spool.next_slab();
        let since = Instant::now();
        Checkpoints { job, journal, spool, target, every_bytes, bytes: 0, since, next_slab, last: None }
    }

    /// Notes the next slab.
    ///
    /// # Errors
    /// See [`CopyError`].
    pub fn slab(&mut self, done: Done) -> Result<(), CopyError> {
        self.spool.slab(&done)?;
        self.next_slab = done.number + 1;
        self.bytes += done.length_bytes;
        let end = |hash: &Hashed| (hash.item, hash.offset_bytes + hash.length_bytes);
        self.last = done.hashed.last().map(end).or(self.last);
        if self.bytes >= self.every_bytes || self.since.elapsed() >= CHECKPOINT_EVERY {
            self.save()?;
        }
        Ok(())
    }

    /// The drive first, then the spool that vouches for it, then the journal that tells people.
    ///
    /// # Errors
    /// See [`CopyError`].
    pub fn save(&mut self) -> Result<(), CopyError> {
        if self.next_slab == self.spool.next_slab() {
            return Ok(());
        }
        self.target.flush()?;
        self.spool.checkpoint(self.next_slab)?;
        if let Some((item, offset_bytes)) = self.last {
            let item = self.job.work.item(item);
            self.journal.checkpoint(&self.job.id, &item.source_path(), &item.drive_path(), offset_bytes)?;
        }
        (self.bytes, self.since) = (0, Instant::now());
        Ok(())
    }
}
