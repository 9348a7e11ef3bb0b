//! Keys: who gets one, when, and that it is nowhere else.

use jobs::{Caller, ChangeError, Changes, Jobs, KeyError};
use keys::Secret;
use model::job::{Happening, JobState, NewDrive};

use super::house::*;

async fn is_refused(jobs: &Jobs, serial: &str, slot: &str) -> bool {
    let answer = jobs.release_key(&bay(), &key("a"), &id(serial), slot, None).await;
    matches!(answer, Err(KeyError::NotForThisBay { .. }))
}

#[tokio::test]
async fn a_key_is_released_only_for_the_drive_that_was_given_to_that_bay() {
    let house = House::new().await;
    let jobs = house.jobs();
    arrived(&jobs, "a", &["D1", "D2"]).await;
    assert!(is_refused(&jobs, "D1", "1").await, "on the shelf");
    jobs.assign(&clerk(), &seen("D1", "1")).await.unwrap();
    assert!(is_refused(&jobs, "D1", "2").await, "in another bay");
    assert!(is_refused(&jobs, "D2", "1").await, "another drive of the job");
    assert!(is_refused(&jobs, "D9", "1").await, "no drive of the job");
    let secret = jobs.release_key(&bay(), &key("a"), &id("D1"), "1", None).await.unwrap();
    assert!(secret.matches(PASSWORD.as_bytes()));

    jobs.hold(&clerk(), &key("a"), &id("D1"), "credential").await.unwrap();
    assert!(is_refused(&jobs, "D1", "1").await, "on hold");
    jobs.resume(&clerk(), &key("a"), &id("D1")).await.unwrap();
    jobs.tell(&clerk(), &key("a"), Happening::JobFaulted { reason: "flood".to_owned() }).await.unwrap();
    assert!(is_refused(&jobs, "D1", "1").await, "the job is faulted");
    jobs.tell(&clerk(), &key("a"), Happening::JobPutBack { to: JobState::Received }).await.unwrap();
    jobs.update(&customer(), &key("a"), Changes { cancel: true, ..Changes::default() }).await.unwrap();
    assert!(is_refused(&jobs, "D1", "1").await, "cancelled");

    let releases =
        |entries: Vec<String>| entries.into_iter().filter(|entry| entry.contains("key.")).collect::<Vec<_>>();
    assert_eq!(releases(house.custody(&key("a")).await), ["service:bays key.released D1"]);
}

#[tokio::test]
async fn a_key_is_not_released_under_a_claim_that_is_lost() {
    let house = House::new().await;
    let jobs = house.jobs();
    arrived(&jobs, "a", &["D1"]).await;
    jobs.assign(&clerk(), &seen("D1", "1")).await.unwrap();
    let lease = std::time::Duration::from_secs(60);
    let claim = house.ledger.claim_drive(STATION, lease).await.unwrap().expect("the drive waits for work");
    assert_eq!(claim.drive_id, id("D1"));
    let got = jobs.release_key(&bay(), &key("a"), &id("D1"), "1", Some(claim.clone())).await;
    assert!(got.is_ok());
    house.ledger.release(&claim).await.unwrap();
    let lost = jobs.release_key(&bay(), &key("a"), &id("D1"), "1", Some(claim)).await;
    assert!(matches!(lost, Err(KeyError::Change(ChangeError::ClaimLost { .. }))));
}

#[tokio::test]
async fn the_customer_gets_all_keys_and_each_release_is_on_the_chain() {
    let house = House::new().await;
    let jobs = house.jobs();
    shipped(&jobs, "a", &["D1", "D2"]).await;
    let released = jobs.bitlocker_keys(&customer(), &key("A")).await.unwrap();
    assert!(released.iter().all(|(_, secret)| secret.matches(PASSWORD.as_bytes())) && released.len() == 2);
    let custody = house.custody(&key("a")).await;
    let expected = ["token:customer key.released D1", "token:customer key.released D2"];
    assert_eq!(custody.get(custody.len() - 2..).unwrap(), expected);
    assert!(matches!(
        jobs.bitlocker_keys(&customer(), &key("none")).await,
        Err(KeyError::Change(ChangeError::NotFound(_)))
    ));
}

#[tokio::test]
async fn a_better_key_takes_the_place_of_one_that_did_not_open() {
    let house = House::new().await;
    let jobs = house.jobs();
    arrived(&jobs, "a", &["D1"]).await;
    let better = Secret::from_text("better".to_owned());
    jobs.keep_key(&customer(), &key("a"), &id("D1"), &better, None).await.unwrap();
    let released = jobs.bitlocker_keys(&customer(), &key("a")).await.unwrap();
    assert!(released[0].1.matches(b"better"));
    let refused = jobs.keep_key(&customer(), &key("a"), &id("D9"), &better, None).await;
    assert!(matches!(refused, Err(ChangeError::Refused(_))));
}

#[tokio::test]
async fn a_customer_replaces_a_key_in_any_open_state_by_a_list_that_says_nothing_else() {
    let house = House::new().await;
    let jobs = house.jobs();
    arrived(&jobs, "a", &["D1", "D2"]).await;
    jobs.assign(&clerk(), &seen("D1", "1")).await.unwrap();
    jobs.drive_started(&bay(), &key("a"), &id("D1"), None).await.unwrap();
    let patch = |serial: &str, text: &str| Changes {
        update: model::job::Update {
            drives: Some(vec![NewDrive { drive_id: serial.to_owned(), ..NewDrive::default() }]),
            ..model::job::Update::default()
        },
        keys: vec![(id(serial), Secret::from_text(text.to_owned()))],
        ..Changes::default()
    };
    let before = jobs.get(&key("a")).await.unwrap().unwrap().job;
    let after = jobs.update(&customer(), &key("a"), patch("D1", "better")).await.unwrap().job;
    assert_eq!(after, before, "the list is as it was");
    let released = jobs.bitlocker_keys(&customer(), &key("a")).await.unwrap();
    assert!(released[0].1.matches(b"better") && released[1].1.matches(PASSWORD.as_bytes()));
    assert!(house.custody(&key("a")).await.contains(&"token:customer key.kept D1".to_owned()));
    let events = house.ledger.events(0, 1_000).await.unwrap();
    assert!(events.iter().any(|event| event.draft.kind == "key.kept"), "whoever holds the drive is told");

    let refused = jobs.update(&customer(), &key("a"), patch("D9", "x")).await.unwrap_err();
    assert!(matches!(refused, ChangeError::Invalid(_)), "no new drives come in this way: {refused}");
    for serial in ["D1", "D2"] {
        jobs.drive_faulted(&clerk(), &key("a"), &id(serial), "dead").await.unwrap();
        let status = model::status::DriveStatus::DiskNotFound;
        jobs.drive_given_up(&clerk(), &key("a"), &id(serial), status).await.unwrap();
    }
    for serial in ["D1", "D2"] {
        jobs.pack(&clerk(), &key("a"), &id(serial), "K-1").await.unwrap();
    }
    jobs.ship(&clerk(), &key("a"), parcel_back(2)).await.unwrap();
    let refused = jobs.update(&customer(), &key("a"), patch("D1", "late")).await.unwrap_err();
    assert!(matches!(refused, ChangeError::Refused(_)), "the job is over: {refused}");
}

#[tokio::test]
async fn a_planted_password_is_nowhere_but_in_the_answer() {
    let house = House::new().await;
    let jobs = house.jobs();
    let stored = arrived(&jobs, "a", &["D1"]).await;
    jobs.assign(&clerk(), &seen("D1", "1")).await.unwrap();
    jobs.release_key(&bay(), &key("a"), &id("D1"), "1", None).await.unwrap();
    let planted = PASSWORD.as_bytes();
    let has = |bytes: &[u8]| bytes.windows(planted.len()).any(|window| window == planted);
    assert!(!has(format!("{stored:?}").as_bytes()) && !has(&serde_json::to_vec(&stored.job).unwrap()));
    for event in house.ledger.events(0, 1_000).await.unwrap() {
        assert!(!has(format!("{event:?}").as_bytes()));
    }
    let caller = Caller::new("c", vec![]);
    let refused = jobs.release_key(&caller, &key("a"), &id("D2"), "1", None).await.err().unwrap();
    assert!(!has(format!("{refused:?} {refused}").as_bytes()));
    for file in std::fs::read_dir(house.folder.path()).unwrap() {
        let path = file.unwrap().path();
        assert!(!path.is_file() || !has(&std::fs::read(&path).unwrap()), "{}", path.display());
    }
}

#[tokio::test]
async fn a_customers_key_that_this_station_cannot_use_is_refused_clearly() {
    let house = House::new().await;
    let customers = || model::job::NewJob {
        encryption_key: model::job::EncryptionKey {
            kek_type: model::job::KekType::CustomerManaged,
            kek_url: Some("https://vault.vault.azure.net/keys/k".to_owned()),
            kek_vault_resource_id: Some("/subscriptions/S".to_owned()),
        },
        ..import("a", &["D1"])
    };
    let Err(ChangeError::Invalid(problems)) =
        house.jobs().create(&customer(), customers(), passwords(&["D1"])).await
    else {
        panic!("accepted")
    };
    assert_eq!(problems[0].target, "properties.encryptionKey.kekType");

    // Configured, and the vault cannot be asked: nothing is stored, least of all under another key.
    let jobs = house.jobs_with_customer_keys();
    let refused = jobs.create(&customer(), customers(), passwords(&["D1"])).await.unwrap_err();
    assert!(matches!(refused, ChangeError::CustomerKey(_)), "{refused}");
    assert_eq!(jobs.get(&key("a")).await.unwrap(), None);
    jobs.create(&customer(), import("a", &["D1"]), passwords(&["D1"])).await.unwrap();
    let update = model::job::Update {
        encryption_key: Some(customers().encryption_key),
        ..model::job::Update::default()
    };
    let refused =
        jobs.update(&customer(), &key("a"), Changes { update, ..Changes::default() }).await.unwrap_err();
    assert!(matches!(refused, ChangeError::CustomerKey(_)), "{refused}");
    assert!(jobs.bitlocker_keys(&customer(), &key("a")).await.unwrap()[0].1.matches(PASSWORD.as_bytes()));
}
