//! The path map: files that were not found where they should be, and where they really are.
//!
//! azure-import-export.md §2.7. One drive-relative path a line; the user appends a TAB and the real
//! path, and the next run uses it. Lines are compared as paths: which separators they are written
//! with makes no difference. The file is replaced as a whole or not at all.

use std::collections::BTreeMap;
use std::fs;
use std::io::Write;
use std::path::{Path, PathBuf};

use anyhow::Context;
use manifest::DrivePath;

/// Some million paths of the usual length.
const FILE_BYTES_MAX: u64 = 1 << 30;

/// What is in the path map, and what has to be added.
#[derive(Debug, Default)]
pub struct PathMap {
    file: Option<PathBuf>,
    /// By drive path: the real path, where the user gave one.
    lines: BTreeMap<String, Option<PathBuf>>,
}

impl PathMap {
    /// Reads the path map; one that is not there yet is empty. Without a file nothing is kept.
    ///
    /// # Errors
    /// When it is there and cannot be read.
    pub fn read(file: Option<&Path>) -> anyhow::Result<PathMap> {
        let Some(path) = file else { return Ok(PathMap::default()) };
        let mut map = PathMap { file: Some(path.to_owned()), lines: BTreeMap::new() };
        let text = match fs::metadata(path) {
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(map),
            Ok(facts) if facts.len() > FILE_BYTES_MAX => {
                anyhow::bail!("the path map {} is longer than any", path.display())
            }
            _ => fs::read_to_string(path)
                .with_context(|| format!("reading the path map {}", path.display()))?,
        };
        // Editors on Windows begin a file so.
        for line in text.trim_start_matches('\u{feff}').lines().filter(|line| !line.trim().is_empty()) {
            let (drive_path, real) = line.split_once('\t').unwrap_or((line, ""));
            let real = Some(real.trim()).filter(|real| !real.is_empty()).map(PathBuf::from);
            map.lines.insert(key(drive_path.trim()), real);
        }
        Ok(map)
    }

    /// Where the user says that this file is.
    pub fn real(&self, drive_path: &str) -> Option<&Path> {
        self.lines.get(&key(drive_path))?.as_deref()
    }

    /// Adds a file that was not found.
    pub fn miss(&mut self, drive_path: &str) {
        self.lines.entry(key(drive_path)).or_default();
    }

    /// Takes a file out that is needed no more.
    pub fn found(&mut self, drive_path: &str) {
        if let Some(None) = self.lines.get(&key(drive_path)) {
            self.lines.remove(&key(drive_path));
        }
    }

    /// How many files wait for the user.
    pub fn missing_count(&self) -> usize {
        self.lines.values().filter(|real| real.is_none()).count()
    }

    /// Writes it, if there is a file for it and something to write.
    ///
    /// # Errors
    /// When it cannot be written.
    pub fn save(&self) -> anyhow::Result<Option<&Path>> {
        let Some(path) = &self.file else { return Ok(None) };
        if self.lines.is_empty() && !path.exists() {
            return Ok(None);
        }
        self.write(path).with_context(|| format!("writing the path map {}", path.display()))?;
        Ok(Some(path))
    }

    fn write(&self, path: &Path) -> std::io::Result<()> {
        let mut name = path.as_os_str().to_owned();
        name.push(".new");
        let mut file = std::io::BufWriter::new(fs::File::create(&name)?);
        for (drive_path, real) in &self.lines {
            match real {
                Some(real) => writeln!(file, "{drive_path}\t{}", real.display())?,
                None => writeln!(file, "{drive_path}")?,
            }
        }
        file.into_inner().map_err(|error| error.into_error())?.sync_all()?;
        fs::rename(&name, path)
    }
}

/// The path as drives write it; one that is no path stands for itself, on one line.
fn key(drive_path: &str) -> String {
    match DrivePath::parse(drive_path) {
        Ok(path) => path.to_string(),
        Err(_) => drive_path.replace(['\t', '\r', '\n'], " "),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_that_the_user_completes_is_used_the_next_time() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("map.txt");
        let mut map = PathMap::read(Some(&path)).unwrap();
        assert_eq!(map.save().unwrap(), None);
        map.miss("\\s\\b.txt");
        map.miss("/s/\u{e4} 1.txt");
        map.miss("\\a\tb");
        map.save().unwrap();
        assert_eq!(fs::read_to_string(&path).unwrap(), "\\a b\n\\s\\b.txt\n\\s\\\u{e4} 1.txt\n");
        fs::write(&path, "\u{feff}s/b.txt\t/real/b 2.txt\r\n\\s\\\u{e4} 1.txt\n\n").unwrap();
        let mut map = PathMap::read(Some(&path)).unwrap();
        assert_eq!(map.real("\\s\\b.txt"), Some(Path::new("/real/b 2.txt")));
        assert_eq!((map.real("\\s\\\u{e4} 1.txt"), map.missing_count()), (None, 1));
        map.found("\\s\\\u{e4} 1.txt");
        map.found("\\s\\b.txt");
        map.save().unwrap();
        assert_eq!(fs::read_to_string(&path).unwrap(), "\\s\\b.txt\t/real/b 2.txt\n");
    }
}
