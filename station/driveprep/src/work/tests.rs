//! Works made by hand and of random trees, frozen and thawed, whole and damaged.

use proptest::prelude::*;

use super::*;
use manifest::BlockLength;
use model::ImportDisposition;

pub(crate) fn dataset(source: &str, destination: &str) -> Dataset {
    Dataset {
        source: source.into(),
        is_directory: true,
        destination: destination.to_owned(),
        drive_directory: String::new(),
        disposition: ImportDisposition::Overwrite,
        metadata: None,
        properties: None,
        content_md5: false,
        block_length: BlockLength::default(),
    }
}

pub(crate) fn facts(length_bytes: u64) -> FileFacts {
    FileFacts {
        kind: ItemKind::Block,
        length_bytes,
        allocated_bytes: length_bytes,
        modified_nanoseconds: 1_700_000_000_123_456_789,
        accessed_nanoseconds: -1,
    }
}

pub(crate) fn builder() -> Builder {
    Builder::new("session#1".parse().unwrap())
}

/// One dataset with these files of these lengths; `/` in a name makes directories.
pub(crate) fn work_of(files: &[(&str, u64)]) -> Work {
    let mut builder = builder();
    let root = builder.dataset(dataset("/data", "files/in/")).unwrap();
    for (path, length_bytes) in files {
        add(&mut builder, root, path, &facts(*length_bytes));
    }
    builder.finish()
}

pub(crate) fn work_with(path: &str, facts: &FileFacts) -> Work {
    let mut builder = builder();
    let root = builder.dataset(dataset("/data", "files/in/")).unwrap();
    add(&mut builder, root, path, facts);
    builder.finish()
}

/// Adds a file, each directory of its path anew.
fn add(builder: &mut Builder, root: DirectoryId, path: &str, facts: &FileFacts) {
    let mut names: Vec<&str> = path.split('/').collect();
    let name = names.pop().unwrap();
    let directory = names.iter().fold(root, |parent, name| builder.directory(parent, name).unwrap());
    builder.file(directory, name, facts).unwrap();
}

#[test]
fn an_item_knows_its_source_its_place_on_the_drive_and_its_destination() {
    let work = work_of(&[("a/b/c.txt", 3)]);
    let item = work.items().next().unwrap();
    assert_eq!(item.source_path(), PathBuf::from("/data/a/b/c.txt"));
    assert_eq!(item.drive_path(), "\\session#1\\0\\a\\b\\c.txt");
    assert_eq!(item.destination(), "files/in/a/b/c.txt");
    assert_eq!((item.name(), item.length_bytes(), item.is_sparse()), ("c.txt", 3, false));
}

#[test]
fn a_single_file_takes_its_destination_whole_or_adds_its_name() {
    for (destination, expected) in [("files/x.bin", "files/x.bin"), ("files/in/", "files/in/a.bin")] {
        let mut builder = builder();
        let file = Dataset { is_directory: false, ..dataset("/data/a.bin", destination) };
        let root = builder.dataset(file).unwrap();
        builder.file(root, "a.bin", &facts(1)).unwrap();
        let work = builder.finish();
        let item = work.items().next().unwrap();
        assert_eq!(item.destination(), expected);
        assert_eq!(item.source_path(), PathBuf::from("/data/a.bin"));
        assert_eq!(item.drive_path(), "\\session#1\\0\\a.bin");
    }
}

#[test]
fn items_are_sorted_and_directories_without_items_are_gone() {
    let mut builder = builder();
    let second = builder.dataset(dataset("/b", "two/")).unwrap();
    let first = builder.dataset(dataset("/a", "one/")).unwrap();
    let empty = builder.directory(first, "empty").unwrap();
    builder.directory(empty, "deeper").unwrap();
    let sub = builder.directory(first, "sub").unwrap();
    builder.file(sub, "z", &facts(1)).unwrap();
    builder.file(first, "zz", &facts(1)).unwrap();
    let other = builder.directory(first, "other").unwrap();
    builder.file(other, "y", &facts(1)).unwrap();
    builder.file(first, "a", &facts(1)).unwrap();
    builder.file(second, "q", &facts(1)).unwrap();
    let work = builder.finish();
    let destinations: Vec<String> = work.items().map(|item| item.destination()).collect();
    assert_eq!(destinations, ["two/q", "one/a", "one/zz", "one/other/y", "one/sub/z"]);
    let names: Vec<&str> = work.directories().map(|(_, directory)| &*directory.name).collect();
    assert_eq!(names, ["", "", "other", "sub"]);
}

#[test]
fn files_in_place_keep_their_own_paths() {
    for (directory, expected) in [("", "\\a\\b"), ("\\photos\\", "\\photos\\a\\b")] {
        let mut builder = builder();
        let properties = Some(SideFile::new(b"<Properties/>"));
        let root =
            builder.dataset_in_place(Dataset { properties, ..dataset("D:", "c/") }, directory).unwrap();
        add(&mut builder, root, "a/b", &facts(1));
        let work = builder.finish();
        assert_eq!(work.items().next().unwrap().drive_path(), expected);
        let side_file = work.datasets()[0].properties.as_ref().unwrap();
        assert_eq!(side_file.drive_path, "\\session#1\\0.properties.xml");
    }
}

#[test]
fn session_ids_keep_the_tools_rule() {
    for good in ["abc", "session#1", &"x".repeat(30), "A_b-3"] {
        assert_eq!(good.parse::<SessionId>().unwrap().as_str(), good);
    }
    for bad in ["", "ab", &"x".repeat(31), "a b c", "../x", "séance"] {
        assert!(bad.parse::<SessionId>().is_err(), "{bad}");
    }
}

fn frozen(work: &Work) -> Vec<u8> {
    let mut bytes = Vec::new();
    work.save(&mut bytes).unwrap();
    bytes
}

fn works() -> impl Strategy<Value = Work> {
    let name = "[a-zé日\\\\ .#]{1,12}";
    let path = prop::collection::vec(name, 1..4);
    let file = (path, any::<u64>(), any::<u64>(), any::<i64>(), any::<i64>(), 0_usize..3);
    let one =
        (prop::collection::vec(file, 0..12), any::<bool>(), any::<bool>(), 0_usize..3, 1..=100_u64 << 20);
    prop::collection::vec(one, 0..4).prop_map(|datasets| {
        let mut builder = builder();
        for (files, content_md5, has_side_file, disposition, block_bytes) in datasets {
            let metadata = has_side_file.then(|| SideFile::new(b"<Metadata/>"));
            let dispositions =
                [ImportDisposition::Rename, ImportDisposition::NoOverwrite, ImportDisposition::Overwrite];
            let disposition = dispositions[disposition];
            let block_length = BlockLength::new(block_bytes).unwrap();
            let dataset =
                Dataset { content_md5, block_length, metadata, disposition, ..dataset("/d\u{fffd}", "c/") };
            let root = builder.dataset(dataset).unwrap();
            for (path, length_bytes, allocated_bytes, modified, accessed, kind) in files {
                let facts = FileFacts {
                    kind: [ItemKind::Block, ItemKind::Page, ItemKind::File][kind],
                    length_bytes,
                    allocated_bytes,
                    modified_nanoseconds: modified,
                    accessed_nanoseconds: accessed,
                };
                add(&mut builder, root, &path.join("/"), &facts);
            }
        }
        builder.finish()
    })
}

proptest! {
    #[test]
    fn a_frozen_work_comes_back_exactly(work in works()) {
        prop_assert_eq!(Work::load(&frozen(&work)[..]).unwrap(), work);
    }

    #[test]
    fn any_changed_byte_and_any_cut_are_noticed(work in works(), at: prop::sample::Index, by in 1_u8..) {
        let sound = frozen(&work);
        let at = at.index(sound.len());
        let mut changed = sound.clone();
        changed[at] ^= by;
        prop_assert!(Work::load(&changed[..]).is_err());
        let error = Work::load(&sound[..at]).unwrap_err();
        prop_assert!(error.offset_bytes <= at as u64);
        changed.clone_from(&sound);
        changed.push(by);
        prop_assert!(Work::load(&changed[..]).is_err());
    }

    #[test]
    fn random_bytes_are_no_frozen_work(bytes: Vec<u8>) {
        prop_assert!(Work::load(&bytes[..]).is_err());
        let mut headed = b"drayage work\n\x02\x03abc".to_vec();
        headed.extend(&bytes);
        // An accident of 32 bits aside, and then it is whole.
        if let Ok(work) = Work::load(&headed[..]) {
            prop_assert_eq!(frozen(&work), headed);
        }
    }
}

#[test]
fn a_claimed_length_allocates_nothing_that_is_not_there() {
    let mut bytes = b"drayage work\n\x02\x03abc".to_vec();
    // 2^32 - 1 datasets, and then nothing.
    bytes.extend([0xFF, 0xFF, 0xFF, 0xFF, 0x0F]);
    let error = Work::load(&bytes[..]).unwrap_err();
    assert_eq!(error.offset_bytes, bytes.len() as u64);
    assert!(matches!(error.fault, FrozenFault::Read(_)));
    bytes.truncate(18);
    bytes.extend([0x80, 0x00]);
    let error = Work::load(&bytes[..]).unwrap_err();
    assert!(matches!(error.fault, FrozenFault::Number), "{error:?}");
}
