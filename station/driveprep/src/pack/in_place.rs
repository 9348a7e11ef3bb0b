//! Data that lies on the customer's own NTFS drive already: found and read through our own reader.
//!
//! Nothing is mounted and nothing is formatted; of the drive only the manifest and side files are new
//! (azure-import-export.md §2.2, `/skipwrite`). Files are read in the drive's order, so that a disk
//! streams.

use std::cmp::Reverse;
use std::collections::HashMap;
use std::path::Path;
use std::sync::Arc;

use anyhow::{Context, anyhow};
use md5::{Digest, Md5};
use ntfs::{Entry, StreamContent, Volume};

use super::layout::MANIFEST_NAME;
use super::slab::Piece;
use super::source::{SourceFault, Sources};
use crate::console::Console;
use crate::failure::Failure;
use crate::inputs::{Inputs, Source};
use crate::work::{Builder, DirectoryId, FileFacts, ItemId, Work};

/// What Windows keeps in the root of every volume, and is nobody's data.
const OF_WINDOWS: [&str; 3] = ["System Volume Information", "$RECYCLE.BIN", "$Extend"];
/// What old Windows threw away; a name that people use as well.
const OLD_RECYCLE_BIN: &str = "RECYCLER";

/// What is on a volume and shall be imported, and how many things had to be left out.
///
/// # Errors
/// A source that is not on the volume, or cannot be used.
pub fn scan(inputs: &Inputs, volume: &Volume, console: &Console) -> Result<(Work, u64), Failure> {
    let mut scan = Scan {
        builder: Builder::new(inputs.session.clone()),
        session: inputs.session.to_string(),
        volume,
        console,
        left_out: 0,
    };
    for source in &inputs.sources {
        scan.source(source).with_context(|| source.place.clone()).map_err(Failure::usage)?;
    }
    Ok((scan.builder.finish(), scan.left_out))
}

/// The names of a path on the volume, however it is written: `D:\a\b`, `\a\b`, `/a/b`, `a`.
fn names(path: &Path) -> Vec<String> {
    let text = path.to_string_lossy();
    let text = match text.as_bytes() {
        [letter, b':', ..] if letter.is_ascii_alphabetic() => &text[2..],
        _ => &text,
    };
    text.split(['\\', '/']).filter(|name| !matches!(*name, "" | ".")).map(str::to_owned).collect()
}

/// Whether a file in a session's directory is one that a pack put there beside the data.
fn is_side_file(names: &[String]) -> bool {
    let is_number = |text: &str| !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    let is = |name: &str, ending: &str| name.strip_suffix(ending).is_some_and(is_number);
    match names {
        [name] => is(name, ".metadata.xml") || is(name, ".properties.xml"),
        [folder, name] => is(folder, ".properties") && is(name, ".xml"),
        _ => false,
    }
}

struct Scan<'a> {
    builder: Builder,
    session: String,
    volume: &'a Volume,
    console: &'a Console,
    left_out: u64,
}

impl Scan<'_> {
    fn source(&mut self, source: &Source) -> anyhow::Result<()> {
        let names = names(&source.from);
        let path = format!("\\{}", names.join("\\"));
        match self.volume.resolve(&path) {
            Ok(file) => {
                let (Some(name), folder) = (names.last(), &names[..names.len() - 1]) else {
                    return Err(anyhow!("the path names no file"));
                };
                let folder: String = folder.iter().map(|name| format!("\\{name}")).collect();
                let root = self.builder.dataset_in_place(source.dataset(false)?, &folder)?;
                let length_bytes = self.volume.length_bytes(file).ok_or(anyhow!("the file is damaged"))?;
                self.file(source, root, name, length_bytes)
            }
            Err(
                ntfs::ResolveError::NotAFile { .. } | ntfs::ResolveError::NameInvalid(ntfs::PathFault::Empty),
            ) => self.directory(source, &names),
            Err(error) => Err(anyhow!(error).context(format!("{path} on the drive"))),
        }
    }

    fn directory(&mut self, source: &Source, prefix: &[String]) -> anyhow::Result<()> {
        let folder: String = prefix.iter().map(|name| format!("\\{name}")).collect();
        let root = self.builder.dataset_in_place(source.dataset(true)?, &folder)?;
        let mut made: HashMap<Vec<String>, DirectoryId> = HashMap::from([(Vec::new(), root)]);
        for entry in self.volume.files().filter(|entry| !entry.is_directory) {
            let Some(below) = self.below(&entry, prefix) else { continue };
            let Some((name, folders)) = below.split_last() else { continue };
            let Some(length_bytes) = entry.length_bytes.filter(|_| self.is_readable(&entry)) else {
                self.left_out += 1;
                self.console.warn(&format!("left out: \\{}: it is a link, or damaged", entry.path));
                continue;
            };
            let mut directory = root;
            for depth in 1..=folders.len() {
                let known = made.get(&folders[..depth]).copied();
                directory = match known {
                    Some(known) => known,
                    None => {
                        let new = self.builder.directory(directory, &folders[depth - 1])?;
                        made.insert(folders[..depth].to_vec(), new);
                        new
                    }
                };
            }
            self.file(source, directory, name, length_bytes)?;
        }
        Ok(())
    }

    /// The names below the prefix; `None` for what is elsewhere, or is not the customer's.
    fn below(&mut self, entry: &Entry, prefix: &[String]) -> Option<Vec<String>> {
        let is_same = |one: &str, other: &str| one.to_lowercase() == other.to_lowercase();
        let Ok(path) = String::from_utf16(entry.path.units()) else {
            self.left_out += 1;
            self.console.warn(&format!("left out: \\{}: its name is not Unicode", entry.path));
            return None;
        };
        let names: Vec<String> = path.split('\\').map(str::to_owned).collect();
        let first = names.first()?;
        let is_below = names.len() > prefix.len()
            && prefix.iter().zip(&names).all(|(wanted, found)| is_same(wanted, found));
        let ours = (names.len() == 1 && is_same(first, MANIFEST_NAME))
            || (is_same(first, &self.session) && is_side_file(&names[1..]));
        if !is_below || ours || OF_WINDOWS.iter().any(|name| is_same(first, name)) {
            return None;
        }
        if prefix.is_empty() && is_same(first, OLD_RECYCLE_BIN) {
            self.left_out += 1;
            let path = &entry.path;
            self.console
                .warn(&format!("left out: \\{path}: it was thrown away; to pack it, name its folder"));
            return None;
        }
        Some(names[prefix.len()..].to_vec())
    }

    fn is_readable(&self, entry: &Entry) -> bool {
        entry.reparse_tag.is_none_or(|tag| !tag.hides_content())
            && self.volume.stream(entry.file, None).is_ok()
    }

    fn file(
        &mut self,
        source: &Source,
        directory: DirectoryId,
        name: &str,
        length_bytes: u64,
    ) -> anyhow::Result<()> {
        let facts = FileFacts {
            kind: source.how.kind.kind(name),
            length_bytes,
            allocated_bytes: length_bytes,
            modified_nanoseconds: 0,
            accessed_nanoseconds: 0,
        };
        Ok(self.builder.file(directory, name, &facts)?)
    }
}

/// The items in the drive's order, dataset by dataset, because each dataset is one list of the manifest.
pub fn drive_order(work: &Work, volume: &Volume) -> Vec<ItemId> {
    let place = |item: ItemId| {
        let file = volume.resolve(&work.item(item).drive_path()).ok()?;
        match volume.stream(file, None).ok()?.content {
            StreamContent::Extents(extents) => extents.iter().find_map(|extent| extent.volume_offset_bytes),
            _ => None,
        }
    };
    let mut items: Vec<ItemId> = work.items().map(|item| item.id).collect();
    // What has no place of its own lies in the file table: it comes last.
    items.sort_by_cached_key(|item| {
        let place = place(*item);
        (work.item(*item).dataset_id(), Reverse(place.is_some()), place)
    });
    items
}

/// Tells whether the items are still the files that they were: which they are, how long, when they were
/// written to, and where they lie.
pub fn fingerprint(work: &Work, volume: &Volume, items: impl Iterator<Item = ItemId>) -> u64 {
    let mut md5 = Md5::new();
    for item in items {
        let known = file_facts(volume, &work.item(item).drive_path());
        // A file that is not there is a fact as well.
        let facts = known.unwrap_or_default();
        for number in [u64::from(item.0), facts.len() as u64].into_iter().chain(facts) {
            md5.update(number.to_le_bytes());
        }
    }
    let digest: [u8; 16] = md5.finalize().into();
    digest.iter().take(8).fold(0, |number, byte| number << 8 | u64::from(*byte))
}

fn file_facts(volume: &Volume, path: &str) -> Option<Vec<u64>> {
    let file = volume.resolve(path).ok()?;
    let stream = volume.stream(file, None).ok()?;
    let modified = volume.times(file).ok()?.map_or(0, |times| times.modified.0);
    let mut facts = vec![file.record, file.sequence.into(), stream.length_bytes, modified];
    if let StreamContent::Extents(extents) = &stream.content {
        facts.extend(extents.iter().flat_map(|extent| {
            // No extent begins at the volume's last byte.
            [extent.file_offset_bytes, extent.length_bytes, extent.volume_offset_bytes.unwrap_or(u64::MAX)]
        }));
    }
    Some(facts)
}

/// The items' bytes, read from the drive.
pub struct DriveFiles<'a> {
    /// The items.
    pub work: &'a Work,
    /// Where they are.
    pub volume: Arc<Volume>,
}

impl Sources for DriveFiles<'_> {
    fn read(&self, pieces: &[Piece], buffer: &mut [u8]) -> Result<(), SourceFault> {
        let Some(first) = pieces.first() else { return Ok(()) };
        let failed = |error: &dyn std::error::Error| SourceFault::OnDrive(proof::chain(error));
        let item = self.work.item(first.item);
        let path = item.drive_path();
        let file = self.volume.resolve(&path).map_err(|error| failed(&error))?;
        let stream = self.volume.stream(file, None).map_err(|error| failed(&error))?;
        let (planned_bytes, found_bytes) = (item.length_bytes(), stream.length_bytes);
        if planned_bytes != found_bytes {
            return Err(SourceFault::Length { planned_bytes, found_bytes });
        }
        for piece in pieces.iter().filter(|piece| !piece.is_hole) {
            let mut rest = &mut buffer[piece.at..][..piece.length];
            let mut at = piece.file_offset_bytes;
            while !rest.is_empty() {
                let read = self.volume.read_at(&stream, at, rest).map_err(|error| failed(&error))?;
                if read == 0 {
                    return Err(SourceFault::OnDrive("it ends early".to_owned()));
                }
                at += read as u64;
                rest = &mut rest[read..];
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn side_files_of_a_pack_are_told_from_data_in_its_directory() {
        let is = |path: &str| is_side_file(&names(Path::new(path)));
        for ours in ["0.metadata.xml", "12.properties.xml", "0.properties/7.xml"] {
            assert!(is(ours), "{ours}");
        }
        for data in [
            "0/a",
            "a.xml",
            ".metadata.xml",
            "x.properties.xml",
            "0.properties/a.xml",
            "0.properties/0/7.xml",
        ] {
            assert!(!is(data), "{data}");
        }
    }

    #[test]
    fn a_path_on_the_drive_is_taken_however_it_is_written() {
        for path in ["D:\\a\\b c", "\\a\\b c", "/a/b c", "a/b c/", "a\\.\\b c"] {
            assert_eq!(names(Path::new(path)), ["a", "b c"], "{path}");
        }
        for path in ["D:\\", "\\", "/", "."] {
            assert!(names(Path::new(path)).is_empty(), "{path}");
        }
    }
}
