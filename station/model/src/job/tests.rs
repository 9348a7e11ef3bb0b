//! The machine held to its specification: tables, stories, and random lists of events against a model.
//!
//! Here are the jobs and events that all of them use.

mod matrix;
mod random;
mod refusals;
mod story;
mod validation;

use super::*;
use crate::DriveId;
use crate::status::DriveStatus;

pub(super) const DAY_MS: i64 = 24 * 60 * 60 * 1_000;
pub(super) const STATION: &str = "north";

pub(super) fn id(serial: &str) -> DriveId {
    DriveId::new(serial).unwrap()
}

pub(super) fn address() -> ReturnAddress {
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

pub(super) fn key() -> JobKey {
    JobKey::new("S", "G", "job-1")
}

pub(super) fn new_drive(serial: &str) -> NewDrive {
    NewDrive {
        drive_id: serial.to_owned(),
        manifest_file: "\\DriveManifest.xml".to_owned(),
        manifest_hash: "0123456789abcdef0123456789ABCDEF".to_owned(),
        drive_header_hash: None,
        key_given: true,
    }
}

/// An import of drives D1 and D2, ready to be shipped.
pub(super) fn import() -> NewJob {
    NewJob {
        job_type: Some(JobType::Import),
        storage_account_id:
            "/subscriptions/S/resourceGroups/G/providers/Microsoft.Storage/storageAccounts/account".to_owned(),
        return_address: Some(address()),
        return_shipping: Some(ReturnShipping {
            carrier_name: "FedEx".to_owned(),
            carrier_account_number: "1".to_owned(),
        }),
        delivery_package: Some(delivery("T1")),
        drives: vec![new_drive("D1"), new_drive("D2")],
        ..NewJob::new(key(), "West US")
    }
}

pub(super) fn export() -> NewJob {
    NewJob {
        job_type: Some(JobType::Export),
        drives: Vec::new(),
        export: Some(Export { blob_path_prefix: vec!["/".to_owned()], ..Export::default() }),
        ..import()
    }
}

pub(super) fn delivery(tracking_number: &str) -> DeliveryPackage {
    DeliveryPackage {
        carrier_name: "FedEx".to_owned(),
        tracking_number: tracking_number.to_owned(),
        drive_count: None,
        ship_date: None,
    }
}

pub(super) fn return_package(drive_count: u32) -> ReturnPackage {
    ReturnPackage {
        carrier_name: "FedEx".to_owned(),
        tracking_number: "R1".to_owned(),
        drive_count,
        ship_date: "2026/11/24".to_owned(),
    }
}

pub(super) fn facts() -> Facts {
    Facts { location_known: true, ..Facts::default() }
}

pub(super) fn created(new: NewJob) -> Job {
    Job::create(new.accept(&facts()).unwrap(), "customer", 0).0
}

/// A job that events are told to, at the time of the last one.
pub(super) struct Teller {
    pub(super) job: Job,
    pub(super) now: i64,
}

impl Teller {
    pub(super) fn of(new: NewJob) -> Teller {
        Teller { job: created(new), now: 0 }
    }

    pub(super) fn tell(&mut self, what: Happening) -> Result<Vec<Action>, Refusal> {
        self.job.step(Event { at_unix_ms: self.now, what })
    }

    pub(super) fn ok(&mut self, what: Happening) -> Vec<Action> {
        let text = format!("{what:?}");
        self.tell(what).unwrap_or_else(|refusal| panic!("{text}: {refusal}"))
    }

    pub(super) fn refused(&mut self, what: Happening) -> Refusal {
        let before = self.job.clone();
        let refusal = self.tell(what).expect_err("refused");
        assert_eq!(self.job, before, "a refused event changes nothing");
        refusal
    }

    pub(super) fn later(&mut self, days: i64) -> &mut Teller {
        self.now += days * DAY_MS;
        self
    }

    pub(super) fn state(&self) -> JobState {
        self.job.state
    }

    pub(super) fn drive_state(&self, serial: &str) -> DriveState {
        self.job.drive(&id(serial)).unwrap().state
    }

    pub(super) fn timers(&self) -> Vec<TimerKind> {
        self.job.timers.keys().copied().collect()
    }

    pub(super) fn received(&mut self, serial: &str) -> &mut Teller {
        self.ok(received(serial));
        self
    }

    pub(super) fn started(&mut self, serial: &str, bay: &str) -> &mut Teller {
        self.ok(assigned(serial, bay));
        self.ok(Happening::DriveStarted { drive_id: id(serial) });
        self
    }

    pub(super) fn packed(&mut self, serial: &str) -> &mut Teller {
        self.ok(packed(serial));
        self
    }
}

pub(super) fn received(serial: &str) -> Happening {
    Happening::DriveReceived { drive_id: id(serial), station: STATION.to_owned(), slot: None }
}

pub(super) fn assigned(serial: &str, bay: &str) -> Happening {
    Happening::DriveAssigned { drive_id: id(serial), station: STATION.to_owned(), bay: bay.to_owned() }
}

pub(super) fn packed(serial: &str) -> Happening {
    Happening::DrivePacked { drive_id: id(serial), label: "K-1".to_owned() }
}

pub(super) fn ended(serial: &str, status: DriveStatus) -> Happening {
    Happening::DriveEnded {
        drive_id: id(serial),
        status,
        bytes_succeeded: 7,
        logs: RunLogs { error: Some("https://logs/error".to_owned()), ..RunLogs::default() },
    }
}

pub(super) fn extra(serial: &str) -> Happening {
    Happening::ExtraDrive { drive_id: id(serial), station: STATION.to_owned(), slot: None }
}

pub(super) fn parcel(tracking_number: &str) -> Happening {
    Happening::ParcelReceived {
        tracking_number: tracking_number.to_owned(),
        station: STATION.to_owned(),
        condition: None,
    }
}

pub(super) fn unpacked(tracking_number: &str, reason: Option<&str>) -> Happening {
    Happening::ParcelUnpacked {
        tracking_number: tracking_number.to_owned(),
        shortfall_reason: reason.map(str::to_owned),
    }
}

pub(super) fn fired(kind: TimerKind) -> Happening {
    Happening::TimerFired { kind }
}

/// The job in that state by events alone. Drives: D1 leads, D2 lags behind it or never came.
pub(super) fn job_in(state: JobState) -> Teller {
    let mut teller = Teller::of(import());
    let steps: &[JobState] = match state {
        JobState::Creating => &[],
        JobState::Shipping => &[JobState::Shipping],
        JobState::Received => &[JobState::Shipping, JobState::Received],
        JobState::Transferring | JobState::Faulted => {
            &[JobState::Shipping, JobState::Received, JobState::Transferring]
        }
        JobState::Packaging => &[JobState::Shipping, JobState::Packaging],
        JobState::Completed => &[JobState::Shipping, JobState::Completed],
        JobState::Closed => &[JobState::Shipping, JobState::Packaging, JobState::Closed],
    };
    for step in steps {
        advance(&mut teller, *step);
        assert_eq!(teller.state(), *step);
    }
    if state == JobState::Faulted {
        teller.ok(Happening::JobFaulted { reason: "flood".to_owned() });
    }
    teller
}

fn advance(teller: &mut Teller, to: JobState) {
    match to {
        JobState::Shipping => {
            teller.ok(Happening::Ship);
            teller.ok(parcel("T1"));
            teller.received("D1");
        }
        JobState::Received => {
            teller.received("D2");
            teller.ok(assigned("D1", "1"));
        }
        JobState::Transferring => {
            teller.ok(Happening::DriveStarted { drive_id: id("D1") });
        }
        JobState::Packaging => {
            teller.ok(unpacked("T1", Some("torn")));
            teller.started("D1", "1").ok(ended("D1", DriveStatus::Completed));
        }
        JobState::Completed => {
            teller.received("D2");
            for serial in ["D1", "D2"] {
                teller.started(serial, "1").ok(ended(serial, DriveStatus::Completed));
                teller.ok(Happening::DriveReleased { drive_id: id(serial), slot: None });
            }
            teller.packed("D1").packed("D2").ok(Happening::ReturnBooked(return_package(2)));
        }
        JobState::Closed => {
            teller.packed("D1").ok(Happening::ReturnBooked(return_package(1)));
        }
        JobState::Creating | JobState::Faulted => unreachable!("reached otherwise"),
    }
}
