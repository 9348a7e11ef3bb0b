//! What the whole-system tests share.
//!
//! The tests themselves are under `tests/`: `architecture` (who may depend on whom), `sources`
//! (rules over the text), `dependencies` (licences and sources of what we take from others), and
//! the ingest from a drive to an account, which stands on [`stand`], [`drives`], [`azurite`],
//! [`logs`] and [`tamper`]; the way there and back, from `driveprep` to an account, on [`packing`].

pub mod azurite;
pub mod drives;
pub mod house;
pub mod http;
pub mod logs;
pub mod memory;
pub mod others;
pub mod packing;
pub mod program;
pub mod sources;
pub mod stand;
pub mod tamper;
pub mod workspace;
