//! A start tag and its attributes, within the limits.

use std::borrow::Cow;

use quick_xml::XmlVersion;
use quick_xml::events::attributes::Attributes;

use super::characters::first_foreign;
use super::fault::XmlFault;
use crate::limits::{ATTRIBUTE_BYTES_MAX, ATTRIBUTES_MAX};

/// An element's start tag.
#[derive(Clone, Copy)]
pub(crate) struct Tag<'a> {
    /// The element's name.
    pub name: &'a str,
    content: &'a str,
}

impl<'a> Tag<'a> {
    /// A tag of this content, which begins with a name of this length.
    pub(super) fn new(content: &'a str, name_length: usize) -> Tag<'a> {
        Tag { name: content.get(..name_length).unwrap_or(content), content }
    }

    /// Hands each attribute's name and normalised value to `each`.
    ///
    /// Returns the fault of the first attribute that breaks a limit or is not well-formed.
    pub(crate) fn attributes(self, mut each: impl FnMut(&'a str, Cow<'a, str>)) -> Result<(), XmlFault> {
        let mut attributes = Attributes::new(self.content, self.name.len());
        attributes.with_checks(false);
        for (count, attribute) in attributes.enumerate() {
            let attribute = attribute.map_err(|error| XmlFault::Malformed { what: error.to_string() })?;
            let name = attribute.key.into_inner();
            if count >= ATTRIBUTES_MAX {
                return Err(XmlFault::AttributeCount);
            }
            if attribute.value.len() > ATTRIBUTE_BYTES_MAX {
                return Err(XmlFault::AttributeLength { name: shortened(name).to_owned() });
            }
            let value = attribute
                .normalized_value(XmlVersion::Implicit1_0)
                .map_err(|error| XmlFault::Malformed { what: shortened(&error.to_string()).to_owned() })?;
            if let Cow::Owned(text) = &value
                && let Some(character) = first_foreign(text)
            {
                return Err(XmlFault::Character { code: u32::from(character) });
            }
            each(name, value);
        }
        Ok(())
    }
}

/// Enough of a foreign text to recognise it in a message.
pub(crate) fn shortened(text: &str) -> &str {
    text.char_indices().nth(80).and_then(|(end, _)| text.get(..end)).unwrap_or(text)
}
