//! Statuses as small numbers: ten million rows with the logs' words would be twice as large; and
//! what else stands in the columns of every database.
//!
//! Invariant: a number never changes its meaning; it is in the databases of stations. A new word
//! takes the next free number.

use model::drive::{Phase, Suspension};
use model::status::{BlobStatus, ChunkStatus, DispositionStatus, DriveStatus, SideFileStatus};

/// A word with a number.
pub(crate) trait Code: Sized {
    /// The number.
    fn code(self) -> i64;
    /// The word, if this version knows the number.
    fn from_code(code: i64) -> Option<Self>;
}

macro_rules! codes {
    ($type:ident: $($code:literal $variant:ident,)+) => {
        impl Code for $type {
            fn code(self) -> i64 {
                match self { $($type::$variant => $code,)+ }
            }

            fn from_code(code: i64) -> Option<Self> {
                match code { $($code => Some($type::$variant),)+ _ => None }
            }
        }
    };
}

codes! { DriveStatus:
    0 Completed, 1 CompletedWithWarnings, 2 CompletedWithErrors, 3 DiskNotFound, 4 VolumeNotNtfs,
    5 DiskOperationFailed, 6 BitLockerVolumeNotFound, 7 BitLockerNotActivated, 8 BitLockerProtectorNotFound,
    9 BitLockerKeyInvalid, 10 BitLockerUnlockVolumeFailed, 11 BitLockerFailed, 12 ManifestNameInvalid,
    13 ManifestNameTooLong, 14 ManifestNotFound, 15 ManifestAccessDenied, 16 ManifestCorrupted,
    17 ManifestFormatInvalid, 18 ManifestDriveIdMismatch, 19 ReadManifestFailed, 20 BlobListFormatInvalid,
    21 BlobRequestForbidden, 22 InternalError,
}

codes! { BlobStatus:
    0 Completed, 1 CompletedWithErrors, 2 FileNameInvalid, 3 FileNameTooLong, 4 FileNotFound,
    5 FileAccessDenied, 6 BlobRequestFailed, 7 BlobRequestForbidden, 8 RenameFailed,
    9 BlobUnexpectedChange, 10 LeasePresent, 11 IOFailed, 12 Failed,
}

codes! { ChunkStatus:
    0 Completed, 1 Committed, 2 Uncommitted, 3 Corrupted, 4 FileUnexpectedEnd, 5 BlobUnexpectedEnd,
    6 BlobRequestFailed, 7 IOFailed, 8 Failed, 9 Cancelled,
}

codes! { SideFileStatus:
    0 Completed, 1 FileNameInvalid, 2 FileNameTooLong, 3 FileNotFound, 4 FileAccessDenied, 5 Corrupted,
    6 XmlReadFailed, 7 XmlWriteFailed, 8 BlobRequestFailed, 9 IOFailed, 10 Failed, 11 Cancelled,
}

codes! { DispositionStatus:
    0 Created, 1 Renamed, 2 Skipped, 3 Overwritten, 4 Cancelled,
}

/// More exceptions than any blob has chunks: a damaged row must not fill the memory.
const EXCEPTIONS_MAX: usize = 1 << 24;

/// Chunks with their status as text: runs of equal neighbours, "3-17:2 20:6". None for no chunk.
pub(crate) fn exceptions_text(exceptions: &[(u32, ChunkStatus)]) -> Option<String> {
    let neighbours =
        |a: &(u32, ChunkStatus), b: &(u32, ChunkStatus)| a.0.checked_add(1) == Some(b.0) && a.1 == b.1;
    let items: Vec<String> = exceptions
        .chunk_by(neighbours)
        .map(|run| match (run[0], run[run.len() - 1].0) {
            ((first, status), last) if first == last => format!("{first}:{}", status.code()),
            ((first, status), last) => format!("{first}-{last}:{}", status.code()),
        })
        .collect();
    (!items.is_empty()).then(|| items.join(" "))
}

/// Undoes [`exceptions_text`]; none for a text that it did not write.
pub(crate) fn exceptions_from_text(text: &str) -> Option<Vec<(u32, ChunkStatus)>> {
    let mut exceptions = Vec::new();
    for item in text.split_ascii_whitespace() {
        let (range, code) = item.split_once(':')?;
        let status = ChunkStatus::from_code(code.parse().ok()?)?;
        let (first, last) = range.split_once('-').unwrap_or((range, range));
        let (first, last): (u32, u32) = (first.parse().ok()?, last.parse().ok()?);
        let length = usize::try_from(last.checked_sub(first)?).ok()? + 1;
        if exceptions.len() + length > EXCEPTIONS_MAX {
            return None;
        }
        exceptions.extend((first..=last).map(|index| (index, status)));
    }
    Some(exceptions)
}

/// `runs.state` of a run that has work left.
pub(crate) const RUNNING: i64 = 0;
/// `runs.state` of a run whose logs are written.
pub(crate) const FINISHED: i64 = 1;
/// `runs.state` of a run that was set aside.
pub(crate) const ABANDONED: i64 = 2;

/// A run's id as text.
pub(crate) fn hex(bytes: [u8; 16]) -> String {
    format!("{:032x}", u128::from_be_bytes(bytes))
}

/// Undoes [`hex`].
pub(crate) fn unhex(text: &str) -> Option<[u8; 16]> {
    (text.len() == 32).then(|| u128::from_str_radix(text, 16).ok().map(u128::to_be_bytes)).flatten()
}

/// A phase for a person who looks at the list of runs.
pub(crate) fn phase_text(phase: Phase) -> String {
    match phase {
        Phase::Arrived => "arrived".to_owned(),
        Phase::Recognised => "recognised".to_owned(),
        Phase::Unlocked => "unlocked".to_owned(),
        Phase::Proven => "manifest proven".to_owned(),
        Phase::Copying => "copying".to_owned(),
        Phase::Logging { status } => format!("writing logs: {status}"),
        Phase::Ended { status } => format!("ended: {status}"),
        Phase::Suspended { reason } => format!("suspended: {}", reason_text(reason)),
    }
}

fn reason_text(reason: Suspension) -> &'static str {
    match reason {
        Suspension::HeldForCustomer => "held for the customer",
        Suspension::DriveLost => "the drive was lost",
        Suspension::Stopped => "stopped on request",
        Suspension::StationFault => "the station failed",
        Suspension::TakenOver => "another station may have it",
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn each_has_its_own<T: Code + Copy + PartialEq + std::fmt::Debug>(all: &[T]) {
        for (expected, word) in (0i64..).zip(all) {
            assert_eq!(word.code(), expected, "{word:?}: numbers are as they were first given");
            assert_eq!(T::from_code(expected), Some(*word));
        }
        assert_eq!(T::from_code(-1), None);
        assert_eq!(T::from_code(99), None);
    }

    #[test]
    fn numbers_are_those_of_existing_databases() {
        each_has_its_own(DriveStatus::ALL);
        each_has_its_own(BlobStatus::ALL);
        each_has_its_own(ChunkStatus::ALL);
        each_has_its_own(SideFileStatus::ALL);
        each_has_its_own(DispositionStatus::ALL);
    }

    #[test]
    fn equal_neighbours_become_a_range() {
        use ChunkStatus::{Corrupted, IOFailed};
        let exceptions = [(3, Corrupted), (4, Corrupted), (5, Corrupted), (6, IOFailed), (8, IOFailed)];
        assert_eq!(exceptions_text(&exceptions).as_deref(), Some("3-5:3 6:7 8:7"));
        assert_eq!(exceptions_text(&[]), None);
        assert_eq!(exceptions_text(&[(u32::MAX, IOFailed)]).as_deref(), Some("4294967295:7"));
        for wrong in ["x", "3", "3:99", "3-:2", "5-x:1", "5-4:1", "0-4294967295:1"] {
            assert_eq!(exceptions_from_text(wrong), None, "{wrong}");
        }
    }

    proptest! {
        #[test]
        fn exceptions_read_back_as_written(chunks in prop::collection::btree_map(0u32..300, 0i64..10, 0..200)) {
            let exceptions: Vec<_> = chunks.into_iter().map(|(index, code)| (index, ChunkStatus::from_code(code).unwrap())).collect();
            let text = exceptions_text(&exceptions).unwrap_or_default();
            prop_assert_eq!(exceptions_from_text(&text), Some(exceptions));
        }
    }
}
