//! The logs' oracle: records made of the bytes are written, read, and compared.

use model::digest::HashText;
use model::status::{BlobStatus, ChunkStatus, DispositionStatus, DriveStatus, SideFileStatus};
use model::{BlobPath, DriveId, ImportDisposition, Md5Digest};

use crate::blob_list::BlobListReader;
use crate::entry::{BlobEntry, BlobKind, BlockEntry, RangeEntry, SideFileRef};
use crate::log::{
    BlobRecord, ChunkStatuses, CopyLogEntry, CopyLogReader, CopyLogWriter, DriveLogLevel, DriveLogReader,
    DriveLogWriter, LoggedBlob, LoggedParts, SideFileRecord, VerboseFile, VerboseLogWriter, Word,
    category::copy_error,
};
use crate::xml::replaced;

/// Reads the bytes as every kind of log, and writes logs of what the bytes describe.
pub fn fuzz_logs(data: &[u8]) {
    let mut drive_log = DriveLogReader::new(data);
    while let Ok(Some(_)) = drive_log.next() {}
    let mut copy_log = CopyLogReader::new(data);
    while let Ok(Some(_)) = copy_log.next() {}
    let mut blob_list = BlobListReader::new(data);
    while let Ok(Some(_)) = blob_list.next() {}

    let mut bytes = Bytes(data);
    let scenes: Vec<Scene> = (0..bytes.below(6)).map(|_| Scene::of(&mut bytes)).collect();
    drive_logs(&scenes);
    copy_logs(&scenes);
}

/// Bytes that are used up; zeros after that.
struct Bytes<'a>(&'a [u8]);

impl Bytes<'_> {
    fn next(&mut self) -> u8 {
        let (first, rest) = self.0.split_first().map_or((0, self.0), |(first, rest)| (*first, rest));
        self.0 = rest;
        first
    }

    fn below(&mut self, end: u8) -> u8 {
        self.next() % end
    }

    fn number(&mut self) -> u64 {
        (0..8).fold(0, |number, _| number << 8 | u64::from(self.next()))
    }

    fn text(&mut self) -> String {
        (0..self.below(12))
            .map(|_| match self.below(16) {
                0 => {
                    char::from_u32(u32::from(self.next()) << 8 | u32::from(self.next())).unwrap_or('\u{FFFF}')
                }
                1 => '\r',
                2 => '\n',
                3 => '\t',
                4 => '&',
                5 => '<',
                6 => '>',
                7 => '"',
                8 => '\u{1}',
                9 => ' ',
                other => char::from(b'a' + other),
            })
            .collect()
    }

    fn one_of<T: Copy>(&mut self, all: &[T]) -> T {
        all[usize::from(self.next()) % all.len()]
    }

    fn optional<T>(&mut self, make: impl FnOnce(&mut Self) -> T) -> Option<T> {
        (self.below(2) == 1).then(|| make(self))
    }

    fn digest(&mut self) -> Md5Digest {
        Md5Digest([self.next(); 16])
    }

    fn side_file(&mut self) -> SideFileRef {
        SideFileRef { path: self.text(), hash: HashText::Md5(self.digest()) }
    }
}

/// One blob and what became of it.
struct Scene {
    entry: BlobEntry,
    status: BlobStatus,
    disposition: Option<DispositionStatus>,
    renamed_to: Option<String>,
    chunks: Vec<ChunkStatus>,
    side_files: [Option<Side>; 2],
    http_status: Option<u16>,
}

type Side = (SideFileStatus, Option<SideFileRef>, Option<SideFileRef>);

impl Scene {
    fn of(bytes: &mut Bytes<'_>) -> Scene {
        let count = usize::from(bytes.below(4));
        let range = |bytes: &mut Bytes<'_>| RangeEntry {
            offset_bytes: bytes.number(),
            length_bytes: bytes.number(),
            hash: bytes.digest(),
        };
        let kind = match bytes.below(3) {
            0 => BlobKind::Block(
                (0..count)
                    .map(|_| BlockEntry::tool(bytes.number(), bytes.number(), bytes.digest()))
                    .collect(),
            ),
            1 => BlobKind::Page((0..count).map(|_| range(bytes)).collect()),
            _ => BlobKind::File((0..count).map(|_| range(bytes)).collect()),
        };
        let dispositions =
            [ImportDisposition::Rename, ImportDisposition::NoOverwrite, ImportDisposition::Overwrite];
        let side = |bytes: &mut Bytes<'_>| {
            let status = bytes.one_of(SideFileStatus::ALL);
            (status, bytes.optional(Bytes::side_file), bytes.optional(Bytes::side_file))
        };
        Scene {
            status: bytes.one_of(BlobStatus::ALL),
            disposition: bytes.optional(|bytes| bytes.one_of(DispositionStatus::ALL)),
            renamed_to: bytes.optional(Bytes::text),
            chunks: (0..count).map(|_| bytes.one_of(ChunkStatus::ALL)).collect(),
            side_files: [bytes.optional(side), bytes.optional(side)],
            http_status: bytes.optional(|bytes| u16::from(bytes.next())),
            entry: BlobEntry {
                index: 0,
                list: 0,
                blob_path: bytes.text(),
                file_path: bytes.text(),
                length_bytes: bytes.number(),
                stated_disposition: bytes.optional(|bytes| bytes.one_of(&dispositions)),
                kind,
                metadata: None,
                properties: None,
                client_data: None,
                snapshot: bytes.optional(Bytes::text),
            },
        }
    }

    fn record(&self) -> BlobRecord<'_> {
        let side = |index: usize| {
            self.side_files[index].as_ref().map(|(status, global, own)| SideFileRecord {
                status: *status,
                global: global.as_ref(),
                own: own.as_ref(),
            })
        };
        BlobRecord {
            entry: &self.entry,
            status: self.status,
            disposition: self.disposition,
            renamed_to: self.renamed_to.as_deref(),
            chunks: ChunkStatuses::Each(&self.chunks),
            metadata: side(0),
            properties: side(1),
            last_modified: None,
            http_status: self.http_status,
        }
    }
}

fn drive_logs(scenes: &[Scene]) {
    let drive = DriveId::new("S1").unwrap();
    for level in [DriveLogLevel::Verbose, DriveLogLevel::Error] {
        let mut writer = DriveLogWriter::new(Vec::new(), level, &drive).unwrap();
        scenes.iter().for_each(|scene| writer.blob(&scene.record()).unwrap());
        let log = writer.finish(DriveStatus::CompletedWithErrors).unwrap();
        let mut reader = DriveLogReader::new(&log[..]);
        let verbose = level == DriveLogLevel::Verbose;
        for scene in scenes.iter().filter(|scene| verbose || scene.status != BlobStatus::Completed) {
            is_logged(&reader.next().unwrap().unwrap(), scene, verbose);
        }
        assert!(reader.next().unwrap().is_none());
        assert_eq!(reader.head().status, Some(Word::Known(DriveStatus::CompletedWithErrors)));
    }
}

fn is_logged(blob: &LoggedBlob, scene: &Scene, verbose: bool) {
    let entry = &scene.entry;
    let path = scene.renamed_to.as_ref().unwrap_or(&entry.blob_path);
    assert_eq!(blob.blob_path.as_deref(), Some(replaced(path).as_str()));
    assert_eq!(blob.file_path.as_deref(), Some(replaced(&entry.file_path).as_str()));
    assert_eq!(blob.snapshot, entry.snapshot.as_deref().map(replaced));
    assert_eq!(blob.status, Some(Word::Known(scene.status)));
    assert_eq!(blob.length_bytes, Some(entry.length_bytes));
    let disposition = blob.disposition.as_ref().map(|logged| (logged.status.clone(), logged.asked.clone()));
    let expected =
        scene.disposition.map(|status| (Some(Word::Known(status)), Word::Known(entry.disposition())));
    assert_eq!(disposition, expected);
    let parts: Vec<(u64, u64, Md5Digest)> = match &entry.kind {
        BlobKind::Block(blocks) => blocks.iter().map(|b| (b.offset_bytes, b.length_bytes, b.hash)).collect(),
        BlobKind::Page(ranges) | BlobKind::File(ranges) => {
            ranges.iter().map(|r| (r.offset_bytes, r.length_bytes, r.hash)).collect()
        }
    };
    let mut expected =
        parts.iter().zip(&scene.chunks).filter(|(_, status)| verbose || **status != ChunkStatus::Completed);
    let (LoggedParts::Blocks(found) | LoggedParts::Pages(found) | LoggedParts::Files(found)) = &blob.parts
    else {
        panic!("there is always a list");
    };
    for part in found {
        let ((offset, length, hash), status) = expected.next().expect("no more parts than written");
        assert_eq!(
            (part.offset_bytes, part.length_bytes, part.hash),
            (Some(*offset), Some(*length), Some(*hash))
        );
        assert_eq!(part.status, Some(Word::Known(*status)));
    }
    assert!(expected.next().is_none());
    for (logged, side) in [&blob.metadata, &blob.properties].into_iter().zip(&scene.side_files) {
        let side = side.as_ref().filter(|(status, ..)| verbose || *status != SideFileStatus::Completed);
        assert_eq!(logged.is_some(), side.is_some());
        let Some((logged, (status, global, own))) = logged.as_ref().zip(side) else { continue };
        assert_eq!(logged.status, Some(Word::Known(*status)));
        for (logged, written) in [(&logged.global, global), (&logged.own, own)] {
            let logged = logged.as_ref().map(|file| (file.path.clone(), file.hash.clone()));
            let written = written.as_ref().map(|file| (replaced(&file.path), Some(file.hash.to_string())));
            assert_eq!(logged, written);
        }
    }
}

fn copy_logs(scenes: &[Scene]) {
    let mut writer = CopyLogWriter::new(Vec::new());
    let mut verbose = VerboseLogWriter::new(Vec::new());
    let destination = BlobPath::new("con", "a&\"b").unwrap();
    for scene in scenes {
        writer.blob(&scene.record()).unwrap();
        let crc64 = scene.entry.length_bytes.rotate_left(7);
        verbose.file(&VerboseFile { entry: &scene.entry, destination: &destination, crc64 }).unwrap();
    }
    let drive = DriveId::new("S1").unwrap();
    let (log, summary) = writer.finish(&drive, DriveStatus::Completed).unwrap();
    let mut reader = CopyLogReader::new(&log[..]);
    for scene in scenes {
        let Some(error) = copy_error(&scene.record()) else { continue };
        let Some(CopyLogEntry::Errored(found)) = reader.next().unwrap() else {
            panic!("an entity is missing")
        };
        let path = scene.renamed_to.as_ref().unwrap_or(&scene.entry.blob_path);
        assert_eq!(found.path.as_deref(), Some(replaced(path.trim_start_matches('/')).as_str()));
        assert_eq!(found.category.as_deref(), Some(error.category.as_str()));
        assert_eq!(found.error_code, Some(i64::from(error.code)));
        assert_eq!(found.error_message.as_deref(), Some(replaced(&error.message).as_str()));
    }
    let Some(CopyLogEntry::Summary(totals)) = reader.next().unwrap() else {
        panic!("the summary is missing")
    };
    assert_eq!((totals.total, totals.errored), (Some(summary.total), Some(summary.errored)));
    assert!(reader.next().unwrap().is_none());

    let log = verbose.finish().unwrap();
    let mut reader = CopyLogReader::new(&log[..]);
    for scene in scenes {
        let Some(CopyLogEntry::File(found)) = reader.next().unwrap() else { panic!("a file is missing") };
        let length = scene.entry.length_bytes;
        assert_eq!((found.size_bytes, found.crc64), (Some(length), Some(length.rotate_left(7))));
        assert_eq!(found.path.as_deref(), Some("con\\a&\"b"));
    }
    assert!(reader.next().unwrap().is_none());
}
