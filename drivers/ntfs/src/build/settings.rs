//! What a new volume shall be like, and the sizes that follow from it. spec/ntfs.md §5 "Boot sector".

use super::error::BuildError;
use super::fields::aligned;
use super::spec::FileTime;
use super::tree::BLOCK_BYTES;

/// Windows keeps cluster numbers in 32 bits: also a file has at most so many.
pub(super) const CLUSTERS_MAX: u64 = 0xffff_ffff;
/// What Windows formats with up to 16 TiB.
const CLUSTER_BYTES_USUAL: u32 = 4096;
/// Beyond; enough for 256 TiB.
const CLUSTER_BYTES_LARGE: u32 = 64 << 10;
/// The largest cluster that every reader tried can handle; Windows itself formats up to 2 MiB.
const CLUSTER_BYTES_MAX: u32 = 64 << 10;
/// A sparse stream is allocated in units of 2^4 clusters, as Windows does it.
const SPARSE_UNIT_SHIFT: u8 = 4;
/// Beyond this cluster size streams have no units; they cannot be compressed either.
const UNIT_CLUSTER_BYTES_MAX: u32 = 4096;
/// Windows' limit for a label.
const LABEL_UNITS_MAX: usize = 32;
/// Below, there is no room for the file system itself.
const VOLUME_BYTES_MIN: u64 = 4 << 20;
/// Boot sector and boot code, which is not there.
pub(super) const BOOT_FILE_BYTES: u64 = 8192;

/// What a new volume shall be like.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Settings {
    /// Length of the partition: whole sectors.
    pub volume_bytes: u64,
    /// The drive's logical sectors: 512 or 4096.
    pub sector_bytes: u32,
    /// `None`: 4 KiB up to 16 TiB, 64 KiB beyond.
    pub cluster_bytes: Option<u32>,
    /// What Windows shows for the drive; at most 32 UTF-16 units.
    pub label: String,
    /// The volume's serial number: random, please.
    pub serial: u64,
    /// Where the partition begins on the drive, in sectors. Readers do not use it; Windows needs it
    /// to boot, and checkers compare it.
    pub first_sector_of_partition: u32,
    /// The time of everything that the file system has for itself.
    pub time: FileTime,
    /// Files of `\System Volume Information` that lie where another layer needs them.
    pub placed: Vec<PlacedFile>,
}

/// A file of `\System Volume Information` that owns certain clusters, so that nothing else does.
///
/// Hidden, system and archive, as Windows makes the covers of BitLocker's areas (spec/ntfs.md §5
/// "Inside BitLocker"). The builder never writes there.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PlacedFile {
    /// Its name.
    pub name: String,
    /// Where it begins: at a cluster.
    pub offset_bytes: u64,
    /// How long it is; all of its clusters are its own.
    pub length_bytes: u64,
}

/// Sizes of the volume, checked.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Shape {
    pub(super) sector_bytes: u32,
    pub(super) cluster_bytes: u32,
    pub(super) record_bytes: u32,
    /// Sectors as the boot sector counts them: without the last, which is the boot sector's copy.
    pub(super) sectors: u64,
    /// Whole clusters in them.
    pub(super) clusters: u64,
    /// Bytes of the security descriptor that each file holds itself; 0 where `$Secure` has it.
    pub(super) descriptor_bytes: usize,
}

impl Shape {
    pub(super) fn new(settings: &Settings) -> Result<Shape, BuildError> {
        let sector_bytes = settings.sector_bytes;
        let volume_bytes = settings.volume_bytes;
        if sector_bytes != 512 && sector_bytes != 4096 {
            return Err(BuildError::SectorSize { sector_bytes });
        }
        let whole = volume_bytes.is_multiple_of(sector_bytes.into());
        if !whole || volume_bytes < VOLUME_BYTES_MIN || i64::try_from(volume_bytes).is_err() {
            return Err(BuildError::VolumeSize { volume_bytes, sector_bytes });
        }
        let sectors = volume_bytes.checked_div(sector_bytes.into()).unwrap_or(0).saturating_sub(1);
        let clusters_of = |cluster_bytes: u32| {
            let usable_bytes = sectors.saturating_mul(sector_bytes.into());
            usable_bytes.checked_div(cluster_bytes.into()).unwrap_or(0)
        };
        let usual = if clusters_of(CLUSTER_BYTES_USUAL) <= CLUSTERS_MAX {
            CLUSTER_BYTES_USUAL
        } else {
            CLUSTER_BYTES_LARGE
        };
        let cluster_bytes = settings.cluster_bytes.unwrap_or(usual);
        let clusters = clusters_of(cluster_bytes);
        let possible =
            cluster_bytes.is_power_of_two() && (sector_bytes..=CLUSTER_BYTES_MAX).contains(&cluster_bytes);
        if !possible || clusters > CLUSTERS_MAX {
            return Err(BuildError::ClusterSize { cluster_bytes, volume_bytes, sector_bytes });
        }
        let record_bytes = sector_bytes.max(1024);
        Ok(Shape { sector_bytes, cluster_bytes, record_bytes, sectors, clusters, descriptor_bytes: 0 })
    }

    /// How many clusters hold so many bytes.
    pub(super) fn clusters_for(&self, bytes: u64) -> u64 {
        bytes.div_ceil(self.cluster_bytes.into())
    }

    /// How many bytes so many clusters hold; of clusters of a volume, so it fits.
    pub(super) fn bytes_of(&self, clusters: u64) -> u64 {
        clusters.saturating_mul(self.cluster_bytes.into())
    }

    /// How many bytes so many records take.
    pub(super) fn record_bytes_of(&self, records: u64) -> u64 {
        records.saturating_mul(self.record_bytes.into())
    }

    /// A record's length in memory.
    pub(super) fn record_length(&self) -> usize {
        if self.record_bytes == 4096 { 4096 } else { 1024 }
    }

    /// Where a record's attributes begin: behind its update sequence array.
    pub(super) fn first_attribute(&self) -> usize {
        let array_bytes = super::fields::sequence_words(self.record_length()).saturating_mul(2);
        aligned(super::record::SEQUENCE_ARRAY_AT.saturating_add(array_bytes))
    }

    /// How far the VCNs of two index blocks are apart: clusters, or units of 512 bytes when a cluster
    /// is larger than a block.
    pub(super) fn block_vcns(&self) -> u32 {
        let unit = if self.cluster_bytes > block_bytes() { 512 } else { self.cluster_bytes };
        block_bytes().checked_div(unit).unwrap_or(1)
    }

    /// How many clusters, as a power of two, are together data or hole in a sparse stream.
    ///
    /// Readers may take a unit that is partly a hole for a compressed one (7-Zip does), whatever the
    /// stream's flags say.
    pub(super) fn sparse_unit_shift(&self) -> u8 {
        if self.cluster_bytes <= UNIT_CLUSTER_BYTES_MAX { SPARSE_UNIT_SHIFT } else { 0 }
    }

    /// The same in clusters.
    pub(super) fn sparse_unit_clusters(&self) -> u64 {
        1_u64.wrapping_shl(self.sparse_unit_shift().into())
    }

    /// How many clusters a sparse stream of so many bytes spans: whole units.
    pub(super) fn sparse_clusters_for(&self, bytes: u64) -> u64 {
        self.clusters_for(bytes).next_multiple_of(self.sparse_unit_clusters())
    }

    /// The longest file: with 4 KiB clusters 16 TiB less 64 KiB, which is what Windows documents.
    pub(super) fn length_max_bytes(&self) -> u64 {
        let units = CLUSTERS_MAX.checked_div(self.sparse_unit_clusters()).unwrap_or(0);
        self.bytes_of(units.saturating_mul(self.sparse_unit_clusters()))
    }

    /// `$MFTMirr` doubles four records, or as many as a cluster holds.
    pub(super) fn mirror_bytes(&self) -> u64 {
        self.record_bytes_of(4).max(self.cluster_bytes.into())
    }
}

/// Length of an index block.
pub(super) fn block_bytes() -> u32 {
    super::fields::long(BLOCK_BYTES)
}

/// The label in UTF-16.
pub(super) fn label_units(label: &str) -> Result<Vec<u16>, BuildError> {
    let units: Vec<u16> = label.encode_utf16().collect();
    match units.len() {
        0..=LABEL_UNITS_MAX => Ok(units),
        units => Err(BuildError::Label { units, units_max: LABEL_UNITS_MAX }),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn settings(volume_bytes: u64, sector_bytes: u32, cluster_bytes: Option<u32>) -> Settings {
        Settings {
            volume_bytes,
            sector_bytes,
            cluster_bytes,
            label: String::new(),
            serial: 1,
            first_sector_of_partition: 2048,
            time: FileTime(0),
            placed: Vec::new(),
        }
    }

    #[test]
    fn clusters_are_4_kib_up_to_16_tib_and_64_kib_beyond() {
        let cluster = |volume_bytes| Shape::new(&settings(volume_bytes, 512, None)).unwrap().cluster_bytes;
        assert_eq!(cluster(64 << 20), 4096);
        assert_eq!(cluster(16 << 40), 4096);
        assert_eq!(cluster((16 << 40) + 4096), 65_536);
        assert_eq!(cluster(256 << 40), 65_536);
    }

    #[test]
    fn sizes_that_ntfs_does_not_have_are_refused() {
        let refused = |volume_bytes, sector_bytes, cluster_bytes| {
            Shape::new(&settings(volume_bytes, sector_bytes, cluster_bytes)).unwrap_err()
        };
        let volume = 64 << 20;
        assert!(matches!(refused(volume, 1024, None), BuildError::SectorSize { sector_bytes: 1024 }));
        assert!(matches!(refused(volume + 1, 512, None), BuildError::VolumeSize { .. }));
        assert!(matches!(refused(1 << 20, 512, None), BuildError::VolumeSize { .. }));
        assert!(matches!(refused(1 << 63, 512, None), BuildError::VolumeSize { .. }));
        assert!(matches!(refused(volume, 4096, Some(512)), BuildError::ClusterSize { .. }));
        assert!(matches!(refused(volume, 512, Some(3000)), BuildError::ClusterSize { .. }));
        assert!(matches!(refused(volume, 512, Some(128 << 10)), BuildError::ClusterSize { .. }));
        assert!(matches!(refused(17 << 40, 512, Some(4096)), BuildError::ClusterSize { .. }));
        assert!(matches!(refused(257 << 40, 512, None), BuildError::ClusterSize { .. }));
    }

    #[test]
    fn records_and_index_blocks_follow_from_sectors_and_clusters() {
        let shape = |sector, cluster| Shape::new(&settings(64 << 20, sector, Some(cluster))).unwrap();
        assert_eq!((shape(512, 4096).first_attribute(), shape(4096, 4096).first_attribute()), (56, 72));
        assert_eq!(shape(512, 512).block_vcns(), 8);
        assert_eq!(shape(512, 4096).block_vcns(), 1);
        assert_eq!(shape(512, 65_536).block_vcns(), 8);
        assert_eq!(shape(512, 512).mirror_bytes(), 4096);
        assert_eq!(shape(4096, 4096).mirror_bytes(), 16_384);
        assert_eq!(shape(512, 65_536).mirror_bytes(), 65_536);
    }
}
