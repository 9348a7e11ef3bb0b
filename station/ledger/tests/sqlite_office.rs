//! SQLite under the office's conformance suite.

use std::path::PathBuf;
use std::sync::Arc;

use async_trait::async_trait;
use ledger::conformance::office::OfficeStore;
use ledger::{Ledger, SqliteLedger};
use sqlx::{Connection, SqliteConnection};
use tempfile::TempDir;

struct Fresh(TempDir);

impl Fresh {
    fn new() -> Fresh {
        Fresh(TempDir::new().unwrap())
    }

    fn path(&self) -> PathBuf {
        self.0.path().join("ledger.sqlite3")
    }
}

#[async_trait]
impl OfficeStore for Fresh {
    async fn open(&self) -> Arc<dyn Ledger> {
        Arc::new(SqliteLedger::open(&self.path()).await.unwrap())
    }

    async fn tamper(&self, statement: &'static str) -> Result<(), String> {
        let url = format!("sqlite://{}", self.path().display());
        let mut connection = SqliteConnection::connect(&url).await.unwrap();
        let executed = sqlx::query(statement).execute(&mut connection).await;
        executed.map(drop).map_err(|error| error.to_string())
    }
}

ledger::office_conformance_suite!(Fresh::new());
