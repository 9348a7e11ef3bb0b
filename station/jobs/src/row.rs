//! A job as a row: the document is the job, the columns are what is searched for.

use ledger::{DriveRow, JobRow, Timer};
use model::job::{Job, JobDrive};

use crate::{LookError, Stored};

/// The job in a row.
///
/// # Errors
/// When the document is of no job that this version knows.
pub(crate) fn read(row: &JobRow) -> Result<Stored, LookError> {
    let job: Job = serde_json::from_str(&row.document)
        .map_err(|source| LookError::Document { job: Box::new(row.key.clone()), source })?;
    Ok(Stored { job, version: row.version })
}

/// The row of a job. Its version is the ledger's to write.
pub(crate) fn write(job: &Job, at_unix_ms: i64) -> JobRow {
    let timer = |(kind, due): (&model::job::TimerKind, &i64)| Timer {
        kind: kind.as_str().to_owned(),
        due_unix_ms: *due,
    };
    JobRow {
        key: job.key.clone(),
        location: job.location.clone(),
        storage_account: job.storage_account_id.clone(),
        job_type: job.job_type.as_str().to_owned(),
        state: job.state.as_str().to_owned(),
        active: !job.state.is_over(),
        tracking_numbers: tracking_numbers(job),
        version: 0,
        created_unix_ms: job.authorship.created_unix_ms,
        updated_unix_ms: at_unix_ms,
        document: json(job),
        drives: job.drives.iter().map(|drive| drive_row(job, drive)).collect(),
        timers: job.timers.iter().map(timer).collect(),
    }
}

/// The announced number, and those that came under another.
fn tracking_numbers(job: &Job) -> Vec<String> {
    let announced = job.delivery_package.iter().map(|package| package.tracking_number.clone());
    let mut numbers: Vec<String> = Vec::new();
    for number in announced.chain(job.parcels.iter().map(|parcel| parcel.tracking_number.clone())) {
        if !numbers.iter().any(|known| known.eq_ignore_ascii_case(&number)) {
            numbers.push(number);
        }
    }
    numbers
}

fn drive_row(job: &Job, drive: &JobDrive) -> DriveRow {
    DriveRow {
        drive_id: drive.drive_id.clone(),
        state: drive.state.as_str().to_owned(),
        station: drive.place.station().map(str::to_owned),
        bay: drive.place.bay().map(str::to_owned),
        claimable: job.is_workable(drive),
        document: json(drive),
    }
}

fn json(value: &impl serde::Serialize) -> String {
    serde_json::to_string(value)
        .expect("texts, numbers, lists and maps by text can always be written as JSON")
}
