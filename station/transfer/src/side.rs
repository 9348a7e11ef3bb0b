//! Metadata and properties files: read, proven, parsed, and turned into what the service takes.
//!
//! azure-import-export.md §1.10 and §1.11. A blob's own file replaces its list's file, it does not
//! merge with it. Whatever is wrong with such a file, the blob's data still land; the status here
//! goes into the log. Files are small and many blobs share one, so the last few are remembered.

use std::collections::HashMap;
use std::sync::Arc;

use azure::BlobHeaders;
use manifest::limits::SIDE_FILE_BYTES_MAX;
use manifest::{Metadata, Properties, SideFileError, SideFileRef};
use model::status::SideFileStatus;
use ntfs::{ResolveError, StreamError, Volume};

use crate::file::read_whole;
use crate::outcome::SideStatuses;
use crate::proven::hash_like;

/// Remembered files; a drive has one a list, or one a blob, and then remembering is of no use.
const REMEMBERED_MAX: usize = 64;

/// Metadata names and values.
type Pairs = Vec<(String, String)>;
/// Files that were read, with what came of them.
type Known<T> = HashMap<SideFileRef, Result<Arc<T>, SideFileStatus>>;

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
    pub fn load(
        &mut self,
        metadata: Option<&SideFileRef>,
        properties: Option<&SideFileRef>,
    ) -> (BlobHeaders, SideStatuses) {
        let mut headers = BlobHeaders::default();
        let mut statuses = SideStatuses::default();
        if let Some(file) = metadata {
            statuses.metadata = Some(match self.metadata_of(file) {
                Ok(pairs) => {
                    headers.metadata = pairs.to_vec();
                    SideFileStatus::Completed
                }
                Err(status) => status,
            });
        }
        if let Some(file) = properties {
            statuses.properties = Some(match self.properties_of(file) {
                Ok(properties) => {
                    apply(&mut headers, &properties);
                    SideFileStatus::Completed
                }
                Err(status) => status,
            });
        }
        (headers, statuses)
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

/// Export-only properties (ETag, Last-Modified, Content-Length) were left out by the parser.
fn apply(headers: &mut BlobHeaders, properties: &Properties) {
    headers.content_type = properties.content_type.clone();
    headers.content_encoding = properties.content_encoding.clone();
    headers.content_language = properties.content_language.clone();
    headers.cache_control = properties.cache_control.clone();
    headers.content_md5 = properties.content_md5;
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
