//! What the demo and the benchmarks share: credentials in a file, and a discarding endpoint as a
//! process of its own, so that its work can be told from ours.

use std::fs::{self, Permissions};
use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail, ensure};
use rig::endpoint::{ACCOUNT, ACCOUNT_KEY};

use crate::bench::usage::{Measured, Usage};

/// How long the endpoint may take to answer for the first time.
const START_WAIT: Duration = Duration::from_secs(20);

/// A shared access signature in form only: a discarding endpoint checks none.
pub const UNCHECKED_SAS: &str =
    "sv=2020-08-04&ss=b&srt=sco&sp=rwdlac&se=2099-01-01T00%3A00%3A00Z&sig=bm90IGNoZWNrZWQ%3D";

/// `rig endpoint --discard` in another process. Dropping it ends it.
pub struct Discarding {
    address: SocketAddr,
    process: Measured,
}

impl Discarding {
    /// Starts one on a free port of loopback and waits until it answers.
    ///
    /// # Errors
    /// When it does not come up.
    pub fn start(rig: &Path) -> Result<Discarding> {
        let free = TcpListener::bind("127.0.0.1:0").context("finding a free port")?;
        let address = free.local_addr().context("finding a free port")?;
        drop(free);
        let mut command = Command::new(rig);
        command.args(["endpoint", "--discard", "--listen", &address.to_string()]).stdout(Stdio::null());
        let endpoint = Discarding { address, process: Measured::start(&mut command)? };
        let deadline = Instant::now() + START_WAIT;
        while TcpStream::connect(address).is_err() {
            if Instant::now() > deadline {
                bail!("the endpoint did not answer at {address} within {} s", START_WAIT.as_secs());
            }
            thread::sleep(Duration::from_millis(20));
        }
        Ok(endpoint)
    }

    /// Where the development account is.
    pub fn url(&self) -> String {
        format!("http://{}/{ACCOUNT}", self.address)
    }

    /// Makes a container, for clients that expect theirs; a discarding endpoint wants no signature.
    ///
    /// # Errors
    /// When the endpoint refuses.
    pub fn make_container(&self, name: &str) -> Result<()> {
        let mut stream = TcpStream::connect(self.address).context("connecting to the endpoint")?;
        let request = format!(
            "PUT /{ACCOUNT}/{name}?restype=container HTTP/1.1\r\nHost: {}\r\nx-ms-version: 2021-08-06\r\n\
             Content-Length: 0\r\nConnection: close\r\n\r\n",
            self.address
        );
        let mut response = String::new();
        stream.write_all(request.as_bytes()).context("asking for a container")?;
        stream.read_to_string(&mut response).context("hearing about the container")?;
        ensure!(response.starts_with("HTTP/1.1 201"), "making the container {name}: {response}");
        Ok(())
    }

    /// What a client is configured with.
    pub fn connection_string(&self) -> String {
        let url = self.url();
        format!(
            "DefaultEndpointsProtocol=http;AccountName={ACCOUNT};AccountKey={ACCOUNT_KEY};BlobEndpoint={url};"
        )
    }

    /// Asks it to end and says what it took.
    ///
    /// # Errors
    /// When it cannot be signalled.
    pub fn stop(self) -> Result<Usage> {
        self.process.stop()
    }
}

/// Writes a connection string into a file of `folder` that only its owner can read.
///
/// # Errors
/// When it cannot be written.
pub fn credential_file(folder: &Path, connection_string: &str) -> Result<PathBuf> {
    let path = folder.join("credential");
    fs::write(&path, connection_string)
        .and_then(|()| fs::set_permissions(&path, Permissions::from_mode(0o600)))
        .with_context(|| format!("writing {}", path.display()))?;
    Ok(path)
}
