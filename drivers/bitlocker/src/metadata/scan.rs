//! The search for metadata when the boot sector does not lead to it (spec §6, damaged boot sector):
//! one ascending sweep with large reads over a bounded part of the device.

use block::{ReadAt, ReadErrorKind};

use super::copy::{BLOCK_HEADER_BYTES, CopyHealth, SIGNATURE, block_size, read_copy};
use super::eow;

/// Metadata lies on sector boundaries.
const STEP_BYTES: usize = 512;

/// Length of one read of the sweep.
const WINDOW_BYTES: usize = 1 << 20;

/// Blocks with a signature that are looked at closely; a hostile drive could hold millions.
const CANDIDATES_MAX: u32 = 4096;

/// What the sweep found.
#[derive(Debug, Default, Clone, PartialEq, Eq)]
pub(crate) struct Scan {
    /// The first good copy that lies where it says.
    pub(crate) copy_bytes: Option<u64>,
    /// Whether that copy says that encrypt-on-write information is needed as well.
    pub(crate) is_encrypt_on_write: bool,
    /// Where the first such information lies.
    pub(crate) conversion_bytes: Option<u64>,
    /// How far the sweep went.
    pub(crate) scanned_bytes: u64,
}

impl Scan {
    fn is_complete(&self) -> bool {
        self.copy_bytes.is_some() && (!self.is_encrypt_on_write || self.conversion_bytes.is_some())
    }
}

/// Sweeps up to `limit_bytes`. Windows that cannot be read are passed over, because a damaged
/// medium is why one searches.
pub(crate) fn scan(device: &dyn ReadAt, limit_bytes: u64) -> Scan {
    let end = device.length_bytes().min(limit_bytes);
    let mut window = vec![0; WINDOW_BYTES];
    let mut found = Scan::default();
    let mut candidates = 0;
    while found.scanned_bytes < end && !found.is_complete() && candidates < CANDIDATES_MAX {
        let left = usize::try_from(end.saturating_sub(found.scanned_bytes)).unwrap_or(WINDOW_BYTES);
        let Some(part) = window.get_mut(..left.min(WINDOW_BYTES)) else { break };
        match device.read_exact_at(part, found.scanned_bytes) {
            Ok(()) => look(device, part, &mut found, &mut candidates),
            Err(error) if error.kind == ReadErrorKind::Medium => {}
            Err(_) => break,
        }
        found.scanned_bytes = found.scanned_bytes.saturating_add(part.len() as u64);
    }
    found
}

fn look(device: &dyn ReadAt, window: &[u8], found: &mut Scan, candidates: &mut u32) {
    for (sector, offset_bytes) in window.chunks(STEP_BYTES).zip((found.scanned_bytes..).step_by(STEP_BYTES)) {
        if sector.starts_with(eow::INFORMATION_SIGNATURE) && found.conversion_bytes.is_none() {
            found.conversion_bytes = Some(offset_bytes);
        }
        if found.copy_bytes.is_some() || *candidates >= CANDIDATES_MAX || !may_be_block(sector) {
            continue;
        }
        *candidates = candidates.saturating_add(1);
        let block = read_copy(device, offset_bytes).ok();
        if let Some(block) = block.filter(|block| is_exactly_one(block.area_offsets_bytes, offset_bytes)) {
            found.copy_bytes = Some(offset_bytes);
            found.is_encrypt_on_write = block.is_encrypt_on_write();
        }
    }
}

fn may_be_block(sector: &[u8]) -> bool {
    sector.starts_with(SIGNATURE)
        && sector
            .first_chunk::<BLOCK_HEADER_BYTES>()
            .is_some_and(|header| !matches!(block_size(header), Err(CopyHealth::UnknownVersion(_))))
}

fn is_exactly_one(offsets: [u64; 3], own: u64) -> bool {
    offsets.iter().filter(|offset| **offset == own).count() == 1
}
