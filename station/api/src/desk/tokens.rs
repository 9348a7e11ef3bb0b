//! `/v1/tokens`: who was given a token of the station. What a token is, is [`crate::people`]'s.

use std::collections::BTreeSet;

use axum::Json;
use axum::extract::State;
use axum::http::StatusCode;
use ledger::ApiToken;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;
use utoipa::ToSchema;

use super::Desk;
use super::ask::{Asked, Command, Named};
use super::cursor::Pages;
use super::once::Answer;
use super::refused::{Refused, internal, not_applied, unknown};
use super::webhooks::Part;
use crate::events::rfc3339;
use crate::people::{Caller, Grant, NewToken, Role, Scope, TokenError};
use crate::problem::Problem;

/// A token that is to be.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
#[schema(as = NewToken)]
pub(super) struct Wanted {
    /// What it is for, in words.
    #[schema(min_length = 1, max_length = 200)]
    label: String,
    /// What its bearer may do: `receiver`, `technician`, `lead`, `sanitise-approver`, `auditor`, `admin`, `service`,
    /// `customer`.
    #[schema(min_items = 1, max_items = 8, max_length = 32)]
    roles: Vec<String>,
    /// What it is limited to: `/subscriptions/ID` or `/subscriptions/ID/resourceGroups/NAME`. A customer's token always
    /// is; without it, nothing limits it but its roles.
    #[serde(default)]
    #[schema(min_items = 1, max_items = 64, max_length = 256)]
    scope: Option<Vec<String>>,
    /// When it ends: at most 366 days from now.
    #[schema(format = DateTime)]
    expires_at: String,
    /// Whether each use of it is a custody entry: for the day on which the identity provider is gone.
    #[serde(default)]
    break_glass: bool,
}

/// A token, without its text, which nobody has but its bearer.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
#[schema(as = Token)]
pub(super) struct TokenView {
    /// By which people name it.
    id: String,
    /// What it is for.
    label: String,
    /// What its bearer may do.
    roles: Vec<String>,
    /// What it is limited to; absent if nothing limits it but its roles.
    scope: Option<Vec<String>>,
    /// Whether each use of it is a custody entry.
    break_glass: bool,
    /// When it was made.
    #[schema(format = DateTime)]
    created_at: String,
    /// When it ends.
    #[schema(format = DateTime)]
    expires_at: Option<String>,
    /// When it was last seen, to the minute.
    #[schema(format = DateTime)]
    last_used_at: Option<String>,
    /// When it was taken back.
    #[schema(format = DateTime)]
    revoked_at: Option<String>,
}

/// A token that was just made, with its text: it is shown this once.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(super) struct IssuedToken {
    /// By which people name it.
    id: String,
    /// What to send as `Authorization: Bearer …`. Not in an answer that is replayed.
    #[serde(skip_serializing_if = "Option::is_none")]
    token: Option<String>,
}

/// A part of the list.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(super) struct TokenPage {
    tokens: Vec<TokenView>,
    /// Ask with this as `cursor` for the next part; absent at the end.
    #[serde(skip_serializing_if = "Option::is_none")]
    next_cursor: Option<String>,
}

/// The tokens that were issued; never their texts.
#[utoipa::path(get, path = "/v1/tokens", tag = "tokens", operation_id = "tokensList", params(Part), responses((status = 200, body = TokenPage)))]
pub(super) async fn list(
    State(desk): State<Desk>,
    Asked(part): Asked<Part>,
) -> Result<Json<TokenPage>, Refused> {
    let pages = Pages::new("tokens", &[]);
    let after = part.cursor.as_deref().map(|cursor| pages.after(cursor)).transpose()?;
    let limit = part.limit()?;
    let tokens = desk.ledger().tokens(after.as_deref(), limit).await?;
    let is_full = tokens.len() == usize::try_from(limit).unwrap_or(usize::MAX);
    let next_cursor = tokens.last().filter(|_| is_full).map(|token| pages.cursor(&token.id));
    Ok(Json(TokenPage { tokens: tokens.into_iter().map(TokenView::of).collect(), next_cursor }))
}

/// Makes a token, and shows it this once.
#[utoipa::path(post, path = "/v1/tokens", tag = "tokens", operation_id = "tokensCreate", request_body = Wanted, responses((status = 201, body = IssuedToken)))]
pub(super) async fn create(State(desk): State<Desk>, command: Command<Wanted>) -> Result<Answer, Refused> {
    let new = read(&command.body)?;
    let prepared = desk.parts().tokens.prepare(&command.caller, new, desk.now());
    let (issued, change) = prepared.map_err(|error| not_made(&error))?;
    let shown = |token| IssuedToken { id: issued.id.clone(), token };
    let answer = Answer::json(StatusCode::CREATED, shown(Some(issued.token.expose().to_owned())))
        .kept_as(shown(None))
        .location(&format!("/v1/tokens/{}", issued.id));
    desk.save(&command, change, answer).await
}

/// Takes a token back: it is refused from the next request on. Again is harmless.
#[utoipa::path(delete, path = "/v1/tokens/{id}", tag = "tokens", operation_id = "tokensDelete", params(("id" = String, Path, max_length = 64)), responses((status = 204)))]
pub(super) async fn delete(
    State(desk): State<Desk>,
    caller: Caller,
    Named(id): Named<String>,
) -> Result<StatusCode, Refused> {
    if !is_there(&desk, &id).await? {
        return Err(unknown("token", &id).into());
    }
    let revoked = desk.parts().tokens.revoke(&caller, &id, "revoked by API", desk.now()).await;
    revoked.map_err(|error| not_made(&error))?;
    Ok(StatusCode::NO_CONTENT)
}

/// Whether there is such a token, revoked or not: ids have an order, so it would be the next one behind the name before.
async fn is_there(desk: &Desk, id: &str) -> Result<bool, Refused> {
    let mut after: Option<String> = None;
    loop {
        let page = desk.ledger().tokens(after.as_deref(), ledger::PAGE_ROWS_MAX).await?;
        if page.iter().any(|token| token.id == id) {
            return Ok(true);
        }
        let Some(last) = page.last() else { return Ok(false) };
        after = Some(last.id.clone());
    }
}

fn read(wanted: &Wanted) -> Result<NewToken, Refused> {
    let mut wrong = Vec::new();
    let mut roles = BTreeSet::new();
    for text in &wanted.roles {
        match Role::parse(text) {
            Ok(role) => drop(roles.insert(role)),
            Err(error) => wrong.push(format!("roles: {error}")),
        }
    }
    let mut grants = Vec::new();
    for text in wanted.scope.iter().flatten() {
        match text.parse::<Grant>() {
            Ok(grant) => grants.push(grant),
            Err(error) => wrong.push(format!("scope: {error}")),
        }
    }
    let expires = OffsetDateTime::parse(&wanted.expires_at, &Rfc3339).ok();
    let expires = expires.and_then(|time| i64::try_from(time.unix_timestamp_nanos() / 1_000_000).ok());
    if expires.is_none() {
        wrong.push("expiresAt: not a time of RFC 3339".to_owned());
    }
    match expires {
        Some(expires_unix_ms) if wrong.is_empty() => Ok(NewToken {
            label: wanted.label.clone(),
            roles,
            scope: if wanted.scope.is_some() { Scope::Only(grants) } else { Scope::Everything },
            expires_unix_ms,
            is_break_glass: wanted.break_glass,
        }),
        _ => Err(cannot_be(&wrong).into()),
    }
}

fn not_made(error: &TokenError) -> Refused {
    match error {
        TokenError::Refused(reasons) => cannot_be(reasons).into(),
        TokenError::Random(source) => internal("making a token", source),
        TokenError::Save(source) => not_applied(source.clone()),
    }
}

/// 409: it is well formed, and such a token is not made.
fn cannot_be<T: AsRef<str>>(reasons: &[T]) -> Problem {
    let reasons: Vec<&str> = reasons.iter().map(AsRef::as_ref).collect();
    Problem::new(StatusCode::CONFLICT, "token-refused", "Such a token cannot be made.")
        .detail(reasons.join("; "))
        .with("retryable", false)
}

impl TokenView {
    fn of(token: ApiToken) -> Self {
        let document: Value = serde_json::from_str(&token.document).unwrap_or_default();
        let only = document["only"].as_array();
        let texts = |list: &Vec<Value>| list.iter().filter_map(Value::as_str).map(str::to_owned).collect();
        Self {
            scope: only.map(texts),
            break_glass: document["break_glass"] == true,
            id: token.id,
            label: token.label,
            roles: token.roles,
            created_at: rfc3339(token.created_unix_ms),
            expires_at: token.expires_unix_ms.map(rfc3339),
            last_used_at: token.last_used_unix_ms.map(rfc3339),
            revoked_at: token.revoked_unix_ms.map(rfc3339),
        }
    }
}
