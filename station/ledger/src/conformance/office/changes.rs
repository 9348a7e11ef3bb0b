//! One change, one transaction.

use model::DriveId;
use model::job::JobKey;

use super::*;
use crate::{HookWrite, IdempotentReply, SecretWrite, StoredReply, TokenWrite};

fn full_row() -> JobRow {
    let mut drive = waiting_drive(7);
    drive.station = Some("north".to_owned());
    drive.bay = Some("3".to_owned());
    drive.claimable = false;
    drive.document = "{\"a\":\"\\u0000 ünï\"}".to_owned();
    JobRow {
        tracking_numbers: vec!["1Z 999 AA1".to_owned(), "another".to_owned()],
        drives: vec![drive, waiting_drive(3)],
        timers: vec![timer("lost", T0 - 5), timer("idle", T0 + 9)],
        created_unix_ms: -1,
        ..job_row("One", &[])
    }
}

/// All fields; drives in the order of the request, timers by time.
pub async fn a_job_reads_back_as_it_was_written(store: &dyn OfficeStore) {
    let ledger = store.open().await;
    let row = full_row();
    assert_eq!(ledger.apply(&insertion(&row)).await.unwrap().version, Some(1));
    assert_eq!(read(&*store.open().await, "One").await, Some(row.clone()));
    let changed = JobRow {
        state: "Shipping".to_owned(),
        storage_account: "b".to_owned(),
        document: "{}".to_owned(),
        updated_unix_ms: T0 + 1,
        tracking_numbers: Vec::new(),
        timers: vec![timer("idle", T0 + 10)],
        drives: vec![waiting_drive(3), waiting_drive(8)],
        version: 2,
        ..row
    };
    assert_eq!(ledger.apply(&update(&changed, 1)).await.unwrap().version, Some(2));
    assert_eq!(read(&*ledger, "One").await, Some(changed));
    assert_eq!(read(&*ledger, "Two").await, None);
}

/// ARM compares names without case.
pub async fn a_job_is_found_in_any_spelling_and_keeps_its_first(store: &dyn OfficeStore) {
    let ledger = store.open().await;
    apply(&*ledger, &insertion(&job_row("One", &[]))).await;
    let shouted = JobKey::new("1A2B", "YARD", "ONE");
    let found = ledger.job(&shouted).await.unwrap().expect("it is there");
    assert_eq!(found.key.name, "One");
    let mut changed = job_row("One", &[]);
    changed.key = shouted;
    apply(&*ledger, &update(&changed, 1)).await;
    assert_eq!(read(&*ledger, "one").await.unwrap().key.name, "One");
}

/// The version that is there is told.
pub async fn a_second_job_of_a_name_is_refused(store: &dyn OfficeStore) {
    let ledger = store.open().await;
    apply(&*ledger, &insertion(&job_row("One", &[]))).await;
    apply(&*ledger, &update(&job_row("One", &[]), 1)).await;
    let refused = refusal(&*ledger, &insertion(&job_row("oNE", &[]))).await;
    assert!(matches!(refused, ApplyError::Conflict { found_version: Some(2) }), "{refused:?}");
}

/// Neither changed nor deleted.
pub async fn a_job_is_changed_only_from_its_last_version(store: &dyn OfficeStore) {
    let ledger = store.open().await;
    let missing = refusal(&*ledger, &update(&job_row("One", &[]), 1)).await;
    assert!(matches!(missing, ApplyError::Conflict { found_version: None }), "{missing:?}");
    apply(&*ledger, &insertion(&job_row("One", &[]))).await;
    apply(&*ledger, &update(&job_row("One", &[]), 1)).await;
    for change in [update(&job_row("One", &[]), 1), deletion("One", 1), deletion("One", 3)] {
        let refused = refusal(&*ledger, &change).await;
        assert!(matches!(refused, ApplyError::Conflict { found_version: Some(2) }), "{refused:?}");
        assert_eq!(refused.class(), model::Class::RetryRequest);
    }
    apply(&*ledger, &deletion("One", 2)).await;
    assert_eq!(read(&*ledger, "One").await, None);
    let missing = refusal(&*ledger, &deletion("One", 2)).await;
    assert!(matches!(missing, ApplyError::Conflict { found_version: None }), "{missing:?}");
}

/// From two processes, ten times over.
pub async fn of_changes_at_once_one_is_applied(store: &dyn OfficeStore) {
    let ledgers = [store.open().await, store.open().await];
    apply(&*ledgers[0], &insertion(&job_row("One", &[1]))).await;
    for version in 1..=10 {
        let tries = ledgers.each_ref().map(|ledger| {
            let ledger = Arc::clone(ledger);
            tokio::spawn(async move { ledger.apply(&update(&job_row("One", &[1]), version)).await })
        });
        let mut applied = 0;
        for tried in tries {
            match tried.await.unwrap() {
                Ok(_) => applied += 1,
                Err(ApplyError::Conflict { found_version }) => assert_eq!(found_version, Some(version + 1)),
                Err(error) => panic!("{error:?}"),
            }
        }
        assert_eq!(applied, 1, "version {version}");
    }
}

/// Drives, timers, parcels, secrets and claims; a new job of the name starts afresh.
pub async fn a_deleted_job_takes_all_but_its_custody_with_it(store: &dyn OfficeStore) {
    let ledger = store.open().await;
    let mut change = insertion(&full_row());
    change.secrets = vec![SecretWrite::Put(sealed("key", Some("one"), "x"))];
    change.chain = "north".to_owned();
    change.custody = vec![draft("job.created", Some(&job_key("One")))];
    apply(&*ledger, &change).await;
    apply(&*ledger, &deletion("One", 1)).await;
    assert_eq!(ledger.active_job_of_drive(&serial(7)).await.unwrap(), None);
    assert_eq!(ledger.due_timers(i64::MAX, 10).await.unwrap(), []);
    assert_eq!(ledger.active_jobs_of_parcel("another").await.unwrap(), []);
    assert_eq!(ledger.secret("key").await.unwrap(), None);
    assert_eq!(ledger.custody_rows("north", 0, 10).await.unwrap().len(), 1);
    apply(&*ledger, &insertion(&job_row("One", &[7]))).await;
    let anew = read(&*ledger, "One").await.unwrap();
    assert_eq!((anew.version, anew.timers.len(), anew.drives.len()), (1, 0, 1));
}

/// Serial numbers are compared as they are; a job that is over lets its drives go.
pub async fn a_drive_is_in_one_active_job_at_most(store: &dyn OfficeStore) {
    let ledger = store.open().await;
    apply(&*ledger, &insertion(&job_row("One", &[1, 2]))).await;
    let refused = refusal(&*ledger, &insertion(&job_row("Two", &[3, 2]))).await;
    assert!(matches!(&refused, ApplyError::DriveTaken { drive_id } if *drive_id == serial(2)), "{refused:?}");
    assert_eq!(read(&*ledger, "Two").await, None);
    let mut other_case = job_row("Two", &[3]);
    other_case.drives[0].drive_id = DriveId::new("wd-0002").unwrap();
    apply(&*ledger, &insertion(&other_case)).await;
    let over = JobRow { active: false, ..job_row("Three", &[2]) };
    apply(&*ledger, &insertion(&over)).await;
    let refused = refusal(&*ledger, &update(&job_row("Three", &[2]), 1)).await;
    assert!(matches!(refused, ApplyError::DriveTaken { .. }), "{refused:?}");
    apply(&*ledger, &update(&JobRow { active: false, ..job_row("One", &[1, 2]) }, 1)).await;
    apply(&*ledger, &update(&job_row("Three", &[2]), 1)).await;
    assert_eq!(ledger.active_job_of_drive(&serial(2)).await.unwrap().unwrap().key, job_key("Three"));
}

/// Whatever comes last in it fails: everything before is taken back.
pub async fn a_refused_change_leaves_nothing_behind(store: &dyn OfficeStore) {
    let ledger = store.open().await;
    apply(&*ledger, &insertion(&job_row("Zero", &[9]))).await;
    apply(&*ledger, &recorded("north", vec![draft("started", None)])).await;
    let head = ledger.heads().await.unwrap();
    let token = token(1);
    let full = Change {
        reply: Some(reply("k", "f", i64::MAX)),
        secrets: vec![SecretWrite::Put(sealed("key", Some("One"), "x"))],
        tokens: vec![TokenWrite::Insert(token.clone())],
        hooks: vec![HookWrite::Insert(hook("h"))],
        chain: "north".to_owned(),
        custody: vec![draft("job.created", Some(&job_key("One")))],
        events: vec![event("job.created")],
        ..insertion(&JobRow { timers: vec![timer("idle", 1)], ..job_row("One", &[1]) })
    };
    let too_long = Draft { reason: Some("r".repeat(10_000_000)), ..draft("noted", None) };
    let mut late = full.clone();
    late.custody.push(too_long);
    let mut taken = full.clone();
    taken.job = Some(JobWrite::Insert(job_row("One", &[1, 9])));
    let mut no_owner = full.clone();
    no_owner.secrets.push(SecretWrite::Put(sealed("other", Some("nobody's"), "x")));
    for change in [late, taken, no_owner] {
        refusal(&*ledger, &change).await;
        assert_eq!(read(&*ledger, "One").await, None);
        assert_eq!(ledger.heads().await.unwrap(), head);
        assert_eq!(ledger.secret("key").await.unwrap(), None);
        assert_eq!(ledger.token_by_hash(&token.sha256).await.unwrap(), None);
        assert_eq!(ledger.hook("h").await.unwrap(), None);
        assert_eq!(ledger.event_span().await.unwrap().last, 0);
        assert_eq!(ledger.reply("caller", "k").await.unwrap(), None);
        assert_eq!(ledger.due_timers(i64::MAX, 10).await.unwrap(), []);
    }
    let applied = ledger.apply(&full).await.unwrap();
    assert_eq!(
        (applied.version, applied.head.map(|head| head.no), applied.last_event),
        (Some(1), Some(2), Some(1))
    );
}

/// Said by the ledger and not by the database, so both say the same.
pub async fn a_change_that_cannot_be_stored_is_refused(store: &dyn OfficeStore) {
    let ledger = store.open().await;
    let two_timers = JobRow { timers: vec![timer("idle", 1), timer("idle", 2)], ..job_row("One", &[]) };
    let mut nul = job_row("One", &[]);
    nul.location.push('\0');
    let mut long = recorded("north", vec![draft("noted", None)]);
    long.custody[0].reason = Some("r".repeat(10_000_000));
    for change in [
        insertion(&job_row("One", &[1, 1])),
        insertion(&two_timers),
        insertion(&nul),
        insertion(&job_row("O\0e", &[])),
        recorded("", vec![draft("noted", None)]),
        recorded("no\0rth", vec![draft("noted", None)]),
        long,
    ] {
        let refused = refusal(&*ledger, &change).await;
        assert!(matches!(refused, ApplyError::Invalid { .. }), "{refused:?}");
    }
    assert_eq!(read(&*ledger, "One").await, None);
    assert_eq!(ledger.heads().await.unwrap(), []);
}

pub(super) fn reply(key: &str, fingerprint: &str, expires_unix_ms: i64) -> IdempotentReply {
    IdempotentReply {
        caller: "caller".to_owned(),
        key: key.to_owned(),
        fingerprint: fingerprint.to_owned(),
        expires_unix_ms,
        answer: StoredReply {
            fingerprint: fingerprint.to_owned(),
            status: 201,
            headers: vec![("etag".to_owned(), "\"1\"".to_owned()), ("x".to_owned(), String::new())],
            body: vec![0, 159, 255],
        },
    }
}

/// And what it would have done is not done twice.
pub async fn a_repeated_request_gets_its_answer_again(store: &dyn OfficeStore) {
    let ledger = store.open().await;
    let change = |fingerprint: &str| Change {
        reply: Some(reply("k", fingerprint, i64::MAX)),
        ..recorded("north", vec![draft("scanned", None)])
    };
    assert_eq!(ledger.reply("caller", "k").await.unwrap(), None);
    apply(&*ledger, &change("f")).await;
    let again = refusal(&*store.open().await, &change("f")).await;
    let ApplyError::Replay(answer) = again else { panic!("{again:?}") };
    assert_eq!(*answer, reply("k", "f", 0).answer);
    assert_eq!(ledger.reply("caller", "k").await.unwrap(), Some(*answer));
    let other = refusal(&*ledger, &change("g")).await;
    assert!(matches!(other, ApplyError::KeyReused), "{other:?}");
    assert_eq!(ledger.heads().await.unwrap()[0].no, 1);
    let mut others = change("g");
    others.reply.as_mut().unwrap().caller = "other".to_owned();
    apply(&*ledger, &others).await;
    assert_eq!(ledger.heads().await.unwrap()[0].no, 2);
}
