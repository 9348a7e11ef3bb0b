//! The summary that logs of 2018 and later begin or end with: how often each error occurred.
//!
//! azure-import-export.md §3.5 and §3.7. Each child of `ValidationErrors` and `CopyErrors` is
//! named after an error code.

use std::io::BufRead;

use super::error::LogError;
use crate::limits::REPORTS_MAX;
use crate::xml::{Pull, Step, shortened};

/// How often each error occurred.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct LogSummary {
    /// Errors found before copying.
    pub validation_errors: Vec<ErrorCount>,
    /// Errors found while copying.
    pub copy_errors: Vec<ErrorCount>,
}

/// One error code.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ErrorCount {
    /// The code; `None` is one too, and counts what went well.
    pub code: String,
    /// How often, where the log says so.
    pub count: Option<u64>,
    /// What it means.
    pub description: Option<String>,
}

/// Reads the `Summary` whose tag was just opened.
pub(super) fn read<R: BufRead>(pull: &mut Pull<R>) -> Result<LogSummary, LogError> {
    let mut summary = LogSummary::default();
    while pull.step()? == Step::Open {
        match pull.tag().name {
            "ValidationErrors" => counts(pull, &mut summary.validation_errors)?,
            "CopyErrors" => counts(pull, &mut summary.copy_errors)?,
            _ => pull.skip()?,
        }
    }
    Ok(summary)
}

fn counts<R: BufRead>(pull: &mut Pull<R>, into: &mut Vec<ErrorCount>) -> Result<(), LogError> {
    while pull.step()? == Step::Open {
        let tag = pull.tag();
        let mut entry = ErrorCount { code: tag.name.to_owned(), count: None, description: None };
        tag.attributes(|name, value| match name {
            "Count" => entry.count = value.trim().parse().ok(),
            "Description" => entry.description = Some(value.into_owned()),
            _ => {}
        })
        .map_err(|fault| pull.fault(fault))?;
        entry.code = shortened(&entry.code).to_owned();
        // The vocabulary has some two dozen codes.
        if into.len() < REPORTS_MAX {
            into.push(entry);
        }
        pull.skip()?;
    }
    Ok(())
}
