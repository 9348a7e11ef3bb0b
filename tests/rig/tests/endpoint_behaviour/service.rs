//! What the conformance suite cannot ask of every server: hierarchical namespaces, tokens, limits by
//! version, hostile bytes, and many clients at once.

use std::io::{Read as _, Write as _};
use std::net::TcpStream;

use crate::lab::{Lab, get, put_blob, put_block, put_list};
use rig::endpoint::conformance::client::{Ask, Credential};
use rig::endpoint::{Endpoint, EndpointConfig, Operation, Store};

fn hierarchical() -> Lab {
    let mut lab = Lab::start(EndpointConfig { hierarchical_namespace: true, ..EndpointConfig::default() });
    assert_eq!(lab.word(Ask::new("PUT", "/con").query("restype", "container")), "201");
    lab
}

#[test]
fn a_hierarchical_account_says_so_and_refuses_page_blobs() {
    let mut lab = hierarchical();
    let ask = Ask::new("GET", "/").query("restype", "account").query("comp", "properties");
    assert_eq!(lab.send(ask).expect("answered").header("x-ms-is-hns-enabled"), Some("true"));
    let ask = Ask::new("PUT", "/con/a").header("x-ms-blob-type", "PageBlob");
    let word = lab.word(ask.header("x-ms-blob-content-length", 512));
    assert_eq!(word, "409 FeatureNotYetSupportedForHierarchicalNamespaceAccounts");
}

#[test]
fn a_hierarchical_account_has_files_and_folders_and_no_empty_names() {
    let mut lab = hierarchical();
    assert_eq!(lab.word(put_blob("d//e/f", b"x")), "201");
    assert_eq!(lab.word(get("d/e/f")), "200");
    assert_eq!(lab.endpoint.blobs()[0].name, "d/e/f");
    assert_eq!(lab.word(put_blob("d/e/f/g", b"x")), "409 PathConflict");
    assert_eq!(lab.word(put_blob("d/e", b"x")), "409 PathConflict");
    assert_eq!(lab.word(put_block("d/e", "1", b"x")), "201");
    assert_eq!(lab.word(put_list("d/e", &["1"])), "409 PathConflict");
    assert_eq!(lab.word(put_blob("d/%2E%2E/f", b"x")), "400 InvalidUri");
}

#[test]
fn a_token_that_is_accepted_may_do_everything_and_another_nothing() {
    let tokens = vec!["good-token".to_owned()];
    let mut lab = Lab::start(EndpointConfig { bearer_tokens: tokens, ..EndpointConfig::default() });
    let by = |token: &str| Credential::Header(format!("Bearer {token}"));
    let ask = Ask::new("PUT", "/con").query("restype", "container");
    assert_eq!(lab.word(ask.clone().by(by("bad-token"))), "401 InvalidAuthenticationInfo");
    assert_eq!(lab.word(ask.by(by("good-token"))), "201");
    assert_eq!(lab.word(get("a").by(Credential::None)), "401 NoAuthenticationInformation");
}

#[test]
fn a_block_may_be_as_large_as_the_version_allows() {
    let mut lab = Lab::with_container(Store::Memory);
    let body = vec![1; (4 << 20) + 1];
    for (version, word) in
        [("2015-12-11", "413 RequestBodyTooLarge"), ("2016-05-31", "201"), ("2022-11-02", "201")]
    {
        let ask = put_block("a", "1", &body).header("x-ms-version", version);
        assert_eq!(lab.word(ask), word, "{version}");
    }
}

#[test]
fn an_archived_blob_is_not_read_until_it_is_brought_back() {
    let mut lab = Lab::with_container(Store::Memory);
    assert_eq!(lab.word(put_blob("a", b"x").header("x-ms-access-tier", "Archive")), "201");
    assert_eq!(lab.word(get("a")), "409 BlobArchived");
    let tier = Ask::new("PUT", "/con/a").query("comp", "tier").header("x-ms-access-tier", "Hot");
    assert_eq!(lab.word(tier), "202");
    assert_eq!(lab.word(get("a")), "200");
}

#[test]
fn operations_that_are_not_done_are_refused_and_not_done_in_part() {
    let mut lab = Lab::with_container(Store::Memory);
    for ask in [
        put_blob("a", b"").header("x-ms-copy-source", "http://127.0.0.1/x"),
        put_blob("a", b"x").header("x-ms-tags", "a=b"),
        put_blob("a", b"x").header("x-ms-encryption-scope", "s"),
        put_blob("a", b"x").header("x-ms-blob-type", "AppendBlob"),
        Ask::new("PUT", "/con/a").query("comp", "appendblock").body("x"),
        Ask::new("POST", "/con/a").query("comp", "query").body("x"),
    ] {
        assert_eq!(lab.word(ask.clone()), "501 NotImplemented", "{ask:?}");
    }
    assert!(lab.endpoint.blobs().is_empty());
}

fn raw(lab: &Lab, request: &[u8]) -> String {
    let mut stream = TcpStream::connect(lab.endpoint.address()).expect("the endpoint answers");
    stream.write_all(request).expect("sent");
    let mut answer = Vec::new();
    drop(stream.read_to_end(&mut answer));
    String::from_utf8_lossy(&answer).into_owned()
}

#[test]
fn bytes_that_are_no_request_are_refused_and_the_endpoint_goes_on() {
    let mut lab = Lab::with_container(Store::Memory);
    for request in [
        &b"\0\x01\x02\r\n\r\n"[..],
        b"GET\r\n\r\n",
        b"PUT /devstoreaccount1/con/%zz HTTP/1.1\r\nhost: x\r\nconnection: close\r\ncontent-length: 0\r\n\r\n",
        b"GET /devstoreaccount1/con/%FF HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n",
        b"PUT /devstoreaccount1/con/a HTTP/1.1\r\nhost: x\r\nconnection: close\r\ncontent-length: many\r\n\r\n",
        b"GET /devstoreaccount1/con/a?x=%C3%28 HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n",
        b"GET /devstoreaccount1/con/a?sig=x&sv=9999-99-99 HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n",
        b"GET / HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n",
    ] {
        let answer = raw(&lab, request);
        let refused = answer.is_empty() || answer.starts_with("HTTP/1.1 4");
        assert!(refused, "{:?}: {answer}", String::from_utf8_lossy(request));
    }
    assert_eq!(lab.word(put_blob("a", b"x")), "201");
}

#[test]
fn a_body_without_a_length_is_refused() {
    let lab = Lab::with_container(Store::Memory);
    let sas = lab.endpoint.container_sas("con", "rw", std::time::Duration::from_secs(60));
    let request = format!(
        "PUT /devstoreaccount1/con/a?{sas} HTTP/1.1\r\nhost: x\r\nconnection: close\r\nx-ms-blob-type: BlockBlob\r\n\
         transfer-encoding: chunked\r\n\r\n1\r\nx\r\n0\r\n\r\n"
    );
    let answer = raw(&lab, request.as_bytes());
    assert!(answer.starts_with("HTTP/1.1 411") && answer.contains("MissingContentLengthHeader"), "{answer}");
}

#[test]
fn of_many_clients_that_create_a_blob_once_one_succeeds() {
    for store in [Store::Memory, Store::Discard] {
        let lab = Lab::with_container(store);
        let words: Vec<String> = std::thread::scope(|scope| {
            let threads: Vec<_> = (0..16_u8)
                .map(|number| {
                    let mut client = lab.another_client();
                    let ask = put_blob("a", &[number; 10_000]).header("if-none-match", "*");
                    scope.spawn(move || client.send(&ask).expect("answered").word())
                })
                .collect();
            threads.into_iter().map(|thread| thread.join().expect("a client")).collect()
        });
        assert_eq!(words.iter().filter(|word| *word == "201").count(), 1);
        assert_eq!(words.iter().filter(|word| *word == "409 BlobAlreadyExists").count(), 15);
    }
}

#[test]
fn the_log_remembers_requests_without_their_secrets() {
    let mut lab = Lab::with_container(Store::Memory);
    let sas = lab.endpoint.container_sas("con", "rw", std::time::Duration::from_secs(60));
    assert_eq!(lab.word(put_blob("a", b"hello").by(Credential::Sas(sas))), "201");
    assert_eq!(lab.word(get("b")), "404 BlobNotFound");
    let put = &lab.endpoint.log().of(Operation::PutBlob)[0];
    assert_eq!((put.path.as_str(), put.body_bytes, put.status), ("con/a", 5, 201));
    assert_eq!(put.header("x-ms-blob-type"), Some("BlockBlob"));
    let get = &lab.endpoint.log().of(Operation::GetBlob)[0];
    assert_eq!(get.error_code.as_deref(), Some("BlobNotFound"));
    let all = format!("{:?}", lab.endpoint.log().entries());
    assert!(!all.contains("sig") && !all.contains("SharedKey"), "{all}");
}

#[test]
fn a_stopped_endpoint_frees_its_address() {
    let lab = Lab::with_container(Store::Memory);
    let address = lab.endpoint.address();
    lab.endpoint.stop();
    let config = EndpointConfig { listen: address, ..EndpointConfig::default() };
    let again = Endpoint::start(config).expect("the address is free");
    assert_eq!(again.url(), format!("http://{address}/devstoreaccount1"));
    assert!(again.connection_string().contains(&format!("BlobEndpoint={};", again.url())));
}
