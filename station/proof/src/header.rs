//! The drive header hash: tells a re-formatted or re-partitioned drive before it is unlocked.
//!
//! azure-import-export.md §1.9: regions of the raw device with a hash each. An empty or unreadable
//! value is no check: published tutorials pass nonsense here.

use block::ReadAt;
use manifest::{HeaderHash, JobEntry};
use model::status::DriveStatus;

use crate::bring_up::Refusal;
use crate::chain;
use crate::proven::hash_like;

/// Regions are hashed in memory; the published ones are 1 MiB and 140 KiB.
const REGION_BYTES_MAX: u64 = 64 << 20;

/// Compares the job's header hash, if it has one, with the device.
///
/// # Errors
/// `DiskOperationFailed` with the region that differs or cannot be read.
pub fn check(device: &dyn ReadAt, job: &JobEntry) -> Result<(), Refusal> {
    let HeaderHash::Regions(regions) = &job.header_hash else { return Ok(()) };
    let refused = |message| Refusal { status: DriveStatus::DiskOperationFailed, message };
    for region in regions {
        let length = Some(region.length_bytes).filter(|length| *length <= REGION_BYTES_MAX);
        let Some(length) = length.and_then(|length| usize::try_from(length).ok()) else {
            return Err(refused(format!(
                "the drive header hash names a region of {} bytes",
                region.length_bytes
            )));
        };
        let mut bytes = vec![0; length];
        device
            .read_exact_at(&mut bytes, region.offset_bytes)
            .map_err(|error| refused(format!("reading the drive's header: {}", chain(&error))))?;
        let found = hash_like(region.hash, &bytes);
        if found != region.hash {
            return Err(refused(format!(
                "the drive's header at byte {} differs from the job's: the drive was formatted or partitioned anew",
                region.offset_bytes
            )));
        }
    }
    Ok(())
}
