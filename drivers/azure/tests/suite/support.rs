//! Accounts for tests: the development credential, a clock that does not wait.

use std::sync::{Arc, Mutex};
use std::time::{Duration, SystemTime};

use async_trait::async_trait;
use azure::{
    Account, AccountConfig, Clock, Condition, Credential, DEVELOPMENT_KEY, Endpoint, StorageError, Stored,
};
use bytes::Bytes;
use md5::{Digest, Md5};
use model::{BlobPath, Md5Digest};

use crate::server::Server;

/// A clock that runs a second with each look, notes the pauses asked for and does not wait.
#[derive(Debug)]
pub struct TestClock {
    now: Mutex<SystemTime>,
    pauses: Mutex<Vec<Duration>>,
}

impl TestClock {
    pub fn new() -> Arc<TestClock> {
        let now = SystemTime::UNIX_EPOCH + Duration::from_secs(1_700_000_000);
        Arc::new(TestClock { now: Mutex::new(now), pauses: Mutex::default() })
    }

    /// The pauses so far.
    pub fn pauses(&self) -> Vec<Duration> {
        self.pauses.lock().unwrap().clone()
    }
}

#[async_trait]
impl Clock for TestClock {
    fn now(&self) -> SystemTime {
        let mut now = self.now.lock().unwrap();
        *now += Duration::from_secs(1);
        *now
    }

    async fn pause(&self, duration: Duration) {
        self.pauses.lock().unwrap().push(duration);
        tokio::task::yield_now().await;
    }

    fn fraction(&self) -> f64 {
        1.0
    }
}

/// The configuration of an account at the server, with the development key.
pub fn config(server: &Server, clock: &Arc<TestClock>) -> AccountConfig {
    config_with(server, clock, Credential::from_text(DEVELOPMENT_KEY).unwrap())
}

/// The same with another credential.
pub fn config_with(server: &Server, clock: &Arc<TestClock>, credential: Credential) -> AccountConfig {
    let endpoint = Endpoint::parse(&format!("http://{}/devstoreaccount1", server.address)).unwrap();
    AccountConfig { clock: Arc::clone(clock) as Arc<dyn Clock>, ..AccountConfig::new(endpoint, credential) }
}

/// An account at the server.
pub fn account(server: &Server) -> Account {
    Account::new(config(server, &TestClock::new())).unwrap()
}

pub fn md5(data: &[u8]) -> Md5Digest {
    Md5Digest(Md5::digest(data).into())
}

pub fn path(text: &str) -> BlobPath {
    BlobPath::parse(text).unwrap()
}

/// Puts a small blob.
pub async fn put(account: &Account, name: &str, data: &'static [u8]) -> Result<Stored, StorageError> {
    let headers = azure::BlobHeaders::default();
    account.put_blob(&path(name), Bytes::from_static(data), md5(data), &headers, &Condition::None).await
}
