//! HTTP as any client speaks it, for what the station's command line has no words for.

use std::path::Path;
use std::sync::Once;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use reqwest::{Client, Method, RequestBuilder, Response};
use serde_json::Value;
use tokio::runtime::Runtime;

use crate::house::until;
use crate::program::Running;

/// No answer takes longer, however busy the machine.
const ANSWER_WAIT: Duration = Duration::from_secs(60);

/// Somebody who asks a station over HTTP.
pub struct Caller {
    runtime: Runtime,
    client: Client,
    base: String,
    token: Option<String>,
}

impl Caller {
    /// Over the station's socket: an admin.
    ///
    /// # Errors
    /// When the client cannot be made.
    pub fn local(socket: &Path) -> Result<Caller> {
        Caller::new("http://localhost".to_owned(), None, |client| client.unix_socket(socket.to_owned()))
    }

    /// Over the network.
    ///
    /// # Errors
    /// When the client cannot be made.
    pub fn remote(base: String, token: &str) -> Result<Caller> {
        Caller::new(base, Some(token.to_owned()), |client| client)
    }

    fn new(
        base: String,
        token: Option<String>,
        how: impl FnOnce(reqwest::ClientBuilder) -> reqwest::ClientBuilder,
    ) -> Result<Caller> {
        static TLS: Once = Once::new();
        // Only a second call could fail.
        TLS.call_once(|| drop(rustls::crypto::ring::default_provider().install_default()));
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
        let client = how(Client::builder().no_proxy()).build().context("making a client")?;
        Ok(Caller { runtime, client, base, token })
    }

    fn request(&self, method: Method, path: &str) -> RequestBuilder {
        let request = self.client.request(method, format!("{}{path}", self.base));
        match &self.token {
            Some(token) => request.bearer_auth(token),
            None => request,
        }
    }

    /// Status and text of the answer; a body is sent as JSON, whatever it is.
    ///
    /// # Errors
    /// When there is no answer.
    pub fn says(&self, method: Method, path: &str, body: Option<&str>) -> Result<(u16, String)> {
        let mut request = self.request(method, path).timeout(ANSWER_WAIT);
        if let Some(body) = body {
            request = request.header("content-type", "application/json").body(body.to_owned());
        }
        self.runtime.block_on(async {
            let answer = request.send().await.with_context(|| format!("asking for {path}"))?;
            Ok((answer.status().as_u16(), answer.text().await?))
        })
    }

    /// The JSON of an answer that must be a success.
    ///
    /// # Errors
    /// When it is none.
    pub fn ask(&self, method: Method, path: &str, body: Option<&Value>) -> Result<Value> {
        let body = body.map(Value::to_string);
        let (status, text) = self.says(method, path, body.as_deref())?;
        ensure!((200..300).contains(&status), "{path}: {status}: {text}");
        Ok(serde_json::from_str(&text).unwrap_or_default())
    }

    /// The stream of events behind that number.
    ///
    /// # Errors
    /// When there is none.
    pub fn events(&self, after: i64) -> Result<Events<'_>> {
        let request = self.request(Method::GET, "/v1/events").header("accept", "text/event-stream");
        let answer = self.runtime.block_on(request.header("last-event-id", after).send())?;
        let kind = answer.headers().get("content-type").and_then(|kind| kind.to_str().ok());
        ensure!(kind == Some("text/event-stream"), "it is no stream: {answer:?}");
        Ok(Events { caller: self, answer, unread: String::new() })
    }
}

/// A stream of server-sent events, read as a browser reads it.
pub struct Events<'a> {
    caller: &'a Caller,
    answer: Response,
    unread: String,
}

impl Events<'_> {
    /// The next event's data; none when the stream has ended or broken off.
    ///
    /// # Errors
    /// When nothing comes in time, or it is no event.
    pub fn next_event(&mut self) -> Result<Option<Value>> {
        // For the event: a silent stream still says that it is there.
        let deadline = tokio::time::Instant::now() + ANSWER_WAIT;
        loop {
            while let Some((frame, rest)) = self.unread.split_once("\n\n") {
                let data =
                    frame.lines().find_map(|line| line.strip_prefix("data: ")).map(serde_json::from_str);
                self.unread = rest.to_owned();
                if let Some(data) = data {
                    return Ok(Some(data?));
                }
            }
            let chunk = async { tokio::time::timeout_at(deadline, self.answer.chunk()).await };
            match self.caller.runtime.block_on(chunk).context("no event comes")? {
                Ok(Some(chunk)) => self.unread.push_str(std::str::from_utf8(&chunk)?),
                Ok(None) | Err(_) => return Ok(None),
            }
        }
    }
}

/// Where a station listens, as it says when it starts.
///
/// # Errors
/// When it does not say so.
pub fn address(station: &Running) -> Result<String> {
    let found = || -> Result<Option<String>> {
        let said = station.stderr()?;
        Ok(said.lines().find_map(|line| line.strip_prefix("station: listening on ")).map(str::to_owned))
    };
    until(|| Ok(found()?.is_some())).context("the station does not say where it listens")?;
    found()?.context("it was there a moment ago")
}
