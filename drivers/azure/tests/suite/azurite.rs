//! Every operation against Azurite 3.37: over HTTP with key and SAS, over TLS with a token.
//!
//! Azurite is the file that `DRAYAGE_AZURITE` names, else the rig's installation; without either a
//! test says that it was skipped. One process a test, in a directory of its own.

use std::path::PathBuf;
use std::process::Stdio;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use azure::{
    Account, AccountConfig, AccountKey, BlobHeaders, BlobType, Condition, Creation, Credential,
    DEVELOPMENT_ACCOUNT, DEVELOPMENT_KEY, Deletion, Endpoint, ErrorKind, LeaseId, LeaseState, PageRange,
    SasSigner, SasTerms, Tier,
};
use azure_core::credentials::{AccessToken, TokenCredential, TokenRequestOptions};
use azure_core::time::OffsetDateTime;
use base64::Engine;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use bytes::Bytes;
use model::Md5Digest;
use tempfile::TempDir;
use tokio::io::{AsyncBufReadExt, BufReader};
use tokio::process::{Child, Command};

use crate::support::{md5, path, put};
use crate::tls::Authority;

/// How long Azurite may take to start on a busy machine.
const START_LIMIT: Duration = Duration::from_secs(60);

struct Azurite {
    _process: Child,
    directory: TempDir,
    url: String,
}

impl Azurite {
    /// Starts it; nothing when it is not installed.
    async fn start(test: &str, authority: Option<&Authority>) -> Option<Azurite> {
        let rig = concat!(
            env!("CARGO_MANIFEST_DIR"),
            "/../../tests/rig/node/node_modules/azurite/dist/src/blob/main.js"
        );
        let script = std::env::var_os("DRAYAGE_AZURITE").map_or_else(|| PathBuf::from(rig), PathBuf::from);
        if !script.is_file() {
            eprintln!("skipped: {test}: Azurite is not installed (DRAYAGE_AZURITE, or tests/rig/node)");
            return None;
        }
        let directory = TempDir::new().unwrap();
        let mut command = Command::new("node");
        command.arg(script).args(["--blobHost", "127.0.0.1", "--blobPort", "0"]);
        command.args(["--disableTelemetry", "--skipApiVersionCheck", "--location"]).arg(directory.path());
        if let Some(authority) = authority {
            let (certificate, key) = (directory.path().join("cert.pem"), directory.path().join("key.pem"));
            std::fs::write(&certificate, &authority.certificate_pem).unwrap();
            std::fs::write(&key, &authority.key_pem).unwrap();
            command.args(["--oauth", "basic", "--cert"]).arg(certificate).arg("--key").arg(key);
        }
        let mut process =
            command.stdout(Stdio::piped()).stderr(Stdio::null()).kill_on_drop(true).spawn().unwrap();
        let mut lines = BufReader::new(process.stdout.take().unwrap()).lines();
        let listens = async {
            loop {
                let line = lines.next_line().await.unwrap().expect("Azurite ended");
                if let Some((_, url)) = line.split_once("successfully listens on ") {
                    return url.trim().to_owned();
                }
            }
        };
        let url = tokio::time::timeout(START_LIMIT, listens).await.expect("Azurite did not start");
        // It logs each request, and dies of a closed pipe.
        tokio::spawn(async move { while let Ok(Some(_)) = lines.next_line().await {} });
        Some(Azurite { _process: process, directory, url })
    }

    fn config(&self, credential: Credential) -> AccountConfig {
        AccountConfig::new(
            Endpoint::parse(&format!("{}/{DEVELOPMENT_ACCOUNT}", self.url)).unwrap(),
            credential,
        )
    }

    fn account(&self, credential: &str) -> Account {
        Account::new(self.config(Credential::from_text(credential).unwrap())).unwrap()
    }
}

#[tokio::test]
async fn every_operation_works_against_azurite() {
    let Some(azurite) = Azurite::start("every_operation_works_against_azurite", None).await else { return };
    assert!(azurite.directory.path().exists());
    let account = azurite.account(DEVELOPMENT_KEY);
    probe(&account).await;
    containers(&account).await;
    whole_blobs(&account).await;
    blocks(&account).await;
    pages(&account).await;
    properties(&account).await;
    leases(&account).await;
    names_and_listing(&account).await;
    signatures(&azurite).await;
    let counters = account.counters();
    assert_eq!((counters.in_flight, counters.waiting, counters.retries), (0, 0, 0));
}

async fn probe(account: &Account) {
    let facts = account.probe().await.unwrap();
    assert!(facts.credential_accepted);
    assert_ne!(facts.hierarchical_namespace, Some(true));
    assert_eq!(facts.kind.as_deref(), Some("StorageV2"));
    assert!(facts.clock_skew_seconds.unwrap().abs() <= 2);
}

async fn containers(account: &Account) {
    assert_eq!(put(account, "files/x", b"x").await.unwrap_err().kind(), ErrorKind::ContainerNotFound);
    let missing = account.properties(&path("files/x")).await.unwrap_err();
    assert_eq!(missing.kind(), ErrorKind::ContainerNotFound);
    assert_eq!(account.create_container("files").await.unwrap(), Creation::Created);
    assert_eq!(account.create_container("files").await.unwrap(), Creation::AlreadyExists);
    assert_eq!(account.properties(&path("files/x")).await.unwrap(), None);
    assert!(account.probe_container("files").await.unwrap().credential_accepted);
}

async fn whole_blobs(account: &Account) {
    let blob = path("files/whole");
    let stored = put(account, "files/whole", b"hello").await.unwrap();
    let data = Bytes::from_static(b"other");
    let headers = BlobHeaders::default();
    let again = account
        .put_blob(&blob, data.clone(), md5(b"other"), &headers, &Condition::IfNoneMatchAny)
        .await
        .unwrap_err();
    assert_eq!((again.kind(), again.ambiguous), (ErrorKind::AlreadyExists, false));
    let matching = Condition::IfMatch(stored.etag);
    let newer = account.put_blob(&blob, data.clone(), md5(b"other"), &headers, &matching).await.unwrap();
    assert!(newer.last_modified.is_some());
    let stale = account.put_blob(&blob, data.clone(), md5(b"other"), &headers, &matching).await.unwrap_err();
    assert_eq!(stale.kind(), ErrorKind::ConditionNotMet);
    let wrong = account.put_blob(&blob, data, Md5Digest([9; 16]), &headers, &Condition::None).await;
    assert_eq!(wrong.unwrap_err().kind(), ErrorKind::MemoryFault);
    assert_eq!(account.download(&blob, None).await.unwrap(), "other");
    assert_eq!(account.download(&blob, Some(1..3)).await.unwrap(), "th");
    let outside = account.download(&blob, Some(9..12)).await.unwrap_err();
    assert_eq!(outside.kind(), ErrorKind::InvalidRange);
    let empty = put(account, "files/empty", b"").await.unwrap();
    assert_eq!(empty.attempts.count, 1);
    assert_eq!(account.download(&path("files/empty"), None).await.unwrap(), "");
    assert_eq!(account.delete(&blob, &Condition::None, None).await.unwrap(), Deletion::Deleted);
    assert_eq!(account.delete(&blob, &Condition::None, None).await.unwrap(), Deletion::Absent);
}

async fn blocks(account: &Account) {
    let blob = path("files/blocks");
    assert_eq!(account.block_list(&blob).await.unwrap(), azure::BlockList::default());
    let data: Vec<Bytes> = (0..3u8).map(|n| Bytes::from(vec![n; 300_000])).collect();
    let ids: Vec<String> = (0..3).map(|n| STANDARD.encode(format!("block-{n:04}"))).collect();
    for (id, data) in ids.iter().zip(&data) {
        account.put_block(&blob, id, data.clone(), md5(data), None).await.unwrap();
    }
    let wrong = account.put_block(&blob, &ids[0], data[0].clone(), Md5Digest([9; 16]), None).await;
    assert_eq!(wrong.unwrap_err().kind(), ErrorKind::MemoryFault);
    let list = account.block_list(&blob).await.unwrap();
    assert!(list.committed.is_empty());
    assert_eq!(list.uncommitted.iter().map(|b| b.id.as_str()).collect::<Vec<_>>(), ids);
    assert!(list.uncommitted.iter().all(|block| block.length_bytes == 300_000));
    assert_eq!(account.properties(&blob).await.unwrap(), None, "uncommitted blocks are invisible");

    let whole = data.concat();
    let headers = BlobHeaders {
        content_type: Some("application/x-test".to_owned()),
        content_md5: Some(md5(&whole)),
        metadata: vec![("job".to_owned(), "17".to_owned())],
        tier: Some(Tier::Cool),
        ..BlobHeaders::default()
    };
    let absent = [STANDARD.encode("block-9999")];
    let error = account.put_block_list(&blob, &absent, &headers, &Condition::None, None).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::InvalidBlockList);
    let condition = Condition::IfNoneMatchAny;
    let stored = account.put_block_list(&blob, &ids, &headers, &condition, None).await.unwrap();
    let error = account.put_block_list(&blob, &ids, &headers, &condition, None).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::AlreadyExists);
    let found = account.properties(&blob).await.unwrap().unwrap();
    assert_eq!((found.length_bytes, found.blob_type), (900_000, BlobType::Block));
    assert_eq!((found.etag, found.lease_state), (stored.etag, LeaseState::Available));
    assert_eq!(found.headers, headers);
    let list = account.block_list(&blob).await.unwrap();
    assert_eq!((list.committed.len(), list.uncommitted.len()), (3, 0));
    let mut download = account.download_stream(&blob).await.unwrap();
    let mut read = Vec::new();
    while let Some(piece) = download.next_piece().await.unwrap() {
        read.extend_from_slice(&piece);
    }
    assert!(read == whole);
}

async fn pages(account: &Account) {
    let blob = path("files/disk.vhd");
    let headers =
        BlobHeaders { metadata: vec![("job".to_owned(), "17".to_owned())], ..BlobHeaders::default() };
    account.create_page_blob(&blob, 8_192, &headers, &Condition::IfNoneMatchAny, None).await.unwrap();
    let again = account.create_page_blob(&blob, 8_192, &headers, &Condition::IfNoneMatchAny, None).await;
    assert_eq!(again.unwrap_err().kind(), ErrorKind::AlreadyExists);
    let page = Bytes::from(vec![7u8; 1_024]);
    account.put_page(&blob, 1_024, page.clone(), md5(&page), None).await.unwrap();
    account.put_page(&blob, 4_096, page.clone(), md5(&page), None).await.unwrap();
    let wrong = account.put_page(&blob, 0, page.clone(), Md5Digest([9; 16]), None).await.unwrap_err();
    assert_eq!(wrong.kind(), ErrorKind::MemoryFault);
    let range = |offset_bytes, length_bytes| PageRange { offset_bytes, length_bytes };
    assert_eq!(account.page_ranges(&blob).await.unwrap(), [range(1_024, 1_024), range(4_096, 1_024)]);
    account.clear_pages(&blob, 1_024, 512, None).await.unwrap();
    assert_eq!(account.page_ranges(&blob).await.unwrap(), [range(1_536, 512), range(4_096, 1_024)]);
    account.resize_page_blob(&blob, 4_096, None).await.unwrap();
    let found = account.properties(&blob).await.unwrap().unwrap();
    assert_eq!((found.length_bytes, found.blob_type), (4_096, BlobType::Page));
    assert_eq!(account.download(&blob, Some(1_536..1_538)).await.unwrap(), vec![7, 7]);
    let outside = account.put_page(&blob, 4_096, page.clone(), md5(&page), None).await.unwrap_err();
    assert_eq!(outside.kind(), ErrorKind::InvalidRange);
    let block = account.put_block(&blob, "QQ==", page.clone(), md5(&page), None).await.unwrap_err();
    assert_eq!(block.kind(), ErrorKind::BlobTypeMismatch);
}

async fn properties(account: &Account) {
    let blob = path("files/properties");
    put(account, "files/properties", b"hello").await.unwrap();
    let metadata = [("a".to_owned(), "1".to_owned()), ("b_2".to_owned(), "x y".to_owned())];
    let stored = account.set_metadata(&blob, &metadata, &Condition::None, None).await.unwrap();
    let headers = BlobHeaders {
        content_type: Some("text/plain".to_owned()),
        content_encoding: Some("gzip".to_owned()),
        content_language: Some("de".to_owned()),
        cache_control: Some("no-store".to_owned()),
        content_disposition: Some("inline".to_owned()),
        content_md5: Some(md5(b"something else")),
        ..BlobHeaders::default()
    };
    let matching = Condition::IfMatch(stored.etag);
    account.set_properties(&blob, &headers, &matching, None).await.unwrap();
    let stale = account.set_properties(&blob, &headers, &matching, None).await.unwrap_err();
    assert_eq!(stale.kind(), ErrorKind::ConditionNotMet);
    let found = account.properties(&blob).await.unwrap().unwrap();
    let expected = BlobHeaders { metadata: metadata.to_vec(), tier: found.headers.tier.clone(), ..headers };
    assert_eq!(found.headers, expected);
    let absent = account.set_metadata(&path("files/absent"), &metadata, &Condition::None, None).await;
    assert_eq!(absent.unwrap_err().kind(), ErrorKind::NotFound);
}

async fn leases(account: &Account) {
    let blob = path("files/leased");
    put(account, "files/leased", b"hello").await.unwrap();
    let proposed = LeaseId::random();
    let lease = account.acquire_lease(&blob, Some(&proposed), 15).await.unwrap();
    assert_eq!(lease, proposed);
    let found = account.properties(&blob).await.unwrap().unwrap();
    assert_eq!(found.lease_state, LeaseState::Leased);
    assert_eq!(put(account, "files/leased", b"x").await.unwrap_err().kind(), ErrorKind::LeasePresent);
    let taken = account.acquire_lease(&blob, None, 15).await.unwrap_err();
    assert_eq!(taken.kind(), ErrorKind::LeasePresent);
    let again = account.acquire_lease(&blob, Some(&proposed), 15).await.unwrap();
    assert_eq!(again, proposed, "a repeated acquisition under the same id is the same lease");
    account.renew_lease(&blob, &lease).await.unwrap();
    account.set_metadata(&blob, &[], &Condition::None, Some(&lease)).await.unwrap();
    let other = LeaseId::random();
    let refused = account.set_metadata(&blob, &[], &Condition::None, Some(&other)).await.unwrap_err();
    assert_eq!(refused.kind(), ErrorKind::LeaseLost);
    account.release_lease(&blob, &lease).await.unwrap();
    put(account, "files/leased", b"x").await.unwrap();
    let lost = account.set_metadata(&blob, &[], &Condition::None, Some(&lease)).await.unwrap_err();
    assert_eq!(lost.kind(), ErrorKind::LeaseLost);
    account.acquire_lease(&blob, None, 60).await.unwrap();
    assert_eq!(account.break_lease(&blob, Some(0)).await.unwrap(), 0);
    put(account, "files/leased", b"y").await.unwrap();
}

async fn names_and_listing(account: &Account) {
    account.create_container("names").await.unwrap();
    let names = [
        "100%",
        "a b",
        "a#b?c&d",
        "a%41b",
        "a'b(c)*!",
        "a+b",
        "a//b",
        "a/b/c.txt",
        "a\\b",
        "e\u{301}",
        "é/日本",
        "🚚",
    ];
    for name in names {
        account
            .put_blob(
                &path(&format!("names/{name}")),
                Bytes::from_static(b"x"),
                md5(b"x"),
                &BlobHeaders { metadata: vec![("k".to_owned(), "v".to_owned())], ..BlobHeaders::default() },
                &Condition::None,
            )
            .await
            .unwrap();
    }
    let mut listed = account.list("names", "").collect().await.unwrap();
    listed.sort_by(|a, b| a.name.cmp(&b.name));
    // Azurite turns a backslash into a slash, as the service does.
    let mut expected: Vec<_> = names.iter().map(|name| name.replace('\\', "/")).collect();
    expected.sort();
    assert_eq!(listed.iter().map(|blob| blob.name.clone()).collect::<Vec<_>>(), expected);
    for blob in &listed {
        assert_eq!((blob.length_bytes, blob.blob_type), (1, BlobType::Block));
        assert_eq!(blob.metadata, [("k".to_owned(), "v".to_owned())]);
        assert_eq!(blob.content_md5, Some(md5(b"x")));
        let found = account.properties(&path(&format!("names/{}", blob.name))).await.unwrap().unwrap();
        assert_eq!(found.etag, blob.etag, "{}", blob.name);
    }
    let some = account.list("names", "a/").collect().await.unwrap();
    assert!(some.iter().all(|blob| blob.name.starts_with("a/")) && !some.is_empty());
    let missing = account.list("nothere", "").collect().await.unwrap_err();
    assert_eq!(missing.kind(), ErrorKind::ContainerNotFound);
    assert_eq!(account.containers("name").await.unwrap(), ["names"]);
    assert!(account.containers("").await.unwrap().len() > 1);
    let blob = path("names/a/b/c.txt");
    let taken = account.snapshot(&blob, &Condition::None).await.unwrap();
    put(account, "names/a/b/c.txt", b"changed").await.unwrap();
    let versions = account.list("names", "a/b/").with_snapshots().collect().await.unwrap();
    let snapshots: Vec<_> = versions.iter().filter_map(|blob| blob.snapshot.as_deref()).collect();
    assert_eq!((versions.len(), snapshots), (2, vec![taken.as_str()]));
    assert_eq!(account.properties_of(&blob, Some(&taken)).await.unwrap().unwrap().length_bytes, 1);
    let old = account.download_range(&blob, Some(&taken), 0..7, &Condition::None).await.unwrap();
    assert_eq!(old, "x");
    account.create_container("$root").await.unwrap();
    put(account, "$root/top.txt", b"x").await.unwrap();
    assert_eq!(account.download(&path("$root/top.txt"), None).await.unwrap(), "x");
}

async fn signatures(azurite: &Azurite) {
    let key = AccountKey::from_base64(DEVELOPMENT_KEY).unwrap();
    let signer = SasSigner::new(DEVELOPMENT_ACCOUNT, &key);
    let terms = |permissions: &str, hours: i8| SasTerms {
        permissions: permissions.to_owned(),
        start: Some(SystemTime::now() - Duration::from_secs(7_200)),
        expiry: if hours < 0 {
            SystemTime::now() - Duration::from_secs(3_600)
        } else {
            SystemTime::now() + Duration::from_secs(3_600)
        },
        https_only: false,
        addresses: None,
    };
    let account = azurite.account(&signer.account("sco", &terms("rwdlac", 1)).unwrap());
    account.probe().await.unwrap();
    account.create_container("sas").await.unwrap();
    put(&account, "sas/a b%41+.txt", b"x").await.unwrap();

    let container = azurite.account(&signer.container("sas", &terms("racwdl", 1)).unwrap());
    put(&container, "sas/second", b"x").await.unwrap();
    assert_eq!(container.list("sas", "").collect().await.unwrap().len(), 2);
    let elsewhere = put(&container, "files/x", b"x").await.unwrap_err();
    assert_eq!((elsewhere.kind(), elsewhere.attempts), (ErrorKind::Forbidden, 1));
    assert!(!container.probe().await.unwrap().credential_accepted);

    let named = format!(
        "{}/{DEVELOPMENT_ACCOUNT}/sas?{}",
        azurite.url,
        &*signer.container("sas", &terms("racwdl", 1)).unwrap()
    );
    assert!(azurite.account(&named).probe().await.unwrap().credential_accepted);

    let blob = path("sas/a b%41+.txt");
    let reader = azurite.account(&signer.blob(&blob, &terms("r", 1)).unwrap());
    assert_eq!(reader.download(&blob, None).await.unwrap(), "x");
    assert_eq!(put(&reader, "sas/a b%41+.txt", b"y").await.unwrap_err().kind(), ErrorKind::Forbidden);
    let expired = azurite.account(&signer.container("sas", &terms("racwdl", -1)).unwrap());
    assert_eq!(put(&expired, "sas/x", b"x").await.unwrap_err().kind(), ErrorKind::Forbidden);
    assert_eq!(expired.probe_container("sas").await.unwrap_err().kind(), ErrorKind::Forbidden);

    let wrong = azurite.account(&STANDARD.encode([1u8; 64]));
    // Azurite's code for a wrong key is that of the service's firewall, so it is not tried again.
    assert_eq!(wrong.probe().await.unwrap_err().kind(), ErrorKind::Forbidden);
}

/// A token as Azurite wants it: unsigned, because it looks at issuer, audience and times only.
#[derive(Debug)]
struct UnsignedToken {
    audience: &'static str,
}

#[async_trait::async_trait]
impl TokenCredential for UnsignedToken {
    async fn get_token(
        &self,
        _: &[&str],
        _: Option<TokenRequestOptions<'_>>,
    ) -> azure_core::Result<AccessToken> {
        let now = OffsetDateTime::now_utc().unix_timestamp();
        let tenant = "11111111-2222-3333-4444-555555555555";
        let claims = serde_json::json!({
            "iss": format!("https://sts.windows.net/{tenant}/"), "aud": self.audience, "oid": tenant,
            "tid": tenant, "sub": tenant, "appid": tenant, "nbf": now - 60, "iat": now - 60, "exp": now + 3_600,
        });
        let header = serde_json::json!({ "alg": "RS256", "typ": "JWT" });
        let part = |value: &serde_json::Value| URL_SAFE_NO_PAD.encode(value.to_string());
        let token = format!("{}.{}.{}", part(&header), part(&claims), URL_SAFE_NO_PAD.encode("none"));
        let expires = OffsetDateTime::from_unix_timestamp(now + 3_600).unwrap();
        Ok(AccessToken::new(token, expires))
    }
}

#[tokio::test]
async fn an_entra_token_opens_azurite_over_tls() {
    let authority = Authority::new();
    let test = "an_entra_token_opens_azurite_over_tls";
    let Some(azurite) = Azurite::start(test, Some(&authority)).await else { return };
    let account = |audience| {
        let credential = Credential::token(Arc::new(UnsignedToken { audience }));
        let mut config = azurite.config(credential);
        config.ca_certificates_pem = Some(authority.ca_pem.clone().into_bytes());
        Account::new(config).unwrap()
    };
    let entitled = account("https://storage.azure.com");
    entitled.create_container("files").await.unwrap();
    put(&entitled, "files/a b", b"hello").await.unwrap();
    assert_eq!(entitled.download(&path("files/a b"), None).await.unwrap(), "hello");
    let refused = put(&account("https://vault.azure.net"), "files/x", b"x").await.unwrap_err();
    assert_eq!((refused.kind(), refused.attempts), (ErrorKind::Forbidden, 2));
}
