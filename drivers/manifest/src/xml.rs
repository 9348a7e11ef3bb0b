//! Pulling XML apart in bounded memory: what every reader of this crate stands on.
//!
//! Invariants: no document makes more than [`crate::limits::MARKUP_BYTES_MAX`] bytes be held at
//! once; a document type is refused, so there are no entities to expand; every fault is located.
//! What elements mean is left to the readers.
//!
//! Only XML 1.0's predefined entities and character references are known. Characters that XML 1.0
//! cannot hold are refused, also as references, so whatever was read can be written again.

mod bounded;
mod characters;
mod fault;
mod place;
mod pull;
mod tag;
mod write;

pub use fault::XmlFault;
pub use place::Place;

pub(crate) use characters::is_writable;
pub(crate) use fault::{XmlCause, XmlError};
pub(crate) use pull::{Pull, Step};
pub(crate) use tag::shortened;
#[cfg(any(test, feature = "fuzzing"))]
pub(crate) use write::replaced;
pub(crate) use write::{attribute, text};
