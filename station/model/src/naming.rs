//! Names in the storage account: what a container and a blob may be called, and a share and its files.
//!
//! azure-import-export.md §1.8 and azure-storage.md §7.4. Names are kept exactly as the manifest
//! writes them: never percent-decoded, never normalised.

mod share_path;

use std::fmt;

pub use share_path::{SHARE_DEPTH_MAX, SHARE_NAME_UNITS_MAX, SHARE_PATH_CHARS_MAX, SharePath};

/// Longest blob name in characters.
pub const BLOB_NAME_CHARS_MAX: usize = 1_024;
/// Most `/`-separated segments of a blob name.
pub const BLOB_SEGMENTS_MAX: usize = 254;

/// Where a blob goes: a container and the name in it, both checked.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct BlobPath {
    container: String,
    name: String,
}

impl BlobPath {
    /// Reads a manifest's `BlobPath`: `container/name`, `$root/name`; a leading `/` is tolerated.
    ///
    /// # Errors
    /// The first rule that the text breaks.
    pub fn parse(text: &str) -> Result<BlobPath, NameError> {
        let text = text.strip_prefix('/').unwrap_or(text);
        let (container, name) = text.split_once('/').ok_or(NameError::NoContainer)?;
        BlobPath::new(container, name)
    }

    /// Checks and joins the two parts.
    ///
    /// # Errors
    /// The first rule that one of them breaks.
    pub fn new(container: &str, name: &str) -> Result<BlobPath, NameError> {
        check_container(container)?;
        check_blob_name(container, name)?;
        Ok(BlobPath { container: container.to_owned(), name: name.to_owned() })
    }

    /// The container's name.
    pub fn container(&self) -> &str {
        &self.container
    }

    /// The blob's name inside its container.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The `n`-th name to try when this one is taken: see [`crate::disposition::renamed`].
    ///
    /// # Errors
    /// [`NameError::BlobLength`] when the suffix makes the name too long.
    pub fn renamed(&self, n: u32) -> Result<BlobPath, NameError> {
        BlobPath::new(&self.container, &crate::disposition::renamed(&self.name, n))
    }
}

impl fmt::Display for BlobPath {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.container, self.name)
    }
}

/// The rule of the storage service that a name breaks.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum NameError {
    /// No `/` between container and blob; the root container must be written `$root`.
    #[error("the blob path does not begin with a container and a slash")]
    NoContainer,
    /// A container name is 3 to 63 characters.
    #[error("the container name has {found} characters; 3 to 63 are allowed")]
    ContainerLength {
        /// Characters found.
        found: usize,
    },
    /// Lower-case letters, digits and single hyphens inside only.
    #[error(
        "the container name has {found:?} at character {position}; lower-case letters, digits and single inner hyphens are allowed"
    )]
    ContainerCharacter {
        /// The character.
        found: char,
        /// Where, counted from 1.
        position: usize,
    },
    /// A blob name is 1 to 1,024 characters.
    #[error("the blob name has {found} characters; 1 to {BLOB_NAME_CHARS_MAX} are allowed")]
    BlobLength {
        /// Characters found.
        found: usize,
    },
    /// At most 254 path segments.
    #[error("the blob name has {found} path segments; at most {BLOB_SEGMENTS_MAX} are allowed")]
    BlobSegments {
        /// Segments found.
        found: usize,
    },
    /// Blobs of the root container have no virtual directories.
    #[error("a blob in $root cannot have a slash in its name")]
    SlashInRoot,
    /// `.` and `..` segments would be folded by HTTP clients and proxies into another name.
    #[error("the blob name has the path segment {found:?}, which URLs fold away")]
    DotSegment {
        /// The segment.
        found: String,
    },
    /// The service strips them, so two names would become one.
    #[error("the name ends with {found:?}, which the storage service strips")]
    StrippedEnd {
        /// The last character.
        found: char,
    },
    /// A path below a share is 1 to 2,048 characters.
    #[error("the path in the share has {found} characters; 1 to {SHARE_PATH_CHARS_MAX} are allowed")]
    SharePathLength {
        /// Characters found.
        found: usize,
    },
    /// Directories of a share have a greatest depth.
    #[error("the path in the share has {found} levels; at most {SHARE_DEPTH_MAX} are allowed")]
    ShareDepth {
        /// Levels found.
        found: usize,
    },
    /// A file or directory of a share has a name of 1 to 255 UTF-16 units.
    #[error("a name in the share has {found} UTF-16 units; 1 to {SHARE_NAME_UNITS_MAX} are allowed")]
    ShareNameLength {
        /// Units found.
        found: usize,
    },
    /// Characters that names in a share cannot have.
    #[error("a name in the share has the character {found:?}, which file shares do not take")]
    ShareCharacter {
        /// The character.
        found: char,
    },
    /// Names of devices.
    #[error("{found:?} is the name of a device, which file shares do not take")]
    ShareReserved {
        /// The name.
        found: String,
    },
    /// Control characters cannot be carried in a URL's path faithfully.
    #[error("the blob name has the control character U+{found:04X}")]
    Control {
        /// The code point.
        found: u32,
    },
}

fn check_container(container: &str) -> Result<(), NameError> {
    if matches!(container, "$root" | "$web" | "$logs") {
        return Ok(());
    }
    let found = container.chars().count();
    if !(3..=63).contains(&found) {
        return Err(NameError::ContainerLength { found });
    }
    let mut previous = '-';
    for (index, character) in container.chars().enumerate() {
        let allowed = character.is_ascii_lowercase()
            || character.is_ascii_digit()
            || (character == '-' && previous != '-' && index + 1 != found);
        if !allowed {
            return Err(NameError::ContainerCharacter { found: character, position: index + 1 });
        }
        previous = character;
    }
    Ok(())
}

fn check_blob_name(container: &str, name: &str) -> Result<(), NameError> {
    let found = name.chars().count();
    if !(1..=BLOB_NAME_CHARS_MAX).contains(&found) {
        return Err(NameError::BlobLength { found });
    }
    if container == "$root" && name.contains('/') {
        return Err(NameError::SlashInRoot);
    }
    let segment_count = name.split('/').count();
    if segment_count > BLOB_SEGMENTS_MAX {
        return Err(NameError::BlobSegments { found: segment_count });
    }
    if let Some(segment) = name.split('/').find(|segment| matches!(*segment, "." | "..")) {
        return Err(NameError::DotSegment { found: segment.to_owned() });
    }
    if let Some(last) = name.chars().last().filter(|last| matches!(last, '.' | '/' | '\\')) {
        return Err(NameError::StrippedEnd { found: last });
    }
    match name.chars().find(|character| character.is_control()) {
        Some(character) => Err(NameError::Control { found: u32::from(character) }),
        None => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ordinary_paths_are_taken_as_written() {
        for path in ["files/a b/é%41+#.txt", "$root/logo.bmp", "$web/index.html", "a1-b/x", "abc/日本語"]
        {
            assert_eq!(BlobPath::parse(path).unwrap().to_string(), path);
        }
        assert_eq!(BlobPath::parse("/container1/blob.txt").unwrap().container(), "container1");
    }

    #[test]
    fn each_broken_rule_is_named() {
        let long = "x".repeat(1_025);
        let deep = "d/".repeat(254) + "x";
        for (path, expected) in [
            ("nocontainer".to_owned(), NameError::NoContainer),
            ("ab/x".to_owned(), NameError::ContainerLength { found: 2 }),
            ("Abc/x".to_owned(), NameError::ContainerCharacter { found: 'A', position: 1 }),
            ("a--b/x".to_owned(), NameError::ContainerCharacter { found: '-', position: 3 }),
            ("-ab/x".to_owned(), NameError::ContainerCharacter { found: '-', position: 1 }),
            ("ab-/x".to_owned(), NameError::ContainerCharacter { found: '-', position: 3 }),
            ("abc/".to_owned(), NameError::BlobLength { found: 0 }),
            (format!("abc/{long}"), NameError::BlobLength { found: 1_025 }),
            (format!("abc/{deep}"), NameError::BlobSegments { found: 255 }),
            ("$root/a/b".to_owned(), NameError::SlashInRoot),
            ("abc/a/../b".to_owned(), NameError::DotSegment { found: "..".to_owned() }),
            ("abc/name.".to_owned(), NameError::StrippedEnd { found: '.' }),
            ("abc/a\u{1}b".to_owned(), NameError::Control { found: 1 }),
        ] {
            assert_eq!(BlobPath::parse(&path), Err(expected), "{path}");
        }
    }

    #[test]
    fn a_suffix_that_makes_the_name_too_long_is_an_error() {
        let path = BlobPath::new("abc", &"x".repeat(1_022)).unwrap();
        assert_eq!(path.renamed(2), Err(NameError::BlobLength { found: 1_026 }));
    }
}
