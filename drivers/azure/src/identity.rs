//! Identities of Microsoft Entra ID: where the tokens come from.
//!
//! Owns the choice of `azure_identity`'s credentials for a daemon and hands them our transport,
//! because the SDK's own is not compiled in. There is no chain that tries one after the other: the
//! configuration names one. Certificates are left out (they need OpenSSL); so is Azure Arc, which
//! `azure_identity` refuses. azure-storage.md §8.

use std::path::PathBuf;
use std::sync::Arc;

use azure_core::cloud::{CloudConfiguration, CustomConfiguration};
use azure_core::credentials::{Secret, TokenCredential};
use azure_core::http::{ClientOptions, ExponentialRetryOptions, RetryOptions, Transport};
use azure_identity::{
    ClientAssertionCredentialOptions, ClientSecretCredential, ClientSecretCredentialOptions,
    ManagedIdentityCredential, ManagedIdentityCredentialOptions, UserAssignedId, WorkloadIdentityCredential,
    WorkloadIdentityCredentialOptions,
};

use crate::credential::Credential;
use crate::transport::{HttpTransport, TransportError, TransportSettings};

/// Repetitions of a token request; the storage request that waits for it has its own time limit.
const RETRIES: u32 = 3;

/// How the identity provider is reached.
#[derive(Debug, Clone, Default)]
pub struct IdentitySettings {
    /// Another cloud's authority, for example `https://login.microsoftonline.us`.
    pub authority: Option<String>,
    /// CA certificates in PEM form that are trusted besides the system's.
    pub ca_certificates_pem: Option<Vec<u8>>,
    /// URL of an HTTP proxy.
    pub proxy: Option<String>,
}

/// Why an identity cannot be set up.
#[derive(Debug, thiserror::Error)]
pub enum IdentityError {
    /// TLS, proxy or HTTP client.
    #[error("setting up the connection to the identity provider")]
    Transport(#[source] TransportError),
    /// Tenant, client or files are not usable.
    #[error("setting up the identity")]
    Identity(#[source] azure_core::Error),
}

impl Credential {
    /// An application with a client secret.
    ///
    /// # Errors
    /// When tenant, client or secret are empty or malformed. Nothing is sent yet.
    pub fn client_secret(
        tenant: &str,
        client: &str,
        secret: &str,
        settings: &IdentitySettings,
    ) -> Result<Credential, IdentityError> {
        let options = ClientSecretCredentialOptions { client_options: settings.client_options()? };
        let secret = Secret::new(secret.to_owned());
        let source = ClientSecretCredential::new(tenant, client.to_owned(), secret, Some(options))
            .map_err(IdentityError::Identity)?;
        Ok(Credential::token(source))
    }

    /// An application whose proof is a token in a file that the platform renews (Kubernetes).
    ///
    /// # Errors
    /// When tenant, client or file are not usable.
    pub fn workload_identity(
        tenant: &str,
        client: &str,
        token_file: PathBuf,
        settings: &IdentitySettings,
    ) -> Result<Credential, IdentityError> {
        let client_options = settings.client_options()?;
        let options = WorkloadIdentityCredentialOptions {
            credential_options: ClientAssertionCredentialOptions { client_options },
            client_id: Some(client.to_owned()),
            tenant_id: Some(tenant.to_owned()),
            token_file_path: Some(token_file),
        };
        let source = WorkloadIdentityCredential::new(Some(options)).map_err(IdentityError::Identity)?;
        Ok(Credential::token(source))
    }

    /// The identity of the virtual machine, or one of its user-assigned ones.
    ///
    /// # Errors
    /// When the machine's kind of identity is not supported.
    pub fn managed_identity(client: Option<&str>) -> Result<Credential, IdentityError> {
        // The metadata service is on the link-local network: no proxy, no TLS.
        let options = ManagedIdentityCredentialOptions {
            user_assigned_id: client.map(|client| UserAssignedId::ClientId(client.to_owned())),
            client_options: client_options(&TransportSettings {
                https: false,
                connections: 1,
                ca_certificates_pem: None,
                proxy: None,
            })?,
        };
        let source: Arc<dyn TokenCredential> =
            ManagedIdentityCredential::new(Some(options)).map_err(IdentityError::Identity)?;
        Ok(Credential::token(source))
    }
}

impl IdentitySettings {
    fn client_options(&self) -> Result<ClientOptions, IdentityError> {
        let options = client_options(&TransportSettings {
            https: true,
            connections: 1,
            ca_certificates_pem: self.ca_certificates_pem.as_deref(),
            proxy: self.proxy.as_deref(),
        })?;
        let cloud = self.authority.as_ref().map(|authority| {
            let mut custom = CustomConfiguration::default();
            custom.authority_host.clone_from(authority);
            Arc::new(CloudConfiguration::Custom(custom))
        });
        Ok(ClientOptions { cloud, ..options })
    }
}

fn client_options(settings: &TransportSettings<'_>) -> Result<ClientOptions, IdentityError> {
    let transport = HttpTransport::new(settings).map_err(IdentityError::Transport)?;
    Ok(ClientOptions {
        retry: RetryOptions::exponential(ExponentialRetryOptions {
            max_retries: RETRIES,
            ..ExponentialRetryOptions::default()
        }),
        transport: Some(Transport::with_policy(Arc::new(transport))),
        ..ClientOptions::default()
    })
}
