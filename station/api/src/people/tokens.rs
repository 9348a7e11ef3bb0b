//! API tokens over their life: issued and revoked with a custody entry in the same transaction, found by their hash.
//!
//! Every request asks the ledger, so a revoked token is refused from the next request on. A break-glass token is for
//! the day on which the identity provider is gone: its use is a custody entry too, saved before it counts, at most
//! one a minute; where that entry cannot be saved the token does not open.

use std::collections::BTreeSet;
use std::sync::Arc;

use custody::Draft;
use ledger::{Access, ApiToken, ApplyError, Change, Jobs, OfficeError, TokenWrite};
use serde::{Deserialize, Serialize};
use thiserror::Error;
use tracing::warn;
use uuid::Uuid;

use super::token::{NoRandomness, Token};
use super::{Caller, Grant, Role, Scope, UnknownRole};

/// A token that nobody renews is one that nobody remembers: a year, and a day for whoever renews it yearly.
pub const LIFETIME_MS_MAX: i64 = 366 * 24 * 60 * 60 * 1000;
/// How exactly "last used" is kept, so that a busy token is not a write a request.
const USE_NOTED_EVERY_MS: u64 = 60_000;
const LABEL_CHARS_MAX: usize = 200;

/// What a token shall be.
#[derive(Clone, Debug)]
pub struct NewToken {
    /// What it is for, in words.
    pub label: String,
    /// What its bearer may do.
    pub roles: BTreeSet<Role>,
    /// What it is limited to; a customer's always is.
    pub scope: Scope,
    /// When it ends.
    pub expires_unix_ms: i64,
    /// Whether each use is a custody entry.
    pub is_break_glass: bool,
}

/// A token that was made, with the only copy of its text.
pub struct Issued {
    /// By which people name it.
    pub id: String,
    /// The text, to be shown once.
    pub token: Token,
}

/// Why no token was made or revoked.
#[derive(Debug, Error)]
pub enum TokenError {
    /// The request cannot be met; all reasons.
    #[error("such a token cannot be made: {}", .0.join("; "))]
    Refused(Vec<&'static str>),
    /// There is no randomness.
    #[error("making a token")]
    Random(#[source] NoRandomness),
    /// The ledger failed.
    #[error("saving a token")]
    Save(#[source] ApplyError),
}

/// Why a token opens nothing.
#[derive(Debug, Error)]
pub enum TokenRefused {
    /// It has the prefix, but not the form.
    #[error("the API token is mistyped or cut off")]
    Malformed,
    /// Nobody issued it.
    #[error("the API token is unknown")]
    Unknown,
    /// Its time is over.
    #[error("the API token {0} has expired")]
    Expired(String),
    /// It was taken back.
    #[error("the API token {0} was revoked")]
    Revoked(String),
    /// What is stored of it cannot be understood, so it grants nothing.
    #[error("what the ledger says of the API token {0} cannot be understood")]
    Unreadable(String),
    /// The ledger could not be asked.
    #[error("asking for an API token")]
    Ledger(#[source] OfficeError),
    /// The use of a break-glass token could not be put on record.
    #[error("recording the use of a break-glass token")]
    Unrecorded(#[source] ApplyError),
}

/// What limits a token beside its roles: its document in the ledger.
#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Document {
    /// Without it, everything.
    #[serde(skip_serializing_if = "Option::is_none")]
    only: Option<Vec<Grant>>,
    break_glass: bool,
}

/// The tokens of one station or fleet.
#[derive(Clone)]
pub struct Tokens {
    access: Arc<dyn Access>,
    jobs: Arc<dyn Jobs>,
    /// The station's name: its custody chain.
    chain: String,
}

impl Tokens {
    /// Tokens in a ledger, which is asked and written.
    pub fn new(access: Arc<dyn Access>, jobs: Arc<dyn Jobs>, station: impl Into<String>) -> Self {
        Self { access, jobs, chain: station.into() }
    }

    /// Makes a token and its custody entry, and gives the only copy of its text.
    ///
    /// The answer that shows it must not be kept for repetitions of the request: a reply in the ledger would be the
    /// token in the ledger. Whoever did not get the answer makes another token and revokes this one.
    pub async fn issue(&self, by: &Caller, new: NewToken, now_unix_ms: i64) -> Result<Issued, TokenError> {
        let (issued, change) = self.prepare(by, new, now_unix_ms)?;
        self.jobs.apply(&change).await.map_err(TokenError::Save)?;
        Ok(issued)
    }

    /// The same without saving it: for who saves more with it, in the one change.
    ///
    /// The token is to be shown only after the change was applied.
    pub fn prepare(
        &self,
        by: &Caller,
        new: NewToken,
        now_unix_ms: i64,
    ) -> Result<(Issued, Change), TokenError> {
        let refused = new.problems(by, now_unix_ms);
        if !refused.is_empty() {
            return Err(TokenError::Refused(refused));
        }
        let token = Token::generate().map_err(TokenError::Random)?;
        let id = Uuid::now_v7().to_string();
        let mut change = self.change(by, "token.issued", &id, now_unix_ms);
        change.custody.iter_mut().for_each(|draft| draft.after = Some(new.told()));
        change.tokens.push(TokenWrite::Insert(new.row(&id, token.hash(), now_unix_ms)));
        Ok((Issued { id, token }, change))
    }

    /// Takes a token back, with a custody entry; again is harmless.
    pub async fn revoke(
        &self,
        by: &Caller,
        id: &str,
        reason: &str,
        now_unix_ms: i64,
    ) -> Result<(), TokenError> {
        let mut change = self.change(by, "token.revoked", id, now_unix_ms);
        change.custody.iter_mut().for_each(|draft| draft.reason = Some(reason.to_owned()));
        change.tokens.push(TokenWrite::Revoke { id: id.to_owned(), at_unix_ms: now_unix_ms });
        self.jobs.apply(&change).await.map_err(TokenError::Save)?;
        Ok(())
    }

    /// The tokens that were issued, by id; never their texts, which nobody has.
    pub async fn list(&self, after_id: Option<&str>, limit: u32) -> Result<Vec<ApiToken>, OfficeError> {
        self.access.tokens(after_id, limit).await
    }

    /// Who bears this token.
    pub(super) async fn bearer(&self, text: &str, now_unix_ms: i64) -> Result<Caller, TokenRefused> {
        let token = Token::parse(text).ok_or(TokenRefused::Malformed)?;
        let row = self.access.token_by_hash(&token.hash()).await.map_err(TokenRefused::Ledger)?;
        // The database compares as it likes; this is what counts.
        let row = row.filter(|row| token.has_hash(&row.sha256)).ok_or(TokenRefused::Unknown)?;
        if row.revoked_unix_ms.is_some() {
            return Err(TokenRefused::Revoked(row.id));
        }
        if row.expires_unix_ms.is_none_or(|end| end <= now_unix_ms) {
            return Err(TokenRefused::Expired(row.id));
        }
        let (caller, document) = read(&row).ok_or_else(|| TokenRefused::Unreadable(row.id.clone()))?;
        self.note_use(&row, &caller, &document, now_unix_ms).await?;
        Ok(caller)
    }

    async fn note_use(
        &self,
        row: &ApiToken,
        caller: &Caller,
        document: &Document,
        now_unix_ms: i64,
    ) -> Result<(), TokenRefused> {
        // In either direction: a clock that was ahead once must not hide uses until it is that time again.
        if row.last_used_unix_ms.is_some_and(|last| now_unix_ms.abs_diff(last) < USE_NOTED_EVERY_MS) {
            return Ok(());
        }
        if document.break_glass {
            warn!(event = "break_glass", operator = caller.id, label = row.label);
            let change = self.change(caller, "token.break-glass-used", &row.id, now_unix_ms);
            self.jobs.apply(&change).await.map_err(TokenRefused::Unrecorded)?;
        }
        // Only a note: a full disk must not lock everybody out of reading what is wrong.
        if let Err(error) = self.access.note_token_use(&row.id, now_unix_ms).await {
            warn!(event = "token_use_not_noted", operator = caller.id, err = %error);
        }
        Ok(())
    }

    fn change(&self, by: &Caller, action: &str, id: &str, at_unix_ms: i64) -> Change {
        let draft = Draft {
            at_unix_ms,
            actor: by.id.clone(),
            roles: by.role_names(),
            action: action.to_owned(),
            job: None,
            drive: None,
            bay: None,
            before: Some(format!("token:{id}")),
            after: None,
            reason: None,
            files: Vec::new(),
        };
        Change { chain: self.chain.clone(), custody: vec![draft], ..Change::default() }
    }
}

impl NewToken {
    fn problems(&self, by: &Caller, now_unix_ms: i64) -> Vec<&'static str> {
        let length = self.label.chars().count();
        let lifetime = self.expires_unix_ms.saturating_sub(now_unix_ms);
        let is_unlimited_customer = self.roles.contains(&Role::Customer) && self.scope == Scope::Everything;
        let checks = [
            (length == 0 || length > LABEL_CHARS_MAX, "the label must have 1 to 200 characters"),
            (self.label.chars().any(char::is_control), "the label has control characters"),
            (self.roles.is_empty(), "it needs at least one role"),
            (lifetime <= 0, "it would have expired already"),
            (lifetime > LIFETIME_MS_MAX, "it would live for more than 366 days"),
            (is_unlimited_customer, "a customer's token must name subscriptions or resource groups"),
            (self.scope == Scope::Only(Vec::new()), "its scope names nothing"),
            (by.scope != Scope::Everything, "who is limited to a scope cannot make tokens"),
        ];
        checks.into_iter().filter(|(is_wrong, _)| *is_wrong).map(|(_, what)| what).collect()
    }

    /// What the custody entry says of it.
    fn told(&self) -> String {
        let roles: Vec<&str> = self.roles.iter().map(|role| role.as_str()).collect();
        let scope = match &self.scope {
            Scope::Everything => "everything".to_owned(),
            Scope::Only(grants) => grants.iter().map(ToString::to_string).collect::<Vec<_>>().join(","),
        };
        let kind = if self.is_break_glass { " break-glass" } else { "" };
        format!(
            "label={:?} roles={} scope={scope}{kind} until={}",
            self.label,
            roles.join(","),
            self.expires_unix_ms
        )
    }

    fn row(&self, id: &str, sha256: [u8; 32], now_unix_ms: i64) -> ApiToken {
        let only = match &self.scope {
            Scope::Everything => None,
            Scope::Only(grants) => Some(grants.clone()),
        };
        let document = Document { only, break_glass: self.is_break_glass };
        ApiToken {
            id: id.to_owned(),
            sha256,
            label: self.label.clone(),
            roles: self.roles.iter().map(|role| role.as_str().to_owned()).collect(),
            document: serde_json::to_string(&document).expect("a document of texts is JSON"),
            created_unix_ms: now_unix_ms,
            expires_unix_ms: Some(self.expires_unix_ms),
            last_used_unix_ms: None,
            revoked_unix_ms: None,
        }
    }
}

/// A stored token as a caller; nothing where a role or the document is not understood.
fn read(row: &ApiToken) -> Option<(Caller, Document)> {
    let roles: Result<BTreeSet<Role>, UnknownRole> = row.roles.iter().map(|name| Role::parse(name)).collect();
    let document: Document = serde_json::from_str(&row.document).ok()?;
    let scope = document.only.clone().map_or(Scope::Everything, Scope::Only);
    Some((Caller::new(format!("token:{}", row.id), roles.ok()?, scope), document))
}

#[cfg(test)]
mod tests;
