//! The rules for a new job and for changed fields: azure-import-export.md §5.5, §4.4, §4.5.
//!
//! Every problem is found at once, each with the JSON path that a client can point at. What must be
//! looked up outside (locations, accounts, other jobs) comes in as [`Facts`]; nothing here does I/O.
//! Limits that the specification leaves open are wide, and there to keep a row and a label bounded.

mod drives;
mod texts;

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

use super::account_id::StorageAccountId;
use super::fields::{EncryptionKey, Export, Identity, ReturnAddress};
use super::new::{NewJob, Update};
use super::words::{IdentityKind, JobType, KekType};
use super::{INLINE_LIST_BYTES_MAX, Job, JobKey};
use crate::DriveId;
use drives::check_drives;
use texts::{Checks, LONG_CHARS_MAX};

/// Most tags of one job, and longest name and value of one: ARM's own limits.
const TAGS_MAX: usize = 50;
const TAG_NAME_CHARS_MAX: usize = 512;
const TAG_VALUE_CHARS_MAX: usize = 256;
/// Longest name of a job. The sources give no limit; ARM's for most resources is 64.
const NAME_CHARS_MAX: usize = 64;

/// What is wrong with one field.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Problem {
    /// The field's JSON path: `properties.driveList[2].driveId`.
    pub target: String,
    /// What kind of wrong.
    pub code: ProblemCode,
    /// A sentence that says what would be right.
    pub message: String,
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.target, self.message)
    }
}

/// What kind of wrong a field is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ProblemCode {
    /// Required and absent, or empty.
    Missing,
    /// Present and must not be.
    NotAllowed,
    /// Not of the form that it must have.
    Invalid,
    /// Longer, or more of them, than may be.
    TooLong,
    /// Twice in one request.
    Duplicate,
    /// Another active job has it.
    InUse,
    /// No such thing.
    Unknown,
    /// Meant well, and this station cannot do it.
    Unsupported,
}

impl ProblemCode {
    /// The code as answers spell it.
    pub fn as_str(self) -> &'static str {
        match self {
            ProblemCode::Missing => "Missing",
            ProblemCode::NotAllowed => "NotAllowed",
            ProblemCode::Invalid => "Invalid",
            ProblemCode::TooLong => "TooLong",
            ProblemCode::Duplicate => "Duplicate",
            ProblemCode::InUse => "InUse",
            ProblemCode::Unknown => "Unknown",
            ProblemCode::Unsupported => "Unsupported",
        }
    }
}

/// What is known of a storage account.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum AccountFact {
    /// It has not been asked; the drive's run will find out.
    #[default]
    Unasked,
    /// There, and of a supported kind.
    Usable,
    /// Not there, or not ours to reach.
    Unknown,
    /// There, and of a kind that takes no blobs this way.
    Unsupported,
}

/// What the judge must know of the world outside the request. Other jobs' numbers only.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Facts {
    /// Whether this service knows the location.
    pub location_known: bool,
    /// The storage account.
    pub account: AccountFact,
    /// Those of the requested drives that another active job has.
    pub active_drive_ids: BTreeSet<DriveId>,
    /// Whether another active job has the requested tracking number.
    pub tracking_number_active: bool,
    /// Drives of this job whose key is kept already: a client that puts back what it got has no keys.
    pub keys_kept: BTreeSet<DriveId>,
    /// Whether the station can use customers' keys in Key Vault.
    pub customer_keys: bool,
}

/// Judges a PUT. Empty: it may become a job.
pub fn validate(new: &NewJob, facts: &Facts) -> Vec<Problem> {
    let mut checks = Checks::default();
    check_key(&new.key, &mut checks);
    check_tags(&new.tags, &mut checks);
    check_location(new, facts, &mut checks);
    check_account(&new.storage_account_id, facts.account, &mut checks);
    match &new.return_address {
        Some(address) => check_address(address, &mut checks),
        None => checks.add(
            "properties.returnAddress",
            ProblemCode::Missing,
            "an address for the return is required",
        ),
    }
    texts::check_return_shipping(new.return_shipping.as_ref(), &mut checks);
    texts::check_shipping_information(new.shipping_information.as_ref(), &mut checks);
    texts::check_delivery(new.delivery_package.as_ref(), facts.tracking_number_active, &mut checks);
    checks.text("properties.diagnosticsPath", &new.diagnostics_path, LONG_CHARS_MAX);
    check_content(new, facts, &mut checks);
    check_encryption_key(&new.encryption_key, facts.customer_keys, &mut checks);
    check_identity(&new.identity, &new.encryption_key, &mut checks);
    checks.0
}

/// Judges the fields of a PATCH for that job. Whether its state allows them is the machine's to say.
pub fn validate_update(update: &Update, job: &Job, facts: &Facts) -> Vec<Problem> {
    let mut checks = Checks::default();
    if let Some(tags) = &update.tags {
        check_tags(tags, &mut checks);
    }
    if let Some(address) = &update.return_address {
        check_address(address, &mut checks);
    }
    texts::check_return_shipping(update.return_shipping.as_ref(), &mut checks);
    texts::check_delivery(update.delivery_package.as_ref(), facts.tracking_number_active, &mut checks);
    match (&update.drives, job.job_type) {
        (Some(drives), JobType::Import) => check_drives(drives, facts, &mut checks),
        (Some(drives), JobType::Export) if !drives.is_empty() => no_drives_in_export(&mut checks),
        (Some(_) | None, _) => {}
    }
    if let Some(key) = &update.encryption_key {
        check_encryption_key(key, facts.customer_keys, &mut checks);
        check_identity(&job.identity, key, &mut checks);
    }
    checks.0
}

/// A location's name without what clients write differently: `West US` and `westus` are one.
pub fn fold_location(name: &str) -> String {
    name.chars().filter(|c| !c.is_whitespace()).flat_map(char::to_lowercase).collect()
}

fn check_key(key: &JobKey, checks: &mut Checks) {
    let fits = |c: char| c.is_ascii_alphanumeric() || c == '-' || c == '_';
    let name_fits = key.name.chars().all(fits)
        && key.name.starts_with(|c: char| c.is_ascii_alphanumeric())
        && key.name.chars().count() <= NAME_CHARS_MAX;
    if !name_fits {
        let message = "a job's name has 1 to 64 letters, digits, hyphens and underscores and begins with a letter or digit";
        checks.add("name", ProblemCode::Invalid, message);
    }
}

fn check_tags(tags: &BTreeMap<String, String>, checks: &mut Checks) {
    if tags.len() > TAGS_MAX {
        checks.add("tags", ProblemCode::TooLong, "at most 50 tags");
    }
    for (name, value) in tags.iter().take(TAGS_MAX) {
        let fits = !name.is_empty()
            && name.chars().count() <= TAG_NAME_CHARS_MAX
            && value.chars().count() <= TAG_VALUE_CHARS_MAX;
        if !fits {
            let message = "a tag's name has 1 to 512 characters, its value at most 256";
            checks.add(&format!("tags[{}]", texts::excerpt(name)), ProblemCode::TooLong, message);
        }
    }
}

fn check_location(new: &NewJob, facts: &Facts, checks: &mut Checks) {
    if new.location.trim().is_empty() {
        checks.add(
            "location",
            ProblemCode::Missing,
            "a location is required; the locations operation lists them",
        );
    } else if !facts.location_known {
        let message = format!(
            "{:?} is no location of this service; the locations operation lists them",
            texts::excerpt(&new.location)
        );
        checks.add("location", ProblemCode::Unknown, &message);
    }
}

fn check_account(id: &str, fact: AccountFact, checks: &mut Checks) {
    let target = "properties.storageAccountId";
    if id.is_empty() {
        checks.add(target, ProblemCode::Missing, "the storage account's ARM id is required");
    } else if StorageAccountId::parse(id).is_none() {
        let message = "not an ARM id of a storage account: /subscriptions/…/resourceGroups/…/providers/Microsoft.Storage/storageAccounts/…";
        checks.add(target, ProblemCode::Invalid, message);
    } else {
        match fact {
            AccountFact::Unasked | AccountFact::Usable => {}
            AccountFact::Unknown => checks.add(
                target,
                ProblemCode::Unknown,
                "there is no such storage account, or it cannot be reached",
            ),
            AccountFact::Unsupported => {
                checks.add(
                    target,
                    ProblemCode::Unsupported,
                    "an account of this kind takes no imports or exports",
                );
            }
        }
    }
}

fn check_address(address: &ReturnAddress, checks: &mut Checks) {
    texts::check_return_address(address, checks);
}

/// An import has drives and no selection, an export a selection and no drives.
fn check_content(new: &NewJob, facts: &Facts, checks: &mut Checks) {
    match new.job_type {
        None => {
            checks.add("properties.jobType", ProblemCode::Missing, "jobType is required: Import or Export")
        }
        Some(JobType::Import) => {
            check_drives(&new.drives, facts, checks);
            if new.export.is_some() {
                checks.add(
                    "properties.export",
                    ProblemCode::NotAllowed,
                    "an import job selects nothing; leave export out",
                );
            }
        }
        Some(JobType::Export) => {
            if !new.drives.is_empty() {
                no_drives_in_export(checks);
            }
            check_export(new.export.as_ref(), checks);
        }
    }
}

fn no_drives_in_export(checks: &mut Checks) {
    let message = "an export job's drives are listed by the service when they arrive; leave driveList out";
    checks.add("properties.driveList", ProblemCode::NotAllowed, message);
}

fn check_export(export: Option<&Export>, checks: &mut Checks) {
    let target = "properties.export";
    let Some(export) = export else {
        return checks.add(target, ProblemCode::Missing, "an export job says what to export");
    };
    let named = export.blob_list_blob_path.as_deref().unwrap_or("");
    if export.blob_path.is_empty() && export.blob_path_prefix.is_empty() && named.is_empty() {
        checks.add(
            target,
            ProblemCode::Missing,
            "give at least one blobPath, blobPathPrefix or blobListBlobPath",
        );
    }
    let inline = || export.blob_path.iter().chain(&export.blob_path_prefix);
    if inline().map(String::len).sum::<usize>() > INLINE_LIST_BYTES_MAX {
        let message =
            "an inline list has at most 32 KB; put the list into a blob and name it in blobListBlobPath";
        checks.add("properties.export.blobList", ProblemCode::TooLong, message);
    } else if inline().any(String::is_empty) {
        checks.add(
            "properties.export.blobList",
            ProblemCode::Invalid,
            "no path or prefix may be empty; / is everything",
        );
    }
    checks.text("properties.export.blobListBlobPath", named, LONG_CHARS_MAX);
}

/// An identity of the customer's own cannot be taken on; nothing tells a job without one from the station's.
fn check_identity(identity: &Identity, key: &EncryptionKey, checks: &mut Checks) {
    if key.kek_type == KekType::CustomerManaged && identity.kind == IdentityKind::UserAssigned {
        let message = "key vaults are asked by the station's own identity; use SystemAssigned, which shows whom \
                       to grant the rights to";
        checks.add("identity.type", ProblemCode::Unsupported, message);
    }
}

fn check_encryption_key(key: &EncryptionKey, honoured: bool, checks: &mut Checks) {
    let url = ("properties.encryptionKey.kekUrl", key.kek_url.as_deref().unwrap_or(""));
    let vault =
        ("properties.encryptionKey.kekVaultResourceID", key.kek_vault_resource_id.as_deref().unwrap_or(""));
    match key.kek_type {
        KekType::MicrosoftManaged => {
            for (target, _) in [url, vault].into_iter().filter(|(_, text)| !text.is_empty()) {
                checks.add(target, ProblemCode::NotAllowed, "belongs to kekType CustomerManaged");
            }
        }
        KekType::CustomerManaged => {
            checks.required(url.0, url.1, LONG_CHARS_MAX);
            checks.required(vault.0, vault.1, LONG_CHARS_MAX);
            if !url.1.is_empty() && !url.1.starts_with("https://") {
                checks.add(url.0, ProblemCode::Invalid, "a key's address begins with https://");
            }
            if !honoured {
                let message =
                    "this station has no access to customers' key vaults; use kekType MicrosoftManaged";
                checks.add("properties.encryptionKey.kekType", ProblemCode::Unsupported, message);
            }
        }
    }
}
