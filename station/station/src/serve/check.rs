//! The files that a configuration names, looked at before anything starts: all that is wrong with them at once.
//!
//! Nothing is made, changed or asked for over a network, so it may run beside the station that serves. What
//! can be told from the configuration's text alone is `config`'s.

use std::fs;
use std::path::Path;

use anyhow::{Context, ensure};
use custody::{PublicKeys, SigningKey};
use keys::private_file::{self, Keeper};

use super::config::Config;
use super::setup;

/// Where `station ingest` may have the database's URL from; a station that serves does not read it.
const URL_VARIABLE: &str = "DRAYAGE_LEDGER_URL";

/// Everything that is wrong with the files, each with the key that names them.
pub fn problems(config: &Config, state: &Path) -> Vec<String> {
    told([
        ("keys.file", config.keys.check_file()),
        ("ledger.postgres_url_file", database(config)),
        ("custody.signing_key", signing_key(config, state)),
        ("transfer.ca_file", config.transfer.ca_file.as_deref().map_or(Ok(()), certificates)),
    ])
}

/// What is wrong with the folders off this machine. One that hangs is waited for without end, so a start looks
/// at them in its own way.
pub fn folder_problems(config: &Config) -> Vec<String> {
    let folders = config.custody.checkpoint_folders.iter();
    told(folders.map(|folder| ("custody.checkpoint_folders", a_folder(folder))))
}

fn told(looked_at: impl IntoIterator<Item = (&'static str, anyhow::Result<()>)>) -> Vec<String> {
    let wrong = looked_at.into_iter().filter_map(|(key, outcome)| Some((key, outcome.err()?)));
    wrong.map(|(key, error)| format!("{key}: {error:#}")).collect()
}

fn database(config: &Config) -> anyhow::Result<()> {
    let is_set = std::env::var_os(URL_VARIABLE).is_some_and(|url| !url.is_empty());
    ensure!(
        config.ledger.postgres_url_file.is_some() || !is_set,
        "{URL_VARIABLE} is set and would not be used: put the URL into a file and name it here"
    );
    setup::postgres(config).map(drop)
}

/// A key that is not there yet is made at the first start, which takes a folder to make it in.
fn signing_key(config: &Config, state: &Path) -> anyhow::Result<()> {
    let path = setup::signing_path(config, state);
    if path.exists() {
        let text = private_file::read(&path, Keeper::Ourselves)?;
        SigningKey::from_text(&text).with_context(|| path.display().to_string())?;
    } else if config.custody.signing_key.is_some() {
        a_folder(path.parent().unwrap_or(Path::new("/")))?;
    }
    let public = setup::public_path(config, state);
    if public.exists() {
        let text = fs::read_to_string(&public).with_context(|| public.display().to_string())?;
        PublicKeys::from_text(&text).with_context(|| public.display().to_string())?;
    }
    Ok(())
}

fn certificates(path: &Path) -> anyhow::Result<()> {
    let pem = fs::read(path).with_context(|| path.display().to_string())?;
    let found = reqwest::Certificate::from_pem_bundle(&pem).with_context(|| path.display().to_string())?;
    ensure!(!found.is_empty(), "{} holds no certificate", path.display());
    Ok(())
}

fn a_folder(path: &Path) -> anyhow::Result<()> {
    let facts = fs::metadata(path).with_context(|| path.display().to_string())?;
    ensure!(facts.is_dir(), "{} is no folder", path.display());
    Ok(())
}
