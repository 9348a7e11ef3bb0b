//! The metadata file: names and values of the customer's.

use super::{SideFileError, SideFileFault, Values, text_of};
use crate::limits::METADATA_BYTES_MAX;
use crate::xml;

/// Name and value pairs in the file's order; names differ in more than case.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Metadata(Vec<(String, String)>);

impl Metadata {
    /// Reads a metadata file.
    ///
    /// # Errors
    /// The first thing that is wrong with it; all lead to `XmlReadFailed`.
    pub fn parse(bytes: &[u8]) -> Result<Metadata, SideFileError> {
        let text = text_of(bytes)?;
        let mut values = Values::open(&text, "Metadata")?;
        let mut pairs: Vec<(String, String)> = Vec::new();
        let mut total_bytes: usize = 0;
        while let Some(value) = values.next()? {
            let name = || value.name.clone();
            if !is_identifier(&value.name) {
                return Err(value.fault(SideFileFault::MetadataName { name: name() }));
            }
            if pairs.iter().any(|(other, _)| other.eq_ignore_ascii_case(&value.name)) {
                return Err(value.fault(SideFileFault::Duplicate { name: name() }));
            }
            let text = value.header()?;
            total_bytes = total_bytes.saturating_add(value.name.len()).saturating_add(text.len());
            if total_bytes > METADATA_BYTES_MAX {
                return Err(value.fault(SideFileFault::MetadataLength));
            }
            pairs.push((value.name, text));
        }
        Ok(Metadata(pairs))
    }

    /// Takes pairs that do not come from a file.
    ///
    /// # Errors
    /// What [`Metadata::parse`] would find wrong with a file that holds them.
    pub fn from_pairs(pairs: Vec<(String, String)>) -> Result<Metadata, SideFileFault> {
        if let Some((name, _)) = pairs.iter().find(|(name, _)| !is_identifier(name)) {
            return Err(SideFileFault::MetadataName { name: name.clone() });
        }
        Metadata::parse(Metadata(pairs).to_xml().as_bytes()).map_err(|error| error.fault)
    }

    /// The pairs.
    pub fn pairs(&self) -> &[(String, String)] {
        &self.0
    }

    /// The file that [`Metadata::parse`] reads these pairs from.
    pub fn to_xml(&self) -> String {
        let mut file = String::from("<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<Metadata>\n");
        for (name, value) in &self.0 {
            file.push_str(&format!("  <{name}>{}</{name}>\n", xml::text(value)));
        }
        file.push_str("</Metadata>\n");
        file
    }
}

/// A C# identifier as far as a header's name can carry one.
fn is_identifier(name: &str) -> bool {
    let mut bytes = name.bytes();
    bytes.next().is_some_and(|first| first == b'_' || first.is_ascii_alphabetic())
        && bytes.all(|byte| byte == b'_' || byte.is_ascii_alphanumeric())
}
