//! A ledger that fails at one of its changes, before or after the commit; then the process is started again and
//! the request repeated. Wherever it fails, the end is the same.

use std::pin::Pin;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};

use async_trait::async_trait;
use jobs::{ChangeError, Changes, DeskError, Jobs, KeyError};
use ledger::{
    Applied, ApplyError, Change, DueTimer, Fault, FaultKind, JobFilter, JobPage, JobRow, OfficeError,
    PlacedDrive, StoredReply,
};
use model::DriveId;
use model::job::{CopyStatus, Happening, Job, JobKey, JobState, LogLevel, RunLogs, Update};
use model::status::DriveStatus;

use super::house::*;

type Deed = Pin<Box<dyn Future<Output = ()> + Send>>;

/// Passes everything on, but for one change.
struct Failing {
    inner: Arc<dyn ledger::Jobs>,
    /// What somebody else does just before the first change.
    overtaken_by: Mutex<Option<Deed>>,
    /// Changes left until the one that fails.
    left: AtomicUsize,
    after_commit: bool,
}

impl Failing {
    fn at(left: usize, after_commit: bool, inner: Arc<dyn ledger::Jobs>) -> Failing {
        Failing { inner, overtaken_by: Mutex::new(None), left: AtomicUsize::new(left), after_commit }
    }
}

fn power_cut() -> ApplyError {
    let source = Arc::new(std::io::Error::other("power cut"));
    ApplyError::Fault(Fault { kind: FaultKind::Unreachable, source })
}

#[async_trait]
impl ledger::Jobs for Failing {
    async fn apply(&self, change: &Change) -> Result<Applied, ApplyError> {
        let overtaken_by = self.overtaken_by.lock().unwrap().take();
        if let Some(deed) = overtaken_by {
            deed.await;
        }
        let left = self.left.fetch_sub(1, Ordering::Relaxed);
        if left != 0 {
            return self.inner.apply(change).await;
        }
        if self.after_commit {
            self.inner.apply(change).await?;
        }
        Err(power_cut())
    }

    async fn job(&self, key: &JobKey) -> Result<Option<JobRow>, OfficeError> {
        self.inner.job(key).await
    }

    async fn jobs(&self, filter: &JobFilter, after: Option<i64>, limit: u32) -> Result<JobPage, OfficeError> {
        self.inner.jobs(filter, after, limit).await
    }

    async fn active_job_of_drive(&self, drive_id: &DriveId) -> Result<Option<JobRow>, OfficeError> {
        self.inner.active_job_of_drive(drive_id).await
    }

    async fn active_jobs_of_parcel(&self, tracking_number: &str) -> Result<Vec<JobRow>, OfficeError> {
        self.inner.active_jobs_of_parcel(tracking_number).await
    }

    async fn active_drives(
        &self,
        station: Option<&str>,
        after: Option<&DriveId>,
        limit: u32,
    ) -> Result<Vec<PlacedDrive>, OfficeError> {
        self.inner.active_drives(station, after, limit).await
    }

    async fn due_timers(&self, at_unix_ms: i64, limit: u32) -> Result<Vec<DueTimer>, OfficeError> {
        self.inner.due_timers(at_unix_ms, limit).await
    }

    async fn reply(&self, caller: &str, key: &str) -> Result<Option<StoredReply>, OfficeError> {
        self.inner.reply(caller, key).await
    }
}

/// The requests of a job's life, in order.
#[derive(Debug, Clone, Copy)]
enum Request {
    Put,
    Ship,
    Parcel,
    Scan(&'static str),
    Unpack,
    Assign(&'static str, &'static str),
    Start(&'static str),
    Key(&'static str, &'static str),
    Progress(&'static str),
    Hold(&'static str),
    Resume(&'static str),
    Stop(&'static str),
    Cancel,
    End(&'static str, DriveStatus),
    Pack(&'static str),
    Return(u32),
}

const LIFE: &[Request] = &[
    Request::Put,
    Request::Ship,
    Request::Parcel,
    Request::Scan("D1"),
    Request::Scan("D2"),
    Request::Unpack,
    Request::Assign("D1", "1"),
    Request::Key("D1", "1"),
    Request::Start("D1"),
    Request::Progress("D1"),
    Request::Hold("D1"),
    Request::Stop("D1"),
    Request::Resume("D1"),
    Request::Start("D1"),
    Request::Assign("D2", "2"),
    Request::Start("D2"),
    Request::End("D1", DriveStatus::CompletedWithErrors),
    Request::Cancel,
    Request::Stop("D2"),
    Request::Pack("D1"),
    Request::Pack("D2"),
    Request::Return(2),
];

/// Sends one; true when the ledger failed under it and it has to be sent again.
async fn send(jobs: &Jobs, request: Request) -> bool {
    let job = key("a");
    let result: Result<(), ChangeError> = match request {
        Request::Put => jobs
            .create(&customer(), import("a", &["D1", "D2", "D3"]), passwords(&["D1", "D2", "D3"]))
            .await
            .map(drop),
        Request::Ship => jobs.update(&customer(), &job, ship()).await.map(drop),
        Request::Cancel => {
            let cancel = Changes { cancel: true, ..Changes::default() };
            jobs.update(&customer(), &job, cancel).await.map(drop)
        }
        Request::Parcel => change(jobs.receive_package(&clerk(), "T-a", None).await.map(drop)),
        Request::Scan(serial) => change(jobs.scan(&clerk(), &id(serial), None, None).await.map(drop)),
        Request::Unpack => jobs.unpack(&clerk(), &job, "T-a", Some("torn".to_owned())).await.map(drop),
        Request::Assign(serial, slot) => change(jobs.assign(&clerk(), &seen(serial, slot)).await.map(drop)),
        Request::Start(serial) => jobs.drive_started(&bay(), &job, &id(serial), None).await.map(drop),
        Request::Key(serial, slot) => match jobs.release_key(&bay(), &job, &id(serial), slot, None).await {
            Ok(_) => Ok(()),
            Err(KeyError::Change(error)) => Err(error),
            Err(error) => panic!("{error}"),
        },
        Request::Progress(serial) => {
            jobs.drive_progress(&bay(), &job, &id(serial), (30, 3), None).await.map(drop)
        }
        Request::Hold(serial) => jobs.hold(&clerk(), &job, &id(serial), "why").await.map(drop),
        Request::Resume(serial) => jobs.resume(&clerk(), &job, &id(serial)).await.map(drop),
        Request::Stop(serial) => jobs.drive_stopped(&bay(), &job, &id(serial), None).await.map(drop),
        Request::End(serial, status) => {
            jobs.drive_ended(&bay(), &job, &id(serial), (status, 9, RunLogs::default()), None).await.map(drop)
        }
        Request::Pack(serial) => change(jobs.pack(&clerk(), &job, &id(serial), "K-1").await.map(drop)),
        Request::Return(count) => jobs.ship(&clerk(), &job, parcel_back(count)).await.map(drop),
    };
    match result {
        Ok(()) => false,
        Err(ChangeError::Save(_)) => true,
        Err(error) => panic!("{request:?}: {error}"),
    }
}

fn change(result: Result<(), DeskError>) -> Result<(), ChangeError> {
    result.map_err(|error| match error {
        DeskError::Change(error) => error,
        error => panic!("{error}"),
    })
}

/// A bay whose process is gone does not report that it stopped: the start has ended the drive in its place.
async fn reports_nothing(jobs: &Jobs, request: Request) -> bool {
    let Request::Stop(serial) = request else { return false };
    let job = jobs.get(&key("a")).await.unwrap().unwrap().job;
    job.drive(&id(serial)).unwrap().copy_status == Some(CopyStatus::Cancelled)
}

/// The life of a job with a power cut at the `at`-th change; what is left of it, and whether there was one.
async fn live(at: usize, after_commit: bool) -> (Job, Vec<String>, bool) {
    let house = House::new().await;
    let failing = Failing::at(at, after_commit, house.ledger.clone());
    let mut jobs = house.jobs_over(Arc::new(failing));
    let mut was_cut = false;
    for request in LIFE {
        if reports_nothing(&jobs, *request).await {
            continue;
        }
        if send(&jobs, *request).await {
            was_cut = true;
            // The process is gone with whatever it meant to do.
            jobs = house.jobs();
            house.heard.take();
            let stored = jobs.get(&key("a")).await.unwrap();
            let reconciled = jobs.reconcile().await.unwrap();
            let standing = stored.map_or(0, |stored| stored.job.standing_actions().len());
            assert_eq!(reconciled.ready + reconciled.stopped, standing);
            assert_eq!(house.heard.take().len(), standing);
            if reports_nothing(&jobs, *request).await {
                continue;
            }
            assert!(!send(&jobs, *request).await, "the ledger fails once");
        }
    }
    let job = jobs.get(&key("a")).await.unwrap().unwrap().job;
    (job, house.custody(&key("a")).await, was_cut)
}

/// Entries without those that a repetition adds truthfully: a bay that starts, stops or asks for a key twice has
/// done so twice, and a PUT sent twice replaces the job by itself. Who says that a cancelled copy stopped, the bay
/// or the next start, is one.
fn without_repeats(entries: Vec<String>) -> Vec<String> {
    let mut kept: Vec<String> = entries.into_iter().filter(|entry| !entry.contains("job.replaced")).collect();
    for entry in &mut kept {
        *entry = entry.replace("station:north drive.stopped", "service:bays drive.stopped");
    }
    kept.dedup();
    kept
}

#[tokio::test]
async fn wherever_the_ledger_fails_the_repeated_request_leads_to_the_same_end() {
    let (expected, entries, _) = live(usize::MAX, false).await;
    assert_eq!(expected.state, JobState::Completed, "cancelled in the end");
    let entries = without_repeats(entries);
    let mut cuts = 0;
    for at in 0.. {
        let mut was_any = false;
        for after_commit in [false, true] {
            let (job, custody, was_cut) = live(at, after_commit).await;
            assert_eq!(job, expected, "cut at change {at}, after the commit: {after_commit}");
            assert_eq!(
                without_repeats(custody),
                entries,
                "cut at change {at}, after the commit: {after_commit}"
            );
            was_any |= was_cut;
        }
        if !was_any {
            break;
        }
        cuts += 1;
    }
    assert_eq!(cuts, LIFE.len(), "every request changes the ledger once, and each was cut");
}

#[tokio::test]
async fn a_timer_whose_change_failed_fires_again() {
    let house = House::new().await;
    shipped(&house.jobs(), "a", &["D1"]).await;
    house.later(14);
    for after_commit in [false, true] {
        let failing = Failing::at(0, after_commit, house.ledger.clone());
        let fired = house.jobs_over(Arc::new(failing)).fire_due_timers().await.unwrap();
        assert_eq!((fired.fired, fired.failed), (0, 1));
    }
    assert_eq!(
        house.jobs().fire_due_timers().await.unwrap().fired,
        0,
        "the second was saved before it failed"
    );
    let job = house.jobs().get(&key("a")).await.unwrap().unwrap().job;
    assert!(job.timers.contains_key(&model::job::TimerKind::NoReply));
}

#[tokio::test]
async fn a_start_tells_the_bays_what_was_saved_and_perhaps_never_said() {
    let house = House::new().await;
    let jobs = house.jobs();
    arrived(&jobs, "a", &["D1", "D2"]).await;
    for (serial, slot) in [("D1", "1"), ("D2", "2")] {
        jobs.assign(&clerk(), &seen(serial, slot)).await.unwrap();
        jobs.drive_started(&bay(), &key("a"), &id(serial), None).await.unwrap();
    }
    jobs.tell(&clerk(), &key("a"), Happening::DriveHeld { drive_id: id("D2"), reason: "why".to_owned() })
        .await
        .unwrap();
    house.heard.take();
    let reconciled = house.jobs().reconcile().await.unwrap();
    assert_eq!((reconciled.ready, reconciled.stopped, reconciled.unreadable), (1, 1, 0));
    assert_eq!(house.heard.take(), ["ready D1", "stop D2"]);
}

#[tokio::test]
async fn a_start_ends_what_a_cancelled_job_had_in_a_bay_that_will_not_report() {
    let house = House::new().await;
    let jobs = house.jobs();
    arrived(&jobs, "a", &["D1"]).await;
    jobs.assign(&clerk(), &seen("D1", "1")).await.unwrap();
    jobs.drive_started(&bay(), &key("a"), &id("D1"), None).await.unwrap();
    let cancel = Changes { cancel: true, ..Changes::default() };
    let job = jobs.update(&customer(), &key("a"), cancel).await.unwrap().job;
    assert_eq!(job.state, JobState::Transferring, "a bay has it in its hands");
    // The process ends here, between what was saved and the bay's report.
    let south = house.station("south", Arc::default());
    assert_eq!(south.reconcile().await.unwrap().ended, 0, "another station's drive is not ours to end");
    let reconciled = house.jobs().reconcile().await.unwrap();
    assert_eq!((reconciled.stopped, reconciled.ended), (1, 1));
    let job = jobs.get(&key("a")).await.unwrap().unwrap().job;
    assert_eq!(job.state, JobState::Packaging, "the drive can go back");
    assert_eq!(house.jobs().reconcile().await.unwrap().stopped, 0, "once");
}

#[tokio::test]
async fn a_job_that_is_cancelled_while_its_drive_is_held_can_go_back_at_once() {
    let house = House::new().await;
    let jobs = house.jobs();
    arrived(&jobs, "a", &["D1"]).await;
    jobs.assign(&clerk(), &seen("D1", "1")).await.unwrap();
    jobs.drive_started(&bay(), &key("a"), &id("D1"), None).await.unwrap();
    jobs.drive_stopped(&bay(), &key("a"), &id("D1"), None).await.unwrap();
    jobs.hold(&bay(), &key("a"), &id("D1"), "the credential expired").await.unwrap();
    let cancel = Changes { cancel: true, ..Changes::default() };
    let job = jobs.update(&customer(), &key("a"), cancel).await.unwrap().job;
    assert_eq!(job.state, JobState::Packaging);
}

#[tokio::test]
async fn a_list_that_keeps_a_key_is_judged_anew_when_another_list_has_dropped_it() {
    let house = House::new().await;
    house.jobs().create(&customer(), import("a", &["D1"]), passwords(&["D1"])).await.unwrap();
    let list = |serial: &str| Update { drives: Some(import("a", &[serial]).drives), ..Update::default() };
    let others = house.jobs();
    let other = Changes { update: list("D2"), keys: passwords(&["D2"]), ..Changes::default() };
    let overtaken = Failing::at(usize::MAX, false, house.ledger.clone());
    *overtaken.overtaken_by.lock().unwrap() =
        Some(Box::pin(async move { drop(others.update(&customer(), &key("a"), other).await.unwrap()) }));
    let update = Update { log_level: Some(LogLevel::Verbose), ..list("D1") };
    let changes = Changes { update, ..Changes::default() };
    let refused =
        house.jobs_over(Arc::new(overtaken)).update(&customer(), &key("a"), changes).await.unwrap_err();
    assert!(matches!(refused, ChangeError::Invalid(_)), "D1's key is gone, so it must come again: {refused}");
    let jobs = house.jobs();
    let released = jobs.bitlocker_keys(&customer(), &key("a")).await.unwrap();
    assert_eq!(released.len(), 1, "every drive on the list has its key");
    assert_eq!(released[0].0, id("D2"));
}
