//! The faults, one by one.

#![allow(clippy::cast_possible_truncation, reason = "a test's numbers are its own")]

use std::sync::Arc;

use block::{Faults, FaultyDevice, MemoryDevice, ReadAt, ReadErrorKind, Wrongness};

fn device() -> (FaultyDevice, Faults) {
    FaultyDevice::new(Arc::new(MemoryDevice::new((0..=255).cycle().take(64 << 10).collect(), 512)))
}

fn read(device: &FaultyDevice, offset_bytes: u64, length_bytes: usize) -> Result<Vec<u8>, ReadErrorKind> {
    let mut buffer = vec![0; length_bytes];
    device.read_exact_at(&mut buffer, offset_bytes).map(|()| buffer).map_err(|error| error.kind)
}

#[test]
fn only_reads_that_touch_a_bad_range_fail() {
    let (device, faults) = device();
    faults.fail(1024..1536);
    for (offset, length, fails) in
        [(0, 1024, false), (0, 1025, true), (1535, 1, true), (1536, 512, false), (1200, 0, false)]
    {
        let outcome = read(&device, offset, length);
        assert_eq!(outcome.is_err(), fails, "{offset}+{length}");
        assert!(outcome.is_ok() || outcome == Err(ReadErrorKind::Medium));
    }
    faults.heal();
    assert!(read(&device, 1024, 512).is_ok());
    assert_eq!(faults.read_count(), 6);
}

#[test]
fn a_bad_cable_gives_other_wrong_bytes_each_time_and_then_the_right_ones() {
    let (device, faults) = device();
    let right = read(&device, 0, 32).unwrap();
    faults.falsify(8..16, Wrongness::First(2));
    let (first, second) = (read(&device, 0, 32).unwrap(), read(&device, 0, 32).unwrap());
    for wrong in [&first, &second] {
        assert!((8..16).all(|at| wrong[at] != right[at]));
        assert_eq!((&wrong[..8], &wrong[16..]), (&right[..8], &right[16..]));
    }
    assert_ne!(first, second);
    assert_eq!(read(&device, 0, 32).unwrap(), right);
}

#[test]
fn a_damaged_file_gives_the_same_wrong_bytes_and_a_bad_bridge_never_the_same() {
    let (device, faults) = device();
    let right = read(&device, 0, 8).unwrap();
    faults.falsify(0..8, Wrongness::Constant);
    let wrong = read(&device, 0, 8).unwrap();
    assert_eq!(read(&device, 0, 8).unwrap(), wrong);
    assert_ne!(wrong, right);
    faults.heal();
    faults.falsify(0..8, Wrongness::EachTimeDifferent);
    let seen: std::collections::BTreeSet<_> = (0..200).map(|_| read(&device, 0, 8).unwrap()).collect();
    assert_eq!(seen.len(), 200);
    assert!(!seen.contains(&right));
}

#[test]
fn a_device_that_vanishes_fails_every_read_from_then_on() {
    let (device, faults) = device();
    faults.vanish_after(2);
    assert!(read(&device, 0, 8).is_ok() && read(&device, 0, 8).is_ok());
    assert_eq!(read(&device, 0, 8), Err(ReadErrorKind::Gone));
    assert_eq!(read(&device, 0, 8), Err(ReadErrorKind::Gone));
    faults.heal();
    assert!(read(&device, 0, 8).is_ok());
}

#[test]
fn a_device_that_ends_early_says_where() {
    let (device, faults) = device();
    faults.end_at(1000);
    assert!(read(&device, 0, 1000).is_ok());
    assert_eq!(read(&device, 999, 2), Err(ReadErrorKind::OutOfRange { device_bytes: 1000 }));
}

#[test]
fn stalled_reads_go_on_when_released_and_fail_when_the_device_is_pulled() {
    let (device, faults) = device();
    for pulled in [false, true] {
        faults.stall();
        std::thread::scope(|scope| {
            let reads: Vec<_> = (0..3).map(|_| scope.spawn(|| read(&device, 0, 8))).collect();
            faults.wait_until_stalled(3);
            if pulled {
                faults.vanish()
            } else {
                faults.release()
            }
            for outcome in reads.into_iter().map(|read| read.join().unwrap()) {
                assert_eq!(outcome.is_err(), pulled);
            }
        });
    }
}
