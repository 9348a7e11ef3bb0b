//! The endpoint from outside, where the conformance suite cannot ask: what it does when told to
//! misbehave, what it keeps, and what is its own.

mod faults;
mod lab;
mod service;
mod store;
