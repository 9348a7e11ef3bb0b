//! The station over HTTP: the Import/Export ARM surface, the station API, who may do what.

#![forbid(unsafe_code)]

pub mod arm;
pub mod desk;
pub mod events;
pub mod openapi;
pub mod people;
pub mod problem;
pub mod server;
pub mod webhook;
