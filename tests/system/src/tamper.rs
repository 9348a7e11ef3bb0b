//! Drives that were tampered with: a copy of an image, changed at a chosen place.
//!
//! What is changed inside the volume is encrypted again, and what is changed in BitLocker's
//! metadata gets its checksum, so a change leads to one failure and no other. Formats: bitlocker.md
//! §3.1 to §3.5, ntfs.md §2.

use std::fs::File;
use std::ops::Range;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, anyhow, ensure};
use bitlocker::{RecoveryPassword, Secret, Source};
use block::ReadAt;
use manifest::JobEntry;
use proof::bring_up::{Refusal, UnlockedDrive, recognise, unlock};
use tempfile::TempDir;

use crate::drives::TestDrive;
use crate::stand::open;

/// A drive whose volume is open, to look where things are.
pub struct Opened(UnlockedDrive);

impl Opened {
    /// Opens a drive with its job's key.
    ///
    /// # Errors
    /// When it is refused.
    pub fn new(drive: &TestDrive) -> Result<Opened> {
        Opened::image(&drive.image, &drive.job()?)
    }

    fn image(image: &Path, job: &JobEntry) -> Result<Opened> {
        let refused = |refusal: Refusal| anyhow!("{}: {}", refusal.status, refusal.message);
        let key = job.bitlocker_key.as_ref().context("the job has a key")?;
        let secret = Secret::RecoveryPassword(RecoveryPassword::parse(key.expose())?);
        let recognised = recognise(open(image)?, Some(job)).map_err(refused)?;
        unlock(recognised, &[secret], &mut |_| {}).map(Opened).map_err(refused)
    }

    /// Where a range of the volume is on the device.
    pub fn volume_places(&self, offset_bytes: u64, length_bytes: u64) -> Vec<Range<u64>> {
        let start_bytes = self.0.recognised.volume.start_bytes();
        let place = |(physical, length)| start_bytes + physical..start_bytes + physical + length;
        self.stored(offset_bytes, length_bytes).into_iter().map(place).collect()
    }

    /// Where a file's bytes are on the device; nothing for holes and what is kept in its record.
    ///
    /// # Errors
    /// When there is no such file, or it is compressed.
    pub fn file_places(&self, path: &str) -> Result<Vec<Range<u64>>> {
        let stream = self.0.ntfs.stream(self.0.ntfs.resolve(path)?, None)?;
        let ntfs::StreamContent::Extents(extents) = stream.content else { return Ok(Vec::new()) };
        let stored =
            extents.iter().filter_map(|extent| Some((extent.volume_offset_bytes?, extent.length_bytes)));
        Ok(stored.flat_map(|(offset, length)| self.volume_places(offset, length)).collect())
    }

    /// Where one byte of a file that lies in one piece is on the device.
    ///
    /// # Errors
    /// As [`Opened::file_places`], and when it lies in several.
    pub fn file_place(&self, path: &str, offset_bytes: u64) -> Result<u64> {
        let places = self.file_places(path)?;
        let [place] = &places[..] else { return Err(anyhow!("{path} lies in {} pieces", places.len())) };
        ensure!(place.start + offset_bytes < place.end, "{path} is shorter");
        Ok(place.start + offset_bytes)
    }

    fn stored(&self, offset_bytes: u64, length_bytes: u64) -> Vec<(u64, u64)> {
        let physical = |source| match source {
            Source::Encrypted { physical_offset_bytes }
            | Source::Plain { physical_offset_bytes }
            | Source::BootSector { physical_offset_bytes, .. } => Some(physical_offset_bytes),
            Source::Zeros => None,
        };
        let segments = self.0.volume.segments(offset_bytes, length_bytes);
        segments.filter_map(|segment| Some((physical(segment.source)?, segment.length_bytes))).collect()
    }

    /// Where a FILE record is on the device.
    ///
    /// # Errors
    /// When the boot sector cannot be read.
    pub fn record_places(&self, record: u64) -> Result<Vec<Range<u64>>> {
        let (offset_bytes, length_bytes) = self.record_place(record)?;
        Ok(self.volume_places(offset_bytes, length_bytes as u64))
    }

    /// The number of a file's base record.
    ///
    /// # Errors
    /// When there is no such file.
    pub fn record(&self, path: &str) -> Result<u64> {
        Ok(self.0.ntfs.resolve(path)?.record)
    }

    /// Where a FILE record is in the volume, and its length. Right for a `$MFT` in one
    /// piece, which that of a small new volume is.
    fn record_place(&self, record: u64) -> Result<(u64, usize)> {
        const RECORD_BYTES: usize = 1024;
        let mut boot = [0; 512];
        self.0.volume.read_exact_at(&mut boot, 0)?;
        let sector_bytes = u64::from(u16::from_le_bytes([boot[11], boot[12]]));
        let cluster_bytes = sector_bytes * u64::from(boot[13]);
        let mft_cluster = u64::from_le_bytes(boot[48..56].try_into()?);
        Ok((mft_cluster * cluster_bytes + record * RECORD_BYTES as u64, RECORD_BYTES))
    }
}

/// A changed copy of a drive's image; it goes with this.
pub struct Tampered {
    /// The copy.
    pub image: PathBuf,
    job: JobEntry,
    _folder: TempDir,
}

impl Tampered {
    /// A copy that is still like the drive.
    ///
    /// # Errors
    /// When it cannot be copied.
    pub fn copy(drive: &TestDrive) -> Result<Tampered> {
        let folder = tempfile::tempdir()?;
        let image = folder.path().join("drive.img");
        let mut copy = Command::new("cp");
        copy.args(["--sparse=always", "--reflink=auto"]).arg(&drive.image).arg(&image);
        ensure!(copy.status().context("starting cp")?.success(), "cp failed");
        Ok(Tampered { image, job: drive.job()?, _folder: folder })
    }

    /// Changes the block of every copy of BitLocker's metadata, and mends its checksum.
    ///
    /// # Errors
    /// When there are no three copies.
    pub fn metadata(&self, change: impl Fn(&mut [u8])) -> Result<()> {
        let file = self.file()?;
        let places = self.metadata_places()?;
        ensure!(places.len() == 3, "{} copies of the metadata", places.len());
        for place in places {
            let mut block = vec![0; usize::try_from(place.end - place.start)?];
            file.read_exact_at(&mut block, place.start)?;
            change(&mut block);
            file.write_all_at(&block, place.start)?;
            // Behind the block: size 2, version 2, CRC-32 4.
            file.write_all_at(&crc32fast::hash(&block).to_le_bytes(), place.end + 4)?;
        }
        Ok(())
    }

    /// Where the blocks of BitLocker's metadata are on the device.
    ///
    /// # Errors
    /// When the image cannot be read.
    pub fn metadata_places(&self) -> Result<Vec<Range<u64>>> {
        const STEP_BYTES: usize = 4096;
        let file = self.file()?;
        let mut places = Vec::new();
        let mut head = [0; 12];
        for offset in (0..file.metadata()?.len()).step_by(STEP_BYTES) {
            if file.read_exact_at(&mut head, offset).is_ok() && head.starts_with(b"-FVE-FS-") {
                let units = u64::from(u16::from_le_bytes([head[8], head[9]]));
                places.push(offset..offset + units * 16);
            }
        }
        Ok(places)
    }

    /// Changes a range inside the unlocked volume; it must not cross a piece's edge.
    ///
    /// # Errors
    /// When it is not stored encrypted in one piece.
    pub fn volume(
        &self,
        offset_bytes: u64,
        length_bytes: usize,
        change: impl FnOnce(&mut [u8]),
    ) -> Result<()> {
        let opened = Opened::image(&self.image, &self.job)?;
        self.rewrite(&opened, offset_bytes, length_bytes, change)
    }

    fn rewrite(
        &self,
        opened: &Opened,
        offset_bytes: u64,
        length_bytes: usize,
        change: impl FnOnce(&mut [u8]),
    ) -> Result<()> {
        let cipher = opened.0.volume.cipher().context("the volume is encrypted")?;
        let stored = opened.stored(offset_bytes, length_bytes as u64);
        let [(physical, _)] = stored[..] else { return Err(anyhow!("in {} pieces", stored.len())) };
        let mut bytes = vec![0; length_bytes];
        opened.0.volume.read_exact_at(&mut bytes, offset_bytes)?;
        change(&mut bytes);
        cipher.encrypt(physical, &mut bytes)?;
        let start_bytes = opened.0.recognised.volume.start_bytes();
        Ok(self.file()?.write_all_at(&bytes, start_bytes + physical)?)
    }

    /// Changes the header of a file's unnamed `$DATA` attribute in its FILE record.
    ///
    /// # Errors
    /// When it has none in its base record.
    pub fn data_attribute(&self, path: &str, change: impl FnOnce(&mut [u8])) -> Result<()> {
        let opened = Opened::image(&self.image, &self.job)?;
        let (offset_bytes, length_bytes) = opened.record_place(opened.record(path)?)?;
        let mut found = false;
        self.rewrite(&opened, offset_bytes, length_bytes, |record| {
            if let Some(attribute) = data_attribute(record) {
                found = true;
                change(attribute);
            }
        })?;
        ensure!(found, "{path} has no $DATA in its base record");
        Ok(())
    }

    fn file(&self) -> Result<File> {
        File::options().read(true).write(true).open(&self.image).context("opening the copy")
    }
}

/// The unnamed `$DATA` attribute of a FILE record.
fn data_attribute(record: &mut [u8]) -> Option<&mut [u8]> {
    const DATA: u32 = 0x80;
    if !record.starts_with(b"FILE") {
        return None;
    }
    let mut at = usize::from(u16::from_le_bytes([record[0x14], record[0x15]]));
    loop {
        let number = |at: usize| Some(u32::from_le_bytes(record.get(at..at + 4)?.try_into().ok()?));
        let (kind, length) = (number(at)?, usize::try_from(number(at + 4)?).ok()?);
        let name_length = *record.get(at + 9)?;
        match kind {
            DATA if name_length == 0 => return record.get_mut(at..at + length),
            u32::MAX => return None,
            _ if length == 0 => return None,
            _ => at += length,
        }
    }
}
