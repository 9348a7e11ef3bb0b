//! An event as it is told: one shape for pages, streams and web-hooks.

use ledger::Event;
use serde::Serialize;
use serde_json::Value;
use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;
use utoipa::ToSchema;

use crate::people::Reach;

/// What happened.
#[derive(Clone, Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
#[schema(as = Event)]
pub struct EventView {
    /// Its number: from 1, without gaps, in the order in which things were saved.
    #[schema(minimum = 1)]
    pub no: i64,
    /// What happened: `drive.received`, `job.stateChanged`, …
    #[serde(rename = "type")]
    pub kind: String,
    /// When, by the station's clock.
    #[schema(format = DateTime)]
    pub at: String,
    /// The job's ARM id.
    pub job: Option<String>,
    /// The drive's serial number.
    pub drive: Option<String>,
    /// The bay.
    pub bay: Option<String>,
    /// Whatever else is told about it.
    pub data: Value,
}

/// Events after a number.
#[derive(Clone, Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct EventPage {
    /// In order.
    pub events: Vec<EventView>,
    /// Ask with `after` this for what comes then.
    pub next: i64,
    /// The oldest number that is kept. If it is more than one above the `after` that was asked with, some are missed.
    pub first: i64,
    /// The newest number.
    pub last: i64,
}

/// Who watches, and what.
#[derive(Clone, Debug)]
pub struct Watch {
    reach: Reach,
    kinds: Vec<String>,
    job: Option<String>,
    drive: Option<String>,
}

impl Watch {
    /// All that the reach covers.
    pub fn new(reach: Reach) -> Self {
        Self { reach, kinds: Vec::new(), job: None, drive: None }
    }

    /// Only what is named: kinds as [`wants`] has them, a job's ARM id, a drive.
    pub fn only(self, kinds: Vec<String>, job: Option<String>, drive: Option<String>) -> Self {
        Self { kinds, job, drive, ..self }
    }

    /// Whether an event is told.
    pub fn sees(&self, event: &Event) -> bool {
        let draft = &event.draft;
        let same_job = |job: &String| draft.job.as_ref().is_some_and(|of| of.eq_ignore_ascii_case(job));
        covers(&self.reach, draft.job.as_deref())
            && wants(&self.kinds, &draft.kind)
            && self.job.as_ref().is_none_or(same_job)
            && self.drive.as_ref().is_none_or(|drive| draft.drive.as_ref() == Some(drive))
    }
}

/// Whether a list of kinds has this one: by its name, or by a `drive.*` for all of a family. An empty list has all.
pub fn wants(kinds: &[String], kind: &str) -> bool {
    let has = |wanted: &String| match wanted.strip_suffix('*') {
        Some(family) => kind.starts_with(family),
        None => wanted == kind,
    };
    kinds.is_empty() || kinds.iter().any(has)
}

/// What is of no job is everybody's who has no limit.
fn covers(reach: &Reach, job: Option<&str>) -> bool {
    reach.is_everything() || job.and_then(group_of).is_some_and(|(of, group)| reach.covers(of, group))
}

/// Subscription and resource group of an ARM id.
pub fn group_of(arm_id: &str) -> Option<(&str, &str)> {
    let mut parts = arm_id.split('/').skip(1);
    let named = |word: Option<&str>, wanted: &str| word.is_some_and(|word| word.eq_ignore_ascii_case(wanted));
    if !named(parts.next(), "subscriptions") {
        return None;
    }
    let subscription = parts.next()?;
    if !named(parts.next(), "resourceGroups") {
        return None;
    }
    Some((subscription, parts.next()?))
}

impl EventView {
    /// How it is told.
    pub fn of(event: Event) -> Self {
        let draft = event.draft;
        Self {
            no: event.no,
            kind: draft.kind,
            at: rfc3339(draft.at_unix_ms),
            job: draft.job,
            drive: draft.drive,
            bay: draft.bay,
            data: draft.body,
        }
    }
}

/// A time of the ledger as APIs write it: RFC 3339 in UTC, with milliseconds.
pub fn rfc3339(unix_ms: i64) -> String {
    let nanos = i128::from(unix_ms) * 1_000_000;
    let time = OffsetDateTime::from_unix_timestamp_nanos(nanos).unwrap_or(OffsetDateTime::UNIX_EPOCH);
    time.format(&Rfc3339).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_family_of_kinds_is_wanted_by_its_beginning() {
        let kinds = ["drive.*".to_owned(), "job.faulted".to_owned()];
        for (kind, wanted) in
            [("drive.received", true), ("job.faulted", true), ("job.created", false), ("drives", false)]
        {
            assert_eq!(wants(&kinds, kind), wanted, "{kind}");
        }
        assert!(wants(&[], "anything"));
    }

    #[test]
    fn the_group_of_an_arm_id_is_found_in_any_spelling_and_nowhere_else() {
        let id = "/SUBSCRIPTIONS/s/resourcegroups/g/providers/Microsoft.ImportExport/jobs/j";
        assert_eq!(group_of(id), Some(("s", "g")));
        for id in ["", "/", "/subscriptions/s", "/subscriptions/s/providers/x", "s/resourceGroups/g"] {
            assert_eq!(group_of(id), None, "{id}");
        }
    }

    #[test]
    fn no_time_is_too_far_away_to_be_written() {
        assert_eq!(rfc3339(1_614_265_330_000), "2021-02-25T15:02:10Z");
        rfc3339(i64::MAX);
        rfc3339(i64::MIN);
    }
}
