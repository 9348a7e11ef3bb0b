//! Writing the service's XML: elements that nest, and text that is escaped.

use std::fmt::Display;

use quick_xml::escape::escape;

/// An XML document that is being written.
pub(crate) struct Xml(String);

impl Xml {
    pub(crate) fn new() -> Xml {
        Xml("<?xml version=\"1.0\" encoding=\"utf-8\"?>".to_owned())
    }

    /// A fragment: elements that will be a part of a document.
    pub(crate) fn fragment() -> Xml {
        Xml(String::new())
    }

    /// Adds the elements of a fragment.
    pub(crate) fn append(&mut self, fragment: Xml) {
        self.0.push_str(&fragment.0);
    }

    /// An element with text.
    pub(crate) fn leaf(&mut self, name: &str, text: impl Display) {
        self.0.push_str(&format!("<{name}>{}</{name}>", escape(text.to_string())));
    }

    /// An element with text, when there is any.
    pub(crate) fn maybe(&mut self, name: &str, text: Option<impl Display>) {
        if let Some(text) = text {
            self.leaf(name, text);
        }
    }

    /// An element around what `inside` writes.
    pub(crate) fn element(&mut self, name: &str, inside: impl FnOnce(&mut Xml)) {
        self.with_attributes(name, &[], inside);
    }

    /// An element with attributes around what `inside` writes.
    pub(crate) fn with_attributes(
        &mut self,
        name: &str,
        attributes: &[(&str, &str)],
        inside: impl FnOnce(&mut Xml),
    ) {
        let attributes: String =
            attributes.iter().map(|(key, value)| format!(" {key}=\"{}\"", escape(*value))).collect();
        self.0.push_str(&format!("<{name}{attributes}>"));
        inside(self);
        self.0.push_str(&format!("</{name}>"));
    }

    pub(crate) fn finish(self) -> String {
        self.0
    }
}
