//! Every kind of misbehaviour that the endpoint can be told to show, seen from a client.

use std::io::{ErrorKind, Read as _, Write as _};
use std::net::TcpStream;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use crate::lab::{Lab, get, put_blob, put_block, put_list, until};
use md5::{Digest as _, Md5};
use rig::endpoint::conformance::client::{Ask, Credential};
use rig::endpoint::stamp::{Clock, Stamp};
use rig::endpoint::{Action, Fault, Operation, Store};

fn lab() -> Lab {
    Lab::with_container(Store::Memory)
}

fn md5(body: &[u8]) -> String {
    use base64::Engine as _;
    base64::engine::general_purpose::STANDARD.encode(Md5::digest(body))
}

#[test]
fn the_nth_request_is_refused_with_the_status_that_was_asked_for() {
    let mut lab = lab();
    let fault: Fault = "op=PutBlock,path=con/a*,nth=2,status=503,retry-after=7".parse().expect("a fault");
    let id = lab.endpoint.faults().add(fault);
    assert_eq!(lab.word(put_block("a1", "1", b"x")), "201");
    assert_eq!(lab.word(put_block("b", "1", b"x")), "201");
    let answer = lab.send(put_block("a2", "1", b"x")).expect("answered");
    assert_eq!((answer.word().as_str(), answer.header("retry-after")), ("503 ServerBusy", Some("7")));
    assert_eq!(lab.word(put_block("a2", "1", b"x")), "201");
    assert_eq!(lab.endpoint.faults().hits(id), 1);
    for (spec, word) in [
        ("status=429,times=1", "429 TooManyRequests"),
        ("status=500,times=1", "500 InternalError"),
        ("status=507,code=AccountFull,times=1", "507 AccountFull"),
        ("disk-full,times=1", "403 InsufficientAccountPermissions"),
    ] {
        lab.endpoint.faults().add(spec.parse().expect("a fault"));
        assert_eq!(lab.word(put_blob("refused", b"x")), word, "{spec}");
    }
    assert_eq!(lab.word(get("refused")), "404 BlobNotFound");
}

#[test]
fn an_expired_signature_hits_only_requests_that_are_signed_by_one() {
    let mut lab = lab();
    lab.endpoint.faults().add("auth=sas,expired-sas,from=2".parse().expect("a fault"));
    let sas = Credential::Sas(lab.endpoint.container_sas("con", "rw", Duration::from_secs(60)));
    assert_eq!(lab.word(put_blob("a", b"x").by(sas.clone())), "201");
    assert_eq!(lab.word(put_blob("a", b"x").by(sas.clone())), "403 AuthenticationFailed");
    assert_eq!(lab.word(put_blob("a", b"x").by(sas)), "403 AuthenticationFailed");
    assert_eq!(lab.word(put_blob("a", b"x")), "201");
}

#[test]
fn a_stalled_request_goes_on_when_it_is_released() {
    let lab = lab();
    let id = lab.endpoint.faults().add(Fault::new(Action::Stall(None)).on(Operation::PutBlob));
    let mut client = lab.another_client();
    let sending = std::thread::spawn(move || client.send(&put_blob("a", b"x")).expect("answered").word());
    until("the request stalls", || lab.endpoint.faults().hits(id) == 1);
    assert!(lab.endpoint.blobs().is_empty());
    lab.endpoint.faults().clear();
    assert_eq!(sending.join().expect("the client's thread"), "201");
    assert_eq!(lab.endpoint.blobs().len(), 1);
}

#[test]
fn a_refusing_endpoint_is_gone_until_it_is_released_and_keeps_what_it_had() {
    let mut lab = lab();
    assert_eq!(lab.word(put_blob("a", b"x")), "201");
    lab.endpoint.faults().add(Fault::new(Action::Refuse(None)).nth(1));
    assert!(lab.send(get("a")).is_err());
    until("connections are refused", || {
        TcpStream::connect(lab.endpoint.address()).is_err_and(|e| e.kind() == ErrorKind::ConnectionRefused)
    });
    lab.endpoint.faults().release();
    until("connections are taken", || TcpStream::connect(lab.endpoint.address()).is_ok());
    assert_eq!(lab.word(get("a")), "200");
}

#[test]
fn an_endpoint_that_refuses_for_a_time_comes_back_by_itself() {
    let mut lab = lab();
    lab.endpoint.faults().add("refuse=0.05,nth=1".parse().expect("a fault"));
    assert!(lab.send(put_blob("a", b"x")).is_err());
    until("it is back", || lab.send(put_blob("a", b"x")).is_ok());
}

#[test]
fn a_connection_that_is_reset_in_the_middle_of_a_body_leaves_nothing() {
    let mut lab = lab();
    lab.endpoint.faults().add("op=PutBlock,reset=65536,nth=1".parse().expect("a fault"));
    let body = vec![1; 8 << 20];
    let error = lab.send(put_block("a", "1", &body)).expect_err("reset");
    assert!(matches!(error.kind(), ErrorKind::ConnectionReset | ErrorKind::BrokenPipe), "{error}");
    assert!(lab.endpoint.snapshot().uncommitted.is_empty());
    assert_eq!(lab.endpoint.log().of(Operation::PutBlock)[0].status, 0);
    assert_eq!(lab.word(put_block("a", "1", &body)), "201");
}

#[test]
fn a_reply_that_is_cut_gives_fewer_bytes_than_it_promised() {
    let mut lab = lab();
    assert_eq!(lab.word(put_blob("a", &vec![1; 2 << 20])), "201");
    lab.endpoint.faults().add("op=GetBlob,cut=100000,nth=1".parse().expect("a fault"));
    assert!(lab.send(get("a")).is_err());
    assert_eq!(lab.send(get("a")).expect("answered").body.len(), 2 << 20);
}

#[test]
fn a_lost_answer_is_of_a_request_that_was_carried_out() {
    let mut lab = lab();
    assert_eq!(lab.word(put_block("a", "1", b"hello")), "201");
    lab.endpoint.faults().add("op=PutBlockList,lose-answer,nth=1".parse().expect("a fault"));
    let once = put_list("a", &["1"]).header("if-none-match", "*");
    assert!(lab.send(once.clone()).is_err());
    assert_eq!(lab.word(once), "409 BlobAlreadyExists");
    assert_eq!(lab.send(get("a")).expect("answered").text(), "hello");
}

#[test]
fn a_narrow_line_takes_its_time_in_both_directions() {
    let mut lab = lab();
    lab.endpoint.faults().add("bandwidth=1000000,path=con/*".parse().expect("a fault"));
    let start = Instant::now();
    assert_eq!(lab.word(put_blob("a", &vec![1; 200_000])), "201");
    assert!(start.elapsed() >= Duration::from_millis(190), "{:?}", start.elapsed());
    let start = Instant::now();
    assert_eq!(lab.send(get("a")).expect("answered").body.len(), 200_000);
    assert!(start.elapsed() >= Duration::from_millis(190), "{:?}", start.elapsed());
}

#[test]
fn a_byte_that_is_spoiled_on_the_wire_is_found_by_a_checksum_and_by_nothing_else() {
    let mut lab = lab();
    lab.endpoint.faults().add("op=PutBlock,corrupt=3,every=1".parse().expect("a fault"));
    let body = b"0123456789";
    let with_md5 = put_block("a", "1", body).header("content-md5", md5(body));
    assert_eq!(lab.word(with_md5), "400 Md5Mismatch");
    assert_eq!(lab.word(put_block("a", "1", body)), "201");
    lab.endpoint.faults().clear();
    assert_eq!(lab.word(put_list("a", &["1"])), "201");
    assert_eq!(lab.send(get("a")).expect("answered").text(), "0122456789");
}

#[test]
fn a_commit_can_lose_its_last_blocks() {
    let mut lab = lab();
    for id in ["1", "2", "3"] {
        assert_eq!(lab.word(put_block("a", id, id.as_bytes())), "201");
    }
    lab.endpoint.faults().add("op=PutBlockList,drop-blocks=2".parse().expect("a fault"));
    assert_eq!(lab.word(put_list("a", &["1", "2", "3"])), "201");
    assert_eq!(lab.send(get("a")).expect("answered").text(), "1");
}

#[test]
fn hooks_are_called_before_and_after_a_request_is_carried_out() {
    let mut lab = lab();
    let calls: Arc<Mutex<Vec<String>>> = Arc::default();
    let note = |moment: &'static str| {
        let calls = Arc::clone(&calls);
        move |seen: rig::endpoint::faults::Seen<'_>| {
            calls.lock().expect("unpoisoned").push(format!("{moment} {} {}", seen.operation, seen.path));
        }
    };
    let faults = lab.endpoint.faults();
    faults.add(Fault::call_before(note("before")).on(Operation::PutBlob).nth(2));
    faults.add(Fault::call_after(note("after")).on(Operation::PutBlob).nth(2));
    assert_eq!(lab.word(put_blob("a", b"1")), "201");
    assert_eq!(lab.word(put_blob("b", b"2")), "201");
    assert_eq!(lab.word(put_blob("c", b"3")), "201");
    assert_eq!(*calls.lock().expect("unpoisoned"), ["before PutBlob con/b", "after PutBlob con/b"]);
}

#[test]
fn leases_and_signatures_run_out_by_the_endpoints_clock() {
    let mut lab = lab();
    assert_eq!(lab.word(put_blob("a", b"1")), "201");
    let acquire = Ask::new("PUT", "/con/a").query("comp", "lease").header("x-ms-lease-action", "acquire");
    assert_eq!(lab.word(acquire.header("x-ms-lease-duration", 60)), "201");
    let sas = Credential::Sas(lab.endpoint.container_sas("con", "rw", Duration::from_secs(120)));
    assert_eq!(lab.word(put_blob("a", b"2")), "412 LeaseIdMissing");
    lab.endpoint.clock().advance(Duration::from_secs(61));
    assert_eq!(lab.word(put_blob("a", b"2").by(sas.clone())), "201");
    lab.endpoint.clock().advance(Duration::from_secs(60));
    let answer = lab.send(put_blob("a", b"3").by(sas)).expect("answered");
    assert_eq!(answer.word(), "403 AuthenticationFailed");
    // A client learns the service's time from the reply.
    let date = answer.header("date").and_then(Stamp::parse_http_date).expect("a date");
    assert!(date.seconds_apart(Clock::default().now()) >= 120);
}

#[test]
fn another_process_controls_the_endpoint_over_http() {
    let mut lab = lab();
    let address = lab.endpoint.address();
    let control = |verb: &str, path: &str, body: &str| {
        let mut stream = TcpStream::connect(address).expect("the endpoint answers");
        let length = body.len();
        let head = format!(
            "{verb} {path} HTTP/1.1\r\nhost: x\r\nconnection: close\r\ncontent-length: {length}\r\n\r\n"
        );
        stream.write_all(format!("{head}{body}").as_bytes()).expect("sent");
        let mut answer = String::new();
        stream.read_to_string(&mut answer).expect("answered");
        answer
    };
    assert!(control("POST", "/rig/faults", "op=PutBlob,status=503").starts_with("HTTP/1.1 201"));
    assert!(control("POST", "/rig/faults", "op=PutBlob").starts_with("HTTP/1.1 400"));
    assert_eq!(lab.word(put_blob("a", b"1")), "503 ServerBusy");
    assert!(control("GET", "/rig/faults", "").contains("hits=1"));
    assert!(control("DELETE", "/rig/faults", "").starts_with("HTTP/1.1 200"));
    assert_eq!(lab.word(put_blob("a", b"1")), "201");
    assert!(control("GET", "/rig/inventory", "").contains("\"name\": \"a\""));
    assert!(control("GET", "/rig/log", "").contains("\"operation\": \"PutBlob\""));
    assert!(control("POST", "/rig/clock?advance=3600", "").starts_with("HTTP/1.1 200"));
    assert_eq!(lab.word(put_blob("a", b"1")), "403 AuthenticationFailed");
    assert!(control("GET", "/rig/nothing", "").starts_with("HTTP/1.1 404"));
}
