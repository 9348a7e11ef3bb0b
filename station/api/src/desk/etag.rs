//! Which version of a thing a change was decided on: `ETag` and `If-Match` of RFC 9110.
//!
//! Whoever changes a versioned thing says what they saw; who saw an older one is told so (412) and looks again.

use axum::http::{HeaderMap, HeaderValue, StatusCode, header};

use super::refused::Refused;
use crate::problem::Problem;

/// The version that a request was decided on.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum IfMatch {
    /// The header was not sent.
    Unsaid,
    /// `*`: any, as long as the thing is there.
    Any,
    /// One of these tags, as they were sent, without quotes.
    Of(Vec<String>),
}

impl IfMatch {
    /// Reads the header.
    ///
    /// # Errors
    /// A 400 when it is no list of entity tags.
    pub fn read(headers: &HeaderMap) -> Result<Self, Refused> {
        let mut values = headers.get_all(header::IF_MATCH).iter().peekable();
        if values.peek().is_none() {
            return Ok(Self::Unsaid);
        }
        let mut tags = Vec::new();
        for value in values {
            let text = value.to_str().map_err(|_| malformed())?;
            if text.trim() == "*" {
                return Ok(Self::Any);
            }
            // Empty elements of a list are nothing: RFC 9110 §5.6.1.
            for part in text.split(',').map(str::trim).filter(|part| !part.is_empty()) {
                tags.push(tag(part).ok_or_else(malformed)?);
            }
        }
        Ok(if tags.is_empty() { Self::Unsaid } else { Self::Of(tags) })
    }

    /// Holds it against the version that is there.
    ///
    /// # Errors
    /// A 412 when the request was decided on another one.
    pub fn hold(&self, found: impl ToString) -> Result<(), Refused> {
        let found = found.to_string();
        match self {
            Self::Of(tags) if !tags.contains(&found) => Err(stale(&found).into()),
            _ => Ok(()),
        }
    }

    /// The same for a thing that may only be changed by who says what they saw.
    ///
    /// # Errors
    /// A 428 when the header is missing, a 412 as [`IfMatch::hold`].
    pub fn demand(&self, found: impl ToString) -> Result<(), Refused> {
        if *self == Self::Unsaid {
            return Err(Problem::new(
                StatusCode::PRECONDITION_REQUIRED,
                "if-match-required",
                "This change must say which version it was decided on.",
            )
            .detail("Read the resource and send its ETag as If-Match.")
            .with("retryable", false)
            .with("next", "Look at the current state, then do it again.")
            .into());
        }
        self.hold(found)
    }

    /// Holds it against a thing that is not there: no tag is its, and `*` neither (RFC 9110 §13.1.1).
    ///
    /// # Errors
    /// A 412 when the request was decided on one that was.
    pub fn hold_nothing(&self) -> Result<(), Refused> {
        match self {
            Self::Unsaid => Ok(()),
            Self::Any | Self::Of(_) => Err(gone().into()),
        }
    }
}

/// The header of a version.
pub fn etag(version: impl ToString) -> HeaderValue {
    HeaderValue::from_str(&format!("\"{}\"", version.to_string())).expect("versions are printable")
}

/// One strong tag without its quotes. Weak ones never match in an `If-Match`, so they are kept as what cannot match.
fn tag(text: &str) -> Option<String> {
    let opaque = text.strip_prefix("W/").unwrap_or(text).strip_prefix('"')?.strip_suffix('"')?;
    let is_good = opaque.bytes().all(|byte| byte == 0x21 || (0x23..=0x7e).contains(&byte));
    let kept = if text.starts_with("W/") { format!("W/{opaque}") } else { opaque.to_owned() };
    is_good.then_some(kept)
}

fn malformed() -> Problem {
    Problem::new(
        StatusCode::BAD_REQUEST,
        "if-match-malformed",
        "The If-Match header is no list of entity tags.",
    )
    .detail("Send the ETag as it was received, with its quotes, or an asterisk.")
    .with("retryable", false)
}

/// The refusal of a change that was decided on another version.
pub(super) fn stale(found: &str) -> Problem {
    Problem::new(
        StatusCode::PRECONDITION_FAILED,
        "changed-meanwhile",
        "The resource was changed since it was read.",
    )
    .with("found", format!("\"{found}\""))
    .with("retryable", true)
    .with("next", "Look at the current state, then decide again.")
}

fn gone() -> Problem {
    Problem::new(StatusCode::PRECONDITION_FAILED, "nothing-there", "There is no such resource to change.")
        .detail("If-Match is for what is there already: without it, the resource is made.")
        .with("retryable", false)
        .with("next", "Look at the current state, then decide again.")
}

#[cfg(test)]
mod tests {
    use axum::response::IntoResponse;

    use super::*;

    fn read(values: &[&str]) -> Result<IfMatch, StatusCode> {
        let mut headers = HeaderMap::new();
        for value in values {
            headers.append(header::IF_MATCH, HeaderValue::from_str(value).unwrap());
        }
        IfMatch::read(&headers).map_err(|problem| problem.into_response().status())
    }

    fn status(result: Result<(), Refused>) -> Option<StatusCode> {
        result.err().map(|problem| problem.into_response().status())
    }

    #[test]
    fn the_version_that_was_seen_is_held_against_the_one_that_is_there() {
        let seen = read(&["\"6\", \"7\""]).unwrap();
        assert_eq!(status(seen.hold(7)), None);
        assert_eq!(status(seen.hold(8)), Some(StatusCode::PRECONDITION_FAILED));
        assert_eq!(status(read(&["W/\"8\""]).unwrap().hold(8)), Some(StatusCode::PRECONDITION_FAILED));
        assert_eq!(status(read(&["*"]).unwrap().demand(8)), None);
    }

    #[test]
    fn what_is_not_there_matches_nothing() {
        assert_eq!(status(read(&[]).unwrap().hold_nothing()), None);
        for seen in ["*", "\"7\"", "\"none\""] {
            assert_eq!(status(read(&[seen]).unwrap().hold_nothing()), Some(StatusCode::PRECONDITION_FAILED));
        }
    }

    #[test]
    fn a_change_that_must_say_its_version_is_told_so() {
        let unsaid = read(&[]).unwrap();
        assert_eq!(status(unsaid.hold(1)), None);
        assert_eq!(status(unsaid.demand(1)), Some(StatusCode::PRECONDITION_REQUIRED));
    }

    #[test]
    fn what_is_no_entity_tag_is_refused() {
        for bad in ["7", "\"", "\"7", "\"a\"b\"", "\"a\", b", "W/7"] {
            assert_eq!(read(&[bad]), Err(StatusCode::BAD_REQUEST), "{bad}");
        }
        assert_eq!(read(&[""]), Ok(IfMatch::Unsaid), "an empty list says nothing");
    }
}
