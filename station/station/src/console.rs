//! What a person or a program sees while an ingest runs.
//!
//! On a terminal: one progress line that is redrawn (bytes, blobs, speed, time left, limited by
//! what), and failures above it as they happen. Elsewhere: a plain line every few seconds. With
//! `--json`: one JSON object a line on standard output, `event` first.

use std::io::{IsTerminal, Write};
use std::sync::Arc;
use std::time::{Duration, Instant};

use indicatif::{BinaryBytes, DecimalBytes, HumanCount, HumanDuration, ProgressBar, ProgressStyle};
use model::drive::Action;
use serde_json::{Value, json};
use tokio::sync::mpsc;
use tokio::task::JoinHandle;
use transfer::progress::{Progress, Snapshot};
use transfer::run::Notice;

/// How things are shown.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Style {
    Terminal,
    Plain,
    Json,
}

/// Failures printed while running; the log has them all.
const FAILURES_SHOWN_MAX: u64 = 20;

/// Shows progress until it is told to end.
pub struct Console {
    task: JoinHandle<()>,
    end: tokio::sync::oneshot::Sender<()>,
}

impl Console {
    /// Starts showing.
    pub fn start(
        as_json: bool,
        progress: Arc<Progress>,
        notices: mpsc::UnboundedReceiver<Notice>,
    ) -> Console {
        let style = match (as_json, std::io::stderr().is_terminal()) {
            (true, _) => Style::Json,
            (false, true) => Style::Terminal,
            (false, false) => Style::Plain,
        };
        let (end, ended) = tokio::sync::oneshot::channel();
        let task = tokio::spawn(Show::new(style, progress).run(notices, ended));
        Console { task, end }
    }

    /// Ends the display; everything noticed so far is shown first.
    pub async fn end(self) {
        let _ = self.end.send(());
        if self.task.await.is_err() {
            eprintln!("station: the progress display failed; the ingest did not");
        }
    }
}

/// Prints one event.
pub fn print_json(event: &Value) {
    // A closed pipe must not stop an ingest.
    let _ = writeln!(std::io::stdout(), "{event}");
}

struct Show {
    style: Style,
    progress: Arc<Progress>,
    bar: ProgressBar,
    started: Instant,
    speed: Speed,
    failures_shown: u64,
}

impl Show {
    fn new(style: Style, progress: Arc<Progress>) -> Show {
        let bar = if style == Style::Terminal { ProgressBar::new(0) } else { ProgressBar::hidden() };
        bar.set_style(bar_style());
        Show { style, progress, bar, started: Instant::now(), speed: Speed::default(), failures_shown: 0 }
    }

    async fn run(
        mut self,
        mut notices: mpsc::UnboundedReceiver<Notice>,
        mut ended: tokio::sync::oneshot::Receiver<()>,
    ) {
        let every =
            if self.style == Style::Terminal { Duration::from_millis(250) } else { Duration::from_secs(5) };
        let mut tick = tokio::time::interval(every);
        tick.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Skip);
        loop {
            tokio::select! {
                _ = tick.tick() => self.show(),
                Some(notice) = notices.recv() => self.notice(notice),
                _ = &mut ended => break,
            }
        }
        while let Ok(notice) = notices.try_recv() {
            self.notice(notice);
        }
        self.show();
        self.bar.finish_and_clear();
    }

    fn show(&mut self) {
        let now = self.progress.snapshot();
        if now.bytes_total == 0 && now.blobs_total == 0 {
            return;
        }
        let bytes_per_second = self.speed.update(self.started.elapsed(), now.bytes_done);
        match self.style {
            Style::Terminal => {
                self.bar.set_length(now.bytes_total.max(1));
                self.bar.set_position(now.bytes_done.min(now.bytes_total));
                self.bar.set_message(line(&now, bytes_per_second));
            }
            Style::Plain => eprintln!(
                "{} of {}, {}",
                DecimalBytes(now.bytes_done),
                DecimalBytes(now.bytes_total),
                line(&now, bytes_per_second)
            ),
            Style::Json => print_json(&progress_event(&now, bytes_per_second)),
        }
    }

    fn notice(&mut self, notice: Notice) {
        match (&notice, self.style) {
            (Notice::BlobFailed { blob_path, status, message }, Style::Json) => print_json(
                &json!({"event": "blob", "blob_path": blob_path, "status": status.as_str(), "message": message}),
            ),
            (Notice::Warning(text), Style::Json) => print_json(&json!({"event": "warning", "message": text})),
            (Notice::ReaderMode(mode), Style::Json) => print_json(&json!({"event": "reader", "mode": mode})),
            (Notice::BlobFailed { blob_path, status, message }, _) => {
                self.talk(&format!("failed   {blob_path}: {status}: {message}"));
            }
            (Notice::Warning(text), _) => self.talk(&format!("warning  {text}")),
            (Notice::ReaderMode(mode), _) => tracing::info!(mode, "drive reads"),
            (Notice::Doing(action), Style::Json) => {
                print_json(&json!({"event": "phase", "doing": doing(*action)}))
            }
            (Notice::Doing(action), _) => self.bar.suspend(|| eprintln!("{}", doing(*action))),
        }
    }

    fn talk(&mut self, text: &str) {
        self.failures_shown += 1;
        let shown = match self.failures_shown.cmp(&FAILURES_SHOWN_MAX) {
            std::cmp::Ordering::Less => text,
            std::cmp::Ordering::Equal => "more of this kind: see the error log",
            std::cmp::Ordering::Greater => return,
        };
        self.bar.suspend(|| eprintln!("{shown}"));
    }
}

/// What a person is told while it is done; some of it takes seconds on a large drive.
fn doing(action: Action) -> &'static str {
    match action {
        Action::Recognise => "recognising the drive",
        Action::Unlock => "unlocking the volume and reading its file table",
        Action::ProveManifest => "proving the manifest",
        Action::ProbeDestination => "asking the destination",
        Action::Copy => "copying",
        Action::WriteLogs { .. } => "writing and uploading the logs",
        Action::Rest => "done",
    }
}

fn bar_style() -> ProgressStyle {
    ProgressStyle::with_template("{bar:24} {decimal_bytes}/{decimal_total_bytes}  {msg}")
        .unwrap_or_else(|_| ProgressStyle::default_bar())
}

fn line(now: &Snapshot, bytes_per_second: u64) -> String {
    let left = seconds_left(now, bytes_per_second).map_or_else(
        || "unknown".to_owned(),
        |seconds| HumanDuration(Duration::from_secs(seconds)).to_string(),
    );
    let failed = if now.blobs_failed == 0 {
        String::new()
    } else {
        format!(", {} failed", HumanCount(now.blobs_failed))
    };
    format!(
        "{}/{} blobs{failed}  {}/s  {left} left  limited by: {}",
        HumanCount(now.blobs_done),
        HumanCount(now.blobs_total),
        DecimalBytes(bytes_per_second),
        now.limited_by
    )
}

fn progress_event(now: &Snapshot, bytes_per_second: u64) -> Value {
    json!({
        "event": "progress",
        "bytes_done": now.bytes_done,
        "bytes_total": now.bytes_total,
        "blobs_done": now.blobs_done,
        "blobs_total": now.blobs_total,
        "blobs_failed": now.blobs_failed,
        "bytes_per_second": bytes_per_second,
        "seconds_left": seconds_left(now, bytes_per_second),
        "limited_by": now.limited_by.to_string(),
        "rereads": now.rereads,
    })
}

fn seconds_left(now: &Snapshot, bytes_per_second: u64) -> Option<u64> {
    now.bytes_total.saturating_sub(now.bytes_done).checked_div(bytes_per_second)
}

/// Speed over the last seconds.
#[derive(Default)]
struct Speed {
    samples: std::collections::VecDeque<(Duration, u64)>,
}

impl Speed {
    const OVER: Duration = Duration::from_secs(10);

    fn update(&mut self, at: Duration, bytes: u64) -> u64 {
        self.samples.push_back((at, bytes));
        while self.samples.len() > 2
            && self.samples.front().is_some_and(|(first, _)| *first + Speed::OVER < at)
        {
            self.samples.pop_front();
        }
        let Some((first_at, first_bytes)) = self.samples.front() else { return 0 };
        let millis = at.saturating_sub(*first_at).as_millis();
        let bytes = u128::from(bytes.saturating_sub(*first_bytes));
        (bytes * 1_000).checked_div(millis).and_then(|speed| u64::try_from(speed).ok()).unwrap_or(0)
    }
}

/// Memory sizes, for messages.
pub fn binary(bytes: u64) -> String {
    BinaryBytes(bytes).to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn speed_is_that_of_the_last_seconds() {
        let mut speed = Speed::default();
        speed.update(Duration::ZERO, 0);
        assert_eq!(speed.update(Duration::from_secs(2), 2_000), 1_000);
        for second in 3..=30 {
            speed.update(Duration::from_secs(second), 2_000);
        }
        assert_eq!(speed.update(Duration::from_secs(31), 2_000), 0);
    }
}
