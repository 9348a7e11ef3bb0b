//! UTF-16 names as WTF-8 and back.
//!
//! A name on NTFS is any sequence of 16-bit units, unpaired surrogates included (spec §3.11). WTF-8
//! keeps each of them and takes half the memory of UTF-16 for most names: surrogate pairs become
//! four bytes as in UTF-8, an unpaired surrogate becomes the three bytes of its value.

/// Appends the WTF-8 form of little-endian UTF-16. An odd last byte is left out: lengths of names
/// are counted in units.
pub(crate) fn push_utf16le(out: &mut Vec<u8>, name: &[u8]) {
    let units = name.chunks_exact(2).map(|pair| match pair {
        [low, high] => u16::from_le_bytes([*low, *high]),
        _ => 0,
    });
    for unit in char::decode_utf16(units) {
        match unit {
            Ok(scalar) if scalar.is_ascii() => out.push(u8::try_from(scalar).unwrap_or(b'?')),
            Ok(scalar) => {
                let mut buffer = [0; 4];
                out.extend_from_slice(scalar.encode_utf8(&mut buffer).as_bytes());
            }
            Err(unpaired) => push_surrogate(out, unpaired.unpaired_surrogate()),
        }
    }
}

fn push_surrogate(out: &mut Vec<u8>, unit: u16) {
    let bits = |shift: u32| u8::try_from(unit.wrapping_shr(shift) & 0x3f).unwrap_or(0);
    out.extend_from_slice(&[0xe0 | bits(12), 0x80 | bits(6), 0x80 | bits(0)]);
}

/// The 16-bit units of a name that [`push_utf16le`] wrote.
pub(crate) fn units(name: &[u8]) -> Units<'_> {
    Units { rest: name, low_surrogate: None }
}

/// See [`units`].
pub(crate) struct Units<'a> {
    rest: &'a [u8],
    low_surrogate: Option<u16>,
}

impl Iterator for Units<'_> {
    type Item = u16;

    fn next(&mut self) -> Option<u16> {
        if let Some(low) = self.low_surrogate.take() {
            return Some(low);
        }
        let (&lead, tail) = self.rest.split_first()?;
        let following = match lead {
            0..=0x7f => {
                self.rest = tail;
                return Some(lead.into());
            }
            0x80..=0xdf => 1,
            0xe0..=0xef => 2,
            _ => 3,
        };
        let (more, rest) = tail.split_at_checked(following)?;
        self.rest = rest;
        let lead_bits = u32::from(lead) & 0x3f_u32.checked_shr(u32::try_from(following).ok()?)?;
        let point = more.iter().fold(lead_bits, |point, byte| point.wrapping_shl(6) | u32::from(byte & 0x3f));
        self.split(point)
    }
}

impl Units<'_> {
    /// One unit, or the first of a pair while the second waits.
    fn split(&mut self, point: u32) -> Option<u16> {
        if let Ok(unit) = u16::try_from(point) {
            return Some(unit);
        }
        let above = point.wrapping_sub(0x1_0000);
        self.low_surrogate = u16::try_from(0xdc00 | (above & 0x3ff)).ok();
        u16::try_from(0xd800 | (above.wrapping_shr(10) & 0x3ff)).ok()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn packed(name: &[u16]) -> Vec<u8> {
        let bytes: Vec<u8> = name.iter().flat_map(|unit| unit.to_le_bytes()).collect();
        let mut out = Vec::new();
        push_utf16le(&mut out, &bytes);
        out
    }

    proptest::proptest! {
        #[test]
        fn any_sequence_of_units_comes_back(name: Vec<u16>) {
            assert_eq!(units(&packed(&name)).collect::<Vec<_>>(), name);
        }

        #[test]
        fn text_is_plain_utf8(name: String) {
            assert_eq!(packed(&name.encode_utf16().collect::<Vec<_>>()), name.as_bytes());
        }

        #[test]
        fn any_bytes_are_read_without_panic(bytes: Vec<u8>) {
            assert!(units(&bytes).count() <= bytes.len());
        }
    }

    #[test]
    fn unpaired_surrogates_survive() {
        for name in [vec![0xd800], vec![0xdc00, 0xd800], vec![0x61, 0xdfff, 0xd83d, 0xde00, 0xd801]] {
            assert_eq!(units(&packed(&name)).collect::<Vec<_>>(), name);
        }
    }
}
