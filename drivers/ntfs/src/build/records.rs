//! Which record holds what: the FILE records in order. spec/ntfs.md §5 "Record use".

use super::bitmap;
use super::error::MetadataError;
use super::fields::Fields;
use super::index::{BY_NUMBER, BY_NUMBERS, BY_SID, DIRECTORY_INDEX, data_head, put_end, put_entry, root};
use super::names::{put_file_name, standard_information};
use super::nodes::{self, Kind, Node};
use super::overflow::{self, Piece};
use super::pairs;
use super::plan::{Plan, Security, bitmap_bytes, bitmap_clusters, block_clusters, is_sparse};
use super::record::{
    ATTRIBUTE_LIST, BITMAP, Clusters, DATA, DIRECTORY, FILE_NAME, HAS_VIEW_INDEX, Header, IN_EXTEND, IN_USE,
    INDEX_ALLOCATION, INDEX_ROOT, RecordBuilder, SECURITY_DESCRIPTOR, STANDARD_INFORMATION, Sizes,
    VOLUME_INFORMATION, VOLUME_NAME,
};
use super::security::{self, EVERYBODY, SYSTEM_ONLY, SYSTEM_READ, SYSTEM_WRITE};
use super::space::Stretch;
use super::spec::Times;
use super::system::{SystemStream, unnamed};
use super::tree::BLOCK_BYTES;
use super::write::{Finished, IndexPlace};
use crate::bytes::{in_memory, on_volume};
use crate::record::FileId;
use crate::runs::Run;

/// In use, without a name, and nobody knows what for: Windows has them.
const RESERVED: std::ops::Range<u64> = 12..16;
const HIDDEN_SYSTEM: u32 = 6;
/// `$STANDARD_INFORMATION` of a file that holds its security descriptor itself: the form of before
/// NTFS 3, without ids. Windows keeps it on its own files to this day (spec/ntfs.md §5).
const SHORT_INFORMATION_BYTES: usize = 48;
/// NTFS 3.1, not dirty.
const VOLUME_INFORMATION_VALUE: [u8; 12] = [0, 0, 0, 0, 0, 0, 0, 0, 3, 1, 0, 0];

const VOLUME: u32 = 3;
const BAD_CLUSTERS: u32 = 8;
const SECURE: u32 = 9;

/// Makes one record after the other.
pub(super) struct Records<'p> {
    plan: &'p Plan,
    finished: &'p Finished,
    builder: RecordBuilder,
    /// A value in the making.
    value: Vec<u8>,
    key: Vec<u8>,
}

/// What a record is for.
enum Use<'p> {
    Free,
    Reserved,
    Node(u32, &'p Node),
    /// A file's content, or a part of it, that outgrew its record.
    Extension(u32, &'p Node, &'p Piece),
}

impl<'p> Records<'p> {
    pub(super) fn new(plan: &'p Plan, finished: &'p Finished) -> Records<'p> {
        let builder = RecordBuilder::new(plan.shape);
        Records { plan, finished, builder, value: Vec::new(), key: Vec::new() }
    }

    /// Whether a record is in use.
    pub(super) fn is_used(&self, number: u64) -> bool {
        !matches!(self.usage(number), Use::Free)
    }

    fn usage(&self, number: u64) -> Use<'p> {
        if RESERVED.contains(&number) {
            return Use::Reserved;
        }
        let node = self.plan.nodes.node_of(number).and_then(|at| Some((at, self.plan.nodes.find(at)?)));
        match node {
            Some((_, node)) if node.omitted => Use::Free,
            Some((at, node)) => Use::Node(at, node),
            None => self.extension(number).unwrap_or(Use::Free),
        }
    }

    fn extension(&self, number: u64) -> Option<Use<'p>> {
        let (at, first) = self.plan.overflows.holder(number)?;
        let piece = in_memory(number.checked_sub(first)?);
        let piece = self.finished.pieces.get(&at)?.get(piece)?;
        Some(Use::Extension(at, self.plan.nodes.find(at)?, piece))
    }

    /// The record with this number.
    pub(super) fn build(&mut self, number: u64) -> Result<&[u8], MetadataError> {
        let file = FileId { record: number, sequence: nodes::sequence(number) };
        let header = Header { file, links: 0, flags: 0, base: None };
        match self.usage(number) {
            Use::Free => self.builder.begin(header),
            Use::Reserved => self.reserved(header),
            Use::Node(at, node) => self.node(Header { links: 1, ..header }, at, node),
            Use::Extension(at, node, piece) => self.piece(header, at, node, piece),
        }
        self.builder.finish().map_err(|bytes| MetadataError::Record { record: number, bytes })
    }

    fn reserved(&mut self, header: Header) {
        self.builder.begin(Header { flags: IN_USE, ..header });
        let times = Times::all(self.plan.settings.time);
        let information = standard_information(&times, HIDDEN_SYSTEM, SYSTEM_WRITE);
        self.builder.resident(STANDARD_INFORMATION, &[], &information);
        self.builder.resident(DATA, &[], &[]);
    }

    fn node(&mut self, header: Header, at: u32, node: &Node) {
        self.builder.begin(Header { flags: flags(at, node), ..header });
        let mut information =
            standard_information(&node.times, self.plan.attributes(node), self.security_id(at, node));
        if self.plan.security == Security::Own {
            information.truncate(SHORT_INFORMATION_BYTES);
        }
        self.builder.resident(STANDARD_INFORMATION, &[], &information);
        let pieces = self.finished.pieces.get(&at);
        if let Some(pieces) = pieces {
            self.list(at, pieces);
        }
        self.value.clear();
        put_file_name(&mut self.value, self.plan, at, node);
        self.builder.resident(FILE_NAME, &[], &self.value);
        if self.plan.security == Security::Own {
            self.builder.resident(SECURITY_DESCRIPTOR, &[], &security::everybody());
        }
        match node.kind {
            Kind::System => self.system(at),
            Kind::Directory => self.directory(node),
            Kind::File | Kind::Sparse | Kind::Placed if pieces.is_none() => self.content(at, node),
            Kind::File | Kind::Sparse | Kind::Placed => {}
        }
    }

    /// Who may do what with it.
    fn security_id(&self, at: u32, node: &Node) -> u32 {
        if let Security::Known(id) = self.plan.security {
            return id;
        }
        match at {
            VOLUME | SECURE | nodes::EXTEND..=nodes::REPARSE => SYSTEM_WRITE,
            nodes::ROOT => EVERYBODY,
            _ if at < nodes::EXTEND => SYSTEM_READ,
            _ if node.kind == Kind::Placed || self.plan.is_system_volume_information(at) => SYSTEM_ONLY,
            _ => EVERYBODY,
        }
    }

    fn list(&mut self, at: u32, pieces: &[Piece]) {
        let length_bytes = overflow::list_bytes(pieces);
        let runs = self.plan.list_runs(at, pieces);
        self.clusters(ATTRIBUTE_LIST, &[], &runs, length_bytes);
    }

    /// A file's content, in its own record.
    fn content(&mut self, at: u32, node: &Node) {
        if node.length_bytes == 0 {
            self.builder.resident(DATA, &[], &[]);
            return;
        }
        let pairs = pairs::encode(self.plan.runs(node));
        let clusters = self.plan.span(node);
        let value = Clusters {
            start_vcn: 0,
            clusters,
            sizes: Some(self.content_sizes(at, node)),
            sparse: is_sparse(node),
            pairs: &pairs,
        };
        self.builder.non_resident(DATA, &[], &value);
    }

    fn content_sizes(&self, at: u32, node: &Node) -> Sizes {
        Sizes {
            span_bytes: self.plan.shape.bytes_of(self.plan.span(node)),
            length_bytes: node.length_bytes,
            initialized_bytes: node.length_bytes,
            allocated_bytes: self.plan.sizes(at, node).allocated_bytes,
        }
    }

    fn piece(&mut self, header: Header, at: u32, node: &Node, piece: &Piece) {
        let base = Some(self.plan.nodes.reference(at));
        self.builder.begin(Header { flags: IN_USE, base, ..header });
        let value = Clusters {
            start_vcn: piece.start_vcn,
            clusters: piece.clusters,
            sizes: (piece.start_vcn == 0).then(|| self.content_sizes(at, node)),
            sparse: is_sparse(node),
            pairs: &piece.pairs,
        };
        self.builder.non_resident(DATA, &[], &value);
    }

    /// A stream without holes.
    fn clusters(&mut self, kind: u32, name: &[u16], runs: &[Stretch], length_bytes: u64) {
        let clusters = runs.iter().fold(0_u64, |sum, run| sum.saturating_add(run.clusters));
        let allocated_bytes = self.plan.shape.bytes_of(clusters);
        let pairs = pairs::encode(runs.iter().map(|run| Run { lcn: Some(run.lcn), clusters: run.clusters }));
        let sizes = Sizes {
            span_bytes: allocated_bytes,
            length_bytes,
            initialized_bytes: length_bytes,
            allocated_bytes,
        };
        let value = Clusters { start_vcn: 0, clusters, sizes: Some(sizes), sparse: false, pairs: &pairs };
        self.builder.non_resident(kind, name, &value);
    }

    fn stored(&mut self, kind: u32, name: &[u16], stream: SystemStream) {
        if let Some(stored) = self.plan.system.stream(stream) {
            self.clusters(kind, name, &stored.runs, stored.length_bytes);
        }
    }

    /// What the file system's own files have besides their names.
    fn system(&mut self, at: u32) {
        match at {
            0 => {
                self.stored(DATA, &[], SystemStream::Mft);
                self.stored(BITMAP, &[], SystemStream::MftBitmap);
            }
            VOLUME => self.volume(),
            BAD_CLUSTERS => self.bad_clusters(),
            SECURE => self.secure(),
            nodes::QUOTA => self.quota(),
            nodes::OBJECT_IDS => self.empty_index("$O"),
            nodes::REPARSE => self.empty_index("$R"),
            _ => {
                if let Some(stream) = unnamed(at) {
                    self.stored(DATA, &[], stream);
                }
            }
        }
    }

    fn volume(&mut self) {
        self.value.clear();
        self.value.put_units(&self.plan.label);
        self.builder.resident(VOLUME_NAME, &[], &self.value);
        self.builder.resident(VOLUME_INFORMATION, &[], &VOLUME_INFORMATION_VALUE);
        self.builder.resident(DATA, &[], &[]);
    }

    /// A hole as large as the volume: no cluster is bad.
    fn bad_clusters(&mut self) {
        self.builder.resident(DATA, &[], &[]);
        let clusters = self.plan.shape.clusters;
        let span_bytes = self.plan.shape.bytes_of(clusters);
        let pairs = pairs::encode([Run { lcn: None, clusters }]);
        let sizes =
            Sizes { span_bytes, length_bytes: span_bytes, initialized_bytes: 0, allocated_bytes: span_bytes };
        let value = Clusters { start_vcn: 0, clusters, sizes: Some(sizes), sparse: false, pairs: &pairs };
        self.builder.non_resident(DATA, &units("$Bad"), &value);
    }

    fn secure(&mut self) {
        self.stored(DATA, &units("$SDS"), SystemStream::SecurityDescriptors);
        let shape = self.plan.shape;
        self.builder.resident(INDEX_ROOT, &units("$SDH"), &security::by_hash(&shape));
        self.builder.resident(INDEX_ROOT, &units("$SII"), &security::by_id(&shape));
    }

    fn empty_index(&mut self, name: &str) {
        let mut end = Vec::new();
        put_end(&mut end, None);
        let value = root(&self.plan.shape, BY_NUMBERS, &end, false);
        self.builder.resident(INDEX_ROOT, &units(name), &value);
    }

    /// Quotas as on a fresh volume: a default without limits, and the administrators.
    fn quota(&mut self) {
        const DEFAULT_ID: u32 = 1;
        const FIRST_ID: u32 = 0x100;
        let administrators = security::administrators();
        let mut owners = Vec::new();
        let data_at = administrators.len().saturating_add(16);
        put_entry(&mut owners, data_head(data_at, 4), &administrators, &FIRST_ID.to_le_bytes(), None);
        put_end(&mut owners, None);
        let value = root(&self.plan.shape, BY_SID, &owners, false);
        self.builder.resident(INDEX_ROOT, &units("$O"), &value);
        let mut quotas = Vec::new();
        for (id, sid) in [(DEFAULT_ID, &[][..]), (FIRST_ID, &administrators)] {
            let data = quota_entry(self.plan.settings.time.0, sid);
            put_entry(&mut quotas, data_head(0x14, data.len()), &id.to_le_bytes(), &data, None);
        }
        put_end(&mut quotas, None);
        let value = root(&self.plan.shape, BY_NUMBER, &quotas, false);
        self.builder.resident(INDEX_ROOT, &units("$Q"), &value);
    }

    fn directory(&mut self, node: &Node) {
        let at = in_memory(node.ranges.into());
        let Some((directory, &place)) =
            self.plan.sorted.directories.get(at).zip(self.finished.indexes.get(at))
        else {
            return;
        };
        let shape = self.plan.shape;
        self.value.clear();
        if place.blocks == 0 {
            for &child in self.plan.present(directory).iter() {
                self.plan.put_name_entry(&mut self.value, &mut self.key, child, None);
            }
            put_end(&mut self.value, None);
        } else {
            let top = place.blocks.saturating_sub(1).saturating_mul(shape.block_vcns().into());
            put_end(&mut self.value, Some(top));
        }
        let value = root(&shape, super::index::BY_NAME, &self.value, place.blocks > 0);
        self.builder.resident(INDEX_ROOT, &DIRECTORY_INDEX, &value);
        if place.blocks > 0 {
            self.index_blocks(place);
        }
    }

    fn index_blocks(&mut self, place: IndexPlace) {
        let shape = self.plan.shape;
        let clusters = block_clusters(&shape, place.blocks);
        let length_bytes = place.blocks.saturating_mul(on_volume(BLOCK_BYTES));
        let blocks = [Stretch { lcn: place.lcn, clusters }];
        self.clusters(INDEX_ALLOCATION, &DIRECTORY_INDEX, &blocks, length_bytes);
        match bitmap_clusters(&shape, place.blocks) {
            0 => {
                let bits = bitmap::first_bits(place.blocks);
                self.builder.resident(BITMAP, &DIRECTORY_INDEX, &bits);
            }
            behind => {
                let runs = [Stretch { lcn: place.lcn.saturating_add(clusters), clusters: behind }];
                self.clusters(BITMAP, &DIRECTORY_INDEX, &runs, bitmap_bytes(place.blocks));
            }
        }
    }
}

fn units(name: &str) -> Vec<u16> {
    name.encode_utf16().collect()
}

fn flags(at: u32, node: &Node) -> u16 {
    let kind = if node.kind == Kind::Directory { DIRECTORY } else { 0 };
    let special = match at {
        SECURE => HAS_VIEW_INDEX,
        nodes::QUOTA..=nodes::REPARSE => IN_EXTEND | HAS_VIEW_INDEX,
        _ => 0,
    };
    IN_USE | kind | special
}

/// An owner's quota: no limits.
fn quota_entry(time: u64, sid: &[u8]) -> Vec<u8> {
    const VERSION: u32 = 2;
    const DEFAULT_LIMITS: u32 = 1;
    let mut data = Vec::new();
    data.put_u32(VERSION);
    data.put_u32(DEFAULT_LIMITS);
    data.put_u64(0);
    data.put_u64(time);
    data.put_u64(u64::MAX);
    data.put_u64(u64::MAX);
    data.put_u64(0);
    data.put(sid);
    data
}
