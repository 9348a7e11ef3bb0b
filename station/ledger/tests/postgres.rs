//! PostgreSQL under the conformance suite; stations that are killed, and that sleep too long.

use std::io::{BufRead, BufReader};
use std::process::{Child, ChildStdout, Command, Stdio};
use std::sync::Arc;
use std::time::{Duration, Instant};

use async_trait::async_trait;
use ledger::cluster::Cluster;
use ledger::conformance::{Store, completed, key, running, start};
use ledger::{BeginError, Begun, BlobSet, PostgresLedger, Record, Recorder, Run, Runs, SaveError};

struct Fresh {
    cluster: &'static Cluster,
    url: String,
}

impl Fresh {
    async fn ledger(&self, lease: Duration) -> PostgresLedger {
        PostgresLedger::open(&self.cluster.options(&self.url).lease(lease)).await.unwrap()
    }
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

/// The child's part of the tests below: this program, started again with that variable.
const CHILD_LEDGER: &str = "LEDGER_TEST_CHILD_URL";
/// The child stops here at the latest.
const CHILD_OUTCOMES_MAX: u64 = 200_000;
/// The child's lease: so long its drive stays taken when it is killed.
const CHILD_LEASE: Duration = Duration::from_secs(1);
/// No state takes longer to come about, however busy the machine.
const PATIENCE: Duration = Duration::from_secs(60);

/// A station of its own, which records and says so: "saved N" once outcome N is durable, "lost" when
/// it is told that it has no drive any more.
struct Recording {
    child: Child,
    lines: BufReader<ChildStdout>,
}

impl Recording {
    fn start(url: &str) -> Recording {
        let mut child = Command::new(std::env::current_exe().unwrap())
            .args(["--exact", "the_child_records_until_it_is_killed", "--nocapture"])
            .env(CHILD_LEDGER, url)
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let lines = BufReader::new(child.stdout.take().unwrap());
        Recording { child, lines }
    }

    /// What it said next, if it still lives. A line cut off by a kill is no promise.
    fn line(&mut self) -> Option<String> {
        let mut line = String::new();
        self.lines.read_line(&mut line).unwrap();
        line.strip_suffix('\n').map(str::to_owned)
    }

    /// The next outcome that it calls saved.
    fn saved(&mut self) -> Option<u64> {
        loop {
            let line = self.line()?;
            if let Some((_, number)) = line.split_once("saved ") {
                return Some(number.parse().unwrap());
            }
        }
    }

    fn signal(&self, name: &str) {
        let kill = format!("kill -{name} {}", self.child.id());
        assert!(Command::new("sh").args(["-c", &kill]).status().unwrap().success());
    }
}

impl Drop for Recording {
    fn drop(&mut self) {
        // It may have ended.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

#[tokio::test]
async fn the_child_records_until_it_is_killed() {
    let Ok(url) = std::env::var(CHILD_LEDGER) else { return };
    let options = ledger::PostgresOptions::parse(&url).unwrap().scratch().lease(CHILD_LEASE);
    let ledger: Arc<dyn Runs> = Arc::new(PostgresLedger::open(&options).await.unwrap());
    let run = running(&*ledger, &key(1), &start(1)).await;
    let first = ledger.outcomes_present(run.no).await.unwrap().iter().last().map_or(0, |last| last + 1);
    let recorder = Recorder::start(ledger, run);
    for index in first..CHILD_OUTCOMES_MAX {
        recorder.note(landed(index)).await.unwrap();
        let saved =
            recorder.save(vec![Record::Outcome { blob_index: index, outcome: completed(index) }]).await;
        match saved {
            Ok(()) => println!("saved {index}"),
            Err(SaveError::Lost { .. }) => return println!("lost"),
            Err(error) => panic!("{error:?}"),
        }
    }
}

fn landed(blob_index: u64) -> Record {
    Record::ChunkLanded { blob_index, target_n: 1, chunk_index: 0, crc64: blob_index }
}

/// The drive's run, once the lease of whoever had it has ended.
async fn begun_when_free(ledger: &dyn Runs) -> Run {
    let deadline = Instant::now() + PATIENCE;
    loop {
        match ledger.begin(&key(1), &start(9)).await {
            Ok(Begun::Running(run)) => return run,
            Err(BeginError::Held { .. }) if Instant::now() < deadline => {
                tokio::time::sleep(Duration::from_millis(50)).await;
            }
            other => panic!("{other:?}"),
        }
    }
}

/// Killed after so many promises, again and again on one ledger: every promise is kept, and
/// another station has the drive once the lease has ended.
#[tokio::test]
async fn whatever_was_acknowledged_is_there_after_a_kill() {
    let Some(store) = fresh("whatever_was_acknowledged_is_there_after_a_kill").await else { return };
    let ledger = store.ledger(Duration::from_secs(30)).await;
    let mut promised = BlobSet::new();
    for kill_after in [1, 7, 60, 300] {
        let mut child = Recording::start(&store.url);
        for _ in 0..kill_after {
            promised.insert(child.saved().expect("it records until it is killed"));
        }
        let refused = ledger.begin(&key(1), &start(2)).await.expect_err("the child has it");
        let holder = format!("process {}", child.child.id());
        assert!(refused.to_string().contains(&holder), "{refused}");
        child.child.kill().unwrap();
        promised = promised.iter().chain(std::iter::from_fn(|| child.saved())).collect();
        let run = begun_when_free(&ledger).await;
        assert!(run.resumed && run.run_id == start(1).run_id);
        let present = ledger.outcomes_present(run.no).await.unwrap();
        assert!(promised.iter().all(|index| present.contains(index)), "{promised:?} in {present:?}");
        for (index, outcome) in ledger.outcomes(run.no, 0, u32::MAX).await.unwrap() {
            assert_eq!(outcome, completed(index));
        }
        for blob in ledger.pending(run.no).await.unwrap() {
            assert!(!present.contains(blob.blob_index), "blob {} has ended", blob.blob_index);
        }
    }
}

/// Stopped as a machine that is suspended: it wakes up when another station has its drive.
#[tokio::test]
async fn a_station_that_sleeps_longer_than_its_lease_wakes_up_without_the_drive() {
    let Some(store) = fresh("a_station_that_sleeps_longer_than_its_lease_wakes_up_without_the_drive").await
    else {
        return;
    };
    let ledger = store.ledger(Duration::from_secs(30)).await;
    let mut child = Recording::start(&store.url);
    child.saved().expect("it records");
    child.signal("STOP");
    let run = begun_when_free(&ledger).await;
    let before = ledger.outcomes_present(run.no).await.unwrap();
    let next = before.iter().last().unwrap() + 1;
    ledger.record(&run, &[Record::Outcome { blob_index: next, outcome: completed(7_777) }]).await.unwrap();
    child.signal("CONT");
    let mut last = String::new();
    while let Some(line) = child.line() {
        if line.contains("saved ") || line == "lost" {
            last = line;
        }
    }
    assert_eq!(last, "lost");
    let after = ledger.outcomes(run.no, 0, u32::MAX).await.unwrap();
    assert_eq!(after.len() as u64, before.len() + 1, "it wrote nothing more");
    assert_eq!(after.last().unwrap(), &(next, completed(7_777)));
}

/// Ctrl-C goes to the terminal's whole group, and would end the shell before it has removed the folder.
#[test]
fn a_server_is_not_in_the_group_of_the_test_that_started_it() {
    let cluster = match Cluster::shared() {
        Ok(cluster) => cluster,
        Err(why) => {
            println!("skipped: a_server_is_not_in_the_group_of_the_test_that_started_it: {why}");
            return;
        }
    };
    let group = |pid: &str| {
        let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).unwrap();
        let (_, fields) = stat.rsplit_once(')').unwrap();
        fields.split_whitespace().nth(2).unwrap().to_owned()
    };
    let server = std::fs::read_to_string(cluster.folder().join("data/postmaster.pid")).unwrap();
    assert_ne!(group(server.lines().next().unwrap()), group("self"));
}
