//! The `keys` library with keys in Key Vault: a station's own master key, and customers' keys. Against the rig's
//! double; see there.

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use azure::{Credential, KeyUrl, KeyVault, KeyVaultConfig};
use azure_core::credentials::{AccessToken, TokenCredential, TokenRequestOptions};
use azure_core::time::OffsetDateTime;
use keys::{
    CustomerKeyError, KeyFile, KeySource, LoadError, MasterKeys, OpenError, Purpose, Sealed, Sources, Vault,
};
use model::Class;
use rig::key_vault::{KeyVaultDouble, Mood, TOKEN};

#[derive(Debug)]
struct Tokens;

#[async_trait]
impl TokenCredential for Tokens {
    async fn get_token(
        &self,
        scopes: &[&str],
        _: Option<TokenRequestOptions<'_>>,
    ) -> azure_core::Result<AccessToken> {
        assert_eq!(scopes, ["https://vault.azure.net/.default"]);
        Ok(AccessToken::new(TOKEN, OffsetDateTime::now_utc() + Duration::from_secs(600)))
    }
}

/// The first version of the double's key.
const VERSION: &str = "/keys/k/00000000000000000000000000000001";

struct Station {
    place: tempfile::TempDir,
    fake: KeyVaultDouble,
}

impl Station {
    fn new() -> Station {
        Station { place: tempfile::tempdir().unwrap(), fake: KeyVaultDouble::start().unwrap() }
    }

    fn path(&self) -> std::path::PathBuf {
        self.place.path().join("master")
    }

    fn client(&self) -> KeyVault {
        let config = KeyVaultConfig::new(Credential::token(Arc::new(Tokens)));
        KeyVault::new(KeyVaultConfig { trusted_hosts: vec![self.fake.host()], ..config }).unwrap()
    }

    fn key_url(&self) -> KeyUrl {
        self.client().parse_url(&self.fake.key_url("k")).unwrap()
    }

    fn sources(&self) -> Sources {
        Sources::new(KeySource::File(self.path())).with_key_vault(self.client())
    }

    /// A vault with a plain master key, and Key Vault for customers' keys.
    async fn with_plain_key() -> (Station, Vault) {
        let station = Station::new();
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
    let station = Station::new();
    let (client, url) = (station.client(), station.key_url());
    let id = KeyFile::generate_wrapped(&station.path(), &client, &url).await.unwrap();
    let text = std::fs::read_to_string(station.path()).unwrap();
    assert!(text.contains("wrapped-key") && !text.contains("\nmaster-key"));
    assert!(text.contains(&format!("{VERSION} ")), "the version is kept: {text}");
    station.fake.seen();

    let vault = Vault::load(station.sources()).await.unwrap_or_else(|error| panic!("{error}"));
    assert_eq!(vault.key_ids(), [id]);
    let sealed = vault.seal(&purpose(), b"planted").unwrap();
    assert!(vault.open(&purpose(), &sealed).await.unwrap_or_else(|e| panic!("{e}")).matches(b"planted"));
    assert_eq!(station.fake.seen(), [format!("POST {VERSION}/unwrapkey?api-version=7.4")]);
}

#[tokio::test]
async fn a_station_moves_to_key_vault_by_a_rotation() {
    let (station, vault) = Station::with_plain_key().await;
    let old = vault.key_ids()[0];
    let sealed = vault.seal(&purpose(), b"planted").unwrap();
    let (client, url) = (station.client(), station.key_url());
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
    let station = Station::new();
    let (client, url) = (station.client(), station.key_url());
    KeyFile::generate_wrapped(&station.path(), &client, &url).await.unwrap();
    let vault = Vault::load(station.sources()).await.unwrap_or_else(|error| panic!("{error}"));
    let sealed = vault.seal(&purpose(), b"planted").unwrap();
    for mood in [Mood::Revoked, Mood::Disabled, Mood::Deleted, Mood::Lying] {
        station.fake.is("k", mood);
        let error = Vault::load(station.sources()).await.err().unwrap();
        assert_eq!(error.class(), Class::StopStation, "{mood:?}");
        assert!(vault.reload().await.is_err());
        assert!(vault.open(&purpose(), &sealed).await.is_ok());
    }
    let elsewhere = Station::new();
    std::fs::copy(station.path(), elsewhere.path()).unwrap();
    let error = Vault::load(elsewhere.sources()).await.err().unwrap();
    assert!(matches!(error, LoadError::KeyUrl { .. }), "a file cannot name just any host: {error}");
}

#[tokio::test]
async fn nothing_is_sealed_under_a_master_key_that_the_configured_one_did_not_wrap() {
    let (station, vault) = Station::with_plain_key().await;
    let plain = vault.key_ids()[0];
    let (client, url) = (station.client(), station.key_url());
    let wanting = |url: &KeyUrl| Vault::load(station.sources().wrapped_by(url.clone()));
    let refused = |loaded: Result<Vault, LoadError>| loaded.err().expect("it is refused");
    let error = refused(wanting(&url).await);
    assert!(matches!(error, LoadError::NotWrapped { id, .. } if id == plain), "{error}");
    assert_eq!(error.class(), Class::StopStation);

    let first = KeyFile::add_wrapped(&station.path(), &client, &url).await.unwrap();
    let moved = wanting(&url).await.unwrap_or_else(|error| panic!("{error}"));
    assert_eq!(moved.key_ids(), [first, plain], "what was sealed before opens");

    // The key in the vault gets a new version: what the old one wrapped is good until it is pinned otherwise.
    let version = client.parse_url(&format!("{url}/{}", station.fake.renew("k"))).unwrap();
    assert_eq!(moved.reload().await.unwrap(), [first, plain]);
    assert!(matches!(refused(wanting(&version).await), LoadError::NotWrapped { .. }));
    let second = KeyFile::add_wrapped(&station.path(), &client, &url).await.unwrap();
    let renewed = wanting(&version).await.unwrap_or_else(|error| panic!("{error}"));
    assert_eq!(renewed.key_ids(), [second, first, plain]);

    station.fake.renew("other");
    let other = client.parse_url(&station.fake.key_url("other")).unwrap();
    assert!(matches!(refused(wanting(&other).await), LoadError::NotWrapped { .. }));
    KeyFile::add(&station.path()).unwrap();
    assert!(renewed.reload().await.is_err(), "a plain key in front is no rotation here");
    assert_eq!(renewed.key_ids(), [second, first, plain]);
}

#[tokio::test]
async fn the_stations_own_key_is_no_customers() {
    let station = Station::new();
    let (client, url) = (station.client(), station.key_url());
    KeyFile::generate_wrapped(&station.path(), &client, &url).await.unwrap();
    let vault =
        Vault::load(station.sources().wrapped_by(url)).await.unwrap_or_else(|error| panic!("{error}"));
    let theirs = station.fake.renew("theirs");
    station.fake.seen();
    for own in [station.fake.key_url("K"), format!("{}/{theirs}", station.fake.key_url("k"))] {
        let error = vault.customer_key(&own).await.err().unwrap();
        assert!(matches!(error, CustomerKeyError::StationsOwn) && error.is_wrong_key(), "{own}: {error}");
    }
    assert!(station.fake.seen().is_empty(), "nobody was asked");
    assert!(vault.customer_key(&station.fake.key_url("theirs")).await.is_ok());
}

#[tokio::test]
async fn a_secret_under_a_customers_key_needs_both_keys() {
    let (station, vault) = Station::with_plain_key().await;
    let key = vault.customer_key(&station.fake.key_url("k")).await.unwrap_or_else(|error| panic!("{error}"));
    let asked = station.fake.seen();
    assert_eq!(asked.len(), 3, "looked at, wrapped and unwrapped a trial: {asked:?}");
    let sealed = vault.seal_under(&key, &purpose(), b"planted").await.unwrap();
    let sealed = Sealed::from_bytes(&sealed.to_bytes()).unwrap();
    assert_eq!(sealed.customer_key(), Some(key.url().as_str()));
    assert!(key.url().ends_with(VERSION));
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
    let key = vault.customer_key(&station.fake.key_url("k")).await.unwrap_or_else(|error| panic!("{error}"));
    let sealed = vault.seal_under(&key, &purpose(), b"planted").await.unwrap();
    for (mood, code) in [
        (Mood::Revoked, "CmkErrorAccessRevoked"),
        (Mood::Disabled, "CmkErrorKeyDisabled"),
        (Mood::Deleted, "CmkErrorKeyNotFound"),
    ] {
        station.fake.is("k", mood);
        let error = vault.open(&purpose(), &sealed).await.err().unwrap();
        assert_eq!((error.code(), error.class()), (Some(code), Class::HoldForCustomer), "{error}");
        assert_eq!(vault.customer_key(&station.fake.key_url("k")).await.err().unwrap().code(), Some(code));
    }
    station.fake.is("k", Mood::Well);
    assert!(vault.open(&purpose(), &sealed).await.is_ok(), "and allowed again at once");
}

#[tokio::test]
async fn a_key_that_wraps_but_does_not_unwrap_is_refused_before_anything_depends_on_it() {
    let (station, vault) = Station::with_plain_key().await;
    station.fake.is("k", Mood::DisabledSinceLooked);
    let error = vault.customer_key(&station.fake.key_url("k")).await.err().unwrap();
    assert_eq!(error.code(), Some("CmkErrorKeyDisabled"));
    station.fake.is("k", Mood::Lying);
    let error = vault.customer_key(&station.fake.key_url("k")).await.err().unwrap();
    assert!(matches!(error, CustomerKeyError::NotTheSame));
}

#[tokio::test]
async fn rotating_the_master_key_does_not_trouble_customers_vaults() {
    let (station, vault) = Station::with_plain_key().await;
    let key = vault.customer_key(&station.fake.key_url("k")).await.unwrap_or_else(|error| panic!("{error}"));
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
