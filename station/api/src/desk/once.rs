//! A request that is sent again is answered again, and done once: `Idempotency-Key`.
//!
//! The answer is kept by the ledger in the transaction that makes the change ([`ledger::Change::reply`]), so there is
//! no moment in which the change is there and the answer is not. Only what changed something is kept: a refusal is
//! decided anew, because what was wrong may have been put right. Answers are the caller's own: another caller's key
//! of the same text is another key. What is shown once (a token, a signing secret) is not in what is kept.

use axum::Json;
use axum::http::{HeaderMap, HeaderName, HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use ledger::{IdempotentReply, StoredReply};
use serde::Serialize;
use serde_json::Value;
use sha2::{Digest, Sha256};

use super::refused::Refused;
use crate::problem::Problem;

/// The request header.
pub const KEY_HEADER: &str = "idempotency-key";
/// Set on an answer that was given before.
pub const REPLAYED_HEADER: &str = "idempotency-replayed";
/// Longer keys are nobody's.
const KEY_BYTES_MAX: usize = 255;
/// How long an answer is kept: a shift that lost its network and comes back the next day still gets it.
const KEPT_MS: i64 = 24 * 3_600_000;

/// What a request is known by, if its sender gave it a key.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Once {
    /// Who sent it.
    pub caller: String,
    /// Their key.
    pub key: String,
    /// What they asked for, as a digest.
    pub fingerprint: String,
}

/// An answer, before it is sent and kept.
#[derive(Clone, Debug)]
pub struct Answer {
    status: StatusCode,
    headers: Vec<(HeaderName, HeaderValue)>,
    body: Value,
    kept: Option<Value>,
}

impl Once {
    /// Reads the key of a request; `asked` is everything that makes it the same request: method, path and body.
    ///
    /// # Errors
    /// A 400 when the header is there and no key.
    pub fn read(headers: &HeaderMap, caller: &str, asked: &[&[u8]]) -> Result<Option<Self>, Refused> {
        let mut values = headers.get_all(KEY_HEADER).iter();
        let Some(value) = values.next() else { return Ok(None) };
        let key = value.to_str().ok().filter(|key| is_key(key)).filter(|_| values.next().is_none());
        let key = key.ok_or_else(malformed)?.to_owned();
        Ok(Some(Self { caller: caller.to_owned(), key, fingerprint: fingerprint(asked) }))
    }

    /// What the ledger keeps of an answer.
    pub fn keep(&self, answer: &Answer, now_unix_ms: i64) -> IdempotentReply {
        IdempotentReply {
            caller: self.caller.clone(),
            key: self.key.clone(),
            fingerprint: self.fingerprint.clone(),
            expires_unix_ms: now_unix_ms.saturating_add(KEPT_MS),
            answer: answer.stored(&self.fingerprint),
        }
    }

    /// What a request gets whose key was seen before: the old answer, or a refusal of another request under it.
    pub fn seen(&self, kept: StoredReply) -> Refused {
        if kept.fingerprint == self.fingerprint {
            Refused::Replay(Box::new(kept))
        } else {
            key_reused().into()
        }
    }
}

impl Answer {
    /// An answer with a JSON body.
    pub fn json(status: StatusCode, body: impl Serialize) -> Self {
        let body = serde_json::to_value(body).expect("answers are plain data");
        Self { status, headers: Vec::new(), body, kept: None }
    }

    /// 200.
    pub fn ok(body: impl Serialize) -> Self {
        Self::json(StatusCode::OK, body)
    }

    /// With one more header.
    pub fn header(mut self, name: HeaderName, value: HeaderValue) -> Self {
        self.headers.push((name, value));
        self
    }

    /// With the place of what was made.
    pub fn location(self, path: &str) -> Self {
        match HeaderValue::from_str(path) {
            Ok(value) => self.header(header::LOCATION, value),
            Err(_) => self,
        }
    }

    /// What is kept instead of the body: the body without what is shown once.
    pub fn kept_as(mut self, body: impl Serialize) -> Self {
        self.kept = Some(serde_json::to_value(body).expect("answers are plain data"));
        self
    }

    fn stored(&self, fingerprint: &str) -> StoredReply {
        let text = |value: &HeaderValue| value.to_str().unwrap_or_default().to_owned();
        StoredReply {
            fingerprint: fingerprint.to_owned(),
            status: self.status.as_u16(),
            headers: self.headers.iter().map(|(name, value)| (name.to_string(), text(value))).collect(),
            body: serde_json::to_vec(self.kept.as_ref().unwrap_or(&self.body)).expect("a value is JSON"),
        }
    }
}

impl IntoResponse for Answer {
    fn into_response(self) -> Response {
        let mut response = (self.status, Json(self.body)).into_response();
        response.headers_mut().extend(self.headers);
        response
    }
}

/// An answer that was given before, as it was.
pub fn replayed(kept: &StoredReply) -> Response {
    let status = StatusCode::from_u16(kept.status).unwrap_or(StatusCode::OK);
    let mut response = (status, kept.body.clone()).into_response();
    let headers = response.headers_mut();
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("application/json"));
    for (name, value) in &kept.headers {
        if let (Ok(name), Ok(value)) = (HeaderName::try_from(name), HeaderValue::from_str(value)) {
            headers.insert(name, value);
        }
    }
    headers.insert(REPLAYED_HEADER, HeaderValue::from_static("true"));
    response
}

/// The refusal of another request under a key that was used.
pub fn key_reused() -> Problem {
    Problem::new(
        StatusCode::UNPROCESSABLE_ENTITY,
        "idempotency-key-reused",
        "The idempotency key was used for another request.",
    )
    .detail("A key stands for one request: send the very same request, or another key.")
    .with("retryable", false)
    .with("next", "Scan again.")
}

fn malformed() -> Problem {
    Problem::new(StatusCode::BAD_REQUEST, "idempotency-key-malformed", "The idempotency key is no key.")
        .detail(format!("Send one Idempotency-Key of 1 to {KEY_BYTES_MAX} printable ASCII characters."))
        .with("retryable", false)
}

fn is_key(text: &str) -> bool {
    (1..=KEY_BYTES_MAX).contains(&text.len()) && text.bytes().all(|byte| (0x21..=0x7e).contains(&byte))
}

/// SHA-256 over the parts, each with its length, so that no two requests run together.
fn fingerprint(parts: &[&[u8]]) -> String {
    let mut sha = Sha256::new();
    for part in parts {
        sha.update(u64::try_from(part.len()).unwrap_or(u64::MAX).to_be_bytes());
        sha.update(part);
    }
    sha.finalize().iter().map(|byte| format!("{byte:02x}")).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(keys: &[&str], asked: &[&[u8]]) -> Result<Option<Once>, StatusCode> {
        let mut headers = HeaderMap::new();
        for key in keys {
            headers.append(KEY_HEADER, HeaderValue::from_str(key).unwrap());
        }
        Once::read(&headers, "token:1", asked).map_err(|problem| problem.into_response().status())
    }

    #[test]
    fn the_same_request_has_the_same_fingerprint_and_no_other_has() {
        let print = |asked: &[&[u8]]| read(&["k"], asked).unwrap().unwrap().fingerprint;
        assert_eq!(print(&[b"POST", b"/a", b"{}"]), print(&[b"POST", b"/a", b"{}"]));
        assert_ne!(print(&[b"POST", b"/a", b"{}"]), print(&[b"POST", b"/a{", b"}"]));
    }

    #[test]
    fn what_is_no_key_is_refused() {
        assert_eq!(read(&[], &[]), Ok(None));
        for bad in [&[""][..], &["a b"], &["a", "a"], &[&"x".repeat(256)]] {
            assert_eq!(read(bad, &[]), Err(StatusCode::BAD_REQUEST), "{bad:?}");
        }
    }

    #[test]
    fn what_is_shown_once_is_not_kept() {
        let once = read(&["k"], &[b"x"]).unwrap().unwrap();
        let answer = Answer::json(StatusCode::CREATED, serde_json::json!({"id": "1", "token": "planted"}))
            .kept_as(serde_json::json!({"id": "1"}))
            .location("/v1/tokens/1");
        let kept = once.keep(&answer, 5);
        assert_eq!(kept.answer.body, br#"{"id":"1"}"#);
        let again = once.seen(kept.answer.clone()).into_response();
        assert_eq!(again.status(), StatusCode::CREATED);
        assert_eq!(again.headers()["location"], "/v1/tokens/1");
        assert_eq!(again.headers()[REPLAYED_HEADER], "true");
        let other = Once { fingerprint: "else".into(), ..once };
        assert_eq!(other.seen(kept.answer).into_response().status(), StatusCode::UNPROCESSABLE_ENTITY);
    }
}
