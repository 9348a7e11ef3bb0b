//! The bounded run: so many mutants of each target, the same in every run.

use fuzz_targets::targets::{self, Target};
use fuzz_targets::{run, seeds};

#[test]
fn mutated_bitlocker_metadata_is_refused_or_right() {
    run(&Target { name: "bitlocker", run: targets::bitlocker }, &seeds::bitlocker(), 4_000);
}

#[test]
fn mutated_sealed_metadata_is_refused_or_right() {
    run(&Target { name: "sealed", run: targets::sealed }, &seeds::sealed(), 2_000);
}

#[test]
fn mutated_ntfs_volumes_are_refused_or_right() {
    let seeds = seeds::ntfs();
    if seeds.is_empty() {
        let test = "mutated_ntfs_volumes_are_refused_or_right";
        return rig::skipped(test, "neither ntfs-3g nor ../shared/fixtures is there");
    }
    run(&Target { name: "ntfs", run: targets::ntfs }, &seeds, 600);
}

#[test]
fn mutated_ntfs_volumes_are_checked_without_a_panic() {
    let seeds = seeds::ntfs();
    if seeds.is_empty() {
        let test = "mutated_ntfs_volumes_are_checked_without_a_panic";
        return rig::skipped(test, "neither ntfs-3g nor ../shared/fixtures is there");
    }
    run(&Target { name: "ntfs_check", run: targets::ntfs_check }, &seeds, 300);
}

#[test]
fn mutated_manifests_are_refused_or_right() {
    run(&Target { name: "manifest", run: targets::manifest }, &seeds::manifest(), 20_000);
}

#[test]
fn mutated_frozen_works_are_refused_or_right() {
    run(&Target { name: "frozen_work", run: targets::frozen_work }, &seeds::frozen_work(), 20_000);
}

#[test]
fn mutated_datasets_drivesets_and_plans_are_refused_or_right() {
    run(&Target { name: "inputs", run: targets::inputs }, &seeds::inputs(), 20_000);
}

#[test]
fn mutated_custody_entries_are_refused_or_right() {
    run(&Target { name: "custody_entry", run: targets::custody_entry }, &seeds::custody_entry(), 20_000);
}

#[test]
fn mutated_custody_exports_are_refused_or_right() {
    run(&Target { name: "custody_export", run: targets::custody_export }, &seeds::custody_export(), 4_000);
}

#[test]
fn mutated_custody_proofs_are_refused_or_right() {
    run(&Target { name: "custody_proof", run: targets::custody_proof }, &seeds::custody_proof(), 4_000);
}

#[test]
fn mutated_sealed_secrets_are_refused_or_right() {
    run(&Target { name: "sealed_secret", run: targets::sealed_secret }, &seeds::sealed_secret(), 10_000);
}
