//! What every ledger promises of jobs, custody, secrets, tokens and events, as tests.
//!
//! Implement [`OfficeStore`], then name [`crate::office_conformance_suite!`] once in a test file.

mod access;
mod changes;
mod claims;
mod custody;
mod events;
mod lists;
mod storms;
mod upkeep;

use std::sync::Arc;

use ::custody::Draft;
use async_trait::async_trait;
use model::DriveId;
use model::job::JobKey;

pub use access::*;
pub use changes::*;
pub use claims::*;
pub use custody::*;
pub use events::*;
pub use lists::*;
pub use storms::*;
pub use upkeep::*;

use crate::{ApplyError, Change, DriveRow, EventDraft, JobRow, JobWrite, Ledger, SealedSecret, Timer};

/// An empty store of the implementation under test.
#[async_trait]
pub trait OfficeStore: Send + Sync {
    /// Opens it, as another process would.
    async fn open(&self) -> Arc<dyn Ledger>;

    /// Executes a statement past the ledger, as somebody with the database's password would.
    ///
    /// # Errors
    /// With what the database says.
    async fn tamper(&self, statement: &'static str) -> Result<(), String>;
}

/// Makes a test of each promise; the expression makes a fresh [`OfficeStore`]. One that may be missing
/// on a machine is made by `|test| future`, of the test's name, which gives none when it is.
#[macro_export]
macro_rules! office_conformance_suite {
    (|$test:ident| $store:expr) => {
        $crate::office_conformance_suite! { @promises @maybe ($test, $store) }
    };
    ($store:expr) => {
        $crate::office_conformance_suite! { @promises @each ($store) }
    };
    (@promises @$how:ident $store:tt) => {
        $crate::office_conformance_suite! { @$how $store;
            a_job_reads_back_as_it_was_written
            a_job_is_found_in_any_spelling_and_keeps_its_first
            a_second_job_of_a_name_is_refused
            a_job_is_changed_only_from_its_last_version
            of_changes_at_once_one_is_applied
            a_deleted_job_takes_all_but_its_custody_with_it
            a_drive_is_in_one_active_job_at_most
            a_refused_change_leaves_nothing_behind
            a_change_that_cannot_be_stored_is_refused
            a_repeated_request_gets_its_answer_again
            pages_are_complete_and_in_order_while_jobs_are_made_and_deleted
            lists_are_of_a_scope_a_state_and_a_type
            a_page_is_never_longer_than_the_limit
            names_that_cannot_be_find_nothing
            drives_and_parcels_are_found_in_active_jobs
            active_drives_are_listed_by_serial_number
            timers_are_due_in_order_and_stay_until_the_job_drops_them
            a_drive_is_claimed_by_one_at_a_time
            the_oldest_drive_is_claimed_first_and_only_where_it_is
            a_drive_that_was_seen_is_claimed_wherever_it_was
            a_lease_that_ended_goes_to_another_station_with_a_higher_fence
            a_stale_fence_is_refused_everywhere
            a_released_drive_is_free_at_once
            a_job_that_is_made_anew_does_not_know_old_claims
            of_many_who_claim_at_once_each_gets_another_drive
            custody_is_a_chain_without_gaps
            writers_at_once_never_fork_a_chain
            stations_have_chains_of_their_own
            custody_of_a_job_is_read_in_any_spelling_and_in_pages
            nobody_changes_or_deletes_custody
            checkpoints_are_kept
            secrets_are_replaced_deleted_and_gone_with_their_job
            secrets_are_wrapped_anew_unless_they_were_replaced
            a_secret_is_replaced_only_where_it_is_what_was_seen
            tokens_are_found_by_their_hash_and_revoked_once
            events_have_consecutive_numbers_in_the_order_of_changes
            changes_at_once_number_their_events_without_gaps
            a_web_hook_is_taken_by_one_and_moves_on
            a_web_hook_that_failed_waits
            a_web_hook_that_was_changed_is_not_moved_by_an_old_delivery
            old_events_are_forgotten_once_web_hooks_have_them
            events_from_the_future_keep_no_others
            an_answer_is_forgotten_when_its_time_is_over
            tokens_are_forgotten_long_after_their_end
            outcomes_are_forgotten_long_after_their_run
            a_change_that_is_given_up_is_there_whole_or_not_at_all
            whatever_is_done_at_once_ends_well
            random_changes_come_to_the_same_as_without_a_store
        }
    };
    (@each ($store:expr); $($name:ident)+) => {
        $(#[tokio::test(flavor = "multi_thread")]
        async fn $name() {
            $crate::conformance::office::$name(&$store).await;
        })+
    };
    (@maybe $store:tt; $($name:ident)+) => {
        $($crate::office_conformance_suite! { @one $store $name })+
    };
    (@one ($test:ident, $store:expr) $name:ident) => {
        #[tokio::test(flavor = "multi_thread")]
        async fn $name() {
            let $test = stringify!($name);
            if let Some(store) = $store.await {
                $crate::conformance::office::$name(&store).await;
            }
        }
    };
}

/// Some time.
pub const T0: i64 = 1_800_000_000_000;

/// A job's key.
pub fn job_key(name: &str) -> JobKey {
    JobKey::new("1a2b", "Yard", name)
}

/// A serial number.
pub fn serial(number: u32) -> DriveId {
    DriveId::new(&format!("WD-{number:04}")).expect("not empty")
}

/// A drive that waits for work.
pub fn waiting_drive(number: u32) -> DriveRow {
    DriveRow {
        drive_id: serial(number),
        state: "Received".to_owned(),
        station: None,
        bay: None,
        claimable: true,
        document: "{}".to_owned(),
    }
}

/// An active job with these drives.
pub fn job_row(name: &str, drives: &[u32]) -> JobRow {
    JobRow {
        key: job_key(name),
        location: "West US".to_owned(),
        storage_account: "/subscriptions/1a2b/…/account".to_owned(),
        job_type: "Import".to_owned(),
        state: "Creating".to_owned(),
        active: true,
        tracking_numbers: Vec::new(),
        version: 1,
        created_unix_ms: T0,
        updated_unix_ms: T0,
        document: "{\"jobType\":\"Import\"}".to_owned(),
        drives: drives.iter().copied().map(waiting_drive).collect(),
        timers: Vec::new(),
    }
}

fn timer(kind: &str, due_unix_ms: i64) -> Timer {
    Timer { kind: kind.to_owned(), due_unix_ms }
}

/// A change that makes a job.
pub fn insertion(row: &JobRow) -> Change {
    Change { job: Some(JobWrite::Insert(row.clone())), ..Change::default() }
}

fn update(row: &JobRow, expected_version: i64) -> Change {
    Change { job: Some(JobWrite::Update { row: row.clone(), expected_version }), ..Change::default() }
}

fn deletion(name: &str, expected_version: i64) -> Change {
    Change { job: Some(JobWrite::Delete { key: job_key(name), expected_version }), ..Change::default() }
}

/// Something that somebody did.
pub fn draft(action: &str, job: Option<&JobKey>) -> Draft {
    Draft {
        at_unix_ms: T0,
        actor: "kl".to_owned(),
        roles: vec!["receiver".to_owned()],
        action: action.to_owned(),
        job: job.map(JobKey::arm_id),
        drive: Some("WD-0001".to_owned()),
        bay: None,
        before: None,
        after: Some("Received".to_owned()),
        reason: None,
        files: Vec::new(),
    }
}

/// A change that only records.
pub fn recorded(chain: &str, drafts: Vec<Draft>) -> Change {
    Change { chain: chain.to_owned(), custody: drafts, ..Change::default() }
}

fn event(kind: &str) -> EventDraft {
    EventDraft {
        at_unix_ms: T0,
        kind: kind.to_owned(),
        job: Some(job_key("One").arm_id()),
        drive: Some("WD-0001".to_owned()),
        bay: None,
        body: serde_json::json!({"state": "Received", "n": 1}),
    }
}

fn sealed(name: &str, job: Option<&str>, content: &str) -> SealedSecret {
    SealedSecret {
        name: name.to_owned(),
        job: job.map(job_key),
        master_key_id: "master-1".to_owned(),
        sealed: content.as_bytes().to_vec(),
    }
}

async fn apply(ledger: &dyn Ledger, change: &Change) {
    ledger.apply(change).await.expect("it is applied");
}

async fn refusal(ledger: &dyn Ledger, change: &Change) -> ApplyError {
    ledger.apply(change).await.expect_err("it is refused")
}

async fn read(ledger: &dyn Ledger, name: &str) -> Option<JobRow> {
    ledger.job(&job_key(name)).await.expect("readable")
}
