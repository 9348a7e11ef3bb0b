//! Escaping what is written, so that a reader gets the same characters back.
//!
//! In text, `&`, `<`, `>` and carriage return are escaped; in attributes also the quote, tab and
//! line feed, because a reader turns those into blanks. Characters that XML 1.0 cannot hold are
//! written as U+FFFD, the replacement character: a log must be complete, and its reader must be
//! able to read the rest. Paths that need to be exact never get here with such a character: the
//! manifest's reader refuses them.

use std::borrow::Cow;

use super::characters::is_xml_character;

/// Escapes for element content.
pub(crate) fn text(raw: &str) -> Cow<'_, str> {
    escaped(raw, |character| match character {
        '&' => Some("&amp;"),
        '<' => Some("&lt;"),
        '>' => Some("&gt;"),
        '\r' => Some("&#13;"),
        other if is_xml_character(other) => None,
        _ => Some("\u{FFFD}"),
    })
}

/// Escapes for an attribute between double quotes.
pub(crate) fn attribute(raw: &str) -> Cow<'_, str> {
    escaped(raw, |character| match character {
        '&' => Some("&amp;"),
        '<' => Some("&lt;"),
        '>' => Some("&gt;"),
        '"' => Some("&quot;"),
        '\t' => Some("&#9;"),
        '\n' => Some("&#10;"),
        '\r' => Some("&#13;"),
        other if is_xml_character(other) => None,
        _ => Some("\u{FFFD}"),
    })
}

/// The text as a reader gets it back: what XML 1.0 cannot hold is U+FFFD.
#[cfg(any(test, feature = "fuzzing"))]
pub(crate) fn replaced(raw: &str) -> String {
    raw.chars().map(|character| if is_xml_character(character) { character } else { '\u{FFFD}' }).collect()
}

fn escaped(raw: &str, replacement: impl Fn(char) -> Option<&'static str>) -> Cow<'_, str> {
    if raw.chars().all(|character| replacement(character).is_none()) {
        return Cow::Borrowed(raw);
    }
    let mut written = String::with_capacity(raw.len().saturating_add(16));
    for character in raw.chars() {
        match replacement(character) {
            Some(escape) => written.push_str(escape),
            None => written.push(character),
        }
    }
    Cow::Owned(written)
}
