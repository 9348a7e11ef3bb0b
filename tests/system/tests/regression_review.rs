//! What a review found in the transfer and no other test had seen.

use std::collections::BTreeSet;

use anyhow::Result;
use model::ImportDisposition::Overwrite;
use rig::endpoint::{Endpoint, EndpointConfig};
use rig::pack::{Content, Fault, Layout, PackBlob, PackPlan};
use system_tests::drives::packed;
use system_tests::logs::DriveLog;
use system_tests::others::put_pages;
use system_tests::stand::Stand;

const BLOCK_BYTES: u64 = 64 << 10;

/// Uncommitted blocks belong to a name: two entries of one name, both numbered, must not mix.
#[tokio::test(flavor = "multi_thread")]
async fn regression_two_entries_of_one_name_never_share_blocks() -> Result<()> {
    let entry = |seed, file: &str| PackBlob {
        file: file.to_owned(),
        layout: Layout::Blocks { block_bytes: BLOCK_BYTES, named: false },
        ..PackBlob::new("files/twice.bin", Content::Random { seed, length_bytes: 4 * BLOCK_BYTES })
    };
    let plan = PackPlan::new("DRGTESTTWICE", vec![entry(1, "\\one.bin"), entry(2, "\\two.bin")]);
    let test = "regression_two_entries_of_one_name_never_share_blocks";
    let Some(drive) = packed("twice", test, &plan)? else { return Ok(()) };
    let endpoint = Endpoint::start(EndpointConfig::default())?;
    Stand::before(&endpoint)?.ingest(&drive).await?;
    let account = endpoint.snapshot();
    let found: BTreeSet<_> = ["twice.bin", "twice (2).bin"]
        .iter()
        .map(|name| account.blob("files", name).and_then(|blob| blob.sha256.clone()))
        .collect();
    let expected: BTreeSet<_> = drive.expected.blobs.iter().map(|blob| blob.sha256.clone()).collect();
    assert_eq!(found, expected, "both are there, each with its own bytes");
    Ok(())
}

/// A page blob is visible from its creation: with nothing proven it must not be created.
#[tokio::test(flavor = "multi_thread")]
async fn regression_a_page_blob_of_which_nothing_verified_leaves_the_old_one_alone() -> Result<()> {
    let content = Content::Random { seed: 3, length_bytes: 128 << 10 };
    let mut blob = PackBlob::paged("vhds/old.vhd", content).with_fault(Fault::CorruptPart { index: 0 });
    blob.disposition = Some(Overwrite);
    assert_eq!(blob.parts().len(), 1, "its only range is the corrupt one");
    let plan = PackPlan::new("DRGTESTOLDPAGE", vec![blob]);
    let test = "regression_a_page_blob_of_which_nothing_verified_leaves_the_old_one_alone";
    let Some(drive) = packed("old-page", test, &plan)? else { return Ok(()) };
    let endpoint = Endpoint::start(EndpointConfig::default())?;
    let stand = Stand::before(&endpoint)?;
    stand.account.create_container("vhds").await?;
    put_pages(&stand.account, "vhds/old.vhd", 128 << 10, 0xAB).await?;
    let before = endpoint.snapshot().blob("vhds", "old.vhd").cloned();
    let tried = stand.ingest(&drive).await?;
    let log = DriveLog::verbose(&tried.report)?;
    let logged = &log.blobs["vhds/old.vhd"];
    assert_eq!(logged.status.as_ref().map(ToString::to_string).as_deref(), Some("CompletedWithErrors"));
    assert_eq!(system_tests::logs::part_statuses(logged), ["Corrupted"]);
    assert_eq!(endpoint.snapshot().blob("vhds", "old.vhd").cloned(), before);
    Ok(())
}
