//! Remembers which lock file an installation was made from, so that it is not made twice.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};
use sha2::{Digest, Sha256};

/// A small file beside an installation, holding a digest of what it was made from.
pub struct Stamp {
    path: PathBuf,
    wanted: String,
}

impl Stamp {
    /// The stamp at `path` for an installation that follows from `sources`.
    ///
    /// # Errors
    /// When a source cannot be read.
    pub fn new(path: PathBuf, sources: &[&Path]) -> Result<Stamp> {
        let mut digest = Sha256::new();
        for source in sources {
            let text = fs::read(source).with_context(|| format!("reading {}", source.display()))?;
            digest.update((text.len() as u64).to_le_bytes());
            digest.update(text);
        }
        let wanted = digest.finalize().iter().map(|byte| format!("{byte:02x}")).collect();
        Ok(Stamp { path, wanted })
    }

    /// Whether the installation was made from these very sources.
    pub fn is_current(&self) -> bool {
        fs::read_to_string(&self.path).is_ok_and(|found| found == self.wanted)
    }

    /// Records that the installation is complete.
    ///
    /// # Errors
    /// When the file cannot be written.
    pub fn write(&self) -> Result<()> {
        fs::write(&self.path, &self.wanted).with_context(|| format!("writing {}", self.path.display()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_stamp_is_current_until_a_source_changes() {
        let folder = tempfile::tempdir().unwrap();
        let source = folder.path().join("lock.json");
        fs::write(&source, "one").unwrap();
        let stamp = || Stamp::new(folder.path().join("stamp"), &[&source]).unwrap();
        assert!(!stamp().is_current());
        stamp().write().unwrap();
        assert!(stamp().is_current());
        fs::write(&source, "two").unwrap();
        assert!(!stamp().is_current());
    }
}
