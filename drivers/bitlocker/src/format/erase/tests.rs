//! Drives that held something, formatted again and cut off at every write: what shows up is an old
//! volume with every byte, the new one with every byte, or nothing.

use std::sync::{Arc, Mutex};
use std::time::{Duration, SystemTime};

use block::partitions::{Guid, NewTable};
use block::{MemoryDevice, SharedDevice, Window};

use super::super::{Coverage, Formatter, Layout, Plan};
use super::*;
use crate::testing::Memory;
use crate::{ExternalKey, Metadata, Method, Secret, Volume};

const DRIVE_BYTES: u64 = 66 << 20;
const VOLUME_BYTES: u64 = 64 << 20;
const START: u64 = block::partitions::PARTITION_START_BYTES;

/// What the file systems hold from their first byte on.
const CONTENT_BYTES: usize = 1 << 20;

fn table(sector_bytes: u32) -> NewTable {
    let (drive_id, partition_id) = (Guid([1; 16]), Guid([2; 16]));
    NewTable { drive_bytes: DRIVE_BYTES, sector_bytes, drive_id, partition_id }
}

fn content(seed: u64) -> Vec<u8> {
    (0..CONTENT_BYTES as u64 / 8)
        .flat_map(|word| (word + seed).wrapping_mul(0x9E37_79B9_7F4A_7C15).to_le_bytes())
        .collect()
}

/// A formatter whose startup key opens without a key derivation.
fn formatter(volume_bytes: u64) -> Formatter {
    Formatter::new(Plan {
        layout: Layout::within_file_system(volume_bytes, 512).unwrap(),
        method: Method::AesXts128,
        description: "ERASE".to_owned(),
        password: None,
        recovery_password: None,
        has_external_key: true,
        coverage: Coverage::UsedSpaceOnly,
        first_sector_of_partition: 2048,
        time: SystemTime::UNIX_EPOCH + Duration::from_secs(1_795_000_000),
    })
    .unwrap()
}

/// A volume's key and contents, to look for it.
struct Sought {
    bek: Vec<u8>,
    content: Vec<u8>,
}

/// Formats a volume into a window of the target.
fn format(target: &dyn WriteAt, start: u64, volume_bytes: u64, seed: u64) -> Sought {
    let formatter = formatter(volume_bytes);
    let window = block::WriteWindow::new(target, start, volume_bytes);
    formatter.writer(&window).write_all_at(&mut content(seed), 0).unwrap();
    let formatted = formatter.finish(&window).unwrap();
    Sought { bek: formatted.external_key.unwrap().contents.to_vec(), content: content(seed) }
}

impl Sought {
    /// Whether the volume opens anywhere on the drive; then its contents must be whole.
    fn shows_up(&self, drive: &SharedDevice, what: &str) -> bool {
        // A protective entry without a table behind it: the drive is refused.
        let Ok(table) = partition_table(drive) else { return false };
        let places = table.partitions.iter().map(|partition| (partition.start_bytes, partition.length_bytes));
        let places: Vec<(u64, u64)> = places.chain([(0, drive.length_bytes())]).collect();
        let opened = places.into_iter().filter_map(|(start, length)| {
            let window: SharedDevice = Arc::new(Window::new(Arc::clone(drive), start, length).unwrap());
            let metadata = Metadata::read(&window).ok()?;
            let key =
                metadata.unlock(&Secret::ExternalKey(ExternalKey::from_bek(&self.bek).unwrap())).ok()?;
            Volume::open(window, &metadata, &key).ok()
        });
        let mut found = vec![0; self.content.len()];
        let whole = opened.map(|volume| {
            volume.read_exact_at(&mut found, 0).unwrap();
            assert!(found == self.content, "{what}: a volume that opens is not whole");
        });
        whole.count() > 0
    }
}

/// What happened to a drive.
#[derive(Clone)]
enum Event {
    Write(u64, Vec<u8>),
    Flush,
}

/// Applies what it is told, and keeps it.
struct Recorder {
    memory: Memory,
    events: Mutex<Vec<Event>>,
}

impl WriteAt for Recorder {
    fn write_all_at(&self, data: &mut [u8], offset_bytes: u64) -> Result<(), WriteError> {
        self.events.lock().unwrap().push(Event::Write(offset_bytes, data.to_vec()));
        self.memory.write_all_at(data, offset_bytes)
    }

    fn flush(&self) -> Result<(), WriteError> {
        self.events.lock().unwrap().push(Event::Flush);
        Ok(())
    }
}

/// What a drive may hold after a loss of power: everything flushed, and of the writes since then
/// any choice, the last of them torn at half of its sectors.
fn states(before: &[u8], events: &[Event]) -> impl Iterator<Item = (String, Vec<u8>)> {
    let cuts = (0..=events.len()).flat_map(move |cut| {
        let happened = &events[..cut];
        let flushed = happened.iter().rposition(|event| matches!(event, Event::Flush)).map_or(0, |at| at + 1);
        let pending = cut - flushed;
        // Every choice of a few, otherwise those that leave one out or in, and all or none.
        let choices: Vec<u64> = if pending <= 3 {
            (0..1 << pending).collect()
        } else {
            let all = (1 << pending) - 1;
            (0..pending).flat_map(|bit| [1 << bit, all & !(1 << bit)]).chain([0, all]).collect()
        };
        choices.into_iter().map(move |choice| (cut, flushed, choice))
    });
    cuts.map(move |(cut, flushed, choice)| {
        let mut bytes = before.to_vec();
        for (index, event) in events[..cut].iter().enumerate() {
            let is_last = index + 1 == cut;
            if let Event::Write(offset_bytes, data) = event
                && (index < flushed || choice >> (index - flushed) & 1 == 1)
            {
                let torn = is_last && index >= flushed && data.len() > 512;
                let length = if torn { data.len() / 1024 * 512 } else { data.len() };
                let at = usize::try_from(*offset_bytes).unwrap();
                bytes[at..at + length].copy_from_slice(&data[..length]);
            }
        }
        (format!("cut at {cut}, kept {choice:#b} of what was not flushed"), bytes)
    })
}

/// Prepares and formats a drive, and looks at every state on the way.
fn check_every_cut(before: Vec<u8>, old: &dyn Fn(&SharedDevice, &str) -> bool) {
    let recorder = Recorder { memory: Memory::new(before.clone()), events: Mutex::default() };
    let device = MemoryDevice::new(before.clone(), 512);
    prepare_drive(&device, &recorder, &table(512)).unwrap();
    let new = format(&recorder, START, VOLUME_BYTES, 77);
    let events = recorder.events.into_inner().unwrap();
    let (mut old_seen, mut new_seen, mut neither) = (0, 0, 0);
    for (what, bytes) in states(&before, &events) {
        let drive: SharedDevice = Arc::new(MemoryDevice::new(bytes, 512));
        match (old(&drive, &what), new.shows_up(&drive, &what)) {
            (true, true) => panic!("{what}: both volumes show up"),
            (true, false) => old_seen += 1,
            (false, true) => new_seen += 1,
            (false, false) => neither += 1,
        }
    }
    assert!(old_seen > 0 && new_seen > 0 && neither > 0, "{old_seen} {new_seen} {neither}");
    let after: SharedDevice = Arc::new(recorder.memory);
    assert!(!old(&after, "at the end") && new.shows_up(&after, "at the end"));
}

fn blank() -> Vec<u8> {
    vec![0; usize::try_from(DRIVE_BYTES).unwrap()]
}

#[test]
fn a_drive_with_our_own_volume_in_the_same_place_shows_the_old_or_the_new_whole_or_nothing() {
    let memory = Memory::new(blank());
    write_gpt(&memory, &table(512)).unwrap();
    let old = format(&memory, START, VOLUME_BYTES, 1);
    check_every_cut(memory.0.into_inner().unwrap(), &|drive, what| old.shows_up(drive, what));
}

#[test]
fn a_bare_volume_without_a_table_goes_as_well() {
    let memory = Memory::new(blank());
    let old = format(&memory, 0, DRIVE_BYTES, 2);
    check_every_cut(memory.0.into_inner().unwrap(), &|drive, what| old.shows_up(drive, what));
}

#[test]
fn metadata_whose_boot_sector_is_lost_goes_as_well() {
    let memory = Memory::new(blank());
    write_gpt(&memory, &table(512)).unwrap();
    let old = format(&memory, START, VOLUME_BYTES, 3);
    let mut bytes = memory.0.into_inner().unwrap();
    let start = usize::try_from(START).unwrap();
    bytes[start..start + 512].fill(0);
    check_every_cut(bytes, &|drive, what| old.shows_up(drive, what));
}

/// A file system as far as it is recognised: its boot sector, at the start and at the end.
fn plain_volume() -> Vec<u8> {
    let memory = Memory::new(blank());
    write_gpt(&memory, &table(512)).unwrap();
    let mut bytes = memory.0.into_inner().unwrap();
    let mut boot_sector = [0; 512];
    boot_sector[..11].copy_from_slice(b"\xEB\x52\x90NTFS    ");
    boot_sector[510..].copy_from_slice(&[0x55, 0xAA]);
    write_to(&mut bytes, START, &content(4));
    write_to(&mut bytes, START, &boot_sector);
    write_to(&mut bytes, START + VOLUME_BYTES - 512, &boot_sector);
    bytes
}

fn write_to(bytes: &mut [u8], offset_bytes: u64, data: &[u8]) {
    let at = usize::try_from(offset_bytes).unwrap();
    bytes[at..at + data.len()].copy_from_slice(data);
}

#[test]
fn a_plain_file_system_is_whole_as_long_as_one_of_its_boot_sectors_is_there() {
    let before = plain_volume();
    let held = before.clone();
    let old = move |drive: &SharedDevice, what: &str| {
        let Ok(window) = Window::new(Arc::clone(drive), START, VOLUME_BYTES) else { return false };
        let mut sector = [0; 512];
        let mut is_boot_sector = |place| {
            window.read_exact_at(&mut sector, place).unwrap();
            sector[3..11] == *b"NTFS    "
        };
        let (first, last) = (is_boot_sector(0), is_boot_sector(VOLUME_BYTES - 512));
        if first || last {
            let mut found = vec![0; CONTENT_BYTES - 512];
            window.read_exact_at(&mut found, 512).unwrap();
            let start = usize::try_from(START).unwrap();
            assert!(found == held[start + 512..start + CONTENT_BYTES], "{what}: damaged and still shown");
        }
        first || last
    };
    check_every_cut(before, &old);
}

#[test]
fn keys_of_an_old_volume_are_gone_wherever_its_copies_were() {
    let memory = Memory::new(blank());
    // In a partition that begins elsewhere, by an old table.
    let other = (2 << 20, 64 << 20);
    format(&memory, other.0, other.1, 5);
    let places: Vec<u64> = formatter(other.1).formatted().layout.areas_bytes().into();
    let device = MemoryDevice::new(memory.0.lock().unwrap().clone(), 512);
    prepare_drive(&device, &memory, &table(512)).unwrap();
    let bytes = memory.0.into_inner().unwrap();
    for place in places {
        let at = usize::try_from(other.0 + place).unwrap();
        assert!(bytes[at..at + 0x1_0000].iter().all(|byte| *byte == 0), "{place:#x}");
    }
}

#[test]
fn a_partition_alone_is_wiped_without_touching_a_table() {
    let memory = Memory::new(blank());
    let old = format(&memory, 0, DRIVE_BYTES, 6);
    let device = MemoryDevice::new(memory.0.lock().unwrap().clone(), 512);
    erase_volume(&device, &memory).unwrap();
    let bytes = memory.0.into_inner().unwrap();
    let device: SharedDevice = Arc::new(MemoryDevice::new(bytes, 512));
    assert!(!old.shows_up(&device, "wiped"));
    let read = Metadata::read(&device);
    assert!(matches!(read, Err(crate::ReadMetadataError::NotBitLocker { .. })), "{read:?}");
}

#[test]
fn a_drive_full_of_signatures_is_answered_in_bounded_time() {
    let mut bytes = blank();
    for sector in bytes.chunks_mut(512) {
        sector[..8].copy_from_slice(SIGNATURE);
        sector[8..12].copy_from_slice(&[7, 0, 2, 0]);
    }
    let device = MemoryDevice::new(bytes.clone(), 512);
    let partition = prepare_drive(&device, &Memory::new(bytes), &table(512)).unwrap();
    assert_eq!(partition.length_bytes, VOLUME_BYTES);
}
