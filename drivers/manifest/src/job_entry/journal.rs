//! The drives of a journal: the `DriveState` values of its records. azure-import-export.md §2.11.
//!
//! Of each drive the last complete record wins; the grammar is [`crate::journal`]'s.

use super::{Draft, JobEntryError, xml};
use crate::journal::records;

/// The drives of all complete records, in the journal's order.
pub(super) fn drafts(text: &str) -> Result<Vec<Draft>, JobEntryError> {
    let fields = records(text).flat_map(|record| record.fields);
    let states = fields.filter(|field| field.name == "DriveState" && !field.value.trim().is_empty());
    states
        .map(|state| {
            // XML wants its prolog at the very start.
            let drive = state.value.trim_start();
            let skipped = state.value.strip_suffix(drive).unwrap_or_default();
            let newlines = skipped.bytes().filter(|&byte| byte == b'\n').count();
            xml::draft(drive, state.line.saturating_add(u64::try_from(newlines).unwrap_or(u64::MAX)))
        })
        .collect()
}
