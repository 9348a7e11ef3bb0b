//! The manifest, proven once and then read again without trusting the drive again.
//!
//! The manifest is read several times: to prove it, to check its rules, to plan, to write the
//! logs. It may be 3 GB and, in the older generations, holds a storage key, so it is neither kept
//! in memory nor spooled to the station's disk. Instead the first pass, which compares the whole
//! with the job's hash, notes a SHA-256 of every [`PIECE_BYTES`]; each later pass hands a piece on
//! only if it still has that digest. Invariant: every byte that a later pass sees is a byte whose
//! hash the job record vouches for. (The idea of pieces that carry their checksum: Mountpoint's
//! `ChecksummedBytes`.)

use std::io::{self, Read};
use std::sync::Arc;

use md5::{Digest, Md5};
use model::digest::HashText;
use ntfs::{Stream, Volume};
use sha1::Sha1;
use sha2::{Sha256, Sha512};

use crate::file::{ShortRead, read_whole};

/// Unit of the later checks. 3 GB make 3,000 digests, 96 kB.
pub const PIECE_BYTES: usize = 1 << 20;

/// A manifest whose hash is the job's.
pub struct ProvenManifest {
    volume: Arc<Volume>,
    stream: Stream,
    pieces: Vec<[u8; 32]>,
}

/// Why a manifest is not proven.
#[derive(Debug, thiserror::Error)]
pub enum ProveError {
    /// The drive could not give its bytes.
    #[error("reading the manifest at byte {offset_bytes}")]
    Read {
        /// Where in the manifest.
        offset_bytes: u64,
        /// Why.
        #[source]
        source: ShortRead,
    },
    /// It is not the manifest that the job names.
    #[error("the manifest's {} is {found}, the job says {expected}", expected.algorithm())]
    Differs {
        /// The job's hash.
        expected: Box<HashText>,
        /// The drive's.
        found: Box<HashText>,
    },
}

impl ProvenManifest {
    /// Reads the whole stream and compares it with the job's hash.
    ///
    /// # Errors
    /// When a byte cannot be read, or the hash differs.
    pub fn prove(
        volume: Arc<Volume>,
        stream: Stream,
        expected: HashText,
    ) -> Result<ProvenManifest, ProveError> {
        let mut whole = Whole::new(expected);
        let mut pieces = Vec::new();
        let mut buffer = vec![0; PIECE_BYTES];
        let mut offset_bytes = 0;
        while offset_bytes < stream.length_bytes {
            let piece = piece_of(&mut buffer, stream.length_bytes - offset_bytes);
            read_whole(&volume, &stream, offset_bytes, piece)
                .map_err(|source| ProveError::Read { offset_bytes, source })?;
            whole.update(piece);
            pieces.push(Sha256::digest(&*piece).into());
            offset_bytes += piece.len() as u64;
        }
        let found = whole.finish();
        if found == expected {
            Ok(ProvenManifest { volume, stream, pieces })
        } else {
            Err(ProveError::Differs { expected: Box::new(expected), found: Box::new(found) })
        }
    }

    /// Length in bytes.
    pub fn length_bytes(&self) -> u64 {
        self.stream.length_bytes
    }

    /// Reads it from its beginning; every piece is proven again before a byte of it is seen.
    pub fn read(&self) -> ProvenReader<'_> {
        ProvenReader { manifest: self, piece: Vec::new(), position: 0, next: 0 }
    }
}

/// A pass over a proven manifest.
pub struct ProvenReader<'a> {
    manifest: &'a ProvenManifest,
    piece: Vec<u8>,
    position: usize,
    next: usize,
}

impl ProvenReader<'_> {
    fn load_next_piece(&mut self) -> io::Result<()> {
        let Some(expected) = self.manifest.pieces.get(self.next) else {
            self.piece.clear();
            self.position = 0;
            return Ok(());
        };
        let offset_bytes = self.next as u64 * PIECE_BYTES as u64;
        let stream = &self.manifest.stream;
        self.piece.resize(PIECE_BYTES, 0);
        let length = piece_of(&mut self.piece, stream.length_bytes - offset_bytes).len();
        self.piece.truncate(length);
        // A cable error gives other bytes each time; a second look tells.
        for _ in 0..2 {
            read_whole(&self.manifest.volume, stream, offset_bytes, &mut self.piece)
                .map_err(io::Error::other)?;
            if Sha256::digest(&self.piece)[..] == expected[..] {
                self.next += 1;
                self.position = 0;
                return Ok(());
            }
        }
        let text =
            format!("the manifest's bytes from {offset_bytes} on are no longer what was proven before");
        Err(io::Error::new(io::ErrorKind::InvalidData, text))
    }
}

impl Read for ProvenReader<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        if self.position == self.piece.len() {
            self.load_next_piece()?;
        }
        let length = buffer.len().min(self.piece.len() - self.position);
        buffer[..length].copy_from_slice(&self.piece[self.position..self.position + length]);
        self.position += length;
        Ok(length)
    }
}

fn piece_of(buffer: &mut [u8], rest_bytes: u64) -> &mut [u8] {
    let length = usize::try_from(rest_bytes).map_or(PIECE_BYTES, |rest| rest.min(PIECE_BYTES));
    &mut buffer[..length]
}

/// A running hash of whichever algorithm the job's hash is of.
enum Whole {
    Md5(Md5),
    Sha1(Sha1),
    Sha256(Sha256),
    Sha512(Box<Sha512>),
}

impl Whole {
    fn new(like: HashText) -> Whole {
        match like {
            HashText::Md5(_) => Whole::Md5(Md5::new()),
            HashText::Sha1(_) => Whole::Sha1(Sha1::new()),
            HashText::Sha256(_) => Whole::Sha256(Sha256::new()),
            HashText::Sha512(_) => Whole::Sha512(Box::new(Sha512::new())),
        }
    }

    fn update(&mut self, bytes: &[u8]) {
        match self {
            Whole::Md5(hash) => hash.update(bytes),
            Whole::Sha1(hash) => hash.update(bytes),
            Whole::Sha256(hash) => hash.update(bytes),
            Whole::Sha512(hash) => hash.update(bytes),
        }
    }

    fn finish(self) -> HashText {
        match self {
            Whole::Md5(hash) => HashText::Md5(model::Md5Digest(hash.finalize().into())),
            Whole::Sha1(hash) => HashText::Sha1(hash.finalize().into()),
            Whole::Sha256(hash) => HashText::Sha256(hash.finalize().into()),
            Whole::Sha512(hash) => HashText::Sha512(hash.finalize().into()),
        }
    }
}

/// The hash of a small file, of the same algorithm as `like`.
pub fn hash_like(like: HashText, bytes: &[u8]) -> HashText {
    let mut whole = Whole::new(like);
    whole.update(bytes);
    whole.finish()
}

/// The hash of everything that a reader gives, of the same algorithm as `like`; never held whole.
///
/// # Errors
/// When the reader fails.
pub fn hash_all_like(like: HashText, mut reader: impl Read) -> io::Result<HashText> {
    let mut whole = Whole::new(like);
    let mut buffer = vec![0; PIECE_BYTES];
    loop {
        match reader.read(&mut buffer) {
            Ok(0) => return Ok(whole.finish()),
            Ok(length) => whole.update(&buffer[..length]),
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
}
