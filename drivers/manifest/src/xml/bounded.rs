//! A `BufRead` that gives only so many bytes before its allowance is renewed.
//!
//! The XML parser collects one piece of markup at a time into its buffer, however long it is; the
//! allowance, renewed before each piece, is what bounds that buffer.

use std::io::{self, BufRead, Read};

use crate::limits::MARKUP_BYTES_MAX;

/// The reader below, and what is left of the allowance.
pub(super) struct Bounded<R> {
    inner: R,
    left_bytes: u64,
}

/// The allowance ran out; carried inside an [`io::Error`] through the XML parser.
#[derive(Debug, thiserror::Error)]
#[error("a piece of markup is longer than {MARKUP_BYTES_MAX} bytes")]
pub(super) struct AllowanceSpent;

impl<R> Bounded<R> {
    pub(super) fn new(inner: R) -> Bounded<R> {
        Bounded { inner, left_bytes: MARKUP_BYTES_MAX }
    }

    pub(super) fn renew(&mut self) {
        self.left_bytes = MARKUP_BYTES_MAX;
    }
}

impl<R: BufRead> BufRead for Bounded<R> {
    fn fill_buf(&mut self) -> io::Result<&[u8]> {
        let available = self.inner.fill_buf()?;
        if self.left_bytes == 0 && !available.is_empty() {
            return Err(io::Error::other(AllowanceSpent));
        }
        let allowed = usize::try_from(self.left_bytes).unwrap_or(usize::MAX).min(available.len());
        Ok(available.get(..allowed).unwrap_or(available))
    }

    fn consume(&mut self, amount: usize) {
        self.left_bytes = self.left_bytes.saturating_sub(u64::try_from(amount).unwrap_or(u64::MAX));
        self.inner.consume(amount);
    }
}

impl<R: BufRead> Read for Bounded<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let mut available = self.fill_buf()?;
        let count = available.read(buffer)?;
        self.consume(count);
        Ok(count)
    }
}
