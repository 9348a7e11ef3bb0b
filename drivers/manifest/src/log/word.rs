//! Words of a vocabulary that grew over the years.

use std::fmt;
use std::str::FromStr;

use crate::xml::shortened;

/// A status as a log has it: one that we know, or another.
///
/// Logs of 2018 and later have words that 2014 has not; a reader keeps them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Word<T> {
    /// A word of the vocabulary.
    Known(T),
    /// Another word, shortened.
    Other(Box<str>),
}

impl<T: FromStr> Word<T> {
    pub(super) fn of(text: &str) -> Word<T> {
        match text.trim().parse() {
            Ok(word) => Word::Known(word),
            Err(_) => Word::Other(shortened(text.trim()).into()),
        }
    }
}

impl<T: Copy> Word<T> {
    /// The word, if it is of the vocabulary.
    pub fn known(&self) -> Option<T> {
        match self {
            Word::Known(word) => Some(*word),
            Word::Other(_) => None,
        }
    }
}

impl<T: fmt::Display> fmt::Display for Word<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Word::Known(word) => word.fmt(f),
            Word::Other(word) => f.write_str(word),
        }
    }
}
