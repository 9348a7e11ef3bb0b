//! The damaged images of ntfsprogs-plus: errors, never a panic, a hang or much memory.

mod common;

use std::sync::Arc;

use block::{FileDevice, SharedDevice};
use ntfs::fuzzing::check_device;
use ntfs::{Limits, Volume};

/// What the whole test process may take; the images are up to 580 GB long.
const MEMORY_MAX_KIB: u64 = 256 << 10;

/// Peak resident memory of this process.
fn peak_memory_kib() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap();
    let line = status.lines().find(|line| line.starts_with("VmHWM:")).unwrap();
    line.split_whitespace().nth(1).unwrap().parse().unwrap()
}

#[test]
fn damaged_images_give_errors_and_keep_their_promises() {
    let images = common::damaged("damaged_images_give_errors");
    if images.is_empty() {
        return;
    }
    let (mut opened, mut with_problems) = (0, 0);
    for (name, path) in &images {
        eprintln!("{name}");
        let device: SharedDevice = Arc::new(FileDevice::open(path).unwrap());
        match Volume::open(device.clone(), Limits::default(), &mut |_| {}) {
            Ok(volume) => {
                opened += 1;
                with_problems += usize::from(!volume.health().is_sound());
            }
            Err(error) => eprintln!("{name}: {error}"),
        }
        check_device(device, Limits::default());
    }
    eprintln!("{opened} of {} open, {with_problems} report problems", images.len());
    assert_eq!(images.len(), 51);
    // Their damage is in single files or in indexes, which are not read.
    assert_eq!(opened, 51);
    assert!(peak_memory_kib() < MEMORY_MAX_KIB, "{} KiB", peak_memory_kib());
}
