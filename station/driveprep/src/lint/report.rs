//! Findings for people, grouped by rule and cut short, and for programs, all that were kept.

use indicatif::HumanCount;
use serde_json::json;

use super::finding::Group;
use super::{Findings, Severity};
use crate::console::Console;

/// Findings of one rule that a person is shown.
const SHOWN_A_RULE: usize = 10;

/// Prints all findings, errors first.
pub fn print(findings: &Findings, console: &Console) {
    for group in findings.groups() {
        if console.is_json() {
            events(group, console);
        } else {
            console.result("findings", &table(group), json!({}));
        }
    }
}

/// `3 errors, 1 warning`.
pub fn summary(findings: &Findings) -> String {
    let count = |severity| match findings.count(severity) {
        1 => format!("1 {}", severity.as_str()),
        count => format!("{} {}s", HumanCount(count), severity.as_str()),
    };
    format!("{}, {}", count(Severity::Error), count(Severity::Warning))
}

fn events(group: &Group, console: &Console) {
    for finding in &group.kept {
        let fields = json!({
            "severity": finding.rule.severity.as_str(),
            "code": finding.code,
            "item": finding.item,
            "found": finding.found,
            "rule": finding.rule.rule,
            "advice": finding.rule.advice,
        });
        console.result("finding", "", fields);
    }
    if let Some(first) = group.kept.first() {
        let fields = json!({ "code": first.code, "rule": first.rule.rule, "count": group.count });
        console.result("findings", "", fields);
    }
}

fn table(group: &Group) -> String {
    let Some(first) = group.kept.first() else { return String::new() };
    let rule = first.rule;
    let head = format!("{:7}  {}  {}", rule.severity.as_str(), first.code, rule.rule);
    let rows = group.kept.iter().take(SHOWN_A_RULE);
    let rows: String =
        rows.map(|finding| format!("\n           {}: {}", finding.item, finding.found)).collect();
    let shown = group.kept.len().min(SHOWN_A_RULE) as u64;
    let more = match group.count.saturating_sub(shown) {
        0 => String::new(),
        more => format!("\n           and {} more", HumanCount(more)),
    };
    format!("{head}{rows}{more}\n         → {}", rule.advice)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::lint::{Code, LintRule};

    #[test]
    fn a_group_is_cut_short_and_says_so() {
        let rule = LintRule { severity: Severity::Warning, rule: "it is odd", advice: "look" };
        let mut findings = Findings::default();
        for number in 0..1_234 {
            findings.add(rule, Code::Own("Odd"), || (format!("item {number}"), "x".to_owned()));
        }
        let text = table(findings.groups().next().unwrap());
        assert!(text.starts_with("warning  Odd  it is odd\n           item 0: x\n"), "{text}");
        assert!(text.ends_with("item 9: x\n           and 1,224 more\n         → look"), "{text}");
        assert_eq!(summary(&findings), "0 errors, 1,234 warnings");
    }
}
