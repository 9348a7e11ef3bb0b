//! Where the station keeps what survives: the ledger and the logs.

use std::path::{Path, PathBuf};

use anyhow::{Context, anyhow};

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
