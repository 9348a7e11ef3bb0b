//! What is found, listed and due.

use model::job::JobKey;

use super::*;
use crate::{JobFilter, JobScope, Jobs, PlacedDrive};

async fn names(ledger: &dyn Ledger, filter: &JobFilter, limit: u32) -> Vec<String> {
    let (mut after, mut names) = (None, Vec::new());
    loop {
        let page = ledger.jobs(filter, after, limit).await.unwrap();
        assert!(page.jobs.len() <= limit.try_into().unwrap());
        names.extend(page.jobs.into_iter().map(|job| job.key.name));
        after = page.next;
        if after.is_none() {
            return names;
        }
    }
}

/// In the order in which they were made; what was there all the time is shown once.
pub async fn pages_are_complete_and_in_order_while_jobs_are_made_and_deleted(store: &dyn OfficeStore) {
    let ledger = store.open().await;
    for name in ["e", "d", "c", "b", "a"] {
        apply(&*ledger, &insertion(&job_row(name, &[]))).await;
    }
    let all = JobFilter::default();
    assert_eq!(names(&*ledger, &all, 2).await, ["e", "d", "c", "b", "a"]);
    assert_eq!(names(&*ledger, &all, 5).await.len(), 5);
    let within = ledger.jobs(&all, None, 4).await.unwrap().numbers;
    for (number, rest) in within.iter().zip(["dcba", "cba", "ba", "a"]) {
        let rest_of = ledger.jobs(&all, Some(*number), 4).await.unwrap().jobs;
        assert_eq!(rest_of.iter().map(|job| &*job.key.name).collect::<String>(), rest);
    }
    let first = ledger.jobs(&all, None, 2).await.unwrap();
    apply(&*ledger, &insertion(&job_row("new", &[]))).await;
    apply(&*ledger, &deletion("e", 1)).await;
    apply(&*ledger, &deletion("d", 1)).await;
    apply(&*ledger, &update(&job_row("c", &[]), 1)).await;
    let second = ledger.jobs(&all, first.next, 3).await.unwrap();
    assert_eq!(second.jobs.iter().map(|job| &*job.key.name).collect::<Vec<_>>(), ["c", "b", "a"]);
    let third = ledger.jobs(&all, second.next, 3).await.unwrap();
    assert_eq!((third.jobs[0].key.name.as_str(), third.next), ("new", None));
    apply(&*ledger, &deletion("new", 1)).await;
    apply(&*ledger, &insertion(&job_row("newer", &[]))).await;
    let on = ledger.jobs(&all, Some(second.next.unwrap() + 1), 3).await.unwrap();
    assert_eq!(on.jobs[0].key.name, "newer", "a number is not given twice");
}

/// Each alone and together.
pub async fn lists_are_of_a_scope_a_state_and_a_type(store: &dyn OfficeStore) {
    let ledger = store.open().await;
    for (name, subscription, group, state, job_type) in [
        ("1", "s1", "G1", "Creating", "Import"),
        ("2", "S1", "g1", "Shipping", "Export"),
        ("3", "s1", "g2", "Creating", "Export"),
        ("4", "s2", "g1", "Creating", "Import"),
    ] {
        let mut row = job_row(name, &[]);
        row.key = JobKey::new(subscription, group, name);
        (row.state, row.job_type) = (state.to_owned(), job_type.to_owned());
        apply(&*ledger, &insertion(&row)).await;
    }
    let group = |subscription: &str, resource_group: &str| JobScope::ResourceGroup {
        subscription: subscription.to_owned(),
        resource_group: resource_group.to_owned(),
    };
    for (scope, state, job_type, expected) in [
        (JobScope::All, None, None, "1234"),
        (JobScope::All, Some("Creating"), None, "134"),
        (JobScope::All, None, Some("Export"), "23"),
        (JobScope::All, Some("Creating"), Some("Export"), "3"),
        (JobScope::Subscription("S1".to_owned()), None, None, "123"),
        (JobScope::Subscription("s1".to_owned()), Some("Creating"), None, "13"),
        (JobScope::Subscription("s".to_owned()), None, None, ""),
        (group("s1", "G1"), None, None, "12"),
        (group("s1", "g1"), Some("Shipping"), Some("Export"), "2"),
        (group("s1", "g1"), Some("Shipping"), Some("Import"), ""),
        (group("s2", "g2"), None, None, ""),
    ] {
        let filter =
            JobFilter { scope, state: state.map(str::to_owned), job_type: job_type.map(str::to_owned) };
        assert_eq!(names(&*ledger, &filter, 1).await.concat(), expected, "{filter:?}");
        assert_eq!(names(&*ledger, &filter, 100).await.concat(), expected, "{filter:?}");
    }
}

/// Nor shorter than possible.
pub async fn a_page_is_never_longer_than_the_limit(store: &dyn OfficeStore) {
    let ledger = store.open().await;
    for number in 0..3 {
        apply(&*ledger, &insertion(&job_row(&format!("job {number}"), &[number]))).await;
    }
    let none = ledger.jobs(&JobFilter::default(), None, 0).await.unwrap();
    assert_eq!(none.jobs, []);
    let all = ledger.jobs(&JobFilter::default(), None, u32::MAX).await.unwrap();
    assert_eq!((all.jobs.len(), all.next), (3, None));
}

/// Requests bring such names; they are no fault of the store.
pub async fn names_that_cannot_be_find_nothing(store: &dyn OfficeStore) {
    let ledger = store.open().await;
    apply(&*ledger, &insertion(&job_row("One", &[1]))).await;
    for name in ["\0", "", "' OR 1=1 --", "%", "One\0", "ONE ", "\u{feff}One"] {
        assert_eq!(read(&*ledger, name).await, None, "{name:?}");
        assert_eq!(ledger.active_jobs_of_parcel(name).await.unwrap(), []);
        let filter = JobFilter { scope: JobScope::Subscription(name.to_owned()), ..JobFilter::default() };
        assert_eq!(ledger.jobs(&filter, None, 9).await.unwrap().jobs, []);
        let filter = JobFilter { state: Some(name.to_owned()), ..JobFilter::default() };
        assert_eq!(ledger.jobs(&filter, None, 9).await.unwrap().jobs, []);
        assert_eq!(ledger.active_drives(Some(name), None, 9).await.unwrap(), []);
        assert_eq!(ledger.reply(name, name).await.unwrap(), None);
        assert_eq!(ledger.secret(name).await.unwrap(), None);
        assert_eq!(ledger.hook(name).await.unwrap(), None);
        assert_eq!(ledger.custody_rows(name, 0, 9).await.unwrap(), []);
        assert_eq!(ledger.custody_of_job(name, Some((name, 0)), 9).await.unwrap(), []);
        assert_eq!(ledger.last_checkpoint(name).await.unwrap(), None);
        ledger.hooks(Some(name), 9).await.unwrap();
        ledger.tokens(Some(name), 9).await.unwrap();
        ledger.secrets_to_rewrap(name, Some(name), 9).await.unwrap();
        ledger.note_token_use(name, 1).await.unwrap();
        ledger.release_all(name).await.unwrap();
    }
    assert_eq!(ledger.jobs(&JobFilter::default(), Some(i64::MAX), 9).await.unwrap().jobs, []);
    assert_eq!(ledger.custody_rows("north", u64::MAX, 9).await.unwrap(), []);
    assert_eq!(ledger.events(i64::MAX, 9).await.unwrap(), []);
}

/// A scanner reads blanks or not, and in its own case; a serial number's case counts.
pub async fn drives_and_parcels_are_found_in_active_jobs(store: &dyn OfficeStore) {
    let ledger = store.open().await;
    let parcels = |numbers: &[&str]| numbers.iter().map(|number| (*number).to_owned()).collect::<Vec<_>>();
    let one = JobRow { tracking_numbers: parcels(&["1Z 999 aa1", "1z999AA1"]), ..job_row("One", &[1]) };
    let two = JobRow { tracking_numbers: parcels(&["1z999aa1", "2"]), ..job_row("Two", &[2]) };
    let over = JobRow { active: false, tracking_numbers: parcels(&["2"]), ..job_row("Over", &[3]) };
    for row in [&one, &two, &over] {
        apply(&*ledger, &insertion(row)).await;
    }
    let found = |rows: Vec<JobRow>| rows.into_iter().map(|row| row.key.name).collect::<Vec<_>>().join(" ");
    assert_eq!(found(ledger.active_jobs_of_parcel(" 1Z999 AA1\n").await.unwrap()), "One Two");
    assert_eq!(found(ledger.active_jobs_of_parcel("2").await.unwrap()), "Two");
    assert_eq!(ledger.active_jobs_of_parcel("3").await.unwrap(), []);
    let spaced = DriveId::new(" WD- 0002 ").unwrap();
    assert_eq!(ledger.active_job_of_drive(&spaced).await.unwrap(), Some(two));
    for drive_id in ["wd-0002", "WD-0003", "WD-000"] {
        let drive_id = DriveId::new(drive_id).unwrap();
        assert_eq!(ledger.active_job_of_drive(&drive_id).await.unwrap(), None, "{drive_id}");
    }
}

/// With who works on them.
pub async fn active_drives_are_listed_by_serial_number(store: &dyn OfficeStore) {
    let ledger = store.open().await;
    let mut one = job_row("One", &[5, 1]);
    one.drives[0].station = Some("north".to_owned());
    apply(&*ledger, &insertion(&one)).await;
    apply(&*ledger, &insertion(&job_row("Two", &[3]))).await;
    apply(&*ledger, &insertion(&JobRow { active: false, ..job_row("Over", &[2]) })).await;
    ledger.claim_this_drive("south", &serial(3), std::time::Duration::from_secs(60)).await.unwrap().unwrap();
    let listed = ledger.active_drives(None, None, 10).await.unwrap();
    let placed = |job: &str, drive: &DriveRow, claimed_by: Option<&str>| PlacedDrive {
        job: job_key(job),
        drive: drive.clone(),
        claimed_by: claimed_by.map(str::to_owned),
    };
    let expected = [
        placed("One", &one.drives[1], None),
        placed("Two", &waiting_drive(3), Some("south")),
        placed("One", &one.drives[0], None),
    ];
    assert_eq!(listed, expected);
    assert_eq!(ledger.active_drives(None, Some(&serial(1)), 1).await.unwrap(), expected[1..2]);
    assert_eq!(ledger.active_drives(Some("north"), None, 10).await.unwrap(), expected[2..]);
}

/// Due at its very time.
pub async fn timers_are_due_in_order_and_stay_until_the_job_drops_them(store: &dyn OfficeStore) {
    let ledger = store.open().await;
    let one = JobRow { timers: vec![timer("b", T0 + 5), timer("a", T0 + 1)], ..job_row("One", &[]) };
    let two = JobRow { timers: vec![timer("c", T0 + 3), timer("a", T0 + 9)], ..job_row("Two", &[]) };
    apply(&*ledger, &insertion(&one)).await;
    apply(&*ledger, &insertion(&two)).await;
    let due = async |ledger: &dyn Jobs, at: i64, limit: u32| {
        let due = ledger.due_timers(at, limit).await.unwrap();
        due.into_iter().map(|due| format!("{}/{}", due.job.name, due.timer.kind)).collect::<Vec<_>>()
    };
    assert_eq!(due(&*ledger, T0, 10).await, [""; 0]);
    assert_eq!(due(&*ledger, T0 + 5, 10).await, ["One/a", "Two/c", "One/b"]);
    assert_eq!(due(&*ledger, T0 + 5, 2).await, ["One/a", "Two/c"]);
    let fired = JobRow { timers: vec![timer("b", T0 + 50)], ..one };
    apply(&*ledger, &update(&fired, 1)).await;
    assert_eq!(due(&*ledger, T0 + 9, 10).await, ["Two/c", "Two/a"]);
}
