//! One file out of the volume: its extents in large reads, holes left as holes.

use std::io;
use std::os::fd::OwnedFd;
use std::os::unix::fs::FileExt;
use std::time::{SystemTime, UNIX_EPOCH};

use ntfs::{ContentError, Entry, Stream, StreamContent, StreamError, Volume};
use proof::chain;
use rustix::fs::Timespec;

use super::folder::{Folder, names, set_modified};
use crate::console::Meter;

/// Bytes of a read: large enough for a disk to stream.
const READ_BYTES: usize = 4 << 20;
/// Folders whose time is set at the end; a drive with more keeps the times of the others.
const FOLDERS_MAX: usize = 1 << 20;

/// How an entry ended.
pub enum Outcome {
    /// It is there.
    Copied {
        /// Its length.
        bytes: u64,
    },
    /// A folder.
    Folder,
    /// Left out on purpose: a link, or a file that is there already.
    Skipped(String),
    /// It cannot be had, or not be made here.
    Missing(String),
    /// The medium kept a part of it back.
    Unreadable(String),
    /// The drive is gone.
    Lost(String),
    /// The destination takes no more.
    DestinationFull(String),
}

/// Copies the entries of one volume.
pub struct Extraction<'a> {
    volume: &'a Volume,
    folder: &'a Folder,
    meter: &'a Meter,
    buffer: Vec<u8>,
    mark: u64,
    folders: Vec<(Vec<String>, Timespec)>,
}

/// Why a copy of one file ended.
enum CopyError {
    Read { offset_bytes: u64, source: ContentError },
    Short { offset_bytes: u64 },
    Write(io::Error),
}

/// Bytes of a file that take room: not its holes.
pub fn data_bytes(volume: &Volume, entry: &Entry) -> u64 {
    match volume.stream(entry.file, None) {
        Ok(Stream { content: StreamContent::Extents(extents), .. }) => {
            let stored = extents.iter().filter(|extent| extent.volume_offset_bytes.is_some());
            stored.map(|extent| extent.length_bytes).sum()
        }
        Ok(stream) => stream.length_bytes,
        Err(_) => 0,
    }
}

impl<'a> Extraction<'a> {
    /// Begins.
    pub fn new(volume: &'a Volume, folder: &'a Folder, meter: &'a Meter) -> Extraction<'a> {
        Extraction { volume, folder, meter, buffer: vec![0; READ_BYTES], mark: 0, folders: Vec::new() }
    }

    /// Copies one entry.
    pub fn copy(&mut self, entry: &Entry) -> Outcome {
        let names = match names(entry.path.units()) {
            Ok(names) => names,
            Err(fault) => return Outcome::Missing(fault.to_string()),
        };
        if let Some(tag) = entry.reparse_tag.filter(|tag| tag.hides_content()) {
            return if tag.leads_away() && entry.length_bytes.unwrap_or(0) == 0 {
                Outcome::Skipped(tag.to_string())
            } else {
                Outcome::Missing(tag.to_string())
            };
        }
        if entry.is_directory {
            return self.make_folder(entry, names);
        }
        let outcome = match self.volume.stream(entry.file, None) {
            Ok(stream) => self.copy_stream(entry, &names, &stream),
            Err(error @ StreamError::Read { .. }) => Outcome::Unreadable(chain(&error)),
            Err(error) => Outcome::Missing(chain(&error)),
        };
        self.meter.add(0, 1);
        outcome
    }

    /// Sets the times of folders, which writing into them had changed.
    pub fn finish(self) {
        for (names, time) in self.folders.iter().rev() {
            // A folder without its time is no loss.
            let _ = self.folder.directory(names).and_then(|folder: OwnedFd| set_modified(&folder, *time));
        }
    }

    fn make_folder(&mut self, entry: &Entry, names: Vec<String>) -> Outcome {
        match self.folder.directory(&names) {
            Ok(_) => {
                if let Some(time) = self.modified(entry).filter(|_| self.folders.len() < FOLDERS_MAX) {
                    self.folders.push((names, time));
                }
                Outcome::Folder
            }
            Err(error) => destination_failed(&error),
        }
    }

    fn copy_stream(&mut self, entry: &Entry, names: &[String], stream: &Stream) -> Outcome {
        let Some((name, parents)) = names.split_last() else { return Outcome::Folder };
        self.mark += 1;
        let begun = match self.folder.create(parents, name, self.mark) {
            Ok(Some(begun)) => begun,
            Ok(None) => return Outcome::Skipped("it is there already; --overwrite replaces it".to_owned()),
            Err(error) => return destination_failed(&error),
        };
        let copied = self.copy_content(stream, &begun.file);
        match copied {
            Ok(()) => match begun.keep(self.modified(entry)) {
                Ok(()) => Outcome::Copied { bytes: stream.length_bytes },
                Err(error) => destination_failed(&error),
            },
            Err(CopyError::Write(error)) => destination_failed(&error),
            Err(CopyError::Short { offset_bytes }) => {
                Outcome::Missing(format!("it ends at byte {offset_bytes}; nothing of it was kept"))
            }
            Err(CopyError::Read { offset_bytes, source }) => {
                let text =
                    format!("reading it at byte {offset_bytes}: {}; nothing of it was kept", chain(&source));
                if is_gone(&source) { Outcome::Lost(text) } else { Outcome::Unreadable(text) }
            }
        }
    }

    fn copy_content(&mut self, stream: &Stream, to: &std::fs::File) -> Result<(), CopyError> {
        to.set_len(stream.length_bytes).map_err(CopyError::Write)?;
        match &stream.content {
            StreamContent::Extents(extents) => {
                extents.iter().filter(|extent| extent.volume_offset_bytes.is_some()).try_for_each(|extent| {
                    self.copy_range(stream, extent.file_offset_bytes, extent.length_bytes, to)
                })
            }
            StreamContent::Resident(_) | StreamContent::Compressed(_) | StreamContent::Wof(_) => {
                self.copy_range(stream, 0, stream.length_bytes, to)
            }
        }
    }

    fn copy_range(
        &mut self,
        stream: &Stream,
        start_bytes: u64,
        length_bytes: u64,
        to: &std::fs::File,
    ) -> Result<(), CopyError> {
        let mut done = 0;
        while done < length_bytes {
            let wanted = usize::try_from(length_bytes - done).map_or(READ_BYTES, |left| left.min(READ_BYTES));
            let part = &mut self.buffer[..wanted];
            let offset_bytes = start_bytes + done;
            // A second look tells a bad cable from a bad sector.
            let found = self
                .volume
                .read_at(stream, offset_bytes, part)
                .or_else(|_| self.volume.read_at(stream, offset_bytes, part))
                .map_err(|source| CopyError::Read { offset_bytes, source })?;
            if found == 0 {
                return Err(CopyError::Short { offset_bytes });
            }
            to.write_all_at(&part[..found], offset_bytes).map_err(CopyError::Write)?;
            done += found as u64;
            self.meter.add(found as u64, 0);
        }
        Ok(())
    }

    fn modified(&self, entry: &Entry) -> Option<Timespec> {
        let time = self.volume.times(entry.file).ok()??.modified.to_system_time()?;
        to_timespec(time)
    }
}

fn to_timespec(time: SystemTime) -> Option<Timespec> {
    match time.duration_since(UNIX_EPOCH) {
        Ok(after) => Some(Timespec {
            tv_sec: i64::try_from(after.as_secs()).ok()?,
            tv_nsec: after.subsec_nanos().into(),
        }),
        // Whole seconds downwards, nanoseconds upwards.
        Err(error) => {
            let before = error.duration();
            let seconds = i64::try_from(before.as_secs()).ok()?;
            Some(match before.subsec_nanos() {
                0 => Timespec { tv_sec: -seconds, tv_nsec: 0 },
                nanoseconds => {
                    Timespec { tv_sec: -seconds - 1, tv_nsec: (1_000_000_000 - nanoseconds).into() }
                }
            })
        }
    }
}

fn destination_failed(error: &io::Error) -> Outcome {
    let text = format!("writing it: {error}");
    match error.kind() {
        io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded | io::ErrorKind::ReadOnlyFilesystem => {
            Outcome::DestinationFull(text)
        }
        _ => Outcome::Missing(text),
    }
}

fn is_gone(error: &ContentError) -> bool {
    matches!(error, ContentError::Read { source, .. } if source.kind == block::ReadErrorKind::Gone)
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn times_before_1970_round_down() {
        let spec = |seconds, nanoseconds| Timespec { tv_sec: seconds, tv_nsec: nanoseconds };
        assert_eq!(to_timespec(UNIX_EPOCH + Duration::new(5, 7)), Some(spec(5, 7)));
        assert_eq!(to_timespec(UNIX_EPOCH - Duration::from_secs(5)), Some(spec(-5, 0)));
        assert_eq!(to_timespec(UNIX_EPOCH - Duration::new(5, 1)), Some(spec(-6, 999_999_999)));
    }
}
