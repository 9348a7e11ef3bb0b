//! Tables built here byte by byte, whole and then damaged one thing at a time.

use std::sync::Arc;

use proptest::prelude::*;

use super::*;
use crate::{FaultyDevice, MemoryDevice};

const DISK_BYTES: usize = 4 << 20;

struct Disk {
    bytes: Vec<u8>,
    sector: usize,
}

impl Disk {
    fn new(sector: usize) -> Disk {
        Disk { bytes: vec![0; DISK_BYTES], sector }
    }

    fn put(&mut self, offset: usize, bytes: &[u8]) -> &mut Disk {
        self.bytes[offset..offset + bytes.len()].copy_from_slice(bytes);
        self
    }

    /// An MBR entry, or one of a link, in the sector at `lba`.
    fn entry(
        &mut self,
        lba: u64,
        index: usize,
        flag: u8,
        type_byte: u8,
        start: u32,
        count: u32,
    ) -> &mut Disk {
        let at = lba as usize * self.sector;
        let mut entry = [0; 16];
        entry[0] = flag;
        entry[4] = type_byte;
        entry[8..12].copy_from_slice(&start.to_le_bytes());
        entry[12..].copy_from_slice(&count.to_le_bytes());
        self.put(at + 0x1BE + 16 * index, &entry).put(at + 510, &[0x55, 0xAA])
    }

    /// Both copies of a GPT and the protective MBR.
    fn gpt(sector: usize, partitions: &[(u32, Guid, u64, u64, &str)]) -> Disk {
        let mut disk = Disk::new(sector);
        let mut entries = vec![0; 128 * 128];
        for &(number, type_guid, first, last, name) in partitions {
            let entry = &mut entries[(number as usize - 1) * 128..][..128];
            entry[..16].copy_from_slice(&type_guid.0);
            entry[16..32].copy_from_slice(&[number as u8; 16]);
            entry[32..40].copy_from_slice(&first.to_le_bytes());
            entry[40..48].copy_from_slice(&last.to_le_bytes());
            for (unit, place) in name.encode_utf16().zip(entry[56..].chunks_mut(2)) {
                place.copy_from_slice(&unit.to_le_bytes());
            }
        }
        let last = (DISK_BYTES / sector - 1) as u64;
        let array = (entries.len() / sector) as u64;
        disk.put(2 * sector, &entries).put((last - array) as usize * sector, &entries);
        disk.header(1, last, 2, &entries).header(last, 1, last - array, &entries);
        disk.entry(0, 0, 0, 0xEE, 1, u32::MAX);
        disk
    }

    fn header(&mut self, lba: u64, other: u64, array: u64, entries: &[u8]) -> &mut Disk {
        let mut header = vec![0; 92];
        header[..8].copy_from_slice(b"EFI PART");
        header[8..12].copy_from_slice(&0x10000_u32.to_le_bytes());
        header[12..16].copy_from_slice(&92_u32.to_le_bytes());
        header[24..32].copy_from_slice(&lba.to_le_bytes());
        header[32..40].copy_from_slice(&other.to_le_bytes());
        header[72..80].copy_from_slice(&array.to_le_bytes());
        header[80..84].copy_from_slice(&128_u32.to_le_bytes());
        header[84..88].copy_from_slice(&128_u32.to_le_bytes());
        header[88..92].copy_from_slice(&crc32fast::hash(entries).to_le_bytes());
        let at = lba as usize * self.sector;
        self.put(at, &header).sign(lba)
    }

    /// Makes the header's sum right again.
    fn sign(&mut self, lba: u64) -> &mut Disk {
        let at = lba as usize * self.sector;
        self.put(at + 16, &[0; 4]);
        let sum = crc32fast::hash(&self.bytes[at..at + 92]);
        self.put(at + 16, &sum.to_le_bytes())
    }

    fn read_as(&self, sector_bytes: u32) -> Result<PartitionTable, PartitionError> {
        partition_table(&MemoryDevice::new(self.bytes.clone(), sector_bytes))
    }

    fn read(&self) -> PartitionTable {
        self.read_as(512).unwrap()
    }
}

fn places(table: &PartitionTable) -> Vec<(u32, u64, u64)> {
    table.partitions.iter().map(|one| (one.number, one.start_bytes, one.length_bytes)).collect()
}

fn windows_disk(sector: usize) -> Disk {
    Disk::gpt(
        sector,
        &[
            (1, Guid::MICROSOFT_RESERVED, 40, 47, "Microsoft reserved partition"),
            (4, Guid::BASIC_DATA, 64, 127, "Basic data partition – é"),
        ],
    )
}

fn last_lba(disk: &Disk) -> u64 {
    (DISK_BYTES / disk.sector - 1) as u64
}

#[test]
fn a_whole_gpt_is_read_under_both_sector_sizes() {
    for sector in [512, 4096] {
        let table = windows_disk(sector).read_as(sector as u32).unwrap();
        assert_eq!(table.scheme, Scheme::Gpt(GptCopy::Primary));
        assert_eq!((table.sector_bytes, &table.problems), (sector as u32, &Vec::new()));
        let size = sector as u64;
        assert_eq!(places(&table), [(1, 40 * size, 8 * size), (4, 64 * size, 64 * size)]);
        let expected = PartitionKind::Gpt {
            type_guid: Guid::BASIC_DATA,
            unique_guid: Guid([4; 16]),
            name: "Basic data partition – é".to_owned(),
            attributes: 0,
        };
        assert_eq!(table.partitions[1].kind, expected);
    }
    assert_eq!(Guid::BASIC_DATA.to_string(), "EBD0A0A2-B9E5-4433-87C0-68B6B72699C7");
}

#[test]
fn an_image_of_a_4096_byte_sector_drive_is_read_through_a_512_byte_file_and_the_other_way_round() {
    let table = windows_disk(4096).read_as(512).unwrap();
    assert_eq!((table.sector_bytes, places(&table)[1].1), (4096, 64 * 4096));
    assert_eq!(windows_disk(512).read_as(4096).unwrap().sector_bytes, 512);
}

#[test]
fn each_damage_of_the_primary_copy_leads_to_the_backup_and_is_named() {
    type Damage = fn(&mut Disk) -> &mut Disk;
    let cases: [(Damage, GptFault); 7] = [
        (|disk| disk.put(512, b"EFI BART"), GptFault::NoHeader),
        (|disk| disk.put(512 + 40, &[1]), GptFault::HeaderChecksum),
        (|disk| disk.put(1024 + 8, &[1]), GptFault::EntriesChecksum),
        (|disk| disk.put(512 + 12, &[91, 0, 0, 0]).sign(1), GptFault::Sizes),
        (|disk| disk.put(512 + 24, &[7]).sign(1), GptFault::Misplaced { found_lba: 7 }),
        (|disk| disk.put(512 + 84, &[129]).sign(1), GptFault::Sizes),
        (|disk| disk.put(512 + 80, &[0xFF; 4]).sign(1), GptFault::Sizes),
    ];
    for (damage, fault) in cases {
        let mut disk = windows_disk(512);
        damage(&mut disk);
        let table = disk.read();
        assert_eq!(table.scheme, Scheme::Gpt(GptCopy::Backup), "{fault}");
        assert_eq!(table.problems, [TableProblem::PrimaryDamaged(fault)]);
        assert_eq!(places(&table), places(&windows_disk(512).read()));
    }
}

#[test]
fn a_damaged_backup_is_named_and_does_not_count() {
    let mut disk = windows_disk(512);
    let last = last_lba(&disk) as usize;
    disk.put(last * 512, &[0; 512]);
    let table = disk.read();
    assert_eq!(table.scheme, Scheme::Gpt(GptCopy::Primary));
    assert_eq!(table.problems, [TableProblem::BackupDamaged(GptFault::NoHeader)]);
    assert_eq!(table.partitions.len(), 2);
}

#[test]
fn a_gpt_with_both_copies_damaged_is_an_error_with_both_reasons() {
    let mut disk = windows_disk(512);
    let last = last_lba(&disk) as usize;
    disk.put(512 + 40, &[1]).put(last * 512, &[0; 8]);
    match disk.read_as(512) {
        Err(PartitionError::GptDamaged { primary, backup }) => {
            assert_eq!((primary, backup), (GptFault::HeaderChecksum, GptFault::NoHeader));
        }
        other => panic!("{other:?}"),
    }
}

#[test]
fn an_entry_array_far_away_or_huge_is_a_fault_not_an_allocation() {
    let mut disk = windows_disk(512);
    disk.put(512 + 72, &[0xFF; 8]).sign(1);
    assert!(matches!(disk.read().problems[0], TableProblem::PrimaryDamaged(GptFault::Unreadable { .. })));
    disk.put(512 + 80, &0x0200_0000_u32.to_le_bytes()).sign(1);
    assert_eq!(disk.read().problems, [TableProblem::PrimaryDamaged(GptFault::Sizes)]);
}

#[test]
fn a_gpt_whose_protective_mbr_was_wiped_is_still_found() {
    let mut disk = windows_disk(512);
    disk.put(0, &[0; 512]);
    assert_eq!(disk.read().problems, [TableProblem::NoProtectiveMbr]);
    disk.put(512, &[0; 8192]);
    let table = disk.read();
    assert_eq!(table.scheme, Scheme::Gpt(GptCopy::Backup));
    assert_eq!(table.partitions.len(), 2);
}

#[test]
fn an_ordinary_mbr_counts_even_before_a_left_over_gpt() {
    let mut disk = windows_disk(512);
    disk.entry(0, 0, 0x80, 0x07, 2048, 100);
    let table = disk.read();
    assert_eq!((table.scheme, places(&table)), (Scheme::Mbr, vec![(1, 2048 * 512, 100 * 512)]));
}

#[test]
fn partitions_outside_the_device_are_named_and_not_listed() {
    let last = u64::MAX;
    let disk = Disk::gpt(
        512,
        &[
            (1, Guid::BASIC_DATA, 64, 127, ""),
            (2, Guid::BASIC_DATA, 128, 8192, ""),
            (3, Guid::BASIC_DATA, 200, 199, ""),
            (5, Guid::BASIC_DATA, 0, last, ""),
            (6, Guid::BASIC_DATA, last, last, ""),
            (7, Guid::BASIC_DATA, 128, 8191, ""),
        ],
    );
    let table = disk.read();
    assert_eq!(places(&table).iter().map(|place| place.0).collect::<Vec<_>>(), [1, 7]);
    let outside = |number, first_lba, last_lba| TableProblem::OutsideDevice { number, first_lba, last_lba };
    assert_eq!(
        table.problems,
        [outside(2, 128, 8192), outside(3, 200, 199), outside(5, 0, last), outside(6, last, last)]
    );
}

#[test]
fn overlapping_partitions_are_named_and_listed() {
    let disk = Disk::gpt(
        512,
        &[
            (1, Guid::BASIC_DATA, 64, 1000, ""),
            (2, Guid::BASIC_DATA, 70, 80, ""),
            (3, Guid::BASIC_DATA, 1000, 1100, ""),
            (4, Guid::BASIC_DATA, 1101, 1102, ""),
        ],
    );
    let table = disk.read();
    assert_eq!(table.partitions.len(), 4);
    let overlap = |first, second| TableProblem::Overlap { first, second };
    assert_eq!(table.problems, [overlap(1, 2), overlap(1, 3)]);
}

#[test]
fn primary_and_logical_partitions_of_an_mbr_are_numbered_as_linux_does() {
    let mut disk = Disk::new(512);
    disk.entry(0, 0, 0x80, 0x07, 100, 50).entry(0, 2, 0, 0x0F, 1000, 2000);
    disk.entry(1000, 0, 0, 0x07, 10, 90).entry(1000, 1, 0, 0x05, 200, 100);
    disk.entry(1200, 0, 0, 0x0C, 5, 20);
    let table = disk.read();
    assert_eq!(table.problems, []);
    assert_eq!(places(&table), [(1, 51_200, 25_600), (5, 1010 * 512, 90 * 512), (6, 1205 * 512, 20 * 512)]);
    assert_eq!(table.partitions[0].kind, PartitionKind::Mbr { type_byte: 7, active: true });
}

#[test]
fn a_chain_that_comes_back_or_leads_away_is_broken_off() {
    let mut disk = Disk::new(512);
    disk.entry(0, 0, 0, 0x05, 1000, 500);
    disk.entry(1000, 0, 0, 0x07, 1, 10).entry(1000, 1, 0, 0x05, 100, 50);
    disk.entry(1100, 0, 0, 0x07, 1, 10).entry(1100, 1, 0, 0x05, 0, 500);
    let table = disk.read();
    assert_eq!(table.problems, [TableProblem::BrokenChain { lba: 1000 }]);
    assert_eq!(table.partitions.len(), 2);
    disk.entry(1100, 1, 0, 0x05, 500, 1);
    assert_eq!(disk.read().problems, [TableProblem::BrokenChain { lba: 1500 }]);
    disk.entry(1100, 1, 0, 0x05, 200, 1);
    assert_eq!(disk.read().problems, [TableProblem::BrokenChain { lba: 1200 }], "a link without signature");
}

#[test]
fn a_chain_of_thousands_of_links_is_broken_off() {
    let mut disk = Disk::new(512);
    disk.entry(0, 0, 0, 0x05, 1, 8000);
    for link in 1..8000 {
        disk.entry(link, 1, 0, 0x05, link as u32, 1);
    }
    assert_eq!(disk.read().problems, [TableProblem::BrokenChain { lba: 129 }]);
}

#[test]
fn an_mbr_of_a_4096_byte_sector_image_is_known_by_the_volume_that_it_points_to() {
    let mut disk = Disk::new(512);
    disk.entry(0, 0, 0, 0x07, 256, 512);
    assert_eq!(disk.read().sector_bytes, 512);
    disk.put(256 * 4096, b"\xEB\x58\x90-FVE-FS-");
    let table = disk.read();
    assert_eq!((table.sector_bytes, places(&table)), (4096, vec![(1, 1 << 20, 2 << 20)]));
    disk.put(256 * 512, b"\xEB\x52\x90NTFS    ");
    assert_eq!(disk.read().sector_bytes, 512);
}

#[test]
fn a_bare_volume_is_no_mbr_although_it_ends_like_one() {
    for (name, boot) in [
        (&b"\xEB\x58\x90-FVE-FS-"[..], BootSector::BitLocker),
        (b"\xEB\x52\x90NTFS    ", BootSector::Ntfs),
        (b"\xEB\x76\x90EXFAT   ", BootSector::ExFat),
    ] {
        let mut disk = Disk::new(512);
        // Boot code that happens to look like an entry.
        disk.entry(0, 0, 0x80, 0x07, 1, 5).put(0, name);
        let table = disk.read();
        assert_eq!((table.scheme, table.partitions.len()), (Scheme::None(boot), 0));
        assert_eq!(table.sector_bytes, 512);
        disk.put(0x0B, &4096_u16.to_le_bytes()).put(0x6C, &[12]);
        assert_eq!(disk.read().sector_bytes, 4096, "the volume knows better than an image file");
        disk.put(0x0B, &7_u16.to_le_bytes()).put(0x6C, &[0xFF]);
        assert_eq!(disk.read().sector_bytes, 512);
    }
}

#[test]
fn a_fat_volume_is_known_by_its_parameters_and_boot_code_alone_is_not() {
    let mut disk = Disk::new(512);
    disk.entry(0, 0, 0x80, 0x0C, 1, 5).put(0, b"\xEB\x58\x90MSWIN4.1");
    assert_eq!(disk.read().scheme, Scheme::Mbr, "a jump and a name are not enough");
    disk.put(0x0B, &512_u16.to_le_bytes())
        .put(0x0D, &[8, 32, 0, 2])
        .put(0x15, &[0xF8])
        .put(0x52, b"FAT32   ");
    assert_eq!(disk.read().scheme, Scheme::None(BootSector::Fat));
}

#[test]
fn blank_tiny_and_entryless_devices_have_no_table() {
    for bytes in [vec![], vec![0; 511], vec![0; 512], vec![0xFF; 1 << 20]] {
        let table = partition_table(&MemoryDevice::new(bytes, 512)).unwrap();
        assert_eq!(table.scheme, Scheme::None(BootSector::Unknown));
    }
    let mut disk = Disk::new(512);
    disk.put(510, &[0x55, 0xAA]);
    assert_eq!(disk.read().scheme, Scheme::None(BootSector::Unknown));
}

#[test]
fn an_unreadable_primary_copy_leads_to_the_backup_and_a_vanished_drive_to_an_error() {
    let disk = windows_disk(512);
    let (device, faults) = FaultyDevice::new(Arc::new(MemoryDevice::new(disk.bytes, 512)));
    faults.fail(512..1024);
    let table = partition_table(&device).unwrap();
    assert_eq!(table.scheme, Scheme::Gpt(GptCopy::Backup));
    assert_eq!(table.problems, [TableProblem::PrimaryDamaged(GptFault::Unreadable { offset_bytes: 512 })]);
    faults.heal();
    faults.vanish_after(1);
    assert!(
        matches!(partition_table(&device), Err(PartitionError::Read(error)) if error.kind == ReadErrorKind::Gone)
    );
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(300))]

    /// Bytes changed anywhere in the table's sectors, sums put right again or not.
    #[test]
    fn no_damage_makes_a_panic_or_a_partition_outside_the_device(
        changes in prop::collection::vec((0_usize..2048, any::<u8>()), 0..40),
        fill in prop::collection::vec(any::<u8>(), 64),
        has_gpt: bool, is_signed: bool, sector_bytes in prop::sample::select(vec![512_u32, 4096]),
    ) {
        let mut disk = if has_gpt { windows_disk(512) } else { Disk::new(512) };
        if !has_gpt {
            disk.entry(0, 3, 0, 0x05, 1, 8000).put(0x1BE, &fill[..48]);
            disk.put(512 + 0x1BE, &fill).put(1022, &[0x55, 0xAA]);
        }
        for (offset, byte) in changes {
            disk.put(offset, &[byte]);
        }
        if has_gpt && is_signed {
            let sum = crc32fast::hash(&disk.bytes[1024..1024 + 128 * 128]);
            disk.put(512 + 88, &sum.to_le_bytes()).sign(1);
        }
        if let Ok(table) = disk.read_as(sector_bytes) {
            for partition in &table.partitions {
                prop_assert!(partition.length_bytes > 0 && partition.end_bytes() <= DISK_BYTES as u64);
            }
            prop_assert!(table.problems.len() <= 1000);
        }
    }
}
