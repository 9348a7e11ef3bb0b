//! The storage account that previews and repairs talk to.
//!
//! Owns the arguments that name it, and the runtime that its requests run on: only these commands
//! have one. Which exit code a refused request leads to is decided here and nowhere else.

use std::future::Future;
use std::path::PathBuf;

use anyhow::Context;
use azure::{Account, AccountConfig, CredentialSource, Endpoint, StorageError};
use clap::Args;
use model::{Class, Exit};

use crate::failure::Failure;

/// Requests under way at once, as far as a command has that many to send.
pub const REQUESTS_AT_ONCE: usize = 16;

/// Which account, and what opens it. The credential comes from exactly one of the sources, or from
/// DRAYAGE_CREDENTIAL.
#[derive(Debug, Clone, Default, Args)]
pub struct AccountArguments {
    /// The account's blob endpoint, for example `https://ACCOUNT.blob.core.windows.net`
    #[arg(long = "account", alias = "to", value_name = "URL")]
    pub account: String,
    /// File that holds a connection string, an account key or a SAS.
    #[arg(long, value_name = "FILE", conflicts_with = "credential_fd")]
    pub credential_file: Option<PathBuf>,
    /// Open descriptor to read the credential from.
    #[arg(long, value_name = "N")]
    pub credential_fd: Option<i32>,
    /// PEM file of certificate authorities to trust beside the system's.
    #[arg(long, value_name = "FILE")]
    pub ca_file: Option<PathBuf>,
}

impl AccountArguments {
    /// Sets up the connection; sends nothing.
    ///
    /// # Errors
    /// When the address, the credential or the certificates cannot be used.
    pub fn open(&self) -> Result<Account, Failure> {
        self.try_open().map_err(Failure::usage)
    }

    fn try_open(&self) -> anyhow::Result<Account> {
        let endpoint = Endpoint::parse(&self.account).context("--account")?;
        let source = CredentialSource { file: self.credential_file.clone(), descriptor: self.credential_fd };
        let credential = source.read()?;
        let read =
            |path: &PathBuf| std::fs::read(path).with_context(|| format!("reading {}", path.display()));
        let ca_certificates_pem = self.ca_file.as_ref().map(read).transpose()?;
        let config = AccountConfig { ca_certificates_pem, ..AccountConfig::new(endpoint, credential) };
        Ok(Account::new(config)?)
    }
}

/// Runs work that sends requests.
///
/// # Errors
/// The work's own, and when the runtime cannot be started.
pub fn run<T>(work: impl Future<Output = Result<T, Failure>>) -> Result<T, Failure> {
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build();
    let runtime = runtime.context("starting the threads that talk to the account").map_err(Failure::fatal)?;
    runtime.block_on(work)
}

/// A request that ends the command.
pub fn refused(error: StorageError) -> Failure {
    let exit = match error.class() {
        // The driver has repeated it as often as is of use just now.
        Class::RetryRequest | Class::HoldForCustomer => Exit::Retryable,
        Class::FailBlob | Class::FailDrive => Exit::NotRetryable,
        Class::StopStation => Exit::Fatal,
    };
    Failure::new(exit, error)
}
