//! `station keys …`: the master key file, made and rotated while the station runs.

use std::path::{Path, PathBuf};

use anyhow::anyhow;
use clap::{Args, Subcommand};
use keys::{KeyFile, KeyId, Listed};
use model::Exit;

use crate::exit::Failure;
use crate::serve::{config, setup};

/// `station keys`.
#[derive(Debug, Args)]
pub struct KeysArguments {
    #[command(subcommand)]
    command: KeysCommand,
}

/// What to do with the master key file.
#[derive(Debug, Subcommand)]
enum KeysCommand {
    /// Make a file with a fresh master key. Without it nothing that the station sealed can be opened:
    /// keep a copy where no thief of the station finds it.
    New(Fresh),
    /// The ids of the keys in the file, the one that seals first, and what wraps them.
    List {
        /// The file.
        file: PathBuf,
    },
    /// Put a fresh key in front. A running station takes it at SIGHUP and seals everything anew under it.
    Add {
        #[command(flatten)]
        fresh: Fresh,
        /// Put it behind the others instead, where it only opens: stations that share a ledger all need
        /// it before one of them seals with it.
        #[arg(long)]
        behind: bool,
    },
    /// Put a key of the file in front: a running station seals everything anew under it at SIGHUP.
    First {
        /// The file.
        file: PathBuf,
        /// The key's id.
        id: KeyId,
    },
    /// Take an old key out; refused while anything in the ledger is sealed under it.
    Retire {
        /// The file.
        file: PathBuf,
        /// The key's id.
        id: KeyId,
        /// The station's configuration, which says where the ledger is.
        #[arg(long, value_name = "FILE", env = "DRAYAGE_CONFIG", default_value = "/etc/drayage/config.toml")]
        config: PathBuf,
    },
}

/// A fresh key, and where it goes.
#[derive(Debug, Args)]
struct Fresh {
    /// The file.
    file: PathBuf,
    /// Wrap the key by the Key Vault key that this configuration of a station names, so that the file
    /// alone opens nothing.
    #[arg(long, value_name = "FILE")]
    config: Option<PathBuf>,
}

/// Names of secrets that a refusal lists; the rest is a number.
const NAMED_MAX: usize = 10;

/// Runs the command.
///
/// # Errors
/// When the file is not private, no key file, or cannot be written; when a key is still needed; when Key Vault does
/// not wrap.
pub async fn run(arguments: &KeysArguments) -> Result<Exit, Failure> {
    match &arguments.command {
        KeysCommand::New(fresh) => {
            println!("{}", new(fresh).await?);
            eprintln!("station: {} holds the master key; keep a copy elsewhere", fresh.file.display());
        }
        KeysCommand::List { file } => {
            for Listed { id, wrapped_by } in KeyFile::list(file).map_err(Failure::usage)? {
                match wrapped_by {
                    Some(url) => println!("{id} wrapped by {url}"),
                    None => println!("{id}"),
                }
            }
        }
        KeysCommand::Add { fresh, behind: false } => {
            println!("{}", add(fresh, false).await?);
            eprintln!("{SIGHUP_NEXT}");
        }
        KeysCommand::Add { fresh, behind: true } => {
            println!("{}", add(fresh, true).await?);
            eprintln!(
                "station: give this file to every station of the fleet and send each SIGHUP, then `keys first`"
            );
        }
        KeysCommand::First { file, id } => {
            KeyFile::put_first(file, *id).map_err(Failure::usage)?;
            eprintln!("{SIGHUP_NEXT}");
        }
        KeysCommand::Retire { file, id, config } => {
            is_free(*id, config).await?;
            KeyFile::retire(file, *id).map_err(Failure::usage)?;
        }
    }
    Ok(Exit::Success)
}

const SIGHUP_NEXT: &str =
    "station: send the running station SIGHUP; it says what is left under an older key, or that nothing is";

/// Refuses while anything in the ledger is sealed under the key.
async fn is_free(id: KeyId, config: &Path) -> Result<(), Failure> {
    let ledger = setup::ledger_there(config).await.map_err(Failure::usage)?;
    let names = jobs::rewrap::sealed_under(&*ledger, id).await.map_err(Failure::fatal)?;
    if names.is_empty() {
        return Ok(());
    }
    names.iter().take(NAMED_MAX).for_each(|name| eprintln!("station: {name} is sealed under {id}"));
    let cause = anyhow!(
        "{} secrets in the ledger are sealed under {id} and would be lost with it: have the station seal them \
         anew first, with another key in front and SIGHUP; it says why it left one",
        names.len()
    );
    Err(Failure { exit: Exit::Retryable, cause })
}

async fn new(Fresh { file, config }: &Fresh) -> Result<KeyId, Failure> {
    let made = match config {
        None => KeyFile::generate(file),
        Some(config) => {
            let (vault, key) = wrapping(config)?;
            KeyFile::generate_wrapped(file, &vault, &key).await
        }
    };
    made.map_err(Failure::usage)
}

async fn add(Fresh { file, config }: &Fresh, behind: bool) -> Result<KeyId, Failure> {
    let wrapping = config.as_deref().map(wrapping).transpose()?;
    let made = match (wrapping, behind) {
        (None, false) => KeyFile::add(file),
        (None, true) => KeyFile::add_behind(file),
        (Some((vault, key)), false) => KeyFile::add_wrapped(file, &vault, &key).await,
        (Some((vault, key)), true) => KeyFile::add_behind_wrapped(file, &vault, &key).await,
    };
    made.map_err(Failure::usage)
}

/// The Key Vault key of a station's configuration, and who asks for it.
fn wrapping(path: &Path) -> Result<(azure::KeyVault, azure::KeyUrl), Failure> {
    let keys = config::load(path).map_err(Failure::usage)?.keys;
    let problems = keys.problems();
    if !problems.is_empty() {
        return Err(Failure::usage(anyhow!("{}: {}", path.display(), problems.join("; "))));
    }
    keys.wrapping().map_err(Failure::usage)
}
