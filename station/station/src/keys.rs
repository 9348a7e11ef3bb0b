//! `station keys …`: the master key file, made and rotated while the station runs.

use std::path::PathBuf;

use clap::{Args, Subcommand};
use keys::{KeyFile, KeyId};
use model::Exit;

use crate::exit::Failure;

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
    },
    /// Take an old key out, once the station says that nothing is sealed under it any more.
    Retire {
        /// The file.
        file: PathBuf,
        /// The key's id.
        id: String,
    },
}

/// Runs the command.
///
/// # Errors
/// When the file is not private, no key file, or cannot be written.
pub fn run(arguments: &KeysArguments) -> Result<Exit, Failure> {
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
        KeysCommand::Add { file } => {
            println!("{}", KeyFile::add(file).map_err(Failure::usage)?);
            eprintln!(
                "station: send the running station SIGHUP; it says when all is sealed under the new key"
            );
        }
        KeysCommand::Retire { file, id } => {
            let id: KeyId = id.parse().map_err(Failure::usage)?;
            KeyFile::retire(file, id).map_err(Failure::usage)?;
        }
    }
    Ok(Exit::Success)
}
