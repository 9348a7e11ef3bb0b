//! Names in a file share: azure-storage.md §7.2 and §7.4.
//!
//! Unlike blobs, files of a share are found without regard to case, and their directories exist; so
//! two names that differ only in case are one, and [`SharePath::folded`] tells.

use std::fmt;

use super::{NameError, check_container};

/// Longest name of one file or directory, in UTF-16 units.
pub const SHARE_NAME_UNITS_MAX: usize = 255;
/// Longest path below the share, in characters.
pub const SHARE_PATH_CHARS_MAX: usize = 2_048;
/// Most directories and the file, one in another.
pub const SHARE_DEPTH_MAX: usize = 250;

/// Where a file of a share goes: a share and the path in it, both checked.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct SharePath {
    share: String,
    path: String,
}

impl SharePath {
    /// Reads a manifest's `FileStoragePath`: `share/dir/name`; a leading `/` is tolerated.
    ///
    /// # Errors
    /// The first rule that the text breaks.
    pub fn parse(text: &str) -> Result<SharePath, NameError> {
        let text = text.strip_prefix('/').unwrap_or(text);
        let (share, path) = text.split_once('/').ok_or(NameError::NoContainer)?;
        if share.starts_with('$') {
            return Err(NameError::ContainerCharacter { found: '$', position: 1 });
        }
        check_container(share)?;
        check_path(path)?;
        Ok(SharePath { share: share.to_owned(), path: path.to_owned() })
    }

    /// The share's name.
    pub fn share(&self) -> &str {
        &self.share
    }

    /// The path inside the share.
    pub fn path(&self) -> &str {
        &self.path
    }

    /// A text that two paths share exactly when the service takes them for the same file.
    ///
    /// How the service folds case is not published; Unicode's simple upper case, as file systems of
    /// Windows do, is what its SMB side shows.
    pub fn folded(&self) -> String {
        fold(&self.share) + "/" + &fold(&self.path)
    }
}

impl fmt::Display for SharePath {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.share, self.path)
    }
}

fn fold(text: &str) -> String {
    let one = |character: char| {
        let mut upper = character.to_uppercase();
        // A letter whose capital is several letters (ß) keeps its own.
        upper.next().filter(|_| upper.next().is_none()).unwrap_or(character)
    };
    text.chars().map(one).collect()
}

fn check_path(path: &str) -> Result<(), NameError> {
    let found = path.chars().count();
    if !(1..=SHARE_PATH_CHARS_MAX).contains(&found) {
        return Err(NameError::SharePathLength { found });
    }
    let depth = path.split('/').count();
    if depth > SHARE_DEPTH_MAX {
        return Err(NameError::ShareDepth { found: depth });
    }
    path.split('/').try_for_each(check_name)
}

fn check_name(name: &str) -> Result<(), NameError> {
    let found = name.encode_utf16().count();
    if !(1..=SHARE_NAME_UNITS_MAX).contains(&found) {
        return Err(NameError::ShareNameLength { found });
    }
    if matches!(name, "." | "..") {
        return Err(NameError::DotSegment { found: name.to_owned() });
    }
    if let Some(found) = name.chars().find(|character| is_foreign(*character)) {
        return Err(NameError::ShareCharacter { found });
    }
    if name.ends_with('.') {
        return Err(NameError::StrippedEnd { found: '.' });
    }
    if is_reserved(name) { Err(NameError::ShareReserved { found: name.to_owned() }) } else { Ok(()) }
}

fn is_foreign(character: char) -> bool {
    character.is_control()
        || matches!(character, '"' | '\\' | ':' | '|' | '<' | '>' | '*' | '?')
        // Valid on NTFS, where other systems hide characters there, and refused by the service.
        || ('\u{E000}'..='\u{F8FF}').contains(&character)
        || matches!(character, '\u{FFFE}' | '\u{FFFF}')
}

fn is_reserved(name: &str) -> bool {
    let upper = name.to_ascii_uppercase();
    let port = upper.strip_prefix("COM").or_else(|| upper.strip_prefix("LPT"));
    let is_port = port.is_some_and(|number| matches!(number.as_bytes(), [b'1'..=b'9']));
    is_port || matches!(upper.as_str(), "PRN" | "AUX" | "NUL" | "CON" | "CLOCK$")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ordinary_paths_are_taken_as_written() {
        for path in ["share1/a b/é.txt", "abc/日本語", "abc/.profile", "abc/com0", "abc/aux.c", "abc/ x "]
        {
            assert_eq!(SharePath::parse(path).unwrap().to_string(), path);
        }
        let path = SharePath::parse("/share1/d/f").unwrap();
        assert_eq!((path.share(), path.path()), ("share1", "d/f"));
    }

    #[test]
    fn each_broken_rule_is_named() {
        for (path, expected) in [
            ("share".to_owned(), NameError::NoContainer),
            ("$root/x".to_owned(), NameError::ContainerCharacter { found: '$', position: 1 }),
            ("Abc/x".to_owned(), NameError::ContainerCharacter { found: 'A', position: 1 }),
            ("ab/x".to_owned(), NameError::ContainerLength { found: 2 }),
            ("abc/".to_owned(), NameError::SharePathLength { found: 0 }),
            (format!("abc/{}", "d/".repeat(1_024) + "x"), NameError::SharePathLength { found: 2_049 }),
            (format!("abc/{}", "d/".repeat(250) + "x"), NameError::ShareDepth { found: 251 }),
            (format!("abc/{}", "é".repeat(256)), NameError::ShareNameLength { found: 256 }),
            ("abc/a//b".to_owned(), NameError::ShareNameLength { found: 0 }),
            ("abc/d/".to_owned(), NameError::ShareNameLength { found: 0 }),
            ("abc/../b".to_owned(), NameError::DotSegment { found: "..".to_owned() }),
            ("abc/a?b".to_owned(), NameError::ShareCharacter { found: '?' }),
            ("abc/a\u{7F}b".to_owned(), NameError::ShareCharacter { found: '\u{7F}' }),
            ("abc/a\u{E000}b".to_owned(), NameError::ShareCharacter { found: '\u{E000}' }),
            ("abc/name.".to_owned(), NameError::StrippedEnd { found: '.' }),
            ("abc/d./x".to_owned(), NameError::StrippedEnd { found: '.' }),
            ("abc/Com1".to_owned(), NameError::ShareReserved { found: "Com1".to_owned() }),
            ("abc/nul/x".to_owned(), NameError::ShareReserved { found: "nul".to_owned() }),
        ] {
            assert_eq!(SharePath::parse(&path), Err(expected), "{path}");
        }
    }

    #[test]
    fn paths_that_differ_only_in_case_are_one() {
        let folded = |path: &str| SharePath::parse(path).unwrap().folded();
        assert_eq!(folded("abc/Dir/ÉTÉ.txt"), folded("abc/dir/été.TXT"));
        assert_ne!(folded("abc/straße"), folded("abc/STRASSE"));
        assert_ne!(folded("abc/a"), folded("abd/a"));
    }
}
