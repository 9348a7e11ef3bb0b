//! What a customer asks for: a new job, and changes of one.
//!
//! Recovery passwords are not here: whoever reads the request takes them out and says only whether
//! there was one. [`super::validate()`] judges a [`NewJob`] before it becomes a [`super::Job`].

use std::collections::BTreeMap;

use super::fields::{
    DeliveryPackage, EncryptionKey, Export, Identity, ReturnAddress, ReturnShipping, ShippingInformation,
};
use super::words::{JobType, LogLevel};
use super::{DEFAULT_DIAGNOSTICS_PATH, JobKey};

/// A PUT, read but not yet judged: absent required texts are empty.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NewJob {
    /// Its name.
    pub key: JobKey,
    /// The location as sent, `West US` or `westus`.
    pub location: String,
    /// The customer's labels.
    pub tags: BTreeMap<String, String>,
    /// Import or export; `None` when the request has no word, or one that is neither.
    pub job_type: Option<JobType>,
    /// The storage account.
    pub storage_account_id: String,
    /// Where the drives go in the end.
    pub return_address: Option<ReturnAddress>,
    /// On whose account.
    pub return_shipping: Option<ReturnShipping>,
    /// The datacentre's address in the customer's words; filled from the location when absent.
    pub shipping_information: Option<ShippingInformation>,
    /// The parcel, when it is known already.
    pub delivery_package: Option<DeliveryPackage>,
    /// Where logs go; absent or empty is the default.
    pub diagnostics_path: String,
    /// Which logs.
    pub log_level: LogLevel,
    /// Whether manifests are copied to the account.
    pub backup_drive_manifest: bool,
    /// The drives of an import.
    pub drives: Vec<NewDrive>,
    /// What to export.
    pub export: Option<Export>,
    /// Whose key protects the recovery passwords.
    pub encryption_key: EncryptionKey,
    /// The identity that reaches that key.
    pub identity: Identity,
}

impl NewJob {
    /// An empty request for that job: everything optional at its default.
    pub fn new(key: JobKey, location: impl Into<String>) -> NewJob {
        NewJob {
            key,
            location: location.into(),
            tags: BTreeMap::new(),
            job_type: None,
            storage_account_id: String::new(),
            return_address: None,
            return_shipping: None,
            shipping_information: None,
            delivery_package: None,
            diagnostics_path: DEFAULT_DIAGNOSTICS_PATH.to_owned(),
            log_level: LogLevel::Error,
            backup_drive_manifest: false,
            drives: Vec::new(),
            export: None,
            encryption_key: EncryptionKey::default(),
            identity: Identity::default(),
        }
    }
}

/// One drive of an import's list.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct NewDrive {
    /// The serial number as sent.
    pub drive_id: String,
    /// The manifest's path on the drive.
    pub manifest_file: String,
    /// Its hash.
    pub manifest_hash: String,
    /// The header's hash, if sent.
    pub drive_header_hash: Option<String>,
    /// Whether a BitLocker key came with it.
    pub key_given: bool,
}

/// A PATCH, without `state` and `cancelRequested`, which are events of their own. `None`: leave it.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Update {
    /// The customer's labels, all of them.
    pub tags: Option<BTreeMap<String, String>>,
    /// Where the drives go in the end.
    pub return_address: Option<ReturnAddress>,
    /// On whose account.
    pub return_shipping: Option<ReturnShipping>,
    /// The parcel.
    pub delivery_package: Option<DeliveryPackage>,
    /// Which logs.
    pub log_level: Option<LogLevel>,
    /// Whether manifests are copied to the account.
    pub backup_drive_manifest: Option<bool>,
    /// The whole list of drives.
    pub drives: Option<Vec<NewDrive>>,
    /// Whose key protects the recovery passwords.
    pub encryption_key: Option<EncryptionKey>,
}
