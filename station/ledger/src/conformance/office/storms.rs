//! Changes that are given up, many at once, and long random histories.

use std::collections::BTreeMap;
use std::future::poll_fn;
use std::pin::pin;
use std::task::Poll;
use std::time::Duration;

use super::super::Random;
use super::custody::{assert_chain, whole_chain};
use super::*;
use crate::{Applied, ClaimError, Hook, HookWrite, JobFilter, SecretWrite};

/// Polls a call that often, then drops it, as a request's task is dropped when its client goes away.
async fn given_up_after<T>(polls_max: u32, call: impl Future<Output = T>) -> Option<T> {
    let mut call = pin!(call);
    let mut polls = 0;
    poll_fn(|context| match call.as_mut().poll(context) {
        Poll::Ready(done) => Poll::Ready(Some(done)),
        Poll::Pending if polls >= polls_max => Poll::Ready(None),
        Poll::Pending => {
            polls += 1;
            Poll::Pending
        }
    })
    .await
}

/// One more version, one more entry, one more event.
fn noted(name: &str, version: i64) -> Change {
    Change {
        chain: "north".to_owned(),
        custody: vec![draft("noted", Some(&job_key(name)))],
        events: vec![event("noted")],
        ..update(&JobRow { timers: vec![timer("idle", version)], ..job_row(name, &[1, 2]) }, version)
    }
}

/// At every point at which it can wait; and the ledger goes on as if nothing had been.
pub async fn a_change_that_is_given_up_is_there_whole_or_not_at_all(store: &dyn OfficeStore) {
    let ledger = store.open().await;
    apply(&*ledger, &insertion(&job_row("One", &[1, 2]))).await;
    let (mut version, mut finished, mut given_up) = (1, 0, 0);
    for polls_max in 0..60 {
        match given_up_after(polls_max, ledger.apply(&noted("One", version))).await {
            Some(applied) => {
                version = applied.expect("nobody else changes it").version.expect("it was changed");
                finished += 1;
            }
            None => given_up += 1,
        }
        // It may be under way still: the next change waits for it, and then finds what it left.
        version = match ledger.apply(&noted("One", version)).await {
            Ok(applied) => applied.version.expect("it was changed"),
            Err(ApplyError::Conflict { found_version }) => found_version.expect("it is there"),
            Err(error) => panic!("{error:?}"),
        };
        let row = read(&*ledger, "One").await.expect("it is there");
        assert_eq!((row.version, &row.timers), (version, &vec![timer("idle", version - 1)]));
        let head = &ledger.heads().await.unwrap()[0];
        let last = ledger.event_span().await.unwrap().last;
        assert_eq!((head.no, last), ((version - 1).cast_unsigned(), version - 1), "after {polls_max} polls");
    }
    assert!(given_up > 0 && finished > 0, "{given_up} given up, {finished} finished");
    assert_chain("north", &whole_chain(&*ledger, "north").await, &ledger.heads().await.unwrap()[0]);
}

/// Two stations, all that they do: no call fails but for a reason that it may have, nobody waits for ever.
pub async fn whatever_is_done_at_once_ends_well(store: &dyn OfficeStore) {
    let ledgers = [store.open().await, store.open().await];
    for name in ["One", "Two"] {
        apply(&*ledgers[0], &insertion(&storm_row(name))).await;
    }
    let made = HookWrite::Insert(hook("h"));
    apply(&*ledgers[0], &Change { hooks: vec![made], ..Change::default() }).await;
    let tasks: Vec<_> = (0..6u64)
        .map(|number| {
            let ledger = Arc::clone(&ledgers[usize::from(number % 2 == 0)]);
            tokio::spawn(async move { storm(&*ledger, number).await })
        })
        .collect();
    let mut noted = 0;
    for task in tasks {
        noted += task.await.unwrap();
    }
    let heads = ledgers[0].heads().await.unwrap();
    assert_eq!((heads[0].no, ledgers[1].event_span().await.unwrap().last), (noted, noted.cast_signed()));
    assert_chain("north", &whole_chain(&*ledgers[1], "north").await, &heads[0]);
}

fn storm_row(name: &str) -> JobRow {
    job_row(name, if name == "One" { &[1, 2] } else { &[3, 4] })
}

/// Gives how many changes left an entry and an event.
async fn storm(ledger: &dyn Ledger, seed: u64) -> u64 {
    let mut random = Random(seed + 1);
    let mut noted = 0;
    for _ in 0..40 {
        let name = if random.below(2) == 0 { "One" } else { "Two" };
        let with_note = |change: Change| Change {
            chain: "north".to_owned(),
            custody: vec![draft("noted", Some(&job_key(name)))],
            events: vec![event("noted")],
            ..change
        };
        match random.below(8) {
            0 => noted += u64::from(done(ledger, &with_note(Change::default())).await),
            1 => work_on_a_drive(ledger, seed).await,
            2 => {
                if let Some(hook) = ledger.take_due_hook(Duration::ZERO).await.unwrap() {
                    move_on(ledger, &hook).await;
                }
            }
            3 => {
                let secret = sealed(&format!("key {name}"), Some(name), "x");
                let change = Change { secrets: vec![SecretWrite::Put(secret)], ..Change::default() };
                noted += u64::from(done(ledger, &with_note(change)).await);
            }
            4 => {
                let version = read(ledger, name).await.map_or(1, |row| row.version);
                noted += u64::from(done(ledger, &with_note(deletion(name, version))).await);
                noted += u64::from(done(ledger, &with_note(insertion(&storm_row(name)))).await);
            }
            _ => {
                let Some(row) = read(ledger, name).await else { continue };
                noted += u64::from(done(ledger, &with_note(update(&storm_row(name), row.version))).await);
            }
        }
    }
    noted
}

/// Whether it was applied; that somebody else changed or deleted the job is as it should be.
async fn done(ledger: &dyn Ledger, change: &Change) -> bool {
    match ledger.apply(change).await {
        Ok(Applied { head, .. }) => head.is_some(),
        Err(ApplyError::Conflict { .. }) => false,
        Err(ApplyError::Invalid { what }) if what.contains("a job that is not there") => false,
        Err(error) => panic!("{error:?}"),
    }
}

async fn work_on_a_drive(ledger: &dyn Ledger, station: u64) {
    let claimed = ledger.claim_drive(&format!("station {station}"), Duration::ZERO).await.unwrap();
    let Some(claim) = claimed else { return };
    match ledger.renew(&claim, Duration::ZERO).await {
        Ok(()) | Err(ClaimError::Lost { .. }) => {}
        Err(error) => panic!("{error:?}"),
    }
    match ledger.apply(&Change { claim: Some(claim.clone()), ..Change::default() }).await {
        Ok(_) | Err(ApplyError::ClaimLost { .. }) => {}
        Err(error) => panic!("{error:?}"),
    }
    ledger.release(&claim).await.unwrap();
}

async fn move_on(ledger: &dyn Ledger, hook: &Hook) {
    ledger.hook_delivered(hook, hook.position + 1).await.unwrap();
}

/// What jobs mean, without any store.
#[derive(Default)]
struct Plain {
    jobs: BTreeMap<String, JobRow>,
}

impl Plain {
    /// What is expected of the change; then it is done.
    fn apply(&mut self, write: &JobWrite) -> Result<Option<i64>, String> {
        let name = &write.key().name;
        let found = self.jobs.get(name).map(|row| row.version);
        let (row, version) = match write {
            JobWrite::Insert(row) if found.is_none() => (row, 1),
            JobWrite::Update { row, expected_version } if found == Some(*expected_version) => {
                (row, expected_version + 1)
            }
            JobWrite::Delete { expected_version, .. } if found == Some(*expected_version) => {
                self.jobs.remove(name);
                return Ok(None);
            }
            _ => return Err(format!("conflict with {found:?}")),
        };
        if let Some(drive_id) = self.taken(row) {
            return Err(format!("{drive_id} is taken"));
        }
        let mut row = JobRow { version, ..row.clone() };
        row.timers.sort_by(|a, b| (a.due_unix_ms, &a.kind).cmp(&(b.due_unix_ms, &b.kind)));
        self.jobs.insert(name.clone(), row);
        Ok(Some(version))
    }

    fn taken(&self, row: &JobRow) -> Option<DriveId> {
        let others = self.jobs.values().filter(|other| row.active && other.active && other.key != row.key);
        let taken: Vec<_> = others.flat_map(|other| &other.drives).map(|drive| &drive.drive_id).collect();
        row.drives.iter().map(|drive| &drive.drive_id).find(|id| taken.contains(id)).cloned()
    }
}

fn random_write(random: &mut Random) -> JobWrite {
    let name = format!("job {}", random.below(4));
    let expected_version = 1 + random.below(3).cast_signed();
    let small = |random: &mut Random, end| u32::try_from(random.below(end)).expect("small");
    let mut row = job_row(&name, &[]);
    row.active = random.below(4) > 0;
    row.state = format!("state {}", random.below(3));
    row.drives = (0..6).filter(|_| random.below(5) == 0).map(waiting_drive).collect();
    row.timers =
        (0..small(random, 3)).map(|n| timer(&n.to_string(), random.below(50).cast_signed())).collect();
    match random.below(8) {
        0..=2 => JobWrite::Insert(row),
        3..=6 => JobWrite::Update { row, expected_version },
        _ => JobWrite::Delete { key: row.key, expected_version },
    }
}

/// After each change: what it came to, all jobs, and what is due and found.
pub async fn random_changes_come_to_the_same_as_without_a_store(store: &dyn OfficeStore) {
    let ledger = store.open().await;
    let mut plain = Plain::default();
    let mut random = Random(7);
    for step in 0..250 {
        let write = random_write(&mut random);
        let expected = plain.apply(&write);
        let applied = ledger.apply(&Change { job: Some(write.clone()), ..Change::default() }).await;
        let applied = match applied {
            Ok(applied) => Ok(applied.version),
            Err(ApplyError::Conflict { found_version }) => Err(format!("conflict with {found_version:?}")),
            Err(ApplyError::DriveTaken { drive_id }) => Err(format!("{drive_id} is taken")),
            Err(error) => panic!("{error:?}"),
        };
        assert_eq!(applied, expected, "step {step}: {write:?}");
        let listed = ledger.jobs(&JobFilter::default(), None, 99).await.unwrap().jobs;
        let listed: BTreeMap<_, _> = listed.into_iter().map(|row| (row.key.name.clone(), row)).collect();
        assert_eq!(listed, plain.jobs, "step {step}");
        let due = ledger.due_timers(25, 99).await.unwrap().len();
        let timers = plain.jobs.values().flat_map(|row| &row.timers);
        assert_eq!(due, timers.filter(|timer| timer.due_unix_ms <= 25).count(), "step {step}");
        let active = ledger.active_drives(None, None, 99).await.unwrap().len();
        let drives = plain.jobs.values().filter(|row| row.active).map(|row| row.drives.len());
        assert_eq!(active, drives.sum::<usize>(), "step {step}");
    }
    assert!(!plain.jobs.is_empty());
}
