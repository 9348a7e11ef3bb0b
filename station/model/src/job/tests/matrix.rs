//! Every event in every state, of jobs and of drives. A new event does not compile without its sample,
//! and fails without its row.
//!
//! The tables are `jobs.table` and `drives.table`: the state afterwards, `-` where the job's state refuses,
//! `!Name` for another refusal. Whoever changes one compares it with azure-import-export.md §4.1 and §4.3.

use super::*;

/// One of each event, about D1 where it is about a drive.
fn sample(event: EventName, job: &Job) -> Happening {
    use EventName as E;
    let drive_id = id("D1");
    let why = || "why".to_owned();
    match event {
        E::Update => {
            let update = Update { log_level: Some(LogLevel::Verbose), ..Update::default() };
            Happening::Update(Box::new(update.accept(job, &facts()).unwrap()))
        }
        E::Replace => Happening::Replace(Box::new(import().accept(&facts()).unwrap())),
        E::Ship => Happening::Ship,
        E::Cancel => Happening::Cancel,
        E::Delete => Happening::Delete,
        E::CustomerAnswered => Happening::CustomerAnswered,
        E::ParcelReceived => parcel("T9"),
        E::ParcelUnpacked => unpacked("T1", Some("why")),
        E::ParcelReturned => Happening::ParcelReturned { tracking_number: "T1".to_owned() },
        E::DriveReceived => received("D2"),
        E::DriveMissing => Happening::DriveMissing { drive_id: id("D2") },
        E::ExtraDrive => extra("X1"),
        E::ExtraDriveMoved => Happening::ExtraDriveMoved { drive_id: id("X1") },
        E::DriveUnsupported => Happening::DriveUnsupported { drive_id },
        E::DriveAssigned => assigned("D1", "2"),
        E::DriveReleased => Happening::DriveReleased { drive_id, slot: None },
        E::DriveHeld => Happening::DriveHeld { drive_id, reason: why() },
        E::DriveResumed => Happening::DriveResumed { drive_id },
        E::DrivePacked => packed("D1"),
        E::ReturnBooked => {
            Happening::ReturnBooked(ReturnPackage { ship_date: "x".to_owned(), ..return_package(1) })
        }
        E::ReturnImpossible => Happening::ReturnImpossible { reason: why() },
        E::DrivesDestroyed => Happening::DrivesDestroyed,
        E::DriveStarted => Happening::DriveStarted { drive_id },
        E::DriveProgress => Happening::DriveProgress { drive_id, percent: 50, bytes_succeeded: 5 },
        E::DriveEnded => ended("D1", DriveStatus::CompletedWithErrors),
        E::DriveStopped => Happening::DriveStopped { drive_id },
        E::ExportIncomplete => Happening::ExportIncomplete { uri: "u".to_owned() },
        E::DriveFaulted => Happening::DriveFaulted { drive_id, reason: why() },
        E::DrivePutBack => Happening::DrivePutBack { drive_id },
        E::JobFaulted => Happening::JobFaulted { reason: "smoke".to_owned() },
        E::JobPutBack => Happening::JobPutBack { to: JobState::Transferring },
        E::TimerFired => fired(TimerKind::Retention),
    }
}

/// The state after it, or the refusal's name.
fn outcome(teller: &mut Teller, what: Happening) -> String {
    match teller.tell(what) {
        Ok(actions) if actions.contains(&Action::Delete) => "deleted".to_owned(),
        Ok(_) => teller.state().to_string(),
        Err(Refusal::State { .. }) => "-".to_owned(),
        Err(refusal) => format!("!{}", refusals::name(&refusal)),
    }
}

fn header<'a>(states: impl Iterator<Item = &'a str>) -> String {
    format!("event | {}\n", states.collect::<Vec<_>>().join(" | "))
}

#[test]
fn every_event_in_every_state_of_a_job_is_in_the_table() {
    let mut lines = header(JobState::ALL.iter().map(|state| state.as_str()));
    for event in EventName::ALL {
        let cells: Vec<String> = JobState::ALL
            .iter()
            .map(|state| {
                let mut teller = job_in(*state);
                let what = sample(*event, &teller.job);
                outcome(&mut teller, what)
            })
            .collect();
        lines += &format!("{} | {}\n", event.as_str(), cells.join(" | "));
    }
    assert_eq!(lines, include_str!("jobs.table"), "\n{lines}");
}

/// A job in which D1 is in that state, and the job is in whatever state that needs.
fn drive_in(state: DriveState) -> Teller {
    let mut teller = Teller::of(import());
    teller.ok(Happening::Ship);
    match state {
        DriveState::Specified => {
            teller.received("D2");
        }
        DriveState::NeverReceived => {
            teller.received("D2").ok(Happening::DriveMissing { drive_id: id("D1") });
        }
        DriveState::Received => {
            teller.received("D1").received("D2");
        }
        DriveState::Transferring => {
            teller.received("D1").received("D2").started("D1", "1");
        }
        DriveState::Completed | DriveState::CompletedMoreInfo => {
            let status = if state == DriveState::Completed {
                DriveStatus::Completed
            } else {
                DriveStatus::ManifestNotFound
            };
            teller
                .received("D1")
                .received("D2")
                .started("D1", "1")
                .started("D2", "2")
                .ok(ended("D1", status));
        }
        DriveState::Faulted => {
            teller.received("D1").received("D2").started("D1", "1");
            teller.ok(Happening::DriveFaulted { drive_id: id("D1"), reason: "clicks".to_owned() });
        }
        DriveState::ShippedBack => {
            teller = job_in(JobState::Completed);
        }
    }
    assert_eq!(teller.drive_state("D1"), state);
    teller
}

#[test]
fn every_event_of_a_drive_in_every_state_of_it_is_in_the_table() {
    let mut lines = header(DriveState::ALL.iter().map(|state| state.as_str()));
    for event in EventName::ALL {
        let mut cells = Vec::new();
        for state in DriveState::ALL {
            let mut teller = drive_in(*state);
            let what = match *event {
                EventName::DriveReceived => received("D1"),
                EventName::DriveMissing => Happening::DriveMissing { drive_id: id("D1") },
                EventName::ExtraDrive => extra("D1"),
                _ => sample(*event, &teller.job),
            };
            if what.drive_id().is_none() {
                continue;
            }
            let cell = outcome(&mut teller, what);
            let is_refused = cell.starts_with(['-', '!']);
            cells.push(if is_refused { cell } else { teller.drive_state("D1").to_string() });
        }
        if !cells.is_empty() {
            lines += &format!("{} | {}\n", event.as_str(), cells.join(" | "));
        }
    }
    assert_eq!(lines, include_str!("drives.table"), "\n{lines}");
}

#[test]
fn a_faulted_job_takes_what_records_the_world_and_begins_nothing() {
    for event in EventName::ALL {
        for state in [JobState::Shipping, JobState::Received, JobState::Transferring, JobState::Packaging] {
            let mut teller = job_in(state);
            let takes_before = teller.job.takes(*event);
            teller.ok(Happening::JobFaulted { reason: "flood".to_owned() });
            let takes = teller.job.takes(*event);
            assert!(takes_before || !takes || *event == EventName::JobPutBack, "{event:?} {state}");
            let what = sample(*event, &teller.job);
            if teller.tell(what).is_ok() && *event != EventName::JobPutBack {
                assert_eq!(teller.state(), JobState::Faulted, "{event:?} moves no faulted job");
            }
        }
    }
}
