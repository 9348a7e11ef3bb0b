//! The server over real sockets: what goes around a handler, what clients may take, certificates, the local socket.

mod around;
mod clients;
mod configuration;
mod local;
pub(crate) mod rig;
mod stopping;
mod surfaces;
mod tls;
