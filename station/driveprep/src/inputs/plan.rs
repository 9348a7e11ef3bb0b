//! The TOML plan: everything that the CSV files say, and more, in one readable file.
//!
//! ```toml
//! session = "session#1"
//! one_file_system = true
//!
//! [defaults]                      # for every source that does not say otherwise
//! disposition = "overwrite"
//!
//! [[source]]
//! from = "/data/photos"           # a directory or a file; relative paths begin at the plan's own folder
//! to = "photos/2024"              # container/prefix or share/directory
//! type = "auto"                   # auto, block, page, file
//! metadata = { project = "apollo" }
//! properties = { cache_control = "no-cache" }
//! content_md5 = true
//! block_bytes = "8MiB"            # of block blobs; 4 MiB unless given
//!
//! [[drive]]
//! path = "/dev/sdb"
//! serial = "WD-WX31A"
//! format = true                   # or existing_key_file = "key.txt"
//! ```
//! Unknown keys are refused, because a misspelt one would silently mean nothing.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use manifest::{Metadata, Properties};
use model::{DriveId, ImportDisposition};
use serde::Deserialize;
use toml::Spanned;

use super::size::{parse_block_length, parse_bytes};
use super::table::read_bounded;
use super::{
    DEFAULT_SESSION, How, InputError, InputFault, Inputs, SideFileSource, Source, dataset, driveset,
};
use crate::work::scan::KindRule;
use crate::work::{DriveTarget, Encryption, ExistingKey, Formatting};

/// Far more than any plan: people write them.
const FILE_BYTES_MAX: u64 = 16 << 20;

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct PlanTable {
    session: Option<Spanned<String>>,
    one_file_system: Option<bool>,
    defaults: Option<SourceTable>,
    #[serde(default)]
    source: Vec<Spanned<SourceTable>>,
    #[serde(default)]
    drive: Vec<Spanned<DriveTable>>,
}

/// A source, or what all of them share; only a source has `from` and `to`.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
struct SourceTable {
    from: Option<Spanned<String>>,
    to: Option<Spanned<String>>,
    #[serde(rename = "type")]
    kind: Option<Spanned<String>>,
    disposition: Option<Spanned<String>>,
    metadata: Option<Spanned<BTreeMap<String, String>>>,
    metadata_file: Option<Spanned<String>>,
    properties: Option<PropertiesTable>,
    properties_file: Option<Spanned<String>>,
    content_md5: Option<bool>,
    block_bytes: Option<Spanned<String>>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct PropertiesTable {
    content_type: Option<String>,
    content_encoding: Option<String>,
    content_language: Option<String>,
    cache_control: Option<String>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct DriveTable {
    path: Spanned<String>,
    size: Option<Spanned<String>>,
    serial: Option<Spanned<String>>,
    format: Option<bool>,
    ask: Option<bool>,
    existing_key_file: Option<Spanned<String>>,
}

/// Reads a plan; what it does not say is as in `defaults`.
///
/// # Errors
/// The first thing that is wrong with it, with its line.
pub fn read(path: &Path, defaults: &How) -> Result<Inputs, InputError> {
    parse(path, &read_bounded(path, FILE_BYTES_MAX)?, defaults)
}

/// The same for bytes that were read; paths in it are relative to `path`'s folder.
///
/// # Errors
/// As [`read`].
pub fn parse(path: &Path, bytes: &[u8], defaults: &How) -> Result<Inputs, InputError> {
    let not_toml = |text: String| InputError::file(path, InputFault::Toml(text));
    let text = std::str::from_utf8(bytes).map_err(|_| not_toml("the text is not UTF-8".to_owned()))?;
    let plan = Plan { path, text };
    let table: PlanTable = toml::from_str(text).map_err(|error| {
        let start = error.span().map_or(0, |span| span.start);
        plan.error(start, InputFault::Toml(error.message().to_owned()))
    })?;
    plan.inputs(table, defaults)
}

struct Plan<'a> {
    path: &'a Path,
    text: &'a str,
}

impl Plan<'_> {
    fn inputs(&self, table: PlanTable, defaults: &How) -> Result<Inputs, InputError> {
        let session = match &table.session {
            Some(session) => self.checked(session, |text| text.parse().map_err(InputFault::Session))?,
            None => DEFAULT_SESSION.parse().map_err(|error| self.error(0, InputFault::Session(error)))?,
        };
        let defaults = match &table.defaults {
            Some(table) => {
                if let Some(key) = table.from.as_ref().or(table.to.as_ref()) {
                    let text = "[defaults] has neither from nor to".to_owned();
                    return Err(self.error(key.span().start, InputFault::Toml(text)));
                }
                self.how(table, defaults)?
            }
            None => defaults.clone(),
        };
        let sources = table.source.iter().map(|source| self.source(source, &defaults));
        let drives = table.drive.iter().map(|drive| self.drive(drive));
        Ok(Inputs {
            session,
            sources: sources.collect::<Result<_, _>>()?,
            drives: drives.collect::<Result<_, _>>()?,
            one_file_system: table.one_file_system.unwrap_or(false),
        })
    }

    fn source(&self, source: &Spanned<SourceTable>, defaults: &How) -> Result<Source, InputError> {
        let (start, table) = (source.span().start, source.get_ref());
        let missing = |key: &str| self.error(start, InputFault::Toml(format!("the source has no {key}")));
        let from = table.from.as_ref().ok_or_else(|| missing("from"))?;
        let to = table.to.as_ref().ok_or_else(|| missing("to"))?;
        Ok(Source {
            from: self.checked(from, |text| self.local_path(text))?,
            to: to.get_ref().clone(),
            stated_directory: None,
            how: self.how(table, defaults)?,
            place: self.place(from.span().start),
        })
    }

    fn how(&self, table: &SourceTable, defaults: &How) -> Result<How, InputError> {
        let kind = table.kind.as_ref().map(|kind| self.checked(kind, kind_rule));
        let disposition = table.disposition.as_ref().map(|word| {
            self.checked(word, |text| text.parse::<ImportDisposition>().map_err(InputFault::Disposition))
        });
        let block_length =
            table.block_bytes.as_ref().map(|size| self.checked(size, |text| parse_block_length(text)));
        Ok(How {
            kind: kind.transpose()?.unwrap_or(defaults.kind),
            disposition: disposition.transpose()?.unwrap_or(defaults.disposition),
            metadata: self.metadata(table)?.or_else(|| defaults.metadata.clone()),
            properties: self.properties(table)?.or_else(|| defaults.properties.clone()),
            content_md5: table.content_md5.unwrap_or(defaults.content_md5),
            block_length: block_length.transpose()?.unwrap_or(defaults.block_length),
        })
    }

    fn metadata(&self, table: &SourceTable) -> Result<Option<SideFileSource>, InputError> {
        let inline = table.metadata.as_ref().map(|pairs| {
            self.checked(pairs, |pairs| {
                let pairs = pairs.iter().map(|(name, value)| (name.clone(), value.clone())).collect();
                let metadata =
                    Metadata::from_pairs(pairs).map_err(|fault| InputFault::Toml(fault.to_string()))?;
                Ok(metadata.to_xml())
            })
        });
        self.side_file("metadata", inline.transpose()?, table.metadata_file.as_ref())
    }

    fn properties(&self, table: &SourceTable) -> Result<Option<SideFileSource>, InputError> {
        let inline = table.properties.as_ref().map(|table| {
            let properties = Properties {
                content_type: table.content_type.clone(),
                content_encoding: table.content_encoding.clone(),
                content_language: table.content_language.clone(),
                cache_control: table.cache_control.clone(),
                ..Properties::default()
            };
            properties.to_xml()
        });
        self.side_file("properties", inline, table.properties_file.as_ref())
    }

    fn side_file(
        &self,
        what: &str,
        inline: Option<String>,
        file: Option<&Spanned<String>>,
    ) -> Result<Option<SideFileSource>, InputError> {
        match (inline, file) {
            (Some(_), Some(file)) => {
                let text = format!("there are both {what} and {what}_file");
                Err(self.error(file.span().start, InputFault::Toml(text)))
            }
            (Some(xml), None) => Ok(Some(SideFileSource::Xml(xml))),
            (None, Some(file)) => {
                Ok(Some(SideFileSource::File(self.checked(file, |text| self.local_path(text))?)))
            }
            (None, None) => Ok(None),
        }
    }

    fn drive(&self, drive: &Spanned<DriveTable>) -> Result<DriveTarget, InputError> {
        let (start, table) = (drive.span().start, drive.get_ref());
        let serial = table
            .serial
            .as_ref()
            .map(|serial| self.checked(serial, |text| DriveId::new(text).map_err(|_| InputFault::Serial)));
        let size = table.size.as_ref().map(|size| self.checked(size, |text| parse_bytes(text)));
        let key = table.existing_key_file.as_ref().map(|key| self.checked(key, |text| self.local_path(text)));
        let asks = table.ask.unwrap_or(true);
        let (formatting, encryption) = match (table.format, key.transpose()?) {
            (Some(true), Some(_)) => return Err(self.error(start, InputFault::KeyNotNeeded)),
            (None | Some(true), None) => (Formatting::Format { asks }, Encryption::Encrypt),
            (None | Some(false), Some(key)) => {
                let key = ExistingKey::File(key);
                (Formatting::AlreadyFormatted, Encryption::AlreadyEncrypted(key))
            }
            (Some(false), None) => {
                let text = "a drive that is not formatted needs existing_key_file".to_owned();
                return Err(self.error(start, InputFault::Toml(text)));
            }
        };
        let path = self.checked(&table.path, |text| {
            driveset::drive_letter(text)?;
            self.local_path(text)
        })?;
        Ok(DriveTarget {
            path,
            size_bytes: size.transpose()?,
            serial: serial.transpose()?,
            formatting,
            encryption,
        })
    }

    fn local_path(&self, text: &str) -> Result<PathBuf, InputFault> {
        match dataset::local_path(text) {
            Ok(path) => Ok(path.into()),
            Err(InputFault::Relative { .. }) if !text.is_empty() => {
                Ok(self.path.parent().unwrap_or(Path::new("")).join(text))
            }
            Err(fault) => Err(fault),
        }
    }

    /// Turns a value into what it means, or says where it stands.
    fn checked<T, U>(
        &self,
        value: &Spanned<T>,
        check: impl FnOnce(&T) -> Result<U, InputFault>,
    ) -> Result<U, InputError> {
        check(value.get_ref()).map_err(|fault| self.error(value.span().start, fault))
    }

    fn error(&self, start: usize, fault: InputFault) -> InputError {
        InputError::at(self.place(start), fault)
    }

    fn place(&self, start: usize) -> String {
        let before = self.text.as_bytes().get(..start).unwrap_or_default();
        let line = 1 + before.iter().filter(|byte| **byte == b'\n').count();
        format!("{}, line {line}", self.path.display())
    }
}

/// The words of `type` and `--type`.
///
/// # Errors
/// [`InputFault::Word`].
#[expect(clippy::ptr_arg, reason = "given as a check of a TOML string")]
fn kind_rule(word: &String) -> Result<KindRule, InputFault> {
    match (word.as_str(), dataset::item_kind(word)) {
        ("auto", _) => Ok(KindRule::ByName),
        (_, Some(kind)) => Ok(KindRule::Fixed(kind)),
        _ => Err(InputFault::Word { found: word.clone(), expected: "auto, block, page, file" }),
    }
}
