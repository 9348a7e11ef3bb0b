//! From what SQLite, PostgreSQL, sqlx and the operating system say to what it means.

use std::error::Error;
use std::io;
use std::sync::Arc;

use sqlx::migrate::MigrateError;
use sqlx::postgres::PgDatabaseError;

use crate::error::{Fault, FaultKind};

impl Fault {
    pub(crate) fn of(error: sqlx::Error) -> Fault {
        Fault { kind: kind_of(&error), source: Arc::new(error) }
    }

    pub(crate) fn io(error: io::Error) -> Fault {
        Fault { kind: kind_of_io(&error), source: Arc::new(error) }
    }

    pub(crate) fn migration(error: MigrateError) -> Fault {
        let kind = match &error {
            MigrateError::Execute(error) | MigrateError::ExecuteMigration(error, _) => kind_of(error),
            _ => FaultKind::Schema,
        };
        Fault { kind, source: Arc::new(error) }
    }

    /// A column holds what this version cannot have written.
    pub(crate) fn value(column: &'static str) -> Fault {
        Fault { kind: FaultKind::Value, source: Arc::new(UnknownValue { column }) }
    }

    /// What we found out ourselves.
    pub(crate) fn own(kind: FaultKind, source: impl Error + Send + Sync + 'static) -> Fault {
        Fault { kind, source: Arc::new(source) }
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
        // Of a server it is the way there that failed; SQLite tells its own trouble by codes.
        sqlx::Error::Io(error) if error.kind() == io::ErrorKind::PermissionDenied => FaultKind::Denied,
        sqlx::Error::Io(_) => FaultKind::Unreachable,
        sqlx::Error::PoolTimedOut | sqlx::Error::PoolClosed | sqlx::Error::WorkerCrashed => {
            FaultKind::Unreachable
        }
        sqlx::Error::Tls(_) => FaultKind::Denied,
        sqlx::Error::Database(error) => match error.try_downcast_ref::<PgDatabaseError>() {
            Some(error) => kind_of_sqlstate(error.code()),
            None => kind_of_code(error.code().and_then(|code| code.parse().ok())),
        },
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

/// PostgreSQL's SQLSTATEs; the first two letters are the class, see its manual's appendix A.
fn kind_of_sqlstate(state: &str) -> FaultKind {
    match state {
        "53100" => FaultKind::Full,
        // Too many connections, or the server starts or stops: it may take us in a moment.
        "53300" | "57P01" | "57P02" | "57P03" | "57P05" | "25P03" => FaultKind::Unreachable,
        "40001" | "40P01" => FaultKind::Contended,
        "55P03" | "57014" => FaultKind::Locked,
        "25006" => FaultKind::ReadOnly,
        "XX001" | "XX002" => FaultKind::Damaged,
        "42501" | "3D000" => FaultKind::Denied,
        "42P01" | "42703" | "42883" => FaultKind::Schema,
        "58030" => FaultKind::Io,
        _ => match state.get(..2) {
            Some("08") => FaultKind::Unreachable,
            Some("28") => FaultKind::Denied,
            Some("22") => FaultKind::Value,
            _ => FaultKind::Other,
        },
    }
}

fn kind_of_io(error: &io::Error) -> FaultKind {
    match error.kind() {
        io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => FaultKind::Full,
        io::ErrorKind::PermissionDenied | io::ErrorKind::ReadOnlyFilesystem => FaultKind::ReadOnly,
        _ => FaultKind::Io,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_server_says_has_its_meaning() {
        for (state, kind) in [
            ("53100", FaultKind::Full),
            ("25006", FaultKind::ReadOnly),
            ("08006", FaultKind::Unreachable),
            ("57P01", FaultKind::Unreachable),
            ("40001", FaultKind::Contended),
            ("40P01", FaultKind::Contended),
            ("55P03", FaultKind::Locked),
            ("28P01", FaultKind::Denied),
            ("XX001", FaultKind::Damaged),
            ("22021", FaultKind::Value),
            ("42601", FaultKind::Other),
            ("", FaultKind::Other),
        ] {
            assert_eq!(kind_of_sqlstate(state), kind, "{state}");
        }
    }

    #[test]
    fn a_connection_that_breaks_is_a_server_that_cannot_be_reached() {
        let broken = io::Error::new(io::ErrorKind::ConnectionReset, "reset");
        assert_eq!(kind_of(&sqlx::Error::Io(broken)), FaultKind::Unreachable);
        assert_eq!(kind_of(&sqlx::Error::PoolTimedOut), FaultKind::Unreachable);
    }
}
