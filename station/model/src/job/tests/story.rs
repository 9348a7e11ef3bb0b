//! Ways through a job as the specification tells them, one test an arrow or a rule.

use super::*;

fn told(actions: &[Action], notice: &Notice) -> bool {
    actions.contains(&Action::Notify(notice.clone()))
}

#[test]
fn an_import_without_errors_goes_the_whole_way_to_completed() {
    let teller = job_in(JobState::Completed);
    assert_eq!(teller.drive_state("D1"), DriveState::ShippedBack);
    assert_eq!(teller.job.percent_complete, 100);
    assert_eq!(teller.job.drive(&id("D1")).unwrap().place, Place::SentBack);
    assert_eq!(teller.timers(), [TimerKind::Retention]);
}

#[test]
fn a_drive_that_never_came_closes_the_job() {
    let teller = job_in(JobState::Closed);
    assert_eq!(teller.drive_state("D2"), DriveState::NeverReceived);
}

#[test]
fn warnings_do_not_close_a_job_and_errors_do() {
    for (status, end) in [
        (DriveStatus::CompletedWithWarnings, JobState::Completed),
        (DriveStatus::CompletedWithErrors, JobState::Closed),
        (DriveStatus::BitLockerKeyInvalid, JobState::Closed),
    ] {
        let mut teller = job_in(JobState::Transferring);
        teller.ok(ended("D1", status));
        assert_eq!(teller.drive_state("D1"), DriveState::CompletedMoreInfo);
        teller.started("D2", "2").ok(ended("D2", DriveStatus::Completed));
        assert_eq!(teller.state(), JobState::Packaging);
        teller.packed("D1").packed("D2").ok(Happening::ReturnBooked(return_package(2)));
        assert_eq!(teller.state(), end, "{status}");
    }
}

#[test]
fn two_idle_weeks_delete_an_order_and_an_update_begins_them_anew() {
    let mut teller = Teller::of(import());
    let update = Update { backup_drive_manifest: Some(true), ..Update::default() };
    let update = update.accept(&teller.job, &facts()).unwrap();
    teller.later(13).ok(Happening::Update(Box::new(update)));
    assert_eq!(teller.later(13).ok(fired(TimerKind::CreatingIdle)), [], "not yet due");
    assert_eq!(teller.later(1).ok(fired(TimerKind::CreatingIdle)), [Action::Delete]);
}

#[test]
fn a_parcel_that_does_not_come_closes_the_job_after_two_weeks_and_thirty_days() {
    let mut teller = Teller::of(import());
    teller.ok(Happening::Ship);
    let actions = teller.later(14).ok(fired(TimerKind::ShippingOverdue));
    assert!(
        told(&actions, &Notice::ShippingOverdue) && told(&actions, &Notice::DriveNeverReceived(id("D1")))
    );
    assert_eq!((teller.state(), teller.drive_state("D2")), (JobState::Shipping, DriveState::NeverReceived));
    assert_eq!(teller.later(29).ok(fired(TimerKind::NoReply)), []);
    assert!(told(&teller.later(1).ok(fired(TimerKind::NoReply)), &Notice::ClosedWithoutAnswer));
    assert_eq!(teller.state(), JobState::Closed);
    assert_eq!(teller.later(90).ok(fired(TimerKind::Retention)), [Action::Delete]);
}

#[test]
fn an_answer_in_the_thirty_days_begins_the_two_weeks_anew() {
    let mut teller = Teller::of(import());
    teller.ok(Happening::Ship);
    teller.later(14).ok(fired(TimerKind::ShippingOverdue));
    teller.later(20).ok(Happening::CustomerAnswered);
    assert_eq!(teller.timers(), [TimerKind::ShippingOverdue]);
    assert_eq!(teller.later(12).ok(fired(TimerKind::NoReply)), [], "a cleared timer does not fire");
    teller.received("D1");
    assert_eq!((teller.state(), teller.timers()), (JobState::Received, vec![]));
}

#[test]
fn a_parcel_that_nobody_unpacks_is_no_parcel_that_did_not_come() {
    let mut teller = Teller::of(import());
    teller.ok(Happening::Ship);
    teller.ok(parcel("T1"));
    assert!(told(&teller.later(14).ok(fired(TimerKind::ShippingOverdue)), &Notice::ParcelNotUnpacked));
    assert_eq!(teller.drive_state("D1"), DriveState::Specified);
    assert_eq!(teller.timers(), [TimerKind::ShippingOverdue]);
}

#[test]
fn a_drive_that_comes_late_is_copied_even_when_the_others_are_being_packed() {
    let mut teller = job_in(JobState::Packaging);
    teller.received("D2");
    assert_eq!(teller.state(), JobState::Transferring);
    teller.started("D2", "2").ok(ended("D2", DriveStatus::Completed));
    assert_eq!(teller.state(), JobState::Packaging);
    teller.packed("D1").packed("D2").ok(Happening::ReturnBooked(return_package(2)));
    assert_eq!(teller.state(), JobState::Completed);
}

#[test]
fn an_order_can_be_cancelled_and_deleted_as_recorded() {
    let mut teller = Teller::of(import());
    assert_eq!(teller.ok(Happening::Cancel), []);
    assert!(teller.job.cancel_requested && teller.state() == JobState::Creating);
    assert_eq!(teller.ok(Happening::Delete), [Action::Delete]);
}

#[test]
fn a_cancelled_job_stops_what_runs_copies_nothing_more_and_ends_completed() {
    let mut teller = job_in(JobState::Transferring);
    assert_eq!(teller.ok(Happening::Cancel), [Action::StopCopy { drive_id: id("D1") }]);
    assert_eq!(teller.state(), JobState::Transferring, "a bay still has its hands on D1");
    teller.refused(assigned("D2", "2"));
    teller.ok(Happening::DriveStopped { drive_id: id("D1") });
    assert_eq!(teller.state(), JobState::Packaging);
    assert_eq!(teller.job.drive(&id("D1")).unwrap().copy_status, Some(CopyStatus::Cancelled));
    teller.packed("D1").packed("D2").ok(Happening::ReturnBooked(return_package(2)));
    assert_eq!((teller.state(), teller.job.cancel_requested), (JobState::Completed, true));
}

#[test]
fn a_cancelled_job_does_not_wait_for_a_report_on_a_drive_that_no_bay_works_on() {
    let held = || Happening::DriveHeld { drive_id: id("D1"), reason: "credential".to_owned() };
    let shelved = || Happening::DriveReleased { drive_id: id("D1"), slot: None };
    let faulted = || Happening::DriveFaulted { drive_id: id("D1"), reason: "clicks".to_owned() };
    let put_back = || Happening::DrivePutBack { drive_id: id("D1") };
    for events in [
        vec![held(), Happening::Cancel],
        vec![Happening::Cancel, held()],
        vec![shelved(), Happening::Cancel],
        vec![Happening::Cancel, shelved()],
    ] {
        let mut teller = job_in(JobState::Transferring);
        let told = format!("{events:?}");
        events.into_iter().for_each(|event| drop(teller.ok(event)));
        assert_eq!(teller.state(), JobState::Packaging, "{told}");
        assert_eq!(teller.job.drive(&id("D1")).unwrap().copy_status, Some(CopyStatus::Cancelled));
        teller.ok(Happening::DriveStopped { drive_id: id("D1") });
        assert_eq!(teller.state(), JobState::Packaging, "a late report is a repetition");
    }
    // Two are begun, so that the job waits for D2 while D1 is put back.
    let mut teller = job_in(JobState::Transferring);
    teller.started("D2", "2");
    for event in [faulted(), Happening::Cancel, put_back()] {
        teller.ok(event);
    }
    assert_eq!(teller.job.drive(&id("D1")).unwrap().copy_status, Some(CopyStatus::Cancelled));
    assert_eq!(teller.state(), JobState::Transferring, "D2 is still in a bay's hands");
    teller.ok(Happening::DriveStopped { drive_id: id("D2") });
    assert_eq!(teller.state(), JobState::Packaging);
}

#[test]
fn an_unsupported_drive_goes_back_and_the_rest_is_processed() {
    let mut teller = job_in(JobState::Received);
    teller.ok(Happening::DriveUnsupported { drive_id: id("D2") });
    assert_eq!(teller.state(), JobState::Received);
    teller.ok(Happening::DriveStarted { drive_id: id("D1") });
    teller.ok(ended("D1", DriveStatus::Completed));
    assert_eq!(teller.state(), JobState::Packaging);
    teller.packed("D1").packed("D2").ok(Happening::ReturnBooked(return_package(2)));
    assert_eq!(teller.state(), JobState::Closed);
}

#[test]
fn an_extra_drive_goes_back_with_the_jobs_own() {
    let mut teller = job_in(JobState::Transferring);
    teller.ok(extra("X1"));
    teller.ok(ended("D1", DriveStatus::Completed));
    teller.started("D2", "2").ok(ended("D2", DriveStatus::Completed));
    teller.packed("D1").packed("D2");
    let refusal = teller.refused(Happening::ReturnBooked(return_package(2)));
    assert_eq!(refusal.to_string(), "the box is incomplete: X1 (the shelf); pack them first");
    teller.packed("X1").ok(Happening::ReturnBooked(return_package(3)));
    assert_eq!(teller.state(), JobState::Completed);
}

#[test]
fn an_exports_drive_that_was_booked_as_an_extra_one_by_mistake_is_packed_once() {
    let mut teller = Teller::of(export());
    teller.ok(Happening::Ship);
    teller.ok(parcel("T1"));
    teller.ok(extra("E1"));
    teller.received("E1");
    assert_eq!(teller.job.extra_drives, []);
    teller.ok(unpacked("T1", None));
    teller.started("E1", "1").ok(ended("E1", DriveStatus::Completed));
    teller.packed("E1").ok(Happening::ReturnBooked(return_package(1)));
    assert_eq!(teller.state(), JobState::Completed);
}

#[test]
fn an_extra_drive_that_is_another_jobs_does_not_go_back_with_this_one() {
    let moved = || Happening::ExtraDriveMoved { drive_id: id("X1") };
    let mut teller = job_in(JobState::Packaging);
    teller.ok(extra("X1"));
    teller.packed("D1").ok(moved());
    assert!(matches!(teller.refused(moved()), Refusal::UnknownDrive { .. }));
    teller.ok(Happening::ReturnBooked(return_package(1)));
    assert!(teller.state().is_over());

    let mut teller = Teller::of(import());
    teller.ok(Happening::Ship);
    teller.ok(parcel("T1"));
    teller.ok(extra("X1"));
    teller.ok(unpacked("T1", Some("wrong drive in the parcel")));
    teller.ok(Happening::ReturnImpossible { reason: "no such address".to_owned() });
    teller.ok(moved());
    assert_eq!(teller.state(), JobState::Shipping, "nothing of it has come");
    assert_eq!(teller.timers(), [TimerKind::ShippingOverdue]);
}

#[test]
fn a_parcel_with_nothing_but_a_wrong_drive_goes_back() {
    let mut teller = Teller::of(import());
    teller.ok(Happening::Ship);
    teller.ok(parcel("T1"));
    teller.ok(extra("X1"));
    teller.ok(unpacked("T1", Some("wrong drive in the parcel")));
    assert_eq!(teller.state(), JobState::Packaging);
    teller.packed("X1").ok(Happening::ReturnBooked(return_package(1)));
    assert_eq!(teller.state(), JobState::Closed);
}

#[test]
fn an_exports_drives_are_listed_as_they_come() {
    let mut teller = Teller::of(export());
    assert_eq!(teller.job.drives, []);
    teller.ok(Happening::Ship);
    teller.ok(parcel("T1"));
    teller.received("E1").received("E2");
    assert_eq!((teller.state(), teller.drive_state("E1")), (JobState::Shipping, DriveState::Received));
    teller.ok(unpacked("T1", None));
    assert_eq!(teller.state(), JobState::Received);
    teller.started("E1", "1").ok(Happening::ExportIncomplete { uri: "u".to_owned() });
    teller.ok(ended("E1", DriveStatus::Completed));
    teller.started("E2", "2").ok(ended("E2", DriveStatus::Completed));
    teller.packed("E1").packed("E2").ok(Happening::ReturnBooked(return_package(2)));
    assert_eq!(teller.state(), JobState::Closed, "what did not fit is an error");
}

#[test]
fn a_parcel_of_no_drives_announces_nothing() {
    let package = DeliveryPackage { drive_count: Some(0), ..delivery("T1") };
    let mut teller = Teller::of(NewJob { delivery_package: Some(package), ..export() });
    teller.ok(Happening::Ship);
    teller.ok(parcel("T1"));
    teller.received("E1");
    assert_eq!(teller.state(), JobState::Shipping, "more may be in the parcel");
    teller.ok(unpacked("T1", None));
    assert_eq!(teller.state(), JobState::Received);
}

#[test]
fn an_announced_export_is_received_when_as_many_drives_are_here() {
    let package = DeliveryPackage { drive_count: Some(2), ..delivery("T1") };
    let mut teller = Teller::of(NewJob { delivery_package: Some(package), ..export() });
    teller.ok(Happening::Ship);
    teller.received("E1");
    assert_eq!(teller.state(), JobState::Shipping);
    teller.received("E2");
    assert_eq!(teller.state(), JobState::Received);
    let refusal = {
        teller.received("E3").started("E1", "1");
        teller.refused(received("E4"))
    };
    assert!(matches!(refusal, Refusal::UnknownDrive { .. }), "the plan is made: {refusal}");
}

#[test]
fn exports_whose_number_nobody_announced_go_on_after_two_weeks() {
    let mut teller = Teller::of(export());
    teller.ok(Happening::Ship);
    teller.received("E1");
    teller.later(14).ok(fired(TimerKind::ShippingOverdue));
    assert_eq!((teller.state(), teller.timers()), (JobState::Received, vec![]));
}

#[test]
fn a_faulted_job_keeps_recording_and_is_put_back_where_its_drives_say() {
    let mut teller = job_in(JobState::Faulted);
    teller.ok(Happening::DriveProgress { drive_id: id("D1"), percent: 40, bytes_succeeded: 4 });
    teller.ok(ended("D1", DriveStatus::Completed));
    teller.ok(Happening::DriveUnsupported { drive_id: id("D2") });
    assert_eq!(teller.state(), JobState::Faulted);
    teller.refused(Happening::JobPutBack { to: JobState::Transferring });
    teller.ok(Happening::JobPutBack { to: JobState::Packaging });
    assert_eq!((teller.state(), teller.job.fault.clone()), (JobState::Packaging, None));
}

#[test]
fn a_job_of_another_site_is_faulted_and_closed_when_nothing_of_it_is_here() {
    let mut teller = Teller::of(import());
    teller.ok(Happening::Ship);
    teller.ok(Happening::JobFaulted { reason: "sent to the wrong site".to_owned() });
    assert_eq!(teller.timers(), []);
    teller.ok(Happening::JobPutBack { to: JobState::Closed });
    assert_eq!(teller.timers(), [TimerKind::Retention]);
}

#[test]
fn a_faulty_drive_is_shown_where_it_was_and_goes_on_or_is_given_up() {
    let mut teller = job_in(JobState::Transferring);
    let fault = || Happening::DriveFaulted { drive_id: id("D1"), reason: "clicks".to_owned() };
    assert!(teller.ok(fault()).contains(&Action::StopCopy { drive_id: id("D1") }));
    assert_eq!(teller.job.drive(&id("D1")).unwrap().shown_state(), DriveState::Transferring);
    let actions = teller.ok(Happening::DrivePutBack { drive_id: id("D1") });
    assert_eq!(actions, [Action::DriveReady { drive_id: id("D1") }]);
    teller.ok(fault());
    teller.ok(ended("D1", DriveStatus::DiskOperationFailed));
    assert_eq!(teller.drive_state("D1"), DriveState::CompletedMoreInfo);
    assert_eq!(teller.job.drive(&id("D1")).unwrap().fault, None);
}

#[test]
fn a_drive_on_hold_stops_and_goes_on_when_it_is_resumed() {
    let mut teller = job_in(JobState::Transferring);
    let held = teller.ok(Happening::DriveHeld { drive_id: id("D1"), reason: "credential".to_owned() });
    assert_eq!(held, [Action::StopCopy { drive_id: id("D1") }]);
    teller.refused(Happening::DriveStarted { drive_id: id("D1") });
    let resumed = teller.ok(Happening::DriveResumed { drive_id: id("D1") });
    assert_eq!(resumed, [Action::DriveReady { drive_id: id("D1") }]);
}

#[test]
fn a_drive_that_is_held_in_its_box_keeps_the_parcel_here_until_it_is_resumed() {
    let mut teller = job_in(JobState::Packaging);
    teller.packed("D1");
    teller.ok(Happening::DriveHeld { drive_id: id("D1"), reason: "dispute, do not send".to_owned() });
    let refusal = teller.refused(Happening::ReturnBooked(return_package(1)));
    assert_eq!(refusal.to_string(), "drive D1 is on hold (dispute, do not send): resume it first");
    teller.ok(Happening::DriveResumed { drive_id: id("D1") });
    teller.ok(Happening::ReturnBooked(return_package(1)));
    assert!(teller.state().is_over());
}

#[test]
fn a_drive_pulled_from_one_bay_goes_on_in_another() {
    let mut teller = job_in(JobState::Transferring);
    let stop = Action::StopCopy { drive_id: id("D1") };
    let ready = Action::DriveReady { drive_id: id("D1") };
    assert_eq!(teller.ok(assigned("D1", "7")), [stop.clone(), ready]);
    assert_eq!(teller.ok(assigned("D1", "7")), []);
    assert_eq!(
        teller.ok(Happening::DriveReleased { drive_id: id("D1"), slot: Some("4".to_owned()) }),
        [stop]
    );
    teller.started("D1", "1");
}

#[test]
fn a_parcel_of_an_order_never_shipped_waits_two_weeks_then_ninety_days() {
    let mut teller = Teller::of(import());
    assert!(told(&teller.ok(parcel("T1")), &Notice::ParcelBeforeShipping));
    assert!(told(&teller.later(14).ok(fired(TimerKind::CreatingIdle)), &Notice::ReturnUnclaimedParcel));
    assert_eq!(teller.timers(), [TimerKind::Undeliverable]);
    teller.refused(Happening::DrivesDestroyed);
    assert!(told(&teller.later(90).ok(fired(TimerKind::Undeliverable)), &Notice::DrivesMayBeDestroyed));
    teller.ok(Happening::DrivesDestroyed);
    assert_eq!((teller.state(), teller.timers()), (JobState::Closed, vec![TimerKind::Retention]));
}

#[test]
fn an_unclaimed_parcel_that_went_back_leaves_the_order_to_lapse() {
    let mut teller = Teller::of(import());
    teller.ok(parcel("T1"));
    teller.later(14).ok(fired(TimerKind::CreatingIdle));
    teller.ok(Happening::ParcelReturned { tracking_number: "t1".to_owned() });
    assert_eq!(teller.later(14).ok(fired(TimerKind::CreatingIdle)), [Action::Delete]);
}

#[test]
fn drives_without_a_way_back_wait_ninety_days_for_a_better_address() {
    let mut teller = job_in(JobState::Packaging);
    let gone = || Happening::ReturnImpossible { reason: "no such street".to_owned() };
    assert!(told(&teller.ok(gone()), &Notice::AddressNeeded));
    let better = ReturnAddress { city: "Port".to_owned(), ..address() };
    let update = Update { return_address: Some(better), ..Update::default() };
    let update = update.accept(&teller.job, &facts()).unwrap();
    teller.ok(Happening::Update(Box::new(update)));
    assert_eq!((teller.job.undeliverable.clone(), teller.timers()), (None, vec![]));
    teller.ok(gone());
    teller.later(90).ok(fired(TimerKind::Undeliverable));
    teller.ok(Happening::DrivesDestroyed);
    assert_eq!(teller.state(), JobState::Closed);
    assert_eq!(teller.job.drive(&id("D1")).unwrap().place, Place::Destroyed);
}

#[test]
fn a_tracking_number_alone_does_not_ship_a_job() {
    let mut teller = Teller::of(NewJob { delivery_package: None, ..import() });
    let update = Update { delivery_package: Some(delivery("T2")), ..Update::default() };
    let update = update.accept(&teller.job, &facts()).unwrap();
    teller.ok(Happening::Update(Box::new(update)));
    assert_eq!(teller.state(), JobState::Creating);
    teller.ok(Happening::Ship);
    assert_eq!(teller.ok(Happening::Ship), [], "again is harmless");
}

#[test]
fn what_was_done_already_is_answered_with_nothing_to_do() {
    let mut teller = job_in(JobState::Packaging);
    let before = teller.job.clone();
    for what in [parcel("T1"), received("D1"), ended("D1", DriveStatus::Completed)] {
        assert_eq!(teller.ok(what), []);
    }
    assert_eq!(teller.job, before);
    teller.packed("D1").packed("D1").ok(Happening::ReturnBooked(return_package(1)));
    assert_eq!(teller.ok(Happening::ReturnBooked(return_package(1))), []);
}

#[test]
fn a_list_that_says_nothing_new_is_let_pass_and_a_new_one_is_not() {
    let mut teller = job_in(JobState::Shipping);
    let list = |serials: &[&str], key_given| {
        let drives = serials.iter().map(|serial| NewDrive { key_given, ..new_drive(serial) }).collect();
        Update { drives: Some(drives), ..Update::default() }
    };
    let kept = Facts { keys_kept: [id("D1"), id("D2")].into(), ..facts() };
    let same = list(&["D1", "D2"], false).accept(&teller.job, &kept).unwrap();
    teller.ok(Happening::Update(Box::new(same)));
    for update in [list(&["D1"], false), list(&["D1", "D2"], true)] {
        let update = update.accept(&teller.job, &kept).unwrap();
        let refusal = teller.refused(Happening::Update(Box::new(update)));
        assert!(matches!(refusal, Refusal::FieldFixed { field: "properties.driveList", .. }));
    }
}

#[test]
fn a_job_is_stored_and_read_back_the_same() {
    for state in JobState::ALL {
        let job = job_in(*state).job;
        let text = serde_json::to_string(&job).unwrap();
        assert_eq!(serde_json::from_str::<Job>(&text).unwrap(), job);
        assert!(serde_json::from_str::<Job>(&text.replacen('{', "{\"later\":1,", 1)).is_err());
    }
}

#[test]
fn what_a_crash_left_undone_is_told_again() {
    let ready = |serial: &str| Action::DriveReady { drive_id: id(serial) };
    let mut teller = job_in(JobState::Transferring);
    teller.ok(assigned("D2", "2"));
    assert_eq!(teller.job.standing_actions(), [ready("D1"), ready("D2")]);
    teller.ok(Happening::DriveHeld { drive_id: id("D2"), reason: "why".to_owned() });
    assert_eq!(teller.job.standing_actions(), [ready("D1")], "what never ran need not stop");
    teller.ok(Happening::Cancel);
    assert_eq!(teller.job.standing_actions(), [Action::StopCopy { drive_id: id("D1") }]);
    teller.ok(Happening::DriveStopped { drive_id: id("D1") });
    assert_eq!(teller.job.standing_actions(), []);
}

#[test]
fn a_drive_that_is_scanned_at_another_station_is_there_now_and_goes_on() {
    let mut teller = job_in(JobState::Transferring);
    let south = || Happening::DriveReceived { drive_id: id("D1"), station: "south".to_owned(), slot: None };
    assert_eq!(teller.ok(south()), [Action::StopCopy { drive_id: id("D1") }]);
    assert_eq!(teller.ok(south()), []);
    let drive = teller.job.drive(&id("D1")).unwrap();
    assert_eq!((drive.state, drive.place.station()), (DriveState::Transferring, Some("south")));
}
