//! Two stations, one ledger in PostgreSQL, one drive: the first is killed, the second goes on.
//! Design §6: the database is the only coordinator.

use std::fs::{self, Permissions};
use std::os::unix::fs::PermissionsExt;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use ledger::cluster::{Cluster, Sync};
use rig::endpoint::{Action, Endpoint, EndpointConfig, Fault, Operation};
use system_tests::drives::{TestDrive, small};
use system_tests::program::{Desk, Ended, Running, run};

/// How long a station's drive stays its own after its death.
const LEASE_SECONDS: &str = "2";
/// No lease ends later, however busy the machine.
const LEASE_WAIT: Duration = Duration::from_secs(90);

/// A database of its own on a server that syncs, as a station demands.
struct Fleet {
    _cluster: Cluster,
    url: String,
}

impl Fleet {
    fn start(test: &str) -> Result<Option<Fleet>> {
        let cluster = match Cluster::start(Sync::On) {
            Ok(cluster) => cluster,
            Err(why) => {
                rig::skipped(test, &why);
                return Ok(None);
            }
        };
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
        let url = runtime.block_on(cluster.database());
        Ok(Some(Fleet { _cluster: cluster, url }))
    }

    /// The command of a station that shares the ledger.
    fn ingest(&self, desk: &Desk, drive: &TestDrive) -> Result<std::process::Command> {
        let url_file = desk.credential_file().with_file_name("ledger-url");
        fs::write(&url_file, &self.url)?;
        fs::set_permissions(&url_file, Permissions::from_mode(0o600))?;
        let mut command = desk.ingest(drive);
        command.arg("--ledger-url-file").arg(url_file).args(["--lease-seconds", LEASE_SECONDS]);
        Ok(command)
    }

    /// Runs it to its end, as soon as nobody else has the drive any more.
    fn ingest_when_free(&self, desk: &Desk, drive: &TestDrive) -> Result<Ended> {
        let deadline = Instant::now() + LEASE_WAIT;
        loop {
            let ended = run(&mut self.ingest(desk, drive)?)?;
            let held = ended.code == Some(7) && ended.stderr.contains("is being run already");
            if !held || Instant::now() > deadline {
                return Ok(ended);
            }
            std::thread::sleep(Duration::from_millis(100));
        }
    }
}

/// Kills the station once that request was carried out, before it is answered.
fn killed(
    fleet: &Fleet,
    desk: &Desk,
    drive: &TestDrive,
    endpoint: &Endpoint,
    (operation, nth): (Operation, u64),
) -> Result<()> {
    let victim: Arc<Mutex<Option<Running>>> = Arc::default();
    let seen = Arc::clone(&victim);
    let kill = Fault::call_after(move |_| {
        if let Some(running) = seen.lock().unwrap().as_ref() {
            running.kill();
        }
    });
    endpoint.faults().add(kill.on(operation).nth(nth));
    let running = {
        let mut victim = victim.lock().unwrap();
        victim.insert(Running::start(&mut fleet.ingest(desk, drive)?)?).clone()
    };
    let ended = running.wait()?;
    endpoint.faults().clear();
    ensure!(ended.code.is_none(), "it was not killed: {ended:?}");
    Ok(())
}

fn undisturbed(drive: &TestDrive) -> Result<Desk> {
    let endpoint = Endpoint::start(EndpointConfig::default())?;
    let desk = Desk::before(&endpoint)?;
    ensure!(run(&mut desk.ingest(drive))?.code == Some(11), "one block is corrupted");
    Ok(desk)
}

#[test]
fn a_second_station_finishes_what_a_killed_one_had_begun() -> Result<()> {
    let test = "a_second_station_finishes_what_a_killed_one_had_begun";
    let Some(drive) = small(test)? else { return Ok(()) };
    let Some(fleet) = Fleet::start(test)? else { return Ok(()) };
    let expected = undisturbed(&drive)?;
    for (operation, nth) in [(Operation::PutBlock, 3), (Operation::PutBlockList, 1), (Operation::PutBlob, 1)]
    {
        let endpoint = Endpoint::start(EndpointConfig::default())?;
        let (first, second) = (Desk::before(&endpoint)?, Desk::before(&endpoint)?);
        killed(&fleet, &first, &drive, &endpoint, (operation, nth))
            .with_context(|| format!("{operation} {nth}"))?;
        let ended = fleet.ingest_when_free(&second, &drive)?;
        ensure!(ended.code == Some(11), "after {operation} {nth}: {ended:?}");
        ensure!(ended.summary()["resumed"] == true, "it is the same run: {ended:?}");
        assert_eq!(second.logs()?, expected.logs()?, "killed after {operation} {nth}");
        assert_eq!(first.logs()?, Vec::new(), "the first came to no logs");
        assert_eq!(drive.expected.differences(&endpoint.snapshot()), Vec::<String>::new());
        let again = run(&mut fleet.ingest(&first, &drive)?)?;
        assert_eq!(again.summary()["finished_before"], true, "both know it: {again:?}");
    }
    Ok(())
}

#[test]
fn a_station_does_not_touch_a_drive_that_another_one_has() -> Result<()> {
    let test = "a_station_does_not_touch_a_drive_that_another_one_has";
    let Some(drive) = small(test)? else { return Ok(()) };
    let Some(fleet) = Fleet::start(test)? else { return Ok(()) };
    let endpoint = Endpoint::start(EndpointConfig::default())?;
    let (first, second) = (Desk::before(&endpoint)?, Desk::before(&endpoint)?);
    let stall = endpoint.faults().add(Fault::new(Action::Stall(None)).on(Operation::PutBlock).from(4));
    let running = Running::start(&mut fleet.ingest(&first, &drive)?)?;
    let deadline = Instant::now() + LEASE_WAIT;
    while endpoint.faults().hits(stall) == 0 {
        ensure!(Instant::now() < deadline, "the station never got there: {}", running.stderr()?);
        std::thread::sleep(Duration::from_millis(10));
    }
    // Longer than a lease: it is renewed though nothing moves.
    let until = Instant::now() + Duration::from_secs(5);
    while Instant::now() < until {
        let refused = run(&mut fleet.ingest(&second, &drive)?)?;
        assert_eq!(refused.code, Some(7), "{refused:?}");
        assert!(refused.stderr.contains("process"), "says who has it: {}", refused.stderr);
    }
    running.terminate()?;
    let stopped = running.wait()?;
    assert_eq!(stopped.code, Some(130), "{stopped:?}");
    endpoint.faults().clear();
    // A station that ends lets its drives go: nobody waits for the lease.
    let resumed = run(&mut fleet.ingest(&second, &drive)?)?;
    assert_eq!(resumed.code, Some(11), "{resumed:?}");
    assert_eq!(resumed.summary()["resumed"], true);
    assert_eq!(second.logs()?, undisturbed(&drive)?.logs()?);
    assert_eq!(drive.expected.differences(&endpoint.snapshot()), Vec::<String>::new());
    Ok(())
}
