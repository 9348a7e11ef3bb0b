//! SIGKILL at chosen moments, then the same command again: the account and the logs are those of an
//! undisturbed run. Design §8; every request of a small drive is such a moment.

use std::sync::{Arc, Mutex};

use anyhow::{Context, Result, ensure};
use rig::endpoint::{Endpoint, EndpointConfig, Fault, Operation};
use rig::pack::{Content, Layout, PackBlob, PackPlan};
use system_tests::drives::{TestDrive, packed};
use system_tests::program::{Desk, Running, run};

/// A blob of each kind, one of them damaged: some thirty requests.
fn plan() -> PackPlan {
    let random = |seed, length_bytes| Content::Random { seed, length_bytes };
    let blocks = |name: &str, seed, named| PackBlob {
        layout: Layout::Blocks { block_bytes: 64 << 10, named },
        ..PackBlob::new(name, random(seed, (128 << 10) + 5))
    };
    let mut titled = blocks("files/titled.bin", 1, true);
    titled.metadata = vec![("origin".to_owned(), "rig".to_owned())];
    PackPlan::new(
        "DRGTESTKILL",
        vec![
            titled,
            blocks("files/numbered.bin", 2, false),
            PackBlob::new("files/whole.bin", random(3, 9_000)),
            PackBlob::paged("disks/disk.vhd", random(4, 64 << 10)),
            blocks("files/bad.bin", 5, true).with_fault(rig::pack::Fault::CorruptPart { index: 0 }),
        ],
    )
}

/// What must not depend on kills: containers; each blob with its name, bytes, metadata, properties
/// and lease; blocks that stay uncommitted; the logs. Names of logs have the run in them.
#[derive(Debug, PartialEq, Eq)]
struct Left {
    containers: Vec<String>,
    blobs: Vec<String>,
    uncommitted: Vec<String>,
    logs: Vec<(String, Vec<u8>)>,
    code: Option<i32>,
}

fn left(endpoint: &Endpoint, desk: &Desk, code: Option<i32>) -> Result<Left> {
    let account = endpoint.snapshot();
    let is_log = |container: &str| ["waimportexport", "databoxcopylog"].contains(&container);
    let blobs = account.blobs.iter().map(|blob| {
        let name = if is_log(&blob.container) { "a log" } else { &blob.name };
        let (about, lease) = ((&blob.metadata, &blob.properties, &blob.page_ranges), &blob.lease_state);
        format!("{}/{name} {} {:?} {about:?} {lease}", blob.container, blob.length, blob.sha256)
    });
    let blocks = account.uncommitted.iter();
    let blocks =
        blocks.map(|block| format!("{}/{} {} {:?}", block.container, block.name, block.id, block.sha256));
    let (mut blobs, mut uncommitted): (Vec<_>, Vec<_>) = (blobs.collect(), blocks.collect());
    blobs.sort();
    uncommitted.sort();
    Ok(Left { containers: account.containers, blobs, uncommitted, logs: desk.logs()?, code })
}

fn undisturbed(drive: &TestDrive) -> Result<(Left, u64)> {
    let endpoint = Endpoint::start(EndpointConfig::default())?;
    let desk = Desk::before(&endpoint)?;
    let ended = run(&mut desk.ingest(drive))?;
    let requests = endpoint.log().entries().len() as u64;
    ensure!(ended.code == Some(11), "one block is corrupted: {ended:?}");
    Ok((left(&endpoint, &desk, ended.code)?, requests))
}

/// Kills the station at a request, and runs the same command to its end.
fn killed_at(
    drive: &TestDrive,
    fault: impl FnOnce(Arc<dyn Fn() + Send + Sync>) -> Vec<Fault>,
) -> Result<Left> {
    let endpoint = Endpoint::start(EndpointConfig { workers: 3, ..EndpointConfig::default() })?;
    let desk = Desk::before(&endpoint)?;
    let victim: Arc<Mutex<Option<Running>>> = Arc::default();
    let seen = Arc::clone(&victim);
    let kill = move || {
        if let Some(running) = seen.lock().unwrap().as_ref() {
            running.kill();
        }
    };
    for fault in fault(Arc::new(kill)) {
        endpoint.faults().add(fault);
    }
    let running = {
        let mut victim = victim.lock().unwrap();
        victim.insert(Running::start(&mut desk.ingest(drive))?).clone()
    };
    let first = running.wait()?;
    ensure!(first.code.is_none(), "it was not killed: {first:?}");
    endpoint.faults().clear();
    let second = run(&mut desk.ingest(drive))?;
    left(&endpoint, &desk, second.code).with_context(|| second.stderr)
}

fn after(nth: u64) -> impl FnOnce(Arc<dyn Fn() + Send + Sync>) -> Vec<Fault> {
    move |kill| vec![Fault::call_after(move |_| kill()).nth(nth)]
}

fn before(operation: Operation, nth: u64) -> impl FnOnce(Arc<dyn Fn() + Send + Sync>) -> Vec<Fault> {
    move |kill| {
        let kill = Fault::call_before(move |_| kill()).on(operation).nth(nth);
        vec![kill, Fault::status(500, "InternalError").on(operation).nth(nth)]
    }
}

fn drive(test: &str) -> Result<Option<TestDrive>> {
    packed("survives-kill", test, &plan())
}

/// Some at a time: most of a run is waiting.
fn each<T: Sync>(cases: &[T], check: impl Fn(&T) + Sync) {
    let next = std::sync::atomic::AtomicUsize::new(0);
    std::thread::scope(|scope| {
        for _ in 0..4 {
            scope.spawn(|| {
                while let Some(case) = cases.get(next.fetch_add(1, std::sync::atomic::Ordering::Relaxed)) {
                    check(case);
                }
            });
        }
    });
}

#[test]
fn killed_after_any_request_the_second_run_leaves_what_an_undisturbed_one_does() -> Result<()> {
    let Some(drive) = drive("killed_after_any_request_the_second_run_leaves_what_an_undisturbed_one_does")?
    else {
        return Ok(());
    };
    let (expected, requests) = undisturbed(&drive)?;
    assert!(requests > 20, "{requests}");
    // Every request that moves data; of those that open the account and put the logs, every other.
    let is_chosen = |nth: &u64| nth % 2 == 1 || (8..requests - 8).contains(nth);
    let cases: Vec<u64> = (1..=requests - 2).filter(is_chosen).collect();
    each(&cases, |nth| {
        let found = killed_at(&drive, after(*nth)).unwrap_or_else(|error| panic!("request {nth}: {error:#}"));
        assert_eq!(found, expected, "killed after request {nth}");
    });
    Ok(())
}

#[test]
fn killed_before_a_request_is_carried_out_the_second_run_does_it() -> Result<()> {
    let Some(drive) = drive("killed_before_a_request_is_carried_out_the_second_run_does_it")? else {
        return Ok(());
    };
    let (expected, _) = undisturbed(&drive)?;
    let cases = [
        (Operation::CreateContainer, 1),
        (Operation::PutBlock, 2),
        (Operation::PutBlockList, 1),
        (Operation::PutBlob, 2),
        (Operation::PutPage, 1),
        (Operation::LeaseBlob, 1),
        (Operation::SetBlobMetadata, 1),
    ];
    each(&cases, |(operation, nth)| {
        let found = killed_at(&drive, before(*operation, *nth));
        let found = found.unwrap_or_else(|error| panic!("{operation} {nth}: {error:#}"));
        assert_eq!(found, expected, "killed before {operation} {nth}");
    });
    Ok(())
}
