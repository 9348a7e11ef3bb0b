//! Under which name a blob is repaired, and when it is not because something else is there.
//!
//! As the ingest does it: looking decides nothing by itself, a new name is taken with
//! `If-None-Match: *`, an existing blob replaced with `If-Match` on the version that was looked at.
//! What the repair intends is noted first, so that a repair that was killed knows its own blob again.

use azure::{BlobProperties, BlobType, Condition, ErrorKind, LeaseState};
use model::{BlobPath, ImportDisposition};

use super::import::Desk;
use super::stop::{Stop, Unresolved};
use super::work::{Parts, Visible, Work};
use super::{block, page};

/// Metadata name of a page blob that is not whole: the ingest sets it, and so do we.
pub const INCOMPLETE: &str = "incomplete";

/// Names are tried up to this suffix, as the ingest does.
const RENAME_N_MAX: u32 = 1_000;

/// What was found.
#[derive(Debug)]
pub enum Place {
    /// The blob is to be made here, under this condition.
    New {
        /// Its name.
        path: BlobPath,
        /// What must still hold.
        condition: Condition,
        /// What stands there, for `overwrite`.
        existing: Option<Box<BlobProperties>>,
    },
    /// The import left it here, with something missing.
    There {
        /// Its name.
        path: BlobPath,
        /// As it is now.
        existing: Box<BlobProperties>,
    },
    /// An earlier run of this repair was writing it here: a page blob with our mark, or the whole.
    Begun {
        /// Its name.
        path: BlobPath,
        /// As it is now.
        existing: Box<BlobProperties>,
    },
    /// `no-overwrite`, and there is another blob.
    Taken,
}

/// Finds the place of a blob.
///
/// # Errors
/// When something is there that may not be touched, or the service refuses.
pub async fn find(desk: &Desk, work: &Work, kind: BlobType) -> Result<Place, Stop> {
    let path = destination(&work.blob_path)?;
    if let Some(begun) = begun(desk, work).await? {
        return Ok(begun);
    }
    if work.visible == Visible::Yes {
        let gone = !work.is_complete;
        return match look(desk, &path).await? {
            Some(existing) => {
                check_same(&path, &existing, work, kind)?;
                Ok(Place::There { path, existing: Box::new(existing) })
            }
            None if gone => {
                Err(Unresolved::NeedsManifest { what: "the parts that had landed, which are gone" }.into())
            }
            None => Ok(new(path, None)),
        };
    }
    choose(desk, work, &path, kind).await
}

async fn choose(desk: &Desk, work: &Work, path: &BlobPath, kind: BlobType) -> Result<Place, Stop> {
    for n in 1..=RENAME_N_MAX {
        let name = match n {
            1 => Ok(path.clone()),
            _ => path.renamed(n),
        };
        let name = name
            .map_err(|error| Unresolved::Unsupported { what: format!("no new name for {path}: {error}") })?;
        let Some(existing) = look(desk, &name).await? else { return Ok(new(name, None)) };
        if work.visible == Visible::Unknown && is_the_imports(desk, work, &name, &existing, kind).await? {
            return Ok(Place::There { path: name, existing: Box::new(existing) });
        }
        match work.disposition {
            ImportDisposition::NoOverwrite if work.visible == Visible::Unknown => {
                let what = format!(
                    "{name} has other content, the disposition is no-overwrite, and the log does not tell \
                     whether the import wrote it"
                );
                return Err(Unresolved::Changed { what }.into());
            }
            ImportDisposition::NoOverwrite => return Ok(Place::Taken),
            ImportDisposition::Rename => {}
            ImportDisposition::Overwrite => {
                // A run that was killed may have left its lease; taking it again will tell.
                let may_be_ours = desk.record().blob(work.key()).lease.is_some();
                check_replaceable(&name, &existing, kind, may_be_ours)?;
                return Ok(new(name, Some(existing)));
            }
        }
    }
    Err(Unresolved::Unsupported { what: format!("{path} and {} more names are taken", RENAME_N_MAX - 1) }
        .into())
}

fn new(path: BlobPath, existing: Option<BlobProperties>) -> Place {
    let condition = match &existing {
        Some(existing) => Condition::IfMatch(existing.etag.clone()),
        None => Condition::IfNoneMatchAny,
    };
    Place::New { path, condition, existing: existing.map(Box::new) }
}

/// The blob that an earlier run of this repair was writing, if it is there.
async fn begun(desk: &Desk, work: &Work) -> Result<Option<Place>, Stop> {
    let Some(target) = desk.record().blob(work.key()).target else { return Ok(None) };
    let path = destination(&target)?;
    let Some(existing) = look(desk, &path).await? else { return Ok(None) };
    let lease = desk.record().blob(work.key()).lease;
    let is_half = lease.is_some_and(|lease| is_marked_by(&existing, &lease));
    let is_ours = is_half || holds(desk, work, &path, &existing).await?;
    Ok(is_ours.then(|| Place::Begun { path, existing: Box::new(existing) }))
}

/// Whether a copy log may mean this blob: it is half of it, or all of it.
async fn is_the_imports(
    desk: &Desk,
    work: &Work,
    path: &BlobPath,
    existing: &BlobProperties,
    kind: BlobType,
) -> Result<bool, Stop> {
    // Only page blobs are visible before they are whole; on others that name is the customer's own.
    let is_half =
        kind == BlobType::Page && is_marked(existing) && check_same(path, existing, work, kind).is_ok();
    Ok(is_half || holds(desk, work, path, existing).await?)
}

/// Whether the blob has all the content that it is to have.
async fn holds(desk: &Desk, work: &Work, path: &BlobPath, existing: &BlobProperties) -> Result<bool, Stop> {
    let is_half = existing.blob_type == BlobType::Page && is_marked(existing);
    if existing.length_bytes != work.length_bytes || is_half {
        return Ok(false);
    }
    match (&work.parts, existing.blob_type) {
        (Parts::Blocks(blocks), BlobType::Block) => block::holds(desk, path, blocks).await,
        (Parts::Pages(ranges), BlobType::Page) => page::holds(desk, path, ranges, work.is_complete).await,
        (Parts::Blocks(_), BlobType::Page | BlobType::Append)
        | (Parts::Pages(_), BlobType::Block | BlobType::Append) => Ok(false),
    }
}

async fn look(desk: &Desk, path: &BlobPath) -> Result<Option<BlobProperties>, Stop> {
    match desk.account.properties(path).await {
        Ok(found) => Ok(found),
        Err(error) if error.kind() == ErrorKind::ContainerNotFound => {
            desk.account.create_container(path.container()).await?;
            Ok(None)
        }
        Err(error) => Err(error.into()),
    }
}

fn destination(path: &str) -> Result<BlobPath, Unresolved> {
    BlobPath::parse(path).map_err(|error| Unresolved::Unsupported {
        what: format!("the storage service takes no blob of the name {path:?}: {error}"),
    })
}

/// What the import left must still be there, as far as can be told.
fn check_same(
    path: &BlobPath,
    existing: &BlobProperties,
    work: &Work,
    kind: BlobType,
) -> Result<(), Unresolved> {
    let what = if existing.blob_type != kind {
        format!("{path} is a {:?} blob by now", existing.blob_type)
    } else if kind == BlobType::Page && existing.length_bytes != work.length_bytes {
        format!("{path} has {} bytes by now, and had {}", existing.length_bytes, work.length_bytes)
    } else {
        return Ok(());
    };
    Err(Unresolved::Changed { what })
}

fn check_replaceable(
    path: &BlobPath,
    existing: &BlobProperties,
    kind: BlobType,
    may_be_ours: bool,
) -> Result<(), Unresolved> {
    if existing.lease_state == LeaseState::Leased && !may_be_ours {
        return Err(Unresolved::Changed { what: format!("somebody holds a lease on {path}") });
    }
    // Blocks cannot be staged beside a blob of another type.
    if kind == BlobType::Block && existing.blob_type != BlobType::Block {
        let what = format!(
            "{path} is a {:?} blob, which blocks cannot replace; delete it first",
            existing.blob_type
        );
        return Err(Unresolved::Unsupported { what });
    }
    Ok(())
}

/// Whether a blob carries the mark of one that is not whole.
pub fn is_marked(existing: &BlobProperties) -> bool {
    existing.headers.metadata.iter().any(|(name, _)| name.eq_ignore_ascii_case(INCOMPLETE))
}

/// Whether it carries the mark of this very lease.
pub fn is_marked_by(existing: &BlobProperties, lease: &str) -> bool {
    let mut metadata = existing.headers.metadata.iter();
    metadata.any(|(name, value)| name.eq_ignore_ascii_case(INCOMPLETE) && value.contains(lease))
}

/// Metadata without that mark.
pub fn without_mark(metadata: &[(String, String)]) -> Vec<(String, String)> {
    metadata.iter().filter(|(name, _)| !name.eq_ignore_ascii_case(INCOMPLETE)).cloned().collect()
}
