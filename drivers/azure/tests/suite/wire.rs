//! What exactly goes over the wire.

use azure::{BlobHeaders, Condition, Credential, ETag, LeaseId, Tier};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use model::{BlobPath, Md5Digest};

use crate::server::{Reply, Server};
use crate::support::{TestClock, account, config_with, md5, path, put};

const SAS: &str = "sv=2023-11-03&ss=b&srt=co&sp=rw&se=2030-01-01T00%3A00%3A00Z&sig=SECRET%2Bsig%3D";

#[tokio::test]
async fn blob_names_reach_the_wire_byte_for_byte() {
    let server = Server::start(Vec::new()).await;
    let account = account(&server);
    let cases = [
        ("abc/plain.txt", "/devstoreaccount1/abc/plain.txt"),
        ("abc/a b", "/devstoreaccount1/abc/a%20b"),
        ("abc/100%", "/devstoreaccount1/abc/100%25"),
        ("abc/a%41b", "/devstoreaccount1/abc/a%2541b"),
        ("abc/a+b", "/devstoreaccount1/abc/a%2Bb"),
        ("abc/a#b?c&d=e", "/devstoreaccount1/abc/a%23b%3Fc%26d%3De"),
        ("abc/é/日本", "/devstoreaccount1/abc/%C3%A9/%E6%97%A5%E6%9C%AC"),
        ("abc/e\u{301}", "/devstoreaccount1/abc/e%CC%81"),
        ("abc/a//b", "/devstoreaccount1/abc/a//b"),
        ("abc//a", "/devstoreaccount1/abc//a"),
        ("abc/a\\b", "/devstoreaccount1/abc/a%5Cb"),
        ("abc/...a/.b/c..d", "/devstoreaccount1/abc/...a/.b/c..d"),
        ("abc/%2e%2e/x", "/devstoreaccount1/abc/%252e%252e/x"),
        ("abc/a'b(c)*!", "/devstoreaccount1/abc/a%27b%28c%29%2A%21"),
        (
            "abc/a:b@c;d,e|f^g`h{i}j\"k<l>",
            "/devstoreaccount1/abc/a%3Ab%40c%3Bd%2Ce%7Cf%5Eg%60h%7Bi%7Dj%22k%3Cl%3E",
        ),
        ("$root/x.txt", "/devstoreaccount1/$root/x.txt"),
        ("$web/index.html", "/devstoreaccount1/$web/index.html"),
    ];
    for (name, _) in cases {
        put(&account, name, b"x").await.unwrap();
    }
    for (seen, (name, expected)) in server.seen().iter().zip(cases) {
        assert_eq!(seen.line, format!("PUT {expected} HTTP/1.1"), "{name}");
    }
    assert_eq!(server.seen().len(), cases.len());
}

#[tokio::test]
async fn a_whole_blob_carries_its_digest_its_properties_and_its_condition() {
    let server = Server::start(Vec::new()).await;
    let headers = BlobHeaders {
        content_type: Some("text/plain".to_owned()),
        content_encoding: Some("gzip".to_owned()),
        content_language: Some("de-DE".to_owned()),
        cache_control: Some("no-cache".to_owned()),
        content_disposition: Some("inline".to_owned()),
        content_md5: Some(md5(b"hello")),
        metadata: vec![("Project_1".to_owned(), "x y".to_owned())],
        tier: Some(Tier::Cool),
    };
    let stored = account(&server)
        .put_blob(
            &path("abc/x"),
            Bytes::from_static(b"hello"),
            md5(b"hello"),
            &headers,
            &Condition::IfNoneMatchAny,
        )
        .await
        .unwrap();
    assert_eq!(stored.etag, ETag::new("0x8D"));
    assert_eq!((stored.attempts.count, stored.attempts.ambiguous), (1, false));
    let seen = &server.seen()[0];
    let digest = STANDARD.encode(md5(b"hello").0);
    for (name, expected) in [
        ("content-md5", digest.as_str()),
        ("content-length", "5"),
        ("x-ms-blob-type", "BlockBlob"),
        ("x-ms-blob-content-type", "text/plain"),
        ("x-ms-blob-content-encoding", "gzip"),
        ("x-ms-blob-content-language", "de-DE"),
        ("x-ms-blob-cache-control", "no-cache"),
        ("x-ms-blob-content-disposition", "inline"),
        ("x-ms-blob-content-md5", digest.as_str()),
        ("x-ms-meta-project_1", "x y"),
        ("x-ms-access-tier", "Cool"),
        ("x-ms-version", azure::SERVICE_VERSION),
        ("if-none-match", "*"),
    ] {
        assert_eq!(seen.header(name), Some(expected), "{name}");
    }
    assert!(seen.header("authorization").unwrap().starts_with("SharedKey devstoreaccount1:"));
    assert_eq!(seen.body, b"hello");
}

#[tokio::test]
async fn blocks_and_pages_carry_their_digest_and_lease() {
    let server = Server::start(Vec::new()).await;
    let account = account(&server);
    let lease = LeaseId::random();
    let data = Bytes::from(vec![7u8; 512]);
    let blob = path("abc/x");
    account.put_block(&blob, "Qk+/", data.clone(), md5(&data), Some(&lease)).await.unwrap();
    account.put_page(&blob, 1_024, data.clone(), md5(&data), Some(&lease)).await.unwrap();
    let ids = ["QUFB".to_owned(), "Qk+/".to_owned()];
    let condition = Condition::IfMatch(ETag::new("0x1"));
    account.put_block_list(&blob, &ids, &BlobHeaders::default(), &condition, Some(&lease)).await.unwrap();
    let seen = server.seen();
    assert_eq!(seen[0].target(), "/devstoreaccount1/abc/x?comp=block&blockid=Qk%2B%2F");
    assert_eq!(seen[1].target(), "/devstoreaccount1/abc/x?comp=page");
    assert_eq!(seen[1].header("x-ms-range"), Some("bytes=1024-1535"));
    assert_eq!(seen[2].target(), "/devstoreaccount1/abc/x?comp=blocklist");
    assert_eq!(seen[2].header("if-match"), Some("\"0x1\""));
    assert_eq!(
        String::from_utf8_lossy(&seen[2].body),
        "<?xml version=\"1.0\" encoding=\"utf-8\"?><BlockList>\
        <Uncommitted>QUFB</Uncommitted><Uncommitted>Qk+/</Uncommitted></BlockList>"
    );
    for seen in &seen {
        assert_eq!(seen.header("content-md5"), Some(STANDARD.encode(md5(&seen.body).0).as_str()));
        assert_eq!(seen.header("x-ms-lease-id"), Some(lease.as_str()));
    }
}

#[tokio::test]
async fn a_sas_is_appended_unchanged_to_every_request_and_nothing_is_signed() {
    let server = Server::start(vec![Reply::error(503, "ServerBusy").act()]).await;
    let config = config_with(&server, &TestClock::new(), Credential::from_text(SAS).unwrap());
    let account = azure::Account::new(config).unwrap();
    let data = Bytes::from_static(b"x");
    account.put_block(&path("abc/a b"), "QQ==", data, md5(b"x"), None).await.unwrap();
    put(&account, "abc/c", b"x").await.unwrap();
    let seen = server.seen();
    let block = format!("/devstoreaccount1/abc/a%20b?comp=block&blockid=QQ%3D%3D&{SAS}");
    assert_eq!((seen[0].target(), seen[1].target()), (block.as_str(), block.as_str()));
    assert_eq!(seen[2].target(), format!("/devstoreaccount1/abc/c?{SAS}"));
    assert!(seen.iter().all(|seen| seen.header("authorization").is_none()));
}

#[tokio::test]
async fn what_cannot_be_carried_is_refused_before_sending() {
    let server = Server::start(Vec::new()).await;
    let account = account(&server);
    let headers = BlobHeaders { metadata: vec![("a".to_owned(), "é".to_owned())], ..BlobHeaders::default() };
    let data = Bytes::from_static(b"x");
    let error = account
        .put_blob(&path("abc/x"), data.clone(), md5(b"x"), &headers, &Condition::None)
        .await
        .unwrap_err();
    assert_eq!((error.kind(), error.attempts), (azure::ErrorKind::InvalidHeader, 0));
    let stored = BlobHeaders { content_md5: Some(Md5Digest([0; 16])), ..BlobHeaders::default() };
    let error =
        account.put_blob(&path("abc/x"), data, md5(b"x"), &stored, &Condition::None).await.unwrap_err();
    assert_eq!(error.kind(), azure::ErrorKind::StoredMd5Differs);
    let empty = account.put_block(&path("abc/x"), "QQ==", Bytes::new(), md5(b""), None).await.unwrap_err();
    assert_eq!(empty.kind(), azure::ErrorKind::BadRequest);
    assert!(server.seen().is_empty());
}

#[tokio::test]
async fn page_blobs_are_refused_where_the_account_has_none() {
    let facts = Reply::new(200).with("x-ms-is-hns-enabled", "true").with("x-ms-account-kind", "StorageV2");
    let code = "FeatureNotYetSupportedForHierarchicalNamespaceAccounts";
    let server = Server::start(vec![Reply::error(409, code).act(), facts.act()]).await;
    let account = account(&server);
    let (blob, headers) = (path("abc/x.vhd"), BlobHeaders::default());
    let told = account.create_page_blob(&blob, 512, &headers, &Condition::None, None).await.unwrap_err();
    assert_eq!((told.kind(), told.attempts), (azure::ErrorKind::PageBlobsUnsupported, 1));
    let facts = account.probe().await.unwrap();
    assert_eq!((facts.hierarchical_namespace, facts.kind.as_deref()), (Some(true), Some("StorageV2")));
    let known = account.create_page_blob(&blob, 512, &headers, &Condition::None, None).await.unwrap_err();
    assert_eq!((known.kind(), known.attempts), (azure::ErrorKind::PageBlobsUnsupported, 0));
    assert!(known.to_string().contains("hierarchical namespace"), "{known}");
    assert_eq!(server.seen().len(), 2);
    put(&account, "abc/block", b"x").await.unwrap();
}

#[tokio::test]
async fn odd_names_of_containers_never_get_this_far() {
    assert!(BlobPath::parse("abc/../x").is_err());
}
