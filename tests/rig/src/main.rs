//! `cargo rig`: set-up, demo, checks, packed drives, benchmarks and the endpoint, on one command line.

mod bench;
mod checks;
mod demo;
mod local;

use std::net::SocketAddr;
use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::{Context, Result};
use clap::{Args, Parser, Subcommand};
use rig::endpoint::{self, EndpointConfig, Fault, Store};
use rig::pack::presets::{self, Files};
use rig::pack::{self, Cipher};
use rig::setup::{self, Purpose};

/// Runs the whole of Drayage without hardware.
///
/// Start with `cargo rig demo`. Everything that is made lies below target/rig and may be deleted.
#[derive(Parser)]
#[command(name = "cargo rig", bin_name = "cargo rig")]
struct Arguments {
    #[command(subcommand)]
    command: Task,
}

#[derive(Subcommand)]
enum Task {
    /// Install what is missing on this machine, saying first what that is
    ///
    /// Debian packages come from apt (as root; otherwise the command to run is printed), npm packages
    /// are pinned by a lock file, PyPI packages by hashes. The other commands do this by themselves.
    Setup {
        /// What the machine is to be used for
        #[arg(long = "for", value_enum, default_value = "test")]
        purpose: Purpose,
    },
    /// Pack a drive, ingest it at an endpoint of our own, and look at what landed
    Demo(demo::Options),
    /// Run everything that CI runs: format, clippy, documentation, dependency policy, tests
    Test {
        /// Run only the tests whose names contain this, and no other check
        filter: Option<String>,
    },
    /// Make a drive image: BitLocker around NTFS, files, a drive manifest (needs root and /dev/fuse)
    ///
    /// The folder gets drive.img (sparse), drive.json (what the customer gives with a drive) and
    /// expected.json (what must come of it). What is on the drive follows from the arguments alone.
    Pack(PackOptions),
    /// Run our endpoint alone: an Azure Blob Storage double for any client, on loopback
    ///
    /// Path-style, with the well-known development account and key. It is a test double, not Azure.
    Endpoint(EndpointOptions),
    /// Measure
    #[command(subcommand)]
    Bench(Bench),
}

#[derive(Args)]
struct PackOptions {
    /// Folder for the three files; made if it is not there
    #[arg(long, value_name = "DIR")]
    out: PathBuf,
    /// What kind of files; `mixed` has some of everything, faults too
    #[arg(long, value_enum, default_value = "mixed")]
    files: Files,
    /// Bytes of all files together
    #[arg(long, default_value_t = 256 << 20, value_name = "N")]
    bytes: u64,
    /// How many files
    #[arg(long, default_value_t = 200, value_name = "N")]
    count: usize,
    /// The volume's cipher
    #[arg(long, value_enum, default_value = "xts256")]
    cipher: Cipher,
    /// The drive's serial number
    #[arg(long)]
    serial: Option<String>,
}

#[derive(Args)]
struct EndpointOptions {
    /// Where to listen
    #[arg(long, default_value = "127.0.0.1:10000", value_name = "ADDRESS")]
    listen: SocketAddr,
    #[command(flatten)]
    store: StoreOptions,
    /// Misbehave: `op=PutBlock,nth=3,status=503,retry-after=1` answers the third Put Block so; repeatable
    #[arg(long = "fault", value_name = "FAULT")]
    faults: Vec<Fault>,
    /// Be an account with a hierarchical namespace (Data Lake Gen2)
    #[arg(long)]
    hierarchical_namespace: bool,
}

#[derive(Args)]
#[group(required = true, multiple = false)]
struct StoreOptions {
    /// Keep blobs in this folder, over restarts
    #[arg(long, value_name = "DIR")]
    data: Option<PathBuf>,
    /// Keep nothing and check no signature: for benchmarks
    #[arg(long)]
    discard: bool,
}

#[derive(Subcommand)]
enum Bench {
    /// A whole ingest, at an endpoint that discards, beside dislocker + ntfs-3g + azcopy
    Ingest(bench::Options),
    /// A whole packing to an image file with XTS-256, beside mkntfs + ntfs-3g over dislocker
    Pack(bench::pack::Options),
}

fn main() -> ExitCode {
    match run(Arguments::parse().command) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("cargo rig: {error:#}");
            ExitCode::FAILURE
        }
    }
}

fn run(task: Task) -> Result<()> {
    match task {
        Task::Setup { purpose } => {
            let tools = setup::ensure(purpose)?;
            for (name, path) in tools.environment() {
                println!("{name}={}", path.display());
            }
            Ok(())
        }
        Task::Demo(options) => demo::run(&options),
        Task::Test { filter } => checks::run(filter.as_deref()),
        Task::Pack(options) => pack_drive(options),
        Task::Endpoint(options) => serve(options),
        Task::Bench(Bench::Ingest(options)) => bench::ingest(&options),
        Task::Bench(Bench::Pack(options)) => bench::pack::pack(&options),
    }
}

fn pack_drive(options: PackOptions) -> Result<()> {
    setup::ensure(Purpose::Demo)?;
    let mut plan = presets::plan(options.files, options.bytes, options.count);
    plan.cipher = options.cipher;
    plan.serial = options.serial.unwrap_or(plan.serial);
    let image = options.out.join("drive.img");
    if image.exists() {
        anyhow::bail!("{} is there already; remove it, or choose another folder", image.display());
    }
    let expected = pack::pack(&plan, &options.out).context("packing the drive")?;
    println!("{}: {} blobs, to end as {}", image.display(), expected.blobs.len(), expected.drive_status);
    Ok(())
}

fn serve(options: EndpointOptions) -> Result<()> {
    let store = options.store.data.map_or(Store::Discard, Store::Disk);
    let config = EndpointConfig {
        listen: options.listen,
        hierarchical_namespace: options.hierarchical_namespace,
        ..EndpointConfig::with_store(store)
    };
    let runtime =
        tokio::runtime::Builder::new_current_thread().enable_all().build().context("starting tokio")?;
    runtime
        .block_on(endpoint::serve(config, options.faults, |endpoint| {
            println!("listening at {}\n{}", endpoint.url(), endpoint.connection_string());
        }))
        .context("serving")
}
