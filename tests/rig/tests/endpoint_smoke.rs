//! The endpoint from outside: the few steps of an upload.
use rig::endpoint::conformance::client::{Ask, Client};
use rig::endpoint::{Endpoint, EndpointConfig};

#[test]
fn a_block_blob_is_put_and_read_back() {
    let endpoint = Endpoint::start(EndpointConfig::default()).expect("started");
    let mut client = Client::new(endpoint.address(), endpoint.account(), endpoint.key());
    let mut send = |ask: Ask| client.send(&ask).expect("answered");
    let answer = send(Ask::new("PUT", "/data").query("restype", "container"));
    assert_eq!(answer.word(), "201", "{}", answer.text());
    let answer =
        send(Ask::new("PUT", "/data/a%20b").query("comp", "block").query("blockid", "AAAA").body("hello"));
    assert_eq!(answer.word(), "201", "{}", answer.text());
    let list = "<BlockList><Latest>AAAA</Latest></BlockList>";
    let answer = send(Ask::new("PUT", "/data/a%20b").query("comp", "blocklist").body(list));
    assert_eq!(answer.word(), "201", "{}", answer.text());
    let answer = send(Ask::new("GET", "/data/a%20b"));
    assert_eq!((answer.status, answer.text()), (200, "hello"));
    let answer = send(Ask::new("GET", "/data").query("restype", "container").query("comp", "list"));
    assert_eq!(answer.elements("Name"), ["a b"]);
    assert_eq!(endpoint.blobs()[0].length, 5);
}
