//! SQLite under the conformance suite; killed processes; two processes; the recorder.

use std::io::{BufRead, BufReader, Read};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use async_trait::async_trait;
use ledger::conformance::{Store, completed, key, running, start};
use ledger::{
    AbandonError, BeginError, Begun, BlobOutcome, BlobSet, PendingBlob, ReadError, Record, Recorder, Run,
    RunEnd, RunKey, RunNo, RunStart, RunSummary, Runs, SaveError, SqliteLedger, Totals,
};
use model::status::DriveStatus;
use sqlx::{Connection, SqliteConnection};
use tempfile::TempDir;
use tokio::sync::Semaphore;

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
impl Store for Fresh {
    async fn open(&self) -> Arc<dyn Runs> {
        Arc::new(SqliteLedger::open(&self.path()).await.unwrap())
    }
}

ledger::conformance_suite!(Fresh::new());

/// The child's part of the tests below: this program, started again with that variable.
const CHILD_LEDGER: &str = "LEDGER_TEST_CHILD";
/// The child stops here at the latest.
const CHILD_OUTCOMES_MAX: u64 = 200_000;

/// A process of its own that records and says so: "saved N" once outcome N is durable.
struct Recording {
    child: Child,
    lines: BufReader<std::process::ChildStdout>,
}

impl Recording {
    fn start(path: &Path) -> Recording {
        let mut child = Command::new(std::env::current_exe().unwrap())
            .args(["--exact", "the_child_records_until_it_is_killed", "--nocapture"])
            .env(CHILD_LEDGER, path)
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let lines = BufReader::new(child.stdout.take().unwrap());
        Recording { child, lines }
    }

    /// What was said next, if the child still lives.
    fn saved(&mut self) -> Option<u64> {
        loop {
            let mut line = String::new();
            if self.lines.read_line(&mut line).unwrap() == 0 {
                return None;
            }
            // A line cut off by the kill is no promise.
            let whole = line.strip_suffix('\n');
            let number = whole.and_then(|line| line.split_once("saved ")).map(|(_, number)| number.parse());
            if let Some(Ok(number)) = number {
                return Some(number);
            }
        }
    }

    /// Kills it, and gives what it had said until then.
    fn kill(mut self) -> Vec<u64> {
        self.child.kill().unwrap();
        let mut saved = Vec::new();
        saved.extend(std::iter::from_fn(|| self.saved()));
        self.lines.read_to_end(&mut Vec::new()).unwrap();
        self.child.wait().unwrap();
        saved
    }
}

#[tokio::test]
async fn the_child_records_until_it_is_killed() {
    let Some(path) = std::env::var_os(CHILD_LEDGER) else { return };
    let ledger: Arc<dyn Runs> = Arc::new(SqliteLedger::open(Path::new(&path)).await.unwrap());
    let run = running(&*ledger, &key(1), &start(1)).await;
    let first = ledger.outcomes_present(run.no).await.unwrap().iter().last().map_or(0, |last| last + 1);
    let recorder = Recorder::start(ledger, run);
    let savers: Vec<_> = (0..8u64)
        .map(|saver| {
            let recorder = recorder.clone();
            tokio::spawn(async move {
                for index in (first + saver..CHILD_OUTCOMES_MAX).step_by(8) {
                    recorder.note(landed(index, 0)).await.unwrap();
                    recorder.note(landed(CHILD_OUTCOMES_MAX + index, 0)).await.unwrap();
                    let outcome = completed(index);
                    recorder.save(vec![Record::Outcome { blob_index: index, outcome }]).await.unwrap();
                    println!("saved {index}");
                }
            })
        })
        .collect();
    for saver in savers {
        saver.await.unwrap();
    }
}

fn landed(blob_index: u64, chunk_index: u32) -> Record {
    Record::ChunkLanded { blob_index, target_n: 1, chunk_index, crc64: blob_index }
}

/// Killed after so many promises, again and again on one ledger: every promise is kept.
#[tokio::test]
async fn whatever_was_acknowledged_is_there_after_a_kill() {
    let store = Fresh::new();
    let mut promised: BlobSet = BlobSet::new();
    for kill_after in [1, 2, 3, 10, 57, 200, 411, 900] {
        let mut child = Recording::start(&store.path());
        for _ in 0..kill_after {
            promised.insert(child.saved().expect("it records until it is killed"));
        }
        for index in child.kill() {
            promised.insert(index);
        }
        assert_clean(&store.path()).await;
        let ledger = store.open().await;
        let run = running(&*ledger, &key(1), &start(9)).await;
        assert!(run.resumed && run.run_id == start(1).run_id);
        let present = ledger.outcomes_present(run.no).await.unwrap();
        for index in promised.iter() {
            assert!(present.contains(index), "outcome {index} was promised");
        }
        for (index, outcome) in ledger.outcomes(run.no, 0, u32::MAX).await.unwrap() {
            assert_eq!(outcome, completed(index));
        }
        for blob in ledger.pending(run.no).await.unwrap() {
            assert!(!present.contains(blob.blob_index), "blob {} has ended", blob.blob_index);
        }
    }
    assert!(promised.len() > 1_500);
}

async fn assert_clean(path: &Path) {
    let url = format!("sqlite://{}", path.display());
    let mut connection = SqliteConnection::connect(&url).await.unwrap();
    let verdict: String =
        sqlx::query_scalar("PRAGMA integrity_check").fetch_one(&mut connection).await.unwrap();
    assert_eq!(verdict, "ok");
    let broken = sqlx::query("PRAGMA foreign_key_check").fetch_all(&mut connection).await.unwrap();
    assert!(broken.is_empty());
}

#[tokio::test]
async fn another_process_cannot_run_the_same_drive_until_the_first_is_gone() {
    let store = Fresh::new();
    let mut child = Recording::start(&store.path());
    child.saved().expect("it has begun");
    let ledger = store.open().await;
    let refused = ledger.begin(&key(1), &start(2)).await.expect_err("the child has it");
    let BeginError::Held { holder, .. } = &refused else { panic!("{refused:?}") };
    assert_eq!(*holder, format!("process {}", child.child.id()));
    assert_eq!(refused.class(), model::Class::FailDrive);
    let another_drive = running(&*ledger, &key(2), &start(2)).await;
    ledger.record(&another_drive, &[landed(1, 0)]).await.unwrap();
    child.kill();
    assert!(running(&*ledger, &key(1), &start(3)).await.resumed);
}

/// SQLite, with a gate before each transaction.
struct Gated {
    inner: SqliteLedger,
    gate: Semaphore,
    transactions: AtomicUsize,
}

impl Gated {
    async fn open(store: &Fresh) -> Arc<Gated> {
        let inner = SqliteLedger::open(&store.path()).await.unwrap();
        Arc::new(Gated { inner, gate: Semaphore::new(0), transactions: AtomicUsize::new(0) })
    }
}

#[async_trait]
impl Runs for Gated {
    async fn record(&self, run: &Run, records: &[Record]) -> Result<(), SaveError> {
        self.gate.acquire().await.unwrap().forget();
        self.transactions.fetch_add(1, Ordering::SeqCst);
        self.inner.record(run, records).await
    }

    async fn begin(&self, key: &RunKey, start: &RunStart) -> Result<Begun, BeginError> {
        self.inner.begin(key, start).await
    }

    async fn set_server_started(&self, run: &Run, unix_s: i64) -> Result<i64, SaveError> {
        self.inner.set_server_started(run, unix_s).await
    }

    async fn finish(&self, run: &Run, end: &RunEnd) -> Result<(), SaveError> {
        self.inner.finish(run, end).await
    }

    async fn abandon(&self, run: RunNo) -> Result<(), AbandonError> {
        self.inner.abandon(run).await
    }

    async fn outcomes_present(&self, run: RunNo) -> Result<BlobSet, ReadError> {
        self.inner.outcomes_present(run).await
    }

    async fn pending(&self, run: RunNo) -> Result<Vec<PendingBlob>, ReadError> {
        self.inner.pending(run).await
    }

    async fn outcomes(
        &self,
        run: RunNo,
        from: u64,
        limit: u32,
    ) -> Result<Vec<(u64, BlobOutcome)>, ReadError> {
        self.inner.outcomes(run, from, limit).await
    }

    async fn totals(&self, run: RunNo) -> Result<Totals, ReadError> {
        self.inner.totals(run).await
    }

    async fn runs(&self, limit: u32) -> Result<Vec<RunSummary>, ReadError> {
        self.inner.runs(limit).await
    }
}

fn outcome(blob_index: u64) -> Record {
    Record::Outcome { blob_index, outcome: completed(blob_index) }
}

#[tokio::test]
async fn whoever_saves_while_a_transaction_is_under_way_shares_the_next() {
    let store = Fresh::new();
    let ledger = Gated::open(&store).await;
    let run = running(&*ledger, &key(1), &start(1)).await;
    let number = run.no;
    let recorder = Recorder::start(ledger.clone(), run);
    // On this single-threaded runtime a spawned task runs when we wait: first one, then the rest.
    let save = |index| {
        let recorder = recorder.clone();
        tokio::spawn(async move { recorder.save(vec![outcome(index)]).await })
    };
    let first = save(0);
    for _ in 0..10 {
        tokio::task::yield_now().await;
    }
    let others: Vec<_> = (1..100).map(save).collect();
    for _ in 0..10 {
        tokio::task::yield_now().await;
    }
    assert!(
        !first.is_finished() && others.iter().all(|other| !other.is_finished()),
        "nothing is durable yet"
    );
    ledger.gate.add_permits(2);
    first.await.unwrap().unwrap();
    for other in others {
        other.await.unwrap().unwrap();
    }
    assert_eq!(ledger.transactions.load(Ordering::SeqCst), 2);
    assert_eq!(ledger.outcomes_present(number).await.unwrap().len(), 100);
}

#[tokio::test]
async fn a_flush_waits_for_notes() {
    let store = Fresh::new();
    let ledger = store.open().await;
    let run = running(&*ledger, &key(1), &start(1)).await;
    let number = run.no;
    let recorder = Recorder::start(Arc::clone(&ledger), run);
    for chunk in 0..100 {
        recorder.note(landed(1, chunk)).await.unwrap();
    }
    recorder.flush().await.unwrap();
    assert_eq!(ledger.pending(number).await.unwrap()[0].landed.len(), 100);
}

#[tokio::test]
async fn what_was_noted_is_saved_when_the_recorder_is_dropped_and_the_drive_let_go() {
    let store = Fresh::new();
    let ledger = store.open().await;
    let recorder = Recorder::start(Arc::clone(&ledger), running(&*ledger, &key(1), &start(1)).await);
    recorder.note(landed(1, 4)).await.unwrap();
    drop(recorder);
    let run = loop {
        match ledger.begin(&key(1), &start(2)).await {
            Ok(Begun::Running(run)) => break run,
            Ok(Begun::Finished(summary)) => panic!("run {} is not finished", summary.no),
            Err(BeginError::Held { .. }) => tokio::task::yield_now().await,
            Err(error) => panic!("{error}"),
        }
    };
    assert_eq!(ledger.pending(run.no).await.unwrap()[0].landed, [(4, 1)]);
}

#[tokio::test]
async fn after_a_fault_every_call_says_why() {
    let store = Fresh::new();
    let ledger = store.open().await;
    let run = running(&*ledger, &key(1), &start(1)).await;
    let recorder = Recorder::start(Arc::clone(&ledger), run.clone());
    recorder.save(vec![outcome(1)]).await.unwrap();
    let end = RunEnd { status: DriveStatus::Completed, summary_json: "{}".to_owned(), finished_unix_ms: 1 };
    ledger.finish(&run, &end).await.unwrap();
    for _ in 0..3 {
        let error = recorder.save(vec![outcome(2)]).await.unwrap_err();
        assert!(matches!(error, SaveError::Over { .. }), "{error}");
    }
    assert!(matches!(recorder.note(landed(3, 0)).await.unwrap_err(), SaveError::Over { .. }));
    assert!(recorder.flush().await.is_err());
}
