//! What `station serve` is told: a TOML file, and `DRAYAGE__…` in the environment above it.
//!
//! Turned once into checked types: [`load`] reads, [`Config::problems`] finds everything that is
//! wrong, all at once, and nothing starts before it is empty. Unknown keys are refused: a misspelt
//! one must not leave a default in force. Secrets are in files that the configuration names, never
//! in it, so that the file can be read by everybody.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::time::Duration;

use api::webhook::{Guard, Network};
use config::{Environment, File, FileFormat};
use serde::Deserialize;

use super::key_vault::KeysConfig;

/// All of it.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Config {
    /// The station's name: its custody chain and its claims bear it, so it never changes.
    pub name: String,
    /// Where ledger, logs and the local socket live [default: $STATE_DIRECTORY and so on].
    pub state: Option<PathBuf>,
    /// The URL by which clients reach it, for links in answers [default: what the request says].
    pub public_url: Option<String>,
    /// Where jobs are kept.
    #[serde(default)]
    pub ledger: LedgerConfig,
    /// Where the master key is, and who asks Key Vaults.
    #[serde(default)]
    pub keys: KeysConfig,
    /// How the custody chain is watched.
    #[serde(default)]
    pub custody: CustodyConfig,
    /// What is told to others.
    #[serde(default)]
    pub events: EventsConfig,
    /// How copies run.
    #[serde(default)]
    pub transfer: TransferConfig,
    /// Listeners, who may talk to it, limits.
    #[serde(default)]
    pub server: api::server::config::Config,
    /// Where events may be sent.
    #[serde(default)]
    pub webhooks: WebHooksConfig,
    /// The places that take drives, this one first.
    #[serde(default)]
    pub locations: Vec<api::arm::locations::Location>,
    /// The bays of this station.
    #[serde(default)]
    pub bays: Vec<Bay>,
}

/// Where jobs are kept.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct LedgerConfig {
    /// File that holds the URL of a fleet's PostgreSQL [default: SQLite in the state folder].
    pub postgres_url_file: Option<PathBuf>,
    /// Days for which the outcome of each blob is kept after its run is over.
    pub keep_outcomes_days: u32,
}

impl Default for LedgerConfig {
    fn default() -> LedgerConfig {
        LedgerConfig { postgres_url_file: None, keep_outcomes_days: 90 }
    }
}

/// How the custody chain is watched.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct CustodyConfig {
    /// The key that signs checkpoints [default: custody.key in the state folder, made at first start].
    pub signing_key: Option<PathBuf>,
    /// Folders off this machine that every checkpoint is written to.
    pub checkpoint_folders: Vec<PathBuf>,
    /// Minutes between checkpoints while something happens.
    pub checkpoint_every_minutes: u32,
    /// The hour of the day, UTC, at which the whole chain is verified.
    pub verify_at_hour: u8,
}

impl Default for CustodyConfig {
    fn default() -> CustodyConfig {
        CustodyConfig {
            signing_key: None,
            checkpoint_folders: Vec::new(),
            checkpoint_every_minutes: 15,
            verify_at_hour: 3,
        }
    }
}

/// What is told to others.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct EventsConfig {
    /// Days for which events are kept, and longer for a web-hook that has not had them yet.
    pub keep_days: u32,
}

impl Default for EventsConfig {
    fn default() -> EventsConfig {
        EventsConfig { keep_days: 30 }
    }
}

/// How copies run.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct TransferConfig {
    /// Memory for the buffers of a bay, in MiB.
    pub buffer_mib: u32,
    /// PEM file of certificate authorities to trust at storage endpoints beside the system's.
    pub ca_file: Option<PathBuf>,
    /// Seconds for which this station's work on a drive counts without word from it; another one may take the drive
    /// a third later.
    pub lease_seconds: u32,
}

impl TransferConfig {
    /// How long a claim of a drive lasts without being renewed.
    ///
    /// A third longer than the lease of its run in the ledger, and renewed every `lease_seconds / 3` as that is: so
    /// whoever may take the claim of a station that died finds the run free, too, and releases no key in vain.
    pub fn claim(&self) -> Duration {
        Duration::from_secs(self.lease_seconds.into()) * 4 / 3
    }
}

impl Default for TransferConfig {
    fn default() -> TransferConfig {
        TransferConfig { buffer_mib: 256, ca_file: None, lease_seconds: 60 }
    }
}

/// Where events may be sent beside everybody's addresses.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct WebHooksConfig {
    /// Networks in the house that have receivers: `10.1.0.0/16`, `fd00::/8`, or one address.
    #[serde(default)]
    pub allowed_networks: Vec<String>,
}

impl WebHooksConfig {
    /// The guard of what is sent.
    ///
    /// # Errors
    /// Every text that is no network, with its key.
    pub fn guard(&self) -> Result<Guard, Vec<String>> {
        let (mut networks, mut problems) = (Vec::<Network>::new(), Vec::new());
        for (index, text) in self.allowed_networks.iter().enumerate() {
            match text.parse() {
                Ok(network) => networks.push(network),
                Err(error) => problems.push(format!("webhooks.allowed_networks[{index}]: {error}")),
            }
        }
        if problems.is_empty() { Ok(Guard::new(networks)) } else { Err(problems) }
    }
}

/// A bay.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Bay {
    /// What its label says.
    pub name: String,
    /// The device that a drive in it becomes, for example below `/dev/disk/by-path/`; an image file
    /// for trials.
    pub device: PathBuf,
    /// The serial number of an image file, which has none of its own. A device says its own.
    pub image_serial: Option<String>,
}

/// The configuration cannot be read.
#[derive(Debug, thiserror::Error)]
#[error("the configuration {}", path.display())]
pub struct LoadError {
    /// The file.
    pub path: PathBuf,
    /// Which key, and what is wrong with it.
    #[source]
    pub source: Box<config::ConfigError>,
}

/// Reads the file, and the environment above it.
///
/// # Errors
/// When it is not there, is no TOML, or has a key or a value that is not known.
pub fn load(path: &Path) -> Result<Config, LoadError> {
    let failed = |error| LoadError { path: path.to_owned(), source: Box::new(error) };
    let environment =
        Environment::with_prefix("DRAYAGE").prefix_separator("__").separator("__").try_parsing(true);
    let read = config::Config::builder()
        .add_source(File::new(&path.to_string_lossy(), FileFormat::Toml))
        .add_source(environment)
        .build();
    read.and_then(config::Config::try_deserialize).map_err(failed)
}

impl Config {
    /// Everything that is wrong with it, each with the key that it is about.
    pub fn problems(&self) -> Vec<String> {
        let mut problems = Vec::new();
        if !is_label(&self.name) {
            problems.push("name: 1 to 64 letters, digits, hyphens, underscores or dots".to_owned());
        }
        problems.extend(self.keys.problems());
        self.bay_problems(&mut problems);
        if let Err(error) = api::arm::locations::Locations::new(self.locations.clone()) {
            problems.push(format!("locations: {error}"));
        }
        if !(1..=1440).contains(&self.custody.checkpoint_every_minutes) {
            problems.push("custody.checkpoint_every_minutes: 1 to 1440".to_owned());
        }
        if self.custody.verify_at_hour > 23 {
            problems.push("custody.verify_at_hour: 0 to 23".to_owned());
        }
        if !(1..=3650).contains(&self.events.keep_days) {
            problems.push("events.keep_days: 1 to 3650".to_owned());
        }
        if !(1..=3650).contains(&self.ledger.keep_outcomes_days) {
            problems.push("ledger.keep_outcomes_days: 1 to 3650".to_owned());
        }
        if !(16..=16_384).contains(&self.transfer.buffer_mib) {
            problems.push("transfer.buffer_mib: 16 to 16384".to_owned());
        }
        if !(5..=3600).contains(&self.transfer.lease_seconds) {
            problems.push("transfer.lease_seconds: 5 to 3600".to_owned());
        }
        problems.extend(self.server.problems().iter().map(ToString::to_string));
        problems.extend(self.webhooks.guard().err().into_iter().flatten());
        problems
    }

    fn bay_problems(&self, problems: &mut Vec<String>) {
        let (mut names, mut devices) = (BTreeSet::new(), BTreeSet::new());
        for (index, bay) in self.bays.iter().enumerate() {
            if !is_label(&bay.name) {
                problems.push(format!(
                    "bays[{index}].name: 1 to 64 letters, digits, hyphens, underscores or dots"
                ));
            }
            if !names.insert(&bay.name) {
                problems.push(format!("bays[{index}].name: {} is there twice", bay.name));
            }
            if !devices.insert(&bay.device) {
                problems.push(format!("bays[{index}].device: {} is there twice", bay.device.display()));
            }
        }
    }
}

/// Names stand in labels, logs and file names.
fn is_label(text: &str) -> bool {
    let allowed = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.');
    !text.is_empty() && text.len() <= 64 && text.chars().all(allowed)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn loaded(text: &str) -> Result<Config, LoadError> {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("config.toml");
        std::fs::write(&path, text).unwrap();
        load(&path)
    }

    #[test]
    fn the_configuration_in_deploy_is_fine() {
        let config = loaded(include_str!("../../../../deploy/config.toml")).unwrap();
        assert_eq!(config.problems(), Vec::<String>::new());
        assert_eq!(config.bays.len(), 1);
    }

    #[test]
    fn a_key_that_is_not_known_is_refused_wherever_it_is() {
        for text in ["name = \"a\"\nspelt = 1", "name = \"a\"\n[transfer]\nbuffer_gib = 1"] {
            assert!(loaded(text).is_err(), "{text}");
        }
    }

    #[test]
    fn all_problems_are_found_at_once() {
        let bays =
            "[[bays]]\nname = \"B 1\"\ndevice = \"/dev/a\"\n[[bays]]\nname = \"B 1\"\ndevice = \"/dev/a\"\n";
        let rest = "[transfer]
lease_seconds = 1
[events]
keep_days = 0
[webhooks]
allowed_networks = [\"::1\", \"home\"]";
        let config = loaded(&format!(
            "name = \"\"
{bays}{rest}"
        ))
        .unwrap();
        let problems = config.problems().join("\n");
        for key in [
            "name:",
            "bays[0].name:",
            "bays[1].name:",
            "bays[1].device:",
            "locations:",
            "transfer.lease_seconds:",
            "webhooks.allowed_networks[1]:",
            "events.keep_days:",
        ] {
            assert!(problems.contains(key), "{key} is missing in\n{problems}");
        }
    }
}
