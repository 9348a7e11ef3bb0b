//! Reads PUT's and PATCH's bodies into what the service takes.
//!
//! One place for the request types of every version (spec/azure-import-export.md §5.3). Read-only properties are
//! ignored, so that a client may send back what it got; so is everything that the types do not have, as the service
//! does. Recovery passwords leave the body here, into zeroing memory, beside the order and never in it.

use std::collections::BTreeMap;

use keys::Secret;
use model::DriveId;
use model::job::{
    DEFAULT_DIAGNOSTICS_PATH, DeliveryPackage, EncryptionKey, Export, Identity, IdentityKind, JobKey,
    JobType, KekType, LogLevel, NewDrive, NewJob, ReturnAddress, ReturnShipping, ShippingInformation, Update,
};
use serde_json::Value;

use super::error::{ArmError, Detail};
use super::fields::{Fields, Mistakes};

/// A drive's recovery password, beside the serial number that it was given for.
pub(super) type Key = (DriveId, Secret);

/// A PUT.
pub(super) struct Put {
    /// What is asked for.
    pub(super) job: NewJob,
    /// The drives' recovery passwords.
    pub(super) keys: Vec<Key>,
    /// What is wrong with it that only the text shows.
    pub(super) problems: Vec<Detail>,
}

/// A PATCH.
pub(super) struct Patch {
    /// The plain changes.
    pub(super) update: Update,
    /// The recovery passwords of the drives of a new list.
    pub(super) keys: Vec<Key>,
    /// The parcel is on its way.
    pub(super) ship: bool,
    /// The drives shall come back uncopied.
    pub(super) cancel: bool,
    /// What is wrong with it that only the text shows.
    pub(super) problems: Vec<Detail>,
}

/// Reads a PUT's body for a job.
pub(super) fn put(key: JobKey, body: Value) -> Result<Put, ArmError> {
    let mut reader = Reader::default();
    let mut body = Fields::of_body(body)?;
    let mut job = NewJob::new(key, reader.text(&mut body, "location"));
    job.tags = reader.tags(&mut body).unwrap_or_default();
    if let Some(mut identity) = body.object("identity", &mut reader.mistakes) {
        job.identity = reader.identity(&mut identity);
    }
    let details = body.object("properties", &mut reader.mistakes);
    let keys = details.map(|mut details| reader.details(&mut details, &mut job)).unwrap_or_default();
    reader.mistakes.into_result()?;
    Ok(Put { job, keys, problems: reader.problems })
}

/// Reads a PATCH's body.
pub(super) fn patch(body: Value) -> Result<Patch, ArmError> {
    let mut reader = Reader::default();
    let mut body = Fields::of_body(body)?;
    let mut update = Update { tags: reader.tags(&mut body), ..Update::default() };
    let (mut keys, mut ship, mut cancel) = (Vec::new(), false, false);
    if let Some(mut details) = body.object("properties", &mut reader.mistakes) {
        ship = reader.ship(&mut details);
        cancel = reader.cancel(&mut details);
        keys = reader.changes(&mut details, &mut update);
    }
    reader.mistakes.into_result()?;
    Ok(Patch { update, keys, ship, cancel, problems: reader.problems })
}

#[derive(Default)]
struct Reader {
    mistakes: Mistakes,
    problems: Vec<Detail>,
}

impl Reader {
    fn problem(&mut self, target: String, message: &str) {
        let message = format!("'{target}' {message}");
        self.problems.push(Detail { code: "InvalidParameter".to_owned(), target, message });
    }

    /// A text, empty where there is none.
    fn text(&mut self, fields: &mut Fields, name: &str) -> String {
        fields.text(name, &mut self.mistakes).unwrap_or_default()
    }

    /// A text that may be missing; empty is missing, because the samples send `state: ""`.
    fn optional(&mut self, fields: &mut Fields, name: &str) -> Option<String> {
        fields.text(name, &mut self.mistakes).filter(|text| !text.is_empty())
    }

    /// A word of a vocabulary in any case, if it is given and there is such a word.
    fn word<T>(
        &mut self,
        fields: &mut Fields,
        name: &str,
        parse: impl Fn(&str) -> Option<T>,
        words: &str,
    ) -> Option<T> {
        let text = self.optional(fields, name)?;
        let word = parse(&text);
        if word.is_none() {
            self.problem(fields.path_of(name), &format!("must be one of {words}."));
        }
        word
    }

    fn tags(&mut self, body: &mut Fields) -> Option<BTreeMap<String, String>> {
        let tags = body.text_map("tags", &mut self.mistakes)?;
        Some(tags.into_iter().collect())
    }

    fn details(&mut self, details: &mut Fields, job: &mut NewJob) -> Vec<Key> {
        let mistakes = &mut self.mistakes;
        job.backup_drive_manifest = details.flag("backupDriveManifest", mistakes).unwrap_or_default();
        let address = details.object("shippingInformation", mistakes);
        let export = details.object("export", mistakes);
        job.storage_account_id = self.text(details, "storageAccountId");
        // What is no type is for the service to refuse, together with everything else.
        job.job_type = self.optional(details, "jobType").and_then(|word| JobType::parse(&word).ok());
        job.return_address = self.return_address(details);
        job.return_shipping = self.return_shipping(details);
        job.shipping_information = address.map(|mut address| self.shipping_information(&mut address));
        job.delivery_package = self.delivery_package(details);
        let path = self.optional(details, "diagnosticsPath");
        job.diagnostics_path = path.unwrap_or_else(|| DEFAULT_DIAGNOSTICS_PATH.to_owned());
        job.log_level = self.log_level(details).unwrap_or(LogLevel::Error);
        job.export = export.map(|mut export| self.export(&mut export));
        job.encryption_key = self.encryption_key(details).unwrap_or_default();
        let (drives, keys) = self.drives(details).unwrap_or_default();
        job.drives = drives;
        keys
    }

    fn changes(&mut self, details: &mut Fields, update: &mut Update) -> Vec<Key> {
        update.backup_drive_manifest = details.flag("backupDriveManifest", &mut self.mistakes);
        update.return_address = self.return_address(details);
        update.return_shipping = self.return_shipping(details);
        update.delivery_package = self.delivery_package(details);
        update.log_level = self.log_level(details);
        update.encryption_key = self.encryption_key(details);
        match self.drives(details) {
            Some((drives, keys)) => {
                update.drives = Some(drives);
                keys
            }
            None => Vec::new(),
        }
    }

    /// Whether the customer says that the parcel left. No other state is theirs to set.
    fn ship(&mut self, details: &mut Fields) -> bool {
        let Some(state) = self.optional(details, "state") else { return false };
        let ship = state.eq_ignore_ascii_case("Shipping");
        if !ship {
            self.problem(details.path_of("state"), "can only be set to Shipping.");
        }
        ship
    }

    fn cancel(&mut self, details: &mut Fields) -> bool {
        let wanted = details.flag("cancelRequested", &mut self.mistakes);
        if wanted == Some(false) {
            self.problem(
                details.path_of("cancelRequested"),
                "can only be set to true: a job is not uncancelled.",
            );
        }
        wanted == Some(true)
    }

    fn log_level(&mut self, details: &mut Fields) -> Option<LogLevel> {
        self.word(details, "logLevel", |text| LogLevel::parse(text).ok(), "Error, Verbose")
    }

    fn return_address(&mut self, details: &mut Fields) -> Option<ReturnAddress> {
        let mut from = details.object("returnAddress", &mut self.mistakes)?;
        Some(ReturnAddress {
            recipient_name: self.text(&mut from, "recipientName"),
            street_address1: self.text(&mut from, "streetAddress1"),
            street_address2: self.text(&mut from, "streetAddress2"),
            city: self.text(&mut from, "city"),
            state_or_province: from.text("stateOrProvince", &mut self.mistakes),
            postal_code: self.text(&mut from, "postalCode"),
            country_or_region: self.text(&mut from, "countryOrRegion"),
            phone: self.text(&mut from, "phone"),
            email: self.text(&mut from, "email"),
        })
    }

    fn return_shipping(&mut self, details: &mut Fields) -> Option<ReturnShipping> {
        let mut from = details.object("returnShipping", &mut self.mistakes)?;
        Some(ReturnShipping {
            carrier_name: self.text(&mut from, "carrierName"),
            carrier_account_number: self.text(&mut from, "carrierAccountNumber"),
        })
    }

    /// `additionalInformation` is the service's own.
    fn shipping_information(&mut self, from: &mut Fields) -> ShippingInformation {
        ShippingInformation {
            recipient_name: self.text(from, "recipientName"),
            street_address1: self.text(from, "streetAddress1"),
            street_address2: self.text(from, "streetAddress2"),
            city: self.text(from, "city"),
            state_or_province: self.text(from, "stateOrProvince"),
            postal_code: self.text(from, "postalCode"),
            country_or_region: self.text(from, "countryOrRegion"),
            phone: self.text(from, "phone"),
            additional_information: String::new(),
        }
    }

    /// The description of 2016-11-01 requires count and date; the service took parcels without (§5.4, item 6).
    fn delivery_package(&mut self, details: &mut Fields) -> Option<DeliveryPackage> {
        let mut from = details.object("deliveryPackage", &mut self.mistakes)?;
        let count = from.whole("driveCount", &mut self.mistakes);
        let drive_count = count.and_then(|count| u32::try_from(count).ok());
        if count.is_some() && drive_count.is_none() {
            self.problem(from.path_of("driveCount"), "must be a number of drives.");
        }
        Some(DeliveryPackage {
            carrier_name: self.text(&mut from, "carrierName"),
            tracking_number: self.text(&mut from, "trackingNumber"),
            drive_count,
            ship_date: self.optional(&mut from, "shipDate"),
        })
    }

    /// The property naming the list's blob has two spellings; names are compared without case, so both are read.
    fn export(&mut self, from: &mut Fields) -> Export {
        let mut export =
            Export { blob_list_blob_path: self.optional(from, "blobListBlobPath"), ..Export::default() };
        if let Some(mut list) = from.object("blobList", &mut self.mistakes) {
            export.blob_path = list.texts("blobPath", &mut self.mistakes).unwrap_or_default();
            export.blob_path_prefix = list.texts("blobPathPrefix", &mut self.mistakes).unwrap_or_default();
        }
        export
    }

    fn encryption_key(&mut self, details: &mut Fields) -> Option<EncryptionKey> {
        let mut from = details.object("encryptionKey", &mut self.mistakes)?;
        let kind = |text: &str| KekType::parse(text).ok();
        let found = self.problems.len();
        let kek_type = self.word(&mut from, "kekType", kind, "MicrosoftManaged, CustomerManaged");
        let is_no_word = self.problems.len() > found;
        let key = EncryptionKey {
            kek_type: kek_type.unwrap_or(KekType::MicrosoftManaged),
            kek_url: self.optional(&mut from, "kekUrl"),
            kek_vault_resource_id: self.optional(&mut from, "kekVaultResourceID"),
        };
        // What goes with a word that is none cannot be judged.
        Some(if is_no_word { EncryptionKey::default() } else { key })
    }

    /// Principal and tenant are the service's own.
    fn identity(&mut self, from: &mut Fields) -> Identity {
        let kind = |text: &str| IdentityKind::parse(text).ok();
        let words = "None, SystemAssigned, UserAssigned";
        Identity {
            kind: self.word(from, "type", kind, words).unwrap_or(IdentityKind::None),
            ..Identity::default()
        }
    }

    fn drives(&mut self, details: &mut Fields) -> Option<(Vec<NewDrive>, Vec<Key>)> {
        let list = details.objects("driveList", &mut self.mistakes)?;
        let (mut drives, mut keys) = (Vec::with_capacity(list.len()), Vec::new());
        for mut from in list {
            let drive = NewDrive {
                drive_id: self.text(&mut from, "driveId"),
                manifest_file: self.text(&mut from, "manifestFile"),
                manifest_hash: self.text(&mut from, "manifestHash"),
                drive_header_hash: from.text("driveHeaderHash", &mut self.mistakes),
                key_given: false,
            };
            let key = from.secret("bitLockerKey", &mut self.mistakes).filter(|key| !key.expose().is_empty());
            // A drive without a serial number is refused, whatever key it brings.
            let drive_id = DriveId::new(&drive.drive_id).ok();
            drives.push(NewDrive { key_given: key.is_some(), ..drive });
            keys.extend(drive_id.zip(key));
        }
        Some((drives, keys))
    }
}
