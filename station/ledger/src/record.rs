//! What is kept of a blob on its way, and of its end.

use model::drive::Phase;
use model::status::{BlobStatus, ChunkStatus, DispositionStatus, DriveTally, SideFileStatus};

/// One thing to remember.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Record {
    /// A chunk is at the destination, not yet visible. If this is lost, the chunk is put once more.
    ChunkLanded {
        /// The blob's place in the manifest.
        blob_index: u64,
        /// Under which of its names: 1 is its own, see `model::disposition::renamed`. Chunks that
        /// landed under another name before are forgotten.
        target_n: u32,
        /// The chunk's place in the blob.
        chunk_index: u32,
        /// CRC-64/NVME of the chunk.
        crc64: u64,
    },
    /// Something is about to be done whose effect a later run could not tell from somebody else's.
    /// Replaces an earlier intent of the blob.
    Intent {
        /// The blob's place in the manifest.
        blob_index: u64,
        /// What.
        intent: Intent,
    },
    /// The blob begins anew: what landed of it and what was intended is void.
    StartedOver {
        /// The blob's place in the manifest.
        blob_index: u64,
    },
    /// The blob has ended; what was pending of it is forgotten. The last outcome of a blob counts.
    Outcome {
        /// The blob's place in the manifest.
        blob_index: u64,
        /// How.
        outcome: BlobOutcome,
    },
    /// Where the drive is, for whoever looks on.
    Phase {
        /// The state machine's phase.
        phase: Phase,
    },
}

/// What is about to be done to the destination for a blob.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Intent {
    /// Container and name that are written to.
    pub target: String,
    /// A blob of that name is there and will be replaced.
    pub replaces_existing: bool,
    /// The entity tag of the blob that is replaced.
    pub etag: Option<String>,
    /// The lease under which it is written.
    pub lease_id: Option<String>,
}

/// How a blob ended: what the logs need of it besides the manifest.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BlobOutcome {
    /// `Blob/@Status`.
    pub status: BlobStatus,
    /// `ImportDisposition/@Status`; none when it never came to that.
    pub disposition: Option<DispositionStatus>,
    /// Container and name in the account, only when they differ from the manifest's.
    pub final_path: Option<String>,
    /// The status of every chunk that is not among the exceptions.
    pub chunk_default: ChunkStatus,
    /// Chunks with another status, by ascending index.
    pub chunk_exceptions: Vec<(u32, ChunkStatus)>,
    /// `Metadata/@Status`; none when the blob has no metadata file.
    pub metadata: Option<SideFileStatus>,
    /// `Properties/@Status`; none when the blob has no properties file.
    pub properties: Option<SideFileStatus>,
    /// CRC-64/NVME of the whole blob, when all of it landed.
    pub crc64: Option<u64>,
    /// The blob's length.
    pub bytes: u64,
    /// For a person: why it failed.
    pub message: Option<String>,
    /// What the storage service answered, for the copy log's `ErrorCode`.
    pub http_status: Option<u16>,
    /// The service's error code, or the copy log's category.
    pub code: Option<String>,
}

/// A blob that was begun in an earlier run.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PendingBlob {
    /// The blob's place in the manifest.
    pub blob_index: u64,
    /// Under which of its names the chunks landed; none when none did.
    pub target_n: Option<u32>,
    /// Chunks that landed, with their CRC-64/NVME, by ascending index.
    pub landed: Vec<(u32, u64)>,
    /// What was about to be done.
    pub intent: Option<Intent>,
}

/// All outcomes of a run, counted.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Totals {
    /// One entry for each status and disposition that occurred.
    pub counts: Vec<Count>,
}

/// The blobs that ended in one way.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Count {
    /// `Blob/@Status`.
    pub status: BlobStatus,
    /// `ImportDisposition/@Status`.
    pub disposition: Option<DispositionStatus>,
    /// How many.
    pub blobs: u64,
    /// Their lengths together.
    pub bytes: u64,
}

impl Totals {
    /// Blobs with an outcome.
    pub fn blobs(&self) -> u64 {
        self.counts.iter().map(|count| count.blobs).sum()
    }

    /// Their lengths together.
    pub fn bytes(&self) -> u64 {
        self.counts.iter().map(|count| count.bytes).sum()
    }

    /// The lengths of the blobs whose status is `Completed`.
    pub fn completed_bytes(&self) -> u64 {
        self.counts
            .iter()
            .filter(|count| count.status == BlobStatus::Completed)
            .map(|count| count.bytes)
            .sum()
    }

    /// Blobs whose status is not `Completed`.
    pub fn failed_blobs(&self) -> u64 {
        self.counts
            .iter()
            .filter(|count| count.status != BlobStatus::Completed)
            .map(|count| count.blobs)
            .sum()
    }

    /// What the drive comes to.
    pub fn tally(&self) -> DriveTally {
        let mut tally = DriveTally::default();
        self.counts.iter().for_each(|count| tally.add(count.status, count.disposition));
        tally
    }
}
