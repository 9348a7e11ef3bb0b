//! One attribute by itself, and its place among the others of its record.

use std::cmp::Ordering;

use super::Check;
use super::btree::compare_names;
use super::fault::{At, Fault, FaultKind};
use super::file::{INDEX_ALLOCATION, INDEX_ROOT};
use crate::bytes::{on_volume, position_at, u8_at, u16_at, u64_at};
use crate::record::{
    Attribute, Body, COMPRESSED, FILE_NAME, NonResident, SPARSE, STANDARD_INFORMATION, VOLUME_INFORMATION,
    VOLUME_NAME,
};
use crate::runs::Runs;

/// `$BadClus`, whose stream of bad clusters is one hole without saying that it is sparse.
const BAD_CLUSTERS: u64 = 8;
/// A compression unit is 16 clusters (2^4) on every volume that Windows makes.
const UNIT_SHIFT_MAX: u8 = 4;

/// How far a record's attributes have been looked at.
#[derive(Default)]
pub(super) struct Order {
    kind: u32,
    name: Vec<u8>,
    start_vcn: u64,
    ids: Vec<u16>,
}

impl Order {
    pub(super) fn reset(&mut self) {
        (self.kind, self.start_vcn) = (0, 0);
        self.name.clear();
        self.ids.clear();
    }
}

/// Clusters of a piece.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Piece {
    pub(super) start_vcn: u64,
    pub(super) clusters: u64,
    /// Those that are on the volume.
    pub(super) stored: u64,
}

impl Check<'_> {
    /// Everything about one attribute that needs no other record. `next_id` is the record's.
    pub(super) fn attribute(&mut self, number: u64, next_id: u16, attribute: &Attribute<'_>) {
        self.attribute_order(number, attribute);
        self.attribute_id(number, next_id, attribute);
        match attribute.body {
            Body::Resident(_) => self.resident(number, attribute),
            Body::NonResident(_) if !may_leave(attribute.kind) => {
                self.header_fault(number, attribute, "place: it must be in the record");
            }
            Body::NonResident(_) => self.non_resident(number, attribute),
        }
    }

    pub(super) fn attribute_fault(&mut self, number: u64, attribute: &Attribute<'_>, kind: FaultKind) {
        let at = At::InRecord(on_volume(attribute.at));
        self.faults.push(Fault::new(number, kind).at(at).named(attribute.name));
    }

    fn header_fault(&mut self, number: u64, attribute: &Attribute<'_>, what: &'static str) {
        self.attribute_fault(number, attribute, FaultKind::AttributeHeader { kind: attribute.kind, what });
    }

    fn attribute_order(&mut self, number: u64, attribute: &Attribute<'_>) {
        let kind = attribute.kind;
        let start_vcn = match attribute.body {
            Body::NonResident(piece) => piece.start_vcn,
            Body::Resident(_) => 0,
        };
        let order = &self.order;
        let names = || compare_names(&self.upcase, &order.name, attribute.name).0;
        let before = order.kind.cmp(&kind).then_with(names);
        let fault = match before {
            Ordering::Less => None,
            Ordering::Greater => Some(FaultKind::AttributeOrder { kind }),
            Ordering::Equal if kind == FILE_NAME || order.start_vcn < start_vcn => None,
            Ordering::Equal => Some(FaultKind::AttributeTwice { kind }),
        };
        if let Some(fault) = fault {
            self.attribute_fault(number, attribute, fault);
        }
        (self.order.kind, self.order.start_vcn) = (kind, start_vcn);
        self.order.name.clear();
        self.order.name.extend_from_slice(attribute.name);
    }

    fn attribute_id(&mut self, number: u64, next: u16, attribute: &Attribute<'_>) {
        let found = u16_at(attribute.frame, 14).unwrap_or(0);
        if found >= next || self.order.ids.contains(&found) {
            self.attribute_fault(number, attribute, FaultKind::AttributeId { found, next });
        }
        self.order.ids.push(found);
    }

    fn resident(&mut self, number: u64, attribute: &Attribute<'_>) {
        if attribute.kind == INDEX_ALLOCATION {
            self.header_fault(number, attribute, "place: it must be in clusters");
        }
        let indexed = u8_at(attribute.frame, 22).unwrap_or(0);
        if indexed != u8::from(attribute.kind == FILE_NAME) {
            self.header_fault(number, attribute, "indexed flag");
        }
        if name_end(attribute).is_none_or(|end| position_at(attribute.frame, 20) < Some(end)) {
            self.header_fault(number, attribute, "value offset");
        }
    }

    fn non_resident(&mut self, number: u64, attribute: &Attribute<'_>) {
        let Body::NonResident(body) = attribute.body else { return };
        let has_stored_size = body.start_vcn == 0 && attribute.flags & (COMPRESSED | SPARSE) != 0;
        let header = if has_stored_size { 72 } else { 64 };
        let runs_at = position_at(attribute.frame, 32).unwrap_or(0);
        if runs_at < header || name_end(attribute).is_none_or(|end| runs_at < end) {
            self.header_fault(number, attribute, "mapping pairs offset");
            return;
        }
        if attribute.flags & COMPRESSED != 0
            && !(1..=UNIT_SHIFT_MAX).contains(&body.unit_shift)
            && body.start_vcn == 0
        {
            self.header_fault(number, attribute, "compression unit");
        }
        match self.claim(number, attribute, &body) {
            Some(piece) if body.start_vcn == 0 && !self.in_pieces => self.whole(number, attribute, &piece),
            Some(_) if self.in_pieces => {}
            Some(piece) => {
                let kind = FaultKind::PieceGap { expected: 0, found: piece.start_vcn };
                self.attribute_fault(number, attribute, kind);
            }
            None => {}
        }
    }

    /// Marks the clusters of a piece as used; `None` when its mapping pairs are damaged.
    fn claim(&mut self, number: u64, attribute: &Attribute<'_>, body: &NonResident<'_>) -> Option<Piece> {
        let mut piece = Piece { start_vcn: body.start_vcn, ..Piece::default() };
        for run in Runs::new(body.runs, self.geometry.clusters) {
            let run = match run {
                Ok(run) => run,
                Err(fault) => {
                    self.attribute_fault(number, attribute, FaultKind::Runs(fault));
                    return None;
                }
            };
            piece.clusters = piece.clusters.saturating_add(run.clusters);
            if let Some(lcn) = run.lcn {
                piece.stored = piece.stored.saturating_add(run.clusters);
                self.claim_run(number, attribute, lcn, run.clusters);
            }
        }
        // An empty piece ends one before it begins.
        let expected = body.last_vcn.wrapping_add(1).wrapping_sub(body.start_vcn);
        if piece.clusters != expected {
            let found = piece.clusters;
            self.attribute_fault(number, attribute, FaultKind::RunsLength { expected, found });
            return None;
        }
        Some(piece)
    }

    fn claim_run(&mut self, number: u64, attribute: &Attribute<'_>, lcn: u64, clusters: u64) {
        // Runs that overlap cost as much as those that do not: what claims more than twice the
        // volume is made up.
        let limit = self.geometry.clusters.saturating_mul(2);
        let before = self.claimed;
        self.claimed = before.saturating_add(clusters);
        if self.claimed > limit {
            if before <= limit {
                self.faults.push(Fault::new(number, FaultKind::ClustersOverclaimed { clusters: limit }));
            }
            return;
        }
        if let Some(shared) = self.clusters.mark(lcn, clusters) {
            let kind = FaultKind::ClustersShared { lcn: shared.lcn, clusters: shared.clusters };
            self.attribute_fault(number, attribute, kind);
        }
    }

    /// The sizes of a stream against its clusters; `attribute` is its first piece.
    pub(super) fn whole(&mut self, number: u64, attribute: &Attribute<'_>, clusters: &Piece) {
        let field = |at| u64_at(attribute.frame, at).unwrap_or(0);
        let bytes = |clusters: u64| clusters.saturating_mul(self.geometry.cluster_bytes.into());
        let (allocated, length, initialized) = (field(40), field(48), field(56));
        let is_sparse = attribute.flags & (COMPRESSED | SPARSE) != 0;
        let holes = clusters.clusters.saturating_sub(clusters.stored);
        let (expected, stored) = (bytes(clusters.clusters), bytes(clusters.stored));
        let kinds = [
            (allocated != expected).then_some(FaultKind::AllocatedSize { expected, found: allocated }),
            (length > allocated).then_some(FaultKind::DataSize { length, allocated }),
            (initialized > length).then_some(FaultKind::InitializedSize { length, initialized }),
            (holes != 0 && !is_sparse && number != BAD_CLUSTERS)
                .then_some(FaultKind::Hole { clusters: holes }),
            (is_sparse && field(64) != stored)
                .then_some(FaultKind::StoredSize { expected: stored, found: field(64) }),
        ];
        for kind in kinds.into_iter().flatten() {
            self.attribute_fault(number, attribute, kind);
        }
    }
}

/// Where an attribute's name ends, or its header when it has none.
fn name_end(attribute: &Attribute<'_>) -> Option<usize> {
    if attribute.name.is_empty() {
        Some(24)
    } else {
        position_at(attribute.frame, 10)?.checked_add(attribute.name.len())
    }
}

/// Whether an attribute of this type can be in clusters.
fn may_leave(kind: u32) -> bool {
    !matches!(kind, STANDARD_INFORMATION | FILE_NAME | INDEX_ROOT | VOLUME_NAME | VOLUME_INFORMATION)
}
