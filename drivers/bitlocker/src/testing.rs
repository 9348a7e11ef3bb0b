//! A small volume of our own, made once, that tests bend into every state a volume can be in.

use std::sync::{Arc, Mutex, OnceLock};
use std::time::{Duration, SystemTime};

use block::{MemoryDevice, ReadAt, ReadError, SharedDevice, WriteAt, WriteError, check_range};

use crate::format::{Coverage, Formatter, Layout, Plan};
use crate::metadata::copy::AREA_BYTES;
use crate::{ExternalKey, Metadata, Method, Secret, SectorCipher, Volume};

/// Length of the test volume, the smallest that can be formatted.
pub(crate) const VOLUME_BYTES: usize = 64 << 20;

/// Up to here the file system is a pattern; behind it the volume was never written.
pub(crate) const PATTERN_BYTES: usize = 4 << 20;

/// Where the areas of the test volume are.
pub(crate) const AREAS: [usize; 3] = [0x210_0000, 0x2B5_5000, 0x35A_A000];
pub(crate) const VIRTUALISED: usize = 0x211_0000;
pub(crate) const VIRTUALISED_BYTES: usize = 0x2000;

struct Base {
    bytes: Vec<u8>,
    bek: Vec<u8>,
    recovery_password: String,
}

/// A drive in memory that is read and written.
pub(crate) struct Memory(pub(crate) Mutex<Vec<u8>>);

impl Memory {
    pub(crate) fn new(bytes: Vec<u8>) -> Memory {
        Memory(Mutex::new(bytes))
    }
}

impl WriteAt for Memory {
    fn write_all_at(&self, data: &mut [u8], offset_bytes: u64) -> Result<(), WriteError> {
        let mut bytes = self.0.lock().unwrap();
        let start = usize::try_from(offset_bytes).unwrap();
        bytes[start..start + data.len()].copy_from_slice(data);
        // What a buffer holds afterwards is unspecified, so nobody may rely on it.
        data.fill(0xEE);
        Ok(())
    }

    fn flush(&self) -> Result<(), WriteError> {
        Ok(())
    }
}

impl ReadAt for Memory {
    fn length_bytes(&self) -> u64 {
        self.0.lock().unwrap().len() as u64
    }

    fn sector_bytes(&self) -> u32 {
        512
    }

    fn read_exact_at(&self, buffer: &mut [u8], offset_bytes: u64) -> Result<(), ReadError> {
        check_range(offset_bytes, buffer.len(), self.length_bytes())?;
        let start = usize::try_from(offset_bytes).unwrap();
        buffer.copy_from_slice(&self.0.lock().unwrap()[start..start + buffer.len()]);
        Ok(())
    }
}

/// Made once a process: the key derivation takes its time.
fn base() -> &'static Base {
    static BASE: OnceLock<Base> = OnceLock::new();
    BASE.get_or_init(|| {
        let plan = Plan {
            layout: Layout::within_file_system(VOLUME_BYTES as u64, 512).unwrap(),
            method: Method::AesXts128,
            description: "STATION DATA 23/11/2026".to_owned(),
            password: None,
            recovery_password: None,
            has_external_key: true,
            coverage: Coverage::UsedSpaceOnly,
            first_sector_of_partition: 2048,
            time: SystemTime::UNIX_EPOCH + Duration::from_secs(1_795_000_000),
        };
        let memory = Memory::new(vec![0; VOLUME_BYTES]);
        let formatter = Formatter::new(plan).unwrap();
        formatter.writer(&memory).write_all_at(&mut pattern(PATTERN_BYTES), 0).unwrap();
        let formatted = formatter.finish(&memory).unwrap();
        Base {
            bytes: memory.0.into_inner().unwrap(),
            bek: formatted.external_key.as_ref().unwrap().contents.to_vec(),
            recovery_password: formatted.recovery_password.reveal().to_string(),
        }
    })
}

/// What the file system of the test volume contains: no 16 bytes repeat.
pub(crate) fn pattern(length: usize) -> Vec<u8> {
    (0..length as u64 / 8).flat_map(|word| word.wrapping_mul(0x9E37_79B9_7F4A_7C15).to_le_bytes()).collect()
}

/// The test volume, to be bent.
pub(crate) fn volume_bytes() -> Vec<u8> {
    base().bytes.clone()
}

/// What opens it without a key derivation.
pub(crate) fn external_key() -> Secret {
    Secret::ExternalKey(ExternalKey::from_bek(&base().bek).unwrap())
}

/// Its recovery password.
pub(crate) fn recovery_password() -> &'static str {
    &base().recovery_password
}

pub(crate) fn device(bytes: Vec<u8>) -> SharedDevice {
    Arc::new(MemoryDevice::new(bytes, 512))
}

/// Metadata, key and volume: all that must succeed.
pub(crate) fn open(device: &SharedDevice) -> (Metadata, Volume) {
    let metadata = Metadata::read(device).unwrap();
    let key = metadata.unlock(&external_key()).unwrap();
    let volume = Volume::open(Arc::clone(device), &metadata, &key).unwrap();
    (metadata, volume)
}

/// The cipher of the test volume.
pub(crate) fn cipher() -> Arc<SectorCipher> {
    let (_, volume) = open(&device(volume_bytes()));
    Arc::clone(volume.cipher().unwrap())
}

/// Changes the block of the metadata area at an offset and makes its checksum right again.
pub(crate) fn edit_block(bytes: &mut [u8], area: usize, edit: impl Fn(&mut [u8])) {
    let length = block_bytes(bytes, area);
    edit(&mut bytes[area..area + length]);
    let checksum = crc32fast::hash(&bytes[area..area + length]).to_le_bytes();
    bytes[area + length + 4..area + length + 8].copy_from_slice(&checksum);
}

/// The same in all three copies.
pub(crate) fn edit_blocks(bytes: &mut [u8], edit: impl Fn(&mut [u8])) {
    AREAS.iter().for_each(|area| edit_block(bytes, *area, &edit));
}

/// Length of a block of version 2.
pub(crate) fn block_bytes(bytes: &[u8], area: usize) -> usize {
    usize::from(u16::from_le_bytes([bytes[area + 8], bytes[area + 9]])) * 16
}

pub(crate) fn put(bytes: &mut [u8], at: usize, value: &[u8]) {
    bytes[at..at + value.len()].copy_from_slice(value);
}

/// A volume small enough to be mutated thousands of times: areas at 64, 128 and 192 KiB, the head
/// at 16 KiB; nothing else.
pub(crate) fn tiny_volume_bytes() -> Vec<u8> {
    const PLACES: [usize; 3] = [0x1_0000, 0x2_0000, 0x3_0000];
    let full = &base().bytes;
    let mut bytes = vec![0; 0x4_8000];
    put(&mut bytes, 0, &full[..512]);
    for (index, place) in PLACES.into_iter().enumerate() {
        put(&mut bytes, 0xB0 + index * 8, &(place as u64).to_le_bytes());
        put(&mut bytes, place, &full[AREAS[0]..AREAS[0] + AREA_BYTES as usize]);
        edit_block(&mut bytes, place, |block| {
            put(block, 16, &0x4_8000_u64.to_le_bytes());
            for (index, place) in PLACES.into_iter().enumerate() {
                put(block, 32 + index * 8, &(place as u64).to_le_bytes());
            }
            put(block, 56, &0x4000_u64.to_le_bytes());
        });
    }
    bytes
}
