//! From what the tool's command asks for to the arguments of the native command that does it.

use std::ffi::OsString;
use std::path::{Path, PathBuf};

use model::DriveId;
use zeroize::Zeroizing;

use super::journal::Known;
use super::request::{
    Account, AccountSecret, Copy, Distribute, PreviewExport, Recover, RepairExport, RepairImport, Session,
    Target, Unlock,
};
use super::secret::{MemoryFile, SecretValue};
use super::{CompatError, Request};

/// The native command's arguments, and the files in memory that they name.
#[derive(Debug)]
pub(super) struct Native {
    pub(super) arguments: Vec<OsString>,
    files: Vec<MemoryFile>,
}

impl Request {
    /// The native command that does it.
    ///
    /// # Errors
    /// When a secret's file cannot be read.
    pub(super) fn native(&self) -> Result<Native, CompatError> {
        let mut native = Native { arguments: vec!["driveprep".into()], files: Vec::new() };
        match self {
            // Both are done without a native command.
            Request::Help | Request::List(_) => native.flag("--help"),
            Request::Copy(copy) => native.copy(copy)?,
            Request::Distribute(distribute) => native.distribute(distribute),
            Request::Recover(recover) => native.recover(recover),
            Request::RepairImport(repair) => native.repair_import(repair)?,
            Request::RepairExport(repair) => native.repair_export(repair)?,
            Request::PreviewExport(preview) => native.preview_export(preview)?,
            Request::Unlock(unlock) => native.unlock(unlock)?,
        }
        Ok(native)
    }
}

impl Native {
    /// The command as a person would type it.
    pub(super) fn shown(&self) -> String {
        let secrets: Vec<String> = self.files.iter().map(MemoryFile::path).collect();
        let one = |argument: &OsString| {
            let text = argument.to_string_lossy().into_owned();
            let is_plain = |c: char| c.is_ascii_alphanumeric() || "-_./:=".contains(c);
            if secrets.contains(&text) {
                "FILE".to_owned()
            } else if text.chars().all(is_plain) && !text.is_empty() {
                text
            } else {
                format!("'{}'", text.replace('\'', "'\\''"))
            }
        };
        self.arguments.iter().map(one).collect::<Vec<_>>().join(" ")
    }

    fn flag(&mut self, flag: &str) {
        self.arguments.push(flag.into());
    }

    fn option(&mut self, option: &str, value: impl Into<OsString>) {
        self.arguments.push(option.into());
        self.arguments.push(value.into());
    }

    fn path(&mut self, option: &str, path: Option<&PathBuf>) {
        if let Some(path) = path {
            self.option(option, path);
        }
    }

    /// Keeps a text in memory and gives the path under which it can be read.
    fn keep(&mut self, text: &str) -> Result<String, CompatError> {
        let file = MemoryFile::new(text)?;
        let path = file.path();
        self.files.push(file);
        Ok(path)
    }

    fn session(&mut self, session: &Session) {
        self.flag("pack");
        self.option("--journal", &session.journal);
        self.option("--job-out", session.journal.with_extension("json"));
    }

    fn copy(&mut self, copy: &Copy) -> Result<(), CompatError> {
        self.session(&copy.session);
        self.option("--session", copy.session.id.as_str());
        match &copy.target {
            Some(target) => self.target(target)?,
            None => self.target_of_journal(&copy.session.journal)?,
        }
        self.option("--from", &copy.from);
        self.option("--to", &copy.to);
        self.option("--type", copy.kind.as_str());
        self.option("--disposition", copy.disposition.as_str());
        self.path("--properties-file", copy.properties.as_ref());
        self.path("--metadata-file", copy.metadata.as_ref());
        if copy.is_in_place {
            self.flag("--in-place");
        }
        if copy.content_md5 {
            self.flag("--content-md5");
        }
        Ok(())
    }

    fn target(&mut self, target: &Target) -> Result<(), CompatError> {
        if let Some(key) = &target.existing_key {
            let key = key.read("bk")?;
            return self.existing_drive(&target.path, &key, target.serial.as_ref().map(DriveId::as_str));
        }
        self.option("--drive", &target.path);
        if let Some(serial) = &target.serial {
            self.option("--serial", serial.as_str());
        }
        if let Some(size_bytes) = target.size_bytes {
            self.option("--size", size_bytes.to_string());
        }
        Ok(())
    }

    /// A later session of a drive: the journal knows where it is and what opens it.
    fn target_of_journal(&mut self, journal: &Path) -> Result<(), CompatError> {
        let missing = CompatError::Missing { name: "t", when: " in the first session of a drive" };
        let Some(drive) = Known::last_drive(journal) else { return Err(missing) };
        self.existing_drive(&drive.path, &drive.key, Some(&drive.serial))
    }

    /// A drive that has its volume, as a row of a driveset: only that says so.
    fn existing_drive(
        &mut self,
        path: &Path,
        key: &Zeroizing<String>,
        serial: Option<&str>,
    ) -> Result<(), CompatError> {
        let key = self.keep(key)?;
        let path = std::path::absolute(path).unwrap_or_else(|_| path.to_owned());
        let path = path.to_string_lossy().replace('"', "\"\"");
        let serial = serial.map(|serial| format!("\"{}\"", serial.replace('"', "\"\""))).unwrap_or_default();
        let driveset = self.keep(&format!(
            "DriveLetter,FormatOption,SilentOrPromptOnFormat,Encryption,ExistingBitLockerKey,Serial\n\
             \"{path}\",AlreadyFormatted,SilentMode,AlreadyEncrypted,@{key},{serial}\n"
        ))?;
        self.option("--driveset", driveset);
        Ok(())
    }

    fn distribute(&mut self, distribute: &Distribute) {
        self.session(&distribute.session);
        self.option("--session", distribute.session.id.as_str());
        self.path("--driveset", distribute.driveset.as_ref());
        self.path("--dataset", distribute.dataset.as_ref());
    }

    fn recover(&mut self, recover: &Recover) {
        self.session(&recover.session);
        self.flag(if recover.is_abort { "--abort" } else { "--resume" });
    }

    fn account(&mut self, account: &Account) -> Result<(), CompatError> {
        self.option("--account", &account.endpoint);
        let secret = match &account.secret {
            AccountSecret::Key(key) => key.read("sk")?,
            AccountSecret::ContainerSas(sas) => token(&sas.read("csas")?),
        };
        let file = self.keep(&secret)?;
        self.option("--credential-file", file);
        Ok(())
    }

    fn repair_import(&mut self, repair: &RepairImport) -> Result<(), CompatError> {
        self.flag("repair-import");
        self.option("--repair", &repair.repair);
        match &repair.key {
            None => self.option("--dir", &repair.directories),
            Some(key) => self.roots_with_drive(&repair.directories, key)?,
        }
        self.option("--copy-log", &repair.copy_log);
        self.path("--path-map", repair.path_map.as_ref());
        self.account(&repair.account)
    }

    /// Roots one of which is the drive that the key opens: the one that is no folder.
    fn roots_with_drive(&mut self, roots: &str, key: &SecretValue) -> Result<(), CompatError> {
        let (folders, drives): (Vec<&str>, Vec<&str>) =
            roots.split(';').filter(|root| !root.is_empty()).partition(|root| Path::new(root).is_dir());
        let [drive] = drives[..] else {
            let instead =
                "it opens the drive in /d, and not exactly one of these is a device or an image file";
            return Err(CompatError::Refused { name: "bk", instead });
        };
        if !folders.is_empty() {
            self.option("--dir", folders.join(";"));
        }
        self.option("--from", drive);
        self.key(key)
    }

    fn repair_export(&mut self, repair: &RepairExport) -> Result<(), CompatError> {
        self.flag("repair-export");
        self.option("--repair", &repair.repair);
        self.option("--dir", &repair.directory);
        self.path("--copy-log", repair.copy_log.as_ref());
        self.path("--manifest", repair.manifest.as_ref());
        self.account(&repair.account)
    }

    fn preview_export(&mut self, preview: &PreviewExport) -> Result<(), CompatError> {
        self.flag("preview-export");
        self.option("--blob-list", &preview.blob_list);
        self.option("--drive-size", &preview.drive_size);
        self.account(&preview.account)
    }

    fn unlock(&mut self, unlock: &Unlock) -> Result<(), CompatError> {
        self.flag("unlock");
        self.arguments.push(unlock.drive.clone().into());
        match &unlock.to {
            Some(folder) => self.option("--to", folder),
            None => self.flag("--list"),
        }
        self.key(&unlock.key)
    }

    /// The key of a drive.
    fn key(&mut self, key: &SecretValue) -> Result<(), CompatError> {
        let key = key.read("bk")?;
        // A recovery password is digits and dashes; an external key is base64: §2.10.
        let is_password = key.chars().all(|c| c.is_ascii_digit() || matches!(c, '-' | ' '));
        let file = self.keep(&key)?;
        self.option(if is_password { "--recovery-password-file" } else { "--bek" }, file);
        Ok(())
    }
}

/// The token of `container?token`.
fn token(sas: &Zeroizing<String>) -> Zeroizing<String> {
    Zeroizing::new(sas.split_once('?').map_or(sas.as_str(), |(_, token)| token).to_owned())
}

impl SecretValue {
    /// The container of `container?token`.
    ///
    /// # Errors
    /// When its file cannot be read.
    pub(super) fn sas_container(&self) -> Result<Option<String>, CompatError> {
        let text = self.read("csas")?;
        Ok(text.split_once('?').map(|(container, _)| container.to_owned()))
    }
}
