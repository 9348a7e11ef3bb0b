//! From the items of a drive to places on its volume.
//!
//! Everything the drive will hold is planned before its first byte is written: the sources' files in
//! the work's order, our side files, and last the manifest with an upper bound of its length, which
//! becomes the real one at the end. The same blueprint gives the same layout; a resumed pack rests on
//! that.

use std::collections::{BTreeMap, HashMap};
use std::ops::Range;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, UNIX_EPOCH};

use bitlocker::format;
use block::Partition;
use block::partitions::{Guid, NewTable, NewTableError};
use manifest::Properties;
use md5::{Digest, Md5};
use model::Md5Digest;
use ntfs::build::amend::AmendError;
use ntfs::build::amend::ReplaceError;
use ntfs::build::{
    Attributes, BuildError, Builder, DirectoryId, DirectorySpec, FileId, FileSpec, FileTime, PlacedFile,
    PlanError, Settings, Times,
};

use super::blueprint::{Blueprint, Mode};
use super::slab::{Place, Shape};
use super::volume_plan::{Maker, VolumePlan};
use crate::work::{self, DatasetId, Item, ItemId, SideFile, Work};

/// The manifest's name in the volume's root: azure-import-export.md §1.2, generations A and B.
pub const MANIFEST_NAME: &str = "DriveManifest.xml";
/// The manifest's path as a job has it.
pub const MANIFEST_PATH: &str = "\\DriveManifest.xml";

/// The items do not make a volume.
#[derive(Debug, thiserror::Error)]
pub enum LayoutError {
    /// A name or a length that NTFS does not have.
    #[error("laying out the drive")]
    Build(#[from] BuildError),
    /// Clashing names, or no room.
    #[error("laying out the drive")]
    Plan(#[source] PlanError),
    /// Blocks of a file that do not begin where the volume's clusters do.
    #[error(
        "blocks of {part_bytes} bytes, of {}, do not fit the volume's clusters of {cluster_bytes} bytes: give \
         --block-bytes a multiple of them", path.display()
    )]
    Blocks {
        /// The file.
        path: PathBuf,
        /// How long its blocks are.
        part_bytes: u64,
        /// How long the clusters are.
        cluster_bytes: u32,
    },
    /// A volume that files cannot be added to.
    #[error("adding to the drive's volume")]
    Amend(#[source] AmendError),
}

impl From<PlanError> for LayoutError {
    fn from(error: PlanError) -> LayoutError {
        LayoutError::Plan(error)
    }
}

impl From<AmendError> for LayoutError {
    fn from(error: AmendError) -> LayoutError {
        match error {
            AmendError::Plan(error) => LayoutError::Plan(error),
            other => LayoutError::Amend(other),
        }
    }
}

impl From<ReplaceError> for LayoutError {
    fn from(error: ReplaceError) -> LayoutError {
        match error {
            ReplaceError::New(error) => LayoutError::Build(error),
            ReplaceError::Old(error) => error.into(),
        }
    }
}

/// The drive has no room for a volume.
#[derive(Debug, thiserror::Error)]
pub enum FrameError {
    /// No partition.
    #[error("partitioning the drive")]
    Table(#[from] NewTableError),
    /// No encrypted volume.
    #[error("laying out the encrypted volume")]
    Outer(#[from] format::LayoutError),
}

/// What is around the file system: a partition, and an encrypted volume in it.
#[derive(Debug, Clone)]
pub struct Frame {
    /// The partition table.
    pub table: NewTable,
    /// Its one partition.
    pub partition: Partition,
    /// Where BitLocker's areas are.
    pub outer: format::Layout,
    /// The partition's first sector.
    pub first_sector: u32,
}

/// Clusters of a volume of that length: 4 KiB to 16 TiB, 64 KiB beyond, because Windows counts clusters in
/// 32 bits.
pub fn cluster_bytes(drive_bytes: u64) -> u32 {
    if drive_bytes <= 16 << 40 { 4 << 10 } else { 64 << 10 }
}

impl Frame {
    /// The frame of a blueprint's drive.
    ///
    /// # Errors
    /// When the drive is too small.
    pub fn new(blueprint: &Blueprint) -> Result<Frame, FrameError> {
        let Blueprint { drive_bytes, sector_bytes, cluster_bytes, disk_guid, partition_guid, .. } =
            *blueprint;
        let (drive_id, partition_id) = (Guid(disk_guid), Guid(partition_guid));
        let table = NewTable { drive_bytes, sector_bytes, drive_id, partition_id };
        let partition = table.partition()?;
        let outer = format::Layout::within_clusters(partition.length_bytes, sector_bytes, cluster_bytes)?;
        let first_sector = partition.start_bytes / u64::from(sector_bytes);
        let first_sector = u32::try_from(first_sector).unwrap_or(u32::MAX);
        Ok(Frame { table, partition, outer, first_sector })
    }

    /// An empty file system for that frame.
    ///
    /// # Errors
    /// When NTFS has no such volume.
    pub fn maker(&self, blueprint: &Blueprint) -> Result<Maker, LayoutError> {
        let outer = &self.outer;
        let placed = outer.reserved().into_iter().map(|area| PlacedFile {
            name: area.kind.to_string(),
            offset_bytes: area.offset_bytes,
            length_bytes: area.length_bytes,
        });
        let settings = Settings {
            volume_bytes: outer.file_system_bytes(),
            sector_bytes: outer.sector_bytes(),
            cluster_bytes: Some(blueprint.cluster_bytes),
            label: blueprint.label.clone(),
            serial: blueprint.volume_serial,
            first_sector_of_partition: self.first_sector,
            time: FileTime(blueprint.time),
            placed: placed.collect(),
        };
        Ok(Maker::New(Box::new(Builder::new(settings)?)))
    }
}

/// A side file on the volume, and its bytes.
pub type SideFilePlace = (FileId, Arc<[u8]>);

/// A drive's volume as planned.
pub struct Layout {
    /// The file system.
    pub plan: VolumePlan,
    /// The items, in the work's order; `files` has the file of each.
    pub items: Vec<ItemId>,
    files: Vec<FileId>,
    /// Our side files that hold for whole datasets.
    pub side_files: Vec<SideFilePlace>,
    /// The properties files of items that get a `Content-MD5`.
    own_properties: BTreeMap<ItemId, FileId>,
    /// The manifest.
    pub manifest: FileId,
}

impl Layout {
    /// Plans the volume of that blueprint.
    ///
    /// # Errors
    /// When the items do not fit, or cannot be named.
    pub fn new(work: &Work, blueprint: &Blueprint, maker: Maker) -> Result<Layout, LayoutError> {
        let mut draft =
            Draft { work, blueprint, builder: maker, directories: HashMap::new(), paths: HashMap::new() };
        let items: Vec<ItemId> = blueprint.item_ids().collect();
        let side_files = draft.side_files(&items)?;
        let files = if blueprint.mode == Mode::InPlace {
            // They are there already.
            Vec::new()
        } else {
            items.iter().map(|id| draft.item(*id)).collect::<Result<Vec<FileId>, LayoutError>>()?
        };
        let own_properties = draft.own_properties(&items)?;
        let spec = FileSpec { length_bytes: blueprint.manifest_bytes_max, ..draft.own_file() };
        let manifest = draft.builder.manifest(&spec)?;
        let plan = draft.builder.plan()?;
        check_parts(work, &items, cut_cluster_bytes(blueprint, plan.cluster_bytes()))?;
        Ok(Layout { plan, items, files, side_files, own_properties, manifest })
    }

    /// An item of this drive as it is cut, and where its data goes.
    pub fn cut<'b>(&self, work: &Work, blueprint: &'b Blueprint, index: usize) -> (Shape<'b>, Vec<Place>) {
        let item = work.item(self.items[index]);
        let data = blueprint.stored.get(&item.id.0).map(Vec::as_slice);
        let shape = Shape {
            item: item.id,
            kind: item.kind(),
            length_bytes: item.length_bytes(),
            part_bytes: item.part_bytes(),
            data,
        };
        let places = match self.files.get(index) {
            Some(file) => self.places(*file),
            // In place it is read whole and written nowhere.
            None => vec![Place {
                file_offset_bytes: 0,
                volume_offset_bytes: 0,
                length_bytes: item.length_bytes(),
            }],
        };
        (shape, places)
    }

    /// The clusters that the items' parts begin at.
    pub fn cut_cluster_bytes(&self, blueprint: &Blueprint) -> u32 {
        cut_cluster_bytes(blueprint, self.plan.cluster_bytes())
    }

    /// Where a file's data goes.
    pub fn places(&self, file: FileId) -> Vec<Place> {
        let place = |extent: ntfs::build::Extent| Place {
            file_offset_bytes: extent.file_offset_bytes,
            volume_offset_bytes: extent.volume_offset_bytes,
            length_bytes: extent.length_bytes,
        };
        self.plan.extents(file).map(place).collect()
    }

    /// All files in the order of their data.
    pub fn all_files(&self) -> impl Iterator<Item = FileId> + '_ {
        let side_files = self.side_files.iter().map(|(file, _)| *file);
        let own = self.own_properties.values().copied();
        side_files.chain(self.files.iter().copied()).chain(own).chain([self.manifest])
    }

    /// The file of an item.
    pub fn file(&self, item: ItemId) -> Option<FileId> {
        self.items.binary_search(&item).ok().and_then(|index| self.files.get(index).copied())
    }

    /// The properties file of an item.
    pub fn own_properties(&self, item: ItemId) -> Option<FileId> {
        self.own_properties.get(&item).copied()
    }
}

/// What parts of items are cut at, on a volume of these clusters.
fn cut_cluster_bytes(blueprint: &Blueprint, of_volume: u32) -> u32 {
    match blueprint.mode {
        Mode::New | Mode::Added => of_volume,
        // Nothing is written, so parts need not end where the volume's clusters do.
        Mode::InPlace => blueprint.cluster_bytes,
    }
}

/// A part begins where a cluster does, so that it is written at one go.
fn check_parts(work: &Work, items: &[ItemId], cluster_bytes: u32) -> Result<(), LayoutError> {
    let torn = items.iter().map(|id| work.item(*id)).find(|item| {
        let part_bytes = item.part_bytes();
        item.length_bytes() > part_bytes && !part_bytes.is_multiple_of(cluster_bytes.into())
    });
    torn.map_or(Ok(()), |item| {
        let (path, part_bytes) = (item.source_path(), item.part_bytes());
        Err(LayoutError::Blocks { path, part_bytes, cluster_bytes })
    })
}

/// Where an item's own properties file lies on the drive.
pub fn own_properties_path(work: &Work, item: ItemId) -> String {
    let dataset = work.item(item).dataset_id();
    format!("\\{}\\{}.properties\\{}.xml", work.session(), dataset.0, item.0)
}

/// The properties of an item with the digest of its bytes: its dataset's, and `Content-MD5`.
pub fn own_properties_file(item: &Item<'_>, md5: Md5Digest) -> String {
    let of_dataset = item.dataset().properties.as_ref().map(|file| Properties::parse(&file.bytes));
    // The dataset's file was parsed when it was read; if it were not, the digest alone would be right.
    let mut properties = of_dataset.and_then(Result::ok).unwrap_or_default();
    properties.content_md5 = Some(md5);
    properties.to_xml()
}

struct Draft<'a> {
    work: &'a Work,
    blueprint: &'a Blueprint,
    builder: Maker,
    directories: HashMap<work::DirectoryId, DirectoryId>,
    paths: HashMap<String, DirectoryId>,
}

impl Draft<'_> {
    /// The side files of the datasets that have items on this drive.
    fn side_files(&mut self, items: &[ItemId]) -> Result<Vec<SideFilePlace>, LayoutError> {
        let mut used: Vec<DatasetId> = items.iter().map(|id| self.work.item(*id).dataset_id()).collect();
        used.dedup();
        let mut files = Vec::new();
        for dataset in used.into_iter().map(|id| self.work.dataset(id)) {
            for SideFile { drive_path, bytes } in dataset.metadata.iter().chain(&dataset.properties) {
                let (folder, name) = drive_path.rsplit_once('\\').unwrap_or(("", drive_path));
                let parent = self.path(folder)?;
                let spec = FileSpec { length_bytes: bytes.len() as u64, ..self.own_file() };
                files.push((self.builder.file(parent, name, &spec)?, Arc::clone(bytes)));
            }
        }
        Ok(files)
    }

    fn item(&mut self, id: ItemId) -> Result<FileId, LayoutError> {
        let item = self.work.item(id);
        let parent = self.directory(item.directory())?;
        let modified = file_time(item.modified_nanoseconds());
        let times = Times {
            created: modified,
            modified,
            changed: modified,
            accessed: file_time(item.accessed_nanoseconds()),
        };
        let spec = FileSpec {
            length_bytes: item.length_bytes(),
            data: self.blueprint.stored.get(&id.0).cloned(),
            times,
            attributes: Attributes::ARCHIVE,
        };
        Ok(self.builder.file(parent, item.name(), &spec)?)
    }

    fn own_properties(&mut self, items: &[ItemId]) -> Result<BTreeMap<ItemId, FileId>, LayoutError> {
        let mut files = BTreeMap::new();
        for id in items.iter().copied().filter(|id| self.work.item(*id).dataset().content_md5) {
            let path = own_properties_path(self.work, id);
            let (folder, name) = path.rsplit_once('\\').unwrap_or(("", &path));
            let parent = self.path(folder)?;
            let text = own_properties_file(&self.work.item(id), Md5Digest([0; 16]));
            let spec = FileSpec { length_bytes: text.len() as u64, ..self.own_file() };
            files.insert(id, self.builder.file(parent, name, &spec)?);
        }
        Ok(files)
    }

    /// The directory of a work, made when its first item comes.
    fn directory(&mut self, id: work::DirectoryId) -> Result<DirectoryId, LayoutError> {
        if let Some(made) = self.directories.get(&id) {
            return Ok(*made);
        }
        let directory = self.work.directory(id);
        let made = match directory.parent {
            None => self.path(&self.work.dataset(directory.dataset).drive_directory.clone())?,
            Some(parent) => {
                let parent = self.directory(parent)?;
                let name = &self.work.directory(id).name;
                self.builder.directory(parent, name, &self.own_directory())?
            }
        };
        self.directories.insert(id, made);
        Ok(made)
    }

    /// A directory of ours by its path from `\` on, made with all above it.
    fn path(&mut self, path: &str) -> Result<DirectoryId, LayoutError> {
        let Some((folder, name)) = path.rsplit_once('\\') else { return Ok(DirectoryId::ROOT) };
        if let Some(made) = self.paths.get(path) {
            return Ok(*made);
        }
        let parent = self.path(folder)?;
        let made = self.builder.directory(parent, name, &self.own_directory())?;
        self.paths.insert(path.to_owned(), made);
        Ok(made)
    }

    fn own_directory(&self) -> DirectorySpec {
        DirectorySpec { times: self.own_times(), attributes: Attributes::NONE }
    }

    fn own_file(&self) -> FileSpec {
        FileSpec { times: self.own_times(), attributes: Attributes::ARCHIVE, ..FileSpec::default() }
    }

    fn own_times(&self) -> Times {
        Times::all(FileTime(self.blueprint.time))
    }
}

/// Tells two layouts apart: a digest of the places of all files, and of the volume that is added to.
pub fn fingerprint(layout: &Layout) -> u64 {
    let places = layout.all_files().flat_map(|file| layout.places(file));
    let numbers =
        places.flat_map(|place| [place.file_offset_bytes, place.volume_offset_bytes, place.length_bytes]);
    let base = layout.plan.base();
    let begun = base
        .iter()
        .fold(Md5::new(), |md5, part| md5.chain_update((part.len() as u64).to_le_bytes()).chain_update(part));
    let md5 = numbers.fold(begun, |md5, number| md5.chain_update(number.to_le_bytes()));
    let digest: [u8; 16] = md5.finalize().into();
    digest.iter().take(8).fold(0, |number, byte| number << 8 | u64::from(*byte))
}

/// Nanoseconds from 1970 as NTFS keeps them.
pub fn file_time(nanoseconds: i64) -> FileTime {
    let distance = Duration::from_nanos(nanoseconds.unsigned_abs());
    let time =
        if nanoseconds < 0 { UNIX_EPOCH.checked_sub(distance) } else { UNIX_EPOCH.checked_add(distance) };
    FileTime::from(time.unwrap_or(UNIX_EPOCH))
}

/// Ranges in whole units, adjacent ones joined; the unit grows until there are few enough.
pub fn coarsened(
    stored: &[Range<u64>],
    unit_bytes: u64,
    ranges_max: usize,
    length_bytes: u64,
) -> Vec<Range<u64>> {
    let mut unit = unit_bytes;
    loop {
        let mut joined: Vec<Range<u64>> = Vec::new();
        for range in stored {
            let (start, end) =
                (range.start / unit * unit, range.end.next_multiple_of(unit).min(length_bytes));
            match joined.last_mut() {
                Some(last) if last.end >= start => last.end = last.end.max(end),
                _ => joined.push(start..end),
            }
        }
        if joined.len() <= ranges_max {
            return joined;
        }
        unit = unit.saturating_mul(2);
    }
}

#[cfg(test)]
mod tests {
    use manifest::BlockLength;

    use super::*;

    #[test]
    fn clusters_grow_where_windows_cannot_count_them() {
        assert_eq!(cluster_bytes(16 << 40), 4_096);
        assert_eq!(cluster_bytes((16 << 40) + 512), 65_536);
    }

    #[test]
    fn blocks_that_begin_within_clusters_are_refused() {
        let mut builder = work::tests::builder();
        let block_length = BlockLength::new(12 << 10).unwrap();
        let dataset = work::Dataset { block_length, ..work::tests::dataset("/data", "files/") };
        let root = builder.dataset(dataset).unwrap();
        for (name, length_bytes) in [("a", 12 << 10), ("b", (12 << 10) + 1)] {
            builder.file(root, name, &work::tests::facts(length_bytes)).unwrap();
        }
        let work = builder.finish();
        let [one, two] = [ItemId(0), ItemId(1)];
        assert!(check_parts(&work, &[one, two], 4 << 10).is_ok());
        assert!(check_parts(&work, &[one], 64 << 10).is_ok(), "one block begins where its file does");
        let error = check_parts(&work, &[one, two], 64 << 10).unwrap_err();
        assert!(error.to_string().contains("/data/b"), "{error}");
    }

    #[test]
    fn ranges_are_widened_to_units_until_there_are_few_enough() {
        let stored = [5..10, 70_000..70_001, 200_000..300_000];
        assert_eq!(coarsened(&stored, 65_536, 10, 290_000), [0..131_072, 196_608..290_000]);
        assert_eq!(coarsened(&stored, 65_536, 1, 290_000), Vec::from_iter(Some(0..290_000)));
        assert!(coarsened(&[], 65_536, 10, 290_000).is_empty());
    }

    #[test]
    fn times_before_and_after_1970_are_kept() {
        assert_eq!(file_time(0), FileTime(116_444_736_000_000_000));
        assert_eq!(file_time(-1_000_000_000), FileTime(116_444_735_990_000_000));
        assert_eq!(file_time(123_456_789), FileTime(116_444_736_001_234_567));
    }
}
