//! What the endpoint keeps: over a restart on disk, and nothing but names and lengths when discarding.

use std::path::{Path, PathBuf};

use crate::lab::{Lab, get, put_blob, put_block, put_list};
use rig::endpoint::conformance::client::Ask;
use rig::endpoint::{Endpoint, EndpointConfig, Store};

fn on(folder: &Path) -> EndpointConfig {
    EndpointConfig::with_store(Store::Disk(folder.to_owned()))
}

fn files(folder: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for entry in std::fs::read_dir(folder).expect("a folder") {
        let path = entry.expect("an entry").path();
        if path.is_dir() { found.extend(files(&path)) } else { found.push(path) }
    }
    found
}

fn put_page(name: &str, start: u64, body: &[u8]) -> Ask {
    let ask = Ask::new("PUT", &format!("/con/{name}")).query("comp", "page");
    let range = format!("bytes={start}-{}", start + body.len() as u64 - 1);
    ask.header("x-ms-page-write", "update").header("x-ms-range", range).body(body)
}

#[test]
fn everything_that_was_answered_is_there_after_a_restart() {
    let scratch = tempfile::tempdir().expect("a scratch folder");
    let mut lab = Lab::with_container(Store::Disk(scratch.path().to_owned()));
    let long = "n%C3%BC".repeat(300);
    let page_blob = Ask::new("PUT", "/con/disk.vhd").header("x-ms-blob-type", "PageBlob");
    let lease = Ask::new("PUT", "/con/a%2Fb").query("comp", "lease").header("x-ms-lease-action", "acquire");
    for ask in [
        put_blob("a%2Fb", b"one").header("x-ms-meta-job", "7").header("x-ms-access-tier", "Cool"),
        put_blob(&long, b"a long name"),
        Ask::new("PUT", "/con/a%2Fb").query("comp", "snapshot"),
        put_blob("a%2Fb", b"two"),
        lease.header("x-ms-lease-duration", "-1"),
        put_block("blocks", "1", b"first"),
        put_block("blocks", "2", b"second"),
        put_list("blocks", &["2", "1"]),
        put_block("blocks", "3", b"third"),
        put_block("waiting", "1", b"replaced"),
        put_block("waiting", "2", b"b"),
        put_block("waiting", "1", b"a"),
        page_blob.header("x-ms-blob-content-length", 1 << 20),
        put_page("disk.vhd", 4_096, &[7; 1_024]),
        Ask::new("PUT", "/con/disk.vhd").query("comp", "snapshot"),
        put_page("disk.vhd", 4_096, &[8; 512]),
    ] {
        let word = lab.word(ask.clone());
        assert_eq!(word, "201", "{ask:?}");
    }
    let before = lab.endpoint.snapshot();
    assert_eq!((before.blobs.len(), before.snapshots.len(), before.uncommitted.len()), (4, 2, 3));
    lab.endpoint.stop();
    let mut lab = Lab::start(on(scratch.path()));
    assert_eq!(lab.endpoint.snapshot(), before);
    assert_eq!(lab.word(put_blob("a%2Fb", b"three")), "412 LeaseIdMissing");
    assert_eq!(lab.word(put_list("waiting", &["1", "2"])), "201");
    assert_eq!(lab.send(get("waiting")).expect("answered").text(), "ab");
    assert_eq!(lab.word(put_list("blocks", &["1", "3"])), "201");
    assert_eq!(lab.send(get("blocks")).expect("answered").text(), "firstthird");
}

#[test]
fn a_person_finds_each_blob_by_its_name() {
    let scratch = tempfile::tempdir().expect("a scratch folder");
    let mut lab = Lab::with_container(Store::Disk(scratch.path().to_owned()));
    assert_eq!(lab.word(put_blob("d/a%20b.txt", b"hello").header("x-ms-meta-job", "7")), "201");
    assert_eq!(lab.word(put_block("later", "block-1", b"part")), "201");
    let mut names: Vec<String> = files(&scratch.path().join("con"))
        .iter()
        .map(|path| path.strip_prefix(scratch.path()).expect("inside").to_string_lossy().into_owned())
        .collect();
    names.sort();
    let data = names.iter().find(|name| name.ends_with(".data")).expect("the blob's bytes").clone();
    assert_eq!(std::fs::read_to_string(scratch.path().join(&data)).expect("a file"), "hello");
    let sidecar =
        std::fs::read_to_string(scratch.path().join("con/blobs/d%2Fa%20b.txt.json")).expect("a sidecar");
    assert!(sidecar.contains("\"name\": \"d/a b.txt\"") && sidecar.contains("\"job\""), "{sidecar}");
    let expected = [
        data.as_str(),
        "con/blobs/d%2Fa%20b.txt.json",
        "con/blocks/later/0000000000000000.626c6f636b2d31",
        "con/blocks/later/name.txt",
        "con/container.json",
    ];
    assert!(data.starts_with("con/blobs/d%2Fa%20b.txt."));
    assert_eq!(names, expected);
}

#[test]
fn what_was_replaced_or_refused_leaves_no_files() {
    let scratch = tempfile::tempdir().expect("a scratch folder");
    let mut lab = Lab::with_container(Store::Disk(scratch.path().to_owned()));
    for round in 0..3 {
        assert_eq!(lab.word(put_blob("a", &[round; 100])), "201");
        assert_eq!(lab.word(put_block("a", "1", b"x")), "201");
        assert_eq!(lab.word(put_list("a", &["1"])), "201");
        assert_eq!(lab.word(put_list("a", &["none"])), "400 InvalidBlockList");
        let wrong = put_blob("b", b"x").header("content-md5", "AAAAAAAAAAAAAAAAAAAAAA==");
        assert_eq!(lab.word(wrong), "400 Md5Mismatch");
        assert_eq!(lab.word(put_blob("a", b"y").header("if-none-match", "*")), "409 BlobAlreadyExists");
        let snapshot = lab.send(Ask::new("PUT", "/con/a").query("comp", "snapshot")).expect("answered");
        let snapshot = snapshot.header("x-ms-snapshot").expect("a snapshot").to_owned();
        assert_eq!(lab.word(Ask::new("DELETE", "/con/a").query("snapshot", &snapshot)), "202");
    }
    let left: Vec<PathBuf> = files(scratch.path());
    assert_eq!(left.len(), 3, "container.json, a.json and its data are all: {left:?}");
    assert_eq!(lab.word(Ask::new("DELETE", "/con/a")), "202");
    assert_eq!(files(scratch.path()).len(), 1);
    assert_eq!(lab.word(Ask::new("DELETE", "/con").query("restype", "container")), "202");
    assert_eq!(files(scratch.path()), Vec::<PathBuf>::new());
    lab.endpoint.stop();
    let again = Endpoint::start(on(scratch.path())).expect("started");
    assert!(again.snapshot().containers.is_empty());
}

#[test]
fn what_a_killed_endpoint_left_half_done_is_cleaned_up() {
    let scratch = tempfile::tempdir().expect("a scratch folder");
    let mut lab = Lab::with_container(Store::Disk(scratch.path().to_owned()));
    assert_eq!(lab.word(put_block("a", "1", b"x")), "201");
    assert_eq!(lab.word(put_blob("a", b"whole")), "201");
    lab.endpoint.stop();
    let before = files(scratch.path());
    // A body, the bytes of a commit that did not happen, and a block that a commit had dropped.
    std::fs::write(scratch.path().join(".incoming/0000000000000042"), b"half").expect("written");
    std::fs::write(scratch.path().join("con/blobs/a.8DEADBEEF.data"), b"never referred to").expect("written");
    let blocks = scratch.path().join("con/blocks/a");
    std::fs::create_dir_all(&blocks).expect("made");
    std::fs::write(blocks.join("name.txt"), b"a").expect("written");
    std::fs::write(blocks.join("0000000000000000.31"), b"x").expect("written");
    let lab = Lab::start(on(scratch.path()));
    std::fs::remove_file(blocks.join("name.txt")).expect("it alone is left");
    assert_eq!(files(scratch.path()), before);
    let inventory = lab.endpoint.snapshot();
    assert_eq!((inventory.blobs[0].length, inventory.uncommitted.len()), (5, 0));
}

#[test]
fn a_store_that_cannot_be_read_is_named_and_not_overwritten() {
    let scratch = tempfile::tempdir().expect("a scratch folder");
    let mut lab = Lab::with_container(Store::Disk(scratch.path().to_owned()));
    assert_eq!(lab.word(put_blob("a", b"whole")), "201");
    lab.endpoint.stop();
    std::fs::write(scratch.path().join("con/blobs/a.json"), b"{ not json").expect("written");
    let Err(error) = Endpoint::start(on(scratch.path())) else { panic!("it started") };
    assert!(error.to_string().contains(&scratch.path().display().to_string()), "{error}");
    assert_eq!(std::fs::read(scratch.path().join("con/blobs/a.json")).expect("still there"), b"{ not json");
}

#[test]
fn a_discarding_endpoint_knows_lengths_and_block_lists_and_checks_nothing() {
    let mut lab = Lab::with_container(Store::Discard);
    let wrong = "AAAAAAAAAAAAAAAAAAAAAA==";
    let answer = lab.send(put_block("a", "1", b"12345").header("content-md5", wrong)).expect("answered");
    assert_eq!((answer.status, answer.header("content-md5")), (201, Some(wrong)));
    assert_eq!(lab.word(put_block("a", "2", b"678")), "201");
    assert_eq!(lab.word(put_list("a", &["1", "2"]).header("x-ms-meta-job", "7")), "201");
    assert_eq!(lab.word(put_list("a", &["9"])), "400 InvalidBlockList");
    let answer = lab.send(get("a")).expect("answered");
    assert_eq!((answer.body, answer.headers.len() > 5), (vec![0; 8], true));
    let page_blob = Ask::new("PUT", "/con/p").header("x-ms-blob-type", "PageBlob");
    assert_eq!(lab.word(page_blob.header("x-ms-blob-content-length", 4_096)), "201");
    assert_eq!(lab.word(put_page("p", 512, &[1; 512])), "201");
    let blobs = lab.endpoint.blobs();
    assert_eq!(blobs[0].metadata, [("job".to_owned(), "7".to_owned())]);
    assert_eq!((blobs[0].sha256.clone(), blobs[1].page_ranges.clone()), (None, vec![(512, 1_023)]));
    assert!(lab.endpoint.log().entries().is_empty());
    assert_eq!(lab.endpoint.log().count(), 8);
}
