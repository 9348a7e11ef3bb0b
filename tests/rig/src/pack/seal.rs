//! Seals a volume into a drive image: partition table, BitLocker around what the file system wrote.
//!
//! Invariant: every byte that the volume's file holds as data is encrypted; its holes, which the file
//! system never wrote, stay holes of the image ("used space only", bitlocker.md §9.4). Slices are
//! encrypted by all processors at once, each in its own buffer.

use std::fs::File;
use std::ops::Range;
use std::os::unix::fs::FileExt;
use std::path::Path;
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::SystemTime;

use anyhow::{Context, Result, anyhow, ensure};
use bitlocker::format::{Coverage, Formatter, Layout, Plan};
use bitlocker::{Method, Password, RecoveryPassword, VolumeWriter};
use block::partitions::{Guid, NewTable, PARTITION_START_BYTES, write_gpt};
use block::{FileDevice, Target, Window, WriteAt, WriteError, WriteWindow};
use rustix::fs::{SeekFrom, seek};
use rustix::io::Errno;

use super::plan::{Cipher, PackPlan};
use super::random;

/// BitLocker's own areas go behind the file system, which is that much shorter than the partition.
const TAIL_BYTES: u64 = 1 << 20;

/// What one thread encrypts at a time.
const SLICE_BYTES: u64 = 4 << 20;

/// What opens the drive.
pub struct Secrets {
    /// 48 digits with dashes.
    pub recovery_password: String,
    /// The password beside it.
    pub password: String,
}

/// Makes the image from the volume in `plain`.
///
/// # Errors
/// When a file cannot be read or written, or the sealed volume does not read back.
pub fn seal(plan: &PackPlan, plain: &Path, image: &Path, secrets: &Secrets) -> Result<()> {
    let plain = File::open(plain).context("opening the unsealed volume")?;
    let file_system_bytes = plain.metadata().context("asking for its length")?.len();
    let volume_bytes = file_system_bytes + TAIL_BYTES;
    let layout =
        Layout::behind_file_system(volume_bytes, plan.sector_bytes).context("laying out BitLocker")?;
    ensure!(
        layout.file_system_bytes() >= file_system_bytes,
        "BitLocker's areas would overlap the file system"
    );
    let table = NewTable {
        drive_bytes: NewTable::drive_bytes_for(volume_bytes),
        sector_bytes: plan.sector_bytes,
        drive_id: Guid(random::guid()?),
        partition_id: Guid(random::guid()?),
    };
    let drive =
        Target::create_image(image, table.drive_bytes, plan.sector_bytes).context("creating the image")?;
    let drive = Unhurried(drive);
    write_gpt(&drive, &table).context("making its partition")?;
    let formatter = Formatter::new(format_plan(plan, layout, secrets)?).context("preparing BitLocker")?;
    let partition = WriteWindow::new(&drive, PARTITION_START_BYTES, volume_bytes);
    encrypt(&plain, &formatter.writer(&partition))?;
    let formatted = formatter.finish(&partition).context("sealing the volume")?;
    let device = FileDevice::open(image).context("opening the sealed drive")?;
    let window = Window::new(Arc::new(device), PARTITION_START_BYTES, volume_bytes)
        .context("finding its partition")?;
    formatted.verify(&window).context("reading the sealed volume back")?;
    Ok(())
}

fn format_plan(plan: &PackPlan, layout: Layout, secrets: &Secrets) -> Result<Plan> {
    let recovery_password =
        RecoveryPassword::parse(&secrets.recovery_password).context("the drawn secret")?;
    Ok(Plan {
        layout,
        method: match plan.cipher {
            Cipher::Cbc128 => Method::AesCbc128,
            Cipher::Cbc256 => Method::AesCbc256,
            Cipher::Xts128 => Method::AesXts128,
            Cipher::Xts256 => Method::AesXts256,
        },
        description: format!("RIG {} DRAYAGE", plan.serial),
        password: Some(Password::new(&secrets.password).context("the password")?),
        recovery_password: Some(recovery_password),
        has_external_key: false,
        coverage: Coverage::UsedSpaceOnly,
        first_sector_of_partition: u32::try_from(PARTITION_START_BYTES / u64::from(plan.sector_bytes))?,
        time: SystemTime::now(),
    })
}

/// An image that is not waited for: what the rig makes can be made again.
struct Unhurried(Target);

impl WriteAt for Unhurried {
    fn write_all_at(&self, data: &mut [u8], offset_bytes: u64) -> Result<(), WriteError> {
        self.0.write_all_at(data, offset_bytes)
    }

    fn flush(&self) -> Result<(), WriteError> {
        Ok(())
    }
}

/// Takes all data of `plain` through the cipher, several slices at once.
fn encrypt<W: WriteAt>(plain: &File, volume: &VolumeWriter<W>) -> Result<()> {
    let slices = Mutex::new(slices(plain)?.into_iter());
    let thread_count = thread::available_parallelism().map_or(1, usize::from);
    thread::scope(|scope| {
        let work = || -> Result<()> {
            let mut buffer = Vec::new();
            loop {
                let next = slices.lock().map_err(|_| anyhow!("another thread panicked"))?.next();
                let Some(slice) = next else { return Ok(()) };
                buffer.resize(usize::try_from(slice.end - slice.start)?, 0);
                plain.read_exact_at(&mut buffer, slice.start).context("reading the unsealed volume")?;
                volume.write_all_at(&mut buffer, slice.start).context("encrypting")?;
            }
        };
        let workers: Vec<_> = (0..thread_count).map(|_| scope.spawn(work)).collect();
        workers.into_iter().try_for_each(|worker| worker.join().expect("a worker does not panic"))
    })
}

/// The file's data, without its holes, in slices of whole clusters.
fn slices(file: &File) -> Result<Vec<Range<u64>>> {
    /// Holes are found by the page, which is a whole number of sectors and of clusters.
    const ALIGNMENT_BYTES: u64 = 4096;
    let end = file.metadata().context("asking for the volume's length")?.len();
    let mut slices = Vec::new();
    let mut position = 0;
    loop {
        let start = match seek(file, SeekFrom::Data(position)) {
            Ok(start) => start / ALIGNMENT_BYTES * ALIGNMENT_BYTES,
            // No data behind this position.
            Err(Errno::NXIO) => return Ok(slices),
            Err(error) => return Err(error).context("looking for data in the volume"),
        };
        let hole = seek(file, SeekFrom::Hole(start)).context("looking for holes in the volume")?;
        position = hole.next_multiple_of(ALIGNMENT_BYTES).min(end);
        let count = (position - start).div_ceil(SLICE_BYTES);
        let slice = |index: u64| start + index * SLICE_BYTES..position.min(start + (index + 1) * SLICE_BYTES);
        slices.extend((0..count).map(slice));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn slices_cover_the_data_and_leave_holes_out() {
        let file = tempfile::tempfile().unwrap();
        file.set_len(64 << 20).unwrap();
        FileExt::write_all_at(&file, &[1; 5_000], 10 << 20).unwrap();
        FileExt::write_all_at(&file, &vec![1; 9 << 20], 32 << 20).unwrap();
        let slices = slices(&file).unwrap();
        let covers = |position: u64| slices.iter().any(|slice| slice.contains(&position));
        assert!(covers(10 << 20) && covers((10 << 20) + 4_999) && covers((41 << 20) - 1));
        assert!(slices.iter().all(|slice| slice.end - slice.start <= SLICE_BYTES));
        let total: u64 = slices.iter().map(|slice| slice.end - slice.start).sum();
        assert!(total < 32 << 20, "{total} bytes: holes were taken for data");
    }
}
