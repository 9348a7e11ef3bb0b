//! What can be wrong with a document as XML, before anybody asks what it means.

use std::io;

use super::Place;
use crate::limits::{
    ATTRIBUTE_BYTES_MAX, ATTRIBUTES_MAX, DEPTH_MAX, MARKUP_BYTES_MAX, NAME_BYTES_MAX, TEXT_BYTES_MAX,
};

/// A document that is not the XML that we take.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum XmlFault {
    /// Tags, references or attributes are not well-formed.
    #[error("the XML is not well-formed: {what}")]
    Malformed {
        /// What the XML parser objects to.
        what: String,
    },
    /// The bytes are not UTF-8.
    #[error("the document is not UTF-8")]
    NotUtf8,
    /// The prolog names an encoding that this document cannot have.
    #[error("the document says its encoding is {declared:?}; UTF-8 is the only one allowed")]
    Encoding {
        /// What the prolog says.
        declared: String,
    },
    /// A document type could define entities that expand without end.
    #[error("the document has a document type (DTD), which the format does not allow")]
    DocumentType,
    /// Only `lt`, `gt`, `amp`, `apos` and `quot` are defined.
    #[error("the entity {name:?} is not defined")]
    Entity {
        /// The name between `&` and `;`.
        name: String,
    },
    /// XML 1.0 has no way to hold this character.
    #[error("the character U+{code:04X} is not allowed in XML 1.0")]
    Character {
        /// The code point.
        code: u32,
    },
    /// Elements are nested too deeply.
    #[error("elements are nested more than {DEPTH_MAX} deep")]
    Depth,
    /// A tag, a comment or a text is too long.
    #[error("a piece of markup or text is longer than {MARKUP_BYTES_MAX} bytes")]
    MarkupLength,
    /// An element's name is too long.
    #[error("an element's name is longer than {NAME_BYTES_MAX} bytes")]
    NameLength,
    /// An element's text is too long.
    #[error("the element's text is longer than {TEXT_BYTES_MAX} bytes")]
    TextLength,
    /// An attribute's value is too long.
    #[error("the attribute {name:?} is longer than {ATTRIBUTE_BYTES_MAX} bytes")]
    AttributeLength {
        /// The attribute.
        name: String,
    },
    /// An element has too many attributes.
    #[error("the element has more than {ATTRIBUTES_MAX} attributes")]
    AttributeCount,
    /// The document ends inside an element.
    #[error("the document ends before its last element is closed")]
    Truncated,
    /// There is no element at all.
    #[error("the document has no element")]
    Empty,
    /// Something other than comments follows the root element.
    #[error("something follows the document's root element")]
    AfterRoot,
    /// Text stands where only elements may.
    #[error("text stands where only elements may")]
    StrayText,
}

/// Why pulling stopped; the reader turns it into its own error.
#[derive(Debug)]
pub(crate) struct XmlError {
    pub place: Place,
    pub cause: XmlCause,
}

#[derive(Debug)]
pub(crate) enum XmlCause {
    /// The caller's reader failed.
    Read(io::Error),
    /// The document is at fault.
    Fault(XmlFault),
}
