//! Metadata and properties files: azure-import-export.md §1.10 and §1.11.

use std::fmt::Write;

use super::plan::Properties;

/// A metadata file's text.
pub fn metadata(pairs: &[(String, String)]) -> String {
    document("Metadata", pairs.iter().map(|(name, value)| (name.as_str(), value.as_str())))
}

/// A properties file's text.
pub fn properties(properties: &Properties) -> String {
    let pairs = [
        ("Content-Type", &properties.content_type),
        ("Content-Language", &properties.content_language),
        ("Cache-Control", &properties.cache_control),
    ];
    document("Properties", pairs.iter().filter_map(|(name, value)| Some((*name, value.as_deref()?))))
}

fn document<'a>(root: &str, pairs: impl Iterator<Item = (&'a str, &'a str)>) -> String {
    let mut text = format!("<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<{root}>\n");
    for (name, value) in pairs {
        writeln!(text, "  <{name}>{}</{name}>", escaped(value)).expect("writing to memory");
    }
    text + &format!("</{root}>\n")
}

/// Text as XML element content; all that the rig packs is valid XML characters.
pub fn escaped(value: &str) -> String {
    value.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_are_escaped_and_unset_properties_left_out() {
        let text = metadata(&[("Shelf_7".to_owned(), "a & b <c>".to_owned())]);
        assert!(text.contains("<Shelf_7>a &amp; b &lt;c&gt;</Shelf_7>"), "{text}");
        let text =
            properties(&Properties { content_language: Some("de".to_owned()), ..Properties::default() });
        assert!(text.contains("<Content-Language>de<") && !text.contains("Cache-Control"), "{text}");
    }
}
