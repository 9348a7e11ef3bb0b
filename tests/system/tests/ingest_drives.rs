//! The proof: whole shipped drives give exactly what `expected.json` says, at our endpoint and at
//! Azurite.

use std::collections::BTreeSet;

use anyhow::Result;
use model::drive::Phase;
use rig::endpoint::{Endpoint, EndpointConfig};
use system_tests::azurite::{Azurite, inventory};
use system_tests::drives::{FIXTURE_DRIVES, TestDrive, fixture, small};
use system_tests::logs::DriveLog;
use system_tests::stand::{Stand, Try};

/// What the log, the report and the counters must say of a drive.
fn check_report(drive: &TestDrive, tried: &Try) -> Result<()> {
    let log = DriveLog::verbose(&tried.report)?;
    assert_eq!(log.differences(&drive.expected), Vec::<String>::new());
    let error_log = DriveLog::error(&tried.report)?;
    let failed: BTreeSet<&str> = drive
        .expected
        .blobs
        .iter()
        .filter(|blob| blob.status != "Completed")
        .map(|blob| &*blob.blob)
        .collect();
    assert_eq!(error_log.blobs.keys().map(String::as_str).collect::<BTreeSet<_>>(), failed);
    let Phase::Ended { status } = tried.report.phase else { panic!("{:?}", tried.report) };
    assert_eq!(status.as_str(), drive.expected.drive_status);
    let now = tried.progress.snapshot();
    assert_eq!(now.blobs_done, drive.expected.blobs.len() as u64);
    assert_eq!(now.bytes_done, now.bytes_total);
    let gauges = [&tried.progress.reading, &tried.progress.digesting, &tried.progress.putting];
    assert_eq!(gauges.map(|gauge| gauge.value()), [0, 0, 0], "every gauge comes back to zero");
    Ok(())
}

async fn at_our_endpoint(drive: &TestDrive) -> Result<()> {
    let endpoint = Endpoint::start(EndpointConfig::default())?;
    let stand = Stand::before(&endpoint)?;
    let tried = stand.ingest(drive).await?;
    check_report(drive, &tried)?;
    let account = endpoint.snapshot();
    assert_eq!(drive.expected.differences(&account), Vec::<String>::new());
    for name in &tried.report.landed_logs {
        let (container, name) = name.split_once('/').unwrap();
        assert!(account.blob(container, name).is_some(), "{name} is in the account");
    }
    Ok(())
}

async fn at_azurite(drive: &TestDrive, azurite: &Azurite) -> Result<()> {
    let stand = Stand::at(&azurite.url(), &azurite.connection_string())?;
    let tried = stand.ingest(drive).await?;
    check_report(drive, &tried)?;
    let container =
        |blob: &rig::pack::ExpectedBlob| blob.blob.split('/').next().unwrap_or_default().to_owned();
    let containers: BTreeSet<String> = drive.expected.blobs.iter().map(container).collect();
    let account = inventory(&stand.account, &containers.into_iter().collect::<Vec<_>>()).await?;
    assert_eq!(drive.expected.differences(&account), Vec::<String>::new());
    Ok(())
}

macro_rules! fixture_drive {
    ($name:literal, $ours:ident, $azurite:ident) => {
        #[tokio::test(flavor = "multi_thread")]
        async fn $ours() -> Result<()> {
            let Some(drive) = fixture($name, stringify!($ours))? else { return Ok(()) };
            at_our_endpoint(&drive).await
        }

        #[tokio::test(flavor = "multi_thread")]
        async fn $azurite() -> Result<()> {
            let Some(drive) = fixture($name, stringify!($azurite))? else { return Ok(()) };
            let Some(azurite) = Azurite::start(stringify!($azurite))? else { return Ok(()) };
            at_azurite(&drive, &azurite).await
        }
    };
}

fixture_drive!(
    "windows-cbc128",
    a_drive_made_by_windows_lands_as_expected_at_our_endpoint,
    a_drive_made_by_windows_lands_as_expected_at_azurite
);
fixture_drive!(
    "clean-xts128",
    a_clean_drive_lands_as_expected_at_our_endpoint,
    a_clean_drive_lands_as_expected_at_azurite
);
fixture_drive!(
    "mixed-xts256",
    a_drive_with_faults_lands_as_expected_at_our_endpoint,
    a_drive_with_faults_lands_as_expected_at_azurite
);
fixture_drive!(
    "awkward-cbc256",
    a_drive_with_awkward_files_lands_as_expected_at_our_endpoint,
    a_drive_with_awkward_files_lands_as_expected_at_azurite
);

#[test]
fn every_fixture_drive_has_its_tests() {
    assert_eq!(FIXTURE_DRIVES.len(), 4);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_drive_packed_here_lands_as_expected() -> Result<()> {
    let Some(drive) = small("a_drive_packed_here_lands_as_expected")? else { return Ok(()) };
    at_our_endpoint(&drive).await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_finished_drive_is_not_ingested_again() -> Result<()> {
    let Some(drive) = small("a_finished_drive_is_not_ingested_again")? else { return Ok(()) };
    let endpoint = Endpoint::start(EndpointConfig::default())?;
    let stand = Stand::before(&endpoint)?;
    let first = stand.ingest(&drive).await?;
    let before = endpoint.snapshot();
    let second = stand.ingest(&drive).await?;
    assert!(second.report.finished_before);
    assert_eq!(second.report.phase, first.report.phase);
    assert_eq!(second.report.local_logs, first.report.local_logs);
    assert_eq!(endpoint.snapshot(), before);
    Ok(())
}
