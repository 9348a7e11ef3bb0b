//! The task that owns one drive.

pub mod plan;
