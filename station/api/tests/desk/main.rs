//! The station API over real sockets: the server, a ledger on disk, a client.

mod accounts;
mod commands;
mod house;
mod narrowed;
mod roles;
mod schemathesis;
mod streams;
mod troubles;
mod way;
mod webhooks;
