//! The watch over a real ledger, and over ledgers that somebody exchanged.

use std::path::Path;

use custody::Draft;
use ledger::{Change, Jobs, SqliteLedger};

use super::*;

const CHAIN: &str = "station-1";

async fn open(path: &Path) -> Arc<SqliteLedger> {
    Arc::new(SqliteLedger::open(path).await.unwrap())
}

async fn append(ledger: &SqliteLedger, action: &str) {
    let draft = Draft {
        at_unix_ms: 1_700_000_000_000,
        actor: "test".to_owned(),
        roles: vec!["technician".to_owned()],
        action: action.to_owned(),
        job: None,
        drive: None,
        bay: None,
        before: None,
        after: None,
        reason: None,
        files: Vec::new(),
    };
    let change = Change { chain: CHAIN.to_owned(), custody: vec![draft], ..Change::default() };
    ledger.apply(&change).await.unwrap();
}

/// Watches with the one key that is in the folder; the checkpoints go there too.
fn watch(ledger: Arc<SqliteLedger>, folder: &Path) -> Watch {
    let key = folder.join("key");
    if !key.exists() {
        std::fs::write(&key, SigningKey::generate().as_bytes()).unwrap();
    }
    let signing_key = SigningKey::from_text(&std::fs::read(&key).unwrap()).unwrap();
    let public_keys = PublicKeys::default().with(signing_key.public(None));
    let folders = vec![folder.to_owned()];
    Watch::new(Parts { ledger, chain: CHAIN.to_owned(), signing_key, public_keys, folders })
}

fn damage(error: WatchError) -> Damage {
    match error {
        WatchError::Broken { broken, .. } => broken.what,
        other => panic!("{other}"),
    }
}

#[tokio::test]
async fn what_is_new_is_signed_once_stored_and_sent_off() {
    let folder = tempfile::tempdir().unwrap();
    let ledger = open(&folder.path().join("a")).await;
    let watch = watch(Arc::clone(&ledger), folder.path());
    assert!(watch.checkpoint(1).await.unwrap().is_none(), "nothing to sign");
    append(&ledger, "drive.received").await;
    append(&ledger, "drive.assigned").await;
    let signed = watch.checkpoint(2).await.unwrap().unwrap();
    assert_eq!((signed.checkpoint.no, signed.not_sent.len()), (2, 0));
    assert!(watch.checkpoint(3).await.unwrap().is_none(), "nothing new");
    let sent = std::fs::read_to_string(folder.path().join("station-1.checkpoints")).unwrap();
    assert_eq!(sent, format!("{}\n", signed.checkpoint.to_text()));
    append(&ledger, "drive.released").await;
    let verified = watch.verify().await.unwrap();
    assert_eq!((verified.head.no, verified.signed_up_to), (3, Some(2)));
}

#[tokio::test]
async fn a_folder_that_is_gone_does_not_keep_a_checkpoint_from_being_signed() {
    let folder = tempfile::tempdir().unwrap();
    let ledger = open(&folder.path().join("a")).await;
    let mut watch = watch(Arc::clone(&ledger), folder.path());
    watch.parts.folders.push(folder.path().join("not-mounted"));
    append(&ledger, "drive.received").await;
    let signed = watch.checkpoint(2).await.unwrap().unwrap();
    assert_eq!(signed.not_sent.len(), 1);
    assert!(signed.not_sent[0].path.starts_with(folder.path().join("not-mounted")));
}

#[tokio::test]
async fn a_ledger_that_was_set_back_is_noticed_and_not_signed() {
    let folder = tempfile::tempdir().unwrap();
    let (now, before) = (folder.path().join("now"), folder.path().join("before"));
    let ledger = open(&now).await;
    append(&ledger, "drive.received").await;
    drop(ledger);
    std::fs::copy(&now, &before).unwrap();
    let ledger = open(&now).await;
    append(&ledger, "drive.assigned").await;
    watch(Arc::clone(&ledger), folder.path()).checkpoint(2).await.unwrap();
    let set_back = watch(open(&before).await, folder.path());
    let expected = |what: Damage| matches!(what, Damage::Truncated { covered: 2, .. });
    assert!(expected(damage(set_back.verify().await.unwrap_err())));
    assert!(expected(damage(set_back.checkpoint(3).await.unwrap_err())));
}

#[tokio::test]
async fn a_database_that_was_written_anew_does_not_pass_the_checkpoints_off_the_machine() {
    let folder = tempfile::tempdir().unwrap();
    let ledger = open(&folder.path().join("true")).await;
    append(&ledger, "drive.received").await;
    watch(Arc::clone(&ledger), folder.path()).checkpoint(2).await.unwrap();
    let forged = open(&folder.path().join("forged")).await;
    append(&forged, "nothing.happened").await;
    let error = watch(forged, folder.path()).verify().await.unwrap_err();
    assert!(matches!(damage(error), Damage::Rewritten { .. }));
}

/// Power that failed in the middle of a line: the file cannot be mended where nothing is written over.
#[tokio::test]
async fn a_torn_line_in_a_folder_stops_nothing_and_the_next_line_stands_by_itself() {
    let folder = tempfile::tempdir().unwrap();
    let ledger = open(&folder.path().join("a")).await;
    append(&ledger, "drive.received").await;
    watch(Arc::clone(&ledger), folder.path()).checkpoint(2).await.unwrap();
    let path = folder.path().join("station-1.checkpoints");
    let mut torn = std::fs::read(&path).unwrap();
    torn.truncate(torn.len() - 20);
    std::fs::write(&path, &torn).unwrap();
    append(&ledger, "drive.assigned").await;
    let watch = watch(Arc::clone(&ledger), folder.path());
    watch.verify().await.unwrap();
    let signed = watch.checkpoint(3).await.unwrap().unwrap();
    let expected = [torn, format!("\n{}\n", signed.checkpoint.to_text()).into_bytes()].concat();
    assert_eq!(std::fs::read(&path).unwrap(), expected);
    assert_eq!(watch.sent_checkpoints(path).unwrap().len(), 1, "the line after the torn one counts");
    watch.verify().await.unwrap();
}

#[tokio::test]
async fn a_checkpoint_that_was_changed_in_its_folder_is_named() {
    let folder = tempfile::tempdir().unwrap();
    let ledger = open(&folder.path().join("a")).await;
    append(&ledger, "drive.received").await;
    watch(Arc::clone(&ledger), folder.path()).checkpoint(2).await.unwrap();
    let path = folder.path().join("station-1.checkpoints");
    let text = std::fs::read_to_string(&path).unwrap().replace("\"no\":1", "\"no\":2");
    std::fs::write(&path, text).unwrap();
    let error = watch(ledger, folder.path()).verify().await.unwrap_err();
    assert!(matches!(&error, WatchError::Checkpoint { place, .. } if place.contains("station-1")), "{error}");
}
