//! `station keys …`: the master key file, made and rotated while the station runs.

use std::path::{Path, PathBuf};

use anyhow::anyhow;
use clap::{Args, Subcommand};
use keys::{KeyFile, KeyId};
use model::Exit;

use crate::exit::Failure;
use crate::serve::setup;

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
    New {
        /// The file; it must not be there yet.
        file: PathBuf,
    },
    /// The ids of the keys in the file, the one that seals first.
    List {
        /// The file.
        file: PathBuf,
    },
    /// Put a fresh key in front. A running station takes it at SIGHUP and seals everything anew under it.
    Add {
        /// The file.
        file: PathBuf,
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

/// Names of secrets that a refusal lists; the rest is a number.
const NAMED_MAX: usize = 10;

/// Runs the command.
///
/// # Errors
/// When the file is not private, no key file, or cannot be written; when a key is still needed.
pub async fn run(arguments: &KeysArguments) -> Result<Exit, Failure> {
    match &arguments.command {
        KeysCommand::New { file } => {
            let id = KeyFile::generate(file).map_err(Failure::usage)?;
            println!("{id}");
            eprintln!("station: {} holds the master key; keep a copy elsewhere", file.display());
        }
        KeysCommand::List { file } => {
            for id in KeyFile::ids(file).map_err(Failure::usage)? {
                println!("{id}");
            }
        }
        KeysCommand::Add { file, behind: false } => {
            println!("{}", KeyFile::add(file).map_err(Failure::usage)?);
            eprintln!("{SIGHUP_NEXT}");
        }
        KeysCommand::Add { file, behind: true } => {
            println!("{}", KeyFile::add_behind(file).map_err(Failure::usage)?);
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
