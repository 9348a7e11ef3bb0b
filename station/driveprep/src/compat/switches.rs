//! From arguments to options with values, each known and at most once.

use std::collections::BTreeMap;
use std::ffi::OsString;

use zeroize::Zeroizing;

use super::CompatError;
use super::options::{OptionRow, Tool, known, option};

/// The options of one command.
pub(super) struct Switches {
    /// By the name that the tool writes. Values are zeroed: some are secrets.
    given: BTreeMap<&'static str, (&'static OptionRow, Zeroizing<String>)>,
}

impl Switches {
    /// Reads the options behind the command.
    pub(super) fn parse(tool: Tool, arguments: &[OsString]) -> Result<Switches, CompatError> {
        let mut given = BTreeMap::new();
        for argument in arguments {
            let text = argument
                .to_str()
                .ok_or_else(|| CompatError::NotAnOption { found: argument.to_string_lossy().into_owned() })?;
            let (row, value) = switch(tool, text)?;
            if given.insert(row.name, (row, value)).is_some() {
                return Err(CompatError::Twice { name: row.name });
            }
        }
        Ok(Switches { given })
    }

    /// Whether it is given.
    pub(super) fn has(&self, name: &'static str) -> bool {
        self.given.contains_key(name)
    }

    /// Its value, if it is given.
    pub(super) fn value(&self, name: &'static str) -> Option<&str> {
        self.given.get(name).map(|(_, value)| value.as_str())
    }

    /// Its value, which must be given.
    pub(super) fn needed(&self, name: &'static str, when: &'static str) -> Result<&str, CompatError> {
        self.value(name).ok_or(CompatError::Missing { name, when })
    }

    /// All that are given.
    pub(super) fn rows(&self) -> impl Iterator<Item = &'static OptionRow> {
        self.given.values().map(|(row, _)| *row)
    }
}

fn switch(tool: Tool, text: &str) -> Result<(&'static OptionRow, Zeroizing<String>), CompatError> {
    // The tool's own help prints `DataSet:` without its slash.
    let is_dataset = text.get(..8).is_some_and(|start| start.eq_ignore_ascii_case("DataSet:"));
    let body = if is_dataset { Some(text) } else { text.strip_prefix('/') };
    let not_an_option = || {
        // A secret may stand behind a mistyped name, so only the name is shown.
        let shown = text.split(':').next().unwrap_or_default();
        CompatError::NotAnOption { found: shown.to_owned() }
    };
    let body = body.ok_or_else(not_an_option)?;
    let (name, value) = match body.split_once(':') {
        Some((name, value)) => (name, Some(value)),
        None => (body, None),
    };
    let unknown =
        || CompatError::Unknown { command: tool.as_str(), name: name.to_owned(), known: known(tool) };
    let row = option(tool, name).ok_or_else(unknown)?;
    match (row.value, value.map(unquoted)) {
        ("", None) => Ok((row, Zeroizing::default())),
        ("", Some(_)) => Err(CompatError::NoValue { name: row.name }),
        (_, Some(value)) if !value.is_empty() => Ok((row, Zeroizing::new(value.to_owned()))),
        (value, _) => Err(CompatError::NeedsValue { name: row.name, value }),
    }
}

/// Quotes that a script wrote for cmd.exe and a shell here kept.
fn unquoted(value: &str) -> &str {
    value.strip_prefix('"').and_then(|value| value.strip_suffix('"')).unwrap_or(value)
}
