//! Where the station keeps what survives: the ledger and the logs.

use std::fs::{File, OpenOptions, TryLockError};
use std::path::{Path, PathBuf};

use anyhow::{Context, anyhow, bail};

/// The state folder: the argument, else the service manager's, else the user's.
///
/// # Errors
/// When none of them is set.
pub fn folder(argument: Option<&Path>) -> anyhow::Result<PathBuf> {
    let variable = |name: &str| std::env::var_os(name).filter(|value| !value.is_empty()).map(PathBuf::from);
    argument
        .map(Path::to_owned)
        .or_else(|| variable("STATE_DIRECTORY"))
        .or_else(|| variable("XDG_STATE_HOME").map(|home| home.join("drayage")))
        .or_else(|| variable("HOME").map(|home| home.join(".local/state/drayage")))
        .ok_or_else(|| anyhow!("no place for the ledger: give --state DIR"))
}

/// Makes the folder, for this user alone: the ledger names customers' files.
///
/// # Errors
/// When the operating system refuses.
pub fn create(folder: &Path) -> anyhow::Result<()> {
    use std::os::unix::fs::DirBuilderExt;
    std::fs::DirBuilder::new()
        .recursive(true)
        .mode(0o700)
        .create(folder)
        .with_context(|| format!("making the state folder {}", folder.display()))
}

/// The state folder is this process's until this is dropped, however the process ends.
#[derive(Debug)]
pub struct Lock {
    _file: File,
}

/// Takes the state folder for whoever changes what no other process may change meanwhile.
///
/// # Errors
/// When another process has it, or its file cannot be used.
pub fn lock(folder: &Path) -> anyhow::Result<Lock> {
    let path = folder.join("serve.lock");
    let mut options = OpenOptions::new();
    let opened = options.write(true).create(true).truncate(false).open(&path);
    let file = opened.with_context(|| format!("opening {}", path.display()))?;
    match file.try_lock() {
        Ok(()) => Ok(Lock { _file: file }),
        Err(TryLockError::WouldBlock) => {
            bail!(
                "a station serves from {} already: another process has {}",
                folder.display(),
                path.display()
            )
        }
        Err(TryLockError::Error(error)) => Err(error).with_context(|| format!("locking {}", path.display())),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_state_folder_is_one_process_s_until_it_lets_go() {
        let folder = tempfile::tempdir().unwrap();
        let ours = lock(folder.path()).unwrap();
        assert!(lock(folder.path()).unwrap_err().to_string().contains("already"));
        drop(ours);
        lock(folder.path()).unwrap();
    }
}
