//! The chain of what was done.

use ::custody::{Head, Row, Verifier};

use super::*;
use crate::StoredCheckpoint;

/// As the nightly verification reads it, from the start to the head.
pub(super) fn assert_chain(chain: &str, rows: &[Row], head: &Head) {
    let mut verifier = Verifier::new(chain, Vec::new()).expect("no checkpoint contradicts another");
    for row in rows {
        verifier.push(row).unwrap_or_else(|broken| panic!("{chain}: {broken}"));
    }
    verifier.finish(head).unwrap_or_else(|broken| panic!("{chain}: {broken}"));
}

pub(super) async fn whole_chain(ledger: &dyn Ledger, chain: &str) -> Vec<Row> {
    let mut rows: Vec<Row> = Vec::new();
    loop {
        let last = rows.last().map_or(0, |row| row.no);
        let page = ledger.custody_rows(chain, last, 7).await.unwrap();
        if page.is_empty() {
            return rows;
        }
        rows.extend(page);
    }
}

/// Whatever else the change does, in however many processes they are made.
pub async fn custody_is_a_chain_without_gaps(store: &dyn OfficeStore) {
    assert_eq!(store.open().await.heads().await.unwrap(), []);
    for number in 1..=4u32 {
        let ledger = store.open().await;
        let row = job_row(&format!("job {number}"), &[number]);
        let mut change = insertion(&row);
        change.chain = "north".to_owned();
        change.custody = (0..number).map(|_| draft("drive.received", Some(&row.key))).collect();
        let applied = ledger.apply(&change).await.unwrap();
        assert_eq!(vec![applied.head.expect("it grew")], ledger.heads().await.unwrap());
    }
    let ledger = store.open().await;
    let rows = whole_chain(&*ledger, "north").await;
    assert_eq!(rows.len(), 10);
    assert_chain("north", &rows, &ledger.heads().await.unwrap()[0]);
    let job_nos: Vec<_> = rows.iter().map(|row| row.job_no.expect("of a job")).collect();
    assert_eq!(job_nos, [1, 1, 2, 1, 2, 3, 1, 2, 3, 4]);
    let salts: std::collections::BTreeSet<_> =
        rows.iter().map(|row| row.entry().expect("an entry").salt.0).collect();
    assert_eq!(salts.len(), 10);
}

/// Two connections, a hundred changes.
pub async fn writers_at_once_never_fork_a_chain(store: &dyn OfficeStore) {
    let ledgers = [store.open().await, store.open().await];
    let writers = ledgers.each_ref().map(|ledger| {
        let ledger = Arc::clone(ledger);
        tokio::spawn(async move {
            for _ in 0..50 {
                let drafts = vec![draft("scanned", Some(&job_key("One"))), draft("weighed", None)];
                apply(&*ledger, &recorded("north", drafts)).await;
            }
        })
    });
    for writer in writers {
        writer.await.unwrap();
    }
    let rows = whole_chain(&*ledgers[0], "north").await;
    assert_eq!(rows.len(), 200);
    assert_chain("north", &rows, &ledgers[1].heads().await.unwrap()[0]);
    let job_nos: Vec<_> = rows.iter().filter_map(|row| row.job_no).collect();
    assert_eq!(job_nos, (1..=100).collect::<Vec<u64>>());
}

/// A fleet's stations do not wait for each other.
pub async fn stations_have_chains_of_their_own(store: &dyn OfficeStore) {
    let ledger = store.open().await;
    for chain in ["south", "north", "south"] {
        apply(&*ledger, &recorded(chain, vec![draft("noted", None)])).await;
    }
    let heads = ledger.heads().await.unwrap();
    assert_eq!(
        heads.iter().map(|head| (&*head.chain, head.no)).collect::<Vec<_>>(),
        [("north", 1), ("south", 2)]
    );
    for head in &heads {
        assert_chain(&head.chain, &whole_chain(&*ledger, &head.chain).await, head);
    }
}

/// A customer's part, wherever the drives were.
pub async fn custody_of_a_job_is_read_in_any_spelling_and_in_pages(store: &dyn OfficeStore) {
    let ledger = store.open().await;
    for chain in ["south", "north"] {
        for number in 0..3 {
            let name = if number == 1 { "ONE" } else { "One" };
            let drafts = vec![draft("noted", Some(&job_key(name))), draft("other", Some(&job_key("Two")))];
            apply(&*ledger, &recorded(chain, drafts)).await;
        }
    }
    let asked = job_key("one").arm_id().to_uppercase();
    let (mut after, mut places) = (None::<(String, u64)>, Vec::new());
    loop {
        let from = after.as_ref().map(|(chain, no)| (chain.as_str(), *no));
        let page = ledger.custody_of_job(&asked, from, 2).await.unwrap();
        let Some(last) = page.last() else { break };
        after = Some((last.chain.clone(), last.row.no));
        places.extend(page.into_iter().map(|row| (row.chain, row.row.no, row.row.job_no)));
    }
    let place = |chain: &str, no, job_no| (chain.to_owned(), no, Some(job_no));
    let expected =
        ["north", "south"].map(|chain| [place(chain, 1, 1), place(chain, 3, 2), place(chain, 5, 3)]);
    assert_eq!(places, expected.concat());
}

/// There is no call for it; and the database itself refuses the statements.
pub async fn nobody_changes_or_deletes_custody(store: &dyn OfficeStore) {
    let ledger = store.open().await;
    apply(&*ledger, &recorded("north", vec![draft("one", None), draft("two", None)])).await;
    let rows = whole_chain(&*ledger, "north").await;
    for statement in [
        "UPDATE custody_entries SET job = 'x' WHERE no = 2",
        "UPDATE custody_entries SET no = 3 WHERE no = 2",
        "DELETE FROM custody_entries WHERE no = 2",
        "DELETE FROM custody_entries",
        "INSERT INTO custody_entries (chain, no, hash, entry) SELECT chain, 4, hash, entry FROM custody_entries",
        "INSERT INTO custody_entries (chain, no, hash, entry) SELECT 'new', 2, hash, entry FROM custody_entries WHERE no = 2",
        "UPDATE custody_chains SET no = 1",
        "UPDATE custody_chains SET chain = 'x', no = 9",
        "DELETE FROM custody_chains",
    ] {
        let refused = store.tamper(statement).await.expect_err("it is refused");
        assert!(refused.contains("custody"), "{statement}: {refused}");
    }
    store.tamper("DELETE FROM events").await.expect("that is how one tampers");
    assert_eq!(whole_chain(&*ledger, "north").await, rows);
    apply(&*ledger, &recorded("north", vec![draft("three", None)])).await;
    assert_chain("north", &whole_chain(&*ledger, "north").await, &ledger.heads().await.unwrap()[0]);
}

/// As they were sent away.
pub async fn checkpoints_are_kept(store: &dyn OfficeStore) {
    let ledger = store.open().await;
    let checkpoint = |chain: &str, no, at_unix_ms| StoredCheckpoint {
        chain: chain.to_owned(),
        no,
        at_unix_ms,
        text: format!("{{\"no\":{no},\"at\":{at_unix_ms}}}"),
    };
    assert_eq!(ledger.last_checkpoint("north").await.unwrap(), None);
    for saved in [checkpoint("north", 5, T0), checkpoint("north", 9, T0), checkpoint("south", 11, T0)] {
        ledger.save_checkpoint(&saved).await.unwrap();
    }
    ledger.save_checkpoint(&checkpoint("north", 9, T0)).await.unwrap();
    ledger.save_checkpoint(&checkpoint("north", 9, T0 + 1)).await.unwrap();
    assert_eq!(ledger.last_checkpoint("north").await.unwrap(), Some(checkpoint("north", 9, T0 + 1)));
    let expected = [checkpoint("north", 5, T0), checkpoint("north", 9, T0), checkpoint("north", 9, T0 + 1)];
    assert_eq!(ledger.checkpoints("north", 0, 9).await.unwrap(), expected);
    assert_eq!(ledger.checkpoints("north", 5, 1).await.unwrap(), expected[1..2]);
}
