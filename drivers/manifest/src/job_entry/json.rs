//! Job entries in JSON: `driveList` items of the ARM API, alone or in what holds them.
//!
//! azure-import-export.md §5.3. Taken are an item; a list of items; a job body (`properties` with
//! `driveList`, or `driveList` itself); and any of these as the member `job`. Members that are
//! not needed are stepped over without being kept.

use model::DriveId;
use serde::Deserialize;
use serde::de::{Deserializer, Error, IgnoredAny, MapAccess, SeqAccess, Visitor};

use super::{BitlockerKey, Draft, JobEntryError};

/// All drives that a document describes.
pub(super) fn drafts(text: &str) -> Result<Vec<Draft>, JobEntryError> {
    let failed = |error: serde_json::Error| {
        // The library's own message may quote the document, and the document holds a key.
        let what = match error.classify() {
            serde_json::error::Category::Eof => "the document ends too early",
            serde_json::error::Category::Syntax => "not well-formed",
            serde_json::error::Category::Data => "a member has a wrong type or stands there twice",
            serde_json::error::Category::Io => "not readable",
        };
        JobEntryError::Json { line: error.line(), column: error.column(), what }
    };
    let found: Holder = serde_json::from_str(text).map_err(failed)?;
    Ok(found.0)
}

/// Whatever describes drives: an item, a list, or an object around one of them.
struct Holder(Vec<Draft>);

impl<'de> Deserialize<'de> for Holder {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Holder, D::Error> {
        deserializer.deserialize_any(HolderVisitor).map(Holder)
    }
}

struct HolderVisitor;

impl<'de> Visitor<'de> for HolderVisitor {
    type Value = Vec<Draft>;

    fn expecting(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.write_str("a drive, a list of drives or a job")
    }

    fn visit_unit<E>(self) -> Result<Vec<Draft>, E> {
        Ok(Vec::new())
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<Vec<Draft>, A::Error> {
        let mut drafts = Vec::new();
        while let Some(Holder(mut found)) = items.next_element()? {
            drafts.append(&mut found);
        }
        Ok(drafts)
    }

    fn visit_map<A: MapAccess<'de>>(self, mut members: A) -> Result<Vec<Draft>, A::Error> {
        let mut drafts = Vec::new();
        let mut item = Draft::default();
        while let Some(member) = members.next_key::<Member>()? {
            match member {
                Member::Holder => {
                    let Holder(mut found) = members.next_value()?;
                    drafts.append(&mut found);
                }
                Member::DriveId => {
                    let text: Option<String> = members.next_value()?;
                    let id = text.map(|text| DriveId::new(&text)).transpose().map_err(A::Error::custom)?;
                    set(&mut item.drive_id, id)?;
                }
                Member::BitLockerKey => set(&mut item.bitlocker_key, members.next_value()?)?,
                Member::ManifestFile => set(&mut item.manifest_file, members.next_value()?)?,
                Member::ManifestHash => set(&mut item.manifest_hash, members.next_value()?)?,
                Member::DriveHeaderHash => set(&mut item.header_hash, members.next_value()?)?,
                Member::Other => {
                    members.next_value::<IgnoredAny>()?;
                }
            }
        }
        if item.drive_id.is_some() || item.manifest_file.is_some() || item.manifest_hash.is_some() {
            drafts.push(item);
        }
        Ok(drafts)
    }
}

#[derive(Deserialize)]
enum Member {
    #[serde(rename = "job", alias = "properties", alias = "driveList")]
    Holder,
    #[serde(rename = "driveId")]
    DriveId,
    #[serde(rename = "bitLockerKey")]
    BitLockerKey,
    #[serde(rename = "manifestFile")]
    ManifestFile,
    #[serde(rename = "manifestHash")]
    ManifestHash,
    #[serde(rename = "driveHeaderHash")]
    DriveHeaderHash,
    #[serde(other)]
    Other,
}

impl<'de> Deserialize<'de> for BitlockerKey {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<BitlockerKey, D::Error> {
        String::deserialize(deserializer).map(BitlockerKey::new)
    }
}

/// Sets a member; one that stands there twice is an error, because one of them would be ignored.
fn set<T, E: Error>(slot: &mut Option<T>, value: Option<T>) -> Result<(), E> {
    if slot.is_some() {
        return Err(E::custom("a member stands there twice"));
    }
    *slot = value;
    Ok(())
}
