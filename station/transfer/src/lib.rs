//! The task that owns one drive: every byte's way from the platter to the account.
//!
//! ```text
//! Blob ──plan──▶ Chunk ──read──▶ Filled ──digest──▶ Verified ──put──▶ Landed ──commit──▶ Outcome ──▶ ledger ──▶ copy log
//! ```
//!
//! Read five files top to bottom and you have seen a byte's life:
//!
//! | arrow | file | the type that proves it |
//! | --- | --- | --- |
//! | plan | [`proof::plan`], fed by [`window`] | [`proof::plan::Span`]: places, in the drive's order |
//! | read | `block::reader`, fed by [`copy`] | [`proof::verify::Filled`]: a buffer whose reads are done |
//! | digest | [`proof::verify`], arithmetic in `digests` | [`proof::verify::Verified`]: matches the customer's MD5 |
//! | put | [`put`]; one-block blobs [`whole`], page blobs [`page`] | the chunk's end in [`blob::Blob`] |
//! | commit | [`commit`], names by [`target`] | [`outcome::Verdict`], saved in the ledger |
//! | log | [`logs`] | the customer's receipt |
//!
//! Around them: [`task`] walks a drive through its phases, [`proof::bring_up`] opens it,
//! [`proof::proven`] holds its manifest, [`copy`] joins the stages, [`run`] is what they share, [`progress`] what they
//! tell.

pub mod blob;
pub mod commit;
pub mod copy;
pub mod cpu;
pub mod logs;
pub mod outcome;
pub mod page;
pub mod progress;
pub mod put;
pub mod resume;
pub mod run;
pub mod side;
pub mod target;
pub mod task;
pub mod whole;
pub mod window;
