//! What is in a bay, as far as it can be told without a key.
//!
//! A device says its own serial number; an image file, for trials, has the one that the configuration
//! gives it. Nothing is opened for writing.

use std::io;
use std::path::Path;

use model::DriveId;
use proof::bring_up::{Device, Refusal};

use super::config::Bay;

/// A drive that was seen in a bay.
pub struct Seen {
    /// The drive, open for reading.
    pub device: Device,
    /// Its serial number.
    pub drive_id: DriveId,
}

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
}

/// What is in the bay now; `None` when it is empty.
///
/// # Errors
/// When something is in it that cannot be worked with.
pub fn look(bay: &Bay) -> Result<Option<Seen>, LookError> {
    if !is_there(&bay.device) {
        return Ok(None);
    }
    let device =
        Device::open(&bay.device).map_err(|refusal| LookError::Refused { bay: bay.name.clone(), refusal })?;
    let said = device.identity.serial.as_deref().or(bay.image_serial.as_deref());
    let drive_id = said.and_then(|serial| DriveId::new(serial).ok());
    match drive_id {
        Some(drive_id) => Ok(Some(Seen { device, drive_id })),
        None => Err(LookError::NoSerial { bay: bay.name.clone() }),
    }
}

fn is_there(path: &Path) -> bool {
    !matches!(std::fs::metadata(path), Err(error) if error.kind() == io::ErrorKind::NotFound)
}
