//! Compressed contents: files of the Windows Overlay Filter, with what wimlib compressed, and LZNT1.
//!
//! A resource of a WIM archive is what WOF keeps in `WofCompressedData`: a chunk table and chunks. So
//! wimlib's compressors stand in for Windows'; without wimlib these tests say that they were skipped.

#![allow(clippy::cast_possible_truncation, reason = "test data is small")]

mod common;

use std::fs;
use std::process::Command;

use common::image::{DATA, Image, ROOT, Record, SHAPE, Shape, clusters, overlay, resident};
use common::{content, lznt1};
use ntfs::{ContentError, DecodeFault, FileId, StreamContent, Volume, WofAlgorithm};

fn file(record: u64) -> FileId {
    FileId { record, sequence: 1 }
}

/// Something of everything: text, noise that does not compress, zeros, and real machine code.
fn mixed(length: usize) -> Vec<u8> {
    let mut bytes = Vec::new();
    for n in 0..4_000_u32 {
        bytes.extend(format!("line {n} of {}\n", u64::from(n) * u64::from(n)).into_bytes());
    }
    let mut state = 0x9e37_79b9_u32;
    bytes.extend((0..70_000).map(|_| {
        state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        (state >> 24) as u8
    }));
    bytes.extend([0; 70_000]);
    let program = fs::read(std::env::current_exe().unwrap()).unwrap();
    bytes.extend(program.iter().skip(program.len() / 4).take(400_000));
    bytes.truncate(length);
    bytes
}

/// A file's resource in a fresh WIM archive; `None`, with a message, where wimlib is missing.
fn resource(test: &str, content: &[u8], compression: &str, chunk_bytes: u32) -> Option<Vec<u8>> {
    if Command::new("wimlib-imagex").arg("--version").output().is_err() {
        eprintln!("skipped: {test}: wimlib-imagex (Debian package wimtools) is missing");
        return None;
    }
    let scratch = tempfile::tempdir().unwrap();
    let folder = scratch.path().join("folder");
    fs::create_dir(&folder).unwrap();
    fs::write(folder.join("file"), content).unwrap();
    let archive = scratch.path().join("archive.wim");
    let made = Command::new("wimlib-imagex")
        .arg("capture")
        .args([&folder, &archive])
        .arg(format!("--compress={compression}"))
        .arg(format!("--chunk-size={chunk_bytes}"))
        .output()
        .unwrap();
    assert!(made.status.success(), "{}", String::from_utf8_lossy(&made.stderr));
    let wim = fs::read(archive).unwrap();
    let field = |at: usize| u64::from_le_bytes(wim[at..at + 8].try_into().unwrap());
    // Length and flags, offset, original length: first of the table of resources, then of each.
    let table = field(56) as usize..(field(56) + (field(48) & ((1 << 56) - 1))) as usize;
    let entry = table.step_by(50).find(|&at| wim[at + 7] & 2 == 0).unwrap();
    assert_eq!((wim[entry + 7], field(entry + 16)), (4, content.len() as u64));
    let start = field(entry + 8) as usize;
    Some(wim[start..start + (field(entry) & ((1 << 56) - 1)) as usize].to_vec())
}

const ALGORITHMS: [(u32, WofAlgorithm, &str, u32); 4] = [
    (0, WofAlgorithm::Xpress4K, "XPRESS", 4096),
    (1, WofAlgorithm::Lzx, "LZX", 32_768),
    (2, WofAlgorithm::Xpress8K, "XPRESS", 8192),
    (3, WofAlgorithm::Xpress16K, "XPRESS", 16_384),
];

/// A volume with one overlaid file, record 40.
fn overlaid(algorithm: u32, length: u64, data: &[u8]) -> Image {
    let mut image = Image::new(SHAPE);
    let sparse = clusters(length, &[(None, length.div_ceil(4096))]).data();
    let lcn = image.place(data);
    let runs = [(Some(lcn), image.clusters_for(data.len()))];
    let mut stream = clusters(data.len() as u64, &runs);
    stream.name = "WofCompressedData";
    let record = Record::file().named(ROOT, "file.exe").with(sparse).with(stream.data());
    image.put(40, record.with(overlay(2, algorithm)));
    image
}

#[test]
fn what_wimlib_compressed_reads_back_as_a_wof_file() {
    let test = "what_wimlib_compressed_reads_back_as_a_wof_file";
    for length in [540_000, 32_768, 1] {
        let expected = mixed(length);
        for (field, algorithm, compression, chunk_bytes) in ALGORITHMS {
            let Some(data) = resource_or_raw(test, &expected, compression, chunk_bytes) else { return };
            let volume = overlaid(field, length as u64, &data).open();
            let file = volume.resolve("FILE.EXE").unwrap();
            let stream = volume.stream(file, None).unwrap();
            let StreamContent::Wof(wof) = &stream.content else { panic!("{stream:?}") };
            assert_eq!((wof.algorithm(), stream.length_bytes), (algorithm, length as u64));
            assert!(content(&volume, file, None) == expected, "{algorithm:?} {length}");
            let mut part = [0; 1000];
            let at = length as u64 / 3;
            let count = volume.read_at(&stream, at, &mut part).unwrap();
            assert_eq!(part[..count], expected[at as usize..][..count]);
        }
    }
}

/// wimlib stores what does not shrink without a table, as WOF stores a single chunk.
fn resource_or_raw(test: &str, content: &[u8], compression: &str, chunk_bytes: u32) -> Option<Vec<u8>> {
    if content.len() < 100 {
        Some(content.to_vec())
    } else {
        resource(test, content, compression, chunk_bytes)
    }
}

#[test]
fn a_damaged_chunk_table_is_refused() {
    // Two chunks of 4 KiB, both stored as they are.
    let chunks = mixed(8192);
    let with_table = |entry: u32| [&entry.to_le_bytes()[..], &chunks].concat();
    let good = overlaid(0, 8192, &with_table(4096)).open();
    assert_eq!(content(&good, file(40), None), chunks);
    for entry in [0, 4097, 8193, u32::MAX] {
        let fault = first_fault(&overlaid(0, 8192, &with_table(entry)).open());
        assert!(fault == DecodeFault::ChunkTable || fault == DecodeFault::Truncated, "{entry}: {fault}");
    }
    assert_eq!(first_fault(&overlaid(0, 8192, &[1, 2]).open()), DecodeFault::ChunkTable);
}

fn first_fault(volume: &Volume) -> DecodeFault {
    let stream = volume.stream(file(40), None).unwrap();
    match volume.read_at(&stream, 0, &mut [0; 8192]) {
        Err(ContentError::Decode { fault, .. }) => fault,
        other => panic!("{other:?}"),
    }
}

/// A compressed file of four units: compressed, zeros, stored, compressed and short.
fn lznt1_image(shape: Shape) -> (Image, Vec<u8>) {
    let mut image = Image::new(shape);
    let unit = 16 * shape.cluster_bytes;
    let mut expected = mixed(4 * unit);
    expected[unit..2 * unit].fill(0);
    let mut runs = Vec::new();
    for (nth, part) in expected.chunks(unit).enumerate() {
        let stored = if nth == 2 { part.to_vec() } else { lznt1::compress(part) };
        let count = image.clusters_for(stored.len());
        if nth == 1 {
            runs.push((None, 16));
        } else {
            runs.push((Some(image.place(&stored)), count));
            runs.push((None, 16 - count));
        }
    }
    runs.retain(|run| run.1 > 0);
    let length = (4 * unit - 1234) as u64;
    expected.truncate(length as usize);
    let mut stream = clusters(length, &runs);
    (stream.flags, stream.unit_shift) = (1, 4);
    image.put(40, Record::file().named(ROOT, "packed").with(stream.data()));
    (image, expected)
}

#[test]
fn lznt1_units_read_back_at_any_position() {
    for cluster_bytes in [512, 4096] {
        let (image, expected) = lznt1_image(Shape { cluster_bytes, clusters: 2048, ..SHAPE });
        let volume = image.open();
        assert_eq!(content(&volume, file(40), None), expected);
        let stream = volume.stream(file(40), None).unwrap();
        assert!(matches!(stream.content, StreamContent::Compressed(_)));
        for at in (0..expected.len()).step_by(7_777) {
            let mut part = [0; 9_000];
            let count = volume.read_at(&stream, at as u64, &mut part).unwrap();
            assert_eq!(part[..count], expected[at..][..count]);
        }
    }
}

#[test]
fn a_compressed_file_past_its_initialised_size_reads_as_zeros() {
    let (mut image, expected) = lznt1_image(SHAPE);
    let attributes = &mut image.records.get_mut(&40).unwrap().attributes;
    attributes[1][56..64].copy_from_slice(&70_000_u64.to_le_bytes());
    let bytes = content(&image.open(), file(40), None);
    assert!(bytes[..70_000] == expected[..70_000] && bytes[70_000..].iter().all(|&byte| byte == 0));
}

#[test]
fn a_unit_whose_hole_comes_first_is_refused() {
    let mut image = Image::new(SHAPE);
    let lcn = image.place(&[1; 4096]);
    let runs = [(None, 15), (Some(lcn), 1)];
    let mut stream = clusters(65_536, &runs);
    (stream.flags, stream.unit_shift) = (1, 4);
    image.put(40, Record::file().named(ROOT, "odd").with(stream.data()));
    assert_eq!(first_fault(&image.open()), DecodeFault::Unit);
}

#[test]
fn a_small_overlaid_file_may_live_in_its_record() {
    let mut image = Image::new(SHAPE);
    let record = Record::file().named(ROOT, "small").with(clusters(100, &[(None, 1)]).data());
    let data = resident(DATA, "WofCompressedData", 0, &[7; 100]);
    image.put(40, record.with(data).with(overlay(2, 1)));
    assert_eq!(content(&image.open(), file(40), None), [7; 100]);
}
