//! Every `DriveStatus` that an ingest can give, from a drive or a job that leads to it.
//!
//! azure-import-export.md §3.3. A refused drive ends with its status in the report and in the drive
//! logs, locally and in the account, and nothing but logs reaches the account.

use std::fs::File;
use std::path::Path;

use anyhow::{Context, Result};
use manifest::{BitlockerKey, HeaderHash, HeaderRegion, JobEntry};
use model::digest::HashText;
use model::drive::Phase;
use model::status::DriveStatus;
use model::{BlobPath, DriveId};
use proof::bring_up::Device;
use rig::endpoint::{Endpoint, EndpointConfig};
use rig::pack::{Content, PackBlob, PackPlan, volume};
use sha2::{Digest, Sha256};
use system_tests::drives::{TestDrive, packed, small};
use system_tests::logs::DriveLog;
use system_tests::stand::{Stand, Try, open, open_faulty};
use system_tests::tamper::{Opened, Tampered};

/// A recovery password of azure-import-export.md §10: valid, and no drive's of ours.
const ANOTHER_KEY: &str = "060456-014509-132033-080300-252615-584177-672089-411631";

/// The report and the drive logs, local and in the account, give this status.
async fn check_status(stand: &Stand, tried: &Try, status: DriveStatus) -> Result<()> {
    let report = &tried.report;
    assert_eq!(report.phase, Phase::Ended { status }, "{:?}", report.message);
    assert_eq!((report.local_logs.len(), report.landed_logs.len()), (4, 4));
    for (local, landed) in report.local_logs.iter().zip(&report.landed_logs).take(2) {
        assert_eq!(DriveLog::read(local)?.status, status.as_str());
        let content = stand.account.download(&BlobPath::parse(landed)?, None).await?;
        assert_eq!(content, std::fs::read(local)?, "{landed} is the local log");
    }
    Ok(())
}

fn has_only_logs(endpoint: &Endpoint) {
    let account = endpoint.snapshot();
    let is_log = |container: &str| matches!(container, "waimportexport" | "databoxcopylog");
    let data: Vec<_> = account.blobs.iter().filter(|blob| !is_log(&blob.container)).collect();
    assert!(data.is_empty(), "{data:?}");
    assert!(account.uncommitted.is_empty());
}

/// Ingests what must be refused, and looks at everything that the customer sees of it.
async fn refused(device: Device, job: JobEntry, status: DriveStatus) -> Result<()> {
    let endpoint = Endpoint::start(EndpointConfig::default())?;
    let stand = Stand::before(&endpoint)?;
    let tried = stand.ingest_device(device, job).await?;
    check_status(&stand, &tried, status).await?;
    has_only_logs(&endpoint);
    assert!(tried.report.message.is_some_and(|message| !message.is_empty()), "it says why");
    Ok(())
}

/// Refuses the small drive under a job that is not quite its own.
async fn refused_job(test: &str, status: DriveStatus, change: impl FnOnce(&mut JobEntry)) -> Result<()> {
    let Some(drive) = small(test)? else { return Ok(()) };
    let mut job = drive.job()?;
    change(&mut job);
    refused(open(&drive.image)?, job, status).await
}

/// Refuses a copy of the small drive that was tampered with.
async fn refused_copy(
    test: &str,
    status: DriveStatus,
    tamper: impl FnOnce(&Tampered) -> Result<()>,
) -> Result<()> {
    let Some(drive) = small(test)? else { return Ok(()) };
    let tampered = Tampered::copy(&drive)?;
    tamper(&tampered)?;
    refused(open(&tampered.image)?, drive.job()?, status).await
}

macro_rules! refused_job {
    ($name:ident, $status:ident, $change:expr) => {
        #[tokio::test(flavor = "multi_thread")]
        async fn $name() -> Result<()> {
            refused_job(stringify!($name), DriveStatus::$status, $change).await
        }
    };
}

macro_rules! refused_copy {
    ($name:ident, $status:ident, $tamper:expr) => {
        #[tokio::test(flavor = "multi_thread")]
        async fn $name() -> Result<()> {
            refused_copy(stringify!($name), DriveStatus::$status, $tamper).await
        }
    };
}

fn good(test: &str) -> Result<Option<TestDrive>> {
    let content = Content::Random { seed: 1, length_bytes: 70_000 };
    packed("good", test, &PackPlan::new("DRGTESTGOOD", vec![PackBlob::new("files/good.bin", content)]))
}

// ── Drives that are copied ──

#[tokio::test(flavor = "multi_thread")]
async fn a_drive_without_errors_is_completed() -> Result<()> {
    let Some(drive) = good("a_drive_without_errors_is_completed")? else { return Ok(()) };
    let endpoint = Endpoint::start(EndpointConfig::default())?;
    let stand = Stand::before(&endpoint)?;
    let tried = stand.ingest(&drive).await?;
    check_status(&stand, &tried, DriveStatus::Completed).await?;
    assert!(DriveLog::error(&tried.report)?.blobs.is_empty());
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_drive_whose_blobs_were_renamed_is_completed_with_warnings() -> Result<()> {
    let Some(drive) = good("a_drive_whose_blobs_were_renamed_is_completed_with_warnings")? else {
        return Ok(());
    };
    let endpoint = Endpoint::start(EndpointConfig::default())?;
    Stand::before(&endpoint)?.ingest(&drive).await?;
    let stand = Stand::before(&endpoint)?;
    let tried = stand.ingest(&drive).await?;
    check_status(&stand, &tried, DriveStatus::CompletedWithWarnings).await?;
    assert!(endpoint.snapshot().blob("files", "good (2).bin").is_some());
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_drive_with_a_bad_blob_is_completed_with_errors() -> Result<()> {
    let Some(drive) = small("a_drive_with_a_bad_blob_is_completed_with_errors")? else { return Ok(()) };
    let endpoint = Endpoint::start(EndpointConfig::default())?;
    let stand = Stand::before(&endpoint)?;
    let tried = stand.ingest(&drive).await?;
    check_status(&stand, &tried, DriveStatus::CompletedWithErrors).await
}

// ── The device ──

#[test]
fn a_path_without_a_drive_is_disk_not_found() {
    // Nothing was opened, so there is no drive to write logs about: the program says it and ends.
    let refusal = Device::open(Path::new("/no/such/drive")).err().map(|refusal| refusal.status);
    assert_eq!(refusal, Some(DriveStatus::DiskNotFound));
}

refused_job!(a_drive_that_was_formatted_anew_is_a_failed_disk_operation, DiskOperationFailed, |job| {
    let region = |offset_bytes, hash| HeaderRegion { offset_bytes, length_bytes: 4096, hash };
    job.header_hash = HeaderHash::Regions(vec![region(0, HashText::Sha512([7; 64]))]);
});

refused_job!(a_header_region_beyond_the_drive_is_a_failed_disk_operation, DiskOperationFailed, |job| {
    let hash = HashText::Sha512([7; 64]);
    let region = HeaderRegion { offset_bytes: 1 << 50, length_bytes: 4096, hash };
    job.header_hash = HeaderHash::Regions(vec![region]);
});

#[tokio::test(flavor = "multi_thread")]
async fn an_unreadable_partition_table_is_a_failed_disk_operation() -> Result<()> {
    let Some(drive) = small("an_unreadable_partition_table_is_a_failed_disk_operation")? else {
        return Ok(());
    };
    let (device, faults) = open_faulty(&drive.image)?;
    faults.fail(0..4096);
    refused(device, drive.job()?, DriveStatus::DiskOperationFailed).await
}

// ── BitLocker ──

#[tokio::test(flavor = "multi_thread")]
async fn an_empty_drive_has_no_bitlocker_volume() -> Result<()> {
    let Some(drive) = small("an_empty_drive_has_no_bitlocker_volume")? else { return Ok(()) };
    let empty = tempfile::NamedTempFile::new()?;
    empty.as_file().set_len(64 << 20)?;
    refused(open(empty.path())?, drive.job()?, DriveStatus::BitLockerVolumeNotFound).await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_plain_ntfs_volume_is_no_bitlocker_volume() -> Result<()> {
    let Some(drive) = small("a_plain_ntfs_volume_is_no_bitlocker_volume")? else { return Ok(()) };
    let folder = tempfile::tempdir()?;
    let image = folder.path().join("plain.img");
    volume::make(&image, 64 << 20, 512)?;
    refused(open(&image)?, drive.job()?, DriveStatus::BitLockerVolumeNotFound).await
}

/// State 1, now and next, in the block's header: everything is plaintext again (bitlocker.md §3.1).
fn decrypted(block: &mut [u8]) {
    block[12..16].copy_from_slice(&[1, 0, 1, 0]);
}

refused_copy!(a_decrypted_volume_has_bitlocker_not_activated, BitLockerNotActivated, |copy| {
    copy.metadata(decrypted)
});

const VMK: u16 = 2;
const FVEK: u16 = 3;

/// The datums of a metadata block that have this role (bitlocker.md §3.2).
fn each_datum(block: &mut [u8], role: u16, mut change: impl FnMut(&mut [u8])) {
    const HEADERS_BYTES: usize = 64 + 48;
    let number = |block: &[u8], at: usize| u16::from_le_bytes([block[at], block[at + 1]]);
    let mut at = HEADERS_BYTES;
    while at + 8 <= block.len() && number(block, at) >= 8 {
        let length = usize::from(number(block, at));
        if number(block, at + 2) == role {
            change(&mut block[at..at + length]);
        }
        at += length;
    }
}

refused_copy!(a_volume_without_recovery_password_has_no_protector, BitLockerProtectorNotFound, |copy| {
    copy.metadata(|block| {
        each_datum(block, VMK, |datum| {
            // The priority of a recovery password; the datum gets a role that nobody knows.
            if datum[8 + 26..8 + 28] == [0x00, 0x08] {
                datum[2] = 0x77;
            }
        });
    })
});

refused_job!(another_recovery_password_is_an_invalid_key, BitLockerKeyInvalid, |job| {
    job.bitlocker_key = Some(BitlockerKey::new(ANOTHER_KEY.to_owned()));
});

refused_copy!(a_damaged_sector_key_cannot_unlock_the_volume, BitLockerUnlockVolumeFailed, |copy| {
    copy.metadata(|block| {
        each_datum(block, FVEK, |datum| {
            let last = datum.len() - 1;
            datum[last] ^= 1;
        });
    })
});

refused_copy!(metadata_of_which_no_copy_is_right_is_a_bitlocker_failure, BitLockerFailed, |copy| {
    let file = File::options().write(true).open(&copy.image)?;
    for place in copy.metadata_places()? {
        std::os::unix::fs::FileExt::write_all_at(&file, b"overwritten", place.start + 200)?;
    }
    Ok(())
});

#[tokio::test(flavor = "multi_thread")]
async fn a_volume_encrypted_on_write_without_its_bitmap_cannot_be_unlocked() -> Result<()> {
    let test = "a_volume_encrypted_on_write_without_its_bitmap_cannot_be_unlocked";
    let archive = rig::setup::workspace_root().join("../shared/fixtures/bitlocker/bitlk-images.tar.xz");
    if !archive.exists() {
        rig::skipped(test, "../shared/fixtures is not there");
        return Ok(());
    }
    let Some(drive) = small(test)? else { return Ok(()) };
    let folder = tempfile::tempdir()?;
    let mut unpack = std::process::Command::new("tar");
    unpack.arg("-xJSf").arg(&archive).arg("-C").arg(folder.path());
    unpack.args(["--wildcards", "--no-anchored", "bitlk-aes-xts-128-eow.img", "--transform", "s:.*/::"]);
    assert!(unpack.status().context("starting tar")?.success());
    let device = open(&folder.path().join("bitlk-aes-xts-128-eow.img"))?;
    let mut job = drive.job()?;
    job.bitlocker_key = Some(BitlockerKey::new(eow_key()?));
    refused(device, job, DriveStatus::BitLockerUnlockVolumeFailed).await
}

/// The recovery password that the fixtures' list gives for the image.
fn eow_key() -> Result<String> {
    let list = rig::setup::workspace_root().join("../shared/fixtures/bitlocker/images.json");
    let list: serde_json::Value = serde_json::from_slice(&std::fs::read(list)?)?;
    let images = list.as_array().context("images.json is a list")?;
    let of_image = |image: &&serde_json::Value| {
        image["f"].as_str().is_some_and(|name| name.ends_with("/bitlk-aes-xts-128-eow.img"))
    };
    let key = images.iter().find(of_image).and_then(|image| image["r"].as_str());
    Ok(key.context("images.json has the image's recovery password")?.to_owned())
}

refused_copy!(a_volume_of_another_file_system_is_not_ntfs, VolumeNotNtfs, |copy| {
    copy.volume(0, 512, |boot| boot.fill(0))
});

// ── The manifest ──

refused_job!(a_manifest_path_that_leaves_the_volume_is_an_invalid_name, ManifestNameInvalid, |job| {
    job.manifest_file = "\\..\\DriveManifest.xml".to_owned();
});

refused_job!(a_manifest_path_with_an_endless_name_is_too_long, ManifestNameTooLong, |job| {
    job.manifest_file = format!("\\{}", "m".repeat(256));
});

refused_job!(a_manifest_that_is_not_there_is_not_found, ManifestNotFound, |job| {
    job.manifest_file = "\\OtherManifest.xml".to_owned();
});

refused_job!(a_folder_in_the_manifests_place_is_an_access_denied, ManifestAccessDenied, |job| {
    job.manifest_file = "\\session#1".to_owned();
});

refused_copy!(an_encrypted_manifest_is_an_access_denied, ManifestAccessDenied, |copy| {
    // Flag 0x4000 of the attribute: the Encrypting File System.
    copy.data_attribute("\\DriveManifest.xml", |data| data[13] |= 0x40)
});

refused_job!(a_manifest_with_another_hash_is_corrupted, ManifestCorrupted, |job| {
    job.manifest_hash = HashText::Sha256([7; 32]);
});

refused_job!(a_file_that_is_no_manifest_has_an_invalid_format, ManifestFormatInvalid, |job| {
    let mut bytes = vec![0; 70_000];
    Content::Random { seed: 2, length_bytes: 70_000 }.fill(&mut bytes, 0);
    job.manifest_file = "\\session#1\\files\\whole.bin".to_owned();
    job.manifest_hash = HashText::Sha256(Sha256::digest(&bytes).into());
});

refused_job!(a_manifest_of_another_drive_does_not_match_its_id, ManifestDriveIdMismatch, |job| {
    job.drive_id = DriveId::new("ANOTHERDRIVE").expect("a serial number");
});

#[tokio::test(flavor = "multi_thread")]
async fn an_unreadable_manifest_is_a_failed_read() -> Result<()> {
    let Some(drive) = small("an_unreadable_manifest_is_a_failed_read")? else { return Ok(()) };
    let places = Opened::new(&drive)?.file_places("\\DriveManifest.xml")?;
    assert!(!places.is_empty(), "the manifest is stored in clusters");
    let (device, faults) = open_faulty(&drive.image)?;
    places.into_iter().for_each(|place| faults.fail(place));
    refused(device, drive.job()?, DriveStatus::ReadManifestFailed).await
}

// ── The account ──

#[tokio::test(flavor = "multi_thread")]
async fn a_wrong_account_key_is_a_forbidden_request() -> Result<()> {
    let Some(drive) = small("a_wrong_account_key_is_a_forbidden_request")? else { return Ok(()) };
    let endpoint = Endpoint::start(EndpointConfig::default())?;
    let wrong = endpoint.connection_string().replace(endpoint.key(), &format!("{}==", "A".repeat(86)));
    let stand = Stand::at(&endpoint.url(), &wrong)?;
    let report = stand.ingest(&drive).await?.report;
    let status = DriveStatus::BlobRequestForbidden;
    assert_eq!(report.phase, Phase::Ended { status }, "{:?}", report.message);
    assert_eq!(DriveLog::error(&report)?.status, status.as_str());
    assert_eq!(DriveLog::verbose(&report)?.status, status.as_str());
    // The logs cannot land either; the local copy has to do.
    assert!(report.landed_logs.is_empty());
    assert!(endpoint.snapshot().blobs.is_empty());
    Ok(())
}

// ── All of them ──

#[test]
fn every_drive_status_has_its_test_or_cannot_come_from_an_ingest() {
    for status in DriveStatus::ALL {
        match status {
            DriveStatus::Completed
            | DriveStatus::CompletedWithWarnings
            | DriveStatus::CompletedWithErrors
            | DriveStatus::DiskNotFound
            | DriveStatus::DiskOperationFailed
            | DriveStatus::BitLockerVolumeNotFound
            | DriveStatus::BitLockerNotActivated
            | DriveStatus::BitLockerProtectorNotFound
            | DriveStatus::BitLockerKeyInvalid
            | DriveStatus::BitLockerUnlockVolumeFailed
            | DriveStatus::BitLockerFailed
            | DriveStatus::VolumeNotNtfs
            | DriveStatus::ManifestNameInvalid
            | DriveStatus::ManifestNameTooLong
            | DriveStatus::ManifestNotFound
            | DriveStatus::ManifestAccessDenied
            | DriveStatus::ManifestCorrupted
            | DriveStatus::ManifestFormatInvalid
            | DriveStatus::ManifestDriveIdMismatch
            | DriveStatus::ReadManifestFailed
            | DriveStatus::BlobRequestForbidden => {
                let tests = include_str!("drive_statuses.rs");
                let uses = tests.matches(&format!("{status},")).count()
                    + tests.matches(&format!("::{status};")).count()
                    + tests.matches(&format!("::{status})")).count();
                assert!(uses > 0, "{status} has no test");
            }
            // An export reads a list of blobs; an import has its manifest instead.
            DriveStatus::BlobListFormatInvalid => {}
            // A fault of ours suspends the drive and stops the station; it is never the drive's end.
            DriveStatus::InternalError => {}
        }
    }
}
