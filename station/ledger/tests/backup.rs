//! Backups taken while a run records, restored, and gone on with: as deploy/ledger.md says.

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use ledger::cluster::Cluster;
use ledger::conformance::{completed, key, running, start};
use ledger::{BeginError, Begun, PostgresLedger, Record, Recorder, Run, Runs, SqliteLedger};
use sqlx::{AssertSqlSafe, Connection, SqliteConnection};
use tempfile::TempDir;
use tokio::task::JoinHandle;

/// Backed up after so many outcomes.
const OUTCOMES_MIN: u64 = 500;
/// No state takes longer to come about, however busy the machine.
const PATIENCE: Duration = Duration::from_secs(60);

/// A run that records one blob after the other until it is told to stop.
struct Writing {
    saved: Arc<AtomicU64>,
    stop: Arc<AtomicBool>,
    task: JoinHandle<()>,
}

impl Writing {
    /// Starts it, and waits until there is something to back up.
    async fn start(ledger: Arc<dyn Runs>) -> Writing {
        let run = running(&*ledger, &key(1), &start(1)).await;
        ledger.set_server_started(&run, 1_234).await.unwrap();
        let (saved, stop) = (Arc::new(AtomicU64::new(0)), Arc::new(AtomicBool::new(false)));
        let recorder = Recorder::start(ledger, run);
        let task = tokio::spawn(write(recorder, Arc::clone(&saved), Arc::clone(&stop)));
        let writing = Writing { saved, stop, task };
        let deadline = Instant::now() + PATIENCE;
        while writing.saved() < OUTCOMES_MIN {
            assert!(Instant::now() < deadline, "{} saved", writing.saved());
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
        writing
    }

    /// So many outcomes were acknowledged.
    fn saved(&self) -> u64 {
        self.saved.load(Ordering::SeqCst)
    }

    async fn stop(self) -> u64 {
        self.stop.store(true, Ordering::SeqCst);
        self.task.await.unwrap();
        self.saved.load(Ordering::SeqCst)
    }
}

async fn write(recorder: Recorder, saved: Arc<AtomicU64>, stop: Arc<AtomicBool>) {
    let landed = |blob_index| Record::ChunkLanded { blob_index, target_n: 1, chunk_index: 0, crc64: 7 };
    for index in 0.. {
        if stop.load(Ordering::SeqCst) {
            break;
        }
        recorder.note(landed(index + 1)).await.unwrap();
        recorder.save(vec![Record::Outcome { blob_index: index, outcome: completed(index) }]).await.unwrap();
        saved.store(index + 1, Ordering::SeqCst);
    }
    recorder.close().await;
}

/// What was acknowledged before the backup began is in it, nothing is in it that was not written
/// before it ended, and the run goes on from there.
async fn assert_restored(ledger: &dyn Runs, acknowledged_before: u64, written_in_all: u64) {
    let run = begun(ledger).await;
    assert!(run.resumed && run.run_id == start(1).run_id && run.server_started_unix_s == Some(1_234));
    let outcomes = ledger.outcomes(run.no, 0, u32::MAX).await.unwrap();
    let count = outcomes.len() as u64;
    assert!((acknowledged_before..=written_in_all).contains(&count), "{acknowledged_before} {count}");
    for (expected, (index, outcome)) in (0..).zip(&outcomes) {
        assert_eq!((*index, outcome), (expected, &completed(expected)));
    }
    assert_eq!(ledger.outcomes_present(run.no).await.unwrap().len(), count);
    assert_eq!(ledger.totals(run.no).await.unwrap().blobs(), count);
    let pending = ledger.pending(run.no).await.unwrap();
    assert!(pending.iter().all(|blob| blob.blob_index >= count), "{pending:?}");
    ledger.record(&run, &[Record::Outcome { blob_index: count, outcome: completed(count) }]).await.unwrap();
    assert_eq!(ledger.runs(10).await.unwrap().len(), 1);
}

/// The lease that was in the backup ends like any other.
async fn begun(ledger: &dyn Runs) -> Run {
    let deadline = Instant::now() + PATIENCE;
    loop {
        match ledger.begin(&key(1), &start(2)).await {
            Ok(Begun::Running(run)) => return run,
            Err(BeginError::Held { .. }) if Instant::now() < deadline => {
                tokio::time::sleep(Duration::from_millis(100)).await;
            }
            other => panic!("{other:?}"),
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_sqlite_ledger_is_backed_up_while_it_is_written() {
    let folder = TempDir::new().unwrap();
    let (path, copy) = (folder.path().join("ledger.sqlite"), folder.path().join("backup.sqlite"));
    let writing = Writing::start(Arc::new(SqliteLedger::open(&path).await.unwrap())).await;
    let before = writing.saved();
    vacuum_into(&path, &copy).await;
    let in_all = writing.stop().await;
    assert_restored(&SqliteLedger::open(&copy).await.unwrap(), before, in_all).await;
}

/// What the operator's `sqlite3 ledger.sqlite "VACUUM INTO 'backup.sqlite'"` does.
async fn vacuum_into(path: &Path, copy: &Path) {
    let mut connection = SqliteConnection::connect(&format!("sqlite://{}", path.display())).await.unwrap();
    let vacuum = AssertSqlSafe(format!("VACUUM INTO '{}'", copy.display()));
    sqlx::query(vacuum).execute(&mut connection).await.unwrap();
    let verdict: String =
        sqlx::query_scalar("PRAGMA integrity_check").fetch_one(&mut connection).await.unwrap();
    assert_eq!(verdict, "ok");
}

async fn shared_ledger(test: &str) -> Option<(&'static Cluster, String, Arc<dyn Runs>)> {
    match Cluster::shared() {
        Ok(cluster) => {
            let url = cluster.database().await;
            let ledger = open(cluster, &url).await;
            Some((cluster, url, Arc::new(ledger)))
        }
        Err(why) => {
            println!("skipped: {test}: {why}");
            None
        }
    }
}

async fn open(cluster: &Cluster, url: &str) -> PostgresLedger {
    PostgresLedger::open(&cluster.options(url).lease(Duration::from_secs(5))).await.unwrap()
}

fn name_of(url: &str) -> &str {
    url.split(['/', '?']).nth(3).unwrap()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_postgres_ledger_is_dumped_while_it_is_written() {
    let test = "a_postgres_ledger_is_dumped_while_it_is_written";
    let Some((cluster, url, ledger)) = shared_ledger(test).await else { return };
    let writing = Writing::start(ledger).await;
    let before = writing.saved();
    let dump = cluster.folder().join("ledger.dump");
    run(cluster.program("pg_dump").args(["--format=custom", "--dbname", name_of(&url), "--file"]).arg(&dump));
    let in_all = writing.stop().await;
    let restored = cluster.database().await;
    let mut restore = cluster.program("pg_restore");
    run(restore.args(["--exit-on-error", "--single-transaction", "--dbname", name_of(&restored)]).arg(&dump));
    assert_restored(&open(cluster, &restored).await, before, in_all).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_postgres_server_is_backed_up_while_it_is_written() {
    let test = "a_postgres_server_is_backed_up_while_it_is_written";
    let Some((cluster, url, ledger)) = shared_ledger(test).await else { return };
    let writing = Writing::start(ledger).await;
    let before = writing.saved();
    let restored = tokio::task::spawn_blocking(|| cluster.backed_up()).await.unwrap().unwrap();
    let in_all = writing.stop().await;
    let ledger = open(&restored, &restored.url(name_of(&url))).await;
    assert_restored(&ledger, before, in_all).await;
}

fn run(command: &mut std::process::Command) {
    let ended = command.output().unwrap();
    assert!(ended.status.success(), "{command:?}: {}", String::from_utf8_lossy(&ended.stderr));
}
