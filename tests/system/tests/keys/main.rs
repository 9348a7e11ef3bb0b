//! The master key and customers' keys, as operators of a station deal with them.

mod handbook;
mod key_vault;
mod sealed;
