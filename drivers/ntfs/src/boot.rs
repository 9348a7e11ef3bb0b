//! The boot sector: the volume's geometry, and where `$MFT` begins. spec/ntfs.md §3.1, §5.
//!
//! Each value is checked against the range that NTFS can have before anything is derived from it,
//! so all later arithmetic with a [`Geometry`] has small, non-zero powers of two to work with.
//! Which of the copies to believe is decided in [`crate::volume`].

use crate::bytes::{slice_at, u8_at, u16_at, u32_at, u64_at};

/// Bytes of a boot sector that are looked at, whatever the sector size.
pub(crate) const BOOT_BYTES: usize = 512;
/// Largest cluster: Windows 10 formats up to 2 MiB.
const CLUSTER_BYTES_MAX: u64 = 2 << 20;
/// Largest index block (`$INDEX_ALLOCATION`).
const INDEX_BLOCK_BYTES_MAX: u64 = 64 << 10;

/// What the boot sector says about the volume; every field is checked.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Geometry {
    /// Bytes in a sector as the boot sector counts them: 512 to 4096.
    pub sector_bytes: u32,
    /// Bytes in a cluster: a sector to 2 MiB.
    pub cluster_bytes: u32,
    /// Whole clusters of the volume; every data run must lie below.
    pub clusters: u64,
    /// Bytes in a FILE record: 1024 to 4096.
    pub record_bytes: u32,
    /// Bytes in a block of a directory index: 512 to 65,536. Only a check of the volume reads them.
    pub index_block_bytes: u32,
    /// The volume's length in bytes, without the backup boot sector after it.
    pub volume_bytes: u64,
    /// Where `$MFT` begins, as a cluster.
    pub mft_lcn: u64,
    /// Where `$MFTMirr` begins, as a cluster.
    pub mirror_lcn: u64,
    /// The volume's serial number.
    pub serial: u64,
}

/// Why a sector is not the boot sector of an NTFS volume.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum BootError {
    /// The name at offset 3 is another file system's, or none.
    #[error("the sector does not say NTFS at offset 3")]
    NotNtfs,
    /// A field has a value that no NTFS volume has.
    #[error("the boot sector's {field} is {found:#x}, which no NTFS volume has")]
    Field {
        /// Which field.
        field: &'static str,
        /// Its value.
        found: u64,
    },
}

impl Geometry {
    /// Reads a boot sector.
    ///
    /// # Errors
    /// The first field that cannot be right.
    pub(crate) fn parse(sector: &[u8]) -> Result<Geometry, BootError> {
        if slice_at(sector, 3, 8) != Some(b"NTFS    ") || sector.len() < BOOT_BYTES {
            return Err(BootError::NotNtfs);
        }
        let sector_bytes = sector_bytes(sector)?;
        let cluster_bytes = cluster_bytes(sector, sector_bytes)?;
        let record_bytes = block_bytes("FILE record size", sector, 0x40, cluster_bytes)?;
        if !(1024..=4096).contains(&record_bytes) {
            return Err(field("FILE record size", record_bytes.into()));
        }
        let index_block_bytes = block_bytes("index block size", sector, 0x44, cluster_bytes)?;
        let geometry = Geometry {
            sector_bytes,
            cluster_bytes,
            clusters: 0,
            record_bytes,
            index_block_bytes,
            volume_bytes: 0,
            mft_lcn: u64_at(sector, 0x30).unwrap_or(0),
            mirror_lcn: u64_at(sector, 0x38).unwrap_or(0),
            serial: u64_at(sector, 0x48).unwrap_or(0),
        };
        geometry.with_extent(u64_at(sector, 0x28).unwrap_or(0))
    }

    /// Adds what follows from the number of sectors.
    fn with_extent(mut self, sectors: u64) -> Result<Geometry, BootError> {
        let wrong = || field("sector count", sectors);
        // Offsets must fit an i64, as they do in every system call.
        self.volume_bytes = sectors
            .checked_mul(self.sector_bytes.into())
            .filter(|&bytes| i64::try_from(bytes).is_ok())
            .ok_or_else(wrong)?;
        self.clusters = self.volume_bytes.checked_div(self.cluster_bytes.into()).unwrap_or(0);
        if self.clusters == 0 {
            return Err(wrong());
        }
        if self.mft_lcn == 0 || self.mft_lcn >= self.clusters {
            return Err(field("$MFT cluster", self.mft_lcn));
        }
        Ok(self)
    }

    /// Where a cluster begins on the volume; `None` past the volume's end.
    pub(crate) fn cluster_offset(&self, lcn: u64) -> Option<u64> {
        if lcn >= self.clusters { None } else { lcn.checked_mul(self.cluster_bytes.into()) }
    }

    /// A FILE record's length as a length in memory.
    pub(crate) fn record_length(&self) -> usize {
        usize::try_from(self.record_bytes).unwrap_or(4096)
    }
}

fn field(field: &'static str, found: u64) -> BootError {
    BootError::Field { field, found }
}

fn sector_bytes(sector: &[u8]) -> Result<u32, BootError> {
    let bytes = u16_at(sector, 0x0b).unwrap_or(0);
    if bytes.is_power_of_two() && (512..=4096).contains(&bytes) {
        Ok(bytes.into())
    } else {
        Err(field("sector size", bytes.into()))
    }
}

/// Sectors per cluster: a count up to 0x80, above that the negated power of two (0xF4 is 2^12).
fn cluster_bytes(sector: &[u8], sector_bytes: u32) -> Result<u32, BootError> {
    let raw = u8_at(sector, 0x0d).unwrap_or(0);
    let wrong = || field("cluster size", raw.into());
    let sectors = match raw {
        0..=0x80 => u64::from(raw),
        _ => 1_u64.checked_shl(raw.wrapping_neg().into()).ok_or_else(wrong)?,
    };
    let bytes = sectors.checked_mul(sector_bytes.into()).ok_or_else(wrong)?;
    if !bytes.is_power_of_two() || bytes > CLUSTER_BYTES_MAX {
        return Err(wrong());
    }
    u32::try_from(bytes).map_err(|_| wrong())
}

/// A record's or index block's size: a positive byte counts clusters, a negative one is the negated
/// power of two in bytes.
fn block_bytes(name: &'static str, sector: &[u8], at: usize, cluster_bytes: u32) -> Result<u32, BootError> {
    let raw = u32_at(sector, at).unwrap_or(0);
    let wrong = || field(name, raw.into());
    let [low, ..] = raw.to_le_bytes();
    let bytes = match low {
        0 => None,
        1..=0x7f => u64::from(low).checked_mul(cluster_bytes.into()),
        _ => 1_u64.checked_shl(low.wrapping_neg().into()),
    };
    let bytes =
        bytes.filter(|bytes| bytes.is_power_of_two() && (512..=INDEX_BLOCK_BYTES_MAX).contains(bytes));
    // A one-cluster index block of a 2 MiB-cluster volume is 4096 bytes (0xF4), so the bound holds.
    bytes.and_then(|bytes| u32::try_from(bytes).ok()).ok_or_else(wrong)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sector(sector_bytes: u16, cluster: u8, record: u8) -> Vec<u8> {
        let mut bytes = vec![0; 512];
        bytes[3..11].copy_from_slice(b"NTFS    ");
        bytes[0x0b..0x0d].copy_from_slice(&sector_bytes.to_le_bytes());
        bytes[0x0d] = cluster;
        bytes[0x28..0x30].copy_from_slice(&(1_u64 << 24).to_le_bytes());
        bytes[0x30] = 4;
        bytes[0x38] = 2;
        bytes[0x40] = record;
        bytes[0x44] = 0xf4;
        bytes
    }

    #[test]
    fn every_cluster_size_of_ntfs_is_understood() {
        for (sectors, byte, cluster) in
            [(512, 1, 512), (512, 8, 4096), (512, 0x80, 65_536), (512, 0xf4, 2 << 20), (4096, 1, 4096)]
        {
            let geometry = Geometry::parse(&sector(sectors, byte, 0xf6)).unwrap();
            assert_eq!((geometry.cluster_bytes, geometry.record_bytes), (cluster, 1024));
            assert_eq!(geometry.clusters, (1 << 24) * u64::from(sectors) / u64::from(cluster));
        }
        assert_eq!(Geometry::parse(&sector(4096, 1, 1)).unwrap().record_bytes, 4096);
    }

    #[test]
    fn impossible_sizes_are_refused_by_field() {
        let refused = |bytes: Vec<u8>| match Geometry::parse(&bytes) {
            Err(BootError::Field { field, .. }) => field,
            other => panic!("{other:?}"),
        };
        assert_eq!(refused(sector(1000, 8, 0xf6)), "sector size");
        assert_eq!(refused(sector(512, 0, 0xf6)), "cluster size");
        assert_eq!(refused(sector(512, 3, 0xf6)), "cluster size");
        assert_eq!(refused(sector(512, 0xf3, 0xf6)), "cluster size");
        assert_eq!(refused(sector(512, 0x81, 0xf6)), "cluster size");
        assert_eq!(refused(sector(512, 8, 0)), "FILE record size");
        assert_eq!(refused(sector(512, 8, 0x81)), "FILE record size");
        let mut no_sectors = sector(512, 8, 0xf6);
        no_sectors[0x28..0x30].fill(0);
        assert_eq!(refused(no_sectors), "sector count");
        let mut far = sector(512, 8, 0xf6);
        far[0x37] = 0x7f;
        assert_eq!(refused(far), "$MFT cluster");
        assert_eq!(Geometry::parse(&[0; 512]), Err(BootError::NotNtfs));
    }
}
