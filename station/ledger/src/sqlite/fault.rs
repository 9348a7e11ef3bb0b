//! From what SQLite, sqlx and the operating system say to what it means.

use std::io;
use std::sync::Arc;

use sqlx::migrate::MigrateError;

use crate::error::{Fault, FaultKind};

impl Fault {
    pub(super) fn of(error: sqlx::Error) -> Fault {
        Fault { kind: kind_of(&error), source: Arc::new(error) }
    }

    pub(super) fn io(error: io::Error) -> Fault {
        Fault { kind: kind_of_io(&error), source: Arc::new(error) }
    }

    pub(super) fn migration(error: MigrateError) -> Fault {
        let kind = match &error {
            MigrateError::Execute(error) | MigrateError::ExecuteMigration(error, _) => kind_of(error),
            _ => FaultKind::Schema,
        };
        Fault { kind, source: Arc::new(error) }
    }

    /// A column holds what this version cannot have written.
    pub(super) fn value(column: &'static str) -> Fault {
        Fault { kind: FaultKind::Value, source: Arc::new(UnknownValue { column }) }
    }
}

/// Which column.
#[derive(Debug, thiserror::Error)]
#[error("column {column}")]
struct UnknownValue {
    column: &'static str,
}

fn kind_of(error: &sqlx::Error) -> FaultKind {
    match error {
        sqlx::Error::Io(error) => kind_of_io(error),
        sqlx::Error::Database(error) => kind_of_code(error.code().and_then(|code| code.parse().ok())),
        sqlx::Error::ColumnDecode { .. } | sqlx::Error::Decode(_) => FaultKind::Value,
        _ => FaultKind::Other,
    }
}

/// SQLite's result codes; the lowest byte is the kind, see sqlite.org/rescode.html.
fn kind_of_code(extended: Option<u32>) -> FaultKind {
    match extended.map(|code| code & 0xFF) {
        Some(5 | 6) => FaultKind::Locked,
        Some(3 | 8 | 23) => FaultKind::ReadOnly,
        Some(10 | 14) => FaultKind::Io,
        Some(11 | 26) => FaultKind::Damaged,
        Some(13) => FaultKind::Full,
        _ => FaultKind::Other,
    }
}

fn kind_of_io(error: &io::Error) -> FaultKind {
    match error.kind() {
        io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => FaultKind::Full,
        io::ErrorKind::PermissionDenied | io::ErrorKind::ReadOnlyFilesystem => FaultKind::ReadOnly,
        _ => FaultKind::Io,
    }
}
