//! One list of behaviour checks in raw HTTP, run against this endpoint and against Azurite.
//!
//! What is expected is what the real service does (spec/azure-storage.md §4.2, §7, and the REST
//! reference). A check notes *points*: what it asked about, what the service does, what this server
//! did. A server that is known to differ has a list of [`Difference`]s, each with the value that it
//! gives instead and the reason; so a difference that appears or goes away is noticed.
//!
//! The suite has its own client and its own signing, and shares no code with drivers/azure.

mod blobs;
mod blocks;
pub mod client;
mod conditions;
mod containers;
pub mod differences;
mod leases;
mod listing;
mod pages;
pub mod sign;
mod signatures;

use std::fmt;
use std::net::SocketAddr;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use md5::{Digest as _, Md5};

use client::{Answer, Ask, Client};
use differences::Difference;

/// A check: its name, and what it does.
pub type Check = (&'static str, fn(&mut Bench));

/// Every check, in the order in which they run.
pub fn checks() -> Vec<Check> {
    let families: [&[Check]; 8] = [
        containers::CHECKS,
        blobs::CHECKS,
        blocks::CHECKS,
        pages::CHECKS,
        conditions::CHECKS,
        leases::CHECKS,
        listing::CHECKS,
        signatures::CHECKS,
    ];
    families.concat()
}

/// What a check saw at one point.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Point {
    /// The check's name.
    pub check: &'static str,
    /// What was asked about.
    pub label: String,
    /// What the service does.
    pub expected: String,
    /// What this server did.
    pub observed: String,
}

impl fmt::Display for Point {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Point { check, label, expected, observed } = self;
        write!(f, "{check} / {label}: expected {expected:?}, observed {observed:?}")
    }
}

/// Runs every check against a server and answers what was seen.
pub fn run(server: SocketAddr, account: &str, key: &str) -> Vec<Point> {
    let mut points = Vec::new();
    for (number, (name, check)) in checks().into_iter().enumerate() {
        let container = format!("check-{number:03}");
        let client = Client::new(server, account, key);
        let mut bench = Bench { client, check: name, container, points: Vec::new() };
        let created = bench.send(Ask::new("PUT", &bench.at("")).query("restype", "container"));
        assert_eq!(created.status, 201, "{name}: no container: {}", created.text());
        check(&mut bench);
        points.append(&mut bench.points);
    }
    points
}

/// What does not fit: points that are neither as the service does it nor as the list of differences
/// says, and differences that were not seen.
pub fn surprises(points: &[Point], differences: &[Difference]) -> Vec<String> {
    let known = |point: &Point| {
        let mut all = differences.iter();
        all.find(|known| known.check == point.check && known.label == point.label)
    };
    let mut found: Vec<String> = Vec::new();
    for point in points {
        let allowed = known(point).map_or(point.expected.as_str(), |known| known.observed);
        if point.observed != allowed {
            found.push(point.to_string());
        }
    }
    for Difference { check, label, observed, .. } in differences {
        if !points.iter().any(|point| point.check == *check && point.label == *label) {
            found.push(format!("{check} / {label}: no such point, though it should give {observed:?}"));
        }
    }
    found
}

/// What a check works with: a client, a container of its own, and the points so far.
pub struct Bench {
    client: Client,
    check: &'static str,
    container: String,
    points: Vec<Point>,
}

impl Bench {
    /// The path of a blob in the check's container, or of the container itself for an empty name.
    fn at(&self, blob: &str) -> String {
        if blob.is_empty() { format!("/{}", self.container) } else { format!("/{}/{blob}", self.container) }
    }

    /// Sends a request that the check cannot do without.
    fn send(&mut self, ask: Ask) -> Answer {
        match self.client.send(&ask) {
            Ok(answer) => answer,
            Err(error) => panic!("{}: {ask:?}: {error}", self.check),
        }
    }

    /// Sends a request and notes status and code.
    fn ask(&mut self, label: &str, ask: Ask, expected: &str) -> Answer {
        let answer = self.send(ask);
        self.see(label, &answer.word(), expected);
        answer
    }

    /// Notes a point.
    fn see(&mut self, label: &str, observed: &str, expected: &str) {
        let (expected, observed) = (expected.to_owned(), observed.to_owned());
        self.points.push(Point { check: self.check, label: label.to_owned(), expected, observed });
    }

    /// Notes a header of a reply; an absent one is `-`.
    fn see_header(&mut self, answer: &Answer, name: &str, expected: &str) {
        let observed = answer.header(name).unwrap_or("-").to_owned();
        self.see(&format!("header {name}"), &observed, expected);
    }

    /// A request on the check's container.
    fn container(&self, method: &'static str) -> Ask {
        Ask::new(method, &self.at("")).query("restype", "container")
    }

    /// A request on a blob of the check's container.
    fn blob(&self, method: &'static str, name: &str) -> Ask {
        Ask::new(method, &self.at(name))
    }

    /// Put Blob of a block blob.
    fn put(&self, name: &str, body: &[u8]) -> Ask {
        self.blob("PUT", name).header("x-ms-blob-type", "BlockBlob").body(body)
    }

    /// Put Block.
    fn block(&self, name: &str, id: &str, body: &[u8]) -> Ask {
        self.blob("PUT", name).query("comp", "block").query("blockid", &BASE64.encode(id)).body(body)
    }

    /// Put Block List of the latest blocks.
    fn list(&self, name: &str, ids: &[&str]) -> Ask {
        let ids: String = ids.iter().map(|id| format!("<Latest>{}</Latest>", BASE64.encode(id))).collect();
        let body = format!("<?xml version=\"1.0\" encoding=\"utf-8\"?><BlockList>{ids}</BlockList>");
        self.blob("PUT", name).query("comp", "blocklist").body(body)
    }

    /// Creates a page blob.
    fn page_blob(&self, name: &str, length: u64) -> Ask {
        let ask = self.blob("PUT", name).header("x-ms-blob-type", "PageBlob");
        ask.header("x-ms-blob-content-length", length)
    }

    /// Put Page over bytes `first` to `last`.
    fn pages(&self, name: &str, first: u64, body: &[u8]) -> Ask {
        let last = (first + body.len() as u64).saturating_sub(1);
        let ask = self.blob("PUT", name).query("comp", "page").header("x-ms-page-write", "update");
        ask.header("x-ms-range", format!("bytes={first}-{last}")).body(body)
    }

    /// The blob's content, or the refusal's word.
    fn content(&mut self, name: &str) -> String {
        let answer = self.send(self.blob("GET", name));
        if answer.status == 200 { answer.text().to_owned() } else { answer.word() }
    }
}

/// MD5 in base64.
fn md5(body: &[u8]) -> String {
    BASE64.encode(Md5::digest(body))
}

/// CRC-64/NVME in base64, little-endian.
fn crc64(body: &[u8]) -> String {
    let checksum = crc_fast::checksum(crc_fast::CrcAlgorithm::Crc64Nvme, body);
    BASE64.encode(checksum.to_le_bytes())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_difference_is_allowed_only_as_it_is_listed_and_only_where_it_is_seen() {
        let point = |observed: &str| Point {
            check: "a",
            label: "b".to_owned(),
            expected: "201".to_owned(),
            observed: observed.to_owned(),
        };
        let listed = [Difference { check: "a", label: "b", observed: "500", reason: "it fails" }];
        assert!(surprises(&[point("201")], &[]).is_empty());
        assert!(surprises(&[point("500")], &listed).is_empty());
        assert_eq!(surprises(&[point("500")], &[]).len(), 1);
        assert_eq!(surprises(&[point("201")], &listed).len(), 1, "a difference that went away");
        assert_eq!(surprises(&[], &listed).len(), 1, "a difference that nothing looks at");
    }
}
