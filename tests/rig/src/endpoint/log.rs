//! The request log: what came and how it was answered, for tests to look at.
//!
//! Bounded: beyond [`ENTRIES_MAX`] the oldest entries go. Signatures and credentials are never in it.

use std::collections::VecDeque;
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use serde::Serialize;

use super::operation::Operation;
use super::request::Head;
use super::state::UNPOISONED;

/// How many requests are remembered.
pub const ENTRIES_MAX: usize = 100_000;

/// A request and its answer.
#[derive(Debug, Clone, Serialize)]
pub struct Entry {
    /// Counts requests from 1.
    pub number: u64,
    /// What was asked for.
    #[serde(serialize_with = "as_text")]
    pub operation: Operation,
    /// The verb.
    pub method: String,
    /// `container/blob`, decoded.
    pub path: String,
    /// Decoded query without what belongs to a signature.
    pub query: Vec<(String, String)>,
    /// The headers, names in lower case, without the credential.
    pub headers: Vec<(String, String)>,
    /// The body's announced length.
    pub body_bytes: u64,
    /// The status of the reply; 0 when none was sent.
    pub status: u16,
    /// `x-ms-error-code` of the reply.
    pub error_code: Option<String>,
    /// Which connection it came over, counted from 1.
    pub connection: u64,
}

impl Entry {
    /// The value of a request header, by its name in lower case.
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(key, _)| key == name).map(|(_, value)| value.as_str())
    }
}

fn as_text<S: serde::Serializer>(operation: &Operation, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.collect_str(operation)
}

/// The requests of an endpoint, oldest first.
#[derive(Debug)]
pub struct RequestLog {
    entries: Mutex<VecDeque<Entry>>,
    kept: AtomicBool,
    count: AtomicU64,
    body_bytes: AtomicU64,
}

/// The query parameters of a signature: some of them are secrets, the others noise.
const OF_SIGNATURES: [&str; 12] =
    ["sig", "sv", "se", "st", "sp", "sr", "ss", "srt", "spr", "sip", "si", "ses"];

impl RequestLog {
    /// A log that remembers requests, or one that only counts them.
    pub(crate) fn new(kept: bool) -> RequestLog {
        RequestLog {
            entries: Mutex::default(),
            kept: AtomicBool::new(kept),
            count: AtomicU64::new(0),
            body_bytes: AtomicU64::new(0),
        }
    }

    /// The remembered requests, oldest first.
    pub fn entries(&self) -> Vec<Entry> {
        self.entries.lock().expect(UNPOISONED).iter().cloned().collect()
    }

    /// The remembered requests for one operation, oldest first.
    pub fn of(&self, operation: Operation) -> Vec<Entry> {
        let entries = self.entries.lock().expect(UNPOISONED);
        entries.iter().filter(|entry| entry.operation == operation).cloned().collect()
    }

    /// How many requests were answered, remembered or not.
    pub fn count(&self) -> u64 {
        self.count.load(Ordering::Relaxed)
    }

    /// How many bytes the bodies of those requests had.
    pub fn body_bytes(&self) -> u64 {
        self.body_bytes.load(Ordering::Relaxed)
    }

    /// Forgets everything remembered.
    pub fn clear(&self) {
        self.entries.lock().expect(UNPOISONED).clear();
    }

    /// Notes a request and how it ended.
    pub(crate) fn note(&self, head: &Head, ending: Ending) {
        let number = self.count.fetch_add(1, Ordering::Relaxed) + 1;
        let body_bytes = head.content_length().unwrap_or(0);
        self.body_bytes.fetch_add(body_bytes, Ordering::Relaxed);
        if !self.kept.load(Ordering::Relaxed) {
            return;
        }
        let headers = head.headers().iter().filter(|(name, _)| *name != "authorization");
        let query = head.queries().iter().filter(|(key, _)| !OF_SIGNATURES.contains(&key.as_str()));
        let entry = Entry {
            number,
            operation: head.operation,
            method: head.method().to_string(),
            path: head.named(),
            query: query.cloned().collect(),
            headers: headers
                .map(|(name, value)| {
                    (name.to_string(), String::from_utf8_lossy(value.as_bytes()).into_owned())
                })
                .collect(),
            body_bytes,
            status: ending.status,
            error_code: ending.error_code,
            connection: ending.connection,
        };
        let mut entries = self.entries.lock().expect(UNPOISONED);
        if entries.len() == ENTRIES_MAX {
            entries.pop_front();
        }
        entries.push_back(entry);
    }
}

/// How a request ended.
pub(crate) struct Ending {
    pub(crate) status: u16,
    pub(crate) error_code: Option<String>,
    pub(crate) connection: u64,
}
