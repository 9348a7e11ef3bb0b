//! From the order to the parcel back, and what the desk is told when something does not fit.

use std::sync::Arc;

use jobs::{ChangeError, Changes, DeskError, Listing, ThreeWay};
use ledger::{IdempotentReply, JobScope, StoredReply};
use model::job::{DriveState, Happening, JobState, Notice, Place, ProblemCode, Refusal, RunLogs, Update};
use model::status::DriveStatus;

use super::house::*;

#[tokio::test]
async fn an_import_goes_from_the_order_to_the_parcel_back() {
    let house = House::new().await;
    let jobs = house.jobs();
    let stored = arrived(&jobs, "a", &["D1", "D2"]).await;
    assert_eq!(stored.job.state, JobState::Received);
    assert_eq!(stored.job.shipping_information.recipient_name, "West US");
    for (serial, slot) in [("D1", "1"), ("D2", "2")] {
        jobs.assign(&clerk(), &seen(serial, slot)).await.unwrap();
        jobs.drive_started(&bay(), &key("a"), &id(serial), None).await.unwrap();
        jobs.drive_progress(&bay(), &key("a"), &id(serial), (40, 4), None).await.unwrap();
        let end = (DriveStatus::Completed, 10, RunLogs::default());
        jobs.drive_ended(&bay(), &key("a"), &id(serial), end, None).await.unwrap();
        jobs.release(&clerk(), &key("a"), &id(serial), Some("4".to_owned())).await.unwrap();
    }
    assert_eq!(house.heard.take(), ["ready D1", "ready D2"]);
    jobs.pack(&clerk(), &key("a"), &id("D1"), "K-1").await.unwrap();
    let refused = jobs.ship(&clerk(), &key("a"), parcel_back(2)).await.unwrap_err();
    assert_eq!(refused.to_string(), "the box is incomplete: D2 (shelf slot 4); pack them first");
    jobs.pack(&clerk(), &key("a"), &id("D2"), "K-1").await.unwrap();
    let done = jobs.ship(&clerk(), &key("a"), parcel_back(2)).await.unwrap();
    assert_eq!((done.job.state, done.job.percent_complete), (JobState::Completed, 100));

    let custody = house.custody(&key("a")).await;
    assert_eq!(custody.first().unwrap(), "token:customer job.created");
    let last = ["oidc:clerk job.returned", "oidc:clerk drive.returned D1", "oidc:clerk drive.returned D2"];
    assert_eq!(custody.get(custody.len() - 3..).unwrap(), last, "which drives left the house");
    assert!(custody.contains(&"service:bays drive.ended D2".to_owned()));
    assert!(!custody.iter().any(|entry| entry.contains("progress")));
    let events = house.ledger.events(0, 1_000).await.unwrap();
    assert!(
        events
            .iter()
            .any(|event| event.draft.kind == "drive.progress" && event.draft.bay.as_deref() == Some("1"))
    );
    let states: Vec<_> = events.iter().filter(|event| event.draft.kind == "job.state").collect();
    assert_eq!(states.len(), 5, "Shipping, Received, Transferring, Packaging, Completed");
}

#[tokio::test]
async fn scanning_a_parcel_twice_says_where_it_is_and_changes_nothing() {
    let house = House::new().await;
    let jobs = house.jobs();
    shipped(&jobs, "a", &["D1"]).await;
    let first = jobs.receive_package(&clerk(), "t-A", Some("dented".to_owned())).await.unwrap();
    assert_eq!(first[0].before, None);
    house.later(1);
    let again = jobs.receive_package(&clerk(), "T-a", None).await.unwrap();
    assert_eq!(again[0].before.as_ref().unwrap().received_unix_ms, DAY_MS);
    assert_eq!(again[0].stored, first[0].stored);
    let drive = jobs.scan(&clerk(), &id("D1"), None, Some("7".to_owned())).await.unwrap();
    let same = jobs.scan(&clerk(), &id("D1"), None, None).await.unwrap();
    assert_eq!(same, drive);
    assert!(matches!(&same.job.drives[0].place, Place::Shelf { slot: Some(slot), .. } if slot == "7"));
}

#[tokio::test]
async fn one_parcel_of_several_jobs_is_booked_for_all_of_them() {
    let house = House::new().await;
    let jobs = house.jobs();
    for (name, serial, number) in [("a", "D1", "777-1"), ("b", "D2", "777-2")] {
        let new = model::job::NewJob { delivery_package: Some(delivery(number)), ..import(name, &[serial]) };
        jobs.create(&customer(), new, passwords(&[serial])).await.unwrap();
        jobs.update(&customer(), &key(name), ship()).await.unwrap();
    }
    let arrived = jobs.receive_package(&clerk(), "777", None).await.unwrap();
    assert_eq!(
        arrived.iter().map(|found| found.stored.job.key.name.as_str()).collect::<Vec<_>>(),
        ["a", "b"]
    );
    let kept = jobs.receive_package(&answer("777"), "777", None).await.unwrap();
    assert_eq!(kept.len(), 2, "an answer is kept once for both");
    let again = jobs.receive_package(&clerk(), "777", None).await.unwrap();
    assert!(again.iter().all(|found| found.before.is_some()) && again.len() == 2);
    let unknown = jobs.receive_package(&clerk(), "778", None).await.unwrap_err();
    assert!(matches!(unknown, DeskError::UnknownParcel { .. }), "{unknown}");
}

#[tokio::test]
async fn a_parcel_of_another_site_is_not_booked() {
    let house = House::new().await;
    let jobs = house.jobs();
    let new = model::job::NewJob { location: "eastus".to_owned(), ..import("a", &["D1"]) };
    jobs.create(&customer(), new, passwords(&["D1"])).await.unwrap();
    jobs.update(&customer(), &key("a"), ship()).await.unwrap();
    for refused in [
        jobs.receive_package(&clerk(), "T-a", None).await.unwrap_err(),
        jobs.scan(&clerk(), &id("D1"), None, None).await.unwrap_err(),
    ] {
        assert!(matches!(refused, DeskError::OtherSite { .. }), "{refused}");
    }
    assert_eq!(jobs.get(&key("a")).await.unwrap().unwrap().job.parcels, []);
}

#[tokio::test]
async fn another_sites_job_with_that_number_does_not_keep_this_sites_parcel_out() {
    let house = House::new().await;
    let jobs = house.jobs();
    for (name, serial, number, location) in
        [("a", "D1", "777-1", "westus"), ("b", "D2", "777-2", "eastus"), ("c", "D3", "778", "eastus")]
    {
        let new = model::job::NewJob {
            delivery_package: Some(delivery(number)),
            location: location.to_owned(),
            ..import(name, &[serial])
        };
        jobs.create(&customer(), new, passwords(&[serial])).await.unwrap();
        jobs.update(&customer(), &key(name), ship()).await.unwrap();
    }
    let arrived = jobs.receive_package(&clerk(), "777", None).await.unwrap();
    assert_eq!(arrived.len(), 1);
    assert_eq!(arrived[0].stored.job.key, key("a"));
    assert_eq!(jobs.get(&key("b")).await.unwrap().unwrap().job.parcels, []);
    let refused = jobs.receive_package(&clerk(), "778", None).await.unwrap_err();
    assert!(matches!(refused, DeskError::OtherSite { .. }), "{refused}");
}

#[tokio::test]
async fn a_number_of_another_subscriptions_parcel_is_taken_with_any_suffix() {
    let house = House::new().await;
    let jobs = house.jobs();
    let order = |subscription: &str, name: &str, number: &str| model::job::NewJob {
        key: model::job::JobKey::new(subscription, "Group", name),
        delivery_package: Some(delivery(number)),
        ..import(name, &[&format!("D-{name}")])
    };
    let put = async |new: model::job::NewJob| {
        let serials = new.drives[0].drive_id.clone();
        match jobs.create(&customer(), new, passwords(&[&serials])).await {
            Ok(_) => true,
            Err(ChangeError::Invalid(problems)) => {
                assert_eq!(problems[0].target, "properties.deliveryPackage.trackingNumber");
                false
            }
            Err(error) => panic!("{error}"),
        }
    };
    assert!(put(order("Sub-1", "a", "777")).await);
    for number in ["777", "777-1", "777-9", "7 77 - 2"] {
        assert!(!put(order("Sub-2", "b", number)).await, "{number}");
    }
    assert!(put(order("sub-1", "c", "777-1")).await, "several jobs of one customer in one parcel");
    assert!(!put(order("sub-1", "d", "777-1")).await, "but each with its own number");
    assert!(put(order("Sub-2", "e", "777-10")).await, "that is no suffix");
    assert!(put(order("Sub-2", "f", "778-1")).await);
    assert!(!put(order("Sub-1", "g", "778")).await, "the other way round, too");
}

#[tokio::test]
async fn a_drive_goes_into_a_bay_only_when_label_device_and_bay_agree() {
    let house = House::new().await;
    let jobs = house.jobs();
    arrived(&jobs, "a", &["D1"]).await;
    arrived(&jobs, "b", &["D2"]).await;
    let wrong = ThreeWay { label: id("D1"), device: id("D2"), bay: "3".to_owned() };
    let refused = jobs.assign(&clerk(), &wrong).await.unwrap_err().to_string();
    assert!(refused.contains("label D1, device D2, bay 3"), "{refused}");
    jobs.assign(&clerk(), &seen("D1", "3")).await.unwrap();
    let refused = jobs.assign(&clerk(), &seen("D2", "3")).await.unwrap_err();
    assert!(matches!(refused, DeskError::BayTaken { .. }), "of another job, too: {refused}");
    let refused = jobs.assign(&clerk(), &seen("D9", "4")).await.unwrap_err();
    assert!(matches!(refused, DeskError::UnknownDrive { .. }), "{refused}");
    jobs.assign(&clerk(), &seen("D1", "3")).await.unwrap();
    assert_eq!(house.heard.take(), ["ready D1"], "the second time nothing was new");
}

#[tokio::test]
async fn a_drive_is_booked_and_packed_with_its_own_job_only() {
    let house = House::new().await;
    let jobs = house.jobs();
    shipped(&jobs, "a", &["D1"]).await;
    arrived(&jobs, "b", &["D2"]).await;
    let refused = jobs.scan(&clerk(), &id("D1"), Some(&key("b")), None).await.unwrap_err();
    assert!(matches!(&refused, DeskError::OtherJob { other, .. } if **other == key("a")), "{refused}");
    let refused = jobs.extra_drive(&clerk(), &key("b"), &id("D1"), None).await.unwrap_err();
    assert!(matches!(refused, DeskError::OtherJob { .. }), "{refused}");
    jobs.tell(&clerk(), &key("b"), Happening::DriveUnsupported { drive_id: id("D2") }).await.unwrap();
    let refused = jobs.pack(&clerk(), &key("b"), &id("D1"), "K-1").await.unwrap_err();
    assert!(refused.to_string().contains("put it into that job's box"), "{refused}");
}

#[tokio::test]
async fn a_box_has_the_drives_of_one_job_only() {
    let house = House::new().await;
    let jobs = house.jobs();
    for (name, serials) in [("a", ["D1", "D2"]), ("b", ["D3", "D4"])] {
        arrived(&jobs, name, &serials).await;
        for serial in serials {
            jobs.drive_unsupported(&clerk(), &key(name), &id(serial)).await.unwrap();
        }
    }
    jobs.pack(&clerk(), &key("a"), &id("D1"), "K-1").await.unwrap();
    let refused = jobs.pack(&clerk(), &key("b"), &id("D3"), "K-1").await.unwrap_err();
    assert!(
        matches!(&refused, DeskError::BoxTaken { label, other } if label == "K-1" && other.as_deref() == Some(&key("a"))),
        "{refused}"
    );
    jobs.pack(&clerk(), &key("b"), &id("D3"), "K-2").await.unwrap();
    jobs.pack(&clerk(), &key("a"), &id("D2"), "K-1").await.unwrap();
    jobs.ship(&clerk(), &key("a"), parcel_back(2)).await.unwrap();
    jobs.pack(&clerk(), &key("b"), &id("D4"), "K-1")
        .await
        .expect("that box has gone, its label may come again");
}

#[tokio::test]
async fn two_clerks_who_pack_into_one_box_at_once_do_not_both_succeed() {
    let house = House::new().await;
    let jobs = Arc::new(house.jobs());
    for (name, serial) in [("a", "D1"), ("b", "D2")] {
        arrived(&jobs, name, &[serial]).await;
        jobs.drive_unsupported(&clerk(), &key(name), &id(serial)).await.unwrap();
    }
    let pack = |name: &'static str, serial: &'static str| {
        let jobs = jobs.clone();
        tokio::spawn(async move { jobs.pack(&clerk(), &key(name), &id(serial), "K-1").await.is_ok() })
    };
    let (a, b) = (pack("a", "D1"), pack("b", "D2"));
    assert!(a.await.unwrap() != b.await.unwrap());
}

#[tokio::test]
async fn a_box_that_has_only_an_extra_drive_is_its_jobs_too() {
    let house = House::new().await;
    let jobs = house.jobs();
    for (name, serial) in [("a", "D1"), ("b", "D2")] {
        arrived(&jobs, name, &[serial]).await;
        jobs.drive_unsupported(&clerk(), &key(name), &id(serial)).await.unwrap();
    }
    jobs.extra_drive(&clerk(), &key("a"), &id("X1"), None).await.unwrap();
    jobs.pack(&clerk(), &key("a"), &id("X1"), "K-1").await.unwrap();
    let refused = jobs.pack(&clerk(), &key("b"), &id("D2"), "K-1").await.unwrap_err();
    assert!(matches!(refused, DeskError::BoxTaken { .. }), "{refused}");
}

#[tokio::test]
async fn an_extra_drive_for_which_its_customer_makes_a_job_is_booked_there_and_nowhere_else() {
    let house = House::new().await;
    let jobs = house.jobs();
    arrived(&jobs, "a", &["D1"]).await;
    jobs.extra_drive(&clerk(), &key("a"), &id("X1"), None).await.unwrap();
    assert_eq!(jobs.find_holder(&id("X1")).await.unwrap().unwrap().job.key, key("a"));
    arrived(&jobs, "c", &["D2"]).await;
    let refused = jobs.extra_drive(&clerk(), &key("c"), &id("X1"), None).await.unwrap_err();
    assert!(matches!(&refused, DeskError::OtherJob { other, .. } if **other == key("a")), "{refused}");

    jobs.create(&customer(), import("b", &["X1"]), passwords(&["X1"])).await.unwrap();
    let refused = jobs.scan(&clerk(), &id("X1"), None, None).await.unwrap_err();
    assert!(matches!(refused, DeskError::Change(ChangeError::Refused(_))), "not shipped: {refused}");
    let extra = |job: &model::job::Job| job.extra_drives.len();
    assert_eq!(extra(&jobs.get(&key("a")).await.unwrap().unwrap().job), 1, "so it is still the first job's");
    jobs.update(&customer(), &key("b"), ship()).await.unwrap();
    let job = jobs.scan(&clerk(), &id("X1"), None, None).await.unwrap().job;
    assert_eq!(job.drives[0].state, DriveState::Received);
    assert_eq!(extra(&jobs.get(&key("a")).await.unwrap().unwrap().job), 0);
    assert!(house.custody(&key("a")).await.contains(&"oidc:clerk drive.extra-moved X1".to_owned()));
}

#[tokio::test]
async fn another_customers_order_does_not_take_an_extra_drive_away() {
    let house = House::new().await;
    let jobs = house.jobs();
    arrived(&jobs, "a", &["D1"]).await;
    jobs.extra_drive(&clerk(), &key("a"), &id("X1"), None).await.unwrap();
    let other = model::job::JobKey::new("Sub-2", "Group", "b");
    let new = model::job::NewJob { key: other.clone(), ..import("b", &["X1"]) };
    jobs.create(&customer(), new, passwords(&["X1"])).await.unwrap();
    jobs.update(&customer(), &other, ship()).await.unwrap();
    let refused = jobs.scan(&clerk(), &id("X1"), None, None).await.unwrap_err();
    assert!(matches!(&refused, DeskError::OtherJob { other, .. } if **other == key("a")), "{refused}");
    jobs.extra_drive_moved(&clerk(), &key("a"), &id("X1")).await.unwrap();
    jobs.scan(&clerk(), &id("X1"), None, None).await.unwrap();
}

#[tokio::test]
async fn a_shortfall_needs_a_reason_and_the_customer_is_told() {
    let house = House::new().await;
    let jobs = house.jobs();
    shipped(&jobs, "a", &["D1", "D2"]).await;
    jobs.receive_package(&clerk(), "T-a", None).await.unwrap();
    jobs.scan(&clerk(), &id("D1"), None, None).await.unwrap();
    let refused = jobs.unpack(&clerk(), &key("a"), "T-a", None).await.unwrap_err();
    assert!(matches!(refused, ChangeError::Refused(Refusal::ShortfallUnexplained { .. })), "{refused}");
    let stored = jobs.unpack(&clerk(), &key("a"), "T-a", Some("empty sleeve".to_owned())).await.unwrap();
    assert_eq!(stored.job.drives[1].state, DriveState::NeverReceived);
    let last = ["oidc:clerk parcel.unpacked", "oidc:clerk drive.missing D2"];
    let custody = house.custody(&key("a")).await;
    assert_eq!(custody.get(custody.len() - 2..).unwrap(), last);
    let events = house.ledger.events(0, 1_000).await.unwrap();
    let notice = Notice::DriveNeverReceived(id("D2"));
    assert!(
        events
            .iter()
            .any(|event| event.draft.kind == "notice" && event.draft.body["notice"] == notice.as_str())
    );
}

#[tokio::test]
async fn a_wrong_order_is_told_everything_at_once_and_leaves_nothing() {
    let house = House::new().await;
    let jobs = house.jobs();
    jobs.create(&customer(), import("a", &["D1"]), passwords(&["D1"])).await.unwrap();
    let new = model::job::NewJob {
        location: "Atlantis".to_owned(),
        delivery_package: Some(delivery("T-a")),
        ..import("b", &["D1", "D2"])
    };
    let Err(ChangeError::Invalid(problems)) = jobs.create(&customer(), new, passwords(&["D1"])).await else {
        panic!("accepted")
    };
    let found: Vec<_> = problems.iter().map(|problem| (problem.target.as_str(), problem.code)).collect();
    let expected = [
        ("location", ProblemCode::Unknown),
        ("properties.deliveryPackage.trackingNumber", ProblemCode::InUse),
        ("properties.driveList[0].driveId", ProblemCode::InUse),
        ("properties.driveList[1].bitLockerKey", ProblemCode::Missing),
    ];
    assert_eq!(found, expected);
    assert_eq!(jobs.get(&key("b")).await.unwrap(), None);
    assert_eq!(house.custody(&key("b")).await, Vec::<String>::new());
}

#[tokio::test]
async fn a_put_on_a_job_in_creating_replaces_it_with_its_keys() {
    let house = House::new().await;
    let jobs = house.jobs();
    let first = jobs.create(&customer(), import("a", &["D1", "D2"]), passwords(&["D1", "D2"])).await.unwrap();
    assert!(first.is_new);
    let second = jobs.create(&customer(), import("A", &["D2", "D3"]), passwords(&["D3"])).await.unwrap();
    assert!(!second.is_new && second.stored.job.key.name == "a", "kept as it was first spelled");
    let kept: Vec<bool> = {
        let mut kept = Vec::new();
        for serial in ["D1", "D2", "D3"] {
            let name = jobs::password_name(&key("a"), &id(serial));
            kept.push(house.ledger.secret(&name).await.unwrap().is_some());
        }
        kept
    };
    assert_eq!(kept, [false, true, true], "D1's went with it, D2's was kept without being sent again");
    jobs.update(&customer(), &key("a"), ship()).await.unwrap();
    let refused = jobs.create(&customer(), import("a", &["D2"]), passwords(&["D2"])).await.unwrap_err();
    assert!(matches!(refused, ChangeError::Refused(Refusal::State { .. })), "{refused}");
}

#[tokio::test]
async fn a_patch_is_taken_whole_or_not_at_all() {
    let house = House::new().await;
    let jobs = house.jobs();
    let new = model::job::NewJob { delivery_package: None, ..import("a", &["D1"]) };
    jobs.create(&customer(), new, passwords(&["D1"])).await.unwrap();
    let verbose = || Update { log_level: Some(model::job::LogLevel::Verbose), ..Update::default() };
    let without = Changes { update: verbose(), ship: true, ..Changes::default() };
    let refused = jobs.update(&customer(), &key("a"), without).await.unwrap_err();
    assert!(matches!(refused, ChangeError::Refused(Refusal::ShipIncomplete { .. })), "{refused}");
    let job = jobs.get(&key("a")).await.unwrap().unwrap().job;
    assert_eq!(job.log_level, model::job::LogLevel::Error);
    let package = Update { delivery_package: Some(delivery("T9")), ..verbose() };
    let all = Changes { update: package, ship: true, cancel: true, ..Changes::default() };
    let job = jobs.update(&customer(), &key("a"), all).await.unwrap().job;
    assert_eq!((job.state, job.cancel_requested), (JobState::Shipping, true));
}

/// A caller whose answer, the job's version, is kept under the key `k1`.
fn answer(fingerprint: &str) -> jobs::Caller {
    let fingerprint = fingerprint.to_owned();
    clerk().answering(Arc::new(move |stored| IdempotentReply {
        caller: "oidc:clerk".to_owned(),
        key: "k1".to_owned(),
        fingerprint: fingerprint.clone(),
        expires_unix_ms: i64::MAX,
        answer: StoredReply {
            fingerprint: fingerprint.clone(),
            status: 200,
            headers: Vec::new(),
            body: stored.version.to_string().into_bytes(),
        },
    }))
}

#[tokio::test]
async fn a_version_that_is_gone_and_a_request_that_was_answered_change_nothing() {
    let house = House::new().await;
    let jobs = house.jobs();
    let stored = arrived(&jobs, "a", &["D1"]).await;
    let stale = clerk().if_version(stored.version - 1);
    let refused = jobs.hold(&stale, &key("a"), &id("D1"), "why").await.unwrap_err();
    assert!(matches!(refused, ChangeError::VersionDiffers { found } if found == stored.version));

    let held = jobs.hold(&answer("hold D1"), &key("a"), &id("D1"), "why").await.unwrap();
    let again = jobs.hold(&answer("hold D1"), &key("a"), &id("D1"), "why").await.unwrap_err();
    let ChangeError::Replay(reply) = again else { panic!("{again}") };
    assert_eq!(reply.body, held.version.to_string().into_bytes());
    let other = jobs.hold(&answer("hold D2"), &key("a"), &id("D1"), "other").await.unwrap_err();
    assert!(matches!(other, ChangeError::KeyReused), "{other}");
}

#[tokio::test]
async fn ten_bays_that_report_at_once_lose_nothing() {
    let house = House::new().await;
    let jobs = Arc::new(house.jobs());
    let serials: Vec<String> = (0..10).map(|n| format!("D{n}")).collect();
    let names: Vec<&str> = serials.iter().map(String::as_str).collect();
    arrived(&jobs, "a", &names).await;
    for (n, serial) in names.iter().enumerate() {
        jobs.assign(&clerk(), &seen(serial, &n.to_string())).await.unwrap();
    }
    let mut reports = tokio::task::JoinSet::new();
    for serial in serials.clone() {
        let jobs = jobs.clone();
        reports.spawn(async move {
            let drive_id = id(&serial);
            jobs.drive_started(&bay(), &key("a"), &drive_id, None).await?;
            let end = (DriveStatus::Completed, 1, RunLogs::default());
            jobs.drive_ended(&bay(), &key("a"), &drive_id, end, None).await
        });
    }
    while let Some(report) = reports.join_next().await {
        report.unwrap().unwrap();
    }
    let job = jobs.get(&key("a")).await.unwrap().unwrap().job;
    assert_eq!((job.state, job.percent_complete), (JobState::Packaging, 100));
    let ended = house.custody(&key("a")).await.iter().filter(|entry| entry.contains("drive.ended")).count();
    assert_eq!(ended, 10);
}

#[tokio::test]
async fn timers_close_and_delete_what_nobody_cares_for() {
    let house = House::new().await;
    let jobs = house.jobs();
    jobs.create(&customer(), import("idle", &["D1"]), passwords(&["D1"])).await.unwrap();
    shipped(&jobs, "lost", &["D2"]).await;
    assert_eq!(jobs.fire_due_timers().await.unwrap().fired, 0);
    house.later(14);
    assert_eq!(jobs.fire_due_timers().await.unwrap().fired, 2);
    assert_eq!(jobs.get(&key("idle")).await.unwrap(), None);
    assert_eq!(house.ledger.secret(&jobs::password_name(&key("idle"), &id("D1"))).await.unwrap(), None);
    let deleted = ["token:customer job.created", "station:north job.timer", "station:north job.deleted"];
    assert_eq!(house.custody(&key("idle")).await, deleted);
    let events = house.ledger.events(0, 1_000).await.unwrap();
    let gone: Vec<_> = events.iter().filter(|event| event.draft.kind == "job.deleted").collect();
    assert_eq!(gone.len(), 1, "whoever follows the job is told once that it is gone");
    assert_eq!(gone[0].draft.job, Some(key("idle").arm_id()));
    house.later(30);
    jobs.fire_due_timers().await.unwrap();
    assert_eq!(jobs.get(&key("lost")).await.unwrap().unwrap().job.state, JobState::Closed);
    house.later(90);
    jobs.fire_due_timers().await.unwrap();
    assert_eq!(jobs.get(&key("lost")).await.unwrap(), None);
    assert_eq!(jobs.fire_due_timers().await.unwrap(), jobs::TimersFired::default());
}

#[tokio::test]
async fn a_list_has_the_jobs_of_its_scope_in_pages() {
    let house = House::new().await;
    let jobs = house.jobs();
    for (n, name) in ["a", "b", "c"].iter().enumerate() {
        let serial = format!("D{n}");
        jobs.create(&customer(), import(name, &[&serial]), passwords(&[&serial])).await.unwrap();
    }
    jobs.update(&customer(), &key("b"), ship()).await.unwrap();
    let all = Listing { scope: JobScope::Subscription("sub-1".to_owned()), ..Listing::default() };
    let first = jobs.list(&all, None, 2).await.unwrap();
    let rest = jobs.list(&all, first.next, 2).await.unwrap();
    let names =
        |page: &jobs::Page| page.jobs.iter().map(|found| found.job.key.name.clone()).collect::<Vec<_>>();
    assert_eq!(
        (names(&first), names(&rest), rest.next),
        (vec!["a".into(), "b".into()], vec!["c".into()], None)
    );
    let shipping = Listing { state: Some(JobState::Shipping), ..all };
    assert_eq!(names(&jobs.list(&shipping, None, 10).await.unwrap()), ["b"]);
    let other = Listing { scope: JobScope::Subscription("other".to_owned()), ..Listing::default() };
    assert_eq!(jobs.list(&other, None, 10).await.unwrap().jobs, []);
}

#[tokio::test]
async fn a_job_is_deleted_with_its_keys_and_its_custody_stays() {
    let house = House::new().await;
    let jobs = house.jobs();
    jobs.create(&customer(), import("a", &["D1"]), passwords(&["D1"])).await.unwrap();
    jobs.delete(&customer(), &key("A")).await.unwrap();
    assert!(matches!(jobs.delete(&customer(), &key("a")).await, Err(ChangeError::NotFound(_))));
    assert_eq!(house.ledger.secret(&jobs::password_name(&key("a"), &id("D1"))).await.unwrap(), None);
    assert_eq!(house.custody(&key("a")).await, ["token:customer job.created", "token:customer job.deleted"]);
    arrived(&jobs, "b", &["D1"]).await;
    assert!(matches!(jobs.delete(&customer(), &key("b")).await, Err(ChangeError::Refused(_))));
}
