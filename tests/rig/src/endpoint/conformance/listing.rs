//! Checks of listings.

use super::client::{Answer, Ask};
use super::{Bench, Check};

pub(super) const CHECKS: &[Check] = &[
    ("blobs are listed in the order of their names", order),
    ("a listing can be narrowed, folded and paged", narrowing),
    ("a listing tells properties and what else is asked for", properties),
];

fn list(bench: &Bench) -> Ask {
    bench.container("GET").query("comp", "list")
}

fn names(answer: &Answer) -> String {
    answer.elements("Name").join(" ")
}

fn marker(answer: &Answer) -> String {
    answer.elements("NextMarker").first().copied().unwrap_or_default().to_owned()
}

fn order(bench: &mut Bench) {
    let answer = bench.ask("nothing", list(bench), "200");
    bench.see("no names", &names(&answer), "");
    for name in ["b", "a/2", "a", "B", "a/10"] {
        bench.send(bench.put(name, b"x"));
    }
    let answer = bench.send(list(bench));
    bench.see("names", &names(&answer), "B a a/10 a/2 b");
    bench.see("no marker", &marker(&answer), "");
}

fn narrowing(bench: &mut Bench) {
    for name in ["a/1", "a/2", "a/b/3", "c", "d"] {
        bench.send(bench.put(name, b"x"));
    }
    let answer = bench.send(list(bench).query("prefix", "a/"));
    bench.see("prefix", &names(&answer), "a/1 a/2 a/b/3");
    let answer = bench.send(list(bench).query("delimiter", "/"));
    let mut folded = answer.elements("Name");
    folded.sort_unstable();
    bench.see("delimiter", &folded.join(" "), "a/ c d");
    let answer = bench.send(list(bench).query("prefix", "a/").query("delimiter", "/"));
    let mut folded = answer.elements("Name");
    folded.sort_unstable();
    bench.see("prefix and delimiter", &folded.join(" "), "a/1 a/2 a/b/");
    let (mut seen, mut next, mut pages) = (Vec::new(), String::new(), 0);
    loop {
        let page = list(bench).query("maxresults", "2");
        let page = if next.is_empty() { page } else { page.query("marker", &next) };
        let answer = bench.send(page);
        seen.push(names(&answer));
        next = marker(&answer);
        pages += 1;
        if next.is_empty() || pages > 10 {
            break;
        }
    }
    bench.see("pages of two", &seen.join(" | "), "a/1 a/2 | a/b/3 c | d");
    bench.ask("pages of none", list(bench).query("maxresults", "0"), "400 OutOfRangeQueryParameterValue");
}

fn properties(bench: &mut Bench) {
    bench.send(bench.put("a", b"12345").header("x-ms-meta-job", "7"));
    bench.send(bench.blob("PUT", "a").query("comp", "snapshot"));
    bench.send(bench.page_blob("p", 512));
    let answer = bench.send(list(bench));
    bench.see("lengths", &answer.elements("Content-Length").join(" "), "5 512");
    bench.see("types", &answer.elements("BlobType").join(" "), "BlockBlob PageBlob");
    bench.see("no metadata", &answer.elements("job").join(" "), "");
    let answer = bench.send(list(bench).query("include", "metadata,snapshots"));
    bench.see("snapshots come first", &names(&answer), "a a p");
    bench.see("one snapshot", &answer.elements("Snapshot").len().to_string(), "1");
    bench.see("metadata", &answer.elements("job").join(" "), "7 7");
}
