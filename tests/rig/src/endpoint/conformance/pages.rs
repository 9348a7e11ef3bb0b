//! Checks of page blobs.

use super::client::{Answer, Ask};
use super::{Bench, Check, crc64, md5};

pub(super) const CHECKS: &[Check] = &[
    ("a page blob begins as zeros", creation),
    ("put page checks what it is sent", put_checks),
    ("pages are written, cleared and listed", ranges),
    ("page ranges come in pages", paging),
    ("a page blob can be resized", resize),
    ("a sequence number can be a condition", sequence),
    ("pages do not go on block blobs", wrong_type),
];

fn creation(bench: &mut Bench) {
    bench.ask("create", bench.page_blob("a", 1_024).header("x-ms-blob-sequence-number", 5), "201");
    let answer = bench.send(bench.blob("HEAD", "a"));
    bench.see_header(&answer, "content-length", "1024");
    bench.see_header(&answer, "x-ms-blob-type", "PageBlob");
    bench.see_header(&answer, "x-ms-blob-sequence-number", "5");
    let answer = bench.send(bench.blob("GET", "a"));
    bench.see("zeros", &(answer.body == vec![0; 1_024]).to_string(), "true");
    bench.ask("unaligned", bench.page_blob("b", 1_000), "400 InvalidHeaderValue");
    bench.ask("more than 8 TiB", bench.page_blob("b", (8 << 40) + 512), "400 InvalidHeaderValue");
    let ask = bench.blob("PUT", "b").header("x-ms-blob-type", "PageBlob");
    bench.ask("no length", ask, "400 MissingRequiredHeader");
    bench.ask("8 TiB", bench.page_blob("c", 8 << 40), "201");
}

fn put_checks(bench: &mut Bench) {
    bench.send(bench.page_blob("a", 16 << 20));
    let page = [7; 512];
    let answer = bench.ask("no checksum", bench.pages("a", 0, &page), "201");
    bench.see("sequence number", answer.header("x-ms-blob-sequence-number").unwrap_or("-"), "0");
    let answer = bench.ask("good md5", bench.pages("a", 0, &page).header("content-md5", md5(&page)), "201");
    bench.see_header(&answer, "content-md5", &md5(&page));
    let wrong = bench.pages("a", 512, &page).header("content-md5", md5(b"x"));
    bench.ask("wrong md5", wrong, "400 Md5Mismatch");
    let wrong = bench.pages("a", 512, &page).header("x-ms-content-crc64", crc64(b"x"));
    bench.ask("wrong crc64", wrong, "400 Crc64Mismatch");
    let found = listed(&bench.send(bench.blob("GET", "a").query("comp", "pagelist")));
    bench.see("nothing wrong landed", &found, "0-511");
    bench.ask("unaligned", bench.pages("a", 100, &page), "416 InvalidPageRange");
    bench.ask("outside", bench.pages("a", 16 << 20, &page), "416 InvalidPageRange");
    bench.ask("4 MiB", bench.pages("a", 0, &vec![1; 4 << 20]), "201");
    bench.ask("more than 4 MiB", bench.pages("a", 0, &vec![1; (4 << 20) + 512]), "413 RequestBodyTooLarge");
    let ask = bench.pages("a", 0, &page).header("x-ms-page-write", "scribble");
    let answer = bench.send(ask);
    bench.see("another write", &answer.status.to_string(), "400");
    let long = bench.pages("a", 0, &page).body(vec![1; 1_024]);
    let answer = bench.send(long);
    bench.see("more bytes than the range", &answer.status.to_string(), "400");
    bench.ask("no such blob", bench.pages("b", 0, &page), "404 BlobNotFound");
}

fn clear(bench: &Bench, first: u64, last: u64) -> Ask {
    let ask = bench.blob("PUT", "a").query("comp", "page").header("x-ms-page-write", "clear");
    ask.header("x-ms-range", format!("bytes={first}-{last}"))
}

fn listed(answer: &Answer) -> String {
    let (starts, ends) = (answer.elements("Start"), answer.elements("End"));
    let pairs = starts.iter().zip(ends).map(|(start, end)| format!("{start}-{end}"));
    pairs.collect::<Vec<String>>().join(" ")
}

fn ranges(bench: &mut Bench) {
    bench.send(bench.page_blob("a", 8_192));
    bench.send(bench.pages("a", 512, &[1; 1_024]));
    bench.send(bench.pages("a", 4_096, &[2; 512]));
    let pagelist = |bench: &Bench| bench.blob("GET", "a").query("comp", "pagelist");
    let answer = bench.ask("list", pagelist(bench), "200");
    bench.see("ranges", &listed(&answer), "512-1535 4096-4607");
    bench.see_header(&answer, "x-ms-blob-content-length", "8192");
    bench.ask("clear", clear(bench, 1_024, 1_535), "201");
    let answer = bench.send(pagelist(bench));
    bench.see("ranges after clearing", &listed(&answer), "512-1023 4096-4607");
    let answer = bench.send(pagelist(bench).header("x-ms-range", "bytes=600-4200"));
    bench.see("ranges of a part touch it", &(listed(&answer).split(' ').count()).to_string(), "2");
    let answer = bench.send(bench.blob("GET", "a").header("x-ms-range", "bytes=500-1100"));
    let expected = [vec![0; 12], vec![1; 512], vec![0; 77]].concat();
    bench.see("content", &(answer.body == expected).to_string(), "true");
    let answer = bench.send(clear(bench, 0, 511).body("x"));
    bench.see("clear with a body", &answer.status.to_string(), "400");
    bench.ask("clear everything", clear(bench, 0, 8_191), "201");
    let answer = bench.send(pagelist(bench));
    bench.see("no ranges", &listed(&answer), "");
}

fn paging(bench: &mut Bench) {
    bench.send(bench.page_blob("a", 8_192));
    for start in [0, 1_024, 2_048] {
        bench.send(bench.pages("a", start, &[1; 512]));
    }
    let first = bench.blob("GET", "a").query("comp", "pagelist").query("maxresults", "2");
    let answer = bench.send(first.clone());
    bench.see("first page", &listed(&answer), "0-511 1024-1535");
    let marker = answer.elements("NextMarker").first().copied().unwrap_or_default().to_owned();
    let answer = bench.send(first.query("marker", &marker));
    bench.see("second page", &listed(&answer), "2048-2559");
}

fn resize(bench: &mut Bench) {
    bench.send(bench.page_blob("a", 4_096).header("x-ms-blob-content-type", "x/y"));
    bench.send(bench.pages("a", 2_048, &[1; 2_048]));
    let to = |bench: &Bench, length: u64| {
        bench.blob("PUT", "a").query("comp", "properties").header("x-ms-blob-content-length", length)
    };
    bench.ask("shrink", to(bench, 3_072), "200");
    bench.ask("grow", to(bench, 8_192), "200");
    let answer = bench.send(bench.blob("HEAD", "a"));
    bench.see_header(&answer, "content-length", "8192");
    bench.see_header(&answer, "content-type", "x/y");
    let answer = bench.send(bench.blob("GET", "a").query("comp", "pagelist"));
    bench.see("what was cut off is gone", &listed(&answer), "2048-3071");
    let answer = bench.send(to(bench, 1_000));
    bench.see("unaligned", &answer.status.to_string(), "400");
    bench.send(bench.put("b", b"x"));
    let ask = bench.blob("PUT", "b").query("comp", "properties").header("x-ms-blob-content-length", 512);
    let answer = bench.send(ask);
    bench.see("a block blob", &answer.word(), "409 InvalidBlobType");
}

fn sequence(bench: &mut Bench) {
    bench.send(bench.page_blob("a", 512).header("x-ms-blob-sequence-number", 7));
    let page = [1; 512];
    let with = |bench: &Bench, name: &str, number: u64| bench.pages("a", 0, &page).header(name, number);
    bench.ask("le holds", with(bench, "x-ms-if-sequence-number-le", 7), "201");
    bench.ask(
        "lt does not",
        with(bench, "x-ms-if-sequence-number-lt", 7),
        "412 SequenceNumberConditionNotMet",
    );
    bench.ask("eq holds", with(bench, "x-ms-if-sequence-number-eq", 7), "201");
    bench.ask(
        "eq does not",
        with(bench, "x-ms-if-sequence-number-eq", 8),
        "412 SequenceNumberConditionNotMet",
    );
    let ask = bench.blob("PUT", "a").query("comp", "properties");
    bench.ask("increment", ask.header("x-ms-sequence-number-action", "increment"), "200");
    let answer = bench.send(bench.blob("HEAD", "a"));
    bench.see_header(&answer, "x-ms-blob-sequence-number", "8");
}

fn wrong_type(bench: &mut Bench) {
    bench.send(bench.put("a", &[1; 1_024]));
    bench.ask("put page", bench.pages("a", 0, &[1; 512]), "409 InvalidBlobType");
    bench.ask("page ranges", bench.blob("GET", "a").query("comp", "pagelist"), "409 InvalidBlobType");
}
