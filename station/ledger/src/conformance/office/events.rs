//! What others are told.

use std::time::Duration;

use super::*;
use crate::{Event, EventSpan, Hook, HookWrite};

pub(super) const HOLD: Duration = Duration::from_secs(600);

pub(super) fn told(kinds: &[&str]) -> Change {
    Change { events: kinds.iter().copied().map(event).collect(), ..Change::default() }
}

pub(super) fn hooks(write: HookWrite) -> Change {
    Change { hooks: vec![write], ..Change::default() }
}

pub(super) fn hook(id: &str) -> Hook {
    Hook {
        id: id.to_owned(),
        url: "https://example.org/hook".to_owned(),
        secret_name: format!("web-hook {id}"),
        kinds: vec!["drive.received".to_owned()],
        enabled: true,
        created_unix_ms: T0,
        position: 0,
        attempts: 0,
        next_try_unix_ms: 0,
        last_error: None,
    }
}

/// And read back as they were told.
pub async fn events_have_consecutive_numbers_in_the_order_of_changes(store: &dyn OfficeStore) {
    let ledger = store.open().await;
    assert_eq!(ledger.event_span().await.unwrap(), EventSpan { first: 1, last: 0 });
    assert_eq!(ledger.apply(&told(&["a", "b"])).await.unwrap().last_event, Some(2));
    assert_eq!(ledger.apply(&told(&[])).await.unwrap().last_event, None);
    assert_eq!(store.open().await.apply(&told(&["c"])).await.unwrap().last_event, Some(3));
    let expected: Vec<Event> =
        (1..).zip(["a", "b", "c"]).map(|(no, kind)| Event { no, draft: event(kind) }).collect();
    assert_eq!(ledger.events(0, 9).await.unwrap(), expected);
    assert_eq!(ledger.events(1, 1).await.unwrap(), expected[1..2]);
    assert_eq!(ledger.event_span().await.unwrap(), EventSpan { first: 1, last: 3 });
}

/// A reader who follows them never finds a hole that is filled later.
pub async fn changes_at_once_number_their_events_without_gaps(store: &dyn OfficeStore) {
    let ledgers = [store.open().await, store.open().await];
    let writers = ledgers.each_ref().map(|ledger| {
        let ledger = Arc::clone(ledger);
        tokio::spawn(async move {
            for _ in 0..30 {
                apply(&*ledger, &told(&["a", "b"])).await;
            }
        })
    });
    let mut seen = 0;
    while seen < 120 {
        for event in ledgers[0].events(seen, 9).await.unwrap() {
            assert_eq!(event.no, seen + 1);
            seen = event.no;
        }
    }
    for writer in writers {
        writer.await.unwrap();
    }
}

/// Nobody else gets it until its delivery is noted.
pub async fn a_web_hook_is_taken_by_one_and_moves_on(store: &dyn OfficeStore) {
    let (ledger, other) = (store.open().await, store.open().await);
    apply(&*ledger, &told(&["before"])).await;
    let made = Change { hooks: vec![HookWrite::Insert(hook("h"))], ..told(&["a", "b"]) };
    apply(&*ledger, &made).await;
    let refused = refusal(&*ledger, &made).await;
    assert!(matches!(refused, ApplyError::Invalid { .. }), "{refused:?}");
    assert_eq!(ledger.hook("h").await.unwrap(), Some(Hook { position: 1, ..hook("h") }));
    let taken = ledger.take_due_hook(HOLD).await.unwrap().expect("it waits for two events");
    assert_eq!((taken.id.as_str(), taken.position), ("h", 1));
    assert_eq!(other.take_due_hook(HOLD).await.unwrap(), None);
    assert!(!ledger.hook_delivered(&taken, 0).await.unwrap(), "it never goes back");
    assert!(ledger.hook_delivered(&taken, 2).await.unwrap());
    assert!(!ledger.hook_delivered(&taken, 3).await.unwrap(), "it has moved on");
    let again = other.take_due_hook(HOLD).await.unwrap().expect("there is one more");
    assert_eq!((again.position, again.attempts), (2, 0));
    assert!(other.hook_delivered(&again, 3).await.unwrap());
    assert_eq!(ledger.take_due_hook(HOLD).await.unwrap(), None, "it has got all");
    assert_eq!(ledger.hooks(None, 9).await.unwrap().len(), 1);
    assert_eq!(ledger.hooks(Some("h"), 9).await.unwrap(), []);
}

/// Somebody else's turn comes; the next success forgets the failures.
pub async fn a_web_hook_that_failed_waits(store: &dyn OfficeStore) {
    let ledger = store.open().await;
    apply(&*ledger, &hooks(HookWrite::Insert(hook("h1")))).await;
    apply(&*ledger, &hooks(HookWrite::Insert(hook("h2")))).await;
    apply(&*ledger, &hooks(HookWrite::Insert(Hook { enabled: false, ..hook("h0") }))).await;
    apply(&*ledger, &told(&["a"])).await;
    let first = ledger.take_due_hook(HOLD).await.unwrap().unwrap();
    assert_eq!(first.id, "h1");
    assert!(ledger.hook_failed(&first, HOLD, "HTTP 500\0").await.unwrap());
    assert!(!ledger.hook_failed(&first, HOLD, "again").await.unwrap(), "noted once");
    let second = ledger.take_due_hook(HOLD).await.unwrap().unwrap();
    assert_eq!(second.id, "h2");
    assert!(ledger.hook_failed(&second, Duration::ZERO, &"x".repeat(9_000)).await.unwrap());
    let again = ledger.take_due_hook(HOLD).await.unwrap().expect("due at once");
    assert_eq!((again.id.as_str(), again.attempts, again.position), ("h2", 1, 0));
    assert!(ledger.hook_delivered(&again, 1).await.unwrap());
    assert_eq!(ledger.take_due_hook(HOLD).await.unwrap(), None);
    let h1 = ledger.hook("h1").await.unwrap().unwrap();
    assert_eq!((h1.attempts, h1.last_error.as_deref()), (1, Some("HTTP 500")));
    let h2 = ledger.hook("h2").await.unwrap().unwrap();
    assert_eq!((h2.attempts, h2.last_error), (0, None));
}

/// It is sent again, to the new address, at once.
pub async fn a_web_hook_that_was_changed_is_not_moved_by_an_old_delivery(store: &dyn OfficeStore) {
    let ledger = store.open().await;
    apply(&*ledger, &hooks(HookWrite::Insert(hook("h")))).await;
    apply(&*ledger, &told(&["a"])).await;
    let old = ledger.take_due_hook(HOLD).await.unwrap().unwrap();
    let changed = Hook { url: "https://example.org/new".to_owned(), kinds: Vec::new(), ..hook("h") };
    apply(&*ledger, &hooks(HookWrite::Update(changed.clone()))).await;
    assert!(!ledger.hook_delivered(&old, 1).await.unwrap());
    assert!(!ledger.hook_failed(&old, HOLD, "late").await.unwrap());
    let taken = ledger.take_due_hook(HOLD).await.unwrap().expect("tried at once");
    assert_eq!((taken.url, taken.kinds, taken.position), (changed.url, changed.kinds, 0));
    let missing = refusal(&*ledger, &hooks(HookWrite::Update(hook("none")))).await;
    assert!(matches!(missing, ApplyError::Invalid { .. }), "{missing:?}");
}
