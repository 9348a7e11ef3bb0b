//! Secrets at rest: envelope encryption, where the master key comes from, and its rotation.
//!
//! ```text
//! master key file ──load──▶ MasterKeys ──┐
//!   (systemd credential, 0600 file;      │
//!    its keys plain, or wrapped by       │   CustomerKey: a job's own key in Key Vault, if it has one
//!    a key in Key Vault)                 ▼   ▼
//! Secret + Purpose ── Vault::seal ──▶ Sealed, which the ledger stores ── Vault::open ──▶ Secret
//!                                       │    ▲
//!                                       └────┘ Vault::rewrap, after the master key was rotated
//! ```
//! | to change | open |
//! | --- | --- |
//! | the bytes of a sealed secret | [`sealed`] |
//! | what a secret is bound to | [`purpose`] |
//! | the master key's file, generation, rotation | [`master`] |
//! | where the file is looked for | `load` |
//! | a customer's key (`kekUrl`) | `customer` |
//! | how tests look for a secret where none may be | [`planted`] |
//! | what counts as a private file | [`private_file`] |
//!
//! Invariants: a secret in memory is zeroed when it is dropped, and has neither `Debug` nor `Clone` nor
//! `Serialize`; a sealed secret opens only for the [`Purpose`] it was sealed for; no error quotes a
//! secret. What is beyond us: copies that the allocator, the kernel's page cache or a swap partition
//! keep; [`harden_process`] keeps them out of core dumps. design §7.

#![forbid(unsafe_code)]

mod aead;
mod customer;
mod harden;
mod load;
pub mod master;
pub mod planted;
pub mod private_file;
pub mod purpose;
pub mod sealed;
mod secret;
mod vault;

pub use customer::{CustomerKey, CustomerKeyError};
pub use harden::{HardenError, harden_process};
pub use load::{CREDENTIAL_NAME, KeySource, LoadError, Sources};
pub use master::{KeyFile, KeyFileChangeError, KeyId, Listed, MasterKeys};
pub use purpose::Purpose;
pub use sealed::{Malformed, Sealed};
pub use secret::{NotText, Secret};
pub use vault::{OpenError, SealError, Vault};
