//! A file of ours on the new volume, written front to back to the places that were planned for it.

use std::io::{self, Write};

use block::WriteAt;
use md5::{Digest, Md5};
use model::Md5Digest;

use super::slab::Place;

/// What is written at a time.
const BUFFER_BYTES: usize = 1 << 20;

/// See the module. Bytes beyond its places are an error, because the plan had no room for them.
pub struct VolumeFile<'a> {
    target: &'a dyn WriteAt,
    places: std::vec::IntoIter<Place>,
    place: Option<Place>,
    cluster_bytes: usize,
    buffer: Vec<u8>,
    length_bytes: u64,
}

impl<'a> VolumeFile<'a> {
    /// A file that goes to these places, ascending.
    pub fn new(target: &'a dyn WriteAt, places: Vec<Place>, cluster_bytes: u32) -> VolumeFile<'a> {
        let mut places = places.into_iter();
        VolumeFile {
            target,
            place: places.next(),
            places,
            cluster_bytes: usize::try_from(cluster_bytes).unwrap_or(usize::MAX),
            buffer: Vec::with_capacity(BUFFER_BYTES),
            length_bytes: 0,
        }
    }

    /// Writes what is left, its last cluster filled up with zeros, and gives the length.
    ///
    /// # Errors
    /// When the volume refuses.
    pub fn finish(mut self) -> io::Result<u64> {
        let whole = self.buffer.len().next_multiple_of(self.cluster_bytes);
        self.buffer.resize(whole, 0);
        self.drain(0)?;
        Ok(self.length_bytes)
    }

    /// Writes whole clusters until at most `keep` bytes are left in the buffer.
    fn drain(&mut self, keep: usize) -> io::Result<()> {
        while self.buffer.len() > keep {
            let Some(place) = self.place.as_mut() else {
                return Err(io::Error::new(
                    io::ErrorKind::StorageFull,
                    "the file is longer than was planned",
                ));
            };
            let room = place.length_bytes.next_multiple_of(self.cluster_bytes as u64);
            let whole = self.buffer.len() / self.cluster_bytes * self.cluster_bytes;
            let step = usize::try_from(room).map_or(whole, |room| room.min(whole));
            if step == 0 {
                return Ok(());
            }
            let written = self.target.write_all_at(&mut self.buffer[..step], place.volume_offset_bytes);
            written.map_err(io::Error::other)?;
            self.buffer.drain(..step);
            place.volume_offset_bytes += step as u64;
            place.length_bytes = room - step as u64;
            if place.length_bytes == 0 {
                self.place = self.places.next();
            }
        }
        Ok(())
    }
}

impl Write for VolumeFile<'_> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.buffer.extend_from_slice(bytes);
        self.length_bytes += bytes.len() as u64;
        if self.buffer.len() >= BUFFER_BYTES {
            self.drain(self.cluster_bytes - 1)?;
        }
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// Digests what goes through, whose length is not known before it ends.
pub struct Digesting<W> {
    out: W,
    md5: Md5,
}

impl<W: Write> Digesting<W> {
    /// Nothing yet.
    pub fn new(out: W) -> Digesting<W> {
        Digesting { out, md5: Md5::new() }
    }

    /// What was written to, and the digest.
    pub fn finish(self) -> (W, Md5Digest) {
        (self.out, Md5Digest(self.md5.finalize().into()))
    }
}

impl<W: Write> Write for Digesting<W> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let count = self.out.write(bytes)?;
        self.md5.update(&bytes[..count]);
        Ok(count)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.out.flush()
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Mutex;

    use block::WriteError;

    use super::*;

    struct Volume(Mutex<Vec<u8>>);

    impl WriteAt for Volume {
        fn write_all_at(&self, data: &mut [u8], offset_bytes: u64) -> Result<(), WriteError> {
            assert!(data.len().is_multiple_of(4_096));
            let at = usize::try_from(offset_bytes).unwrap();
            self.0.lock().unwrap()[at..at + data.len()].copy_from_slice(data);
            data.fill(0xEE);
            Ok(())
        }

        fn flush(&self) -> Result<(), WriteError> {
            Ok(())
        }
    }

    fn place(file_offset_bytes: u64, volume_offset_bytes: u64, length_bytes: u64) -> Place {
        Place { file_offset_bytes, volume_offset_bytes, length_bytes }
    }

    #[test]
    fn bytes_go_to_the_places_and_the_last_cluster_is_filled_up() {
        let volume = Volume(Mutex::new(vec![0xAA; 4 << 20]));
        let places = vec![place(0, 8_192, 4_096), place(4_096, 65_536, 3 << 20)];
        let content: Vec<u8> = (0..2_000_000_u32).map(|at| (at % 251).to_le_bytes()[0]).collect();
        let mut file = Digesting::new(VolumeFile::new(&volume, places, 4_096));
        content.chunks(70_001).for_each(|chunk| file.write_all(chunk).unwrap());
        let (file, digest) = file.finish();
        assert_eq!(file.finish().unwrap(), 2_000_000);
        assert_eq!(digest, digests::md5_of(&content));
        let bytes = volume.0.into_inner().unwrap();
        assert_eq!(bytes[8_192..12_288], content[..4_096]);
        let rest = content.len() - 4_096;
        assert_eq!(bytes[65_536..65_536 + rest], content[4_096..]);
        let end = 65_536 + rest.next_multiple_of(4_096);
        assert!(bytes[65_536 + rest..end].iter().all(|byte| *byte == 0));
        assert!(bytes[end..].iter().all(|byte| *byte == 0xAA));
    }

    #[test]
    fn more_bytes_than_were_planned_are_an_error() {
        let volume = Volume(Mutex::new(vec![0; 1 << 20]));
        let mut file = VolumeFile::new(&volume, vec![place(0, 0, 5_000)], 4_096);
        file.write_all(&[1; 9_000]).unwrap();
        assert_eq!(file.finish().unwrap_err().kind(), io::ErrorKind::StorageFull);
    }
}
