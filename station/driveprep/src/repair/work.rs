//! What has to be repaired of one blob, from what a log says of it, and a manifest if there is one.
//!
//! Pure. azure-import-export.md §3.2 to §3.7. A log of 2014 tells the hash of each part that it
//! lists, and an error log lists only parts that did not complete; logs of 2018 tell no hashes, and
//! copy logs no parts. What is missing comes from the manifest, or the blob stays as it is and the
//! reason says so. Invariant: nothing gets into a [`Work`] without its hash.

use manifest::limits::{BLOCK_BYTES_MAX, RANGE_BYTES_MAX};
use manifest::log::{LoggedBlob, LoggedPart, LoggedParts, LoggedSideFile, Word};
use manifest::{BlobEntry, BlobKind, BlockEntry, BlockId, ListHeader, RangeEntry, SideFileRef};
use model::ImportDisposition;
use model::status::{BlobStatus, ChunkStatus, DispositionStatus, SideFileStatus};

use super::record::Key;
use super::stop::Unresolved;

/// One blob's repair.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Work {
    /// The blob's name: its final one, if the log knows that it got one.
    pub blob_path: String,
    /// Path of its file on the drive.
    pub file_path: String,
    /// The snapshot that was exported.
    pub snapshot: Option<String>,
    /// Its length.
    pub length_bytes: u64,
    /// What was to happen if something of that name existed.
    pub disposition: ImportDisposition,
    /// Whether the import left something visible of it.
    pub visible: Visible,
    /// Its parts, as far as they are known.
    pub parts: Parts,
    /// Whether those are all of its parts.
    pub is_complete: bool,
    /// Metadata to be set.
    pub metadata: Side,
    /// Properties to be set.
    pub properties: Side,
}

/// What the log says of the blob in the account.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Visible {
    /// It was created, renamed or overwritten, with something missing.
    Yes,
    /// It was cancelled: whatever is there is not ours.
    No,
    /// A copy log does not say.
    Unknown,
}

/// The parts of a blob.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Parts {
    /// Of a block blob.
    Blocks(Vec<Part<BlockEntry>>),
    /// Of a page blob.
    Pages(Vec<Part<RangeEntry>>),
}

/// One part, and what became of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Part<T> {
    /// Where it lies, and its hash.
    pub entry: T,
    /// `Completed` where the log lists only others; none where no log says.
    pub status: Option<ChunkStatus>,
}

impl<T> Part<T> {
    /// Whether it may have to be sent.
    pub fn is_bad(&self) -> bool {
        self.status != Some(ChunkStatus::Completed)
    }
}

/// A metadata or properties file, own or the list's.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Side {
    /// The file; none when the blob has none, or the log does not name it.
    pub file: Option<SideFileRef>,
    /// Whether it has to be set on a blob whose data are there.
    pub is_bad: bool,
}

impl Parts {
    /// Whether any part may have to be sent.
    pub fn any_bad(&self) -> bool {
        match self {
            Parts::Blocks(blocks) => blocks.iter().any(Part::is_bad),
            Parts::Pages(ranges) => ranges.iter().any(Part::is_bad),
        }
    }
}

/// Whether a logged blob has anything to be repaired.
pub fn is_damaged(blob: &LoggedBlob) -> bool {
    match &blob.status {
        Some(Word::Known(BlobStatus::Completed)) => false,
        Some(Word::Known(_)) | None => true,
        // Words of 2018: these are remarks, not failures.
        Some(Word::Other(word)) => !matches!(
            &**word,
            "ContainerRenamed" | "ShareRenamed" | "BlobRenamed" | "FileRenamed" | "Renamed"
        ),
    }
}

impl Work {
    /// What the repair file knows it by.
    pub fn key(&self) -> Key<'_> {
        Key { blob_path: &self.blob_path, file_path: Some(&self.file_path) }
    }

    /// All that the log itself tells.
    ///
    /// # Errors
    /// What it does not tell.
    pub fn of_log(blob: &LoggedBlob) -> Result<Work, Unresolved> {
        refuse_shares(blob.is_file || matches!(blob.parts, LoggedParts::Files(_)))?;
        let missing = |what| Unresolved::NeedsManifest { what };
        let length_bytes = blob.length_bytes.ok_or(missing("the blob's length"))?;
        let parts = match &blob.parts {
            LoggedParts::Blocks(parts) => Parts::Blocks(of_parts(parts, block)?),
            LoggedParts::Pages(parts) => Parts::Pages(of_parts(parts, range)?),
            LoggedParts::Absent | LoggedParts::Files(_) => return Err(missing("the blob's blocks")),
        };
        let visible = visible(blob);
        let is_complete = is_complete(&parts, length_bytes, visible);
        Ok(Work {
            blob_path: blob.blob_path.clone().ok_or(missing("the blob's name"))?,
            file_path: blob.file_path.clone().ok_or(missing("the file's path"))?,
            snapshot: blob.snapshot.clone(),
            length_bytes,
            disposition: asked(blob),
            visible,
            parts,
            is_complete,
            metadata: side_of_log(blob.metadata.as_ref())?,
            properties: side_of_log(blob.properties.as_ref())?,
        })
    }

    /// All that the manifest tells, and what the log says of it.
    ///
    /// # Errors
    /// When the entry is for a file share.
    pub fn of_manifest(
        entry: &BlobEntry,
        list: Option<&ListHeader>,
        log: Option<&LoggedBlob>,
    ) -> Result<Work, Unresolved> {
        let status = |offset_bytes| log.and_then(|log| logged_status(log, offset_bytes));
        let parts = match &entry.kind {
            BlobKind::Block(blocks) => Parts::Blocks(
                blocks.iter().map(|&entry| Part { entry, status: status(entry.offset_bytes) }).collect(),
            ),
            BlobKind::Page(ranges) => Parts::Pages(
                ranges.iter().map(|&entry| Part { entry, status: status(entry.offset_bytes) }).collect(),
            ),
            BlobKind::File(_) => return Err(share()),
        };
        let side =
            |own: &Option<SideFileRef>, list: Option<&SideFileRef>, logged: Option<&LoggedSideFile>| {
                let is_bad = logged.map_or(log.is_none_or(tells_names_only), |logged| !is_completed(logged));
                Side { file: own.as_ref().or(list).cloned(), is_bad }
            };
        let logged = |of: fn(&LoggedBlob) -> Option<&LoggedSideFile>| log.and_then(of);
        Ok(Work {
            blob_path: log.and_then(|log| log.blob_path.clone()).unwrap_or_else(|| entry.blob_path.clone()),
            file_path: entry.file_path.clone(),
            snapshot: entry.snapshot.clone(),
            length_bytes: entry.length_bytes,
            disposition: entry.disposition(),
            visible: log.map_or(Visible::Unknown, visible),
            parts,
            is_complete: true,
            metadata: side(
                &entry.metadata,
                list.and_then(|list| list.metadata.as_ref()),
                logged(|log| log.metadata.as_ref()),
            ),
            properties: side(
                &entry.properties,
                list.and_then(|list| list.properties.as_ref()),
                logged(|log| log.properties.as_ref()),
            ),
        })
    }
}

fn refuse_shares(is_share: bool) -> Result<(), Unresolved> {
    if is_share { Err(share()) } else { Ok(()) }
}

fn share() -> Unresolved {
    let what = "it is a file of a file share, which this program does not reach; copy it there by hand";
    Unresolved::Unsupported { what: what.to_owned() }
}

fn visible(blob: &LoggedBlob) -> Visible {
    let status = blob.disposition.as_ref().and_then(|disposition| disposition.status.as_ref()?.known());
    match status {
        Some(DispositionStatus::Created | DispositionStatus::Renamed | DispositionStatus::Overwritten) => {
            Visible::Yes
        }
        Some(DispositionStatus::Cancelled | DispositionStatus::Skipped) => Visible::No,
        None => Visible::Unknown,
    }
}

/// Copy logs name a blob, and say nothing of what it is made of.
fn tells_names_only(log: &LoggedBlob) -> bool {
    log.disposition.is_none() && log.parts == LoggedParts::Absent
}

fn asked(blob: &LoggedBlob) -> ImportDisposition {
    blob.disposition.as_ref().and_then(|disposition| disposition.asked.known()).unwrap_or_default()
}

fn is_completed(side: &LoggedSideFile) -> bool {
    matches!(side.status, Some(Word::Known(SideFileStatus::Completed)))
}

fn of_parts<T>(
    parts: &[LoggedPart],
    entry: fn(&LoggedPart) -> Result<T, Unresolved>,
) -> Result<Vec<Part<T>>, Unresolved> {
    let part = |part: &LoggedPart| Ok(Part { entry: entry(part)?, status: known(part) });
    parts.iter().map(part).collect()
}

fn known(part: &LoggedPart) -> Option<ChunkStatus> {
    // A word that nobody knows is no success.
    Some(part.status.as_ref().and_then(Word::known).unwrap_or(ChunkStatus::Failed))
}

fn block(part: &LoggedPart) -> Result<BlockEntry, Unresolved> {
    let RangeEntry { offset_bytes, length_bytes, hash } = place(part, "block", BLOCK_BYTES_MAX)?;
    let id = Some(part.id.as_deref().copied().unwrap_or_else(|| BlockId::of_md5(&hash)));
    Ok(BlockEntry { offset_bytes, length_bytes, id, hash })
}

fn range(part: &LoggedPart) -> Result<RangeEntry, Unresolved> {
    place(part, "page range", RANGE_BYTES_MAX)
}

/// An empty part is one that nothing can be sent for: no writer makes it. One that is longer than the
/// service takes would be memory that the log's writer asks for.
fn place(part: &LoggedPart, noun: &'static str, length_bytes_max: u64) -> Result<RangeEntry, Unresolved> {
    let missing = || Unresolved::NeedsManifest { what: "the hash of each block or page range" };
    let length_bytes = part.length_bytes.filter(|length| *length > 0).ok_or_else(missing)?;
    if length_bytes > length_bytes_max {
        let what = format!(
            "the log names a {noun} of {length_bytes} bytes, and none has more than {length_bytes_max}"
        );
        return Err(Unresolved::Unsupported { what });
    }
    let in_range = |offset: &u64| offset.checked_add(length_bytes).is_some();
    let offset_bytes = part.offset_bytes.filter(in_range).ok_or_else(missing)?;
    Ok(RangeEntry { offset_bytes, length_bytes, hash: part.hash.ok_or_else(missing)? })
}

/// Blocks prove it themselves by covering the blob. Of page ranges it is known only where the log
/// had no reason to leave any out, because none of them was written.
fn is_complete(parts: &Parts, length_bytes: u64, visible: Visible) -> bool {
    match parts {
        Parts::Blocks(blocks) => {
            let end = blocks.iter().try_fold(0, |end, block| {
                (block.entry.offset_bytes == end).then(|| end.saturating_add(block.entry.length_bytes))
            });
            end == Some(length_bytes)
        }
        Parts::Pages(_) => visible == Visible::No,
    }
}

fn side_of_log(side: Option<&LoggedSideFile>) -> Result<Side, Unresolved> {
    let Some(side) = side else { return Ok(Side::default()) };
    let is_bad = !is_completed(side);
    let Some(file) = side.own.as_ref().or(side.global.as_ref()) else {
        return Ok(Side { file: None, is_bad });
    };
    let hash = file.hash.as_ref().and_then(|hash| hash.parse().ok());
    let missing = Unresolved::NeedsManifest { what: "the hash of a metadata or properties file" };
    let file = SideFileRef { path: file.path.clone(), hash: hash.ok_or(missing)? };
    Ok(Side { file: Some(file), is_bad })
}

/// What a drive log says of the part at that offset.
fn logged_status(log: &LoggedBlob, offset_bytes: u64) -> Option<ChunkStatus> {
    let parts = match &log.parts {
        LoggedParts::Absent => return None,
        LoggedParts::Blocks(parts) | LoggedParts::Pages(parts) | LoggedParts::Files(parts) => parts,
    };
    let at = parts.binary_search_by_key(&Some(offset_bytes), |part| part.offset_bytes).ok();
    let part = at.and_then(|index| parts.get(index));
    let part = part.or_else(|| parts.iter().find(|part| part.offset_bytes == Some(offset_bytes)));
    // An error log leaves out what completed.
    Some(part.and_then(known).unwrap_or(ChunkStatus::Completed))
}

#[cfg(test)]
mod tests;
