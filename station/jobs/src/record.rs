//! What is written about an event: its custody entry, and what others are told.
//!
//! Custody has what was done to a job or a drive, by whom, before and after, and why; progress is not a deed. What
//! is done to several drives at once has an entry of each.
//! Events have the same names, and besides them notices and what bays are told, so that whoever follows the
//! outbox (another station too) misses nothing. Neither ever holds a secret, an address or a file's name.

use custody::Draft;
use ledger::EventDraft;
use model::DriveId;
use model::job::{Action, CopyStatus, DriveState, Happening, Job, Place};
use serde_json::{Value, json};

use crate::Caller;

/// Somebody's deed, while it is being written down.
pub(crate) struct Deed<'a> {
    pub(crate) caller: &'a Caller,
    pub(crate) at_unix_ms: i64,
    pub(crate) before: Option<&'a Job>,
    pub(crate) after: &'a Job,
}

/// The end of a job and of everything that is known of it but its custody.
const DELETED: &str = "job.deleted";

/// The event's name in custody and outbox.
pub(crate) fn action_name(what: &Happening) -> &'static str {
    match what {
        Happening::Update(_) => "job.updated",
        Happening::Replace(_) => "job.replaced",
        Happening::Ship => "job.shipped",
        Happening::Cancel => "job.cancel-requested",
        Happening::Delete => DELETED,
        Happening::CustomerAnswered => "job.customer-answered",
        Happening::ParcelReceived { .. } => "parcel.received",
        Happening::ParcelUnpacked { .. } => "parcel.unpacked",
        Happening::ParcelReturned { .. } => "parcel.returned",
        Happening::DriveReceived { .. } => "drive.received",
        Happening::DriveMissing { .. } => "drive.missing",
        Happening::ExtraDrive { .. } => "drive.extra",
        Happening::ExtraDriveMoved { .. } => "drive.extra-moved",
        Happening::DriveUnsupported { .. } => "drive.unsupported",
        Happening::DriveAssigned { .. } => "drive.assigned",
        Happening::DriveReleased { .. } => "drive.released",
        Happening::DriveHeld { .. } => "drive.held",
        Happening::DriveResumed { .. } => "drive.resumed",
        Happening::DrivePacked { .. } => "drive.packed",
        Happening::ReturnBooked(_) => "job.returned",
        Happening::ReturnImpossible { .. } => "job.undeliverable",
        Happening::DrivesDestroyed => "job.drives-destroyed",
        Happening::DriveStarted { .. } => "drive.started",
        Happening::DriveProgress { .. } => "drive.progress",
        Happening::DriveEnded { .. } => "drive.ended",
        Happening::DriveStopped { .. } => "drive.stopped",
        Happening::ExportIncomplete { .. } => "job.export-incomplete",
        Happening::DriveFaulted { .. } => "drive.faulted",
        Happening::DrivePutBack { .. } => "drive.put-back",
        Happening::JobFaulted { .. } => "job.faulted",
        Happening::JobPutBack { .. } => "job.put-back",
        Happening::TimerFired { .. } => "job.timer",
    }
}

/// A touch of a drive is recorded even when the job is the same after it.
pub(crate) fn is_touch(what: &Happening) -> bool {
    matches!(what, Happening::DriveStarted { .. } | Happening::DriveStopped { .. })
}

/// Why, in the words of whoever did it.
fn reason(what: &Happening) -> Option<String> {
    match what {
        Happening::ParcelReceived { tracking_number, condition, .. } => Some(match condition {
            Some(condition) => format!("parcel {tracking_number}: {condition}"),
            None => format!("parcel {tracking_number}"),
        }),
        Happening::ParcelUnpacked { tracking_number, shortfall_reason } => Some(match shortfall_reason {
            Some(reason) => format!("parcel {tracking_number}: {reason}"),
            None => format!("parcel {tracking_number}"),
        }),
        Happening::ParcelReturned { tracking_number } => Some(format!("parcel {tracking_number}")),
        Happening::ReturnBooked(package) => Some(format!(
            "{} drives, {} {}",
            package.drive_count, package.carrier_name, package.tracking_number
        )),
        Happening::DriveHeld { reason, .. }
        | Happening::DriveFaulted { reason, .. }
        | Happening::JobFaulted { reason }
        | Happening::ReturnImpossible { reason } => Some(reason.clone()),
        Happening::TimerFired { kind } => Some(kind.as_str().to_owned()),
        Happening::DriveEnded { status, .. } => Some(status.as_str().to_owned()),
        _ => None,
    }
}

impl Deed<'_> {
    /// The custody entries of an event: its own, one of each drive that it touched, and one of the job's end when a
    /// timer ends it; none for progress.
    pub(crate) fn custody(&self, what: &Happening, actions: &[Action]) -> Vec<Draft> {
        if matches!(what, Happening::DriveProgress { .. }) {
            return Vec::new();
        }
        let own = match what.drive_id() {
            Some(drive_id) => self.of_drive(action_name(what), drive_id),
            None => self.of_job(action_name(what)),
        };
        let touched = self.touched(what).map(|(action, drive_id)| self.of_drive(action, drive_id));
        let gone = self.is_deleted(actions).then(|| Draft { after: None, ..self.of_job(DELETED) });
        let drafts = match gone {
            Some(gone) if own.action == DELETED => vec![gone],
            gone => std::iter::once(own).chain(touched).chain(gone).collect(),
        };
        let reason = reason(what);
        drafts.into_iter().map(|draft| Draft { reason: reason.clone(), ..draft }).collect()
    }

    /// Whoever follows the job must forget it, however it came to its end.
    fn is_deleted(&self, actions: &[Action]) -> bool {
        actions.contains(&Action::Delete)
    }

    /// Drives that the event changed and does not name. When the job is deleted, nothing else will tell which
    /// drives left the house with a parcel, were destroyed, or were declared missing.
    fn touched<'a>(&'a self, what: &'a Happening) -> impl Iterator<Item = (&'static str, &'a DriveId)> {
        let ids = self.after.places().map(|(drive_id, _)| drive_id);
        let is_changed = move |drive_id: &&DriveId| {
            let before = self.before.and_then(|job| standing(job, drive_id));
            what.drive_id() != Some(*drive_id) && before.is_some() && before != standing(self.after, drive_id)
        };
        ids.filter(is_changed).map(move |drive_id| (self.fate(drive_id), drive_id))
    }

    fn fate(&self, drive_id: &DriveId) -> &'static str {
        let drive = self.after.drive(drive_id);
        match (place_of(self.after, drive_id), drive.map(|drive| drive.state)) {
            (Some(Place::SentBack), _) => "drive.returned",
            (Some(Place::Destroyed), _) => "drive.destroyed",
            (_, Some(DriveState::NeverReceived)) => "drive.missing",
            _ if drive.is_some_and(|drive| drive.copy_status == Some(CopyStatus::Cancelled)) => {
                "drive.cancelled"
            }
            _ => "drive.changed",
        }
    }

    /// An entry about the job.
    pub(crate) fn of_job(&self, action: &str) -> Draft {
        Draft {
            at_unix_ms: self.at_unix_ms,
            actor: self.caller.id.clone(),
            roles: self.caller.roles.clone(),
            action: action.to_owned(),
            job: Some(self.after.key.arm_id()),
            drive: None,
            bay: None,
            before: self.before.map(|job| job.state.to_string()),
            after: Some(self.after.state.to_string()),
            reason: None,
            files: Vec::new(),
        }
    }

    /// An entry about one of its drives: state and place, before and after.
    pub(crate) fn of_drive(&self, action: &str, drive_id: &DriveId) -> Draft {
        let bay = |job: &Job| place_of(job, drive_id).and_then(|place| place.bay().map(str::to_owned));
        Draft {
            drive: Some(drive_id.to_string()),
            bay: bay(self.after).or_else(|| self.before.and_then(bay)),
            before: self.before.and_then(|job| standing(job, drive_id)),
            after: standing(self.after, drive_id),
            ..self.of_job(action)
        }
    }

    /// What others are told of an event and of what follows from it.
    pub(crate) fn events(&self, what: &Happening, actions: &[Action]) -> Vec<EventDraft> {
        let one = |action, drive_id| self.event(action, drive_id, self.body(what, drive_id));
        let mut events = vec![one(action_name(what), what.drive_id())];
        events.extend(self.touched(what).map(|(action, drive_id)| one(action, Some(drive_id))));
        let state_before = self.before.map(|job| job.state);
        if state_before != Some(self.after.state) {
            let body = json!({ "before": state_before.map(|state| state.as_str()), "after": self.after.state.as_str() });
            events.push(self.event("job.state", None, body));
        }
        events.extend(actions.iter().filter_map(|action| self.told(action)));
        if self.is_deleted(actions) && events[0].kind != DELETED {
            events.push(one(DELETED, None));
        }
        events
    }

    fn told(&self, action: &Action) -> Option<EventDraft> {
        match action {
            Action::Notify(notice) => {
                Some(self.event("notice", notice.drive_id(), json!({ "notice": notice.as_str() })))
            }
            Action::DriveReady { drive_id } => Some(self.event("drive.ready", Some(drive_id), json!({}))),
            Action::StopCopy { drive_id } => Some(self.event("drive.stop", Some(drive_id), json!({}))),
            Action::SetTimer { .. } | Action::ClearTimer { .. } | Action::Delete => None,
        }
    }

    fn body(&self, what: &Happening, drive_id: Option<&DriveId>) -> Value {
        let job = self.after;
        let mut body = json!({ "jobState": job.state.as_str(), "jobPercentComplete": job.percent_complete });
        if let Some(drive) = drive_id.and_then(|drive_id| job.drive(drive_id)) {
            body["driveState"] = json!(drive.state.as_str());
            body["place"] = json!(drive.place.to_string());
            body["percentComplete"] = json!(drive.percent_complete);
            body["bytesSucceeded"] = json!(drive.bytes_succeeded);
            body["copyStatus"] = json!(drive.copy_status.map(|status| status.as_str()));
        }
        if let Some(reason) = reason(what) {
            body["reason"] = json!(reason);
        }
        body
    }

    /// An event about the job, or one of its drives.
    pub(crate) fn event(&self, kind: &str, drive_id: Option<&DriveId>, body: Value) -> EventDraft {
        let bay = |job: &Job| {
            let place = drive_id.and_then(|drive_id| place_of(job, drive_id));
            place.and_then(|place| place.bay().map(str::to_owned))
        };
        EventDraft {
            at_unix_ms: self.at_unix_ms,
            kind: kind.to_owned(),
            job: Some(self.after.key.arm_id()),
            drive: drive_id.map(ToString::to_string),
            bay: bay(self.after).or_else(|| self.before.and_then(bay)),
            body,
        }
    }
}

fn place_of<'a>(job: &'a Job, drive_id: &DriveId) -> Option<&'a Place> {
    job.places().find(|(found, _)| *found == drive_id).map(|(_, place)| place)
}

/// A drive's state and place in words: `Received, bay 3`; an extra drive has no state.
fn standing(job: &Job, drive_id: &DriveId) -> Option<String> {
    let place = place_of(job, drive_id)?;
    Some(match job.drive(drive_id) {
        Some(drive) => format!("{}, {place}", drive.state),
        None => format!("extra, {place}"),
    })
}
