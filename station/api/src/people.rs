//! Who may do what: roles, operations, the table of the two, and the caller of a request.
//!
//! The invariant: nothing is done for a caller before [`authorise`] allowed it, and what is not in the
//! [table](permissions) is denied. A decision says how far it reaches ([`Reach`]): staff reach every job, a
//! customer only what their subscriptions and resource groups name. Handlers show, list and change only what the
//! reach covers, and answer 404 for the rest: a 403 would tell a customer that somebody else's job exists.
//!
//! Who a caller is, is found out before any handler runs, by the layer in [`crate::server`]; what a job's state
//! allows, and that two steps need two people, is the business of `jobs`.

mod caller;
mod operation;
mod permissions;
mod role;
mod scope;

pub use caller::{Caller, Denied, Needs, authorise, needs};
pub use operation::Operation;
pub use permissions::{Cell, cell};
pub use role::{Role, UnknownRole};
pub use scope::{Grant, NotAGrant, Part, Reach, Scope};

#[cfg(test)]
mod tests;
