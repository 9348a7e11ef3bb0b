//! `/v1/bays`: what is in each bay, what it does, what limits it, and what to do there next.
//!
//! Two things are known of a bay, from two sides: which drive was assigned to it (the ledger), and which drive
//! answers in it and what is done with it (the bay's worker, who publishes the whole set on a [`Board`]). The view
//! lays them side by side; where they differ it says both, and that comes before everything else. Of a bay with a
//! drive that the caller may not know of, it says that the bay is taken, and nothing of the drive.

use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use ledger::PlacedDrive;
use model::DriveId;
use serde::Serialize;
use tokio::sync::watch;
use utoipa::ToSchema;

use super::Desk;
use super::ask::Named;
use super::drives::DriveView;
use super::refused::{Refused, unknown};
use crate::people::Reach;

/// What a bay's worker knows of it.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct BayNow {
    /// Its name.
    pub bay: String,
    /// The serial number that the drive in it answers with.
    pub drive_id: Option<String>,
    /// What is done with it.
    pub doing: Doing,
    /// How far, 0–100.
    pub percent: Option<u8>,
    /// How fast.
    pub bytes_per_second: Option<u64>,
    /// What it waits for most.
    pub limited_by: Option<Limit>,
    /// What is wrong, in words for whoever stands there.
    pub trouble: Option<String>,
}

/// What is done in a bay.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub enum Doing {
    /// Nothing is in it.
    Empty,
    /// A drive is in it, and waits.
    Waiting,
    /// A drive is unlocked and looked at.
    Opening,
    /// A drive is copied.
    Copying,
    /// What was written is read again.
    Verifying,
    /// The drive can be taken out.
    Done,
    /// It cannot go on.
    Faulted,
}

/// What a bay waits for most: design §4, "know the limit".
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub enum Limit {
    /// The drive.
    Drive,
    /// The station's processors.
    Cpu,
    /// The storage account, or the way to it.
    Destination,
    /// Something that only the customer can mend.
    Customer,
}

impl Doing {
    /// Whether something is being done.
    pub fn is_work(self) -> bool {
        matches!(self, Self::Opening | Self::Copying | Self::Verifying)
    }
}

/// All bays as their workers see them: the whole set at once, published when it changed.
#[derive(Clone, Debug)]
pub struct Board(watch::Receiver<Arc<[BayNow]>>);

impl Board {
    /// A board, and the end at which workers publish.
    pub fn new(bays: impl IntoIterator<Item = BayNow>) -> (watch::Sender<Arc<[BayNow]>>, Self) {
        let (sender, receiver) = watch::channel(bays.into_iter().collect());
        (sender, Self(receiver))
    }

    /// What is on it.
    pub fn now(&self) -> Arc<[BayNow]> {
        self.0.borrow().clone()
    }
}

impl BayNow {
    /// A bay of which nothing is known yet.
    pub fn empty(bay: impl Into<String>) -> Self {
        Self {
            bay: bay.into(),
            drive_id: None,
            doing: Doing::Empty,
            percent: None,
            bytes_per_second: None,
            limited_by: None,
            trouble: None,
        }
    }
}

/// A bay.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
#[schema(as = Bay)]
pub(super) struct BayView {
    /// Its name.
    bay: String,
    /// The drive that was assigned to it.
    assigned: Option<DriveView>,
    /// The serial number that the drive in it answers with.
    present_drive_id: Option<String>,
    /// What is done there.
    doing: Doing,
    /// How far, in percent.
    #[schema(maximum = 100)]
    percent: Option<u8>,
    /// How fast.
    bytes_per_second: Option<u64>,
    /// What it waits for most.
    limited_by: Option<Limit>,
    /// What is wrong.
    trouble: Option<String>,
    /// What to do there next.
    next: String,
}

/// All bays.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct Bays {
    bays: Vec<BayView>,
}

/// What is in the bays, what they do, and what to do there next.
#[utoipa::path(get, path = "/v1/bays", tag = "bays", operation_id = "baysList", responses((status = 200, body = Bays)))]
pub(super) async fn list(State(desk): State<Desk>, reach: Reach) -> Result<Json<Bays>, Refused> {
    let mut assigned = super::drives::in_bays(&desk).await?;
    let mut bays = Vec::new();
    for now in &*desk.parts().bays.now() {
        let at = assigned.iter().position(|drive| drive.drive.bay.as_deref() == Some(now.bay.as_str()));
        bays.push(seen(&desk, &reach, now, at.map(|at| assigned.swap_remove(at))).await?);
    }
    Ok(Json(Bays { bays }))
}

/// One bay.
#[utoipa::path(get, path = "/v1/bays/{bay}", tag = "bays", operation_id = "baysGet", params(("bay" = String, Path, description = "The bay's name.", max_length = 64)), responses((status = 200, body = BayView)))]
pub(super) async fn get(
    State(desk): State<Desk>,
    reach: Reach,
    Named(bay): Named<String>,
) -> Result<Json<BayView>, Refused> {
    let now = desk.parts().bays.now();
    let now = now.iter().find(|now| now.bay == bay).ok_or_else(|| unknown("bay", &bay))?;
    let assigned = super::drives::in_bays(&desk).await?;
    let assigned = assigned.into_iter().find(|drive| drive.drive.bay.as_deref() == Some(bay.as_str()));
    Ok(Json(seen(&desk, &reach, now, assigned).await?))
}

/// A bay as this caller may see it.
async fn seen(
    desk: &Desk,
    reach: &Reach,
    now: &BayNow,
    assigned: Option<PlacedDrive>,
) -> Result<BayView, Refused> {
    let is_theirs = assigned.as_ref().is_none_or(|drive| reach.covers_job(&drive.job))
        && is_theirs(desk, reach, now.drive_id.as_deref()).await?;
    if is_theirs { BayView::of(now, assigned) } else { Ok(BayView::taken(now)) }
}

/// Whether the caller may know of the drive that answers in a bay: nobody's drive is the whole station's business.
pub(super) async fn is_theirs(desk: &Desk, reach: &Reach, present: Option<&str>) -> Result<bool, Refused> {
    let Some(present) = present.filter(|_| !reach.is_everything()) else { return Ok(true) };
    let Ok(drive_id) = DriveId::new(present) else { return Ok(false) };
    let row = desk.ledger().active_job_of_drive(&drive_id).await?;
    Ok(row.is_some_and(|row| reach.covers_job(&row.key)))
}

impl BayView {
    /// A bay with a drive that is not the caller's to know of.
    fn taken(now: &BayNow) -> Self {
        Self {
            bay: now.bay.clone(),
            assigned: None,
            present_drive_id: None,
            doing: now.doing,
            percent: None,
            bytes_per_second: None,
            limited_by: None,
            trouble: None,
            next: "Leave it: the bay is in use for another customer. Take another bay.".to_owned(),
        }
    }

    fn of(now: &BayNow, assigned: Option<PlacedDrive>) -> Result<Self, Refused> {
        let next = next(now, assigned.as_ref().map(|drive| drive.drive.drive_id.as_str()));
        Ok(Self {
            bay: now.bay.clone(),
            assigned: assigned.map(DriveView::of).transpose()?,
            present_drive_id: now.drive_id.clone(),
            doing: now.doing,
            percent: now.percent,
            bytes_per_second: now.bytes_per_second,
            limited_by: now.limited_by,
            trouble: now.trouble.clone(),
            next,
        })
    }
}

/// What to do at a bay, from what was assigned to it and what is in it.
fn next(now: &BayNow, assigned: Option<&str>) -> String {
    match (assigned, now.drive_id.as_deref(), now.doing) {
        (Some(expected), Some(found), _) if expected != found => {
            format!("Take the drive out: drive {expected} belongs here, and drive {found} is in it.")
        }
        (None, Some(found), _) => {
            format!("Scan drive {found}, or take it out: none is assigned to this bay.")
        }
        (Some(expected), None, _) => format!("Insert drive {expected}."),
        (None, None, _) => "Assign a drive from the shelf.".to_owned(),
        (Some(drive), Some(_), Doing::Done) => format!("Take drive {drive} out, release it and pack it."),
        (Some(drive), Some(_), Doing::Faulted) => {
            format!("Call the shift lead, or release drive {drive} and try another bay.")
        }
        (Some(drive), Some(_), Doing::Waiting) if now.limited_by == Some(Limit::Customer) => {
            format!(
                "Drive {drive} is on hold: leave it in, or release it to a shelf slot until it is resumed."
            )
        }
        (Some(_), Some(_), Doing::Empty | Doing::Waiting) => "Wait: it begins by itself.".to_owned(),
        (Some(_), Some(_), Doing::Opening | Doing::Copying | Doing::Verifying) => {
            "Nothing: it works. Leave the drive in.".to_owned()
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(drive_id: Option<&str>, doing: Doing) -> BayNow {
        BayNow { drive_id: drive_id.map(str::to_owned), doing, ..BayNow::empty("B-01") }
    }

    #[test]
    fn a_wrong_drive_comes_before_everything_else_and_both_are_named() {
        for doing in [Doing::Copying, Doing::Done, Doing::Faulted, Doing::Waiting] {
            let next = next(&at(Some("SN-2"), doing), Some("SN-1"));
            assert!(next.starts_with("Take the drive out") && next.contains("SN-1") && next.contains("SN-2"));
        }
    }

    #[test]
    fn what_is_to_be_done_follows_what_is_there() {
        assert_eq!(next(&at(None, Doing::Empty), None), "Assign a drive from the shelf.");
        assert_eq!(next(&at(None, Doing::Empty), Some("SN-1")), "Insert drive SN-1.");
        assert!(next(&at(Some("SN-1"), Doing::Done), Some("SN-1")).contains("pack"));
        assert!(next(&at(Some("SN-1"), Doing::Copying), Some("SN-1")).contains("Leave the drive in"));
        assert!(next(&at(Some("SN-1"), Doing::Waiting), None).contains("Scan drive SN-1"));
        let held = BayNow { limited_by: Some(Limit::Customer), ..at(Some("SN-1"), Doing::Waiting) };
        assert!(next(&held, Some("SN-1")).contains("on hold"));
    }
}
