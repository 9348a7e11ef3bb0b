//! Where BitLocker's own areas go on a new volume (spec §9.2).

use std::fmt;

use crate::range::boundary_before;

/// Windows' minimum.
const VOLUME_BYTES_MIN: u64 = 64 << 20;

/// Where Windows begins to look for a place.
const FIRST_AREA_BYTES: u64 = 33 << 20;

/// Every area begins on a cluster of the file system, which has at least this size.
const CLUSTER_BYTES: u32 = 4096;

/// A metadata area fills whole clusters up to this size.
const CLUSTER_BYTES_MAX: u32 = 0x10000;

/// Length of a metadata area and of the spare.
const AREA_BYTES: u64 = 0x10000;

/// How much of the file system's head is moved.
pub(super) const VIRTUALISED_BYTES: u64 = 0x2000;

/// What is left behind a shorter file system: the areas, and at the end free space, because
/// cryptsetup never ends on an area that touches the device's end (spec §8).
const TAIL_BYTES: u64 = 1 << 20;

/// Places on a volume of a certain size.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Layout {
    volume_bytes: u64,
    sector_bytes: u32,
    file_system_bytes: u64,
    areas_bytes: [u64; 3],
    virtualised_bytes: u64,
    spare_bytes: u64,
}

/// An area that the file system must not use.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Reserved {
    /// What it is for.
    pub kind: ReservedKind,
    /// Where it begins.
    pub offset_bytes: u64,
    /// Its length.
    pub length_bytes: u64,
}

/// What an area is for. Displays as the name of the file in `\System Volume Information` that
/// Windows covers it with.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ReservedKind {
    /// A copy of the metadata: 1 to 3.
    Metadata(u8),
    /// The head of the file system.
    Virtualised,
    /// Space that Windows keeps for conversions.
    Spare,
}

/// A size that cannot be laid out.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum LayoutError {
    /// Below Windows' minimum.
    #[error("a BitLocker volume has at least {VOLUME_BYTES_MIN} bytes, this has {volume_bytes}")]
    TooSmall {
        /// The volume's size.
        volume_bytes: u64,
    },
    /// Neither 512 nor 4096, or the volume is not made of whole sectors.
    #[error("a volume of {volume_bytes} bytes with sectors of {sector_bytes} bytes")]
    SectorSize {
        /// The volume's size.
        volume_bytes: u64,
        /// The sector size.
        sector_bytes: u32,
    },
    /// No power of two, or larger than a metadata area.
    #[error("clusters of {cluster_bytes} bytes")]
    ClusterSize {
        /// The cluster size.
        cluster_bytes: u32,
    },
}

impl Layout {
    /// As Windows does it: the areas lie between the file system's clusters, which must leave them
    /// out: see [`Layout::reserved`].
    ///
    /// # Errors
    /// When the volume is too small or its sectors are odd.
    pub fn within_file_system(volume_bytes: u64, sector_bytes: u32) -> Result<Layout, LayoutError> {
        Layout::within_clusters(volume_bytes, sector_bytes, CLUSTER_BYTES)
    }

    /// As [`Layout::within_file_system`], for clusters of more than 4 KiB, which a file system
    /// needs above 16 TiB: no two areas share one.
    ///
    /// # Errors
    /// As there, and when the clusters are no power of two or larger than 64 KiB.
    pub fn within_clusters(
        volume_bytes: u64,
        sector_bytes: u32,
        cluster_bytes: u32,
    ) -> Result<Layout, LayoutError> {
        check(volume_bytes, sector_bytes)?;
        if !cluster_bytes.is_power_of_two() || cluster_bytes > CLUSTER_BYTES_MAX {
            return Err(LayoutError::ClusterSize { cluster_bytes });
        }
        let unit = cluster_bytes.max(CLUSTER_BYTES);
        let free = volume_bytes.saturating_sub(FIRST_AREA_BYTES);
        let third = |index: u64| {
            let place = FIRST_AREA_BYTES.saturating_add(free.saturating_mul(index) / 3);
            boundary_before(place, unit)
        };
        let first = third(0);
        let behind_head = first.saturating_add(AREA_BYTES).saturating_add(VIRTUALISED_BYTES);
        Ok(Layout {
            volume_bytes,
            sector_bytes,
            file_system_bytes: volume_bytes,
            areas_bytes: [first, third(1), third(2)],
            virtualised_bytes: first.saturating_add(AREA_BYTES),
            spare_bytes: behind_head.next_multiple_of(u64::from(unit)),
        })
    }

    /// All areas behind a file system that is a megabyte shorter than the volume: for file systems
    /// that others made. Read by everything that was tried, but not how Windows does it.
    ///
    /// # Errors
    /// As [`Layout::within_file_system`].
    pub fn behind_file_system(volume_bytes: u64, sector_bytes: u32) -> Result<Layout, LayoutError> {
        check(volume_bytes, sector_bytes)?;
        let start = boundary_before(volume_bytes.saturating_sub(TAIL_BYTES), CLUSTER_BYTES);
        let place = |areas: u64| start.saturating_add(areas.saturating_mul(AREA_BYTES));
        Ok(Layout {
            volume_bytes,
            sector_bytes,
            file_system_bytes: start,
            areas_bytes: [place(0), place(3), place(6)],
            virtualised_bytes: place(1),
            spare_bytes: place(4),
        })
    }

    /// Length of the whole volume.
    pub fn volume_bytes(&self) -> u64 {
        self.volume_bytes
    }

    /// Its sector size: 512 or 4096.
    pub fn sector_bytes(&self) -> u32 {
        self.sector_bytes
    }

    /// How long the file system may be.
    pub fn file_system_bytes(&self) -> u64 {
        self.file_system_bytes
    }

    /// The areas, ascending by offset.
    pub fn reserved(&self) -> Vec<Reserved> {
        let of = |kind, offset_bytes, length_bytes| Reserved { kind, offset_bytes, length_bytes };
        let mut reserved = vec![
            of(ReservedKind::Virtualised, self.virtualised_bytes, VIRTUALISED_BYTES),
            of(ReservedKind::Spare, self.spare_bytes, AREA_BYTES),
        ];
        reserved.extend(
            (1..)
                .zip(self.areas_bytes)
                .map(|(copy, place)| of(ReservedKind::Metadata(copy), place, AREA_BYTES)),
        );
        reserved.sort_by_key(|area| area.offset_bytes);
        reserved
    }

    pub(super) fn areas_bytes(&self) -> [u64; 3] {
        self.areas_bytes
    }

    pub(super) fn virtualised_bytes(&self) -> u64 {
        self.virtualised_bytes
    }

    pub(super) fn spare_bytes(&self) -> u64 {
        self.spare_bytes
    }
}

impl fmt::Display for ReservedKind {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            ReservedKind::Metadata(copy) => {
                write!(formatter, "FVE2.{{e40ad34d-dae9-4bc7-95bd-b16218c10f72}}.{copy}")
            }
            ReservedKind::Virtualised => formatter.write_str("FVE2.{24e6f0ae-6a00-4f73-984b-75ce9942852d}"),
            ReservedKind::Spare => formatter.write_str("FVE2.{da392a22-cae0-4f0f-9a30-b8830385d046}"),
        }
    }
}

fn check(volume_bytes: u64, sector_bytes: u32) -> Result<(), LayoutError> {
    let is_whole = volume_bytes.is_multiple_of(u64::from(sector_bytes));
    if !matches!(sector_bytes, 512 | 4096) || !is_whole {
        return Err(LayoutError::SectorSize { volume_bytes, sector_bytes });
    }
    if volume_bytes < VOLUME_BYTES_MIN {
        return Err(LayoutError::TooSmall { volume_bytes });
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn windows_7_puts_the_copies_at_thirds_behind_33_mebibytes() {
        let layout = Layout::within_file_system(100 << 20, 512).unwrap();
        assert_eq!(layout.areas_bytes, [0x210_0000, 0x375_5000, 0x4DA_A000]);
        assert_eq!((layout.virtualised_bytes, layout.spare_bytes), (0x211_0000, 0x211_2000));
    }

    #[test]
    fn a_volume_that_is_too_small_or_of_odd_sectors_is_refused() {
        let small = LayoutError::TooSmall { volume_bytes: (64 << 20) - 512 };
        assert_eq!(Layout::within_file_system((64 << 20) - 512, 512), Err(small));
        for (volume_bytes, sector_bytes) in [(64 << 20, 2048), ((64 << 20) + 512, 4096), (64 << 20, 0)] {
            let odd = Err(LayoutError::SectorSize { volume_bytes, sector_bytes });
            assert_eq!(Layout::behind_file_system(volume_bytes, sector_bytes), odd);
        }
    }

    #[test]
    fn clusters_that_no_area_fits_into_are_refused() {
        for cluster_bytes in [0, 3 << 12, 1 << 17] {
            let odd = Err(LayoutError::ClusterSize { cluster_bytes });
            assert_eq!(Layout::within_clusters(1 << 30, 512, cluster_bytes), odd);
        }
    }

    proptest! {
        #[test]
        fn areas_are_aligned_apart_and_clear_of_both_ends(
            sectors in (64_u64 << 20) / 4096..1 << 36, is_4k: bool, is_behind: bool, cluster in 9_u32..17,
        ) {
            let (volume_bytes, sector_bytes) = (sectors * 4096, if is_4k { 4096 } else { 512 });
            let layout = if is_behind {
                Layout::behind_file_system(volume_bytes, sector_bytes)
            } else {
                Layout::within_clusters(volume_bytes, sector_bytes, 1 << cluster)
            }.unwrap();
            let unit = if is_behind { 4096 } else { 4096.max(1 << cluster) };
            let mut free_from = if is_behind { layout.file_system_bytes() } else { VIRTUALISED_BYTES };
            for area in layout.reserved() {
                prop_assert!(area.offset_bytes >= free_from, "{area:?}");
                prop_assert!(area.offset_bytes % unit == 0);
                free_from = (area.offset_bytes + area.length_bytes).next_multiple_of(unit);
            }
            prop_assert!(free_from < volume_bytes - u64::from(sector_bytes), "the device's end is touched");
            prop_assert_eq!(layout.reserved().len(), 5);
        }
    }
}
