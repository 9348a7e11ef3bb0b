//! `station job …`: import and export jobs, over the Import/Export API that Azure's clients use.

use std::path::PathBuf;

use anyhow::Context;
use clap::{Args, Subcommand};
use model::Exit;
use reqwest::Method;
use serde_json::{Value, json};

use crate::console;
use crate::exit::Failure;
use crate::remote::{Request, Server, Station, table};

/// The newest of the generations: its answers hold everything.
const API_VERSION: &str = "2021-01-01";
/// Pages of a list; more than that is for a program with its own paging.
const PAGES_MAX: usize = 1000;

/// `station job`.
#[derive(Debug, Args)]
pub struct JobArguments {
    #[command(flatten)]
    server: Server,
    /// The subscription that the jobs belong to.
    #[arg(long, value_name = "ID", env = "DRAYAGE_SUBSCRIPTION", global = true)]
    subscription: Option<String>,
    /// The resource group that the jobs belong to.
    #[arg(long, value_name = "NAME", env = "DRAYAGE_RESOURCE_GROUP", global = true)]
    resource_group: Option<String>,
    #[command(subcommand)]
    command: JobCommand,
}

/// A parcel that was given to a carrier.
#[derive(Debug, Args)]
struct ParcelArguments {
    /// Who carries it.
    #[arg(long, value_name = "NAME")]
    carrier: String,
    /// Under which number.
    #[arg(long, value_name = "NUMBER")]
    tracking: String,
    /// How many drives are in it.
    #[arg(long, value_name = "N")]
    drives: u32,
    /// When it was sent, as 2026/03/01.
    #[arg(long, value_name = "DATE")]
    date: String,
}

impl ParcelArguments {
    /// As both APIs have it.
    fn package(&self) -> Value {
        let ParcelArguments { carrier, tracking, drives, date } = self;
        json!({"carrierName": carrier, "trackingNumber": tracking, "driveCount": drives, "shipDate": date})
    }
}

/// What to do with jobs.
#[derive(Debug, Subcommand)]
enum JobCommand {
    /// Jobs of the subscription, or of the resource group if one is given.
    List,
    /// One job with its drives.
    Show {
        /// The job's name.
        name: String,
    },
    /// Make a job of a PUT body as Azure's clients send it, or change one that is still Creating.
    Create {
        /// The job's name.
        name: String,
        /// The body: JSON with `location` and `properties`. It holds recovery passwords: guard it.
        #[arg(long, value_name = "FILE")]
        from: PathBuf,
    },
    /// Say that the customer's drives are on their way.
    Ship {
        /// The job's name.
        name: String,
        #[command(flatten)]
        parcel: ParcelArguments,
    },
    /// Say that the box with all the job's drives went back to the customer, which ends the job.
    SendBack {
        /// The job's name.
        name: String,
        #[command(flatten)]
        parcel: ParcelArguments,
    },
    /// Ask for the job to end without (more) copying; its drives come back as they are.
    Cancel {
        /// The job's name.
        name: String,
    },
    /// Forget a job that is Creating, Completed or Closed.
    Delete {
        /// The job's name.
        name: String,
    },
    /// Print the drives' BitLocker keys. Every release is in the custody chain.
    Keys {
        /// The job's name.
        name: String,
    },
}

/// Runs the command.
///
/// # Errors
/// What the station refuses, or that it cannot be reached.
pub async fn run(arguments: JobArguments) -> Result<Exit, Failure> {
    let station = arguments.server.open()?;
    match &arguments.command {
        JobCommand::List => list(&station, &arguments).await?,
        JobCommand::Show { name } => {
            let job = station.ask(at(arguments.job(name)?, Method::GET, None)).await?;
            station.show(&job, print_job);
        }
        JobCommand::Create { name, from } => {
            let job = station.ask(at(arguments.job(name)?, Method::PUT, Some(read_body(from)?))).await?;
            station.show(&job, print_job);
        }
        JobCommand::Ship { name, parcel } => {
            let change = json!({"properties": {"state": "Shipping", "deliveryPackage": parcel.package()}});
            let job = station.ask(at(arguments.job(name)?, Method::PATCH, Some(change))).await?;
            station.show(&job, print_job);
        }
        JobCommand::SendBack { name, parcel } => {
            let (subscription, group) = (arguments.subscription()?, arguments.resource_group()?);
            let path =
                format!("/v1/jobs/{}/{}/{}/ship", segment(subscription), segment(group), segment(name));
            let job = station.ask(Request::post(path, parcel.package())).await?;
            station.show(&job, |_| println!("{name} went back; the job is over"));
        }
        JobCommand::Cancel { name } => {
            let change = json!({"properties": {"cancelRequested": true}});
            let job = station.ask(at(arguments.job(name)?, Method::PATCH, Some(change))).await?;
            station.show(&job, print_job);
        }
        JobCommand::Delete { name } => {
            station.ask(at(arguments.job(name)?, Method::DELETE, None)).await?;
            station.show(&json!({"deleted": name}), |_| println!("{name} is deleted"));
        }
        JobCommand::Keys { name } => {
            let path = format!("{}/listBitLockerKeys", arguments.job(name)?);
            let keys = station.ask(at(path, Method::POST, None)).await?;
            station.show(&keys, print_keys);
        }
    }
    Ok(Exit::Success)
}

impl JobArguments {
    fn subscription(&self) -> Result<&str, Failure> {
        let missing = || Failure::usage(anyhow::anyhow!("which subscription? give --subscription ID"));
        self.subscription.as_deref().ok_or_else(missing)
    }

    fn resource_group(&self) -> Result<&str, Failure> {
        let missing = || Failure::usage(anyhow::anyhow!("which resource group? give --resource-group NAME"));
        self.resource_group.as_deref().ok_or_else(missing)
    }

    fn job(&self, name: &str) -> Result<String, Failure> {
        Ok(jobs_path(self.subscription()?, Some(self.resource_group()?)) + "/" + &segment(name))
    }
}

fn jobs_path(subscription: &str, group: Option<&str>) -> String {
    let group = group.map(|group| format!("/resourceGroups/{}", segment(group))).unwrap_or_default();
    format!("/subscriptions/{}{group}/providers/Microsoft.ImportExport/jobs", segment(subscription))
}

/// One segment of a path, whatever is in it.
pub fn segment(text: &str) -> String {
    let keep = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_' | b'.' | b'~');
    text.bytes().map(|b| if keep(b) { char::from(b).to_string() } else { format!("%{b:02X}") }).collect()
}

fn at(path: String, method: Method, body: Option<Value>) -> Request {
    Request::verb(method, path, body).with("api-version", Some(API_VERSION))
}

fn read_body(path: &PathBuf) -> Result<Value, Failure> {
    let read = || -> anyhow::Result<Value> {
        let bytes = zeroize::Zeroizing::new(std::fs::read(path).context("reading it")?);
        serde_json::from_slice(&bytes).context("it is not JSON")
    };
    read().with_context(|| format!("the job in {}", path.display())).map_err(Failure::usage)
}

async fn list(station: &Station, arguments: &JobArguments) -> Result<(), Failure> {
    let path = jobs_path(arguments.subscription()?, arguments.resource_group.as_deref());
    let mut request = at(path, Method::GET, None);
    let mut jobs = Vec::new();
    for _ in 0..PAGES_MAX {
        let page = station.ask(request).await?;
        jobs.extend(page["value"].as_array().cloned().unwrap_or_default());
        let Some(next) = page["nextLink"].as_str() else { break };
        request = Request::get(path_and_query(next));
    }
    if station.as_json {
        jobs.iter().for_each(console::print_json);
        return Ok(());
    }
    let rows: Vec<Vec<String>> = jobs.iter().map(row).collect();
    table::print(&["name", "type", "state", "done", "drives", "location"], &rows);
    Ok(())
}

/// The link names the station as it sees itself; this terminal may reach it by another name.
fn path_and_query(link: &str) -> String {
    let after_scheme = link.split_once("://").map_or(link, |(_, rest)| rest);
    after_scheme.find('/').map_or_else(|| "/".to_owned(), |start| after_scheme[start..].to_owned())
}

fn row(job: &Value) -> Vec<String> {
    let percent =
        job.pointer("/properties/percentComplete").map_or("–".to_owned(), |value| format!("{value} %"));
    let drives = job.pointer("/properties/driveList").and_then(Value::as_array).map_or(0, Vec::len);
    vec![
        table::cell(job, "/name"),
        table::cell(job, "/properties/jobType"),
        table::cell(job, "/properties/state"),
        percent,
        drives.to_string(),
        table::cell(job, "/location"),
    ]
}

fn print_job(job: &Value) {
    println!("{}  {}  {}", table::cell(job, "/name"), row(job)[1], row(job)[2]);
    if job.pointer("/properties/cancelRequested") == Some(&Value::Bool(true)) {
        println!("  cancelling: drives come back without (more) copying");
    }
    for (label, path) in [
        ("account", "/properties/storageAccountId"),
        ("arriving", "/properties/deliveryPackage/trackingNumber"),
        ("returning", "/properties/returnPackage/trackingNumber"),
    ] {
        if job.pointer(path).is_some() {
            println!("  {label:<10}{}", table::cell(job, path));
        }
    }
    let drives = job.pointer("/properties/driveList").and_then(Value::as_array).cloned().unwrap_or_default();
    let fields = ["/driveId", "/state", "/percentComplete", "/copyStatus"];
    let rows: Vec<Vec<String>> =
        drives.iter().map(|drive| fields.iter().map(|field| table::cell(drive, field)).collect()).collect();
    if !rows.is_empty() {
        table::print(&["drive", "state", "%", "copy status"], &rows);
    }
}

fn print_keys(keys: &Value) {
    let keys = keys["value"].as_array().cloned().unwrap_or_default();
    let rows: Vec<Vec<String>> = keys
        .iter()
        .map(|key| vec![table::cell(key, "/driveId"), table::cell(key, "/bitLockerKey")])
        .collect();
    table::print(&["drive", "key"], &rows);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_stay_one_segment_of_the_path() {
        assert_eq!(
            jobs_path("s", Some("a/b")),
            "/subscriptions/s/resourceGroups/a%2Fb/providers/Microsoft.ImportExport/jobs"
        );
    }

    #[test]
    fn the_next_page_is_asked_of_the_same_station() {
        assert_eq!(path_and_query("https://station.example/x/y?$skiptoken=1"), "/x/y?$skiptoken=1");
    }
}
