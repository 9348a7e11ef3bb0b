//! Damage and lies: what a volume's metadata survives, and what it is refused for.

use std::sync::Arc;

use block::{MemoryDevice, ReadAt, ReadError, ReadErrorKind, check_range};

use super::*;
use crate::testing::{
    AREAS, VIRTUALISED, VOLUME_BYTES, block_bytes, device, edit_block, edit_blocks, external_key, open,
    pattern, put, recovery_password, volume_bytes,
};
use crate::{Integrity, OpenError, RecoveryPassword, Secret, UnlockError};

fn assert_reads(volume: &dyn ReadAt) {
    let mut found = vec![0; 0x4000];
    volume.read_exact_at(&mut found, 0).unwrap();
    assert!(found == pattern(0x4000));
}

#[test]
fn an_untouched_volume_has_three_good_copies_and_no_warning() {
    let device = device(volume_bytes());
    let (metadata, volume) = open(&device);
    assert_eq!(metadata.warnings, []);
    assert!(metadata.copies.iter().all(|copy| copy.health == CopyHealth::Good));
    assert_eq!(metadata.unlock(&external_key()).unwrap().integrity(), Integrity::Verified);
    assert_eq!(volume.length_bytes(), VOLUME_BYTES as u64);
    assert_reads(&volume);
}

#[test]
fn one_whole_copy_is_enough_whichever_it_is() {
    for kept in 0..3 {
        let mut bytes = volume_bytes();
        for (index, area) in AREAS.into_iter().enumerate().filter(|(index, _)| *index != kept) {
            // One is gone, of the other a byte was flipped.
            if index % 2 == 0 { bytes[area..area + 0x10000].fill(0) } else { bytes[area + 200] ^= 1 }
        }
        let (metadata, volume) = open(&device(bytes));
        assert_eq!(metadata.copy_used, kept);
        assert_eq!(metadata.warnings, [Warning::CopiesDamaged { damaged: 2 }]);
        for (index, copy) in metadata.copies.iter().enumerate() {
            match index {
                good if good == kept => assert_eq!(copy.health, CopyHealth::Good),
                1 => assert!(matches!(copy.health, CopyHealth::WrongChecksum { .. })),
                _ => assert_eq!(copy.health, CopyHealth::NoSignature),
            }
        }
        assert_reads(&volume);
    }
}

#[test]
fn without_a_whole_copy_the_volume_is_refused_with_each_copys_state() {
    let mut bytes = volume_bytes();
    bytes[AREAS[0] + 300] ^= 0x80;
    bytes[AREAS[1]..AREAS[1] + 8].fill(0);
    put(&mut bytes, AREAS[2] + 8, &0xFFFF_u16.to_le_bytes());
    let Err(ReadMetadataError::AllCopiesDamaged { copies, scanned_bytes }) = Metadata::read(&device(bytes))
    else {
        panic!("accepted");
    };
    assert!(matches!(copies[0].health, CopyHealth::WrongChecksum { .. }));
    assert_eq!(copies[1].health, CopyHealth::NoSignature);
    assert_eq!(copies[2].health, CopyHealth::WrongSize(0xFFFF * 16));
    assert_eq!(scanned_bytes, VOLUME_BYTES as u64);
}

#[test]
fn metadata_of_an_unknown_version_is_refused_as_such() {
    let mut bytes = volume_bytes();
    edit_blocks(&mut bytes, |block| put(block, 10, &3_u16.to_le_bytes()));
    assert!(matches!(Metadata::read(&device(bytes)), Err(ReadMetadataError::UnknownVersion { version: 3 })));
}

#[test]
fn the_newest_of_good_copies_that_differ_is_taken() {
    let mut bytes = volume_bytes();
    edit_block(&mut bytes, AREAS[1], |block| put(block, 64 + 32, &1000_u32.to_le_bytes()));
    let metadata = Metadata::read(&device(bytes)).unwrap();
    assert_eq!(metadata.copy_used, 1);
    assert!(metadata.warnings.contains(&Warning::CopiesDiffer));
}

#[test]
fn a_block_that_says_it_lies_elsewhere_is_not_believed() {
    let mut bytes = volume_bytes();
    edit_block(&mut bytes, AREAS[0], |block| put(block, 32, &0x400_0000_u64.to_le_bytes()));
    let metadata = Metadata::read(&device(bytes)).unwrap();
    assert_eq!((metadata.copies[0].health.clone(), metadata.copy_used), (CopyHealth::Misplaced, 1));
}

#[test]
fn a_boot_sector_that_is_gone_is_made_up_for_by_a_search() {
    let mut bytes = volume_bytes();
    bytes[..512].fill(0);
    bytes[AREAS[0] + 100] ^= 1;
    let (metadata, volume) = open(&device(bytes.clone()));
    assert!(metadata.warnings.contains(&Warning::BootSectorDamaged));
    assert_eq!((metadata.copy_used, metadata.sector_bytes), (1, 512));
    assert_reads(&volume);
    let options = ReadOptions { scan_bytes_max: 33 << 20 };
    let Err(ReadMetadataError::NotBitLocker { found: None, scanned_bytes }) =
        Metadata::read_with(&device(bytes), options)
    else {
        panic!("found beyond the bound");
    };
    assert_eq!(scanned_bytes, 33 << 20);
}

#[test]
fn offsets_in_the_boot_sector_that_lead_nowhere_are_made_up_for_by_a_search() {
    let mut bytes = volume_bytes();
    put(&mut bytes, 0xB0, &[0xFF; 24]);
    let (metadata, volume) = open(&device(bytes));
    assert_eq!(metadata.warnings, [Warning::BootSectorDamaged, Warning::OffsetsDiffer]);
    assert_reads(&volume);
}

/// A device some of whose sectors cannot be read.
struct BadSectors {
    below: MemoryDevice,
    bad: std::ops::Range<u64>,
    kind: ReadErrorKind,
}

impl ReadAt for BadSectors {
    fn length_bytes(&self) -> u64 {
        self.below.length_bytes()
    }

    fn sector_bytes(&self) -> u32 {
        512
    }

    fn read_exact_at(&self, buffer: &mut [u8], offset_bytes: u64) -> Result<(), ReadError> {
        check_range(offset_bytes, buffer.len(), self.length_bytes())?;
        if offset_bytes < self.bad.end && self.bad.start < offset_bytes + buffer.len() as u64 {
            let length_bytes = buffer.len();
            return Err(ReadError { offset_bytes, length_bytes, kind: self.kind, source: None });
        }
        self.below.read_exact_at(buffer, offset_bytes)
    }
}

#[test]
fn unreadable_sectors_cost_only_what_lies_in_them() {
    let bad = |range| BadSectors {
        below: MemoryDevice::new(volume_bytes(), 512),
        bad: range,
        kind: ReadErrorKind::Medium,
    };
    let boot_sector_is_bad = Metadata::read(&bad(0..512)).unwrap();
    assert!(boot_sector_is_bad.warnings.contains(&Warning::BootSectorDamaged));
    let area = AREAS[0] as u64;
    let copy_is_bad = Metadata::read(&bad(area + 512..area + 1024)).unwrap();
    assert_eq!(copy_is_bad.copies[0].health, CopyHealth::Unreadable(ReadErrorKind::Medium));
    let padding_is_bad = Metadata::read(&bad(area + 0x8000..area + 0x10000)).unwrap();
    assert_eq!(padding_is_bad.warnings, []);
}

#[test]
fn a_device_that_is_gone_is_not_searched() {
    let gone = BadSectors {
        below: MemoryDevice::new(volume_bytes(), 512),
        bad: 0..u64::MAX,
        kind: ReadErrorKind::Gone,
    };
    let Err(ReadMetadataError::Read(error)) = Metadata::read(&gone) else { panic!() };
    assert_eq!(error.kind, ReadErrorKind::Gone);
}

#[test]
fn a_device_that_ends_early_is_served_as_far_as_it_goes() {
    let cut = (50 << 20) + 100;
    let mut bytes = volume_bytes();
    bytes.truncate(cut);
    let (metadata, volume) = open(&device(bytes));
    let truncated = Warning::Truncated { expected_bytes: VOLUME_BYTES as u64, found_bytes: cut as u64 };
    assert_eq!(metadata.warnings, [Warning::CopiesDamaged { damaged: 1 }, truncated]);
    assert_eq!(metadata.copies[2].health, CopyHealth::OutsideDevice);
    assert_eq!(volume.length_bytes(), 50 << 20);
    assert_reads(&volume);
    let beyond = volume.read_exact_at(&mut [0; 2], (50 << 20) - 1).unwrap_err();
    assert!(matches!(beyond.kind, ReadErrorKind::OutOfRange { .. }));
}

#[test]
fn other_file_systems_and_nothing_at_all_are_not_bitlocker() {
    let mut ntfs = vec![0; 1 << 20];
    put(&mut ntfs, 3, b"NTFS    ");
    put(&mut ntfs, 0x1FE, &[0x55, 0xAA]);
    let read = Metadata::read(&device(ntfs));
    assert!(matches!(read, Err(ReadMetadataError::NotBitLocker { found: Some("NTFS"), scanned_bytes: 0 })));
    assert!(matches!(
        Metadata::read(&device(vec![0; 511])),
        Err(ReadMetadataError::TooShort { length_bytes: 511 })
    ));
    let empty = Metadata::read(&device(vec![0; 3 << 20])).unwrap_err();
    assert!(matches!(empty, ReadMetadataError::NotBitLocker { found: None, scanned_bytes: 0x30_0000 }));
}

#[test]
fn metadata_that_was_tampered_with_is_reported_and_still_opens() {
    let mut bytes = volume_bytes();
    // The description's first letter, with a checksum that is right and a sealed hash that is not.
    edit_blocks(&mut bytes, |block| block[64 + 48 + 8] = b'X');
    let metadata = Metadata::read(&device(bytes)).unwrap();
    assert_eq!(metadata.description.as_deref(), Some("XTATION DATA 23/11/2026"));
    assert_eq!(metadata.unlock(&external_key()).unwrap().integrity(), Integrity::Tampered);
}

#[test]
fn boot_sector_and_metadata_that_disagree_are_reported() {
    let mut bytes = volume_bytes();
    put(&mut bytes, 0xC0, &0x100_0000_u64.to_le_bytes());
    let metadata = Metadata::read(&device(bytes)).unwrap();
    assert_eq!(metadata.warnings, [Warning::CopiesDamaged { damaged: 1 }, Warning::OffsetsDiffer]);
}

#[test]
fn places_that_cannot_be_are_refused_before_any_byte_is_served() {
    let refusal = |edit: &dyn Fn(&mut [u8])| {
        let mut bytes = volume_bytes();
        edit_blocks(&mut bytes, edit);
        let device = device(bytes);
        Metadata::read(&device).unwrap().map(&device).unwrap_err()
    };
    let virtualised = |value: u64| move |block: &mut [u8]| put(block, 56, &value.to_le_bytes());
    for place in [VOLUME_BYTES as u64, u64::MAX, u64::MAX - 0x1000, 0, 0x1000] {
        let refused = refusal(&virtualised(place));
        assert!(matches!(refused, OpenError::VirtualisedArea { .. }), "{place:#x}: {refused:?}");
    }
    let refused = refusal(&virtualised(VIRTUALISED as u64 + 1));
    assert!(matches!(refused, OpenError::Unaligned { what: "the virtualised area", .. }), "{refused:?}");
    let refused = refusal(&|block| put(block, 28, &u32::MAX.to_le_bytes()));
    assert!(matches!(refused, OpenError::VirtualisedArea { .. }), "{refused:?}");
    let refused = refusal(&|block| put(block, 12, &9_u16.to_le_bytes()));
    assert!(matches!(refused, OpenError::UnknownState { number: 9 }), "{refused:?}");
    let refused = refusal(&|block| {
        put(block, 12, &3_u16.to_le_bytes());
        put(block, 16, &0x10_0001_u64.to_le_bytes());
    });
    assert!(
        matches!(refused, OpenError::Unaligned { what: "the conversion's watermark", .. }),
        "{refused:?}"
    );
    let refused = refusal(&|block| put(block, 48, &0x100_0007_u64.to_le_bytes()));
    assert!(matches!(refused, OpenError::Unaligned { what: "a reserved area", .. }), "{refused:?}");
}

#[test]
fn datasets_and_datums_that_do_not_fit_are_malformed() {
    let health = |edit: &dyn Fn(&mut [u8])| {
        let mut bytes = volume_bytes();
        edit_block(&mut bytes, AREAS[0], edit);
        Metadata::read(&device(bytes)).unwrap().copies.remove(0).health
    };
    type Edit<'a> = &'a dyn Fn(&mut [u8]);
    let edits: [Edit<'_>; 6] = [
        &|block| put(block, 64, &u32::MAX.to_le_bytes()),
        &|block| put(block, 64, &0_u32.to_le_bytes()),
        &|block| put(block, 64 + 4, &2_u32.to_le_bytes()),
        &|block| put(block, 64 + 8, &0xFFFF_0000_u32.to_le_bytes()),
        &|block| put(block, 64 + 48, &7_u16.to_le_bytes()),
        &|block| put(block, 64 + 48, &0xFFFF_u16.to_le_bytes()),
    ];
    for (index, edit) in edits.into_iter().enumerate() {
        assert!(matches!(health(edit), CopyHealth::Malformed(_)), "edit {index}: {}", health(edit));
    }
}

#[test]
fn a_protector_whose_datums_are_impossible_does_not_hide_the_others() {
    let mut bytes = volume_bytes();
    // The recovery protector is the first datum behind the description; its first property follows
    // 8 bytes of header and 28 fixed bytes.
    edit_blocks(&mut bytes, |block| {
        let description = usize::from(u16::from_le_bytes([block[112], block[113]]));
        put(block, 112 + description + 8 + 28, &3_u16.to_le_bytes());
    });
    let metadata = Metadata::read(&device(bytes)).unwrap();
    assert_eq!(metadata.warnings, [Warning::BrokenProtectors { count: 1 }]);
    assert!(metadata.unlock(&external_key()).is_ok());
    let recovery = Secret::RecoveryPassword(RecoveryPassword::parse(recovery_password()).unwrap());
    assert!(matches!(metadata.unlock(&recovery), Err(UnlockError::NoSuchProtector { .. })));
}

#[test]
fn a_flood_of_protectors_is_not_tried_to_the_end() {
    let mut metadata = Metadata::read(&device(volume_bytes())).unwrap();
    let recovery = Secret::RecoveryPassword(RecoveryPassword::parse(recovery_password()).unwrap());
    assert_eq!(metadata.candidates(&recovery).len(), 1);
    for _ in 0..400 {
        let lock = protector::Lock::Closed;
        let (id, kind) = (metadata.volume_id, ProtectorKind::RecoveryPassword);
        metadata.protectors.push(Protector { id, kind, modified: FileTime(0), name: None, lock });
    }
    assert_eq!(metadata.candidates(&recovery).len(), 32);
}

#[test]
fn an_external_key_of_another_id_is_tried_on_every_protector() {
    let metadata = Metadata::read(&device(volume_bytes())).unwrap();
    let Secret::ExternalKey(key) = external_key() else { panic!() };
    let bare = Secret::ExternalKey(crate::ExternalKey::from_key(None, zeroize::Zeroizing::new(*key.key())));
    assert!(metadata.unlock(&bare).is_ok());
    let other = Secret::ExternalKey(crate::ExternalKey::from_key(None, zeroize::Zeroizing::new([1; 32])));
    let Err(UnlockError::KeyInvalid { tried, .. }) = metadata.unlock(&other) else { panic!() };
    assert_eq!(Some(tried[0].id), key.id());
    let Err(UnlockError::NoSuchProtector { present, .. }) = metadata.unlock(&Secret::ClearKey) else {
        panic!()
    };
    assert_eq!(present.len(), 2);
}

#[test]
fn a_sector_key_of_an_unknown_method_is_refused_as_such() {
    let device = device(volume_bytes());
    let mut metadata = Metadata::read(&device).unwrap();
    let Secret::ExternalKey(key) = external_key() else { panic!() };
    let vmk = metadata
        .protectors
        .iter()
        .find_map(|protector| match &protector.lock {
            protector::Lock::External { vmk, .. } => vmk.open_key_256(key.key()).ok(),
            _ => None,
        })
        .unwrap();
    let datum =
        datum::build(datum::Role(0), datum::DatumType::KEY, 0, &[&[0x06, 0x80, 0, 0][..], &[7; 64]].concat());
    metadata.fvek = Some(Sealed::seal(&vmk, [9; 12], &datum));
    let Err(UnlockError::UnknownMethod { method, key_bytes }) = metadata.unlock(&external_key()) else {
        panic!()
    };
    assert_eq!((method, key_bytes), (Method::Unknown(0x8006), 64));
    metadata.fvek = None;
    assert!(matches!(metadata.unlock(&external_key()), Err(UnlockError::SectorKeyDamaged { .. })));
}

#[test]
fn a_volume_and_its_cipher_are_shared_by_threads() {
    let device = device(volume_bytes());
    let (_, volume) = open(&device);
    let volume = Arc::new(volume);
    std::thread::scope(|scope| {
        for _ in 0..4 {
            scope.spawn(|| assert_reads(&volume));
        }
    });
    assert_eq!(block_bytes(&volume_bytes(), AREAS[0]) % 16, 0);
}
