//! Writes a plan's files onto a mounted volume, and hashes what the manifest must say about them.
//!
//! Faults are made here: what is hashed is what the customer meant, what is written is what arrives.
//! Files are written by several threads, because hashing takes longer than ntfs-3g does.

use std::collections::BTreeSet;
use std::fs::{self, File};
use std::ops::Range;
use std::os::unix::fs::FileExt;
use std::path::Path;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;

use anyhow::{Context, Result};
use md5::{Digest, Md5};
use model::Md5Digest;
use sha2::Sha256;

use super::content::Content;
use super::plan::{Extra, Fault, Layout, PackBlob, PackPlan, Properties};
use super::side_files;
use super::volume::Mounted;

/// What became of one blob's file.
pub struct WrittenBlob {
    /// One hash a block or range, in their order.
    pub part_hashes: Vec<Md5Digest>,
    /// SHA-256 of what the account must hold in the end.
    pub sha256: [u8; 32],
    /// The metadata file, and the hash that the manifest gives for it.
    pub metadata: Option<SideFile>,
    /// The properties file, likewise.
    pub properties: Option<SideFile>,
}

/// A metadata or properties file on the drive.
pub struct SideFile {
    /// Its path as the manifest writes it.
    pub path: String,
    /// The hash that the manifest gives, which a fault makes wrong.
    pub hash: Md5Digest,
}

/// Writes every file of the plan; the result has one entry a blob, in the plan's order.
///
/// # Errors
/// When the volume is full or refuses a name.
pub fn write(plan: &PackPlan, volume: &Mounted) -> Result<Vec<WrittenBlob>> {
    make_folders(plan, volume)?;
    write_extras(plan, volume)?;
    let next = AtomicUsize::new(0);
    let thread_count = thread::available_parallelism().map_or(1, usize::from);
    let mut written = thread::scope(|scope| {
        let workers: Vec<_> = (0..thread_count).map(|_| scope.spawn(|| work(plan, volume, &next))).collect();
        let mut all = Vec::with_capacity(plan.blobs.len());
        for worker in workers {
            all.extend(worker.join().expect("a worker does not panic")?);
        }
        anyhow::Ok(all)
    })?;
    written.sort_by_key(|(index, _)| *index);
    Ok(written.into_iter().map(|(_, blob)| blob).collect())
}

/// Path of a side file: `\side\000012.metadata.xml`.
fn side_path(index: usize, kind: &str) -> String {
    format!("\\side\\{index:06}.{kind}.xml")
}

fn make_folders(plan: &PackPlan, volume: &Mounted) -> Result<()> {
    let files = plan.blobs.iter().filter(|blob| blob.file_bytes().is_some());
    let mut folders: BTreeSet<_> =
        files.filter_map(|blob| volume.file(&blob.file).parent().map(Path::to_owned)).collect();
    folders.insert(volume.file("\\side"));
    let extras = plan.extras.iter();
    folders.extend(extras.filter_map(|extra| volume.file(extra.path()).parent().map(Path::to_owned)));
    for folder in folders {
        fs::create_dir_all(&folder).with_context(|| format!("making the folder {}", folder.display()))?;
    }
    Ok(())
}

fn write_extras(plan: &PackPlan, volume: &Mounted) -> Result<()> {
    for extra in &plan.extras {
        let path = volume.file(extra.path());
        let written = match extra {
            Extra::File { bytes, .. } => fs::write(&path, bytes),
            Extra::Link { target, .. } => link(&path, target),
        };
        written.with_context(|| format!("writing {}", extra.path()))?;
    }
    Ok(())
}

/// A symbolic link as Windows makes it. `symlink` would make a file of the old Interix kind.
fn link(path: &Path, target: &str) -> std::io::Result<()> {
    // [MS-FSCC] 2.1.2.4: both names are the target, and it is relative to the link.
    const TAG_SYMLINK: u32 = 0xA000_000C;
    const RELATIVE: u32 = 1;
    let name: Vec<u8> = target.encode_utf16().flat_map(u16::to_le_bytes).collect();
    let short = |number: usize| u16::try_from(number).map(u16::to_le_bytes).map_err(std::io::Error::other);
    let lengths = [short(0)?, short(name.len())?, short(0)?, short(name.len())?].concat();
    let body = [&lengths[..], &RELATIVE.to_le_bytes(), &name].concat();
    let reparse = [&TAG_SYMLINK.to_le_bytes()[..], &short(body.len())?, &[0; 2], &body].concat();
    File::create_new(path)?;
    let flags = rustix::fs::XattrFlags::empty();
    Ok(rustix::fs::setxattr(path, "system.ntfs_reparse_data", &reparse, flags)?)
}

fn work(plan: &PackPlan, volume: &Mounted, next: &AtomicUsize) -> Result<Vec<(usize, WrittenBlob)>> {
    let mut written = Vec::new();
    let mut buffer = Vec::new();
    loop {
        let index = next.fetch_add(1, Ordering::Relaxed);
        let Some(blob) = plan.blobs.get(index) else { return Ok(written) };
        let file = write_file(blob, volume, &mut buffer).with_context(|| format!("writing {}", blob.file))?;
        written.push((index, write_side_files(index, blob, volume, file)?));
    }
}

/// The hashes of one file.
struct Hashes {
    parts: Vec<Md5Digest>,
    whole: [u8; 32],
}

fn write_file(blob: &PackBlob, volume: &Mounted, buffer: &mut Vec<u8>) -> Result<Hashes> {
    let file = match blob.file_bytes() {
        Some(length_bytes) => {
            let file = File::create_new(volume.file(&blob.file)).context("creating it")?;
            if matches!(blob.content, Content::Sparse { .. }) {
                file.set_len(length_bytes).context("setting its length")?;
            }
            Some(file)
        }
        None => None,
    };
    let mut whole = Sha256::new();
    let mut parts = Vec::new();
    for piece in pieces(blob) {
        let length = usize::try_from(piece.range.end - piece.range.start).context("a block too long")?;
        buffer.resize(length, 0);
        blob.content.fill(buffer, piece.range.start);
        let is_bad = piece.part.is_some_and(|index| blob.fault == Some(Fault::CorruptPart { index }));
        if piece.part.is_some() {
            parts.push(Md5Digest(Md5::digest(&*buffer).into()));
        }
        match (is_bad, blob.layout) {
            // A bad range of a page blob is not uploaded: the new blob has zeros there.
            (true, Layout::Pages) => whole.update(vec![0; length]),
            _ => whole.update(&*buffer),
        }
        if is_bad {
            buffer[length / 2] ^= 1;
        }
        if let Some(file) = &file {
            write_piece(blob, file, buffer, &piece.range)?;
        }
    }
    Ok(Hashes { parts, whole: whole.finalize().into() })
}

/// Writes what of a piece is neither a hole nor past a file's early end.
fn write_piece(blob: &PackBlob, file: &File, bytes: &[u8], piece: &Range<u64>) -> Result<()> {
    let file_bytes = blob.file_bytes().unwrap_or_default();
    for range in blob.content.written_ranges() {
        let start = range.start.max(piece.start);
        let end = range.end.min(piece.end).min(file_bytes);
        if start < end {
            let [from, to] = [start, end].map(|position| position - piece.start);
            let within = usize::try_from(from)?..usize::try_from(to)?;
            file.write_all_at(&bytes[within], start).context("writing it")?;
        }
    }
    Ok(())
}

/// A stretch of a file: one that the manifest hashes, or a gap between two of them.
struct Piece {
    range: Range<u64>,
    /// Which part of the manifest it is.
    part: Option<usize>,
}

/// The whole file, cut at the edges of its parts; gaps in slices that fit into memory.
fn pieces(blob: &PackBlob) -> Vec<Piece> {
    const GAP_BYTES: u64 = 1 << 20;
    let mut pieces = Vec::new();
    let mut position = 0;
    let gap = |pieces: &mut Vec<Piece>, position: u64, until: u64| {
        let mut start = position;
        while start < until {
            let end = until.min(start + GAP_BYTES);
            pieces.push(Piece { range: start..end, part: None });
            start = end;
        }
    };
    for (index, part) in blob.parts().into_iter().enumerate() {
        gap(&mut pieces, position, part.start);
        position = part.end;
        pieces.push(Piece { range: part, part: Some(index) });
    }
    gap(&mut pieces, position, blob.content.length_bytes());
    pieces
}

fn write_side_files(index: usize, blob: &PackBlob, volume: &Mounted, hashes: Hashes) -> Result<WrittenBlob> {
    let put = |kind: &str, text: String, wrong: Fault| -> Result<SideFile> {
        let path = side_path(index, kind);
        fs::write(volume.file(&path), &text).with_context(|| format!("writing {path}"))?;
        let mut hash: [u8; 16] = Md5::digest(&text).into();
        hash[0] ^= u8::from(blob.fault == Some(wrong));
        Ok(SideFile { path, hash: Md5Digest(hash) })
    };
    let metadata = (!blob.metadata.is_empty())
        .then(|| put("metadata", side_files::metadata(&blob.metadata), Fault::WrongMetadataHash));
    let properties = (blob.properties != Properties::default())
        .then(|| put("properties", side_files::properties(&blob.properties), Fault::WrongPropertiesHash));
    Ok(WrittenBlob {
        part_hashes: hashes.parts,
        sha256: hashes.whole,
        metadata: metadata.transpose()?,
        properties: properties.transpose()?,
    })
}
