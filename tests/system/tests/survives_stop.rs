//! SIGTERM, and a second station before the same drive.

use anyhow::{Context, Result};
use rig::endpoint::{Action, Endpoint, EndpointConfig, Fault, Operation};
use system_tests::drives::small;
use system_tests::program::{Desk, Running, run};

/// Waits until a fault has hit something: the station has got that far.
fn until_hit(endpoint: &Endpoint, id: rig::endpoint::faults::FaultId) -> Result<()> {
    let mut waits = (0..6_000).take_while(|_| endpoint.faults().hits(id) == 0);
    waits.all(|_| {
        std::thread::sleep(std::time::Duration::from_millis(10));
        true
    });
    (endpoint.faults().hits(id) > 0).then_some(()).context("the station never got there")
}

#[test]
fn a_stopped_ingest_says_how_to_resume_and_resumes_to_the_same_logs() -> Result<()> {
    let Some(drive) = small("a_stopped_ingest_says_how_to_resume_and_resumes_to_the_same_logs")? else {
        return Ok(());
    };
    let quiet = Endpoint::start(EndpointConfig::default())?;
    let undisturbed = Desk::before(&quiet)?;
    assert_eq!(run(&mut undisturbed.ingest(&drive))?.code, Some(11));
    let endpoint = Endpoint::start(EndpointConfig::default())?;
    let desk = Desk::before(&endpoint)?;
    let stall = endpoint.faults().add(Fault::new(Action::Stall(None)).on(Operation::PutBlock).from(4));
    let running = Running::start(&mut desk.ingest(&drive))?;
    until_hit(&endpoint, stall)?;
    let refused = run(&mut desk.ingest(&drive))?;
    assert_eq!(refused.code, Some(7), "{refused:?}");
    assert!(refused.stderr.contains("process"), "says who holds the drive: {}", refused.stderr);
    running.terminate()?;
    let stopped = running.wait()?;
    assert_eq!(stopped.code, Some(130), "{stopped:?}");
    assert_eq!(stopped.summary()["status"], "stopped");
    assert!(stopped.stderr.contains("stopping"), "{}", stopped.stderr);
    endpoint.faults().clear();
    let resumed = run(&mut desk.ingest(&drive))?;
    assert_eq!(resumed.code, Some(11), "{resumed:?}");
    assert_eq!(resumed.summary()["resumed"], true);
    assert_eq!(desk.logs()?, undisturbed.logs()?);
    assert_eq!(drive.expected.differences(&endpoint.snapshot()), Vec::<String>::new());
    Ok(())
}
