//! One file of an exported drive: which of its parts are spoilt, and those written again.
//!
//! A file of the right length is mended in place, part by part, and read back. One that is missing
//! or has another length is made anew beside it, from what is good of it and what the account has,
//! and takes its place when it is whole.

use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt;
use std::sync::Arc;

use azure::{BlobProperties, Condition, ErrorKind};
use bytes::{Bytes, BytesMut};
use manifest::limits::SIDE_FILE_BYTES_MAX;
use manifest::{DrivePath, Metadata, Properties, RangeEntry, SideFileRef};
use model::{BlobPath, Md5Digest};

use super::Desk;
use crate::repair::folder::{Folder, NewFile};
use crate::repair::roots::hashes_to;
use crate::repair::stop::{Stop, Unresolved};
use crate::repair::work::{Parts, Work};

/// Longest range that the service gives its MD5 with.
const PIECE_BYTES: u64 = 4 << 20;

/// What became of one blob's files.
#[derive(Debug, Default)]
pub struct Mended {
    /// Ranges and side files that were written.
    pub part_count: u64,
    /// Bytes that came from the account.
    pub fetched_bytes: u64,
    /// What is still wrong.
    pub problems: Vec<Unresolved>,
}

/// What is wrong with a file.
enum Spoilt {
    /// These parts of it.
    Parts(Vec<RangeEntry>),
    /// It is not there, or has not its length.
    Whole,
}

/// Checks a blob's file and its side files, and mends them.
///
/// # Errors
/// Why the file stays as it is.
pub async fn mend(desk: &Desk, work: Work) -> Result<Mended, Stop> {
    let blob = BlobPath::parse(&work.blob_path).map_err(|error| Unresolved::Unsupported {
        what: format!("no blob can have the name {:?}: {error}", work.blob_path),
    })?;
    let path = drive_path(&work.file_path)?;
    let parts = parts_of(&work);
    let mut mended = Mended::default();
    let (folder, checked, looked_at) = (Arc::clone(&desk.folder), path.clone(), parts.clone());
    let length_bytes = work.length_bytes;
    match blocking(move || check(&folder, &checked, length_bytes, looked_at)).await? {
        Spoilt::Parts(spoilt) if spoilt.is_empty() => {}
        Spoilt::Parts(spoilt) => mend_in_place(desk, &work, &blob, &path, spoilt, &mut mended).await?,
        Spoilt::Whole if work.is_complete => make_anew(desk, &work, &blob, &path, parts, &mut mended).await?,
        Spoilt::Whole => return Err(Unresolved::NeedsManifest { what: "all the parts of the file" }.into()),
    }
    mend_side_files(desk, &work, &blob, &mut mended).await?;
    Ok(mended)
}

fn drive_path(text: &str) -> Result<DrivePath, Unresolved> {
    DrivePath::parse(text).map_err(|source| Unresolved::InvalidName { path: text.to_owned(), source })
}

/// The parts that have to be looked at.
fn parts_of(work: &Work) -> Vec<RangeEntry> {
    match &work.parts {
        Parts::Blocks(blocks) => blocks
            .iter()
            .filter(|block| block.is_bad())
            .map(|block| {
                let manifest::BlockEntry { offset_bytes, length_bytes, hash, .. } = block.entry;
                RangeEntry { offset_bytes, length_bytes, hash }
            })
            .collect(),
        Parts::Pages(ranges) => {
            ranges.iter().filter(|range| range.is_bad()).map(|range| range.entry).collect()
        }
    }
}

async fn blocking<T: Send + 'static>(work: impl FnOnce() -> T + Send + 'static) -> T {
    tokio::task::spawn_blocking(work).await.expect("work on files does not panic")
}

fn check(
    folder: &Folder,
    path: &DrivePath,
    length_bytes: u64,
    parts: Vec<RangeEntry>,
) -> Result<Spoilt, Unresolved> {
    let unreadable = |source| Unresolved::Unreadable { path: folder.place(path), source };
    let file = match folder.file(path, false) {
        Ok(file) => file,
        Err(error) if matches!(error.kind(), io::ErrorKind::NotFound | io::ErrorKind::NotADirectory) => {
            return Ok(Spoilt::Whole);
        }
        Err(error) => return Err(unreadable(error)),
    };
    if file.metadata().map_err(unreadable)?.len() != length_bytes {
        return Ok(Spoilt::Whole);
    }
    let mut buffer = Vec::new();
    Ok(Spoilt::Parts(parts.into_iter().filter(|part| !holds(&file, part, &mut buffer)).collect()))
}

/// Whether the file has the part; one that cannot be read is written again.
fn holds(file: &File, part: &RangeEntry, buffer: &mut Vec<u8>) -> bool {
    let Ok(length) = usize::try_from(part.length_bytes) else { return false };
    buffer.resize(length, 0);
    file.read_exact_at(buffer, part.offset_bytes).is_ok() && digests::md5_of(buffer) == part.hash
}

async fn mend_in_place(
    desk: &Desk,
    work: &Work,
    blob: &BlobPath,
    path: &DrivePath,
    spoilt: Vec<RangeEntry>,
    mended: &mut Mended,
) -> Result<(), Stop> {
    let place = desk.folder.place(path);
    let unwritable = |source| Unresolved::Unreadable { path: place.clone(), source };
    let file = Arc::new(desk.folder.file(path, true).map_err(unwritable)?);
    for part in &spoilt {
        let bytes = fetch(desk, work, blob, part).await?;
        mended.fetched_bytes += part.length_bytes;
        let (file, offset_bytes) = (Arc::clone(&file), part.offset_bytes);
        blocking(move || file.write_all_at(&bytes, offset_bytes)).await.map_err(unwritable)?;
    }
    mended.part_count += spoilt.len() as u64;
    blocking(move || file.sync_all().map(|()| first_spoilt(&file, &spoilt)))
        .await
        .map_err(unwritable)
        .and_then(|wrong| read_back(&place, wrong))
        .map_err(Stop::Blob)
}

async fn make_anew(
    desk: &Desk,
    work: &Work,
    blob: &BlobPath,
    path: &DrivePath,
    parts: Vec<RangeEntry>,
    mended: &mut Mended,
) -> Result<(), Stop> {
    let place = desk.folder.place(path);
    let unwritable = |source| Unresolved::Unreadable { path: place.clone(), source };
    let old = desk.folder.file(path, false).ok().map(Arc::new);
    let new = desk.folder.create(path).map_err(unwritable)?;
    new.file.set_len(work.length_bytes).map_err(unwritable)?;
    for part in &parts {
        let bytes = match good_part(old.clone(), *part).await {
            Some(bytes) => bytes,
            None => {
                mended.fetched_bytes += part.length_bytes;
                fetch(desk, work, blob, part).await?
            }
        };
        let (file, offset_bytes) = (new.file.try_clone().map_err(unwritable)?, part.offset_bytes);
        blocking(move || file.write_all_at(&bytes, offset_bytes)).await.map_err(unwritable)?;
    }
    // An empty blob is a part as well: its file was not there.
    mended.part_count += (parts.len() as u64).max(1);
    let placed = blocking(move || {
        let wrong = first_spoilt(&new.file, &parts);
        if wrong.is_none() { new.place().map(|()| None) } else { Ok(wrong) }
    });
    placed.await.map_err(unwritable).and_then(|wrong| read_back(&place, wrong)).map_err(Stop::Blob)
}

async fn good_part(old: Option<Arc<File>>, part: RangeEntry) -> Option<Bytes> {
    let old = old?;
    blocking(move || {
        let mut buffer = Vec::new();
        holds(&old, &part, &mut buffer).then(|| Bytes::from(buffer))
    })
    .await
}

fn first_spoilt(file: &File, parts: &[RangeEntry]) -> Option<RangeEntry> {
    let mut buffer = Vec::new();
    parts.iter().find(|part| !holds(file, part, &mut buffer)).copied()
}

fn read_back(place: &std::path::Path, wrong: Option<RangeEntry>) -> Result<(), Unresolved> {
    match wrong {
        None => Ok(()),
        Some(part) => Err(Unresolved::Unreadable {
            path: place.to_owned(),
            source: io::Error::other(format!(
                "what was written at {} does not read back; the medium is bad",
                part.offset_bytes
            )),
        }),
    }
}

/// A part's bytes from the account, if they are those that were exported.
async fn fetch(desk: &Desk, work: &Work, blob: &BlobPath, part: &RangeEntry) -> Result<Bytes, Stop> {
    let end = part.offset_bytes.saturating_add(part.length_bytes);
    let mut bytes = BytesMut::new();
    let mut position = part.offset_bytes;
    while position < end {
        let until = position.saturating_add(PIECE_BYTES).min(end);
        let piece = desk
            .account
            .download_range(blob, work.snapshot.as_deref(), position..until, &Condition::None)
            .await
            .map_err(|error| match error.kind() {
                ErrorKind::NotFound | ErrorKind::ContainerNotFound | ErrorKind::InvalidRange => {
                    changed(blob, part, "is gone or shorter").into()
                }
                _ => Stop::from(error),
            })?;
        if piece.is_empty() {
            return Err(changed(blob, part, "is shorter").into());
        }
        position = position.saturating_add(piece.len() as u64);
        bytes.extend_from_slice(&piece);
    }
    let found: Md5Digest = digests::md5_of(&bytes);
    if found == part.hash { Ok(bytes.freeze()) } else { Err(changed(blob, part, "has other content").into()) }
}

fn changed(blob: &BlobPath, part: &RangeEntry, how: &str) -> Unresolved {
    Unresolved::Changed { what: format!("{blob} {how} at {} than when it was exported", part.offset_bytes) }
}

async fn mend_side_files(desk: &Desk, work: &Work, blob: &BlobPath, mended: &mut Mended) -> Result<(), Stop> {
    let mut found: Option<BlobProperties> = None;
    for (side, make) in [
        (&work.metadata, metadata_file as fn(&BlobProperties) -> Result<String, String>),
        (&work.properties, properties_file),
    ] {
        let Some(side_file) = side.file.as_ref().filter(|_| side.is_bad) else { continue };
        let path = drive_path(&side_file.path)?;
        if has_side_file(&desk.folder, &path, side_file) {
            continue;
        }
        if found.is_none() {
            found = desk.account.properties_of(blob, work.snapshot.as_deref()).await?;
        }
        let Some(properties) = &found else {
            mended.problems.push(Unresolved::Changed { what: format!("{blob} is gone") });
            continue;
        };
        let place = desk.folder.place(&path);
        let content = match make(properties) {
            Ok(content) => content,
            Err(problem) => {
                mended.problems.push(Unresolved::Unusable { place: blob.to_string(), problem });
                continue;
            }
        };
        write_side_file(&desk.folder, &path, &content)
            .map_err(|source| Unresolved::Unreadable { path: place.clone(), source })?;
        mended.part_count += 1;
        mended.fetched_bytes += content.len() as u64;
        if !hashes_to(content.as_bytes(), side_file.hash) {
            mended.problems.push(Unresolved::Unprovable { path: place });
        }
    }
    Ok(())
}

fn has_side_file(folder: &Folder, path: &DrivePath, side_file: &SideFileRef) -> bool {
    let Ok(file) = folder.file(path, false) else { return false };
    let length = file.metadata().ok().and_then(|facts| usize::try_from(facts.len()).ok());
    let Some(length) = length.filter(|length| *length <= SIDE_FILE_BYTES_MAX) else { return false };
    let mut bytes = vec![0; length];
    file.read_exact_at(&mut bytes, 0).is_ok() && hashes_to(&bytes, side_file.hash)
}

fn write_side_file(folder: &Folder, path: &DrivePath, content: &str) -> io::Result<()> {
    let new: NewFile = folder.create(path)?;
    new.file.write_all_at(content.as_bytes(), 0)?;
    new.place()
}

/// The file that an export writes beside a blob with metadata.
fn metadata_file(blob: &BlobProperties) -> Result<String, String> {
    let metadata = Metadata::from_pairs(blob.headers.metadata.clone());
    metadata.map(|metadata| metadata.to_xml()).map_err(|fault| fault.to_string())
}

/// The file that an export writes beside every blob.
fn properties_file(blob: &BlobProperties) -> Result<String, String> {
    let headers = blob.headers.clone();
    let properties = Properties {
        content_type: headers.content_type,
        content_md5: headers.content_md5,
        content_encoding: headers.content_encoding,
        content_language: headers.content_language,
        cache_control: headers.cache_control,
        ignored: Vec::new(),
    };
    let last_modified = blob.last_modified.map(httpdate::fmt_http_date);
    let etag = blob.etag.as_str().trim_matches('"');
    Ok(properties.to_export_xml(last_modified.as_deref(), etag, blob.length_bytes))
}
