//! Drives that misbehave while they are read: bad sectors, bad cables, pulled plugs.
//!
//! design.md §4 and §8: bad sectors fail only the blocks that they touch; a mismatch is read again
//! before it is reported; a drive that was pulled resumes, and nothing is lost or done twice.

use std::ops::Range;

use anyhow::{Context, Result};
use block::faulty::Wrongness;
use model::drive::{Phase, Suspension};
use model::status::{ChunkStatus, DriveStatus};
use rig::endpoint::{Endpoint, EndpointConfig, Fault, Operation};
use rig::pack::{Content, Layout, PackBlob, PackPlan};
use system_tests::drives::{BLOCK_BYTES, TestDrive, fixture, packed};
use system_tests::logs::{self, DriveLog, part_statuses};
use system_tests::stand::{Stand, Try, open, open_faulty};
use system_tests::tamper::Opened;

const BLOCKS: &str = "files/blocks.bin";
const BLOCKS_FILE: &str = "\\session#1\\files\\blocks.bin";
const DISK_FILE: &str = "\\session#1\\vhds\\disk.vhd";

/// A drive of good blobs, larger than the buffers of a stand.
fn good(test: &str) -> Result<Option<TestDrive>> {
    let noise = |seed, length_bytes| Content::Random { seed, length_bytes };
    let layout = Layout::Blocks { block_bytes: BLOCK_BYTES, named: true };
    let blocks = |name: &str, seed, count: u64| PackBlob {
        layout,
        ..PackBlob::new(name, noise(seed, count * BLOCK_BYTES))
    };
    let mut titled = PackBlob::new("meta/titled.bin", noise(4, 300));
    titled.metadata = vec![("origin".to_owned(), "rig".to_owned())];
    let small =
        (0..40).map(|number| PackBlob::new(&format!("small/{number}.bin"), noise(100 + number, 20_000)));
    let mut all = vec![
        blocks(BLOCKS, 1, 6),
        PackBlob::paged("vhds/disk.vhd", noise(2, 12 << 20)),
        titled,
        blocks("files/large.bin", 3, 40),
    ];
    all.extend(small);
    packed("good-large", test, &PackPlan::new("DRGTESTFAULTS", all))
}

/// Everything came back: no work left in a stage, no buffer out.
fn check_whole(tried: &Try) {
    let progress = &tried.progress;
    let gauges = [&progress.reading, &progress.digesting, &progress.putting];
    assert_eq!(gauges.map(|gauge| gauge.value()), [0, 0, 0], "every gauge comes back to zero");
    assert_eq!(progress.buffers_left_bytes.value(), 0, "every buffer comes back");
}

fn check_ended(tried: &Try, status: DriveStatus) {
    assert_eq!(tried.report.phase, Phase::Ended { status }, "{:?}", tried.report.message);
    check_whole(tried);
}

fn check_lost(tried: &Try) {
    let lost = Phase::Suspended { reason: Suspension::DriveLost };
    assert_eq!(tried.report.phase, lost, "{:?}", tried.report.message);
    assert!(tried.report.message.is_some(), "it says what happened");
}

/// Statuses of a blob and its parts in the verbose log.
fn logged(tried: &Try, name: &str) -> Result<(String, Vec<String>)> {
    let log = DriveLog::verbose(&tried.report)?;
    let blob = log.blobs.get(name).with_context(|| format!("{name} is not in the log"))?;
    Ok((blob.status.as_ref().map(ToString::to_string).unwrap_or_default(), part_statuses(blob)))
}

/// The sectors of a place that lies in the middle of a block.
fn sectors(place: u64) -> Range<u64> {
    let start = place / 512 * 512;
    start..start + 512
}

fn middle_of_block(drive: &TestDrive, index: u64) -> Result<Range<u64>> {
    Ok(sectors(Opened::new(drive)?.file_place(BLOCKS_FILE, index * BLOCK_BYTES + BLOCK_BYTES / 2)?))
}

async fn undisturbed(drive: &TestDrive) -> Result<Vec<Vec<u8>>> {
    let endpoint = Endpoint::start(EndpointConfig::default())?;
    let stand = Stand::before(&endpoint)?;
    let tried = stand.ingest(drive).await?;
    check_whole(&tried);
    logs::bytes(&tried.report)
}

// ── Sectors ──

#[tokio::test(flavor = "multi_thread")]
async fn unreadable_sectors_fail_only_the_blocks_they_touch() -> Result<()> {
    let Some(drive) = good("unreadable_sectors_fail_only_the_blocks_they_touch")? else { return Ok(()) };
    let endpoint = Endpoint::start(EndpointConfig::default())?;
    let stand = Stand::before(&endpoint)?;
    let (device, faults) = open_faulty(&drive.image)?;
    faults.fail(middle_of_block(&drive, 2)?);
    faults.fail(middle_of_block(&drive, 4)?);
    faults.fail(sectors(Opened::new(&drive)?.file_place(DISK_FILE, 5 << 20)?));
    let tried = stand.ingest_device(device, drive.job()?).await?;
    check_ended(&tried, DriveStatus::CompletedWithErrors);
    let (unreadable, good) = (ChunkStatus::IOFailed.as_str(), ChunkStatus::Uncommitted.as_str());
    let parts = [good, good, unreadable, good, unreadable, good];
    assert_eq!(
        logged(&tried, BLOCKS)?,
        ("CompletedWithErrors".to_owned(), parts.map(str::to_owned).to_vec())
    );
    assert_eq!(logged(&tried, "vhds/disk.vhd")?.1, ["Completed", unreadable, "Completed"]);
    assert_eq!((tried.report.tally.failed_blobs, tried.report.tally.unreadable_chunks), (2, 3));
    let account = endpoint.snapshot();
    assert!(account.blob("files", "blocks.bin").is_none());
    assert!(account.blob("files", "large.bin").is_some());
    let disk = account.blob("vhds", "disk.vhd").context("a page blob is visible")?;
    assert!(disk.metadata.iter().any(|(name, _)| name == "incomplete"));
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_bad_cable_is_no_bad_file() -> Result<()> {
    let Some(drive) = good("a_bad_cable_is_no_bad_file")? else { return Ok(()) };
    let endpoint = Endpoint::start(EndpointConfig::default())?;
    let stand = Stand::before(&endpoint)?;
    let (device, faults) = open_faulty(&drive.image)?;
    faults.falsify(middle_of_block(&drive, 1)?, Wrongness::First(1));
    faults.falsify(middle_of_block(&drive, 3)?, Wrongness::First(2));
    let tried = stand.ingest_device(device, drive.job()?).await?;
    check_ended(&tried, DriveStatus::Completed);
    assert!(tried.progress.rereads.value() >= 3);
    assert_eq!(logs::bytes(&tried.report)?, undisturbed(&drive).await?);
    assert_eq!(drive.expected.differences(&endpoint.snapshot()), Vec::<String>::new());
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn bytes_that_differ_each_time_are_unreadable_and_the_same_wrong_ones_corrupted() -> Result<()> {
    let test = "bytes_that_differ_each_time_are_unreadable_and_the_same_wrong_ones_corrupted";
    let Some(drive) = good(test)? else { return Ok(()) };
    let endpoint = Endpoint::start(EndpointConfig::default())?;
    let stand = Stand::before(&endpoint)?;
    let (device, faults) = open_faulty(&drive.image)?;
    faults.falsify(middle_of_block(&drive, 0)?, Wrongness::EachTimeDifferent);
    faults.falsify(middle_of_block(&drive, 5)?, Wrongness::Constant);
    let tried = stand.ingest_device(device, drive.job()?).await?;
    check_ended(&tried, DriveStatus::CompletedWithErrors);
    let good = ChunkStatus::Uncommitted.as_str();
    let parts = [ChunkStatus::IOFailed.as_str(), good, good, good, good, ChunkStatus::Corrupted.as_str()];
    assert_eq!(logged(&tried, BLOCKS)?.1, parts);
    assert_eq!(tried.report.tally.failed_blobs, 1);
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn an_unreadable_beginning_of_the_file_table_is_read_from_its_mirror() -> Result<()> {
    let test = "an_unreadable_beginning_of_the_file_table_is_read_from_its_mirror";
    let Some(drive) = good(test)? else { return Ok(()) };
    let endpoint = Endpoint::start(EndpointConfig::default())?;
    let stand = Stand::before(&endpoint)?;
    let places = Opened::new(&drive)?.record_places(0)?;
    let (device, faults) = open_faulty(&drive.image)?;
    places.into_iter().for_each(|place| faults.fail(place));
    let tried = stand.ingest_device(device, drive.job()?).await?;
    check_ended(&tried, DriveStatus::Completed);
    assert_eq!(drive.expected.differences(&endpoint.snapshot()), Vec::<String>::new());
    Ok(())
}

// ── Plugs ──

#[tokio::test(flavor = "multi_thread")]
async fn a_drive_that_vanishes_while_it_is_copied_resumes_and_logs_as_if_undisturbed() -> Result<()> {
    let test = "a_drive_that_vanishes_while_it_is_copied_resumes_and_logs_as_if_undisturbed";
    let Some(drive) = good(test)? else { return Ok(()) };
    let endpoint = Endpoint::start(EndpointConfig { log_requests: true, ..EndpointConfig::default() })?;
    let stand = Stand::before(&endpoint)?;
    let (device, faults) = open_faulty(&drive.image)?;
    // The drive is larger than the buffers, so it cannot all have been read at the third block.
    let pull = faults.clone();
    endpoint.faults().add(Fault::call_after(move |_| pull.vanish()).on(Operation::PutBlock).nth(3));
    let tried = stand.ingest_device(device, drive.job()?).await?;
    check_lost(&tried);
    check_whole(&tried);
    assert!(endpoint.snapshot().blob("files", "large.bin").is_none(), "not half of it");
    let landed = endpoint.log().of(Operation::PutBlock).len();
    let again = stand.ingest(&drive).await?;
    check_ended(&again, DriveStatus::Completed);
    assert!(again.report.resumed);
    assert_eq!(logs::bytes(&again.report)?, undisturbed(&drive).await?);
    assert_eq!(drive.expected.differences(&endpoint.snapshot()), Vec::<String>::new());
    let block_count = 46;
    let puts = endpoint.log().of(Operation::PutBlock).len();
    assert!(landed >= 3 && puts < block_count + landed, "{landed} had landed, {puts} in all");
    Ok(())
}

/// Pulls the plug after each of `parts` equal shares of all reads of an undisturbed ingest, always
/// with the same ledger and account; what comes of it in the end must be as if nothing had been.
async fn pulled_again_and_again(drive: &TestDrive, parts: u64) -> Result<()> {
    let (device, faults) = open_faulty(&drive.image)?;
    let whole = Endpoint::start(EndpointConfig::default())?;
    let counting = Stand::before(&whole)?;
    let expected = logs::bytes(&counting.ingest_device(device, drive.job()?).await?.report)?;
    let read_count = faults.read_count();
    let endpoint = Endpoint::start(EndpointConfig::default())?;
    let stand = Stand::before(&endpoint)?;
    let mut lost_count = 0;
    for part in 0..parts {
        let (device, faults) = open_faulty(&drive.image)?;
        faults.vanish_after(read_count * part / parts);
        let tried = stand.ingest_device(device, drive.job()?).await?;
        check_whole(&tried);
        // Later tries have less to read, and may come to the end.
        if matches!(tried.report.phase, Phase::Ended { .. }) {
            assert!(part > 0);
            break;
        }
        check_lost(&tried);
        lost_count += 1;
    }
    assert!(lost_count >= 2, "{lost_count}");
    let last = stand.ingest(drive).await?;
    assert!(matches!(last.report.phase, Phase::Ended { .. }), "{:?}", last.report.message);
    assert_eq!(logs::bytes(&last.report)?, expected);
    assert_eq!(drive.expected.differences(&endpoint.snapshot()), Vec::<String>::new());
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_drive_that_is_pulled_again_and_again_is_never_refused() -> Result<()> {
    let Some(drive) = good("a_drive_that_is_pulled_again_and_again_is_never_refused")? else { return Ok(()) };
    pulled_again_and_again(&drive, 12).await
}

#[tokio::test(flavor = "multi_thread")]
async fn compressed_files_of_a_pulled_drive_are_not_given_up() -> Result<()> {
    let test = "compressed_files_of_a_pulled_drive_are_not_given_up";
    let Some(drive) = fixture("awkward-cbc256", test)? else { return Ok(()) };
    pulled_again_and_again(&drive, 8).await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_drive_that_stalls_goes_on_when_it_answers() -> Result<()> {
    let Some(drive) = good("a_drive_that_stalls_goes_on_when_it_answers")? else { return Ok(()) };
    let endpoint = Endpoint::start(EndpointConfig::default())?;
    let stand = Stand::before(&endpoint)?;
    let (device, faults) = open_faulty(&drive.image)?;
    let stall = faults.clone();
    endpoint.faults().add(Fault::call_after(move |_| stall.stall()).on(Operation::PutBlock).nth(2));
    let releasing = tokio::task::spawn_blocking(move || {
        faults.wait_until_stalled(1);
        faults.release();
    });
    let tried = stand.ingest_device(device, drive.job()?).await?;
    releasing.await?;
    check_ended(&tried, DriveStatus::Completed);
    assert_eq!(drive.expected.differences(&endpoint.snapshot()), Vec::<String>::new());
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_drive_that_is_pulled_before_its_manifest_is_lost_and_not_refused() -> Result<()> {
    let test = "a_drive_that_is_pulled_before_its_manifest_is_lost_and_not_refused";
    let Some(drive) = good(test)? else { return Ok(()) };
    let endpoint = Endpoint::start(EndpointConfig::default())?;
    let stand = Stand::before(&endpoint)?;
    for read_count in [0, 1, 2, 4, 8] {
        let (device, faults) = open_faulty(&drive.image)?;
        faults.vanish_after(read_count);
        let tried = stand.ingest_device(device, drive.job()?).await?;
        check_lost(&tried);
        assert!(endpoint.snapshot().blobs.is_empty(), "no log says that it was refused");
    }
    let tried = stand.ingest_device(open(&drive.image)?, drive.job()?).await?;
    check_ended(&tried, DriveStatus::Completed);
    Ok(())
}
