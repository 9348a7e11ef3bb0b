//! Random lists of events against a small model of its own: a few rules about drives and timers, written
//! from the specification and not from the code.

use proptest::prelude::*;

use super::*;

const SERIALS: [&str; 4] = ["D1", "D2", "E1", "E2"];

fn serial() -> impl Strategy<Value = DriveId> {
    proptest::sample::select(&SERIALS[..]).prop_map(id)
}

fn state() -> impl Strategy<Value = JobState> {
    proptest::sample::select(JobState::ALL)
}

fn number() -> impl Strategy<Value = String> {
    prop_oneof![Just("T1".to_owned()), Just("T2".to_owned())]
}

fn status() -> impl Strategy<Value = DriveStatus> {
    prop_oneof![Just(DriveStatus::Completed), proptest::sample::select(DriveStatus::ALL)]
}

fn customer() -> impl Strategy<Value = Happening> {
    let update = |update: Update| {
        let accepted = update.accept(&created(import()), &facts()).unwrap();
        Happening::Update(Box::new(accepted))
    };
    let better = Update {
        return_address: Some(ReturnAddress { city: "Port".to_owned(), ..address() }),
        ..Update::default()
    };
    prop_oneof![
        3 => Just(Happening::Ship),
        1 => Just(Happening::Cancel),
        1 => Just(Happening::Delete),
        1 => Just(Happening::CustomerAnswered),
        1 => Just(update(Update { log_level: Some(LogLevel::Verbose), ..Update::default() })),
        1 => Just(update(better)),
        1 => Just(Happening::Replace(Box::new(import().accept(&facts()).unwrap()))),
        2 => proptest::sample::select(TimerKind::ALL).prop_map(fired),
    ]
}

fn desk() -> impl Strategy<Value = Happening> {
    let shelf = || STATION.to_owned();
    prop_oneof![
        number().prop_map(|n| parcel(&n)),
        (number(), any::<bool>()).prop_map(|(n, why)| unpacked(&n, why.then_some("why"))),
        number().prop_map(|tracking_number| Happening::ParcelReturned { tracking_number }),
        serial().prop_map(move |drive_id| Happening::DriveReceived {
            drive_id,
            station: shelf(),
            slot: None
        }),
        serial().prop_map(|drive_id| Happening::DriveMissing { drive_id }),
        serial().prop_map(|drive_id| extra(drive_id.as_str())),
        serial().prop_map(|drive_id| Happening::ExtraDriveMoved { drive_id }),
        serial().prop_map(|drive_id| Happening::DriveUnsupported { drive_id }),
        (serial(), 1..4_u8).prop_map(|(drive_id, bay)| assigned(drive_id.as_str(), &bay.to_string())),
        serial().prop_map(|drive_id| Happening::DriveReleased { drive_id, slot: None }),
        serial().prop_map(|drive_id| Happening::DriveHeld { drive_id, reason: "why".to_owned() }),
        serial().prop_map(|drive_id| Happening::DriveResumed { drive_id }),
        serial().prop_map(|drive_id| packed(drive_id.as_str())),
        (0..5_u32).prop_map(|count| Happening::ReturnBooked(return_package(count))),
        Just(Happening::ReturnImpossible { reason: "why".to_owned() }),
        Just(Happening::DrivesDestroyed),
    ]
}

fn bay() -> impl Strategy<Value = Happening> {
    let reason = || "why".to_owned();
    prop_oneof![
        4 => serial().prop_map(|drive_id| Happening::DriveStarted { drive_id }),
        2 => (serial(), 0..=120_u8).prop_map(|(drive_id, percent)| {
            Happening::DriveProgress { drive_id, percent, bytes_succeeded: u64::from(percent) }
        }),
        4 => (serial(), status()).prop_map(|(drive_id, status)| ended(drive_id.as_str(), status)),
        1 => serial().prop_map(|drive_id| Happening::DriveStopped { drive_id }),
        1 => Just(Happening::ExportIncomplete { uri: "u".to_owned() }),
        1 => serial().prop_map(move |drive_id| Happening::DriveFaulted { drive_id, reason: reason() }),
        1 => serial().prop_map(|drive_id| Happening::DrivePutBack { drive_id }),
        1 => Just(Happening::JobFaulted { reason: "why".to_owned() }),
        2 => state().prop_map(|to| Happening::JobPutBack { to }),
    ]
}

fn events() -> impl Strategy<Value = Vec<(u8, Happening)>> {
    let one = prop_oneof![1 => customer().boxed(), 3 => desk().boxed(), 3 => bay().boxed()];
    proptest::collection::vec((0..40_u8, one), 1..120)
}

/// What somebody who sees only the actions believes that the job waits for.
struct Watcher(std::collections::BTreeMap<TimerKind, i64>);

impl Watcher {
    fn see(&mut self, job_before: &Job, what: &Happening, at: i64, actions: &[Action]) {
        if let Happening::TimerFired { kind } = what
            && job_before.timers.get(kind).is_some_and(|due| *due <= at)
        {
            self.0.remove(kind);
        }
        for action in actions {
            match action {
                Action::SetTimer { kind, due_unix_ms } => {
                    assert!(*due_unix_ms > at);
                    self.0.insert(*kind, *due_unix_ms);
                }
                Action::ClearTimer { kind } => {
                    assert!(self.0.remove(kind).is_some(), "cleared what was not set")
                }
                _ => {}
            }
        }
    }
}

/// What a job in that state waits for: spec §4.1 and §4.2.
fn waits_for(job: &Job) -> Vec<TimerKind> {
    let undeliverable = job.undeliverable.as_ref();
    let mut kinds = match job.state {
        JobState::Creating if undeliverable.is_none() => vec![TimerKind::CreatingIdle],
        JobState::Shipping if job.timers.contains_key(&TimerKind::NoReply) => vec![TimerKind::NoReply],
        JobState::Shipping => vec![TimerKind::ShippingOverdue],
        JobState::Completed | JobState::Closed => vec![TimerKind::Retention],
        _ => Vec::new(),
    };
    if undeliverable.is_some_and(|found| !found.may_destroy) {
        kinds.push(TimerKind::Undeliverable);
    }
    kinds
}

/// Every arrow that spec §4.1 and §4.2 have.
fn is_arrow(from: JobState, to: JobState) -> bool {
    use JobState::{Closed, Completed, Creating, Faulted, Packaging, Received, Shipping, Transferring};
    let ways: &[JobState] = match from {
        Creating => &[Shipping, Closed],
        Shipping => &[Received, Packaging, Closed, Completed, Faulted],
        Received => &[Transferring, Packaging, Faulted],
        Transferring => &[Packaging, Faulted],
        // To `Shipping` when the only drive that came was another job's.
        Packaging => &[Shipping, Received, Transferring, Completed, Closed, Faulted],
        Faulted => &[Shipping, Received, Transferring, Packaging, Closed],
        Completed | Closed => &[],
    };
    from == to || ways.contains(&to)
}

fn check_drives(job: &Job) {
    let mut bays = std::collections::BTreeSet::new();
    for drive in &job.drives {
        let away = matches!(drive.state, DriveState::Specified | DriveState::NeverReceived);
        assert_eq!(away, drive.place == Place::Away, "{drive:?}");
        assert_eq!(drive.state == DriveState::Faulted, drive.fault.is_some());
        assert!(drive.percent_complete <= 100);
        assert!(drive.state != DriveState::Transferring || drive.copy_status == Some(CopyStatus::InProgress));
        assert!(drive.state != DriveState::ShippedBack || job.state.is_over());
        let in_hands = drive.place.bay().is_some() && drive.hold.is_none();
        assert!(
            drive.state != DriveState::Transferring || in_hands || !job.cancel_requested,
            "ends: {drive:?}"
        );
        if let Some(bay) = drive.place.bay() {
            assert!(bays.insert(bay), "two drives in one bay");
        }
        match job.state {
            JobState::Creating => assert_eq!(drive.state, DriveState::Specified),
            JobState::Received | JobState::Transferring | JobState::Packaging => {
                assert_ne!(drive.state, DriveState::Specified);
            }
            JobState::Completed | JobState::Closed => assert!(!drive.place.is_here()),
            JobState::Shipping | JobState::Faulted => {}
        }
        if job.state == JobState::Packaging {
            assert_ne!(drive.state, DriveState::Transferring);
            assert!(drive.state != DriveState::Received || job.cancel_requested);
        }
    }
    assert!(job.drives.len() <= DRIVES_MAX);
    let mut ids = std::collections::BTreeSet::new();
    assert!(
        job.places().all(|(drive_id, _)| ids.insert(drive_id)),
        "a drive is the job's own, or an extra one"
    );
    assert!(job.extra_drives.iter().all(|drive| drive.place.is_here() != job.state.is_over()));
}

fn check_step(before: &Job, after: &Job) {
    assert!(is_arrow(before.state, after.state), "{} to {}", before.state, after.state);
    assert!(after.cancel_requested || !before.cancel_requested, "a cancellation is never taken back");
    assert!(after.percent_complete >= before.percent_complete && after.percent_complete <= 100);
    for drive in &before.drives {
        let same = after.drive(&drive.drive_id).expect("no drive is lost");
        assert!(drive.hold.is_none() || same.place != Place::SentBack, "what is held stays: {drive:?}");
        assert!(same.percent_complete >= drive.percent_complete || before.state == JobState::Creating);
        let is_ended = matches!(drive.state, DriveState::Completed | DriveState::CompletedMoreInfo);
        assert!(!is_ended || same.copy_status == drive.copy_status, "an end is never changed");
    }
    assert_eq!(after.fault.is_some(), after.state == JobState::Faulted);
    let timers: Vec<TimerKind> = after.timers.keys().copied().collect();
    let mut expected = waits_for(after);
    expected.sort();
    assert_eq!(timers, expected, "in {}", after.state);
    if matches!(
        after.state,
        JobState::Shipping | JobState::Received | JobState::Transferring | JobState::Packaging
    ) {
        assert_eq!(after.state, after.right_state());
    }
}

/// Whatever happened, the station can bring the job to its end: bays report, the lead decides, the desk packs.
fn check_way_home(job: &Job) {
    let mut teller = Teller { job: job.clone(), now: i64::MAX / 2 };
    if job.state == JobState::Faulted {
        let to = job.right_state();
        teller.ok(Happening::JobPutBack { to });
    }
    if matches!(teller.state(), JobState::Creating | JobState::Completed | JobState::Closed) {
        return;
    }
    for drive in job.drives.iter().map(|drive| drive.drive_id.clone()) {
        let _ = teller.tell(Happening::DriveResumed { drive_id: drive.clone() });
        let found = teller.job.drive(&drive).unwrap();
        match found.state {
            DriveState::Specified => drop(teller.ok(Happening::DriveMissing { drive_id: drive })),
            DriveState::Received if !job.cancel_requested => {
                teller.ok(Happening::DriveUnsupported { drive_id: drive });
            }
            DriveState::Transferring if job.cancel_requested => {
                teller.ok(Happening::DriveStopped { drive_id: drive });
            }
            DriveState::Transferring => {
                drop(teller.ok(ended(drive.as_str(), DriveStatus::DiskOperationFailed)))
            }
            DriveState::Faulted if !job.cancel_requested => {
                teller.ok(Happening::DrivePutBack { drive_id: drive.clone() });
                let was_begun = teller.job.drive(&drive).unwrap().state == DriveState::Transferring;
                teller.ok(match was_begun {
                    true => ended(drive.as_str(), DriveStatus::DiskOperationFailed),
                    false => Happening::DriveUnsupported { drive_id: drive },
                });
            }
            _ => {}
        }
    }
    if teller.state() == JobState::Shipping {
        teller.ok(parcel("T9"));
        teller.ok(unpacked("T9", Some("why")));
    }
    if teller.state() == JobState::Shipping {
        assert!(!teller.job.places().any(|(_, place)| place.is_here()), "nothing came: {:?}", teller.job);
        return;
    }
    let here: Vec<DriveId> =
        teller.job.places().filter(|(_, place)| place.is_here()).map(|(id, _)| id.clone()).collect();
    here.iter().for_each(|drive_id| drop(teller.ok(packed(drive_id.as_str()))));
    teller.ok(Happening::ReturnBooked(return_package(u32::try_from(here.len()).unwrap())));
    assert!(teller.state().is_over());
}

fn run(start: Job, list: Vec<(u8, Happening)>) {
    let mut job = start;
    let mut watcher = Watcher(job.timers.clone());
    let mut at = 0;
    for (days, what) in list {
        at += i64::from(days) * DAY_MS;
        let before = job.clone();
        match job.step(Event { at_unix_ms: at, what: what.clone() }) {
            Err(_) => assert_eq!(job, before, "a refused event changes nothing"),
            Ok(actions) => {
                watcher.see(&before, &what, at, &actions);
                if actions.contains(&Action::Delete) {
                    assert!(matches!(
                        before.state,
                        JobState::Creating | JobState::Completed | JobState::Closed
                    ));
                    return;
                }
                check_step(&before, &job);
                check_drives(&job);
                assert_eq!(watcher.0, job.timers, "the actions tell every timer");
            }
        }
    }
    check_way_home(&job);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2_000))]

    #[test]
    fn no_list_of_events_brings_an_import_out_of_its_rules(from in state(), list in events()) {
        run(job_in(from).job, list);
    }

    #[test]
    fn no_list_of_events_brings_an_export_out_of_its_rules(unpacks in any::<bool>(), list in events()) {
        let mut teller = Teller::of(export());
        teller.ok(Happening::Ship);
        if unpacks {
            teller.ok(parcel("T1"));
            teller.received("E1").received("E2").ok(unpacked("T1", None));
        }
        run(teller.job, list);
    }
}
