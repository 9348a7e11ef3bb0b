//! `station custody …`: the chain of who touched which drive, its verification, a customer's proof.
//!
//! What `export` writes is checked with `station custody check`, which needs the file and the station's
//! public keys and nothing else, so that a customer can run it anywhere.

use std::fs::{File, OpenOptions};
use std::io::{BufReader, Write};
use std::path::PathBuf;

use anyhow::Context;
use clap::{Args, Subcommand};
use custody::{PublicKeys, verify_proof};
use model::Exit;
use serde_json::{Value, json};

use crate::console;
use crate::exit::Failure;
use crate::remote::{Request, Server, Station, table};

/// `station custody`.
#[derive(Debug, Args)]
pub struct CustodyArguments {
    #[command(flatten)]
    server: Server,
    #[command(subcommand)]
    command: CustodyCommand,
}

/// What to do with the chain.
#[derive(Debug, Subcommand)]
enum CustodyCommand {
    /// The chain's entries, newest last.
    List {
        /// Only those of this job, as `/subscriptions/…/jobs/NAME`.
        #[arg(long, value_name = "ID")]
        job: Option<String>,
    },
    /// Have the station verify its whole chain now, against every checkpoint it has signed.
    Verify,
    /// Write a job's part of the chain with its proof, for the customer.
    Export {
        /// The job, as `/subscriptions/…/jobs/NAME`.
        job: String,
        /// The file to write; it must not be there yet.
        #[arg(long, value_name = "FILE")]
        out: PathBuf,
    },
    /// The public keys that the station's checkpoints are signed with.
    Keys,
    /// Check a proof that a station exported, from its public keys alone; no station is asked.
    Check {
        /// The proof.
        file: PathBuf,
        /// File with the station's public keys, as `station custody keys` printed them.
        #[arg(long, value_name = "FILE")]
        keys: PathBuf,
    },
}

/// Runs the command.
///
/// # Errors
/// What the station refuses, or that it cannot be reached.
pub async fn run(arguments: CustodyArguments) -> Result<Exit, Failure> {
    if let CustodyCommand::Check { file, keys } = &arguments.command {
        return check(file, keys, arguments.server.json);
    }
    let station = arguments.server.open()?;
    match &arguments.command {
        CustodyCommand::List { job } => {
            let request = || Request::get("/v1/custody/entries").with("job", job.as_ref());
            let entries = station.pages(request, "entries").await?;
            if station.as_json {
                entries.iter().for_each(console::print_json);
            } else {
                print_entries(&entries);
            }
            Ok(Exit::Success)
        }
        CustodyCommand::Verify => {
            let answer = station.ask(Request::post("/v1/custody/verify", json!({}))).await?;
            let is_whole = answer["intact"] == Value::Bool(true);
            station.show(&answer, print_verdict);
            Ok(if is_whole { Exit::Success } else { Exit::VerificationFailed })
        }
        CustodyCommand::Export { job, out } => {
            let lines = export(&station, job, out).await?;
            station.show(&json!({"file": out, "lines": lines}), |_| {
                println!("{}: {lines} lines; anyone can check it with the public key", out.display());
            });
            Ok(Exit::Success)
        }
        CustodyCommand::Check { file, keys } => check(file, keys, arguments.server.json),
        CustodyCommand::Keys => {
            let answer = station.ask(Request::get("/v1/custody/keys")).await?;
            station
                .show(&answer, |answer| println!("{}", answer["text"].as_str().unwrap_or_default().trim()));
            Ok(Exit::Success)
        }
    }
}

/// What the proof proves, or why it proves nothing.
fn check(file: &PathBuf, keys: &PathBuf, as_json: bool) -> Result<Exit, Failure> {
    let text = std::fs::read_to_string(keys).with_context(|| format!("reading {}", keys.display()));
    let keys = PublicKeys::from_text(&text.map_err(Failure::usage)?).map_err(Failure::usage)?;
    let proof = File::open(file).with_context(|| format!("opening {}", file.display()));
    let proven = verify_proof(BufReader::new(proof.map_err(Failure::usage)?), &keys).map_err(|error| {
        let cause = anyhow::Error::from(error).context(format!("{} proves nothing", file.display()));
        Failure { exit: Exit::VerificationFailed, cause }
    })?;
    let (entries, no) = (proven.entries.len(), proven.checkpoint.get().no);
    if as_json {
        console::print_json(
            &json!({"job": proven.job, "entries": entries, "foreign": proven.foreign, "up_to": no}),
        );
    } else {
        println!("{}", proven.job);
        println!("  proven: all its {entries} entries up to entry {no} of the station's chain");
    }
    Ok(Exit::Success)
}

/// Streams the export: a job's part may lie between millions of other entries.
async fn export(station: &Station, job: &str, out: &PathBuf) -> Result<usize, Failure> {
    let failed = |error: std::io::Error| {
        Failure::fatal(anyhow::Error::from(error).context(format!("writing {}", out.display())))
    };
    let mut answer = station.send(Request::get("/v1/custody/export").with("job", Some(job))).await?;
    let mut file = OpenOptions::new().write(true).create_new(true).open(out).map_err(failed)?;
    let mut lines = 0;
    loop {
        let piece = answer.chunk().await.context("the export broke off; remove the file and try again");
        let Some(piece) = piece.map_err(Failure::fatal)? else { break };
        lines += piece.iter().filter(|byte| **byte == b'\n').count();
        file.write_all(&piece).map_err(failed)?;
    }
    file.sync_all().map_err(failed)?;
    Ok(lines)
}

fn print_entries(entries: &[Value]) {
    let fields = ["/no", "/at", "/actor", "/action", "/drive", "/bay", "/before", "/after", "/reason"];
    let row = |entry: &Value| fields.iter().map(|path| table::cell(entry, path)).collect();
    let rows: Vec<Vec<String>> = entries.iter().map(row).collect();
    table::print(&["no", "at", "who", "what", "drive", "bay", "before", "after", "reason"], &rows);
}

fn print_verdict(answer: &Value) {
    let (entries, signed) = (table::cell(answer, "/entries"), table::cell(answer, "/signedUpTo"));
    if answer["intact"] == Value::Bool(true) {
        println!(
            "whole: {entries} entries, {} at the end, signed up to entry {signed}",
            table::cell(answer, "/hash")
        );
    } else {
        println!("BROKEN at entry {}: {}", table::cell(answer, "/brokenAt"), table::cell(answer, "/damage"));
        println!("  next: change nothing, keep a copy of the ledger, and read deploy/custody.md");
    }
}
