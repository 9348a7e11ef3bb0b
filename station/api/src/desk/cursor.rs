//! Where a list goes on: opaque to clients, stable while things are added.
//!
//! A cursor names the last thing that was shown, never an offset, so what is added or removed meanwhile shifts nothing.
//! It also names its list and the filter, so one that is used with another filter is refused instead of leaving
//! things out. It is no capability: what a page shows is decided by who asks for it.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

/// Longer ones are not looked at.
const TEXT_BYTES_MAX: usize = 1024;

/// A place in one list under one filter.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Place {
    #[serde(rename = "l")]
    list: String,
    #[serde(rename = "f")]
    filter: String,
    #[serde(rename = "a")]
    after: String,
}

/// A list under a filter: makes its cursors, and reads them.
pub struct Pages {
    list: &'static str,
    filter: String,
}

/// A cursor that this list did not give out.
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
#[error("the cursor is not one of this list under this filter")]
pub struct ForeignCursor;

impl Pages {
    /// The list of that name; `filter` is whatever decides what is in it.
    pub fn new(list: &'static str, filter: &[Option<&str>]) -> Self {
        let mut sha = Sha256::new();
        for part in filter {
            let text = part.map_or(String::from("-"), |text| format!("+{}:{text}", text.len()));
            sha.update(text.as_bytes());
        }
        let filter = URL_SAFE_NO_PAD.encode(&sha.finalize()[..9]);
        Self { list, filter }
    }

    /// The cursor behind the thing of that key.
    pub fn cursor(&self, after: impl ToString) -> String {
        let place =
            Place { list: self.list.to_owned(), filter: self.filter.clone(), after: after.to_string() };
        URL_SAFE_NO_PAD.encode(serde_json::to_vec(&place).expect("three texts are JSON"))
    }

    /// The key behind which to go on.
    pub fn after(&self, cursor: &str) -> Result<String, ForeignCursor> {
        if cursor.len() > TEXT_BYTES_MAX {
            return Err(ForeignCursor);
        }
        let bytes = URL_SAFE_NO_PAD.decode(cursor).map_err(|_| ForeignCursor)?;
        let place: Place = serde_json::from_slice(&bytes).map_err(|_| ForeignCursor)?;
        let same = place.list == self.list && place.filter == self.filter;
        if same { Ok(place.after) } else { Err(ForeignCursor) }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn a_cursor_is_good_for_its_own_list_and_filter_only() {
        let bay = Pages::new("drives", &[Some("B-01"), None]);
        let cursor = bay.cursor("SN-1");
        assert_eq!(bay.after(&cursor).as_deref(), Ok("SN-1"));
        for other in [
            Pages::new("drives", &[None, Some("B-01")]),
            Pages::new("drives", &[Some("B-02"), None]),
            Pages::new("jobs", &[Some("B-01"), None]),
        ] {
            assert_eq!(other.after(&cursor), Err(ForeignCursor));
        }
    }

    proptest! {
        #[test]
        fn any_key_comes_back(key in ".{0,200}") {
            let pages = Pages::new("drives", &[]);
            prop_assert_eq!(pages.after(&pages.cursor(&key)), Ok(key));
        }

        #[test]
        fn any_text_is_refused_quietly(text in ".{0,2000}") {
            prop_assert_eq!(Pages::new("drives", &[]).after(&text), Err(ForeignCursor));
        }
    }
}
