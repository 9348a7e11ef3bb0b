//! Journals: append-only logs of update records. azure-import-export.md §2.11.
//!
//! Owns the record grammar, read and written:
//!
//! ```text
//! [BeginUpdateRecord][yyyy/MM/dd HH:mm:ss.fff][Type:ActivityRecord]
//! ActivityId: DriveInfo
//! DriveState: [BeginValue]
//! any lines
//! [EndValue]
//! [EndUpdateRecord]
//! ```
//!
//! Invariant: a record without its end is a torn write and is dropped, also when the program wrote
//! on behind it; lines outside records are stepped over; what is written reads back exactly, or is
//! refused. Times are UTC. What the records mean is the reader's: [`crate::job_entry`] takes the
//! drives, `driveprep` its own states.

use zeroize::Zeroizing;

use crate::log::names::civil_date;

const RECORD_BEGIN: &str = "[BeginUpdateRecord]";
const RECORD_END: &str = "[EndUpdateRecord]";
const VALUE_BEGIN: &str = "[BeginValue]";
const VALUE_END: &str = "[EndValue]";

/// Room made for a record before it is written, so that growing leaves no copy of a key behind.
const RECORD_BYTES: usize = 64 << 10;

/// The first record's type, and the only one that is no activity.
pub const NEW_JOURNAL_FILE: &str = "NewJournalFile";
/// The type of all later records.
pub const ACTIVITY_RECORD: &str = "ActivityRecord";
/// The vocabulary that [`NEW_JOURNAL_FILE`] names.
pub const VOCABULARY_VERSION: &str = "2013-02-01";

/// A complete record.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Record<'a> {
    /// The text behind `Type:`.
    pub kind: &'a str,
    /// The fields in their order.
    pub fields: Vec<Field<'a>>,
}

/// One field of a record.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct Field<'a> {
    /// Its name.
    pub name: &'a str,
    /// Its value; that of several lines without the marks around it, otherwise as it stands.
    pub value: &'a str,
    /// The line of the journal on which the value begins, from 1.
    pub line: u64,
}

/// A value may be a key.
impl std::fmt::Debug for Field<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{} (line {})", self.name, self.line)
    }
}

impl<'a> Record<'a> {
    /// The first value of that name, without blanks around it.
    pub fn value(&self, name: &str) -> Option<&'a str> {
        self.fields.iter().find(|field| field.name == name).map(|field| field.value.trim())
    }
}

/// Whether the text is a journal, whatever its file is called.
pub fn is_journal(text: &str) -> bool {
    text.trim_start().starts_with(RECORD_BEGIN)
}

/// The complete records, in the journal's order.
pub fn records(text: &str) -> impl Iterator<Item = Record<'_>> {
    let mut open: Option<Open<'_>> = None;
    lines(text).filter_map(move |line| {
        let trimmed = line.text.trim();
        if let Some(head) = trimmed.strip_prefix(RECORD_BEGIN) {
            open = Some(Open { kind: kind(head), value: None, fields: Vec::new() });
            None
        } else if trimmed == RECORD_END && open.as_ref().is_some_and(|open| open.value.is_none()) {
            open.take().map(|open| Record { kind: open.kind, fields: open.fields })
        } else {
            if let Some(open) = &mut open {
                open.line(text, line);
            }
            None
        }
    })
}

/// A line of the journal.
#[derive(Clone, Copy)]
struct Line<'a> {
    text: &'a str,
    /// Counted from 1.
    number: u64,
    start: usize,
}

/// A record that is not at its end yet.
struct Open<'a> {
    kind: &'a str,
    /// A value of several lines that is not at its end yet.
    value: Option<OpenValue<'a>>,
    fields: Vec<Field<'a>>,
}

struct OpenValue<'a> {
    name: &'a str,
    line: u64,
    start: usize,
}

impl<'a> Open<'a> {
    fn line(&mut self, journal: &'a str, line: Line<'a>) {
        match self.value.take() {
            Some(value) => self.value_line(journal, line, value),
            None => self.field(line),
        }
    }

    fn field(&mut self, line: Line<'a>) {
        let Some((name, rest)) = line.text.split_once(':') else { return };
        let name = name.trim();
        match rest.trim_start().strip_prefix(VALUE_BEGIN) {
            None => self.fields.push(Field { name, value: rest, line: line.number }),
            Some(begun) => match begun.split_once(VALUE_END) {
                Some((value, _)) => self.fields.push(Field { name, value, line: line.number }),
                None => {
                    let end = line.start.saturating_add(line.text.len());
                    let start = end.saturating_sub(begun.len());
                    self.value = Some(OpenValue { name, line: line.number, start });
                }
            },
        }
    }

    fn value_line(&mut self, journal: &'a str, line: Line<'a>, value: OpenValue<'a>) {
        let Some(end) = line.text.find(VALUE_END) else {
            self.value = Some(value);
            return;
        };
        let text = journal.get(value.start..line.start.saturating_add(end)).unwrap_or_default();
        self.fields.push(Field { name: value.name, value: text, line: value.line });
    }
}

fn kind(head: &str) -> &str {
    head.rsplit_once("[Type:").and_then(|(_, kind)| kind.strip_suffix(']')).unwrap_or_default()
}

fn lines(text: &str) -> impl Iterator<Item = Line<'_>> {
    let mut start: usize = 0;
    (1..).zip(text.split_inclusive('\n')).map(move |(number, line)| {
        let found = Line { text: line, number, start };
        start = start.saturating_add(line.len());
        found
    })
}

/// A text that a record cannot hold, because it would read back as something else.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the value of {field} holds one of the journal's own marks")]
pub struct RecordTextError {
    /// The field.
    pub field: &'static str,
}

/// A record being written: all of its text, so that one append makes it or none.
///
/// Zeroed on drop, because a drive's state holds its key.
pub struct RecordText(Zeroizing<String>);

impl RecordText {
    /// Begins a record of that type and time.
    pub fn new(kind: &'static str, unix_milliseconds: u64) -> RecordText {
        let mut text = Zeroizing::new(String::with_capacity(RECORD_BYTES));
        text.push_str(RECORD_BEGIN);
        text.push_str(&format!("[{}][Type:{kind}]\n", timestamp(unix_milliseconds)));
        RecordText(text)
    }

    /// Begins an activity.
    pub fn activity(id: &str, unix_milliseconds: u64) -> Result<RecordText, RecordTextError> {
        RecordText::new(ACTIVITY_RECORD, unix_milliseconds).field("ActivityId", id)
    }

    /// Adds a field; a value of several lines goes between marks.
    ///
    /// # Errors
    /// When the value holds such a mark.
    pub fn field(mut self, name: &'static str, value: &str) -> Result<RecordText, RecordTextError> {
        if [RECORD_BEGIN, RECORD_END, VALUE_BEGIN, VALUE_END].iter().any(|mark| value.contains(mark)) {
            return Err(RecordTextError { field: name });
        }
        let (before, after) =
            if value.contains(['\n', '\r']) { (": [BeginValue]\n", "\n[EndValue]\n") } else { (": ", "\n") };
        for part in [name, before, value, after] {
            self.0.push_str(part);
        }
        Ok(self)
    }

    /// Ends the record.
    pub fn finish(mut self) -> Zeroizing<String> {
        self.0.push_str(RECORD_END);
        self.0.push('\n');
        self.0
    }
}

/// `yyyy/MM/dd HH:mm:ss.fff`, UTC.
fn timestamp(unix_milliseconds: u64) -> String {
    let (seconds, milliseconds) = (unix_milliseconds / 1_000, unix_milliseconds % 1_000);
    let (year, month, day) = civil_date(seconds / 86_400);
    let (hour, minute, second) = (seconds / 3_600 % 24, seconds / 60 % 60, seconds % 60);
    format!("{year:04}/{month:02}/{day:02} {hour:02}:{minute:02}:{second:02}.{milliseconds:03}")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn state(value: &str) -> Zeroizing<String> {
        let record = RecordText::activity("DriveInfo", 1_423_166_966_325).unwrap();
        record.field("DriveState", value).unwrap().field("SaveCommandOutput", "Completed").unwrap().finish()
    }

    #[test]
    fn a_record_is_written_as_published() {
        let expected = "[BeginUpdateRecord][2015/02/05 20:09:26.325][Type:ActivityRecord]\n\
                        ActivityId: DriveInfo\nDriveState: [BeginValue]\n<Drive>\n</Drive>\n[EndValue]\n\
                        SaveCommandOutput: Completed\n[EndUpdateRecord]\n";
        assert_eq!(*state("<Drive>\n</Drive>"), expected);
        let head = RecordText::new(NEW_JOURNAL_FILE, 0).field("VocabularyVersion", VOCABULARY_VERSION);
        assert_eq!(
            *head.unwrap().finish(),
            "[BeginUpdateRecord][1970/01/01 00:00:00.000][Type:NewJournalFile]\n\
             VocabularyVersion: 2013-02-01\n[EndUpdateRecord]\n"
        );
    }

    #[test]
    fn what_is_written_reads_back_and_a_torn_record_is_dropped() {
        let journal = format!("{}{}", *state("one"), *state("two\nlines: of [text]"));
        let read: Vec<Record<'_>> = records(&journal).collect();
        assert_eq!(read.len(), 2);
        assert_eq!(read[0].kind, ACTIVITY_RECORD);
        assert_eq!(read[0].value("ActivityId"), Some("DriveInfo"));
        assert_eq!(read[0].value("DriveState"), Some("one"));
        assert_eq!(read[1].value("DriveState"), Some("two\nlines: of [text]"));
        assert_eq!(read[1].value("SaveCommandOutput"), Some("Completed"));
        let first = state("one").len();
        for end in first..journal.len() - 1 {
            assert_eq!(records(&journal[..end]).count(), 1, "{end}");
        }
        let mended = format!("{}\n{}", &journal[..journal.len() - 9], *state("three"));
        let read: Vec<Option<&str>> = records(&mended).map(|record| record.value("DriveState")).collect();
        assert_eq!(read, [Some("one"), Some("three")]);
    }

    #[test]
    fn a_value_with_the_journals_own_marks_is_refused() {
        for value in ["[EndValue]", "x\n[EndUpdateRecord]\n", "[BeginUpdateRecord]", "[BeginValue]"] {
            let record = RecordText::new(ACTIVITY_RECORD, 0).field("Source", value);
            assert_eq!(record.err(), Some(RecordTextError { field: "Source" }));
        }
    }

    #[test]
    fn a_record_prints_no_value() {
        let journal = state("secret");
        assert!(!format!("{:?}", records(&journal).collect::<Vec<_>>()).contains("secret"));
    }
}
