//! What a person needs to know when a session is over: what is on the drives, what is missing, where the
//! keys are, and what to do next.

use std::path::Path;

use indicatif::{DecimalBytes, HumanCount};
use serde_json::json;

use super::drive::Packed;
use super::session::Session;
use crate::console::Console;

/// Items that are named one by one.
const NAMED_MAX: usize = 100;

/// Tells how a session ended; how many of the files that were asked for are not on the drives.
pub fn tell(session: &Session, drives: &[Packed], journal: &Path, console: &Console) -> u64 {
    let mut missing = session.frozen.unreadable;
    for (packed, frozen) in drives.iter().zip(&session.frozen.drives) {
        missing += packed.left_out.len() as u64;
        for (item, why) in packed.left_out.iter().take(NAMED_MAX) {
            let path = session.work.item(*item).source_path();
            console.warn(&format!("left out: {}: {why}", path.display()));
        }
        drive(packed, &frozen.path, console);
    }
    for item in session.nowhere().take(NAMED_MAX) {
        console.warn(&format!(
            "left out: {}: it fits on no drive",
            session.work.item(item).source_path().display()
        ));
    }
    missing += session.nowhere().len() as u64;
    let (items, bytes) = drives
        .iter()
        .fold((0, 0), |(items, bytes), drive| (items + drive.item_count, bytes + drive.length_bytes));
    let job = &session.frozen.job_out;
    let mut text = format!(
        "Packed {} files, {}, onto {} drive(s). Every file's blocks were hashed while they were copied, and each \
         drive opens and has its manifest. Its data is read back only by --verify or `driveprep verify`.\n\
         job entry  {}  holds the drives' keys: keep it safe, and never ship it with the drives\n\
         journal    {}  holds them too\n\
         Next: label each drive with its serial number (`driveprep report` prints one), create the import job \
         with the job entry, and ship the drives.",
        HumanCount(items),
        DecimalBytes(bytes),
        drives.len(),
        job.display(),
        journal.display(),
    );
    if missing > 0 {
        text = format!("{text}\n{} files are MISSING; they are named above.", HumanCount(missing));
    }
    let fields = json!({
        "files": items,
        "bytes": bytes,
        "drives": drives.len(),
        "missing": missing,
        "job": job,
        "journal": journal,
    });
    console.result("packed", &text, fields);
    missing
}

fn drive(packed: &Packed, path: &Path, console: &Console) {
    let serial = packed.entry.drive_id.as_str();
    let text = format!(
        "{serial}  {}: {} files, {}; manifest {} with the hash {}",
        path.display(),
        HumanCount(packed.item_count),
        DecimalBytes(packed.length_bytes),
        packed.entry.manifest_file,
        packed.entry.manifest_hash,
    );
    let fields = json!({
        "drive": serial,
        "path": path,
        "files": packed.item_count,
        "bytes": packed.length_bytes,
        "manifest_file": packed.entry.manifest_file,
        "manifest_hash": packed.entry.manifest_hash.to_string(),
        "left_out": packed.left_out.len(),
    });
    console.result("drive", &text, fields);
}
