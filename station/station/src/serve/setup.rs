//! From a checked configuration to what the station works with: ledger, keys, custody watch.
//!
//! Each is opened once, here, and handed down; nothing below opens one again. What cannot be opened
//! keeps the station from starting, with the reason.

use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use anyhow::Context;
use api::desk::custody::{Keys, Signer};
use azure::Endpoint;
use custody::{PublicKeys, SigningKey};
use jobs::watch::{Parts, Watch};
use keys::Vault;
use keys::private_file::{self, Keeper};
use ledger::{Ledger, PostgresOptions};

use super::config::{self, Config};
use crate::ledger_source::{self, LEDGER_FILE};
use crate::state;

/// How to reach the fleet's database; none for a station that keeps its jobs itself.
///
/// # Errors
/// When the file with its URL is not private, or holds none.
pub fn postgres(config: &Config) -> anyhow::Result<Option<PostgresOptions>> {
    let Some(path) = &config.ledger.postgres_url_file else { return Ok(None) };
    let url = ledger_source::read_url(path).context("ledger.postgres_url_file")?;
    let lease = Duration::from_secs(config.transfer.lease_seconds.into());
    Ok(ledger_source::options(Some(url), lease)?.map(|options| options.holder(&config.name)))
}

/// Opens where jobs are kept.
///
/// # Errors
/// When it cannot be reached, is damaged, or was written by a newer version.
pub async fn ledger(config: &Config, state: &Path) -> anyhow::Result<Arc<dyn Ledger>> {
    ledger_source::open(postgres(config)?, state).await
}

/// Opens the ledger of a station that has served already, for a command that asks it or changes it.
///
/// # Errors
/// As [`ledger()`], and when there is none yet: a new one would answer that nothing is in it.
pub async fn ledger_there(path: &Path) -> anyhow::Result<Arc<dyn Ledger>> {
    let config = config::load(path)?;
    let state = state::folder(config.state.as_deref())?;
    let file = state.join(LEDGER_FILE);
    let is_there = config.ledger.postgres_url_file.is_some() || file.exists();
    anyhow::ensure!(is_there, "there is no ledger {}; does {} say `state`?", file.display(), path.display());
    ledger(&config, &state).await.context("opening the ledger")
}

/// Loads the master keys.
///
/// # Errors
/// When they are not there, others could have read them, or Key Vault does not unwrap them.
pub async fn vault(config: &Config) -> anyhow::Result<Arc<Vault>> {
    let sources = config.keys.sources()?;
    let advice = "the master key; `station keys new FILE` makes one, `keys.file` names it";
    Ok(Arc::new(Vault::load(sources).await.context(advice)?))
}

/// Gets ready to watch the custody chain; its signing key is made at the first start.
///
/// # Errors
/// When the key is not private, or a list of older keys is not readable.
pub fn watch(config: &Config, state: &Path, ledger: Arc<dyn Ledger>) -> anyhow::Result<Arc<Watch>> {
    let signing_key = signing_key(config, state)?;
    let public_keys = PublicKeys::from_text(&public_text(config, state, &signing_key)?)
        .with_context(|| format!("the keys in {}", public_path(config, state).display()))?;
    Ok(Arc::new(Watch::new(Parts {
        ledger,
        chain: config.name.clone(),
        signing_key,
        public_keys,
        folders: config.custody.checkpoint_folders.clone(),
    })))
}

/// What the API signs exports with, and gives out for checking them.
///
/// # Errors
/// As [`watch`].
pub fn custody_keys(config: &Config, state: &Path, watch: Arc<Watch>) -> anyhow::Result<Keys> {
    let key = signing_key(config, state)?;
    let text = public_text(config, state, &key)?;
    Ok(Keys::new(Some(Signer { watch, key }), &text)?)
}

/// The account that an endpoint names, as the one who copies reads it.
///
/// # Errors
/// What is wrong with the endpoint. It is not quoted: it may hold a SAS.
pub fn account_of(endpoint: &str) -> Result<String, String> {
    Endpoint::parse(endpoint).map(|endpoint| endpoint.account().to_owned()).map_err(|error| error.to_string())
}

/// The file of the key that signs checkpoints.
pub fn signing_path(config: &Config, state: &Path) -> PathBuf {
    config.custody.signing_key.clone().unwrap_or_else(|| state.join("custody.key"))
}

/// The file of the public keys of all times.
pub fn public_path(config: &Config, state: &Path) -> PathBuf {
    signing_path(config, state).with_extension("pub")
}

fn signing_key(config: &Config, state: &Path) -> anyhow::Result<SigningKey> {
    let path = signing_path(config, state);
    if !path.exists() {
        private_file::create(&path, SigningKey::generate().as_bytes()).context("making the custody key")?;
        tracing::warn!(path = %path.display(), "made the key that signs custody checkpoints");
    }
    let text = private_file::read(&path, Keeper::Ourselves).context("the custody key")?;
    SigningKey::from_text(&text).with_context(|| format!("the custody key in {}", path.display()))
}

/// The public keys of all times, ours among them: a file beside the key, made at the first start and kept
/// by hand when keys are changed.
fn public_text(config: &Config, state: &Path, ours: &SigningKey) -> anyhow::Result<String> {
    let path = public_path(config, state);
    let text = match std::fs::read_to_string(&path) {
        Ok(text) => text,
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            let text = format!("{}\n", ours.public(None));
            std::fs::write(&path, &text).with_context(|| format!("writing {}", path.display()))?;
            text
        }
        Err(error) => return Err(error).with_context(|| format!("reading {}", path.display())),
    };
    let is_listed = PublicKeys::from_text(&text).is_ok_and(|keys| keys.contains(ours.id()));
    Ok(if is_listed { text } else { format!("{text}\n{}\n", ours.public(None)) })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_endpoint_is_taken_in_only_if_it_can_be_copied_to() {
        assert_eq!(account_of("https://acct1.blob.core.windows.net").as_deref(), Ok("acct1"));
        for (refused, why) in [
            ("http://acct1.blob.core.windows.net", "must be https"),
            ("https://acct1.dfs.core.windows.net", "Data Lake"),
            ("https://acct1.blob.core.windows.net/?sig=planted", "query"),
            ("https://files.example", "does not name the account"),
        ] {
            let told = account_of(refused).unwrap_err();
            assert!(told.contains(why) && !told.contains("planted"), "{refused}: {told}");
        }
    }
}
