//! Bearer tokens of an OpenID Connect identity provider.
//!
//! ```text
//! text ──compact──▶ Unverified ──keys of the provider──▶ Claims ──issuer, audience, times──▶ names ──config──▶ Caller
//! ```
//! The signature is verified by `ring` over the very bytes that came; a claim is looked at only after that. The
//! compact form is read by our own strict reader: what we need of a general JWT library is one form with two
//! algorithms, and every other thing that one can do (no algorithm, shared secrets, keys inside the token) is a
//! thing to be switched off and kept off.
//!
//! Invariant: an algorithm counts only if it is configured, is the key's own, and is RS256 or ES256: there is no
//! code here for any other. Key rotation, caching and fetching are `provider`'s.

mod claims;
mod compact;
mod keys;
mod provider;
mod strict;

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;
use std::sync::Arc;

use serde::Deserialize;
use thiserror::Error;

use super::{Caller, Grant, Role};
use crate::server::config::ConfigProblem;

pub use claims::ClaimsRefused;
pub use compact::CompactError;
pub use provider::{FetchError, SetupError};

use compact::Unverified;
use provider::Provider;

/// How tokens may be signed. There are no others: neither `none` nor a shared secret can be configured.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug, Deserialize)]
pub enum Algorithm {
    /// RSA PKCS#1 v1.5 with SHA-256, 2048 to 8192 bits.
    #[serde(rename = "RS256")]
    Rs256,
    /// ECDSA over P-256 with SHA-256.
    #[serde(rename = "ES256")]
    Es256,
}

/// The identity provider: `[server.oidc]`.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct OidcConfig {
    /// The issuer, exactly as its discovery document and its tokens spell it.
    pub issuer: String,
    /// What the tokens must be meant for: this station's name at the provider.
    pub audience: String,
    /// Which of the two algorithms count.
    #[serde(default = "both")]
    pub algorithms: BTreeSet<Algorithm>,
    /// CA certificates in PEM that count besides the system's: a provider of one's own.
    #[serde(default)]
    pub ca_certificates: Option<PathBuf>,
    /// A proxy that leads to the provider; the environment is not looked at.
    #[serde(default)]
    pub proxy: Option<String>,
    /// The claim that names who it is, in custody entries and the log.
    #[serde(default = "subject")]
    pub id_claim: String,
    /// The claim with the names below: a claim's name, or `/path/inside/it`.
    #[serde(default = "roles")]
    pub roles_claim: String,
    /// Which roles each name in that claim gives. Other names give none.
    pub roles: BTreeMap<String, BTreeSet<Role>>,
    /// What is whose: customers by a name in the same claim.
    #[serde(default)]
    pub customers: BTreeMap<String, Vec<Grant>>,
    /// A claim that itself lists a customer's subscriptions, by id or as `/subscriptions/ID/resourceGroups/NAME`.
    #[serde(default)]
    pub subscriptions_claim: Option<String>,
    /// How far clocks may differ.
    #[serde(default = "leeway")]
    pub leeway_seconds: u32,
    /// How often keys are fetched again because a token names an unknown one, at most.
    #[serde(default = "refetch")]
    pub refetch_ms: u64,
    /// How long one request to the provider may take.
    #[serde(default = "request")]
    pub request_ms: u64,
    /// How long fetched keys are used before they are fetched again.
    #[serde(default = "keys_age")]
    pub keys_age_ms: u64,
}

fn both() -> BTreeSet<Algorithm> {
    BTreeSet::from([Algorithm::Rs256, Algorithm::Es256])
}

fn subject() -> String {
    "sub".to_owned()
}

fn roles() -> String {
    "roles".to_owned()
}

fn leeway() -> u32 {
    60
}

fn refetch() -> u64 {
    30_000
}

fn request() -> u64 {
    10_000
}

fn keys_age() -> u64 {
    3_600_000
}

/// More leeway than that is a clock to be repaired.
const LEEWAY_SECONDS_MAX: u32 = 300;

impl OidcConfig {
    pub(crate) fn problems(&self) -> Vec<ConfigProblem> {
        let mut problems = Vec::new();
        let mut wrong =
            |key: &str, what: String| problems.push(ConfigProblem::new(format!("oidc.{key}"), what));
        if let Err(error) = provider::address(&self.issuer) {
            wrong("issuer", error.to_string());
        }
        let texts =
            [("audience", &self.audience), ("id_claim", &self.id_claim), ("roles_claim", &self.roles_claim)];
        for (key, _) in texts.into_iter().filter(|(_, text)| text.is_empty()) {
            wrong(key, "is empty".to_owned());
        }
        if self.algorithms.is_empty() {
            wrong("algorithms", "is empty: no token could be verified".to_owned());
        }
        if self.roles.values().all(BTreeSet::is_empty) {
            wrong("roles", "gives nobody a role".to_owned());
        }
        if self.leeway_seconds > LEEWAY_SECONDS_MAX {
            wrong("leeway_seconds", format!("is more than {LEEWAY_SECONDS_MAX}"));
        }
        if self.request_ms == 0 {
            wrong("request_ms", "must not be 0".to_owned());
        }
        if self.refetch_ms == 0 || self.keys_age_ms < self.refetch_ms {
            wrong("keys_age_ms", "refetch_ms must not be 0, and keys_age_ms not less than it".to_owned());
        }
        if let Err(error) = provider::client(self) {
            wrong("ca_certificates", crate::server::config::chain(&error));
        }
        problems
    }
}

/// Why a provider's token opens nothing.
#[derive(Debug, Error)]
pub enum OidcRefused {
    /// It is not in the compact form, or names something that never counts.
    #[error("the token's form")]
    Form(#[source] CompactError),
    /// Its algorithm is not one that is configured.
    #[error("tokens signed with {0:?} do not count here")]
    Algorithm(Algorithm),
    /// The provider has no such key, as far as we may ask.
    #[error("the provider has no {algorithm:?} key {kid:?}")]
    Key {
        /// The key it names.
        kid: String,
        /// For this algorithm.
        algorithm: Algorithm,
    },
    /// The signature is another key's, or over other bytes.
    #[error("the signature does not fit")]
    Signature,
    /// What it says is not for us, or not now.
    #[error("the token's claims")]
    Claims(#[source] ClaimsRefused),
    /// The provider could not be asked for its keys.
    #[error("asking the identity provider for its keys")]
    Provider(#[source] FetchError),
}

impl OidcRefused {
    /// Whether the provider could not be asked, which is not the caller's fault.
    pub fn is_ours(&self) -> bool {
        matches!(self, Self::Provider(_))
    }
}

/// One identity provider.
#[derive(Clone)]
pub struct Oidc {
    config: Arc<OidcConfig>,
    provider: Arc<Provider>,
}

impl Oidc {
    /// A provider by its configuration. Nothing is fetched yet: the station starts while the provider is down.
    pub fn new(config: OidcConfig) -> Result<Self, SetupError> {
        let provider = Provider::new(&config)?;
        Ok(Self { config: Arc::new(config), provider: Arc::new(provider) })
    }

    /// Who a token says it is, once everything about it was verified.
    pub(super) async fn caller(&self, text: &str, now_unix_ms: i64) -> Result<Caller, OidcRefused> {
        let token = Unverified::parse(text).map_err(OidcRefused::Form)?;
        if !self.config.algorithms.contains(&token.algorithm) {
            return Err(OidcRefused::Algorithm(token.algorithm));
        }
        let key = self.provider.key(&token.kid, token.algorithm).await?;
        let signed = key.verify(token.signed, &token.signature).map_err(|()| OidcRefused::Signature)?;
        let claims = claims::read(signed).map_err(OidcRefused::Claims)?;
        claims.check(&self.config, now_unix_ms).map_err(OidcRefused::Claims)?;
        claims.caller(&self.config).map_err(OidcRefused::Claims)
    }
}

#[cfg(test)]
mod tests;
