//! Writes job entries: `driveList` items in JSON, and the `<Drive>` element of journals and
//! `_DriveInfo_` files. azure-import-export.md §2.11, §5.3.
//!
//! What is written holds keys, so it is zeroed on drop; room is made first, so that growing leaves
//! no copy behind.

use model::DriveId;
use zeroize::Zeroizing;

use super::{BitlockerKey, HeaderHash, HeaderRegion, JobEntry};
use crate::xml::text;

/// Room made for one drive: paths are short, the header hash has two regions.
const DRIVE_BYTES: usize = 4 << 10;

/// A drive whose manifest is not there yet: all that can be said is how it opens.
///
/// The same element as that of a finished drive, which a reader refuses to take for one because
/// the manifest is missing from it.
pub fn opening_xml(drive_id: &DriveId, key: &BitlockerKey) -> Zeroizing<String> {
    drive_xml(&[("DriveId", drive_id.as_str()), ("BitLockerKey", key.expose())])
}

impl JobEntry {
    /// The `<Drive>` element with its prolog.
    pub fn to_xml(&self) -> Zeroizing<String> {
        let (manifest_hash, header_hash) = (self.manifest_hash.to_string(), self.header_hash.to_string());
        let mut fields = vec![("DriveId", self.drive_id.as_str())];
        fields.extend(self.bitlocker_key.as_ref().map(|key| ("BitLockerKey", key.expose())));
        fields.push(("ManifestFile", &self.manifest_file));
        fields.push(("ManifestHash", &manifest_hash));
        if !header_hash.is_empty() {
            fields.push(("DriveHeaderHash", &header_hash));
        }
        drive_xml(&fields)
    }

    /// A job's `driveList` with these drives, ready to be the body's member or `--job`.
    pub fn to_json(entries: &[JobEntry]) -> Zeroizing<String> {
        let room = DRIVE_BYTES.saturating_mul(entries.len().saturating_add(1));
        let mut json = Zeroizing::new(String::with_capacity(room));
        json.push_str("{\n  \"driveList\": [");
        for (index, entry) in entries.iter().enumerate() {
            json.push_str(if index == 0 { "\n" } else { ",\n" });
            entry.push_json(&mut json);
        }
        json.push_str("\n  ]\n}\n");
        json
    }

    fn push_json(&self, json: &mut String) {
        let (manifest_hash, header_hash) = (self.manifest_hash.to_string(), self.header_hash.to_string());
        let mut members = vec![("driveId", self.drive_id.as_str())];
        members.extend(self.bitlocker_key.as_ref().map(|key| ("bitLockerKey", key.expose())));
        members.push(("manifestFile", &self.manifest_file));
        members.push(("manifestHash", &manifest_hash));
        members.push(("driveHeaderHash", &header_hash));
        json.push_str("    {");
        for (index, (name, value)) in members.into_iter().enumerate() {
            json.push_str(if index == 0 { "\n" } else { ",\n" });
            for part in ["      \"", name, "\": ", &quoted(value)] {
                json.push_str(part);
            }
        }
        json.push_str("\n    }");
    }
}

impl std::fmt::Display for HeaderHash {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            HeaderHash::Absent => Ok(()),
            HeaderHash::Unparsable { text, .. } => f.write_str(text),
            HeaderHash::Regions(regions) => regions.iter().enumerate().try_for_each(|(index, region)| {
                let HeaderRegion { offset_bytes, length_bytes, hash } = region;
                let joint = if index == 0 { "" } else { ";" };
                write!(f, "{joint}{offset_bytes}:{length_bytes}:{hash}")
            }),
        }
    }
}

fn drive_xml(fields: &[(&str, &str)]) -> Zeroizing<String> {
    let mut xml = Zeroizing::new(String::with_capacity(DRIVE_BYTES));
    xml.push_str("<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<Drive>\n");
    for (name, value) in fields {
        for part in ["   <", name, ">", &text(value), "</", name, ">\n"] {
            xml.push_str(part);
        }
    }
    xml.push_str("</Drive>");
    xml
}

/// A string of JSON; a key has nothing to escape and so is not copied but once, and that is zeroed.
fn quoted(value: &str) -> Zeroizing<String> {
    // Writing a string into memory cannot fail.
    Zeroizing::new(serde_json::to_string(value).unwrap_or_default())
}
