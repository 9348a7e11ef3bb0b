//! `driveprep unlock` copies what the drive holds, and nothing else, to nowhere else.

use std::fs;
use std::path::Path;

use anyhow::{Context, Result};
use sha2::{Digest, Sha256};
use system_tests::drives::{self, TestDrive};
use system_tests::program::{self, Ended};

fn unlock(drive: &TestDrive, more: &[&str]) -> Result<Ended> {
    let mut command = program::bare(program::driveprep());
    command.args(["--json", "unlock"]).arg(&drive.image).arg("--job").arg(&drive.job_file).args(more);
    program::run(&mut command)
}

fn sha256(path: &Path) -> Result<String> {
    let bytes = fs::read(path).with_context(|| format!("reading {}", path.display()))?;
    Ok(Sha256::digest(bytes).iter().map(|byte| format!("{byte:02x}")).collect())
}

#[test]
fn every_whole_block_blob_of_a_fixture_drive_comes_out_byte_for_byte() -> Result<()> {
    let test = "every_whole_block_blob_of_a_fixture_drive_comes_out_byte_for_byte";
    let Some(drive) = drives::fixture("mixed-xts256", test)? else { return Ok(()) };
    let scratch = tempfile::TempDir::new()?;
    let to = scratch.path().to_str().context("a path in UTF-8")?;
    let ended = unlock(&drive, &["--to", to])?;
    assert_eq!(ended.code, Some(0), "{}", ended.stderr);
    let manifest = fs::read(scratch.path().join("DriveManifest.xml"))?;
    let mut reader = manifest::ManifestReader::new(&manifest[..]);
    let mut compared = 0;
    while let Some(event) = reader.next()? {
        let manifest::ManifestEvent::Blob(entry) = event else { continue };
        let expected = drive.expected.blobs.iter().find(|blob| blob.blob == entry.blob_path);
        let Some(expected) = expected.filter(|blob| blob.kind == "block") else { continue };
        let Some(digest) = &expected.sha256 else { continue };
        let file = entry.file_path.trim_start_matches('\\').replace('\\', "/");
        assert_eq!(&sha256(&scratch.path().join(&file))?, digest, "{file}");
        compared += 1;
    }
    assert!(compared > 100, "{compared}");
    Ok(())
}

#[test]
fn a_second_copy_leaves_what_is_there_and_a_path_takes_only_what_is_below() -> Result<()> {
    let test = "a_second_copy_leaves_what_is_there_and_a_path_takes_only_what_is_below";
    let Some(drive) = drives::small(test)? else { return Ok(()) };
    let scratch = tempfile::TempDir::new()?;
    let to = scratch.path().to_str().context("a path in UTF-8")?;
    let ended = unlock(&drive, &["--to", to, "/SESSION#1/files"])?;
    assert_eq!(ended.code, Some(0), "{}", ended.stderr);
    let names: Vec<_> = program::files(scratch.path())?;
    assert_eq!(names.len(), 4, "{names:?}");
    let whole = scratch.path().join("session#1/files/whole.bin");
    fs::write(&whole, "mine")?;
    let again = unlock(&drive, &["--to", to, "\\session#1\\files"])?;
    assert_eq!(again.summary()["files_copied"], 0);
    assert_eq!(fs::read(&whole)?, b"mine");
    let over = unlock(&drive, &["--to", to, "--overwrite", "session#1/files/whole.bin"])?;
    assert_eq!(over.summary()["files_copied"], 1);
    assert_eq!(fs::metadata(&whole)?.len(), 70_000);
    assert_eq!(unlock(&drive, &["--list", "session#1/nothing"])?.code, Some(10));
    Ok(())
}

#[test]
fn the_list_has_every_file_with_its_size_and_time() -> Result<()> {
    let test = "the_list_has_every_file_with_its_size_and_time";
    let Some(drive) = drives::small(test)? else { return Ok(()) };
    let ended = unlock(&drive, &[])?;
    assert_eq!(ended.code, Some(0));
    assert_eq!(unlock(&drive, &["--list"])?, ended, "without --to it is a list");
    let events = ended.events();
    let whole = events.iter().find(|event| event["path"] == "\\session#1\\files\\whole.bin");
    let whole = whole.context("the file is listed")?;
    assert_eq!(whole["length_bytes"], 70_000);
    assert!(whole["modified"].as_str().is_some_and(|time| time.starts_with("20")), "{whole}");
    assert!(!events.iter().any(|event| event["path"].as_str().is_some_and(|path| path.contains("$MFT"))));
    Ok(())
}
