//! What a process that holds secrets does first: see to it that its memory is written nowhere.

use rustix::process::{DumpableBehavior, Resource, Rlimit, set_dumpable_behavior, setrlimit};

/// The kernel refused. Nothing is wrong with the secrets yet; a daemon should not start this way.
#[derive(Debug, thiserror::Error)]
#[error("keeping this process's memory out of core dumps ({step})")]
pub struct HardenError {
    /// Which of the two.
    step: &'static str,
    #[source]
    source: rustix::io::Errno,
}

/// Keeps this process out of core dumps, and out of reach of other processes of the same user.
///
/// `PR_SET_DUMPABLE` 0 does both; the core limit of 0 says it again for programs started from here.
/// What it costs: `/proc/self` belongs to root afterwards, so the owner cannot attach a debugger.
///
/// # Errors
/// When the kernel refuses.
pub fn harden_process() -> Result<(), HardenError> {
    set_dumpable_behavior(DumpableBehavior::NotDumpable)
        .map_err(|source| HardenError { step: "PR_SET_DUMPABLE", source })?;
    setrlimit(Resource::Core, Rlimit { current: Some(0), maximum: Some(0) })
        .map_err(|source| HardenError { step: "RLIMIT_CORE", source })
}
