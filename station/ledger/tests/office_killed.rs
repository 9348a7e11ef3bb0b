//! A station is killed while it works on a drive; another one goes on, and nothing that was said is lost.

use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::{Child, ChildStdout, Command, Stdio};
use std::sync::Arc;
use std::time::{Duration, Instant};

use custody::Verifier;
use ledger::cluster::Cluster;
use ledger::conformance::office::{draft, insertion, job_key, job_row};
use ledger::{
    ApplyError, Change, Claim, EventDraft, JobWrite, Ledger, PAGE_ROWS_MAX, PostgresLedger, PostgresOptions,
    SqliteLedger,
};
use tempfile::TempDir;

/// The child's part: this program, started again with the ledger's place in that variable.
const CHILD_LEDGER: &str = "LEDGER_TEST_OFFICE_CHILD";
/// How long the child's claim outlives it; longer than a busy machine makes it wait between two renewals.
const LEASE: Duration = Duration::from_secs(4);
/// Longer than the lease by far.
const DEADLINE: Duration = Duration::from_secs(60);
/// The child stops here at the latest.
const CHILD_CHANGES_MAX: usize = 20_000;

async fn open(place: &str) -> Arc<dyn Ledger> {
    if place.starts_with("postgres://") {
        let options = PostgresOptions::parse(place).unwrap().scratch();
        Arc::new(PostgresLedger::open(&options).await.unwrap())
    } else {
        Arc::new(SqliteLedger::open(Path::new(place)).await.unwrap())
    }
}

/// One step of a drive, under a claim: job, custody and event.
fn progress(claim: Claim, version: i64) -> Change {
    let body = serde_json::json!({ "version": version });
    let (kind, at_unix_ms) = ("drive.progress".to_owned(), 1);
    Change {
        claim: Some(claim),
        job: Some(JobWrite::Update { row: job_row("One", &[1]), expected_version: version }),
        chain: "north".to_owned(),
        custody: vec![draft("drive.progress", Some(&job_key("One")))],
        events: vec![EventDraft { at_unix_ms, kind, job: None, drive: None, bay: None, body }],
        ..Change::default()
    }
}

#[tokio::test]
async fn the_child_works_until_it_is_killed() {
    let Ok(place) = std::env::var(CHILD_LEDGER) else { return };
    let ledger = open(&place).await;
    let claim = ledger.claim_drive("north", LEASE).await.unwrap().expect("nobody else is there");
    println!("claimed {}", claim.fence);
    let mut version = ledger.job(&job_key("One")).await.unwrap().unwrap().version;
    for _ in 0..CHILD_CHANGES_MAX {
        version = ledger.apply(&progress(claim.clone(), version)).await.unwrap().version.unwrap();
        ledger.renew(&claim, LEASE).await.unwrap();
        println!("saved {version}");
    }
}

/// A station of its own.
struct Station {
    child: Child,
    lines: BufReader<ChildStdout>,
}

impl Station {
    fn start(place: &str) -> Station {
        let mut child = Command::new(std::env::current_exe().unwrap())
            .args(["--exact", "the_child_works_until_it_is_killed", "--nocapture"])
            .env(CHILD_LEDGER, place)
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let lines = BufReader::new(child.stdout.take().unwrap());
        Station { child, lines }
    }

    /// The number after that word in the next whole line that has it; none when the station is gone.
    fn said(&mut self, word: &str) -> Option<i64> {
        loop {
            let mut line = String::new();
            if self.lines.read_line(&mut line).unwrap() == 0 {
                return None;
            }
            let whole = line.strip_suffix('\n');
            if let Some((_, number)) = whole.and_then(|line| line.split_once(word)) {
                return Some(number.trim().parse().unwrap());
            }
        }
    }

    /// Kills it, and gives the last number that it had said until then.
    fn kill(mut self) -> Option<i64> {
        self.child.kill().unwrap();
        let last = std::iter::from_fn(|| self.said("saved ")).last();
        self.child.wait().unwrap();
        last
    }
}

/// Whatever was acknowledged is there, and job, custody and events are of one and the same change.
async fn assert_whole(ledger: &dyn Ledger, promised: i64) {
    let version = ledger.job(&job_key("One")).await.unwrap().unwrap().version;
    assert!(version >= promised, "version {promised} was promised, {version} is there");
    let head = ledger.heads().await.unwrap().remove(0);
    let last = ledger.event_span().await.unwrap().last;
    assert_eq!((head.no.cast_signed(), last), (version - 1, version - 1));
    let mut verifier = Verifier::new("north", Vec::new()).unwrap();
    while verifier.head().no < head.no {
        for row in ledger.custody_rows("north", verifier.head().no, PAGE_ROWS_MAX).await.unwrap() {
            verifier.push(&row).unwrap();
        }
    }
    verifier.finish(&head).unwrap();
}

async fn claimed_at_last(ledger: &dyn Ledger, station: &str) -> Claim {
    let until = Instant::now() + DEADLINE;
    loop {
        if let Some(claim) = ledger.claim_drive(station, DEADLINE).await.unwrap() {
            return claim;
        }
        assert!(Instant::now() < until, "the lease never ends");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

async fn another_station_goes_on(place: &str) {
    let ledger = open(place).await;
    ledger.apply(&insertion(&job_row("One", &[1]))).await.unwrap();
    for kill_after in [1, 5, 40] {
        let mut station = Station::start(place);
        let fence = station.said("claimed ").expect("it claims the drive");
        let mut promised = 0;
        for _ in 0..kill_after {
            promised = station.said("saved ").expect("it works until it is killed");
        }
        promised = station.kill().unwrap_or(promised);
        let claim = claimed_at_last(&*ledger, "south").await;
        assert!(claim.fence > fence);
        assert_whole(&*ledger, promised).await;
        let version = ledger.job(&job_key("One")).await.unwrap().unwrap().version;
        let stale = Claim { fence, ..claim.clone() };
        let refused = ledger.apply(&progress(stale, version)).await.unwrap_err();
        assert!(matches!(refused, ApplyError::ClaimLost { .. }), "{refused:?}");
        ledger.apply(&progress(claim.clone(), version)).await.unwrap();
        ledger.release(&claim).await.unwrap();
        assert_whole(&*ledger, version + 1).await;
    }
}

#[tokio::test]
async fn in_sqlite_a_killed_station_loses_nothing_and_another_goes_on() {
    let directory = TempDir::new().unwrap();
    another_station_goes_on(directory.path().join("ledger.sqlite3").to_str().unwrap()).await;
}

#[tokio::test]
async fn in_postgresql_a_killed_station_loses_nothing_and_another_goes_on() {
    match Cluster::shared() {
        Ok(cluster) => another_station_goes_on(&cluster.database().await).await,
        Err(why) => {
            println!("skipped: in_postgresql_a_killed_station_loses_nothing_and_another_goes_on: {why}");
        }
    }
}
