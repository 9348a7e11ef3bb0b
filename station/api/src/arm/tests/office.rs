//! The service over a ledger in a file of its own, and a way to set a job to anything behind its back.

use std::sync::Arc;

use jobs::{Jobs, NoBays, Parts, system_clock};
use keys::{MasterKeys, Vault};
use ledger::{Change, JobWrite, SqliteLedger};
use model::job::{Job, JobKey};
use tempfile::TempDir;

use super::super::Arm;
use super::super::locations::{Location, Locations};
use super::{GROUP, SUBSCRIPTION};

/// See the module.
pub(crate) struct Office {
    jobs: Arc<Jobs>,
    locations: Arc<Locations>,
    ledger: Arc<SqliteLedger>,
    _folder: TempDir,
}

impl Office {
    pub(crate) async fn new() -> Self {
        let folder = TempDir::new().expect("a folder can be made");
        let ledger = SqliteLedger::open(&folder.path().join("ledger")).await.expect("the ledger opens");
        let ledger = Arc::new(ledger);
        let all = vec![location("West US", &[]), location("East US 2", &["West US"])];
        let locations = Arc::new(Locations::new(all).expect("they are distinct"));
        let jobs = Jobs::new(Parts {
            jobs: ledger.clone(),
            secrets: ledger.clone(),
            vault: Arc::new(Vault::over(MasterKeys::ephemeral())),
            bays: Arc::new(NoBays),
            clock: system_clock(),
            station: "test".to_owned(),
            sites: locations.sites(),
            customer_keys: None,
        });
        Self { jobs: Arc::new(jobs), locations, ledger, _folder: folder }
    }

    /// The ARM surface over it.
    pub(crate) fn surface(&self) -> Arm {
        let (jobs, locations) = (self.jobs.clone(), self.locations.clone());
        Arm { jobs, locations, public_url: None }
    }

    /// Changes a stored job, whatever the service would say to it.
    pub(super) async fn set(&self, name: &str, change: impl FnOnce(&mut Job)) {
        use ledger::Jobs as _;
        let key = JobKey::new(SUBSCRIPTION, GROUP, name);
        let mut row = self.ledger.job(&key).await.expect("the ledger reads").expect("the job is there");
        let mut job: Job = serde_json::from_str(&row.document).expect("a stored job is one");
        change(&mut job);
        row.state = job.state.as_str().to_owned();
        row.document = serde_json::to_string(&job).expect("a job is JSON");
        let expected_version = row.version;
        let write = Change { job: Some(JobWrite::Update { row, expected_version }), ..Change::default() };
        self.ledger.apply(&write).await.expect("nobody else writes");
    }
}

fn location(name: &str, alternates: &[&str]) -> Location {
    Location {
        name: name.to_owned(),
        recipient_name: "Example Station".to_owned(),
        street_address1: "Example Street 1".to_owned(),
        street_address2: String::new(),
        city: "Example City".to_owned(),
        state_or_province: "EX".to_owned(),
        postal_code: "00001".to_owned(),
        country_or_region: "Exampleland".to_owned(),
        phone: "000".to_owned(),
        additional_information: String::new(),
        supported_carriers: vec!["FedEx".to_owned()],
        alternate_locations: alternates.iter().map(|name| (*name).to_owned()).collect(),
    }
}
