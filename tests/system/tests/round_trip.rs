//! Whatever `driveprep pack` makes, a station takes whole: every blob `Completed`, every byte as it was.

use std::collections::BTreeMap;
use std::fs;
use std::time::{Duration, Instant};

use anyhow::{Context, Result};
use proptest::prelude::*;
use proptest::test_runner::{Config, TestRunner};
use rig::endpoint::{Endpoint, EndpointConfig};
use rig::pack::{Content, DriveJson, ExpectedBlob, Extra, PackPlan};
use system_tests::drives::{TestDrive, packed};
use system_tests::logs::DriveLog;
use system_tests::packing::{SERIAL, Tree, blob, block_counts, lands_whole, page_blob, succeeds};
use system_tests::program::Running;
use system_tests::stand::Stand;

/// The smallest drive with room for a few files; BitLocker wants 64 MiB.
const SMALL_DRIVE_BYTES: u64 = 96 << 20;

fn random(seed: u64, length_bytes: u64) -> Content {
    Content::Random { seed, length_bytes }
}

async fn round_trip(tree: &Tree, to: &str) -> Result<()> {
    succeeds(&mut tree.pack(to, SMALL_DRIVE_BYTES))?;
    lands_whole(&tree.drive(tree.expected(to))).await
}

#[tokio::test(flavor = "multi_thread")]
async fn sizes_around_every_boundary_land_whole() -> Result<()> {
    let sizes = [0, 1, 511, 512, 513, 699, 700, 4_095, 4_096, 4_097, 8_192, 65_535, 65_536, 65_537];
    let block = 4 << 20;
    let sizes = sizes.into_iter().chain([block - 1, block, block + 1, 2 * block, 2 * block + 4_097]);
    let mut tree = Tree::new(Vec::new())?;
    for (seed, size) in (1..).zip(sizes) {
        tree.add(&format!("{size}.bin"), random(seed, size))?;
    }
    round_trip(&tree, "files").await
}

#[tokio::test(flavor = "multi_thread")]
async fn names_of_every_script_and_length_land_whole() -> Result<()> {
    let long = "x".repeat(251) + ".txt";
    let longer = "\u{e9}".repeat(127);
    let deep = format!("{}leaf", "d/".repeat(60));
    let names = [
        "plain.txt",
        "with blanks and (brackets) [2].txt",
        "percent%41+plus#hash&amp;.txt",
        "ünï cödé.txt",
        "日本語/ファイル.dat",
        "العربية.txt",
        "\u{1f512}\u{1f468}\u{200d}\u{1f469}.bin",
        "Straße und STRASSE.txt",
        "e\u{301} is not \u{e9}.txt",
        ".hidden",
        "no-extension",
        "many.dots.in.a.name.tar.gz",
        "quote'and`tick.txt",
        "a=b;c,d.txt",
        "~tilde$dollar.txt",
        &long,
        &longer,
        &deep,
    ];
    let mut tree = Tree::new(Vec::new())?;
    for (seed, name) in (1..).zip(names) {
        tree.add(name, random(seed, 1_000 + seed))?;
    }
    round_trip(&tree, "names/under a prefix/").await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_file_beyond_4_gib_that_is_mostly_a_hole_lands_whole() -> Result<()> {
    let length_bytes = (4 << 30) + 12_345;
    let data = vec![0..70_000, (2 << 30) + 4_096..(2 << 30) + 100_000, length_bytes - 12_345..length_bytes];
    let tree = Tree::new(vec![("huge.bin", Content::Sparse { seed: 1, length_bytes, data })])?;
    round_trip(&tree, "huge").await
}

#[tokio::test(flavor = "multi_thread")]
async fn blobs_with_as_many_blocks_as_there_may_be_land_whole() -> Result<()> {
    const BLOCK_BYTES: u64 = 4 << 10;
    let sparse = |seed, blocks: u64| {
        let length_bytes = blocks * BLOCK_BYTES;
        let data = vec![0..9_000, (100 << 20)..(100 << 20) + 70_000, length_bytes - 5_000..length_bytes];
        Content::Sparse { seed, length_bytes, data }
    };
    let tree = Tree::new(vec![("limit.bin", sparse(1, 50_000)), ("beyond.bin", sparse(2, 50_001))])?;
    succeeds(tree.pack("blocks", SMALL_DRIVE_BYTES).args(["--block-bytes", "4KiB"]))?;
    let drive = tree.drive(tree.expected("blocks"));
    // What would have one block too many has blocks of twice the length.
    let expected = [("blocks/limit.bin", 50_000), ("blocks/beyond.bin", 25_001)];
    assert_eq!(block_counts(&drive)?, expected.map(|(blob, count)| (blob.to_owned(), count)).into());
    lands_whole(&drive).await
}

#[tokio::test(flavor = "multi_thread")]
async fn page_blobs_with_holes_land_with_their_holes() -> Result<()> {
    let sparse = |seed, length_bytes, data| Content::Sparse { seed, length_bytes, data };
    let disks = [
        ("disk.vhd", sparse(1, 64 << 20, vec![0..512, 70_000..200_000, (60 << 20)..(64 << 20)])),
        ("Data.VHDX", random(2, 9 << 20)),
        ("empty.vhd", random(3, 0)),
        ("hole.vhd", sparse(4, 8 << 20, Vec::new())),
    ];
    let mut tree = Tree::new(Vec::new())?;
    let mut expected = Vec::new();
    for (name, content) in disks {
        expected.push(page_blob(&format!("vhds/{name}"), &content));
        tree.add(name, content)?;
    }
    succeeds(&mut tree.pack("vhds", SMALL_DRIVE_BYTES))?;
    lands_whole(&tree.drive(expected)).await
}

#[tokio::test(flavor = "multi_thread")]
async fn properties_and_metadata_of_a_plan_land_with_their_blobs() -> Result<()> {
    let tree = Tree::new(vec![("a.txt", random(1, 5_000)), ("sub/b.txt", random(2, 5 << 20))])?;
    let plan = "[[source]]\nfrom = \"source\"\nto = \"titled/x\"\ncontent_md5 = true\n\
                metadata = { project = \"apollo\", Stage = \"two & three\" }\n\
                properties = { content_type = \"text/plain\", cache_control = \"no-cache\", content_language = \"de\" }\n";
    fs::write(tree.place("plan.toml"), plan)?;
    succeeds(tree.pack_onto(SMALL_DRIVE_BYTES).args(["--plan", "plan.toml"]))?;
    let titled = |blob: ExpectedBlob| ExpectedBlob {
        metadata: Some(BTreeMap::from(
            [("project", "apollo"), ("Stage", "two & three")].map(|(a, b)| (a.to_owned(), b.to_owned())),
        )),
        content_type: Some("text/plain".to_owned()),
        cache_control: Some("no-cache".to_owned()),
        content_language: Some("de".to_owned()),
        ..blob
    };
    lands_whole(&tree.drive(tree.expected("titled/x").into_iter().map(titled).collect())).await
}

#[tokio::test(flavor = "multi_thread")]
async fn each_disposition_of_a_dataset_does_what_it_says() -> Result<()> {
    let endpoint = Endpoint::start(EndpointConfig::default())?;
    let theirs = Tree::new(vec![("f.txt", random(1, 3_000))])?;
    let containers = ["renamed", "kept", "replaced"];
    let dataset = |dispositions: [&str; 3]| {
        let rows = containers.iter().zip(dispositions).map(|(container, disposition)| {
            format!("{{SOURCE}}/f.txt,{container}/f.txt,BlockBlob,{disposition},None,None\n")
        });
        let header = "BasePath,DstItemPathOrPrefix,ItemType,Disposition,MetadataFile,PropertiesFile\n";
        [header.to_owned()].into_iter().chain(rows).collect::<String>()
    };
    let ours = Tree::new(vec![("f.txt", random(2, 4_000))])?;
    for (tree, dispositions) in [(&theirs, ["rename"; 3]), (&ours, ["rename", "no-overwrite", "overwrite"])] {
        let text = dataset(dispositions).replace("{SOURCE}", &tree.folder().to_string_lossy());
        fs::write(tree.place("dataset.csv"), text)?;
        succeeds(tree.pack_onto(SMALL_DRIVE_BYTES).args(["--dataset", "dataset.csv"]))?;
        let stand = Stand::before(&endpoint)?;
        let tried = stand.ingest(&tree.drive(Vec::new())).await?;
        let log = DriveLog::verbose(&tried.report)?;
        assert!(
            log.blobs.values().all(|blob| blob.status.as_ref().is_some_and(|s| s.to_string() == "Completed"))
        );
    }
    let account = endpoint.snapshot();
    let sha256 =
        |container: &str, name: &str| account.blob(container, name).and_then(|blob| blob.sha256.clone());
    let [first, second] = [random(1, 3_000), random(2, 4_000)].map(|content| blob("c/f", &content).sha256);
    assert_eq!(sha256("renamed", "f.txt"), first);
    assert_eq!(sha256("renamed", "f (2).txt"), second);
    assert_eq!(sha256("kept", "f.txt"), first);
    assert_eq!(sha256("replaced", "f.txt"), second);
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn what_needs_two_drives_lands_whole_from_both() -> Result<()> {
    let mut tree = Tree::new(Vec::new())?;
    for seed in 1..=10 {
        tree.add(&format!("{seed:02}.bin"), random(seed, 14 << 20))?;
    }
    let mut pack = tree.pack("two", SMALL_DRIVE_BYTES);
    succeeds(pack.arg("--drive").arg(tree.place("second.img")).args(["--serial", "DRGTESTSECOND"]))?;
    let endpoint = Endpoint::start(EndpointConfig::default())?;
    let stand = Stand::before(&endpoint)?;
    let entries: serde_json::Value = serde_json::from_slice(&fs::read(tree.place("drive.json"))?)?;
    let entries = entries["driveList"].as_array().context("a job of two drives is a driveList")?;
    for entry in entries {
        let is_first = entry["driveId"] == SERIAL;
        let job_file = tree.place(if is_first { "first.json" } else { "second.json" });
        fs::write(&job_file, entry.to_string())?;
        let image = if is_first { tree.image() } else { tree.place("second.img") };
        let drive = TestDrive { image, job_file, ..tree.drive(Vec::new()) };
        let tried = stand.ingest(&drive).await?;
        assert_eq!(DriveLog::verbose(&tried.report)?.status, "Completed");
    }
    assert_eq!(
        tree.drive(tree.expected("two")).expected.differences(&endpoint.snapshot()),
        Vec::<String>::new()
    );
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_pack_that_was_killed_and_run_again_lands_whole() -> Result<()> {
    let mut tree = Tree::new(Vec::new())?;
    for seed in 1..=30 {
        tree.add(&format!("{seed:02}.bin"), random(seed, if seed % 7 == 0 { 9 << 20 } else { 300_000 }))?;
    }
    let pack = || {
        let mut pack = tree.pack("again", 160 << 20);
        pack.args(["--checkpoint-mib", "1"]);
        pack
    };
    let running = Running::start(&mut pack())?;
    let deadline = Instant::now() + Duration::from_secs(60);
    // Killed at whatever it does once some of the data is on the drive, or has ended by then.
    while fs::read_to_string(tree.place("drive.jrn")).unwrap_or_default().matches("CopyFile").count() < 4 {
        assert!(Instant::now() < deadline, "{}", running.stderr()?);
        std::thread::sleep(Duration::from_millis(2));
    }
    running.kill();
    running.wait()?;
    succeeds(&mut pack())?;
    lands_whole(&tree.drive(tree.expected("again"))).await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_session_added_to_a_packed_drive_lands_with_the_first() -> Result<()> {
    let first = Tree::new(vec![("one/a.bin", random(1, 6 << 20)), ("one/b.bin", random(2, 10))])?;
    succeeds(&mut first.pack("first", SMALL_DRIVE_BYTES))?;
    let second = Tree::new(vec![("c.bin", random(3, 5_000_000)), ("deep/er/d.bin", random(4, 70_000))])?;
    let mut add = system_tests::program::bare(system_tests::program::driveprep());
    add.current_dir(first.place("")).args(["pack", "--job-out", "drive.json", "--session", "session#2"]);
    succeeds(add.arg("--from").arg(second.folder()).args(["--to", "second"]))?;
    let expected = [first.expected("first"), second.expected("second")].concat();
    lands_whole(&first.drive(expected)).await
}

#[tokio::test(flavor = "multi_thread")]
async fn data_that_somebody_put_on_a_drive_by_hand_lands_in_place() -> Result<()> {
    let files: Vec<(String, Vec<u8>)> = (0..40_u8)
        .map(|index| {
            (format!("photos/{}/{index:02} \u{e9}.jpg", index % 3), vec![index; 1_000 * usize::from(index)])
        })
        .collect();
    let extra = |(path, bytes): &(String, Vec<u8>)| {
        let path = format!("\\{}", path.replace('/', "\\"));
        Extra::File { path, bytes: bytes.clone() }
    };
    let mut plan = PackPlan::new("DRGTESTBYHAND", Vec::new());
    (plan.extras, plan.has_manifest) = (files.iter().map(extra).collect(), false);
    let test = "data_that_somebody_put_on_a_drive_by_hand_lands_in_place";
    let Some(by_hand) = packed("by-hand-1", test, &plan)? else { return Ok(()) };
    let tree = Tree::new(Vec::new())?;
    fs::copy(&by_hand.image, tree.image())?;
    fs::write(tree.place("key"), DriveJson::read(&by_hand.job_file)?.recovery_password)?;
    let mut pack = system_tests::program::bare(system_tests::program::driveprep());
    pack.current_dir(tree.place("")).args(["pack", "--in-place", "--serial", "DRGTESTBYHAND", "--drive"]);
    pack.arg(tree.image()).args(["--recovery-password-file", "key", "--job-out", "drive.json"]);
    succeeds(pack.args(["--from", "\\photos", "--to", "pictures/all"]))?;
    let expected = files.iter().map(|(path, bytes)| {
        let name = path.trim_start_matches("photos/");
        blob(&format!("pictures/all/{name}"), &Content::Literal(bytes.clone()))
    });
    lands_whole(&tree.drive(expected.collect())).await
}

#[test]
fn random_trees_land_whole() -> Result<()> {
    let name = "[a-zA-Z0-9 _()äßλж語-]{0,40}[a-z0-9]";
    let path = prop::collection::vec(name, 1..4).prop_map(|names| names.join("/"));
    let size = prop_oneof![Just(0_u64), 1..5_000_u64, 60_000..70_000_u64, (4 << 20) - 3..(4 << 20) + 3_u64];
    let trees = prop::collection::btree_map(path, size, 1..40);
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    let config = Config { cases: 6, failure_persistence: None, ..Config::default() };
    TestRunner::new(config).run(&trees, |files| {
        let files = without_clashes(files);
        let mut tree = Tree::new(Vec::new()).map_err(failed)?;
        for (seed, (path, size)) in (1..).zip(files) {
            tree.add(&path, random(seed, size)).map_err(failed)?;
        }
        runtime.block_on(round_trip(&tree, "random")).map_err(failed)
    })?;
    Ok(())
}

/// What one folder of Linux holds and one of NTFS as well: no file is a folder too, no two names
/// differ in case only.
fn without_clashes(files: BTreeMap<String, u64>) -> Vec<(String, u64)> {
    let mut taken = BTreeMap::<String, (String, bool)>::new();
    files.into_iter().filter(|(path, _)| takes(&mut taken, path)).collect()
}

fn takes(taken: &mut BTreeMap<String, (String, bool)>, path: &str) -> bool {
    let ends: Vec<usize> = path.match_indices('/').map(|(at, _)| at).chain([path.len()]).collect();
    let steps = ends.iter().map(|&end| (&path[..end], end == path.len()));
    let fits = steps.clone().all(|(step, is_file)| match taken.get(&step.to_uppercase()) {
        Some((name, was_file)) => name == step && !was_file && !is_file,
        None => true,
    });
    if fits {
        taken.extend(steps.map(|(step, is_file)| (step.to_uppercase(), (step.to_owned(), is_file))));
    }
    fits
}

fn failed(error: anyhow::Error) -> TestCaseError {
    TestCaseError::fail(format!("{error:#}"))
}
