//! What opens the account: an account key, a SAS, or an Entra token.
//!
//! Owns the reading of the three texts that customers send: a connection string, a bare key, a SAS
//! (alone or as a whole URL). Invariant: a secret is zeroed on drop, has no telling `Debug`, and no
//! error quotes a character of the text it was read from. azure-storage.md §7.5, §8.

mod source;

use std::fmt;
use std::sync::Arc;

use azure_core::credentials::TokenCredential;
use azure_core::http::Url;
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use zeroize::Zeroizing;

use crate::encode::decode;
use crate::endpoint::{Endpoint, EndpointError};

pub use source::{CREDENTIAL_VARIABLE, CredentialSource, CredentialSourceError};

/// Name of the account that every storage emulator has (published in Microsoft's documentation).
pub const DEVELOPMENT_ACCOUNT: &str = "devstoreaccount1";
/// Its key, which is no secret: the same for everybody.
pub const DEVELOPMENT_KEY: &str =
    "Eby8vdM02xNOcqFlqUwJPLlmEtlCDXJ1OUzFT50uSRZ6IFsuFq2UVErCz4I6tq/K1SZFPTOtr/KBHBeksoGMGw==";
/// Shortest key that is taken for one; the service's are 64 bytes.
const KEY_BYTES_MIN: usize = 32;

/// One way into an account.
pub struct Credential {
    pub(crate) secret: Secret,
    /// The account that the credential names, if it names one.
    account: Option<String>,
    /// The endpoint that the credential names, if it names one.
    endpoint: Option<Endpoint>,
}

/// The secret itself.
pub(crate) enum Secret {
    Key(AccountKey),
    Sas(SasToken),
    Token(Arc<dyn TokenCredential>),
}

impl Credential {
    /// Reads a connection string, an account key in base64, a SAS (with or without its `?`) or a
    /// SAS URL, whichever the text is.
    ///
    /// # Errors
    /// Why the text is none of them; the text itself is never quoted.
    pub fn from_text(text: &str) -> Result<Credential, CredentialError> {
        let text = text.trim();
        if text.is_empty() {
            return Err(CredentialError::Empty);
        }
        if is_connection_string(text) {
            return from_connection_string(text);
        }
        if text.starts_with("https://") || text.starts_with("http://") {
            return from_sas_url(text);
        }
        if text.contains("sig=") {
            let sas = SasToken::parse(text.trim_start_matches('?'))?;
            return Ok(Credential { secret: Secret::Sas(sas), account: None, endpoint: None });
        }
        let key = AccountKey::from_base64(text).map_err(|_| CredentialError::Unrecognised)?;
        Ok(Credential { secret: Secret::Key(key), account: None, endpoint: None })
    }

    /// Tokens of Microsoft Entra ID, from any of `azure_identity`'s credentials.
    pub fn token(source: Arc<dyn TokenCredential>) -> Credential {
        Credential { secret: Secret::Token(source), account: None, endpoint: None }
    }

    /// The endpoint that a connection string or a SAS URL names.
    pub fn endpoint(&self) -> Option<&Endpoint> {
        self.endpoint.as_ref()
    }

    /// What kind of credential this is, for messages.
    pub fn kind(&self) -> &'static str {
        match &self.secret {
            Secret::Key(_) => "account key",
            Secret::Sas(sas) => sas.scope.as_str(),
            Secret::Token(_) => "Entra token",
        }
    }

    /// The container that a SAS URL is for.
    pub(crate) fn container(&self) -> Option<&str> {
        match &self.secret {
            Secret::Sas(sas) => sas.container.as_deref(),
            Secret::Key(_) | Secret::Token(_) => None,
        }
    }

    /// Whether only a container or less may be asked for.
    pub(crate) fn is_below_account(&self) -> bool {
        matches!(&self.secret, Secret::Sas(sas) if sas.scope != SasScope::Account)
    }

    /// Checks that credential and endpoint belong together.
    pub(crate) fn check(&self, endpoint: &Endpoint) -> Result<(), CredentialError> {
        if let Some(named) = self.endpoint.as_ref().filter(|named| *named != endpoint) {
            return Err(CredentialError::OtherEndpoint {
                named: named.to_string(),
                asked: endpoint.to_string(),
            });
        }
        match self.account.as_ref().filter(|named| *named != endpoint.account()) {
            Some(named) => Err(CredentialError::OtherAccount {
                named: named.clone(),
                asked: endpoint.account().to_owned(),
            }),
            None => Ok(()),
        }
    }
}

impl fmt::Debug for Credential {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Credential({}, redacted)", self.kind())
    }
}

/// An account key: the bytes, not their base64.
pub struct AccountKey(Zeroizing<Vec<u8>>);

impl AccountKey {
    /// Reads the base64 that the portal shows.
    ///
    /// # Errors
    /// When it is not base64, or shorter than any key.
    pub fn from_base64(text: &str) -> Result<AccountKey, CredentialError> {
        let bytes = Zeroizing::new(STANDARD.decode(text.trim()).map_err(|_| CredentialError::Key)?);
        if bytes.len() < KEY_BYTES_MIN { Err(CredentialError::Key) } else { Ok(AccountKey(bytes)) }
    }

    pub(crate) fn bytes(&self) -> &[u8] {
        &self.0
    }
}

impl fmt::Debug for AccountKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("AccountKey(redacted)")
    }
}

/// A shared access signature as it was given: appended to each request unchanged.
pub(crate) struct SasToken {
    query: Zeroizing<String>,
    scope: SasScope,
    container: Option<String>,
}

/// What a SAS is for, told by its parameters.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum SasScope {
    Account,
    Container,
    Blob,
    Directory,
}

impl SasScope {
    fn as_str(self) -> &'static str {
        match self {
            SasScope::Account => "account SAS",
            SasScope::Container => "container SAS",
            SasScope::Blob => "blob SAS",
            SasScope::Directory => "directory SAS",
        }
    }
}

impl SasToken {
    fn parse(query: &str) -> Result<SasToken, CredentialError> {
        let printable = |c: char| c.is_ascii_graphic() && !matches!(c, '#' | '"' | '<' | '>');
        if !query.chars().all(printable) {
            return Err(CredentialError::SasCharacter);
        }
        let value = |key: &str| {
            query.split('&').filter_map(|pair| pair.split_once('=')).find(|pair| pair.0 == key).map(|p| p.1)
        };
        for field in ["sv", "sig"] {
            if value(field).is_none_or(str::is_empty) {
                return Err(CredentialError::SasField { field });
            }
        }
        let scope = match value("sr") {
            None if value("ss").is_some() => SasScope::Account,
            Some("c") => SasScope::Container,
            Some("d") => SasScope::Directory,
            Some(_) => SasScope::Blob,
            None => return Err(CredentialError::SasField { field: "sr or ss" }),
        };
        Ok(SasToken { query: Zeroizing::new(query.to_owned()), scope, container: None })
    }

    /// The parameters, ready to be appended to a query.
    pub(crate) fn query(&self) -> &str {
        &self.query
    }
}

/// Why a text is not a usable credential. None of the messages quotes a secret.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum CredentialError {
    /// Nothing there.
    #[error("the credential is empty")]
    Empty,
    /// Not one of the known forms.
    #[error("the credential is no connection string, no account key (base64) and no SAS")]
    Unrecognised,
    /// An account key that does not decode or is too short.
    #[error("the account key is not base64, or too short to be a key")]
    Key,
    /// A connection string without anything that opens an account.
    #[error("the connection string has neither AccountKey nor SharedAccessSignature")]
    NoSecret,
    /// A connection string's part that is not `name=value`.
    #[error("part {position} of the connection string is not name=value")]
    Part {
        /// Which part, counted from 1.
        position: usize,
    },
    /// The BlobEndpoint of a connection string, or a SAS URL, is no endpoint.
    #[error("the credential's blob endpoint is not usable")]
    Endpoint(#[source] EndpointError),
    /// A SAS without one of its fields.
    #[error("the SAS has no {field}")]
    SasField {
        /// The missing field.
        field: &'static str,
    },
    /// A SAS with a character that no query can carry.
    #[error("the SAS has a blank or another character that a URL cannot carry")]
    SasCharacter,
    /// The credential is for another account.
    #[error("the credential is for the account {named}, the destination is {asked}")]
    OtherAccount {
        /// The account that the credential names.
        named: String,
        /// The endpoint's account.
        asked: String,
    },
    /// The credential names another endpoint.
    #[error("the credential is for {named}, the destination is {asked}")]
    OtherEndpoint {
        /// The endpoint that the credential names.
        named: String,
        /// The endpoint asked for.
        asked: String,
    },
    /// A token would cross the network in the clear.
    #[error("Entra tokens are sent over https only")]
    TokenOverHttp,
}

fn is_connection_string(text: &str) -> bool {
    let lower = text.to_ascii_lowercase();
    ["accountkey=", "sharedaccesssignature=", "usedevelopmentstorage=", "accountname=", "blobendpoint="]
        .iter()
        .any(|name| lower.starts_with(name) || lower.contains(&format!(";{name}")))
        || lower.starts_with("defaultendpointsprotocol=")
}

/// The parts of a connection string that matter here.
#[derive(Default)]
struct Parts<'a> {
    account: Option<&'a str>,
    key: Option<&'a str>,
    sas: Option<&'a str>,
    blob_endpoint: Option<&'a str>,
    protocol: Option<&'a str>,
    suffix: Option<&'a str>,
    development: bool,
}

impl<'a> Parts<'a> {
    fn split(text: &'a str) -> Result<Parts<'a>, CredentialError> {
        let mut parts = Parts::default();
        for (index, part) in text.split(';').map(str::trim).enumerate().filter(|(_, part)| !part.is_empty()) {
            let position = index.saturating_add(1);
            let (name, value) = part.split_once('=').ok_or(CredentialError::Part { position })?;
            match name.to_ascii_lowercase().as_str() {
                "accountname" => parts.account = Some(value),
                "accountkey" => parts.key = Some(value),
                "sharedaccesssignature" => parts.sas = Some(value.trim_start_matches('?')),
                "blobendpoint" => parts.blob_endpoint = Some(value),
                "defaultendpointsprotocol" => parts.protocol = Some(value),
                "endpointsuffix" => parts.suffix = Some(value),
                "usedevelopmentstorage" => parts.development = value.eq_ignore_ascii_case("true"),
                _ => {}
            }
        }
        Ok(parts)
    }

    /// BlobEndpoint as written, else what AccountName, protocol and suffix amount to.
    fn endpoint(&self) -> Result<Option<Endpoint>, CredentialError> {
        let text = match (self.blob_endpoint, self.account, self.suffix) {
            (Some(endpoint), _, _) => endpoint.to_owned(),
            (None, Some(account), Some(suffix)) => {
                format!("{}://{account}.blob.{suffix}", self.protocol.unwrap_or("https"))
            }
            _ => return Ok(None),
        };
        Endpoint::parse(&text).map(Some).map_err(CredentialError::Endpoint)
    }
}

fn from_connection_string(text: &str) -> Result<Credential, CredentialError> {
    let parts = Parts::split(text)?;
    if parts.development {
        // Not the emulator's usual endpoint: the destination's port is what the caller says.
        let key = AccountKey::from_base64(DEVELOPMENT_KEY)?;
        let account = Some(DEVELOPMENT_ACCOUNT.to_owned());
        return Ok(Credential { secret: Secret::Key(key), account, endpoint: None });
    }
    let secret = match (parts.key, parts.sas) {
        (Some(key), _) => Secret::Key(AccountKey::from_base64(key)?),
        (None, Some(sas)) => Secret::Sas(SasToken::parse(sas)?),
        (None, None) => return Err(CredentialError::NoSecret),
    };
    Ok(Credential { secret, account: parts.account.map(str::to_owned), endpoint: parts.endpoint()? })
}

/// `https://account.blob…/container/blob?sv=…&sig=…`: endpoint, container and SAS in one.
fn from_sas_url(text: &str) -> Result<Credential, CredentialError> {
    let (location, query) = text.split_once('?').ok_or(CredentialError::SasField { field: "sig" })?;
    let mut sas = SasToken::parse(query)?;
    let url = Url::parse(location).map_err(|_| CredentialError::Unrecognised)?;
    let origin = url.origin().ascii_serialization();
    let mut segments = url.path().split('/').filter(|segment| !segment.is_empty());
    let endpoint = match Endpoint::parse(&origin) {
        // No account in the host: it is the first segment of the path.
        Err(EndpointError::NoAccount { .. }) => {
            let account = segments.next().unwrap_or_default();
            Endpoint::parse(&format!("{origin}/{account}"))
        }
        other => other,
    };
    sas.container = segments.next().map(decode);
    Ok(Credential {
        secret: Secret::Sas(sas),
        account: None,
        endpoint: Some(endpoint.map_err(CredentialError::Endpoint)?),
    })
}

#[cfg(test)]
mod tests;
