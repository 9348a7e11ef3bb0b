//! The properties file: the blob's standard headers.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use model::Md5Digest;

use super::{SideFileError, SideFileFault, Value, Values, text_of};
use crate::limits::REPORTS_MAX;
use crate::xml;

/// The properties that an import sets. `None` where the file does not say, or says nothing.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Properties {
    /// `Content-Type`.
    pub content_type: Option<String>,
    /// `Content-MD5`: stored as given, never compared with the blob's bytes.
    pub content_md5: Option<Md5Digest>,
    /// `Content-Encoding`.
    pub content_encoding: Option<String>,
    /// `Content-Language`.
    pub content_language: Option<String>,
    /// `Cache-Control`.
    pub cache_control: Option<String>,
    /// Elements that the format does not have; they were ignored.
    pub ignored: Vec<String>,
}

/// What only exports write, and an import ignores: §1.11.
const EXPORT_ONLY: [&str; 3] = ["Last-Modified", "Etag", "Content-Length"];

impl Properties {
    /// Reads a properties file.
    ///
    /// # Errors
    /// The first thing that is wrong with it; all lead to `XmlReadFailed`.
    pub fn parse(bytes: &[u8]) -> Result<Properties, SideFileError> {
        let text = text_of(bytes)?;
        let mut values = Values::open(&text, "Properties")?;
        let mut properties = Properties::default();
        let mut seen: Vec<String> = Vec::new();
        while let Some(value) = values.next()? {
            if seen.contains(&value.name) {
                let name = value.name.clone();
                return Err(value.fault(SideFileFault::Duplicate { name }));
            }
            if properties.set(&value)? {
                seen.push(value.name);
            } else if properties.ignored.len() < REPORTS_MAX && !properties.ignored.contains(&value.name) {
                properties.ignored.push(value.name);
            }
        }
        Ok(properties)
    }

    /// The file that [`Properties::parse`] reads these from.
    pub fn to_xml(&self) -> String {
        self.to_xml_after(String::new())
    }

    /// The file that an export writes: the same, after what only exports tell.
    pub fn to_export_xml(&self, last_modified: Option<&str>, etag: &str, length_bytes: u64) -> String {
        let length = length_bytes.to_string();
        let mut exported = String::new();
        for (name, value) in EXPORT_ONLY.into_iter().zip([last_modified, Some(etag), Some(&length)]) {
            if let Some(value) = value {
                exported.push_str(&format!("  <{name}>{}</{name}>\n", xml::text(value)));
            }
        }
        self.to_xml_after(exported)
    }

    fn to_xml_after(&self, elements: String) -> String {
        let md5 = self.content_md5.map(|digest| STANDARD.encode(digest.0));
        let mut file = format!("<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<Properties>\n{elements}");
        for (name, value) in [
            ("Content-Type", &self.content_type),
            ("Content-MD5", &md5),
            ("Content-Encoding", &self.content_encoding),
            ("Content-Language", &self.content_language),
            ("Cache-Control", &self.cache_control),
        ] {
            if let Some(value) = value {
                file.push_str(&format!("  <{name}>{}</{name}>\n", xml::text(value)));
            }
        }
        file.push_str("</Properties>\n");
        file
    }

    /// Takes one value; false when the format does not have its name.
    fn set(&mut self, value: &Value) -> Result<bool, SideFileError> {
        let slot = match value.name.as_str() {
            "Content-Type" => &mut self.content_type,
            "Content-Encoding" => &mut self.content_encoding,
            "Content-Language" => &mut self.content_language,
            "Cache-Control" => &mut self.cache_control,
            "Content-MD5" => {
                self.content_md5 = content_md5(value)?;
                return Ok(true);
            }
            name => return Ok(EXPORT_ONLY.contains(&name)),
        };
        *slot = Some(value.header()?).filter(|text| !text.is_empty());
        Ok(true)
    }
}

fn content_md5(value: &Value) -> Result<Option<Md5Digest>, SideFileError> {
    let text = value.text.trim();
    if text.is_empty() {
        return Ok(None);
    }
    let digest = STANDARD.decode(text).ok().and_then(|bytes| bytes.try_into().ok()).map(Md5Digest);
    digest
        .map(Some)
        .ok_or_else(|| value.fault(SideFileFault::ContentMd5 { found: xml::shortened(text).to_owned() }))
}
