//! `station ingest`: arguments in, transfer started, summary and exit code out.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::Context;
use azure::{Account, AccountConfig, Endpoint};
use indicatif::{DecimalBytes, HumanCount, HumanDuration};
use manifest::JobEntry;
use model::Exit;
use model::drive::{Phase, Suspension};
use proof::bring_up::Device;
use proof::secrets;
use proof::verify::DigestPool;
use serde_json::{Value, json};
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::{mpsc, watch};
use transfer::progress::Progress;
use transfer::task::{IngestSpec, Report, ingest};

use crate::cli::IngestArguments;
use crate::console::{Console, print_json};
use crate::exit::{self, Failure};
use crate::state;

/// Runs the command.
///
/// # Errors
/// What keeps an ingest from being started, or the station from going on.
pub async fn run(arguments: IngestArguments) -> Result<Exit, Failure> {
    let strict = arguments.strict;
    let as_json = arguments.json;
    let spec = match prepare(&arguments).await? {
        Prepared::Spec(spec) => *spec,
        Prepared::Refused(exit) => return Ok(exit),
    };
    let digests = Arc::clone(&spec.digests);
    let progress = Arc::new(Progress::default());
    let (notices, notices_in) = mpsc::unbounded_channel();
    let console = Console::start(as_json, Arc::clone(&progress), notices_in);
    let stop = stop_on_signals().map_err(Failure::fatal)?;
    let started = Instant::now();
    let ended = ingest(spec, Arc::clone(&progress), notices, stop).await;
    console.end().await;
    let report = ended.map_err(Failure::fatal)?;
    let stages = stages(&progress, digests.decrypt_seconds());
    let exit = exit::of(report.phase, &report.tally, strict);
    if as_json {
        print_json(&summary_event(&report, &progress, started.elapsed(), exit, &stages));
    } else {
        print_summary(&report, &progress, started.elapsed());
    }
    Ok(exit)
}

enum Prepared {
    Spec(Box<IngestSpec>),
    Refused(Exit),
}

async fn prepare(arguments: &IngestArguments) -> Result<Prepared, Failure> {
    let job = read_job(&arguments.job).map_err(Failure::usage)?;
    let endpoint = Endpoint::parse(&arguments.to).context("--to").map_err(Failure::usage)?;
    let credential = arguments.credential.source().read().map_err(Failure::usage)?;
    let secrets = secrets::collect(Some(&job), &arguments.keys.files())
        .map_err(|error| Failure { exit: Exit::UnlockFailed, cause: error.into() })?;
    let read = |path: &PathBuf| std::fs::read(path).with_context(|| format!("reading {}", path.display()));
    let ca_certificates_pem = arguments.ca_file.as_ref().map(read).transpose().map_err(Failure::usage)?;
    let destination = endpoint.to_string();
    let config = AccountConfig { ca_certificates_pem, ..AccountConfig::new(endpoint, credential) };
    let account = Account::new(config).map_err(Failure::usage)?;
    let state = state::folder(arguments.state.as_deref()).map_err(Failure::usage)?;
    state::create(&state).map_err(Failure::usage)?;
    let ledger = arguments.ledger.open(&state).await?;
    let device = match Device::open(&arguments.drive) {
        Ok(device) => device,
        Err(refusal) => {
            report_refusal(arguments.json, &refusal);
            return Ok(Prepared::Refused(exit::of_status(refusal.status, &Default::default(), false)));
        }
    };
    let logs_dir = arguments.logs.clone().unwrap_or_else(|| state.join("logs"));
    state::create(&logs_dir).map_err(Failure::usage)?;
    // One thread decrypts and digests some GB/s, cheaper a byte than two that share the chunks.
    let worker_count = std::thread::available_parallelism().map_or(1, |count| count.get().div_ceil(2));
    Ok(Prepared::Spec(Box::new(IngestSpec {
        device,
        job,
        secrets,
        job_name: arguments.job_name.clone(),
        run_scope: arguments.job_name.clone(),
        account,
        destination,
        ledger,
        logs_dir,
        buffer_bytes: arguments.buffer_mib as usize * (1 << 20),
        digests: Arc::new(DigestPool::start(worker_count).map_err(Failure::fatal)?),
        again: arguments.again,
    })))
}

/// Reads a job entry of any form.
///
/// # Errors
/// When it cannot be read or is none of the known forms.
pub fn read_job(path: &PathBuf) -> anyhow::Result<JobEntry> {
    let bytes = zeroize::Zeroizing::new(
        std::fs::read(path).with_context(|| format!("reading the job {}", path.display()))?,
    );
    JobEntry::parse(&bytes, None).with_context(|| format!("the job {}", path.display()))
}

/// SIGTERM and SIGINT ask for a clean stop; a second one ends at once.
fn stop_on_signals() -> anyhow::Result<watch::Receiver<bool>> {
    let mut terminate = signal(SignalKind::terminate())?;
    let mut interrupt = signal(SignalKind::interrupt())?;
    let (stop, stopped) = watch::channel(false);
    tokio::spawn(async move {
        loop {
            tokio::select! {
                _ = terminate.recv() => {}
                _ = interrupt.recv() => {}
            }
            if *stop.borrow() {
                std::process::exit(i32::from(Exit::Interrupted.code()));
            }
            eprintln!("station: stopping; what is under way is brought to its end (again to stop at once)");
            // The ingest may have ended already.
            let _ = stop.send(true);
        }
    });
    Ok(stopped)
}

fn report_refusal(as_json: bool, refusal: &proof::bring_up::Refusal) {
    if as_json {
        print_json(
            &json!({"event": "summary", "status": refusal.status.as_str(), "message": refusal.message}),
        );
    } else {
        eprintln!("station: {}: {}", refusal.status, refusal.message);
    }
}

fn status_word(phase: Phase) -> String {
    match phase {
        Phase::Ended { status } | Phase::Logging { status } => status.to_string(),
        Phase::Suspended { reason } => match reason {
            Suspension::HeldForCustomer => "held".to_owned(),
            Suspension::DriveLost => "drive lost".to_owned(),
            Suspension::Stopped => "stopped".to_owned(),
            Suspension::StationFault => "station fault".to_owned(),
            Suspension::TakenOver => "taken over".to_owned(),
        },
        other => format!("{other:?}"),
    }
}

fn print_summary(report: &Report, progress: &Progress, took: Duration) {
    let now = progress.snapshot();
    println!("{}", status_word(report.phase));
    if let Some(message) = &report.message {
        println!("  {message}");
    }
    if report.totals.blob_count > 0 {
        let failed = report.tally.failed_blobs;
        println!(
            "  blobs     {} of {} have an outcome, {} not Completed",
            HumanCount(now.blobs_done),
            HumanCount(report.totals.blob_count),
            HumanCount(failed)
        );
        println!("  landed    {} in {}", DecimalBytes(now.bytes_put), HumanDuration(took));
    }
    for (disposition, count) in &report.tally.dispositions {
        println!("  {:<9} {}", disposition.to_lowercase(), HumanCount(*count));
    }
    for failure in &report.failures {
        println!("  failed    {}: {}: {}", failure.blob_path, failure.status, failure.message);
    }
    if failed_not_shown(report) > 0 {
        println!("  … and {} more: see the error log", failed_not_shown(report));
    }
    for path in &report.local_logs {
        println!("  log       {}", path.display());
    }
    for name in &report.landed_logs {
        println!("  uploaded  {name}");
    }
    if let Phase::Suspended { .. } = report.phase {
        println!("  Nothing that was done is lost: run the same command again to go on.");
    }
}

/// Processor seconds by stage; the digest threads' time is split in what they do.
fn stages(progress: &Progress, decrypt_seconds: f64) -> Value {
    let mut seconds = progress.stages();
    if let Some(digest) = seconds.get_mut("digest") {
        let decrypt_seconds = decrypt_seconds.min(*digest);
        *digest -= decrypt_seconds;
        seconds.insert("decrypt", decrypt_seconds);
    }
    seconds.into_iter().map(|(stage, seconds)| (stage, json!({"cpu_seconds": seconds}))).collect()
}

fn failed_not_shown(report: &Report) -> u64 {
    report.tally.failed_blobs.saturating_sub(report.failures.len() as u64)
}

fn summary_event(report: &Report, progress: &Progress, took: Duration, exit: Exit, stages: &Value) -> Value {
    let now = progress.snapshot();
    let dispositions: serde_json::Map<String, Value> = report
        .tally
        .dispositions
        .iter()
        .map(|(disposition, count)| (disposition.to_string(), json!(count)))
        .collect();
    json!({
        "event": "summary",
        "status": status_word(report.phase),
        "message": report.message,
        "exit_code": exit.code(),
        "resumed": report.resumed,
        "finished_before": report.finished_before,
        "blobs_total": report.totals.blob_count,
        "bytes_total": report.totals.chunk_bytes,
        "blobs_done": now.blobs_done,
        "blobs_failed": report.tally.failed_blobs,
        "bytes_put": now.bytes_put,
        "bytes_read": now.bytes_read,
        "rereads": now.rereads,
        "seconds": took.as_secs_f64(),
        "stages": stages,
        "dispositions": dispositions,
        "failures": report.failures.iter().map(|failure| json!({"blob_path": failure.blob_path, "status": failure.status.as_str(), "message": failure.message})).collect::<Vec<_>>(),
        "logs": report.local_logs,
        "uploaded_logs": report.landed_logs,
    })
}
