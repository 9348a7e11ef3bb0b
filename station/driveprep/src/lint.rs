//! Finds before a byte is written what the station would refuse later: by the same code, and by the
//! same codes.
//!
//! | to change | open |
//! | --- | --- |
//! | what a finding is, and how many are kept | [`finding`] |
//! | names at the destination and on the drive | `names` |
//! | lengths | `lengths` |
//! | what clashes with what | `collisions` |
//! | what a scan has to leave out | `sources` |
//! | how findings are shown | [`report`] |
//!
//! Each rule is a constant beside its check, with the advice that belongs to it. Hashes of the drive's
//! own contents, leases and rights at the destination are not known here; the station finds those.

mod collisions;
pub mod finding;
mod lengths;
mod names;
pub mod report;
mod sources;

pub use finding::{Code, Finding, Findings, LintRule, Severity};
pub use sources::{ignored_columns, left_out};

use crate::work::Work;

const NOTHING: LintRule = LintRule {
    severity: Severity::Error,
    rule: "there must be something to pack",
    advice: "check the sources: they hold no file that can be packed",
};

/// What the rules depend on besides the work.
#[derive(Debug, Clone, Default)]
pub struct LintOptions {
    /// The job's SAS is for this container only.
    pub sas_container: Option<String>,
    /// Types were chosen by the files' names, which is worth saying.
    pub kinds_by_name: bool,
}

/// Holds a work to all rules.
pub fn lint(work: &Work, options: &LintOptions, findings: &mut Findings) {
    if work.is_empty() {
        let session = work.session().to_string();
        findings.add(NOTHING, Code::Own("NothingToPack"), || (session, "no file".to_owned()));
    }
    names::check(work, options.sas_container.as_deref(), findings);
    lengths::check(work, findings);
    lengths::grown_blocks(work, findings);
    if options.kinds_by_name {
        lengths::kinds_by_name(work, findings);
    }
    collisions::check(work, findings);
}

#[cfg(test)]
mod tests;
