//! Volumes made by the builder, read back by our own reader and looked through by our own check.

#![allow(clippy::cast_possible_truncation, reason = "numbers of a test are small")]

#[path = "common/built.rs"]
mod built;

use std::sync::Arc;

use block::SharedDevice;
use built::{
    File, MIB, SparseMemory, Tree, assert_holds, assert_sound, noise, open, placed, rich_tree, settings,
};
use ntfs::build::Settings;

/// Builds, reads everything back and checks everything.
fn prove(tree: &Tree, settings: &Settings) {
    let memory = SparseMemory::new(settings.volume_bytes, settings.sector_bytes);
    let built = tree.build(settings.clone(), &memory);
    assert_eq!(built.files, (tree.files.len() + settings.placed.len()) as u64);
    let device: SharedDevice = Arc::new(memory);
    let volume = open(device.clone());
    assert_eq!(volume.label().unwrap_or_default(), settings.label);
    assert_holds(&volume, tree, settings);
    assert_eq!(volume.index_size().records, built.records);
    assert_sound(&device, settings);
}

#[test]
fn a_rich_volume_is_what_our_reader_finds_and_has_no_fault() {
    let tree = rich_tree();
    prove(&tree, &settings(64 * MIB));
    prove(&tree, &Settings { placed: placed(4096), ..settings(64 * MIB) });
}

/// Smaller than [`rich_tree`], because each of the files takes a cluster of 64 KiB.
fn small_tree() -> Tree {
    let mut tree = Tree::default();
    for length in [0_usize, 1, 511, 512, 513, 4095, 4096, 4097, 65_535, 65_536, 65_537, 300_001] {
        tree.file(&format!("{length} bytes"), File::new(noise(length as u64, length)));
    }
    tree.directory("many");
    for n in 0..150 {
        tree.file(&format!("many/a name that fills an index block sooner {n}"), File::new(noise(n, 9)));
    }
    tree.directory("long");
    for n in 0..40 {
        tree.file(&format!("long/{n:0>255}"), File::new(Vec::new()));
    }
    tree.file("hole", File::sparse(MIB + 7, vec![(300_000, noise(7, 70_000)), (MIB, noise(8, 7))]));
    tree
}

#[test]
fn every_sector_and_cluster_size_gives_a_sound_volume() {
    let tree = small_tree();
    for sector_bytes in [512, 4096] {
        for cluster_bytes in [512, 1024, 2048, 4096, 8192, 16_384, 32_768, 65_536] {
            if cluster_bytes < sector_bytes {
                continue;
            }
            // The last sector's copy of the boot sector is alone in its cluster, or is not.
            for extra_bytes in [0, 4096, 36_864] {
                let base = settings(64 * MIB + extra_bytes);
                let plain = Settings { sector_bytes, cluster_bytes: Some(cluster_bytes), ..base };
                prove(&tree, &Settings { placed: placed(cluster_bytes.into()), ..plain.clone() });
                prove(&tree, &plain);
            }
        }
    }
}

#[test]
fn the_same_calls_give_the_same_bytes() {
    let tree = rich_tree();
    let pages = || {
        let memory = SparseMemory::new(64 * MIB, 512);
        tree.build(Settings { placed: placed(4096), ..settings(64 * MIB) }, &memory);
        memory.pages()
    };
    assert!(pages() == pages());
}

#[test]
fn a_volume_without_files_is_one() {
    prove(&Tree::default(), &settings(4 * MIB));
    prove(&Tree::default(), &Settings { label: String::new(), ..settings(100 * MIB) });
}
