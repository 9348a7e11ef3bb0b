//! `driveprep repair-export`: a folder as an export leaves it, spoilt on purpose, and mended from the
//! account by the manifest or by the log.

use std::fs;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::{Arc, Mutex};

use anyhow::{Context, Result, ensure};
use azure::{Account, BlobHeaders, Condition};
use bytes::Bytes;
use manifest::log::{BlobRecord, ChunkStatuses, DriveLogLevel, DriveLogWriter};
use manifest::{
    BlobEntry, BlobKind, BlockEntry, DriveHeader, ListHeader, ListKind, ManifestWriter, Metadata, Properties,
    RangeEntry, SideFileRef,
};
use model::digest::HashText;
use model::status::{BlobStatus, ChunkStatus, DriveStatus};
use model::{BlobPath, DriveId};
use rig::endpoint::{Endpoint, EndpointConfig, Fault, Operation};
use system_tests::program::{Desk, Ended, Running, bare, driveprep, run};
use system_tests::stand::Stand;
use tempfile::TempDir;

const PART: usize = 64 << 10;

/// An exported drive: the account, the folder with its files, its manifest.
struct Exported {
    endpoint: Endpoint,
    desk: Desk,
    scratch: TempDir,
    entries: Vec<BlobEntry>,
    contents: Vec<Vec<u8>>,
}

fn noise(seed: u32, length: usize) -> Vec<u8> {
    let mut state = seed;
    let mut next = || {
        state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        state.to_be_bytes()[0]
    };
    (0..length).map(|_| next()).collect()
}

fn ranges(bytes: &[u8], holes: &[usize]) -> Vec<RangeEntry> {
    let part = |(index, part): (usize, &[u8])| RangeEntry {
        offset_bytes: (index * PART) as u64,
        length_bytes: part.len() as u64,
        hash: digests::md5_of(part),
    };
    bytes.chunks(PART).enumerate().filter(|(index, _)| !holes.contains(index)).map(part).collect()
}

impl Exported {
    /// Block blobs of several parts, of one and of none, one with metadata, a snapshot, a page blob
    /// with a hole.
    async fn new() -> Result<Exported> {
        let endpoint = Endpoint::start(EndpointConfig { workers: 3, ..EndpointConfig::default() })?;
        let desk = Desk::before(&endpoint)?;
        let account = Stand::before(&endpoint)?.account;
        let scratch = TempDir::new()?;
        let mut exported = Exported { endpoint, desk, scratch, entries: Vec::new(), contents: Vec::new() };
        exported.blocks(&account, "pictures/big.bin", 3 * PART + 100, None).await?;
        exported.blocks(&account, "pictures/dir/small \u{e4}.bin", 9, Some("album")).await?;
        exported.blocks(&account, "pictures/empty.bin", 0, None).await?;
        exported.blocks(&account, "pictures/snapped.bin", 2 * PART, None).await?;
        exported.snapshot(&account, "pictures/snapped.bin").await?;
        exported.pages(&account, "disks/disk.vhd").await?;
        exported.write_manifest()?;
        Ok(exported)
    }

    async fn blocks(
        &mut self,
        account: &Account,
        name: &str,
        length: usize,
        album: Option<&str>,
    ) -> Result<()> {
        let (path, bytes) = (BlobPath::parse(name)?, noise(u32::try_from(length)? + 1, length));
        account.create_container(path.container()).await?;
        let metadata = album.map(|album| vec![("album".to_owned(), album.to_owned())]).unwrap_or_default();
        let headers =
            BlobHeaders { content_type: Some("image/x".to_owned()), metadata, ..BlobHeaders::default() };
        let (data, md5) = (Bytes::from(bytes.clone()), digests::md5_of(&bytes));
        account.put_blob(&path, data, md5, &headers, &Condition::None).await?;
        let block = |range: RangeEntry| BlockEntry::tool(range.offset_bytes, range.length_bytes, range.hash);
        let kind = BlobKind::Block(ranges(&bytes, &[]).into_iter().map(block).collect());
        self.add(account, &path, bytes, kind).await
    }

    async fn pages(&mut self, account: &Account, name: &str) -> Result<()> {
        let (path, mut bytes) = (BlobPath::parse(name)?, noise(5, 4 * PART));
        bytes[PART..2 * PART].fill(0);
        account.create_container(path.container()).await?;
        let length = bytes.len() as u64;
        account.create_page_blob(&path, length, &BlobHeaders::default(), &Condition::None, None).await?;
        let parts = ranges(&bytes, &[1]);
        for part in &parts {
            let start = usize::try_from(part.offset_bytes)?;
            let data = Bytes::copy_from_slice(&bytes[start..start + PART]);
            account.put_page(&path, part.offset_bytes, data, part.hash, None).await?;
        }
        self.add(account, &path, bytes, BlobKind::Page(parts)).await
    }

    /// What was exported of the blob is what it was; it has other content by now.
    async fn snapshot(&mut self, account: &Account, name: &str) -> Result<()> {
        let path = BlobPath::parse(name)?;
        let time = account.snapshot(&path, &Condition::None).await?;
        let data = Bytes::from_static(b"changed since");
        let md5 = digests::md5_of(&data);
        account.put_blob(&path, data, md5, &BlobHeaders::default(), &Condition::None).await?;
        self.entries.last_mut().context("it was added")?.snapshot = Some(time);
        Ok(())
    }

    async fn add(
        &mut self,
        account: &Account,
        path: &BlobPath,
        bytes: Vec<u8>,
        kind: BlobKind,
    ) -> Result<()> {
        let found = account.properties(path).await?.context("it was put")?;
        let file_path = format!("\\{}", path.to_string().replace('/', "\\"));
        self.write(&file_path, &bytes)?;
        let headers = found.headers.clone();
        let properties = Properties {
            content_type: headers.content_type,
            content_md5: headers.content_md5,
            ..Properties::default()
        };
        let modified = found.last_modified.map(httpdate::fmt_http_date);
        let etag = found.etag.as_str().trim_matches('"');
        let text = properties.to_export_xml(modified.as_deref(), etag, found.length_bytes);
        let properties = Some(self.side_file(&file_path, "properties", &text)?);
        let metadata = match headers.metadata.is_empty() {
            true => None,
            false => {
                let text = Metadata::from_pairs(headers.metadata)?.to_xml();
                Some(self.side_file(&file_path, "metadata", &text)?)
            }
        };
        self.entries.push(BlobEntry {
            index: self.entries.len() as u64,
            list: 0,
            blob_path: path.to_string(),
            file_path,
            length_bytes: bytes.len() as u64,
            stated_disposition: None,
            kind,
            metadata,
            properties,
            client_data: None,
            snapshot: None,
        });
        self.contents.push(bytes);
        Ok(())
    }

    fn side_file(&self, file_path: &str, kind: &str, text: &str) -> Result<SideFileRef> {
        let path = format!("{file_path}.{kind}");
        self.write(&path, text.as_bytes())?;
        Ok(SideFileRef { path, hash: HashText::Md5(digests::md5_of(text.as_bytes())) })
    }

    fn write(&self, drive_path: &str, bytes: &[u8]) -> Result<()> {
        let path = self.file(drive_path);
        fs::create_dir_all(path.parent().context("a file has a folder")?)?;
        Ok(fs::write(path, bytes)?)
    }

    fn folder(&self) -> PathBuf {
        self.scratch.path().join("drive")
    }

    fn file(&self, drive_path: &str) -> PathBuf {
        self.folder().join(drive_path.trim_start_matches('\\').replace('\\', "/"))
    }

    fn manifest(&self) -> PathBuf {
        self.folder().join("EXPORTED.manifest")
    }

    fn write_manifest(&self) -> Result<()> {
        let header = DriveHeader {
            version: "2014-11-01".to_owned(),
            drive_id: DriveId::new("EXPORTED")?,
            credential: manifest::Credential::Absent,
            client_creator: None,
        };
        let mut writer = ManifestWriter::new(Vec::new(), &header)?;
        let list = ListHeader { index: 0, kind: ListKind::Blobs, id: None, metadata: None, properties: None };
        writer.list(&list)?;
        self.entries.iter().try_for_each(|entry| writer.blob(entry))?;
        Ok(fs::write(self.manifest(), writer.finish()?)?)
    }

    fn repair(&self, by: &str, path: &Path) -> Command {
        let mut command = bare(driveprep());
        command.args(["repair-export", "--json", "--account", &self.endpoint.url(), "--repair"]);
        command.arg(self.scratch.path().join("drive.rep")).arg("--dir").arg(self.folder()).arg(by).arg(path);
        command.arg("--credential-file").arg(self.desk.credential_file());
        command
    }

    fn assert_whole(&self) -> Result<()> {
        for (entry, content) in self.entries.iter().zip(&self.contents) {
            let found = fs::read(self.file(&entry.file_path)).context(entry.file_path.clone())?;
            ensure!(found == *content, "{} is not what was exported", entry.file_path);
            for side in entry.metadata.iter().chain(&entry.properties) {
                let found = HashText::Md5(digests::md5_of(&fs::read(self.file(&side.path))?));
                ensure!(found == side.hash, "{} is not what was exported", side.path);
            }
        }
        let parts = system_tests::program::files(&self.folder())?;
        ensure!(!parts.iter().any(|path| path.to_string_lossy().contains("drayage-part")), "{parts:?}");
        Ok(())
    }

    /// One of each thing that can happen to a file.
    fn spoil(&self) -> Result<()> {
        let flip = |drive_path: &str, offset: u64| -> Result<()> {
            let file = fs::OpenOptions::new().read(true).write(true).open(self.file(drive_path))?;
            let mut byte = [0];
            file.read_exact_at(&mut byte, offset)?;
            Ok(file.write_all_at(&[byte[0] ^ 1], offset)?)
        };
        flip("\\pictures\\big.bin", PART as u64 + 3)?;
        fs::remove_dir_all(self.file("\\pictures\\dir"))?;
        fs::remove_file(self.file("\\pictures\\empty.bin"))?;
        fs::OpenOptions::new()
            .write(true)
            .open(self.file("\\pictures\\snapped.bin"))?
            .set_len(PART as u64)?;
        flip("\\disks\\disk.vhd", 2 * PART as u64)?;
        fs::write(self.file("\\disks\\disk.vhd.properties"), "<Properties/>")?;
        Ok(())
    }
}

fn reasons(ended: &Ended) -> Vec<String> {
    let events = ended.events();
    let unresolved = events.iter().filter(|event| event["event"] == "unresolved");
    unresolved.map(|event| format!("{}: {}", event["blob_path"], event["reason"])).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn by_the_manifest_every_file_is_checked_and_only_what_is_spoilt_is_fetched() -> Result<()> {
    let exported = Exported::new().await?;
    exported.spoil()?;
    let before = exported.endpoint.log().entries().len();
    let ended = run(&mut exported.repair("--manifest", &exported.manifest()))?;
    assert_eq!(ended.code, Some(0), "{ended:?}");
    exported.assert_whole()?;
    let summary = ended.summary();
    assert_eq!((&summary["repaired"], &summary["whole"]), (&5.into(), &0.into()), "{summary}");
    let requests = exported.endpoint.log().entries().split_off(before);
    let gets = |path: &str| {
        requests
            .iter()
            .filter(|entry| entry.operation == Operation::GetBlob && entry.path.ends_with(path))
            .count()
    };
    // One part each; of the shortened file the first part was still good.
    assert_eq!([gets("big.bin"), gets("snapped.bin"), gets("disk.vhd"), gets("empty.bin")], [1, 1, 1, 0]);

    fs::remove_file(exported.scratch.path().join("drive.rep"))?;
    let again = run(&mut exported.repair("--manifest", &exported.manifest()))?;
    assert_eq!((again.code, &again.summary()["whole"]), (Some(0), &5.into()), "{again:?}");
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_blob_that_changed_since_is_named_and_its_file_left_alone() -> Result<()> {
    let exported = Exported::new().await?;
    exported.spoil()?;
    let account = Stand::before(&exported.endpoint)?.account;
    let big = BlobPath::parse("pictures/big.bin")?;
    let other = Bytes::from(noise(99, 3 * PART + 100));
    let md5 = digests::md5_of(&other);
    account.put_blob(&big, other, md5, &BlobHeaders::default(), &Condition::None).await?;
    let disk = BlobPath::parse("disks/disk.vhd")?;
    account.delete(&disk, &Condition::None, None).await?;
    let before = fs::read(exported.file("\\pictures\\big.bin"))?;
    let ended = run(&mut exported.repair("--manifest", &exported.manifest()))?;
    assert_eq!(ended.code, Some(11), "{ended:?}");
    let reasons = reasons(&ended);
    assert_eq!(reasons.len(), 2, "{reasons:?}");
    assert!(reasons[0].contains("big.bin") && reasons[0].contains("has other content"), "{reasons:?}");
    assert!(reasons[1].contains("disk.vhd") && reasons[1].contains("gone"), "{reasons:?}");
    assert_eq!(fs::read(exported.file("\\pictures\\big.bin"))?, before);
    assert_eq!(ended.summary()["repaired"], 3, "the others are mended");
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn properties_that_changed_since_are_written_as_they_are_now_and_said_to_be() -> Result<()> {
    let exported = Exported::new().await?;
    let account = Stand::before(&exported.endpoint)?.account;
    let big = BlobPath::parse("pictures/big.bin")?;
    let headers = BlobHeaders { content_type: Some("image/new".to_owned()), ..BlobHeaders::default() };
    account.set_properties(&big, &headers, &Condition::None, None).await?;
    fs::remove_file(exported.file("\\pictures\\big.bin.properties"))?;
    let ended = run(&mut exported.repair("--manifest", &exported.manifest()))?;
    assert_eq!(ended.code, Some(10), "{ended:?}");
    assert!(reasons(&ended)[0].contains("was written anew"), "{ended:?}");
    let written = fs::read_to_string(exported.file("\\pictures\\big.bin.properties"))?;
    assert!(written.contains("<Content-Type>image/new</Content-Type>"), "{written}");
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn by_the_log_only_what_it_names_is_fetched() -> Result<()> {
    let exported = Exported::new().await?;
    exported.spoil()?;
    let log = exported.scratch.path().join("error.xml");
    let mut writer = DriveLogWriter::new(Vec::new(), DriveLogLevel::Error, &DriveId::new("EXPORTED")?)?;
    let failed = [(1, ChunkStatus::IOFailed)];
    writer.blob(&BlobRecord {
        entry: &exported.entries[0],
        status: BlobStatus::CompletedWithErrors,
        disposition: None,
        renamed_to: None,
        chunks: ChunkStatuses::Except { rest: ChunkStatus::Completed, exceptions: &failed },
        metadata: None,
        properties: None,
        last_modified: None,
        http_status: None,
    })?;
    fs::write(&log, writer.finish(DriveStatus::CompletedWithErrors)?)?;
    let ended = run(&mut exported.repair("--copy-log", &log))?;
    assert_eq!((ended.code, &ended.summary()["repaired"]), (Some(0), &1.into()), "{ended:?}");
    assert_eq!(fs::read(exported.file("\\pictures\\big.bin"))?, exported.contents[0]);
    assert!(!exported.file("\\pictures\\empty.bin").exists(), "the log does not name it");
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn nothing_outside_the_folder_is_touched() -> Result<()> {
    let exported = Exported::new().await?;
    let outside = TempDir::new()?;
    fs::write(outside.path().join("big.bin"), "theirs")?;
    fs::remove_dir_all(exported.file("\\pictures"))?;
    std::os::unix::fs::symlink(outside.path(), exported.folder().join("pictures"))?;
    let ended = run(&mut exported.repair("--manifest", &exported.manifest()))?;
    assert_eq!(ended.code, Some(10), "{ended:?}");
    assert_eq!(fs::read(outside.path().join("big.bin"))?, b"theirs");
    assert_eq!(fs::read_dir(outside.path())?.count(), 1);
    let neither = bare(driveprep())
        .args([
            "repair-export",
            "--repair",
            "r",
            "--dir",
            "d",
            "--account",
            "http://127.0.0.1/devstoreaccount1",
        ])
        .output()?;
    assert_eq!(neither.status.code(), Some(2));
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn killed_at_any_request_the_same_command_makes_the_folder_whole() -> Result<()> {
    for nth in 1.. {
        let exported = Exported::new().await?;
        exported.spoil()?;
        let victim: Arc<Mutex<Option<Running>>> = Arc::default();
        let seen = Arc::clone(&victim);
        let kill = move |_: rig::endpoint::faults::Seen<'_>| {
            if let Some(running) = seen.lock().unwrap().as_ref() {
                running.kill();
            }
        };
        exported.endpoint.faults().add(Fault::call_after(kill).nth(nth));
        let running = {
            let mut victim = victim.lock().unwrap();
            victim.insert(Running::start(&mut exported.repair("--manifest", &exported.manifest()))?).clone()
        };
        let first = running.wait()?;
        exported.endpoint.faults().clear();
        if first.code.is_some() {
            ensure!(nth > 5 && first.code == Some(0), "{nth} requests: {first:?}");
            return exported.assert_whole();
        }
        let second = run(&mut exported.repair("--manifest", &exported.manifest()))?;
        ensure!(second.code == Some(0), "after a kill at request {nth}: {second:?}");
        exported.assert_whole().with_context(|| format!("after a kill at request {nth}"))?;
    }
    unreachable!("a repair has an end")
}

#[tokio::test(flavor = "multi_thread")]
async fn a_log_of_a_drive_that_failed_as_a_whole_is_no_success() -> Result<()> {
    let exported = Exported::new().await?;
    let log = exported.scratch.path().join("error.xml");
    let writer = DriveLogWriter::new(Vec::new(), DriveLogLevel::Error, &DriveId::new("EXPORTED")?)?;
    fs::write(&log, writer.finish(DriveStatus::VolumeNotNtfs)?)?;
    let ended = run(&mut exported.repair("--copy-log", &log))?;
    assert_eq!((ended.code, &ended.summary()["exit_code"]), (Some(6), &6.into()), "{ended:?}");
    assert!(ended.stdout.contains("the drive as a whole failed"), "{ended:?}");
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_repair_file_that_is_used_again_skips_no_file_and_serves_one_folder() -> Result<()> {
    let exported = Exported::new().await?;
    let repair = || run(&mut exported.repair("--manifest", &exported.manifest()));
    assert_eq!(repair()?.code, Some(0));
    // As a run leaves it that was killed behind the second file.
    let file = exported.scratch.path().join("drive.rep");
    let note = "[BeginUpdateRecord][2026/01/01 00:00:00.000][Type:ActivityRecord]\nActivityId: RepairChecked\n\
                Entries: 2\n[EndUpdateRecord]\n";
    fs::write(&file, fs::read_to_string(&file)? + note)?;
    let ended = repair()?;
    let summary = ended.summary();
    assert_eq!((ended.code, &summary["checked_before"], &summary["whole"]), (Some(0), &2.into(), &3.into()));
    assert!(ended.stdout.contains("2 files were checked by an earlier run"), "{ended:?}");
    exported.spoil()?;
    let ended = repair()?;
    assert_eq!((ended.code, &ended.summary()["checked_before"]), (Some(0), &0.into()), "{ended:?}");
    exported.assert_whole()?;

    let moved = exported.scratch.path().join("moved");
    fs::rename(exported.folder(), &moved)?;
    fs::create_dir(exported.folder())?;
    let ended = run(&mut exported.repair("--manifest", &moved.join("EXPORTED.manifest")))?;
    assert_eq!(ended.code, Some(2), "{ended:?}");
    assert!(ended.stderr.contains("is of another repair: the folder"), "{}", ended.stderr);
    Ok(())
}
