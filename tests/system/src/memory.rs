//! Another process's memory, searched for what should not be in it any more.
//!
//! Through `/proc/PID/mem`, which is what a core dump would hold. A station forbids that to everybody but root.

use std::fs::{self, File};
use std::os::unix::fs::FileExt;

use anyhow::{Context, Result};
use keys::planted::Planted;

/// Read at a time; no form of a secret is longer than a page, by which the pieces overlap.
const PIECE_BYTES: usize = 1 << 20;
const PAGE_BYTES: usize = 4 << 10;

/// Whether this process may look into others.
pub fn can_be_read() -> bool {
    fs::metadata("/proc/self").is_ok_and(|process| std::os::unix::fs::MetadataExt::uid(&process) == 0)
}

/// Which of these are in the writable memory of that process: name, form and mapping, each once.
///
/// # Errors
/// When the memory cannot be read.
pub fn search(process: u32, secrets: &[(String, Planted)]) -> Result<Vec<String>> {
    let maps = fs::read_to_string(format!("/proc/{process}/maps")).context("listing a process's memory")?;
    let memory = File::open(format!("/proc/{process}/mem")).context("opening a process's memory")?;
    let (mut found, mut buffer) = (Vec::new(), vec![0; PIECE_BYTES]);
    for line in maps.lines() {
        let fields: Vec<&str> = line.split_ascii_whitespace().collect();
        let [range, rights, ..] = fields[..] else { continue };
        if !rights.starts_with("rw") {
            continue;
        }
        let (start, end) = range.split_once('-').context("a mapping has two ends")?;
        let (mut at, end) = (u64::from_str_radix(start, 16)?, u64::from_str_radix(end, 16)?);
        while at < end {
            let length = buffer.len().min(usize::try_from(end - at)?);
            // Mappings of devices cannot be read, and hold nothing of ours.
            if memory.read_exact_at(&mut buffer[..length], at).is_err() {
                break;
            }
            let place = fields.get(5).unwrap_or(&"anonymous memory");
            found.extend(in_piece(&buffer[..length], secrets).map(|what| format!("{what} in {place}")));
            at += (if length < PIECE_BYTES { length } else { length - PAGE_BYTES }) as u64;
        }
    }
    found.sort();
    found.dedup();
    Ok(found)
}

fn in_piece<'a>(piece: &'a [u8], secrets: &'a [(String, Planted)]) -> impl Iterator<Item = String> + 'a {
    // Most of a process's memory was never written to.
    let is_blank = piece.iter().all(|byte| *byte == 0);
    secrets
        .iter()
        .filter(move |_| !is_blank)
        .filter_map(|(name, secret)| secret.find(piece).map(|found| format!("{name}, {},", found.form)))
}
