//! Volumes in every state of conversion: the same file system, whichever parts of it are encrypted.

use std::sync::Arc;

use block::{ReadAt, ReadErrorKind, SharedDevice};
use proptest::prelude::*;

use super::*;
use crate::metadata::{Metadata, VolumeKind, Warning};
use crate::testing::{
    AREAS, PATTERN_BYTES, VIRTUALISED, VIRTUALISED_BYTES, VOLUME_BYTES, cipher, device, edit_block,
    edit_blocks, external_key, open, pattern, put, volume_bytes,
};
use crate::{RecoveryPassword, Secret};

/// Reads everything; reserved areas are zeros, the never written rest is noise that no conversion
/// changes.
fn read_all(volume: &dyn ReadAt) -> Vec<u8> {
    let mut all = vec![0; usize::try_from(volume.length_bytes()).unwrap()];
    volume.read_exact_at(&mut all, 0).unwrap();
    all
}

fn expected() -> Vec<u8> {
    let all = read_all(&open(&device(volume_bytes())).1);
    assert!(all[..PATTERN_BYTES] == pattern(PATTERN_BYTES));
    for (start, length) in
        AREAS.map(|area| (area, 0x10000)).into_iter().chain([(VIRTUALISED, VIRTUALISED_BYTES)])
    {
        assert!(all[start..start + length].iter().all(|byte| *byte == 0), "{start:#x}");
    }
    all
}

/// Turns a physical range into plaintext, the way a conversion does.
fn decrypt_in_place(bytes: &mut [u8], start: usize, end: usize) {
    let cipher = cipher();
    for at in (start..end).step_by(0x1000) {
        let is_metadata = AREAS.iter().any(|area| (*area..area + 0x10000).contains(&at));
        if !is_metadata {
            let end = end.min(at + 0x1000);
            cipher.decrypt(at as u64, &mut bytes[at..end]).unwrap();
        }
    }
}

fn set_state(bytes: &mut [u8], state: u16, watermark: usize) {
    edit_blocks(bytes, |block| {
        put(block, 12, &state.to_le_bytes());
        put(block, 16, &(watermark as u64).to_le_bytes());
    });
}

#[test]
fn a_paused_volume_is_encrypted_below_its_watermark_and_plain_above() {
    let expected = expected();
    // The second watermark lies below the moved head, which is then in the clear as well.
    for watermark in [40 << 20, 2 << 20] {
        let mut bytes = volume_bytes();
        decrypt_in_place(&mut bytes, watermark, VOLUME_BYTES);
        set_state(&mut bytes, 3, watermark);
        let (metadata, volume) = open(&device(bytes));
        assert_eq!(metadata.state, crate::ConversionState::Paused);
        assert_eq!(metadata.warnings, [Warning::ConversionInterrupted { kind: VolumeKind::Windows7 }]);
        assert!(read_all(&volume) == expected, "watermark {watermark:#x}");
    }
}

#[test]
fn the_conversion_log_at_the_watermark_reads_as_zeros() {
    let mut bytes = volume_bytes();
    let (watermark, log) = (2 << 20, 0x8000);
    decrypt_in_place(&mut bytes, watermark, VOLUME_BYTES);
    set_state(&mut bytes, 2, watermark);
    edit_blocks(&mut bytes, |block| put(block, 24, &(log as u32).to_le_bytes()));
    let mut expected = expected();
    expected[watermark..watermark + log].fill(0);
    assert!(read_all(&open(&device(bytes)).1) == expected);
}

#[test]
fn a_decrypted_volume_opens_with_any_secret_and_needs_no_cipher() {
    let mut bytes = volume_bytes();
    decrypt_in_place(&mut bytes, VIRTUALISED_BYTES, VOLUME_BYTES);
    set_state(&mut bytes, 1, 0);
    edit_blocks(&mut bytes, |block| put(block, 64 + 36, &[0; 4]));
    let device = device(bytes);
    let metadata = Metadata::read(&device).unwrap();
    assert!(metadata.is_decrypted());
    let words = zeroize::Zeroizing::new([3; 16]);
    let any = Secret::RecoveryPassword(RecoveryPassword::from_words(words));
    for secret in [any, Secret::ClearKey] {
        let key = metadata.unlock(&secret).unwrap();
        let volume = Volume::open(Arc::clone(&device), &metadata, &key).unwrap();
        assert!(volume.cipher().is_none());
        assert!(
            volume.segments(0, u64::MAX).all(|segment| !matches!(segment.source, Source::Encrypted { .. }))
        );
        assert!(read_all(&volume) == expected());
    }
}

#[test]
fn a_decrypted_volumes_key_does_not_open_an_encrypted_one() {
    let device = device(volume_bytes());
    let mut metadata = Metadata::read(&device).unwrap();
    metadata.state = crate::ConversionState::Decrypted;
    let no_key = metadata.unlock(&Secret::ClearKey).unwrap();
    metadata.state = crate::ConversionState::Encrypted;
    let refused = Volume::open(device, &metadata, &no_key).err().unwrap();
    assert!(matches!(refused, OpenError::Cipher(_)), "{refused:?}");
}

/// Builders of encrypt-on-write structures (spec §6).
mod eow {
    use super::*;

    pub(super) const CHUNK: usize = 1 << 20;
    pub(super) const INFORMATION: [usize; 2] = [0xA0_0000, 0xA1_0000];
    const FIRST_BITMAP: usize = 0xA2_0000;
    const FIRST_LOG: usize = 0xB0_0000;
    const LOG_BYTES: usize = 0x2000;

    pub(super) struct Region {
        pub(super) start: usize,
        pub(super) end: usize,
        pub(super) bits: Vec<bool>,
    }

    pub(super) fn bitmap_at(index: usize) -> usize {
        FIRST_BITMAP + index * 0x1000
    }

    /// The ranges that read as zeros because of these structures.
    pub(super) fn reserved(regions: usize) -> Vec<(usize, usize)> {
        let information = INFORMATION.map(|at| (at, 0x200));
        let bitmaps = (0..regions).map(|index| (bitmap_at(index), 0x600));
        let logs = (0..regions).map(|index| (FIRST_LOG + index * LOG_BYTES, LOG_BYTES));
        information.into_iter().chain(bitmaps).chain(logs).collect()
    }

    /// Regions as Windows lays them out: the file system before the moved head, the head alone, the
    /// rest in pieces.
    pub(super) fn regions(bit: impl Fn(usize) -> bool) -> Vec<Region> {
        let edges = [0x2000, VIRTUALISED, VIRTUALISED + VIRTUALISED_BYTES, 48 << 20, VOLUME_BYTES];
        let mut number = 0;
        edges
            .windows(2)
            .map(|edge| {
                let chunks = (edge[1] - edge[0]).div_ceil(CHUNK);
                let bits = (number..number + chunks).map(&bit).collect();
                number += chunks;
                Region { start: edge[0], end: edge[1], bits }
            })
            .collect()
    }

    fn seal(bytes: &mut [u8], crc_at: usize) {
        bytes[crc_at..crc_at + 4].fill(0);
        let crc = crc32fast::hash(bytes).to_le_bytes();
        put(bytes, crc_at, &crc);
    }

    pub(super) fn information(own: [usize; 2], bitmaps: &[usize]) -> Vec<u8> {
        information_of_chunks(CHUNK, own, bitmaps)
    }

    pub(super) fn information_of_chunks(chunk: usize, own: [usize; 2], bitmaps: &[usize]) -> Vec<u8> {
        let mut bytes = vec![0; 0x38 + bitmaps.len() * 8];
        let size = bytes.len() as u16;
        put(&mut bytes, 0, b"FVE-EOW\0");
        put(&mut bytes, 8, &0x38_u16.to_le_bytes());
        put(&mut bytes, 10, &size.to_le_bytes());
        put(&mut bytes, 12, &512_u32.to_le_bytes());
        put(&mut bytes, 20, &(chunk as u32).to_le_bytes());
        put(&mut bytes, 24, &(LOG_BYTES as u32).to_le_bytes());
        put(&mut bytes, 32, &(bitmaps.len() as u32).to_le_bytes());
        for (index, at) in own.into_iter().chain(bitmaps.iter().copied()).enumerate() {
            put(&mut bytes, 40 + index * 8, &(at as u64).to_le_bytes());
        }
        seal(&mut bytes, 36);
        bytes
    }

    pub(super) fn record(bits: &[bool], sequence: u64) -> Vec<u8> {
        let mut bytes = vec![0; 0x24 + bits.len().div_ceil(8)];
        let size = bytes.len() as u32;
        put(&mut bytes, 0, b"FVE-EOWBR\0");
        put(&mut bytes, 10, &0x24_u16.to_le_bytes());
        put(&mut bytes, 12, &size.to_le_bytes());
        put(&mut bytes, 16, &(bits.len() as u32).to_le_bytes());
        put(&mut bytes, 20, &sequence.to_le_bytes());
        for (index, _) in bits.iter().enumerate().filter(|(_, bit)| **bit) {
            bytes[0x24 + index / 8] |= 1 << (index % 8);
        }
        seal(&mut bytes, 32);
        bytes
    }

    pub(super) fn bitmap(index: usize, region: &Region) -> Vec<u8> {
        let mut bytes = vec![0; 0x600];
        put(&mut bytes, 0, b"FVE-EOWBM\0");
        put(&mut bytes, 10, &0x3C_u16.to_le_bytes());
        put(&mut bytes, 12, &0x600_u32.to_le_bytes());
        put(&mut bytes, 16, &(index as u32).to_le_bytes());
        put(&mut bytes, 20, &(region.start as u64).to_le_bytes());
        put(&mut bytes, 28, &((region.end - region.start) as u64).to_le_bytes());
        put(&mut bytes, 36, &((FIRST_LOG + index * LOG_BYTES) as u64).to_le_bytes());
        put(&mut bytes, 44, &0x200_u32.to_le_bytes());
        put(&mut bytes, 48, &0x400_u32.to_le_bytes());
        put(&mut bytes, 52, &0x200_u32.to_le_bytes());
        seal(&mut bytes[..0x200], 56);
        // The older record says the opposite of the newer one.
        let opposite: Vec<bool> = region.bits.iter().map(|bit| !bit).collect();
        put(&mut bytes, 0x200, &record(&opposite, 6));
        put(&mut bytes, 0x400, &record(&region.bits, 7));
        bytes
    }

    /// The test volume in the middle of a conversion.
    pub(super) fn volume(regions: &[Region]) -> Vec<u8> {
        let mut bytes = volume_bytes();
        for region in regions {
            for (start, _) in
                (region.start..region.end).step_by(CHUNK).zip(&region.bits).filter(|(_, bit)| !**bit)
            {
                decrypt_in_place(&mut bytes, start, region.end.min(start + CHUNK));
            }
        }
        // The extended flags begin 8 bytes behind "5, 76".
        edit_blocks(&mut bytes, |block| {
            let extended = block.windows(4).rposition(|window| window == [5, 0, 76, 0]).unwrap();
            block[extended + 8] |= 0x40;
        });
        // 92a84d3b-dd80-4d0e-9e4e-b1e3284eaed8
        let guid =
            [0x3b, 0x4d, 0xa8, 0x92, 0x80, 0xdd, 0x0e, 0x4d, 0x9e, 0x4e, 0xb1, 0xe3, 0x28, 0x4e, 0xae, 0xd8];
        put(&mut bytes, 0xA0, &guid);
        let bitmaps: Vec<usize> = (0..regions.len()).map(bitmap_at).collect();
        for (index, at) in INFORMATION.into_iter().enumerate() {
            put(&mut bytes, 0xC8 + index * 8, &(at as u64).to_le_bytes());
            let information = information(INFORMATION, &bitmaps);
            put(&mut bytes, at, &information);
        }
        for (index, region) in regions.iter().enumerate() {
            put(&mut bytes, bitmap_at(index), &bitmap(index, region));
        }
        bytes
    }

    pub(super) fn refusal(bytes: Vec<u8>) -> crate::ConversionMapError {
        let device = device(bytes);
        match Metadata::read(&device).unwrap().map(&device) {
            Err(OpenError::ConversionMap(error)) => error,
            other => panic!("{other:?}"),
        }
    }
}

#[test]
fn encrypt_on_write_chunks_are_encrypted_as_the_newest_bitmap_says() {
    let mut expected = expected();
    for (start, length) in eow::reserved(4) {
        expected[start..start + length].fill(0);
    }
    // The moved head is chunk 34: encrypted in one round, plain in the other.
    for odd in [0, 1] {
        let bytes = eow::volume(&eow::regions(|chunk| (chunk / 3 + chunk) % 2 == odd));
        let (metadata, volume) = open(&device(bytes));
        assert_eq!(metadata.kind, VolumeKind::EncryptOnWrite);
        assert!(read_all(&volume) == expected, "round {odd}");
        let encrypted =
            volume.segments(0, u64::MAX).filter(|one| matches!(one.source, Source::Encrypted { .. }));
        assert!(encrypted.count() > 10);
    }
}

#[test]
fn a_torn_record_gives_way_to_the_older_one() {
    let regions = eow::regions(|_| true);
    let mut bytes = eow::volume(&regions);
    // The newer record of the last region is torn; the older one says: plaintext.
    bytes[eow::bitmap_at(3) + 0x400 + 0x24] ^= 1;
    let (_, volume) = open(&device(bytes));
    let last = volume.segments(VOLUME_BYTES as u64 - 512, 512).next().unwrap();
    assert!(matches!(last.source, Source::Plain { .. }), "{last:?}");
    let first = volume.segments(0x2000, 512).next().unwrap();
    assert!(matches!(first.source, Source::Encrypted { .. }), "{first:?}");
}

#[test]
fn the_second_copy_of_the_information_stands_in_for_the_first() {
    let mut bytes = eow::volume(&eow::regions(|_| true));
    bytes[eow::INFORMATION[0] + 20] ^= 1;
    open(&device(bytes));
}

#[test]
fn a_map_that_does_not_add_up_is_refused_with_its_place() {
    let regions = || eow::regions(|_| true);
    let mut both_records_torn = eow::volume(&regions());
    both_records_torn[eow::bitmap_at(1) + 0x200 + 32] ^= 1;
    both_records_torn[eow::bitmap_at(1) + 0x400 + 32] ^= 1;
    assert_eq!(eow::refusal(both_records_torn).offset_bytes, eow::bitmap_at(1) as u64);

    let mut bitmap_changed = eow::volume(&regions());
    bitmap_changed[eow::bitmap_at(2) + 21] ^= 1;
    assert_eq!(eow::refusal(bitmap_changed).offset_bytes, eow::bitmap_at(2) as u64);

    let mut no_information = eow::volume(&regions());
    eow::INFORMATION.iter().for_each(|at| no_information[*at..at + 8].fill(0));
    assert_eq!(eow::refusal(no_information).offset_bytes, eow::INFORMATION[1] as u64);

    let mut overlapping = regions();
    overlapping[3].start -= 0x10_0000;
    overlapping[3].bits.push(true);
    assert_eq!(eow::refusal(eow::volume(&overlapping)).what, "two regions that overlap");

    let mut with_a_gap = regions();
    with_a_gap[3].start += 0x10_0000;
    let gap = eow::refusal(eow::volume(&with_a_gap));
    assert_eq!((gap.offset_bytes, gap.what), (48 << 20, "no region covers the volume"));

    let mut too_few_bits = regions();
    too_few_bits[0].bits.pop();
    assert_eq!(eow::refusal(eow::volume(&too_few_bits)).what, "a bitmap of which neither record is whole");

    let mut odd_chunks = eow::volume(&regions());
    for at in eow::INFORMATION {
        let bitmaps: Vec<usize> = (0..4).map(eow::bitmap_at).collect();
        put(&mut odd_chunks, at, &eow::information_of_chunks(eow::CHUNK + 1, eow::INFORMATION, &bitmaps));
    }
    assert_eq!(eow::refusal(odd_chunks).what, "chunks that are not whole sectors");

    let mut unaligned = regions();
    unaligned[3].end -= 100;
    assert_eq!(
        eow::refusal(eow::volume(&unaligned)).what,
        "a region that does not begin and end with a sector"
    );
}

#[test]
fn a_lost_boot_sector_of_an_encrypt_on_write_volume_is_made_up_for_by_a_search() {
    let mut bytes = eow::volume(&eow::regions(|chunk| chunk % 2 == 0));
    bytes[..512].fill(0);
    let (metadata, volume) = open(&device(bytes));
    assert_eq!(metadata.kind, VolumeKind::EncryptOnWrite);
    let mut head = vec![0; 0x4000];
    volume.read_exact_at(&mut head, 0).unwrap();
    assert!(head == pattern(0x4000));
}

#[test]
fn without_boot_sector_and_information_an_encrypt_on_write_volume_is_refused() {
    let mut bytes = eow::volume(&eow::regions(|chunk| chunk % 2 == 0));
    bytes[..512].fill(0);
    eow::INFORMATION.iter().for_each(|at| bytes[*at..at + 8].fill(0));
    assert_eq!(eow::refusal(bytes).what, "no information structure");
}

/// The test volume in Vista's layout: metadata of version 1, the head in place and in the clear.
fn vista_bytes() -> Vec<u8> {
    const MFT_MIRROR: u64 = 0x1234;
    let mut bytes = volume_bytes();
    let head = pattern(VIRTUALISED_BYTES);
    put(&mut bytes, 0, &head);
    put(&mut bytes, 3, b"-FVE-FS-");
    put(&mut bytes, 0x0B, &[0, 2, 8]);
    put(&mut bytes, 0x38, &(AREAS[0] as u64 / 4096).to_le_bytes());
    // The moved head's place is ordinary space now.
    bytes[VIRTUALISED..VIRTUALISED + VIRTUALISED_BYTES].fill(0);
    for area in AREAS {
        let length = crate::testing::block_bytes(&bytes, area);
        edit_block(&mut bytes, area, |block| {
            put(block, 28, &[0; 4]);
            put(block, 56, &MFT_MIRROR.to_le_bytes());
            put(block, 16, &[0; 8]);
        });
        put(&mut bytes, area + 8, &(length as u16).to_le_bytes());
        put(&mut bytes, area + 10, &1_u16.to_le_bytes());
        let checksum = crc32fast::hash(&bytes[area..area + length]).to_le_bytes();
        put(&mut bytes, area + length + 4, &checksum);
    }
    // The backup of the boot sector, in the last sector, was encrypted with the rest.
    let mut backup = head[..512].to_vec();
    put(&mut backup, 3, b"-FVE-FS-");
    cipher().encrypt((VOLUME_BYTES - 512) as u64, &mut backup).unwrap();
    put(&mut bytes, VOLUME_BYTES - 512, &backup);
    bytes
}

#[test]
fn a_vista_volume_gets_its_boot_sectors_back() {
    let (metadata, volume) = open(&device(vista_bytes()));
    assert_eq!((metadata.kind, metadata.copies.len()), (VolumeKind::Vista, 3));
    assert_eq!(metadata.warnings, []);
    let all = read_all(&volume);
    for start in [0, VOLUME_BYTES - 512] {
        assert_eq!(&all[start + 3..start + 11], b"NTFS    ");
        assert_eq!(all[start + 0x38..start + 0x40], 0x1234_u64.to_le_bytes());
    }
    let pattern = pattern(PATTERN_BYTES);
    assert!(all[512..PATTERN_BYTES] == pattern[512..]);
    let area = AREAS[1];
    assert!(all[area..area + 0x4000].iter().all(|byte| *byte == 0), "Vista's areas are 16 KiB");
    assert!(all[area + 0x4000..area + 0x8000].iter().any(|byte| *byte != 0));
    let mut part = [0; 16];
    volume.read_exact_at(&mut part, 0x30).unwrap();
    assert_eq!(part[8..], 0x1234_u64.to_le_bytes());
}

#[test]
fn a_vista_volume_whose_first_copy_is_damaged_is_found_by_a_search() {
    let mut bytes = vista_bytes();
    bytes[AREAS[0] + 80] ^= 1;
    let (metadata, volume) = open(&device(bytes));
    assert_eq!(metadata.copy_used, 1);
    assert_eq!(&read_all(&volume)[3..11], b"NTFS    ");
}

#[test]
fn errors_of_the_device_come_through_with_their_place() {
    struct Bad(SharedDevice);
    impl ReadAt for Bad {
        fn length_bytes(&self) -> u64 {
            self.0.length_bytes()
        }
        fn sector_bytes(&self) -> u32 {
            512
        }
        fn read_exact_at(&self, buffer: &mut [u8], offset_bytes: u64) -> Result<(), ReadError> {
            if offset_bytes == 0x30_0000 {
                let (length_bytes, kind) = (buffer.len(), ReadErrorKind::Medium);
                return Err(ReadError { offset_bytes, length_bytes, kind, source: None });
            }
            self.0.read_exact_at(buffer, offset_bytes)
        }
    }
    let device: SharedDevice = Arc::new(Bad(device(volume_bytes())));
    let (_, volume) = open(&device);
    let error = volume.read_exact_at(&mut [0; 100], 0x30_0010).unwrap_err();
    assert_eq!((error.kind, error.offset_bytes), (ReadErrorKind::Medium, 0x30_0000));
}

/// One volume for all cases: opening it takes longer than reading it.
fn shared() -> &'static (Volume, Vec<u8>) {
    static SHARED: std::sync::OnceLock<(Volume, Vec<u8>)> = std::sync::OnceLock::new();
    SHARED.get_or_init(|| {
        let device = device(eow::volume(&eow::regions(|chunk| chunk % 3 != 0)));
        let (metadata, volume) = open(&device);
        assert!(metadata.unlock(&external_key()).is_ok());
        let all = read_all(&volume);
        (volume, all)
    })
}

proptest! {
    #[test]
    fn a_read_of_any_place_and_length_is_a_part_of_the_whole(
        offset in prop_oneof![0..0x6000_usize, 0x20F_F000..0x212_4000_usize, 0x9F_F000..0xA3_0000_usize, 0..VOLUME_BYTES],
        length in 0..0x3000_usize,
    ) {
        let (volume, all) = shared();
        let length = length.min(VOLUME_BYTES - offset);
        let mut found = vec![0; length];
        volume.read_exact_at(&mut found, offset as u64).unwrap();
        prop_assert!(found == all[offset..offset + length]);
    }

    #[test]
    fn segments_cover_a_range_once_and_stay_inside_the_device(offset in 0..VOLUME_BYTES as u64, length: u32) {
        let (volume, _) = shared();
        let end = (offset + u64::from(length)).min(VOLUME_BYTES as u64);
        let mut position = offset;
        for segment in volume.segments(offset, u64::from(length)) {
            prop_assert_eq!(segment.logical_offset_bytes, position);
            prop_assert!(segment.length_bytes > 0);
            position += segment.length_bytes;
            if let Source::Plain { physical_offset_bytes } | Source::Encrypted { physical_offset_bytes } = segment.source {
                prop_assert!(physical_offset_bytes + segment.length_bytes <= VOLUME_BYTES as u64);
                prop_assert_eq!(physical_offset_bytes % 512, segment.logical_offset_bytes % 512);
            }
        }
        prop_assert_eq!(position, end);
    }
}

#[test]
fn every_volume_keeps_the_contract_of_a_device() {
    let (volume, all) = shared();
    block::conformance::check(volume, all).unwrap();
    let (_, vista) = open(&device(vista_bytes()));
    let content = read_all(&vista);
    block::conformance::check(&vista, &content).unwrap();
}
