//! What a scan left out, and what of a CSV file meant nothing.

use std::io;
use std::path::Path;

use model::status::BlobStatus;

use super::{Code, Findings, LintRule, Severity};
use crate::work::scan::{LeftOut, WhyLeftOut};

const NO_FILE: LintRule = LintRule {
    severity: Severity::Warning,
    rule: "only regular files are packed; links are never followed",
    advice: "put the data itself there, or name the link's target as a source of its own",
};
const OTHER_FILE_SYSTEM: LintRule = LintRule {
    severity: Severity::Note,
    rule: "--one-file-system leaves out what is mounted below a source",
    advice: "name it as a source of its own if it is to be packed",
};
const NOT_UTF8: LintRule = LintRule {
    severity: Severity::Error,
    rule: "a name must be UTF-8: neither the manifest nor the storage service can hold another",
    advice: "rename it (convmv does whole trees)",
};
const UNREADABLE: LintRule = LintRule {
    severity: Severity::Error,
    rule: "what is packed must be readable",
    advice: "give yourself the right to read it, or run as a user who has it",
};
const COLUMN: LintRule = LintRule {
    severity: Severity::Note,
    rule: "unknown columns of a CSV file are ignored",
    advice: "check the column's spelling if it was to mean something",
};

/// Something that a scan left out.
pub fn left_out(findings: &mut Findings, found: &LeftOut) {
    let (rule, code) = match &found.why {
        WhyLeftOut::SymbolicLink | WhyLeftOut::Special { .. } => (NO_FILE, Code::Own("LeftOut")),
        WhyLeftOut::OtherFileSystem => (OTHER_FILE_SYSTEM, Code::Own("LeftOut")),
        WhyLeftOut::NotUtf8 { .. } => (NOT_UTF8, Code::Blob(BlobStatus::FileNameInvalid)),
        WhyLeftOut::Unreadable { source } => (UNREADABLE, Code::Blob(read_status(source))),
    };
    findings.add(rule, code, || {
        let cause = std::error::Error::source(&found.why).map(|source| format!(": {source}"));
        (found.path.display().to_string(), format!("{}{}", found.why, cause.unwrap_or_default()))
    });
}

/// Columns that mean nothing to us.
pub fn ignored_columns(findings: &mut Findings, path: &Path, columns: &[String]) {
    for column in columns {
        findings.add(COLUMN, Code::Own("ColumnIgnored"), || {
            (path.display().to_string(), format!("column {column:?}"))
        });
    }
}

/// What the station says of a file that cannot be read for this reason.
fn read_status(error: &io::Error) -> BlobStatus {
    match error.kind() {
        io::ErrorKind::PermissionDenied => BlobStatus::FileAccessDenied,
        io::ErrorKind::NotFound => BlobStatus::FileNotFound,
        io::ErrorKind::InvalidFilename => BlobStatus::FileNameTooLong,
        _ => BlobStatus::IOFailed,
    }
}
