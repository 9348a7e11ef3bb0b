//! Secrets and tokens.

use super::*;
use crate::{ApiToken, SecretWrite, TokenWrite};

fn secrets(writes: Vec<SecretWrite>) -> Change {
    Change { secrets: writes, ..Change::default() }
}

fn put(secret: &SealedSecret) -> SecretWrite {
    SecretWrite::Put(secret.clone())
}

/// By name; a secret of the station stays.
pub async fn secrets_are_replaced_deleted_and_gone_with_their_job(store: &dyn OfficeStore) {
    let ledger = store.open().await;
    let (of_job, other) = (sealed("of job", Some("One"), "\0\u{1f}a"), sealed("other", Some("One"), ""));
    let of_station = sealed("of station", None, "b");
    let mut change = insertion(&job_row("One", &[]));
    change.secrets = [&of_job, &other, &of_station].into_iter().map(put).collect();
    apply(&*ledger, &change).await;
    assert_eq!(ledger.secret("of job").await.unwrap(), Some(of_job.clone()));
    assert_eq!(ledger.secret("OF JOB").await.unwrap(), None);
    let replaced = SealedSecret { sealed: vec![7; 2_000], ..of_job };
    let delete = |name: &str| SecretWrite::Delete { name: name.to_owned() };
    apply(&*ledger, &secrets(vec![put(&replaced), delete("other"), delete("never was")])).await;
    assert_eq!(ledger.secret("of job").await.unwrap(), Some(replaced));
    assert_eq!(ledger.secret("other").await.unwrap(), None);
    apply(&*ledger, &deletion("One", 1)).await;
    assert_eq!(ledger.secret("of job").await.unwrap(), None);
    assert_eq!(ledger.secret("of station").await.unwrap(), Some(of_station.clone()));
    assert!(!format!("{of_station:?}").contains("98"), "not even sealed bytes are shown");
}

/// Of two who saw the same, one is told that it is not there any more.
pub async fn a_secret_is_replaced_only_where_it_is_what_was_seen(store: &dyn OfficeStore) {
    let (ledger, other) = (store.open().await, store.open().await);
    let replace = |before: Option<&SealedSecret>, content: &str| {
        let with = sealed("account", None, content);
        secrets(vec![SecretWrite::Replace { before: before.cloned(), with }])
    };
    let is_conflict = |refused: &ApplyError| matches!(refused, ApplyError::Conflict { found_version: None });
    apply(&*ledger, &replace(None, "first")).await;
    let first = ledger.secret("account").await.unwrap().unwrap();
    assert!(is_conflict(&refusal(&*ledger, &replace(None, "another first")).await));
    let both = [replace(Some(&first), "one"), replace(Some(&first), "two")];
    let (one, two) = tokio::join!(ledger.apply(&both[0]), other.apply(&both[1]));
    let lost = [&one, &two].into_iter().filter_map(|outcome| outcome.as_ref().err()).collect::<Vec<_>>();
    assert!(lost.len() == 1 && is_conflict(lost[0]), "{lost:?}");
    let there = ledger.secret("account").await.unwrap().unwrap();
    assert_eq!(there.sealed, if one.is_ok() { b"one" } else { b"two" });
    let renamed = SecretWrite::Replace { before: Some(there.clone()), with: sealed("other", None, "x") };
    assert!(matches!(refusal(&*ledger, &secrets(vec![renamed])).await, ApplyError::Invalid { .. }));
    apply(&*ledger, &secrets(vec![SecretWrite::Delete { name: "account".to_owned() }])).await;
    assert!(is_conflict(&refusal(&*ledger, &replace(Some(&there), "three")).await));
    assert_eq!(ledger.secret("account").await.unwrap(), None);
}

/// Rotation goes on while jobs are made.
pub async fn secrets_are_wrapped_anew_unless_they_were_replaced(store: &dyn OfficeStore) {
    let ledger = store.open().await;
    let all: Vec<_> = ["a", "b", "c", "d"].iter().map(|name| sealed(name, None, name)).collect();
    apply(&*ledger, &secrets(all.iter().map(put).collect())).await;
    assert_eq!(ledger.secrets_to_rewrap("master-1", None, 9).await.unwrap(), []);
    let first = ledger.secrets_to_rewrap("master-2", None, 2).await.unwrap();
    assert_eq!(first, all[..2]);
    assert_eq!(ledger.secrets_to_rewrap("master-2", Some("b"), 9).await.unwrap(), all[2..]);
    let newer = SealedSecret { sealed: b"newer".to_vec(), ..all[1].clone() };
    apply(&*ledger, &secrets(vec![put(&newer)])).await;
    assert!(ledger.rewrap_secret(&first[0], "master-2", b"A").await.unwrap());
    assert!(!ledger.rewrap_secret(&first[1], "master-2", b"B").await.unwrap());
    assert!(!ledger.rewrap_secret(&sealed("gone", None, "x"), "master-2", b"X").await.unwrap());
    let wrapped = ledger.secret("a").await.unwrap().unwrap();
    assert_eq!((wrapped.master_key_id.as_str(), wrapped.sealed.as_slice()), ("master-2", b"A".as_slice()));
    assert_eq!(ledger.secret("b").await.unwrap(), Some(newer.clone()));
    let left = ledger.secrets_to_rewrap("master-2", None, 9).await.unwrap();
    assert_eq!(left, [newer, all[2].clone(), all[3].clone()]);
}

pub(super) fn token(number: u8) -> ApiToken {
    ApiToken {
        id: format!("token-{number}"),
        sha256: [number; 32],
        label: "for the scanner".to_owned(),
        roles: vec!["receiver".to_owned(), "technician".to_owned()],
        document: "{}".to_owned(),
        created_unix_ms: T0,
        expires_unix_ms: Some(T0 + 9),
        last_used_unix_ms: None,
        revoked_unix_ms: None,
    }
}

/// Ids and hashes are never given twice.
pub async fn tokens_are_found_by_their_hash_and_revoked_once(store: &dyn OfficeStore) {
    let ledger = store.open().await;
    let tokens = |writes| Change { tokens: writes, ..Change::default() };
    let endless = ApiToken { expires_unix_ms: None, roles: Vec::new(), ..token(2) };
    let inserts = vec![TokenWrite::Insert(token(1)), TokenWrite::Insert(endless.clone())];
    apply(&*ledger, &tokens(inserts)).await;
    assert_eq!(ledger.token_by_hash(&[1; 32]).await.unwrap(), Some(token(1)));
    assert_eq!(ledger.token_by_hash(&[3; 32]).await.unwrap(), None);
    for twice in [ApiToken { sha256: [9; 32], ..token(1) }, ApiToken { id: "new".to_owned(), ..token(1) }] {
        let refused = refusal(&*ledger, &tokens(vec![TokenWrite::Insert(twice)])).await;
        assert!(matches!(refused, ApplyError::Invalid { .. }), "{refused:?}");
    }
    for at_unix_ms in [T0 + 1, T0 + 5] {
        let revoke = TokenWrite::Revoke { id: "token-1".to_owned(), at_unix_ms };
        apply(&*ledger, &tokens(vec![revoke])).await;
    }
    // A clock that was ahead and was put right: what counts is the last use that was noted.
    for at_unix_ms in [T0 + 3, T0 + 2] {
        ledger.note_token_use("token-1", at_unix_ms).await.unwrap();
    }
    let revoked = ApiToken { revoked_unix_ms: Some(T0 + 1), last_used_unix_ms: Some(T0 + 2), ..token(1) };
    assert_eq!(ledger.token_by_hash(&[1; 32]).await.unwrap(), Some(revoked.clone()));
    assert_eq!(ledger.tokens(None, 1).await.unwrap(), [revoked]);
    assert_eq!(ledger.tokens(Some("token-1"), 9).await.unwrap(), [endless]);
}
