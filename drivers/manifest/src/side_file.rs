//! Metadata and properties files: what a blob carries beside its bytes.
//!
//! azure-import-export.md §1.10 and §1.11. Both become HTTP headers, so names and values are held
//! to what a header can carry unchanged; a file that is not is refused as a whole, with
//! `XmlReadFailed`, and the blob lands without it. The hash, over the raw bytes, is the caller's.

mod metadata;
mod properties;

use std::fmt;

use model::status::SideFileStatus;

use crate::decode::{DecodeError, decode};
use crate::limits::{METADATA_BYTES_MAX, SIDE_FILE_BYTES_MAX};
use crate::xml::{Place, Pull, Step, XmlCause, XmlError, XmlFault};

pub use metadata::Metadata;
pub use properties::Properties;

/// A metadata or properties file that cannot be used.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SideFileError {
    /// Where in the file; bytes are counted in its UTF-8 form.
    pub place: Place,
    /// What is wrong.
    pub fault: SideFileFault,
}

/// What is wrong with a side file.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum SideFileFault {
    /// Too long to be one.
    #[error("the file has {found_bytes} bytes; at most {SIDE_FILE_BYTES_MAX} are read")]
    FileLength {
        /// Its length.
        found_bytes: usize,
    },
    /// Not text.
    #[error("{0}")]
    Encoding(DecodeError),
    /// Not XML.
    #[error("{0}")]
    Xml(XmlFault),
    /// Another document.
    #[error("the root element is {found:?}, not {expected}")]
    Root {
        /// The root that belongs there.
        expected: &'static str,
        /// The root that is there.
        found: String,
    },
    /// An element inside an element whose text is the value.
    #[error("{name:?} has elements inside; its text is its value")]
    Nested {
        /// The outer element.
        name: String,
    },
    /// A name that is no C# identifier in ASCII, as the storage service wants it.
    #[error("{name:?} is not a metadata name: letters, digits and underscores, no digit first")]
    MetadataName {
        /// The name.
        name: String,
    },
    /// Names differ in more than case.
    #[error("{name:?} stands there twice")]
    Duplicate {
        /// The name.
        name: String,
    },
    /// A value that a header cannot carry unchanged.
    #[error("the value of {name:?} has the character U+{code:04X}, which a header cannot carry")]
    Value {
        /// The name.
        name: String,
        /// The code point.
        code: u32,
    },
    /// More metadata than a blob can have.
    #[error("the metadata has more than {METADATA_BYTES_MAX} bytes of names and values")]
    MetadataLength,
    /// `Content-MD5` is the base64 of 16 bytes.
    #[error("Content-MD5 is {found:?}, which is not the base64 of 16 bytes")]
    ContentMd5 {
        /// What stands there.
        found: String,
    },
}

impl SideFileError {
    /// The status of `Metadata` or `Properties` in the log.
    pub fn status(&self) -> SideFileStatus {
        SideFileStatus::XmlReadFailed
    }
}

impl fmt::Display for SideFileError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.place, self.fault)
    }
}

impl std::error::Error for SideFileError {}

/// A document of a root and children whose text is their value.
struct Values<'a> {
    pull: Pull<&'a [u8]>,
}

/// One child of the root.
struct Value {
    place: Place,
    name: String,
    text: String,
}

impl Value {
    fn fault(&self, fault: SideFileFault) -> SideFileError {
        SideFileError { place: self.place.clone(), fault }
    }

    /// The value as a header carries it: without blanks around it.
    fn header(&self) -> Result<String, SideFileError> {
        let text = self.text.trim();
        match text.chars().find(|character| !matches!(character, ' '..='~' | '\t')) {
            None => Ok(text.to_owned()),
            Some(character) => {
                let (name, code) = (self.name.clone(), u32::from(character));
                Err(self.fault(SideFileFault::Value { name, code }))
            }
        }
    }
}

impl<'a> Values<'a> {
    /// Steps into the root.
    fn open(text: &'a str, root: &'static str) -> Result<Values<'a>, SideFileError> {
        let mut pull = Pull::new(text.as_bytes()).decoded();
        pull.step()?;
        let found = pull.tag().name;
        if found == root {
            return Ok(Values { pull });
        }
        let fault = SideFileFault::Root { expected: root, found: found.to_owned() };
        Err(SideFileError { place: pull.place(), fault })
    }

    fn next(&mut self) -> Result<Option<Value>, SideFileError> {
        if self.pull.step()? != Step::Open {
            // Only comments may follow.
            self.pull.step()?;
            return Ok(None);
        }
        let (place, name) = (self.pull.place(), self.pull.tag().name.to_owned());
        let mut text = String::new();
        if self.pull.text(&mut text)? > 0 {
            return Err(SideFileError { place, fault: SideFileFault::Nested { name } });
        }
        Ok(Some(Value { place, name, text }))
    }
}

impl From<XmlError> for SideFileError {
    fn from(error: XmlError) -> SideFileError {
        let fault = match error.cause {
            XmlCause::Fault(fault) => SideFileFault::Xml(fault),
            // A slice is always readable; if it were not, the document would end there.
            XmlCause::Read(_) => SideFileFault::Xml(XmlFault::Truncated),
        };
        SideFileError { place: error.place, fault }
    }
}

fn text_of(bytes: &[u8]) -> Result<std::borrow::Cow<'_, str>, SideFileError> {
    let failed = |fault| SideFileError { place: Place::default(), fault };
    if bytes.len() > SIDE_FILE_BYTES_MAX {
        return Err(failed(SideFileFault::FileLength { found_bytes: bytes.len() }));
    }
    decode(bytes).map_err(|error| failed(SideFileFault::Encoding(error)))
}

#[cfg(test)]
mod tests;
