//! What an error leads to: the one question every error of the station answers.
//!
//! An operation's error type has `fn class(&self) -> Class` with an exhaustive `match`, so a new
//! variant does not compile until somebody has decided.

/// The consequence of an error, from the smallest to the largest.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Class {
    /// The same request may succeed in a moment: throttling, a reset connection, a time-out.
    RetryRequest,
    /// This blob fails and is named in the log; the next one goes on.
    FailBlob,
    /// Only the customer can mend it (credential, firewall, full account): keep what is done,
    /// stop, say what to change; the copy resumes at the next block.
    HoldForCustomer,
    /// The drive cannot be read any further.
    FailDrive,
    /// The station itself is broken (disk full, corrupted ledger): stop before harm is done.
    StopStation,
}
