//! Misbehaviour on demand: which request is hit, and what happens to it.
//!
//! Deterministic: a fault counts the requests that fit its trigger, and a probability draws from its
//! own seeded numbers; so the same requests in the same order meet the same faults. [`spec`] reads
//! the one-line form of the command line. Carrying a fault out is the service's part.

pub mod spec;

use std::fmt;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use tokio::sync::watch;

use super::operation::Operation;
use super::state::UNPOISONED;

/// A request as faults and hooks see it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Seen<'a> {
    /// What it asks for.
    pub operation: Operation,
    /// `container/blob`, decoded.
    pub path: &'a str,
    /// Whether it is signed by a shared access signature.
    pub by_signature: bool,
}

/// A hook of a test.
pub type Hook = Arc<dyn Fn(Seen<'_>) + Send + Sync>;

/// What happens to a request that a fault hits.
#[derive(Clone)]
pub enum Action {
    /// It is refused with this status and code, and not carried out.
    Status {
        /// HTTP status.
        status: u16,
        /// `x-ms-error-code`.
        code: String,
        /// `Retry-After`, in seconds.
        retry_after_seconds: Option<u64>,
    },
    /// It waits, before anything is done: for a time, or until [`Faults::release`].
    Stall(Option<Duration>),
    /// The connection is reset, and new ones are refused: for a time, or until [`Faults::release`].
    Refuse(Option<Duration>),
    /// The connection is reset once so many bytes of the request's body were received.
    Reset {
        /// Bytes of the body that are still taken.
        after_bytes: u64,
    },
    /// The connection is reset once so many bytes of the reply's body were sent.
    Cut {
        /// Bytes of the body that are still sent.
        after_bytes: u64,
    },
    /// It is carried out, and then the connection is reset without a reply.
    LoseAnswer,
    /// Its body, and the reply's, pass at this rate.
    Bandwidth {
        /// Bytes in a second.
        bytes_per_second: u64,
    },
    /// One byte of its body is changed on arrival, before any checksum is compared.
    Corrupt {
        /// Position of the byte; beyond the body: its last byte.
        offset_bytes: u64,
    },
    /// A Put Block List leaves out its last blocks and still answers 201.
    DropBlocks {
        /// How many.
        count: usize,
    },
    /// The account takes no more data.
    DiskFull,
    /// The signature has run out.
    ExpiredSignature,
    /// A test's hook is called before the request is carried out.
    CallBefore(Hook),
    /// A test's hook is called after it was carried out, before the reply is sent.
    CallAfter(Hook),
}

/// Which requests a fault hits. The default: every one.
#[derive(Debug, Clone, PartialEq)]
pub struct Trigger {
    /// Only this operation.
    pub operation: Option<Operation>,
    /// Only paths (`container/blob`, decoded) that fit; `*` stands for any characters.
    pub path: Option<String>,
    /// Only requests that are signed by a shared access signature.
    pub by_signature: bool,
    /// The first fitting request that is hit, counted from 1.
    pub first: u64,
    /// After the first, every so-many-th.
    pub every: u64,
    /// How many are hit at most.
    pub times: Option<u64>,
    /// How many in a million of those are hit, drawn from [`Self::seed`].
    pub per_million: Option<u32>,
    /// Where the drawing begins.
    pub seed: u64,
}

impl Default for Trigger {
    fn default() -> Trigger {
        Trigger {
            operation: None,
            path: None,
            by_signature: false,
            first: 1,
            every: 1,
            times: None,
            per_million: None,
            seed: 1,
        }
    }
}

/// A trigger and an action.
#[derive(Debug, Clone)]
pub struct Fault {
    /// Which requests.
    pub trigger: Trigger,
    /// What happens to them.
    pub action: Action,
}

impl Fault {
    /// A fault that hits every request, until it is narrowed down.
    pub fn new(action: Action) -> Fault {
        Fault { trigger: Trigger::default(), action }
    }

    /// A refusal with a status and a code.
    pub fn status(status: u16, code: &str) -> Fault {
        Fault::new(Action::Status { status, code: code.to_owned(), retry_after_seconds: None })
    }

    /// Calls a hook before the request is carried out.
    pub fn call_before(hook: impl Fn(Seen<'_>) + Send + Sync + 'static) -> Fault {
        Fault::new(Action::CallBefore(Arc::new(hook)))
    }

    /// Calls a hook after the request was carried out and before it is answered.
    pub fn call_after(hook: impl Fn(Seen<'_>) + Send + Sync + 'static) -> Fault {
        Fault::new(Action::CallAfter(Arc::new(hook)))
    }

    /// Only this operation.
    #[must_use]
    pub fn on(mut self, operation: Operation) -> Fault {
        self.trigger.operation = Some(operation);
        self
    }

    /// Only these paths: `container/blob`, decoded, with `*` for any characters.
    #[must_use]
    pub fn path(mut self, pattern: &str) -> Fault {
        self.trigger.path = Some(pattern.to_owned());
        self
    }

    /// Only the nth fitting request, counted from 1.
    #[must_use]
    pub fn nth(mut self, nth: u64) -> Fault {
        self.trigger.first = nth;
        self.trigger.times = Some(1);
        self
    }

    /// From the nth fitting request on.
    #[must_use]
    pub fn from(mut self, nth: u64) -> Fault {
        self.trigger.first = nth;
        self
    }

    /// At most so many requests.
    #[must_use]
    pub fn times(mut self, times: u64) -> Fault {
        self.trigger.times = Some(times);
        self
    }
}

/// A fault's number, by which it is asked about and taken away.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct FaultId(pub u64);

/// A fault in force.
struct Rule {
    id: FaultId,
    fault: Fault,
    fitting: u64,
    hits: u64,
    random: u64,
}

/// The faults of an endpoint, in the order in which they were added.
pub struct Faults {
    rules: Mutex<Vec<Rule>>,
    any: AtomicBool,
    next_id: AtomicU64,
    /// Counts releases: what stalls waits for the next one.
    releases: watch::Sender<u64>,
    /// Whether the door is open; a closed one refuses connections.
    open: watch::Sender<bool>,
}

impl Default for Faults {
    fn default() -> Faults {
        Faults {
            rules: Mutex::default(),
            any: AtomicBool::new(false),
            next_id: AtomicU64::new(1),
            releases: watch::Sender::new(0),
            open: watch::Sender::new(true),
        }
    }
}

impl Faults {
    /// Puts a fault in force.
    pub fn add(&self, fault: Fault) -> FaultId {
        let id = FaultId(self.next_id.fetch_add(1, Ordering::Relaxed));
        let random = fault.trigger.seed;
        self.rules.lock().expect(UNPOISONED).push(Rule { id, fault, fitting: 0, hits: 0, random });
        self.any.store(true, Ordering::Release);
        id
    }

    /// Takes a fault away; whether it was there.
    pub fn remove(&self, id: FaultId) -> bool {
        let mut rules = self.rules.lock().expect(UNPOISONED);
        let before = rules.len();
        rules.retain(|rule| rule.id != id);
        self.any.store(!rules.is_empty(), Ordering::Release);
        rules.len() < before
    }

    /// Takes every fault away, lets go what stalls and opens the door.
    pub fn clear(&self) {
        self.rules.lock().expect(UNPOISONED).clear();
        self.any.store(false, Ordering::Release);
        self.release();
    }

    /// Lets go every request that stalls, and takes connections again.
    pub fn release(&self) {
        self.releases.send_modify(|count| *count += 1);
        self.open.send_replace(true);
    }

    /// Resets every connection and refuses new ones, until [`Self::release`].
    pub fn refuse_connections(&self) {
        self.open.send_replace(false);
    }

    /// How many requests a fault has hit so far.
    pub fn hits(&self, id: FaultId) -> u64 {
        let rules = self.rules.lock().expect(UNPOISONED);
        rules.iter().find(|rule| rule.id == id).map_or(0, |rule| rule.hits)
    }

    /// One line a fault in force: number, hits, trigger and action.
    pub fn describe(&self) -> Vec<String> {
        let rules = self.rules.lock().expect(UNPOISONED);
        let line = |rule: &Rule| format!("{} hits={} {:?}", rule.id.0, rule.hits, rule.fault);
        rules.iter().map(line).collect()
    }

    /// Whether any fault is in force: when none is, a request needs not be judged.
    pub(crate) fn any(&self) -> bool {
        self.any.load(Ordering::Acquire)
    }

    /// What happens to this request. Counts it.
    pub(crate) fn judge(&self, seen: Seen<'_>) -> Vec<Action> {
        let mut rules = self.rules.lock().expect(UNPOISONED);
        rules.iter_mut().filter_map(|rule| rule.hit(seen).then(|| rule.fault.action.clone())).collect()
    }

    /// The number of releases, to be waited on.
    pub(crate) fn releases(&self) -> watch::Receiver<u64> {
        self.releases.subscribe()
    }

    /// Whether connections are taken, to be waited on.
    pub(crate) fn door(&self) -> watch::Receiver<bool> {
        self.open.subscribe()
    }
}

impl Rule {
    fn hit(&mut self, seen: Seen<'_>) -> bool {
        let trigger = &self.fault.trigger;
        let fits = trigger.operation.is_none_or(|operation| operation == seen.operation)
            && trigger.path.as_deref().is_none_or(|pattern| glob(pattern, seen.path))
            && (seen.by_signature || !trigger.by_signature);
        if !fits {
            return false;
        }
        self.fitting += 1;
        let due = self.fitting >= trigger.first
            && (self.fitting - trigger.first).is_multiple_of(trigger.every.max(1))
            && trigger.times.is_none_or(|times| self.hits < times);
        let hit = due && trigger.per_million.is_none_or(|limit| next_random(&mut self.random) < limit);
        self.hits += u64::from(hit);
        hit
    }
}

/// The next number below a million of a seeded sequence (SplitMix64).
fn next_random(state: &mut u64) -> u32 {
    *state = state.wrapping_add(0x9E37_79B9_7F4A_7C15);
    let mut mixed = *state;
    mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
    mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
    mixed ^= mixed >> 31;
    u32::try_from(mixed % 1_000_000).expect("less than a million")
}

/// Whether text fits a pattern in which `*` stands for any characters.
fn glob(pattern: &str, text: &str) -> bool {
    let mut parts = pattern.split('*');
    let first = parts.next().unwrap_or_default();
    let Some(mut rest) = text.strip_prefix(first) else { return false };
    let mut last = None;
    for part in parts {
        if let Some(middle) = last.replace(part) {
            match rest.split_once(middle) {
                Some((_, after)) => rest = after,
                None => return false,
            }
        }
    }
    last.map_or(rest.is_empty(), |ending| rest.ends_with(ending))
}

impl fmt::Debug for Action {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Action::Status { status, code, retry_after_seconds } => {
                write!(f, "status {status} {code} retry-after {retry_after_seconds:?}")
            }
            Action::Stall(time) => write!(f, "stall {time:?}"),
            Action::Refuse(time) => write!(f, "refuse {time:?}"),
            Action::Reset { after_bytes } => write!(f, "reset after {after_bytes} bytes"),
            Action::Cut { after_bytes } => write!(f, "cut after {after_bytes} bytes"),
            Action::LoseAnswer => f.write_str("lose the answer"),
            Action::Bandwidth { bytes_per_second } => write!(f, "{bytes_per_second} bytes a second"),
            Action::Corrupt { offset_bytes } => write!(f, "corrupt byte {offset_bytes}"),
            Action::DropBlocks { count } => write!(f, "drop {count} blocks"),
            Action::DiskFull => f.write_str("disk full"),
            Action::ExpiredSignature => f.write_str("expired signature"),
            Action::CallBefore(_) => f.write_str("call a hook before"),
            Action::CallAfter(_) => f.write_str("call a hook after"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn seen(operation: Operation, path: &str) -> Seen<'_> {
        Seen { operation, path, by_signature: false }
    }

    fn hits(fault: Fault, requests: usize) -> Vec<usize> {
        let faults = Faults::default();
        faults.add(fault);
        let hit = |_: &usize| !faults.judge(seen(Operation::PutBlock, "c/b")).is_empty();
        (1..=requests).filter(hit).collect()
    }

    #[test]
    fn a_fault_counts_only_the_requests_that_fit_it() {
        let faults = Faults::default();
        let id = faults.add(Fault::status(503, "ServerBusy").on(Operation::PutBlock).path("c/*.vhd").nth(2));
        for (operation, path, hit) in [
            (Operation::PutBlock, "c/a.vhd", false),
            (Operation::PutBlob, "c/a.vhd", false),
            (Operation::PutBlock, "d/a.vhd", false),
            (Operation::PutBlock, "c/x/y.vhd", true),
            (Operation::PutBlock, "c/a.vhd", false),
        ] {
            assert_eq!(!faults.judge(seen(operation, path)).is_empty(), hit, "{operation} {path}");
        }
        assert_eq!(faults.hits(id), 1);
        assert!(faults.remove(id) && !faults.any());
    }

    #[test]
    fn first_every_and_times_choose_among_the_fitting_requests() {
        assert_eq!(hits(Fault::new(Action::LoseAnswer).from(3).times(2), 8), [3, 4]);
        let mut every_third = Fault::new(Action::LoseAnswer).from(2);
        every_third.trigger.every = 3;
        assert_eq!(hits(every_third, 9), [2, 5, 8]);
    }

    #[test]
    fn a_probability_hits_the_same_requests_each_time_and_others_with_another_seed() {
        let with_seed = |seed| {
            let mut fault = Fault::new(Action::LoseAnswer);
            (fault.trigger.per_million, fault.trigger.seed) = (Some(300_000), seed);
            hits(fault, 1_000)
        };
        assert_eq!(with_seed(7), with_seed(7));
        assert_ne!(with_seed(7), with_seed(8));
        assert!((250..350).contains(&with_seed(7).len()));
    }

    #[test]
    fn a_star_stands_for_any_characters() {
        for (pattern, text, fits) in [
            ("a/b", "a/b", true),
            ("a/b", "a/bc", false),
            ("*", "anything", true),
            ("a*", "abc", true),
            ("*c", "abc", true),
            ("a*c*e", "abcde", true),
            ("a*c*e", "abde", false),
            ("*aa*", "xaax", true),
            ("ab*b", "ab", false),
        ] {
            assert_eq!(glob(pattern, text), fits, "{pattern} {text}");
        }
    }
}
