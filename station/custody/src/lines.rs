//! Texts of one JSON value a line, read with a bound and without ever holding more than one line.

use std::io::{self, BufRead, Read};

use serde::de::DeserializeOwned;

/// Longest line: an entry of the greatest size of which every byte needs an escape of six.
const LINE_BYTES_MAX: usize = 7 * crate::canonical::ENTRY_BYTES_MAX;

/// Why a line cannot be read.
#[derive(Debug, thiserror::Error)]
#[error("line {line}")]
pub struct LineError {
    /// Which, from 1.
    pub line: u64,
    #[source]
    source: Cause,
}

#[derive(Debug, thiserror::Error)]
enum Cause {
    #[error("reading it failed")]
    Io(#[source] io::Error),
    #[error("it is longer than {LINE_BYTES_MAX} bytes")]
    Long,
    #[error("the text ends here, inside or in front of it")]
    End,
    #[error("it is not what belongs here")]
    Json(#[source] serde_json::Error),
}

/// A text, line by line.
pub(crate) struct Lines<R> {
    from: R,
    buffer: Vec<u8>,
    /// Number of the line that was read last.
    pub(crate) line: u64,
}

impl<R: BufRead> Lines<R> {
    pub(crate) fn new(from: R) -> Lines<R> {
        Lines { from, buffer: Vec::new(), line: 0 }
    }

    fn fault(&self, source: Cause) -> LineError {
        LineError { line: self.line, source }
    }

    /// The next line's value; `None` where the text ends.
    pub(crate) fn next<T: DeserializeOwned>(&mut self) -> Result<Option<T>, LineError> {
        self.line += 1;
        self.buffer.clear();
        let limit = u64::try_from(LINE_BYTES_MAX + 1).unwrap_or(u64::MAX);
        let mut limited = (&mut self.from).take(limit);
        limited.read_until(b'\n', &mut self.buffer).map_err(|error| self.fault(Cause::Io(error)))?;
        match self.buffer.last() {
            None => return Ok(None),
            Some(b'\n') => {}
            Some(_) if self.buffer.len() > LINE_BYTES_MAX => return Err(self.fault(Cause::Long)),
            // Every line is written with its end, so one without it was cut off.
            Some(_) => return Err(self.fault(Cause::End)),
        }
        serde_json::from_slice(&self.buffer).map(Some).map_err(|error| self.fault(Cause::Json(error)))
    }

    /// The next line's value, which has to be there.
    pub(crate) fn need<T: DeserializeOwned>(&mut self) -> Result<T, LineError> {
        let value = self.next()?;
        value.ok_or_else(|| self.fault(Cause::End))
    }
}

/// Writes a value as a line.
pub(crate) fn write<T: serde::Serialize>(to: &mut impl io::Write, value: &T) -> io::Result<()> {
    serde_json::to_writer(&mut *to, value)?;
    to.write_all(b"\n")
}
