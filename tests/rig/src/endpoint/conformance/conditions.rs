//! Checks of conditional headers.

use super::client::Ask;
use super::{Bench, Check};

pub(super) const CHECKS: &[Check] = &[
    ("if-none-match star creates once", create_once),
    ("if-match lets only the named version change", match_version),
    ("reads can be conditional", reads),
    ("dates can be conditions", dates),
];

const WRONG: &str = "\"0x8D4BCC2E4835CD0\"";
const PAST: &str = "Mon, 01 Jan 2001 00:00:00 GMT";
const FUTURE: &str = "Fri, 01 Jan 2100 00:00:00 GMT";

fn create_once(bench: &mut Bench) {
    let once = |ask: Ask| ask.header("if-none-match", "*");
    bench.ask("first put blob", once(bench.put("a", b"1")), "201");
    bench.ask("second put blob", once(bench.put("a", b"2")), "409 BlobAlreadyExists");
    bench.send(bench.block("a", "1", b"3"));
    bench.ask("block list", once(bench.list("a", &["1"])), "409 BlobAlreadyExists");
    let content = bench.content("a");
    bench.see("content", &content, "1");
    bench.send(bench.block("b", "1", b"3"));
    bench.ask("first block list", once(bench.list("b", &["1"])), "201");
    bench.ask("first page blob", once(bench.page_blob("p", 512)), "201");
    bench.ask("second page blob", once(bench.page_blob("p", 512)), "409 BlobAlreadyExists");
}

fn match_version(bench: &mut Bench) {
    let answer = bench.send(bench.put("a", b"1"));
    let etag = answer.header("etag").unwrap_or_default().to_owned();
    let wrong = |ask: Ask| ask.header("if-match", WRONG);
    bench.ask("put blob, wrong", wrong(bench.put("a", b"2")), "412 ConditionNotMet");
    bench.send(bench.block("a", "1", b"2"));
    bench.ask("block list, wrong", wrong(bench.list("a", &["1"])), "412 ConditionNotMet");
    let metadata = |bench: &Bench| bench.blob("PUT", "a").query("comp", "metadata");
    bench.ask("metadata, wrong", wrong(metadata(bench)), "412 ConditionNotMet");
    bench.ask("delete, wrong", wrong(bench.blob("DELETE", "a")), "412 ConditionNotMet");
    let answer = bench.ask("metadata, right", metadata(bench).header("if-match", &etag), "200");
    bench.ask(
        "put blob, the version before",
        bench.put("a", b"2").header("if-match", &etag),
        "412 ConditionNotMet",
    );
    let etag = answer.header("etag").unwrap_or_default().to_owned();
    bench.ask("put blob, right", bench.put("a", b"2").header("if-match", &etag), "201");
    bench.ask("put blob, any", bench.put("a", b"3").header("if-match", "*"), "201");
    bench.ask("put blob, nothing there", bench.put("b", b"3").header("if-match", "*"), "412 ConditionNotMet");
    bench.send(bench.page_blob("p", 512));
    bench.ask("put page, wrong", wrong(bench.pages("p", 0, &[1; 512])), "412 ConditionNotMet");
}

fn reads(bench: &mut Bench) {
    let answer = bench.send(bench.put("a", b"1"));
    let etag = answer.header("etag").unwrap_or_default().to_owned();
    let get = |bench: &Bench| bench.blob("GET", "a");
    bench.ask("match, right", get(bench).header("if-match", &etag), "200");
    bench.ask("match, wrong", get(bench).header("if-match", WRONG), "412 ConditionNotMet");
    let answer = bench.send(get(bench).header("if-none-match", &etag));
    bench.see("none match, the same", &answer.status.to_string(), "304");
    bench.ask("none match, another", get(bench).header("if-none-match", WRONG), "200");
    let answer = bench.send(bench.blob("HEAD", "a").header("if-none-match", &etag));
    bench.see("head, none match, the same", &answer.status.to_string(), "304");
}

fn dates(bench: &mut Bench) {
    bench.send(bench.put("a", b"1"));
    let get = |bench: &Bench| bench.blob("GET", "a");
    bench.ask("get, modified since the past", get(bench).header("if-modified-since", PAST), "200");
    let answer = bench.send(get(bench).header("if-modified-since", FUTURE));
    bench.see("get, modified since the future", &answer.status.to_string(), "304");
    let ask = get(bench).header("if-unmodified-since", PAST);
    bench.ask("get, unmodified since the past", ask, "412 ConditionNotMet");
    let ask = bench.put("a", b"2").header("if-unmodified-since", PAST);
    bench.ask("put, unmodified since the past", ask, "412 ConditionNotMet");
    let ask = bench.put("a", b"2").header("if-modified-since", FUTURE);
    bench.ask("put, modified since the future", ask, "412 ConditionNotMet");
    bench.ask(
        "put, unmodified since the future",
        bench.put("a", b"2").header("if-unmodified-since", FUTURE),
        "201",
    );
}
