//! One list of behaviour checks in raw HTTP, run against this endpoint and against Azurite.

pub mod client;
pub mod sign;
