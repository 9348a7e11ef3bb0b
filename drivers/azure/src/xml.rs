//! The service's XML: error documents, listings, block lists, page ranges.
//!
//! One walk over the elements, no tree. Invariants: a document of any content costs memory in
//! proportion to its length only (which the caller bounds); nesting deeper than the service's is an
//! error; entities other than XML's own five and character references are an error, so nothing
//! expands. azure-storage.md §7.6.

use quick_xml::Reader;
use quick_xml::escape::resolve_predefined_entity;
use quick_xml::events::{BytesStart, Event};

/// The service nests five deep.
const DEPTH_MAX: usize = 16;

/// A leaf element: its text, and what surrounds it.
pub(crate) enum Node<'a> {
    /// An element begins. `path` ends with its own name.
    Begin { path: &'a [String] },
    /// An element ends; `text` is its own text. `path` ends with its own name.
    End { path: &'a [String], text: &'a str, encoded: bool },
}

/// Why a document cannot be read.
#[derive(Debug, thiserror::Error)]
pub(crate) enum XmlError {
    #[error("the XML is broken at byte {position}")]
    Syntax {
        position: u64,
        #[source]
        source: Option<quick_xml::Error>,
    },
    #[error("the XML ends in the middle")]
    Unfinished,
    #[error("the XML nests deeper than {DEPTH_MAX}")]
    Depth,
    #[error("the XML has an entity that is not XML's own")]
    Entity,
    #[error("the element {0} has no usable value")]
    Value(&'static str),
}

/// Calls `visit` for the beginning and end of each element.
///
/// # Errors
/// When the document is no well-formed XML, or `visit` refuses.
pub(crate) fn walk(
    document: &[u8],
    mut visit: impl FnMut(Node<'_>) -> Result<(), XmlError>,
) -> Result<(), XmlError> {
    let document = document.strip_prefix(b"\xEF\xBB\xBF").unwrap_or(document);
    let document = std::str::from_utf8(document).map_err(|error| XmlError::Syntax {
        position: u64::try_from(error.valid_up_to()).unwrap_or(u64::MAX),
        source: None,
    })?;
    let mut reader = Reader::from_str(document);
    let mut path: Vec<String> = Vec::new();
    let mut text = String::new();
    let mut encoded = false;
    loop {
        let event = reader
            .read_event()
            .map_err(|source| XmlError::Syntax { position: reader.error_position(), source: Some(source) })?;
        match event {
            Event::Start(start) => {
                enter(&mut path, &start)?;
                (text, encoded) = (String::new(), is_encoded(&start));
                visit(Node::Begin { path: &path })?;
            }
            Event::Empty(start) => {
                enter(&mut path, &start)?;
                visit(Node::Begin { path: &path })?;
                visit(Node::End { path: &path, text: "", encoded: false })?;
                path.pop();
                text.clear();
            }
            Event::End(_) => {
                visit(Node::End { path: &path, text: &text, encoded })?;
                path.pop();
                (text, encoded) = (String::new(), false);
            }
            Event::Text(piece) => text.push_str(&piece.xml10_content()),
            Event::CData(piece) => text.push_str(&piece.xml10_content()),
            Event::GeneralRef(entity) => match entity.resolve_char_ref().map_err(|_| XmlError::Entity)? {
                Some(character) => text.push(character),
                None => text.push_str(resolve_predefined_entity(&entity).ok_or(XmlError::Entity)?),
            },
            Event::Eof if path.is_empty() => return Ok(()),
            Event::Eof => return Err(XmlError::Unfinished),
            Event::Comment(_) | Event::Decl(_) | Event::PI(_) | Event::DocType(_) => {}
        }
    }
}

fn enter(path: &mut Vec<String>, start: &BytesStart<'_>) -> Result<(), XmlError> {
    if path.len() >= DEPTH_MAX {
        return Err(XmlError::Depth);
    }
    path.push(start.name().as_ref().to_owned());
    Ok(())
}

/// `<Name Encoded="true">`: names with characters that XML 1.0 cannot hold come percent-encoded.
fn is_encoded(start: &BytesStart<'_>) -> bool {
    start.attributes().flatten().any(|a| a.key.as_ref() == "Encoded" && a.value.as_ref() == "true")
}

/// Whether the path ends with these names.
pub(crate) fn ends_with(path: &[String], tail: &[&str]) -> bool {
    path.len() >= tail.len() && path.iter().rev().zip(tail.iter().rev()).all(|(a, b)| a == b)
}

/// Code and message of an error document; nothing when it is none.
pub(crate) fn error_body(document: &[u8]) -> (Option<String>, Option<String>) {
    let (mut code, mut message) = (None, None);
    let outcome = walk(document, |node| {
        if let Node::End { path, text, .. } = node {
            match path {
                [error, name] if error == "Error" && name == "Code" => code = Some(text.to_owned()),
                [error, name] if error == "Error" && name == "Message" => message = first_line(text),
                _ => {}
            }
        }
        Ok(())
    });
    // A truncated document still says what it said before it broke off.
    drop(outcome);
    (code, message)
}

/// The service appends `RequestId:` and `Time:` on lines of their own; they come in headers too.
fn first_line(text: &str) -> Option<String> {
    text.lines().map(str::trim).find(|line| !line.is_empty()).map(str::to_owned)
}

/// Appends text so that XML reads it back the same.
pub(crate) fn append_escaped(out: &mut String, text: &str) {
    out.push_str(&quick_xml::escape::escape(text));
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn code_and_message_are_found_behind_a_byte_order_mark() {
        let document = "\u{feff}<?xml version=\"1.0\" encoding=\"utf-8\"?><Error><Code>ServerBusy</Code>\
            <Message>Ingress is over the account limit &amp; more.\nRequestId:1\nTime:2</Message></Error>";
        let (code, message) = error_body(document.as_bytes());
        assert_eq!(code.as_deref(), Some("ServerBusy"));
        assert_eq!(message.as_deref(), Some("Ingress is over the account limit & more."));
    }

    #[test]
    fn a_page_of_somebody_else_is_no_error_document() {
        assert_eq!(error_body(b"<html><body><Code>no</Code></body></html>"), (None, None));
        assert_eq!(error_body(b"Bad gateway"), (None, None));
        assert_eq!(error_body(b"\xff\xfe"), (None, None));
    }

    #[test]
    fn hostile_documents_are_errors() {
        let deep = "<a>".repeat(100);
        for document in [
            deep.as_str(),
            "<a>&bomb;</a>",
            "<a><b></a>",
            "<a>",
            "<!DOCTYPE a [<!ENTITY b \"c\">]><a>&b;</a>",
        ] {
            assert!(walk(document.as_bytes(), |_| Ok(())).is_err(), "{document}");
        }
    }

    proptest::proptest! {
        #[test]
        fn no_document_makes_the_reader_panic(document in "[<>/&;!\\[\\]?a-c =\"#x0-9-]{0,200}") {
            let mut deepest = 0;
            let _ = walk(document.as_bytes(), |node| {
                let (Node::Begin { path } | Node::End { path, .. }) = node;
                deepest = deepest.max(path.len());
                Ok(())
            });
            proptest::prop_assert!(deepest <= DEPTH_MAX);
        }
    }

    #[test]
    fn escaped_text_is_read_back() {
        let mut document = String::from("<a>");
        append_escaped(&mut document, "<&>\"'");
        document.push_str("</a>");
        let mut found = String::new();
        walk(document.as_bytes(), |node| {
            if let Node::End { text, .. } = node {
                found.push_str(text);
            }
            Ok(())
        })
        .unwrap();
        assert_eq!(found, "<&>\"'");
    }
}
