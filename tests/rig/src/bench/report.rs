//! The table that a benchmark prints: what each process cost, per GB, and how many times ours.

use super::drives::{Drive, to_gigabytes};
use super::usage::Usage;

/// One way to do the job, or a part of it.
pub struct Row {
    /// What was done.
    pub name: String,
    /// From start to end.
    pub wall_seconds: f64,
    /// The processes that did it.
    pub parts: Vec<Part>,
    /// The process at the other end, which is not counted.
    pub endpoint: Option<Part>,
    /// Processor seconds by stage, where the program tells.
    pub stages: Vec<(String, f64)>,
}

/// One process.
pub struct Part {
    /// Its name.
    pub name: String,
    /// What it took.
    pub usage: Usage,
}

impl Part {
    /// A process and what it took.
    pub fn new(name: &str, usage: Usage) -> Part {
        Part { name: name.to_owned(), usage }
    }
}

impl Row {
    fn cpu_seconds(&self) -> f64 {
        self.parts.iter().map(|part| part.usage.cpu_seconds).sum()
    }
}

/// Prints the rows of one drive; the first is ours, and the others are compared with it.
pub fn print(drive: &Drive, rows: &[Row]) {
    let gigabytes = to_gigabytes(drive.payload_bytes);
    println!("\n{}, {}", drive.title, drive.json.method);
    println!("{:<44} {:>8} {:>8} {:>9} {:>8} {:>9}", "", "wall s", "MB/s", "files/s", "CPU-s/GB", "x ours");
    let ours = rows.first().map(Row::cpu_seconds).unwrap_or_default();
    for row in rows {
        println!(
            "{:<44} {:>8.2} {:>8.0} {:>9.0} {:>8.3} {:>9.1}",
            row.name,
            row.wall_seconds,
            gigabytes * 1000.0 / row.wall_seconds,
            files(drive) / row.wall_seconds,
            row.cpu_seconds() / gigabytes,
            row.cpu_seconds() / ours,
        );
        for Part { name, usage } in row.parts.iter().chain(&row.endpoint) {
            let peak_mebibytes = usage.peak_bytes >> 20;
            println!("  {name:<42} {:>36.3}   peak {peak_mebibytes} MiB", usage.cpu_seconds / gigabytes);
        }
        for (stage, cpu_seconds) in &row.stages {
            println!("    stage {stage:<34} {:>36.3}", cpu_seconds / gigabytes);
        }
    }
}

#[allow(clippy::cast_precision_loss, reason = "a figure for people")]
fn files(drive: &Drive) -> f64 {
    drive.file_count as f64
}
