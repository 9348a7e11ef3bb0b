//! Journals: append-only logs of update records. azure-import-export.md §2.11.
//!
//! Of each drive the last complete record wins. A record without its end is a torn write: it is
//! dropped, also when the tool wrote on behind it. Lines outside records are stepped over.

use super::{Draft, JobEntryError, xml};

const RECORD_BEGIN: &str = "[BeginUpdateRecord]";
const RECORD_END: &str = "[EndUpdateRecord]";
const VALUE_BEGIN: &str = "[BeginValue]";
const VALUE_END: &str = "[EndValue]";

/// Whether the text is a journal, whatever its file is called.
pub(super) fn is_journal(text: &str) -> bool {
    text.trim_start().starts_with(RECORD_BEGIN)
}

/// The drives of all complete records, in the journal's order.
pub(super) fn drafts(text: &str) -> Result<Vec<Draft>, JobEntryError> {
    let mut drafts = Vec::new();
    let mut record: Option<Record<'_>> = None;
    for line in lines(text) {
        let trimmed = line.text.trim();
        if trimmed.starts_with(RECORD_BEGIN) {
            record = Some(Record::default());
        } else if trimmed == RECORD_END && record.as_ref().is_some_and(|record| record.value.is_none()) {
            for value in record.take().into_iter().flat_map(|record| record.drives) {
                drafts.push(xml::draft(value.text, value.number)?);
            }
        } else if let Some(record) = &mut record {
            record.line(text, line);
        }
    }
    Ok(drafts)
}

/// A line, or a value that began on it.
#[derive(Clone, Copy)]
struct Line<'a> {
    text: &'a str,
    /// Counted from 1.
    number: u64,
    start: usize,
}

/// A record that is not at its end yet.
#[derive(Default)]
struct Record<'a> {
    /// A value of several lines that is not at its end yet.
    value: Option<Value>,
    /// Values of `DriveState`.
    drives: Vec<Line<'a>>,
}

struct Value {
    is_drive: bool,
    number: u64,
    start: usize,
}

impl<'a> Record<'a> {
    fn line(&mut self, journal: &'a str, line: Line<'a>) {
        match self.value.take() {
            Some(value) => self.value_line(journal, line, value),
            None => self.field(line),
        }
    }

    fn field(&mut self, line: Line<'a>) {
        let Some((name, rest)) = line.text.split_once(':') else { return };
        let is_drive = name.trim() == "DriveState";
        let rest_at = |part: &str| line.start.saturating_add(line.text.len()).saturating_sub(part.len());
        if let Some(begun) = rest.trim_start().strip_prefix(VALUE_BEGIN) {
            let value = Value { is_drive, number: line.number, start: rest_at(begun) };
            if let Some((one_line, _)) = begun.split_once(VALUE_END) {
                self.keep(is_drive, Line { text: one_line, ..line });
            } else {
                self.value = Some(value);
            }
        } else {
            self.keep(is_drive && !rest.trim().is_empty(), Line { text: rest, ..line });
        }
    }

    fn value_line(&mut self, journal: &'a str, line: Line<'a>, value: Value) {
        match line.text.find(VALUE_END) {
            Some(end) => {
                let end = line.start.saturating_add(end);
                let text = journal.get(value.start..end).unwrap_or_default();
                self.keep(value.is_drive, Line { text, number: value.number, start: value.start });
            }
            None => self.value = Some(value),
        }
    }

    fn keep(&mut self, is_drive: bool, value: Line<'a>) {
        if is_drive {
            // XML wants its prolog at the very start.
            let text = value.text.trim_start();
            let skipped = value.text.get(..value.text.len().saturating_sub(text.len())).unwrap_or_default();
            let newlines = skipped.bytes().filter(|&byte| byte == b'\n').count();
            let number = value.number.saturating_add(u64::try_from(newlines).unwrap_or(u64::MAX));
            self.drives.push(Line { text, number, ..value });
        }
    }
}

fn lines(text: &str) -> impl Iterator<Item = Line<'_>> {
    let mut start: usize = 0;
    (1..).zip(text.split_inclusive('\n')).map(move |(number, line)| {
        let found = Line { text: line, number, start };
        start = start.saturating_add(line.len());
        found
    })
}
