//! Metadata and properties files: read, proven, parsed.
//!
//! azure-import-export.md §1.10 and §1.11. A blob's own file replaces its list's file, it does not
//! merge with it. Whatever is wrong with such a file, the blob's data still land; the status here
//! goes into the log. Files are small and many blobs share one, so the last few are remembered.

use std::collections::HashMap;
use std::sync::Arc;

use manifest::limits::SIDE_FILE_BYTES_MAX;
use manifest::{Metadata, Properties, SideFileError, SideFileRef};
use model::status::SideFileStatus;
use ntfs::{ResolveError, StreamError, Volume};

use crate::file::read_whole;
use crate::proven::hash_like;

/// Remembered files; a drive has one a list, or one a blob, and then remembering is of no use.
const REMEMBERED_MAX: usize = 64;

/// Metadata names and values.
pub type Pairs = Vec<(String, String)>;
/// Files that were read, with what came of them.
type Known<T> = HashMap<SideFileRef, Result<Arc<T>, SideFileStatus>>;

/// What became of a metadata or properties file.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct SideStatuses {
    /// None when the blob has no metadata file.
    pub metadata: Option<SideFileStatus>,
    /// None when the blob has no properties file.
    pub properties: Option<SideFileStatus>,
}

impl SideStatuses {
    /// Whether something is wrong with one of them.
    pub fn failed(self) -> bool {
        [self.metadata, self.properties].iter().flatten().any(|status| *status != SideFileStatus::Completed)
    }

    /// What was fine was not applied after all; what had failed keeps its own code.
    #[must_use]
    pub fn cancelled(self) -> SideStatuses {
        let cancel = |status: Option<SideFileStatus>| {
            status.map(
                |status| if status == SideFileStatus::Completed { SideFileStatus::Cancelled } else { status },
            )
        };
        SideStatuses { metadata: cancel(self.metadata), properties: cancel(self.properties) }
    }
}

/// What the side files of a blob hold, as far as they are sound.
#[derive(Debug, Clone, Default)]
pub struct SideContent {
    /// Metadata.
    pub metadata: Option<Arc<Pairs>>,
    /// Properties.
    pub properties: Option<Arc<Properties>>,
    /// What the log says of each file.
    pub statuses: SideStatuses,
}

/// Loads side files of one drive.
pub struct SideFiles {
    volume: Arc<Volume>,
    metadata: Known<Pairs>,
    properties: Known<Properties>,
}

impl SideFiles {
    /// Nothing loaded yet.
    pub fn new(volume: Arc<Volume>) -> SideFiles {
        SideFiles { volume, metadata: HashMap::new(), properties: HashMap::new() }
    }

    /// What a blob with these files is to get, and what the log says of each file.
    pub fn load(&mut self, metadata: Option<&SideFileRef>, properties: Option<&SideFileRef>) -> SideContent {
        let mut content = SideContent::default();
        if let Some(file) = metadata {
            content.statuses.metadata = Some(take(self.metadata_of(file), &mut content.metadata));
        }
        if let Some(file) = properties {
            content.statuses.properties = Some(take(self.properties_of(file), &mut content.properties));
        }
        content
    }

    fn metadata_of(&mut self, file: &SideFileRef) -> Result<Arc<Pairs>, SideFileStatus> {
        load_once(&mut self.metadata, &self.volume, file, |bytes| {
            Ok(Metadata::parse(bytes)?.pairs().to_vec())
        })
    }

    fn properties_of(&mut self, file: &SideFileRef) -> Result<Arc<Properties>, SideFileStatus> {
        load_once(&mut self.properties, &self.volume, file, Properties::parse)
    }
}

fn load_once<T>(
    known: &mut Known<T>,
    volume: &Volume,
    file: &SideFileRef,
    parse: impl FnOnce(&[u8]) -> Result<T, SideFileError>,
) -> Result<Arc<T>, SideFileStatus> {
    if let Some(value) = known.get(file) {
        return value.clone();
    }
    let value = read_proven(volume, file)
        .and_then(|bytes| parse(&bytes).map(Arc::new).map_err(|error| error.status()));
    if known.len() >= REMEMBERED_MAX {
        known.clear();
    }
    known.insert(file.clone(), value.clone());
    value
}

fn take<T>(loaded: Result<Arc<T>, SideFileStatus>, place: &mut Option<Arc<T>>) -> SideFileStatus {
    match loaded {
        Ok(value) => {
            *place = Some(value);
            SideFileStatus::Completed
        }
        Err(status) => status,
    }
}

fn read_proven(volume: &Volume, file: &SideFileRef) -> Result<Vec<u8>, SideFileStatus> {
    let path = file.file().map_err(|error| error.side_file_status())?;
    let id = volume.resolve(&path.to_string()).map_err(|error| resolve_status(&error))?;
    let stream = volume.stream(id, None).map_err(|error| stream_status(&error))?;
    // Too long to be one: it cannot be right, and must not fill the memory.
    let length = usize::try_from(stream.length_bytes).ok().filter(|length| *length <= SIDE_FILE_BYTES_MAX);
    let mut bytes = vec![0; length.ok_or(SideFileStatus::XmlReadFailed)?];
    read_whole(volume, &stream, 0, &mut bytes).map_err(|_| SideFileStatus::IOFailed)?;
    if hash_like(file.hash, &bytes) == file.hash { Ok(bytes) } else { Err(SideFileStatus::Corrupted) }
}

fn resolve_status(error: &ResolveError) -> SideFileStatus {
    match crate::file::resolve_status(error) {
        model::status::BlobStatus::FileNameInvalid => SideFileStatus::FileNameInvalid,
        model::status::BlobStatus::FileNameTooLong => SideFileStatus::FileNameTooLong,
        model::status::BlobStatus::FileNotFound => SideFileStatus::FileNotFound,
        model::status::BlobStatus::FileAccessDenied => SideFileStatus::FileAccessDenied,
        _ => SideFileStatus::IOFailed,
    }
}

fn stream_status(error: &StreamError) -> SideFileStatus {
    match crate::file::stream_status(error) {
        model::status::BlobStatus::FileAccessDenied => SideFileStatus::FileAccessDenied,
        model::status::BlobStatus::FileNotFound => SideFileStatus::FileNotFound,
        _ => SideFileStatus::IOFailed,
    }
}
