//! A station to test with.

use std::path::Path;
use std::sync::atomic::{AtomicI64, Ordering};
use std::sync::{Arc, Mutex};

use async_trait::async_trait;
use jobs::{Bays, Caller, Changes, Clock, Jobs, Parts, Site, Sites, Stored, ThreeWay};
use keys::{MasterKeys, Secret, Vault};
use ledger::{Ledger, SqliteLedger};
use model::DriveId;
use model::job::{
    DeliveryPackage, Job, JobKey, JobType, NewDrive, NewJob, ReturnAddress, ReturnPackage, ReturnShipping,
    ShippingInformation,
};

pub const STATION: &str = "north";
pub const DAY_MS: i64 = 24 * 60 * 60 * 1_000;
/// Planted, to be looked for where no password may be.
pub const PASSWORD: &str = "238810-662376-448998-450120-652806-203390-606320-483076";

/// What bays were told.
#[derive(Default)]
pub struct Heard(pub Mutex<Vec<String>>);

impl Heard {
    pub fn take(&self) -> Vec<String> {
        std::mem::take(&mut self.0.lock().unwrap())
    }
}

#[async_trait]
impl Bays for Heard {
    async fn ready(&self, _: &Job, drive_id: &DriveId) {
        self.0.lock().unwrap().push(format!("ready {drive_id}"));
    }

    async fn stop(&self, _: &Job, drive_id: &DriveId) {
        self.0.lock().unwrap().push(format!("stop {drive_id}"));
    }
}

/// A ledger, a vault and a clock; the service is made anew as often as a test restarts it.
pub struct House {
    pub folder: tempfile::TempDir,
    pub ledger: Arc<dyn Ledger>,
    pub vault: Arc<Vault>,
    pub heard: Arc<Heard>,
    pub now: Arc<AtomicI64>,
}

impl House {
    pub async fn new() -> House {
        let folder = tempfile::tempdir().unwrap();
        let ledger = Arc::new(open(folder.path()).await);
        House::over(folder, ledger)
    }

    pub fn over(folder: tempfile::TempDir, ledger: Arc<dyn Ledger>) -> House {
        let vault = Arc::new(Vault::over(MasterKeys::ephemeral()));
        House { folder, ledger, vault, heard: Arc::default(), now: Arc::new(AtomicI64::new(DAY_MS)) }
    }

    pub fn jobs(&self) -> Jobs {
        self.jobs_over(self.ledger.clone())
    }

    pub fn jobs_over(&self, over: Arc<dyn ledger::Jobs>) -> Jobs {
        Jobs::new(self.parts(over))
    }

    /// Another station of the fleet, with bays of its own.
    pub fn station(&self, name: &str, bays: Arc<Heard>) -> Jobs {
        Jobs::new(Parts { station: name.to_owned(), bays, ..self.parts(self.ledger.clone()) })
    }

    pub fn jobs_with_customer_keys(&self) -> Jobs {
        let ours = model::job::Identity {
            kind: model::job::IdentityKind::SystemAssigned,
            principal_id: Some("station-principal".to_owned()),
            tenant_id: None,
        };
        Jobs::new(Parts { customer_keys: Some(ours), ..self.parts(self.ledger.clone()) })
    }

    fn parts(&self, over: Arc<dyn ledger::Jobs>) -> Parts {
        Parts {
            jobs: over,
            secrets: self.ledger.clone(),
            vault: self.vault.clone(),
            bays: self.heard.clone(),
            clock: self.clock(),
            station: STATION.to_owned(),
            sites: sites(),
            customer_keys: None,
        }
    }

    fn clock(&self) -> Clock {
        let now = self.now.clone();
        Arc::new(move || now.load(Ordering::Relaxed))
    }

    pub fn later(&self, days: i64) {
        self.now.fetch_add(days * DAY_MS, Ordering::Relaxed);
    }

    /// Every custody entry of a job, as `actor action drive`.
    pub async fn custody(&self, key: &JobKey) -> Vec<String> {
        let rows = self.ledger.custody_of_job(&key.arm_id(), None, 1_000).await.unwrap();
        rows.iter()
            .map(|row| {
                let draft = custody::canonical::decode(&row.row.entry_bytes).unwrap().draft;
                format!("{} {} {}", draft.actor, draft.action, draft.drive.unwrap_or_default())
                    .trim()
                    .to_owned()
            })
            .collect()
    }
}

async fn open(folder: &Path) -> SqliteLedger {
    SqliteLedger::open(&folder.join("ledger.db")).await.unwrap()
}

fn sites() -> Sites {
    let site = |location: &str| Site {
        location: location.to_owned(),
        address: ShippingInformation {
            recipient_name: location.to_owned(),
            ..ShippingInformation::default()
        },
    };
    Sites::new(vec![site("West US"), site("East US")]).unwrap()
}

pub fn id(serial: &str) -> DriveId {
    DriveId::new(serial).unwrap()
}

pub fn key(name: &str) -> JobKey {
    JobKey::new("Sub-1", "Group", name)
}

pub fn customer() -> Caller {
    Caller::new("token:customer", vec!["customer".to_owned()])
}

pub fn clerk() -> Caller {
    Caller::new("oidc:clerk", vec!["receiver".to_owned()])
}

pub fn bay() -> Caller {
    Caller::new("service:bays", vec!["service".to_owned()])
}

pub fn passwords(serials: &[&str]) -> Vec<(DriveId, Secret)> {
    serials.iter().map(|serial| (id(serial), Secret::from_text(PASSWORD.to_owned()))).collect()
}

pub fn import(name: &str, serials: &[&str]) -> NewJob {
    let drive = |serial: &&str| NewDrive {
        drive_id: (*serial).to_owned(),
        manifest_file: "\\DriveManifest.xml".to_owned(),
        manifest_hash: "0123456789abcdef0123456789ABCDEF".to_owned(),
        ..NewDrive::default()
    };
    NewJob {
        job_type: Some(JobType::Import),
        storage_account_id:
            "/subscriptions/S/resourceGroups/G/providers/Microsoft.Storage/storageAccounts/account".to_owned(),
        return_address: Some(address()),
        return_shipping: Some(ReturnShipping {
            carrier_name: "FedEx".to_owned(),
            carrier_account_number: "1".to_owned(),
        }),
        delivery_package: Some(delivery(&format!("T-{name}"))),
        drives: serials.iter().map(drive).collect(),
        ..NewJob::new(key(name), "West US")
    }
}

fn address() -> ReturnAddress {
    ReturnAddress {
        recipient_name: "Goods in".to_owned(),
        street_address1: "1 Dock Road".to_owned(),
        city: "Harbour".to_owned(),
        postal_code: "10000".to_owned(),
        country_or_region: "GB".to_owned(),
        phone: "000".to_owned(),
        email: "dock@example.com".to_owned(),
        ..ReturnAddress::default()
    }
}

pub fn delivery(tracking_number: &str) -> DeliveryPackage {
    DeliveryPackage {
        carrier_name: "FedEx".to_owned(),
        tracking_number: tracking_number.to_owned(),
        drive_count: None,
        ship_date: None,
    }
}

pub fn parcel_back(drive_count: u32) -> ReturnPackage {
    ReturnPackage {
        carrier_name: "FedEx".to_owned(),
        tracking_number: "R1".to_owned(),
        drive_count,
        ship_date: "2026/11/24".to_owned(),
    }
}

pub fn seen(serial: &str, bay: &str) -> ThreeWay {
    ThreeWay { label: id(serial), device: id(serial), bay: bay.to_owned() }
}

pub fn ship() -> Changes {
    Changes { ship: true, ..Changes::default() }
}

/// An import that was ordered and shipped.
pub async fn shipped(jobs: &Jobs, name: &str, serials: &[&str]) -> Stored {
    jobs.create(&customer(), import(name, serials), passwords(serials)).await.unwrap();
    jobs.update(&customer(), &key(name), ship()).await.unwrap()
}

/// The same, with all of its drives on the shelf.
pub async fn arrived(jobs: &Jobs, name: &str, serials: &[&str]) -> Stored {
    shipped(jobs, name, serials).await;
    jobs.receive_package(&clerk(), &format!("T-{name}"), None).await.unwrap();
    for serial in serials {
        jobs.scan(&clerk(), &id(serial), None, None).await.unwrap();
    }
    jobs.get(&key(name)).await.unwrap().unwrap()
}
