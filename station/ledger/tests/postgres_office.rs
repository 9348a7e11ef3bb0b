//! PostgreSQL under the office's conformance suite.

use std::sync::Arc;

use async_trait::async_trait;
use ledger::cluster::Cluster;
use ledger::conformance::office::OfficeStore;
use ledger::{Ledger, PostgresLedger};
use sqlx::{Connection, PgConnection};

struct Fresh {
    cluster: &'static Cluster,
    url: String,
}

#[async_trait]
impl OfficeStore for Fresh {
    async fn open(&self) -> Arc<dyn Ledger> {
        Arc::new(PostgresLedger::open(&self.cluster.options(&self.url)).await.unwrap())
    }

    async fn tamper(&self, statement: &'static str) -> Result<(), String> {
        let mut connection = PgConnection::connect(&self.url).await.unwrap();
        let executed = sqlx::query(statement).execute(&mut connection).await;
        executed.map(drop).map_err(|error| error.to_string())
    }
}

async fn fresh(test: &str) -> Option<Fresh> {
    match Cluster::shared() {
        Ok(cluster) => Some(Fresh { cluster, url: cluster.database().await }),
        Err(why) => {
            println!("skipped: {test}: {why}");
            None
        }
    }
}

ledger::office_conformance_suite!(|test| fresh(test));
