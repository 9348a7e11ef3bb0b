//! `driveprep preview-export`: what a blob list selects, and how many drives that needs.
//!
//! azure-import-export.md §2.9, §6.1, §6.2, §6.4. The output is the tool's own block, byte for
//! byte; what cannot be exported, and why, is told beside it, and in full with `--json`. Names that
//! NTFS cannot hold are no obstacle: an export writes them under another name. Memory: the blob
//! list, one page of a listing, and eight bytes a blob.

mod cost;
mod fit;
mod look;
mod selection;
mod size;

use std::fmt::Write;
use std::fs::File;
use std::io::BufReader;
use std::path::PathBuf;

use anyhow::Context;
use clap::Args;
use model::Exit;
use serde_json::json;

use crate::account::{self, AccountArguments};
use crate::console::Console;
use crate::failure::Failure;
use crate::work::cost::usable_bytes;
use fit::{Load, first_fit_decreasing};
use look::{Look, Refused};
use selection::Selection;
pub use size::DecimalSize;

/// More names than anybody reads; `--json` tells them all.
const NAMES_SHOWN_MAX: u64 = 50;

/// `driveprep preview-export`.
#[derive(Debug, Args)]
pub struct PreviewArguments {
    /// The account that is to be exported from.
    #[command(flatten)]
    pub account: AccountArguments,
    /// The blob list: an XML file of BlobPath and BlobPathPrefix elements.
    #[arg(long, value_name = "FILE")]
    pub blob_list: PathBuf,
    /// Size of the drives in decimal units, for example 500GB or 1.5TB.
    #[arg(long, value_name = "SIZE")]
    pub drive_size: DecimalSize,
}

/// Runs the command.
///
/// # Errors
/// When the list cannot be read, or the account cannot be listed.
pub fn run(arguments: &PreviewArguments, console: &Console) -> Result<Exit, Failure> {
    let mut selection = read_list(&arguments.blob_list).map_err(Failure::usage)?;
    if selection.file_selectors > 0 {
        let count = selection.file_selectors;
        console.warn(&format!("{count} selectors are for Azure Files, which cannot be exported; left out"));
    }
    let account = arguments.account.open()?;
    let usable_bytes = usable_bytes(arguments.drive_size.0);
    let mut teller = Teller { console, told: 0 };
    let meter = console.meter("blobs", 0, 0);
    let found = account::run(async {
        let on_refused = &mut |refused| teller.tell(&refused);
        let mut look = Look { account: &account, usable_bytes, meter: &meter, on_refused };
        look.at(&mut selection).await.map_err(account::refused)
    })?;
    drop(meter);
    teller.end();
    let unmet = selection.unmet();
    for selector in &unmet {
        console.note(&format!("nothing matches {selector}"));
    }
    let preview = Preview {
        unique_count: selection.unique_count(),
        duplicate_count: selection.duplicates,
        unmet,
        drive_size: arguments.drive_size,
        exportable_count: found.costs.len() as u64,
        refused_count: found.refused_count,
        drives: first_fit_decreasing(found.costs, usable_bytes),
    };
    console.result("preview", preview.text().trim_end_matches('\n'), preview.fields());
    Ok(Exit::Success)
}

fn read_list(path: &PathBuf) -> anyhow::Result<Selection> {
    let file = File::open(path).with_context(|| format!("opening the blob list {}", path.display()))?;
    Selection::read(BufReader::new(file))
        .map_err(|error| anyhow::anyhow!("{error}: {}", error.fault))
        .with_context(|| format!("the blob list {}", path.display()))
}

/// Tells of blobs that stay behind, to a person not of all of them.
struct Teller<'a> {
    console: &'a Console,
    told: u64,
}

impl Teller<'_> {
    fn tell(&mut self, refused: &Refused) {
        self.told += 1;
        let Refused { blob_path, snapshot, reason } = refused;
        if self.console.is_json() {
            let fields = json!({ "blob_path": blob_path, "snapshot": snapshot, "reason": reason });
            self.console.result("cannot_export", "", fields);
        } else if self.told <= NAMES_SHOWN_MAX {
            let of = snapshot.as_ref().map(|time| format!("?snapshot={time}")).unwrap_or_default();
            self.console.warn(&format!("{blob_path}{of} cannot be exported: {reason}"));
        }
    }

    fn end(&self) {
        if self.told > NAMES_SHOWN_MAX && !self.console.is_json() {
            let more = self.told - NAMES_SHOWN_MAX;
            self.console.warn(&format!("{more} more cannot be exported; --json names them all"));
        }
    }
}

struct Preview {
    unique_count: u64,
    duplicate_count: u64,
    unmet: Vec<String>,
    drive_size: DecimalSize,
    exportable_count: u64,
    refused_count: u64,
    drives: Vec<Load>,
}

impl Preview {
    /// The tool's output block.
    fn text(&self) -> String {
        let mut text = String::new();
        let mut line = |label: &str, value: &dyn std::fmt::Display| {
            writeln!(text, "{label}:\t{value}").expect("a String takes everything");
        };
        line("Number of unique blob paths/prefixes", &self.unique_count);
        line("Number of duplicate blob paths/prefixes", &self.duplicate_count);
        line("Number of nonexistent blob paths/prefixes", &self.unmet.len());
        line("\nDrive size", &self.drive_size);
        line("Number of blobs that can be exported", &self.exportable_count);
        line("Number of blobs that cannot be exported", &self.refused_count);
        line("Number of drives needed", &self.drives.len());
        for (number, Load { blob_count, occupied_bytes }) in (1..).zip(&self.drives) {
            let occupied = DecimalSize(*occupied_bytes);
            let value = format!("blobs = {blob_count}, occupied space = {occupied}");
            line(&format!("\tDrive #{number}"), &value);
        }
        text
    }

    fn fields(&self) -> serde_json::Value {
        let drive = |load: &Load| json!({ "blobs": load.blob_count, "occupied_bytes": load.occupied_bytes });
        json!({
            "unique_selectors": self.unique_count,
            "duplicate_selectors": self.duplicate_count,
            "nonexistent_selectors": self.unmet,
            "drive_size_bytes": self.drive_size.0,
            "blobs_exportable": self.exportable_count,
            "blobs_not_exportable": self.refused_count,
            "drives": self.drives.iter().map(drive).collect::<Vec<_>>(),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_block_is_the_tools_byte_for_byte() {
        let load = |blob_count, occupied_bytes| Load { blob_count, occupied_bytes };
        let preview = Preview {
            unique_count: 3,
            duplicate_count: 0,
            unmet: vec!["pictures/nothing.jpg".to_owned()],
            drive_size: DecimalSize(500_000_000_000),
            exportable_count: 6,
            refused_count: 2,
            drives: vec![load(1, 454_740_000_000), load(3, 441_370_000_000), load(2, 131_280_000_000)],
        };
        assert_eq!(
            preview.text(),
            "Number of unique blob paths/prefixes:\t3\n\
             Number of duplicate blob paths/prefixes:\t0\n\
             Number of nonexistent blob paths/prefixes:\t1\n\
             \n\
             Drive size:\t500.00 GB\n\
             Number of blobs that can be exported:\t6\n\
             Number of blobs that cannot be exported:\t2\n\
             Number of drives needed:\t3\n\
             \tDrive #1:\tblobs = 1, occupied space = 454.74 GB\n\
             \tDrive #2:\tblobs = 3, occupied space = 441.37 GB\n\
             \tDrive #3:\tblobs = 2, occupied space = 131.28 GB\n"
        );
    }
}
