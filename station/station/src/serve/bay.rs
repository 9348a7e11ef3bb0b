//! What is in a bay, as far as it can be told without a key.
//!
//! A device says its own serial number; an image file, for trials, has the one that the configuration
//! gives it. A bay is looked into all the time, so that only asks the system; the drive itself is touched
//! when work was given for it, and then says once more who it is. Nothing is opened for writing.

use std::io;
use std::path::Path;

use model::DriveId;
use proof::bring_up::{Device, Refusal};

use super::config::Bay;

/// A bay that has something in it which cannot be worked with.
#[derive(Debug, thiserror::Error)]
pub enum LookError {
    /// It cannot be opened.
    #[error("the drive in bay {bay} cannot be opened: {}", refusal.message)]
    Refused {
        /// The bay.
        bay: String,
        /// Why.
        refusal: Refusal,
    },
    /// It does not say who it is, so no key may be released for it.
    #[error("the drive in bay {bay} has no serial number; is it behind an adapter that hides it?")]
    NoSerial {
        /// The bay.
        bay: String,
    },
    /// It was exchanged since it was looked at.
    #[error("in bay {bay} there is now the drive {found}, and not {expected} any more")]
    Exchanged {
        /// The bay.
        bay: String,
        /// The drive that work was given for.
        expected: DriveId,
        /// The drive that is there.
        found: DriveId,
    },
}

/// The drive that is in the bay now; `None` when it is empty.
///
/// # Errors
/// When something is in it that cannot be worked with.
pub fn look(bay: &Bay) -> Result<Option<DriveId>, LookError> {
    if !is_there(&bay.device) {
        return Ok(None);
    }
    let identity = Device::identify(&bay.device).map_err(|refusal| refused(bay, refusal))?;
    named(bay, identity.serial.as_deref()).map(Some)
}

/// Opens the drive that was seen in the bay.
///
/// # Errors
/// When it cannot be opened, or is another one by now.
pub fn open(bay: &Bay, expected: &DriveId) -> Result<Device, LookError> {
    let device = Device::open(&bay.device).map_err(|refusal| refused(bay, refusal))?;
    let found = named(bay, device.identity.serial.as_deref())?;
    if found == *expected {
        return Ok(device);
    }
    Err(LookError::Exchanged { bay: bay.name.clone(), expected: expected.clone(), found })
}

fn named(bay: &Bay, serial: Option<&str>) -> Result<DriveId, LookError> {
    let said = serial.or(bay.image_serial.as_deref());
    let drive_id = said.and_then(|serial| DriveId::new(serial).ok());
    drive_id.ok_or_else(|| LookError::NoSerial { bay: bay.name.clone() })
}

fn refused(bay: &Bay, refusal: Refusal) -> LookError {
    LookError::Refused { bay: bay.name.clone(), refusal }
}

fn is_there(path: &Path) -> bool {
    !matches!(std::fs::metadata(path), Err(error) if error.kind() == io::ErrorKind::NotFound)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn bay(device: &Path, serial: &str) -> Bay {
        Bay { name: "B-01".to_owned(), device: device.to_owned(), image_serial: Some(serial.to_owned()) }
    }

    #[test]
    fn a_drive_is_named_without_being_opened_and_named_again_when_it_is() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("drive.img");
        assert!(look(&bay(&path, "WD-1")).unwrap().is_none(), "nothing is in it");
        std::fs::write(&path, vec![0; 1 << 20]).unwrap();
        let seen = look(&bay(&path, "WD-1")).unwrap().unwrap();
        assert_eq!(seen.as_str(), "WD-1");
        assert!(open(&bay(&path, "WD-1"), &seen).is_ok());
        let exchanged = open(&bay(&path, "WD-2"), &seen).map(drop).unwrap_err();
        assert!(matches!(exchanged, LookError::Exchanged { .. }), "{exchanged}");
        assert!(matches!(look(&bay(&path, " ")), Err(LookError::NoSerial { .. })));
    }
}
