//! `driveprep report`: the barcodes are read back by a reader that is not ours, and the key is on no
//! page that travels.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::Command;

use anyhow::{Context, Result, ensure};
use system_tests::drives;
use system_tests::program::{self, Ended};
use tempfile::TempDir;

const JOB: &str = r#"{"driveId": "SERIAL", "bitLockerKey": "238810-662376-448998-450120-652806-203390-606320-483076",
    "manifestFile": "\\DriveManifest.xml", "manifestHash": "D863FE44F861AE0DA4DCEAEEFFCCCE68", "driveHeaderHash": ""}"#;
const KEY: &str = "238810-662376";

fn report(folder: &Path, job: &Path, more: &[&str]) -> Result<Ended> {
    let mut command = program::bare(program::driveprep());
    command.arg("report").arg("--job").arg(job).args(["--html", "page.html", "--label", "label.svg"]);
    program::run(command.args(more).current_dir(folder))
}

/// What an independent reader sees in a picture; none, and said so, when there is none here.
fn scanned(svg: &Path, test: &str) -> Result<Option<Vec<String>>> {
    let png = svg.with_extension("png");
    let mut draw = Command::new("rsvg-convert");
    // 300 dpi, as a label printer has.
    draw.args(["--dpi-x", "300", "--dpi-y", "300", "--background-color", "white"])
        .arg(svg)
        .arg("-o")
        .arg(&png);
    let (drawn, read) = (draw.status(), Command::new("zbarimg").arg("--quiet").arg(&png).output());
    let (Ok(drawn), Ok(read)) = (drawn, read) else {
        rig::skipped(test, "rsvg-convert or zbarimg is missing: cargo rig setup");
        return Ok(None);
    };
    ensure!(drawn.success(), "rsvg-convert ended with {drawn}");
    Ok(Some(String::from_utf8_lossy(&read.stdout).lines().map(str::to_owned).collect()))
}

#[test]
fn both_barcodes_of_the_label_are_read_back() -> Result<()> {
    for serial in
        ["9WM35C2V", "WD-WX31A1234567", "S3Z8NB0K123456", "0123456789", "Drive/1+2", "5000C500A1B2C3D4E5F6"]
    {
        let scratch = TempDir::new()?;
        let job = scratch.path().join("job.json");
        fs::write(&job, JOB.replace("SERIAL", serial))?;
        let ended = report(scratch.path(), &job, &["--job-name", "autumn"])?;
        assert_eq!(ended.code, Some(0), "{}", ended.stderr);
        let test = "both_barcodes_of_the_label_are_read_back";
        let Some(codes) = scanned(&scratch.path().join("label.svg"), test)? else { return Ok(()) };
        assert!(codes.contains(&format!("CODE-128:{serial}")), "{serial}: {codes:?}");
        let qr =
            codes.iter().find_map(|code| code.strip_prefix("QR-Code:")).context("no QR code was seen")?;
        assert!(qr.starts_with(&format!("DRAYAGE/1;serial={serial};")), "{qr}");
        assert!(qr.contains(";manifest=MD5:D863FE44F861AE0DA4DCEAEEFFCCCE68;"), "{qr}");
    }
    Ok(())
}

#[test]
fn the_key_is_on_no_page_but_the_one_that_was_asked_for() -> Result<()> {
    let scratch = TempDir::new()?;
    let job = scratch.path().join("job.json");
    fs::write(&job, JOB)?;
    let ended = report(scratch.path(), &job, &["--with-key", "key.html"])?;
    assert_eq!(ended.code, Some(0), "{}", ended.stderr);
    for page in ["page.html", "label.svg"] {
        assert!(!fs::read_to_string(scratch.path().join(page))?.contains(KEY), "{page}");
    }
    assert!(!ended.stdout.contains(KEY) && !ended.stderr.contains(KEY));
    let key = scratch.path().join("key.html");
    assert!(fs::read_to_string(&key)?.contains(KEY));
    assert_eq!(fs::metadata(&key)?.permissions().mode() & 0o777, 0o600);
    assert_eq!(report(scratch.path(), &job, &[])?.code, Some(2), "what is there is not replaced");
    assert_eq!(report(scratch.path(), &job, &["--overwrite"])?.code, Some(0));
    Ok(())
}

#[test]
fn a_drive_or_a_copy_of_its_manifest_tells_what_it_holds() -> Result<()> {
    let test = "a_drive_or_a_copy_of_its_manifest_tells_what_it_holds";
    let Some(drive) = drives::small(test)? else { return Ok(()) };
    let scratch = TempDir::new()?;
    let image = drive.image.to_str().context("a path in UTF-8")?;
    let ended = report(scratch.path(), &drive.job_file, &["--drive", image])?;
    assert_eq!(ended.code, Some(0), "{}", ended.stderr);
    let page = fs::read_to_string(scratch.path().join("page.html"))?;
    for text in ["DRGTESTSMALL", "7 blobs", "bad, files, meta, vhds", "recovery password ", "AES"] {
        assert!(page.contains(text), "{text}");
    }
    let mut unlock = program::bare(program::driveprep());
    unlock.arg("unlock").arg(&drive.image).arg("--job").arg(&drive.job_file);
    program::run(unlock.args(["DriveManifest.xml", "--to"]).arg(scratch.path()))?;
    let manifest = scratch.path().join("DriveManifest.xml");
    let path = manifest.to_str().context("a path in UTF-8")?;
    let ended = report(scratch.path(), &drive.job_file, &["--overwrite", "--manifest", path])?;
    assert_eq!(ended.code, Some(0), "{}", ended.stderr);
    assert!(fs::read_to_string(scratch.path().join("page.html"))?.contains("7 blobs"));
    fs::write(&manifest, fs::read_to_string(&manifest)?.replace("files/", "filez/"))?;
    assert_eq!(report(scratch.path(), &drive.job_file, &["--overwrite", "--manifest", path])?.code, Some(30));
    Ok(())
}
