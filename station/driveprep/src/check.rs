//! `driveprep check`: all findings before a byte is written, how many drives, and how long.
//!
//! Looks at the sources exactly as `pack` does, and only looks: no drive is opened for writing, and of
//! the sources' data nothing but a small sample is read, to measure their speed.
//!
//! Exit codes: 0 when everything can be packed; 2 when what was asked for cannot be understood or a
//! named source is not there; 10 when something cannot be packed, or the drives do not suffice; 3 with
//! `--strict` when there are warnings.

mod drives;
mod sample;

use clap::Args;
use indicatif::{DecimalBytes, HumanCount, HumanDuration};
use model::Exit;
use serde_json::json;

use crate::console::Console;
use crate::failure::Failure;
use crate::inputs::size::parse_bytes;
use crate::inputs::{DriveArguments, InputError, Inputs, SourceArguments};
use crate::lint::{Findings, LintOptions, Severity, lint, report};
use crate::work::{ItemKind, Work};
use sample::Sample;

/// The arguments of `check`.
#[derive(Debug, Clone, Args)]
pub struct CheckArguments {
    /// What would be packed.
    #[command(flatten)]
    pub sources: SourceArguments,
    /// Onto which drives. Without --drive, --size says how large each would be.
    #[command(flatten)]
    pub drives: DriveArguments,
    /// The job will have a SAS for this container only
    #[arg(long, value_name = "CONTAINER")]
    pub sas_container: Option<String>,
    /// Do not read a sample of the sources, so do not say how long it takes
    #[arg(long)]
    pub no_sample: bool,
    /// End with exit code 3 when there are warnings
    #[arg(long)]
    pub strict: bool,
}

/// Runs the command.
///
/// # Errors
/// What was asked for cannot be understood, or a named source is not there.
pub fn run(arguments: &CheckArguments, console: &Console) -> Result<Exit, Failure> {
    let mut findings = Findings::default();
    let inputs = arguments.sources.inputs(&arguments.drives, &mut findings).map_err(usage)?;
    console.note("looking at the sources");
    let work = inputs.work(&mut findings).map_err(usage)?;
    let options =
        LintOptions { sas_container: arguments.sas_container.clone(), kinds_by_name: inputs.kinds_by_name() };
    lint(&work, &options, &mut findings);
    drives::inside_sources(&inputs, &mut findings);
    let fill = match arguments.drives.sizes.first().filter(|_| inputs.drives.is_empty()) {
        Some(size) => {
            let drive_bytes = parse_bytes(size).map_err(|fault| usage(InputError::at("--size", fault)))?;
            Some(drives::equal(&work, drive_bytes, &mut findings))
        }
        None => drives::named(&work, &inputs.drives, &mut findings),
    };
    report::print(&findings, console);
    contents(&work, console);
    if let Some(fill) = &fill {
        drives::print(fill, &inputs.drives, console);
    }
    if !arguments.no_sample {
        time(&work, console);
    }
    let text = format!("check: {}", report::summary(&findings));
    let count = |severity| findings.count(severity);
    let (errors, warnings) = (count(Severity::Error), count(Severity::Warning));
    console.result("check", &text, json!({ "errors": errors, "warnings": warnings }));
    Ok(exit(&findings, arguments.strict))
}

fn usage(error: InputError) -> Failure {
    Failure::usage(error)
}

fn exit(findings: &Findings, is_strict: bool) -> Exit {
    if findings.has_errors() {
        Exit::Incomplete
    } else if is_strict && findings.count(Severity::Warning) > 0 {
        Exit::Warnings
    } else {
        Exit::Success
    }
}

impl Inputs {
    /// Whether some source leaves its items' types to their names.
    fn kinds_by_name(&self) -> bool {
        self.sources.iter().any(|source| source.how.kind == crate::work::scan::KindRule::ByName)
    }
}

fn contents(work: &Work, console: &Console) {
    let of = |kind| work.items().filter(|item| item.kind() == kind).count();
    let (block, page, file) = (of(ItemKind::Block), of(ItemKind::Page), of(ItemKind::File));
    let text = format!(
        "{} in {} files: {} block blobs, {} page blobs, {} files of shares",
        DecimalBytes(work.length_bytes()),
        HumanCount(work.len() as u64),
        HumanCount(block as u64),
        HumanCount(page as u64),
        HumanCount(file as u64),
    );
    let fields = json!({
        "session": work.session().as_str(),
        "files": work.len(),
        "bytes": work.length_bytes(),
        "block_blobs": block,
        "page_blobs": page,
        "share_files": file,
    });
    console.result("contents", &text, fields);
}

fn time(work: &Work, console: &Console) {
    let Some(sample) = Sample::read(work) else {
        return console.note("no estimate of the time: nothing of the sources could be read as a sample");
    };
    let estimate = sample.estimate(work);
    let text = format!(
        "about {} if the drives keep up: an estimate from reading {} of {} files at {}/s here and now; \
         what was in memory reads faster than the rest, and many a hard drive writes 150 to 250 MB/s",
        HumanDuration(estimate),
        DecimalBytes(sample.bytes),
        HumanCount(sample.files),
        DecimalBytes(sample.bytes_per_second()),
    );
    let fields = json!({
        "seconds": estimate.as_secs(),
        "sample_bytes": sample.bytes,
        "sample_files": sample.files,
        "sample_seconds": sample.took.as_secs_f64(),
        "bytes_per_second": sample.bytes_per_second(),
    });
    console.result("estimate", &text, fields);
}

#[cfg(test)]
mod tests;
