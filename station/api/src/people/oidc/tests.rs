//! The provider's tokens against a little provider of our own: what counts, and every way in which one can be wrong.

mod good;
mod issuer;
mod provider;
mod wrong;
