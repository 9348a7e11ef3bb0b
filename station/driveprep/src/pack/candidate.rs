//! The drives that were offered, looked at before anything is written.
//!
//! A device is taken only with its own serial number, typed or given, and only whole and unused. An
//! image file takes the serial number it is given; one that holds something is taken only with
//! `--overwrite`. What will be destroyed is told in one line.

use std::fs;
use std::io::{BufRead, IsTerminal, Write};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use anyhow::{Context, anyhow};
use block::{DriveKind, FileDevice, Identity, ReadAt, Target, identify, partition_table};
use indicatif::DecimalBytes;
use manifest::BitlockerKey;
use model::{DriveId, Exit};
use zeroize::Zeroizing;

use super::consent::Consent;
use crate::failure::Failure;
use crate::work::{DriveTarget, Encryption, ExistingKey, Formatting};

/// Smallest drive: a BitLocker volume has at least 64 MiB (Windows' minimum), and the tables 2.
const DRIVE_BYTES_MIN: u64 = 66 << 20;

/// A drive that may be packed.
#[derive(Debug, Clone)]
pub struct Candidate {
    /// Where it is.
    pub path: PathBuf,
    /// Its serial number.
    pub id: DriveId,
    /// Its length.
    pub length_bytes: u64,
    /// Its logical sector size.
    pub sector_bytes: u32,
    /// Whether it is an image file.
    pub is_image: bool,
    /// What will be destroyed, for a person; `None` when nothing is there.
    pub destroys: Option<String>,
    /// What stands there, where it is made anew.
    pub consent: Option<Consent>,
    /// What opens its volume, which stays as it is but for what is added; `None` for a drive that is
    /// made anew.
    pub key: Option<Arc<BitlockerKey>>,
}

/// How candidates are looked at.
#[derive(Debug, Clone, Copy)]
pub struct Looking {
    /// Image files may hold something.
    pub overwrite: bool,
    /// Logical sector size of image files.
    pub image_sector_bytes: u32,
}

impl Candidate {
    /// Looks at a drive that was offered.
    ///
    /// # Errors
    /// When it may not be written: usage (2), or not the drive that was meant (20).
    pub fn look(offered: &DriveTarget, looking: Looking) -> Result<Candidate, Failure> {
        if offered.path.to_str().is_none() {
            let path = offered.path.display();
            return Err(Failure::usage(anyhow!("the path {path} is not UTF-8, so a journal cannot hold it")));
        }
        if let Some(key) = existing_key(offered)? {
            return existing_volume(offered, key);
        }
        if fs::symlink_metadata(&offered.path).is_err() {
            return new_image(offered, looking);
        }
        let identity = identify(&offered.path).map_err(|error| Failure::new(Exit::WrongDrive, error))?;
        match identity.kind {
            DriveKind::ImageFile => existing_image(offered, &identity, looking),
            DriveKind::BlockDevice => device(offered, &identity),
        }
    }
}

/// The key of a drive that has its volume already.
fn existing_key(offered: &DriveTarget) -> Result<Option<BitlockerKey>, Failure> {
    let path = offered.path.display();
    match (&offered.encryption, offered.formatting) {
        (Encryption::Encrypt, Formatting::Format { .. }) => Ok(None),
        (Encryption::Encrypt, Formatting::AlreadyFormatted) => Err(Failure::usage(anyhow!(
            "{path} is said to be formatted and not encrypted: a volume is not encrypted in place. Encrypt it in \
             Windows and give its recovery password, or say Format for it, which destroys what is on it"
        ))),
        (Encryption::AlreadyEncrypted(_), Formatting::Format { .. }) => {
            Err(Failure::usage(anyhow!("{path} is said to be formatted anew and encrypted already")))
        }
        (Encryption::AlreadyEncrypted(ExistingKey::Text(text)), _) => {
            Ok(Some(BitlockerKey::new(text.trim().to_owned())))
        }
        (Encryption::AlreadyEncrypted(ExistingKey::File(file)), _) => {
            let text = fs::read_to_string(file).map(Zeroizing::new);
            let text = text.with_context(|| format!("reading the key of {path} in {}", file.display()));
            text.map(|text| Some(BitlockerKey::new(text.trim().to_owned()))).map_err(Failure::usage)
        }
    }
}

/// A drive whose volume stays.
fn existing_volume(offered: &DriveTarget, key: BitlockerKey) -> Result<Candidate, Failure> {
    let identity = identify(&offered.path).map_err(|error| Failure::new(Exit::WrongDrive, error))?;
    let is_image = identity.kind == DriveKind::ImageFile;
    let path = offered.path.display();
    let own = identity.serial.as_deref().and_then(|text| DriveId::new(text).ok());
    let id = match (own, &offered.serial) {
        (Some(own), Some(given)) if own != *given => return Err(other_drive(offered, &own, given)),
        (Some(own), _) => own,
        (None, Some(given)) if is_image => given.clone(),
        (None, _) => {
            return Err(Failure::new(
                Exit::WrongDrive,
                anyhow!("{path} does not tell its serial number; of an image file, give it with --serial"),
            ));
        }
    };
    Ok(Candidate {
        path: offered.path.clone(),
        id,
        length_bytes: identity.length_bytes,
        sector_bytes: identity.logical_sector_bytes,
        is_image,
        destroys: None,
        consent: None,
        key: Some(Arc::new(key)),
    })
}

fn other_drive(offered: &DriveTarget, found: &DriveId, meant: &DriveId) -> Failure {
    let path = offered.path.display();
    Failure::new(
        Exit::WrongDrive,
        anyhow!(
            "{path} has the serial number {found}, not {meant}: this is not the drive you mean. Nothing was written"
        ),
    )
}

fn new_image(offered: &DriveTarget, looking: Looking) -> Result<Candidate, Failure> {
    let path = offered.path.display();
    let Some(length_bytes) = offered.size_bytes else {
        return Err(Failure::usage(anyhow!(
            "{path} does not exist. To make an image file there, say how large: --size 500GB"
        )));
    };
    image(offered, length_bytes, looking, None)
}

fn existing_image(
    offered: &DriveTarget,
    identity: &Identity,
    looking: Looking,
) -> Result<Candidate, Failure> {
    let path = offered.path.display();
    let found_bytes = identity.length_bytes;
    if found_bytes > 0 && !looking.overwrite {
        return Err(Failure::usage(anyhow!(
            "{path} is there already, {} long. Use another path, or --overwrite to destroy it. To add files to a drive \
             that was packed, give its --journal, another --session, and no --drive",
            DecimalBytes(found_bytes)
        )));
    }
    let length_bytes = offered.size_bytes.or(Some(found_bytes).filter(|bytes| *bytes > 0));
    let length_bytes = length_bytes.ok_or_else(|| {
        Failure::usage(anyhow!("{path} is empty. Say how large the drive is: --size 500GB"))
    })?;
    let destroys = (found_bytes > 0).then(|| {
        format!("{path}: an image file of {}{}", DecimalBytes(found_bytes), contents(&offered.path))
    });
    image(offered, length_bytes, looking, destroys)
}

fn image(
    offered: &DriveTarget,
    length_bytes: u64,
    looking: Looking,
    destroys: Option<String>,
) -> Result<Candidate, Failure> {
    let path = offered.path.display();
    let Some(id) = offered.serial.clone() else {
        return Err(Failure::usage(anyhow!(
            "{path} is an image file, which has no serial number of its own: give the drive's with --serial"
        )));
    };
    let sector_bytes = looking.image_sector_bytes;
    let length_bytes = length_bytes - length_bytes % u64::from(sector_bytes);
    check_length(&path.to_string(), length_bytes)?;
    Ok(Candidate {
        path: offered.path.clone(),
        id,
        length_bytes,
        sector_bytes,
        is_image: true,
        destroys,
        consent: Some(stands(&offered.path)?),
        key: None,
    })
}

fn stands(path: &Path) -> Result<Consent, Failure> {
    Consent::look(path).with_context(|| format!("looking at {}", path.display())).map_err(Failure::fatal)
}

fn check_length(path: &str, length_bytes: u64) -> Result<(), Failure> {
    if length_bytes >= DRIVE_BYTES_MIN {
        return Ok(());
    }
    Err(Failure::usage(anyhow!("{path} has {length_bytes} bytes; a drive has at least {DRIVE_BYTES_MIN}")))
}

fn device(offered: &DriveTarget, identity: &Identity) -> Result<Candidate, Failure> {
    let path = offered.path.display();
    if let Some(number) = identity.partition {
        return Err(Failure::usage(anyhow!(
            "{path} is partition {number} of a drive. Name the whole drive, which will be made anew"
        )));
    }
    let Some(serial) = identity.serial.as_deref().and_then(|text| DriveId::new(text).ok()) else {
        return Err(Failure::new(
            Exit::WrongDrive,
            anyhow!(
                "{path} does not tell its serial number, so nobody can be sure which drive it is. Some USB \
                 bridges hide it: connect the drive to SATA"
            ),
        ));
    };
    let model = identity.model.as_deref().unwrap_or("unknown model");
    let destroys = format!(
        "{path}: {model}, {}, serial number {serial}{}",
        DecimalBytes(identity.length_bytes),
        contents(&offered.path)
    );
    let consent = stands(&offered.path)?;
    let typed = match &offered.serial {
        Some(serial) => serial.clone(),
        None => ask_for_serial(&destroys)?,
    };
    if typed != serial {
        return Err(other_drive(offered, &serial, &typed));
    }
    // Held for a moment only: who begins to use it later is found when it is opened to be written.
    Target::open(&offered.path).map_err(|error| Failure::new(Exit::Retryable, error))?;
    check_length(&path.to_string(), identity.length_bytes)?;
    Ok(Candidate {
        path: offered.path.clone(),
        id: serial,
        length_bytes: identity.length_bytes,
        sector_bytes: identity.logical_sector_bytes,
        is_image: false,
        destroys: Some(destroys),
        consent: Some(consent),
        key: None,
    })
}

fn ask_for_serial(destroys: &str) -> Result<DriveId, Failure> {
    let stdin = std::io::stdin();
    if !stdin.is_terminal() {
        return Err(Failure::usage(anyhow!(
            "everything on it will be destroyed: {destroys}. Give its serial number with --serial to confirm"
        )));
    }
    let mut out = std::io::stderr();
    let asked = writeln!(out, "Everything on it will be destroyed: {destroys}")
        .and_then(|()| write!(out, "Type its serial number to go on: "))
        .and_then(|()| out.flush());
    let mut line = String::new();
    asked
        .and_then(|()| stdin.lock().read_line(&mut line))
        .context("asking for the serial number")
        .map_err(Failure::fatal)?;
    DriveId::new(&line).map_err(|_| {
        Failure::new(Exit::WrongDrive, anyhow!("no serial number was typed. Nothing was written"))
    })
}

/// What a drive's partition table says, for the line that tells what is lost.
fn contents(path: &Path) -> String {
    let Ok(device) = FileDevice::open(path) else { return String::new() };
    match partition_table(&device) {
        Ok(table) if !table.partitions.is_empty() => {
            let sizes: Vec<String> = table
                .partitions
                .iter()
                .map(|partition| DecimalBytes(partition.length_bytes).to_string())
                .collect();
            format!(", with {} partition(s): {}", sizes.len(), sizes.join(", "))
        }
        _ if is_blank(&device) => ", blank".to_owned(),
        _ => ", without a partition table".to_owned(),
    }
}

fn is_blank(device: &FileDevice) -> bool {
    let mut head = [0; 4_096];
    device.read_exact_at(&mut head, 0).is_ok() && head.iter().all(|byte| *byte == 0)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn offered(path: &Path, size_bytes: Option<u64>, serial: Option<&str>) -> DriveTarget {
        DriveTarget {
            path: path.to_owned(),
            size_bytes,
            serial: serial.map(|serial| DriveId::new(serial).unwrap()),
            formatting: Formatting::Format { asks: true },
            encryption: Encryption::Encrypt,
        }
    }

    fn look(offered: &DriveTarget, overwrite: bool) -> Result<Candidate, Failure> {
        Candidate::look(offered, Looking { overwrite, image_sector_bytes: 512 })
    }

    #[test]
    fn an_image_needs_a_size_and_a_serial_number() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("d.img");
        let refused = |offered: &DriveTarget| {
            let failure = look(offered, false).unwrap_err();
            assert_eq!(failure.exit, Exit::Usage);
            failure.cause.to_string()
        };
        assert!(refused(&offered(&path, None, Some("S1"))).contains("--size"));
        assert!(refused(&offered(&path, Some(1 << 30), None)).contains("--serial"));
        assert!(refused(&offered(&path, Some(1 << 20), Some("S1"))).contains("at least"));
        let taken = look(&offered(&path, Some((1 << 30) + 1), Some("S1")), false).unwrap();
        assert_eq!((taken.length_bytes, taken.destroys), (1 << 30, None));
        assert!(!path.exists(), "looking writes nothing");
    }

    #[test]
    fn an_image_that_holds_something_is_destroyed_only_when_that_is_said() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("d.img");
        fs::write(&path, vec![1; 4_096]).unwrap();
        let wanted = offered(&path, Some(1 << 30), Some("S1"));
        assert!(look(&wanted, false).unwrap_err().cause.to_string().contains("--overwrite"));
        let taken = look(&wanted, true).unwrap();
        assert!(taken.destroys.unwrap().contains("without a partition table"));
        fs::write(&path, "").unwrap();
        assert_eq!(look(&wanted, false).unwrap().destroys, None);
    }

    #[test]
    fn what_is_no_drive_is_refused_as_the_wrong_drive() {
        let folder = tempfile::tempdir().unwrap();
        let failure = look(&offered(folder.path(), None, Some("S1")), true).unwrap_err();
        assert_eq!(failure.exit, Exit::WrongDrive);
    }
}
