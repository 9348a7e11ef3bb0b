//! Whatever `driveprep pack` makes, a station takes whole: every blob `Completed`, every byte as it was.

use anyhow::Result;
use proptest::prelude::*;
use proptest::test_runner::{Config, TestRunner};
use rig::pack::Content;
use system_tests::packing::{Tree, lands_whole, succeeds};

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
fn without_clashes(files: std::collections::BTreeMap<String, u64>) -> Vec<(String, u64)> {
    let mut taken = std::collections::BTreeMap::<String, (String, bool)>::new();
    files.into_iter().filter(|(path, _)| takes(&mut taken, path)).collect()
}

fn takes(taken: &mut std::collections::BTreeMap<String, (String, bool)>, path: &str) -> bool {
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
