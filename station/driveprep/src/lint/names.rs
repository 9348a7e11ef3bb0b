//! Names: at the destination by the storage service's rules, on the drive by NTFS' and Windows'.

use manifest::drive_path::{DrivePathError, is_device_name};
use manifest::{BlobRefusal, DrivePath, is_text_writable};
use model::status::{BlobStatus, DriveStatus};
use model::{BlobPath, SharePath};

use super::{Code, Findings, LintRule, Severity};
use crate::work::{DirectoryId, Item, ItemKind, Work};

const DESTINATION: LintRule = LintRule {
    severity: Severity::Error,
    rule: "the destination must be a name that the storage service takes",
    advice: "rename the file, or choose another destination for its source",
};
const OUTSIDE_SAS: LintRule = LintRule {
    severity: Severity::Error,
    rule: "a container SAS reaches its own container only",
    advice: "send everything to that container, or use an account key for the job",
};
const DRIVE_NAME: LintRule = LintRule {
    severity: Severity::Error,
    rule: "the path on the drive must be one that the station opens",
    advice: "rename the file or directory",
};
const MANIFEST_TEXT: LintRule = LintRule {
    severity: Severity::Error,
    rule: "the manifest is XML, which cannot hold every character",
    advice: "rename the file or directory",
};
const OURS: LintRule = LintRule {
    severity: Severity::Error,
    rule: "the drive's manifest, side files and system directories are not packed as data",
    advice: "move it, or name the directories to pack one by one",
};
const WINDOWS: LintRule = LintRule {
    severity: Severity::Warning,
    rule: "Windows' own programs cannot open every name that NTFS can hold",
    advice: "rename it if the drive is to be read with Windows; the station reads it as it is",
};
const BACKSLASH: LintRule = LintRule {
    severity: Severity::Warning,
    rule: "a destination's directories are separated with /; a backslash is part of the name",
    advice: "write / in the destination",
};

/// What the drive keeps for itself at its root, in upper case.
const SYSTEM_NAMES: [&str; 3] = ["DRIVEMANIFEST.XML", "SYSTEM VOLUME INFORMATION", "$RECYCLE.BIN"];

/// Checks all names of the work.
pub(super) fn check(work: &Work, sas_container: Option<&str>, findings: &mut Findings) {
    for dataset in work.datasets().iter().filter(|dataset| dataset.destination.contains('\\')) {
        findings.add(BACKSLASH, Code::Own("Backslash"), || {
            (dataset.source.display().to_string(), dataset.destination.clone())
        });
    }
    for (id, directory) in work.directories() {
        name(&directory.name, || directory_path(work, id), findings);
    }
    for item in work.items() {
        name(item.name(), || source(&item), findings);
        destination(&item, sas_container, findings);
        drive_path(&item, findings);
    }
}

fn destination(item: &Item<'_>, sas_container: Option<&str>, findings: &mut Findings) {
    let destination = item.destination();
    let container = match item.kind() {
        ItemKind::Block | ItemKind::Page => {
            BlobPath::parse(&destination).map(|path| path.container().to_owned())
        }
        ItemKind::File => SharePath::parse(&destination).map(|path| path.share().to_owned()),
    };
    let container = match container {
        Ok(container) => container,
        Err(error) => {
            let found = format!("{destination}: {error}");
            let refusal = BlobRefusal::Destination { source: error };
            return findings.add(DESTINATION, Code::Blob(refusal.status()), || (source(item), found));
        }
    };
    if !is_text_writable(&destination) {
        let code = Code::Drive(DriveStatus::ManifestFormatInvalid);
        findings.add(MANIFEST_TEXT, code, || (source(item), destination.clone()));
    }
    if let Some(only) = sas_container.filter(|only| *only != container) {
        let refusal = BlobRefusal::OutsideSas { container: only.to_owned() };
        findings.add(OUTSIDE_SAS, Code::Blob(refusal.status()), || {
            (source(item), format!("{destination}: {refusal}"))
        });
    }
}

fn drive_path(item: &Item<'_>, findings: &mut Findings) {
    let path = item.drive_path();
    match DrivePath::parse(&path) {
        Err(error) => refused(&error, || source(item), findings),
        Ok(parsed) if is_ours(item, &path, &parsed) => {
            findings.add(OURS, Code::Own("Reserved"), || (source(item), path.clone()));
        }
        Ok(_) => {}
    }
}

/// Only data that is on the drive already can lie where we put our own things.
fn is_ours(item: &Item<'_>, path: &str, parsed: &DrivePath) -> bool {
    let top = parsed.names().next().unwrap_or_default().to_ascii_uppercase();
    let dataset = item.dataset();
    let side_files = [dataset.metadata.as_ref(), dataset.properties.as_ref()];
    let is_side_file = side_files.iter().flatten().any(|file| file.drive_path.eq_ignore_ascii_case(path));
    SYSTEM_NAMES.contains(&top.as_str()) || is_side_file
}

/// Checks one name of a directory or file; `what` tells its path.
fn name(name: &str, what: impl Fn() -> String, findings: &mut Findings) {
    if name.contains('\\') {
        let code = Code::Blob(BlobStatus::FileNameInvalid);
        findings
            .add(DRIVE_NAME, code, || (what(), "a backslash separates directories on the drive".to_owned()));
    } else if let Some(found) = windows_fault(name) {
        findings.add(WINDOWS, Code::Own("WindowsName"), || (what(), found));
    }
}

fn windows_fault(name: &str) -> Option<String> {
    let stem = name.split('.').next().unwrap_or_default().trim_end();
    if let Some(found) = name.chars().find(|character| matches!(character, '<' | '>' | '"' | '|' | '?' | '*'))
    {
        Some(format!("the character {found:?}"))
    } else if name.ends_with([' ', '.']) {
        Some("a blank or dot at the end".to_owned())
    } else if is_device_name(stem) {
        Some(format!("{stem:?} is a device"))
    } else {
        None
    }
}

fn refused(error: &DrivePathError, what: impl Fn() -> String, findings: &mut Findings) {
    findings.add(DRIVE_NAME, Code::Blob(error.blob_status()), || (what(), error.to_string()));
}

fn directory_path(work: &Work, id: DirectoryId) -> String {
    work.directory_path(id).display().to_string()
}

fn source(item: &Item<'_>) -> String {
    item.source_path().display().to_string()
}
