//! Commands that a running station answers: `station job|drive|custody|token …`.
//!
//! Each is a request to the API that anybody else could make, with the rights of its token, and a
//! way to print the answer. Owns how the station is reached and what a refusal looks like on a
//! terminal; which code a refusal ends with is in [`exit_of`]. A command keeps no state.

pub mod account;
pub mod custody;
pub mod drive;
pub mod job;
pub mod table;
pub mod token;

use std::path::PathBuf;
use std::time::Duration;

use anyhow::{Context, anyhow, bail};
use clap::Args;
use model::Exit;
use reqwest::{Client, Method, StatusCode, Url};
use serde_json::Value;
use zeroize::Zeroizing;

use crate::exit::Failure;
use crate::{console, private_text, state};

/// A station that does not answer within this time will not.
const ANSWER_WAIT: Duration = Duration::from_secs(60);
/// Parts of a list; more than that is for a program with its own paging.
const PAGES_MAX: usize = 10_000;
/// Longest answer that is not streamed.
const ANSWER_BYTES_MAX: usize = 64 << 20;

/// Which station, and as whom.
#[derive(Debug, Args)]
pub struct Server {
    /// The station: `https://HOST[:PORT]`, or `unix:PATH` for the socket of the one on this machine
    /// [default: the state folder's station.sock]
    #[arg(long, value_name = "URL", env = "DRAYAGE_SERVER", global = true)]
    pub server: Option<String>,
    /// File (0600) that holds the token [default: what DRAYAGE_TOKEN holds]
    #[arg(long, value_name = "FILE", global = true)]
    pub token_file: Option<PathBuf>,
    /// PEM file of the certificate authority that the station's certificate is from.
    #[arg(long, value_name = "FILE", global = true)]
    pub server_ca_file: Option<PathBuf>,
    /// The answer as JSON on standard output.
    #[arg(long, global = true)]
    pub json: bool,
}

/// A station that can be asked.
pub struct Station {
    http: Client,
    base: Url,
    token: Option<Zeroizing<String>>,
    /// Print answers as they are.
    pub as_json: bool,
}

/// What to ask.
pub struct Request {
    method: Method,
    path: String,
    query: Vec<(&'static str, String)>,
    body: Option<Value>,
    replaces: bool,
}

impl Request {
    /// A question.
    pub fn get(path: impl Into<String>) -> Request {
        Request { method: Method::GET, path: path.into(), query: Vec::new(), body: None, replaces: false }
    }

    /// Something to be done; sent twice, it is done once.
    pub fn post(path: impl Into<String>, body: Value) -> Request {
        Request {
            method: Method::POST,
            path: path.into(),
            query: Vec::new(),
            body: Some(body),
            replaces: false,
        }
    }

    /// With another verb.
    pub fn verb(method: Method, path: impl Into<String>, body: Option<Value>) -> Request {
        Request { method, path: path.into(), query: Vec::new(), body, replaces: false }
    }

    /// Takes the place of what is there, whatever it is.
    pub fn replacing(mut self, replaces: bool) -> Request {
        self.replaces = replaces;
        self
    }

    /// With a query parameter, if there is a value.
    pub fn with(mut self, name: &'static str, value: Option<impl ToString>) -> Request {
        self.query.extend(value.map(|value| (name, value.to_string())));
        self
    }
}

impl Server {
    /// Gets ready to ask; nothing is sent yet.
    ///
    /// # Errors
    /// For a wrong URL, or a file that cannot be read.
    pub fn open(&self) -> Result<Station, Failure> {
        self.prepare().map_err(Failure::usage)
    }

    fn prepare(&self) -> anyhow::Result<Station> {
        let mut http = Client::builder().timeout(ANSWER_WAIT).redirect(reqwest::redirect::Policy::none());
        let given = match &self.server {
            Some(server) => server.clone(),
            None => format!("unix:{}", state::folder(None)?.join("station.sock").display()),
        };
        let base = if let Some(socket) = given.strip_prefix("unix:") {
            http = http.unix_socket(PathBuf::from(socket));
            Url::parse("http://localhost/")?
        } else {
            secure_url(&given)?
        };
        if let Some(path) = &self.server_ca_file {
            let pem = std::fs::read(path).with_context(|| format!("reading {}", path.display()))?;
            http = http.tls_certs_merge(reqwest::Certificate::from_pem_bundle(&pem)?);
        }
        let token = self.token()?;
        Ok(Station { http: http.build()?, base, token, as_json: self.json })
    }

    fn token(&self) -> anyhow::Result<Option<Zeroizing<String>>> {
        let text = match &self.token_file {
            Some(path) => Some(private_text::read(path, "the token")?),
            None => std::env::var("DRAYAGE_TOKEN").ok().map(Zeroizing::new),
        };
        Ok(text.map(|text| Zeroizing::new(text.trim().to_owned())).filter(|text| !text.is_empty()))
    }
}

/// A token must not cross a network in the clear.
fn secure_url(given: &str) -> anyhow::Result<Url> {
    let url = Url::parse(given).with_context(|| format!("--server {given}"))?;
    let is_loopback = matches!(url.host_str(), Some("localhost" | "127.0.0.1" | "[::1]"));
    match url.scheme() {
        "https" => Ok(url),
        "http" if is_loopback => Ok(url),
        "http" => bail!("--server {given}: http only to this machine itself; use https"),
        other => bail!("--server {given}: {other} is neither https nor unix:PATH"),
    }
}

impl Station {
    /// Asks, and gives the answer's body; JSON null for an empty one.
    ///
    /// # Errors
    /// When the station cannot be reached, or refuses.
    pub async fn ask(&self, request: Request) -> Result<Value, Failure> {
        let answer = self.send(request).await?;
        let body = bounded(answer).await.map_err(unreachable)?;
        if body.is_empty() {
            return Ok(Value::Null);
        }
        serde_json::from_slice(&body).map_err(|error| Failure {
            exit: Exit::Other,
            cause: anyhow!(error).context("the station's answer is not JSON"),
        })
    }

    /// Asks, and gives the answer as it comes.
    ///
    /// # Errors
    /// When the station cannot be reached, or refuses.
    pub async fn send(&self, request: Request) -> Result<reqwest::Response, Failure> {
        let mut url = self.base.join(&request.path).map_err(Failure::usage)?;
        if !request.query.is_empty() {
            url.query_pairs_mut().extend_pairs(&request.query);
        }
        let changes = request.method != Method::GET;
        let mut outgoing = self.http.request(request.method, url);
        if let Some(token) = &self.token {
            outgoing = outgoing.bearer_auth(token.as_str());
        }
        if changes {
            outgoing = outgoing.header("Idempotency-Key", fresh_key());
        }
        if request.replaces {
            outgoing = outgoing.header("If-Match", "*");
        }
        if let Some(body) = &request.body {
            outgoing = outgoing.header("Content-Type", "application/json").body(body.to_string());
        }
        let answer = outgoing.send().await.map_err(unreachable)?;
        let status = answer.status();
        if status.is_success() {
            return Ok(answer);
        }
        let body = bounded(answer).await.unwrap_or_default();
        let refusal = Refusal { status, text: refusal_text(status, &body) };
        Err(Failure { exit: exit_of(status), cause: refusal.into() })
    }

    /// All parts of a list, one after the other: its members under `name`.
    ///
    /// # Errors
    /// When the station cannot be reached, or refuses.
    pub async fn pages(&self, request: impl Fn() -> Request, name: &str) -> Result<Vec<Value>, Failure> {
        let (mut all, mut cursor) = (Vec::new(), None::<String>);
        for _ in 0..PAGES_MAX {
            let page = self.ask(request().with("cursor", cursor.as_ref())).await?;
            all.extend(page[name].as_array().cloned().unwrap_or_default());
            cursor = page["nextCursor"].as_str().map(str::to_owned);
            if cursor.is_none() {
                break;
            }
        }
        Ok(all)
    }

    /// Prints an answer: as it is for machines, else by `human`.
    pub fn show(&self, answer: &Value, human: impl FnOnce(&Value)) {
        if self.as_json {
            console::print_json(answer);
        } else {
            human(answer);
        }
    }
}

/// What the station refused, and in which words.
#[derive(Debug, thiserror::Error)]
#[error("{text}")]
pub struct Refusal {
    /// Its answer's status.
    pub status: StatusCode,
    /// What to print.
    pub text: String,
}

async fn bounded(mut answer: reqwest::Response) -> Result<Vec<u8>, reqwest::Error> {
    let mut body = Vec::new();
    while let Some(piece) = answer.chunk().await? {
        if body.len() + piece.len() > ANSWER_BYTES_MAX {
            break;
        }
        body.extend_from_slice(&piece);
    }
    Ok(body)
}

fn unreachable(error: reqwest::Error) -> Failure {
    // The URL may hold nothing secret, but says nothing that --server does not.
    let cause =
        anyhow!(error.without_url()).context("the station does not answer; does `station serve` run?");
    Failure { exit: Exit::Retryable, cause }
}

/// Sent with a request that changes something, so that a repetition on the way counts once.
fn fresh_key() -> String {
    let mut id = [0u8; 16];
    rand::fill(&mut id);
    id.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// spec/operations.md §6.6.
fn exit_of(status: StatusCode) -> Exit {
    match status {
        StatusCode::NOT_FOUND => Exit::WrongDrive,
        StatusCode::TOO_MANY_REQUESTS | StatusCode::REQUEST_TIMEOUT => Exit::Retryable,
        status if status.is_server_error() => Exit::Retryable,
        _ => Exit::NotRetryable,
    }
}

/// What a refusal says: an RFC 9457 problem, or ARM's error with its details.
fn refusal_text(status: StatusCode, body: &[u8]) -> String {
    let Ok(body) = serde_json::from_slice::<Value>(body) else {
        return format!("the station answered {status}");
    };
    let mut lines = Vec::new();
    let text = |value: &Value, name: &str| value.get(name).and_then(Value::as_str).map(str::to_owned);
    if let Some(error) = body.get("error") {
        lines.push(text(error, "message").unwrap_or_else(|| status.to_string()));
        for detail in error.get("details").and_then(Value::as_array).into_iter().flatten() {
            let target = text(detail, "target").unwrap_or_default();
            lines.push(format!("  {target}: {}", text(detail, "message").unwrap_or_default()));
        }
    } else {
        let title = text(&body, "title").unwrap_or_else(|| status.to_string());
        lines.push(match text(&body, "detail") {
            Some(detail) => format!("{}: {detail}", title.trim_end_matches('.')),
            None => title,
        });
        lines.extend(text(&body, "next").map(|next| format!("  next: {next}")));
    }
    lines.join("\n")
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_token_is_not_sent_over_plain_http_to_another_machine() {
        assert!(secure_url("http://station.example").is_err());
        assert!(secure_url("ftp://station.example").is_err());
        assert!(secure_url("https://station.example:8443").is_ok());
        assert!(secure_url("http://127.0.0.1:8080").is_ok());
    }

    #[test]
    fn every_problem_of_a_refused_job_is_printed_with_its_place() {
        let body = json!({"error": {"code": "InvalidParameter", "message": "the job was not created", "details": [
            {"code": "x", "target": "properties.returnAddress.email", "message": "has no @"},
            {"code": "x", "target": "properties.driveList[1].driveId", "message": "is empty"}]}});
        let text = refusal_text(StatusCode::BAD_REQUEST, body.to_string().as_bytes());
        assert_eq!(
            text,
            "the job was not created\n  properties.returnAddress.email: has no @\n  properties.driveList[1].driveId: is empty"
        );
    }

    #[test]
    fn a_problem_says_what_to_do_next() {
        let body =
            json!({"title": "Wrong bay", "detail": "the drive is in B-02", "next": "take it out of B-02"});
        let text = refusal_text(StatusCode::CONFLICT, body.to_string().as_bytes());
        assert_eq!(text, "Wrong bay: the drive is in B-02\n  next: take it out of B-02");
    }

    #[test]
    fn what_is_worth_a_retry_ends_with_another_code_than_what_is_not() {
        assert_eq!(exit_of(StatusCode::SERVICE_UNAVAILABLE), Exit::Retryable);
        assert_eq!(exit_of(StatusCode::CONFLICT), Exit::NotRetryable);
        assert_eq!(exit_of(StatusCode::NOT_FOUND), Exit::WrongDrive);
    }
}
