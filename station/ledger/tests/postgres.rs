//! PostgreSQL under the conformance suite.

use std::sync::Arc;

use async_trait::async_trait;
use ledger::cluster::Cluster;
use ledger::conformance::Store;
use ledger::{PostgresLedger, Runs};

struct Fresh {
    cluster: &'static Cluster,
    url: String,
}

#[async_trait]
impl Store for Fresh {
    async fn open(&self) -> Arc<dyn Runs> {
        Arc::new(PostgresLedger::open(&self.cluster.options(&self.url)).await.unwrap())
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

ledger::conformance_suite!(|test| fresh(test));
