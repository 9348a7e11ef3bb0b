//! Lets anyone run the whole of Drayage without hardware: design §10.
//!
//! Owns the Azure endpoint of our own ([`endpoint`]), a Key Vault ([`key_vault`]), packed drives ([`pack`]) and what has to be
//! installed for either ([`setup`]). The command line, `cargo rig`, is the binary of this crate.
//! Everything here is a test double or a tool for developers; nothing that ships depends on it.

pub mod endpoint;
pub mod key_vault;
pub mod pack;
pub mod process;
pub mod setup;

/// Says that a test could not run here, and why, so that it is counted as skipped and not as passed.
///
/// `cargo rig test` collects these lines (libtest keeps them until the test has ended) and lists them in its
/// summary. A crate that cannot depend on the rig prints the same line itself.
///
/// ```
/// rig::skipped("a_blob_lands_in_azurite", "azurite is not installed");
/// ```
pub fn skipped(test: &str, why: &str) {
    eprintln!("skipped: {test}: {why}");
}
