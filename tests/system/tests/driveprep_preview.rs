//! `driveprep preview-export`, the program against an account whose blobs are known.

use std::fs;
use std::process::Command;

use anyhow::Result;
use azure::{Account, BlobHeaders, Condition, Tier};
use bytes::Bytes;
use model::BlobPath;
use rig::endpoint::{Endpoint, EndpointConfig};
use serde_json::json;
use system_tests::program::{Desk, bare, driveprep, run};
use system_tests::stand::Stand;

/// A drive for some 26 MB: of 40 MB a hundredth, an eighth and some megabytes are the file system's.
const DRIVE: &str = "0.04GB";

async fn put(account: &Account, path: &str, length: usize, tier: Option<Tier>) -> Result<()> {
    let path = BlobPath::parse(path)?;
    account.create_container(path.container()).await?;
    let bytes = vec![7; length];
    let md5 = digests::md5_of(&bytes);
    let headers = BlobHeaders { tier, ..BlobHeaders::default() };
    account.put_blob(&path, Bytes::from(bytes), md5, &headers, &Condition::None).await?;
    Ok(())
}

/// Two pictures and a snapshot of one, one too large, one archived, a sparse disk.
async fn filled(account: &Account) -> Result<()> {
    put(account, "pictures/a.bin", 10 << 20, None).await?;
    put(account, "pictures/b.bin", 12 << 20, None).await?;
    put(account, "pictures/big.bin", 28 << 20, None).await?;
    put(account, "pictures/old.bin", 5, Some(Tier::Archive)).await?;
    put(account, "picturesque/c.bin", 0, None).await?;
    put(account, "$root/logo.bmp", 1, None).await?;
    account.snapshot(&BlobPath::parse("pictures/a.bin")?, &Condition::None).await?;
    let disk = BlobPath::parse("disks/disk.vhd")?;
    account.create_container("disks").await?;
    account.create_page_blob(&disk, 1 << 40, &BlobHeaders::default(), &Condition::None, None).await?;
    let pages = vec![1; 1 << 20];
    let md5 = digests::md5_of(&pages);
    account.put_page(&disk, 512 << 20, Bytes::from(pages), md5, None).await?;
    Ok(())
}

fn preview(desk: &Desk, endpoint: &Endpoint, list: &str) -> Result<Command> {
    let file = desk.credential_file().with_file_name("list.xml");
    fs::write(&file, format!("<?xml version=\"1.0\" encoding=\"utf-8\"?>\n<BlobList>{list}</BlobList>"))?;
    let mut command = bare(driveprep());
    command.args(["preview-export", "--drive-size", DRIVE, "--account", &endpoint.url(), "--blob-list"]);
    command.arg(file).arg("--credential-file").arg(desk.credential_file());
    Ok(command)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_preview_prints_the_tools_block_with_the_known_counts() -> Result<()> {
    let endpoint = Endpoint::start(EndpointConfig::default())?;
    let desk = Desk::before(&endpoint)?;
    filled(&Stand::before(&endpoint)?.account).await?;
    let list = "<BlobPathPrefix>/pictures/</BlobPathPrefix><BlobPathPrefix>/pictures/b</BlobPathPrefix>\
        <BlobPathPrefix>/pictures/</BlobPathPrefix><BlobPath>/disks/disk.vhd</BlobPath>\
        <BlobPath>$root/logo.bmp</BlobPath><BlobPath>nowhere/x</BlobPath><BlobPath>pictures/a.bin</BlobPath>";
    let ended = run(&mut preview(&desk, &endpoint, list)?)?;
    assert_eq!(ended.code, Some(0), "{ended:?}");
    // 12 MiB with 3 lines and 10 MiB with as many fill the first drive; the snapshot and the rest
    // go to the second.
    assert_eq!(
        ended.stdout,
        "Number of unique blob paths/prefixes:\t6\n\
         Number of duplicate blob paths/prefixes:\t1\n\
         Number of nonexistent blob paths/prefixes:\t1\n\
         \n\
         Drive size:\t0.04 GB\n\
         Number of blobs that can be exported:\t5\n\
         Number of blobs that cannot be exported:\t2\n\
         Number of drives needed:\t2\n\
         \tDrive #1:\tblobs = 4, occupied space = 0.02 GB\n\
         \tDrive #2:\tblobs = 1, occupied space = 0.01 GB\n"
    );
    assert!(ended.stderr.contains("pictures/old.bin cannot be exported: it is in the archive tier"));
    assert!(ended.stderr.contains("nothing matches nowhere/x"));
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_slash_selects_the_whole_account_and_json_names_what_stays_behind() -> Result<()> {
    let endpoint = Endpoint::start(EndpointConfig::default())?;
    let desk = Desk::before(&endpoint)?;
    filled(&Stand::before(&endpoint)?.account).await?;
    let ended = run(preview(&desk, &endpoint, "<BlobPath>/</BlobPath>")?.arg("--json"))?;
    assert_eq!(ended.code, Some(0), "{ended:?}");
    let events = ended.events();
    let mut behind: Vec<&str> = events
        .iter()
        .filter(|event| event["event"] == "cannot_export")
        .filter_map(|event| event["blob_path"].as_str())
        .collect();
    behind.sort_unstable();
    assert_eq!(behind, ["pictures/big.bin", "pictures/old.bin"]);
    let all = ended.summary();
    assert_eq!((&all["blobs_exportable"], &all["blobs_not_exportable"]), (&json!(6), &json!(2)));
    assert_eq!(all["nonexistent_selectors"], json!([]));
    let blobs: u64 =
        all["drives"].as_array().unwrap().iter().filter_map(|drive| drive["blobs"].as_u64()).sum();
    assert_eq!(blobs, 6);
    // 1 MiB in one range: its clusters, a properties file, three records, one line.
    let disk = (1 << 20) + 4_096 + 3 * 1_024 + 600 + 120;
    let list = "<BlobPath>disks/disk.vhd</BlobPath>";
    let alone = run(preview(&desk, &endpoint, list)?.arg("--json"))?.summary();
    assert_eq!(alone["drives"], json!([{ "blobs": 1, "occupied_bytes": disk }]));
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn snapshots_are_selected_by_the_three_forms_of_a_path() -> Result<()> {
    let endpoint = Endpoint::start(EndpointConfig::default())?;
    let desk = Desk::before(&endpoint)?;
    let account = Stand::before(&endpoint)?.account;
    put(&account, "c12/a", 10, None).await?;
    put(&account, "c12/ab", 10, None).await?;
    let time = account.snapshot(&BlobPath::parse("c12/a")?, &Condition::None).await?;
    for (path, blobs, nonexistent) in [
        ("c12/a".to_owned(), 1, 0),
        (format!("c12/a?snapshot={time}"), 1, 0),
        ("c12/a?snapshots".to_owned(), 2, 0),
        ("c12/a?snapshot=2001-01-01T00:00:00.0000000Z".to_owned(), 0, 1),
        ("c12/ab?snapshots".to_owned(), 1, 0),
    ] {
        let list = format!("<BlobPath>{path}</BlobPath>");
        let told = run(preview(&desk, &endpoint, &list)?.arg("--json"))?.summary();
        assert_eq!(told["blobs_exportable"], blobs, "{path}: {told}");
        assert_eq!(told["nonexistent_selectors"].as_array().unwrap().len(), nonexistent, "{path}");
    }
    Ok(())
}

#[test]
fn a_list_that_cannot_be_read_or_an_account_that_refuses_ends_with_its_exit_code() -> Result<()> {
    let endpoint = Endpoint::start(EndpointConfig::default())?;
    let desk = Desk::before(&endpoint)?;
    for broken in ["<BlobPath>c/a</blobpath>", "", "<BlobPaths>c/a</BlobPaths>"] {
        let ended = run(&mut preview(&desk, &endpoint, broken)?)?;
        assert_eq!(ended.code, Some(2), "{broken}: {ended:?}");
        assert!(ended.stderr.contains("list.xml"), "{}", ended.stderr);
    }
    let other_key = azure::DEVELOPMENT_KEY.replace('E', "F");
    fs::write(desk.credential_file(), other_key)?;
    let ended = run(&mut preview(&desk, &endpoint, "<BlobPath>c12/a</BlobPath>")?)?;
    assert_eq!(ended.code, Some(5), "{ended:?}");
    Ok(())
}
