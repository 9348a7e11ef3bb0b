//! Looks for a secret where none may be: in a log, a database, a reply, a process's memory.
//!
//! For tests and for audits: plant a secret, run everything, search everything that came out. Owns the forms in
//! which a secret is searched for: its bytes, hexadecimal in both cases, base64 in both alphabets and at
//! every alignment, UTF-16 in both byte orders. What it cannot see: compressed or encrypted bytes, and
//! a secret that was cut in pieces. Invariant: a short secret is refused, because it would be found anywhere.

use std::fmt;

use base64::Engine;
use base64::engine::general_purpose::{STANDARD_NO_PAD, URL_SAFE_NO_PAD};

/// Fewer bytes than this occur by chance, or leave nothing of them in base64.
const SECRET_BYTES_MIN: usize = 8;

/// A form of a secret.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Form {
    /// The bytes themselves.
    Raw,
    /// Hexadecimal digits.
    Hex,
    /// Base64, of either alphabet, also inside of something longer that was encoded.
    Base64,
    /// UTF-16, of either byte order.
    Utf16,
}

impl fmt::Display for Form {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Form::Raw => "as it is",
            Form::Hex => "in hexadecimal",
            Form::Base64 => "in base64",
            Form::Utf16 => "in UTF-16",
        })
    }
}

/// Where a secret was found.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Found {
    /// In which form.
    pub form: Form,
    /// At which byte.
    pub at: usize,
}

/// A secret to be searched for, in all of its forms.
pub struct Planted(Vec<(Form, Vec<u8>)>);

impl Planted {
    /// Works out the forms.
    ///
    /// # Panics
    /// When the secret has fewer than 8 bytes: the test would prove nothing.
    pub fn new(secret: &[u8]) -> Planted {
        assert!(secret.len() >= SECRET_BYTES_MIN, "a planted secret has at least {SECRET_BYTES_MIN} bytes");
        let mut forms = vec![(Form::Raw, secret.to_vec())];
        let hex: String = secret.iter().map(|byte| format!("{byte:02x}")).collect();
        forms.push((Form::Hex, hex.to_uppercase().into_bytes()));
        forms.push((Form::Hex, hex.into_bytes()));
        for before in 0..3 {
            forms.push((Form::Base64, inner_base64(&STANDARD_NO_PAD, secret, before)));
            forms.push((Form::Base64, inner_base64(&URL_SAFE_NO_PAD, secret, before)));
        }
        if let Ok(text) = std::str::from_utf8(secret) {
            forms.push((Form::Utf16, text.encode_utf16().flat_map(u16::to_le_bytes).collect()));
            forms.push((Form::Utf16, text.encode_utf16().flat_map(u16::to_be_bytes).collect()));
        }
        Planted(forms)
    }

    /// The first place of any form in these bytes.
    pub fn find(&self, bytes: &[u8]) -> Option<Found> {
        // One pass, which looks closer only where a form may begin: what is searched may be a process's memory.
        let mut by_first_byte: [Vec<&(Form, Vec<u8>)>; 256] = std::array::from_fn(|_| Vec::new());
        self.0.iter().for_each(|form| by_first_byte[usize::from(form.1[0])].push(form));
        bytes.iter().enumerate().find_map(|(at, byte)| {
            let mut forms = by_first_byte[usize::from(*byte)].iter();
            let (form, _) = forms.find(|(_, needle)| bytes[at..].starts_with(needle))?;
            Some(Found { form: *form, at })
        })
    }
}

/// The characters that depend on the secret alone, when so many bytes (modulo 3) stand before it.
fn inner_base64(engine: &impl Engine, secret: &[u8], before: usize) -> Vec<u8> {
    let padded = [&vec![0; before], secret].concat();
    let text = engine.encode(&padded);
    // Each character holds 6 bits; those that hold a bit of a neighbour are left out.
    let first = (before * 8).div_ceil(6);
    let end = padded.len() * 8 / 6;
    text.as_bytes().get(first..end).unwrap_or_default().to_vec()
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECRET: &str = "111111-222222-333333";

    fn form_in(bytes: &[u8]) -> Option<Form> {
        Planted::new(SECRET.as_bytes()).find(bytes).map(|found| found.form)
    }

    #[test]
    fn a_secret_is_found_in_every_form_and_nothing_else_is() {
        let around = |middle: &[u8]| [b"before ".as_slice(), middle, b" after"].concat();
        assert_eq!(form_in(&around(SECRET.as_bytes())), Some(Form::Raw));
        let hex: String = SECRET.bytes().map(|byte| format!("{byte:02x}")).collect();
        assert_eq!(form_in(&around(hex.as_bytes())), Some(Form::Hex));
        assert_eq!(form_in(&around(hex.to_uppercase().as_bytes())), Some(Form::Hex));
        let utf16 = |bytes: fn(u16) -> [u8; 2]| SECRET.encode_utf16().flat_map(bytes).collect::<Vec<u8>>();
        assert_eq!(form_in(&around(&utf16(u16::to_le_bytes))), Some(Form::Utf16));
        assert_eq!(form_in(&around(&utf16(u16::to_be_bytes))), Some(Form::Utf16));
        assert_eq!(form_in(&around(b"111111-222222-33333")), None);
        assert_eq!(form_in(b""), None);
    }

    #[test]
    fn base64_is_seen_through_whatever_was_encoded_around_it() {
        for before in 0..7 {
            for after in 0..4 {
                let text = [vec![b'x'; before].as_slice(), SECRET.as_bytes(), &vec![0xff; after]].concat();
                for encoded in [STANDARD_NO_PAD.encode(&text), URL_SAFE_NO_PAD.encode(&text)] {
                    assert_eq!(form_in(encoded.as_bytes()), Some(Form::Base64), "{before}, {after}");
                }
            }
        }
        let binary = [0xfb, 0xff, 0xfe, 0x3f, 0xbf, 0xff, 0xfb, 0xef, 0xff];
        let text = URL_SAFE_NO_PAD.encode([b"{".as_slice(), &binary].concat());
        assert_eq!(Planted::new(&binary).find(text.as_bytes()).map(|found| found.form), Some(Form::Base64));
    }
}
