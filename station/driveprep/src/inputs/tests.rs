//! Equal intents in every form, and what is wrong with each form's files.

use std::fs;
use std::path::Path;

use clap::Parser;
use proptest::prelude::*;

use super::*;
use crate::lint::Findings;
use crate::work::{Encryption, ExistingKey, Formatting, ItemKind, Work};

#[derive(Parser)]
struct Arguments {
    #[command(flatten)]
    sources: SourceArguments,
    #[command(flatten)]
    drives: DriveArguments,
}

fn asked(arguments: &[&str]) -> Result<Inputs, InputError> {
    let parsed = Arguments::try_parse_from([&["test"], arguments].concat()).unwrap();
    parsed.sources.inputs(&parsed.drives, &mut Findings::default())
}

fn work(inputs: &Inputs) -> Work {
    inputs.work(&mut Findings::default()).unwrap()
}

/// A folder with two sources and two side files.
fn folder() -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    let at = |name: &str| folder.path().join(name);
    fs::create_dir_all(at("photos/2024")).unwrap();
    fs::write(at("photos/2024/a.jpg"), b"jpg").unwrap();
    fs::write(at("photos/disk.vhd"), vec![0; 512]).unwrap();
    fs::write(at("report.pdf"), b"pdf").unwrap();
    let metadata = manifest::Metadata::from_pairs(vec![("project".to_owned(), "apollo".to_owned())]);
    fs::write(at("meta.xml"), metadata.unwrap().to_xml()).unwrap();
    let content_type = Some("image/jpeg".to_owned());
    let properties = manifest::Properties { content_type, ..manifest::Properties::default() };
    fs::write(at("props.xml"), properties.to_xml()).unwrap();
    folder
}

#[test]
fn equal_intents_give_equal_work_in_every_form() {
    let folder = folder();
    let at = |name: &str| folder.path().join(name).display().to_string();
    let write = |name: &str, text: String| {
        fs::write(folder.path().join(name), text).unwrap();
        at(name)
    };
    let (photos, report, meta, props) = (at("photos"), at("report.pdf"), at("meta.xml"), at("props.xml"));
    let early = write(
        "early.csv",
        format!(
            "BasePath,DstBlobPathOrPrefix,BlobType,Disposition,MetadataFile,PropertiesFile\n\
             \"{photos}/\",pics/in/,None,overwrite,{meta},{props}\r\n\n\
             {report},pics/r.pdf,\"None\",overwrite,{meta},{props}\n"
        ),
    );
    let shipped = write(
        "shipped.csv",
        format!(
            "\u{FEFF}PropertiesFile,Disposition,DstItemPathOrPrefix,BasePath,MetadataFile,Mood\n\
             {props},overwrite,pics/in/,{photos}/,{meta},good\n{props},overwrite,pics/r.pdf,{report},{meta}\n"
        ),
    );
    let newest = write(
        "newest.csv",
        format!("basepath,dstitempathorprefix\n{photos}/,pics/in\n{report},pics/r.pdf\n"),
    );
    let whole_plan = write(
        "plan.toml",
        format!(
            "[defaults]\ndisposition = 'overwrite'\nmetadata = {{ project = 'apollo' }}\n\
             properties_file = 'props.xml'\n\
             [[source]]\nfrom = '{photos}'\nto = 'pics/in'\n\
             [[source]]\nfrom = 'report.pdf'\nto = 'pics/r.pdf'\n"
        ),
    );
    let how = ["--disposition", "overwrite", "--metadata-file", &meta, "--properties-file", &props];
    let pairs = ["--from", &photos, "--to", "pics/in", "--from", &report, "--to", "pics/r.pdf"];
    let expected = work(&asked(&[&pairs[..], &how].concat()).unwrap());
    let found: Vec<_> = expected.items().map(|item| (item.destination(), item.kind())).collect();
    assert_eq!(
        found,
        [
            ("pics/in/disk.vhd".to_owned(), ItemKind::Page),
            ("pics/in/2024/a.jpg".to_owned(), ItemKind::Block),
            ("pics/r.pdf".to_owned(), ItemKind::Block)
        ]
    );
    for arguments in [
        vec!["--dataset", &early],
        vec!["--dataset", &shipped],
        [&["--dataset", &newest], &how[..]].concat(),
        vec!["--plan", &whole_plan],
    ] {
        assert_eq!(work(&asked(&arguments).unwrap()), expected, "{arguments:?}");
    }
}

#[test]
fn a_row_of_a_dataset_that_is_wrong_is_named_with_its_column() {
    let path = Path::new("d.csv");
    let header = "BasePath,DstItemPathOrPrefix,ItemType,Disposition,MetadataFile\n";
    for (rows, expected) in [
        (
            "C:\\data\\,c/,file,,",
            "d.csv, line 2, column BasePath: \"C:\\\\data\\\\\" is a Windows path with a drive letter",
        ),
        (
            "/a/,c/,file,,\n\\\\server\\x\\,c/,file,,",
            "d.csv, line 3, column BasePath: \"\\\\\\\\server\\\\x\\\\\" is a network (UNC) path",
        ),
        ("data/,c/,file,,", "d.csv, line 2, column BasePath: \"data/\" is not an absolute path"),
        (",c/,file,,", "d.csv, line 2, column BasePath: a value is needed"),
        ("/a/,None,file,,", "d.csv, line 2, column DstItemPathOrPrefix: a value is needed"),
        ("/a/,c/,None,,", "d.csv, line 2, column ItemType: 'None' isn't valid"),
        ("/a/,c/,,,", "d.csv, line 2, column ItemType: 'None' isn't valid"),
        ("/a/,c/,blocks,,", "d.csv, line 2, column ItemType: 'blocks' isn't valid"),
        (
            "/a/,c/,file,Overwrite,",
            "d.csv, line 2, column Disposition: import disposition \"Overwrite\" is not one of",
        ),
        ("/a/,c/,file,,C:\\m.xml", "d.csv, line 2, column MetadataFile: \"C:\\\\m.xml\" is a Windows path"),
        ("/a/,c/,file,,,too,many", "d.csv, line 2: the row has 7 cells, the header 5"),
    ] {
        let error = dataset::parse(path, format!("{header}{rows}").as_bytes(), &How::default()).unwrap_err();
        assert!(error.to_string().starts_with(expected), "{rows}: {error}");
    }
    for (file, expected) in [
        ("", "d.csv, line 1: the header has no column BasePath"),
        ("BasePath,X\n", "d.csv, line 1: the header has no column DstItemPathOrPrefix; it has BasePath,X"),
        ("BasePath,basepath\n", "d.csv, line 1: the header has the column \"basepath\" twice"),
    ] {
        let error = dataset::parse(path, file.as_bytes(), &How::default()).unwrap_err();
        assert!(error.to_string().starts_with(expected), "{file}: {error}");
    }
    let latin1 = dataset::parse(path, b"BasePath,DstItemPathOrPrefix\n/caf\xE9/,c/\n", &How::default());
    assert_eq!(latin1.unwrap_err().to_string(), "d.csv, line 2: the text is not UTF-8; save it as UTF-8");
}

#[test]
fn a_base_path_is_what_its_slash_says() {
    let folder = folder();
    for (path, expected) in [
        ("photos", "is a directory, and a directory is written with a slash at its end"),
        ("report.pdf/", "Not a directory"),
        ("missing", "No such file"),
    ] {
        let csv = format!("BasePath,DstItemPathOrPrefix\n{}/{path},c/\n", folder.path().display());
        let sources = dataset::parse(Path::new("d.csv"), csv.as_bytes(), &How::default()).unwrap().sources;
        let session = DEFAULT_SESSION.parse().unwrap();
        let inputs = Inputs { session, sources, drives: Vec::new(), one_file_system: false };
        let error = inputs.work(&mut Findings::default()).unwrap_err();
        let text = format!("{:#}", anyhow::Error::from(error));
        assert!(text.starts_with("d.csv, line 2") && text.contains(expected), "{text}");
    }
}

const DRIVESET: &str = "DriveLetter,FormatOption,SilentOrPromptOnFormat,Encryption,ExistingBitLockerKey\n";

#[test]
fn a_driveset_gives_drives() {
    let key = "060456-014509-132033-080300-252615-584177-672089-411631";
    let csv = format!(
        "{}/dev/sdg,AlreadyFormatted,SilentMode,AlreadyEncrypted,{key}\n/dev/sdh,Format,SilentMode,Encrypt,\n\
         /i.img,Format,PromptOnFormat,Encrypt,\n/j,AlreadyFormatted,SilentMode,AlreadyEncrypted,@k.txt\n",
        DRIVESET
    );
    let drives = driveset::parse(Path::new("s.csv"), csv.as_bytes()).unwrap().drives;
    let text = ExistingKey::Text(zeroize::Zeroizing::new(key.to_owned()));
    let expected = [
        (Formatting::AlreadyFormatted, Encryption::AlreadyEncrypted(text)),
        (Formatting::Format { asks: false }, Encryption::Encrypt),
        (Formatting::Format { asks: true }, Encryption::Encrypt),
        (Formatting::AlreadyFormatted, Encryption::AlreadyEncrypted(ExistingKey::File("k.txt".into()))),
    ];
    let found: Vec<_> = drives.into_iter().map(|drive| (drive.formatting, drive.encryption)).collect();
    assert_eq!(found, expected);
    assert!(!format!("{found:?}").contains("060456"), "a key is shown");
}

#[test]
fn a_driveset_that_is_wrong_is_refused_in_the_tools_words() {
    for (row, expected) in [
        (
            "/d,Format,,Encrypt,",
            "column SilentOrPromptOnFormat: Incorrect value for SilentOrPromptOnFormat: none",
        ),
        (
            "/d,Format,Loud,Encrypt,",
            "column SilentOrPromptOnFormat: Incorrect value for SilentOrPromptOnFormat: Loud",
        ),
        (
            "/d,Format,SilentMode,AlreadyEncrypted,1",
            "column Encryption: When Format is specified, Encrypt must also be specified",
        ),
        (
            "/d,Format,SilentMode,,",
            "column Encryption: When Format is specified, Encrypt must also be specified",
        ),
        (
            "/d,Format,SilentMode,Encrypt,111111",
            "column ExistingBitLockerKey: BitLocker Key should not be specified",
        ),
        (
            "/d,AlreadyFormatted,SilentMode,AlreadyEncrypted,",
            "column ExistingBitLockerKey: with AlreadyEncrypted",
        ),
        (
            "/d,AlreadyFormatted,SilentMode,Encrypt,",
            "column Encryption: an existing volume cannot be encrypted here",
        ),
        (
            "/d,Formatted,SilentMode,Encrypt,",
            "column FormatOption: \"Formatted\" is not one of Format, AlreadyFormatted",
        ),
        ("G,Format,SilentMode,Encrypt,", "column DriveLetter: \"G\" is a Windows path with a drive letter"),
        (",Format,SilentMode,Encrypt,", "column DriveLetter: a value is needed"),
    ] {
        let error = driveset::parse(Path::new("s.csv"), format!("{DRIVESET}{row}\n").as_bytes()).unwrap_err();
        let text = error.to_string();
        assert!(text.starts_with(&format!("s.csv, line 2, {expected}")), "{row}: {text}");
        assert!(!text.contains("111111"), "a key is shown: {text}");
    }
}

#[test]
fn a_plan_that_is_wrong_is_refused_with_its_line() {
    let source = "[[source]]\nfrom = '/a'\nto = 'c'\n";
    for (plan, expected) in [
        ("sesion = 'x'\n".to_owned(), "p.toml, line 1: unknown field `sesion`"),
        (format!("{source}tpye = 'block'\n"), "p.toml, line 4: unknown field `tpye`"),
        (
            format!("{source}type = 'blob'\n"),
            "p.toml, line 4: \"blob\" is not one of auto, block, page, file",
        ),
        (format!("{source}disposition = 'replace'\n"), "p.toml, line 4: import disposition \"replace\""),
        (format!("{source}block_bytes = '1000'\n"), "p.toml, line 4: blocks of \"1000\" cannot be made"),
        ("\n[[source]]\nto = 'c'\n".to_owned(), "p.toml, line 2: the source has no from"),
        (
            "[[source]]\nfrom = 'C:\\x'\nto = 'c'\n".to_owned(),
            "p.toml, line 2: \"C:\\\\x\" is a Windows path",
        ),
        ("session = 'a/b'\n".to_owned(), "p.toml, line 1: the session id \"a/b\" is not"),
        ("[defaults]\nfrom = '/x'\n".to_owned(), "p.toml, line 2: [defaults] has neither"),
        (format!("{source}metadata = {{ 'a b' = '1' }}\n"), "p.toml, line 4: \"a b\" is not a metadata name"),
        (
            format!("{source}metadata = {{}}\nmetadata_file = 'm.xml'\n"),
            "p.toml, line 5: there are both metadata and metadata_file",
        ),
        ("[[drive]]\npath = 'G'\n".to_owned(), "p.toml, line 2: \"G\" is a Windows path"),
        ("[[drive]]\npath = '/d'\nsize = 'big'\n".to_owned(), "p.toml, line 3: \"big\" is not a size"),
        (
            "[[drive]]\npath = '/d'\nformat = true\nexisting_key_file = 'k'\n".to_owned(),
            "p.toml, line 1: BitLocker Key should not be specified",
        ),
        ("[[drive]]\npath = '/d'\nformat = false\n".to_owned(), "p.toml, line 1: a drive that is not"),
        ("a = \n".to_owned(), "p.toml, line 1: "),
    ] {
        let error = plan::parse(Path::new("p.toml"), plan.as_bytes(), &How::default()).unwrap_err();
        assert!(error.to_string().starts_with(expected), "{plan}: {error}");
    }
}

#[test]
fn a_source_has_its_own_block_length_or_its_plans_or_the_arguments() {
    let length = |bytes| BlockLength::new(bytes).unwrap();
    let arguments = How { block_length: length(8 << 10), ..How::default() };
    let source = "[[source]]\nfrom = '/a'\nto = 'c'\n";
    for (plan, expected) in [
        (source.to_owned(), 8 << 10),
        (format!("[defaults]\nblock_bytes = '64KiB'\n{source}"), 64 << 10),
        (format!("[defaults]\nblock_bytes = '64KiB'\n{source}block_bytes = '100MiB'\n"), 100 << 20),
    ] {
        let inputs = plan::parse(Path::new("p.toml"), plan.as_bytes(), &arguments).unwrap();
        assert_eq!(inputs.sources[0].how.block_length, length(expected), "{plan}");
        assert_eq!(inputs.sources[0].dataset(true).unwrap().block_length, length(expected), "{plan}");
    }
    let csv = b"BasePath,DstItemPathOrPrefix\n/a/,c/\n";
    let rows = dataset::parse(Path::new("d.csv"), csv, &arguments).unwrap().sources;
    assert_eq!(rows[0].how.block_length, length(8 << 10));
}

#[test]
fn a_plan_names_drives_beside_its_own_folder() {
    let toml = "[[drive]]\npath = 'd.img'\nsize = '1.5TB'\nserial = ' AB 1'\n[[drive]]\npath='/dev/x'\nexisting_key_file='k'\n";
    let inputs = plan::parse(Path::new("/plans/p.toml"), toml.as_bytes(), &How::default()).unwrap();
    let [image, device] = &inputs.drives[..] else { panic!("{inputs:?}") };
    assert_eq!(image.path, Path::new("/plans/d.img"));
    assert_eq!(image.size_bytes, Some(1_500_000_000_000));
    assert_eq!(image.serial.as_ref().unwrap().as_str(), "AB1");
    assert_eq!(image.formatting, Formatting::Format { asks: true });
    assert_eq!(device.encryption, Encryption::AlreadyEncrypted(ExistingKey::File("/plans/k".into())));
}

#[test]
fn arguments_that_do_not_fit_together_are_refused() {
    for (arguments, expected) in [
        (vec![], "no source"),
        (vec!["--from", "/a"], "1 times --from and 0 times --to"),
        (vec!["--from", "/a", "--to", "c", "--session", "x"], "--session: the session id \"x\""),
        (
            vec!["--from", "/a", "--to", "c", "--drive", "/d", "--drive", "/e", "--serial", "1"],
            "1 times --serial, and 2 drives",
        ),
        (vec!["--from", "/a", "--to", "c", "--drive", "/d", "--drive", "/d"], "the drive /d is named twice"),
        (vec!["--from", "/a", "--to", "c", "--drive", "/d", "--size", "x"], "--size: \"x\" is not a size"),
    ] {
        let error = asked(&arguments).unwrap_err().to_string();
        assert!(error.contains(expected), "{arguments:?}: {error}");
    }
}

#[test]
fn destinations_become_prefixes_where_they_must() {
    let folder = folder();
    for (from, to, expected) in [
        ("photos/2024", "c", "c/a.jpg"),
        ("photos/2024", "c/", "c/a.jpg"),
        ("photos/2024", "c/p", "c/p/a.jpg"),
        ("photos/2024/a.jpg", "c", "c/a.jpg"),
        ("photos/2024/a.jpg", "c/p/", "c/p/a.jpg"),
        ("photos/2024/a.jpg", "c/p", "c/p"),
    ] {
        let from = folder.path().join(from).display().to_string();
        let work = work(&asked(&["--from", &from, "--to", to]).unwrap());
        let destinations: Vec<String> = work.items().map(|item| item.destination()).collect();
        assert_eq!(destinations, [expected], "{from} {to}");
    }
    for to in ["", "/c", "https://x.blob.core.windows.net/c"] {
        let from = folder.path().display().to_string();
        let error =
            asked(&["--from", &from, "--to", to]).unwrap().work(&mut Findings::default()).unwrap_err();
        assert!(matches!(error.fault, InputFault::Destination { .. }), "{to}: {error}");
    }
}

#[test]
fn a_side_file_that_would_be_refused_at_import_is_refused_now() {
    let folder = folder();
    let from = folder.path().join("photos").display().to_string();
    let bad = folder.path().join("bad.xml").display().to_string();
    fs::write(&bad, "<Metadata><a-b>1</a-b></Metadata>").unwrap();
    let inputs = asked(&["--from", &from, "--to", "c", "--metadata-file", &bad]).unwrap();
    let error = inputs.work(&mut Findings::default()).unwrap_err().to_string();
    assert!(error.contains("bad.xml would be refused at import (XmlReadFailed)"), "{error}");
}

proptest! {
    #[test]
    fn no_bytes_upset_the_readers(bytes: Vec<u8>, text in "[A-Za-z,\"\n/:\\\\= \\[\\]{}']{0,200}") {
        for bytes in [&bytes[..], text.as_bytes()] {
            for header in ["", "BasePath,DstItemPathOrPrefix,ItemType\n", DRIVESET, "[[source]]\n"] {
                let bytes = [header.as_bytes(), bytes].concat();
                let path = Path::new("x");
                if let Ok(file) = dataset::parse(path, &bytes, &How::default()) {
                    prop_assert!(file.sources.iter().all(|source| source.from.is_absolute()));
                }
                if let Ok(file) = driveset::parse(path, &bytes) {
                    prop_assert!(file.drives.iter().all(|drive| drive.path.is_absolute()));
                }
                let _ = plan::parse(path, &bytes, &How::default()).map_err(|error| error.to_string());
            }
        }
    }

    #[test]
    fn a_dataset_comes_back_whatever_its_values_hold(
        base in "/[^\0\r\n]{0,30}[^\0\r\n\\s]", to in "[a-z]{3}/[^\0\r\n]{0,20}[^\0\\s]",
    ) {
        prop_assume!(!base.starts_with("//"));
        let mut writer = csv::Writer::from_writer(Vec::new());
        writer.write_record(["BasePath", "DstItemPathOrPrefix"]).unwrap();
        writer.write_record([&base, &to]).unwrap();
        let bytes = writer.into_inner().unwrap();
        let file = dataset::parse(Path::new("x"), &bytes, &How::default()).unwrap();
        prop_assert_eq!(file.sources[0].from.to_str().unwrap(), base);
        prop_assert_eq!(&file.sources[0].to, &to);
    }
}
