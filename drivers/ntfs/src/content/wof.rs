//! Files compressed by the Windows Overlay Filter (`compact /exe`). spec/ntfs.md §3.7.
//!
//! The stream `WofCompressedData` begins with a table: the offset behind the table at which each
//! chunk but the first begins, in 4 bytes, or 8 for files past 4 GiB. The chunks follow. One that is
//! as long as what it decompresses to is stored as it is.

use super::{ContentError, DecodeFault, by_unit, lzx, xpress};
use crate::bytes::{in_memory, on_volume, u32_at, u64_at};
use crate::stream::Stream;
use crate::volume::Volume;

/// How a file was compressed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum WofAlgorithm {
    /// XPRESS with Huffman codes, chunks of 4 KiB.
    Xpress4K,
    /// LZX, chunks of 32 KiB.
    Lzx,
    /// XPRESS with Huffman codes, chunks of 8 KiB.
    Xpress8K,
    /// XPRESS with Huffman codes, chunks of 16 KiB.
    Xpress16K,
}

impl WofAlgorithm {
    pub(crate) fn from_field(field: u32) -> Option<WofAlgorithm> {
        match field {
            0 => Some(WofAlgorithm::Xpress4K),
            1 => Some(WofAlgorithm::Lzx),
            2 => Some(WofAlgorithm::Xpress8K),
            3 => Some(WofAlgorithm::Xpress16K),
            _ => None,
        }
    }

    fn chunk_bytes(self) -> u64 {
        match self {
            WofAlgorithm::Xpress4K => 4 << 10,
            WofAlgorithm::Xpress8K => 8 << 10,
            WofAlgorithm::Xpress16K => 16 << 10,
            WofAlgorithm::Lzx => 32 << 10,
        }
    }

    fn decompress(self, input: &[u8], output: &mut [u8]) -> Result<(), DecodeFault> {
        match self {
            WofAlgorithm::Lzx => lzx::decompress(input, output),
            WofAlgorithm::Xpress4K | WofAlgorithm::Xpress8K | WofAlgorithm::Xpress16K => {
                xpress::decompress(input, output)
            }
        }
    }
}

/// A file's content in another stream.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Wof {
    pub(crate) algorithm: WofAlgorithm,
    /// The stream `WofCompressedData`; never one of these itself.
    pub(crate) data: Box<Stream>,
}

impl Wof {
    /// How the file was compressed.
    pub fn algorithm(&self) -> WofAlgorithm {
        self.algorithm
    }
}

/// Where the chunks of a file of `length_bytes` are.
struct Chunks {
    length_bytes: u64,
    chunk_bytes: u64,
    entry_bytes: u64,
    table_bytes: u64,
}

impl Chunks {
    fn new(algorithm: WofAlgorithm, length_bytes: u64) -> Chunks {
        let chunk_bytes = algorithm.chunk_bytes();
        let entry_bytes = if u32::try_from(length_bytes).is_ok() { 4 } else { 8 };
        let entries = length_bytes.div_ceil(chunk_bytes.max(1)).saturating_sub(1);
        Chunks { length_bytes, chunk_bytes, entry_bytes, table_bytes: entries.saturating_mul(entry_bytes) }
    }

    /// What the chunk that begins at `start` decompresses to.
    fn length_at(&self, start: u64) -> u64 {
        self.length_bytes.saturating_sub(start).min(self.chunk_bytes)
    }
}

impl Volume {
    pub(super) fn read_wof(
        &self,
        wof: &Wof,
        length_bytes: u64,
        offset_bytes: u64,
        buffer: &mut [u8],
    ) -> Result<(), ContentError> {
        let chunks = Chunks::new(wof.algorithm, length_bytes);
        let mut chunk = Vec::new();
        by_unit(chunks.chunk_bytes, offset_bytes, buffer, |start, skipped, part| {
            chunk.clear();
            chunk.resize(in_memory(chunks.length_at(start)), 0);
            self.read_chunk(wof, &chunks, start, &mut chunk)?;
            let from = chunk.iter().skip(skipped);
            part.iter_mut().zip(from).for_each(|(to, from)| *to = *from);
            Ok(())
        })
    }

    /// Decompresses the chunk that begins at `start` in the file.
    fn read_chunk(
        &self,
        wof: &Wof,
        chunks: &Chunks,
        start: u64,
        chunk: &mut [u8],
    ) -> Result<(), ContentError> {
        let length_bytes = on_volume(chunk.len());
        let decode = |fault| ContentError::Decode { file_offset_bytes: start, length_bytes, fault };
        let table = || decode(DecodeFault::ChunkTable);
        let number = start.checked_div(chunks.chunk_bytes).unwrap_or(0);
        let from = match number.checked_sub(1) {
            None => 0,
            Some(entry) => self.table_entry(wof, chunks, entry)?.ok_or_else(table)?,
        };
        let all = wof.data.length_bytes.checked_sub(chunks.table_bytes).ok_or_else(table)?;
        let last = start.saturating_add(length_bytes) >= chunks.length_bytes;
        let to = if last { all } else { self.table_entry(wof, chunks, number)?.ok_or_else(table)? };
        let stored = to.checked_sub(from).filter(|&stored| stored <= length_bytes && to <= all);
        let mut raw = vec![0; in_memory(stored.ok_or_else(table)?)];
        // The sum cannot overflow: both parts lie inside the stream.
        self.read_at(&wof.data, chunks.table_bytes.saturating_add(from), &mut raw)?;
        if raw.len() == chunk.len() {
            chunk.copy_from_slice(&raw);
            return Ok(());
        }
        wof.algorithm.decompress(&raw, chunk).map_err(decode)
    }

    /// Entry `number` of the table; `None` when the stream ends before it.
    fn table_entry(&self, wof: &Wof, chunks: &Chunks, number: u64) -> Result<Option<u64>, ContentError> {
        let mut entry = [0; 8];
        let entry = entry.get_mut(..in_memory(chunks.entry_bytes)).unwrap_or(&mut []);
        let offset = number.saturating_mul(chunks.entry_bytes);
        let read = self.read_at(&wof.data, offset, entry)?;
        if read < entry.len() {
            return Ok(None);
        }
        Ok(if chunks.entry_bytes == 4 { u32_at(entry, 0).map(u64::from) } else { u64_at(entry, 0) })
    }
}
