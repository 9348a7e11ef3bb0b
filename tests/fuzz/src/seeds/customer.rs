//! Sound inputs of the customer's program.

use driveprep::work::{Builder, Dataset, FileFacts, ItemKind, SideFile};

use crate::mutation::Seed;

/// A small work, frozen.
pub fn frozen_work() -> Vec<Seed> {
    let mut builder = Builder::new("session#1".parse().expect("a session's name"));
    for (number, is_directory) in [(0, true), (1, true), (2, false)] {
        let dataset = Dataset {
            source: format!("/data/{number}").into(),
            is_directory,
            destination: "films/".to_owned(),
            drive_directory: String::new(),
            disposition: model::ImportDisposition::Overwrite,
            metadata: (number == 0).then(|| SideFile::new(b"<Metadata><owner>archive</owner></Metadata>")),
            properties: None,
            content_md5: number == 1,
            block_length: manifest::BlockLength::default(),
        };
        let root = builder.dataset(dataset).expect("few datasets");
        let reels = builder.directory(root, "reels").expect("few directories");
        for (directory, name, kind) in [(root, "a.mov", ItemKind::Block), (reels, "é.vhd", ItemKind::Page)] {
            let facts = FileFacts {
                kind,
                length_bytes: 5 << 30,
                allocated_bytes: 1 << 20,
                modified_nanoseconds: 1_700_000_000_000_000_000,
                accessed_nanoseconds: -1,
            };
            builder.file(directory, name, &facts).expect("few files");
        }
    }
    let mut frozen = Vec::new();
    builder.finish().save(&mut frozen).expect("memory takes all bytes");
    vec![Seed::new("frozen work", frozen)]
}

/// A file of each kind that says what is packed and onto which drives.
pub fn inputs() -> Vec<Seed> {
    [
        ("dataset", "BasePath,DstItemPathOrPrefix,ItemType,Disposition,MetadataFile,PropertiesFile\n\"/data/a b/\",films/in/,BlockBlob,overwrite,None,\"/p.xml\"\n/data/c.vhd,disks/c.vhd,PageBlob,rename,/m.xml,None\n"),
        ("driveset", "DriveLetter,FormatOption,SilentOrPromptOnFormat,Encryption,ExistingBitLockerKey,Size\n/dev/sdg,AlreadyFormatted,SilentMode,AlreadyEncrypted,060456-014509-132033-080300-252615-584177-672089-411631,\n/i.img,Format,PromptOnFormat,Encrypt,,1.5TB\n"),
        ("plan", "session = 'session#1'\none_file_system = true\n[defaults]\ndisposition = 'overwrite'\n[[source]]\nfrom = 'photos'\nto = 'c/p'\ntype = 'page'\nmetadata = { a = 'b' }\nproperties = { cache_control = 'no-cache' }\n[[drive]]\npath = '/d'\nsize = '64MiB'\nserial = 'S 1'\n"),
    ]
    .map(|(name, text)| Seed::new(name, text.as_bytes().to_vec()))
    .into()
}
