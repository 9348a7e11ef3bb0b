//! What the whole-system tests share: where the workspace is, its crates, its source files.
//!
//! The tests themselves are under `tests/`: `architecture` (who may depend on whom), `sources`
//! (rules over the text), `dependencies` (licences and sources of what we take from others).

pub mod sources;
pub mod workspace;
