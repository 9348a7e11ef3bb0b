//! What has had its time.

use super::access::token;
use super::changes::reply;
use super::events::{HOLD, hook, hooks, told};
use super::*;
use crate::conformance::{chunk, completed, end, key, outcome, running, start};
use crate::{ApiToken, EventSpan, Hook, HookWrite, RunState, TokenWrite};

/// Long ago by any database's clock, and that much later.
fn told_at(ms: i64, kinds: &[&str]) -> Change {
    let mut change = told(kinds);
    change.events.iter_mut().for_each(|event| event.at_unix_ms = 1_000 + ms);
    change
}

/// From the front only; a paused web-hook keeps nothing.
pub async fn old_events_are_forgotten_once_web_hooks_have_them(store: &dyn OfficeStore) {
    let ledger = store.open().await;
    apply(&*ledger, &hooks(HookWrite::Insert(hook("h")))).await;
    apply(&*ledger, &hooks(HookWrite::Insert(Hook { enabled: false, ..hook("paused") }))).await;
    apply(&*ledger, &told_at(0, &["a", "b", "c", "d"])).await;
    apply(&*ledger, &told_at(100, &["e"])).await;
    apply(&*ledger, &told_at(0, &["f"])).await;
    assert_eq!(ledger.forget_events(1_001, 99).await.unwrap(), 0, "the web-hook has got none");
    let taken = ledger.take_due_hook(HOLD).await.unwrap().unwrap();
    assert!(ledger.hook_delivered(&taken, 3).await.unwrap());
    assert_eq!(ledger.forget_events(1_000, 99).await.unwrap(), 0, "none is older");
    assert_eq!(ledger.forget_events(1_001, 2).await.unwrap(), 2);
    assert_eq!(ledger.forget_events(1_001, 99).await.unwrap(), 1);
    assert_eq!(ledger.event_span().await.unwrap(), EventSpan { first: 4, last: 6 });
    apply(&*ledger, &hooks(HookWrite::Delete { id: "h".to_owned() })).await;
    assert_eq!(ledger.forget_events(1_001, 99).await.unwrap(), 1, "event e is not old");
    assert_eq!(ledger.forget_events(i64::MAX, 99).await.unwrap(), 2);
    assert_eq!(ledger.event_span().await.unwrap(), EventSpan { first: 7, last: 6 });
    assert_eq!(ledger.apply(&told(&["g"])).await.unwrap().last_event, Some(7));
}

/// They are as old as what comes next.
pub async fn events_from_the_future_keep_no_others(store: &dyn OfficeStore) {
    let ledger = store.open().await;
    let future = i64::MAX / 2;
    apply(&*ledger, &told_at(0, &["a"])).await;
    apply(&*ledger, &told_at(future, &["b", "c"])).await;
    assert_eq!(ledger.forget_events(1_001, 99).await.unwrap(), 1, "nothing says how old b is");
    apply(&*ledger, &told_at(100, &["d"])).await;
    assert_eq!(ledger.forget_events(1_001, 99).await.unwrap(), 0, "b is as old as d");
    apply(&*ledger, &told_at(future, &["e"])).await;
    assert_eq!(ledger.forget_events(1_101, 1).await.unwrap(), 1, "never more than the limit");
    assert_eq!(ledger.forget_events(1_101, 99).await.unwrap(), 2);
    assert_eq!(ledger.event_span().await.unwrap(), EventSpan { first: 5, last: 5 });
}

/// By the database's clock; then the key is free.
pub async fn an_answer_is_forgotten_when_its_time_is_over(store: &dyn OfficeStore) {
    let ledger = store.open().await;
    let change = |key: &str, fingerprint: &str, expires| Change {
        reply: Some(reply(key, fingerprint, expires)),
        ..Change::default()
    };
    apply(&*ledger, &change("over", "f", 1_000)).await;
    apply(&*ledger, &change("counts", "f", i64::MAX)).await;
    assert_eq!(ledger.reply("caller", "over").await.unwrap(), None);
    apply(&*ledger, &change("over", "g", 2_000)).await;
    apply(&*ledger, &change("over, too", "g", 3_000)).await;
    assert_eq!(ledger.forget_replies(1).await.unwrap(), 1, "the oldest");
    assert_eq!(ledger.forget_replies(99).await.unwrap(), 1);
    assert_eq!(ledger.forget_replies(99).await.unwrap(), 0);
    assert!(ledger.reply("caller", "counts").await.unwrap().is_some());
}

/// By themselves or taken back; one that goes on stays.
pub async fn tokens_are_forgotten_long_after_their_end(store: &dyn OfficeStore) {
    let ledger = store.open().await;
    let endless = |number| ApiToken { expires_unix_ms: None, ..token(number) };
    let ends = |number, at| ApiToken { expires_unix_ms: Some(at), ..token(number) };
    let made = [endless(1), ends(2, 2_000), ends(3, 3_000), endless(4), ends(5, 9_000)];
    let mut tokens: Vec<_> = made.into_iter().map(TokenWrite::Insert).collect();
    tokens.push(TokenWrite::Revoke { id: token(4).id, at_unix_ms: 2_500 });
    tokens.push(TokenWrite::Revoke { id: token(5).id, at_unix_ms: 2_600 });
    apply(&*ledger, &Change { tokens, ..Change::default() }).await;
    assert_eq!(ledger.forget_tokens(2_000, 9).await.unwrap(), 0, "none ended before");
    assert_eq!(ledger.forget_tokens(2_600, 9).await.unwrap(), 2);
    assert_eq!(ledger.forget_tokens(3_001, 1).await.unwrap(), 2, "one of either kind");
    let left = ledger.tokens(None, 9).await.unwrap();
    assert_eq!(left, [endless(1)]);
}

/// What is going on keeps all, a run that is over its end.
pub async fn outcomes_are_forgotten_long_after_their_run(store: &dyn OfficeStore) {
    let ledger = store.open().await;
    let records =
        [outcome(0, completed(1)), outcome(1, completed(2)), outcome(7, completed(3)), chunk(9, 1, 0)];
    let mut numbers = Vec::new();
    for number in [1, 2, 3] {
        let run = running(&*ledger, &key(number.into()), &start(number)).await;
        ledger.record(&run, &records).await.unwrap();
        numbers.push(run);
    }
    let finished =
        crate::RunEnd { finished_unix_ms: 5_000_000_000_000, ..end(model::status::DriveStatus::Completed) };
    ledger.finish(&numbers[0], &finished).await.unwrap();
    let [over, aside, going_on] = [0, 1, 2].map(|index: usize| numbers[index].no);
    numbers.remove(1);
    ledger.abandon(aside).await.unwrap();
    assert_eq!(ledger.forget_outcomes(i64::MIN, 9).await.unwrap(), 0);
    assert_eq!(
        ledger.forget_outcomes(finished.finished_unix_ms, 2).await.unwrap(),
        3,
        "of the one set aside"
    );
    assert_eq!(ledger.forget_outcomes(finished.finished_unix_ms, 2).await.unwrap(), 1);
    assert_eq!(ledger.forget_outcomes(finished.finished_unix_ms, 2).await.unwrap(), 0);
    assert_eq!(ledger.outcomes(over, 0, 9).await.unwrap().len(), 3);
    assert_eq!(ledger.forget_outcomes(finished.finished_unix_ms + 1, 9).await.unwrap(), 3);
    let left = |run| ledger.outcomes(run, 0, 9);
    assert_eq!((left(over).await.unwrap().len(), left(aside).await.unwrap().len()), (0, 0));
    assert_eq!(left(going_on).await.unwrap().len(), 3);
    assert_eq!(ledger.pending(going_on).await.unwrap().len(), 1);
    let runs = ledger.runs(9).await.unwrap();
    assert!(runs.iter().any(|run| run.no == over && run.state == RunState::Finished(finished.clone())));
}
