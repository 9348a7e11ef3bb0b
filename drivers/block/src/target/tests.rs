//! What opening refuses, and that both ways of writing end in the same bytes.

use super::*;
use crate::{ReadErrorKind, WriteErrorKind};

const LENGTH_BYTES: u64 = 1 << 20;

fn image(folder: &tempfile::TempDir) -> Target {
    Target::create_image(&folder.path().join("drive.img"), LENGTH_BYTES, 512).unwrap()
}

/// A part of a buffer that begins on a boundary for direct writes.
fn aligned(buffer: &mut [u8], length: usize) -> &mut [u8] {
    let start = buffer.as_ptr().align_offset(BUFFER_ALIGNMENT_BYTES);
    &mut buffer[start..start + length]
}

#[test]
fn aligned_and_odd_writes_read_back_the_same() {
    let folder = tempfile::tempdir().unwrap();
    let target = image(&folder);
    let mut expected = vec![0; LENGTH_BYTES as usize];
    let mut buffer = vec![0; 64 << 10];
    for (round, (offset, length)) in
        [(0, 8192), (8192, 512), (4096, 4096), (700_001, 13), (1_044_480, 4096)].into_iter().enumerate()
    {
        let part = aligned(&mut buffer, length);
        part.fill(round as u8 + 1);
        expected[offset..offset + length].fill(round as u8 + 1);
        target.write_all_at(part, offset as u64).unwrap();
    }
    target.flush().unwrap();
    target.forget_cached();
    let mut found = vec![1; expected.len()];
    target.read_exact_at(&mut found, 0).unwrap();
    assert!(found == expected, "through the target");
    assert!(fs::read(target.path()).unwrap() == expected, "by the file's name");
}

#[test]
fn an_image_is_sparse_never_grows_and_never_replaces_a_file() {
    let folder = tempfile::tempdir().unwrap();
    let target = image(&folder);
    assert_eq!(fs::metadata(target.path()).unwrap().blocks(), 0, "nothing was written");
    for (offset_bytes, length) in [(LENGTH_BYTES, 1), (LENGTH_BYTES - 4095, 4096), (u64::MAX, 2)] {
        let error = target.write_all_at(&mut vec![1; length], offset_bytes).unwrap_err();
        assert_eq!(error.kind, WriteErrorKind::OutOfRange { device_bytes: LENGTH_BYTES });
    }
    assert_eq!(target.length_bytes(), LENGTH_BYTES);
    let error = target.read_exact_at(&mut [0; 2], LENGTH_BYTES - 1).unwrap_err();
    assert_eq!(error.kind, ReadErrorKind::OutOfRange { device_bytes: LENGTH_BYTES });
    let exists = Target::create_image(target.path(), 512, 512).err().unwrap();
    assert!(
        matches!(exists, TargetError::Open { ref source, .. } if source.kind() == io::ErrorKind::AlreadyExists)
    );
}

#[test]
fn an_image_says_its_sector_size_only_when_told() {
    let folder = tempfile::tempdir().unwrap();
    let path = image(&folder).path().to_owned();
    let target = Target::open(&path).unwrap();
    assert_eq!((target.sector_bytes(), target.is_block_device()), (512, false));
    let target = target.with_sector_bytes(4096);
    assert_eq!((target.sector_bytes(), target.length_bytes()), (4096, LENGTH_BYTES));
}

#[test]
fn a_target_that_is_too_small_is_named_with_both_sizes() {
    let folder = tempfile::tempdir().unwrap();
    let target = image(&folder);
    target.check_room(LENGTH_BYTES).unwrap();
    let error = target.check_room(LENGTH_BYTES + 1).unwrap_err();
    let message = error.to_string();
    assert!(message.ends_with("drive.img has 1048576 bytes, 1048577 are needed"), "{message}");
}

#[test]
fn a_directory_a_fifo_or_a_character_device_is_no_target_and_does_not_hang() {
    let folder = tempfile::tempdir().unwrap();
    let fifo = folder.path().join("fifo");
    assert!(std::process::Command::new("mkfifo").arg(&fifo).status().unwrap().success());
    for path in [folder.path(), &fifo, Path::new("/dev/null"), &folder.path().join("absent")] {
        assert!(matches!(Target::open(path), Err(TargetError::Open { .. })), "{}", path.display());
    }
}

#[test]
fn what_the_kernel_refuses_is_told_apart() {
    let path = Path::new("/dev/sdz");
    let of = |errno: Errno| refused(path, io::Error::from_raw_os_error(errno.raw_os_error()));
    assert!(matches!(of(Errno::BUSY), TargetError::InUse { .. }));
    assert!(of(Errno::BUSY).to_string().starts_with("/dev/sdz is in use"));
    assert!(matches!(of(Errno::ROFS), TargetError::WriteProtected { .. }));
    assert!(matches!(of(Errno::ACCESS), TargetError::Open { .. }));
}

/// A loop device over an image, where this machine has them; detached when dropped.
struct Loop(PathBuf);

impl Loop {
    fn attach(test: &str, image: &Path, options: &[&str]) -> Option<Loop> {
        let output = std::process::Command::new("losetup")
            .args(["--find", "--show"])
            .args(options)
            .arg(image)
            .output();
        match output {
            Ok(output) if output.status.success() => {
                let path = String::from_utf8(output.stdout).unwrap();
                Some(Loop(PathBuf::from(path.trim())))
            }
            _ => {
                eprintln!("skipped: {test}: no loop device can be attached");
                None
            }
        }
    }
}

impl Drop for Loop {
    fn drop(&mut self) {
        let _ = std::process::Command::new("losetup").arg("--detach").arg(&self.0).status();
    }
}

#[test]
fn a_device_that_somebody_holds_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    let image = image(&folder).path().to_owned();
    let Some(device) = Loop::attach("a_device_that_somebody_holds_is_refused", &image, &[]) else { return };
    let first = Target::open(&device.0).unwrap();
    assert!(first.is_block_device());
    assert!(matches!(Target::open(&device.0), Err(TargetError::InUse { .. })));
    first.write_all_at(aligned(&mut vec![7; 12_288], 4096), 4096).unwrap();
    first.write_all_at(&mut [8; 512], 512).unwrap();
    first.flush().unwrap();
    drop(first);
    let mut found = [0; 8192];
    Target::open(&device.0).unwrap().read_exact_at(&mut found, 0).unwrap();
    assert_eq!((found[511], found[512], found[1023], found[4096], found[8191]), (0, 8, 8, 7, 7));
}

#[test]
fn a_write_protected_device_is_named_as_such() {
    let folder = tempfile::tempdir().unwrap();
    let image = image(&folder).path().to_owned();
    let test = "a_write_protected_device_is_named_as_such";
    let Some(device) = Loop::attach(test, &image, &["--read-only"]) else { return };
    let refused = Target::open(&device.0).err().unwrap();
    assert!(matches!(refused, TargetError::WriteProtected { .. }), "{refused:?}");
}
