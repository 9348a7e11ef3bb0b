//! Checks of whole blobs: put, read, properties, metadata, tiers, snapshots, deletion, names.

use super::{Bench, Check, crc64, md5};

pub(super) const CHECKS: &[Check] = &[
    ("put blob checks what it is sent", put_checks),
    ("a blob has the properties it was given", properties),
    ("a blob is read whole and in ranges", ranges),
    ("set blob properties sets all or none", set_properties),
    ("metadata is replaced as a whole", metadata),
    ("a tier can be set", tiers),
    ("a snapshot keeps what the blob was", snapshots),
    ("a deleted blob is gone", deletion),
    ("a blob's name is taken exactly", names),
    ("an overwritten blob is the new one", overwrite),
    ("what is not known is refused", unknown),
];

fn put_checks(bench: &mut Bench) {
    let body = b"hello world";
    let answer = bench.ask("no checksum", bench.put("a", body), "201");
    bench.see_header(&answer, "content-md5", &md5(body));
    let answer = bench.ask("good md5", bench.put("b", body).header("content-md5", md5(body)), "201");
    bench.see_header(&answer, "x-ms-request-server-encrypted", "true");
    bench.ask("wrong md5", bench.put("c", body).header("content-md5", md5(b"x")), "400 Md5Mismatch");
    bench.ask("md5 that is none", bench.put("c", body).header("content-md5", "AAAA"), "400 InvalidMd5");
    let wrong = bench.put("c", body).header("x-ms-blob-content-md5", md5(b"x"));
    bench.ask("wrong blob md5", wrong, "400 Md5Mismatch");
    let good = bench.put("d", body).header("x-ms-content-crc64", crc64(body));
    bench.ask("good crc64", good, "201");
    let wrong = bench.put("c", body).header("x-ms-content-crc64", crc64(b"x"));
    bench.ask("wrong crc64", wrong, "400 Crc64Mismatch");
    let both = bench.put("c", body).header("x-ms-content-crc64", crc64(body));
    let both = both.header("content-md5", md5(body));
    bench.ask("both checksums", both, "400 BothCrc64AndMd5HeaderPresent");
    bench.ask("nothing landed", bench.blob("HEAD", "c"), "404 BlobNotFound");
    bench.ask("empty blob", bench.put("e", b""), "201");
    let ask = bench.blob("PUT", "f").body("x");
    bench.ask("no type", ask, "400 MissingRequiredHeader");
}

fn properties(bench: &mut Bench) {
    let ask = bench.put("a", b"12345").header("x-ms-blob-content-type", "text/plain");
    let ask = ask.header("x-ms-blob-cache-control", "no-store").header("x-ms-meta-Job", "j 1");
    let ask = ask.header("x-ms-blob-content-language", "de").header("x-ms-blob-content-encoding", "br");
    let ask = ask.header("x-ms-blob-content-disposition", "inline").header("x-ms-access-tier", "Cool");
    bench.ask("put", ask, "201");
    let answer = bench.ask("head", bench.blob("HEAD", "a"), "200");
    for (name, expected) in [
        ("content-length", "5"),
        ("content-type", "text/plain"),
        ("cache-control", "no-store"),
        ("content-language", "de"),
        ("content-encoding", "br"),
        ("content-disposition", "inline"),
        ("x-ms-blob-type", "BlockBlob"),
        ("x-ms-access-tier", "Cool"),
        ("x-ms-meta-job", "j 1"),
        ("x-ms-lease-status", "unlocked"),
        ("x-ms-lease-state", "available"),
        ("content-md5", &md5(b"12345")),
    ] {
        bench.see_header(&answer, name, expected);
    }
    bench.send(bench.put("b", b"1"));
    let answer = bench.send(bench.blob("HEAD", "b"));
    bench.see("usual type", answer.header("content-type").unwrap_or("-"), "application/octet-stream");
    let tier = format!("{:?}", answer.header("x-ms-access-tier-inferred"));
    bench.see("usual tier is inferred", &tier, "Some(\"true\")");
}

fn ranges(bench: &mut Bench) {
    bench.send(bench.put("a", b"0123456789"));
    let answer = bench.ask("whole", bench.blob("GET", "a"), "200");
    bench.see("whole content", answer.text(), "0123456789");
    for (range, expected, content_range) in [
        ("bytes=2-4", "234", "bytes 2-4/10"),
        ("bytes=7-", "789", "bytes 7-9/10"),
        ("bytes=5-99", "56789", "bytes 5-9/10"),
        ("bytes=0-0", "0", "bytes 0-0/10"),
    ] {
        let answer = bench.ask(range, bench.blob("GET", "a").header("x-ms-range", range), "206");
        bench.see(&format!("content of {range}"), answer.text(), expected);
        let observed = answer.header("content-range").unwrap_or("-").to_owned();
        bench.see(&format!("content-range of {range}"), &observed, content_range);
    }
    let answer = bench.ask("standard header", bench.blob("GET", "a").header("range", "bytes=1-2"), "206");
    bench.see_header(&answer, "x-ms-blob-content-md5", &md5(b"0123456789"));
    let outside = bench.blob("GET", "a").header("x-ms-range", "bytes=10-11");
    bench.ask("outside", outside, "416 InvalidRange");
    let ask = bench.blob("GET", "a").header("x-ms-range", "bytes=1-3");
    let answer = bench.ask("with md5", ask.clone().header("x-ms-range-get-content-md5", "true"), "206");
    bench.see_header(&answer, "content-md5", &md5(b"123"));
    let answer = bench.send(ask.header("x-ms-range-get-content-crc64", "true"));
    let checksum = answer.header("x-ms-content-crc64").unwrap_or("-").to_owned();
    bench.see("with crc64", &checksum, &crc64(b"123"));
    bench.send(bench.put("big", &vec![7; (4 << 20) + 1]));
    let ask = bench.blob("GET", "big").header("x-ms-range", format!("bytes=0-{}", 4 << 20));
    let answer = bench.send(ask.header("x-ms-range-get-content-md5", "true"));
    bench.see("md5 of more than 4 MiB", &answer.status.to_string(), "400");
    bench.send(bench.put("empty", b""));
    let answer = bench.ask("empty blob", bench.blob("GET", "empty"), "200");
    bench.see("empty content", answer.text(), "");
}

fn set_properties(bench: &mut Bench) {
    let ask = bench.put("a", b"x").header("x-ms-blob-content-type", "text/plain");
    bench.send(ask.header("x-ms-blob-cache-control", "no-store"));
    let ask = bench.blob("PUT", "a").query("comp", "properties");
    bench.ask("set one", ask.header("x-ms-blob-content-type", "text/html"), "200");
    let answer = bench.send(bench.blob("HEAD", "a"));
    bench.see_header(&answer, "content-type", "text/html");
    bench.see_header(&answer, "cache-control", "-");
    let ask = bench.blob("PUT", "none").query("comp", "properties");
    bench.ask("of nothing", ask, "404 BlobNotFound");
}

fn metadata(bench: &mut Bench) {
    bench.send(bench.put("a", b"x").header("x-ms-meta-one", "1").header("x-ms-meta-two", "2"));
    let before = bench.send(bench.blob("HEAD", "a"));
    let ask = bench.blob("PUT", "a").query("comp", "metadata").header("x-ms-meta-three", "3");
    bench.ask("set", ask, "200");
    let answer = bench.ask("get", bench.blob("GET", "a").query("comp", "metadata"), "200");
    bench.see_header(&answer, "x-ms-meta-one", "-");
    bench.see_header(&answer, "x-ms-meta-three", "3");
    let moved = before.header("etag") != answer.header("etag");
    bench.see("the etag is another", &moved.to_string(), "true");
    let bad = bench.blob("PUT", "a").query("comp", "metadata").header("x-ms-meta-1st", "x");
    bench.ask("a name that is no identifier", bad, "400 InvalidMetadata");
    let large = bench.blob("PUT", "a").query("comp", "metadata");
    let large = large.header("x-ms-meta-large", "x".repeat(8 << 10));
    bench.ask("more than 8 KiB", large, "400 MetadataTooLarge");
}

fn tiers(bench: &mut Bench) {
    bench.send(bench.put("a", b"x"));
    let set = |bench: &Bench| bench.blob("PUT", "a").query("comp", "tier");
    bench.ask("cool", set(bench).header("x-ms-access-tier", "Cool"), "200");
    let answer = bench.send(bench.blob("HEAD", "a"));
    bench.see_header(&answer, "x-ms-access-tier", "Cool");
    let answer = bench.send(set(bench).header("x-ms-access-tier", "Lukewarm"));
    bench.see("a tier that is none", &answer.status.to_string(), "400");
    let answer = bench.send(bench.put("b", b"x").header("x-ms-access-tier", "Lukewarm"));
    bench.see("put blob with a tier that is none", &answer.status.to_string(), "400");
}

fn snapshots(bench: &mut Bench) {
    bench.send(bench.put("a", b"old").header("x-ms-meta-age", "1"));
    let answer = bench.ask("take", bench.blob("PUT", "a").query("comp", "snapshot"), "201");
    let snapshot = answer.header("x-ms-snapshot").unwrap_or_default().to_owned();
    bench.see("its time has seven decimals", &snapshot.len().to_string(), "28");
    bench.send(bench.put("a", b"new"));
    let answer = bench.ask("read", bench.blob("GET", "a").query("snapshot", &snapshot), "200");
    bench.see("its content", answer.text(), "old");
    bench.see_header(&answer, "x-ms-meta-age", "1");
    let other = bench.blob("GET", "a").query("snapshot", "2020-01-01T00:00:00.0000000Z");
    bench.ask("another one", other, "404 BlobNotFound");
    bench.ask("delete the blob alone", bench.blob("DELETE", "a"), "409 SnapshotsPresent");
    let only = bench.blob("DELETE", "a").header("x-ms-delete-snapshots", "only");
    bench.ask("delete the snapshots only", only, "202");
    let content = bench.content("a");
    bench.see("the blob stays", &content, "new");
    let answer = bench.send(bench.blob("PUT", "a").query("comp", "snapshot"));
    let snapshot = answer.header("x-ms-snapshot").unwrap_or_default().to_owned();
    bench.ask("delete one", bench.blob("DELETE", "a").query("snapshot", &snapshot), "202");
    bench.send(bench.blob("PUT", "a").query("comp", "snapshot"));
    let both = bench.blob("DELETE", "a").header("x-ms-delete-snapshots", "include");
    bench.ask("delete all", both, "202");
    let content = bench.content("a");
    bench.see("nothing stays", &content, "404 BlobNotFound");
}

fn deletion(bench: &mut Bench) {
    bench.ask("what is not there", bench.blob("DELETE", "a"), "404 BlobNotFound");
    bench.send(bench.put("a", b"x"));
    bench.ask("delete", bench.blob("DELETE", "a"), "202");
    bench.ask("get", bench.blob("GET", "a"), "404 BlobNotFound");
    bench.ask("head", bench.blob("HEAD", "a"), "404 BlobNotFound");
}

fn names(bench: &mut Bench) {
    for (sent, name) in [
        ("a%20b", "a b"),
        ("a+b", "a+b"),
        ("a%2520b", "a%20b"),
        ("d/e//f", "d/e//f"),
        ("%C3%BC.%E6%97%A5", "ü.日"),
        ("x%26%3C%3E%22y", "x&amp;&lt;&gt;&quot;y"),
        ("UPPER", "UPPER"),
        ("p/q%2Fr", "p/q/r"),
    ] {
        let answer = bench.send(bench.put(sent, sent.as_bytes()));
        bench.see(&format!("put {sent}"), &answer.word(), "201");
        let content = bench.content(sent);
        bench.see(&format!("get {sent}"), &content, sent);
        let listed = bench.send(bench.container("GET").query("comp", "list"));
        let unescaped = |text: &str| text.replace("&#34;", "&quot;").replace("\"", "&quot;");
        let found = listed.elements("Name").iter().any(|listed| unescaped(listed) == name);
        bench.see(&format!("{sent} is listed by its name"), &found.to_string(), "true");
    }
    bench.ask("lower case is another", bench.blob("HEAD", "upper"), "404 BlobNotFound");
    bench.ask("1,024 characters", bench.put(&"n".repeat(1_024), b"x"), "201");
    let answer = bench.send(bench.put(&"n".repeat(1_025), b"x"));
    bench.see("1,025 characters", &answer.status.to_string(), "400");
}

fn overwrite(bench: &mut Bench) {
    let old = bench.send(bench.put("a", b"old").header("x-ms-meta-one", "1"));
    let new = bench.ask("put", bench.put("a", b"newer"), "201");
    let moved = old.header("etag") != new.header("etag");
    bench.see("the etag is another", &moved.to_string(), "true");
    let answer = bench.send(bench.blob("HEAD", "a"));
    bench.see_header(&answer, "content-length", "5");
    bench.see_header(&answer, "x-ms-meta-one", "-");
    bench.ask("by a page blob", bench.page_blob("a", 512), "409 InvalidBlobType");
}

fn unknown(bench: &mut Bench) {
    let ask = bench.put("a", b"x").header("x-ms-frobnicate", "1");
    bench.ask("a header", ask, "400 UnsupportedHeader");
    let answer = bench.send(bench.put("a", b"x").header("x-ms-version", "yesterday"));
    bench.see("a version that is no date", &answer.word(), "400 InvalidHeaderValue");
    let ask = bench.blob("PUT", "a").header("x-ms-blob-type", "RoundBlob").body("x");
    bench.ask("a blob type", ask, "400 InvalidHeaderValue");
}
