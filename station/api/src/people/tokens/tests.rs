//! A token's life: made, used, limited, revoked; and each way in which one opens nothing.

use std::sync::atomic::Ordering;

use super::*;
use crate::people::pretend_ledger::PretendLedger;

const NOW: i64 = 1_790_000_000_000;
const DAY_MS: i64 = 24 * 60 * 60 * 1000;

fn admin() -> Caller {
    Caller::new("local:0", [Role::Admin], Scope::Everything)
}

fn wanted(roles: &[Role], scope: Scope) -> NewToken {
    NewToken {
        label: "the ticket system".to_owned(),
        roles: roles.iter().copied().collect(),
        scope,
        expires_unix_ms: NOW + DAY_MS,
        is_break_glass: false,
    }
}

fn tokens() -> (Arc<PretendLedger>, Tokens) {
    let ledger = Arc::new(PretendLedger::default());
    (ledger.clone(), Tokens::new(ledger.clone(), ledger, "station-1"))
}

async fn issued(tokens: &Tokens, new: NewToken) -> Issued {
    tokens.issue(&admin(), new, NOW).await.expect("issued")
}

#[tokio::test]
async fn a_token_opens_for_its_roles_and_scope_until_it_expires() {
    let (_, tokens) = tokens();
    let grant: Grant = "/subscriptions/aa/resourceGroups/moves".parse().expect("a grant");
    let issued = issued(&tokens, wanted(&[Role::Customer], Scope::Only(vec![grant.clone()]))).await;
    let caller = tokens.bearer(issued.token.expose(), NOW).await.expect("it opens");
    assert_eq!(caller.id, format!("token:{}", issued.id));
    assert_eq!(caller.roles, BTreeSet::from([Role::Customer]));
    assert_eq!(caller.scope, Scope::Only(vec![grant]));
    let last = tokens.bearer(issued.token.expose(), NOW + DAY_MS - 1).await;
    assert!(last.is_ok());
    let late = tokens.bearer(issued.token.expose(), NOW + DAY_MS).await;
    assert!(matches!(late, Err(TokenRefused::Expired(_))));
}

#[tokio::test]
async fn the_ledger_keeps_no_token() {
    let (ledger, tokens) = tokens();
    let issued = issued(&tokens, wanted(&[Role::Lead], Scope::Everything)).await;
    let rows = format!("{:?} {:?}", tokens.list(None, 10).await.expect("a list"), ledger.drafts());
    assert!(!rows.contains(issued.token.expose()));
    assert!(!rows.contains(&issued.token.expose()[PREFIX_LENGTH..PREFIX_LENGTH + 12]));
}

const PREFIX_LENGTH: usize = crate::people::PREFIX.len();

#[tokio::test]
async fn a_revoked_token_opens_nothing_from_the_next_request_on() {
    let (_, tokens) = tokens();
    let issued = issued(&tokens, wanted(&[Role::Admin], Scope::Everything)).await;
    tokens.revoke(&admin(), &issued.id, "laptop lost", NOW).await.expect("revoked");
    let refused = tokens.bearer(issued.token.expose(), NOW).await;
    assert!(matches!(refused, Err(TokenRefused::Revoked(id)) if id == issued.id));
}

#[tokio::test]
async fn issuing_and_revoking_are_custody_entries() {
    let (ledger, tokens) = tokens();
    let issued = issued(&tokens, wanted(&[Role::Admin], Scope::Everything)).await;
    tokens.revoke(&admin(), &issued.id, "laptop lost", NOW).await.expect("revoked");
    let [made, revoked] = &ledger.drafts()[..] else { panic!("two entries") };
    assert_eq!((made.actor.as_str(), made.action.as_str()), ("local:0", "token.issued"));
    let told = made.after.as_deref().expect("what it is");
    assert!(
        told.contains("the ticket system")
            && told.contains("roles=admin")
            && told.contains("scope=everything")
    );
    assert_eq!((revoked.action.as_str(), revoked.reason.as_deref()), ("token.revoked", Some("laptop lost")));
    assert_eq!(made.before, revoked.before);
}

#[tokio::test]
async fn a_token_that_cannot_be_saved_is_not_given_out() {
    let (ledger, tokens) = tokens();
    ledger.cannot_write.store(true, Ordering::Relaxed);
    let failed = tokens.issue(&admin(), wanted(&[Role::Admin], Scope::Everything), NOW).await;
    assert!(matches!(failed, Err(TokenError::Save(_))));
}

#[tokio::test]
async fn every_reason_why_a_token_cannot_be_made_is_given_at_once() {
    let (_, tokens) = tokens();
    let new = NewToken {
        label: String::new(),
        roles: BTreeSet::new(),
        scope: Scope::Only(vec![]),
        expires_unix_ms: NOW,
        is_break_glass: false,
    };
    let Err(TokenError::Refused(reasons)) = tokens.issue(&admin(), new, NOW).await else { panic!("refused") };
    assert_eq!(reasons.len(), 4, "{reasons:?}");
    let eternal =
        NewToken { expires_unix_ms: NOW + LIFETIME_MS_MAX + 1, ..wanted(&[Role::Admin], Scope::Everything) };
    assert!(tokens.issue(&admin(), eternal, NOW).await.is_err());
    let everyone = wanted(&[Role::Customer], Scope::Everything);
    assert!(tokens.issue(&admin(), everyone, NOW).await.is_err());
}

#[tokio::test]
async fn who_is_limited_makes_no_token_that_is_not() {
    let (_, tokens) = tokens();
    let grant: Grant = "/subscriptions/aa".parse().expect("a grant");
    let narrow = Caller::new("token:narrow", [Role::Admin], Scope::Only(vec![grant]));
    assert!(tokens.issue(&narrow, wanted(&[Role::Admin], Scope::Everything), NOW).await.is_err());
}

#[tokio::test]
async fn what_nobody_issued_opens_nothing() {
    let (_, tokens) = tokens();
    let made_up = Token::generate().expect("randomness");
    assert!(matches!(tokens.bearer(made_up.expose(), NOW).await, Err(TokenRefused::Unknown)));
    assert!(matches!(tokens.bearer("drayage_x", NOW).await, Err(TokenRefused::Malformed)));
}

#[tokio::test]
async fn a_stored_token_that_is_not_understood_opens_nothing() {
    let changes: [fn(&mut ApiToken); 4] = [
        |token| token.roles.push("emperor".to_owned()),
        |token| token.document = "{}".to_owned(),
        |token| token.document = r#"{"only":["*"],"break_glass":false}"#.to_owned(),
        |token| token.document = r#"{"break_glass":false,"new_limit":1}"#.to_owned(),
    ];
    for change in changes {
        let (ledger, tokens) = tokens();
        let issued = issued(&tokens, wanted(&[Role::Admin], Scope::Everything)).await;
        ledger.tamper(change);
        let refused = tokens.bearer(issued.token.expose(), NOW).await;
        assert!(matches!(refused, Err(TokenRefused::Unreadable(_))));
    }
}

#[tokio::test]
async fn a_row_without_an_end_is_over() {
    let (ledger, tokens) = tokens();
    let issued = issued(&tokens, wanted(&[Role::Admin], Scope::Everything)).await;
    ledger.tamper(|token| token.expires_unix_ms = None);
    assert!(tokens.bearer(issued.token.expose(), NOW).await.is_err());
}

#[tokio::test]
async fn use_is_noted_once_a_minute() {
    let (_, tokens) = tokens();
    let issued = issued(&tokens, wanted(&[Role::Admin], Scope::Everything)).await;
    let last_used = async || tokens.list(None, 1).await.expect("a list")[0].last_used_unix_ms;
    for (at, noted) in [(NOW, NOW), (NOW + 59_999, NOW), (NOW + 60_000, NOW + 60_000)] {
        tokens.bearer(issued.token.expose(), at).await.expect("it opens");
        assert_eq!(last_used().await, Some(noted));
    }
}

#[tokio::test]
async fn a_break_glass_token_leaves_its_use_on_the_chain_or_does_not_open() {
    let (ledger, tokens) = tokens();
    let new = NewToken { is_break_glass: true, ..wanted(&[Role::Admin], Scope::Everything) };
    let issued = issued(&tokens, new).await;
    ledger.cannot_write.store(true, Ordering::Relaxed);
    let unrecorded = tokens.bearer(issued.token.expose(), NOW).await;
    assert!(matches!(unrecorded, Err(TokenRefused::Unrecorded(_))));
    ledger.cannot_write.store(false, Ordering::Relaxed);
    for _ in 0..3 {
        tokens.bearer(issued.token.expose(), NOW).await.expect("it opens");
    }
    assert_eq!(break_glass_uses(&ledger), [format!("token:{}", issued.id)]);
}

fn break_glass_uses(ledger: &PretendLedger) -> Vec<String> {
    let uses = ledger.drafts().into_iter().filter(|draft| draft.action == "token.break-glass-used");
    uses.map(|draft| draft.actor).collect()
}

#[tokio::test]
async fn a_clock_that_was_ahead_once_hides_no_use_of_a_break_glass_token() {
    let (ledger, tokens) = tokens();
    let new = NewToken { is_break_glass: true, ..wanted(&[Role::Admin], Scope::Everything) };
    let issued = issued(&tokens, new).await;
    for at in [NOW, NOW - DAY_MS, NOW - DAY_MS + 59_999, NOW - DAY_MS + 60_000] {
        tokens.bearer(issued.token.expose(), at).await.expect("it opens");
    }
    assert_eq!(break_glass_uses(&ledger).len(), 3, "ahead, put right, a minute later");
}
