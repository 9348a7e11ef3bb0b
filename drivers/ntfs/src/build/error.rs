//! What can be wrong with a volume that is asked for, and what can go wrong when it is written.

use block::WriteError;

use super::name::NameFault;

/// Why the builder does not take something.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum BuildError {
    /// Neither 512 nor 4096.
    #[error("a volume with sectors of {sector_bytes} bytes; 512 and 4096 are possible")]
    SectorSize {
        /// The sector size.
        sector_bytes: u32,
    },
    /// Too small, not whole sectors, or beyond what offsets can say.
    #[error("a volume of {volume_bytes} bytes with sectors of {sector_bytes}")]
    VolumeSize {
        /// The volume's size.
        volume_bytes: u64,
        /// The sector size.
        sector_bytes: u32,
    },
    /// No power of two from a sector to 64 KiB, or too small for the volume: Windows has 32 bits for
    /// the number of a cluster.
    #[error("clusters of {cluster_bytes} bytes on a volume of {volume_bytes} with sectors of {sector_bytes}")]
    ClusterSize {
        /// The cluster size.
        cluster_bytes: u32,
        /// The volume's size.
        volume_bytes: u64,
        /// The sector size.
        sector_bytes: u32,
    },
    /// The label is too long.
    #[error("the label has {units} UTF-16 units; at most {units_max} are allowed")]
    Label {
        /// Its length.
        units: usize,
        /// The limit.
        units_max: usize,
    },
    /// A pre-placed file that does not begin at a cluster, is empty, leaves the volume, or overlaps
    /// the boot file or another one.
    #[error("{name} cannot be placed at {offset_bytes:#x}+{length_bytes:#x}: {reason}")]
    Placed {
        /// Its name.
        name: String,
        /// Where it should begin.
        offset_bytes: u64,
        /// Its length.
        length_bytes: u64,
        /// What is wrong.
        reason: &'static str,
    },
    /// A name that NTFS cannot hold.
    #[error("{path:?} cannot be made")]
    Name {
        /// The whole path.
        path: String,
        /// What is wrong with its last name.
        #[source]
        fault: NameFault,
    },
    /// The directory is another builder's.
    #[error("{name:?} should be made in a directory that this builder does not have")]
    NoDirectory {
        /// The name of what should be made in it.
        name: String,
    },
    /// Longer than a file can be with these clusters.
    #[error(
        "{path:?} has {length_bytes} bytes; with clusters of {cluster_bytes} a file has at most {length_max_bytes}"
    )]
    TooLong {
        /// The whole path.
        path: String,
        /// The file's length.
        length_bytes: u64,
        /// The cluster size.
        cluster_bytes: u32,
        /// The limit.
        length_max_bytes: u64,
    },
    /// Ranges of a sparse file that are empty, out of order or past its end.
    #[error(
        "{path:?} has data at {start:#x}..{end:#x}, which is empty, out of order or past its {length_bytes} bytes"
    )]
    Ranges {
        /// The whole path.
        path: String,
        /// Where the first such range begins.
        start: u64,
        /// Where it ends.
        end: u64,
        /// The file's length.
        length_bytes: u64,
    },
    /// More files and directories than records that can be counted in 32 bits.
    #[error("the volume has {files} files and directories, and no more are possible")]
    TooMany {
        /// How many there are.
        files: u64,
    },
}

/// Two paths that Windows would take for the same.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{first:?} and {second:?} differ only by case")]
pub struct Clash {
    /// The one that was added first.
    pub first: String,
    /// The other.
    pub second: String,
}

/// Why there is no plan.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum PlanError {
    /// Names that are the same to Windows.
    #[error("{total} names clash with another one, the first: {}", first_of(.clashes))]
    Clashes {
        /// The first thousand.
        clashes: Vec<Clash>,
        /// How many there are in all.
        total: u64,
    },
    /// It does not fit.
    #[error("the files and the file system need {needed_bytes} bytes, and the volume has {free_bytes}")]
    Full {
        /// What is needed.
        needed_bytes: u64,
        /// What there is.
        free_bytes: u64,
    },
    /// A piece of the file system that must lie in one run finds no such place between the
    /// pre-placed files.
    #[error("no {bytes} bytes in a row are free between the pre-placed files")]
    Scattered {
        /// How long the piece is.
        bytes: u64,
    },
    /// A file in so many pieces that its list of them would be longer than NTFS allows.
    #[error("{path:?} has too many separate ranges of data ({ranges})")]
    TooManyRanges {
        /// The whole path.
        path: String,
        /// How many.
        ranges: u64,
    },
}

fn first_of(clashes: &[Clash]) -> String {
    clashes.first().map(ToString::to_string).unwrap_or_default()
}

/// A file cannot become longer than it was planned.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{path:?} was planned with {planned_bytes} bytes and cannot get {length_bytes}")]
pub struct LengthError {
    /// The whole path.
    pub path: String,
    /// The length that was planned.
    pub planned_bytes: u64,
    /// The length asked for.
    pub length_bytes: u64,
}

/// Why the file system could not be written.
#[derive(Debug, thiserror::Error)]
pub enum MetadataError {
    /// The medium.
    #[error("writing {what}")]
    Write {
        /// Which part.
        what: &'static str,
        /// Why not.
        #[source]
        source: WriteError,
    },
    /// An index grew because files were left out of it, and there is no place for it any more.
    #[error("no {bytes} bytes in a row are left for the index of {path:?}")]
    Full {
        /// The directory.
        path: String,
        /// How long the index is.
        bytes: u64,
    },
    /// More bytes than were planned: our mistake, and nothing was made a volume of.
    #[error("{what} came out longer than was planned")]
    Overrun {
        /// Which part.
        what: &'static str,
    },
    /// A record came out longer than records are: our mistake, and nothing was made a volume of.
    #[error("FILE record {record} would have {bytes} bytes")]
    Record {
        /// Its number.
        record: u64,
        /// How long it would be.
        bytes: usize,
    },
}
