//! Every refusal has a way to it, and a sentence that says what to do.

use super::*;
use std::collections::BTreeSet;

/// A refusal's name; a new one does not compile without it, and fails without its example.
pub(super) fn name(refusal: &Refusal) -> &'static str {
    match refusal {
        Refusal::State { .. } => "State",
        Refusal::DriveState { .. } => "DriveState",
        Refusal::UnknownDrive { .. } => "UnknownDrive",
        Refusal::UnknownParcel { .. } => "UnknownParcel",
        Refusal::Held { .. } => "Held",
        Refusal::NotInBay { .. } => "NotInBay",
        Refusal::BayTaken { .. } => "BayTaken",
        Refusal::Cancelled { .. } => "Cancelled",
        Refusal::ShipIncomplete { .. } => "ShipIncomplete",
        Refusal::ReturnShippingMissing => "ReturnShippingMissing",
        Refusal::FieldFixed { .. } => "FieldFixed",
        Refusal::Immutable { .. } => "Immutable",
        Refusal::KeyGoesBack => "KeyGoesBack",
        Refusal::DrivesHere => "DrivesHere",
        Refusal::ShortfallUnexplained { .. } => "ShortfallUnexplained",
        Refusal::ExtraIsListed { .. } => "ExtraIsListed",
        Refusal::TooManyDrives { .. } => "TooManyDrives",
        Refusal::NotHere { .. } => "NotHere",
        Refusal::BoxIncomplete { .. } => "BoxIncomplete",
        Refusal::CountDiffers { .. } => "CountDiffers",
        Refusal::ReturnIncomplete { .. } => "ReturnIncomplete",
        Refusal::AlreadyReturned { .. } => "AlreadyReturned",
        Refusal::ExportOnly { .. } => "ExportOnly",
        Refusal::Percent { .. } => "Percent",
        Refusal::EndedOtherwise { .. } => "EndedOtherwise",
        Refusal::WrongPutBack { .. } => "WrongPutBack",
        Refusal::NotToBeDestroyed => "NotToBeDestroyed",
        Refusal::Text { .. } => "Text",
        Refusal::Full { .. } => "Full",
        Refusal::ReasonMissing { .. } => "ReasonMissing",
    }
}

/// Where the job is, what is asked, and what it answers.
type Example = (Teller, Happening, &'static str);

fn examples() -> Vec<Example> {
    let mut all = on_the_way_in();
    all.extend(on_the_way_out());
    all
}

fn on_the_way_in() -> Vec<Example> {
    let why = || String::from("why");
    let update = |job: &Job, update: Update| {
        Happening::Update(Box::new(update.accept(job, &Facts { customer_keys: true, ..facts() }).unwrap()))
    };
    let replace = |new: NewJob| Happening::Replace(Box::new(new.accept(&facts()).unwrap()));
    let mut held = job_in(JobState::Received);
    held.ok(Happening::DriveHeld { drive_id: id("D1"), reason: why() });
    let mut cancelled = job_in(JobState::Transferring);
    cancelled.ok(Happening::Cancel);
    let mut customers_key = Teller::of(import());
    let key = EncryptionKey {
        kek_type: KekType::CustomerManaged,
        kek_url: Some("https://vault/keys/k".to_owned()),
        kek_vault_resource_id: Some("/subscriptions/S".to_owned()),
    };
    let gives_key = Update { encryption_key: Some(key), ..Update::default() };
    let gives_key = update(&customers_key.job, gives_key);
    customers_key.ok(gives_key);
    let back = Update { encryption_key: Some(EncryptionKey::default()), ..Update::default() };
    let goes_back = update(&customers_key.job, back);
    let carrier = ReturnShipping { carrier_name: "DHL".to_owned(), carrier_account_number: "2".to_owned() };
    let other_carrier = Update { return_shipping: Some(carrier), ..Update::default() };
    let other_carrier = update(&job_in(JobState::Packaging).job, other_carrier);
    let mut no_shipping = boxed_without_shipping();
    no_shipping.packed("D1");

    vec![
        (job_in(JobState::Creating), received("D1"), "State"),
        (job_in(JobState::Transferring), Happening::DriveUnsupported { drive_id: id("D1") }, "DriveState"),
        (job_in(JobState::Shipping), received("D9"), "UnknownDrive"),
        (job_in(JobState::Shipping), unpacked("T9", None), "UnknownParcel"),
        (held, Happening::DriveStarted { drive_id: id("D1") }, "Held"),
        (job_in(JobState::Received), Happening::DriveStarted { drive_id: id("D2") }, "NotInBay"),
        (job_in(JobState::Received), assigned("D2", "1"), "BayTaken"),
        (cancelled, assigned("D2", "2"), "Cancelled"),
        (Teller::of(NewJob { delivery_package: None, ..import() }), Happening::Ship, "ShipIncomplete"),
        (no_shipping, Happening::ReturnBooked(return_package(1)), "ReturnShippingMissing"),
        (job_in(JobState::Packaging), other_carrier, "FieldFixed"),
        (Teller::of(import()), replace(export()), "Immutable"),
        (customers_key, goes_back, "KeyGoesBack"),
    ]
}

fn on_the_way_out() -> Vec<Example> {
    let why = || String::from("why");
    let mut parcel_first = Teller::of(import());
    parcel_first.ok(parcel("T1"));
    let mut full = Teller::of(export());
    full.ok(Happening::Ship);
    (0..DRIVES_MAX).for_each(|n| {
        full.received(&format!("E{n}"));
    });
    let mut many_extras = job_in(JobState::Shipping);
    (0..RECORDS_MAX).for_each(|n| drop(many_extras.ok(extra(&format!("X{n}")))));
    let mut boxed = job_in(JobState::Packaging);
    boxed.packed("D1");

    vec![
        (parcel_first, Happening::Delete, "DrivesHere"),
        (job_in(JobState::Shipping), unpacked("T1", Some(" ")), "ShortfallUnexplained"),
        (job_in(JobState::Shipping), extra("D2"), "ExtraIsListed"),
        (full, received("E10"), "TooManyDrives"),
        (job_in(JobState::Shipping), Happening::DriveHeld { drive_id: id("D2"), reason: why() }, "NotHere"),
        (job_in(JobState::Packaging), Happening::ReturnBooked(return_package(1)), "BoxIncomplete"),
        (boxed, Happening::ReturnBooked(return_package(2)), "CountDiffers"),
        (
            job_in(JobState::Packaging),
            Happening::ReturnBooked(ReturnPackage { ship_date: " ".to_owned(), ..return_package(1) }),
            "ReturnIncomplete",
        ),
        (job_in(JobState::Completed), Happening::ReturnBooked(return_package(1)), "AlreadyReturned"),
        (job_in(JobState::Transferring), Happening::ExportIncomplete { uri: why() }, "ExportOnly"),
        (
            job_in(JobState::Transferring),
            Happening::DriveProgress { drive_id: id("D1"), percent: 101, bytes_succeeded: 0 },
            "Percent",
        ),
        (twice_ended(), ended("D1", DriveStatus::ManifestNotFound), "EndedOtherwise"),
        (job_in(JobState::Faulted), Happening::JobPutBack { to: JobState::Packaging }, "WrongPutBack"),
        (job_in(JobState::Packaging), Happening::DrivesDestroyed, "NotToBeDestroyed"),
        (job_in(JobState::Shipping), Happening::JobFaulted { reason: String::new() }, "ReasonMissing"),
        (
            job_in(JobState::Packaging),
            Happening::DrivePacked { drive_id: id("D1"), label: " ".to_owned() },
            "Text",
        ),
        (many_extras, extra("X100"), "Full"),
    ]
}

/// A job whose order was made before carrier accounts were asked for.
fn boxed_without_shipping() -> Teller {
    let mut teller = job_in(JobState::Packaging);
    teller.job.return_shipping = None;
    teller
}

fn twice_ended() -> Teller {
    let mut teller = job_in(JobState::Transferring);
    teller.ok(ended("D1", DriveStatus::Completed));
    teller
}

#[test]
fn every_refusal_has_an_example_and_says_what_to_do() {
    let mut seen = BTreeSet::new();
    for (mut teller, what, expected) in examples() {
        let refusal = teller.refused(what);
        assert_eq!(name(&refusal), expected, "{refusal}");
        let text = refusal.to_string();
        let advice = text.rsplit([':', ';']).next().unwrap_or_default();
        assert!(text.contains([':', ';']) && advice.split_whitespace().count() > 1, "no advice: {text}");
        let _ = refusal.kind();
        seen.insert(expected);
    }
    // As many as `name` has arms: raise it with the enum.
    assert_eq!(seen.len(), 30);
}

#[test]
fn every_state_that_refuses_an_event_says_what_to_do() {
    for event in EventName::ALL {
        for state in JobState::ALL {
            let teller = job_in(*state);
            if !teller.job.takes(*event) {
                assert!(state_advice(*event, *state).split_whitespace().count() > 3, "{event:?} {state}");
            }
        }
    }
}

#[test]
fn what_was_typed_is_one_line_of_bounded_length() {
    for reason in ["x".repeat(1_025), "two\nlines".to_owned()] {
        let refusal = job_in(JobState::Shipping).refused(Happening::JobFaulted { reason });
        assert_eq!(refusal, Refusal::Text { event: EventName::JobFaulted });
    }
}
