//! `station token …`: who may talk to the station without an identity provider.

use clap::{Args, Subcommand};
use model::Exit;
use reqwest::Method;
use serde_json::{Value, json};

use crate::console;
use crate::exit::Failure;
use crate::remote::job::segment;
use crate::remote::{Request, Server, table};

const HOUR_MS: i64 = 3_600_000;
const DAY_MS: i64 = 24 * HOUR_MS;

/// `station token`.
#[derive(Debug, Args)]
pub struct TokenArguments {
    #[command(flatten)]
    server: Server,
    #[command(subcommand)]
    command: TokenCommand,
}

/// What to do with tokens.
#[derive(Debug, Subcommand)]
enum TokenCommand {
    /// The tokens that there are, never their text.
    List,
    /// Make a token. Its text is printed once and kept nowhere.
    Create {
        /// Whom or what it is for.
        label: String,
        /// What its holder may do: receiver, technician, lead, sanitise-approver, auditor, admin,
        /// service or customer. Can be given several times.
        #[arg(long = "role", value_name = "ROLE", required = true)]
        roles: Vec<String>,
        /// The one subscription that a customer's token sees.
        #[arg(long, value_name = "ID")]
        subscription: Option<String>,
        /// Days until it ends by itself.
        #[arg(long, value_name = "DAYS", default_value_t = 90, value_parser = clap::value_parser!(u32).range(1..=366))]
        days: u32,
    },
    /// End a token now.
    Revoke {
        /// Its id, as the list shows it.
        id: String,
    },
}

/// Runs the command.
///
/// # Errors
/// What the station refuses, or that it cannot be reached.
pub async fn run(arguments: TokenArguments) -> Result<Exit, Failure> {
    let station = arguments.server.open()?;
    match &arguments.command {
        TokenCommand::List => {
            let tokens = station.pages(|| Request::get("/v1/tokens"), "tokens").await?;
            if station.as_json {
                tokens.iter().for_each(console::print_json);
            } else {
                print_list(&tokens);
            }
        }
        TokenCommand::Create { label, roles, subscription, days } => {
            let scope = subscription.as_ref().map(|id| [format!("/subscriptions/{id}")]);
            let body = json!({"label": label, "roles": roles, "scope": scope, "expiresAt": in_days(*days)});
            let answer = station.ask(Request::post("/v1/tokens", body)).await?;
            station.show(&answer, |answer| println!("{}", table::cell(answer, "/token")));
        }
        TokenCommand::Revoke { id } => {
            let path = format!("/v1/tokens/{}", segment(id));
            station.ask(Request::verb(Method::DELETE, path, None)).await?;
            station.show(&json!({"revoked": id}), |_| println!("{id} is revoked"));
        }
    }
    Ok(Exit::Success)
}

/// That many days from now, as the API has times. An hour less than the last day, whatever the clocks.
fn in_days(days: u32) -> String {
    let end = jobs::now_unix_ms() + i64::from(days) * DAY_MS - HOUR_MS;
    api::events::rfc3339(end)
}

fn print_list(tokens: &[Value]) {
    let fields = ["/id", "/label", "/roles", "/expiresAt", "/lastUsedAt", "/revokedAt"];
    let row = |token: &Value| fields.iter().map(|path| table::cell(token, path)).collect();
    let rows: Vec<Vec<String>> = tokens.iter().map(row).collect();
    table::print(&["id", "label", "roles", "ends", "last used", "revoked"], &rows);
}
