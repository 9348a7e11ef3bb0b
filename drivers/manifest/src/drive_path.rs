//! Paths on the drive's volume, as manifests and jobs write them.
//!
//! azure-import-export.md §1.2 and §1.8. A [`DrivePath`] is relative to the volume's root and
//! cannot leave it. Names are kept exactly; looking them up without regard to case is the
//! volume's work.
//!
//! What is refused is what names something other than a file of this volume: `.` and `..`, drive
//! letters, UNC and device paths, devices by their reserved names, streams. Characters that only
//! Windows refuses (`<>"|?*`) are taken, because NTFS can hold them and other systems write them;
//! for the same reason a reserved device name is refused only as a whole name (`NUL`), not with an
//! extension (`aux.c`).

use std::fmt;

use model::status::{BlobStatus, DriveStatus, SideFileStatus};

/// Longest name of one file or directory in UTF-16 units: NTFS.
pub const NAME_UNITS_MAX: usize = 255;
/// Longest path in UTF-16 units: Windows' long paths.
pub const PATH_UNITS_MAX: usize = 32_767;

/// A path below the volume's root, one name a level.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct DrivePath {
    names: Vec<String>,
}

/// The rule that a path breaks.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum DrivePathError {
    /// No name at all.
    #[error("the path names no file")]
    Empty,
    /// It ends with a separator, so it names a directory.
    #[error("the path ends with a separator, so it names a directory")]
    Directory,
    /// `.` or `..` would walk the tree.
    #[error("the path has the relative part {found:?}")]
    Relative {
        /// The part.
        found: String,
    },
    /// A drive letter: the path would leave the volume.
    #[error("the path begins with a drive letter")]
    DriveLetter,
    /// `\\server\share\…`: the path would leave the machine.
    #[error("the path is a network (UNC) path")]
    Network,
    /// `\\?\…` and `\\.\…` name devices.
    #[error("the path is in the device namespace")]
    DeviceNamespace,
    /// `NUL`, `COM1` and the like are devices, not files.
    #[error("{found:?} is the name of a device")]
    DeviceName {
        /// The name.
        found: String,
    },
    /// `name:stream`.
    #[error("{found:?} names a stream of a file")]
    Stream {
        /// The name.
        found: String,
    },
    /// Windows has no names with control characters.
    #[error("the path has the control character U+{code:04X}")]
    Control {
        /// The code point.
        code: u32,
    },
    /// One name is too long for NTFS.
    #[error("a name in the path has {found_units} UTF-16 units; at most {NAME_UNITS_MAX} are allowed")]
    NameTooLong {
        /// Its length.
        found_units: usize,
    },
    /// The whole path is too long.
    #[error("the path has {found_units} UTF-16 units; at most {PATH_UNITS_MAX} are allowed")]
    PathTooLong {
        /// Its length.
        found_units: usize,
    },
}

impl DrivePath {
    /// Reads a path of a manifest or a job: separators `\` or `/`, any number of them in front.
    ///
    /// # Errors
    /// The first rule that it breaks.
    pub fn parse(text: &str) -> Result<DrivePath, DrivePathError> {
        let found_units = text.encode_utf16().count();
        if found_units > PATH_UNITS_MAX {
            return Err(DrivePathError::PathTooLong { found_units });
        }
        check_namespace(text)?;
        let names: Vec<String> =
            text.split(is_separator).filter(|name| !name.is_empty()).map(str::to_owned).collect();
        names.iter().enumerate().try_for_each(|(level, name)| check_name(level, name))?;
        if names.is_empty() {
            Err(DrivePathError::Empty)
        } else if text.ends_with(is_separator) {
            Err(DrivePathError::Directory)
        } else {
            Ok(DrivePath { names })
        }
    }

    /// The names from the root down; never empty.
    pub fn names(&self) -> impl Iterator<Item = &str> {
        self.names.iter().map(String::as_str)
    }
}

impl fmt::Display for DrivePath {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.names.iter().try_for_each(|name| write!(f, "\\{name}"))
    }
}

impl DrivePathError {
    /// Whether the path is too long, as opposed to invalid.
    pub fn is_too_long(&self) -> bool {
        match self {
            DrivePathError::NameTooLong { .. } | DrivePathError::PathTooLong { .. } => true,
            DrivePathError::Empty
            | DrivePathError::Directory
            | DrivePathError::Relative { .. }
            | DrivePathError::DriveLetter
            | DrivePathError::Network
            | DrivePathError::DeviceNamespace
            | DrivePathError::DeviceName { .. }
            | DrivePathError::Stream { .. }
            | DrivePathError::Control { .. } => false,
        }
    }

    /// What it leads to when the path is the manifest's.
    pub fn drive_status(&self) -> DriveStatus {
        if self.is_too_long() { DriveStatus::ManifestNameTooLong } else { DriveStatus::ManifestNameInvalid }
    }

    /// What it leads to when the path is a blob's file.
    pub fn blob_status(&self) -> BlobStatus {
        if self.is_too_long() { BlobStatus::FileNameTooLong } else { BlobStatus::FileNameInvalid }
    }

    /// What it leads to when the path is a metadata or properties file.
    pub fn side_file_status(&self) -> SideFileStatus {
        if self.is_too_long() { SideFileStatus::FileNameTooLong } else { SideFileStatus::FileNameInvalid }
    }
}

fn is_separator(character: char) -> bool {
    matches!(character, '\\' | '/')
}

/// Sorts out what two separators in front mean.
///
/// Job entries are seen with every backslash doubled, so `\\DriveManifest.xml` and `\\dir\\file`
/// are paths of the volume. `\\server\share\file`, doubled in front only and with more than one
/// name, is a network path.
fn check_namespace(text: &str) -> Result<(), DrivePathError> {
    let rest = text.trim_start_matches(is_separator);
    if text.len().saturating_sub(rest.len()) != 2 {
        return Ok(());
    }
    let mut names = rest.split(is_separator);
    let (first, second) = (names.next(), names.next());
    match (first, second) {
        (Some("?" | "."), Some(_)) => Err(DrivePathError::DeviceNamespace),
        (Some(_), Some(second)) if !second.is_empty() => Err(DrivePathError::Network),
        _ => Ok(()),
    }
}

fn check_name(level: usize, name: &str) -> Result<(), DrivePathError> {
    let found = || name.to_owned();
    let mut characters = name.chars();
    let first = characters.next();
    if matches!(name, "." | "..") {
        return Err(DrivePathError::Relative { found: found() });
    }
    if level == 0 && first.is_some_and(|c| c.is_ascii_alphabetic()) && characters.next() == Some(':') {
        return Err(DrivePathError::DriveLetter);
    }
    if name.contains(':') {
        return Err(DrivePathError::Stream { found: found() });
    }
    if let Some(control) = name.chars().find(|c| c.is_control()) {
        return Err(DrivePathError::Control { code: u32::from(control) });
    }
    let found_units = name.encode_utf16().count();
    if found_units > NAME_UNITS_MAX {
        return Err(DrivePathError::NameTooLong { found_units });
    }
    if is_device_name(name) { Err(DrivePathError::DeviceName { found: found() }) } else { Ok(()) }
}

/// Whether the name is a device's for Windows: `NUL`, `COM1` and the like, in any case.
pub fn is_device_name(name: &str) -> bool {
    let upper = name.to_ascii_uppercase();
    if matches!(upper.as_str(), "CON" | "PRN" | "AUX" | "NUL" | "CONIN$" | "CONOUT$" | "CLOCK$") {
        return true;
    }
    let port = upper.strip_prefix("COM").or_else(|| upper.strip_prefix("LPT")).unwrap_or_default();
    let mut port = port.chars();
    // Windows counts the superscript digits of Latin-1 as port numbers too.
    let number = port.next().is_some_and(|c| c.is_ascii_digit() || matches!(c, '¹' | '²' | '³'));
    number && port.next().is_none()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn any_separators_in_front_and_doubled_ones_inside_name_the_same_file() {
        for text in [
            "\\session#1\\a b.txt",
            "session#1/a b.txt",
            "/session#1\\a b.txt",
            "\\\\session#1\\\\a b.txt",
            "\\\\\\session#1\\a b.txt",
        ] {
            let path = DrivePath::parse(text).unwrap();
            assert_eq!(path.to_string(), "\\session#1\\a b.txt", "{text}");
            assert_eq!(path.names().collect::<Vec<_>>(), ["session#1", "a b.txt"]);
        }
        assert_eq!(DrivePath::parse("\\\\DriveManifest.xml").unwrap().to_string(), "\\DriveManifest.xml");
    }

    #[test]
    fn names_that_other_systems_write_to_ntfs_are_taken() {
        for text in ["\\a?b*\"<>|.txt", "\\aux.c", "\\dir.\\name. ", "\\COM10", "\\...", "\\日本語\\Ünï"]
        {
            assert_eq!(DrivePath::parse(text).unwrap().to_string(), text);
        }
    }

    #[test]
    fn each_broken_rule_is_named_with_its_statuses() {
        let found = |text: &str| text.to_owned();
        for (text, expected) in [
            (found(""), DrivePathError::Empty),
            (found("\\\\"), DrivePathError::Empty),
            (found("\\dir\\"), DrivePathError::Directory),
            (found("\\a\\..\\b"), DrivePathError::Relative { found: found("..") }),
            (found("./b"), DrivePathError::Relative { found: found(".") }),
            (found("C:\\b"), DrivePathError::DriveLetter),
            (found("\\c:b"), DrivePathError::DriveLetter),
            (found("\\\\server\\share\\b"), DrivePathError::Network),
            (found("//server/share"), DrivePathError::Network),
            (found("\\\\?\\C:\\b"), DrivePathError::DeviceNamespace),
            (found("\\\\.\\PhysicalDrive0"), DrivePathError::DeviceNamespace),
            (found("\\a\\nul"), DrivePathError::DeviceName { found: found("nul") }),
            (found("\\Com1\\b"), DrivePathError::DeviceName { found: found("Com1") }),
            (found("\\LPT²"), DrivePathError::DeviceName { found: found("LPT²") }),
            (found("\\a\\b:stream"), DrivePathError::Stream { found: found("b:stream") }),
            (found("\\$MFT::$DATA"), DrivePathError::Stream { found: found("$MFT::$DATA") }),
            (found("\\a\nb"), DrivePathError::Control { code: 10 }),
        ] {
            let error = DrivePath::parse(&text).unwrap_err();
            assert_eq!(error, expected, "{text}");
            assert_eq!(error.drive_status(), DriveStatus::ManifestNameInvalid);
            assert_eq!(error.blob_status(), BlobStatus::FileNameInvalid);
            assert_eq!(error.side_file_status(), SideFileStatus::FileNameInvalid);
        }
    }

    #[test]
    fn lengths_are_counted_in_utf16_units() {
        assert!(DrivePath::parse(&"é".repeat(255)).is_ok());
        for (text, expected) in [
            ("é".repeat(256), DrivePathError::NameTooLong { found_units: 256 }),
            ("😀".repeat(128), DrivePathError::NameTooLong { found_units: 256 }),
            ("\\a".repeat(16_384), DrivePathError::PathTooLong { found_units: 32_768 }),
        ] {
            let error = DrivePath::parse(&text).unwrap_err();
            assert_eq!(error, expected);
            assert_eq!(error.drive_status(), DriveStatus::ManifestNameTooLong);
            assert_eq!(error.blob_status(), BlobStatus::FileNameTooLong);
            assert_eq!(error.side_file_status(), SideFileStatus::FileNameTooLong);
        }
    }
}
