//! One drive's way through an import, as a pure state machine.
//!
//! ```text
//!            ┌────────────────────────────── Refused ──────────────────────────────┐
//!            │            │             │              │                            ▼
//! Arrived ─▶ Recognised ─▶ Unlocked ─▶ Proven ─▶ Copying ─▶ Logging{status} ─▶ Ended{status}
//!    │            │             │              │          │
//!    └────────────┴─── Held / Lost / Stopped ──┴──────────┴──────────────▶ Suspended{reason}
//! ```
//!
//! [`Drive::step`] takes an event and answers the next action. The task that owns the drive steps,
//! saves, then acts; a suspended drive is started again from [`Drive::arrived`] and the ledger
//! tells what is already done. The order of the checks is azure-import-export.md §1.13.

use crate::status::{DriveStatus, DriveTally};

/// Where a drive is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Phase {
    /// In the bay, nothing known yet.
    Arrived,
    /// Serial number and header agree with the job; a BitLocker volume was found.
    Recognised,
    /// The volume is open and is NTFS.
    Unlocked,
    /// The manifest is the one of the job and keeps the format's rules.
    Proven,
    /// The destination answers; blobs are being copied.
    Copying,
    /// Every blob has its outcome (or the drive was refused): logs are being written.
    Logging {
        /// What the logs will say.
        status: DriveStatus,
    },
    /// Logs have landed. Final.
    Ended {
        /// What the logs say.
        status: DriveStatus,
    },
    /// Stopped before its end; nothing that was done is lost.
    Suspended {
        /// Why.
        reason: Suspension,
    },
}

/// Why a drive stopped before its end.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Suspension {
    /// The customer can mend it: credential, firewall, full account.
    HeldForCustomer,
    /// The drive can no longer be read: pulled, or dead.
    DriveLost,
    /// The operator or the service manager asked.
    Stopped,
    /// The station itself is broken.
    StationFault,
    /// The station could not renew its lease on the drive: another one may have it by now.
    TakenOver,
}

/// What the task has seen.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Event {
    /// The current phase's work is done, and well.
    Done,
    /// All blobs have an outcome.
    Copied(DriveTally),
    /// The drive is refused with this status, and every blob with it.
    Refused(DriveStatus),
    /// Work had to stop.
    Suspended(Suspension),
}

/// What the task does next.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Action {
    /// Compare serial number and header, find the BitLocker volume.
    Recognise,
    /// Open the volume with the job's key, read NTFS.
    Unlock,
    /// Read the manifest, compare its hash, check its rules.
    ProveManifest,
    /// See whether the destination takes our credential.
    ProbeDestination,
    /// Copy every blob that has no outcome yet.
    Copy,
    /// Write the logs and upload them.
    WriteLogs {
        /// What they say.
        status: DriveStatus,
    },
    /// Nothing more to do.
    Rest,
}

/// An event that the phase cannot have: a mistake of ours, never of the world.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("a drive in phase {phase:?} cannot see {event:?}")]
pub struct ImpossibleEvent {
    /// Where the drive was.
    pub phase: Phase,
    /// What it was told.
    pub event: Event,
}

/// A drive's phase; changed only by [`Drive::step`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Drive {
    phase: Phase,
}

impl Drive {
    /// A drive that has just been put in, and what to do first.
    pub fn arrived() -> (Drive, Action) {
        (Drive { phase: Phase::Arrived }, Action::Recognise)
    }

    /// Where the drive is.
    pub fn phase(self) -> Phase {
        self.phase
    }

    /// Takes an event; gives the drive's next phase and what to do in it.
    ///
    /// # Errors
    /// When the phase cannot have that event; the drive stays as it was.
    pub fn step(self, event: Event) -> Result<(Drive, Action), ImpossibleEvent> {
        use Phase::{Arrived, Copying, Ended, Logging, Proven, Recognised, Suspended, Unlocked};
        let (phase, action) = match (self.phase, event) {
            (Ended { .. } | Suspended { .. }, _) => return Err(ImpossibleEvent { phase: self.phase, event }),
            (_, Event::Suspended(reason)) => (Suspended { reason }, Action::Rest),
            (Arrived, Event::Done) => (Recognised, Action::Unlock),
            (Recognised, Event::Done) => (Unlocked, Action::ProveManifest),
            (Unlocked, Event::Done) => (Proven, Action::ProbeDestination),
            (Proven, Event::Done) => (Copying, Action::Copy),
            (Copying, Event::Copied(tally)) => log(tally.status()),
            (Logging { status }, Event::Done) => (Ended { status }, Action::Rest),
            (Arrived | Recognised | Unlocked | Proven, Event::Refused(status)) => log(status),
            (Arrived | Recognised | Unlocked | Proven | Logging { .. }, Event::Copied(_))
            | (Copying, Event::Done | Event::Refused(_))
            | (Logging { .. }, Event::Refused(_)) => {
                return Err(ImpossibleEvent { phase: self.phase, event });
            }
        };
        Ok((Drive { phase }, action))
    }
}

fn log(status: DriveStatus) -> (Phase, Action) {
    (Phase::Logging { status }, Action::WriteLogs { status })
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::status::BlobStatus;

    #[test]
    fn an_undisturbed_drive_does_each_action_once_in_order() {
        let (mut drive, mut action) = Drive::arrived();
        let mut actions = vec![action];
        let events = [
            Event::Done,
            Event::Done,
            Event::Done,
            Event::Done,
            Event::Copied(DriveTally::default()),
            Event::Done,
        ];
        for event in events {
            (drive, action) = drive.step(event).unwrap();
            actions.push(action);
        }
        let status = DriveStatus::Completed;
        assert_eq!(drive.phase(), Phase::Ended { status });
        assert_eq!(
            actions,
            [
                Action::Recognise,
                Action::Unlock,
                Action::ProveManifest,
                Action::ProbeDestination,
                Action::Copy,
                Action::WriteLogs { status },
                Action::Rest
            ]
        );
    }

    #[test]
    fn a_refused_drive_is_logged_with_its_reason_and_never_copied() {
        let (drive, _) = Drive::arrived();
        let (drive, _) = drive.step(Event::Done).unwrap();
        let status = DriveStatus::BitLockerKeyInvalid;
        let (drive, action) = drive.step(Event::Refused(status)).unwrap();
        assert_eq!(action, Action::WriteLogs { status });
        let (drive, action) = drive.step(Event::Done).unwrap();
        assert_eq!((drive.phase(), action), (Phase::Ended { status }, Action::Rest));
    }

    fn any_event() -> impl Strategy<Value = Event> {
        let mut failed = DriveTally::default();
        failed.add(BlobStatus::Failed, None);
        prop_oneof![
            4 => Just(Event::Done),
            2 => Just(Event::Copied(failed)),
            1 => Just(Event::Refused(DriveStatus::ManifestCorrupted)),
            1 => Just(Event::Suspended(Suspension::DriveLost)),
        ]
    }

    proptest! {
        #[test]
        fn whatever_happens_copying_follows_proof_and_the_end_is_final(events in prop::collection::vec(any_event(), 0..20)) {
            let (mut drive, action) = Drive::arrived();
            let mut done = vec![action];
            for event in events {
                let before = drive;
                match drive.step(event) {
                    Ok((next, action)) => {
                        let ended = matches!(before.phase(), Phase::Ended { .. } | Phase::Suspended { .. });
                        prop_assert!(!ended);
                        drive = next;
                        done.push(action);
                    }
                    Err(impossible) => prop_assert_eq!(impossible.phase, before.phase()),
                }
            }
            let copied_at = done.iter().position(|action| *action == Action::Copy);
            let proven_at = done.iter().position(|action| *action == Action::ProveManifest);
            if let Some(copied_at) = copied_at {
                prop_assert!(proven_at.is_some_and(|proven_at| proven_at < copied_at));
            }
            let logged_count = done.iter().filter(|action| matches!(action, Action::WriteLogs { .. })).count();
            prop_assert!(logged_count <= 1);
        }
    }
}
