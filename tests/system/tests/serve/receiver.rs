//! A receiver of web-hooks that owes the station nothing but the text of the Standard Webhooks: its own socket, its own
//! HMAC. While it is down, whoever connects is hung up on.

use std::collections::BTreeMap;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use anyhow::{Context, Result, ensure};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde_json::Value;
use sha2::{Digest, Sha256};

/// A sender that goes silent must not hold the test up.
const READ_WAIT: Duration = Duration::from_secs(30);
/// No message is longer.
const BODY_BYTES_MAX: usize = 1 << 20;
/// How far a sender's clock may be from ours: what the standard's libraries allow.
const CLOCK_SECONDS: u64 = 300;

/// A message as it came.
#[derive(Clone, Debug)]
pub struct Delivery {
    /// The same for every try of one event.
    pub id: String,
    at: String,
    signature: String,
    body: String,
}

/// See the file's words.
pub struct Receiver {
    address: SocketAddr,
    is_up: Arc<AtomicBool>,
    got: Arc<Mutex<Vec<Delivery>>>,
}

impl Receiver {
    pub fn start() -> Result<Receiver> {
        let listener = TcpListener::bind("127.0.0.1:0")?;
        let receiver = Receiver {
            address: listener.local_addr()?,
            is_up: Arc::new(AtomicBool::new(true)),
            got: Arc::default(),
        };
        let (is_up, got) = (Arc::clone(&receiver.is_up), Arc::clone(&receiver.got));
        std::thread::spawn(move || {
            for stream in listener.incoming().map_while(Result::ok) {
                if is_up.load(Ordering::Relaxed)
                    && let Ok(delivery) = take(stream)
                {
                    got.lock().unwrap_or_else(PoisonError::into_inner).push(delivery);
                }
            }
        });
        Ok(receiver)
    }

    pub fn url(&self) -> String {
        format!("http://{}/hook", self.address)
    }

    pub fn is_up(&self, is_up: bool) {
        self.is_up.store(is_up, Ordering::Relaxed);
    }

    pub fn got(&self) -> Vec<Delivery> {
        self.got.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

/// One request; taken before it is answered, as a receiver that keeps what it gets does.
fn take(mut stream: TcpStream) -> Result<Delivery> {
    stream.set_read_timeout(Some(READ_WAIT))?;
    let mut reader = BufReader::new(stream.try_clone()?);
    let mut headers = BTreeMap::new();
    for line in reader.by_ref().lines() {
        let line = line?;
        if line.is_empty() {
            break;
        }
        if let Some((name, value)) = line.split_once(':') {
            headers.insert(name.to_ascii_lowercase(), value.trim().to_owned());
        }
    }
    let header = |name: &str| headers.get(name).cloned().with_context(|| format!("no {name}"));
    let length: usize = header("content-length")?.parse()?;
    ensure!(length <= BODY_BYTES_MAX, "{length} bytes");
    let mut body = vec![0; length];
    reader.read_exact(&mut body)?;
    let delivery = Delivery {
        id: header("webhook-id")?,
        at: header("webhook-timestamp")?,
        signature: header("webhook-signature")?,
        body: String::from_utf8(body)?,
    };
    stream.write_all(b"HTTP/1.1 204 No Content\r\nconnection: close\r\n\r\n")?;
    Ok(delivery)
}

impl Delivery {
    /// The event's number.
    pub fn number(&self) -> Result<i64> {
        let body: Value = serde_json::from_str(&self.body)?;
        body["data"]["no"].as_i64().with_context(|| format!("no number: {body}"))
    }

    /// Refuses a message that is not signed with that secret, or not of now.
    pub fn check(&self, secret: &str) -> Result<()> {
        let key = STANDARD.decode(secret.strip_prefix("whsec_").context("whsec_…")?)?;
        let code = hmac_sha256(&key, format!("{}.{}.{}", self.id, self.at, self.body).as_bytes());
        let expected = format!("v1,{}", STANDARD.encode(code));
        ensure!(self.signature.split(' ').any(|given| given == expected), "{self:?} is not signed");
        let now = SystemTime::now().duration_since(UNIX_EPOCH)?.as_secs();
        ensure!(self.at.parse::<u64>()?.abs_diff(now) <= CLOCK_SECONDS, "{self:?} is of another time");
        Ok(())
    }
}

/// RFC 2104 over SHA-256.
fn hmac_sha256(key: &[u8], text: &[u8]) -> [u8; 32] {
    const BLOCK_BYTES: usize = 64;
    let mut block = [0; BLOCK_BYTES];
    block[..key.len()].copy_from_slice(key);
    let padded = |pad: u8| block.map(|byte| byte ^ pad);
    let inner = Sha256::new().chain_update(padded(0x36)).chain_update(text).finalize();
    Sha256::new().chain_update(padded(0x5c)).chain_update(inner).finalize().into()
}

#[test]
fn the_published_vector_of_standard_webhooks_is_met() -> Result<()> {
    let key = STANDARD.decode("MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw")?;
    let text = b"msg_p5jXN8AQM9LWM0D4loKWxJek.1614265330.{\"test\": 2432232314}";
    let code = STANDARD.encode(hmac_sha256(&key, text));
    ensure!(code == "g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE=", "{code}");
    Ok(())
}
