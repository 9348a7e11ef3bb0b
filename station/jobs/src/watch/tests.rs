//! The watch over a real ledger, and over ledgers that somebody exchanged.

use std::path::Path;
use std::time::Duration;

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
    watch_of(ledger, folder, vec![folder.to_owned()])
}

fn watch_of(ledger: Arc<SqliteLedger>, folder: &Path, folders: Vec<PathBuf>) -> Watch {
    let key = folder.join("key");
    if !key.exists() {
        std::fs::write(&key, SigningKey::generate().as_bytes()).unwrap();
    }
    let signing_key = SigningKey::from_text(&std::fs::read(&key).unwrap()).unwrap();
    let public_keys = PublicKeys::default().with(signing_key.public(None));
    Watch::new(Parts { ledger, chain: CHAIN.to_owned(), signing_key, public_keys, folders })
}

/// Signs what is new and sends it off: what was signed, and how many folders did not take it.
async fn sign(watch: &Watch, now_unix_ms: i64) -> (Checkpoint, usize) {
    let checkpoint = watch.checkpoint(now_unix_ms).await.unwrap().expect("something is new");
    (checkpoint, watch.send_off().await.unwrap().len())
}

fn file(folder: &Path) -> PathBuf {
    folder.join("station-1.checkpoints")
}

fn lines(checkpoints: &[&Checkpoint]) -> String {
    checkpoints.iter().map(|checkpoint| format!("{}\n", checkpoint.to_text())).collect()
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
    let (signed, not_sent) = sign(&watch, 2).await;
    assert_eq!((signed.no, not_sent), (2, 0));
    assert!(watch.checkpoint(3).await.unwrap().is_none(), "nothing new");
    assert!(watch.send_off().await.unwrap().is_empty());
    assert_eq!(std::fs::read_to_string(file(folder.path())).unwrap(), lines(&[&signed]));
    append(&ledger, "drive.released").await;
    let verified = watch.verify().await.unwrap();
    assert_eq!((verified.head.no, verified.signed_up_to), (3, Some(2)));
}

#[tokio::test]
async fn a_folder_that_is_gone_gets_what_it_missed_when_it_is_back() {
    let folder = tempfile::tempdir().unwrap();
    let ledger = open(&folder.path().join("a")).await;
    let (near, far) = (folder.path().to_owned(), folder.path().join("share"));
    let watch = watch_of(Arc::clone(&ledger), folder.path(), vec![near.clone(), far.clone()]);
    append(&ledger, "drive.received").await;
    let (first, not_sent) = sign(&watch, 2).await;
    assert_eq!(not_sent, 1, "the other one took it");
    append(&ledger, "drive.assigned").await;
    let (second, _) = sign(&watch, 3).await;
    std::fs::create_dir(&far).unwrap();
    assert!(watch.checkpoint(4).await.unwrap().is_none(), "a quiet night");
    assert!(watch.send_off().await.unwrap().is_empty());
    for folder in [near, far] {
        assert_eq!(std::fs::read_to_string(file(&folder)).unwrap(), lines(&[&first, &second]));
    }
}

/// The folder of a share that is not mounted is there and empty; so is a share that somebody exchanged.
#[tokio::test]
async fn a_file_that_was_there_once_is_missed_and_not_made_anew() {
    let folder = tempfile::tempdir().unwrap();
    let ledger = open(&folder.path().join("a")).await;
    append(&ledger, "drive.received").await;
    let running = watch(Arc::clone(&ledger), folder.path());
    let (first, _) = sign(&running, 2).await;
    let away = folder.path().join("away");
    std::fs::rename(file(folder.path()), &away).unwrap();
    append(&ledger, "drive.assigned").await;
    let (second, not_sent) = sign(&running, 3).await;
    assert_eq!(not_sent, 1);
    let (verified, unread) = running.verify_again().await.unwrap();
    assert_eq!((verified.head.no, unread.len()), (2, 1), "a station that runs goes on and says so");
    assert_eq!(running.send_off().await.unwrap().len(), 1);
    let starting = watch(Arc::clone(&ledger), folder.path());
    let error = starting.verify().await.unwrap_err();
    assert!(matches!(&error, WatchError::Folder(error) if error.source.to_string().contains("mounted")));
    assert!(!file(folder.path()).exists());
    std::fs::rename(&away, file(folder.path())).unwrap();
    starting.verify().await.unwrap();
    assert!(running.send_off().await.unwrap().is_empty(), "both know it again");
    assert_eq!(std::fs::read_to_string(file(folder.path())).unwrap(), lines(&[&first, &second]));
}

#[tokio::test]
async fn a_new_folder_is_one_with_an_empty_file_and_gets_all_checkpoints() {
    let folder = tempfile::tempdir().unwrap();
    let ledger = open(&folder.path().join("a")).await;
    append(&ledger, "drive.received").await;
    let (first, _) = sign(&watch(Arc::clone(&ledger), folder.path()), 2).await;
    let added = folder.path().join("added");
    std::fs::create_dir(&added).unwrap();
    let watch = watch_of(ledger, folder.path(), vec![added.clone()]);
    watch.verify().await.unwrap_err();
    std::fs::write(file(&added), "").unwrap();
    watch.verify().await.unwrap();
    assert!(watch.send_off().await.unwrap().is_empty());
    assert_eq!(std::fs::read_to_string(file(&added)).unwrap(), lines(&[&first]));
}

/// A pipe that nobody writes to hangs as a dead share does.
#[tokio::test]
async fn a_folder_that_hangs_is_given_up_and_nothing_waits_for_it() {
    let folder = tempfile::tempdir().unwrap();
    let ledger = open(&folder.path().join("a")).await;
    append(&ledger, "drive.received").await;
    let made = std::process::Command::new("mkfifo").arg(file(folder.path())).status();
    if !made.is_ok_and(|status| status.success()) {
        println!("skipped: a_folder_that_hangs_is_given_up_and_nothing_waits_for_it: there is no mkfifo");
        return;
    }
    let mut watch = watch(ledger, folder.path());
    watch.folders[0].waits = (Duration::from_millis(50), Duration::from_millis(50));
    let (verified, unread) = watch.verify_again().await.unwrap();
    assert_eq!((verified.head.no, unread.len()), (1, 1));
    assert_eq!(unread[0].source.kind(), std::io::ErrorKind::TimedOut);
    let (signed, not_sent) = sign(&watch, 2).await;
    assert_eq!((signed.no, not_sent), (1, 1));
    // Lets the thread go.
    std::fs::write(file(folder.path()), "").unwrap();
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
    sign(&watch(Arc::clone(&ledger), folder.path()), 2).await;
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
    sign(&watch(Arc::clone(&ledger), folder.path()), 2).await;
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
    sign(&watch(Arc::clone(&ledger), folder.path()), 2).await;
    let path = file(folder.path());
    let mut torn = std::fs::read(&path).unwrap();
    torn.truncate(torn.len() - 20);
    std::fs::write(&path, &torn).unwrap();
    append(&ledger, "drive.assigned").await;
    let watch = watch(Arc::clone(&ledger), folder.path());
    watch.verify().await.unwrap();
    watch.checkpoint(3).await.unwrap().unwrap();
    assert!(watch.send_off().await.unwrap().is_empty());
    let sent = std::fs::read(&path).unwrap();
    assert!(sent.starts_with(&[torn.as_slice(), b"\n{"].concat()));
    let (sent, _) = watch.sent_checkpoints().await.unwrap();
    let sent: Vec<u64> = sent.iter().map(|checkpoint| checkpoint.get().no).collect();
    assert_eq!(sent, [1, 2], "what was torn off is sent again, on a line of its own");
    watch.verify().await.unwrap();
}

#[tokio::test]
async fn a_checkpoint_that_was_changed_in_its_folder_is_named() {
    let folder = tempfile::tempdir().unwrap();
    let ledger = open(&folder.path().join("a")).await;
    append(&ledger, "drive.received").await;
    sign(&watch(Arc::clone(&ledger), folder.path()), 2).await;
    let path = file(folder.path());
    let text = std::fs::read_to_string(&path).unwrap().replace("\"no\":1", "\"no\":2");
    std::fs::write(&path, text).unwrap();
    let error = watch(ledger, folder.path()).verify().await.unwrap_err();
    assert!(matches!(&error, WatchError::Checkpoint { place, .. } if place.contains("station-1")), "{error}");
}
