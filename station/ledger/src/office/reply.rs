//! Answers that a repeated request gets again.

/// What a change keeps of its own answer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct IdempotentReply {
    /// Who asked: keys of different callers have nothing to do with each other.
    pub caller: String,
    /// The caller's key.
    pub key: String,
    /// What was asked, as a hash or a text: another under the same key is refused.
    pub fingerprint: String,
    /// Until when it counts, milliseconds since 1970 by the database's clock.
    pub expires_unix_ms: i64,
    /// The answer.
    pub answer: StoredReply,
}

/// An answer as it was given.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StoredReply {
    /// The request that it answered.
    pub fingerprint: String,
    /// The status of HTTP.
    pub status: u16,
    /// Names and values.
    pub headers: Vec<(String, String)>,
    /// The body.
    pub body: Vec<u8>,
}
