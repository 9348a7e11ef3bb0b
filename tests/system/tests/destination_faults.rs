//! A destination that misbehaves: busy, failing, refusing, full, or gone in the middle of an answer.
//!
//! design.md §8: what passes by itself leaves no trace in account or logs; what one blob suffers is
//! that blob's alone; what concerns the account holds the drive, and the same command finishes it.

use std::future::Future;
use std::time::Duration;

use anyhow::{Context, Result};
use azure::{Account, AccountConfig, Credential, RetryPolicy};
use model::drive::{Phase, Suspension};
use model::status::DriveStatus;
use rig::endpoint::{Endpoint, EndpointConfig, Fault, Inventory, Operation};
use rig::pack::{Content, ExpectedDrive, Layout, PackBlob, PackPlan};
use system_tests::drives::{BLOCK_BYTES, TestDrive, packed};
use system_tests::logs::{self, DriveLog};
use system_tests::stand::{Stand, Try};
use tokio::task::{JoinSet, LocalSet};

const BLOCKS: &str = "files/blocks.bin";
const WHOLE: &str = "files/whole.bin";
const DISK: &str = "vhds/disk.vhd";

/// A drive with one good blob of every kind.
fn drive(test: &str) -> Result<Option<TestDrive>> {
    let random = |seed, length_bytes| Content::Random { seed, length_bytes };
    let blocks = |destination: &str, seed, length_bytes| PackBlob {
        layout: Layout::Blocks { block_bytes: BLOCK_BYTES, named: true },
        ..PackBlob::new(destination, random(seed, length_bytes))
    };
    let titled =
        |blob: PackBlob| PackBlob { metadata: vec![("origin".to_owned(), "rig".to_owned())], ..blob };
    let blobs = vec![
        blocks(BLOCKS, 1, 5 * BLOCK_BYTES + 1_234),
        PackBlob::new(WHOLE, random(2, 70_000)),
        PackBlob::new("files/empty.bin", random(3, 0)),
        titled(blocks("meta/titled.bin", 4, 3 * BLOCK_BYTES)),
        titled(PackBlob::new("meta/note.txt", random(5, 4_097))),
        PackBlob::paged(DISK, random(6, 6 * BLOCK_BYTES)),
    ];
    packed("destination-faults", test, &PackPlan::new("DRGTESTDEST", blobs))
}

/// A drive, where it goes to, and what undisturbed runs leave behind.
struct Scene {
    drive: TestDrive,
    endpoint: Endpoint,
    stand: Stand,
}

impl Scene {
    fn set(test: &str, config: EndpointConfig) -> Result<Option<Scene>> {
        let Some(drive) = drive(test)? else { return Ok(None) };
        let endpoint = Endpoint::start(config)?;
        let stand = Stand::before(&endpoint)?;
        Ok(Some(Scene { drive, endpoint, stand }))
    }

    async fn ingest(&self) -> Result<Try> {
        self.stand.ingest(&self.drive).await
    }

    /// Everything is in the account and in the logs as if nothing had happened.
    fn check_landed(&self, tried: &Try, logs: &[Vec<u8>], what: &str) -> Result<()> {
        check_ended(tried, DriveStatus::Completed, what);
        assert_eq!(DriveLog::verbose(&tried.report)?.differences(&self.drive.expected), NONE, "{what}");
        assert!(logs::bytes(&tried.report)? == logs, "{what}: the logs are those of an undisturbed run");
        self.check_account(&self.drive.expected, what);
        Ok(())
    }

    /// The account is as expected, twins and leases included.
    fn check_account(&self, expected: &ExpectedDrive, what: &str) {
        let account = self.endpoint.snapshot();
        assert_eq!(expected.differences(&account), NONE, "{what}");
        assert_eq!(leased(&account), NONE, "{what}");
    }

    /// These blobs alone have failed, with this status.
    fn check_only(&self, tried: &Try, failed: &[&str], status: &str) -> Result<()> {
        check_ended(tried, DriveStatus::CompletedWithErrors, status);
        let expected = without(&self.drive.expected, failed, status);
        assert_eq!(DriveLog::verbose(&tried.report)?.differences(&expected), NONE);
        let error_log = DriveLog::error(&tried.report)?;
        assert!(error_log.blobs.keys().eq(failed), "the error log has just the failed ones");
        self.check_account(&expected, status);
        Ok(())
    }
}

const NONE: Vec<String> = Vec::new();

/// What is expected when these blobs, and no others, do not land.
fn without(expected: &ExpectedDrive, failed: &[&str], status: &str) -> ExpectedDrive {
    let mut expected = expected.clone();
    expected.drive_status = DriveStatus::CompletedWithErrors.to_string();
    for blob in expected.blobs.iter_mut().filter(|blob| failed.contains(&&*blob.blob)) {
        (blob.present, blob.status) = (false, status.to_owned());
    }
    expected
}

fn leased(account: &Inventory) -> Vec<String> {
    let held = account.blobs.iter().filter(|blob| blob.lease_state != "available");
    held.map(|blob| format!("{}/{} is {}", blob.container, blob.name, blob.lease_state)).collect()
}

fn check_ended(tried: &Try, status: DriveStatus, what: &str) {
    assert_eq!(tried.report.phase, Phase::Ended { status }, "{what}: {:?}", tried.report.message);
    let progress = &tried.progress;
    let gauges = [&progress.reading, &progress.digesting, &progress.putting];
    assert_eq!(gauges.map(|gauge| gauge.value()), [0, 0, 0], "{what}: every gauge comes back to zero");
}

fn check_held(tried: &Try, what: &str) {
    let held = Phase::Suspended { reason: Suspension::HeldForCustomer };
    assert_eq!(tried.report.phase, held, "{what}: {:?}", tried.report.message);
    assert!(tried.report.message.is_some(), "{what}: it says what happened");
}

async fn undisturbed(drive: &TestDrive) -> Result<Vec<Vec<u8>>> {
    let endpoint = Endpoint::start(EndpointConfig::default())?;
    let stand = Stand::before(&endpoint)?;
    let tried = stand.ingest(drive).await?;
    logs::bytes(&tried.report)
}

/// Each fault alone, at an account of its own: it strikes, and the drive lands all the same.
async fn each_passes(test: &'static str, faults: &[&'static str]) -> Result<()> {
    each(test, faults, |scene, fault, logs| async move {
        let id = scene.endpoint.faults().add(fault.parse()?);
        let tried = scene.ingest().await?;
        assert!(scene.endpoint.faults().hits(id) > 0, "{fault} strikes");
        scene.check_landed(&tried, &logs, fault)
    })
    .await
}

/// Each fault alone holds the drive; once it is over, the same command finishes it.
async fn each_holds(test: &'static str, faults: &[&'static str]) -> Result<()> {
    each(test, faults, |scene, fault, logs| async move {
        scene.endpoint.faults().add(fault.parse()?);
        check_held(&scene.ingest().await?, fault);
        scene.endpoint.faults().clear();
        let tried = scene.ingest().await?;
        assert!(tried.report.resumed, "{fault}");
        scene.check_landed(&tried, &logs, fault)
    })
    .await
}

/// All faults at a time, each in a scene of its own, which hears what the logs have to be.
async fn each<W: Future<Output = Result<()>> + 'static>(
    test: &'static str,
    faults: &[&'static str],
    run: impl Fn(Scene, &'static str, Vec<Vec<u8>>) -> W,
) -> Result<()> {
    let Some(drive) = drive(test)? else { return Ok(()) };
    let logs = undisturbed(&drive).await?;
    let (here, mut running) = (LocalSet::new(), JoinSet::new());
    for fault in faults {
        let Some(scene) = Scene::set(test, EndpointConfig::default())? else { return Ok(()) };
        running.spawn_local_on(run(scene, fault, logs.clone()), &here);
    }
    let all = async {
        while let Some(done) = running.join_next().await {
            done??;
        }
        Ok(())
    };
    here.run_until(all).await
}

// ── What passes by itself ──

#[tokio::test(flavor = "multi_thread")]
async fn a_busy_service_is_waited_for() -> Result<()> {
    let faults = [
        "op=PutBlock,nth=3,status=503,retry-after=1",
        "op=PutBlock,from=2,times=4,status=429,retry-after=0",
        "op=PutPage,nth=1,status=503,retry-after=0",
        "every=3,times=12,status=503",
        "times=2,status=503",
    ];
    each_passes("a_busy_service_is_waited_for", &faults).await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_service_that_fails_now_and_then_is_asked_again() -> Result<()> {
    let faults =
        ["every=4,status=500", "op=PutBlockList,times=2,status=500", "op=LeaseBlob,nth=1,status=500"];
    each_passes("a_service_that_fails_now_and_then_is_asked_again", &faults).await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_connection_that_breaks_in_the_middle_of_a_body_is_made_anew() -> Result<()> {
    let faults = [
        "op=PutBlock,nth=2,reset=100000",
        "op=PutBlob,path=files/whole.bin,nth=1,reset=1000",
        "op=PutPage,nth=1,reset=5000",
        "op=PutBlockList,nth=1,reset=10",
        "every=5,times=8,reset",
    ];
    each_passes("a_connection_that_breaks_in_the_middle_of_a_body_is_made_anew", &faults).await
}

#[tokio::test(flavor = "multi_thread")]
async fn an_account_that_refuses_connections_for_a_while_is_waited_for() -> Result<()> {
    let test = "an_account_that_refuses_connections_for_a_while_is_waited_for";
    let Some(mut scene) = Scene::set(test, EndpointConfig::default())? else { return Ok(()) };
    // Pauses that add up to far more than the door stays shut.
    let retry = RetryPolicy {
        tries_max: 100,
        pause_first: Duration::from_millis(50),
        pause_max: Duration::from_millis(200),
        ..RetryPolicy::default()
    };
    let credential = Credential::from_text(&scene.endpoint.connection_string())?;
    let config = AccountConfig::new(azure::Endpoint::parse(&scene.endpoint.url())?, credential);
    scene.stand.account = Account::new(AccountConfig { retry, ..config })?;
    let id = scene.endpoint.faults().add("op=PutBlock,nth=2,refuse=0.2".parse()?);
    let tried = scene.ingest().await?;
    assert_eq!(scene.endpoint.faults().hits(id), 1);
    scene.check_landed(&tried, &undisturbed(&scene.drive).await?, "refused for a while")
}

#[tokio::test(flavor = "multi_thread")]
async fn what_was_carried_out_without_an_answer_is_found_and_not_put_twice() -> Result<()> {
    let faults = [
        "op=PutBlob,path=files/whole.bin,nth=1,lose-answer",
        "op=PutBlob,path=files/whole.bin,times=8,lose-answer",
        "op=PutBlob,path=files/empty.bin,nth=1,lose-answer",
        "op=PutBlob,path=vhds/disk.vhd,nth=1,lose-answer",
        "op=PutBlock,nth=2,lose-answer",
        "op=PutBlockList,nth=1,lose-answer",
        "op=PutBlockList,path=files/blocks.bin,times=8,lose-answer",
        "op=PutPage,nth=1,lose-answer",
        "op=SetBlobMetadata,nth=1,lose-answer",
        "op=LeaseBlob,nth=1,lose-answer",
        "op=LeaseBlob,nth=2,lose-answer",
        "op=CreateContainer,nth=1,lose-answer",
    ];
    each_passes("what_was_carried_out_without_an_answer_is_found_and_not_put_twice", &faults).await
}

#[tokio::test(flavor = "multi_thread")]
async fn bytes_that_are_damaged_on_the_way_are_sent_again() -> Result<()> {
    let faults = [
        "op=PutBlock,nth=2,corrupt=1000",
        "op=PutBlob,path=files/whole.bin,nth=1,corrupt=69999",
        "op=PutPage,nth=1,corrupt=512",
    ];
    each_passes("bytes_that_are_damaged_on_the_way_are_sent_again", &faults).await
}

// ── What one blob suffers ──

#[tokio::test(flavor = "multi_thread")]
async fn a_blob_that_the_service_always_fails_on_fails_alone() -> Result<()> {
    let test = "a_blob_that_the_service_always_fails_on_fails_alone";
    for name in [BLOCKS, WHOLE, DISK] {
        let Some(scene) = Scene::set(test, EndpointConfig::default())? else { return Ok(()) };
        scene.endpoint.faults().add(Fault::status(500, "InternalError").path(name));
        let tried = scene.ingest().await?;
        scene.check_only(&tried, &[name], "BlobRequestFailed")?;
    }
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn blobs_of_a_container_that_is_forbidden_fail_alone() -> Result<()> {
    let test = "blobs_of_a_container_that_is_forbidden_fail_alone";
    let Some(scene) = Scene::set(test, EndpointConfig::default())? else { return Ok(()) };
    scene.endpoint.faults().add(Fault::status(403, "AuthorizationFailure").path("files*"));
    let tried = scene.ingest().await?;
    scene.check_only(&tried, &[BLOCKS, "files/empty.bin", WHOLE], "BlobRequestForbidden")
}

#[tokio::test(flavor = "multi_thread")]
async fn a_block_that_is_always_damaged_on_the_way_is_never_committed() -> Result<()> {
    let test = "a_block_that_is_always_damaged_on_the_way_is_never_committed";
    let Some(scene) = Scene::set(test, EndpointConfig::default())? else { return Ok(()) };
    scene.endpoint.faults().add("op=PutBlock,path=files/blocks.bin,corrupt=7".parse()?);
    let tried = scene.ingest().await?;
    scene.check_only(&tried, &[BLOCKS], "CompletedWithErrors")?;
    let log = DriveLog::verbose(&tried.report)?;
    assert_eq!(logs::part_statuses(&log.blobs[BLOCKS]), ["BlobRequestFailed"; 6]);
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_commit_that_leaves_blocks_out_is_noticed() -> Result<()> {
    let test = "a_commit_that_leaves_blocks_out_is_noticed";
    let Some(scene) = Scene::set(test, EndpointConfig::default())? else { return Ok(()) };
    scene.endpoint.faults().add("op=PutBlockList,path=files/blocks.bin,drop-blocks=1".parse()?);
    let tried = scene.ingest().await?;
    check_ended(&tried, DriveStatus::CompletedWithErrors, "blocks left out");
    let expected = without(&scene.drive.expected, &[BLOCKS], "BlobRequestFailed");
    assert_eq!(DriveLog::verbose(&tried.report)?.differences(&expected), NONE);
    let failure = tried.report.failures.first().context("a failure")?;
    assert!(failure.message.contains("5242880 bytes"), "{}", failure.message);
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn data_land_without_the_metadata_that_the_service_refuses() -> Result<()> {
    let test = "data_land_without_the_metadata_that_the_service_refuses";
    for (operation, name) in
        [(Operation::PutBlockList, "meta/titled.bin"), (Operation::PutBlob, "meta/note.txt")]
    {
        let Some(scene) = Scene::set(test, EndpointConfig::default())? else { return Ok(()) };
        scene.endpoint.faults().add(Fault::status(400, "InvalidMetadata").on(operation).path(name).nth(1));
        let tried = scene.ingest().await?;
        check_ended(&tried, DriveStatus::CompletedWithErrors, name);
        let mut expected = without(&scene.drive.expected, &[], "");
        let blob = expected.blobs.iter_mut().find(|blob| blob.blob == name).context("the titled blob")?;
        blob.status = "CompletedWithErrors".to_owned();
        (blob.metadata, blob.metadata_status) = (None, Some("BlobRequestFailed".to_owned()));
        assert_eq!(DriveLog::verbose(&tried.report)?.differences(&expected), NONE);
        scene.check_account(&expected, name);
    }
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn an_account_with_a_hierarchical_namespace_takes_all_but_page_blobs() -> Result<()> {
    let test = "an_account_with_a_hierarchical_namespace_takes_all_but_page_blobs";
    let config = EndpointConfig { hierarchical_namespace: true, ..EndpointConfig::default() };
    let Some(scene) = Scene::set(test, config)? else { return Ok(()) };
    let tried = scene.ingest().await?;
    scene.check_only(&tried, &[DISK], "BlobRequestFailed")?;
    let failure = tried.report.failures.first().context("a failure")?;
    assert!(failure.message.contains("hierarchical namespace"), "{}", failure.message);
    Ok(())
}

// ── What concerns the account ──

#[tokio::test(flavor = "multi_thread")]
async fn an_outage_holds_the_drive_wherever_it_begins() -> Result<()> {
    let faults = [
        "status=500",
        "from=2,status=500",
        "from=5,status=500",
        "from=9,status=500",
        "from=14,status=500",
        "from=20,status=500",
        "from=26,status=500",
    ];
    each_holds("an_outage_holds_the_drive_wherever_it_begins", &faults).await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_credential_that_ends_midway_holds_the_drive() -> Result<()> {
    let faults = [
        "from=4,status=403",
        "from=11,status=403,code=AuthorizationFailure",
        "from=12,expired-sas",
        "from=19,status=403",
    ];
    each_holds("a_credential_that_ends_midway_holds_the_drive", &faults).await
}

#[tokio::test(flavor = "multi_thread")]
async fn an_account_that_is_full_or_gone_holds_the_drive() -> Result<()> {
    let faults = [
        "from=8,disk-full",
        "op=PutBlock,from=3,disk-full",
        "op=PutPage,disk-full",
        "op=PutBlockList,from=2,status=507",
        "op=PutBlock,nth=3,refuse",
    ];
    each_holds("an_account_that_is_full_or_gone_holds_the_drive", &faults).await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_credential_that_is_refused_from_the_start_ends_the_drive_with_local_logs() -> Result<()> {
    let test = "a_credential_that_is_refused_from_the_start_ends_the_drive_with_local_logs";
    let Some(scene) = Scene::set(test, EndpointConfig::default())? else { return Ok(()) };
    scene.endpoint.faults().add("status=403".parse()?);
    let tried = scene.ingest().await?;
    check_ended(&tried, DriveStatus::BlobRequestForbidden, "refused from the start");
    assert_eq!(DriveLog::error(&tried.report)?.status, "BlobRequestForbidden");
    assert_eq!(tried.report.landed_logs, NONE);
    assert!(scene.endpoint.snapshot().blobs.is_empty());
    scene.endpoint.faults().clear();
    let again = scene.ingest().await?;
    check_ended(&again, DriveStatus::Completed, "accepted in the end");
    scene.check_account(&scene.drive.expected, "accepted in the end");
    Ok(())
}
