//! Sealing, opening, rotating.

use std::path::Path;

use super::*;
use crate::load::KeySource;
use crate::master::KeyFile;
use crate::private_file;

fn purpose(drive_id: &str) -> Purpose {
    Purpose::RecoveryPassword { job: "/j/1".to_owned(), drive_id: drive_id.to_owned() }
}

async fn open_text(vault: &Vault, purpose: &Purpose, sealed: &Sealed) -> Result<String, OpenError> {
    vault.open(purpose, sealed).await.map(|secret| secret.expose_text().unwrap().to_owned())
}

async fn from_file(path: &Path) -> Vault {
    Vault::load(Sources::new(KeySource::File(path.to_owned())))
        .await
        .unwrap_or_else(|error| panic!("{error}"))
}

#[tokio::test]
async fn a_secret_opens_only_for_the_drive_that_it_was_sealed_for() {
    let vault = Vault::over(MasterKeys::ephemeral());
    let sealed = vault.seal(&purpose("S1"), b"planted").unwrap();
    let stored = Sealed::from_bytes(&sealed.to_bytes()).unwrap();
    assert_eq!(open_text(&vault, &purpose("S1"), &stored).await.unwrap(), "planted");
    let error = open_text(&vault, &purpose("s1"), &stored).await.unwrap_err();
    assert!(matches!(error, OpenError::Refused { .. }), "{error}");
    assert_eq!(error.class(), Class::HoldForCustomer);
    let other_job = Purpose::RecoveryPassword { job: "/j/2".to_owned(), drive_id: "S1".to_owned() };
    assert!(open_text(&vault, &other_job, &stored).await.is_err());
    let other_kind = Purpose::JobSecret { job: "/j/1".to_owned(), name: "S1".to_owned() };
    assert!(open_text(&vault, &other_kind, &stored).await.is_err());
}

#[tokio::test]
async fn another_stations_key_opens_nothing_and_says_which_is_missing() {
    let (vault, other) = (Vault::over(MasterKeys::ephemeral()), Vault::over(MasterKeys::ephemeral()));
    let sealed = vault.seal(&purpose("S1"), b"planted").unwrap();
    let error = open_text(&other, &purpose("S1"), &sealed).await.unwrap_err();
    assert!(error.to_string().contains(&vault.key_ids()[0].to_string()), "{error}");
    assert_eq!(error.class(), Class::StopStation);
}

#[tokio::test]
async fn any_changed_bit_is_refused() {
    let vault = Vault::over(MasterKeys::ephemeral());
    let bytes = vault.seal(&purpose("S1"), b"planted").unwrap().to_bytes();
    for bit in 0..bytes.len() * 8 {
        let mut changed = bytes.clone();
        changed[bit / 8] ^= 1 << (bit % 8);
        if let Ok(sealed) = Sealed::from_bytes(&changed) {
            assert!(vault.open(&purpose("S1"), &sealed).await.is_err(), "bit {bit}");
        }
    }
}

#[tokio::test]
async fn equal_secrets_do_not_look_equal_and_an_empty_one_is_a_secret() {
    let vault = Vault::over(MasterKeys::ephemeral());
    let [first, second] = [(); 2].map(|()| vault.seal(&purpose("S1"), b"planted").unwrap().to_bytes());
    assert_ne!(first[42..], second[42..]);
    let empty = vault.seal(&purpose("S1"), b"").unwrap();
    assert_eq!(open_text(&vault, &purpose("S1"), &empty).await.unwrap(), "");
    let long = vec![0; SECRET_BYTES_MAX + 1];
    assert!(matches!(vault.seal(&purpose("S1"), &long), Err(SealError::Long { found: 65_537 })));
}

#[tokio::test]
async fn keys_are_rotated_without_a_secret_ever_being_out_of_reach() {
    let place = tempfile::tempdir().unwrap();
    let path = place.path().join("master");
    let old = KeyFile::generate(&path).unwrap();
    let vault = from_file(&path).await;
    let sealed = vault.seal(&purpose("S1"), b"planted").unwrap();
    assert!(!vault.needs_rewrap(&sealed));

    let new = KeyFile::add(&path).unwrap();
    assert!(!vault.needs_rewrap(&sealed), "nothing changes before the reload");
    assert_eq!(vault.reload().await.unwrap(), [new, old]);
    assert!(vault.needs_rewrap(&sealed));
    assert_eq!(open_text(&vault, &purpose("S1"), &sealed).await.unwrap(), "planted");

    assert!(vault.rewrap(&purpose("S2"), &sealed).is_err(), "a rewrap binds no secret to another drive");
    let rewrapped = vault.rewrap(&purpose("S1"), &sealed).unwrap();
    assert!(!vault.needs_rewrap(&rewrapped));
    assert_eq!(rewrapped.secret, sealed.secret, "the secret itself is not touched");

    KeyFile::retire(&path, old).unwrap();
    assert_eq!(vault.reload().await.unwrap(), [new]);
    assert_eq!(open_text(&vault, &purpose("S1"), &rewrapped).await.unwrap(), "planted");
    let error = open_text(&vault, &purpose("S1"), &sealed).await.unwrap_err();
    assert!(matches!(error, OpenError::UnknownMasterKey { id } if id == old));
}

#[tokio::test]
async fn a_reload_that_fails_leaves_the_vault_as_it_was() {
    let place = tempfile::tempdir().unwrap();
    let path = place.path().join("master");
    KeyFile::generate(&path).unwrap();
    let vault = from_file(&path).await;
    let sealed = vault.seal(&purpose("S1"), b"planted").unwrap();
    std::fs::remove_file(&path).unwrap();
    let error = vault.reload().await.unwrap_err();
    assert_eq!(error.class(), Class::StopStation);
    assert_eq!(open_text(&vault, &purpose("S1"), &sealed).await.unwrap(), "planted");
}

#[tokio::test]
async fn a_wrapped_key_without_a_key_vault_is_named() {
    let place = tempfile::tempdir().unwrap();
    let path = place.path().join("master");
    let line = "wrapped-key 000102030405060708090a0b0c0d0e0f https://v.example/keys/k/1 AAAA\n";
    private_file::create(&path, line.as_bytes()).unwrap();
    let error = Vault::load(Sources::new(KeySource::File(path))).await.err().unwrap();
    assert!(error.to_string().contains("000102030405060708090a0b0c0d0e0f"), "{error}");
}
