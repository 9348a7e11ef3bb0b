//! Finds before a byte is written what the station would refuse later: by the same code, and by the
//! same codes.
//!
//! | to change | open |
//! | --- | --- |
//! | what a finding is, and how many are kept | [`finding`] |
//! | what a scan has to leave out | `sources` |
//!
//! Each rule is a constant beside its check, with the advice that belongs to it.

pub mod finding;
mod sources;

pub use finding::{Code, Finding, Findings, LintRule, Severity};
pub use sources::{ignored_columns, left_out};
