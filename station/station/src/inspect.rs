//! `station inspect`: what a drive is, what would be ingested, and every problem, all at once.
//!
//! Works step by step as far as it gets: partitions and BitLocker without any key; volume,
//! manifest and each of its blobs with the job. A step that fails is a problem like any other, and
//! what can still be told is told. Nothing is sent anywhere and no block is hashed: that is
//! `ingest`'s proof.

use std::io::BufReader;

use manifest::{BlobEntry, BlobKind, Credential, JobEntry, ListHeader, ManifestEvent, ManifestReader};
use model::Exit;
use model::status::SideFileStatus;
use proof::bring_up::{self, Device, OpenDrive, RecognisedDrive, Refusal};
use proof::chain;
use proof::file;
use proof::secrets;
use proof::side::SideFiles;
use serde_json::{Value, json};

use crate::cli::InspectArguments;
use crate::console::{binary, print_json};
use crate::exit::{self, Failure};
use crate::ingest::read_job;

/// Runs the command.
///
/// # Errors
/// When arguments or the job cannot be read.
pub async fn run(arguments: InspectArguments) -> Result<Exit, Failure> {
    let job = arguments.job.as_ref().map(read_job).transpose().map_err(Failure::usage)?;
    let secrets = secrets::collect(job.as_ref(), &arguments.keys.files())
        .map_err(|error| Failure { exit: Exit::UnlockFailed, cause: error.into() })?;
    let mut findings = Findings { as_json: arguments.json, problem_count: 0 };
    tokio::task::spawn_blocking(move || {
        let inspected = inspect(&arguments, job, &secrets, &mut findings);
        let exit = match inspected {
            Ok(()) if findings.problem_count == 0 => Exit::Success,
            Ok(()) => Exit::Incomplete,
            Err(refusal) => {
                findings.problem("drive", refusal.status.as_str(), &refusal.message);
                exit::of_status(refusal.status, &Default::default(), false)
            }
        };
        findings.summary();
        exit
    })
    .await
    .map_err(Failure::fatal)
}

fn inspect(
    arguments: &InspectArguments,
    job: Option<JobEntry>,
    secrets: &[bitlocker::Secret],
    findings: &mut Findings,
) -> Result<(), Refusal> {
    let device = Device::open(&arguments.drive)?;
    findings.device(&device);
    let recognised = bring_up::recognise(device, job.as_ref())?;
    findings.recognised(&recognised);
    if let Err(error) = recognised.metadata.map(&*recognised.volume) {
        // Known without any key, so it is said before somebody looks for one.
        findings.problem("volume", "BitLockerUnlockVolumeFailed", &chain(&error));
    }
    if secrets.is_empty() {
        return Ok(());
    }
    let unlocked = bring_up::unlock(recognised, secrets, &mut |_| {})?;
    findings.volume(&unlocked.ntfs);
    let Some(job) = job else { return Ok(()) };
    let open = bring_up::open_manifest(unlocked, &job)?;
    findings.fact(
        "manifest",
        &json!({
            "file": job.manifest_file,
            "length_bytes": open.manifest.length_bytes(),
            "hash": job.manifest_hash.to_string(),
            "proven": true,
        }),
    );
    check_blobs(&open, &job, findings);
    Ok(())
}

/// Every entry of the manifest, and everything that would go wrong with it before its bytes are
/// read.
fn check_blobs(open: &OpenDrive, job: &JobEntry, findings: &mut Findings) {
    let input = BufReader::with_capacity(1 << 16, open.manifest.read());
    let mut reader = ManifestReader::checking(input).expecting(job.drive_id.clone());
    let mut side_files = SideFiles::new(std::sync::Arc::clone(&open.ntfs));
    let mut credential = Credential::Absent;
    let mut list: Option<ListHeader> = None;
    loop {
        match reader.next() {
            Ok(Some(ManifestEvent::Drive(header))) => credential = header.credential,
            Ok(Some(ManifestEvent::List(header))) => list = Some(header),
            Ok(Some(ManifestEvent::Blob(entry))) => {
                findings.blob(&entry);
                check_blob(open, &entry, list.as_ref(), &credential, &mut side_files, findings);
            }
            Ok(None) => break,
            Err(error) => {
                findings.problem("manifest", error.status().as_str(), &chain(&error));
                break;
            }
        }
    }
    for problem in reader.reports().problems() {
        findings.problem("manifest", "ManifestFormatInvalid", &problem.to_string());
    }
    let more = reader.reports().problem_count() - reader.reports().problems().len() as u64;
    if more > 0 {
        findings.problem("manifest", "ManifestFormatInvalid", &format!("{more} more problems"));
    }
}

fn check_blob(
    open: &OpenDrive,
    entry: &BlobEntry,
    list: Option<&ListHeader>,
    credential: &Credential,
    side_files: &mut SideFiles,
    findings: &mut Findings,
) {
    if entry.refusal(credential).is_none() {
        match file::open(&open.ntfs, entry) {
            Ok(file)
                if file.length_bytes < entry.length_bytes && !matches!(entry.kind, BlobKind::Page(_)) =>
            {
                let text =
                    format!("the file has {} bytes, the manifest {}", file.length_bytes, entry.length_bytes);
                findings.problem(&entry.blob_path, "FileUnexpectedEnd", &text);
            }
            Ok(_) => {}
            Err(failure) => findings.problem(&entry.blob_path, failure.status.as_str(), &failure.message),
        }
    }
    let metadata = entry.metadata.as_ref().or(list.and_then(|list| list.metadata.as_ref()));
    let properties = entry.properties.as_ref().or(list.and_then(|list| list.properties.as_ref()));
    let side = side_files.load(metadata, properties).statuses;
    for (name, status) in [("metadata", side.metadata), ("properties", side.properties)] {
        if let Some(status) = status.filter(|status| *status != SideFileStatus::Completed) {
            findings.problem(&entry.blob_path, status.as_str(), &format!("its {name} file"));
        }
    }
}

/// Prints what is found as it is found: a manifest may list millions of blobs.
struct Findings {
    as_json: bool,
    problem_count: u64,
}

impl Findings {
    fn fact(&self, name: &str, value: &Value) {
        if self.as_json {
            print_json(&json!({"event": name, name: value}));
        } else {
            println!("{name}");
            print_fields(value, 1);
        }
    }

    fn device(&self, device: &Device) {
        let identity = &device.identity;
        self.fact(
            "device",
            &json!({
                "kind": format!("{:?}", identity.kind),
                "length_bytes": identity.length_bytes,
                "length": binary(identity.length_bytes),
                "logical_sector_bytes": identity.logical_sector_bytes,
                "physical_sector_bytes": identity.physical_sector_bytes,
                "serial": identity.serial,
                "model": identity.model,
            }),
        );
    }

    fn recognised(&self, drive: &RecognisedDrive) {
        let partitions: Vec<Value> = drive
            .partitions
            .partitions
            .iter()
            .map(|partition| {
                json!({
                    "number": partition.number,
                    "start_bytes": partition.start_bytes,
                    "length_bytes": partition.length_bytes,
                })
            })
            .collect();
        let problems: Vec<String> = drive.partitions.problems.iter().map(ToString::to_string).collect();
        self.fact(
            "partitions",
            &json!({"scheme": format!("{:?}", drive.partitions.scheme), "list": partitions, "problems": problems}),
        );
        self.bitlocker(drive);
    }

    fn bitlocker(&self, drive: &RecognisedDrive) {
        let metadata = &drive.metadata;
        let protectors: Vec<Value> = metadata
            .protectors()
            .iter()
            .map(|protector| {
                json!({"id": protector.id.to_string(), "kind": protector.kind.to_string(), "name": protector.name})
            })
            .collect();
        let copies: Vec<String> = metadata
            .copies
            .iter()
            .map(|copy| format!("{:#x}: {:?}", copy.offset_bytes, copy.health))
            .collect();
        self.fact(
            "bitlocker",
            &json!({
                "volume_start_bytes": drive.volume.start_bytes(),
                "kind": format!("{:?}", metadata.kind),
                "method": metadata.method.to_string(),
                "state": format!("{:?}", metadata.state),
                "suspended": metadata.is_suspended(),
                "volume_id": metadata.volume_id.to_string(),
                "description": metadata.description,
                "sector_bytes": metadata.sector_bytes,
                "protectors": protectors,
                "metadata_copies": copies,
                "warnings": metadata.warnings.iter().map(ToString::to_string).collect::<Vec<_>>(),
            }),
        );
    }

    fn volume(&self, volume: &ntfs::Volume) {
        let (geometry, health) = (volume.geometry(), volume.health());
        self.fact(
            "volume",
            &json!({
                "file_system": "NTFS",
                "cluster_bytes": geometry.cluster_bytes,
                "volume_bytes": geometry.volume_bytes,
                "sound": health.is_sound(),
                "dirty": health.dirty,
                "log_file": format!("{:?}", health.log_file),
                "hibernated": health.hibernated,
                "problem_count": health.problems.count(),
            }),
        );
    }

    fn blob(&self, entry: &BlobEntry) {
        let kind = match &entry.kind {
            BlobKind::Block(_) => "block",
            BlobKind::Page(_) => "page",
            BlobKind::File(_) => "file",
        };
        if self.as_json {
            print_json(&json!({
                "event": "blob",
                "blob_path": entry.blob_path,
                "file_path": entry.file_path,
                "length_bytes": entry.length_bytes,
                "kind": kind,
                "disposition": entry.disposition().as_str(),
            }));
        } else {
            println!("{kind:<6} {:>15} {} <- {}", entry.length_bytes, entry.blob_path, entry.file_path);
        }
    }

    fn problem(&mut self, about: &str, status: &str, message: &str) {
        self.problem_count += 1;
        if self.as_json {
            print_json(&json!({"event": "problem", "about": about, "status": status, "message": message}));
        } else {
            println!("PROBLEM {about}: {status}: {message}");
        }
    }

    fn summary(&self) {
        if self.as_json {
            print_json(&json!({"event": "summary", "problem_count": self.problem_count}));
        } else {
            match self.problem_count {
                0 => println!("no problem found"),
                1 => println!("1 problem found"),
                count => println!("{count} problems found"),
            }
        }
    }
}

fn print_fields(value: &Value, depth: usize) {
    let Value::Object(fields) = value else { return };
    let indent = "  ".repeat(depth);
    for (name, value) in fields {
        let name = name.replace('_', " ");
        match value {
            Value::Null => {}
            Value::Array(items) => items.iter().for_each(|item| print_item(&indent, &name, item)),
            Value::String(text) => println!("{indent}{name}: {text}"),
            other => println!("{indent}{name}: {other}"),
        }
    }
}

fn print_item(indent: &str, name: &str, item: &Value) {
    let text = match item {
        Value::Object(fields) => {
            let parts =
                fields.iter().filter(|(_, value)| !value.is_null()).map(|(name, value)| match value {
                    Value::String(text) => format!("{name} {text}"),
                    other => format!("{name} {other}"),
                });
            parts.collect::<Vec<_>>().join(", ")
        }
        Value::String(text) => text.clone(),
        other => other.to_string(),
    };
    println!("{indent}{name}: {text}");
}
