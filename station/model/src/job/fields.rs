//! A job's fields: azure-import-export.md §4.4 and §5.3, and what the station keeps beside them.
//!
//! What is stored is this, as JSON. What the API shows is a view of it, by version, and is the API's.
//! Unknown fields are refused on reading: a document of a later version must not lose them silently.

use std::collections::BTreeMap;
use std::fmt;

use serde::{Deserialize, Serialize};

use super::words::{DriveState, IdentityKind, JobState, JobType, KekType, LogLevel, TimerKind};
use super::{JobKey, Place};
use crate::DriveId;
use crate::status::DriveStatus;

/// One import or export. Changed by [`Job::step`] only; a copy of it may be read by anyone.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Job {
    /// Its name.
    pub key: JobKey,
    /// The location's short name, `westus`.
    pub location: String,
    /// The customer's labels.
    pub tags: BTreeMap<String, String>,
    /// Import or export.
    pub job_type: JobType,
    /// The one storage account of the job, as an ARM id.
    pub storage_account_id: String,
    /// Where the drives go in the end.
    pub return_address: ReturnAddress,
    /// On whose account; needed from `Shipping` on.
    pub return_shipping: Option<ReturnShipping>,
    /// The datacentre's address.
    pub shipping_information: ShippingInformation,
    /// The parcel that the customer sends.
    pub delivery_package: Option<DeliveryPackage>,
    /// The parcel that goes back; absent until it does.
    pub return_package: Option<ReturnPackage>,
    /// Container (or path) of the logs.
    pub diagnostics_path: String,
    /// Which logs.
    pub log_level: LogLevel,
    /// Whether manifests are copied to the account.
    pub backup_drive_manifest: bool,
    /// What to export.
    pub export: Option<Export>,
    /// Whose key protects the recovery passwords.
    pub encryption_key: EncryptionKey,
    /// The identity that reaches that key.
    pub identity: Identity,
    /// Where the job is.
    pub state: JobState,
    /// Why and from where, while it is `Faulted`.
    pub fault: Option<JobFault>,
    /// The customer wants the drives back uncopied. Never taken back.
    pub cancel_requested: bool,
    /// How much of the whole is done, 0–100.
    pub percent_complete: u8,
    /// Export: where the list is of what did not fit.
    pub incomplete_blob_list_uri: Option<String>,
    /// The drives, in the customer's order, or in the order in which empty ones came.
    pub drives: Vec<JobDrive>,
    /// Drives that came along and are not the job's; they go back with it.
    pub extra_drives: Vec<ExtraDrive>,
    /// Parcels that came.
    pub parcels: Vec<Parcel>,
    /// Set while the drives are here and nobody can be reached who takes them back.
    pub undeliverable: Option<Undeliverable>,
    /// What the job waits for, and until when (Unix milliseconds).
    pub timers: BTreeMap<TimerKind, i64>,
    /// Who made and last changed it.
    pub authorship: Authorship,
}

/// One of the job's drives.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct JobDrive {
    /// The hardware's serial number.
    pub drive_id: DriveId,
    /// Import: the manifest's path on the drive, as the customer wrote it.
    pub manifest_file: Option<String>,
    /// Import: its hash, as the customer wrote it.
    pub manifest_hash: Option<String>,
    /// The header's hash; `Some("")` was sent empty, `None` not at all (§5.4, item 2).
    pub drive_header_hash: Option<String>,
    /// Where the drive is in its work.
    pub state: DriveState,
    /// Why and from where, while it is `Faulted`.
    pub fault: Option<DriveFault>,
    /// What the copy came to; absent before it began.
    pub copy_status: Option<CopyStatus>,
    /// How much is done, 0–100.
    pub percent_complete: u8,
    /// Bytes that landed.
    pub bytes_succeeded: u64,
    /// Where its verbose log is.
    pub verbose_log_uri: Option<String>,
    /// Where its error log is.
    pub error_log_uri: Option<String>,
    /// Where the copy of its manifest is.
    pub manifest_uri: Option<String>,
    /// Where it lies.
    pub place: Place,
    /// Why no work may begin on it.
    pub hold: Option<Hold>,
}

impl JobDrive {
    /// The state that customers see: a fault is ours to mend, the API has no word for it (§9, row 23).
    pub fn shown_state(&self) -> DriveState {
        self.fault.as_ref().map_or(self.state, |fault| fault.from)
    }
}

/// `copyStatus`: the drive log's codes (§9, row 10), `InProgress` while running, and two of our own for
/// drives that were never copied.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub enum CopyStatus {
    /// Running, or stopped in between.
    InProgress,
    /// Ended, as its logs say.
    Ended(DriveStatus),
    /// The station has no connector for it, or it is none of the supported kinds.
    UnsupportedDrive,
    /// The job was cancelled before the copy ended.
    Cancelled,
}

impl CopyStatus {
    /// The word as the API writes it.
    pub fn as_str(self) -> &'static str {
        match self {
            CopyStatus::InProgress => "InProgress",
            CopyStatus::Ended(status) => status.as_str(),
            CopyStatus::UnsupportedDrive => "UnsupportedDrive",
            CopyStatus::Cancelled => "Cancelled",
        }
    }

    /// Whether the drive's data did not arrive whole: what makes a job `Closed` and not `Completed`.
    pub fn is_error(self) -> bool {
        match self {
            CopyStatus::Ended(status) => {
                !matches!(status, DriveStatus::Completed | DriveStatus::CompletedWithWarnings)
            }
            CopyStatus::InProgress | CopyStatus::UnsupportedDrive | CopyStatus::Cancelled => true,
        }
    }
}

impl fmt::Display for CopyStatus {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl From<CopyStatus> for String {
    fn from(status: CopyStatus) -> String {
        status.as_str().to_owned()
    }
}

impl TryFrom<String> for CopyStatus {
    type Error = crate::status::UnknownStatus;

    fn try_from(text: String) -> Result<CopyStatus, Self::Error> {
        match text.as_str() {
            "InProgress" => Ok(CopyStatus::InProgress),
            "UnsupportedDrive" => Ok(CopyStatus::UnsupportedDrive),
            "Cancelled" => Ok(CopyStatus::Cancelled),
            code => code.parse().map(CopyStatus::Ended),
        }
    }
}

/// Where drives go in the end. All but the second street line and the state are required.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct ReturnAddress {
    /// Who.
    pub recipient_name: String,
    /// Street.
    pub street_address1: String,
    /// Second line; `""` when there is none (§5.4, item 3).
    pub street_address2: String,
    /// City.
    pub city: String,
    /// State or province.
    pub state_or_province: Option<String>,
    /// Postal code.
    pub postal_code: String,
    /// Country.
    pub country_or_region: String,
    /// Telephone.
    pub phone: String,
    /// Mail address.
    pub email: String,
}

/// The customer's account with a carrier.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct ReturnShipping {
    /// Which carrier.
    pub carrier_name: String,
    /// The account.
    pub carrier_account_number: String,
}

/// The datacentre's address, filled from the location; the customer's own words are accepted too.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct ShippingInformation {
    /// Who.
    pub recipient_name: String,
    /// Street.
    pub street_address1: String,
    /// Second line.
    pub street_address2: String,
    /// City.
    pub city: String,
    /// State or province.
    pub state_or_province: String,
    /// Postal code.
    pub postal_code: String,
    /// Country.
    pub country_or_region: String,
    /// Telephone.
    pub phone: String,
    /// What else to write on the parcel.
    pub additional_information: String,
}

/// The parcel on its way here.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct DeliveryPackage {
    /// Which carrier; any name is accepted (§5.4, item 6).
    pub carrier_name: String,
    /// Its number for the parcel.
    pub tracking_number: String,
    /// How many drives are in it; 0 is what PowerShell sends when it is not told, so it announces nothing (§5.4, item 6).
    pub drive_count: Option<u32>,
    /// When it was sent, in the customer's writing.
    pub ship_date: Option<String>,
}

/// The parcel on its way back.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct ReturnPackage {
    /// Which carrier.
    pub carrier_name: String,
    /// Its number for the parcel.
    pub tracking_number: String,
    /// How many drives are in it.
    pub drive_count: u32,
    /// When it was sent.
    pub ship_date: String,
}

/// What to export. One of the three is not empty.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Export {
    /// Single blobs.
    pub blob_path: Vec<String>,
    /// All blobs that begin so.
    pub blob_path_prefix: Vec<String>,
    /// A blob that holds the list.
    pub blob_list_blob_path: Option<String>,
}

/// Whose key protects the recovery passwords.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct EncryptionKey {
    /// Whose.
    pub kek_type: KekType,
    /// The customer's key.
    pub kek_url: Option<String>,
    /// The vault that holds it.
    pub kek_vault_resource_id: Option<String>,
}

impl Default for EncryptionKey {
    fn default() -> EncryptionKey {
        EncryptionKey { kek_type: KekType::MicrosoftManaged, kek_url: None, kek_vault_resource_id: None }
    }
}

/// The job's identity.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Identity {
    /// Which kind.
    pub kind: IdentityKind,
    /// Its principal; the service's to set.
    pub principal_id: Option<String>,
    /// Its tenant; the service's to set.
    pub tenant_id: Option<String>,
}

impl Default for Identity {
    fn default() -> Identity {
        Identity { kind: IdentityKind::None, principal_id: None, tenant_id: None }
    }
}

/// Why a job cannot go on.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct JobFault {
    /// Where it was.
    pub from: JobState,
    /// What is wrong, in the operator's words.
    pub reason: String,
}

/// Why a drive cannot go on.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct DriveFault {
    /// Where it was.
    pub from: DriveState,
    /// What is wrong.
    pub reason: String,
}

/// Why no work may begin on a drive.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Hold {
    /// In the words of whoever holds it.
    pub reason: String,
    /// Since when (Unix milliseconds).
    pub since_unix_ms: i64,
}

/// A drive that is not the job's.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct ExtraDrive {
    /// Its serial number.
    pub drive_id: DriveId,
    /// Where it lies.
    pub place: Place,
}

/// A parcel that came.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Parcel {
    /// The carrier's number, as scanned.
    pub tracking_number: String,
    /// Where it came.
    pub station: String,
    /// When (Unix milliseconds).
    pub received_unix_ms: i64,
    /// What it looked like, when that was worth a word.
    pub condition: Option<String>,
    /// Whether everything in it is booked.
    pub unpacked: bool,
}

/// Drives that nobody takes back: azure-import-export.md §4.2.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Undeliverable {
    /// Why.
    pub reason: String,
    /// Since when (Unix milliseconds).
    pub since_unix_ms: i64,
    /// The ninety days are over: the drives may be destroyed.
    pub may_destroy: bool,
}

/// Who made and last changed a job: `systemData`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Authorship {
    /// Who made it.
    pub created_by: String,
    /// When (Unix milliseconds).
    pub created_unix_ms: i64,
    /// Who last changed it.
    pub modified_by: String,
    /// When (Unix milliseconds).
    pub modified_unix_ms: i64,
}
