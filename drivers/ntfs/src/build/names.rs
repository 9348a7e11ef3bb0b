//! `$STANDARD_INFORMATION` and `$FILE_NAME`: what is said about a file in its record, and once more
//! in its directory. spec/ntfs.md §5.
//!
//! The copy in the index is made by the same function as the one in the record, from the same
//! sizes, so the two cannot differ.

use super::fields::Fields;
use super::name::is_dos_name;
use super::nodes::{self, Node};
use super::plan::Plan;
use super::record::packed;
use super::spec::Times;

/// The long form, with a security id.
pub(super) const STANDARD_INFORMATION_BYTES: usize = 72;
const FILE_NAME_FIXED_BYTES: usize = 66;
/// Namespaces: a name that needs no DOS name beside it because it is one, and one that has none.
const WIN32_AND_DOS: u8 = 3;
const POSIX: u8 = 0;

/// Attributes that only `$FILE_NAME` has.
const FILE_NAME_ONLY: u32 = nodes::DIRECTORY;

/// Length of `$FILE_NAME` for a name of so many units.
pub(super) fn file_name_bytes(units: usize) -> usize {
    units.saturating_mul(2).saturating_add(FILE_NAME_FIXED_BYTES)
}

/// The value of `$STANDARD_INFORMATION`.
pub(super) fn standard_information(times: &Times, attributes: u32, security_id: u32) -> Vec<u8> {
    let mut value = Vec::with_capacity(STANDARD_INFORMATION_BYTES);
    put_times(&mut value, times);
    value.put_u32(attributes & !FILE_NAME_ONLY);
    // Versions and class.
    value.pad_to(48);
    // Owner, for quotas that are not kept.
    value.put_u32(0);
    value.put_u32(security_id);
    value.pad_to(STANDARD_INFORMATION_BYTES);
    value
}

/// Appends the value of `$FILE_NAME`.
pub(super) fn put_file_name(out: &mut Vec<u8>, plan: &Plan, number: u32, node: &Node) {
    let name = plan.nodes.name(node);
    let sizes = plan.sizes(number, node);
    out.put_u64(packed(plan.nodes.reference(node.parent)));
    put_times(out, &node.times);
    out.put_u64(sizes.allocated_bytes);
    out.put_u64(sizes.length_bytes);
    out.put_u32(plan.attributes(node));
    out.put_u32(0);
    out.put_u8(u8::try_from(name.len()).unwrap_or(u8::MAX));
    out.put_u8(namespace(number, name));
    out.put_units(name);
}

/// Windows marks the root's own names as if DOS had given them.
fn namespace(number: u32, name: &[u16]) -> u8 {
    if number < nodes::QUOTA || is_dos_name(name) { WIN32_AND_DOS } else { POSIX }
}

fn put_times(out: &mut Vec<u8>, times: &Times) {
    for time in [times.created, times.modified, times.changed, times.accessed] {
        out.put_u64(time.0);
    }
}
