//! How fast manifests are parsed: MB (10^6 bytes) a second of CPU time, for long block lists and
//! for small files.
//!
//! `cargo run --release -p manifest --example parse_speed`

use std::time::Instant;

use manifest::{
    BlobEntry, BlobKind, BlockEntry, DriveHeader, ListHeader, ListKind, ManifestReader, ManifestWriter,
};
use model::{DriveId, Md5Digest};

fn main() {
    for (name, blobs, blocks) in [("1,000 blocks a blob", 500, 1_000), ("1 block a blob", 200_000, 1)] {
        let manifest = manifest(blobs, blocks);
        let (wall, cpu) = (Instant::now(), cpu_seconds());
        let mut read_bytes = 0;
        while wall.elapsed().as_secs_f64() < 3.0 {
            let mut reader = ManifestReader::new(&manifest[..]);
            while reader.next().expect("the writer keeps the rules").is_some() {}
            read_bytes += manifest.len();
        }
        let rate = |seconds: f64| read_bytes as f64 / 1e6 / seconds;
        println!(
            "{name}: {:.0} MB/s of CPU time, {:.0} MB/s of wall time",
            rate(cpu_seconds() - cpu),
            rate(wall.elapsed().as_secs_f64())
        );
    }
}

fn manifest(blobs: u64, blocks: u64) -> Vec<u8> {
    let drive_id = DriveId::new("S1").expect("not empty");
    let drive = DriveHeader {
        version: String::new(),
        drive_id,
        credential: manifest::Credential::Absent,
        client_creator: None,
    };
    let list = ListHeader { index: 0, kind: ListKind::Blobs, id: None, metadata: None, properties: None };
    let mut writer = ManifestWriter::new(Vec::new(), &drive).expect("memory");
    writer.list(&list).expect("memory");
    for index in 0..blobs {
        writer.blob(&entry(index, blocks)).expect("memory");
    }
    writer.finish().expect("memory")
}

fn entry(index: u64, blocks: u64) -> BlobEntry {
    const LENGTH: u64 = 4 << 20;
    let block = |block: u64| {
        // Any bytes will do, but not the same ones for every block.
        let hash =
            u128::from(index * blocks + block + 1).wrapping_mul(0x9E37_79B9_7F4A_7C15_F39C_C060_5CED_C835);
        BlockEntry::tool(block * LENGTH, LENGTH, Md5Digest(hash.to_le_bytes()))
    };
    BlobEntry {
        index,
        list: 0,
        blob_path: format!("files/directory{}/name {index}.bin", index % 100),
        file_path: format!("\\directory{}\\name {index}.bin", index % 100),
        length_bytes: blocks * LENGTH,
        stated_disposition: Some(model::ImportDisposition::Overwrite),
        kind: BlobKind::Block((0..blocks).map(block).collect()),
        metadata: None,
        properties: None,
        client_data: None,
        snapshot: None,
    }
}

/// CPU time of this process, from the kernel's count of hundredths of a second.
fn cpu_seconds() -> f64 {
    let stat = std::fs::read_to_string("/proc/self/stat").expect("Linux");
    let (_, fields) = stat.rsplit_once(')').expect("the kernel's format");
    let ticks: f64 =
        fields.split_whitespace().skip(11).take(2).filter_map(|field| field.parse::<f64>().ok()).sum();
    ticks / 100.0
}
