//! Jobs: made, listed, looked up, claimed, as the job API and the bays do.

use std::error::Error;
use std::time::{Duration, Instant};

use ledger::{Change, DriveRow, EventDraft, JobFilter, JobKey, JobRow, JobScope, JobWrite, Ledger, Timer};
use model::DriveId;

use crate::latency::{Latencies, say_rate};

/// Drives of a job, as of a usual one.
const DRIVES: u64 = 4;
/// Jobs of a resource group.
const GROUP_JOBS: u64 = 500;
/// Calls of a kind.
const CALLS: u64 = 500;
/// What ARM asks for at once.
const PAGE_JOBS: u32 = 100;
/// Longer than the bench.
const LEASE: Duration = Duration::from_secs(3_600);

pub async fn fill(ledger: &dyn Ledger, jobs: u64) -> Result<(), Box<dyn Error>> {
    let began = Instant::now();
    let mut made = Latencies::default();
    for number in 0..jobs {
        let call = Instant::now();
        ledger.apply(&new_job(number)?).await?;
        made.add(call);
    }
    say_rate("jobs/s made, one after the other", jobs, began);
    made.say("make a job of 4 drives, with its event");
    Ok(())
}

pub async fn measure(ledger: &dyn Ledger, jobs: u64) -> Result<(), Box<dyn Error>> {
    lists(ledger, jobs).await?;
    lookups(ledger, jobs).await?;
    claims(ledger, jobs).await
}

async fn lists(ledger: &dyn Ledger, jobs: u64) -> Result<(), Box<dyn Error>> {
    let (groups, step) = (jobs.div_ceil(GROUP_JOBS), 7_919);
    let of_group = |call: u64| JobScope::ResourceGroup {
        subscription: "sub".to_owned(),
        resource_group: format!("group-{}", call * step % groups),
    };
    let mut latencies = Latencies::default();
    for call in 0..CALLS {
        let filter = JobFilter { scope: of_group(call), ..JobFilter::default() };
        let began = Instant::now();
        ledger.jobs(&filter, None, PAGE_JOBS).await?;
        latencies.add(began);
    }
    latencies.say("list 100 jobs of a resource group");
    let (mut latencies, mut after, mut seen) = (Latencies::default(), None, 0);
    loop {
        let began = Instant::now();
        let page = ledger.jobs(&JobFilter::default(), after, PAGE_JOBS).await?;
        latencies.add(began);
        seen += page.jobs.len() as u64;
        after = page.next;
        if after.is_none() {
            break;
        }
    }
    assert_eq!(seen, jobs, "each job is on one page");
    latencies.say("list all jobs, 100 a page, from the first page to the last");
    let rare = JobFilter { state: Some("Transferring".to_owned()), ..JobFilter::default() };
    let mut latencies = Latencies::default();
    for _ in 0..CALLS.min(50) {
        let began = Instant::now();
        ledger.jobs(&rare, None, PAGE_JOBS).await?;
        latencies.add(began);
    }
    latencies.say("list the jobs of a state that one in 1,000 is in");
    Ok(())
}

async fn lookups(ledger: &dyn Ledger, jobs: u64) -> Result<(), Box<dyn Error>> {
    let (mut by_key, mut by_drive, mut by_parcel) =
        (Latencies::default(), Latencies::default(), Latencies::default());
    for call in 0..CALLS {
        let number = call * 7_919 % jobs;
        let began = Instant::now();
        ledger.job(&key(number)).await?.ok_or("the job is there")?;
        by_key.add(began);
        let began = Instant::now();
        ledger.active_job_of_drive(&drive_id(number, 1)?).await?.ok_or("the drive is there")?;
        by_drive.add(began);
        let began = Instant::now();
        let found = ledger.active_jobs_of_parcel(&format!("1Z{number:016}")).await?;
        by_parcel.add(began);
        assert_eq!(found.len(), 1, "the parcel is there");
    }
    by_key.say("a job by its name");
    by_drive.say("a job by a drive's serial number");
    by_parcel.say("a job by a tracking number");
    Ok(())
}

async fn claims(ledger: &dyn Ledger, jobs: u64) -> Result<(), Box<dyn Error>> {
    let (mut claimed, mut renewed, mut released) =
        (Latencies::default(), Latencies::default(), Latencies::default());
    let mut had = Vec::new();
    for _ in 0..CALLS.min(jobs * DRIVES) {
        let began = Instant::now();
        had.push(ledger.claim_drive("dc1", LEASE).await?.ok_or("there is work")?);
        claimed.add(began);
    }
    for claim in &had {
        let began = Instant::now();
        ledger.renew(claim, LEASE).await?;
        renewed.add(began);
        let began = Instant::now();
        ledger.release(claim).await?;
        released.add(began);
    }
    claimed.say("claim a drive");
    renewed.say("renew a claim");
    released.say("release a claim");
    Ok(())
}

fn key(number: u64) -> JobKey {
    JobKey {
        subscription: "sub".to_owned(),
        resource_group: format!("group-{}", number / GROUP_JOBS),
        name: format!("job-{number}"),
    }
}

fn drive_id(job: u64, drive: u64) -> Result<DriveId, Box<dyn Error>> {
    Ok(DriveId::new(&format!("WD-{job:08}-{drive}"))?)
}

/// A job with a document of the size that a usual one has.
fn new_job(number: u64) -> Result<Change, Box<dyn Error>> {
    let drive = |drive| {
        Ok(DriveRow {
            drive_id: drive_id(number, drive)?,
            state: "Specified".to_owned(),
            station: None,
            bay: None,
            claimable: true,
            document: "{\"copyStatus\":\"\"}".to_owned(),
        })
    };
    let drives = (0..DRIVES).map(drive).collect::<Result<Vec<_>, Box<dyn Error>>>()?;
    let state = if number % 1_000 == 7 { "Transferring" } else { "Shipping" };
    let row = JobRow {
        key: key(number),
        location: "westeurope".to_owned(),
        storage_account: "/subscriptions/sub/resourceGroups/g/providers/Microsoft.Storage/storageAccounts/a"
            .to_owned(),
        job_type: "Import".to_owned(),
        state: state.to_owned(),
        active: true,
        tracking_numbers: vec![format!("1Z{number:016}")],
        version: 1,
        created_unix_ms: 1_700_000_000_000,
        updated_unix_ms: 1_700_000_000_000,
        document: format!("{{\"properties\":\"{}\"}}", "x".repeat(3_000)),
        drives,
        timers: vec![Timer { kind: "ship".to_owned(), due_unix_ms: 1_800_000_000_000 }],
    };
    let event = EventDraft {
        at_unix_ms: 1_700_000_000_000,
        kind: "job.created".to_owned(),
        job: Some(format!("job-{number}")),
        drive: None,
        bay: None,
        body: serde_json::json!({"state": state}),
    };
    Ok(Change { job: Some(JobWrite::Insert(row)), events: vec![event], ..Change::default() })
}
