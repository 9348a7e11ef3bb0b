//! Why the ledger could not: one type an operation, one cause below them.

use std::error::Error;
use std::fmt;
use std::sync::Arc;

use model::{Class, DriveId};

use crate::run::RunNo;

/// What the store did not do. Display says what it means; the source is what the store said.
#[derive(Debug, Clone, thiserror::Error)]
#[error("{kind}")]
pub struct Fault {
    /// What it means.
    pub kind: FaultKind,
    /// What was said.
    #[source]
    pub source: Arc<dyn Error + Send + Sync>,
}

/// What a fault of the store means.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum FaultKind {
    /// No room.
    #[error("the disk is full")]
    Full,
    /// The file is not a database, or its pages contradict each other.
    #[error("the database is damaged")]
    Damaged,
    /// Another process writes, and did not stop in time.
    #[error("the database is locked by another process")]
    Locked,
    /// The file or its directory may not be written.
    #[error("the database cannot be written")]
    ReadOnly,
    /// The operating system refused.
    #[error("the database's file cannot be used")]
    Io,
    /// Written by a newer version of this program, or a migration was changed afterwards.
    #[error("the database has tables that this version does not know")]
    Schema,
    /// A value that this version does not know, or cannot be.
    #[error("the database holds a value that this version does not know")]
    Value,
    /// The server does not answer, or the connection broke.
    #[error("the database's server cannot be reached")]
    Unreachable,
    /// Login, TLS or a permission.
    #[error("the database's server does not let us in")]
    Denied,
    /// Transactions got in each other's way; the same one may succeed in a moment.
    #[error("the database had to undo the transaction for another's sake")]
    Contended,
    /// The server is set up so that a ledger on it would not keep its promises.
    #[error("the database's server is not set up as a ledger needs it")]
    Unsuitable,
    /// Anything else: a mistake of ours.
    #[error("the database refused")]
    Other,
}

impl FaultKind {
    /// Whatever it is, going on without a ledger would do harm.
    pub fn class(self) -> Class {
        match self {
            FaultKind::Full
            | FaultKind::Damaged
            | FaultKind::Locked
            | FaultKind::ReadOnly
            | FaultKind::Io
            | FaultKind::Schema
            | FaultKind::Value
            | FaultKind::Unreachable
            | FaultKind::Denied
            | FaultKind::Contended
            | FaultKind::Unsuitable
            | FaultKind::Other => Class::StopStation,
        }
    }
}

/// The ledger cannot be opened.
#[derive(Debug, Clone, thiserror::Error)]
#[error("opening the ledger {place}")]
pub struct OpenError {
    /// Which: a path, or a database and its server. Never with a password.
    pub place: String,
    /// Why.
    #[source]
    pub fault: Fault,
}

impl OpenError {
    /// See [`FaultKind::class`].
    pub fn class(&self) -> Class {
        self.fault.kind.class()
    }
}

/// A run cannot begin.
#[derive(Debug, Clone, thiserror::Error)]
pub enum BeginError {
    /// Two must not run a drive at once.
    #[error("drive {drive_id} is being run already, by {holder}")]
    Held {
        /// Which drive.
        drive_id: DriveId,
        /// Who has it, as far as it is known.
        holder: String,
    },
    /// The store failed.
    #[error("beginning a run of drive {drive_id}")]
    Fault {
        /// Which drive.
        drive_id: DriveId,
        /// Why.
        #[source]
        fault: Fault,
    },
}

impl BeginError {
    /// A drive that another run has is left alone; a fault stops the station.
    pub fn class(&self) -> Class {
        match self {
            BeginError::Held { .. } => Class::FailDrive,
            BeginError::Fault { fault, .. } => fault.kind.class(),
        }
    }
}

/// Nothing was saved.
#[derive(Debug, Clone, thiserror::Error)]
pub enum SaveError {
    /// The run is finished or abandoned.
    #[error("run {run} is over and takes no more records")]
    Over {
        /// Which run.
        run: RunNo,
    },
    /// The store failed.
    #[error("saving to run {run}")]
    Fault {
        /// Which run.
        run: RunNo,
        /// Why.
        #[source]
        fault: Fault,
    },
    /// The recorder's task is gone, with the runtime that it lived on.
    #[error("the recorder of run {run} has stopped")]
    Stopped {
        /// Which run.
        run: RunNo,
    },
    /// The lease on the drive has ended: another station may be running it already.
    #[error("the drive of run {run} is no longer ours: its lease ended before it could be renewed")]
    Lost {
        /// Which run.
        run: RunNo,
    },
}

impl SaveError {
    /// Without saving, nothing may go on; a lost lease concerns its drive alone.
    pub fn class(&self) -> Class {
        match self {
            SaveError::Lost { .. } => Class::FailDrive,
            SaveError::Over { .. } | SaveError::Stopped { .. } => Class::StopStation,
            SaveError::Fault { fault, .. } => fault.kind.class(),
        }
    }
}

/// A run cannot be set aside.
#[derive(Debug, Clone, thiserror::Error)]
pub enum AbandonError {
    /// It is going on.
    #[error("run {run} is going on, in {holder}")]
    Held {
        /// Which run.
        run: RunNo,
        /// Who has it, as far as it is known.
        holder: String,
    },
    /// There is none.
    #[error("there is no run {run}")]
    Unknown {
        /// The number.
        run: RunNo,
    },
    /// The store failed.
    #[error("setting run {run} aside")]
    Fault {
        /// Which run.
        run: RunNo,
        /// Why.
        #[source]
        fault: Fault,
    },
}

impl AbandonError {
    /// Nothing is harmed by a run that stays; a fault stops the station.
    pub fn class(&self) -> Class {
        match self {
            AbandonError::Held { .. } | AbandonError::Unknown { .. } => Class::FailDrive,
            AbandonError::Fault { fault, .. } => fault.kind.class(),
        }
    }
}

/// The ledger cannot be read.
#[derive(Debug, Clone, thiserror::Error)]
#[error("reading the {what} of {}", Which(*.run))]
pub struct ReadError {
    /// Of which run; none for all of them.
    pub run: Option<RunNo>,
    /// What was being read.
    pub what: &'static str,
    /// Why.
    #[source]
    pub fault: Fault,
}

impl ReadError {
    /// See [`FaultKind::class`].
    pub fn class(&self) -> Class {
        self.fault.kind.class()
    }
}

struct Which(Option<RunNo>);

impl fmt::Display for Which {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            Some(run) => write!(f, "run {run}"),
            None => f.write_str("all runs"),
        }
    }
}
