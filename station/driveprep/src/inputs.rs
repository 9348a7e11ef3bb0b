//! What the customer asks for, in whichever form: arguments, CSV files, a TOML plan.
//!
//! All forms become one [`Inputs`], so that equal intents give equal work; none of them is looked at
//! after that. Bytes of customers' files are bounded, and errors name the file, the line and the
//! column. What the *sources* hold is found later, by [`Inputs::work`].
//!
//! | to change | open |
//! | --- | --- |
//! | an argument | [`arguments`] |
//! | `dataset.csv` | [`dataset`] |
//! | `driveset.csv` | [`driveset`] |
//! | the TOML plan | [`plan`] |
//! | how sources become items | `gather` |

pub mod arguments;
pub mod dataset;
pub mod driveset;
mod error;
mod gather;
pub mod plan;
pub mod size;
mod table;

use std::path::PathBuf;

use manifest::BlockLength;
use model::ImportDisposition;

use crate::work::scan::KindRule;
use crate::work::{DriveTarget, SessionId};

pub use arguments::{DriveArguments, SourceArguments};
pub use error::{InputError, InputFault};

/// The session's name when the customer gives none: that of the documentation's samples.
pub const DEFAULT_SESSION: &str = "session#1";

/// All that was asked for, checked as far as that is possible without looking at the sources.
#[derive(Debug, PartialEq, Eq)]
pub struct Inputs {
    /// The session's name.
    pub session: SessionId,
    /// What is packed, in the order given.
    pub sources: Vec<Source>,
    /// Onto which drives; [`arguments`] may give more.
    pub drives: Vec<DriveTarget>,
    /// Whether a source's other file systems are left out.
    pub one_file_system: bool,
}

/// One source with its destination.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Source {
    /// The directory or file.
    pub from: PathBuf,
    /// `container`, `container/prefix`, or of a single file its whole destination.
    pub to: String,
    /// What was said about `from` being a directory, where the form says it: by a slash at its end.
    pub stated_directory: Option<bool>,
    /// How its items are treated.
    pub how: How,
    /// Where this was asked for: `dataset.csv, line 3`.
    pub place: String,
}

/// How the items of a source are treated.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct How {
    /// What they become.
    pub kind: KindRule,
    /// What happens when the destination exists.
    pub disposition: ImportDisposition,
    /// Their metadata.
    pub metadata: Option<SideFileSource>,
    /// Their properties.
    pub properties: Option<SideFileSource>,
    /// Whether each gets its `Content-MD5`.
    pub content_md5: bool,
    /// How long the blocks of block blobs are.
    pub block_length: BlockLength,
}

impl Default for How {
    /// The tool's documented defaults: azure-import-export.md §2.2, §2.5.
    fn default() -> How {
        How {
            kind: KindRule::ByName,
            disposition: ImportDisposition::default(),
            metadata: None,
            properties: None,
            content_md5: false,
            block_length: BlockLength::default(),
        }
    }
}

/// Where a metadata or properties file comes from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum SideFileSource {
    /// The customer wrote it.
    File(PathBuf),
    /// We wrote it, of a plan's table.
    Xml(String),
}

#[cfg(test)]
mod tests;
