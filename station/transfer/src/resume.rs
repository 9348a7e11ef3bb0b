//! What an interrupted run left in the account.

use std::collections::HashMap;

use ledger::Record;

use crate::blob::Blob;
use crate::put::{block_ids, id_proves_content};
use crate::run::Run;
use crate::target::{nth_name, stands_there};
use proof::chain;

/// The chunks that the ledger calls landed and the service still has, with their CRC-64.
///
/// Uncommitted blocks vanish after a week, or when somebody commits another list under the name;
/// then they are put once more. Page ranges stay where they were written as long as the blob is
/// still the one that the earlier run marked, which [`crate::page::open`] finds out.
pub async fn still_held(run: &Run, blob: &Blob) -> Vec<(u32, u64)> {
    if blob.is_page_blob() {
        return match crate::page::is_still_ours(run, blob).await {
            Some(true) => blob.earlier.landed.clone(),
            // What landed is gone with the blob; a later run must not believe in it again.
            Some(false) => forget(run, blob).await,
            None => Vec::new(),
        };
    }
    let Ok(path) = nth_name(&blob.path, blob.first_n) else { return Vec::new() };
    let uncommitted = match run.account.block_list(&path).await {
        Ok(list) => list.uncommitted,
        Err(error) => {
            // Nothing is lost: they are put again.
            tracing::info!(error = chain(&error), "asking for the blocks of an interrupted run");
            return Vec::new();
        }
    };
    if uncommitted.is_empty() && stands_there(run, blob, &path).await {
        return blob.earlier.landed.clone();
    }
    let held: HashMap<String, u64> =
        uncommitted.into_iter().map(|block| (block.id, block.length_bytes)).collect();
    let ids = block_ids(blob);
    // A numbered block of that name may be somebody else's by now: it is put once more.
    let is_held = |index: u32| {
        id_proves_content(blob, index)
            && held.get(&ids[index as usize]) == Some(&blob.chunk(index).length_bytes)
    };
    blob.earlier.landed.iter().copied().filter(|(index, _)| is_held(*index)).collect()
}

async fn forget(run: &Run, blob: &Blob) -> Vec<(u32, u64)> {
    let record = Record::StartedOver { blob_index: blob.entry.index };
    if let Err(error) = run.recorder.save(vec![record]).await {
        run.halt_unsaved(&error);
    }
    Vec::new()
}
