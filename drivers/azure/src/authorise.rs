//! The per-try pipeline policies of the other two credentials: SAS and Entra token.
//!
//! Invariant: a secret enters a request here, in the last step before it is sent, and nowhere
//! else; neither the URLs that are logged nor the errors contain it. azure-storage.md §8.

use std::fmt;
use std::sync::{Arc, Mutex, PoisonError};

use async_trait::async_trait;
use azure_core::credentials::TokenCredential;
use azure_core::http::policies::auth::BearerTokenAuthorizationPolicy;
use azure_core::http::policies::{Policy, PolicyResult};
use azure_core::http::{Context, Request};

use crate::credential::SasToken;

/// The scope that Azure Storage's tokens are for, the same in every cloud.
const TOKEN_SCOPE: &str = "https://storage.azure.com/.default";

/// Hands the request on to the next policy.
pub(crate) async fn forward(
    ctx: &Context<'_>,
    request: &mut Request,
    next: &[Arc<dyn Policy>],
) -> PolicyResult {
    match next.split_first() {
        Some((first, rest)) => first.send(ctx, request, rest).await,
        None => Err(azure_core::Error::with_message(
            azure_core::error::ErrorKind::Other,
            "the pipeline ends with an authorisation policy",
        )),
    }
}

/// Appends the SAS to each try.
pub(crate) struct SasPolicy(SasToken);

impl SasPolicy {
    pub(crate) fn new(sas: SasToken) -> SasPolicy {
        SasPolicy(sas)
    }
}

impl fmt::Debug for SasPolicy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("SasPolicy(redacted)")
    }
}

#[async_trait]
impl Policy for SasPolicy {
    async fn send(&self, ctx: &Context, request: &mut Request, next: &[Arc<dyn Policy>]) -> PolicyResult {
        let query = match request.url().query().filter(|query| !query.is_empty()) {
            Some(query) => format!("{query}&{}", self.0.query()),
            None => self.0.query().to_owned(),
        };
        request.url_mut().set_query(Some(&query));
        forward(ctx, request, next).await
    }
}

/// Puts a token on each try: `azure_core`'s own policy, which keeps the token until shortly before
/// it expires, plus what that policy lacks: forgetting a token that the service has refused.
#[derive(Debug)]
pub(crate) struct TokenPolicy {
    source: Arc<dyn TokenCredential>,
    current: Mutex<BearerTokenAuthorizationPolicy>,
}

impl TokenPolicy {
    pub(crate) fn new(source: Arc<dyn TokenCredential>) -> TokenPolicy {
        let current = Mutex::new(BearerTokenAuthorizationPolicy::new(Arc::clone(&source), [TOKEN_SCOPE]));
        TokenPolicy { source, current }
    }

    /// The next try asks the identity provider again.
    pub(crate) fn forget(&self) {
        let fresh = BearerTokenAuthorizationPolicy::new(Arc::clone(&self.source), [TOKEN_SCOPE]);
        *self.current.lock().unwrap_or_else(PoisonError::into_inner) = fresh;
    }
}

#[async_trait]
impl Policy for TokenPolicy {
    async fn send(&self, ctx: &Context, request: &mut Request, next: &[Arc<dyn Policy>]) -> PolicyResult {
        let policy = self.current.lock().unwrap_or_else(PoisonError::into_inner).clone();
        policy.send(ctx, request, next).await
    }
}
