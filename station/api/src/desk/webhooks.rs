//! `/v1/webhooks`: who is sent events. How they are sent is [`crate::webhook`]'s.

use axum::Json;
use axum::extract::State;
use axum::http::StatusCode;
use keys::{Purpose, Sealed};
use ledger::{Change, Hook, HookWrite, SealedSecret, SecretWrite};
use serde::{Deserialize, Serialize};
use serde_json::json;
use utoipa::{IntoParams, ToSchema};
use uuid::Uuid;

use super::Desk;
use super::ask::{Asked, Command, Named, Nothing};
use super::cursor::Pages;
use super::once::Answer;
use super::refused::{Refused, internal, invalid, out_of_range, unknown};
use crate::events::rfc3339;
use crate::people::Caller;
use crate::problem::Problem;
use crate::webhook::deliver::Unsent;
use crate::webhook::signature::SigningSecret;

/// Every event is looked at for every web-hook; nobody has more systems than this to tell.
const HOOKS_MAX: u32 = 100;
const KINDS_MAX: usize = 32;
const KIND_BYTES_MAX: usize = 64;

/// A web-hook that is to be.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(super) struct NewWebHook {
    /// Where to: https, to an address that is everybody's or that is configured.
    #[schema(min_length = 1, max_length = 2048)]
    url: String,
    /// Which kinds of event, by name or by family (`drive.*`); all without it.
    #[serde(default)]
    #[schema(max_items = 32, pattern = "^[a-zA-Z][a-zA-Z0-9.-]{0,62}[*]?$")]
    kinds: Vec<String>,
}

/// A web-hook.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(super) struct WebHook {
    /// Its id.
    id: String,
    /// Where to.
    url: String,
    /// Which kinds; empty for all.
    kinds: Vec<String>,
    /// Whether it is sent anything. A receiver that fails for days is disabled.
    enabled: bool,
    /// When it was made.
    #[schema(format = DateTime)]
    created_at: String,
    /// The number of the last event that it got, or that was not for it.
    position: i64,
    /// How often the next one failed.
    attempts: u32,
    /// When it is tried again, if it failed.
    #[schema(format = DateTime)]
    next_try_at: Option<String>,
    /// Why the last try failed.
    last_error: Option<String>,
}

/// A web-hook that was just made, with its secret: it is shown this once.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(super) struct NewlyMade {
    #[serde(flatten)]
    webhook: WebHook,
    /// What its messages are signed with (Standard Webhooks). Not in an answer that is replayed.
    #[serde(skip_serializing_if = "Option::is_none")]
    secret: Option<String>,
}

/// A part of the list.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(super) struct WebHookPage {
    webhooks: Vec<WebHook>,
    /// Ask with this as `cursor` for the next part; absent at the end.
    #[serde(skip_serializing_if = "Option::is_none")]
    next_cursor: Option<String>,
}

/// What a test came to.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(super) struct Tested {
    /// Whether the receiver took the message.
    delivered: bool,
    /// Its answer's status, if there was an answer.
    status: Option<u16>,
    /// Why it is not delivered.
    error: Option<String>,
}

/// Which part of a list.
#[derive(Debug, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
#[serde(deny_unknown_fields)]
pub(super) struct Part {
    /// Where the part before ended.
    #[param(min_length = 1, max_length = 1024)]
    pub(super) cursor: Option<String>,
    /// At most so many.
    #[param(minimum = 1, maximum = 200)]
    pub(super) limit: Option<u32>,
}

impl Part {
    /// How many are asked for.
    pub(super) fn limit(&self) -> Result<u32, Refused> {
        match self.limit.unwrap_or(50) {
            limit @ 1..=200 => Ok(limit),
            _ => Err(out_of_range("limit is 1 to 200").into()),
        }
    }
}

/// The web-hooks.
#[utoipa::path(get, path = "/v1/webhooks", tag = "webhooks", operation_id = "webhooksList", params(Part), responses((status = 200, body = WebHookPage)))]
pub(super) async fn list(
    State(desk): State<Desk>,
    Asked(part): Asked<Part>,
) -> Result<Json<WebHookPage>, Refused> {
    let pages = Pages::new("webhooks", &[]);
    let after = part.cursor.as_deref().map(|cursor| pages.after(cursor)).transpose()?;
    let limit = part.limit()?;
    let mut hooks = desk.ledger().hooks(after.as_deref(), limit + 1).await?;
    let has_more = hooks.len() > limit as usize;
    hooks.truncate(limit as usize);
    let next_cursor = hooks.last().filter(|_| has_more).map(|hook| pages.cursor(&hook.id));
    Ok(Json(WebHookPage { webhooks: hooks.into_iter().map(WebHook::of).collect(), next_cursor }))
}

/// Adds a web-hook, which is sent every event from now on.
#[utoipa::path(post, path = "/v1/webhooks", tag = "webhooks", operation_id = "webhooksCreate", request_body = NewWebHook, responses((status = 201, body = NewlyMade)))]
pub(super) async fn create(
    State(desk): State<Desk>,
    command: Command<NewWebHook>,
) -> Result<Answer, Refused> {
    check(&desk, &command.body)?;
    if desk.ledger().hooks(None, HOOKS_MAX).await?.len() >= HOOKS_MAX as usize {
        return Err(too_many().into());
    }
    let id = Uuid::now_v7().to_string();
    let secret = SigningSecret::generate().text();
    let purpose = Purpose::WebHook { id: id.clone() };
    let sealed =
        desk.parts().vault.seal(&purpose, secret.as_bytes()).map_err(|error| internal("sealing", &error))?;
    let sealed = row(&purpose, &sealed);
    let hook = Hook {
        secret_name: sealed.name.clone(),
        url: command.body.url.clone(),
        kinds: command.body.kinds.clone(),
        enabled: true,
        created_unix_ms: desk.now(),
        position: desk.ledger().event_span().await?.last,
        attempts: 0,
        next_try_unix_ms: 0,
        last_error: None,
        id: id.clone(),
    };
    let shown = |secret| NewlyMade { webhook: WebHook::of(hook.clone()), secret };
    let answer = Answer::json(StatusCode::CREATED, shown(Some(secret.as_str().to_owned())))
        .kept_as(shown(None))
        .location(&format!("/v1/webhooks/{id}"));
    let change = Change {
        secrets: vec![SecretWrite::Put(sealed)],
        custody: vec![desk.entry(&command.caller, "webhook.created", &id)],
        events: vec![super::event(&desk, "webhook.created", json!({"webhook": id}))],
        hooks: vec![HookWrite::Insert(hook)],
        ..Change::default()
    };
    desk.save(&command, change, answer).await
}

/// One web-hook, and how it stands.
#[utoipa::path(get, path = "/v1/webhooks/{id}", tag = "webhooks", operation_id = "webhooksGet", params(("id" = String, Path, max_length = 64)), responses((status = 200, body = WebHook)))]
pub(super) async fn get(
    State(desk): State<Desk>,
    Named(id): Named<String>,
) -> Result<Json<WebHook>, Refused> {
    Ok(Json(WebHook::of(find(&desk, &id).await?)))
}

/// Removes a web-hook and its secret. Again is harmless, and answered with 404.
#[utoipa::path(delete, path = "/v1/webhooks/{id}", tag = "webhooks", operation_id = "webhooksDelete", params(("id" = String, Path, max_length = 64)), responses((status = 204)))]
pub(super) async fn delete(
    State(desk): State<Desk>,
    caller: Caller,
    Named(id): Named<String>,
) -> Result<StatusCode, Refused> {
    let hook = find(&desk, &id).await?;
    let change = Change {
        secrets: vec![SecretWrite::Delete { name: hook.secret_name }],
        hooks: vec![HookWrite::Delete { id: id.clone() }],
        chain: desk.parts().station.clone(),
        custody: vec![desk.entry(&caller, "webhook.deleted", &id)],
        events: vec![super::event(&desk, "webhook.deleted", json!({"webhook": id}))],
        ..Change::default()
    };
    desk.ledger().apply(&change).await.map_err(super::not_applied)?;
    Ok(StatusCode::NO_CONTENT)
}

/// Sends a message that is no event, now, and says what became of it.
#[utoipa::path(post, path = "/v1/webhooks/{id}/test", tag = "webhooks", operation_id = "webhooksTest", params(("id" = String, Path, max_length = 64)), responses((status = 200, body = Tested)))]
pub(super) async fn test(
    State(desk): State<Desk>,
    Named(id): Named<String>,
    command: Command<Nothing>,
) -> Result<Answer, Refused> {
    let hook = find(&desk, &id).await?;
    let tested = match desk.parts().deliveries.test(&hook).await {
        Ok(status) => Tested { delivered: true, status: Some(status), error: None },
        Err(Unsent::Refused(error)) => {
            Tested { delivered: false, status: error.status(), error: Some(error.to_string()) }
        }
        Err(Unsent::NoSecret(error)) => return Err(internal("signing a test message", &error)),
    };
    desk.save(&command, Change::default(), Answer::ok(tested)).await
}

/// Switches a disabled web-hook on again: it goes on where it stood, at once.
///
/// Nothing was kept for it meanwhile: `missed` in the event `webhook.enabled` says from where to where events are gone.
#[utoipa::path(post, path = "/v1/webhooks/{id}/enable", tag = "webhooks", operation_id = "webhooksEnable", params(("id" = String, Path, max_length = 64)), responses((status = 200, body = WebHook)))]
pub(super) async fn enable(
    State(desk): State<Desk>,
    Named(id): Named<String>,
    command: Command<Nothing>,
) -> Result<Answer, Refused> {
    let hook = find(&desk, &id).await?;
    let hook = Hook { enabled: true, attempts: 0, next_try_unix_ms: 0, last_error: None, ..hook };
    let answer = Answer::ok(WebHook::of(hook.clone()));
    let (after, first) = (hook.position, desk.ledger().event_span().await?.first);
    let missed = (after.saturating_add(1) < first).then(|| json!({"after": after, "first": first}));
    let change = Change {
        hooks: vec![HookWrite::Update(hook)],
        custody: vec![desk.entry(&command.caller, "webhook.enabled", &id)],
        events: vec![super::event(&desk, "webhook.enabled", json!({"webhook": id, "missed": missed}))],
        ..Change::default()
    };
    desk.save(&command, change, answer).await
}

async fn find(desk: &Desk, id: &str) -> Result<Hook, Refused> {
    Ok(desk.ledger().hook(id).await?.ok_or_else(|| unknown("webhook", id))?)
}

fn check(desk: &Desk, new: &NewWebHook) -> Result<(), Refused> {
    desk.parts().deliveries.post.guard().check(&new.url).map_err(|error| refused_url(&error))?;
    let is_kind = |kind: &String| {
        let name = kind.strip_suffix('*').unwrap_or(kind);
        let is_plain = |c: char| c.is_ascii_alphanumeric() || c == '.' || c == '-';
        kind.len() <= KIND_BYTES_MAX
            && name.starts_with(|c: char| c.is_ascii_alphabetic())
            && name.chars().all(is_plain)
    };
    if new.kinds.len() > KINDS_MAX || !new.kinds.iter().all(is_kind) {
        return Err(invalid("kinds", "at most 32 names of kinds, or families such as drive.*").into());
    }
    Ok(())
}

fn refused_url(error: &crate::webhook::address::UrlRefused) -> Problem {
    Problem::new(StatusCode::CONFLICT, "webhook-url-refused", "Nothing may be sent to this URL.")
        .detail(error.to_string())
        .with("field", "url")
        .with("retryable", false)
}

fn too_many() -> Problem {
    Problem::new(
        StatusCode::CONFLICT,
        "too-many-webhooks",
        "There are as many web-hooks as the station serves.",
    )
    .detail(format!("{HOOKS_MAX} is the limit; delete one first."))
    .with("retryable", false)
}

/// A sealed secret of the station's own, under the name by which those who rewrap know its purpose.
pub(super) fn row(purpose: &Purpose, sealed: &Sealed) -> SealedSecret {
    SealedSecret {
        name: serde_json::to_string(purpose).expect("a purpose is plain data"),
        job: None,
        master_key_id: sealed.master_key().to_string(),
        sealed: sealed.to_bytes(),
    }
}

impl WebHook {
    fn of(hook: Hook) -> Self {
        let is_waiting = hook.enabled && hook.attempts > 0;
        Self {
            id: hook.id,
            url: hook.url,
            kinds: hook.kinds,
            enabled: hook.enabled,
            created_at: rfc3339(hook.created_unix_ms),
            position: hook.position,
            attempts: hook.attempts,
            next_try_at: is_waiting.then(|| rfc3339(hook.next_try_unix_ms)),
            last_error: hook.last_error,
        }
    }
}
