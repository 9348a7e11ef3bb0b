//! Where in a document something was found.

use std::fmt;

/// A position in a document, for a person who opens it in an editor and for one who seeks in it.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Place {
    /// Bytes before it.
    pub offset_bytes: u64,
    /// The line it is on, counted from 1; 0 when the document has no lines.
    pub line: u64,
    /// The elements around it, outermost first, joined with `/`; empty outside the root.
    pub element: String,
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.line > 0 {
            write!(f, "line {} ", self.line)?;
        }
        write!(f, "(byte {})", self.offset_bytes)?;
        if self.element.is_empty() { Ok(()) } else { write!(f, " in {}", self.element) }
    }
}
