//! Keys in Key Vault: the station's own master key, and customers' keys. Against a fake; see there.

use super::fake_key_vault::{FakeKeyVault, Mood};
use super::*;
use crate::load::KeySource;
use crate::master::KeyFile;

struct Station {
    place: tempfile::TempDir,
    fake: FakeKeyVault,
}

impl Station {
    async fn new() -> Station {
        Station { place: tempfile::tempdir().unwrap(), fake: FakeKeyVault::start().await }
    }

    fn path(&self) -> std::path::PathBuf {
        self.place.path().join("master")
    }

    fn sources(&self) -> Sources {
        Sources::new(KeySource::File(self.path())).with_key_vault(self.fake.client())
    }

    /// A vault with a plain master key, and Key Vault for customers' keys.
    async fn with_plain_key() -> (Station, Vault) {
        let station = Station::new().await;
        KeyFile::generate(&station.path()).unwrap();
        let vault = Vault::load(station.sources()).await.unwrap_or_else(|error| panic!("{error}"));
        (station, vault)
    }
}

fn purpose() -> Purpose {
    Purpose::RecoveryPassword { job: "/j/1".to_owned(), drive_id: "S1".to_owned() }
}

#[tokio::test]
async fn a_master_key_in_key_vault_is_never_in_the_file_and_asked_for_once() {
    let station = Station::new().await;
    let client = station.fake.client();
    let url = client.parse_url(&station.fake.key_url()).unwrap();
    let id = KeyFile::generate_wrapped(&station.path(), &client, &url).await.unwrap();
    let text = std::fs::read_to_string(station.path()).unwrap();
    assert!(text.contains("wrapped-key") && !text.contains("\nmaster-key"));
    assert!(text.contains("/keys/k/0a1b "), "the version is kept: {text}");
    station.fake.seen();

    let vault = Vault::load(station.sources()).await.unwrap_or_else(|error| panic!("{error}"));
    assert_eq!(vault.key_ids(), [id]);
    let sealed = vault.seal(&purpose(), b"planted").unwrap();
    assert!(vault.open(&purpose(), &sealed).await.unwrap_or_else(|e| panic!("{e}")).matches(b"planted"));
    assert_eq!(station.fake.seen(), ["POST /keys/k/0a1b/unwrapkey?api-version=7.4"]);
}

#[tokio::test]
async fn a_station_moves_to_key_vault_by_a_rotation() {
    let (station, vault) = Station::with_plain_key().await;
    let old = vault.key_ids()[0];
    let sealed = vault.seal(&purpose(), b"planted").unwrap();
    let client = station.fake.client();
    let url = client.parse_url(&station.fake.key_url()).unwrap();
    let new = KeyFile::add_wrapped(&station.path(), &client, &url).await.unwrap();
    assert_eq!(vault.reload().await.unwrap(), [new, old]);
    let rewrapped = vault.rewrap(&purpose(), &sealed).unwrap();
    KeyFile::retire(&station.path(), old).unwrap();
    vault.reload().await.unwrap();
    assert!(vault.open(&purpose(), &rewrapped).await.unwrap_or_else(|e| panic!("{e}")).matches(b"planted"));
    assert!(!std::fs::read_to_string(station.path()).unwrap().contains("\nmaster-key"));
}

#[tokio::test]
async fn a_master_key_that_its_vault_withholds_stops_the_station_but_not_a_running_one() {
    let station = Station::new().await;
    let client = station.fake.client();
    let url = client.parse_url(&station.fake.key_url()).unwrap();
    KeyFile::generate_wrapped(&station.path(), &client, &url).await.unwrap();
    let vault = Vault::load(station.sources()).await.unwrap_or_else(|error| panic!("{error}"));
    let sealed = vault.seal(&purpose(), b"planted").unwrap();
    for mood in [Mood::Revoked, Mood::Disabled, Mood::Deleted, Mood::Lying] {
        station.fake.is(mood);
        let error = Vault::load(station.sources()).await.err().unwrap();
        assert_eq!(error.class(), Class::StopStation, "{mood:?}");
        assert!(vault.reload().await.is_err());
        assert!(vault.open(&purpose(), &sealed).await.is_ok());
    }
    let elsewhere = Station::new().await;
    std::fs::copy(station.path(), elsewhere.path()).unwrap();
    let error = Vault::load(elsewhere.sources()).await.err().unwrap();
    assert!(matches!(error, LoadError::KeyUrl { .. }), "a file cannot name just any host: {error}");
}

#[tokio::test]
async fn a_secret_under_a_customers_key_needs_both_keys() {
    let (station, vault) = Station::with_plain_key().await;
    let key = vault.customer_key(&station.fake.key_url()).await.unwrap_or_else(|error| panic!("{error}"));
    let asked = station.fake.seen();
    assert_eq!(asked.len(), 3, "looked at, wrapped and unwrapped a trial: {asked:?}");
    let sealed = vault.seal_under(&key, &purpose(), b"planted").await.unwrap();
    let sealed = Sealed::from_bytes(&sealed.to_bytes()).unwrap();
    assert_eq!(sealed.customer_key(), Some(key.url().as_str()));
    assert!(key.url().ends_with("/keys/k/0a1b"));
    assert!(vault.open(&purpose(), &sealed).await.unwrap_or_else(|e| panic!("{e}")).matches(b"planted"));
    assert_eq!(station.fake.seen().len(), 2, "one request to seal, one to open");

    let other = Purpose::RecoveryPassword { job: "/j/1".to_owned(), drive_id: "S2".to_owned() };
    assert!(matches!(vault.open(&other, &sealed).await.err(), Some(OpenError::Refused { .. })));
    assert!(station.fake.seen().is_empty(), "the master key already says no");
    let stranger = Vault::over(MasterKeys::ephemeral());
    assert!(matches!(
        stranger.open(&purpose(), &sealed).await.err(),
        Some(OpenError::UnknownMasterKey { .. })
    ));
}

#[tokio::test]
async fn a_customer_who_revokes_is_obeyed_at_once_and_the_refusal_has_the_services_code() {
    let (station, vault) = Station::with_plain_key().await;
    let key = vault.customer_key(&station.fake.key_url()).await.unwrap_or_else(|error| panic!("{error}"));
    let sealed = vault.seal_under(&key, &purpose(), b"planted").await.unwrap();
    for (mood, code) in [
        (Mood::Revoked, "CmkErrorAccessRevoked"),
        (Mood::Disabled, "CmkErrorKeyDisabled"),
        (Mood::Deleted, "CmkErrorKeyNotFound"),
    ] {
        station.fake.is(mood);
        let error = vault.open(&purpose(), &sealed).await.err().unwrap();
        assert_eq!((error.code(), error.class()), (Some(code), Class::HoldForCustomer), "{error}");
        assert_eq!(vault.customer_key(&station.fake.key_url()).await.err().unwrap().code(), Some(code));
    }
    station.fake.is(Mood::Well);
    assert!(vault.open(&purpose(), &sealed).await.is_ok(), "and allowed again at once");
}

#[tokio::test]
async fn a_key_that_wraps_but_does_not_unwrap_is_refused_before_anything_depends_on_it() {
    let (station, vault) = Station::with_plain_key().await;
    station.fake.is(Mood::DisabledSinceLooked);
    let error = vault.customer_key(&station.fake.key_url()).await.err().unwrap();
    assert_eq!(error.code(), Some("CmkErrorKeyDisabled"));
    station.fake.is(Mood::Lying);
    let error = vault.customer_key(&station.fake.key_url()).await.err().unwrap();
    assert!(matches!(error, CustomerKeyError::NotTheSame));
}

#[tokio::test]
async fn rotating_the_master_key_does_not_trouble_customers_vaults() {
    let (station, vault) = Station::with_plain_key().await;
    let key = vault.customer_key(&station.fake.key_url()).await.unwrap_or_else(|error| panic!("{error}"));
    let sealed = vault.seal_under(&key, &purpose(), b"planted").await.unwrap();
    KeyFile::add(&station.path()).unwrap();
    vault.reload().await.unwrap();
    station.fake.seen();
    let rewrapped = vault.rewrap(&purpose(), &sealed).unwrap();
    assert!(station.fake.seen().is_empty());
    assert!(!vault.needs_rewrap(&rewrapped));
    assert!(vault.open(&purpose(), &rewrapped).await.unwrap_or_else(|e| panic!("{e}")).matches(b"planted"));
}

#[tokio::test]
async fn a_station_without_key_vault_refuses_customers_keys_clearly() {
    let vault = Vault::over(MasterKeys::ephemeral());
    let error = vault.customer_key("https://v.vault.azure.net/keys/k").await.err().unwrap();
    assert!(matches!(error, CustomerKeyError::Unsupported), "{error}");
    let (station, vault) = Station::with_plain_key().await;
    let error = vault.customer_key("https://evil.example/keys/k").await.err().unwrap();
    assert!(matches!(error, CustomerKeyError::Url(_)), "{error}");
    assert!(station.fake.seen().is_empty());
}
