//! The crate against servers: a recorder that misbehaves on demand, TLS with a CA of its own, and
//! Azurite. One program, so that everything is linked once.

mod azurite;
mod download;
mod faults;
mod key_vault;
mod secrets;
mod server;
mod support;
mod tls;
mod traps;
mod wire;
