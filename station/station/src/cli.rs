//! The command line. Secrets are never arguments: they come from a file, an environment variable
//! or an open descriptor.

use std::path::PathBuf;

use clap::{Args, Parser, Subcommand};
use proof::secrets::SecretFiles;

use crate::keys::KeysArguments;
use crate::ledger_source::LedgerSource;
use crate::remote::account::AccountArguments;
use crate::remote::custody::CustodyArguments;
use crate::remote::drive::DriveArguments;
use crate::remote::job::JobArguments;
use crate::remote::token::TokenArguments;
use crate::serve::ServeArguments;

/// Takes shipped drives into a storage account.
#[derive(Debug, Parser)]
#[command(name = "station", version, about, after_help = EXIT_CODES)]
pub struct Cli {
    /// What to do.
    #[command(subcommand)]
    pub command: Command,
    /// More of the service log on standard error (twice for debugging; DRAYAGE_LOG overrides).
    #[arg(short, long, action = clap::ArgAction::Count, global = true)]
    pub verbose: u8,
}

/// The subcommands.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Copy every blob of a drive's manifest into a storage account, proven block by block.
    #[command(after_help = EXIT_CODES)]
    Ingest(IngestArguments),
    /// Say what a drive is: partitions, BitLocker, and with its job what would be ingested and
    /// every problem found.
    #[command(after_help = EXIT_CODES)]
    Inspect(InspectArguments),
    /// Serve the job API, work in the bays, keep the custody chain, until told to stop.
    Serve(ServeArguments),
    /// Import and export jobs of a station that serves.
    Job(JobArguments),
    /// Parcels and drives, from the dock to the carrier.
    Drive(DriveArguments),
    /// The chain of who touched which drive.
    Custody(CustodyArguments),
    /// The station's own ways into storage accounts.
    Account(AccountArguments),
    /// Tokens of people and programs.
    Token(TokenArguments),
    /// The master key that seals secrets.
    Keys(KeysArguments),
}

/// `station ingest`.
#[derive(Debug, Args)]
pub struct IngestArguments {
    /// The drive: a block device or an image file. Opened read-only.
    #[arg(long, value_name = "PATH")]
    pub drive: PathBuf,
    /// The drive's job entry: drive.json, a .jrn journal, or a DriveInfo XML.
    #[arg(long, value_name = "FILE")]
    pub job: PathBuf,
    /// The account's blob endpoint, for example `https://ACCOUNT.blob.core.windows.net`
    #[arg(long, value_name = "URL")]
    pub to: String,
    /// Where the account's credential comes from.
    #[command(flatten)]
    pub credential: CredentialSource,
    /// More keys for the drive, beside the job's.
    #[command(flatten)]
    pub keys: KeySource,
    /// Where local copies of the logs go [default: the state folder's logs/].
    #[arg(long, value_name = "DIR")]
    pub logs: Option<PathBuf>,
    /// Where the ledger lives, which lets an interrupted ingest go on
    /// [default: $STATE_DIRECTORY, else $XDG_STATE_HOME/drayage, else ~/.local/state/drayage].
    #[arg(long, value_name = "DIR", env = "DRAYAGE_STATE")]
    pub state: Option<PathBuf>,
    /// Which ledger, when not the state folder's.
    #[command(flatten)]
    pub ledger: LedgerSource,
    /// The job's name, part of the logs' names.
    #[arg(long, value_name = "NAME", default_value = "ingest", value_parser = job_name)]
    pub job_name: String,
    /// Memory for the drive's buffers, in MiB.
    #[arg(long, value_name = "MIB", default_value_t = 256, value_parser = clap::value_parser!(u32).range(16..=16_384))]
    pub buffer_mib: u32,
    /// PEM file of certificate authorities to trust beside the system's.
    #[arg(long, value_name = "FILE")]
    pub ca_file: Option<PathBuf>,
    /// Events as JSON lines on standard output instead of progress on a terminal.
    #[arg(long)]
    pub json: bool,
    /// End with code 3 when blobs were renamed, skipped or overwritten.
    #[arg(long)]
    pub strict: bool,
    /// Ingest again although the ledger says that this drive was finished.
    #[arg(long)]
    pub again: bool,
}

/// `station inspect`.
#[derive(Debug, Args)]
pub struct InspectArguments {
    /// The drive: a block device or an image file. Opened read-only.
    #[arg(long, value_name = "PATH")]
    pub drive: PathBuf,
    /// The drive's job entry; with it the volume is opened and the manifest checked.
    #[arg(long, value_name = "FILE")]
    pub job: Option<PathBuf>,
    /// More keys for the drive, beside the job's.
    #[command(flatten)]
    pub keys: KeySource,
    /// JSON lines on standard output: what the drive is, each blob, each problem, a summary.
    #[arg(long)]
    pub json: bool,
}

/// Where the account's credential comes from: exactly one of them, or DRAYAGE_CREDENTIAL.
#[derive(Debug, Args)]
pub struct CredentialSource {
    /// File that holds a connection string, an account key or a SAS.
    #[arg(long, value_name = "FILE", conflicts_with = "credential_fd")]
    pub credential_file: Option<PathBuf>,
    /// Open descriptor to read the credential from.
    #[arg(long, value_name = "N")]
    pub credential_fd: Option<i32>,
}

impl CredentialSource {
    /// The same in the driver's terms, which reads it.
    pub fn source(&self) -> azure::CredentialSource {
        azure::CredentialSource { file: self.credential_file.clone(), descriptor: self.credential_fd }
    }
}

/// Keys for the drive that are not in the job entry.
#[derive(Debug, Args)]
pub struct KeySource {
    /// File that holds the volume's password.
    #[arg(long, value_name = "FILE")]
    pub password_file: Option<PathBuf>,
    /// BEK file (startup or recovery key), or a file with an external key in base64.
    #[arg(long, value_name = "FILE")]
    pub bek: Option<PathBuf>,
}

impl KeySource {
    /// The files, for whoever reads them.
    pub fn files(&self) -> SecretFiles<'_> {
        SecretFiles {
            recovery_password: None,
            password: self.password_file.as_deref(),
            bek: self.bek.as_deref(),
        }
    }
}

const EXIT_CODES: &str = "\
Exit codes:
  0  success, everything reconciles        10  items are missing
  1  uncategorised                         11  verification failed
  2  usage or configuration                12  the medium could not be read
  3  warnings, with --strict               20  drive not found, or the wrong drive
  5  held: retry the same command          21  the drive could not be unlocked
  6  failed, retrying will not help        30  manifest missing, modified or unreadable
  7  fatal: the station itself            130  interrupted; the same command resumes";

/// A job's name stands in blob names: azure-import-export.md §4.4.
fn job_name(text: &str) -> Result<String, String> {
    let allowed = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.');
    if !text.is_empty() && text.len() <= 64 && text.chars().all(allowed) {
        Ok(text.to_owned())
    } else {
        Err("1 to 64 letters, digits, hyphens, underscores or dots".to_owned())
    }
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory;

    use super::*;

    #[test]
    fn the_command_line_is_consistent() {
        Cli::command().debug_assert();
    }

    #[test]
    fn no_argument_takes_a_secret() {
        for forbidden in
            ["--key", "--sas", "--password", "--recovery-password", "--credential", "--ledger-url"]
        {
            let tried = Cli::try_parse_from([
                "station", "ingest", "--drive", "d", "--job", "j", "--to", "u", forbidden, "secret",
            ]);
            assert!(tried.is_err(), "{forbidden}");
        }
    }
}
