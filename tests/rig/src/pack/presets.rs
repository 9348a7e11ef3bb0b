//! Plans for the demo, the benchmarks and a first look: everything follows from counts and sizes.

use std::ops::Range;

use clap::ValueEnum;
use model::ImportDisposition;

use super::content::Content;
use super::plan::{Fault, Layout, PackBlob, PackPlan, Properties};

/// What kind of files a drive holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Files {
    /// Many files of one small size
    Small,
    /// A bit of everything, and one of each fault
    Mixed,
    /// Few large files in 4 MiB blocks
    Large,
}

/// Files in one folder: as many as people put there, few enough for ntfs-3g.
const FOLDER_FILES: usize = 1_000;

/// `count` files of `bytes` together; for [`Files::Mixed`] the faults come on top.
pub fn plan(files: Files, bytes: u64, count: usize) -> PackPlan {
    let count = count.max(1);
    let each = bytes / count as u64;
    match files {
        Files::Small => PackPlan::new("RIG0000SMALL", small(count, each)),
        Files::Large => PackPlan::new("RIG0000LARGE", large(count, each)),
        Files::Mixed => PackPlan::new("RIG0000MIXED", [mixed(count, each), odd_ones(), faults()].concat()),
    }
}

/// The demo's drive: a photo archive with one of each fault.
pub fn demo() -> PackPlan {
    let mut plan = plan(Files::Mixed, 320 << 20, 240);
    plan.serial = "RIG0000DEMO".to_owned();
    plan
}

fn small(count: usize, each: u64) -> Vec<PackBlob> {
    let blob = |index: usize| {
        let name = format!("small/{:03}/{index:07}.dat", index / FOLDER_FILES);
        PackBlob::new(&name, Content::Random { seed: index as u64, length_bytes: each })
    };
    (0..count).map(blob).collect()
}

fn large(count: usize, each: u64) -> Vec<PackBlob> {
    let blob = |index: usize| {
        let content = Content::Random { seed: 0x1A46E + index as u64, length_bytes: each };
        PackBlob::new(&format!("large/reel-{index:03}.mxf"), content)
    };
    (0..count).map(blob).collect()
}

/// Sizes from nothing to many times the average, names in five scripts, several block sizes.
fn mixed(count: usize, each: u64) -> Vec<PackBlob> {
    const NAMES: [&str; 8] =
        ["plan", "Übersicht", "写真", "отчёт", "résumé", "semi;colon", "a b #1", "q+r%41"];
    /// Eighths of the average size; they sum up to 8 for each.
    const SHARES: [u64; 8] = [0, 1, 1, 2, 4, 8, 16, 32];
    const BLOCKS: [u64; 4] = [4 << 20, 1 << 20, 64 << 10, 3 << 19];
    let blob = |index: usize| {
        let length_bytes = SHARES[index % 8] * each / 8 + (index % 5) as u64;
        let name = format!("archive/{:02}/{}-{index}.bin", index / 32, NAMES[(index / 8) % 8]);
        let mut blob = PackBlob::new(&name, Content::Random { seed: 0x313D + index as u64, length_bytes });
        // Without ids a blob goes up in one request, which the format allows up to 64 MiB.
        let named = index % 7 != 3 || length_bytes > 1 << 20;
        blob.layout = Layout::Blocks { block_bytes: BLOCKS[(index / 3) % 4], named };
        blob
    };
    (0..count).map(blob).collect()
}

/// One of each thing that a manifest can say.
fn odd_ones() -> Vec<PackBlob> {
    let random = |seed, length_bytes| Content::Random { seed, length_bytes };
    let mut with_side_files = PackBlob::new("catalogue/with-side-files.bin", random(1, 100_000));
    with_side_files.metadata = metadata();
    with_side_files.properties = properties();
    let mut at_root =
        PackBlob::new("$root/welcome.txt", Content::Literal(b"Packed by cargo rig.\n".to_vec()));
    at_root.file = "\\session#1\\welcome.txt".to_owned();
    let mut overwrite =
        PackBlob::new("catalogue/index.json", Content::Literal(b"{\"reels\": []}\n".to_vec()));
    overwrite.disposition = Some(ImportDisposition::Overwrite);
    let page_data: Vec<Range<u64>> = vec![0..1 << 20, 3 << 20..(3 << 20) + 8_192, 15 << 20..16 << 20];
    let disk = Content::Sparse { seed: 2, length_bytes: 16 << 20, data: page_data };
    let holes =
        Content::Sparse { seed: 3, length_bytes: 6 << 20, data: vec![65_536..131_072, 4 << 20..5 << 20] };
    vec![
        with_side_files,
        at_root,
        overwrite,
        PackBlob::paged("machines/disk.vhd", disk),
        PackBlob::new("catalogue/sparse.bin", holes),
        // Equal blocks share their id: uploaded once, listed four times.
        PackBlob::new("catalogue/equal-blocks.bin", Content::Zeros { length_bytes: 16 << 20 }),
        PackBlob::new("catalogue/empty.bin", Content::Literal(Vec::new())),
    ]
}

/// One of each thing that can be wrong with a drive.
fn faults() -> Vec<PackBlob> {
    let blob = |name: &str, seed: u64, length_bytes: u64| {
        PackBlob::new(&format!("damaged/{name}"), Content::Random { seed: 0xBAD + seed, length_bytes })
    };
    let mut metadata_blob = blob("wrong-metadata.bin", 3, 3_000);
    metadata_blob.metadata = metadata();
    let mut properties_blob = blob("wrong-properties.bin", 4, 3_000);
    properties_blob.properties = properties();
    vec![
        blob("corrupt-block.bin", 0, 10 << 20).with_fault(Fault::CorruptPart { index: 1 }),
        blob("missing-file.bin", 1, 5_000).with_fault(Fault::MissingFile),
        blob("short-file.bin", 2, 70_000).with_fault(Fault::ShortFile { missing_bytes: 1 }),
        metadata_blob.with_fault(Fault::WrongMetadataHash),
        properties_blob.with_fault(Fault::WrongPropertiesHash),
    ]
}

fn metadata() -> Vec<(String, String)> {
    [("owner", "archive"), ("Shelf_7", "a & b <c>")].map(|(name, value)| (name.into(), value.into())).to_vec()
}

fn properties() -> Properties {
    Properties {
        content_type: Some("application/x-reel".to_owned()),
        content_language: Some("de".to_owned()),
        cache_control: Some("no-cache".to_owned()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_preset_can_be_packed_and_holds_what_was_asked() {
        for (files, bytes, count) in
            [(Files::Small, 1 << 20, 64), (Files::Large, 1 << 30, 2), (Files::Mixed, 64 << 20, 80)]
        {
            let plan = plan(files, bytes, count);
            plan.check().unwrap();
            assert!(plan.payload_bytes() >= bytes - count as u64, "{files:?}: {}", plan.payload_bytes());
            assert!(plan.file_system_bytes() > plan.payload_bytes());
        }
        demo().check().unwrap();
    }
}
