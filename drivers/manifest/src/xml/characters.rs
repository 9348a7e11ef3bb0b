//! Which characters XML 1.0 can hold: production 2 of the XML recommendation.

/// Whether XML 1.0 can hold the character, literally or as a reference.
pub(crate) fn is_xml_character(character: char) -> bool {
    match u32::from(character) {
        0x09 | 0x0A | 0x0D => true,
        code => code >= 0x20 && !matches!(code, 0xFFFE | 0xFFFF),
    }
}

/// The first character that XML 1.0 cannot hold.
pub(super) fn first_foreign(text: &str) -> Option<char> {
    // Bytes first: nearly every text is done after one pass that the compiler can vectorise.
    let suspicious = text.bytes().fold(false, |found, byte| found | (byte < 0x20) | (byte == 0xEF));
    if suspicious { text.chars().find(|&character| !is_xml_character(character)) } else { None }
}

/// Whether XML 1.0 can hold all of the text.
pub(crate) fn is_writable(text: &str) -> bool {
    first_foreign(text).is_none()
}
