//! Import dispositions at the destination: what stands under a name, who comes in between, and what
//! the log says of it. azure-import-export.md §1.7.

use anyhow::Result;
use bytes::Bytes;
use model::ImportDisposition::{self, NoOverwrite, Overwrite, Rename};
use model::drive::Phase;
use model::status::DriveStatus;
use rig::endpoint::{Endpoint, EndpointConfig, Fault, Inventory, Operation};
use rig::pack::{Content, Layout, PackBlob, PackPlan};
use system_tests::drives::{TestDrive, packed};
use system_tests::logs::DriveLog;
use system_tests::others::{THEIRS, aside, client, lease, occupy, put, put_blocks, put_pages};
use system_tests::stand::{Stand, Try};

const BLOCK_BYTES: u64 = 64 << 10;

/// A blob of each kind under each disposition; `files/rename-page.vhd` and so on.
fn plan() -> PackPlan {
    let mut blobs = Vec::new();
    for (seed, disposition) in (1..).zip([Rename, NoOverwrite, Overwrite]) {
        let name = |kind: &str| format!("files/{disposition}-{kind}");
        let random = |seed, length_bytes| Content::Random { seed, length_bytes };
        blobs.push(PackBlob::new(&name("one.bin"), random(10 * seed, 50_000)));
        blobs.push(PackBlob {
            layout: Layout::Blocks { block_bytes: BLOCK_BYTES, named: false },
            ..PackBlob::new(&name("many.tar.gz"), random(10 * seed + 1, 2 * BLOCK_BYTES + 7))
        });
        blobs.push(PackBlob::paged(&name("page"), random(10 * seed + 2, 128 << 10)));
        for blob in blobs.iter_mut().rev().take(3) {
            blob.disposition = Some(disposition);
        }
    }
    PackPlan::new("DRGTESTDISP", blobs)
}

fn drive(test: &str) -> Result<Option<TestDrive>> {
    packed("dispositions", test, &plan())
}

const KINDS: [&str; 3] = ["one.bin", "many.tar.gz", "page"];

fn name(disposition: ImportDisposition, kind: &str) -> String {
    format!("files/{disposition}-{kind}")
}

fn all_names() -> Vec<String> {
    let each = |disposition| KINDS.map(|kind| name(disposition, kind));
    [Rename, NoOverwrite, Overwrite].into_iter().flat_map(each).collect()
}

fn endpoint() -> Result<Endpoint> {
    Ok(Endpoint::start(EndpointConfig { workers: 4, ..EndpointConfig::default() })?)
}

fn status(tried: &Try) -> DriveStatus {
    let Phase::Ended { status } = tried.report.phase else { panic!("{:?}", tried.report) };
    status
}

/// Whether the drive's blob stands under this name, byte by byte and without a mark.
fn is_ours(account: &Inventory, drive: &TestDrive, blob: &str, under: &str) -> bool {
    let expected = drive.expected.blobs.iter().find(|expected| expected.blob == blob).unwrap();
    at(account, under).is_some_and(|found| {
        found.sha256 == expected.sha256 && found.metadata.is_empty() && found.lease_state == "available"
    })
}

fn at<'a>(account: &'a Inventory, name: &str) -> Option<&'a rig::endpoint::inventory::BlobEntry> {
    let (container, name) = name.split_once('/').unwrap();
    account.blob(container, name)
}

fn is_theirs(account: &Inventory, name: &str) -> bool {
    let digest = digests::md5_of(THEIRS).0.map(|byte| format!("{byte:02x}")).concat();
    at(account, name).is_some_and(|found| found.md5.as_deref() == Some(digest.as_str()))
}

fn pair(status: &str, disposition: &str) -> (String, String) {
    (status.to_owned(), disposition.to_owned())
}

#[tokio::test(flavor = "multi_thread")]
async fn free_names_are_taken_whatever_the_disposition_and_containers_are_private() -> Result<()> {
    let Some(drive) = drive("free_names_are_taken_whatever_the_disposition_and_containers_are_private")?
    else {
        return Ok(());
    };
    let endpoint = endpoint()?;
    let stand = Stand::before(&endpoint)?;
    let tried = stand.ingest(&drive).await?;
    assert_eq!(status(&tried), DriveStatus::Completed);
    let (log, account) = (DriveLog::verbose(&tried.report)?, endpoint.snapshot());
    for name in all_names() {
        assert_eq!(log.outcome(&name), pair("Completed", "Created"), "{name}");
        assert!(is_ours(&account, &drive, &name, &name), "{name}");
    }
    let created =
        endpoint.log().entries().into_iter().filter(|entry| entry.operation == Operation::CreateContainer);
    for entry in created {
        assert_eq!(entry.header("x-ms-blob-public-access"), None, "{} is private", entry.path);
    }
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn taken_names_are_renamed_skipped_or_overwritten_and_the_drive_has_warnings() -> Result<()> {
    let Some(drive) = drive("taken_names_are_renamed_skipped_or_overwritten_and_the_drive_has_warnings")?
    else {
        return Ok(());
    };
    let endpoint = endpoint()?;
    let stand = Stand::before(&endpoint)?;
    let taken = all_names();
    occupy(
        &stand.account,
        &taken.iter().map(String::as_str).filter(|name| *name != "files/overwrite-page").collect::<Vec<_>>(),
    )
    .await?;
    // Blobs of one type cannot replace those of another.
    put_pages(&stand.account, "files/overwrite-page", 512, 0xEE).await?;
    // The second name of one of them is taken, too.
    occupy(&stand.account, &["files/rename-many.tar (2).gz"]).await?;
    let tried = stand.ingest(&drive).await?;
    assert_eq!(status(&tried), DriveStatus::CompletedWithWarnings, "{:?}", tried.report.failures);
    let (log, account) = (DriveLog::verbose(&tried.report)?, endpoint.snapshot());
    let renamed = ["files/rename-one (2).bin", "files/rename-many.tar (3).gz", "files/rename-page (2)"];
    for (kind, renamed) in KINDS.into_iter().zip(renamed) {
        let rename = name(Rename, kind);
        assert_eq!(log.outcome(renamed), pair("Completed", "Renamed"), "{rename}");
        assert!(is_theirs(&account, &rename) && is_ours(&account, &drive, &rename, renamed), "{rename}");
        let keep = name(NoOverwrite, kind);
        assert_eq!(log.outcome(&keep), pair("Completed", "Skipped"), "{keep}");
        assert!(is_theirs(&account, &keep), "{keep}");
        let replace = name(Overwrite, kind);
        assert_eq!(log.outcome(&replace), pair("Completed", "Overwritten"), "{replace}");
        assert!(is_ours(&account, &drive, &replace, &replace), "{replace}");
    }
    assert!(is_theirs(&account, "files/rename-many.tar (2).gz"));
    assert_eq!(account.blobs.iter().filter(|blob| blob.container == "files").count(), 13);
    let dispositions = &tried.report.tally.dispositions;
    assert_eq!(dispositions.values().copied().collect::<Vec<u64>>(), [3, 3, 3]);
    assert!(DriveLog::error(&tried.report)?.blobs.is_empty());
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_leased_target_is_left_as_it_is() -> Result<()> {
    let Some(drive) = drive("a_leased_target_is_left_as_it_is")? else { return Ok(()) };
    let endpoint = endpoint()?;
    let stand = Stand::before(&endpoint)?;
    for name in all_names() {
        occupy(&stand.account, &[&name]).await?;
        lease(&stand.account, &name).await?;
    }
    let tried = stand.ingest(&drive).await?;
    assert_eq!(status(&tried), DriveStatus::CompletedWithErrors);
    let (log, account) = (DriveLog::verbose(&tried.report)?, endpoint.snapshot());
    for kind in KINDS {
        assert_eq!(log.outcome(&name(Overwrite, kind)), pair("LeasePresent", "Cancelled"), "{kind}");
        assert_eq!(log.outcome(&name(NoOverwrite, kind)), pair("Completed", "Skipped"), "{kind}");
    }
    for renamed in ["files/rename-one (2).bin", "files/rename-many.tar (2).gz", "files/rename-page (2)"] {
        assert_eq!(log.outcome(renamed), pair("Completed", "Renamed"), "{renamed}");
    }
    assert!(all_names().iter().all(|name| is_theirs(&account, name)));
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_lease_taken_just_before_the_commit_is_respected() -> Result<()> {
    let Some(drive) = drive("a_lease_taken_just_before_the_commit_is_respected")? else { return Ok(()) };
    let endpoint = endpoint()?;
    let stand = Stand::before(&endpoint)?;
    let many = name(Overwrite, "many.tar.gz");
    put(&stand.account, &many, THEIRS).await?;
    let (other, path) = (client(&endpoint.url(), &endpoint.connection_string())?, many.clone());
    let take = move |_: rig::endpoint::faults::Seen<'_>| {
        let (other, path) = (other.clone(), path.clone());
        aside(async move { lease(&other, &path).await.map(drop) }).unwrap();
    };
    endpoint.faults().add(Fault::call_before(take).on(Operation::PutBlockList).path(&many).nth(1));
    let tried = stand.ingest(&drive).await?;
    let log = DriveLog::verbose(&tried.report)?;
    assert_eq!(log.outcome(&many), pair("LeasePresent", "Cancelled"));
    assert!(is_theirs(&endpoint.snapshot(), &many));
    Ok(())
}

/// Somebody takes each name after we looked and before our blob becomes visible there.
#[tokio::test(flavor = "multi_thread")]
async fn a_name_that_is_taken_between_look_and_commit_is_never_overwritten_unasked() -> Result<()> {
    let Some(drive) = drive("a_name_that_is_taken_between_look_and_commit_is_never_overwritten_unasked")?
    else {
        return Ok(());
    };
    let endpoint = endpoint()?;
    let stand = Stand::before(&endpoint)?;
    stand.account.create_container("files").await?;
    for disposition in [Rename, NoOverwrite, Overwrite] {
        for kind in KINDS {
            let name = name(disposition, kind);
            let operation = if kind == "many.tar.gz" { Operation::PutBlockList } else { Operation::PutBlob };
            let (other, path) = (client(&endpoint.url(), &endpoint.connection_string())?, name.clone());
            let take = move |_: rig::endpoint::faults::Seen<'_>| {
                let (other, path) = (other.clone(), path.clone());
                let pages = path == "files/overwrite-page";
                aside(async move {
                    if pages {
                        put_pages(&other, &path, 512, 0xEE).await
                    } else {
                        put(&other, &path, THEIRS).await
                    }
                })
                .unwrap();
            };
            endpoint.faults().add(Fault::call_before(take).on(operation).path(&name).nth(1));
        }
    }
    let tried = stand.ingest(&drive).await?;
    assert_eq!(status(&tried), DriveStatus::CompletedWithWarnings, "{:?}", tried.report.failures);
    let (log, account) = (DriveLog::verbose(&tried.report)?, endpoint.snapshot());
    let renamed = ["files/rename-one (2).bin", "files/rename-many.tar (2).gz", "files/rename-page (2)"];
    for (kind, renamed) in KINDS.into_iter().zip(renamed) {
        let rename = name(Rename, kind);
        assert_eq!(log.outcome(renamed), pair("Completed", "Renamed"), "{rename}");
        assert!(is_theirs(&account, &rename) && is_ours(&account, &drive, &rename, renamed), "{rename}");
        let keep = name(NoOverwrite, kind);
        assert_eq!(log.outcome(&keep), pair("Completed", "Skipped"), "{keep}");
        assert!(is_theirs(&account, &keep), "{keep}");
        let replace = name(Overwrite, kind);
        assert_eq!(log.outcome(&replace), pair("Completed", "Overwritten"), "{replace}");
        assert!(is_ours(&account, &drive, &replace, &replace), "{replace}");
    }
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn two_drives_with_the_same_names_land_side_by_side() -> Result<()> {
    let Some(first) = drive("two_drives_with_the_same_names_land_side_by_side")? else { return Ok(()) };
    let plan = PackPlan { serial: "DRGTESTDISP2".to_owned(), ..plan() };
    let Some(second) = packed("dispositions-2", "two_drives_with_the_same_names", &plan)? else {
        return Ok(());
    };
    let endpoint = endpoint()?;
    let (here, there) = (Stand::before(&endpoint)?, Stand::before(&endpoint)?);
    let (here, there) = tokio::join!(here.ingest(&first), there.ingest(&second));
    let (here, there) = (here?, there?);
    let account = endpoint.snapshot();
    let logs = [DriveLog::verbose(&here.report)?, DriveLog::verbose(&there.report)?];
    for (kind, renamed) in KINDS.into_iter().zip([
        "files/rename-one (2).bin",
        "files/rename-many.tar (2).gz",
        "files/rename-page (2)",
    ]) {
        let rename = name(Rename, kind);
        assert!(is_ours(&account, &first, &rename, &rename) && is_ours(&account, &first, &rename, renamed));
        let by_name = |name: &str| logs.each_ref().map(|log| log.outcome(name)).into_iter().max();
        assert_eq!(by_name(&rename), Some(pair("Completed", "Created")), "{kind}");
        assert_eq!(by_name(renamed), Some(pair("Completed", "Renamed")), "{kind}");
        let mut outcomes = logs.each_ref().map(|log| log.outcome(&name(NoOverwrite, kind)));
        outcomes.sort();
        assert_eq!(outcomes, [pair("Completed", "Created"), pair("Completed", "Skipped")], "{kind}");
        assert!(is_ours(&account, &first, &name(NoOverwrite, kind), &name(NoOverwrite, kind)), "{kind}");
        let replace = name(Overwrite, kind);
        assert!(at(&account, &replace).is_some_and(|blob| blob.lease_state == "available"), "{kind}");
    }
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_page_blob_that_replaces_a_longer_one_keeps_nothing_of_it() -> Result<()> {
    let Some(drive) = drive("a_page_blob_that_replaces_a_longer_one_keeps_nothing_of_it")? else {
        return Ok(());
    };
    let endpoint = endpoint()?;
    let stand = Stand::before(&endpoint)?;
    let page = name(Overwrite, "page");
    put_pages(&stand.account, &page, 1 << 20, 0xEE).await?;
    let tried = stand.ingest(&drive).await?;
    assert_eq!(DriveLog::verbose(&tried.report)?.outcome(&page), pair("Completed", "Overwritten"));
    let account = endpoint.snapshot();
    assert!(is_ours(&account, &drive, &page, &page));
    assert_eq!(at(&account, &page).unwrap().page_ranges, [(0, (128 << 10) - 1)]);
    assert!(account.blobs.iter().all(|blob| blob.lease_state == "available"), "no lease is left");
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_sparse_page_blob_replaces_written_pages_with_zeros() -> Result<()> {
    let sparse = Content::Sparse {
        seed: 5,
        length_bytes: 1 << 20,
        data: vec![4_096..8_192, 1 << 19..(1 << 19) + 512],
    };
    let mut blob = PackBlob::paged("files/sparse.vhd", sparse);
    blob.disposition = Some(Overwrite);
    let plan = PackPlan::new("DRGTESTSPARSE", vec![blob]);
    let Some(drive) = packed("sparse-page", "a_sparse_page_blob_replaces_written_pages_with_zeros", &plan)?
    else {
        return Ok(());
    };
    let endpoint = endpoint()?;
    let stand = Stand::before(&endpoint)?;
    put_pages(&stand.account, "files/sparse.vhd", 1 << 20, 0xEE).await?;
    stand.ingest(&drive).await?;
    let account = endpoint.snapshot();
    assert_eq!(drive.expected.differences(&account), Vec::<String>::new());
    assert_eq!(
        at(&account, "files/sparse.vhd").unwrap().page_ranges,
        [(4_096, 8_191), (1 << 19, (1 << 19) + 511)]
    );
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn blobs_land_in_the_root_container() -> Result<()> {
    let content = Content::Random { seed: 1, length_bytes: 1_000 };
    let plan = PackPlan::new("DRGTESTROOT", vec![PackBlob::new("$root/at-the-top.bin", content)]);
    let Some(drive) = packed("root", "blobs_land_in_the_root_container", &plan)? else { return Ok(()) };
    let endpoint = endpoint()?;
    let stand = Stand::before(&endpoint)?;
    let tried = stand.ingest(&drive).await?;
    assert_eq!(status(&tried), DriveStatus::Completed);
    assert_eq!(drive.expected.differences(&endpoint.snapshot()), Vec::<String>::new());
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_name_too_long_for_a_suffix_is_rename_failed() -> Result<()> {
    let long = format!("files/{}/{}", "d".repeat(200), vec!["x".repeat(100); 8].join("/"));
    let long = format!("{long}/{}", "y".repeat(1_024 + 6 - long.chars().count() - 1));
    let content = Content::Random { seed: 1, length_bytes: 1_000 };
    let blob = PackBlob { file: "\\long.bin".to_owned(), ..PackBlob::new(&long, content) };
    let plan = PackPlan::new("DRGTESTLONG", vec![blob]);
    let Some(drive) = packed("long-name", "a_name_too_long_for_a_suffix_is_rename_failed", &plan)? else {
        return Ok(());
    };
    let endpoint = endpoint()?;
    let stand = Stand::before(&endpoint)?;
    occupy(&stand.account, &[&long]).await?;
    let tried = stand.ingest(&drive).await?;
    assert_eq!(DriveLog::verbose(&tried.report)?.outcome(&long), pair("RenameFailed", "Cancelled"));
    assert!(is_theirs(&endpoint.snapshot(), &long));
    Ok(())
}

/// Another blob may have blocks of the same ids and lengths. Somebody commits such a blob over our
/// staged blocks: its content must not pass for ours.
#[tokio::test(flavor = "multi_thread")]
async fn the_blocks_of_an_old_blob_are_never_taken_for_ours() -> Result<()> {
    let Some(drive) = drive("the_blocks_of_an_old_blob_are_never_taken_for_ours")? else { return Ok(()) };
    let many = name(Overwrite, "many.tar.gz");
    let endpoint = endpoint()?;
    let stand = Stand::before(&endpoint)?;
    // The first run stages every block and is held before it can commit.
    let refuse =
        endpoint.faults().add(Fault::status(403, "AuthorizationFailure").on(Operation::PutBlockList));
    let probes = endpoint
        .faults()
        .add(Fault::status(403, "AuthorizationFailure").on(Operation::GetAccountInformation).from(2));
    let held = stand.ingest(&drive).await?;
    assert!(matches!(held.report.phase, Phase::Suspended { .. }), "{:?}", held.report);
    endpoint.faults().remove(refuse);
    endpoint.faults().remove(probes);
    // The second run sees its blocks, and then they are gone.
    let old: Vec<(String, Bytes)> = endpoint
        .snapshot()
        .uncommitted
        .into_iter()
        .filter(|block| format!("{}/{}", block.container, block.name) == many)
        .map(|block| (block.id, Bytes::from(vec![0xEE; usize::try_from(block.length).unwrap()])))
        .collect();
    assert_eq!(old.len(), 3, "the first run staged every block");
    let (other, path) = (client(&endpoint.url(), &endpoint.connection_string())?, many.clone());
    let commit_theirs = move |_: rig::endpoint::faults::Seen<'_>| {
        let (other, path, old) = (other.clone(), path.clone(), old.clone());
        aside(async move { put_blocks(&other, &path, &old).await }).unwrap();
    };
    let seen = Fault::call_after(commit_theirs).on(Operation::GetBlockList).path(&many).nth(1);
    let seen = endpoint.faults().add(seen);
    let tried = stand.ingest(&drive).await?;
    assert_eq!(endpoint.faults().hits(seen), 1, "the second run asked for its blocks");
    assert_eq!(DriveLog::verbose(&tried.report)?.outcome(&many), pair("Completed", "Overwritten"));
    assert!(is_ours(&endpoint.snapshot(), &drive, &many, &many));
    Ok(())
}
