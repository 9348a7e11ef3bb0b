//! A blocking HTTP/1.1 client that sends exactly what a check asks for, signed by the check's side of
//! the rules, and shows exactly what came back.
//!
//! Small on purpose: one connection a client, opened anew when the server closed it; bodies by length
//! or in chunks; `100 Continue` skipped. It retries nothing.

use std::io::{self, BufRead as _, BufReader, Read as _, Write as _};
use std::net::{SocketAddr, TcpStream};
use std::time::Duration;

use super::sign;
use crate::endpoint::request::encode;
use crate::endpoint::stamp::Stamp;

/// A server that does not answer for so long is a failed check.
const PATIENCE: Duration = Duration::from_secs(30);
/// A reply of a check is small.
const REPLY_BYTES_MAX: u64 = 64 << 20;

/// How a request is signed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Credential {
    /// With the account's key.
    Key,
    /// By a signature in the query.
    Sas(String),
    /// By an `Authorization` header as it is.
    Header(String),
    /// Not at all.
    None,
}

/// A request.
#[derive(Debug, Clone)]
pub struct Ask {
    method: &'static str,
    /// `/container/blob`, encoded as it shall be sent.
    path: String,
    query: Vec<(String, String)>,
    headers: Vec<(String, String)>,
    body: Vec<u8>,
    credential: Credential,
    moment: Option<Stamp>,
}

/// A reply.
#[derive(Debug, Clone)]
pub struct Answer {
    /// HTTP status.
    pub status: u16,
    /// Names in lower case.
    pub headers: Vec<(String, String)>,
    /// The body.
    pub body: Vec<u8>,
}

impl Ask {
    /// A request on a path below the account, percent-encoded as it shall be sent.
    pub fn new(method: &'static str, path: &str) -> Ask {
        Ask {
            method,
            path: path.to_owned(),
            query: Vec::new(),
            headers: Vec::new(),
            body: Vec::new(),
            credential: Credential::Key,
            moment: None,
        }
    }

    /// Adds a query parameter, by its decoded value.
    #[must_use]
    pub fn query(mut self, name: &str, value: &str) -> Ask {
        self.query.push((name.to_owned(), value.to_owned()));
        self
    }

    /// Sets a header.
    #[must_use]
    pub fn header(mut self, name: &str, value: impl ToString) -> Ask {
        let name = name.to_lowercase();
        self.headers.retain(|(key, _)| *key != name);
        self.headers.push((name, value.to_string()));
        self
    }

    /// Gives the request a body.
    #[must_use]
    pub fn body(mut self, body: impl Into<Vec<u8>>) -> Ask {
        self.body = body.into();
        self
    }

    /// Signs in another way than with the account's key.
    #[must_use]
    pub fn by(mut self, credential: Credential) -> Ask {
        self.credential = credential;
        self
    }

    /// Dates the request at another moment than the present.
    #[must_use]
    pub fn at(mut self, moment: Stamp) -> Ask {
        self.moment = Some(moment);
        self
    }
}

impl Answer {
    /// The value of a header, by its name in lower case.
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(key, _)| key == name).map(|(_, value)| value.as_str())
    }

    /// `x-ms-error-code`, or the code in the body.
    pub fn code(&self) -> Option<&str> {
        self.header("x-ms-error-code").or_else(|| element(self.text(), "Code"))
    }

    /// The body as text.
    pub fn text(&self) -> &str {
        std::str::from_utf8(&self.body).unwrap_or_default()
    }

    /// Status and code in one word, as in the lists of checks: `201` or `404 BlobNotFound`.
    pub fn word(&self) -> String {
        match self.code() {
            Some(code) => format!("{} {code}", self.status),
            None => self.status.to_string(),
        }
    }

    /// The texts of every element of that name in the body.
    pub fn elements(&self, name: &str) -> Vec<&str> {
        let (open, close) = (format!("<{name}>"), format!("</{name}>"));
        let after = self.text().split(open.as_str()).skip(1);
        after.filter_map(|text| text.split_once(close.as_str())).map(|(inside, _)| inside).collect()
    }
}

fn element<'a>(text: &'a str, name: &str) -> Option<&'a str> {
    let after = text.split_once(&format!("<{name}>"))?.1;
    Some(after.split_once(&format!("</{name}>"))?.0)
}

/// A client of one account.
pub struct Client {
    address: SocketAddr,
    account: String,
    key: String,
    connection: Option<BufReader<TcpStream>>,
}

impl Client {
    /// A client that has not connected yet.
    pub fn new(address: SocketAddr, account: &str, key: &str) -> Client {
        Client { address, account: account.to_owned(), key: key.to_owned(), connection: None }
    }

    /// The account's name and key.
    pub fn account(&self) -> (&str, &str) {
        (&self.account, &self.key)
    }

    /// Sends a request and reads the reply.
    pub fn send(&mut self, ask: &Ask) -> io::Result<Answer> {
        let head = self.head(ask);
        let idle = self.connection.take().filter(|connection| is_open(connection.get_ref()));
        let mut connection = idle.map_or_else(|| connect(self.address), Ok)?;
        connection.get_mut().write_all(head.as_bytes())?;
        connection.get_mut().write_all(&ask.body)?;
        let (answer, reusable) = read_answer(&mut connection, ask.method == "HEAD")?;
        self.connection = reusable.then_some(connection);
        Ok(answer)
    }

    fn head(&self, ask: &Ask) -> String {
        let path = format!("/{}{}", self.account, ask.path);
        let mut headers = ask.headers.clone();
        let given = |headers: &[(String, String)], name: &str| headers.iter().any(|(key, _)| key == name);
        if !given(&headers, "x-ms-version") {
            headers.push(("x-ms-version".to_owned(), "2022-11-02".to_owned()));
        }
        if !given(&headers, "content-length") && (ask.method == "PUT" || !ask.body.is_empty()) {
            headers.push(("content-length".to_owned(), ask.body.len().to_string()));
        }
        let pairs = ask.query.iter().map(|(name, value)| format!("{}={}", encode(name), encode(value)));
        let mut query: Vec<String> = pairs.collect();
        match &ask.credential {
            Credential::Key => {
                let moment = ask.moment.unwrap_or_else(|| crate::endpoint::stamp::Clock::default().now());
                headers.push(("x-ms-date".to_owned(), moment.http_date()));
                let signed =
                    sign::Signed { method: ask.method, path: &path, query: &ask.query, headers: &headers };
                let signature = sign::hmac(&self.key, &signed.text(&self.account));
                headers.push(("authorization".to_owned(), format!("SharedKey {}:{signature}", self.account)));
            }
            Credential::Sas(sas) => query.push(sas.clone()),
            Credential::Header(value) => headers.push(("authorization".to_owned(), value.clone())),
            Credential::None => {}
        }
        let query = if query.is_empty() { String::new() } else { format!("?{}", query.join("&")) };
        let lines: String = headers.iter().map(|(name, value)| format!("{name}: {value}\r\n")).collect();
        format!("{} {path}{query} HTTP/1.1\r\nhost: {}\r\n{lines}\r\n", ask.method, self.address)
    }
}

fn connect(address: SocketAddr) -> io::Result<BufReader<TcpStream>> {
    let stream = TcpStream::connect(address)?;
    stream.set_read_timeout(Some(PATIENCE))?;
    stream.set_nodelay(true)?;
    Ok(BufReader::new(stream))
}

/// Whether the server has not closed an idle connection meanwhile.
fn is_open(stream: &TcpStream) -> bool {
    let looked = stream.set_nonblocking(true).and_then(|()| stream.peek(&mut [0]));
    let nothing_yet = matches!(looked, Err(error) if error.kind() == io::ErrorKind::WouldBlock);
    nothing_yet && stream.set_nonblocking(false).is_ok()
}

fn read_answer(connection: &mut BufReader<TcpStream>, is_head: bool) -> io::Result<(Answer, bool)> {
    let (status, headers) = loop {
        let (status, headers) = read_head(connection)?;
        if status != 100 {
            break (status, headers);
        }
    };
    let mut answer = Answer { status, headers, body: Vec::new() };
    let length: Option<u64> = answer.header("content-length").and_then(|text| text.parse().ok());
    if is_head || matches!(status, 204 | 304) {
    } else if answer.header("transfer-encoding") == Some("chunked") {
        answer.body = read_chunks(connection)?;
    } else {
        let length = length.unwrap_or(REPLY_BYTES_MAX);
        connection.by_ref().take(length).read_to_end(&mut answer.body)?;
        if answer.header("content-length").is_some() && answer.body.len() as u64 != length {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
    }
    let closes = answer.header("connection").is_some_and(|value| value.eq_ignore_ascii_case("close"));
    Ok((answer, !closes))
}

fn read_head(connection: &mut BufReader<TcpStream>) -> io::Result<(u16, Vec<(String, String)>)> {
    let first = read_line(connection)?;
    let status = first.split(' ').nth(1).and_then(|text| text.parse().ok());
    let status = status.ok_or_else(|| io::Error::other(format!("not a status line: {first:?}")))?;
    let mut headers = Vec::new();
    loop {
        let line = read_line(connection)?;
        if line.is_empty() {
            return Ok((status, headers));
        }
        let (name, value) = line.split_once(':').unwrap_or((line.as_str(), ""));
        headers.push((name.to_lowercase(), value.trim().to_owned()));
    }
}

fn read_chunks(connection: &mut BufReader<TcpStream>) -> io::Result<Vec<u8>> {
    let mut body = Vec::new();
    loop {
        let line = read_line(connection)?;
        let size = u64::from_str_radix(line.trim(), 16).map_err(io::Error::other)?;
        connection.by_ref().take(size).read_to_end(&mut body)?;
        read_line(connection)?;
        if size == 0 || body.len() as u64 > REPLY_BYTES_MAX {
            return Ok(body);
        }
    }
}

fn read_line(connection: &mut BufReader<TcpStream>) -> io::Result<String> {
    let mut line = String::new();
    if connection.by_ref().take(64 << 10).read_line(&mut line)? == 0 {
        return Err(io::ErrorKind::UnexpectedEof.into());
    }
    Ok(line.trim_end_matches(['\r', '\n']).to_owned())
}
