//! Paths: what a manifest may ask for, and what a file is called.
//!
//! A path from a manifest comes from outside and is checked before anything is looked up: no way
//! out of the volume (`..`, drive letters, UNC), no device, no stream, nothing longer than Windows
//! allows. A path that the volume gives is UTF-16 and may hold any unit but the separator.

use std::fmt;

/// Longest path in UTF-16 units.
pub(crate) const PATH_UNITS_MAX: usize = 32_767;
/// Longest component in UTF-16 units.
const COMPONENT_UNITS_MAX: usize = crate::index::names::NAME_UNITS_MAX;
const SEPARATORS: [char; 2] = ['\\', '/'];
/// Names that Windows takes for devices, with or without an extension.
const DEVICES: [&str; 6] = ["CON", "PRN", "AUX", "NUL", "CONIN$", "CONOUT$"];

/// Where a file is on its volume: components joined with `\`, without one in front. Display
/// replaces what is not Unicode.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Default)]
pub struct VolumePath {
    pub(crate) units: Vec<u16>,
}

impl VolumePath {
    /// The UTF-16 units, unpaired surrogates included.
    pub fn units(&self) -> &[u16] {
        &self.units
    }

    /// This path and one more component.
    pub(crate) fn join(&self, name: impl Iterator<Item = u16>) -> VolumePath {
        let mut units = self.units.clone();
        if !units.is_empty() {
            units.push(u16::from(b'\\'));
        }
        units.extend(name);
        VolumePath { units }
    }
}

impl fmt::Display for VolumePath {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&String::from_utf16_lossy(&self.units))
    }
}

/// Why a path is not one that may be asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum PathFault {
    /// No component at all.
    #[error("it is empty")]
    Empty,
    /// `\\server\share`, `\\?\`, `\\.\`.
    #[error("it begins with two separators, which names another machine or a device")]
    Unc,
    /// `.` or `..`.
    #[error("it has a relative component")]
    Relative,
    /// A colon: a drive letter or a stream.
    #[error("it has a colon, which names a drive or a stream")]
    Colon,
    /// NUL ends a path for some programs and not for others.
    #[error("it has a NUL")]
    Nul,
    /// CON, NUL, COM1, …
    #[error("it names a device")]
    Device,
    /// A separator at the end: it asks for a directory.
    #[error("it ends with a separator")]
    TrailingSeparator,
    /// A character that Windows allows in no name, and no file has that name either.
    #[error("it has the character {0:?}, which Windows allows in no name")]
    Character(char),
}

/// What [`components`] says about a path.
pub(crate) enum PathRefusal {
    Invalid(PathFault),
    TooLong,
}

/// Splits a manifest's path into components.
pub(crate) fn components(path: &str) -> Result<Vec<&str>, PathRefusal> {
    if path.encode_utf16().count() > PATH_UNITS_MAX {
        return Err(PathRefusal::TooLong);
    }
    let bare = path.strip_prefix(SEPARATORS).unwrap_or(path);
    if bare.starts_with(SEPARATORS) {
        return Err(PathRefusal::Invalid(PathFault::Unc));
    }
    let components: Vec<&str> = bare.split(SEPARATORS).filter(|component| !component.is_empty()).collect();
    if components.is_empty() {
        return Err(PathRefusal::Invalid(PathFault::Empty));
    }
    if bare.ends_with(SEPARATORS) {
        return Err(PathRefusal::Invalid(PathFault::TrailingSeparator));
    }
    for component in &components {
        check(component)?;
    }
    Ok(components)
}

fn check(component: &str) -> Result<(), PathRefusal> {
    let fault = if component == "." || component == ".." {
        PathFault::Relative
    } else if component.contains('\0') {
        PathFault::Nul
    } else if component.contains(':') {
        PathFault::Colon
    } else if is_device(component) {
        PathFault::Device
    } else if component.encode_utf16().count() > COMPONENT_UNITS_MAX {
        return Err(PathRefusal::TooLong);
    } else {
        return Ok(());
    };
    Err(PathRefusal::Invalid(fault))
}

/// Windows looks at the part before the first dot, without trailing spaces.
fn is_device(component: &str) -> bool {
    let stem = component.split('.').next().unwrap_or("").trim_end_matches(' ').to_ascii_uppercase();
    let numbered = ["COM", "LPT"].iter().filter_map(|port| stem.strip_prefix(port)).any(|number| {
        let mut characters = number.chars();
        // Superscript digits count too.
        matches!((characters.next(), characters.next()), (Some('1'..='9' | '¹' | '²' | '³'), None))
    });
    numbered || DEVICES.contains(&stem.as_str())
}

/// The first character that Windows allows in no name.
pub(crate) fn forbidden_character(component: &str) -> Option<char> {
    component.chars().find(|&character| character < ' ' || "<>\"|?*".contains(character))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn fault(path: &str) -> PathFault {
        match components(path) {
            Err(PathRefusal::Invalid(fault)) => fault,
            Err(PathRefusal::TooLong) => panic!("too long"),
            Ok(components) => panic!("{components:?}"),
        }
    }

    #[test]
    fn both_separators_and_a_leading_one_are_accepted() {
        for path in ["a\\b/c.txt", "\\a\\b\\c.txt", "/a/b/c.txt", "a\\\\b//c.txt"] {
            assert_eq!(components(path).ok().unwrap(), ["a", "b", "c.txt"]);
        }
    }

    #[test]
    fn ways_out_of_the_volume_are_refused() {
        assert_eq!(fault(""), PathFault::Empty);
        assert_eq!(fault("\\"), PathFault::Empty);
        assert_eq!(fault("\\\\server\\share\\f"), PathFault::Unc);
        assert_eq!(fault("//?/C:/f"), PathFault::Unc);
        assert_eq!(fault("a\\..\\b"), PathFault::Relative);
        assert_eq!(fault("./b"), PathFault::Relative);
        assert_eq!(fault("C:\\f"), PathFault::Colon);
        assert_eq!(fault("f:stream"), PathFault::Colon);
        assert_eq!(fault("a\0b"), PathFault::Nul);
        assert_eq!(fault("a\\"), PathFault::TrailingSeparator);
        for device in ["con", "a\\NUL.txt", "Com1", "lpt9.x.y", "aux .txt", "COM²", "conin$"] {
            assert_eq!(fault(device), PathFault::Device, "{device}");
        }
        for ordinary in ["com", "com0", "com10", "console", "lpt", "nul1", "a.con"] {
            assert!(components(ordinary).is_ok(), "{ordinary}");
        }
    }

    #[test]
    fn lengths_are_counted_in_utf16_units() {
        let long = |component: &str| matches!(components(component), Err(PathRefusal::TooLong));
        assert!(!long(&"ä".repeat(255)));
        assert!(long(&"ä".repeat(256)));
        assert!(!long(&"😀".repeat(127)));
        assert!(long(&"😀".repeat(128)));
        assert!(long(&"a\\".repeat(16_384)));
    }
}
