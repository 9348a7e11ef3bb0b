//! Secrets at rest: envelope encryption, where the master key comes from, and its rotation.

#![forbid(unsafe_code)]
