//! Import dispositions: what happens when a blob of that name is already there.
//!
//! Names, default and rename rule: azure-import-export.md §1.7. The decision itself (who asks the
//! destination, and how races are avoided) is the transfer's; here are only the words and the
//! pure name arithmetic.

use std::fmt;
use std::str::FromStr;

/// `ImportDisposition` of a manifest entry.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub enum ImportDisposition {
    /// Upload under a new name. The default when the element is absent.
    #[default]
    Rename,
    /// Keep the existing blob, skip ours.
    NoOverwrite,
    /// Replace the existing blob entirely.
    Overwrite,
}

impl ImportDisposition {
    /// The word as the manifest and the logs write it.
    pub fn as_str(self) -> &'static str {
        match self {
            ImportDisposition::Rename => "rename",
            ImportDisposition::NoOverwrite => "no-overwrite",
            ImportDisposition::Overwrite => "overwrite",
        }
    }
}

impl fmt::Display for ImportDisposition {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl FromStr for ImportDisposition {
    type Err = UnknownDisposition;

    /// Case-sensitive, as documented.
    fn from_str(text: &str) -> Result<Self, UnknownDisposition> {
        match text {
            "rename" => Ok(ImportDisposition::Rename),
            "no-overwrite" => Ok(ImportDisposition::NoOverwrite),
            "overwrite" => Ok(ImportDisposition::Overwrite),
            other => Err(UnknownDisposition { found: other.to_owned() }),
        }
    }
}

/// A disposition that is none of the three words.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("import disposition {found:?} is not one of rename, no-overwrite, overwrite")]
pub struct UnknownDisposition {
    /// The text that was found.
    pub found: String,
}

/// The `n`-th name tried for a blob whose own name is taken; the first new name has `n` = 2.
///
/// ` (n)` goes before the last dot of the last `/` segment, or at the end when that segment has no
/// dot: `Seattle.jpg` becomes `Seattle (2).jpg`, `a.b/c` becomes `a.b/c (2)`. A dot in a directory
/// part is not the name's dot: azure-import-export.md §1.7, "Trap".
///
/// ```
/// assert_eq!(model::disposition::renamed("BlobNameWithoutDot", 3), "BlobNameWithoutDot (3)");
/// ```
pub fn renamed(blob_name: &str, n: u32) -> String {
    let segment_start = blob_name.rfind('/').map_or(0, |slash| slash + 1);
    let dot = blob_name[segment_start..].rfind('.').map(|dot| segment_start + dot);
    let (stem, extension) = blob_name.split_at(dot.unwrap_or(blob_name.len()));
    format!("{stem} ({n}){extension}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_suffix_goes_before_the_last_dot_of_the_last_segment() {
        for (name, expected) in [
            ("Seattle.jpg", "Seattle (2).jpg"),
            ("BlobNameWithoutDot", "BlobNameWithoutDot (2)"),
            ("a.b/c", "a.b/c (2)"),
            ("a/b.tar.gz", "a/b.tar (2).gz"),
            (".profile", " (2).profile"),
            ("dir/", "dir/ (2)"),
            ("ünï.cödé", "ünï (2).cödé"),
        ] {
            assert_eq!(renamed(name, 2), expected);
        }
    }

    #[test]
    fn dispositions_are_case_sensitive_and_read_back_as_written() {
        for word in ["rename", "no-overwrite", "overwrite"] {
            assert_eq!(word.parse::<ImportDisposition>().unwrap().to_string(), word);
        }
        assert!("Overwrite".parse::<ImportDisposition>().is_err());
        assert_eq!(ImportDisposition::default(), ImportDisposition::Rename);
    }
}
