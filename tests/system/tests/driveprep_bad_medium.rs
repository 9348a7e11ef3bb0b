//! `driveprep verify` on a drive that reads badly: a bad block is read once more before it counts.

use anyhow::{Context, Result, anyhow};
use block::{Faults, Wrongness};
use driveprep::console::Console;
use driveprep::open::Recognised;
use driveprep::verify::verify;
use model::Exit;
use proof::bring_up::recognise;
use proof::secrets::{self, SecretFiles};
use system_tests::drives::{self, TestDrive};
use system_tests::stand::open_faulty;
use system_tests::tamper::Opened;

/// The exit code for the small drive with faults at the first bytes of one of its good blobs.
fn verified(drive: &TestDrive, set: impl FnOnce(&Faults, std::ops::Range<u64>)) -> Result<Exit> {
    let place = Opened::new(drive)?.file_places("\\session#1\\files\\blocks.bin")?;
    let first = place.first().context("the file is on the drive")?.start;
    let (device, faults) = open_faulty(&drive.image)?;
    let job = drive.job()?;
    let recognised = recognise(device, Some(&job)).map_err(|refusal| anyhow!("{}", refusal.message))?;
    let secrets = secrets::collect(Some(&job), &SecretFiles::default())?;
    set(&faults, first..first + 512);
    let recognised = Recognised { drive: recognised, job: Some(job), secrets };
    verify(recognised, 128, &Console::new(true)).map_err(|failure| failure.cause)
}

#[test]
fn a_sector_that_cannot_be_read_is_told_from_data_that_are_wrong() -> Result<()> {
    let test = "a_sector_that_cannot_be_read_is_told_from_data_that_are_wrong";
    let plan = rig::pack::PackPlan::new(
        "DRGTESTSOUND",
        vec![rig::pack::PackBlob {
            file: "\\session#1\\files\\blocks.bin".to_owned(),
            ..rig::pack::PackBlob::new(
                "files/blocks.bin",
                rig::pack::Content::Random { seed: 9, length_bytes: 9 << 20 },
            )
        }],
    );
    let Some(drive) = drives::packed("sound", test, &plan)? else { return Ok(()) };
    assert_eq!(verified(&drive, |_, _| {})?, Exit::Success);
    assert_eq!(verified(&drive, |faults, place| faults.fail(place))?, Exit::MediaErrors);
    let wrong = |wrongness| verified(&drive, move |faults, place| faults.falsify(place, wrongness));
    assert_eq!(wrong(Wrongness::Constant)?, Exit::VerificationFailed);
    assert_eq!(wrong(Wrongness::EachTimeDifferent)?, Exit::MediaErrors);
    assert_eq!(wrong(Wrongness::First(1))?, Exit::Success, "a second look settles it");
    Ok(())
}

#[test]
fn a_drive_that_is_pulled_ends_the_verification() -> Result<()> {
    let Some(drive) = drives::small("a_drive_that_is_pulled_ends_the_verification")? else { return Ok(()) };
    assert!(verified(&drive, |faults, _| faults.vanish_after(40)).is_err());
    Ok(())
}
