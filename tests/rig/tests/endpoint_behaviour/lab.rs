//! What the endpoint's tests share: an endpoint with a container, and the requests of an upload.

use std::io;
use std::time::{Duration, Instant};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use rig::endpoint::conformance::client::{Answer, Ask, Client};
use rig::endpoint::{Endpoint, EndpointConfig, Store};

/// An endpoint with a container `con`, and a client of it.
pub struct Lab {
    pub endpoint: Endpoint,
    pub client: Client,
}

impl Lab {
    pub fn start(config: EndpointConfig) -> Lab {
        let endpoint = Endpoint::start(config).expect("started");
        let client = Client::new(endpoint.address(), endpoint.account(), endpoint.key());
        Lab { endpoint, client }
    }

    pub fn with_container(store: Store) -> Lab {
        let mut lab = Lab::start(EndpointConfig::with_store(store));
        assert_eq!(lab.word(Ask::new("PUT", "/con").query("restype", "container")), "201");
        lab
    }

    /// Sends; a connection that breaks is an error.
    pub fn send(&mut self, ask: Ask) -> io::Result<Answer> {
        self.client.send(&ask)
    }

    /// Sends, and tells status and code.
    pub fn word(&mut self, ask: Ask) -> String {
        self.client.send(&ask).expect("answered").word()
    }

    /// Another client of the same endpoint, for another thread.
    pub fn another_client(&self) -> Client {
        Client::new(self.endpoint.address(), self.endpoint.account(), self.endpoint.key())
    }
}

pub fn get(name: &str) -> Ask {
    Ask::new("GET", &format!("/con/{name}"))
}

pub fn put_blob(name: &str, body: &[u8]) -> Ask {
    Ask::new("PUT", &format!("/con/{name}")).header("x-ms-blob-type", "BlockBlob").body(body)
}

pub fn put_block(name: &str, id: &str, body: &[u8]) -> Ask {
    let ask = Ask::new("PUT", &format!("/con/{name}")).query("comp", "block");
    ask.query("blockid", &BASE64.encode(id)).body(body)
}

pub fn put_list(name: &str, ids: &[&str]) -> Ask {
    let ids: String = ids.iter().map(|id| format!("<Latest>{}</Latest>", BASE64.encode(id))).collect();
    let ask = Ask::new("PUT", &format!("/con/{name}")).query("comp", "blocklist");
    ask.body(format!("<BlockList>{ids}</BlockList>"))
}

/// Waits until something is so, with a deadline.
pub fn until(what: &str, mut holds: impl FnMut() -> bool) {
    let deadline = Instant::now() + Duration::from_secs(20);
    while !holds() {
        assert!(Instant::now() < deadline, "{what}: it never came to that");
        std::thread::sleep(Duration::from_millis(2));
    }
}
