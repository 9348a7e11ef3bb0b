//! The table that a benchmark prints: what each process cost, per GB, and how many times ours.

use super::drives::to_gigabytes;
use super::usage::Usage;

/// What was worked on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Load {
    /// Bytes of all files.
    pub payload_bytes: u64,
    /// How many files.
    pub file_count: u64,
}

/// One way to do the job, or a part of it.
pub struct Row {
    /// What was done.
    pub name: String,
    /// How much of it: a slow peer may get less, and is compared by what a gigabyte cost it.
    pub load: Load,
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
    /// Processor seconds for 10^9 bytes.
    fn cpu_seconds_per_gigabyte(&self) -> f64 {
        let cpu_seconds: f64 = self.parts.iter().map(|part| part.usage.cpu_seconds).sum();
        cpu_seconds / to_gigabytes(self.load.payload_bytes)
    }
}

/// Prints the rows of one load; the first is ours, and the others are compared with it.
pub fn print(title: &str, rows: &[Row]) {
    println!("\n{title}");
    println!("{:<44} {:>8} {:>8} {:>9} {:>8} {:>9}", "", "wall s", "MB/s", "files/s", "CPU-s/GB", "x ours");
    let ours = rows.first().map(Row::cpu_seconds_per_gigabyte).unwrap_or_default();
    for row in rows {
        let gigabytes = to_gigabytes(row.load.payload_bytes);
        println!(
            "{:<44} {:>8.2} {:>8.0} {:>9.0} {:>8.3} {:>9.1}",
            row.name,
            row.wall_seconds,
            gigabytes * 1000.0 / row.wall_seconds,
            files(row.load) / row.wall_seconds,
            row.cpu_seconds_per_gigabyte(),
            row.cpu_seconds_per_gigabyte() / ours,
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
fn files(load: Load) -> f64 {
    load.file_count as f64
}
