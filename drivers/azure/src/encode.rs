//! Percent-encoding of blob names and query values, byte for byte.
//!
//! Invariant: what is encoded here is decoded by the service to exactly the same name. Only the
//! unreserved characters of RFC 3986 stay as they are, so no URL library finds anything to fold,
//! to re-encode or to take for a delimiter. azure-storage.md §7.4.

/// Appends a blob name: `/` stays, everything that is not unreserved becomes `%XX`.
pub(crate) fn append_path(out: &mut String, name: &str) {
    append(out, name, |byte| byte == b'/');
}

/// Appends a query value: `/`, `+` and `=` of a base64 text are encoded too.
pub(crate) fn append_query_value(out: &mut String, value: &str) {
    append(out, value, |_| false);
}

/// Undoes `%XX`; a `%` that no two digits follow stays as it is, as URL parsers leave it.
pub(crate) fn decode(text: &str) -> String {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let Some((&first, tail)) = rest.split_first() {
        match (first, hex_pair(tail)) {
            (b'%', Some((byte, after))) => {
                bytes.push(byte);
                rest = after;
            }
            _ => {
                bytes.push(first);
                rest = tail;
            }
        }
    }
    String::from_utf8(bytes).unwrap_or_else(|error| String::from_utf8_lossy(error.as_bytes()).into_owned())
}

fn hex_pair(tail: &[u8]) -> Option<(u8, &[u8])> {
    let (pair, after) = tail.split_at_checked(2)?;
    let text = std::str::from_utf8(pair).ok().filter(|text| text.chars().all(|c| c.is_ascii_hexdigit()))?;
    Some((u8::from_str_radix(text, 16).ok()?, after))
}

fn append(out: &mut String, text: &str, also_kept: impl Fn(u8) -> bool) {
    const DIGITS: [char; 16] =
        ['0', '1', '2', '3', '4', '5', '6', '7', '8', '9', 'A', 'B', 'C', 'D', 'E', 'F'];
    let digit = |nibble: u8| DIGITS.get(usize::from(nibble)).copied().unwrap_or('0');
    for &byte in text.as_bytes() {
        if byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_' | b'.' | b'~') || also_kept(byte) {
            out.push(char::from(byte));
        } else {
            out.extend(['%', digit(byte >> 4), digit(byte & 0xF)]);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_unreserved_characters_and_slashes_of_a_path_stay() {
        let mut path = String::new();
        append_path(&mut path, "a b/ü%41+#?&='\\//~._-$");
        assert_eq!(path, "a%20b/%C3%BC%2541%2B%23%3F%26%3D%27%5C//~._-%24");
        let mut value = String::new();
        append_query_value(&mut value, "a/b+c=");
        assert_eq!(value, "a%2Fb%2Bc%3D");
    }

    #[test]
    fn decoding_undoes_encoding_and_leaves_stray_percent_signs() {
        let name = "a b/ü%41+#?";
        let mut encoded = String::new();
        append_query_value(&mut encoded, name);
        assert_eq!(decode(&encoded), name);
        assert_eq!(decode("100%"), "100%");
        assert_eq!(decode("%zz%4"), "%zz%4");
        assert_eq!(decode("%+1"), "%+1");
    }
}
