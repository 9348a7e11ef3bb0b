//! Volumes of our own: every method, sector size and protector reads back, and a run that is cut
//! off leaves nothing that passes for a volume.

use std::io;
use std::sync::{Arc, Mutex};
use std::time::{Duration, SystemTime};

use super::*;
use crate::{Metadata, Method, Password, ReadMetadataError, RecoveryPassword, Secret, Volume};
use block::{FileDevice, ReadAt, SharedDevice};

const VOLUME_BYTES: u64 = 64 << 20;
const GIVEN: &str = "042647-302313-590458-071500-554323-116567-412181-516978";

fn plan(method: Method, sector_bytes: u32) -> Plan {
    Plan {
        layout: Layout::within_file_system(VOLUME_BYTES, sector_bytes).unwrap(),
        method,
        description: "STATION DATA 23/11/2026".to_owned(),
        password: Some(Password::new("p\u{e4}ssw\u{1f512}rd").unwrap()),
        recovery_password: None,
        has_external_key: true,
        first_sector_of_partition: 2048,
        time: SystemTime::UNIX_EPOCH + Duration::from_secs(1_795_000_000),
    }
}

/// A sparse file of the volume's length.
fn target() -> (tempfile::NamedTempFile, File) {
    let file = tempfile::NamedTempFile::new().unwrap();
    file.as_file().set_len(VOLUME_BYTES).unwrap();
    let handle = file.reopen().unwrap();
    (file, handle)
}

fn pattern(offset_bytes: u64, length: usize) -> Vec<u8> {
    (offset_bytes..).take(length).map(|at| (at.wrapping_mul(0x9E37_79B9) >> 13) as u8).collect()
}

#[test]
fn every_method_and_sector_size_reads_back_by_every_protector() {
    for method in [Method::AesXts128, Method::AesXts256, Method::AesCbc128, Method::AesCbc256] {
        for sector_bytes in [512, 4096] {
            let (file, handle) = target();
            let formatter = Formatter::new(plan(method, sector_bytes)).unwrap();
            let head = pattern(0, 1 << 20);
            let middle = pattern(40 << 20, 1 << 20);
            formatter.write_at(&handle, 0, &mut head.clone()).unwrap();
            formatter.write_at(&handle, 40 << 20, &mut middle.clone()).unwrap();
            let formatted = formatter.finish(&handle).unwrap();
            let device: SharedDevice = Arc::new(FileDevice::open(file.path()).unwrap());
            let metadata = formatted.verify(&device).unwrap();
            assert_eq!((metadata.method, metadata.sector_bytes), (method, sector_bytes));
            assert_eq!(metadata.description.as_deref(), Some("STATION DATA 23/11/2026"));
            assert_eq!(metadata.protectors().len(), 3);
            let key =
                metadata.unlock(&Secret::Password(Password::new("p\u{e4}ssw\u{1f512}rd").unwrap())).unwrap();
            let volume = Volume::open(Arc::clone(&device), &metadata, &key).unwrap();
            for (offset_bytes, expected) in [(0, &head), (40 << 20, &middle)] {
                let mut found = vec![0; expected.len()];
                volume.read_exact_at(&mut found, offset_bytes).unwrap();
                assert!(found == *expected, "{method} {sector_bytes} at {offset_bytes:#x}");
            }
        }
    }
}

#[test]
fn a_given_recovery_password_alone_is_enough() {
    let (file, handle) = target();
    let mut plan = plan(Method::AesXts256, 512);
    plan.layout = Layout::behind_file_system(VOLUME_BYTES, 512).unwrap();
    plan.password = None;
    plan.recovery_password = Some(RecoveryPassword::parse(GIVEN).unwrap());
    plan.has_external_key = false;
    let formatted = Formatter::new(plan).unwrap().finish(&handle).unwrap();
    assert_eq!(*formatted.recovery_password.reveal(), GIVEN);
    let metadata = formatted.verify(&FileDevice::open(file.path()).unwrap()).unwrap();
    assert_eq!(metadata.protectors().len(), 1);
}

#[test]
fn a_startup_key_is_the_classic_file_of_156_bytes() {
    let formatter = Formatter::new(plan(Method::AesXts128, 512)).unwrap();
    let file = formatter.formatted_for_test().external_key.as_ref().unwrap();
    assert_eq!(file.contents.len(), 156);
    assert_eq!(file.name.len(), 36 + 4);
    let key = crate::ExternalKey::from_bek(&file.contents).unwrap();
    assert_eq!(format!("{}.BEK", key.id().unwrap()).to_uppercase(), file.name);
}

#[test]
fn what_a_file_system_puts_into_a_reserved_area_is_refused() {
    let (_file, handle) = target();
    let formatter = Formatter::new(plan(Method::AesXts128, 512)).unwrap();
    let area = formatter.formatted_for_test().layout.reserved()[0].offset_bytes;
    let mut data = vec![0; 8192];
    formatter.write_at(&handle, area - 4096, &mut data).unwrap();
    let mut data = vec![0; 8192];
    data[5000] = 1;
    let refused = formatter.write_at(&handle, area - 4096, &mut data).unwrap_err();
    assert!(matches!(refused, FormatError::Reserved { offset_bytes } if offset_bytes == area - 4096 + 5000));
    for (offset_bytes, length) in [(1, 512), (512, 100), (VOLUME_BYTES, 512), (u64::MAX - 511, 512)] {
        let refused = formatter.write_at(&handle, offset_bytes, &mut vec![0; length]).unwrap_err();
        assert!(matches!(refused, FormatError::OutOfPlace { .. }), "{offset_bytes:#x} {length}");
    }
}

#[test]
fn methods_with_the_diffuser_are_not_made() {
    let refused = Formatter::new(plan(Method::AesCbc128Elephant, 512)).err().unwrap();
    assert!(matches!(refused, FormatError::Method { method: Method::AesCbc128Elephant }));
}

/// Writes until a given write, then refuses like a pulled drive.
struct CutOff {
    file: File,
    writes_left: Mutex<u32>,
}

impl WriteAt for CutOff {
    fn write_all_at(&self, data: &[u8], offset_bytes: u64) -> io::Result<()> {
        let mut left = self.writes_left.lock().unwrap();
        *left = left.checked_sub(1).ok_or(io::ErrorKind::NotConnected)?;
        WriteAt::write_all_at(&self.file, data, offset_bytes)
    }

    fn flush(&self) -> io::Result<()> {
        Ok(())
    }
}

#[test]
fn a_run_that_is_cut_off_leaves_nothing_that_has_a_boot_sector() {
    for writes in 0..5 {
        let (file, handle) = target();
        let mut plan = plan(Method::AesXts256, 4096);
        plan.password = None;
        let cut_off = CutOff { file: handle, writes_left: Mutex::new(writes) };
        let failed = Formatter::new(plan).unwrap().finish(&cut_off).err().unwrap();
        assert!(matches!(failed, FormatError::Write { .. }), "{failed:?}");
        let options = crate::ReadOptions { scan_bytes_max: 0 };
        let read = Metadata::read_with(&FileDevice::open(file.path()).unwrap(), options);
        assert!(
            matches!(read, Err(ReadMetadataError::NotBitLocker { .. })),
            "after {writes} writes: {read:?}"
        );
    }
}

#[test]
fn two_volumes_share_no_secret() {
    let mut secrets = std::collections::HashSet::new();
    for _ in 0..2 {
        let mut plan = plan(Method::AesCbc256, 512);
        plan.password = None;
        let formatter = Formatter::new(plan).unwrap();
        let formatted = formatter.formatted_for_test();
        assert!(secrets.insert(formatted.recovery_password.reveal().as_bytes().to_vec()));
        assert!(secrets.insert(formatted.volume_id.to_bytes().to_vec()));
        assert!(secrets.insert(formatted.fvek.to_vec()));
        assert!(secrets.insert(formatted.external_key.as_ref().unwrap().contents.to_vec()));
    }
}
