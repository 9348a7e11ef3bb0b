//! Who may do what: roles, operations, the table of the two, and the caller of a request.
//!
//! The invariant: nothing is done for a caller before [`authorise`] allowed it, and what is not in the
//! table (`permissions`) is denied. A decision says how far it reaches ([`Reach`]): staff reach every job, a
//! customer only what their subscriptions and resource groups name. Handlers show, list and change only what the
//! reach covers, and answer 404 for the rest: a 403 would tell a customer that somebody else's job exists.
//!
//! Who a caller is, the [`Doorkeeper`] finds out before any handler runs: by one of the station's own tokens
//! ([`Tokens`]), the identity provider's ([`oidc`]), or the local socket; [`crate::server`] asks it. What a job's state
//! allows, and that two steps need two people, is the business of `jobs`.

mod caller;
mod doorkeeper;
pub mod oidc;
mod operation;
mod permissions;
#[cfg(test)]
pub(crate) mod pretend_ledger;
mod role;
mod scope;
mod token;
mod tokens;

pub use caller::{Caller, Denied, Needs, authorise, needs};
pub use doorkeeper::{Doorkeeper, Refused};
pub use jobs::{Clock, system_clock};
pub use operation::Operation;
pub use permissions::{Cell, TABLE, cell};
pub use role::{Role, UnknownRole};
pub use scope::{Grant, NotAGrant, Part, Reach, Scope};
pub use token::{NoRandomness, PREFIX, Token};
pub use tokens::{Issued, LIFETIME_MS_MAX, NewToken, TokenError, TokenRefused, Tokens};

#[cfg(test)]
mod tests;
