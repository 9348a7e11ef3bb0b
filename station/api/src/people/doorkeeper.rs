//! Who calls: the station's own tokens, the identity provider's, or a process of this machine.
//!
//! One `Authorization: Bearer` header decides; what begins with the station's prefix is its own token, the rest is
//! the provider's. A connection over the local socket without that header is its process' user, who is somebody only
//! as root or as the service's own account. Whoever is refused learns that and no more: the reason is for the log.

use std::collections::BTreeSet;

use axum::http::{HeaderMap, header};
use jobs::Clock;
use thiserror::Error;

use super::oidc::{Oidc, OidcRefused};
use super::token::PREFIX;
use super::tokens::{TokenRefused, Tokens};
use super::{Caller, Role, Scope};
use crate::server::Peer;

/// The largest token; an identity provider's with very many groups stays below.
const TOKEN_BYTES_MAX: usize = 16 << 10;

/// Why nobody is known to have sent a request. For the log; the client is told only that credentials are needed.
#[derive(Debug, Error)]
pub enum Refused {
    /// There are no credentials.
    #[error("no credentials")]
    Missing,
    /// There are several, and which counts would be a guess.
    #[error("more than one Authorization header")]
    Several,
    /// They are not a bearer token.
    #[error("not a bearer token")]
    NotBearer,
    /// They are longer than any token.
    #[error("a token of {0} bytes")]
    TooLong(usize),
    /// It is not one of the station's tokens, and there is no identity provider.
    #[error("no identity provider is configured, and it is not an API token of this station")]
    NoProvider,
    /// One of the station's own tokens, that opens nothing.
    #[error(transparent)]
    Token(TokenRefused),
    /// One of the provider's tokens, that opens nothing.
    #[error(transparent)]
    Oidc(OidcRefused),
    /// A user of this machine who has no business here.
    #[error("user {0} is neither root nor the service's account")]
    Stranger(u32),
}

impl Refused {
    /// Whether it is our fault and not the caller's: the ledger or the provider cannot be asked.
    pub fn is_ours(&self) -> bool {
        match self {
            Self::Token(TokenRefused::Ledger(_) | TokenRefused::Unrecorded(_)) => true,
            Self::Oidc(refused) => refused.is_ours(),
            Self::Missing
            | Self::Several
            | Self::NotBearer
            | Self::TooLong(_)
            | Self::NoProvider
            | Self::Token(_)
            | Self::Stranger(_) => false,
        }
    }
}

/// Knows everybody who may come in.
#[derive(Clone)]
pub struct Doorkeeper {
    tokens: Tokens,
    oidc: Option<Oidc>,
    local: Option<(u32, BTreeSet<Role>)>,
    clock: Clock,
}

impl Doorkeeper {
    /// A doorkeeper who knows the station's own tokens, and an identity provider's where there is one.
    pub fn new(tokens: Tokens, oidc: Option<Oidc>, clock: Clock) -> Self {
        Self { tokens, oidc, local: None, clock }
    }

    /// Lets root and the service's own account in over the local socket, in these roles.
    pub(crate) fn with_local(self, uid: u32, roles: BTreeSet<Role>) -> Self {
        Self { local: Some((uid, roles)), ..self }
    }

    /// Who sent a request with these headers from there.
    pub async fn caller(&self, headers: &HeaderMap, peer: Peer) -> Result<Caller, Refused> {
        let Some(token) = bearer(headers)? else { return self.local(peer) };
        let now = (self.clock)();
        if token.starts_with(PREFIX) {
            return self.tokens.bearer(token, now).await.map_err(Refused::Token);
        }
        let oidc = self.oidc.as_ref().ok_or(Refused::NoProvider)?;
        oidc.caller(token, now).await.map_err(Refused::Oidc)
    }

    fn local(&self, peer: Peer) -> Result<Caller, Refused> {
        match (peer, &self.local) {
            (Peer::Local { uid }, Some((owner, roles))) if uid == 0 || uid == *owner => {
                Ok(Caller::new(format!("local:{uid}"), roles.clone(), Scope::Everything))
            }
            (Peer::Local { uid }, Some(_)) => Err(Refused::Stranger(uid)),
            _ => Err(Refused::Missing),
        }
    }
}

/// The one bearer token of a request; nothing where there is no Authorization header at all.
fn bearer(headers: &HeaderMap) -> Result<Option<&str>, Refused> {
    let mut values = headers.get_all(header::AUTHORIZATION).iter();
    let Some(value) = values.next() else { return Ok(None) };
    if values.next().is_some() {
        return Err(Refused::Several);
    }
    if value.len() > TOKEN_BYTES_MAX {
        return Err(Refused::TooLong(value.len()));
    }
    let text = value.to_str().map_err(|_| Refused::NotBearer)?;
    let (scheme, token) = text.split_once(' ').ok_or(Refused::NotBearer)?;
    let is_token = !token.is_empty() && token.bytes().all(|byte| byte.is_ascii_graphic() && byte != b',');
    if !scheme.eq_ignore_ascii_case("bearer") || !is_token {
        return Err(Refused::NotBearer);
    }
    Ok(Some(token))
}
