//! `dataset.csv`, in any of the three shapes it had: azure-import-export.md §2.5.
//!
//! | header | since |
//! | --- | --- |
//! | `BasePath,DstBlobPathOrPrefix,BlobType,Disposition,MetadataFile,PropertiesFile` | early documentation |
//! | `BasePath,DstItemPathOrPrefix,ItemType,Disposition,MetadataFile,PropertiesFile` | 2017 |
//! | `BasePath,DstItemPathOrPrefix,ItemType` | 2.2.0.300 |
//!
//! What a row does not say is taken from the arguments, so `--disposition overwrite` gives the newest
//! tool's behaviour. A `BasePath` that ends with a slash is a directory, any other a file.

use std::path::Path;

use super::table::{Row, Table};
use super::{How, InputError, InputFault, SideFileSource, Source};
use crate::work::ItemKind;
use crate::work::scan::KindRule;

const BASE_PATH: &str = "BasePath";
const ITEM_DESTINATION: &str = "DstItemPathOrPrefix";
const BLOB_DESTINATION: &str = "DstBlobPathOrPrefix";
const ITEM_TYPE: &str = "ItemType";
const BLOB_TYPE: &str = "BlobType";
const KNOWN: [&str; 8] = [
    BASE_PATH,
    ITEM_DESTINATION,
    BLOB_DESTINATION,
    ITEM_TYPE,
    BLOB_TYPE,
    "Disposition",
    "MetadataFile",
    "PropertiesFile",
];

/// What a dataset file asks for.
#[derive(Debug, PartialEq, Eq)]
pub struct DatasetFile {
    /// A source a row.
    pub sources: Vec<Source>,
    /// Columns that mean nothing to us.
    pub ignored_columns: Vec<String>,
}

/// Reads a dataset file; what its rows do not say is as in `defaults`.
///
/// # Errors
/// The first thing that is wrong with it, with line and column.
pub fn read(path: &Path, defaults: &How) -> Result<DatasetFile, InputError> {
    rows(Table::open(path)?, defaults)
}

/// The same for bytes that were read; `path` is for errors only.
///
/// # Errors
/// As [`read`].
pub fn parse(path: &Path, bytes: &[u8], defaults: &How) -> Result<DatasetFile, InputError> {
    rows(Table::parse(path, bytes.to_vec())?, defaults)
}

fn rows(mut table: Table, defaults: &How) -> Result<DatasetFile, InputError> {
    table.require(BASE_PATH)?;
    let destination = if table.has(BLOB_DESTINATION) { BLOB_DESTINATION } else { ITEM_DESTINATION };
    table.require(destination)?;
    let ignored_columns = table.unknown(&KNOWN);
    let sources = table.each(|row| source(row, destination, defaults))?;
    Ok(DatasetFile { sources, ignored_columns })
}

fn source(row: &Row<'_>, destination: &'static str, defaults: &How) -> Result<Source, InputError> {
    let base_path = local_path(row.value(BASE_PATH)?).map_err(|fault| row.error(BASE_PATH, fault))?;
    let to = row.value(destination)?.to_owned();
    Ok(Source {
        from: base_path.into(),
        to,
        stated_directory: Some(base_path.ends_with('/')),
        how: how(row, defaults)?,
        place: row.place(),
    })
}

fn how(row: &Row<'_>, defaults: &How) -> Result<How, InputError> {
    let disposition = row
        .cell("Disposition")
        .map(|word| word.parse().map_err(|error| row.error("Disposition", InputFault::Disposition(error))));
    Ok(How {
        kind: kind(row)?.unwrap_or(defaults.kind),
        disposition: disposition.transpose()?.unwrap_or(defaults.disposition),
        metadata: side_file(row, "MetadataFile")?.or_else(|| defaults.metadata.clone()),
        properties: side_file(row, "PropertiesFile")?.or_else(|| defaults.properties.clone()),
        content_md5: defaults.content_md5,
        block_length: defaults.block_length,
    })
}

/// What the row says that its items become. An `ItemType` column must be filled in, as in the tool.
fn kind(row: &Row<'_>) -> Result<Option<KindRule>, InputError> {
    let (column, word) = match (row.stated(ITEM_TYPE), row.cell(BLOB_TYPE)) {
        (Some(word), _) => (ITEM_TYPE, word),
        (None, Some(word)) => (BLOB_TYPE, word),
        (None, None) => return Ok(None),
    };
    match item_kind(word) {
        Some(kind) => Ok(Some(KindRule::Fixed(kind))),
        None => {
            let found = if word.is_empty() { "None" } else { word };
            Err(row.error(column, InputFault::ItemType { found: found.to_owned() }))
        }
    }
}

/// The item type of a word, in any case: the tool's words, and the documentation's.
pub fn item_kind(word: &str) -> Option<ItemKind> {
    match word.to_ascii_lowercase().as_str() {
        "blockblob" | "block" => Some(ItemKind::Block),
        "pageblob" | "page" => Some(ItemKind::Page),
        "file" => Some(ItemKind::File),
        _ => None,
    }
}

fn side_file(row: &Row<'_>, column: &'static str) -> Result<Option<SideFileSource>, InputError> {
    let Some(text) = row.cell(column) else { return Ok(None) };
    let path = local_path(text).map_err(|fault| row.error(column, fault))?;
    Ok(Some(SideFileSource::File(path.into())))
}

/// A path of this machine: what Windows alone has is refused by name.
///
/// # Errors
/// The kind of path that it is instead.
pub fn local_path(text: &str) -> Result<&str, InputFault> {
    let bytes = text.as_bytes();
    let found = || text.to_owned();
    if bytes.first().is_some_and(u8::is_ascii_alphabetic) && bytes.get(1) == Some(&b':') {
        Err(InputFault::DriveLetter { found: found() })
    } else if text.starts_with("\\\\") || text.starts_with("//") {
        Err(InputFault::Network { found: found() })
    } else if text.starts_with('/') {
        Ok(text)
    } else {
        Err(InputFault::Relative { found: found() })
    }
}
