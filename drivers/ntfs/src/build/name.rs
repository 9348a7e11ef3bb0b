//! Names: what NTFS can hold, what Windows can open, and what is an 8.3 name.
//!
//! NTFS holds more than Windows opens, and other systems write such names, so the builder refuses
//! only what no NTFS driver would take. Whoever wants every name to work in Windows asks
//! [`windows_fault`] first.

/// Longest name in UTF-16 units.
pub(super) const NAME_UNITS_MAX: usize = 255;

/// Why NTFS cannot hold a name.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum NameFault {
    /// No unit at all.
    #[error("a name is never empty")]
    Empty,
    /// Too long.
    #[error("the name has {units} UTF-16 units; at most {NAME_UNITS_MAX} are allowed")]
    TooLong {
        /// Its length.
        units: usize,
    },
    /// `.` and `..` are directions, not names.
    #[error("'.' and '..' are not names")]
    Dots,
    /// Separators of paths and streams, and control characters.
    #[error("a name cannot have the character {character:?}")]
    Character {
        /// The first such character.
        character: char,
    },
}

/// The name in UTF-16, if NTFS can hold it.
pub(super) fn units(name: &str) -> Result<Vec<u16>, NameFault> {
    if name.is_empty() {
        return Err(NameFault::Empty);
    }
    if name == "." || name == ".." {
        return Err(NameFault::Dots);
    }
    let refused = |character: &char| matches!(character, '\0'..='\x1f' | '/' | '\\' | ':');
    if let Some(character) = name.chars().find(refused) {
        return Err(NameFault::Character { character });
    }
    let units: Vec<u16> = name.encode_utf16().collect();
    match units.len() {
        0..=NAME_UNITS_MAX => Ok(units),
        units => Err(NameFault::TooLong { units }),
    }
}

/// Why Windows does not open a file by a name that NTFS can hold.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum WindowsFault {
    /// One of `"*<>?|`.
    #[error("Windows opens no name with the character {character:?}")]
    Character {
        /// The first such character.
        character: char,
    },
    /// Windows cuts these off before it looks.
    #[error("Windows opens no name that ends with a space or a full stop")]
    End,
    /// `NUL`, `COM1` and the like, with any extension.
    #[error("Windows takes the name for a device")]
    Device,
}

/// Names that are devices, without the numbered ones.
const DEVICES: [&str; 6] = ["CON", "PRN", "AUX", "NUL", "CONIN$", "CONOUT$"];
/// Devices that have a number behind their name, superscripts counted.
const NUMBERED_DEVICES: [&str; 2] = ["COM", "LPT"];

/// What keeps Windows' programs from opening a file of this name, if anything does.
pub fn windows_fault(name: &str) -> Option<WindowsFault> {
    if let Some(character) = name.chars().find(|character| "\"*<>?|".contains(*character)) {
        return Some(WindowsFault::Character { character });
    }
    if name.ends_with([' ', '.']) {
        return Some(WindowsFault::End);
    }
    let stem = name.split('.').next().unwrap_or(name).trim_end_matches(' ').to_ascii_uppercase();
    let numbered = |device: &str| {
        let number = stem.strip_prefix(device).and_then(|rest| {
            let mut rest = rest.chars();
            rest.next().filter(|_| rest.next().is_none())
        });
        number.is_some_and(|number| matches!(number, '1'..='9' | '¹' | '²' | '³'))
    };
    let device = DEVICES.contains(&stem.as_str()) || NUMBERED_DEVICES.iter().any(|device| numbered(device));
    device.then_some(WindowsFault::Device)
}

/// Whether DOS could have given the name: then it needs no second one. spec/ntfs.md §5 `$FILE_NAME`.
pub(super) fn is_dos_name(units: &[u16]) -> bool {
    let dot = u16::from(b'.');
    let mut parts = units.split(|&unit| unit == dot);
    let (stem, extension, more) = (parts.next(), parts.next(), parts.next());
    let plain = |part: &[u16], longest: usize| {
        (1..=longest).contains(&part.len()) && part.iter().all(|&unit| is_dos_unit(unit))
    };
    stem.is_some_and(|stem| plain(stem, 8)) && extension.is_none_or(|part| plain(part, 3)) && more.is_none()
}

fn is_dos_unit(unit: u16) -> bool {
    u8::try_from(unit).is_ok_and(|byte| {
        byte.is_ascii_uppercase() || byte.is_ascii_digit() || b"_-~!#$%&'()@^`{}".contains(&byte)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_no_driver_takes_is_refused() {
        let fault = |name: &str| units(name).unwrap_err();
        assert_eq!(fault(""), NameFault::Empty);
        assert_eq!(fault("."), NameFault::Dots);
        assert_eq!(fault(".."), NameFault::Dots);
        for character in ['/', '\\', ':', '\0', '\n', '\x1f'] {
            assert_eq!(fault(&format!("a{character}b")), NameFault::Character { character });
        }
        assert_eq!(fault(&"a".repeat(256)), NameFault::TooLong { units: 256 });
        assert_eq!(fault(&"\u{1f600}".repeat(128)), NameFault::TooLong { units: 256 });
        for name in ["a", "...", "a?", "nul", "a ", "\u{1f600}", &"ä".repeat(255)] {
            assert_eq!(units(name).unwrap(), name.encode_utf16().collect::<Vec<_>>());
        }
    }

    #[test]
    fn names_that_windows_does_not_open_are_told() {
        for (name, fault) in [
            ("what?", WindowsFault::Character { character: '?' }),
            ("a<b", WindowsFault::Character { character: '<' }),
            ("end ", WindowsFault::End),
            ("end.", WindowsFault::End),
            ("nul", WindowsFault::Device),
            ("Aux.c", WindowsFault::Device),
            ("con .txt", WindowsFault::Device),
            ("COM1", WindowsFault::Device),
            ("lpt¹.log", WindowsFault::Device),
        ] {
            assert_eq!(windows_fault(name), Some(fault), "{name}");
        }
        for name in ["COM0", "COM12", "COM", "nulls", "a.nul", ".hidden", "x y", "ä"] {
            assert_eq!(windows_fault(name), None, "{name}");
        }
    }

    #[test]
    fn dos_names_are_upper_case_with_one_short_extension() {
        let dos = |name: &str| is_dos_name(&name.encode_utf16().collect::<Vec<_>>());
        for name in ["A", "FILE0001.TXT", "12345678", "A-B_~1.X", "$MFT"] {
            assert!(dos(name), "{name}");
        }
        for name in ["a", "123456789", "A.TEXT", "A.B.C", ".A", "A.", "A B", "Ä", "A+B"] {
            assert!(!dos(name), "{name}");
        }
    }
}
