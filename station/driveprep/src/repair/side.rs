//! Metadata and properties of a blob that is repaired: read from their files, proven, and set.
//!
//! On a blob that is committed now they go along with the commit. On one that is there they are set
//! only if it has none yet: what somebody set meanwhile is not overwritten.

use azure::{BlobHeaders, BlobProperties, Condition, ETag, LeaseId};
use manifest::{Metadata, Properties, SideFileRef};

use super::import::Desk;
use super::path_map::PathMap;
use super::place::{INCOMPLETE, without_mark};
use super::roots::Roots;
use super::stop::{Stop, Unresolved};
use super::work::{Side, Work};
use model::BlobPath;

/// The type that the service stores when it is given none.
const USUAL_TYPE: &str = "application/octet-stream";

/// What the side files of a blob came to; each can fail alone.
#[derive(Debug, Default)]
pub struct SideFiles {
    /// What they say, as far as they were found.
    pub headers: BlobHeaders,
    /// Whether there is metadata to be set.
    pub has_metadata: bool,
    /// Whether there are properties to be set.
    pub has_properties: bool,
    /// What was wrong, with the file's path on the drive.
    pub problems: Vec<(String, Unresolved)>,
}

impl SideFiles {
    /// Reads those that are wanted.
    pub fn read(
        roots: &Roots,
        map: &PathMap,
        metadata: Option<&SideFileRef>,
        properties: Option<&SideFileRef>,
    ) -> SideFiles {
        let mut files = SideFiles::default();
        if let Some(file) = metadata {
            match read(roots, map, file, Metadata::parse) {
                Ok(metadata) => {
                    files.headers.metadata = metadata.pairs().to_vec();
                    files.has_metadata = true;
                }
                Err(problem) => files.problems.push((file.path.clone(), problem)),
            }
        }
        if let Some(file) = properties {
            match read(roots, map, file, Properties::parse) {
                Ok(properties) => {
                    apply(&mut files.headers, properties);
                    files.has_properties = true;
                }
                Err(problem) => files.problems.push((file.path.clone(), problem)),
            }
        }
        files
    }

    /// Those that a blob has, for one that is made now.
    pub fn all_of(desk: &Desk, work: &Work) -> SideFiles {
        SideFiles::read(&desk.roots, &desk.map, work.metadata.file.as_ref(), work.properties.file.as_ref())
    }

    /// Those that were not set, for a blob that is there.
    ///
    /// # Errors
    /// When the log does not name the file.
    pub fn bad_of(desk: &Desk, work: &Work) -> Result<SideFiles, Unresolved> {
        let file = |side: &Side| match (side.is_bad, &side.file) {
            (false, _) => Ok(None),
            (true, Some(file)) => Ok(Some(file.clone())),
            // A blob of which no log says more than its name may have none.
            (true, None) if work.visible == super::work::Visible::Unknown => Ok(None),
            (true, None) => {
                Err(Unresolved::NeedsManifest { what: "which metadata or properties file failed" })
            }
        };
        let (metadata, properties) = (file(&work.metadata)?, file(&work.properties)?);
        Ok(SideFiles::read(&desk.roots, &desk.map, metadata.as_ref(), properties.as_ref()))
    }
}

fn read<T>(
    roots: &Roots,
    map: &PathMap,
    file: &SideFileRef,
    parse: fn(&[u8]) -> Result<T, manifest::SideFileError>,
) -> Result<T, Unresolved> {
    let source = roots.open(&file.path, map)?;
    let bytes = source.whole(file)?;
    parse(&bytes).map_err(|error| Unresolved::Unusable { place: source.place(), problem: error.to_string() })
}

fn apply(headers: &mut BlobHeaders, properties: Properties) {
    headers.content_type = properties.content_type;
    headers.content_encoding = properties.content_encoding;
    headers.content_language = properties.content_language;
    headers.cache_control = properties.cache_control;
    headers.content_md5 = properties.content_md5;
}

/// Sets on a blob that is there what was not set; gives its version afterwards.
///
/// # Errors
/// When it has other metadata or properties by now, or the service refuses.
pub async fn set(
    desk: &Desk,
    path: &BlobPath,
    existing: &BlobProperties,
    files: &SideFiles,
    lease: Option<&LeaseId>,
) -> Result<ETag, Stop> {
    let mut etag = existing.etag.clone();
    if files.has_properties && wants_properties(path, existing, &files.headers)? {
        // Setting some clears the others.
        let headers = BlobHeaders {
            content_md5: files.headers.content_md5.or(existing.headers.content_md5),
            content_disposition: existing.headers.content_disposition.clone(),
            ..files.headers.clone()
        };
        let condition = Condition::IfMatch(etag);
        etag = desk.account.set_properties(path, &headers, &condition, lease).await?.etag;
    }
    if files.has_metadata && wants_metadata(path, existing, &files.headers)? {
        let mark = existing.headers.metadata.iter().filter(|(name, _)| name.eq_ignore_ascii_case(INCOMPLETE));
        let metadata: Vec<_> = files.headers.metadata.iter().chain(mark).cloned().collect();
        let condition = Condition::IfMatch(etag);
        etag = desk.account.set_metadata(path, &metadata, &condition, lease).await?.etag;
    }
    Ok(etag)
}

/// For a blob whose list is committed once more: what it has stays, and what was not set goes along.
///
/// What somebody else has set meanwhile is a problem of its own, and none of the data.
pub fn merge(path: &BlobPath, existing: &BlobProperties, mut files: SideFiles) -> SideFiles {
    let mut has = existing.headers.clone();
    // An MD5 that is there may be that of the content which is replaced.
    has.content_md5 = files.headers.content_md5;
    let wanted = std::mem::replace(&mut files.headers, has.clone());
    if files.has_properties {
        match wants_properties(path, existing, &wanted) {
            Ok(_) => {
                files.headers = BlobHeaders {
                    content_disposition: has.content_disposition,
                    metadata: has.metadata,
                    tier: has.tier,
                    ..wanted.clone()
                };
            }
            Err(problem) => files.problems.push((path.to_string(), problem)),
        }
    }
    if files.has_metadata {
        match wants_metadata(path, existing, &wanted) {
            Ok(_) => files.headers.metadata = wanted.metadata,
            Err(problem) => files.problems.push((path.to_string(), problem)),
        }
    }
    files
}

fn wants_metadata(
    path: &BlobPath,
    existing: &BlobProperties,
    wanted: &BlobHeaders,
) -> Result<bool, Unresolved> {
    let lower = |pairs: &[(String, String)]| {
        let mut pairs: Vec<_> =
            pairs.iter().map(|(name, value)| (name.to_ascii_lowercase(), value.clone())).collect();
        pairs.sort();
        pairs
    };
    let (found, wanted) = (lower(&without_mark(&existing.headers.metadata)), lower(&wanted.metadata));
    if found == wanted {
        Ok(false)
    } else if found.is_empty() {
        Ok(true)
    } else {
        Err(Unresolved::Changed { what: format!("{path} has other metadata by now") })
    }
}

fn wants_properties(
    path: &BlobPath,
    existing: &BlobProperties,
    wanted: &BlobHeaders,
) -> Result<bool, Unresolved> {
    let usual = |headers: &BlobHeaders| BlobHeaders {
        content_type: headers.content_type.clone().or_else(|| Some(USUAL_TYPE.to_owned())),
        content_md5: None,
        content_disposition: None,
        metadata: Vec::new(),
        tier: None,
        ..headers.clone()
    };
    let md5 = wanted.content_md5.is_none() || wanted.content_md5 == existing.headers.content_md5;
    let (found, wanted) = (usual(&existing.headers), usual(wanted));
    if found == wanted && md5 {
        Ok(false)
    } else if found == wanted || found == usual(&BlobHeaders::default()) {
        Ok(true)
    } else {
        Err(Unresolved::Changed { what: format!("{path} has other properties by now") })
    }
}
