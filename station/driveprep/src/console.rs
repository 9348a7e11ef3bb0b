//! What a person or a program sees while a command runs.
//!
//! On a terminal: a progress line that is redrawn, notes above it. Elsewhere: a plain line every few
//! seconds. With `--json`: one JSON object a line on standard output, `event` first.
//! Workers only add to a [`Meter`]'s counters; a thread of its own draws them.

use std::io::{IsTerminal, Write};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::{RecvTimeoutError, Sender, channel};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use indicatif::{DecimalBytes, HumanCount, HumanDuration, ProgressBar, ProgressStyle};
use serde_json::{Value, json};

use crate::failure::Failure;

/// How things are shown.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Style {
    Terminal,
    Plain,
    Json,
}

/// Where a command says things.
#[derive(Debug, Clone)]
pub struct Console {
    style: Style,
    bar: ProgressBar,
}

impl Console {
    /// For a person, or for a program that reads JSON lines.
    pub fn new(as_json: bool) -> Console {
        let style = match (as_json, std::io::stderr().is_terminal()) {
            (true, _) => Style::Json,
            (false, true) => Style::Terminal,
            (false, false) => Style::Plain,
        };
        let bar = if style == Style::Terminal { ProgressBar::new(0) } else { ProgressBar::hidden() };
        bar.set_style(bar_style());
        Console { style, bar }
    }

    /// Whether a program listens, so that text for people would only disturb.
    pub fn is_json(&self) -> bool {
        self.style == Style::Json
    }

    /// A result: the line `text` on standard output, or the event with these fields.
    pub fn result(&self, event: &str, text: &str, fields: Value) {
        if self.is_json() {
            self.event(event, fields);
        } else {
            // A closed pipe must not stop the work.
            self.bar.suspend(|| drop(writeln!(std::io::stdout(), "{text}")));
        }
    }

    /// What is being done, for a person on standard error.
    pub fn note(&self, text: &str) {
        if self.is_json() {
            self.event("note", json!({ "message": text }));
        } else {
            self.bar.suspend(|| eprintln!("{text}"));
        }
    }

    /// Something that does not stop the work but must be seen.
    pub fn warn(&self, text: &str) {
        if self.is_json() {
            self.event("warning", json!({ "message": text }));
        } else {
            self.bar.suspend(|| eprintln!("warning  {text}"));
        }
    }

    /// The end of a command that failed.
    pub fn failed(&self, failure: &Failure) {
        if self.is_json() {
            let code = failure.exit.code();
            self.event("failed", json!({ "exit": code, "message": format!("{:#}", failure.cause) }));
        }
        eprintln!("driveprep: {:#}", failure.cause);
    }

    /// Counts work of so many bytes and items (`noun` names them: "files"), shown until the meter is
    /// dropped.
    pub fn meter(&self, noun: &'static str, bytes_total: u64, items_total: u64) -> Meter {
        let counts = Arc::new(Counts {
            noun,
            bytes_total: AtomicU64::new(bytes_total),
            items_total: AtomicU64::new(items_total),
            ..Counts::default()
        });
        let (end, ended) = channel::<()>();
        let (console, shared) = (self.clone(), Arc::clone(&counts));
        let every =
            if self.style == Style::Terminal { Duration::from_millis(250) } else { Duration::from_secs(5) };
        let drawing = std::thread::spawn(move || {
            let started = Instant::now();
            while let Err(RecvTimeoutError::Timeout) = ended.recv_timeout(every) {
                console.show(&shared, started.elapsed());
            }
            console.bar.set_length(0);
            console.bar.finish_and_clear();
        });
        Meter { counts, end: Some(end), drawing: Some(drawing) }
    }

    fn event(&self, event: &str, fields: Value) {
        let mut object = serde_json::Map::from_iter([("event".to_owned(), Value::from(event))]);
        if let Value::Object(fields) = fields {
            object.extend(fields);
        }
        // A closed pipe must not stop the work.
        let _ = writeln!(std::io::stdout(), "{}", Value::Object(object));
    }

    fn show(&self, counts: &Counts, elapsed: Duration) {
        let read = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
        let (bytes, bytes_total) = (read(&counts.bytes), read(&counts.bytes_total));
        let (items, items_total) = (read(&counts.items), read(&counts.items_total));
        let millis = u64::try_from(elapsed.as_millis()).unwrap_or(u64::MAX).max(1);
        let bytes_per_second = bytes.saturating_mul(1_000) / millis;
        let seconds_left = bytes_total.saturating_sub(bytes).checked_div(bytes_per_second);
        let left = seconds_left.map_or_else(
            || "unknown".to_owned(),
            |seconds| HumanDuration(Duration::from_secs(seconds)).to_string(),
        );
        let line = format!(
            "{}/{} {}  {}/s  {left} left",
            HumanCount(items),
            HumanCount(items_total),
            counts.noun,
            DecimalBytes(bytes_per_second)
        );
        match self.style {
            Style::Terminal => {
                self.bar.set_length(bytes_total.max(1));
                self.bar.set_position(bytes.min(bytes_total));
                self.bar.set_message(line);
            }
            Style::Plain => {
                eprintln!("{} of {}, {line}", DecimalBytes(bytes), DecimalBytes(bytes_total));
            }
            Style::Json => self.event(
                "progress",
                json!({
                    "bytes_done": bytes,
                    "bytes_total": bytes_total,
                    "items": counts.noun,
                    "items_done": items,
                    "items_total": items_total,
                    "bytes_per_second": bytes_per_second,
                    "seconds_left": seconds_left,
                }),
            ),
        }
    }
}

/// Counters of work under way; cheap to add to from any thread.
pub struct Meter {
    counts: Arc<Counts>,
    end: Option<Sender<()>>,
    drawing: Option<JoinHandle<()>>,
}

#[derive(Default)]
struct Counts {
    noun: &'static str,
    bytes: AtomicU64,
    bytes_total: AtomicU64,
    items: AtomicU64,
    items_total: AtomicU64,
}

impl Meter {
    /// More work was done.
    pub fn add(&self, bytes: u64, items: u64) {
        self.counts.bytes.fetch_add(bytes, Ordering::Relaxed);
        self.counts.items.fetch_add(items, Ordering::Relaxed);
    }

    /// More work was found.
    pub fn expect(&self, bytes: u64, items: u64) {
        self.counts.bytes_total.fetch_add(bytes, Ordering::Relaxed);
        self.counts.items_total.fetch_add(items, Ordering::Relaxed);
    }
}

impl Drop for Meter {
    fn drop(&mut self) {
        drop(self.end.take());
        if let Some(drawing) = self.drawing.take() {
            // A display that failed has nothing more to say.
            let _ = drawing.join();
        }
    }
}

/// A text on one line, without what would move a terminal's cursor: names may come from a drive.
pub fn printable(text: &str) -> String {
    text.chars().map(|c| if c.is_control() { '\u{fffd}' } else { c }).collect()
}

fn bar_style() -> ProgressStyle {
    ProgressStyle::with_template("{bar:24} {decimal_bytes}/{decimal_total_bytes}  {msg}")
        .unwrap_or_else(|_| ProgressStyle::default_bar())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_that_is_shown_moves_no_cursor() {
        assert_eq!(
            printable("a\u{1b}[2J\r\nb \u{e4}\u{9b}1m"),
            "a\u{fffd}[2J\u{fffd}\u{fffd}b \u{e4}\u{fffd}1m"
        );
    }
}
