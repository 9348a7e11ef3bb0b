//! Where each byte of the volume's file system is on the device: the rules of spec §6, in their
//! order.
//!
//! 1. The head of the file system was moved to the virtualised area.
//! 2. Metadata areas, the virtualised area itself and the structures of a running conversion read
//!    as zeros.
//! 3. Everything else is in place, encrypted or not as the state of the conversion says.
//!
//! Nothing is precomputed but the sorted list of zero ranges and the bitmaps of a running
//! conversion, so memory does not grow with the drive.

use block::ReadAt;

use crate::format::{Layout, ReservedKind};
use crate::metadata::eow::ChunkMap;
use crate::metadata::{ConversionMapError, ConversionState, Places, Virtualised, VolumeKind};
use crate::range::{Range, RangeSet, boundary_before};
use crate::{CipherError, Metadata};

/// Why an unlocked volume is not served.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    /// The conversion is in a state that nobody knows.
    #[error("the volume's conversion is in unknown state {number}")]
    UnknownState {
        /// The state.
        number: u16,
    },
    /// An encrypt-on-write volume whose map cannot be read: which parts are encrypted is unknown,
    /// and a guess would give wrong bytes.
    #[error("which parts of the volume are encrypted is unknown")]
    ConversionMap(#[source] ConversionMapError),
    /// The moved head of the file system is not where it could be.
    #[error("the file system's head was moved to {offset_bytes:#x}+{length_bytes:#x}, which cannot be")]
    VirtualisedArea {
        /// By the metadata.
        offset_bytes: u64,
        /// By the metadata.
        length_bytes: u64,
    },
    /// A boundary that must lie between two sectors does not.
    #[error("{what} at {offset_bytes:#x} is not on a boundary of sectors of {sector_bytes} bytes")]
    Unaligned {
        /// Which boundary.
        what: &'static str,
        /// Where.
        offset_bytes: u64,
        /// The sector size.
        sector_bytes: u32,
    },
    /// Method and key make no cipher.
    #[error("preparing the cipher")]
    Cipher(#[from] CipherError),
}

/// A piece of the volume that lies in one piece on the device and is read in one way.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Segment {
    /// Where it is on the volume.
    pub logical_offset_bytes: u64,
    /// Its length; never 0.
    pub length_bytes: u64,
    /// Where its bytes come from.
    pub source: Source,
}

/// Where a segment's bytes come from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Source {
    /// Nowhere: it reads as zeros.
    Zeros,
    /// The device, as they are.
    Plain {
        /// Where on the device.
        physical_offset_bytes: u64,
    },
    /// The device, encrypted; the cipher wants this same offset. It is on a sector boundary if the
    /// segment's logical offset is.
    Encrypted {
        /// Where on the device.
        physical_offset_bytes: u64,
    },
    /// A boot sector of a Vista volume, two fields of which must be put back:
    /// [`Volume`](crate::Volume) reads it.
    BootSector {
        /// Where on the device.
        physical_offset_bytes: u64,
        /// Whether the conversion went over it.
        is_encrypted: bool,
    },
}

/// How much of a volume is encrypted.
#[derive(Debug, Clone)]
enum Conversion {
    All,
    Nothing,
    /// Encrypted below, plaintext from there on.
    Below(u64),
    Chunks(ChunkMap),
}

/// Where a volume's bytes are. Needs no key.
#[derive(Debug, Clone)]
pub struct VolumeMap {
    length_bytes: u64,
    sector_bytes: u32,
    virtualised: Option<Virtualised>,
    zeros: RangeSet,
    conversion: Conversion,
    vista: Option<Vista>,
}

/// What is particular to Vista: the head is in place and in the clear, and boot sectors are patched.
#[derive(Debug, Clone, Copy)]
struct Vista {
    mft_mirror_cluster: u64,
}

/// Vista leaves the first 16 sectors of 512 bytes in the clear (spec §6).
const VISTA_HEAD_BYTES: u64 = 0x2000;

/// The name that Vista's BitLocker puts in place of NTFS's.
const VISTA_OEM: &[u8; 8] = b"-FVE-FS-";

const NTFS_OEM: &[u8; 8] = b"NTFS    ";

impl Metadata {
    /// Where the volume's bytes are on this device, which may be shorter than the volume.
    ///
    /// # Errors
    /// When the conversion's state or the places in the metadata cannot be used; needs no key, so a
    /// volume that must be refused is known as such before anybody types a password.
    pub fn map(&self, device: &dyn ReadAt) -> Result<VolumeMap, OpenError> {
        let length_bytes = boundary_before(device.length_bytes(), self.sector_bytes);
        let virtualised = self.checked_virtualised(length_bytes)?;
        let conversion = self.conversion(device)?;
        let zeros = self.checked_zeros(virtualised, &conversion, length_bytes)?;
        let vista = self.places.mft_mirror_cluster.map(|mft_mirror_cluster| Vista { mft_mirror_cluster });
        let map = VolumeMap {
            length_bytes,
            sector_bytes: self.sector_bytes,
            virtualised,
            zeros,
            conversion,
            vista,
        };
        map.check_coverage()?;
        Ok(map)
    }

    fn checked_virtualised(&self, length_bytes: u64) -> Result<Option<Virtualised>, OpenError> {
        let Some(area) = self.places.virtualised else { return Ok(None) };
        let range = Range::checked(area.offset_bytes, area.length_bytes);
        let fits = range.is_some_and(|range| {
            range.end <= length_bytes && area.length_bytes > 0 && area.length_bytes <= area.offset_bytes
        });
        if !fits {
            let Virtualised { offset_bytes, length_bytes } = area;
            return Err(OpenError::VirtualisedArea { offset_bytes, length_bytes });
        }
        self.check_aligned("the virtualised area", area.offset_bytes)?;
        self.check_aligned("the virtualised area's end", range.map_or(0, |range| range.end))?;
        Ok(Some(area))
    }

    fn checked_zeros(
        &self,
        virtualised: Option<Virtualised>,
        conversion: &Conversion,
        length_bytes: u64,
    ) -> Result<RangeSet, OpenError> {
        let Places { areas_bytes, area_length_bytes, conversion_log_bytes, .. } = &self.places;
        let mut zeros: Vec<Range> =
            areas_bytes.iter().map(|start| Range::new(*start, *area_length_bytes)).collect();
        zeros.extend(virtualised.map(|area| Range::new(area.offset_bytes, area.length_bytes)));
        if *conversion_log_bytes > 0 {
            zeros.push(Range::new(self.watermark_bytes, *conversion_log_bytes));
        }
        if let Conversion::Chunks(chunks) = conversion {
            zeros.extend(&chunks.reserved);
        }
        for range in &zeros {
            self.check_aligned("a reserved area", range.start)?;
        }
        // A length that is no multiple of the sector hides the rest of its last sector, which no
        // file can use.
        let unit = u64::from(self.sector_bytes);
        let whole = zeros.into_iter().map(|range| Range {
            start: range.start,
            end: range.end.checked_next_multiple_of(unit).unwrap_or(range.end),
        });
        Ok(RangeSet::new(whole, length_bytes))
    }

    fn conversion(&self, device: &dyn ReadAt) -> Result<Conversion, OpenError> {
        match self.state {
            ConversionState::Decrypted => Ok(Conversion::Nothing),
            ConversionState::Unknown(number) => Err(OpenError::UnknownState { number }),
            _ if self.kind == VolumeKind::EncryptOnWrite => {
                ChunkMap::read(device, &self.places.conversion_bytes, u64::from(self.sector_bytes))
                    .map(Conversion::Chunks)
                    .map_err(OpenError::ConversionMap)
            }
            ConversionState::Encrypted => Ok(Conversion::All),
            ConversionState::ConvertingDirty | ConversionState::Paused | ConversionState::Converting => {
                self.check_aligned("the conversion's watermark", self.watermark_bytes)?;
                Ok(Conversion::Below(self.watermark_bytes))
            }
        }
    }

    fn check_aligned(&self, what: &'static str, offset_bytes: u64) -> Result<(), OpenError> {
        if offset_bytes.is_multiple_of(u64::from(self.sector_bytes)) {
            Ok(())
        } else {
            Err(OpenError::Unaligned { what, offset_bytes, sector_bytes: self.sector_bytes })
        }
    }
}

impl VolumeMap {
    /// A volume as the formatter makes it: encrypted as a whole.
    pub(crate) fn of_new_volume(layout: &Layout) -> VolumeMap {
        let reserved = layout.reserved();
        let place = |kind: ReservedKind| reserved.iter().find(move |area| area.kind == kind);
        let virtualised = place(ReservedKind::Virtualised)
            .map(|area| Virtualised { offset_bytes: area.offset_bytes, length_bytes: area.length_bytes });
        // The spare is ordinary encrypted space (spec §3.4).
        let zeros = reserved
            .iter()
            .filter(|area| area.kind != ReservedKind::Spare)
            .map(|area| Range::new(area.offset_bytes, area.length_bytes));
        VolumeMap {
            length_bytes: layout.volume_bytes(),
            sector_bytes: layout.sector_bytes(),
            virtualised,
            zeros: RangeSet::new(zeros, layout.volume_bytes()),
            conversion: Conversion::All,
            vista: None,
        }
    }

    /// Length of the volume: the device's, in whole sectors.
    pub fn length_bytes(&self) -> u64 {
        self.length_bytes
    }

    /// The cipher's unit: 512 or 4096.
    pub fn sector_bytes(&self) -> u32 {
        self.sector_bytes
    }

    /// The pieces of a range, ascending, without gap or overlap, cut at the volume's end. They
    /// begin and end on sector boundaries where the range does.
    pub fn segments(&self, logical_offset_bytes: u64, length_bytes: u64) -> Segments<'_> {
        let end = logical_offset_bytes.saturating_add(length_bytes).min(self.length_bytes);
        Segments { map: self, position: logical_offset_bytes, end }
    }

    /// The parts of the volume that belong to BitLocker and read as zeros, as offset and length.
    pub fn reserved(&self) -> impl Iterator<Item = (u64, u64)> + '_ {
        self.zeros.iter().map(|range| (range.start, range.length()))
    }

    /// Every byte that is read from a place must have a known state there.
    fn check_coverage(&self) -> Result<(), OpenError> {
        let Conversion::Chunks(chunks) = &self.conversion else { return Ok(()) };
        let head = self.virtualised.map_or(0, |area| area.length_bytes);
        let mut position = head;
        let ends = self.zeros.iter().map(|range| (range.start, range.end));
        for (zeros_start, zeros_end) in ends.chain([(self.length_bytes, self.length_bytes)]) {
            if position < zeros_start {
                let range = Range { start: position, end: zeros_start };
                if let Some(offset_bytes) = chunks.first_gap(range) {
                    return Err(uncovered(offset_bytes));
                }
            }
            position = position.max(zeros_end);
        }
        let moved = self.virtualised.map(|area| Range::new(area.offset_bytes, area.length_bytes));
        match moved.and_then(|range| chunks.first_gap(range)) {
            Some(offset_bytes) => Err(uncovered(offset_bytes)),
            None => Ok(()),
        }
    }

    /// The source of the byte at a position, and where that piece ends.
    fn at(&self, position: u64) -> (Source, u64) {
        if let Some(area) = self.virtualised.filter(|area| position < area.length_bytes) {
            let (source, physical_end) = self.in_place(area.offset_bytes.saturating_add(position));
            let end = physical_end.saturating_sub(area.offset_bytes);
            return (source, end.min(area.length_bytes));
        }
        let zeros = self.zeros.at_or_after(position);
        if let Some(range) = zeros.filter(|range| range.start <= position) {
            return (Source::Zeros, range.end);
        }
        let limit = zeros.map_or(self.length_bytes, |range| range.start);
        let (source, end) = match self.vista {
            Some(_) => self.vista_at(position),
            None => self.in_place(position),
        };
        (source, end.min(limit))
    }

    fn in_place(&self, physical_offset_bytes: u64) -> (Source, u64) {
        let encrypted = Source::Encrypted { physical_offset_bytes };
        let plain = Source::Plain { physical_offset_bytes };
        match &self.conversion {
            Conversion::All => (encrypted, u64::MAX),
            Conversion::Nothing => (plain, u64::MAX),
            Conversion::Below(watermark) if physical_offset_bytes < *watermark => (encrypted, *watermark),
            Conversion::Below(_) => (plain, u64::MAX),
            Conversion::Chunks(chunks) => match chunks.state_at(physical_offset_bytes) {
                Some((true, end)) => (encrypted, end),
                Some((false, end)) => (plain, end),
                // `check_coverage` refused maps with such places.
                None => (Source::Zeros, physical_offset_bytes.saturating_add(u64::from(self.sector_bytes))),
            },
        }
    }

    /// The first and the last sector are boot sectors, the rest of the head is in the clear.
    fn vista_at(&self, position: u64) -> (Source, u64) {
        let unit = u64::from(self.sector_bytes);
        let last = self.length_bytes.saturating_sub(unit);
        let physical_offset_bytes = position;
        if position < unit {
            return (Source::BootSector { physical_offset_bytes, is_encrypted: false }, unit);
        }
        if position < VISTA_HEAD_BYTES {
            return (Source::Plain { physical_offset_bytes }, VISTA_HEAD_BYTES);
        }
        let (source, end) = self.in_place(position);
        if position >= last {
            let is_encrypted = matches!(source, Source::Encrypted { .. });
            return (Source::BootSector { physical_offset_bytes, is_encrypted }, self.length_bytes);
        }
        (source, end.min(last))
    }

    /// Vista: puts the name and the cluster of $MFTMirr back, if this is a boot sector.
    pub(super) fn restore_boot_sector(&self, sector: &mut [u8]) {
        let Some(vista) = self.vista.filter(|_| is_vista_boot_sector(sector)) else { return };
        if let Some(name) = sector.get_mut(3..11) {
            name.copy_from_slice(NTFS_OEM);
        }
        if let Some(cluster) = sector.get_mut(0x38..0x40) {
            cluster.copy_from_slice(&vista.mft_mirror_cluster.to_le_bytes());
        }
    }
}

/// Whether a sector carries the name that Vista's BitLocker writes.
pub(super) fn is_vista_boot_sector(sector: &[u8]) -> bool {
    sector.get(3..11) == Some(VISTA_OEM)
}

fn uncovered(offset_bytes: u64) -> OpenError {
    OpenError::ConversionMap(ConversionMapError { offset_bytes, what: "no region covers the volume" })
}

/// The pieces of a range of a volume: see [`VolumeMap::segments`].
#[derive(Debug, Clone)]
pub struct Segments<'a> {
    map: &'a VolumeMap,
    position: u64,
    end: u64,
}

impl Iterator for Segments<'_> {
    type Item = Segment;

    fn next(&mut self) -> Option<Segment> {
        if self.position >= self.end {
            return None;
        }
        let logical_offset_bytes = self.position;
        let (source, end) = self.map.at(logical_offset_bytes);
        // A piece is never empty, whatever the map's numbers are: the walk must end.
        self.position = end.clamp(logical_offset_bytes.saturating_add(1), self.end);
        let length_bytes = self.position.saturating_sub(logical_offset_bytes);
        Some(Segment { logical_offset_bytes, length_bytes, source })
    }
}
