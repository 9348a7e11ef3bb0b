//! What a batch of records comes to, so that the store is not told what the batch itself takes back.
//!
//! Most small blobs begin and end within one batch: of their chunks and intents nothing is written.

use std::collections::{BTreeMap, BTreeSet};

use model::drive::Phase;

use crate::record::{BlobOutcome, Intent, Record};

/// The effect of records in their order.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Effect<'a> {
    /// What was pending of these blobs before is void.
    pub void: BTreeSet<u64>,
    /// Outcomes by blob.
    pub outcomes: BTreeMap<u64, &'a BlobOutcome>,
    /// Chunks of blobs without outcome.
    pub landed: BTreeMap<u64, Landed>,
    /// Intents for blobs without outcome.
    pub intents: BTreeMap<u64, &'a Intent>,
    /// The last phase.
    pub phase: Option<Phase>,
}

/// Chunks that landed of one blob, under one name.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Landed {
    /// See [`Record::ChunkLanded`].
    pub target_n: u32,
    /// CRC-64/NVME by chunk index.
    pub chunks: BTreeMap<u32, u64>,
    /// The name changed within the batch, and may have changed back: whatever was stored is void.
    pub name_changed: bool,
}

impl<'a> Effect<'a> {
    /// Folds the records in their order.
    pub fn of(records: &'a [Record]) -> Effect<'a> {
        let mut effect = Effect::default();
        records.iter().for_each(|record| effect.add(record));
        effect
    }

    fn add(&mut self, record: &'a Record) {
        match record {
            // A note that comes after the blob's end is late: nothing is pending of it any more.
            Record::ChunkLanded { blob_index, .. } | Record::Intent { blob_index, .. }
                if self.outcomes.contains_key(blob_index) => {}
            Record::ChunkLanded { blob_index, target_n, chunk_index, crc64 } => {
                let new = || Landed { target_n: *target_n, ..Landed::default() };
                let landed = self.landed.entry(*blob_index).or_insert_with(new);
                if landed.target_n != *target_n {
                    *landed = Landed { name_changed: true, ..new() };
                }
                landed.chunks.insert(*chunk_index, *crc64);
            }
            Record::Intent { blob_index, intent } => {
                self.intents.insert(*blob_index, intent);
            }
            Record::StartedOver { blob_index } => self.forget(*blob_index),
            Record::Outcome { blob_index, outcome } => {
                self.forget(*blob_index);
                self.outcomes.insert(*blob_index, outcome);
            }
            Record::Phase { phase } => self.phase = Some(*phase),
        }
    }

    fn forget(&mut self, blob_index: u64) {
        self.landed.remove(&blob_index);
        self.intents.remove(&blob_index);
        self.void.insert(blob_index);
    }
}
