//! The program as a person meets it: exit codes, events, where credentials come from, and that no
//! secret ever shows. operations.md §6.6.

use std::fs;

use anyhow::Result;
use rig::endpoint::{Endpoint, EndpointConfig, Fault};
use system_tests::drives::small;
use system_tests::program::{Desk, files, plain, run};

#[test]
fn events_and_logs_tell_everything_but_secrets() -> Result<()> {
    let Some(drive) = small("events_and_logs_tell_everything_but_secrets")? else { return Ok(()) };
    let endpoint = Endpoint::start(EndpointConfig::default())?;
    let desk = Desk::before(&endpoint)?;
    let ended = run(desk.ingest(&drive).arg("-vv"))?;
    assert_eq!(ended.code, Some(11), "{ended:?}");
    let events = ended.events();
    for kind in ["progress", "blob", "summary"] {
        assert!(events.iter().any(|event| event["event"] == kind), "{kind}: {}", ended.stdout);
    }
    assert_eq!(ended.summary()["exit_code"], 11);
    let job = drive.job()?;
    let secrets = [endpoint.key(), job.bitlocker_key.as_ref().unwrap().expose()];
    let mut said =
        vec![("what it said".to_owned(), format!("{}{}", ended.stdout, ended.stderr).into_bytes())];
    for path in files(&desk.state())?.into_iter().chain(files(&desk.logs_dir())?) {
        said.push((path.display().to_string(), fs::read(&path)?));
    }
    assert!(said.len() >= 6, "four logs and a ledger");
    for (place, bytes) in &said {
        for secret in secrets {
            let found = bytes.windows(secret.len()).any(|window| window == secret.as_bytes());
            assert!(!found, "a secret is in {place}");
        }
    }
    let again = run(&mut desk.ingest(&drive))?;
    assert_eq!((again.code, &again.summary()["finished_before"]), (Some(11), &true.into()), "{again:?}");
    Ok(())
}

#[test]
fn what_is_missing_or_wrong_before_the_start_has_its_code() -> Result<()> {
    let Some(drive) = small("what_is_missing_or_wrong_before_the_start_has_its_code")? else { return Ok(()) };
    let endpoint = Endpoint::start(EndpointConfig::default())?;
    let desk = Desk::before(&endpoint)?;
    assert_eq!(run(&mut desk.ingest_without_credential(&drive))?.code, Some(2));
    assert_eq!(run(plain().arg("ingest"))?.code, Some(2));
    assert_eq!(run(desk.ingest(&drive).args(["--key", "x"]))?.code, Some(2));
    let no_drive = run(plain().args(["inspect", "--drive", "/nowhere/at/all"]))?;
    assert_eq!(no_drive.code, Some(20), "{no_drive:?}");
    let inspected = run(plain().args(["inspect", "--json", "--drive"]).arg(&drive.image))?;
    assert_eq!(inspected.code, Some(0), "{inspected:?}");
    assert!(!inspected.events().is_empty());
    Ok(())
}

#[test]
fn a_credential_from_the_environment_that_is_refused_holds_the_drive() -> Result<()> {
    let Some(drive) = small("a_credential_from_the_environment_that_is_refused_holds_the_drive")? else {
        return Ok(());
    };
    let endpoint = Endpoint::start(EndpointConfig::default())?;
    endpoint.faults().add(Fault::status(403, "AuthorizationFailure"));
    let desk = Desk::before(&endpoint)?;
    let mut command = desk.ingest_without_credential(&drive);
    let refused = run(command.env("DRAYAGE_CREDENTIAL", endpoint.connection_string()))?;
    assert_eq!(refused.code, Some(5), "{refused:?}");
    assert_eq!(refused.summary()["status"], "BlobRequestForbidden");
    assert_eq!(desk.logs()?.len(), 4, "the logs are there, if only here");
    assert!(endpoint.blobs().is_empty());
    Ok(())
}
