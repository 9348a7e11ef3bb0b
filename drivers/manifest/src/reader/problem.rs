//! Errors and problems of a manifest: what rule, and where.

use std::{fmt, io};

use model::Class;
use model::status::DriveStatus;

use super::ManifestReader;
use crate::drive_path::DrivePathError;
use crate::entry::BlobRefusal;
use crate::limits::REPORTS_MAX;
use crate::rule::Rule;
use crate::xml::{Place, XmlCause, XmlError};

/// Reading a manifest stopped.
#[derive(Debug)]
pub struct ManifestError {
    at: Box<At>,
    fault: ManifestFault,
}

/// Where in a manifest something was found.
#[derive(Debug, Clone, PartialEq, Eq)]
struct At {
    place: Place,
    blob: Option<(u64, Option<String>)>,
}

/// Why reading stopped.
#[derive(Debug)]
pub enum ManifestFault {
    /// The manifest breaks a rule of the format.
    Rule(Rule),
    /// The manifest's bytes could not be read.
    Read(io::Error),
}

impl ManifestError {
    /// Where in the document.
    pub fn place(&self) -> &Place {
        &self.at.place
    }

    /// Which entry, from 0, and its `BlobPath` if it was read already.
    pub fn blob(&self) -> Option<(u64, Option<&str>)> {
        self.at.blob.as_ref().map(|(index, path)| (*index, path.as_deref()))
    }

    /// The rule, or the failed read.
    pub fn fault(&self) -> &ManifestFault {
        &self.fault
    }

    /// What the drive's status becomes: azure-import-export.md §1.13.
    pub fn status(&self) -> DriveStatus {
        match &self.fault {
            ManifestFault::Rule(rule) => rule.status(),
            ManifestFault::Read(_) => DriveStatus::ReadManifestFailed,
        }
    }

    /// A manifest that cannot be used fails its drive.
    pub fn class(&self) -> Class {
        match &self.fault {
            ManifestFault::Rule(_) | ManifestFault::Read(_) => Class::FailDrive,
        }
    }
}

impl fmt::Display for ManifestError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.fault {
            ManifestFault::Rule(rule) => write!(f, "manifest, {}: {rule}", self.at),
            ManifestFault::Read(_) => write!(f, "manifest, {}: the next bytes cannot be read", self.at),
        }
    }
}

impl std::error::Error for ManifestError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match &self.fault {
            ManifestFault::Rule(_) => None,
            ManifestFault::Read(source) => Some(source),
        }
    }
}

impl fmt::Display for At {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.place.fmt(f)?;
        match &self.blob {
            Some((index, Some(path))) => write!(f, ", blob {index} {path:?}"),
            Some((index, None)) => write!(f, ", blob {index}"),
            None => Ok(()),
        }
    }
}

/// Something wrong with a manifest, found while checking it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Problem {
    at: At,
    /// What is wrong.
    pub kind: ProblemKind,
}

/// What is wrong, and whom it concerns: see [`crate::rule`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ProblemKind {
    /// The whole manifest is refused.
    Rule(Rule),
    /// This entry fails; the others can land.
    Blob(BlobRefusal),
    /// The entry lands without its metadata or properties.
    SideFile {
        /// `MetadataPath` or `PropertiesPath`.
        element: &'static str,
        /// The rule that the path breaks.
        source: DrivePathError,
    },
}

impl Problem {
    /// Where in the document.
    pub fn place(&self) -> &Place {
        &self.at.place
    }

    /// Which entry, from 0, and its `BlobPath` if it was read already.
    pub fn blob(&self) -> Option<(u64, Option<&str>)> {
        self.at.blob.as_ref().map(|(index, path)| (*index, path.as_deref()))
    }
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "manifest, {}: ", self.at)?;
        match &self.kind {
            ProblemKind::Rule(rule) => write!(f, "{rule}"),
            ProblemKind::Blob(refusal) => match std::error::Error::source(refusal) {
                Some(source) => write!(f, "{refusal}: {source}"),
                None => write!(f, "{refusal}"),
            },
            ProblemKind::SideFile { element, source } => write!(f, "{element}: {source}"),
        }
    }
}

/// What a reader has to say beside the entries; bounded, with the true counts.
#[derive(Debug, Default)]
pub struct Reports {
    collect: bool,
    problems: Vec<Problem>,
    problem_count: u64,
    /// Problems that make the whole manifest refused.
    rule_count: u64,
    warnings: Vec<Place>,
    warning_count: u64,
}

impl Reports {
    pub(super) fn strict() -> Reports {
        Reports::default()
    }

    pub(super) fn collecting() -> Reports {
        Reports { collect: true, ..Reports::default() }
    }

    /// The first problems, in the manifest's order; at most [`REPORTS_MAX`].
    pub fn problems(&self) -> &[Problem] {
        &self.problems
    }

    /// How many problems there are in all.
    pub fn problem_count(&self) -> u64 {
        self.problem_count
    }

    /// How many of them make the whole manifest be refused.
    pub fn broken_rule_count(&self) -> u64 {
        self.rule_count
    }

    /// Where elements or attributes stand that the format does not have; they were ignored. At
    /// most [`REPORTS_MAX`].
    pub fn ignored(&self) -> &[Place] {
        &self.warnings
    }

    /// How many there are in all.
    pub fn ignored_count(&self) -> u64 {
        self.warning_count
    }

    /// Whether problems are collected at all, so worth looking for.
    pub(super) fn collects(&self) -> bool {
        self.collect
    }

    pub(super) fn warn(&mut self, place: Place) {
        self.warning_count = self.warning_count.saturating_add(1);
        if self.warnings.len() < REPORTS_MAX {
            self.warnings.push(place);
        }
    }

    fn add(&mut self, problem: Problem) {
        self.problem_count = self.problem_count.saturating_add(1);
        if matches!(problem.kind, ProblemKind::Rule(_)) {
            self.rule_count = self.rule_count.saturating_add(1);
        }
        if self.problems.len() < REPORTS_MAX {
            self.problems.push(problem);
        }
    }
}

impl<R: io::BufRead> ManifestReader<R> {
    /// A rule is broken: strict stops, checking takes note and goes on.
    pub(super) fn broken(&mut self, rule: Rule) -> Result<(), ManifestError> {
        if self.reports.collect {
            self.note(ProblemKind::Rule(rule));
            Ok(())
        } else {
            Err(self.stopped(rule))
        }
    }

    /// Takes note of a problem, when checking.
    pub(super) fn note(&mut self, kind: ProblemKind) {
        if self.reports.collect {
            let at = self.at();
            self.reports.add(Problem { at, kind });
        }
    }

    /// A rule is broken in a way that nobody can go on after.
    pub(super) fn stopped(&self, rule: Rule) -> ManifestError {
        ManifestError { at: Box::new(self.at()), fault: ManifestFault::Rule(rule) }
    }

    /// The XML cannot be followed, or not be read.
    pub(super) fn failed(&self, error: XmlError) -> ManifestError {
        let at = Box::new(At { place: error.place, blob: self.current.clone() });
        let fault = match error.cause {
            XmlCause::Fault(fault) => ManifestFault::Rule(Rule::Xml(fault)),
            XmlCause::Read(source) => ManifestFault::Read(source),
        };
        ManifestError { at, fault }
    }

    fn at(&self) -> At {
        At { place: self.pull.place(), blob: self.current.clone() }
    }
}
