//! What the check found: one [`Fault`] a finding, with its place, what was expected and what is there.

use std::collections::BTreeMap;
use std::fmt;

use crate::record::{FileId, RecordFault};
use crate::runs::RunFault;
use crate::wtf8;

/// One finding.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Fault {
    /// The FILE record it is about.
    pub record: u64,
    /// Where exactly.
    pub at: At,
    /// The file's, stream's or index's name, when it has one; unpaired surrogates replaced.
    pub name: String,
    /// What is wrong.
    pub kind: FaultKind,
}

/// A fault's place, as exactly as it is known.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum At {
    /// The record as a whole.
    Record,
    /// So many bytes into the restored record.
    InRecord(u64),
    /// So many bytes into the stream or index named.
    InStream(u64),
    /// So many bytes into the volume.
    OnVolume(u64),
}

impl Fault {
    pub(crate) fn new(record: u64, kind: FaultKind) -> Fault {
        Fault { record, at: At::Record, name: String::new(), kind }
    }

    pub(crate) fn at(self, at: At) -> Fault {
        Fault { at, ..self }
    }

    /// `name` is little-endian UTF-16.
    pub(crate) fn named(mut self, name: &[u8]) -> Fault {
        let mut packed = Vec::new();
        wtf8::push_utf16le(&mut packed, name);
        self.name = String::from_utf8_lossy(&packed).into_owned();
        self
    }
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "record {}", self.record)?;
        if !self.name.is_empty() {
            write!(f, " ({})", self.name)?;
        }
        match self.at {
            At::Record => {}
            At::InRecord(offset) => write!(f, " at {offset:#x} in the record")?,
            At::InStream(offset) => write!(f, " at {offset:#x} in the stream")?,
            At::OnVolume(offset) => write!(f, " at {offset:#x} on the volume")?,
        }
        write!(f, ": {}", self.kind)
    }
}

/// What is wrong. `expected` follows from the rest of the volume, `found` is what stands there.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum FaultKind {
    // The volume as a whole.
    /// The first sector is no boot sector; its copy was taken.
    #[error("the boot sector is damaged; the copy in the last sector took its place")]
    BootLost,
    /// The copy in the last sector is not the boot sector.
    #[error("the backup boot sector differs from the boot sector, first at byte {at:#x}")]
    BackupBoot {
        /// First byte that differs.
        at: u32,
    },
    /// A field of the boot sector.
    #[error("the boot sector's {field} is {found}, not {expected}")]
    BootField {
        /// Which one.
        field: &'static str,
        /// By the partition, or by the format.
        expected: u64,
        /// As it stands there.
        found: u64,
    },
    /// The device ends before the volume does.
    #[error("the volume has {expected} bytes, the device only {found}")]
    DeviceShort {
        /// By the boot sector.
        expected: u64,
        /// The device's length.
        found: u64,
    },
    /// `$MFTMirr` does not hold what `$MFT` does.
    #[error("the record's copy in $MFTMirr differs, first at byte {at:#x}")]
    Mirror {
        /// First byte that differs.
        at: u32,
    },
    /// `$UpCase` is not the table of Windows.
    #[error("$UpCase maps {unit:#06x} to {found:#06x}, not {expected:#06x}")]
    UpCase {
        /// First unit that differs.
        unit: u16,
        /// By the table of every Windows since Vista.
        expected: u16,
        /// By this volume.
        found: u16,
    },
    /// `$UpCase` cannot be used; the table of Windows took its place.
    #[error("$UpCase cannot be read as a table of 65,536 units")]
    UpCaseLost,
    /// `$AttrDef` holds no definitions, or ones out of order.
    #[error("$AttrDef is damaged from entry {entry} on")]
    AttributeDefinitions {
        /// First entry that is wrong.
        entry: u32,
    },
    /// The volume asks for a check.
    #[error("the volume's flags are {flags:#06x}: it is marked dirty")]
    Dirty {
        /// The flags.
        flags: u16,
    },
    /// A version of NTFS that is not 3.x.
    #[error("the volume is of NTFS version {major}.{minor}")]
    Version {
        /// Major.
        major: u8,
        /// Minor.
        minor: u8,
    },
    /// `$LogFile` was not closed: changes may be waiting in it.
    #[error("$LogFile was not closed: changes may be waiting in it")]
    LogOpen,
    /// A system file is not what it must be.
    #[error("the system file should be {expected}")]
    SystemFile {
        /// Name by its number.
        expected: &'static str,
    },
    /// A system file's sequence number.
    #[error("the system file's sequence number is {found}, not {expected}")]
    SystemSequence {
        /// By its number.
        expected: u16,
        /// As it stands there.
        found: u16,
    },
    /// A system file without the stream that makes it one, or with one that cannot be followed.
    #[error("the stream or attribute is missing or damaged")]
    StreamLost,
    /// A length that follows from the volume's.
    #[error("the stream has {found} bytes, not {expected}")]
    StreamLength {
        /// What it must have.
        expected: u64,
        /// What it has.
        found: u64,
    },

    // A record.
    /// The medium cannot give the bytes.
    #[error("the medium cannot be read there")]
    Unreadable,
    /// The record as a whole.
    #[error(transparent)]
    Record(RecordFault),
    /// The record says that it is another one.
    #[error("the record says that it is number {found}")]
    RecordNumber {
        /// The number it gives (modulo 2^32).
        found: u32,
    },
    /// The number of used bytes does not end with the attributes.
    #[error("the record says that {found} bytes are used, not {expected}")]
    BytesUsed {
        /// Eight past the end mark.
        expected: u32,
        /// As it stands there.
        found: u32,
    },
    /// The record's size by its own account.
    #[error("the record says that it has {found} bytes, not {expected}")]
    BytesAllocated {
        /// By the boot sector.
        expected: u32,
        /// As it stands there.
        found: u32,
    },
    /// An attribute leaves the record; what follows it is lost.
    #[error("an attribute leaves the record; what follows it is lost")]
    AttributeFrame,
    /// Attributes are in order of type, then name.
    #[error("the attribute of type {kind:#x} comes after a greater one")]
    AttributeOrder {
        /// Its type.
        kind: u32,
    },
    /// An attribute that may be there once.
    #[error("the attribute of type {kind:#x} is there twice")]
    AttributeTwice {
        /// Its type.
        kind: u32,
    },
    /// Ids are unique in a record, and the next one is greater than all.
    #[error("attribute id {found} is taken already, or not below the next id {next}")]
    AttributeId {
        /// The id.
        found: u16,
        /// The record's next id.
        next: u16,
    },
    /// An attribute's own fields contradict each other.
    #[error("the attribute of type {kind:#x} has a bad {what}")]
    AttributeHeader {
        /// Its type.
        kind: u32,
        /// Which field.
        what: &'static str,
    },
    /// An attribute that every file of its kind has.
    #[error("the attribute of type {kind:#x} is missing")]
    AttributeMissing {
        /// Its type.
        kind: u32,
    },
    /// A file with the index of a directory, which its flags do not say it is.
    #[error("it has the index of a directory, but its flags say that it is none")]
    DirectoryFlag,
    /// The link count is the number of names.
    #[error("the link count is {found}, but there are {expected} names")]
    LinkCount {
        /// Number of `$FILE_NAME`s.
        expected: u32,
        /// As it stands there.
        found: u16,
    },
    /// A security id that `$Secure` does not have.
    #[error("security id {found:#x} is not in $Secure")]
    SecurityId {
        /// The id.
        found: u32,
    },
    /// A `$FILE_NAME` that cannot be read.
    #[error("a $FILE_NAME is damaged")]
    FileName,
    /// A name that Windows does not allow in its namespace.
    #[error("the name is not valid in namespace {namespace}")]
    NameInvalid {
        /// 0 POSIX, 1 Windows, 2 DOS, 3 both.
        namespace: u8,
    },
    /// A Windows name without its DOS alias, or the other way round.
    #[error("{windows} names of Windows but {dos} DOS aliases")]
    NamePairs {
        /// Names in namespace 1.
        windows: u32,
        /// Names in namespace 2.
        dos: u32,
    },

    // A stream.
    /// Mapping pairs.
    #[error("the data runs are damaged: {0}")]
    Runs(RunFault),
    /// The mapping pairs do not end where the header says.
    #[error("the data runs cover {found} clusters, not {expected}")]
    RunsLength {
        /// Clusters by the header.
        expected: u64,
        /// Clusters by the mapping pairs.
        found: u64,
    },
    /// A hole in a stream that is neither sparse nor compressed.
    #[error("{clusters} clusters are a hole, but the stream is not sparse")]
    Hole {
        /// Clusters in holes.
        clusters: u64,
    },
    /// The allocated size is the clusters' length.
    #[error("the allocated size is {found}, not {expected}")]
    AllocatedSize {
        /// By the clusters.
        expected: u64,
        /// By the header.
        found: u64,
    },
    /// The size of what is really stored of a sparse or compressed stream.
    #[error("the stored size is {found}, not {expected}")]
    StoredSize {
        /// By the clusters.
        expected: u64,
        /// By the header.
        found: u64,
    },
    /// More data than clusters.
    #[error("the stream has {length} bytes but its clusters hold only {allocated}")]
    DataSize {
        /// Its length.
        length: u64,
        /// Its allocated size.
        allocated: u64,
    },
    /// More initialised than there is.
    #[error("the stream has {length} bytes, of which {initialized} are said to be initialised")]
    InitializedSize {
        /// Its length.
        length: u64,
        /// Its initialised size.
        initialized: u64,
    },
    /// A piece does not begin where the one before ended.
    #[error("a piece begins at VCN {found}, not at {expected}")]
    PieceGap {
        /// Where the piece before ended.
        expected: u64,
        /// Where this one begins.
        found: u64,
    },

    // Attribute lists.
    /// The list cannot be read.
    #[error("the attribute list cannot be read")]
    List,
    /// The list's entries are in order of type, name and VCN.
    #[error("an entry of the attribute list, type {kind:#x}, is out of order")]
    ListOrder {
        /// The entry's type.
        kind: u32,
    },
    /// The list names an attribute that is not there.
    #[error(
        "the attribute list puts type {kind:#x} at VCN {start_vcn} into record {holder}, where it is not"
    )]
    ListEntry {
        /// The attribute's type.
        kind: u32,
        /// First VCN of the piece.
        start_vcn: u64,
        /// The record that should hold it.
        holder: u64,
    },
    /// An attribute that the list does not name.
    #[error("type {kind:#x} in record {holder} is not in the attribute list")]
    Unlisted {
        /// The attribute's type.
        kind: u32,
        /// The record that holds it.
        holder: u64,
    },
    /// An extension record that no attribute list names.
    #[error("an extension of record {base}, which does not name it")]
    Extension {
        /// The file's record by the extension's account.
        base: u64,
    },

    // The bitmaps.
    /// A record in use that `$MFT`'s bitmap has as free.
    #[error("in use, but free in the bitmap of $MFT")]
    RecordMarkedFree,
    /// A free record that `$MFT`'s bitmap has as used.
    #[error("free, but used in the bitmap of $MFT")]
    RecordMarkedUsed,
    /// Clusters in use that `$Bitmap` has as free.
    #[error("{clusters} clusters at {lcn} are in use, but free in $Bitmap")]
    ClustersMarkedFree {
        /// The first one.
        lcn: u64,
        /// How many.
        clusters: u64,
    },
    /// Free clusters that `$Bitmap` has as used.
    #[error("{clusters} clusters at {lcn} belong to nothing, but are used in $Bitmap")]
    ClustersMarkedUsed {
        /// The first one.
        lcn: u64,
        /// How many.
        clusters: u64,
    },
    /// Clusters that belong to two streams.
    #[error("{clusters} clusters at {lcn} belong to another stream as well")]
    ClustersShared {
        /// The first one.
        lcn: u64,
        /// How many.
        clusters: u64,
    },
    /// Streams claim so many clusters several times over that counting was given up.
    #[error("streams claim more than {clusters} clusters: the rest was not looked at")]
    ClustersOverclaimed {
        /// Twice the volume.
        clusters: u64,
    },
    /// Bits of `$Bitmap` past the volume's end are set.
    #[error("bit {bit} of $Bitmap is past the volume's end and not set")]
    BitmapTail {
        /// First such bit.
        bit: u64,
    },

    // An index.
    /// A field of an index root.
    #[error("the index root has a bad {what}")]
    IndexRoot {
        /// Which field.
        what: &'static str,
    },
    /// An index block that does not begin with `INDX`, or is torn.
    #[error("the index block does not begin with INDX or is torn")]
    IndexBlock,
    /// A field of an index block's header.
    #[error("the index block has a bad {what}")]
    IndexHeader {
        /// Which field.
        what: &'static str,
    },
    /// An entry leaves its node, or its fields leave the entry.
    #[error("the index entry is damaged; what follows it in its node is lost")]
    IndexEntry,
    /// A key that is not greater than the one before.
    #[error("the index entry is out of order")]
    IndexOrder,
    /// A key that is there already.
    #[error("the index entry is there twice")]
    IndexTwice,
    /// Two names that differ by case only: Windows opens one of them.
    #[error("the name differs from the one before by case only")]
    CaseTwin,
    /// A subnode outside the index's blocks.
    #[error("the subnode at VCN {vcn} is outside the index")]
    IndexNode {
        /// The subnode.
        vcn: u64,
    },
    /// A subnode that is in the tree already.
    #[error("the subnode at VCN {vcn} is in the tree twice")]
    IndexCycle {
        /// The subnode.
        vcn: u64,
    },
    /// More levels than an index can have.
    #[error("the index has more than {limit} levels")]
    IndexDepth {
        /// The limit.
        limit: usize,
    },
    /// A block of the tree that the index's bitmap has as free, or the other way round.
    #[error("block {block} of the index is {}in the tree, and its bit is {}", if *used { "" } else { "not " }, u8::from(!used))]
    IndexBitmap {
        /// The block.
        block: u64,
        /// Whether the tree has it.
        used: bool,
    },
    /// Indexes claim more bytes than the volume has; the rest was not read.
    #[error("indexes have more blocks than the volume: the rest was not read")]
    IndexOverclaimed,

    // Directories.
    /// An entry for a record that is not in use, or no file.
    #[error("the entry leads to record {child}, which is no file")]
    EntryDangling {
        /// The record.
        child: u64,
    },
    /// An entry for a file that is gone.
    #[error("the entry leads to record {child} with sequence number {found}, not {expected}")]
    EntrySequence {
        /// The record.
        child: u64,
        /// The record's sequence number.
        expected: u16,
        /// The entry's.
        found: u16,
    },
    /// An entry that says that it is in another directory.
    #[error("the entry says that it lies in record {}, sequence {}", found.record, found.sequence)]
    EntryParent {
        /// The directory by the entry's account.
        found: FileId,
    },
    /// The sizes that a directory shows are the file's.
    #[error(
        "the entry of record {child} shows {found_length} bytes in {found_allocated}, not {length} in {allocated}"
    )]
    EntrySizes {
        /// The file's record.
        child: u64,
        /// Its length.
        length: u64,
        /// Its allocated size.
        allocated: u64,
        /// The length shown.
        found_length: u64,
        /// The allocated size shown.
        found_allocated: u64,
    },
    /// A file shown as a directory, or the other way round.
    #[error("the entry of record {child} shows attributes {found:#x}, which contradict the record's flags")]
    EntryFlags {
        /// The file's record.
        child: u64,
        /// The attributes shown.
        found: u32,
    },
    /// A name that its directory does not list.
    #[error("directory {} does not list the name", parent.record)]
    NotListed {
        /// The directory.
        parent: FileId,
    },
    /// A name whose directory is another one than the file says.
    #[error("directory {} lists the name, but the file says it lies in {}", expected.record, found.record)]
    NameParent {
        /// The directory that lists it.
        expected: FileId,
        /// The directory by the file's account.
        found: FileId,
    },
    /// A name that its directory has in another namespace.
    #[error("the directory has the name in namespace {expected}, the file in {found}")]
    NameSpaces {
        /// The directory's.
        expected: u8,
        /// The file's.
        found: u8,
    },
    /// A listed name that the file does not have.
    #[error("the directory lists record {child} under a name that it does not have")]
    ListedOnly {
        /// The file's record.
        child: u64,
    },
    /// Names and entries differ, and there were too many such files to say how.
    #[error("the file's names and the directories' entries differ")]
    NamesDiffer,
    /// Directories that lie in each other.
    #[error("the directory lies in itself: no path leads to it")]
    DirectoryCycle,

    // $Secure.
    /// A security descriptor whose hash is another.
    #[error("the hash of security descriptor {id:#x} is {expected:#010x}, not {found:#010x}")]
    SecurityHash {
        /// Its id.
        id: u32,
        /// By its bytes.
        expected: u32,
        /// As it stands there.
        found: u32,
    },
    /// A security descriptor's copy differs.
    #[error("the copy of security descriptor {id:#x} differs")]
    SecurityCopy {
        /// Its id.
        id: u32,
    },
    /// An entry of `$SDS` that cannot be right; the rest of its block is lost.
    #[error("the security entry has a bad {what}")]
    SecurityEntry {
        /// Which field.
        what: &'static str,
    },
    /// An index of `$Secure` that differs from `$SDS`.
    #[error("the index disagrees with $SDS about security descriptor {id:#x}")]
    SecurityIndex {
        /// Its id.
        id: u32,
    },
}

impl FaultKind {
    /// Something marked as used that is not: space is lost, nothing else. What a change that was
    /// interrupted may leave.
    pub fn is_leak(&self) -> bool {
        matches!(self, FaultKind::ClustersMarkedUsed { .. } | FaultKind::RecordMarkedUsed)
    }
}

/// Collects faults; keeps the first ones and counts all.
#[derive(Debug, Default)]
pub(crate) struct Faults {
    kept: Vec<Fault>,
    kept_max: usize,
    count: u64,
}

impl Faults {
    pub(crate) fn new(kept_max: usize) -> Faults {
        Faults { kept_max, ..Faults::default() }
    }

    pub(crate) fn push(&mut self, fault: Fault) {
        self.count = self.count.saturating_add(1);
        if self.kept.len() < self.kept_max {
            self.kept.push(fault);
        }
    }

    /// Whether another one would still be kept: if not, looking for its details is not worth it.
    pub(crate) fn has_room(&self) -> bool {
        self.kept.len() < self.kept_max
    }

    pub(crate) fn into_parts(self) -> (Vec<Fault>, u64) {
        (self.kept, self.count)
    }
}

/// How many of each kind, by the kind's name: for a summary.
pub(crate) fn by_kind(faults: &[Fault]) -> BTreeMap<String, usize> {
    let mut counts = BTreeMap::new();
    for fault in faults {
        let debug = format!("{:?}", fault.kind);
        let name = debug.split([' ', '(']).next().unwrap_or_default().to_owned();
        let count: &mut usize = counts.entry(name).or_default();
        *count = count.saturating_add(1);
    }
    counts
}
