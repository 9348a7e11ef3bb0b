//! A stream as a `std::io::Read`, for parsers that want one.

use std::io::{self, BufRead, Read};

use crate::stream::Stream;
use crate::volume::Volume;

/// Large enough that the device streams and every compression unit is decoded once.
const READ_BYTES: usize = 1 << 20;

/// Reads a stream from its beginning to its end, a mebibyte at a time.
///
/// An error of the volume is the source of the `io::Error`.
pub struct StreamReader<'v> {
    volume: &'v Volume,
    stream: Stream,
    /// Where the buffer ends in the stream.
    at_bytes: u64,
    buffer: Box<[u8]>,
    filled: usize,
    taken: usize,
}

impl<'v> StreamReader<'v> {
    /// Starts at the beginning.
    pub fn new(volume: &'v Volume, stream: Stream) -> StreamReader<'v> {
        let buffer = vec![0; READ_BYTES].into_boxed_slice();
        StreamReader { volume, stream, at_bytes: 0, buffer, filled: 0, taken: 0 }
    }
}

impl BufRead for StreamReader<'_> {
    fn fill_buf(&mut self) -> io::Result<&[u8]> {
        if self.taken == self.filled {
            self.taken = 0;
            self.filled = 0;
            let read = self.volume.read_at(&self.stream, self.at_bytes, &mut self.buffer);
            self.filled = read.map_err(io::Error::other)?;
            self.at_bytes = self.at_bytes.saturating_add(crate::bytes::on_volume(self.filled));
        }
        Ok(self.buffer.get(self.taken..self.filled).unwrap_or(&[]))
    }

    fn consume(&mut self, amount: usize) {
        self.taken = self.taken.saturating_add(amount).min(self.filled);
    }
}

impl Read for StreamReader<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let mut available = self.fill_buf()?;
        let count = available.read(buffer)?;
        self.consume(count);
        Ok(count)
    }
}
