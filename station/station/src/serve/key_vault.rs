//! `[keys]`: where the master key is, which Key Vault key guards it, and who asks Key Vaults.
//!
//! The key file (or the service manager's credential) always has the keys; `key_vault` says that the one
//! which seals must be wrapped there. Invariants: what is wrong is found without asking anybody over the
//! network; the station's token goes to Azure's own domains and to hosts that `trusted_vaults` names,
//! whatever a customer's `kekUrl` says ([`azure::KeyUrl`]). Secrets are in files that are named here.

use std::path::{Path, PathBuf};

use anyhow::Context;
use azure::{Credential, IdentitySettings, KeyUrl, KeyVault, KeyVaultConfig};
use keys::private_file::{self, Keeper};
use keys::{KeySource, Sources};
use model::job::{Identity, IdentityKind};
use serde::Deserialize;

/// Where the master key is, and the identity that Key Vaults are asked with.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct KeysConfig {
    /// A key file that only this user can read [default: the service manager's credential].
    pub file: Option<PathBuf>,
    /// The URL of the Key Vault key that the master key which seals must be wrapped by.
    pub key_vault: Option<String>,
    /// Whether a job may name its customer's key (`kekType` `CustomerManaged`).
    pub customer_keys: bool,
    /// Hosts that are Key Vaults besides those in Azure's own domains, as `host` or `host:port`.
    pub trusted_vaults: Vec<String>,
    /// PEM file of certificate authorities to trust at vaults and identity provider beside the system's.
    pub ca_file: Option<PathBuf>,
    /// Who asks Key Vaults.
    pub identity: Option<IdentityConfig>,
}

/// An identity of Microsoft Entra ID.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct IdentityConfig {
    /// What proves it.
    pub kind: Proof,
    /// The application's id; of a managed identity only where it is a user-assigned one.
    pub client_id: Option<String>,
    /// The tenant.
    pub tenant_id: Option<String>,
    /// The file with a token that the platform renews.
    pub token_file: Option<PathBuf>,
    /// The private file with the client's secret.
    pub secret_file: Option<PathBuf>,
    /// The identity provider of another cloud.
    pub authority: Option<String>,
    /// The object id that customers grant the rights to: jobs show it as `identity.principalId`.
    pub principal_id: Option<String>,
}

/// What proves an identity.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Proof {
    /// The machine's own identity.
    Managed,
    /// A token in a file, as Kubernetes writes it.
    Workload,
    /// A secret in a file.
    ClientSecret,
}

/// A key of the configuration, and what is wrong with it.
#[derive(Debug, thiserror::Error)]
#[error("keys.{key}: {cause:#}")]
pub struct Wrong {
    key: &'static str,
    cause: anyhow::Error,
}

/// Marks an error with the key that it is about.
fn wrong<E: Into<anyhow::Error>>(key: &'static str) -> impl Fn(E) -> Wrong {
    move |error| Wrong { key, cause: error.into() }
}

impl KeysConfig {
    /// Everything that is wrong with it; files that it names are read, and nobody is asked.
    pub fn problems(&self) -> Vec<String> {
        let mut problems = Vec::new();
        let needs = [("key_vault", self.key_vault.is_some()), ("customer_keys", self.customer_keys)];
        for (key, _) in needs.iter().filter(|(_, is_set)| *is_set && self.identity.is_none()) {
            problems.push(format!("keys.{key}: needs an identity to ask Key Vault with: [keys.identity]"));
        }
        for host in self.trusted_vaults.iter().filter(|host| !is_authority(host)) {
            problems.push(format!("keys.trusted_vaults: {host:?} is neither `host` nor `host:port`"));
        }
        problems.extend(self.identity.iter().flat_map(IdentityConfig::problems));
        problems.extend(self.wrapping_key().err().map(|error| error.to_string()));
        // What is built of parts that are wrong would only repeat it.
        if problems.is_empty() {
            problems.extend(self.vault_client().err().map(|error| error.to_string()));
        }
        problems
    }

    /// Looks at the key file as a start will, but asks no Key Vault. The service manager's credential is there for
    /// the service alone, and what is wrong with `[keys]` itself is [`KeysConfig::problems`]'s.
    ///
    /// # Errors
    /// Why the keys will not be loaded.
    pub fn check_file(&self) -> anyhow::Result<()> {
        match (&self.file, self.sources()) {
            (Some(_), Ok(sources)) => Ok(sources.check()?),
            _ => Ok(()),
        }
    }

    /// Where the master keys are loaded from.
    ///
    /// # Errors
    /// What of the configuration cannot be used.
    pub fn sources(&self) -> Result<Sources, Wrong> {
        let sources = Sources::new(match &self.file {
            Some(path) => KeySource::File(path.clone()),
            None => KeySource::SystemdCredential,
        });
        let sources = match self.vault_client()? {
            Some(key_vault) => sources.with_key_vault(key_vault),
            None => sources,
        };
        Ok(match self.wrapping_key()? {
            Some(key) => sources.wrapped_by(key),
            None => sources,
        })
    }

    /// The identity that customers grant the use of their keys to; none when such keys are not offered.
    pub fn customer_keys(&self) -> Option<Identity> {
        let identity = self.identity.as_ref().filter(|_| self.customer_keys)?;
        Some(Identity {
            kind: IdentityKind::SystemAssigned,
            principal_id: identity.principal_id.clone(),
            tenant_id: identity.tenant_id.clone(),
        })
    }

    /// Who wraps new master keys, and with which key.
    ///
    /// # Errors
    /// When none is configured, or what is cannot be used.
    pub fn wrapping(&self) -> Result<(KeyVault, KeyUrl), Wrong> {
        let absent = || Wrong { key: "key_vault", cause: anyhow::anyhow!("names no key to wrap with") };
        let key = self.wrapping_key()?.ok_or_else(absent)?;
        let client = self.vault_client()?.ok_or_else(|| Wrong {
            key: "identity",
            cause: anyhow::anyhow!("is needed to ask Key Vault with"),
        })?;
        Ok((client, key))
    }

    fn wrapping_key(&self) -> Result<Option<KeyUrl>, Wrong> {
        let parse = |text: &String| KeyUrl::parse(text, &self.trusted_vaults);
        self.key_vault.as_ref().map(parse).transpose().map_err(wrong("key_vault"))
    }

    fn vault_client(&self) -> Result<Option<KeyVault>, Wrong> {
        let Some(identity) = &self.identity else { return Ok(None) };
        let read = |path: &PathBuf| {
            std::fs::read(path).with_context(|| format!("{} cannot be read", path.display()))
        };
        let ca_certificates_pem = self.ca_file.as_ref().map(read).transpose().map_err(wrong("ca_file"))?;
        let config = KeyVaultConfig {
            trusted_hosts: self.trusted_vaults.clone(),
            ca_certificates_pem: ca_certificates_pem.clone(),
            ..KeyVaultConfig::new(identity.credential(ca_certificates_pem)?)
        };
        KeyVault::new(config).map(Some).map_err(wrong("ca_file"))
    }
}

impl IdentityConfig {
    /// What its kind needs and is not there, and what is there and says nothing to it.
    fn problems(&self) -> Vec<String> {
        let (needed, possible): (&[&str], &[&str]) = match self.kind {
            Proof::Managed => (&[], &["client_id", "tenant_id"]),
            Proof::Workload => (&["client_id", "tenant_id", "token_file"], &["authority"]),
            Proof::ClientSecret => (&["client_id", "tenant_id", "secret_file"], &["authority"]),
        };
        let given = [
            ("client_id", self.client_id.is_some()),
            ("tenant_id", self.tenant_id.is_some()),
            ("token_file", self.token_file.is_some()),
            ("secret_file", self.secret_file.is_some()),
            ("authority", self.authority.is_some()),
        ];
        let judge = |(key, is_given): (&str, bool)| match (is_given, needed.contains(&key)) {
            (false, true) => Some(format!("keys.identity.{key}: this kind of identity needs it")),
            (true, false) if !possible.contains(&key) => {
                Some(format!("keys.identity.{key}: belongs to another kind of identity"))
            }
            _ => None,
        };
        let mut problems: Vec<String> = given.into_iter().filter_map(judge).collect();
        if self.authority.as_ref().is_some_and(|text| !text.starts_with("https://")) {
            problems.push("keys.identity.authority: begins with https://".to_owned());
        }
        problems
    }

    fn credential(&self, ca_certificates_pem: Option<Vec<u8>>) -> Result<Credential, Wrong> {
        let settings =
            IdentitySettings { authority: self.authority.clone(), ca_certificates_pem, proxy: None };
        let text = |field: &Option<String>| field.clone().unwrap_or_default();
        let (tenant, client) = (text(&self.tenant_id), text(&self.client_id));
        let credential = match self.kind {
            Proof::Managed => Credential::managed_identity(self.client_id.as_deref()),
            Proof::Workload => {
                let path = self.token_file.clone().unwrap_or_default();
                std::fs::metadata(&path)
                    .with_context(|| format!("{} cannot be read", path.display()))
                    .map_err(wrong("identity.token_file"))?;
                Credential::workload_identity(&tenant, &client, path, &settings)
            }
            Proof::ClientSecret => {
                let path = self.secret_file.as_deref().unwrap_or(Path::new(""));
                let secret =
                    private_file::read(path, Keeper::Ourselves).map_err(wrong("identity.secret_file"))?;
                let secret = std::str::from_utf8(&secret).map_err(wrong("identity.secret_file"))?;
                Credential::client_secret(&tenant, &client, secret.trim(), &settings)
            }
        };
        credential.map_err(wrong("identity"))
    }
}

/// Whether a text is a host with or without a port, and nothing that a URL would read otherwise.
fn is_authority(text: &str) -> bool {
    let Ok(url) = reqwest::Url::parse(&format!("https://{text}/")) else { return false };
    let host = url.host_str().unwrap_or_default();
    let said = url.port().map_or_else(|| host.to_owned(), |port| format!("{host}:{port}"));
    text.eq_ignore_ascii_case(&said)
}

#[cfg(test)]
mod tests;
