//! From a device to bytes that are proven to be the customer's.
//!
//! ```text
//! device ──bring_up──▶ OpenDrive, manifest proven ──work──▶ Span ──(caller reads)──▶ Filled ──verify──▶ Verified
//! ```
//!
//! The half of a byte's way that does not depend on where it goes: the station puts what is
//! [`verify::Verified`] into an account, the customer's program counts it before the drive is
//! shipped. Both say the same of a drive because they ask the same code.
//!
//! | to change | open |
//! | --- | --- |
//! | the order of the steps, a step's status | [`bring_up`] |
//! | which bytes of a manifest are believed | [`proven`] |
//! | how a path of the manifest becomes a file | [`mod@file`] |
//! | what a metadata or properties file comes to | [`side`] |
//! | what the blocks and ranges of an entry are | [`chunk`] |
//! | where bytes lie and in which order they are read | [`plan`], fed by [`work`] |
//! | when bytes count as the customer's | [`verify`] |
//!
//! Invariant: nothing is written, and nothing here knows a destination, a job's state or a log.

pub mod bring_up;
pub mod chunk;
pub mod file;
mod header;
pub mod plan;
pub mod proven;
pub mod secrets;
pub mod side;
pub mod verify;
pub mod work;

/// An error with its causes, in one line.
pub fn chain(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        text.push_str(": ");
        text.push_str(&error.to_string());
        cause = error.source();
    }
    text
}
