//! How many drives: fills those that were named, or as many of a size as are needed.

use std::fs::File;
use std::io::{Seek, SeekFrom};
use std::path::Path;

use indicatif::{DecimalBytes, HumanCount};
use serde_json::json;

use crate::console::Console;
use crate::inputs::Inputs;
use crate::lint::{Code, Findings, LintRule, Severity};
use crate::pack::source::Source;
use crate::work::fill::{Fill, Load, fill, fill_equal};
use crate::work::{DriveTarget, Item, Work, cost};

/// Far more than a job can have (10) and anyone would send.
const DRIVES_MAX: u16 = 1_000;

const TOO_LARGE: LintRule = LintRule {
    severity: Severity::Error,
    rule: "a blob is never split over drives, so it must fit onto one",
    advice: "use larger drives for it, or split the file",
};
const NO_ROOM: LintRule = LintRule {
    severity: Severity::Error,
    rule: "the drives must have room for everything",
    advice: "add a drive, or pack less",
};
const UNKNOWN_SIZE: LintRule = LintRule {
    severity: Severity::Warning,
    rule: "a drive's size must be known to say whether everything fits",
    advice: "attach the drive, or give --size for an image file that is still to be made",
};
const INSIDE: LintRule = LintRule {
    severity: Severity::Error,
    rule: "a drive's image file cannot lie inside a source",
    advice: "put the image elsewhere; it would be packed into itself",
};

/// Finds image files that would be packed into themselves.
pub(super) fn inside_sources(inputs: &Inputs, findings: &mut Findings) {
    for drive in &inputs.drives {
        let Some(image) = resolved(&drive.path) else { continue };
        let is_inside = |from: &Path| std::fs::canonicalize(from).is_ok_and(|from| image.starts_with(from));
        for source in inputs.sources.iter().filter(|source| is_inside(&source.from)) {
            let texts = || (drive.path.display().to_string(), source.from.display().to_string());
            findings.add(INSIDE, Code::Own("DriveInSource"), texts);
        }
    }
}

/// The path with its links resolved, also of a file that is still to be made.
fn resolved(path: &Path) -> Option<std::path::PathBuf> {
    let parent = match path.parent() {
        Some(parent) if parent.as_os_str().is_empty() => Path::new("."),
        Some(parent) => parent,
        None => return None,
    };
    std::fs::canonicalize(path)
        .or_else(|_| {
            Ok::<_, std::io::Error>(std::fs::canonicalize(parent)?.join(path.file_name().unwrap_or_default()))
        })
        .ok()
}

/// Fills as many drives of that size as are needed.
pub(super) fn equal(work: &Work, drive_bytes: u64, findings: &mut Findings) -> Fill {
    let fill = fill_equal(work, &costs(work), drive_bytes, DRIVES_MAX);
    let usable_bytes = cost::usable_bytes(drive_bytes);
    left_over(work, &fill, usable_bytes, findings);
    fill
}

/// Fills the named drives; `None` when there are none, or a size is not known.
pub(super) fn named(work: &Work, drives: &[DriveTarget], findings: &mut Findings) -> Option<Fill> {
    let mut loads = Vec::new();
    for drive in drives {
        match size_bytes(drive) {
            Some(bytes) => loads.push(Load::of_drive(bytes)),
            None => findings.add(UNKNOWN_SIZE, Code::Own("SizeUnknown"), || {
                (drive.path.display().to_string(), "neither there nor with a --size".to_owned())
            }),
        }
    }
    if loads.is_empty() || loads.len() < drives.len() {
        return None;
    }
    let fill = fill(work, &costs(work), &loads);
    let largest = loads.iter().map(|load| load.usable_bytes).max().unwrap_or(0);
    left_over(work, &fill, largest, findings);
    Some(fill)
}

/// What each item costs; holes are not stored.
fn costs(work: &Work) -> Vec<u64> {
    work.items().map(|item| cost::item_bytes(&item, stored_bytes(&item))).collect()
}

/// What is stored of an item: asked of the file system for files with holes, because allocation alone
/// says less where it compresses.
fn stored_bytes(item: &Item<'_>) -> u64 {
    let stored = || Source::open(item).ok()?.stored().ok();
    let ranges = if item.is_sparse() { stored() } else { None };
    ranges.map_or(item.length_bytes(), |ranges| ranges.iter().map(|range| range.end - range.start).sum())
}

fn left_over(work: &Work, fill: &Fill, largest_usable_bytes: u64, findings: &mut Findings) {
    for item in fill.left_over() {
        let item = work.item(item);
        let is_too_large =
            cost::item_bytes(&item, 0).saturating_add(item.length_bytes()) > largest_usable_bytes;
        let (rule, code) = if is_too_large { (TOO_LARGE, "TooLargeForDrive") } else { (NO_ROOM, "NoRoom") };
        findings.add(rule, Code::Own(code), || {
            (item.source_path().display().to_string(), DecimalBytes(item.length_bytes()).to_string())
        });
    }
}

/// The size that was given, or the device's or file's own.
fn size_bytes(drive: &DriveTarget) -> Option<u64> {
    drive
        .size_bytes
        .or_else(|| File::open(&drive.path).ok()?.seek(SeekFrom::End(0)).ok().filter(|size| *size > 0))
}

/// Says what each drive takes.
pub(super) fn print(fill: &Fill, drives: &[DriveTarget], console: &Console) {
    let used = fill.loads.iter().filter(|load| load.items > 0).count();
    let text = format!("drives needed: {used}, by size and a safe estimate of what file systems need");
    console.result("drives", &text, json!({ "needed": used, "given": drives.len() }));
    for (index, load) in fill.loads.iter().enumerate() {
        let path = drives.get(index).map(|drive| drive.path.display().to_string());
        let name = path.clone().unwrap_or_else(|| format!("drive {}", index + 1));
        let text = format!(
            "  {name}: {} files, {} of {}",
            HumanCount(load.items),
            DecimalBytes(load.cost_bytes),
            DecimalBytes(load.usable_bytes)
        );
        let fields = json!({
            "number": index + 1,
            "path": path,
            "files": load.items,
            "bytes": load.length_bytes,
            "cost_bytes": load.cost_bytes,
            "usable_bytes": load.usable_bytes,
        });
        console.result("drive", &text, fields);
    }
}
