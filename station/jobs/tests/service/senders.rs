//! Every event of a job has somebody who sends it: a route, a bay or a timer. One that nobody sends keeps the jobs
//! that wait for it for ever.

use std::path::Path;

use jobs::Jobs;
use model::job::EventName;

/// The method is named as an item, too, so that a renamed one does not compile.
macro_rules! by {
    ($method:ident) => {{
        let _ = Jobs::$method;
        Some(concat!("jobs.", stringify!($method), "("))
    }};
}

/// The call that sends it; none for what waits for a part of the station that is not there yet.
fn call(event: EventName) -> Option<&'static str> {
    use EventName as E;
    match event {
        E::Update | E::Ship | E::Cancel => by!(update),
        E::Replace => by!(create),
        E::Delete => by!(delete),
        E::CustomerAnswered => by!(customer_answered),
        E::ParcelReceived => by!(receive_package),
        E::ParcelUnpacked => by!(unpack),
        E::ParcelReturned => by!(parcel_returned),
        E::DriveReceived => by!(scan),
        E::DriveMissing => by!(never_received),
        E::ExtraDrive => by!(extra_drive),
        // Scanning it as another job's does.
        E::ExtraDriveMoved => Some("self.extra_drive_moved("),
        E::DriveUnsupported => by!(drive_unsupported),
        E::DriveAssigned => by!(assign),
        E::DriveReleased => by!(release),
        E::DriveHeld => by!(hold),
        E::DriveResumed => by!(resume),
        E::DrivePacked => by!(pack),
        E::ReturnBooked => by!(ship),
        E::ReturnImpossible => by!(return_impossible),
        E::DrivesDestroyed => by!(drives_destroyed),
        E::DriveStarted => by!(drive_started),
        E::DriveProgress => by!(drive_progress),
        E::DriveEnded => by!(drive_ended),
        E::DriveStopped => by!(drive_stopped),
        E::DriveFaulted => by!(drive_faulted),
        E::DrivePutBack => by!(drive_put_back),
        E::JobFaulted => Some("Happening::JobFaulted{"),
        E::JobPutBack => Some("Happening::JobPutBack{"),
        E::TimerFired => by!(fire_due_timers),
        // Exports: nothing in the station writes a drive yet.
        E::ExportIncomplete => None,
    }
}

/// The text of a crate's own sources, without its tests.
fn sources(folder: &Path, text: &mut String) {
    let mut entries: Vec<_> = std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()).collect();
    entries.sort();
    for path in entries {
        let name = path.file_name().unwrap().to_string_lossy().into_owned();
        if path.is_dir() && name != "tests" {
            sources(&path, text);
        } else if name.ends_with(".rs") && name != "tests.rs" {
            let whole = std::fs::read_to_string(&path).unwrap();
            text.push_str(whole.split("#[cfg(test)]").next().unwrap_or_default());
        }
    }
}

#[test]
fn every_event_has_somebody_who_sends_it() {
    let station = Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap();
    let mut text = String::new();
    for folder in ["api/src", "station/src", "jobs/src"] {
        sources(&station.join(folder), &mut text);
    }
    text.retain(|c| !c.is_whitespace());
    let is_sent = |event: &&EventName| call(**event).is_none_or(|call| text.contains(call));
    let unsent: Vec<&str> =
        EventName::ALL.iter().filter(|event| !is_sent(event)).map(|event| event.as_str()).collect();
    assert!(unsent.is_empty(), "nobody sends {unsent:?}");
}
