//! Every `BlobStatus`, `ChunkStatus` and `SideFileStatus` that comes from what is on the drive.
//!
//! azure-import-export.md §3.3 and §3.4. What comes from the account's answers is tested from the
//! account's side; the tables at the end say which is which.

use anyhow::{Context, Result};
use bytes::Bytes;
use digests::md5_of;
use model::status::{BlobStatus, ChunkStatus, DispositionStatus, SideFileStatus};
use model::{BlobPath, ImportDisposition};
use proof::bring_up::Device;
use rig::endpoint::{Endpoint, EndpointConfig, Fault as EndpointFault, Inventory, Operation};
use rig::pack::{Content, Extra, Fault, Layout, PackBlob, PackPlan, Properties};
use system_tests::drives::{BLOCK_BYTES, TestDrive, packed};
use system_tests::logs::{DriveLog, part_statuses};
use system_tests::others;
use system_tests::stand::{Stand, open, open_faulty};
use system_tests::tamper::{Opened, Tampered};

/// A drive that was ingested.
struct Done {
    account: Inventory,
    verbose: DriveLog,
    error: DriveLog,
}

async fn ingested(device: Device, drive: &TestDrive) -> Result<Done> {
    let endpoint = Endpoint::start(EndpointConfig::default())?;
    ingested_at(&endpoint, device, drive).await
}

async fn ingested_at(endpoint: &Endpoint, device: Device, drive: &TestDrive) -> Result<Done> {
    let stand = Stand::before(endpoint)?;
    let tried = stand.ingest_device(device, drive.job()?).await?;
    let now = tried.progress.snapshot();
    assert_eq!(now.bytes_done, now.bytes_total, "every byte is accounted for");
    let report = &tried.report;
    Ok(Done {
        account: endpoint.snapshot(),
        verbose: DriveLog::verbose(report)?,
        error: DriveLog::error(report)?,
    })
}

impl Done {
    /// Status, disposition and parts of a blob, alike in both drive logs.
    fn logged(&self, name: &str) -> (String, String, Vec<String>) {
        let of = |log: &DriveLog| {
            let blob = log.blobs.get(name).unwrap_or_else(|| panic!("{name} is not in a log"));
            let word = |text: Option<String>| text.unwrap_or_default();
            let disposition = blob.disposition.as_ref().and_then(|disposition| disposition.status.as_ref());
            (
                word(blob.status.as_ref().map(ToString::to_string)),
                word(disposition.map(ToString::to_string)),
                part_statuses(blob),
            )
        };
        let verbose = of(&self.verbose);
        if verbose.0 != "Completed" {
            // The error log leaves out what is fine.
            let (status, disposition, mut parts) = verbose.clone();
            parts.retain(|part| part != "Completed");
            assert_eq!(of(&self.error), (status, disposition, parts), "{name} in the error log");
        }
        verbose
    }

    /// A blob that failed as a whole: never visible, nothing of it put, every part cancelled.
    fn check_failed(&self, name: &str, status: BlobStatus) {
        let (found, disposition, parts) = self.logged(name);
        assert_eq!(found, status.as_str(), "{name}");
        assert_eq!(disposition, DispositionStatus::Cancelled.as_str(), "{name}");
        assert!(!parts.is_empty() && parts.iter().all(|part| part == "Cancelled"), "{name}: {parts:?}");
        assert!(!self.is_visible(name), "{name} is not visible");
        assert!(!self.account.uncommitted.iter().any(|block| name.ends_with(&format!("/{}", block.name))));
    }

    fn is_visible(&self, name: &str) -> bool {
        let (container, name) = name.split_once('/').expect("container and name");
        self.account.blob(container, name).is_some()
    }

    fn side(&self, name: &str) -> [Option<String>; 2] {
        let blob = &self.verbose.blobs[name];
        [&blob.metadata, &blob.properties]
            .map(|side| side.as_ref().and_then(|side| side.status.as_ref()).map(ToString::to_string))
    }
}

fn noise(seed: u64, length_bytes: u64) -> Content {
    Content::Random { seed, length_bytes }
}

fn blocks(name: &str, seed: u64, block_count: u64) -> PackBlob {
    PackBlob {
        layout: Layout::Blocks { block_bytes: BLOCK_BYTES, named: true },
        ..PackBlob::new(name, noise(seed, block_count * BLOCK_BYTES))
    }
}

/// An entry whose file is wherever the path leads; nothing is written for it.
fn elsewhere(name: &str, file: &str) -> PackBlob {
    let blob = PackBlob::new(name, noise(1, 70_000)).with_fault(Fault::MissingFile);
    PackBlob { file: file.to_owned(), ..blob }
}

// ── Files ──

fn odd_files(test: &str) -> Result<Option<TestDrive>> {
    let mut twins = PackBlob::new("files/twins.bin", Content::Zeros { length_bytes: 4 * BLOCK_BYTES });
    twins.layout = Layout::Blocks { block_bytes: BLOCK_BYTES, named: true };
    let mut disk =
        PackBlob::paged("vhds/bad.vhd", noise(7, 12 << 20)).with_fault(Fault::CorruptPart { index: 1 });
    disk.metadata = vec![("origin".to_owned(), "rig".to_owned())];
    let mut replacing = blocks("files/replacing.bin", 8, 3).with_fault(Fault::CorruptPart { index: 2 });
    replacing.disposition = Some(ImportDisposition::Overwrite);
    let longest = PackBlob {
        file: "\\session#1\\longest".to_owned(),
        ..PackBlob::new(&longest_name(), noise(11, 5_000))
    };
    let plan = PackPlan {
        extras: vec![Extra::Link {
            path: "\\stray\\link".to_owned(),
            target: "..\\session#1\\files\\good.bin".to_owned(),
        }],
        ..PackPlan::new(
            "DRGTESTODD",
            vec![
                elsewhere("files/invalid.bin", "\\..\\invalid.bin"),
                elsewhere("files/device.bin", "\\NUL"),
                elsewhere("files/endless.bin", &format!("\\{}", "n".repeat(300))),
                elsewhere("files/missing.bin", "\\session#1\\files\\missing.bin"),
                elsewhere("files/folder.bin", "\\session#1\\files"),
                elsewhere("files/link.bin", "\\stray\\link"),
                elsewhere("files/system.bin", "\\$MFT"),
                PackBlob::new("UPPER/destination.bin", noise(2, 70_000)),
                blocks("files/encrypted.bin", 3, 2),
                blocks("files/damaged.bin", 4, 2),
                blocks("files/short.bin", 5, 3)
                    .with_fault(Fault::ShortFile { missing_bytes: BLOCK_BYTES + 10 }),
                blocks("files/corrupt.bin", 6, 3).with_fault(Fault::CorruptPart { index: 1 }),
                disk,
                replacing,
                twins,
                PackBlob::new("files/good.bin", noise(9, 70_000)),
                longest,
            ],
        )
    };
    packed("odd-files-2", test, &plan)
}

/// The longest name that a blob can have, so that no suffix fits behind it.
fn longest_name() -> String {
    format!("long/{}", "l".repeat(1024))
}

#[tokio::test(flavor = "multi_thread")]
async fn paths_that_lead_to_no_file_each_have_their_status() -> Result<()> {
    let Some(drive) = odd_files("paths_that_lead_to_no_file_each_have_their_status")? else { return Ok(()) };
    let done = ingested(open(&drive.image)?, &drive).await?;
    for (name, status) in [
        ("files/invalid.bin", BlobStatus::FileNameInvalid),
        ("files/device.bin", BlobStatus::FileNameInvalid),
        ("files/endless.bin", BlobStatus::FileNameTooLong),
        ("files/missing.bin", BlobStatus::FileNotFound),
        ("files/folder.bin", BlobStatus::FileAccessDenied),
        ("files/link.bin", BlobStatus::FileAccessDenied),
        ("files/system.bin", BlobStatus::FileAccessDenied),
        ("UPPER/destination.bin", BlobStatus::Failed),
    ] {
        done.check_failed(name, status);
    }
    assert_eq!(done.logged("files/good.bin").0, "Completed");
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn files_that_cannot_be_opened_fail_alone() -> Result<()> {
    let Some(drive) = odd_files("files_that_cannot_be_opened_fail_alone")? else { return Ok(()) };
    let tampered = Tampered::copy(&drive)?;
    // Flag 0x4000 of the attribute: the Encrypting File System.
    tampered.data_attribute("\\session#1\\files\\encrypted.bin", |data| data[13] |= 0x40)?;
    tampered.data_attribute("\\session#1\\files\\damaged.bin", |data| {
        // The first run's lengths, which no run can have.
        let runs = usize::from(u16::from_le_bytes([data[0x20], data[0x21]]));
        data[runs] = 0xFF;
    })?;
    let done = ingested(open(&tampered.image)?, &drive).await?;
    done.check_failed("files/encrypted.bin", BlobStatus::FileAccessDenied);
    done.check_failed("files/damaged.bin", BlobStatus::IOFailed);
    assert_eq!(done.logged("files/good.bin").0, "Completed");
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_block_blob_with_a_bad_block_never_becomes_visible() -> Result<()> {
    let Some(drive) = odd_files("a_block_blob_with_a_bad_block_never_becomes_visible")? else {
        return Ok(());
    };
    let done = ingested(open(&drive.image)?, &drive).await?;
    for (name, parts) in [
        ("files/corrupt.bin", ["Uncommitted", "Corrupted", "Uncommitted"]),
        ("files/short.bin", ["Uncommitted", "FileUnexpectedEnd", "FileUnexpectedEnd"]),
    ] {
        let (status, disposition, found) = done.logged(name);
        assert_eq!((&*status, &*disposition), ("CompletedWithErrors", "Cancelled"), "{name}");
        assert_eq!(found, parts, "{name}");
        assert!(!done.is_visible(name));
        let held =
            done.account.uncommitted.iter().filter(|block| name.ends_with(&format!("/{}", block.name)));
        let good = parts.iter().filter(|part| **part == "Uncommitted").count();
        assert_eq!(held.count(), good, "the good blocks of {name} wait for a repair");
    }
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn an_old_blob_stays_as_it_was_when_its_successor_has_a_bad_block() -> Result<()> {
    let test = "an_old_blob_stays_as_it_was_when_its_successor_has_a_bad_block";
    let Some(drive) = odd_files(test)? else { return Ok(()) };
    let endpoint = Endpoint::start(EndpointConfig::default())?;
    let them = others::client(&endpoint.url(), &endpoint.connection_string())?;
    others::occupy(&them, &["files/replacing.bin"]).await?;
    let before = endpoint.snapshot().blob("files", "replacing.bin").cloned();
    let done = ingested_at(&endpoint, open(&drive.image)?, &drive).await?;
    let after = done.account.blob("files", "replacing.bin").cloned();
    assert!(before.is_some());
    assert_eq!(after, before, "byte for byte, and untouched");
    let (status, disposition, parts) = done.logged("files/replacing.bin");
    assert_eq!((&*status, &*disposition), ("CompletedWithErrors", "Cancelled"));
    assert_eq!(parts, ["Uncommitted", "Uncommitted", "Corrupted"]);
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_page_blob_with_a_bad_range_is_marked_and_the_log_names_the_range() -> Result<()> {
    let test = "a_page_blob_with_a_bad_range_is_marked_and_the_log_names_the_range";
    let Some(drive) = odd_files(test)? else { return Ok(()) };
    let done = ingested(open(&drive.image)?, &drive).await?;
    let blob = done.account.blob("vhds", "bad.vhd").context("a page blob is visible from its creation")?;
    let mark = blob.metadata.iter().find(|(name, _)| name == "incomplete").context("it is marked")?;
    assert!(mark.1.starts_with("1 of 3 page ranges missing"), "{mark:?}");
    assert!(blob.metadata.contains(&("origin".to_owned(), "rig".to_owned())), "its own metadata stay");
    let range = 4 << 20;
    assert!(
        blob.page_ranges.iter().all(|(first, last)| *last < range || *first >= 2 * range),
        "{:?}",
        blob.page_ranges
    );
    assert_eq!(blob.lease_state, "available");
    assert_eq!(done.logged("vhds/bad.vhd").2, ["Completed", "Corrupted", "Completed"]);
    let manifest::log::LoggedParts::Pages(parts) = &done.error.blobs["vhds/bad.vhd"].parts else {
        panic!("page ranges are logged as such");
    };
    let named: Vec<_> = parts.iter().map(|part| (part.offset_bytes, part.length_bytes)).collect();
    assert_eq!(named, [(Some(range), Some(range))], "the error log names the bad one only");
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_block_that_stands_twice_in_the_list_is_put_once() -> Result<()> {
    let Some(drive) = odd_files("a_block_that_stands_twice_in_the_list_is_put_once")? else { return Ok(()) };
    let endpoint = Endpoint::start(EndpointConfig { log_requests: true, ..EndpointConfig::default() })?;
    let done = ingested_at(&endpoint, open(&drive.image)?, &drive).await?;
    let blob = done.account.blob("files", "twins.bin").context("it landed")?;
    assert_eq!((blob.length, blob.blocks.len()), (4 * BLOCK_BYTES, 4));
    assert_eq!(done.logged("files/twins.bin").2, ["Completed"; 4]);
    let is_put = |entry: &rig::endpoint::log::Entry| {
        entry.operation == Operation::PutBlock && entry.path == "files/twins.bin"
    };
    assert_eq!(endpoint.log().entries().iter().filter(|entry| is_put(entry)).count(), 1);
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_blob_for_which_no_new_name_is_left_fails_to_be_renamed() -> Result<()> {
    let Some(drive) = odd_files("a_blob_for_which_no_new_name_is_left_fails_to_be_renamed")? else {
        return Ok(());
    };
    let endpoint = Endpoint::start(EndpointConfig::default())?;
    let them = others::client(&endpoint.url(), &endpoint.connection_string())?;
    let name = longest_name();
    others::occupy(&them, &[&name]).await?;
    let done = ingested_at(&endpoint, open(&drive.image)?, &drive).await?;
    assert_eq!(done.logged(&name).0, BlobStatus::RenameFailed.as_str());
    let theirs = them.download(&BlobPath::parse(&name)?, None).await?;
    assert_eq!(theirs, Bytes::from_static(others::THEIRS));
    Ok(())
}

// ── Metadata and properties files ──

const LONG_COMMENT_BYTES: usize = 8_000;

fn side_text(root: &str) -> Vec<u8> {
    // Long enough to lie in clusters of its own.
    let padding = "x".repeat(LONG_COMMENT_BYTES);
    format!("<?xml version=\"1.0\" encoding=\"UTF-8\"?><{root}><!-- {padding} --></{root}>").into_bytes()
}

/// The element that gives a blob a metadata or properties file, right or not.
fn side(kind: &str, path: &str, bytes: &[u8]) -> String {
    format!("<{kind}Path Hash=\"{}\">{path}</{kind}Path>\n", md5_of(bytes))
}

/// A blob's name, the path of its side file, and what the log says of it.
const ODD_SIDES: [(&str, &str, SideFileStatus); 8] = [
    ("fine", "\\sides\\{kind}.fine.xml", SideFileStatus::Completed),
    ("invalid", "\\sides\\..\\x.xml", SideFileStatus::FileNameInvalid),
    ("endless", "\\{endless}", SideFileStatus::FileNameTooLong),
    ("missing", "\\sides\\missing.xml", SideFileStatus::FileNotFound),
    ("folder", "\\sides", SideFileStatus::FileAccessDenied),
    ("noxml", "\\sides\\noxml.xml", SideFileStatus::XmlReadFailed),
    ("huge", "\\sides\\huge.xml", SideFileStatus::XmlReadFailed),
    ("unreadable", "\\sides\\{kind}.unreadable.xml", SideFileStatus::IOFailed),
];

fn odd_sides(test: &str) -> Result<Option<TestDrive>> {
    let file = |path: &str, bytes: Vec<u8>| Extra::File { path: path.to_owned(), bytes };
    let (noxml, huge) = (b"<Metadata><a>1</b></Metadata>".to_vec(), vec![b' '; 300 << 10]);
    let mut extras = vec![file("\\sides\\noxml.xml", noxml.clone()), file("\\sides\\huge.xml", huge.clone())];
    let mut blobs = Vec::new();
    for (seed, kind) in (1..).zip(["Metadata", "Properties"]) {
        let text = side_text(kind);
        extras.push(file(&format!("\\sides\\{kind}.fine.xml"), text.clone()));
        extras.push(file(&format!("\\sides\\{kind}.unreadable.xml"), text.clone()));
        for (number, (name, path, _)) in (0..).zip(ODD_SIDES) {
            let bytes = match name {
                "noxml" => &noxml,
                "huge" => &huge,
                _ => &text,
            };
            let path = path.replace("{kind}", kind).replace("{endless}", &"s".repeat(300));
            let name = format!("sides/{kind}.{name}.bin");
            let markup = side(kind, &path, bytes);
            blobs.push(PackBlob { markup, ..PackBlob::new(&name, noise(seed * 100 + number, 20_000)) });
        }
    }
    let titled = |name: &str, seed| {
        let mut blob = blocks(name, seed, 2);
        blob.metadata = vec![("origin".to_owned(), "rig".to_owned())];
        blob.properties = Properties { content_type: Some("text/plain".to_owned()), ..Properties::default() };
        blob
    };
    blobs.push(titled("sides/titled.bin", 30));
    blobs.push(titled("sides/metadata-corrupted.bin", 31).with_fault(Fault::WrongMetadataHash));
    blobs.push(titled("sides/properties-corrupted.bin", 32).with_fault(Fault::WrongPropertiesHash));
    blobs.push(titled("sides/cancelled.bin", 33).with_fault(Fault::CorruptPart { index: 0 }));
    packed("odd-sides", test, &PackPlan { extras, ..PackPlan::new("DRGTESTSIDES", blobs) })
}

fn words(metadata: Option<SideFileStatus>, properties: Option<SideFileStatus>) -> [Option<String>; 2] {
    [metadata, properties].map(|status| status.map(|status| status.to_string()))
}

#[tokio::test(flavor = "multi_thread")]
async fn data_land_although_their_side_file_is_bad() -> Result<()> {
    let Some(drive) = odd_sides("data_land_although_their_side_file_is_bad")? else { return Ok(()) };
    let opened = Opened::new(&drive)?;
    let (device, faults) = open_faulty(&drive.image)?;
    for kind in ["Metadata", "Properties"] {
        let places = opened.file_places(&format!("\\sides\\{kind}.unreadable.xml"))?;
        assert!(!places.is_empty(), "it lies in clusters");
        places.into_iter().for_each(|place| faults.fail(place));
    }
    let done = ingested(device, &drive).await?;
    for kind in ["Metadata", "Properties"] {
        for (name, _, status) in ODD_SIDES {
            let name = format!("sides/{kind}.{name}.bin");
            let is_metadata = kind == "Metadata";
            let expected = words(is_metadata.then_some(status), (!is_metadata).then_some(status));
            assert_eq!(done.side(&name), expected, "{name}");
            let fine = status == SideFileStatus::Completed;
            let (found, disposition, parts) = done.logged(&name);
            assert_eq!(found, if fine { "Completed" } else { "CompletedWithErrors" }, "{name}");
            assert_eq!((&*disposition, &*parts), ("Created", &["Completed".to_owned()][..]), "{name}");
            assert!(done.is_visible(&name), "{name}");
        }
    }
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn of_two_side_files_the_good_one_is_applied() -> Result<()> {
    let Some(drive) = odd_sides("of_two_side_files_the_good_one_is_applied")? else { return Ok(()) };
    let done = ingested(open(&drive.image)?, &drive).await?;
    let metadata = |name: &str| done.account.blob("sides", name).map(|blob| blob.metadata.len());
    let titled = |name: &str| {
        done.account.blob("sides", name).is_some_and(|blob| {
            blob.properties.contains(&("content-type".to_owned(), "text/plain".to_owned()))
        })
    };
    let (fine, corrupted) = (Some(SideFileStatus::Completed), Some(SideFileStatus::Corrupted));
    assert_eq!(done.side("sides/titled.bin"), words(fine, fine));
    assert_eq!((metadata("titled.bin"), titled("titled.bin")), (Some(1), true));
    assert_eq!(done.side("sides/metadata-corrupted.bin"), words(corrupted, fine));
    assert_eq!((metadata("metadata-corrupted.bin"), titled("metadata-corrupted.bin")), (Some(0), true));
    assert_eq!(done.side("sides/properties-corrupted.bin"), words(fine, corrupted));
    assert_eq!((metadata("properties-corrupted.bin"), titled("properties-corrupted.bin")), (Some(1), false));
    let cancelled = Some(SideFileStatus::Cancelled);
    assert_eq!(done.side("sides/cancelled.bin"), words(cancelled, cancelled));
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn metadata_that_the_service_refuses_do_not_keep_the_data_back() -> Result<()> {
    let test = "metadata_that_the_service_refuses_do_not_keep_the_data_back";
    let Some(drive) = odd_sides(test)? else { return Ok(()) };
    let endpoint = Endpoint::start(EndpointConfig::default())?;
    let refusal = EndpointFault::status(400, "InvalidMetadata").on(Operation::PutBlockList);
    endpoint.faults().add(refusal.path("sides/titled.bin").times(1));
    let done = ingested_at(&endpoint, open(&drive.image)?, &drive).await?;
    let refused = Some(SideFileStatus::BlobRequestFailed);
    assert_eq!(done.side("sides/titled.bin"), words(refused, Some(SideFileStatus::Completed)));
    assert_eq!(done.logged("sides/titled.bin").0, "CompletedWithErrors");
    let blob = done.account.blob("sides", "titled.bin").context("its data landed")?;
    assert!(blob.metadata.is_empty());
    Ok(())
}

// ── All of them ──

/// Where a status is tested, or why an ingest cannot give it.
enum Covered {
    Here,
    /// By the tests that misbehave from the account's side.
    ByTheAccount,
    /// The reason.
    Never(&'static str),
}

fn blob_status(status: BlobStatus) -> Covered {
    match status {
        BlobStatus::Completed
        | BlobStatus::CompletedWithErrors
        | BlobStatus::FileNameInvalid
        | BlobStatus::FileNameTooLong
        | BlobStatus::FileNotFound
        | BlobStatus::FileAccessDenied
        | BlobStatus::RenameFailed
        | BlobStatus::IOFailed
        | BlobStatus::Failed => Covered::Here,
        BlobStatus::BlobRequestFailed | BlobStatus::BlobRequestForbidden | BlobStatus::LeasePresent => {
            Covered::ByTheAccount
        }
        BlobStatus::BlobUnexpectedChange => Covered::Never("only an export reads blobs"),
    }
}

fn chunk_status(status: ChunkStatus) -> Covered {
    match status {
        ChunkStatus::Completed
        | ChunkStatus::Uncommitted
        | ChunkStatus::Corrupted
        | ChunkStatus::FileUnexpectedEnd
        | ChunkStatus::Cancelled => Covered::Here,
        // `drive_faults` has the unreadable sectors.
        ChunkStatus::IOFailed => Covered::Here,
        ChunkStatus::BlobRequestFailed => Covered::ByTheAccount,
        ChunkStatus::Committed => Covered::Never("a list without all its blocks is never committed"),
        ChunkStatus::BlobUnexpectedEnd => Covered::Never("only an export reads blobs"),
        ChunkStatus::Failed => Covered::Never("each cause has a code of its own"),
    }
}

fn side_file_status(status: SideFileStatus) -> Covered {
    match status {
        SideFileStatus::Completed
        | SideFileStatus::FileNameInvalid
        | SideFileStatus::FileNameTooLong
        | SideFileStatus::FileNotFound
        | SideFileStatus::FileAccessDenied
        | SideFileStatus::Corrupted
        | SideFileStatus::XmlReadFailed
        | SideFileStatus::BlobRequestFailed
        | SideFileStatus::IOFailed
        | SideFileStatus::Cancelled => Covered::Here,
        SideFileStatus::XmlWriteFailed => Covered::Never("only an export writes such files"),
        SideFileStatus::Failed => Covered::Never("each cause has a code of its own"),
    }
}

#[test]
fn every_status_of_a_blob_its_parts_and_its_side_files_has_its_test_or_its_reason() {
    let mut all = Vec::new();
    all.extend(BlobStatus::ALL.iter().map(|status| (status.as_str(), blob_status(*status))));
    all.extend(ChunkStatus::ALL.iter().map(|status| (status.as_str(), chunk_status(*status))));
    all.extend(SideFileStatus::ALL.iter().map(|status| (status.as_str(), side_file_status(*status))));
    // The tables name each status once; a test names it once more.
    let here = include_str!("drive_blob_statuses.rs");
    let tests = here.split("// ── All of them ──").next().unwrap_or_default().to_owned();
    let tests = tests + include_str!("drive_faults.rs");
    for (word, covered) in all {
        match covered {
            Covered::Here => assert!(tests.contains(word), "no test names {word}"),
            Covered::ByTheAccount => {}
            Covered::Never(reason) => assert!(!reason.is_empty(), "{word}"),
        }
    }
}
