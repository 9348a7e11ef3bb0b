//! Volumes of our own: every method, sector size and protector reads back, and a run that is cut
//! off leaves nothing that passes for a volume.

use std::fs::File;
use std::sync::{Arc, Mutex};
use std::time::{Duration, SystemTime};

use super::*;
use crate::testing::Memory;
use crate::{
    ExternalKey, Metadata, Method, NotWritable, Password, ReadMetadataError, RecoveryPassword, Secret,
    Volume, VolumeWriter,
};
use block::{FileDevice, ReadAt, SharedDevice, WriteAt, WriteError, WriteErrorKind};

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
        coverage: Coverage::UsedSpaceOnly,
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
            let writer = formatter.writer(&handle);
            writer.write_all_at(&mut head.clone(), 0).unwrap();
            writer.write_all_at(&mut middle.clone(), 40 << 20).unwrap();
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
    let file = formatter.formatted().external_key.as_ref().unwrap();
    assert_eq!(file.contents.len(), 156);
    assert_eq!(file.name.len(), 36 + 4);
    let key = ExternalKey::from_bek(&file.contents).unwrap();
    assert_eq!(format!("{}.BEK", key.id().unwrap()).to_uppercase(), file.name);
}

#[test]
fn what_a_file_system_puts_into_a_reserved_area_is_refused() {
    let (_file, handle) = target();
    let formatter = Formatter::new(plan(Method::AesXts128, 512)).unwrap();
    let area = formatter.formatted().layout.reserved()[0].offset_bytes;
    let writer = formatter.writer(&handle);
    writer.write_all_at(&mut vec![0; 8192], area - 4096).unwrap();
    let mut data = vec![0; 8192];
    data[5000] = 1;
    let refused = writer.write_all_at(&mut data, area - 4096).unwrap_err();
    assert_eq!(refused.kind, WriteErrorKind::Reserved { offset_bytes: area - 4096 + 5000 });
    for (offset_bytes, length) in [(1, 512), (512, 100), (VOLUME_BYTES, 512), (u64::MAX - 511, 512)] {
        let refused = writer.write_all_at(&mut vec![0; length], offset_bytes).unwrap_err();
        let expected = WriteErrorKind::OutOfRange { device_bytes: VOLUME_BYTES };
        assert_eq!(refused.kind, expected, "{offset_bytes:#x} {length}");
    }
}

#[test]
fn methods_with_the_diffuser_are_not_made() {
    let refused = Formatter::new(plan(Method::AesCbc128Elephant, 512)).err().unwrap();
    assert!(matches!(refused, FormatError::Method { method: Method::AesCbc128Elephant }));
}

#[test]
fn the_whole_surface_is_encrypted_zeros_but_for_what_is_kept() {
    let memory = Memory::new(vec![0xCD; VOLUME_BYTES as usize]);
    let mut plan = plan(Method::AesXts256, 512);
    (plan.password, plan.coverage) = (None, Coverage::WholeSurface);
    let formatter = Formatter::new(plan).unwrap();
    let kept = (34 << 20)..(35 << 20);
    let mut data = pattern(kept.start, 1 << 20);
    formatter.writer(&memory).write_all_at(&mut data, kept.start).unwrap();
    let told = Mutex::new(Vec::new());
    let progress = |offset_bytes| told.lock().unwrap().push(offset_bytes);
    let keep = [kept.clone()];
    formatter.fill(&memory, Unwritten { keep: &keep, from_bytes: 0 }, &progress).unwrap();
    let formatted = formatter.finish(&memory).unwrap();
    let told = told.into_inner().unwrap();
    assert!(told.is_sorted() && told.last() == Some(&VOLUME_BYTES), "{told:?}");
    let raw = memory.0.lock().unwrap().clone();
    let device: SharedDevice = Arc::new(block::MemoryDevice::new(raw.clone(), 512));
    let metadata = formatted.verify(&device).unwrap();
    assert_eq!(metadata.extended_flags, Some(0x0A));
    let key = metadata.unlock(&Secret::RecoveryPassword(formatted.recovery_password.duplicate())).unwrap();
    let volume = Volume::open(Arc::clone(&device), &metadata, &key).unwrap();
    let mut plain = vec![1; VOLUME_BYTES as usize];
    volume.read_exact_at(&mut plain, 0).unwrap();
    let mut expected = vec![0; VOLUME_BYTES as usize];
    expected[kept.start as usize..kept.end as usize].copy_from_slice(&pattern(kept.start, 1 << 20));
    assert!(plain == expected);
    // Nothing of the old bytes is left, and nothing but the ends of the metadata areas is zeros.
    assert!(!raw.chunks(512).any(|sector| sector == [0xCD; 512]));
    let zeros = raw.chunks(512).filter(|sector| *sector == [0; 512]).count();
    assert!(zeros <= 3 * 128, "{zeros} sectors are not encrypted");
}

#[test]
fn a_pass_over_the_surface_goes_on_where_it_was() {
    let memory = Memory::new(vec![0xCD; VOLUME_BYTES as usize]);
    let mut plan = plan(Method::AesXts128, 4096);
    (plan.password, plan.coverage) = (None, Coverage::WholeSurface);
    let formatter = Formatter::new(plan).unwrap();
    let from_bytes = 50 << 20;
    formatter.fill(&memory, Unwritten { keep: &[], from_bytes }, &|_| ()).unwrap();
    let raw = memory.0.lock().unwrap();
    let (before, after) = raw.split_at(from_bytes as usize);
    assert!(before.iter().all(|byte| *byte == 0xCD), "written again");
    let untouched = after.chunks(4096).filter(|sector| *sector == [0xCD; 4096]).count();
    assert_eq!(untouched, 16, "all but the third copy of the metadata");
}

#[test]
fn a_volume_whose_surface_is_not_whole_is_not_finished() {
    let (_file, handle) = target();
    let mut plan = plan(Method::AesXts128, 512);
    (plan.password, plan.coverage) = (None, Coverage::WholeSurface);
    let refused = Formatter::new(plan).unwrap().finish(&handle).err().unwrap();
    assert!(matches!(refused, FormatError::NotFilled));
}

#[test]
fn a_format_that_is_resumed_gives_the_same_volume() {
    let memory = Memory::new(vec![0; VOLUME_BYTES as usize]);
    let first = Formatter::new(plan(Method::AesXts256, 512)).unwrap();
    first.writer(&memory).write_all_at(&mut pattern(0, 4096), 0).unwrap();
    let (sealed, layout) = (first.sealed_metadata(), first.formatted().layout.clone());
    let recovery_password = first.formatted().recovery_password.duplicate();
    let second = Formatter::resume(&sealed, layout, recovery_password).unwrap();
    assert_eq!(second.sealed_metadata(), sealed);
    let volume_id = Formatter::volume_of(&sealed, &second.formatted().layout).unwrap();
    assert_eq!(volume_id, first.formatted().volume_id);
    assert_eq!(second.coverage(), Coverage::UsedSpaceOnly);
    second.writer(&memory).write_all_at(&mut pattern(4096, 4096), 4096).unwrap();
    let second = second.with_password(Password::new("p\u{e4}ssw\u{1f512}rd").unwrap());
    let formatted = second.finish(&memory).unwrap();
    let expected = first.formatted().external_key.as_ref().unwrap();
    let found = formatted.external_key.as_ref().unwrap();
    assert_eq!((&found.name, &*found.contents), (&expected.name, &*expected.contents));
    let device: SharedDevice = Arc::new(memory);
    let metadata = formatted.verify(&device).unwrap();
    let key = ExternalKey::from_bek(&found.contents).unwrap();
    let key = metadata.unlock(&Secret::ExternalKey(key)).unwrap();
    let volume = Volume::open(Arc::clone(&device), &metadata, &key).unwrap();
    let mut plain = vec![0; 8192];
    volume.read_exact_at(&mut plain, 0).unwrap();
    assert!(plain == pattern(0, 8192), "written before and after");
}

#[test]
fn sealed_metadata_that_is_not_this_volumes_is_refused() {
    let mut plan = plan(Method::AesXts128, 512);
    plan.password = None;
    let formatter = Formatter::new(plan).unwrap();
    let Formatted { layout, recovery_password, .. } = formatter.formatted();
    let sealed = formatter.sealed_metadata();
    let resume = |sealed: &[u8], layout: &Layout| {
        Formatter::resume(sealed, layout.clone(), recovery_password.duplicate())
    };
    for length in [0, 511, 512, 576, sealed.len() / 2] {
        assert!(resume(&sealed[..length], layout).is_err(), "cut at {length}");
    }
    // Each of these bytes counts: boot sector, block, checksum, seal.
    for at in [3, 0x1D, 0x60, 0x1FE, 513, 600, 800, sealed.len() - 1] {
        let mut changed = sealed.clone();
        changed[at] ^= 0x80;
        let resumed = resume(&changed, layout);
        // The partition's first sector may be any number.
        assert_eq!(resumed.is_ok(), at == 0x1D, "byte {at:#x}");
    }
    let mut longer = sealed.clone();
    longer.extend_from_slice(&[0, 1]);
    let refused = resume(&longer, layout).err().unwrap();
    assert!(matches!(refused, ResumeError::OtherVolume { what: "something follows the metadata" }));
    longer.resize(1 << 20, 0);
    assert!(matches!(resume(&longer, layout), Err(ResumeError::OtherVolume { what: "it is too long" })));
    for other in [
        Layout::within_file_system(VOLUME_BYTES, 4096).unwrap(),
        Layout::within_file_system(VOLUME_BYTES * 2, 512).unwrap(),
        Layout::behind_file_system(VOLUME_BYTES, 512).unwrap(),
    ] {
        assert!(resume(&sealed, &other).is_err(), "{other:?}");
    }
    let other = RecoveryPassword::parse(GIVEN).unwrap();
    let refused = Formatter::resume(&sealed, layout.clone(), other).err().unwrap();
    assert!(matches!(refused, ResumeError::Locked(_)), "{refused:?}");
}

#[test]
fn a_copy_that_differs_in_one_byte_is_not_verified() {
    let memory = Memory::new(vec![0; VOLUME_BYTES as usize]);
    let mut plan = plan(Method::AesXts128, 512);
    plan.password = None;
    let formatted = Formatter::new(plan).unwrap().finish(&memory).unwrap();
    let places = formatted.layout.areas_bytes();
    // Behind everything that is used, where no reader looks.
    let offset_bytes = places[2] + 0xFFFF;
    memory.0.lock().unwrap()[offset_bytes as usize] ^= 1;
    let refused = formatted.verify(&memory).unwrap_err();
    assert!(matches!(refused, VerifyError::Differs { offset_bytes: at, .. } if at == offset_bytes));
}

#[test]
fn an_existing_volume_is_written_through_its_own_key() {
    let memory = Arc::new(Memory::new(crate::testing::volume_bytes()));
    let device: SharedDevice = Arc::clone(&memory) as SharedDevice;
    let metadata = Metadata::read(&device).unwrap();
    let key = metadata.unlock(&crate::testing::external_key()).unwrap();
    let writer = VolumeWriter::of_volume(Arc::clone(&memory), &device, &metadata, &key).unwrap();
    let places = [(0, 8192), (4096, 8192), (40 << 20, 512)];
    for (offset_bytes, length) in places {
        writer.write_all_at(&mut pattern(offset_bytes, length), offset_bytes).unwrap();
    }
    let volume = Volume::open(Arc::clone(&device), &metadata, &key).unwrap();
    for (offset_bytes, length) in places {
        let mut found = vec![0; length];
        volume.read_exact_at(&mut found, offset_bytes).unwrap();
        assert!(found == pattern(offset_bytes, length), "{offset_bytes:#x}");
    }
}

#[test]
fn an_existing_volume_with_anything_odd_about_it_is_not_written() {
    let device = |bytes| -> SharedDevice { Arc::new(Memory::new(bytes)) };
    let refused = |bytes: Vec<u8>| {
        let device = device(bytes);
        let metadata = Metadata::read(&device).unwrap();
        let key = metadata.unlock(&crate::testing::external_key()).unwrap();
        VolumeWriter::of_volume(Memory::new(Vec::new()), &device, &metadata, &key).err().unwrap()
    };
    let mut damaged = crate::testing::volume_bytes();
    damaged[crate::testing::AREAS[1] + 100] ^= 1;
    assert!(matches!(refused(damaged), NotWritable::Unsound(_)));
    let mut tampered = crate::testing::volume_bytes();
    // The next nonce: no reader misses it, and the sealed hash covers it.
    crate::testing::edit_blocks(&mut tampered, |block| block[64 + 32] ^= 1);
    assert!(matches!(refused(tampered), NotWritable::Unproven(crate::Integrity::Tampered)));
}

/// Writes until a given write, then refuses like a pulled drive.
struct CutOff {
    file: File,
    writes_left: Mutex<u32>,
}

impl WriteAt for CutOff {
    fn write_all_at(&self, data: &mut [u8], offset_bytes: u64) -> Result<(), WriteError> {
        let mut left = self.writes_left.lock().unwrap();
        let gone = || WriteError {
            offset_bytes,
            length_bytes: data.len(),
            kind: WriteErrorKind::Gone,
            source: None,
        };
        *left = left.checked_sub(1).ok_or_else(gone)?;
        WriteAt::write_all_at(&self.file, data, offset_bytes)
    }

    fn flush(&self) -> Result<(), WriteError> {
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
        let formatted = formatter.formatted();
        assert!(secrets.insert(formatted.recovery_password.reveal().as_bytes().to_vec()));
        assert!(secrets.insert(formatted.volume_id.to_bytes().to_vec()));
        assert!(secrets.insert(formatted.fvek.to_vec()));
        assert!(secrets.insert(formatted.external_key.as_ref().unwrap().contents.to_vec()));
    }
}
