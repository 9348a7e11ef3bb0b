//! Every device of this crate against the shared suite, and the suite against broken devices.

#![allow(clippy::cast_possible_truncation, reason = "a test's numbers are its own")]

use std::io::Write;
use std::sync::Arc;
use std::time::Duration;

use block::conformance::{Breach, check};
use block::{
    FaultyDevice, FileDevice, MemoryDevice, Pace, ReadAt, ReadError, SharedDevice, SlowDevice, Target,
    Window, WriteAt, Wrongness,
};

/// No two sectors are alike, and the length is a multiple of nothing.
fn content() -> Vec<u8> {
    (0..(1_u32 << 20) + 12_345).map(|index| (index.wrapping_mul(2_654_435_761) >> 23) as u8).collect()
}

fn memory() -> SharedDevice {
    Arc::new(MemoryDevice::new(content(), 512))
}

#[test]
fn memory_conforms() {
    check(&memory(), &content()).unwrap();
    check(&MemoryDevice::new(content(), 4096), &content()).unwrap();
}

#[test]
fn a_file_conforms() {
    let mut file = tempfile::NamedTempFile::new().unwrap();
    file.write_all(&content()).unwrap();
    check(&FileDevice::open(file.path()).unwrap(), &content()).unwrap();
}

#[test]
fn a_target_conforms_once_it_was_written() {
    let folder = tempfile::tempdir().unwrap();
    let content = content();
    let target = Target::create_image(&folder.path().join("image"), content.len() as u64, 512).unwrap();
    for (piece, place) in content.clone().chunks_mut(100_000).zip((0..).step_by(100_000)) {
        target.write_all_at(piece, place).unwrap();
    }
    target.flush().unwrap();
    target.forget_cached();
    check(&target, &content).unwrap();
}

#[test]
fn a_window_conforms_wherever_it_is_cut() {
    let mut around = vec![0xEE; 777];
    around.extend(content());
    around.extend([0xEE; 4096]);
    let below: SharedDevice = Arc::new(MemoryDevice::new(around, 512));
    check(&Window::new(below, 777, content().len() as u64).unwrap(), &content()).unwrap();
}

#[test]
fn the_wrappers_conform_when_they_do_nothing() {
    let (faulty, faults) = FaultyDevice::new(memory());
    check(&faulty, &content()).unwrap();
    faults.vanish();
    faults.heal();
    check(&faulty, &content()).unwrap();
    let (slow, _) = SlowDevice::new(memory(), Pace { latency: Duration::ZERO, bytes_per_second: None });
    check(&slow, &content()).unwrap();
}

#[test]
fn the_suite_finds_each_kind_of_fault() {
    let (faulty, faults) = FaultyDevice::new(memory());
    faults.falsify(4096..4097, Wrongness::Constant);
    let breach = check(&faulty, &content()).unwrap_err();
    assert!(matches!(breach, Breach::Content { differs_at_bytes: 4096, .. }), "{breach}");
    faults.heal();
    faults.fail(131_000..131_001);
    assert!(matches!(check(&faulty, &content()).unwrap_err(), Breach::Failed { .. }));
    assert!(matches!(check(&memory(), &content()[1..]).unwrap_err(), Breach::Length { .. }));
    assert!(matches!(check(&memory(), &[]).unwrap_err(), Breach::TooShort { .. }));
    assert!(matches!(
        check(&MemoryDevice::new(content(), 520), &content()).unwrap_err(),
        Breach::SectorSize { found_bytes: 520 }
    ));
    assert!(matches!(check(&Lenient(memory()), &content()).unwrap_err(), Breach::NotRefused { .. }));
}

/// Answers zeros behind its end.
struct Lenient(SharedDevice);

impl ReadAt for Lenient {
    fn length_bytes(&self) -> u64 {
        self.0.length_bytes()
    }

    fn sector_bytes(&self) -> u32 {
        self.0.sector_bytes()
    }

    fn read_exact_at(&self, buffer: &mut [u8], offset_bytes: u64) -> Result<(), ReadError> {
        self.0.read_exact_at(buffer, offset_bytes).or_else(|_| {
            buffer.fill(0);
            Ok(())
        })
    }
}
