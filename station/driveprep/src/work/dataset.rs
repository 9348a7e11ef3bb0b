//! What the items of one source share: where they come from, where they go, and how.

use std::fmt;
use std::path::PathBuf;
use std::str::FromStr;
use std::sync::Arc;

use manifest::BlockLength;
use model::ImportDisposition;

/// One source with its destination: a row of a dataset CSV, a `--from` with its `--to`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Dataset {
    /// The directory or file that is read.
    pub source: PathBuf,
    /// Whether everything below `source` is taken, or just that file.
    pub is_directory: bool,
    /// `container/`, `container/prefix/`, `share/dir/`; a single file may have its whole destination
    /// (`container/blob`). Items' own paths are put behind it as they are, so a prefix ends with `/`.
    pub destination: String,
    /// Where the items lie on the drive: `\<session>\<n>`, or in place the source's own path there,
    /// empty for the volume's root. The [`super::Builder`] decides it.
    pub drive_directory: String,
    /// What to do when the destination exists.
    pub disposition: ImportDisposition,
    /// Default metadata of the items.
    pub metadata: Option<SideFile>,
    /// Default properties of the items.
    pub properties: Option<SideFile>,
    /// Whether each item gets its `Content-MD5`, in a properties file of its own (`/enablecontentmd5`).
    pub content_md5: bool,
    /// How long the blocks of block blobs are, unless there would be too many of them.
    pub block_length: BlockLength,
}

/// A metadata or properties file, read and found valid.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SideFile {
    /// Its path on the drive, from `\` on. The [`super::Builder`] decides it.
    pub drive_path: String,
    /// Its bytes as the customer wrote them; the manifest's hash is over them.
    pub bytes: Arc<[u8]>,
}

impl SideFile {
    /// A side file of these bytes.
    pub fn new(bytes: &[u8]) -> SideFile {
        SideFile { drive_path: String::new(), bytes: Arc::from(bytes) }
    }
}

/// What an item becomes at the destination.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum ItemKind {
    /// A block blob.
    Block,
    /// A page blob.
    Page,
    /// A file of a share.
    File,
}

impl ItemKind {
    /// The word that `--type` and our own files take.
    pub fn as_str(self) -> &'static str {
        match self {
            ItemKind::Block => "block",
            ItemKind::Page => "page",
            ItemKind::File => "file",
        }
    }
}

impl fmt::Display for ItemKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// A session's name: 3 to 30 letters, digits, `_`, `-`, `#`. azure-import-export.md §2.2.
///
/// It is the name of a directory on the drive, so it is held to that alphabet strictly.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct SessionId(String);

/// A text that cannot name a session.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("the session id {found:?} is not 3 to 30 letters, digits, '_', '-' or '#'")]
pub struct SessionIdError {
    /// The text.
    pub found: String,
}

impl SessionId {
    /// The name.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl FromStr for SessionId {
    type Err = SessionIdError;

    fn from_str(text: &str) -> Result<SessionId, SessionIdError> {
        let allowed = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'-' | b'#');
        if (3..=30).contains(&text.len()) && text.bytes().all(allowed) {
            Ok(SessionId(text.to_owned()))
        } else {
            Err(SessionIdError { found: text.to_owned() })
        }
    }
}

impl fmt::Display for SessionId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}
