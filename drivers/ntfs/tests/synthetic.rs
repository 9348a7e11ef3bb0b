//! What no real image at hand has, on volumes made by tests/common/image.rs.

#![allow(clippy::cast_possible_truncation, reason = "test data is small")]

mod common;

use std::io::Read;

use common::image::{
    ATTRIBUTE_LIST, DATA, Image, ROOT, Record, SHAPE, Shape, clusters, device, file_name, list_entry,
    overlay, packed, reparse, resident,
};
use common::{content, open};
use ntfs::{
    BootSector, Damage, Extent, FileId, Limits, LogFile, OpenError, PathFault, ProblemKind, ReparseTag,
    ResolveError, Stream, StreamContent, StreamError, StreamReader, SweepError, Volume,
};

fn pattern(length: usize) -> Vec<u8> {
    (0..length).map(|at| (at * 7 + at / 251) as u8).collect()
}

fn file(record: u64) -> FileId {
    FileId { record, sequence: 1 }
}

/// A volume with `a\B.txt` (record 31) in directory `a` (30), and `small` (32) resident in the root.
fn simple(shape: Shape) -> Image {
    let mut image = Image::new(shape);
    image.put(30, Record::directory().named(ROOT, "a"));
    let stored = image.stored(Record::file().named(file(30), "B.txt"), &pattern(10_000));
    image.put(31, stored);
    image.put(32, Record::file().named(ROOT, "small").holding(b"inside"));
    image
}

fn kinds(volume: &Volume) -> Vec<(u64, ProblemKind)> {
    volume.health().problems.kept().iter().map(|problem| (problem.record, problem.kind)).collect()
}

#[test]
fn every_geometry_of_the_issue_reads() {
    let records = 64;
    for (sector_bytes, cluster_bytes, record_bytes, clusters) in [
        (512, 512, 1024, 4096),
        (512, 4096, 1024, 1024),
        (512, 65_536, 1024, 32),
        (512, 2 << 20, 1024, 12),
        (512, 4096, 4096, 1024),
        (4096, 4096, 4096, 1024),
        (4096, 65_536, 4096, 32),
    ] {
        let shape = Shape { sector_bytes, cluster_bytes, record_bytes, records, clusters };
        let volume = simple(shape).open();
        assert_eq!(kinds(&volume), []);
        assert!(volume.health().is_sound());
        let geometry = volume.geometry();
        assert_eq!(
            (geometry.cluster_bytes, geometry.record_bytes),
            (cluster_bytes as u32, record_bytes as u32)
        );
        assert_eq!(content(&volume, volume.resolve("a/b.TXT").unwrap(), None), pattern(10_000));
        assert_eq!(content(&volume, volume.resolve("SMALL").unwrap(), None), b"inside");
    }
}

#[test]
fn extents_cover_the_file_and_read_as_the_device_does() {
    let mut image = simple(SHAPE);
    let (first, second) = (image.place(&[1; 8192]), image.place(&[2; 4096]));
    let runs = [(Some(first), 2), (None, 3), (Some(second), 1)];
    let attribute = clusters(24_000, &runs).data();
    image.put(40, Record::file().named(ROOT, "holes").with(attribute));
    let volume = image.open();
    let stream = volume.stream(file(40), None).unwrap();
    let extent = |file_offset_bytes, length_bytes, lcn: Option<u64>| Extent {
        file_offset_bytes,
        length_bytes,
        volume_offset_bytes: lcn.map(|lcn| lcn * 4096),
    };
    let expected =
        [extent(0, 8192, Some(first)), extent(8192, 12_288, None), extent(20_480, 3_520, Some(second))];
    assert_eq!(stream.content, StreamContent::Extents(expected.to_vec()));
    let mut bytes = vec![9; 24_000];
    volume.read_at(&stream, 0, &mut bytes).unwrap();
    let expected = [vec![1; 8192], vec![0; 12_288], vec![2; 3_520]].concat();
    assert_eq!(bytes, expected);
    let mut part = [9; 100];
    assert_eq!(volume.read_at(&stream, 8_150, &mut part).unwrap(), 100);
    assert_eq!(part, expected[8_150..8_250]);
    assert_eq!(volume.read_at(&stream, 23_990, &mut part).unwrap(), 10);
    assert_eq!(volume.read_at(&stream, 24_000, &mut part).unwrap(), 0);
    let mut streamed = Vec::new();
    StreamReader::new(&volume, stream).read_to_end(&mut streamed).unwrap();
    assert_eq!(streamed, expected);
}

#[test]
fn a_file_spread_over_an_attribute_list_is_joined_by_vcn() {
    let mut image = simple(SHAPE);
    let parts: Vec<u64> = (1..=3).map(|n| image.place(&[n; 4096])).collect();
    let at = |n: usize| [(Some(parts[n]), 1)];
    let list = [
        list_entry(DATA, "", 0, file(42)),
        list_entry(DATA, "", 1, file(43)),
        list_entry(DATA, "", 2, file(41)),
    ]
    .concat();
    let base = Record::file().named(ROOT, "spread").with(resident(ATTRIBUTE_LIST, "", 0, &list));
    image.put(40, base);
    let piece = |start_vcn, runs: &[(Option<u64>, u64)]| {
        let mut piece = clusters(12_288, runs);
        piece.start_vcn = start_vcn;
        Record::extension_of(file(40)).with(piece.data())
    };
    image.put(41, piece(2, &at(2)));
    image.put(42, piece(0, &at(0)));
    image.put(43, piece(1, &at(1)));
    // Left over from a crash: claims the file, but the list does not know it.
    image.put(44, piece(1, &at(0)));
    let complete = image.clone().open();
    let expected = [[1; 4096], [2; 4096], [3; 4096]].concat();
    assert_eq!(content(&complete, file(40), None), expected);

    image.records.remove(&43);
    let volume = image.open();
    let damage = Damage::Missing { start_vcn: 1, holder: 43 };
    assert_damaged(volume.stream(file(40), None), 40, damage);
}

#[test]
fn a_piece_that_is_missing_from_the_list_too_leaves_a_gap() {
    let mut image = simple(SHAPE);
    let lcn = image.place(&[1; 8192]);
    let list = [list_entry(DATA, "", 0, file(40)), list_entry(DATA, "", 2, file(41))].concat();
    let base = Record::file().named(ROOT, "gap").with(resident(ATTRIBUTE_LIST, "", 0, &list));
    image.put(40, base.with(clusters(12_288, &[(Some(lcn), 1)]).data()));
    let runs = [(Some(lcn + 1), 1)];
    let mut piece = clusters(12_288, &runs);
    piece.start_vcn = 2;
    image.put(41, Record::extension_of(file(40)).with(piece.data()));
    let volume = image.open();
    let fault = ntfs::LayoutFault::Gap { expected_vcn: 1, found_vcn: 2 };
    assert_damaged(volume.stream(file(40), None), 41, Damage::Layout(fault));
}

fn assert_damaged(found: Result<Stream, StreamError>, record: u64, damage: Damage) {
    match found {
        Err(StreamError::Damaged { record: at, damage: is }) => assert_eq!((at, is), (record, damage)),
        other => panic!("{other:?}"),
    }
}

#[test]
fn streams_that_contradict_themselves_are_refused() {
    let mut image = simple(SHAPE);
    let lcn = image.place(&[1; 8192]);
    let run = [(Some(lcn), 2)];
    let mut put = |record: u64, attributes: &[Vec<u8>]| {
        let named = Record::file().named(ROOT, &format!("f{record}"));
        image.put(record, attributes.iter().cloned().fold(named, Record::with));
    };
    put(40, &[clusters(8_193, &run).data()]);
    let mut more = clusters(8_000, &run);
    more.initialized = 8_001;
    put(41, &[more.data()]);
    put(42, &[clusters(8_000, &run).data(), clusters(8_000, &run).data()]);
    put(43, &[clusters(8_000, &[(Some(1_023), 2)]).data()]);
    let mut last_vcn = clusters(8_000, &run).data();
    last_vcn[24] = 9;
    put(44, &[last_vcn]);
    let mut later = clusters(8_000, &run);
    later.start_vcn = 2;
    put(45, &[later.data()]);
    let volume = image.open();
    let short = ntfs::LayoutFault::Short { length_bytes: 8_193, covered_bytes: 8_192 };
    assert_damaged(volume.stream(file(40), None), 40, short.into());
    let more = ntfs::LayoutFault::Initialized { length_bytes: 8_000, initialized_bytes: 8_001 };
    assert_damaged(volume.stream(file(41), None), 41, more.into());
    assert_damaged(volume.stream(file(42), None), 42, Damage::Twice);
    assert_damaged(volume.stream(file(43), None), 43, Damage::Broken);
    assert_damaged(volume.stream(file(44), None), 44, Damage::Broken);
    assert_damaged(volume.stream(file(45), None), 45, Damage::Missing { start_vcn: 0, holder: 45 });
    let outside = ntfs::RunFault::Outside { lcn: 1_023, clusters: 2 };
    let expected =
        [(43, ProblemKind::Runs(outside)), (44, ProblemKind::RunsLength { expected: 10, found: 2 })];
    assert_eq!(kinds(&volume), expected);
}

#[test]
fn encrypted_and_reparse_files_are_refused_by_name() {
    let mut image = simple(SHAPE);
    let lcn = image.place(&[1; 4096]);
    let runs = [(Some(lcn), 1)];
    let mut encrypted = clusters(4_096, &runs);
    encrypted.flags = 0x4000;
    image.put(40, Record::file().named(ROOT, "efs").with(encrypted.data()));
    let cloud = 0x9000_701a;
    for (record, name, tag) in [(41, "cloud", cloud), (42, "dedup", 0x8000_0013), (43, "link", 0xa000_000c)] {
        let point = Record::file().named(ROOT, name).with(clusters(4_096, &[(None, 1)]).data());
        image.put(record, point.with(reparse(tag, &[0; 8])));
        let directory = image.put(record + 10, Record::directory().named(ROOT, &format!("{name}s")));
        let entered = image.records.remove(&directory.record).unwrap().with(reparse(tag, &[0; 8]));
        image.put(directory.record, entered);
        image.put(record + 20, Record::file().named(directory, "f").holding(b"x"));
    }
    let volume = image.open();
    assert!(matches!(volume.stream(file(40), None), Err(StreamError::Encrypted)));
    for (name, tag) in [("cloud", cloud), ("dedup", 0x8000_0013), ("link", 0xa000_000c)] {
        let error = volume.resolve(name).unwrap_err();
        let component = name.to_owned();
        assert_eq!(error, ResolveError::Reparse { component, tag: ReparseTag(tag) });
    }
    let refused = volume.stream(file(41), None);
    assert!(matches!(refused, Err(StreamError::Reparse { tag }) if tag.0 == cloud));
    // A cloud folder holds its files; a link leads away.
    assert_eq!(content(&volume, volume.resolve("clouds/f").unwrap(), None), b"x");
    assert!(matches!(volume.resolve("links/f"), Err(ResolveError::Reparse { .. })));
    assert!(matches!(volume.resolve("dedups/f"), Err(ResolveError::Reparse { .. })));
}

#[test]
fn an_overlay_that_is_not_known_is_refused_with_its_numbers() {
    let mut image = simple(SHAPE);
    for (record, provider, algorithm) in [(40, 1, 0), (41, 2, 4)] {
        let point = Record::file().named(ROOT, &format!("w{record}")).with(overlay(provider, algorithm));
        image.put(record, point.with(clusters(4_096, &[(None, 1)]).data()));
    }
    let volume = image.open();
    for (record, expected) in [(40, (1, 0)), (41, (2, 4))] {
        match volume.stream(file(record), None) {
            Err(StreamError::Overlay { provider, algorithm }) => assert_eq!((provider, algorithm), expected),
            other => panic!("{other:?}"),
        }
    }
}

#[test]
fn paths_are_looked_up_through_the_volumes_own_upcase() {
    let mut image = simple(SHAPE);
    image.put(40, Record::file().named(ROOT, "Grün§").holding(b"1"));
    let volume = image.open();
    assert_eq!(volume.resolve("\\GRüN¶"), Ok(file(40)));
    // This volume's table leaves umlauts alone, whatever Unicode says.
    assert!(matches!(volume.resolve("GRÜN§"), Err(ResolveError::NotFound { .. })));
}

#[test]
fn of_names_that_differ_by_case_the_exact_one_is_taken() {
    let mut image = simple(SHAPE);
    image.put(40, Record::file().named(ROOT, "Twin").holding(b"1"));
    image.put(41, Record::file().named(ROOT, "twin").holding(b"2"));
    image.put(42, Record::file().named(ROOT, "double").holding(b"3"));
    image.put(43, Record::file().named(ROOT, "double").holding(b"4"));
    let volume = image.open();
    assert_eq!(volume.resolve("Twin"), Ok(file(40)));
    assert_eq!(volume.resolve("twin"), Ok(file(41)));
    let ambiguous = |name: &str| ResolveError::Ambiguous { component: name.to_owned() };
    assert_eq!(volume.resolve("TWIN"), Err(ambiguous("TWIN")));
    assert_eq!(volume.resolve("double"), Err(ambiguous("double")));
}

#[test]
fn paths_that_lead_to_no_file_say_why() {
    let mut image = simple(SHAPE);
    let stream = resident(DATA, "Extra", 0, b"more");
    let record = image.records.remove(&32).unwrap().with(stream);
    image.put(32, record);
    let volume = image.open();
    let component = |name: &str| name.to_owned();
    assert_eq!(volume.resolve("none"), Err(ResolveError::NotFound { component: component("none") }));
    assert_eq!(volume.resolve("none/b.txt"), Err(ResolveError::NotFound { component: component("none") }));
    assert_eq!(volume.resolve("small/b"), Err(ResolveError::NotFound { component: component("small") }));
    assert_eq!(volume.resolve("A"), Err(ResolveError::NotAFile { component: component("A") }));
    assert_eq!(volume.resolve("$mft"), Err(ResolveError::System { component: component("$mft") }));
    assert_eq!(volume.resolve("wh?t"), Err(ResolveError::NameInvalid(PathFault::Character('?'))));
    assert_eq!(volume.resolve("small:Extra"), Err(ResolveError::NameInvalid(PathFault::Colon)));
    assert_eq!(volume.resolve("a\\..\\small"), Err(ResolveError::NameInvalid(PathFault::Relative)));
    assert_eq!(volume.resolve(&"x".repeat(256)), Err(ResolveError::NameTooLong));
    let (file, stream) = volume.resolve_stream("/small:EXTRA").unwrap();
    assert_eq!(content(&volume, file, stream), b"more");
    assert!(matches!(volume.stream(file, Some("none")), Err(StreamError::NotFound)));
    assert!(matches!(volume.stream(FileId { sequence: 2, ..file }, None), Err(StreamError::Stale { .. })));
}

#[test]
fn hard_links_are_all_listed_and_all_lead_to_the_file() {
    let mut image = simple(SHAPE);
    let linked = image.records.remove(&32).unwrap().named(file(30), "second").named(file(30), "third");
    let dos: Vec<u16> = "THIRD~1".encode_utf16().collect();
    image.put(32, linked.with(file_name(file(30), &dos, 2)));
    let volume = image.open();
    for path in ["small", "a/second", "a/third"] {
        assert_eq!(volume.resolve(path), Ok(file(32)));
    }
    assert!(volume.resolve("a/THIRD~1").is_err());
    let paths: Vec<String> = volume.paths(file(32)).iter().map(ToString::to_string).collect();
    assert_eq!(paths, ["small", "a\\second", "a\\third"]);
    let listed: Vec<String> = volume.files().map(|entry| entry.path.to_string()).collect();
    assert_eq!(listed, ["a", "a\\B.txt", "small", "a\\second", "a\\third"]);
}

#[test]
fn names_that_are_no_unicode_are_kept() {
    let mut image = simple(SHAPE);
    let name = [0xd800, 0x61, 0xdc00];
    image.put(40, Record::file().with(file_name(ROOT, &name, 0)).holding(b"x"));
    let volume = image.open();
    assert_eq!(volume.paths(file(40))[0].units(), name);
}

#[test]
fn orphans_and_cycles_are_reported_and_stay_out_of_the_tree() {
    let mut image = simple(SHAPE);
    image.put(40, Record::directory().named(file(41), "cycle1"));
    image.put(41, Record::directory().named(file(40), "cycle2"));
    image.put(42, Record::directory().named(file(42), "itself"));
    image.put(43, Record::file().named(file(42), "lost"));
    image.put(44, Record::file().named(file(99), "orphan"));
    image.put(45, Record::file().named(FileId { record: 30, sequence: 2 }, "stale"));
    image.put(46, Record::file().named(file(32), "in a file"));
    image.put(47, Record::file());
    image.put(48, Record::directory().named(ROOT, "first").named(file(30), "second"));
    image.put(49, Record::extension_of(file(98)));
    image.put(50, Record::directory().named(ROOT, "a dir").named(FileId { record: 30, sequence: 0 }, "x"));
    let volume = image.open();
    let listed: Vec<String> = volume.files().map(|entry| entry.path.to_string()).collect();
    assert_eq!(listed, ["a", "a\\B.txt", "small", "first", "a dir"]);
    assert!(volume.resolve("a/second").is_err());
    let mut found = kinds(&volume);
    found.sort_by_key(|(record, _)| *record);
    let stale = ProblemKind::StaleParent { parent: 30, expected: 2, found: 1 };
    let expected = [
        (40, ProblemKind::Cycle),
        (42, ProblemKind::Cycle),
        (44, ProblemKind::NoParent { parent: 99 }),
        (45, stale),
        (46, ProblemKind::ParentIsFile { parent: 32 }),
        (47, ProblemKind::NoName),
        (48, ProblemKind::SeveralNames),
        (49, ProblemKind::Extension { base: 98 }),
        (50, ProblemKind::SeveralNames),
    ];
    assert_eq!(found, expected);
    assert!(volume.paths(file(43)).is_empty());
}

#[test]
fn directories_past_the_depth_limit_stay_out() {
    let mut image = simple(SHAPE);
    let mut parent = ROOT;
    for record in 40..60 {
        parent = image.put(record, Record::directory().named(parent, "d"));
    }
    let limits = Limits { path_depth_max: 10, ..Limits::default() };
    let volume = image.open_with(limits);
    let deepest = volume.files().map(|entry| entry.path.to_string().matches('d').count()).max();
    assert_eq!(deepest, Some(9));
    assert_eq!(kinds(&volume), [(49, ProblemKind::TooDeep)]);
}

#[test]
fn torn_and_bad_records_cost_only_their_file() {
    let mut bytes = simple(SHAPE).finish();
    let at = (0..bytes.len() - 1024).step_by(512).filter(|&at| bytes[at..].starts_with(b"FILE"));
    let of = |bytes: &[u8], number: u8, at: usize| bytes[at + 44] == number;
    let records: Vec<usize> = at.collect();
    let small = *records.iter().find(|&&at| of(&bytes, 32, at)).unwrap();
    bytes[small + 510] ^= 1;
    let volume = open(device(bytes.clone(), 512));
    assert_eq!(kinds(&volume), [(32, ProblemKind::Record(ntfs::RecordFault::Torn))]);
    assert!(volume.resolve("a/b.txt").is_ok() && volume.resolve("small").is_err());
    bytes[small..small + 4].copy_from_slice(b"BAAD");
    let volume = open(device(bytes, 512));
    assert_eq!(kinds(&volume), [(32, ProblemKind::Record(ntfs::RecordFault::Marked))]);
}

#[test]
fn the_backup_boot_sector_and_the_mirror_stand_in() {
    let good = simple(SHAPE).finish();
    let mut no_boot = good.clone();
    no_boot[..512].fill(0);
    let volume = open(device(no_boot, 512));
    assert_eq!(volume.health().boot_sector, BootSector::Backup);
    assert!(volume.resolve("small").is_ok() && !volume.health().is_sound());

    let mut no_first = good.clone();
    // Boot file of two clusters, then the mirror, then $MFT.
    no_first[3 * 4096..3 * 4096 + 4].fill(0);
    let volume = open(device(no_first, 512));
    assert!(volume.health().mft_from_mirror && volume.health().mirror_differs);
    assert!(volume.resolve("small").is_ok());

    let mut neither = good;
    neither[3 * 4096..3 * 4096 + 4].fill(0);
    neither[2 * 4096..2 * 4096 + 4].fill(0);
    let error = Volume::open(device(neither, 512), Limits::default(), &mut |_| {}).err().unwrap();
    assert!(matches!(error, OpenError::Mft(ntfs::MftError::Record { mft_offset_bytes: 12_288, .. })));
}

#[test]
fn an_mft_in_pieces_is_followed_through_its_attribute_list() {
    // 512-byte clusters: records lie across the border of two runs.
    let shape = Shape { cluster_bytes: 512, clusters: 4096, ..SHAPE };
    let mut image = Image::new(shape);
    let first = image.mft_runs[0].0.unwrap();
    let (second, third) = (image.place(&[0; 512 * 101]), image.place(&[0; 512 * 100]));
    image.mft_runs = vec![(Some(first), 55), (Some(second), 101), (Some(third), 100)];
    let length = (shape.records * shape.record_bytes) as u64;
    let piece = |start_vcn, runs: &[(Option<u64>, u64)]| {
        let mut piece = clusters(length, runs);
        piece.start_vcn = start_vcn;
        piece.data()
    };
    let mft = FileId { record: 0, sequence: 1 };
    let list = [
        list_entry(DATA, "", 0, mft),
        list_entry(DATA, "", 156, file(17)),
        list_entry(DATA, "", 55, file(16)),
    ]
    .concat();
    let record = Record::file().named(ROOT, "$MFT").with(resident(ATTRIBUTE_LIST, "", 0, &list));
    image.put(0, record.with(piece(0, &image.mft_runs[..1])));
    image.put(16, Record::extension_of(mft).with(piece(55, &image.mft_runs[1..2])));
    image.put(17, Record::extension_of(mft).with(piece(156, &image.mft_runs[2..])));
    image.put(120, Record::file().named(ROOT, "last").holding(b"found"));
    let volume = image.open();
    assert_eq!(volume.index_size().records, 128);
    assert_eq!(content(&volume, volume.resolve("last").unwrap(), None), b"found");
    assert_eq!(kinds(&volume), []);
}

#[test]
fn small_contents_past_the_budget_are_read_again() {
    let limits = Limits { resident_kept_bytes: 5, ..Limits::default() };
    let volume = simple(SHAPE).open_with(limits);
    assert_eq!(content(&volume, volume.resolve("small").unwrap(), None), b"inside");
}

#[test]
fn limits_end_the_sweep_with_their_name() {
    let refused = |limits: Limits| match Volume::open(simple(SHAPE).device(), limits, &mut |_| {}) {
        Err(OpenError::Sweep(SweepError::Limit { what, .. })) => what,
        other => panic!("{:?}", other.err()),
    };
    assert_eq!(refused(Limits { records_max: 127, ..Limits::default() }), "FILE records");
    assert_eq!(refused(Limits { names_max: 8, ..Limits::default() }), "names");
    assert_eq!(refused(Limits { streams_max: 2, ..Limits::default() }), "data streams");
    assert_eq!(refused(Limits { index_bytes_max: 1000, ..Limits::default() }), "bytes of index");
}

#[test]
fn the_state_of_the_volume_is_reported() {
    let mut dirty = simple(SHAPE);
    dirty.volume_flags = 1;
    assert!(dirty.open().health().dirty);

    let volume = simple(SHAPE).open();
    let health = volume.health();
    assert!(!health.dirty && !health.hibernated && !health.mirror_differs && !health.device_short);
    assert_eq!(health.log_file, LogFile::Empty);

    for (signature, hibernated) in [(b"HIBR", true), (b"hibr", true), (b"wake", false), (&[0; 4], false)] {
        let mut image = simple(SHAPE);
        let mut content = [0; 4096];
        content[..4].copy_from_slice(signature);
        let file = image.stored(Record::file().named(ROOT, "HIBERFIL.sys"), &content);
        image.put(40, file);
        assert_eq!(image.open().health().hibernated, hibernated);
    }

    for (pages, expected) in [
        ([(5, 2), (4, 0)], LogFile::Clean),
        ([(4, 2), (5, 0)], LogFile::Unclean),
        ([(0, 9), (0, 9)], LogFile::Unclean),
    ] {
        let mut image = simple(SHAPE);
        let content: Vec<u8> = pages.iter().flat_map(|&(lsn, flags)| restart_page(lsn, flags)).collect();
        let log = image.stored(Record::file().named(ROOT, "$LogFile"), &content);
        image.put(2, Record { sequence: 2, ..log });
        assert_eq!(image.open().health().log_file, expected);
    }

    let mut bytes = simple(SHAPE).finish();
    bytes.truncate(1000 * 4096);
    assert!(open(device(bytes, 512)).health().device_short);
}

/// A restart page of 4 KiB; flags 9 stand for a page that is none.
fn restart_page(lsn: u64, flags: u16) -> Vec<u8> {
    let mut page = vec![0; 4096];
    if flags == 9 {
        return page;
    }
    page[..4].copy_from_slice(b"RSTR");
    page[4] = 0x1e;
    page[6] = 9;
    page[0x18] = 0x30;
    page[0x30..0x38].copy_from_slice(&lsn.to_le_bytes());
    page[0x3e..0x40].copy_from_slice(&flags.to_le_bytes());
    page[0x1e] = 1;
    for end in (512..=4096).step_by(512) {
        page[end - 2] = 1;
    }
    page
}

#[test]
fn a_damaged_upcase_is_replaced_and_reported() {
    let mut image = simple(SHAPE);
    let table = image.stored(Record::file().named(ROOT, "$UpCase"), &[0; 131_072]);
    image.put(10, Record { sequence: 10, ..table });
    image.put(40, Record::file().named(ROOT, "Grün").holding(b"1"));
    let volume = image.open();
    assert_eq!(kinds(&volume), [(10, ProblemKind::UpCase)]);
    assert_eq!(volume.resolve("GRÜN"), Ok(file(40)));
}

#[test]
fn bad_sectors_in_mft_cost_only_their_records() {
    use std::sync::Arc;

    use block::{ReadAt, ReadError, ReadErrorKind, SharedDevice};

    struct Bad(SharedDevice);
    impl ReadAt for Bad {
        fn length_bytes(&self) -> u64 {
            self.0.length_bytes()
        }
        fn sector_bytes(&self) -> u32 {
            512
        }
        fn read_exact_at(&self, buffer: &mut [u8], offset_bytes: u64) -> Result<(), ReadError> {
            // The first sector of record 32.
            let bad = 3 * 4096 + 32 * 1024;
            if offset_bytes <= bad && bad < offset_bytes + buffer.len() as u64 {
                let kind = ReadErrorKind::Medium;
                return Err(ReadError { offset_bytes, length_bytes: buffer.len(), kind, source: None });
            }
            self.0.read_exact_at(buffer, offset_bytes)
        }
    }
    let volume = open(Arc::new(Bad(simple(SHAPE).device())));
    assert_eq!(kinds(&volume), [(32, ProblemKind::Unreadable)]);
    assert_eq!(content(&volume, volume.resolve("a/b.txt").unwrap(), None), pattern(10_000));
}

#[test]
fn a_record_that_ends_early_hides_no_stream_silently() {
    let mut image = simple(SHAPE);
    let mut broken = resident(DATA, "", 0, b"content");
    broken[4] = 4;
    image.put(40, Record::file().named(ROOT, "cut").with(broken));
    let raw = packed(40, &image.records[&40], 1024);
    assert_eq!(&raw[..4], b"FILE");
    let volume = image.open();
    assert!(matches!(kinds(&volume)[..], [(40, ProblemKind::Attribute { .. })]));
    assert_damaged(volume.stream(volume.resolve("cut").unwrap(), None), 40, Damage::Lost);
}

#[test]
fn thousands_of_equal_names_are_refused_quickly() {
    let shape = Shape { records: 4_000, clusters: 2_048, ..SHAPE };
    let mut image = Image::new(shape);
    for record in 40..3_900 {
        image.put(record, Record::file().named(ROOT, "same").holding(b"x"));
    }
    let volume = image.open();
    assert!(matches!(volume.resolve("same"), Err(ResolveError::Ambiguous { .. })));
    assert_eq!(volume.files().count(), 3_860);
}

#[test]
fn an_mft_that_counts_clusters_twice_is_refused() {
    let mut image = simple(SHAPE);
    let first = image.mft_runs[0];
    let runs = vec![first; 60];
    let length = 60 * first.1 * 4096;
    image.put(0, Record::file().named(ROOT, "$MFT").with(clusters(length, &runs).data()));
    let error = Volume::open(image.device(), Limits::default(), &mut |_| {}).err().unwrap();
    assert!(matches!(error, OpenError::Mft(ntfs::MftError::TooLong { .. })), "{error:?}");
}

#[test]
fn a_volume_can_be_asked_from_many_threads() {
    let volume = simple(SHAPE).open_with(Limits { resident_kept_bytes: 0, ..Limits::default() });
    std::thread::scope(|scope| {
        for _ in 0..4 {
            scope.spawn(|| {
                assert_eq!(content(&volume, volume.resolve("small").unwrap(), None), b"inside");
                assert_eq!(content(&volume, volume.resolve("a/b.txt").unwrap(), None), pattern(10_000));
            });
        }
    });
}
