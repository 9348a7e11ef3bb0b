//! Takes a request's body: how large it may be, what it must call itself, and that it is JSON.

use axum::body::{Body, Bytes};
use axum::http::{HeaderMap, header};
use http_body_util::{BodyExt, LengthLimitError, Limited};
use serde_json::Value;

use super::error::ArmError;

/// Ten drives with their header hashes, an inline blob list of the 32 KB that the service allows, and every tag that
/// ARM allows come to about 120 KB; a list somewhat too long still gets its own error instead of this one.
pub const LIMIT_BYTES: usize = 256 * 1024;

/// A body that must be JSON.
///
/// The text is the server's one copy, which is zeroed when it was read, because it may hold recovery passwords. What the
/// connection's own buffer had of it, and texts of the JSON that are taken for nothing, are freed as they are.
pub(super) async fn json(headers: &HeaderMap, body: Body) -> Result<Value, ArmError> {
    if !is_json(headers) {
        return Err(ArmError::media_type());
    }
    let text = bytes(body).await?;
    if text.iter().all(u8::is_ascii_whitespace) {
        return Err(ArmError::no_content());
    }
    let text = text.strip_prefix(b"\xef\xbb\xbf").unwrap_or(&*text);
    // Its own message would quote the text.
    serde_json::from_slice(text).map_err(|error| ArmError::not_json(error.line(), error.column()))
}

/// A body that nobody reads, taken so that the connection can be used again.
pub(super) async fn ignored(body: Body) -> Result<(), ArmError> {
    bytes(body).await.map(drop)
}

async fn bytes(body: Body) -> Result<Bytes, ArmError> {
    let read = Limited::new(body, LIMIT_BYTES).collect().await;
    match read {
        // A body in one piece, as the server gives it, is not copied.
        Ok(read) => Ok(read.to_bytes()),
        Err(error) if error.is::<LengthLimitError>() => Err(ArmError::too_large(LIMIT_BYTES)),
        Err(_) => Err(ArmError::body_broken()),
    }
}

/// `application/json` with any parameters, in any case; `text/json` too, as ARM takes it.
fn is_json(headers: &HeaderMap) -> bool {
    let Some(Ok(text)) = headers.get(header::CONTENT_TYPE).map(|value| value.to_str()) else { return false };
    let essence = text.split(';').next().unwrap_or_default().trim();
    ["application/json", "text/json"].iter().any(|known| essence.eq_ignore_ascii_case(known))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn the_text_of_a_body_is_not_copied() {
        let sent = Bytes::from_owner(b"{}".to_vec());
        let taken = bytes(Body::from(sent.clone())).await.expect("it is short");
        assert_eq!(taken.as_ptr(), sent.as_ptr());
    }
}
