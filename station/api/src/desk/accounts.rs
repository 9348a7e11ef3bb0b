//! `/v1/accounts`: the station's own ways into storage accounts. What is put in is sealed and never comes out here.
//!
//! Endpoint, ARM id and credential are one sealed text, bound to the account's name. Who copies opens it with
//! [`open`] and compares the id with the job's: a name in a job is no right to the account of that name.

use axum::Json;
use axum::extract::State;
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use keys::{OpenError, Purpose, Sealed, Secret, Vault};
use ledger::{ApplyError, Change, Ledger, OfficeError, SealedSecret, SecretWrite};
use model::job::StorageAccountId;
use serde::{Deserialize, Deserializer, Serialize};
use sha2::{Digest, Sha256};
use thiserror::Error;
use utoipa::ToSchema;
use zeroize::Zeroizing;

use super::Desk;
use super::ask::{Asked, Command, Named};
use super::cursor::Pages;
use super::etag::etag;
use super::once::Answer;
use super::refused::{Refused, internal, invalid, not_applied, unknown};
use super::webhooks::{Part, row};
use crate::people::Caller;
use crate::problem::Problem;

/// Reads an endpoint as who copies will: gives the account that it names, or says what is wrong, never quoting it.
///
/// The one of the storage driver, which this crate does not know.
pub type AccountOf = fn(&str) -> Result<String, String>;

/// How the names of such secrets begin in the ledger, where they stand in order.
const NAMES: &str = r#"{"kind":"storage-credential","account":""#;
const ENDPOINT_BYTES_MAX: usize = 512;
const CREDENTIAL_BYTES_MAX: usize = 16 << 10;
/// Others that were faster, before somebody is told to come again.
const RACES_MAX: u32 = 4;

/// A way into an account.
#[derive(Deserialize, ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
#[schema(as = NewAccount)]
pub(super) struct Wanted {
    /// The account's endpoint: `https://name.blob.core.windows.net`.
    #[schema(min_length = 1, max_length = 512)]
    endpoint: String,
    /// The account's ARM id: `/subscriptions/…/resourceGroups/…/providers/Microsoft.Storage/storageAccounts/name`.
    /// Only jobs for exactly this account are given the credential.
    #[schema(min_length = 1, max_length = 512)]
    resource_id: String,
    /// A key or a SAS. It is sealed, and no answer ever holds it.
    #[schema(min_length = 1, max_length = 16384, format = Password, write_only)]
    #[schema(value_type = String)]
    credential: Hidden,
}

/// A text that is wiped when it is dropped, and has no `Debug`.
struct Hidden(Zeroizing<String>);

impl<'de> Deserialize<'de> for Hidden {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer).map(|text| Self(Zeroizing::new(text)))
    }
}

/// An account that the station has a way into.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
#[schema(as = Account)]
pub(super) struct AccountView {
    /// Its name.
    name: String,
    /// The master key that the credential is sealed under.
    sealed_under: String,
}

/// A part of the list.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(super) struct AccountPage {
    accounts: Vec<AccountView>,
    /// Ask with this as `cursor` for the next part; absent at the end.
    #[serde(skip_serializing_if = "Option::is_none")]
    next_cursor: Option<String>,
}

/// A way into an account, opened for the one who copies.
pub struct Opened {
    /// The account's endpoint.
    pub endpoint: String,
    /// The account's ARM id.
    pub resource_id: String,
    /// The key or SAS.
    pub credential: Secret,
}

/// Why a way into an account cannot be opened.
#[derive(Debug, Error)]
pub enum NotOpened {
    /// The ledger failed.
    #[error("reading the credential of account {0}")]
    Ledger(String, #[source] OfficeError),
    /// What is kept is damaged.
    #[error("the sealed credential of account {0} is damaged: PUT /v1/accounts/{0} again")]
    Damaged(String),
    /// It does not open.
    #[error("opening the credential of account {0}")]
    Closed(String, #[source] OpenError),
}

/// The station's way into an account, if it was given one.
///
/// # Errors
/// When the ledger fails, or what it keeps does not open.
pub async fn open(ledger: &dyn Ledger, vault: &Vault, account: &str) -> Result<Option<Opened>, NotOpened> {
    let account = account.to_ascii_lowercase();
    let purpose = Purpose::StorageCredential { account: account.clone() };
    let row =
        ledger.secret(&name_of(&purpose)).await.map_err(|error| NotOpened::Ledger(account.clone(), error))?;
    let Some(row) = row else { return Ok(None) };
    let sealed = Sealed::from_bytes(&row.sealed).map_err(|_| NotOpened::Damaged(account.clone()))?;
    let opened =
        vault.open(&purpose, &sealed).await.map_err(|error| NotOpened::Closed(account.clone(), error))?;
    let mut lines = opened.expose_text().unwrap_or_default().splitn(3, '\n');
    let (Some(endpoint), Some(resource_id), Some(credential)) = (lines.next(), lines.next(), lines.next())
    else {
        return Err(NotOpened::Damaged(account));
    };
    Ok(Some(Opened {
        endpoint: endpoint.to_owned(),
        resource_id: resource_id.to_owned(),
        credential: Secret::from_text(credential.to_owned()),
    }))
}

/// The accounts that the station has a way into, by name.
#[utoipa::path(get, path = "/v1/accounts", tag = "accounts", operation_id = "accountsList", params(Part), responses((status = 200, body = AccountPage)))]
pub(super) async fn list(
    State(desk): State<Desk>,
    Asked(part): Asked<Part>,
) -> Result<Json<AccountPage>, Refused> {
    let pages = Pages::new("accounts", &[]);
    let after = part.cursor.as_deref().map(|cursor| pages.after(cursor)).transpose()?;
    let after = after.map_or(NAMES.to_owned(), |name| name_of(&Purpose::StorageCredential { account: name }));
    let limit = part.limit()?;
    // No master key has an empty id, so this is the list of all secrets from that name on.
    let rows = desk.ledger().secrets_to_rewrap("", Some(&after), limit).await?;
    let is_full = rows.len() == usize::try_from(limit).unwrap_or(usize::MAX);
    let all_ours = rows.iter().all(|row| row.name.starts_with(NAMES));
    let accounts: Vec<AccountView> = rows.iter().filter_map(AccountView::of).collect();
    let next_cursor = accounts.last().filter(|_| is_full && all_ours).map(|last| pages.cursor(&last.name));
    Ok(Json(AccountPage { accounts, next_cursor }))
}

/// An account that the station has a way into, and as `ETag` which one it is.
#[utoipa::path(get, path = "/v1/accounts/{name}", tag = "accounts", operation_id = "accountsGet", params(("name" = String, Path, description = "The storage account's name.", pattern = "^[a-z0-9]{3,24}$")), responses((status = 200, body = AccountView, headers(("ETag" = String, description = "Of this credential.")))))]
pub(super) async fn get(State(desk): State<Desk>, Named(name): Named<String>) -> Result<Response, Refused> {
    let row = find(&desk, &name).await?.ok_or_else(|| unknown("account", &name))?;
    Ok(([(header::ETAG, etag(tag_of(&row)))], Json(AccountView::new(&name, &row))).into_response())
}

async fn find(desk: &Desk, name: &str) -> Result<Option<SealedSecret>, Refused> {
    if !is_name(name) {
        return Ok(None);
    }
    let secret = name_of(&Purpose::StorageCredential { account: name.to_owned() });
    Ok(desk.ledger().secret(&secret).await?)
}

/// Gives the station a way into an account, or another one in the place of it.
///
/// Where there is one already, `If-Match` must say which: its `ETag`, or `*`. Where there is none, it says nothing.
#[utoipa::path(
    put,
    path = "/v1/accounts/{name}",
    tag = "accounts",
    operation_id = "accountsPut",
    params(
        ("name" = String, Path, description = "The storage account's name.", pattern = "^[a-z0-9]{3,24}$"),
        ("If-Match" = Option<String>, Header, description = "The ETag of what is replaced."),
    ),
    request_body = Wanted,
    responses(
        (status = 200, body = AccountView, headers(("ETag" = String, description = "Of this credential."))),
        (status = 201, body = AccountView, headers(("ETag" = String, description = "Of this credential."))),
    )
)]
pub(super) async fn put(
    State(desk): State<Desk>,
    Named(name): Named<String>,
    command: Command<Wanted>,
) -> Result<Answer, Refused> {
    check(&desk, &name, &command.body)?;
    let purpose = Purpose::StorageCredential { account: name.clone() };
    let mut tries = 0;
    loop {
        let before = find(&desk, &name).await?;
        match &before {
            Some(before) => command.if_match.demand(tag_of(before))?,
            None => command.if_match.hold_nothing()?,
        }
        let status = if before.is_some() { StatusCode::OK } else { StatusCode::CREATED };
        let sealed = seal(&desk, &purpose, &command.body)?;
        let (view, tag) = (AccountView::new(&name, &sealed), tag_of(&sealed));
        let answer = Answer::json(status, view).header(header::ETAG, etag(tag));
        let change = Change {
            secrets: vec![SecretWrite::Replace { before, with: sealed }],
            custody: vec![desk.entry(&command.caller, "account.put", &name)],
            ..Change::default()
        };
        match desk.apply(&command, change, &answer).await {
            Ok(()) => return Ok(answer),
            // Somebody put, rewrapped or deleted it since it was read: what is there now decides.
            Err(ApplyError::Conflict { .. }) if tries < RACES_MAX => tries += 1,
            Err(error) => return Err(not_applied(error)),
        }
    }
}

/// Forgets the way into an account. Copies that run keep what they opened.
#[utoipa::path(delete, path = "/v1/accounts/{name}", tag = "accounts", operation_id = "accountsDelete", params(("name" = String, Path, description = "The storage account's name.", pattern = "^[a-z0-9]{3,24}$")), responses((status = 204)))]
pub(super) async fn delete(
    State(desk): State<Desk>,
    caller: Caller,
    Named(name): Named<String>,
) -> Result<StatusCode, Refused> {
    let found = find(&desk, &name).await?.ok_or_else(|| unknown("account", &name))?;
    let change = Change {
        secrets: vec![SecretWrite::Delete { name: found.name }],
        custody: vec![desk.entry(&caller, "account.deleted", &name)],
        chain: desk.parts().station.clone(),
        ..Change::default()
    };
    desk.ledger().apply(&change).await.map_err(not_applied)?;
    Ok(StatusCode::NO_CONTENT)
}

/// Every limit before anything is sealed.
fn check(desk: &Desk, name: &str, wanted: &Wanted) -> Result<(), Refused> {
    if !is_name(name) {
        return Err(unknown("account", name).into());
    }
    if wanted.endpoint.len() > ENDPOINT_BYTES_MAX || wanted.endpoint.contains(char::is_control) {
        return Err(refused_endpoint("it is one line of at most 512 bytes").into());
    }
    let named = (desk.parts().account_of)(&wanted.endpoint).map_err(|why| refused_endpoint(&why))?;
    // Else a drive for one account would be copied into another.
    if named != name {
        return Err(refused_endpoint(&format!("it is the endpoint of account {named}, not of {name}")).into());
    }
    let is_of_name = |id: StorageAccountId<'_>| id.name.eq_ignore_ascii_case(name);
    let id = StorageAccountId::parse(&wanted.resource_id);
    if !id.is_some_and(is_of_name)
        || wanted.resource_id.len() > 512
        || wanted.resource_id.contains(char::is_control)
    {
        return Err(refused_id(name).into());
    }
    match wanted.credential.0.len() {
        1..=CREDENTIAL_BYTES_MAX => Ok(()),
        _ => Err(invalid("credential", "it has 1 to 16384 bytes").into()),
    }
}

/// 409, not 422: what an endpoint is, no schema can say.
fn refused_endpoint(why: &str) -> Problem {
    Problem::new(StatusCode::CONFLICT, "endpoint-refused", "This is no endpoint of the account.")
        .detail(why)
        .with("field", "endpoint")
        .with("retryable", false)
}

/// 409, as [`refused_endpoint`].
fn refused_id(name: &str) -> Problem {
    Problem::new(
        StatusCode::CONFLICT,
        "resource-id-refused",
        "This is not the ARM id of that storage account.",
    )
    .detail(format!(
        "It is /subscriptions/…/resourceGroups/…/providers/Microsoft.Storage/storageAccounts/{name}."
    ))
    .with("field", "resourceId")
    .with("retryable", false)
}

/// As Azure names accounts.
fn is_name(name: &str) -> bool {
    (3..=24).contains(&name.len())
        && name.bytes().all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit())
}

fn seal(desk: &Desk, purpose: &Purpose, wanted: &Wanted) -> Result<SealedSecret, Refused> {
    // Endpoint and id are a line each: neither has a line break inside it.
    let parts = [&wanted.endpoint, "\n", &wanted.resource_id, "\n", &wanted.credential.0];
    let mut text = Zeroizing::new(String::with_capacity(parts.iter().map(|part| part.len()).sum()));
    parts.iter().for_each(|part| text.push_str(part));
    let sealed =
        desk.parts().vault.seal(purpose, text.as_bytes()).map_err(|error| internal("sealing", &error))?;
    Ok(row(purpose, &sealed))
}

fn name_of(purpose: &Purpose) -> String {
    serde_json::to_string(purpose).expect("a purpose is plain data")
}

/// Sealing is never the same twice, so the sealed bytes name the version; a new master key makes another one.
fn tag_of(secret: &SealedSecret) -> String {
    Sha256::digest(&secret.sealed).iter().take(12).map(|byte| format!("{byte:02x}")).collect()
}

impl AccountView {
    fn of(row: &SealedSecret) -> Option<Self> {
        let account = row.name.strip_prefix(NAMES)?.strip_suffix("\"}")?;
        Some(Self::new(account, row))
    }

    fn new(name: &str, row: &SealedSecret) -> Self {
        Self { name: name.to_owned(), sealed_under: row.master_key_id.clone() }
    }
}
