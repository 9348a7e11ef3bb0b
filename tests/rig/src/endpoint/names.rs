//! Which names the service takes (spec §7.4), and what a hierarchical namespace makes of a path.

use super::codes::{self, Refusal};

/// Blob names are at most 1,024 characters and 254 segments.
const BLOB_CHARACTERS_MAX: usize = 1_024;
const BLOB_SEGMENTS_MAX: usize = 254;
/// Container names are 3 to 63 characters.
const CONTAINER_CHARACTERS: std::ops::RangeInclusive<usize> = 3..=63;
/// Containers whose names only the service may give.
const RESERVED: [&str; 3] = ["$root", "$web", "$logs"];

/// Checks a container's name.
pub(crate) fn check_container(name: &str) -> Result<(), Refusal> {
    if RESERVED.contains(&name) {
        return Ok(());
    }
    if !CONTAINER_CHARACTERS.contains(&name.chars().count()) {
        return Err(codes::OUT_OF_RANGE.into());
    }
    let letter = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit();
    let fits = name.chars().all(|c| letter(c) || c == '-')
        && name.starts_with(letter)
        && name.ends_with(letter)
        && !name.contains("--");
    if fits { Ok(()) } else { Err(codes::INVALID_NAME.into()) }
}

/// Checks a blob's name.
pub(crate) fn check_blob(name: &str) -> Result<(), Refusal> {
    let characters = name.encode_utf16().count();
    if characters == 0 || characters > BLOB_CHARACTERS_MAX || name.split('/').count() > BLOB_SEGMENTS_MAX {
        return Err(codes::OUT_OF_RANGE.into());
    }
    let refused = |c: char| c.is_control() || matches!(c, '\u{FFFE}' | '\u{FFFF}' | '\u{10FFFF}');
    if name.contains(refused) { Err(codes::INVALID_URI.into()) } else { Ok(()) }
}

/// The path that a hierarchical namespace makes of a blob's name: empty segments fall away, and `.`
/// and `..` name nothing there.
pub(crate) fn hierarchical(name: &str) -> Result<String, Refusal> {
    let segments: Vec<&str> = name.split('/').filter(|segment| !segment.is_empty()).collect();
    if segments.is_empty() || segments.iter().any(|segment| matches!(*segment, "." | "..")) {
        return Err(codes::INVALID_URI.into());
    }
    Ok(segments.join("/"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn code(result: Result<(), Refusal>) -> Option<String> {
        result.err().map(|refusal| refusal.code)
    }

    #[test]
    fn container_names_follow_dns() {
        for name in ["abc", "a-b", "123", "$root", "$logs", &"a".repeat(63)] {
            assert_eq!(code(check_container(name)), None, "{name}");
        }
        for name in ["Abc", "-ab", "ab-", "a--b", "a_b", "abc/d", "$foo"] {
            assert_eq!(code(check_container(name)).as_deref(), Some("InvalidResourceName"), "{name}");
        }
        for name in ["", "ab", &"a".repeat(64)] {
            assert_eq!(code(check_container(name)).as_deref(), Some("OutOfRangeInput"), "{name}");
        }
    }

    #[test]
    fn blob_names_have_limits_but_few_rules() {
        let deep = vec!["a"; 254].join("/");
        for name in ["a", "a//b", "..", "ü ", &"ü".repeat(1_024), &deep] {
            assert_eq!(code(check_blob(name)), None, "{name}");
        }
        for name in ["", &"a".repeat(1_025), &format!("{deep}/a")] {
            assert_eq!(code(check_blob(name)).as_deref(), Some("OutOfRangeInput"), "{name}");
        }
        assert_eq!(code(check_blob("a\u{1}b")).as_deref(), Some("InvalidUri"));
    }

    #[test]
    fn a_hierarchical_namespace_has_no_empty_and_no_dot_segments() {
        assert_eq!(hierarchical("a//b/").as_deref(), Ok("a/b"));
        assert_eq!(hierarchical("a/..b/.c.").as_deref(), Ok("a/..b/.c."));
        for name in ["a/../b", ".", "/", "a/."] {
            assert_eq!(hierarchical(name).map_err(|refusal| refusal.status), Err(400), "{name}");
        }
    }
}
