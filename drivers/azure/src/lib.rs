//! Azure Blob Storage: block blobs, page blobs, leases, listings, for one account at a time.
//!
//! ```text
//!   Account ── operation (block, page, lease, properties, download, list, container)
//!      │            makes a Call: path, query, headers, body with its MD5
//!      ▼
//!   exchange ── permit (limiter) ─▶ azure_core pipeline ─▶ answer ─▶ judge (retry) ─▶ result
//!                                     │ per try: Shared Key | SAS | token
//!                                     ▼
//!                                  transport: one reqwest client, HTTP/1.1, rustls
//! ```
//! To change what a credential may look like open `credential`; the signature, `shared_key`; when a
//! request is repeated, `retry`; how an answer is understood, `error`; the wire, `transport`. Beside it,
//! [`KeyVault`] wraps keys by a key in Azure Key Vault, over the same transport: `key_vault`.
//!
//! # Why the pipeline and not the generated client
//! Requests are built here and sent through `azure_core`'s pipeline; `azure_storage_blob`'s calls
//! are not used. They cannot say how often a request was tried and whether an earlier try may have
//! landed, which decides what a conflict means; they decide the URL's bytes, which Shared Key
//! signs; each hides the service's code behind its own parsing; and they bring 22,000 lines for
//! some twenty requests. The pipeline keeps what is worth sharing with the official SDK: policies,
//! identities with their token cache, redacting logs, and a place for Azure Files later.
//!
//! # What every operation promises
//! Data goes with its MD5. A try is limited by the size of what it moves, never by a pause in it.
//! What may get better is repeated, boundedly, with `Retry-After` as the lower bound of the pause;
//! what may not is reported at once. An error says what it leads to ([`StorageError::class`]), how
//! often it was tried, and whether an earlier try may have landed. No secret and no URL is in it.
//!
//! # Limits
//! Metadata names reach the service in lower case (HTTP/1.1 clients of this family send header
//! names so; the service compares them without regard to case). Snapshots are taken,
//! listed and read; append blobs and versions are left alone. Azure Files is not here yet.

#![deny(clippy::unwrap_used, clippy::expect_used, clippy::indexing_slicing, clippy::arithmetic_side_effects)]
#![cfg_attr(
    test,
    allow(
        clippy::unwrap_used,
        clippy::expect_used,
        clippy::indexing_slicing,
        clippy::arithmetic_side_effects,
        reason = "a test that is wrong should fail loudly"
    )
)]

mod account;
mod authorise;
mod blob;
mod block;
mod call;
mod clock;
mod container;
mod counters;
mod credential;
mod download;
mod encode;
mod endpoint;
mod error;
mod exchange;
mod identity;
mod key_vault;
mod lease;
mod limiter;
mod list;
mod page;
mod properties;
mod retry;
mod sas;
mod shared_key;
mod transport;
mod xml;

pub use account::{Account, AccountConfig, AccountFacts, ConfigError, SERVICE_VERSION};
pub use blob::{BlobHeaders, Condition, ETag, HeaderError, LeaseId, NoLeaseId, Stored, Tier};
pub use block::{BLOCKS_MAX, Block, BlockList};
pub use call::Attempts;
pub use clock::{Clock, SystemClock};
pub use container::Creation;
pub use counters::Counters;
pub use credential::{
    AccountKey, CREDENTIAL_VARIABLE, Credential, CredentialError, CredentialSource, CredentialSourceError,
    DEVELOPMENT_ACCOUNT, DEVELOPMENT_KEY,
};
pub use download::{DOWNLOAD_BYTES_MAX, Download};
pub use endpoint::{Endpoint, EndpointError};
pub use error::{ErrorKind, Operation, StorageError};
pub use identity::{IdentityError, IdentitySettings};
pub use key_vault::{
    KeyUrl, KeyUrlError, KeyVault, KeyVaultConfig, KeyVaultConfigError, KeyVaultError, KeyVaultFault,
    VaultKey, WrappedKey,
};
pub use list::{ListedBlob, Listing};
pub use page::{PAGE_BLOB_BYTES_MAX, PAGE_BYTES, PUT_PAGE_BYTES_MAX, PageRange};
pub use properties::{BlobProperties, BlobType, Deletion, LeaseState};
pub use retry::RetryPolicy;
pub use sas::{SasError, SasSigner, SasTerms};
pub use transport::TransportError;
