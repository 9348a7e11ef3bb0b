//! Secrets that the command line takes: from files that nobody else can read, and nothing else.

use std::path::Path;

use anyhow::Context;
use keys::private_file::{self, Keeper};
use zeroize::Zeroizing;

/// What is in a file, without the blanks around it.
///
/// # Errors
/// When others could have read it, or it is no text; `what` names it.
pub fn read(path: &Path, what: &str) -> anyhow::Result<Zeroizing<String>> {
    let attempt = || format!("reading {what}");
    let bytes = private_file::read(path, Keeper::Ourselves).with_context(attempt)?;
    let text = std::str::from_utf8(&bytes).with_context(|| format!("{} is not text", path.display()))?;
    Ok(Zeroizing::new(text.trim().to_owned()))
}

#[cfg(test)]
mod tests {
    use std::fs::{self, Permissions};
    use std::os::unix::fs::PermissionsExt;

    use super::*;

    #[test]
    fn a_secret_is_taken_from_a_file_that_nobody_else_can_read_and_from_no_other() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("token");
        fs::write(&path, "  secret\n").unwrap();
        fs::set_permissions(&path, Permissions::from_mode(0o644)).unwrap();
        let refused = format!("{:#}", read(&path, "the token").unwrap_err());
        assert!(refused.contains("reading the token") && refused.contains("chmod 600"), "{refused}");
        fs::set_permissions(&path, Permissions::from_mode(0o600)).unwrap();
        assert_eq!(read(&path, "the token").unwrap().as_str(), "secret");
        fs::write(&path, [0xff]).unwrap();
        assert!(read(&path, "the token").is_err());
    }
}
