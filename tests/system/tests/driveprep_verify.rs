//! `driveprep verify` says of a drive what `station ingest` will say of it.

use std::collections::BTreeMap;
use std::path::Path;

use anyhow::Result;
use rig::pack::{Content, Fault, PackBlob, PackPlan};
use serde_json::Value;
use system_tests::drives::{self, FIXTURE_DRIVES, TestDrive};
use system_tests::program::{self, Ended};

fn verify(image: &Path, job: &Path) -> Result<Ended> {
    program::run(
        program::bare(program::driveprep()).args(["--json", "verify"]).arg(image).arg("--job").arg(job),
    )
}

/// What is said of each blob that is not whole.
fn failed(ended: &Ended) -> BTreeMap<String, Value> {
    let blobs = ended.events().into_iter().filter(|event| event["event"] == "blob");
    blobs.map(|blob| (blob["blob_path"].as_str().unwrap_or_default().to_owned(), blob)).collect()
}

fn assert_agrees(drive: &TestDrive, ended: &Ended) {
    let failed = failed(ended);
    for blob in &drive.expected.blobs {
        let Some(found) = failed.get(&blob.blob) else {
            assert_eq!(blob.status, "Completed", "{} was not named", blob.blob);
            continue;
        };
        assert_eq!(found["status"], blob.status.as_str(), "{}", blob.blob);
        let bad: BTreeMap<u64, &str> = found["bad_chunks"]
            .as_array()
            .into_iter()
            .flatten()
            .map(|chunk| {
                (chunk["index"].as_u64().unwrap_or(u64::MAX), chunk["status"].as_str().unwrap_or(""))
            })
            .collect();
        for (index, expected) in (0u64..).zip(blob.blocks.iter().flatten()) {
            let is_bad = ["Corrupted", "FileUnexpectedEnd", "IOFailed"].contains(&expected.as_str());
            assert_eq!(
                bad.get(&index).copied(),
                is_bad.then_some(expected.as_str()),
                "{} {index}",
                blob.blob
            );
        }
        if let Some(expected) = &blob.metadata_status {
            assert_eq!(found["metadata"], expected.as_str());
        }
        if let Some(expected) = &blob.properties_status {
            assert_eq!(found["properties"], expected.as_str());
        }
    }
    let bad_count = drive.expected.blobs.iter().filter(|blob| blob.status != "Completed").count();
    assert_eq!(failed.len(), bad_count, "{:?}", failed.keys());
}

#[test]
fn exactly_the_damaged_blobs_and_blocks_of_the_fixture_drives_fail() -> Result<()> {
    for name in FIXTURE_DRIVES {
        let Some(drive) =
            drives::fixture(name, "exactly_the_damaged_blobs_and_blocks_of_the_fixture_drives_fail")?
        else {
            return Ok(());
        };
        let ended = verify(&drive.image, &drive.job_file)?;
        assert_agrees(&drive, &ended);
        let whole = drive.expected.drive_status == "Completed";
        assert_eq!(ended.code, Some(if whole { 0 } else { 11 }), "{name}: {}", ended.stderr);
        assert_eq!(ended.summary()["blobs_total"], drive.expected.blobs.len());
    }
    Ok(())
}

#[test]
fn missing_files_alone_make_a_drive_incomplete() -> Result<()> {
    let content = |seed| Content::Random { seed, length_bytes: 5_000 };
    let plan = PackPlan::new(
        "DRGTESTGONE",
        vec![
            PackBlob::new("files/here.bin", content(1)),
            PackBlob::new("files/gone.bin", content(2)).with_fault(Fault::MissingFile),
        ],
    );
    let Some(drive) = drives::packed("gone", "missing_files_alone_make_a_drive_incomplete", &plan)? else {
        return Ok(());
    };
    let ended = verify(&drive.image, &drive.job_file)?;
    assert_agrees(&drive, &ended);
    assert_eq!(ended.code, Some(10));
    Ok(())
}

#[test]
fn another_drives_job_is_told_before_anything_is_read() -> Result<()> {
    let Some(drive) = drives::small("another_drives_job_is_told_before_anything_is_read")? else {
        return Ok(());
    };
    let scratch = tempfile::TempDir::new()?;
    let job = std::fs::read_to_string(&drive.job_file)?;
    let changed = |from: &str, to: &str| -> Result<Ended> {
        let file = scratch.path().join("job.json");
        std::fs::write(&file, job.replace(from, to))?;
        verify(&drive.image, &file)
    };
    assert_eq!(changed("DRGTESTSMALL", "OTHERDRIVE")?.code, Some(20));
    let hash = drive.job()?.manifest_hash.to_string();
    assert_eq!(changed(&hash, &"0".repeat(32))?.code, Some(30));
    let key = drive.job()?.bitlocker_key.map(|key| key.expose().to_owned()).unwrap_or_default();
    let other = "238810-662376-448998-450120-652806-203390-606320-483076";
    let locked = changed(&key, other)?;
    assert_eq!(locked.code, Some(21));
    assert!(!locked.stderr.contains(other) && !locked.stdout.contains(other), "a key was shown");
    assert_eq!(verify(Path::new("/does/not/exist"), &drive.job_file)?.code, Some(20));
    Ok(())
}

#[test]
fn a_damaged_copy_of_the_metadata_is_named_although_the_drive_opens() -> Result<()> {
    let test = "a_damaged_copy_of_the_metadata_is_named_although_the_drive_opens";
    let Some(drive) = drives::fixture("clean-xts128", test)? else { return Ok(()) };
    let scratch = tempfile::TempDir::new()?;
    let image = scratch.path().join("drive.img");
    let copied =
        std::process::Command::new("cp").arg("--sparse=always").arg(&drive.image).arg(&image).status()?;
    assert!(copied.success());
    let device = block::FileDevice::open(&image)?;
    let table = block::partition_table(&device)?;
    let whole = (0, block::ReadAt::length_bytes(&device));
    let (start_bytes, length_bytes) =
        table.partitions.first().map_or(whole, |first| (first.start_bytes, first.length_bytes));
    let window = block::Window::new(std::sync::Arc::new(device), start_bytes, length_bytes)?;
    let copy = bitlocker::Metadata::read(&window)?.copies[2].offset_bytes;
    let file = std::fs::OpenOptions::new().write(true).open(&image)?;
    std::os::unix::fs::FileExt::write_all_at(&file, &[0; 512], start_bytes + copy)?;
    let ended = verify(&image, &drive.job_file)?;
    assert_eq!(ended.code, Some(11), "{}", ended.stderr);
    assert_eq!(ended.summary()["drive_faults"], 1);
    assert_eq!(ended.summary()["blobs_bad"], 0);
    Ok(())
}
