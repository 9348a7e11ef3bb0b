//! Checks of the account and of containers.

use super::client::Ask;
use super::{Bench, Check};

pub(super) const CHECKS: &[Check] = &[
    ("the account tells its kind", account),
    ("a container is made once and goes once", life),
    ("container names follow the rules", names),
    ("a container keeps its metadata", metadata),
    ("blobs of a container that is not there cannot be reached", missing),
];

fn account(bench: &mut Bench) {
    let ask = Ask::new("GET", "/").query("restype", "account").query("comp", "properties");
    let answer = bench.ask("account information", ask, "200");
    bench.see_header(&answer, "x-ms-account-kind", "StorageV2");
    bench.see("says whether it is hierarchical", &told(answer.header("x-ms-is-hns-enabled")), "told");
    bench.see("request id", &told(answer.header("x-ms-request-id")), "told");
    bench.see("date", &told(answer.header("date")), "told");
    bench.see_header(&answer, "x-ms-version", "2022-11-02");
    let ask = Ask::new("GET", "/").query("comp", "list").header("x-ms-client-request-id", "check-1");
    let answer = bench.ask("list containers", ask, "200");
    bench.see_header(&answer, "x-ms-client-request-id", "check-1");
    let own = bench.container.clone();
    let listed = answer.elements("Name").contains(&own.as_str());
    bench.see("its container is listed", &listed.to_string(), "true");
}

fn told(value: Option<&str>) -> String {
    if value.is_some_and(|value| !value.is_empty()) { "told" } else { "not told" }.to_owned()
}

fn life(bench: &mut Bench) {
    bench.ask("again", bench.container("PUT"), "409 ContainerAlreadyExists");
    let answer = bench.ask("properties", bench.container("GET"), "200");
    bench.see_header(&answer, "x-ms-lease-state", "available");
    bench.see("etag", &told(answer.header("etag")), "told");
    bench.ask("head", bench.container("HEAD"), "200");
    bench.send(bench.put("blob", b"x"));
    bench.ask("delete", bench.container("DELETE"), "202");
    bench.ask("properties after", bench.container("GET"), "404 ContainerNotFound");
    bench.ask("delete again", bench.container("DELETE"), "404 ContainerNotFound");
}

fn names(bench: &mut Bench) {
    for (name, expected) in [
        ("ab", "400 OutOfRangeInput"),
        ("-abc", "400 InvalidResourceName"),
        ("ABC", "400 InvalidResourceName"),
        ("a--b", "400 InvalidResourceName"),
    ] {
        let ask = Ask::new("PUT", &format!("/{name}")).query("restype", "container");
        bench.ask(name, ask, expected);
    }
    let long = "a".repeat(64);
    let ask = Ask::new("PUT", &format!("/{long}")).query("restype", "container");
    bench.ask("64 characters", ask, "400 OutOfRangeInput");
}

fn metadata(bench: &mut Bench) {
    let set = bench.container("PUT").query("comp", "metadata");
    bench.ask("set", set.header("x-ms-meta-job", "7"), "200");
    let answer = bench.ask("properties", bench.container("GET"), "200");
    bench.see_header(&answer, "x-ms-meta-job", "7");
}

fn missing(bench: &mut Bench) {
    let at = |method| Ask::new(method, "/not-there/blob");
    bench.ask("get", at("GET"), "404 ContainerNotFound");
    let put = at("PUT").header("x-ms-blob-type", "BlockBlob").body("x");
    bench.ask("put blob", put, "404 ContainerNotFound");
    let block = at("PUT").query("comp", "block").query("blockid", "AAAA").body("x");
    bench.ask("put block", block, "404 ContainerNotFound");
    let list = Ask::new("GET", "/not-there").query("restype", "container").query("comp", "list");
    bench.ask("list", list, "404 ContainerNotFound");
}
