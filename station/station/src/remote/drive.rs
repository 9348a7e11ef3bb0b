//! `station drive …`: what a technician does with a drive, and where it is.

use clap::{Args, Subcommand};
use model::Exit;
use serde_json::{Value, json};

use crate::console;
use crate::exit::Failure;
use crate::remote::job::segment;
use crate::remote::{Request, Server, table};

/// `station drive`.
#[derive(Debug, Args)]
pub struct DriveArguments {
    #[command(flatten)]
    server: Server,
    #[command(subcommand)]
    command: DriveCommand,
}

/// What to do with drives.
#[derive(Debug, Subcommand)]
enum DriveCommand {
    /// Drives of open jobs, where they are and what they wait for.
    List {
        /// Only those in this state, for example Received.
        #[arg(long)]
        state: Option<String>,
        /// Only the one in this bay.
        #[arg(long)]
        bay: Option<String>,
    },
    /// One drive.
    Show {
        /// Its serial number.
        serial: String,
    },
    /// Book a parcel in, by its tracking number.
    Receive {
        /// The number on the parcel.
        tracking: String,
        /// What it looks like, when that is worth a word: damaged, sealBroken, …
        #[arg(long)]
        condition: Option<String>,
    },
    /// Book a drive in.
    Scan {
        /// Its serial number, as on the maker's label.
        serial: String,
        /// The slot of the shelf that it is put on.
        #[arg(long)]
        slot: Option<String>,
    },
    /// Say in which bay the drive is put.
    Assign {
        /// Its serial number.
        serial: String,
        /// The bay's name.
        #[arg(long)]
        bay: String,
    },
    /// Stop working on the drive until it is resumed.
    Hold {
        /// Its serial number.
        serial: String,
        /// Why; the custody chain keeps it.
        #[arg(long)]
        reason: String,
    },
    /// Go on with a drive that was held.
    Resume {
        /// Its serial number.
        serial: String,
    },
    /// Put the drive back on the shelf.
    Release {
        /// Its serial number.
        serial: String,
        /// The slot of the shelf.
        #[arg(long)]
        slot: Option<String>,
    },
    /// Put the drive in its job's box.
    Pack {
        /// Its serial number.
        serial: String,
        /// The box's label.
        #[arg(long = "box", value_name = "LABEL")]
        label: String,
    },
    /// Say that the drive was not in its parcel.
    NeverReceived {
        /// Its serial number.
        serial: String,
    },
}

/// Runs the command.
///
/// # Errors
/// What the station refuses, or that it cannot be reached.
pub async fn run(arguments: DriveArguments) -> Result<Exit, Failure> {
    let station = arguments.server.open()?;
    if let DriveCommand::List { state, bay } = &arguments.command {
        let request = || Request::get("/v1/drives").with("state", state.as_ref()).with("bay", bay.as_ref());
        let drives = station.pages(request, "drives").await?;
        if station.as_json {
            drives.iter().for_each(console::print_json);
        } else {
            print_list(&drives);
        }
        return Ok(Exit::Success);
    }
    let answer = station.ask(request(&arguments.command)).await?;
    station.show(&answer, print_drive);
    Ok(Exit::Success)
}

fn request(command: &DriveCommand) -> Request {
    let act = |serial: &str, verb: &str, body: Value| {
        Request::post(format!("/v1/drives/{}/{verb}", segment(serial)), body)
    };
    match command {
        DriveCommand::List { .. } => Request::get("/v1/drives"),
        DriveCommand::Show { serial } => Request::get(format!("/v1/drives/{}", segment(serial))),
        DriveCommand::Receive { tracking, condition } => Request::post(
            format!("/v1/packages/{}/receive", segment(tracking)),
            json!({"condition": condition}),
        ),
        DriveCommand::Scan { serial, slot } => act(serial, "scan", json!({"slot": slot})),
        DriveCommand::Assign { serial, bay } => act(serial, "assign", json!({"bay": bay})),
        DriveCommand::Hold { serial, reason } => act(serial, "hold", json!({"reason": reason})),
        DriveCommand::Resume { serial } => act(serial, "resume", json!({})),
        DriveCommand::Release { serial, slot } => act(serial, "release", json!({"slot": slot})),
        DriveCommand::Pack { serial, label } => act(serial, "pack", json!({"label": label})),
        DriveCommand::NeverReceived { serial } => act(serial, "never-received", json!({})),
    }
}

const FIELDS: [(&str, &str); 6] = [
    ("drive", "/driveId"),
    ("state", "/state"),
    ("place", "/place/bay"),
    ("%", "/percentComplete"),
    ("job", "/job/name"),
    ("next", "/next"),
];

fn print_list(drives: &[Value]) {
    let heads: Vec<&str> = FIELDS.iter().map(|(head, _)| *head).collect();
    let row = |drive: &Value| FIELDS.iter().map(|(_, path)| table::cell(drive, path)).collect();
    table::print(&heads, &drives.iter().map(row).collect::<Vec<_>>());
}

/// A drive or a parcel, a line a field; what is inside a field stands behind its name.
fn print_drive(answer: &Value) {
    for line in lines("", answer) {
        println!("{line}");
    }
}

fn lines(name: &str, value: &Value) -> Vec<String> {
    match value {
        Value::Null => Vec::new(),
        Value::Object(members) => members
            .iter()
            .flat_map(|(member, value)| lines(format!("{name} {member}").trim_start(), value))
            .collect(),
        Value::Array(items) => items.iter().flat_map(|item| lines(name, item)).collect(),
        _ => vec![format!("{name:<26}  {}", table::cell(value, ""))],
    }
}
