//! Checks of blocks and block lists.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;

use super::{Bench, Check, crc64, md5};

pub(super) const CHECKS: &[Check] = &[
    ("put block checks what it is sent", put_checks),
    ("uncommitted blocks are invisible", invisible),
    ("a block list makes the blob of its blocks in its order", commit),
    ("a list may choose committed and uncommitted blocks", choosing),
    ("a block list that names what is not there changes nothing", bad_lists),
    ("blocks that are not named are dropped", dropping),
    ("block ids of a blob have one length", id_lengths),
    ("a block list carries properties", list_properties),
    ("blocks do not go on page blobs", wrong_type),
];

fn put_checks(bench: &mut Bench) {
    let body = b"block of bytes";
    let answer = bench.ask("no checksum", bench.block("a", "1", body), "201");
    bench.see("crc64 of the reply", answer.header("x-ms-content-crc64").unwrap_or("-"), &crc64(body));
    let answer = bench.ask("good md5", bench.block("a", "1", body).header("content-md5", md5(body)), "201");
    bench.see_header(&answer, "content-md5", &md5(body));
    let wrong = bench.block("a", "1", body).header("content-md5", md5(b"x"));
    bench.ask("wrong md5", wrong, "400 Md5Mismatch");
    let answer =
        bench.ask("good crc64", bench.block("a", "1", body).header("x-ms-content-crc64", crc64(body)), "201");
    bench.see("crc64 that came back", answer.header("x-ms-content-crc64").unwrap_or("-"), &crc64(body));
    let wrong = bench.block("a", "1", body).header("x-ms-content-crc64", crc64(b"x"));
    bench.ask("wrong crc64", wrong, "400 Crc64Mismatch");
    let both = bench.block("a", "1", body).header("content-md5", md5(body));
    let both = both.header("x-ms-content-crc64", crc64(body));
    bench.ask("both checksums", both, "400 BothCrc64AndMd5HeaderPresent");
    bench.ask("empty", bench.block("a", "1", b""), "400 InvalidHeaderValue");
    let ask = bench.blob("PUT", "a").query("comp", "block").body("x");
    let answer = bench.send(ask);
    bench.see("no block id", &answer.status.to_string(), "400");
    let ask = bench.blob("PUT", "a").query("comp", "block").query("blockid", "not base64!").body("x");
    bench.ask("an id that is not base64", ask, "400 InvalidQueryParameterValue");
    bench.ask("an id of 65 bytes", bench.block("b", &"i".repeat(65), b"x"), "400 OutOfRangeInput");
    bench.ask("an id of 64 bytes", bench.block("b", &"i".repeat(64), b"x"), "201");
}

fn invisible(bench: &mut Bench) {
    bench.ask("list of nothing", bench.blob("GET", "a").query("comp", "blocklist"), "404 BlobNotFound");
    bench.send(bench.block("a", "1", b"one"));
    bench.ask("get", bench.blob("GET", "a"), "404 BlobNotFound");
    bench.ask("head", bench.blob("HEAD", "a"), "404 BlobNotFound");
    let listed = bench.send(bench.container("GET").query("comp", "list"));
    bench.see("listed", &format!("{:?}", listed.elements("Name")), "[]");
    let ask = bench.container("GET").query("comp", "list").query("include", "uncommittedblobs");
    let listed = bench.send(ask);
    bench.see("listed when asked for", &format!("{:?}", listed.elements("Name")), "[\"a\"]");
    let ask = bench.blob("GET", "a").query("comp", "blocklist").query("blocklisttype", "all");
    let answer = bench.ask("block list", ask, "200");
    bench.see("its blocks", &format!("{:?}", answer.elements("Size")), "[\"3\"]");
    let none_match = bench.put("a", b"x").header("if-none-match", "*");
    bench.ask("it does not exist for a condition", none_match, "201");
    bench.send(bench.block("b", "1", b"one"));
    bench.ask("delete", bench.blob("DELETE", "b"), "404 BlobNotFound");
}

fn commit(bench: &mut Bench) {
    for (id, body) in [("2", "world"), ("1", "hello "), ("3", "!")] {
        bench.send(bench.block("a", id, body.as_bytes()));
    }
    let answer = bench.ask("commit", bench.list("a", &["1", "2", "3", "3"]), "201");
    bench.see("etag", &answer.header("etag").is_some().to_string(), "true");
    let content = bench.content("a");
    bench.see("content", &content, "hello world!!");
    let ask = bench.blob("GET", "a").query("comp", "blocklist").query("blocklisttype", "all");
    let answer = bench.ask("block list", ask, "200");
    let names = answer.elements("Name").into_iter().map(|name| BASE64.decode(name).unwrap_or_default());
    let names: Vec<String> = names.map(|name| String::from_utf8_lossy(&name).into_owned()).collect();
    bench.see("its blocks", &names.join(","), "1,2,3,3");
    bench.see_header(&answer, "x-ms-blob-content-length", "13");
    bench.ask("an empty list", bench.list("b", &[]), "201");
    let content = bench.content("b");
    bench.see("makes an empty blob", &content, "");
}

fn choosing(bench: &mut Bench) {
    bench.send(bench.block("a", "1", b"old"));
    bench.send(bench.block("a", "2", b"kept"));
    bench.send(bench.list("a", &["1", "2"]));
    bench.send(bench.block("a", "1", b"new"));
    let (one, two) = (BASE64.encode("1"), BASE64.encode("2"));
    let list = |tags: &str| format!("<BlockList>{tags}</BlockList>");
    let body = list(&format!(
        "<Committed>{one}</Committed><Uncommitted>{one}</Uncommitted><Latest>{two}</Latest><Latest>{one}</Latest>"
    ));
    let ask = bench.blob("PUT", "a").query("comp", "blocklist").body(body);
    bench.ask("commit", ask, "201");
    let content = bench.content("a");
    bench.see("content", &content, "oldnewkeptnew");
    let body = list(&format!("<Uncommitted>{two}</Uncommitted>"));
    let ask = bench.blob("PUT", "a").query("comp", "blocklist").body(body);
    bench.ask("a committed one is not uncommitted", ask, "400 InvalidBlockList");
}

fn bad_lists(bench: &mut Bench) {
    bench.send(bench.put("a", b"old"));
    bench.send(bench.block("a", "1", b"one"));
    bench.ask("an unknown block", bench.list("a", &["1", "2"]), "400 InvalidBlockList");
    let content = bench.content("a");
    bench.see("the old blob stays", &content, "old");
    let ask = bench.blob("PUT", "a").query("comp", "blocklist").body("<BlockList><Latest>");
    bench.ask("not XML", ask, "400 InvalidXmlDocument");
    let content = bench.content("a");
    bench.see("the old blob still stays", &content, "old");
    bench.ask(
        "wrong md5 of the list",
        bench.list("a", &["1"]).header("content-md5", md5(b"x")),
        "400 Md5Mismatch",
    );
    let ids = format!("<Latest>{}</Latest>", BASE64.encode("1")).repeat(50_001);
    let ask = bench.blob("PUT", "a").query("comp", "blocklist").body(format!("<BlockList>{ids}</BlockList>"));
    bench.ask("50,001 blocks", ask, "400 BlockListTooLong");
}

fn dropping(bench: &mut Bench) {
    bench.send(bench.block("a", "1", b"one"));
    bench.send(bench.block("a", "2", b"two"));
    bench.ask("commit one", bench.list("a", &["1"]), "201");
    bench.ask("then the other", bench.list("a", &["2"]), "400 InvalidBlockList");
    bench.send(bench.block("a", "3", b"three"));
    bench.send(bench.put("a", b"whole"));
    bench.ask("after a put blob", bench.list("a", &["3"]), "400 InvalidBlockList");
    let content = bench.content("a");
    bench.see("content", &content, "whole");
}

fn id_lengths(bench: &mut Bench) {
    bench.send(bench.block("a", "11", b"x"));
    bench.ask("a longer id", bench.block("a", "222", b"x"), "400 InvalidBlobOrBlock");
    bench.ask("of another blob", bench.block("b", "222", b"x"), "201");
    bench.send(bench.list("a", &["11"]));
    bench.ask("after the commit", bench.block("a", "333", b"x"), "201");
}

fn list_properties(bench: &mut Bench) {
    bench.send(bench.block("a", "1", b"one"));
    let wrong = md5(b"something else");
    let ask = bench.list("a", &["1"]).header("x-ms-blob-content-type", "text/plain");
    let ask = ask.header("x-ms-meta-job", "9").header("x-ms-blob-content-md5", &wrong);
    let ask = ask.header("x-ms-access-tier", "Cool").header("content-type", "application/xml");
    bench.ask("commit", ask, "201");
    let answer = bench.send(bench.blob("HEAD", "a"));
    bench.see_header(&answer, "content-type", "text/plain");
    bench.see_header(&answer, "x-ms-meta-job", "9");
    bench.see_header(&answer, "x-ms-access-tier", "Cool");
    // The service stores the digest that it is given and never compares it.
    bench.see_header(&answer, "content-md5", &wrong);
    bench.send(bench.block("b", "1", b"one"));
    bench.send(bench.list("b", &["1"]).header("content-type", "application/xml"));
    let answer = bench.send(bench.blob("HEAD", "b"));
    bench.see(
        "the list's own type is not the blob's",
        answer.header("content-type").unwrap_or("-"),
        "application/octet-stream",
    );
    bench.see("nobody computes an md5", answer.header("content-md5").unwrap_or("-"), "-");
}

fn wrong_type(bench: &mut Bench) {
    bench.send(bench.page_blob("a", 512));
    bench.ask("put block", bench.block("a", "1", b"x"), "409 InvalidBlobType");
    bench.ask("put block list", bench.list("a", &[]), "409 InvalidBlobType");
    bench.ask("get block list", bench.blob("GET", "a").query("comp", "blocklist"), "409 InvalidBlobType");
}
