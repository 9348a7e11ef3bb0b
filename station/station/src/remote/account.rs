//! `station account …`: the station's own ways into storage accounts.

use std::path::PathBuf;

use anyhow::anyhow;
use clap::{Args, Subcommand};
use model::Exit;
use reqwest::{Method, StatusCode};
use serde_json::json;

use crate::exit::Failure;
use crate::private_text;
use crate::remote::job::segment;
use crate::remote::{Refusal, Request, Server, table};

/// `station account`.
#[derive(Debug, Args)]
pub struct AccountArguments {
    #[command(flatten)]
    server: Server,
    #[command(subcommand)]
    command: AccountCommand,
}

/// What to do with accounts.
#[derive(Debug, Subcommand)]
enum AccountCommand {
    /// The accounts that the station has a way into.
    List,
    /// Give the station a way into an account, or another one.
    Set {
        /// The account's name.
        name: String,
        /// Its blob endpoint, for example `https://ACCOUNT.blob.core.windows.net`
        #[arg(long, value_name = "URL")]
        endpoint: String,
        /// Its ARM id, `/subscriptions/…/storageAccounts/ACCOUNT`: only jobs for exactly this account are given
        /// the credential
        #[arg(long, value_name = "ID")]
        resource_id: String,
        /// File (0600) that holds a connection string, an account key or a SAS. It is sealed, and no answer
        /// ever holds it.
        #[arg(long, value_name = "FILE")]
        credential_file: PathBuf,
        /// There is one already, which this one replaces.
        #[arg(long)]
        replace: bool,
    },
    /// Take the way into an account away.
    Delete {
        /// The account's name.
        name: String,
    },
}

/// Runs the command.
///
/// # Errors
/// What the station refuses, or that it cannot be reached.
pub async fn run(arguments: AccountArguments) -> Result<Exit, Failure> {
    let station = arguments.server.open()?;
    match &arguments.command {
        AccountCommand::List => {
            let answer = station.ask(Request::get("/v1/accounts")).await?;
            station.show(&answer, |answer| {
                let accounts = answer["accounts"].as_array().cloned().unwrap_or_default();
                let row = |account| vec![table::cell(account, "/name"), table::cell(account, "/sealedUnder")];
                table::print(&["account", "sealed under"], &accounts.iter().map(row).collect::<Vec<_>>());
            });
        }
        AccountCommand::Set { name, endpoint, resource_id, credential_file, replace } => {
            let credential = private_text::read(credential_file, "the credential").map_err(Failure::usage)?;
            let body =
                json!({"endpoint": endpoint, "resourceId": resource_id, "credential": credential.as_str()});
            let request = Request::verb(Method::PUT, format!("/v1/accounts/{}", segment(name)), Some(body));
            let answer = station.ask(request.replacing(*replace)).await;
            let answer = answer.map_err(|failure| advised(failure, name))?;
            station.show(&answer, |_| println!("the station has a way into {name}"));
        }
        AccountCommand::Delete { name } => {
            station
                .ask(Request::verb(Method::DELETE, format!("/v1/accounts/{}", segment(name)), None))
                .await?;
            station
                .show(&json!({"deleted": name}), |_| println!("the station has no way into {name} any more"));
        }
    }
    Ok(Exit::Success)
}

/// The API speaks of ETags; whoever types commands has a flag for it.
fn advised(failure: Failure, name: &str) -> Failure {
    match failure.cause.downcast_ref::<Refusal>() {
        Some(refusal) if refusal.status == StatusCode::PRECONDITION_REQUIRED => Failure {
            cause: anyhow!("the station has a way into {name} already; --replace puts this one in its place"),
            ..failure
        },
        Some(refusal) if refusal.status == StatusCode::PRECONDITION_FAILED => Failure {
            cause: anyhow!("the station has no way into {name} to replace; leave --replace out"),
            ..failure
        },
        _ => failure,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_refusal_that_speaks_of_etags_is_told_with_the_flag() {
        let told = |status| {
            let refusal = Refusal { status, text: "as the station said".to_owned() };
            let failure = Failure { exit: Exit::NotRetryable, cause: refusal.into() };
            advised(failure, "contoso").cause.to_string()
        };
        assert!(told(StatusCode::PRECONDITION_REQUIRED).contains("--replace puts"));
        assert!(told(StatusCode::PRECONDITION_FAILED).contains("leave --replace out"));
        assert_eq!(told(StatusCode::CONFLICT), "as the station said");
    }
}
