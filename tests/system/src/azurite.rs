//! Azurite, the emulator that others maintain: started for a test, and read back through our client.

use std::net::{SocketAddr, TcpListener, TcpStream};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use azure::{Account, BlobProperties, BlobType};
use model::BlobPath;
use rig::endpoint::inventory::{BlobEntry, Inventory};
use rig::endpoint::{ACCOUNT, ACCOUNT_KEY};
use rig::setup::Tools;
use sha2::{Digest, Sha256};
use tempfile::TempDir;

/// How long node may take to start on a loaded machine.
const START_WAIT: Duration = Duration::from_secs(120);

/// A running Azurite; it ends with this.
pub struct Azurite {
    process: Child,
    address: SocketAddr,
    _folder: TempDir,
}

impl Azurite {
    /// Starts one; none, and said so, when it is not installed.
    ///
    /// # Errors
    /// When it is installed and does not come up.
    pub fn start(test: &str) -> Result<Option<Azurite>> {
        let Some(script) = Tools::installed().azurite else {
            rig::skipped(test, "azurite is not installed (DRAYAGE_AZURITE)");
            return Ok(None);
        };
        let folder = tempfile::tempdir()?;
        let address = TcpListener::bind("127.0.0.1:0").and_then(|free| free.local_addr())?;
        let mut command = Command::new("node");
        command.arg(script).args(["--silent", "--skipApiVersionCheck", "--disableTelemetry"]);
        command.args(["--blobHost", "127.0.0.1", "--blobPort", &address.port().to_string()]);
        command.arg("--location").arg(folder.path()).stdout(Stdio::null());
        let process = command.spawn().context("starting node")?;
        let azurite = Azurite { process, address, _folder: folder };
        let deadline = Instant::now() + START_WAIT;
        while TcpStream::connect(address).is_err() {
            if Instant::now() > deadline {
                bail!("azurite does not answer at {address}");
            }
            std::thread::sleep(Duration::from_millis(50));
        }
        Ok(Some(azurite))
    }

    /// Where the development account is.
    pub fn url(&self) -> String {
        format!("http://{}/{ACCOUNT}", self.address)
    }

    /// What a client is configured with.
    pub fn connection_string(&self) -> String {
        let url = self.url();
        format!(
            "DefaultEndpointsProtocol=http;AccountName={ACCOUNT};AccountKey={ACCOUNT_KEY};BlobEndpoint={url};"
        )
    }
}

impl Drop for Azurite {
    fn drop(&mut self) {
        drop(self.process.kill());
        drop(self.process.wait());
    }
}

/// Reads every visible blob of these containers back, byte by byte.
///
/// # Errors
/// When the account does not give one.
pub async fn inventory(account: &Account, containers: &[String]) -> Result<Inventory> {
    let mut inventory = Inventory::default();
    for container in containers {
        let mut listing = account.list(container, "");
        loop {
            match listing.next_page().await {
                Ok(Some(page)) => {
                    for blob in page {
                        inventory.blobs.push(read_back(account, container, &blob.name).await?);
                    }
                }
                Ok(None) => break,
                // No blob of it was to become visible.
                Err(error) if error.kind == azure::ErrorKind::ContainerNotFound => break,
                Err(error) => return Err(error.into()),
            }
        }
    }
    Ok(inventory)
}

async fn read_back(account: &Account, container: &str, name: &str) -> Result<BlobEntry> {
    let path = BlobPath::new(container, name)?;
    let properties =
        account.properties(&path).await?.with_context(|| format!("{path} was listed and is not there"))?;
    let content = account.download(&path, None).await?;
    let sha256: String = Sha256::digest(&content).iter().map(|byte| format!("{byte:02x}")).collect();
    Ok(BlobEntry {
        container: container.to_owned(),
        name: name.to_owned(),
        snapshot: None,
        blob_type: blob_type(&properties).to_owned(),
        length: properties.length_bytes,
        sha256: Some(sha256),
        md5: None,
        metadata: properties.headers.metadata.clone(),
        properties: named_properties(&properties),
        tier: None,
        lease_state: format!("{:?}", properties.lease_state),
        blocks: Vec::new(),
        page_ranges: Vec::new(),
        last_modified: String::new(),
    })
}

fn blob_type(properties: &BlobProperties) -> &'static str {
    match properties.blob_type {
        BlobType::Block => "BlockBlob",
        BlobType::Page => "PageBlob",
        BlobType::Append => "AppendBlob",
    }
}

fn named_properties(properties: &BlobProperties) -> Vec<(String, String)> {
    let headers = &properties.headers;
    [
        ("Cache-Control", &headers.cache_control),
        ("Content-Encoding", &headers.content_encoding),
        ("Content-Language", &headers.content_language),
        ("Content-Type", &headers.content_type),
    ]
    .into_iter()
    .filter_map(|(name, value)| value.clone().map(|value| (name.to_owned(), value)))
    .collect()
}
