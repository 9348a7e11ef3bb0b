//! What is wrong with a work, in words for a person and codes for a program.
//!
//! A finding's code is the station's where the station has one, because it is what the copy log will
//! say if the drive is sent anyway. Memory is bounded: of each rule the first findings are kept, all are
//! counted; a share with a million bad names gives a thousand of them and the number.

use std::collections::BTreeMap;
use std::fmt;

use model::status::{BlobStatus, DriveStatus, SideFileStatus};

/// Findings of one rule that are kept; the rest is only counted.
pub const KEPT_A_RULE: usize = 1_000;

/// How bad it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Severity {
    /// It cannot be packed, or would not be imported.
    Error,
    /// It can be packed, but may not be what the customer means.
    Warning,
    /// Worth knowing.
    Note,
}

impl Severity {
    /// The word for people and programs.
    pub fn as_str(self) -> &'static str {
        match self {
            Severity::Error => "error",
            Severity::Warning => "warning",
            Severity::Note => "note",
        }
    }
}

/// A rule, and what to do about what breaks it.
///
/// Rules are constants, each beside the check that applies it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct LintRule {
    /// How bad it is.
    pub severity: Severity,
    /// The rule as a short sentence.
    pub rule: &'static str,
    /// What to do.
    pub advice: &'static str,
}

/// What a finding is called in the station's logs, or here where the station cannot see it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Code {
    /// The blob's status in the copy log.
    Blob(BlobStatus),
    /// The drive's.
    Drive(DriveStatus),
    /// The metadata or properties file's.
    SideFile(SideFileStatus),
    /// Only this program sees it.
    Own(&'static str),
}

impl Code {
    /// The code's word.
    pub fn as_str(self) -> &'static str {
        match self {
            Code::Blob(status) => status.as_str(),
            Code::Drive(status) => status.as_str(),
            Code::SideFile(status) => status.as_str(),
            Code::Own(word) => word,
        }
    }
}

impl fmt::Display for Code {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// One thing that breaks a rule.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Finding {
    /// The rule.
    pub rule: LintRule,
    /// The code.
    pub code: &'static str,
    /// What breaks it: a path, a row, a drive.
    pub item: String,
    /// What was found there.
    pub found: String,
}

/// All findings of a run, by rule.
#[derive(Debug, Default)]
pub struct Findings {
    groups: BTreeMap<(LintRule, &'static str), Group>,
}

/// The findings of one rule and code.
#[derive(Debug, Default)]
pub struct Group {
    /// The first of them.
    pub kept: Vec<Finding>,
    /// How many there are.
    pub count: u64,
}

impl Findings {
    /// Adds one. The texts are made only if they are kept.
    pub fn add(&mut self, rule: LintRule, code: Code, texts: impl FnOnce() -> (String, String)) {
        let code = code.as_str();
        let group = self.groups.entry((rule, code)).or_default();
        group.count = group.count.saturating_add(1);
        if group.kept.len() < KEPT_A_RULE {
            let (item, found) = texts();
            group.kept.push(Finding { rule, code, item, found });
        }
    }

    /// The groups, errors first.
    pub fn groups(&self) -> impl Iterator<Item = &Group> {
        self.groups.values()
    }

    /// How many there are of that severity.
    pub fn count(&self, severity: Severity) -> u64 {
        let groups = self.groups.iter().filter(|((rule, _), _)| rule.severity == severity);
        groups.fold(0, |total, (_, group)| total.saturating_add(group.count))
    }

    /// Whether something cannot be packed, or would not be imported.
    pub fn has_errors(&self) -> bool {
        self.count(Severity::Error) > 0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const BAD: LintRule = LintRule { severity: Severity::Error, rule: "it is bad", advice: "mend it" };
    const ODD: LintRule = LintRule { severity: Severity::Warning, rule: "it is odd", advice: "look" };

    #[test]
    fn a_rule_keeps_its_first_findings_and_counts_all() {
        let mut findings = Findings::default();
        for number in 0..2_500 {
            findings.add(ODD, Code::Own("Odd"), || (format!("item {number}"), String::new()));
        }
        assert!(!findings.has_errors());
        findings.add(BAD, Code::Blob(BlobStatus::FileNameInvalid), || ("x".into(), "y".into()));
        assert!(findings.has_errors());
        assert_eq!((findings.count(Severity::Error), findings.count(Severity::Warning)), (1, 2_500));
        let groups: Vec<&Group> = findings.groups().collect();
        assert_eq!(groups[0].kept[0].code, "FileNameInvalid");
        assert_eq!((groups[1].kept.len(), groups[1].count), (KEPT_A_RULE, 2_500));
    }
}
