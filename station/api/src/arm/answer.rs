//! A job as each version shows it. The one place that turns a [`Job`] into JSON for a client.
//!
//! Recovery passwords cannot be here: a [`Job`] has none. What a version does not have is left out, and so is what
//! is not there, never written as `null`; the exceptions are those of spec/azure-import-export.md §5.4.

use model::job::{
    ARM_TYPE, Authorship, DeliveryPackage, EncryptionKey, Export, Identity, Job, JobDrive, JobState,
    ReturnAddress, ReturnPackage, ReturnShipping, ShippingInformation,
};
use serde::Serialize;
use serde::ser::SerializeMap;
use std::collections::BTreeMap;
use time::OffsetDateTime;
use time::macros::format_description;

use super::version::ApiVersion;

/// For which request a job is shown.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Shown {
    /// An answer to PUT or PATCH: an export without drives shows no list.
    Changed,
    /// An answer to GET, or one of a list: it shows an empty one.
    Read,
}

/// A job on the wire.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct JobBody<'a> {
    #[serde(skip_serializing_if = "Option::is_none")]
    system_data: Option<SystemData<'a>>,
    properties: Details<'a>,
    identity: IdentityBody<'a>,
    id: String,
    name: &'a str,
    #[serde(rename = "type")]
    kind: &'static str,
    location: &'a str,
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    tags: &'a BTreeMap<String, String>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct SystemData<'a> {
    created_by: &'a str,
    created_by_type: &'static str,
    created_at: String,
    last_modified_by: &'a str,
    last_modified_by_type: &'static str,
    last_modified_at: String,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Details<'a> {
    storage_account_id: &'a str,
    job_type: &'static str,
    return_address: AddressBody<'a>,
    #[serde(skip_serializing_if = "Option::is_none")]
    return_shipping: Option<&'a ReturnShipping>,
    shipping_information: ShippingBody<'a>,
    #[serde(skip_serializing_if = "Option::is_none")]
    delivery_package: Option<DeliveryBody<'a>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    return_package: Option<&'a ReturnPackage>,
    diagnostics_path: &'a str,
    log_level: &'static str,
    backup_drive_manifest: bool,
    cancel_requested: bool,
    state: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    percent_complete: Option<u8>,
    #[serde(skip_serializing_if = "Option::is_none")]
    incomplete_blob_list_uri: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    drive_list: Option<Vec<DriveBody<'a>>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    export: Option<ExportBody<'a>>,
    provisioning_state: &'static str,
    encryption_key: KeyBody<'a>,
}

/// The address as the customer gave it; a missing second street line is shown empty.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct AddressBody<'a> {
    recipient_name: &'a str,
    street_address1: &'a str,
    street_address2: &'a str,
    city: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    state_or_province: Option<&'a str>,
    postal_code: &'a str,
    country_or_region: &'a str,
    phone: &'a str,
    email: &'a str,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct ShippingBody<'a> {
    recipient_name: &'a str,
    street_address1: &'a str,
    street_address2: &'a str,
    city: &'a str,
    state_or_province: &'a str,
    postal_code: &'a str,
    country_or_region: &'a str,
    phone: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    additional_information: Option<&'a str>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct DeliveryBody<'a> {
    carrier_name: &'a str,
    tracking_number: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    drive_count: Option<u32>,
    #[serde(skip_serializing_if = "Option::is_none")]
    ship_date: Option<&'a str>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct DriveBody<'a> {
    drive_id: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    manifest_file: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    manifest_hash: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    drive_header_hash: Option<&'a str>,
    state: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    copy_status: Option<&'static str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    percent_complete: Option<u8>,
    #[serde(skip_serializing_if = "Option::is_none")]
    verbose_log_uri: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    error_log_uri: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    manifest_uri: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    bytes_succeeded: Option<u64>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct KeyBody<'a> {
    kek_type: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    kek_url: Option<&'a str>,
    #[serde(rename = "kekVaultResourceID", skip_serializing_if = "Option::is_none")]
    kek_vault_resource_id: Option<&'a str>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct IdentityBody<'a> {
    #[serde(rename = "type")]
    kind: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    principal_id: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    tenant_id: Option<&'a str>,
}

/// What is exported: the property naming the list's blob is spelled by version.
struct ExportBody<'a> {
    export: &'a Export,
    version: ApiVersion,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct BlobListBody<'a> {
    #[serde(skip_serializing_if = "<[String]>::is_empty")]
    blob_path: &'a [String],
    #[serde(skip_serializing_if = "<[String]>::is_empty")]
    blob_path_prefix: &'a [String],
}

impl<'a> JobBody<'a> {
    /// A job for a client of a version. `location` is how the location is written in this answer.
    pub(super) fn of(job: &'a Job, location: &'a str, version: ApiVersion, shown: Shown) -> Self {
        Self {
            system_data: version.has_system_data().then(|| SystemData::of(&job.authorship)),
            properties: Details::of(job, version, shown),
            identity: IdentityBody::of(&job.identity),
            id: job.key.arm_id(),
            name: &job.key.name,
            kind: ARM_TYPE,
            location,
            tags: &job.tags,
        }
    }
}

impl<'a> SystemData<'a> {
    fn of(authorship: &'a Authorship) -> Self {
        Self {
            created_by: &authorship.created_by,
            created_by_type: kind_of(&authorship.created_by),
            created_at: moment(authorship.created_unix_ms),
            last_modified_by: &authorship.modified_by,
            last_modified_by_type: kind_of(&authorship.modified_by),
            last_modified_at: moment(authorship.modified_unix_ms),
        }
    }
}

/// People come by an identity provider or by the machine's own login, programs with a token.
fn kind_of(id: &str) -> &'static str {
    let is_person = ["oidc:", "local:"].iter().any(|prefix| id.starts_with(prefix));
    if is_person { "User" } else { "Application" }
}

/// The time with seven digits of fraction, as ARM writes it.
fn moment(unix_ms: i64) -> String {
    let form = format_description!("[year]-[month]-[day]T[hour]:[minute]:[second].[subsecond digits:7]Z");
    let nanos = i128::from(unix_ms) * 1_000_000;
    let when = OffsetDateTime::from_unix_timestamp_nanos(nanos).unwrap_or(OffsetDateTime::UNIX_EPOCH);
    when.format(form).unwrap_or_default()
}

impl<'a> Details<'a> {
    fn of(job: &'a Job, version: ApiVersion, shown: Shown) -> Self {
        let drives: Vec<_> = job.drives.iter().map(DriveBody::of).collect();
        let hide_drives = drives.is_empty() && shown == Shown::Changed;
        Self {
            storage_account_id: &job.storage_account_id,
            job_type: job.job_type.as_str(),
            return_address: AddressBody::of(&job.return_address),
            return_shipping: job.return_shipping.as_ref(),
            shipping_information: ShippingBody::of(&job.shipping_information, version),
            delivery_package: job.delivery_package.as_ref().map(DeliveryBody::of),
            return_package: job.return_package.as_ref(),
            diagnostics_path: &job.diagnostics_path,
            log_level: job.log_level.as_str(),
            backup_drive_manifest: job.backup_drive_manifest,
            cancel_requested: job.cancel_requested,
            state: job.state.as_str(),
            percent_complete: has_begun(job).then_some(job.percent_complete),
            incomplete_blob_list_uri: job.incomplete_blob_list_uri.as_deref(),
            drive_list: (!hide_drives).then_some(drives),
            export: job.export.as_ref().map(|export| ExportBody { export, version }),
            // Everything is synchronous: a job that is there was provisioned.
            provisioning_state: "Succeeded",
            encryption_key: KeyBody::of(&job.encryption_key),
        }
    }
}

/// Whether there is a percentage to show: the examples have one only once copying began.
fn has_begun(job: &Job) -> bool {
    let state = job.fault.as_ref().map_or(job.state, |fault| fault.from);
    match state {
        JobState::Creating | JobState::Shipping | JobState::Received => job.percent_complete > 0,
        JobState::Transferring
        | JobState::Packaging
        | JobState::Completed
        | JobState::Closed
        | JobState::Faulted => true,
    }
}

impl<'a> AddressBody<'a> {
    fn of(address: &'a ReturnAddress) -> Self {
        Self {
            recipient_name: &address.recipient_name,
            street_address1: &address.street_address1,
            street_address2: &address.street_address2,
            city: &address.city,
            state_or_province: address.state_or_province.as_deref(),
            postal_code: &address.postal_code,
            country_or_region: &address.country_or_region,
            phone: &address.phone,
            email: &address.email,
        }
    }
}

impl<'a> ShippingBody<'a> {
    fn of(address: &'a ShippingInformation, version: ApiVersion) -> Self {
        Self {
            recipient_name: &address.recipient_name,
            street_address1: &address.street_address1,
            street_address2: &address.street_address2,
            city: &address.city,
            state_or_province: &address.state_or_province,
            postal_code: &address.postal_code,
            country_or_region: &address.country_or_region,
            phone: &address.phone,
            additional_information: version.has_system_data().then_some(&address.additional_information),
        }
    }
}

impl<'a> DeliveryBody<'a> {
    fn of(package: &'a DeliveryPackage) -> Self {
        Self {
            carrier_name: &package.carrier_name,
            tracking_number: &package.tracking_number,
            drive_count: package.drive_count,
            ship_date: package.ship_date.as_deref(),
        }
    }
}

impl<'a> DriveBody<'a> {
    fn of(drive: &'a JobDrive) -> Self {
        let has_begun = drive.copy_status.is_some();
        Self {
            drive_id: drive.drive_id.as_str(),
            manifest_file: drive.manifest_file.as_deref(),
            manifest_hash: drive.manifest_hash.as_deref(),
            drive_header_hash: drive.drive_header_hash.as_deref(),
            state: drive.shown_state().as_str(),
            copy_status: drive.copy_status.map(|status| status.as_str()),
            percent_complete: has_begun.then_some(drive.percent_complete),
            verbose_log_uri: drive.verbose_log_uri.as_deref(),
            error_log_uri: drive.error_log_uri.as_deref(),
            manifest_uri: drive.manifest_uri.as_deref(),
            bytes_succeeded: has_begun.then_some(drive.bytes_succeeded),
        }
    }
}

impl<'a> KeyBody<'a> {
    fn of(key: &'a EncryptionKey) -> Self {
        Self {
            kek_type: key.kek_type.as_str(),
            kek_url: key.kek_url.as_deref(),
            kek_vault_resource_id: key.kek_vault_resource_id.as_deref(),
        }
    }
}

impl<'a> IdentityBody<'a> {
    fn of(identity: &'a Identity) -> Self {
        Self {
            kind: identity.kind.as_str(),
            principal_id: identity.principal_id.as_deref(),
            tenant_id: identity.tenant_id.as_deref(),
        }
    }
}

impl Serialize for ExportBody<'_> {
    fn serialize<S: serde::Serializer>(&self, out: S) -> Result<S::Ok, S::Error> {
        let Export { blob_path, blob_path_prefix, blob_list_blob_path } = self.export;
        let mut map = out.serialize_map(None)?;
        if !(blob_path.is_empty() && blob_path_prefix.is_empty()) {
            map.serialize_entry("blobList", &BlobListBody { blob_path, blob_path_prefix })?;
        }
        if let Some(path) = blob_list_blob_path {
            map.serialize_entry(self.version.blob_list_property(), path)?;
        }
        map.end()
    }
}
