//! Who touched which drive: an append-only hash chain, its signed checkpoints, and a customer's proof.

#![forbid(unsafe_code)]
