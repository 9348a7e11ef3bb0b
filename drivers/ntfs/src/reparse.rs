//! Reparse points: what a file or directory is besides its data. spec/ntfs.md §3.7.
//!
//! They are never followed. Three questions are answered by the tag alone: whether a directory
//! leads elsewhere, whether a file's content is elsewhere, and whether it is compressed by the
//! Windows Overlay Filter and so can be decoded.

use std::fmt;

use crate::index::Index;
use crate::index::entry::Item;
use crate::record::FileId;

/// The first four bytes of a `$REPARSE_POINT`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct ReparseTag(pub u32);

impl ReparseTag {
    /// Compressed by the Windows Overlay Filter (`compact /exe`).
    pub const WOF: ReparseTag = ReparseTag(0x8000_0017);
    /// A symbolic link.
    pub const SYMLINK: ReparseTag = ReparseTag(0xa000_000c);
    /// A junction or a volume mount point.
    pub const JUNCTION: ReparseTag = ReparseTag(0xa000_0003);
    /// Deduplicated by Windows Server.
    pub const DEDUP: ReparseTag = ReparseTag(0x8000_0013);

    /// The bit of a tag whose point stands for another file or directory.
    const NAME_SURROGATE: u32 = 0x2000_0000;
    /// The bit of a tag whose directory holds ordinary children (cloud folders have it).
    const DIRECTORY: u32 = 0x1000_0000;
    /// Cloud placeholders are 0x9000_x01A, with x from 0 to F.
    const CLOUD: u32 = 0x9000_001a;
    const CLOUD_MASK: u32 = 0xffff_0fff;

    /// Whether a directory with it must not be entered: its children are elsewhere.
    pub fn leads_away(self) -> bool {
        self.0 & Self::NAME_SURROGATE != 0 || self.0 & Self::DIRECTORY == 0
    }

    /// Whether the data of a file with it is not the file's content, and cannot be had here.
    pub fn hides_content(self) -> bool {
        self != Self::WOF
    }

    fn is_cloud(self) -> bool {
        self.0 & Self::CLOUD_MASK == Self::CLOUD
    }
}

impl fmt::Display for ReparseTag {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let what = match *self {
            Self::WOF => "compressed by the Windows Overlay Filter",
            Self::SYMLINK => "symbolic link",
            Self::JUNCTION => "junction or mount point",
            Self::DEDUP => "deduplicated, its content is in a chunk store",
            tag if tag.is_cloud() => "cloud placeholder, its content is not on the drive",
            _ => "of another kind",
        };
        write!(f, "{what} (tag {:#010x})", self.0)
    }
}

/// The file's tag, if it has one.
pub(crate) fn tag_of(index: &Index, file: FileId) -> Option<ReparseTag> {
    index.items(file).find_map(|(_, item)| match item {
        Item::Reparse { tag } => Some(ReparseTag(tag)),
        _ => None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tags_say_what_they_are() {
        assert!(ReparseTag::JUNCTION.leads_away() && ReparseTag::SYMLINK.leads_away());
        assert!(!ReparseTag(0x9000_701a).leads_away());
        assert!(ReparseTag(0x9000_701a).hides_content() && !ReparseTag::WOF.hides_content());
        assert_eq!(
            ReparseTag(0x9000_301a).to_string(),
            "cloud placeholder, its content is not on the drive (tag 0x9000301a)"
        );
    }
}
