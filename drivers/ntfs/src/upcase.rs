//! Upper case as this volume sees it: its `$UpCase` table. spec/ntfs.md §3.11, §5.
//!
//! Two names are the same on a volume when its own table maps them to the same units; neither the
//! locale nor today's Unicode has a say.

mod standard;

use std::sync::OnceLock;

use crate::wtf8;

/// A name as a volume with the table of current Windows compares it: two names of one directory clash
/// exactly when these are equal.
pub fn folded_name(name: &str) -> Vec<u16> {
    static TABLE: OnceLock<UpCase> = OnceLock::new();
    let table = TABLE.get_or_init(UpCase::standard);
    name.encode_utf16().map(|unit| table.unit(unit)).collect()
}

/// Length of `$UpCase`: one unit for each of 65,536.
pub(crate) const TABLE_BYTES: u64 = 131_072;

/// Maps a unit to upper case.
pub(crate) struct UpCase {
    table: Box<[u16]>,
}

impl UpCase {
    /// Reads the content of `$UpCase`; `None` when it is not whole, or maps an ASCII letter to
    /// anything but its capital (then it is damaged, and no name could be found with it).
    pub(crate) fn parse(content: &[u8]) -> Option<UpCase> {
        let table: Box<[u16]> =
            content.chunks_exact(2).map(|pair| pair.try_into().map_or(0, u16::from_le_bytes)).collect();
        let upcase = UpCase { table };
        let plausible =
            (0..0x80_u8).all(|unit| upcase.unit(unit.into()) == u16::from(unit.to_ascii_uppercase()));
        (upcase.table.len() == 0x1_0000 && plausible).then_some(upcase)
    }

    /// The table of current Windows, for a volume whose own cannot be read.
    pub(crate) fn standard() -> UpCase {
        let mut table: Box<[u16]> = (0..=u16::MAX).collect();
        for (first, count, step, delta) in standard::RUNS {
            for nth in 0..count {
                let unit = first.wrapping_add(nth.wrapping_mul(step));
                if let Some(slot) = table.get_mut(usize::from(unit)) {
                    *slot = unit.wrapping_add_signed(delta);
                }
            }
        }
        UpCase { table }
    }

    /// One unit in upper case.
    pub(crate) fn unit(&self, unit: u16) -> u16 {
        self.table.get(usize::from(unit)).copied().unwrap_or(unit)
    }

    /// Whether a WTF-8 name is `other` (in units) for a volume that ignores case.
    pub(crate) fn same(&self, name: &[u8], other: &[u16]) -> bool {
        wtf8::units(name).map(|unit| self.unit(unit)).eq(other.iter().map(|&unit| self.unit(unit)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_clash_when_they_differ_only_in_case() {
        assert_eq!(folded_name("Été.TXT"), folded_name("ÉTÉ.txt"));
        assert_ne!(folded_name("straße"), folded_name("STRASSE"));
        assert_ne!(folded_name("e\u{301}"), folded_name("é"));
    }

    fn bytes(table: &UpCase) -> Vec<u8> {
        table.table.iter().flat_map(|unit| unit.to_le_bytes()).collect()
    }

    #[test]
    fn the_standard_table_reads_back_and_maps_what_windows_maps() {
        let table = UpCase::parse(&bytes(&UpCase::standard())).unwrap();
        let upper = |unit: char| char::from_u32(table.unit(unit as u16).into()).unwrap();
        assert_eq!(upper('z'), 'Z');
        assert_eq!(upper('é'), 'É');
        assert_eq!(upper('ÿ'), 'Ÿ');
        assert_eq!(upper('ß'), 'ß');
        assert_eq!(upper('ı'), 'ı');
        assert_eq!((0..=u16::MAX).filter(|&unit| table.unit(unit) != unit).count(), 973);
    }

    #[test]
    fn a_table_that_is_short_or_loses_ascii_is_refused() {
        let mut content = bytes(&UpCase::standard());
        assert!(UpCase::parse(&content[..1000]).is_none());
        content[0xc2] = 0x62;
        assert!(UpCase::parse(&content).is_none());
    }

    #[test]
    fn names_compare_through_the_table() {
        let table = UpCase::standard();
        let units: Vec<u16> = "STRASSE ÄÖÜ.TXT".encode_utf16().collect();
        assert!(table.same("Strasse äöü.txt".as_bytes(), &units));
        assert!(!table.same("Straße äöü.txt".as_bytes(), &units));
    }
}
