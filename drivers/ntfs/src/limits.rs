//! What a hostile volume may cost at most.
//!
//! Each limit is far above what a real drive needs and is there so that a made-up one ends in an
//! error that names the limit.

/// Bounds of one volume. [`Limits::default`] is meant for production.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    /// FILE records of `$MFT`. 64 Mi records are 64 GiB of `$MFT`.
    pub records_max: u64,
    /// Bytes of the packed index, resident contents included. 10 million files take about 450 MiB.
    pub index_bytes_max: u64,
    /// Contents of small files that live in their FILE records are kept from the sweep until they
    /// fill this; those that come later are read again from `$MFT` when they are asked for.
    pub resident_kept_bytes: u64,
    /// Names (hard links counted, DOS aliases not).
    pub names_max: u64,
    /// Data streams, the pieces of attribute lists counted one by one.
    pub streams_max: u64,
    /// Extents of one stream, adjacent ones joined. A million are 32 MB while a caller holds them.
    pub extents_max: usize,
    /// Directories above a file. The longest path of Windows has 32,767 UTF-16 units, which is
    /// 16,384 components of one letter.
    pub path_depth_max: usize,
    /// Problems that are kept; all are counted.
    pub problems_max: usize,
    /// Bytes of an `$ATTRIBUTE_LIST`; NTFS itself allows 256 KiB.
    pub attribute_list_bytes_max: u64,
    /// Length of a stream that is decompressed (LZNT1, WOF); 16 TiB is the largest file of NTFS
    /// with the clusters that compression allows.
    pub decompressed_bytes_max: u64,
}

impl Default for Limits {
    fn default() -> Limits {
        Limits {
            records_max: 64 << 20,
            index_bytes_max: 1 << 30,
            resident_kept_bytes: 16 << 20,
            names_max: 64 << 20,
            streams_max: 64 << 20,
            extents_max: 1 << 20,
            path_depth_max: 16_384,
            problems_max: 1_000,
            attribute_list_bytes_max: 256 << 10,
            decompressed_bytes_max: 16 << 40,
        }
    }
}
