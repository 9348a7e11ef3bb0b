//! `driveprep repair-import`: a drive with one of each fault is ingested, and repaired by the log
//! that the ingest wrote, from the folder that it was packed from. Afterwards the account holds every
//! byte, whatever was killed in between.

use std::fs;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::{Arc, Mutex};

use anyhow::{Context, Result, ensure};
use azure::{BlobHeaders, Condition};
use bytes::Bytes;
use manifest::log::{BlobRecord, ChunkStatuses, DriveLogLevel, DriveLogWriter};
use manifest::{
    BlobEntry, BlobKind, BlockEntry, DriveHeader, ListHeader, ListKind, ManifestWriter, RangeEntry,
};
use model::status::{BlobStatus, ChunkStatus, DispositionStatus, DriveStatus};
use model::{BlobPath, DriveId, ImportDisposition};
use rig::endpoint::{Endpoint, EndpointConfig, Fault as Misbehaviour, Operation};
use rig::pack::{Content, Fault, Layout, PackBlob, PackPlan, Properties};
use serde_json::Value;
use sha2::{Digest, Sha256};
use system_tests::azurite::{self, Azurite};
use system_tests::drives::{TestDrive, packed};
use system_tests::packing::{Tree, blob, page_blob, succeeds};
use system_tests::program::{Desk, Ended, Running, bare, driveprep, files, run};
use system_tests::stand::Stand;
use system_tests::tamper::{Opened, Tampered};
use tempfile::TempDir;

const BLOCK: u64 = 64 << 10;

/// One of each fault, and a blob that is whole.
fn plan() -> PackPlan {
    let random = |seed, length_bytes| Content::Random { seed, length_bytes };
    let blocks = |name: &str, seed, named| PackBlob {
        layout: Layout::Blocks { block_bytes: BLOCK, named },
        ..PackBlob::new(name, random(seed, 3 * BLOCK + 5))
    };
    let corrupt = |index| Fault::CorruptPart { index };
    let metadata = || vec![("origin".to_owned(), "rig".to_owned())];
    let properties = || Properties { content_type: Some("text/plain".to_owned()), ..Properties::default() };
    let mut missing = PackBlob::new("files/m\u{ef}ssing + 1.bin", random(3, 5_000));
    (missing.metadata, missing.properties) = (metadata(), properties());
    let mut titled = PackBlob::new("files/metadata.bin", random(5, 3_000));
    titled.metadata = metadata();
    let mut typed = PackBlob::new("files/properties.bin", random(6, 3_000));
    typed.properties = properties();
    let pages = Content::Sparse { seed: 8, length_bytes: 12 << 20, data: vec![0..1 << 20, 8 << 20..9 << 20] };
    PackPlan::new(
        "DRGTESTREPAIR",
        vec![
            blocks("files/whole.bin", 1, true),
            blocks("files/corrupt.bin", 2, true).with_fault(corrupt(1)),
            missing.with_fault(Fault::MissingFile),
            blocks("files/numbered.bin", 4, false).with_fault(corrupt(2)),
            blocks("files/short.bin", 9, true).with_fault(Fault::ShortFile { missing_bytes: 6 }),
            titled.with_fault(Fault::WrongMetadataHash),
            typed.with_fault(Fault::WrongPropertiesHash),
            PackBlob::paged("disks/disk.vhd", pages.clone()).with_fault(corrupt(1)),
            PackBlob::paged("disks/missing.vhd", pages).with_fault(Fault::MissingFile),
        ],
    )
}

fn drive(test: &str) -> Result<Option<TestDrive>> {
    packed("repair-import", test, &plan())
}

fn content(blob: &PackBlob) -> Vec<u8> {
    let mut bytes = vec![0; usize::try_from(blob.content.length_bytes()).unwrap()];
    blob.content.fill(&mut bytes, 0);
    bytes
}

fn sha256(bytes: &[u8]) -> String {
    Sha256::digest(bytes).iter().map(|byte| format!("{byte:02x}")).collect()
}

/// An account into which the drive was ingested, and the folder that it was packed from.
struct Scene {
    desk: Desk,
    scratch: TempDir,
    url: String,
}

impl Scene {
    fn after_ingest(drive: &TestDrive, endpoint: &Endpoint) -> Result<Scene> {
        Scene::at(drive, &endpoint.url(), Desk::before(endpoint)?)
    }

    fn at(drive: &TestDrive, url: &str, desk: Desk) -> Result<Scene> {
        let ended = run(&mut desk.ingest(drive))?;
        ensure!(ended.code == Some(11), "parts of it are corrupt: {ended:?}");
        let scene = Scene { desk, scratch: TempDir::new()?, url: url.to_owned() };
        for blob in &plan().blobs {
            scene.put_source(&blob.file, &content(blob))?;
        }
        scene.mend_side_files()?;
        Ok(scene)
    }

    /// Where a file of the drive lies in the folder that it was packed from: there is no session.
    fn source(&self, file: &str) -> PathBuf {
        let inside = file.trim_start_matches("\\session#1").trim_start_matches('\\');
        self.scratch.path().join("photos").join(inside.replace('\\', "/"))
    }

    fn put_source(&self, file: &str, bytes: &[u8]) -> Result<()> {
        let path = self.source(file);
        fs::create_dir_all(path.parent().context("a file has a folder")?)?;
        Ok(fs::write(path, bytes)?)
    }

    /// The rig's faulty side files have a hash that nothing has. The log is given the hash of the
    /// files as they should have been, and those are put into the folder.
    fn mend_side_files(&self) -> Result<()> {
        let log = self.log("_error.xml")?;
        let mut text = fs::read_to_string(&log)?;
        for (element, content) in [
            ("Metadata", "<Metadata><origin>rig</origin></Metadata>"),
            ("Properties", "<Properties><Content-Type>text/plain</Content-Type></Properties>"),
        ] {
            let mut rest = 0;
            while let Some(start) = text[rest..].find(&format!("<{element} Status=")).map(|at| at + rest) {
                let end = start + text[start..].find(&format!("</{element}>")).context("it ends")?;
                let path_at = start + text[start..end].find("<Path Hash=\"").context("its own file")? + 12;
                let path = text[path_at + 34..].split('<').next().context("a path")?.to_owned();
                let hash = digests::md5_of(content.as_bytes()).to_string();
                text.replace_range(path_at..path_at + 32, &hash);
                self.put_source(&path, content.as_bytes())?;
                rest = end;
            }
        }
        Ok(fs::write(&log, text)?)
    }

    fn log(&self, kind: &str) -> Result<PathBuf> {
        let logs = files(&self.desk.logs_dir())?;
        logs.into_iter().find(|path| path.to_string_lossy().contains(kind)).context("the ingest wrote it")
    }

    fn path_map(&self) -> PathBuf {
        self.scratch.path().join("map.txt")
    }

    fn repair_by(&self, log: &Path) -> Command {
        let mut command = bare(driveprep());
        command.args(["repair-import", "--json", "--account", &self.url, "--repair"]);
        command.arg(self.scratch.path().join("drive.rep")).arg("--dir");
        // A second root, which has nothing.
        let empty = self.scratch.path().join("empty");
        fs::create_dir_all(&empty).expect("a folder can be made");
        command.arg(format!("{};{}", self.scratch.path().join("photos").display(), empty.display()));
        command.arg("--copy-log").arg(log).arg("--path-map").arg(self.path_map());
        command.arg("--credential-file").arg(self.desk.credential_file());
        command
    }

    fn repair(&self) -> Result<Command> {
        Ok(self.repair_by(&self.log("_error.xml")?))
    }
}

/// Everything that was packed is there, byte for byte, and nothing else.
fn assert_whole(endpoint: &Endpoint) {
    let account = endpoint.snapshot();
    let is_log = |container: &str| ["waimportexport", "databoxcopylog"].contains(&container);
    let found: Vec<_> = account.blobs.iter().filter(|blob| !is_log(&blob.container)).collect();
    for blob in &plan().blobs {
        let (container, name) = blob.destination.split_once('/').unwrap();
        let entry =
            account.blob(container, name).unwrap_or_else(|| panic!("{} is not there", blob.destination));
        assert_eq!(entry.sha256.as_deref(), Some(&*sha256(&content(blob))), "{}", blob.destination);
        assert_eq!(entry.metadata, blob.metadata, "{}", blob.destination);
        assert_eq!(entry.lease_state, "available", "{}", blob.destination);
        if let Some(wanted) = &blob.properties.content_type {
            let is_it = |name: &str| name.eq_ignore_ascii_case("content-type");
            let has = entry.properties.iter().any(|(name, value)| is_it(name) && value == wanted);
            assert!(has, "{}: {:?}", blob.destination, entry.properties);
        }
    }
    assert_eq!(
        found.len(),
        plan().blobs.len(),
        "{:?}",
        found.iter().map(|blob| &blob.name).collect::<Vec<_>>()
    );
}

fn unresolved(ended: &Ended) -> Vec<(String, String)> {
    let text = |event: &Value, field: &str| event[field].as_str().unwrap_or_default().to_owned();
    let events = ended.events();
    let unresolved = events.iter().filter(|event| event["event"] == "unresolved");
    unresolved.map(|event| (text(event, "blob_path"), text(event, "reason"))).collect()
}

#[test]
fn a_repair_sends_what_failed_and_nothing_else_and_the_account_is_whole() -> Result<()> {
    let Some(drive) = drive("a_repair_sends_what_failed_and_nothing_else_and_the_account_is_whole")? else {
        return Ok(());
    };
    let endpoint = Endpoint::start(EndpointConfig::default())?;
    let scene = Scene::after_ingest(&drive, &endpoint)?;
    let before = endpoint.log().entries().len();
    let ended = run(&mut scene.repair()?)?;
    assert_eq!(ended.code, Some(0), "{ended:?}");
    assert_whole(&endpoint);
    let summary = ended.summary();
    assert_eq!((&summary["repaired"], &summary["unresolved"]), (&8.into(), &0.into()), "{summary}");

    let requests = endpoint.log().entries().split_off(before);
    let count = |operation, path: &str| {
        requests.iter().filter(|entry| entry.operation == operation && entry.path.ends_with(path)).count()
    };
    // Blocks that had landed are still there.
    assert_eq!(count(Operation::PutBlock, "corrupt.bin"), 1);
    assert_eq!(count(Operation::PutPage, "disk.vhd"), 1);
    assert_eq!(
        count(Operation::PutBlock, "metadata.bin") + count(Operation::PutBlockList, "metadata.bin"),
        0
    );
    assert!(requests.iter().all(|entry| !entry.path.ends_with("whole.bin")));
    assert!(!scene.path_map().exists());

    let again = run(&mut scene.repair()?)?;
    assert_eq!((again.code, &again.summary()["whole_before"]), (Some(0), &8.into()), "{again:?}");
    Ok(())
}

#[test]
fn blocks_that_the_service_has_dropped_are_all_sent_again() -> Result<()> {
    let Some(drive) = drive("blocks_that_the_service_has_dropped_are_all_sent_again")? else { return Ok(()) };
    let endpoint = Endpoint::start(EndpointConfig::default())?;
    let scene = Scene::after_ingest(&drive, &endpoint)?;
    endpoint.clock().advance(std::time::Duration::from_secs(8 * 86_400));
    let before = endpoint.log().entries().len();
    let ended = run(&mut scene.repair()?)?;
    assert_eq!(ended.code, Some(0), "{ended:?}");
    assert_whole(&endpoint);
    let requests = endpoint.log().entries().split_off(before);
    let sent = requests.iter().filter(|entry| entry.operation == Operation::PutBlock);
    assert!(sent.filter(|entry| entry.path.ends_with("corrupt.bin")).count() >= 1);
    Ok(())
}

#[test]
fn a_file_that_moved_is_named_in_the_path_map_and_found_by_it() -> Result<()> {
    let Some(drive) = drive("a_file_that_moved_is_named_in_the_path_map_and_found_by_it")? else {
        return Ok(());
    };
    let endpoint = Endpoint::start(EndpointConfig::default())?;
    let scene = Scene::after_ingest(&drive, &endpoint)?;
    let moved = scene.scratch.path().join("moved away.bin");
    fs::rename(scene.source("\\session#1\\files\\corrupt.bin"), &moved)?;
    let ended = run(&mut scene.repair()?)?;
    assert_eq!(ended.code, Some(10), "{ended:?}");
    assert_eq!(fs::read_to_string(scene.path_map())?, "\\session#1\\files\\corrupt.bin\n");
    assert_eq!(unresolved(&ended).len(), 1);

    fs::write(scene.path_map(), format!("\\session#1\\files\\corrupt.bin\t{}\n", moved.display()))?;
    let ended = run(&mut scene.repair()?)?;
    assert_eq!(ended.code, Some(0), "{ended:?}");
    assert_whole(&endpoint);
    Ok(())
}

#[test]
fn a_file_whose_content_is_another_is_refused_and_its_blob_left_as_it_is() -> Result<()> {
    let Some(drive) = drive("a_file_whose_content_is_another_is_refused_and_its_blob_left_as_it_is")? else {
        return Ok(());
    };
    let endpoint = Endpoint::start(EndpointConfig::default())?;
    let scene = Scene::after_ingest(&drive, &endpoint)?;
    for (file, offset) in [("corrupt.bin", BLOCK + 7), ("numbered.bin", 2 * BLOCK)] {
        let path = scene.source(&format!("\\session#1\\files\\{file}"));
        let mut bytes = fs::read(&path)?;
        bytes[usize::try_from(offset)?] ^= 0x10;
        fs::write(&path, bytes)?;
    }
    let disk = scene.source("\\session#1\\disks\\disk.vhd");
    let mut bytes = fs::read(&disk)?;
    bytes[8 << 20] ^= 1;
    fs::write(&disk, bytes)?;
    let page_before = endpoint.snapshot().blob("disks", "disk.vhd").cloned();
    let ended = run(&mut scene.repair()?)?;
    assert_eq!(ended.code, Some(11), "{ended:?}");
    let names: Vec<String> = unresolved(&ended).into_iter().map(|(name, _)| name).collect();
    assert_eq!(names, ["files/corrupt.bin", "files/numbered.bin", "disks/disk.vhd"]);
    assert!(unresolved(&ended).iter().all(|(_, reason)| reason.contains("no longer has the content")));
    let account = endpoint.snapshot();
    assert!(
        account.blob("files", "corrupt.bin").is_none() && account.blob("files", "numbered.bin").is_none()
    );
    assert_eq!(account.blob("disks", "disk.vhd").cloned(), page_before);
    assert!(account.blob("files", "short.bin").is_some());
    assert_eq!(fs::read_to_string(scene.path_map())?.lines().count(), 3);
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn what_somebody_wrote_meanwhile_is_not_overwritten() -> Result<()> {
    let Some(drive) = drive("what_somebody_wrote_meanwhile_is_not_overwritten")? else { return Ok(()) };
    let endpoint = Endpoint::start(EndpointConfig::default())?;
    let scene = Scene::after_ingest(&drive, &endpoint)?;
    let account = Stand::before(&endpoint)?.account;
    let disk = BlobPath::parse("disks/disk.vhd")?;
    // Somebody took the mark away and wrote where a range was missing.
    account.set_metadata(&disk, &[], &Condition::None, None).await?;
    let theirs = Bytes::from(vec![7; 512]);
    let md5 = digests::md5_of(&theirs);
    account.put_page(&disk, 8 << 20, theirs.clone(), md5, None).await?;
    // Somebody set metadata.
    let titled = BlobPath::parse("files/metadata.bin")?;
    account.set_metadata(&titled, &[("mine".to_owned(), "1".to_owned())], &Condition::None, None).await?;
    // Somebody took a name that was free; the drive's disposition is to rename.
    let taken = BlobPath::parse("files/corrupt.bin")?;
    account.put_blob(&taken, theirs.clone(), md5, &BlobHeaders::default(), &Condition::None).await?;

    let ended = run(&mut scene.repair()?)?;
    assert_eq!(ended.code, Some(11), "{ended:?}");
    let names: Vec<String> = unresolved(&ended).into_iter().map(|(name, _)| name).collect();
    assert_eq!(names, ["files/metadata.bin", "disks/disk.vhd"], "{ended:?}");
    assert_eq!(account.download(&disk, Some(8 << 20..(8 << 20) + 512)).await?, theirs);
    assert_eq!(account.download(&taken, None).await?, theirs);
    let renamed = endpoint.snapshot().blob("files", "corrupt (2).bin").cloned().context("it was renamed")?;
    assert_eq!(renamed.sha256, Some(sha256(&content(&plan().blobs[1]))));
    Ok(())
}

/// Repairs with a kill at some request, and once more to the end.
fn killed_at(drive: &TestDrive, nth: u64) -> Result<()> {
    let endpoint = Endpoint::start(EndpointConfig { workers: 3, ..EndpointConfig::default() })?;
    let scene = Scene::after_ingest(drive, &endpoint)?;
    let victim: Arc<Mutex<Option<Running>>> = Arc::default();
    let seen = Arc::clone(&victim);
    let kill = move |_: rig::endpoint::faults::Seen<'_>| {
        if let Some(running) = seen.lock().unwrap().as_ref() {
            running.kill();
        }
    };
    endpoint.faults().add(Misbehaviour::call_after(kill).nth(nth));
    let running = {
        let mut victim = victim.lock().unwrap();
        victim.insert(Running::start(&mut scene.repair()?)?).clone()
    };
    let first = running.wait()?;
    ensure!(first.code.is_none(), "it was not killed at request {nth}: {first:?}");
    endpoint.faults().clear();
    let second = run(&mut scene.repair()?)?;
    ensure!(second.code == Some(0), "after a kill at request {nth}: {second:?}");
    assert_whole(&endpoint);
    Ok(())
}

#[test]
fn killed_after_any_request_the_same_command_makes_the_account_whole() -> Result<()> {
    let Some(drive) = drive("killed_after_any_request_the_same_command_makes_the_account_whole")? else {
        return Ok(());
    };
    let endpoint = Endpoint::start(EndpointConfig::default())?;
    let scene = Scene::after_ingest(&drive, &endpoint)?;
    let before = endpoint.log().entries().len() as u64;
    ensure!(run(&mut scene.repair()?)?.code == Some(0), "an undisturbed repair");
    let requests = endpoint.log().entries().len() as u64 - before;
    ensure!(requests > 40, "{requests} requests");
    let next = std::sync::atomic::AtomicU64::new(1);
    let failures = Mutex::new(Vec::new());
    std::thread::scope(|scope| {
        for _ in 0..4 {
            scope.spawn(|| {
                loop {
                    // One of three: each kind of request is met, with one blob or another.
                    let nth = next.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
                    if nth >= requests {
                        return;
                    }
                    if nth % 3 != 1 {
                        continue;
                    }
                    if let Err(error) = killed_at(&drive, nth) {
                        failures.lock().unwrap().push(format!("{error:#}"));
                    }
                }
            });
        }
    });
    let failures = failures.into_inner()?;
    assert!(failures.is_empty(), "{failures:#?}");
    Ok(())
}

/// The manifest that the drive carries, as a customer has it from the packing.
fn manifest_file(folder: &Path) -> Result<PathBuf> {
    let header = DriveHeader {
        version: "2014-11-01".to_owned(),
        drive_id: DriveId::new("DRGTESTREPAIR")?,
        credential: manifest::Credential::Absent,
        client_creator: None,
    };
    let mut writer = ManifestWriter::new(Vec::new(), &header)?;
    writer.list(&ListHeader {
        index: 0,
        kind: ListKind::Blobs,
        id: None,
        metadata: None,
        properties: None,
    })?;
    for (index, blob) in (0..).zip(&plan().blobs) {
        writer.blob(&entry(index, blob)?)?;
    }
    let path = folder.join("DriveManifest.xml");
    fs::write(&path, writer.finish()?)?;
    Ok(path)
}

fn entry(index: u64, blob: &PackBlob) -> Result<BlobEntry> {
    let bytes = content(blob);
    let part = |range: std::ops::Range<u64>| -> Result<RangeEntry> {
        let hash = digests::md5_of(&bytes[usize::try_from(range.start)?..usize::try_from(range.end)?]);
        Ok(RangeEntry { offset_bytes: range.start, length_bytes: range.end - range.start, hash })
    };
    let parts: Vec<RangeEntry> = blob.parts().into_iter().map(part).collect::<Result<_>>()?;
    let block = |range: RangeEntry| BlockEntry::tool(range.offset_bytes, range.length_bytes, range.hash);
    let side = |name: &str, text: &str| manifest::SideFileRef {
        path: format!("\\sides\\{index}.{name}"),
        hash: model::digest::HashText::Md5(digests::md5_of(text.as_bytes())),
    };
    Ok(BlobEntry {
        index,
        list: 0,
        blob_path: blob.destination.clone(),
        file_path: blob.file.clone(),
        length_bytes: blob.content.length_bytes(),
        stated_disposition: Some(ImportDisposition::Rename),
        kind: match blob.layout {
            Layout::Blocks { .. } => BlobKind::Block(parts.into_iter().map(block).collect()),
            Layout::Pages => BlobKind::Page(parts),
        },
        metadata: (!blob.metadata.is_empty()).then(|| side("metadata", METADATA)),
        properties: blob.properties.content_type.as_ref().map(|_| side("properties", PROPERTIES)),
        client_data: None,
        snapshot: None,
    })
}

/// The manifest, and in the folder that was packed the side files that it names.
fn manifest_of(scene: &Scene) -> Result<PathBuf> {
    for (index, blob) in plan().blobs.iter().enumerate() {
        if !blob.metadata.is_empty() {
            scene.put_source(&format!("\\sides\\{index}.metadata"), METADATA.as_bytes())?;
        }
        if blob.properties.content_type.is_some() {
            scene.put_source(&format!("\\sides\\{index}.properties"), PROPERTIES.as_bytes())?;
        }
    }
    manifest_file(scene.scratch.path())
}

/// Changes a file that holds text.
fn rewrite(path: &Path, from: &str, to: &str) -> Result<()> {
    let text = fs::read_to_string(path)?;
    ensure!(text.contains(from), "{} has no {from}", path.display());
    Ok(fs::write(path, text.replace(from, to))?)
}

const METADATA: &str = "<Metadata><origin>rig</origin></Metadata>";
const PROPERTIES: &str = "<Properties><Content-Type>text/plain</Content-Type></Properties>";

#[test]
fn a_copy_log_repairs_with_the_manifest_and_says_so_without_it() -> Result<()> {
    let Some(drive) = drive("a_copy_log_repairs_with_the_manifest_and_says_so_without_it")? else {
        return Ok(());
    };
    let endpoint = Endpoint::start(EndpointConfig::default())?;
    let scene = Scene::after_ingest(&drive, &endpoint)?;
    let log = scene.log("_CopyLog_")?;
    let without = run(&mut scene.repair_by(&log))?;
    assert_eq!((without.code, unresolved(&without).len()), (Some(10), 8), "{without:?}");
    assert!(unresolved(&without).iter().all(|(_, reason)| reason.contains("--manifest FILE")), "{without:?}");

    let manifest = manifest_of(&scene)?;
    let ended = run(scene.repair_by(&log).arg("--manifest").arg(&manifest))?;
    assert_eq!(ended.code, Some(0), "{ended:?}");
    assert_whole(&endpoint);
    Ok(())
}

#[test]
fn a_repair_file_of_another_log_is_refused() -> Result<()> {
    let Some(drive) = drive("a_repair_file_of_another_log_is_refused")? else { return Ok(()) };
    let endpoint = Endpoint::start(EndpointConfig::default())?;
    let scene = Scene::after_ingest(&drive, &endpoint)?;
    assert_eq!(run(&mut scene.repair()?)?.code, Some(0));
    let ended = run(&mut scene.repair_by(&scene.log("_CopyLog_")?))?;
    assert_eq!(ended.code, Some(2), "{ended:?}");
    assert!(ended.stderr.contains("is of another repair"), "{}", ended.stderr);
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_repair_makes_azurite_whole_as_well() -> Result<()> {
    let test = "a_repair_makes_azurite_whole_as_well";
    let Some(drive) = drive(test)? else { return Ok(()) };
    let Some(azurite) = Azurite::start(test)? else { return Ok(()) };
    let desk = Desk::at(&azurite.url(), &azurite.connection_string())?;
    let scene = Scene::at(&drive, &azurite.url(), desk)?;
    let ended = run(&mut scene.repair()?)?;
    assert_eq!(ended.code, Some(0), "{ended:?}");
    let account = Stand::at(&azurite.url(), &azurite.connection_string())?.account;
    let found = azurite::inventory(&account, &["files".to_owned(), "disks".to_owned()]).await?;
    for blob in &plan().blobs {
        let (container, name) = blob.destination.split_once('/').unwrap();
        let entry = found.blob(container, name).with_context(|| blob.destination.clone())?;
        assert_eq!(entry.sha256, Some(sha256(&content(blob))), "{}", blob.destination);
        assert_eq!(entry.metadata, blob.metadata, "{}", blob.destination);
    }
    assert_eq!(found.blobs.len(), plan().blobs.len());
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_page_blob_that_is_made_anew_has_its_good_ranges_too_after_a_kill() -> Result<()> {
    let test = "a_page_blob_that_is_made_anew_has_its_good_ranges_too_after_a_kill";
    let Some(drive) = drive(test)? else { return Ok(()) };
    let endpoint = Endpoint::start(EndpointConfig { workers: 3, ..EndpointConfig::default() })?;
    let scene = Scene::after_ingest(&drive, &endpoint)?;
    let manifest = manifest_of(&scene)?;
    // The log names one bad range of it, and now it is gone as a whole.
    let account = Stand::before(&endpoint)?.account;
    account.delete(&BlobPath::parse("disks/disk.vhd")?, &Condition::None, None).await?;
    let repair = || -> Result<Command> {
        let mut command = scene.repair()?;
        command.arg("--manifest").arg(&manifest);
        Ok(command)
    };
    let victim: Arc<Mutex<Option<Running>>> = Arc::default();
    let seen = Arc::clone(&victim);
    let kill = move |_: rig::endpoint::faults::Seen<'_>| {
        if let Some(running) = seen.lock().unwrap().as_ref() {
            running.kill();
        }
    };
    endpoint.faults().add(Misbehaviour::call_after(kill).on(Operation::PutBlob).path("*disk.vhd"));
    let running = {
        let mut victim = victim.lock().unwrap();
        victim.insert(Running::start(&mut repair()?)?).clone()
    };
    let first = running.wait()?;
    ensure!(first.code.is_none(), "it was not killed: {first:?}");
    endpoint.faults().clear();
    // Without the manifest nobody knows the good ranges.
    let without = run(&mut scene.repair()?)?;
    assert_eq!(without.code, Some(10), "{without:?}");
    assert!(unresolved(&without).iter().all(|(name, reason)| {
        name == "disks/disk.vhd" && reason.contains("all the page ranges of the blob")
    }));
    let second = run(&mut repair()?)?;
    assert_eq!(second.code, Some(0), "{second:?}");
    assert_whole(&endpoint);
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_blob_whose_name_is_taken_and_may_not_be_overwritten_is_left_and_not_called_repaired() -> Result<()>
{
    let test = "a_blob_whose_name_is_taken_and_may_not_be_overwritten_is_left_and_not_called_repaired";
    let Some(drive) = drive(test)? else { return Ok(()) };
    let endpoint = Endpoint::start(EndpointConfig::default())?;
    let scene = Scene::after_ingest(&drive, &endpoint)?;
    rewrite(&scene.log("_error.xml")?, ">rename<", ">no-overwrite<")?;
    let account = Stand::before(&endpoint)?.account;
    let taken = BlobPath::parse("files/corrupt.bin")?;
    let theirs = Bytes::from_static(b"theirs");
    let md5 = digests::md5_of(&theirs);
    account.put_blob(&taken, theirs.clone(), md5, &BlobHeaders::default(), &Condition::None).await?;
    for (repaired, before) in [(7, 0), (0, 7)] {
        let ended = run(&mut scene.repair()?)?;
        assert_eq!(ended.code, Some(0), "{ended:?}");
        let summary = ended.summary();
        assert_eq!((&summary["left"], &summary["repaired"]), (&1.into(), &repaired.into()), "{summary}");
        assert_eq!(summary["whole_before"], before, "{summary}");
        let left: Vec<Value> = ended.events().into_iter().filter(|event| event["event"] == "left").collect();
        assert_eq!((left.len(), &left[0]["blob_path"]), (1, &"files/corrupt.bin".into()), "{left:?}");
    }
    assert_eq!(account.download(&taken, None).await?, theirs);

    // A copy log does not tell whether the import wrote what is there.
    let manifest = manifest_of(&scene)?;
    rewrite(&manifest, ">rename<", ">no-overwrite<")?;
    fs::remove_file(scene.scratch.path().join("drive.rep"))?;
    let ended = run(scene.repair_by(&scene.log("_CopyLog_")?).arg("--manifest").arg(&manifest))?;
    assert_eq!((ended.code, unresolved(&ended).len()), (Some(11), 1), "{ended:?}");
    let (name, reason) = &unresolved(&ended)[0];
    assert!(name == "files/corrupt.bin" && reason.contains("has other content"), "{name}: {reason}");
    Ok(())
}

#[test]
fn two_files_that_were_packed_for_one_name_are_both_repaired() -> Result<()> {
    let Some(drive) = drive("two_files_that_were_packed_for_one_name_are_both_repaired")? else {
        return Ok(());
    };
    let endpoint = Endpoint::start(EndpointConfig::default())?;
    let scene = Scene::after_ingest(&drive, &endpoint)?;
    let name = "<BlobPath>files/numbered.bin<";
    rewrite(&scene.log("_error.xml")?, name, "<BlobPath>files/corrupt.bin<")?;
    for (repaired, before) in [(8, 0), (0, 8)] {
        let ended = run(&mut scene.repair()?)?;
        assert_eq!(ended.code, Some(0), "{ended:?}");
        let summary = ended.summary();
        assert_eq!((&summary["repaired"], &summary["whole_before"]), (&repaired.into(), &before.into()));
    }
    let account = endpoint.snapshot();
    for (name, blob) in [("corrupt.bin", 1), ("corrupt (2).bin", 3)] {
        let found = account.blob("files", name).with_context(|| format!("{name} is there"))?;
        assert_eq!(found.sha256, Some(sha256(&content(&plan().blobs[blob]))), "{name}");
    }
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn what_only_looks_like_the_imports_blob_is_not_taken_for_it() -> Result<()> {
    let Some(drive) = drive("what_only_looks_like_the_imports_blob_is_not_taken_for_it")? else {
        return Ok(());
    };
    let endpoint = Endpoint::start(EndpointConfig::default())?;
    let scene = Scene::after_ingest(&drive, &endpoint)?;
    let manifest = manifest_of(&scene)?;
    let account = Stand::before(&endpoint)?.account;
    // A block blob with metadata of that name is the customer's: only page blobs are marked.
    let taken = BlobPath::parse("files/corrupt.bin")?;
    let theirs = Bytes::from_static(b"theirs");
    let md5 = digests::md5_of(&theirs);
    let metadata = vec![("incomplete".to_owned(), "theirs".to_owned())];
    let headers = BlobHeaders { metadata, ..BlobHeaders::default() };
    account.put_blob(&taken, theirs.clone(), md5, &headers, &Condition::None).await?;
    // A page blob that has all that was packed, and more.
    let disk = BlobPath::parse("disks/disk.vhd")?;
    let bytes = content(&plan().blobs[7]);
    account.set_metadata(&disk, &[], &Condition::None, None).await?;
    for (offset, data) in [(8 << 20, bytes[8 << 20..9 << 20].to_vec()), (4 << 20, vec![7; 512])] {
        let data = Bytes::from(data);
        let md5 = digests::md5_of(&data);
        account.put_page(&disk, offset, data, md5, None).await?;
    }
    let ended = run(scene.repair_by(&scene.log("_CopyLog_")?).arg("--manifest").arg(&manifest))?;
    assert_eq!(ended.code, Some(0), "{ended:?}");
    assert_eq!(account.download(&taken, None).await?, theirs);
    assert_eq!(account.download(&disk, Some(4 << 20..(4 << 20) + 512)).await?, vec![7; 512]);
    let found = endpoint.snapshot();
    for (container, name, blob) in [("files", "corrupt (2).bin", 1), ("disks", "disk (2).vhd", 7)] {
        let entry = found.blob(container, name).with_context(|| format!("{name} is there"))?;
        assert_eq!(entry.sha256, Some(sha256(&content(&plan().blobs[blob]))), "{name}");
    }
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn metadata_and_properties_of_a_blob_that_is_there_survive_its_mending() -> Result<()> {
    let test = "metadata_and_properties_of_a_blob_that_is_there_survive_its_mending";
    let Some(drive) = drive(test)? else { return Ok(()) };
    let endpoint = Endpoint::start(EndpointConfig::default())?;
    let scene = Scene::after_ingest(&drive, &endpoint)?;
    let account = Stand::before(&endpoint)?.account;
    // Another service commits the good blocks of a blob, and logs it as created.
    let plan = plan();
    let (entry, bytes) = (entry(1, &plan.blobs[1])?, content(&plan.blobs[1]));
    let BlobKind::Block(blocks) = &entry.kind else { unreachable!("it is packed in blocks") };
    let path = BlobPath::parse(&entry.blob_path)?;
    let mut ids = Vec::new();
    for (_, block) in blocks.iter().enumerate().filter(|(index, _)| *index != 1) {
        let range = usize::try_from(block.offset_bytes)?..;
        let data = Bytes::copy_from_slice(&bytes[range][..usize::try_from(block.length_bytes)?]);
        ids.push(manifest::BlockId::of_md5(&block.hash).to_base64());
        account.put_block(&path, ids.last().context("one")?, data, block.hash, None).await?;
    }
    let headers = BlobHeaders {
        content_type: Some("image/theirs".to_owned()),
        cache_control: Some("no-cache".to_owned()),
        metadata: vec![("mine".to_owned(), "1".to_owned())],
        ..BlobHeaders::default()
    };
    account.put_block_list(&path, &ids, &headers, &Condition::None, None).await?;
    let log = scene.scratch.path().join("other.xml");
    let mut writer =
        DriveLogWriter::new(Vec::new(), DriveLogLevel::Verbose, &DriveId::new("DRGTESTREPAIR")?)?;
    let failed = [(1, ChunkStatus::Corrupted)];
    writer.blob(&BlobRecord {
        entry: &entry,
        status: BlobStatus::CompletedWithErrors,
        disposition: Some(DispositionStatus::Created),
        renamed_to: None,
        chunks: ChunkStatuses::Except { rest: ChunkStatus::Committed, exceptions: &failed },
        metadata: None,
        properties: None,
        last_modified: None,
        http_status: None,
    })?;
    fs::write(&log, writer.finish(DriveStatus::CompletedWithErrors)?)?;
    let ended = run(&mut scene.repair_by(&log))?;
    assert_eq!(ended.code, Some(0), "{ended:?}");
    let found = account.properties(&path).await?.context("it is there")?;
    assert_eq!(account.download(&path, None).await?, bytes);
    assert_eq!(found.headers.metadata, headers.metadata);
    assert_eq!(found.headers.content_type, headers.content_type);
    assert_eq!(found.headers.cache_control, headers.cache_control);
    Ok(())
}

/// Overwrites a few bytes in the middle of a file, below the encryption.
fn spoil(drive: &TestDrive, file: &str, offset_bytes: u64, image: &Path) -> Result<()> {
    let places = Opened::new(drive)?.file_places(&format!("\\session#1\\0\\{file}"))?;
    let place = places.first().context("the file has extents")?.start + offset_bytes;
    Ok(fs::File::options().write(true).open(image)?.write_all_at(&[0xA5; 16], place)?)
}

#[test]
fn good_copies_are_taken_from_the_packed_drive_itself() -> Result<()> {
    let large = Content::Random { seed: 1, length_bytes: 3 * BLOCK + 5 };
    let pages = Content::Sparse { seed: 2, length_bytes: 12 << 20, data: vec![0..1 << 20, 8 << 20..9 << 20] };
    let tree = Tree::new(vec![("large.bin", large.clone()), ("disk.vhd", pages.clone())])?;
    succeeds(tree.pack("files", 96 << 20).args(["--block-bytes", "64KiB"]))?;
    let good = tree.drive(vec![blob("files/large.bin", &large), page_blob("files/disk.vhd", &pages)]);
    let copy = Tampered::copy(&good)?;
    spoil(&good, "large.bin", BLOCK + 100, &copy.image)?;
    spoil(&good, "disk.vhd", 70_000, &copy.image)?;
    let bad =
        TestDrive { image: copy.image.clone(), job_file: good.job_file.clone(), ..tree.drive(Vec::new()) };

    let endpoint = Endpoint::start(EndpointConfig::default())?;
    let desk = Desk::before(&endpoint)?;
    let ended = run(&mut desk.ingest(&bad))?;
    ensure!(ended.code == Some(11), "parts of it are corrupt: {ended:?}");
    let logs = files(&desk.logs_dir())?;
    let log = logs.iter().find(|path| path.to_string_lossy().contains("_error.xml")).context("a log")?;
    let repair = |arguments: &[&str]| {
        let mut command = bare(driveprep());
        command.args(["repair-import", "--json", "--account", &endpoint.url(), "--repair"]);
        command.arg(tree.place("drive.rep")).arg("--copy-log").arg(log);
        run(command.arg("--credential-file").arg(desk.credential_file()).args(arguments))
    };
    let job = good.job_file.to_string_lossy().into_owned();
    let from = |drive: &TestDrive| repair(&["--from", &drive.image.to_string_lossy(), "--job", &job]);

    let ended = from(&bad)?;
    assert_eq!(ended.code, Some(11), "{ended:?}");
    let reasons = unresolved(&ended);
    assert_eq!(reasons.len(), 2, "{reasons:?}");
    let place = format!("{}:\\session#1\\0\\large.bin no longer has the content", bad.image.display());
    assert!(reasons.iter().any(|(_, reason)| reason.starts_with(&place)), "{reasons:?}");

    let key = tree.place("key");
    fs::write(&key, "1")?;
    let key = ["--recovery-password-file", &key.to_string_lossy()];
    let without_drive = repair(&[&["--dir", &tree.folder().to_string_lossy()], &key[..]].concat())?;
    assert_eq!(without_drive.code, Some(2), "{without_drive:?}");
    let wrong = repair(&[&["--from", &*good.image.to_string_lossy()], &key[..]].concat())?;
    assert_eq!(wrong.code, Some(21), "{wrong:?}");

    let ended = from(&good)?;
    assert_eq!((ended.code, &ended.summary()["repaired"]), (Some(0), &2.into()), "{ended:?}");
    assert_eq!(good.expected.differences(&endpoint.snapshot()), Vec::<String>::new());
    Ok(())
}
