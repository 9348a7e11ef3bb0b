//! The numbers that bound what a document may hold: the format's own limits, and the caps that
//! keep hostile documents from growing in our memory.
//!
//! The format's numbers: azure-import-export.md §1.5, §1.6, §1.10. The caps are ours; each says
//! what it was sized by.

/// Most blocks of one blob: the storage service commits no longer list. §1.5.
pub const BLOCKS_MAX: usize = 50_000;
/// Longest block of any tool: 50,000 of them make the largest block blob. §1.5, "later limit".
pub const BLOCK_BYTES_MAX: u64 = 100 << 20;
/// Longest blob that may do without block ids, because one Put Blob can carry it. §1.5.
pub const BLOB_BYTES_WITHOUT_IDS_MAX: u64 = 64 << 20;
/// Longest block id once decoded: a rule of Put Block. §1.5.
pub const BLOCK_ID_BYTES_MAX: usize = 64;

/// Offsets and lengths of page ranges are multiples of this. §1.6.
pub const PAGE_BYTES: u64 = 512;
/// Longest page range, and longest range of a file: one Put Page or Put Range. §1.6, §1.12.
pub const RANGE_BYTES_MAX: u64 = 4 << 20;
/// Longest page blob. §1.6, "8 TB".
pub const PAGE_BLOB_BYTES_MAX: u64 = 8 << 40;
/// Most ranges of one page blob or file: the largest page blob in the longest ranges is 2^21 of
/// them, and one more for a list that does not begin on a 4 MiB boundary.
pub const RANGES_MAX: usize = (1 << 21) + 1;

/// Longest total of a metadata file's names and values: a rule of the storage service. §1.10.
pub const METADATA_BYTES_MAX: usize = 8 << 10;
/// Largest metadata or properties file that is worth parsing: 8 KiB of content, every character of
/// it written as a reference, in UTF-16, and names twice, fit.
pub const SIDE_FILE_BYTES_MAX: usize = 256 << 10;

/// Longest text of one element. The longest legitimate one is a path of 32,767 UTF-16 units, at
/// most 3 bytes of UTF-8 each.
pub const TEXT_BYTES_MAX: usize = 128 << 10;
/// Longest single piece of markup or text between two pieces of markup: a text at its cap.
pub const MARKUP_BYTES_MAX: u64 = 256 << 10;
/// Longest attribute value. The longest legitimate one is a blob list's id of a few dozen bytes.
pub const ATTRIBUTE_BYTES_MAX: usize = 4 << 10;
/// Most attributes of one element; the format's own elements have at most six.
pub const ATTRIBUTES_MAX: usize = 32;
/// Deepest nesting; the format's own documents stop at six.
pub const DEPTH_MAX: usize = 16;
/// Longest element name; the format's own are under 20 bytes.
pub const NAME_BYTES_MAX: usize = 256;

/// Most warnings and problems that are kept; later ones are only counted.
pub const REPORTS_MAX: usize = 1_000;

/// Room made for a secret before it is read, so that growing leaves no copy behind: SAS tokens
/// are a few hundred bytes, keys under a hundred.
pub(crate) const SECRET_BYTES: usize = 1 << 10;
