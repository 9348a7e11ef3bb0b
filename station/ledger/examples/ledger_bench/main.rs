//! What the ledger sustains, on both databases: records a second, and how long a list and a claim take.
//!
//! `cargo run --release -p ledger --example ledger_bench -- [--jobs N] [--records N]
//! [--postgres-url-file FILE] [--only sqlite|postgres]`
//!
//! SQLite's file goes to the current directory's file system, because `fsync` is part of the figure.
//! Without a URL, PostgreSQL is a server of its own that syncs, where servers put temporary files: see
//! `ledger::cluster`. The database that a URL names must be empty, and is left full.

mod jobs;
mod latency;
mod records;

use std::error::Error;
use std::path::PathBuf;
use std::sync::Arc;

use ledger::cluster::{Cluster, Sync};
use ledger::{Ledger, PostgresLedger, PostgresOptions, SqliteLedger};

/// What to measure, small enough for a try.
struct Arguments {
    jobs: u64,
    records: u64,
    postgres_url_file: Option<PathBuf>,
    only: Option<String>,
}

impl Arguments {
    fn parse() -> Result<Arguments, Box<dyn Error>> {
        let mut parsed = Arguments { jobs: 10_000, records: 200_000, postgres_url_file: None, only: None };
        let mut arguments = std::env::args().skip(1);
        while let Some(name) = arguments.next() {
            let value = arguments.next().ok_or_else(|| format!("{name} needs a value"))?;
            match name.as_str() {
                "--jobs" => parsed.jobs = value.parse()?,
                "--records" => parsed.records = value.parse()?,
                "--postgres-url-file" => parsed.postgres_url_file = Some(value.into()),
                "--only" => parsed.only = Some(value),
                _ => return Err(format!("{name} is unknown").into()),
            }
        }
        Ok(parsed)
    }

    fn wants(&self, database: &str) -> bool {
        self.only.as_deref().is_none_or(|only| only == database)
    }
}

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    let arguments = Arguments::parse()?;
    if arguments.wants("sqlite") {
        let folder = std::env::current_dir()?.join("ledger_bench.tmp");
        std::fs::create_dir_all(&folder)?;
        let path = folder.join("ledger.sqlite3");
        let measured = match SqliteLedger::open(&path).await {
            Ok(ledger) => measure("SQLite", Arc::new(ledger), &arguments).await,
            Err(error) => Err(error.into()),
        };
        let bytes = std::fs::metadata(&path).map_or(0, |file| file.len());
        println!("{:>12.0} MiB the file", bytes as f64 / f64::from(1 << 20));
        std::fs::remove_dir_all(&folder)?;
        measured?;
    }
    if arguments.wants("postgres") {
        // Lives as long as it is measured.
        let (options, _cluster) = postgres(&arguments).await?;
        let ledger = PostgresLedger::open(&options).await?;
        measure("PostgreSQL", Arc::new(ledger), &arguments).await?;
    }
    Ok(())
}

async fn postgres(arguments: &Arguments) -> Result<(PostgresOptions, Option<Cluster>), Box<dyn Error>> {
    if let Some(file) = &arguments.postgres_url_file {
        return Ok((PostgresOptions::parse(&std::fs::read_to_string(file)?)?, None));
    }
    let cluster = Cluster::start(Sync::On)?;
    let options = cluster.options(&cluster.database().await);
    Ok((options, Some(cluster)))
}

async fn measure(
    database: &str,
    ledger: Arc<dyn Ledger>,
    arguments: &Arguments,
) -> Result<(), Box<dyn Error>> {
    println!("{database}: {} jobs, {} records", arguments.jobs, arguments.records);
    jobs::fill(&*ledger, arguments.jobs).await?;
    records::measure(Arc::clone(&ledger), arguments.records).await?;
    // Last, so that lists and claims meet a ledger with everything in it.
    jobs::measure(&*ledger, arguments.jobs).await
}
