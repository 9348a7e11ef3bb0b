//! Who may depend on whom: design §3. Every edge that is not listed here fails.

use std::collections::BTreeMap;
use std::path::Path;

use system_tests::workspace::{self, Member};

/// What a driver may know besides the outside world. Drivers never know each other, apart from `block`.
const DRIVERS: &[(&str, &[&str])] = &[
    ("block", &[]),
    ("bitlocker", &["block"]),
    ("ntfs", &["block"]),
    ("manifest", &["model"]),
    ("azure", &["model"]),
    ("enclosure", &["block", "model"]),
];

/// The station's inside, from the bottom up. `api` never sees a driver.
const STATION: &[(&str, &[&str])] = &[
    ("model", &[]),
    ("digests", &["model"]),
    ("custody", &["model"]),
    // The master key may lie in a Key Vault; nothing else of Azure is looked at.
    ("keys", &["azure", "model"]),
    ("ledger", &["custody", "model"]),
    ("jobs", &["custody", "keys", "ledger", "model"]),
    // The half of a byte's way that does not depend on where it goes.
    ("proof", &["bitlocker", "block", "digests", "manifest", "model", "ntfs"]),
    (
        "transfer",
        &[
            "azure",
            "bitlocker",
            "block",
            "digests",
            "enclosure",
            "ledger",
            "manifest",
            "model",
            "ntfs",
            "proof",
        ],
    ),
    ("api", &["custody", "jobs", "keys", "ledger", "model"]),
    (
        "station",
        &[
            "api",
            "azure",
            "bitlocker",
            "block",
            "custody",
            "enclosure",
            "jobs",
            "keys",
            "ledger",
            "manifest",
            "model",
            "ntfs",
            "proof",
            "transfer",
        ],
    ),
    // Repairs and previews talk to the storage account; nothing of it knows jobs or ledgers.
    ("driveprep", &["azure", "bitlocker", "block", "digests", "manifest", "model", "ntfs", "proof"]),
];

/// Tests may look at anything; nothing may depend on them, but they on each other.
const TESTS: &[&str] = &["rig", "system-tests", "fuzz-targets"];

#[test]
fn dependencies_go_down_only() {
    let members = workspace::members();
    let names: Vec<&str> = members.iter().map(|member| member.name.as_str()).collect();
    let allowed: BTreeMap<&str, &[&str]> = DRIVERS.iter().chain(STATION).copied().collect();
    let mut wrong = Vec::new();
    for member in members.iter().filter(|member| !TESTS.contains(&member.name.as_str())) {
        let may = allowed.get(member.name.as_str());
        let inner = member.dependencies.iter().filter(|name| names.contains(&name.as_str()));
        for dependency in inner.filter(|name| **name != member.name) {
            if !may.is_some_and(|may| may.contains(&dependency.as_str())) {
                wrong.push(format!("{} -> {dependency}", member.name));
            }
        }
    }
    assert!(wrong.is_empty(), "edges that design §3 does not have: {wrong:#?}");
}

#[test]
fn every_crate_lies_in_the_folder_of_its_layer() {
    let names = |table: &[(&'static str, &[&str])]| table.iter().map(|(name, _)| *name).collect::<Vec<_>>();
    let layers = [("drivers", names(DRIVERS)), ("station", names(STATION)), ("tests", TESTS.to_vec())];
    for Member { name, folder, .. } in workspace::members() {
        let layer = layers.iter().find(|(layer, _)| folder.starts_with(layer));
        let known = layer.is_some_and(|(_, names)| names.contains(&name.as_str()));
        assert!(known, "{name} in {} is not in design §3; say here what it may depend on", folder.display());
    }
}

#[test]
fn the_words_of_the_station_need_no_outside_world() {
    let model = workspace::members().into_iter().find(|member| member.name == "model").unwrap();
    let io = ["tokio", "tokio-uring", "rustix", "libc", "reqwest", "hyper", "sqlx", "tracing", "futures"];
    assert!(!model.dependencies.iter().any(|name| io.contains(&name.as_str())), "{:?}", model.dependencies);
}

#[test]
fn every_crate_takes_the_workspaces_lints() {
    for Member { name, folder, .. } in workspace::members() {
        let manifest = std::fs::read_to_string(workspace::root().join(folder).join("Cargo.toml")).unwrap();
        let manifest: toml::Table = manifest.parse().unwrap();
        let lints = manifest.get("lints").and_then(|lints| lints.get("workspace"));
        assert_eq!(lints, Some(&toml::Value::Boolean(true)), "{name} lacks `[lints] workspace = true`");
    }
}

#[test]
fn the_top_level_is_the_users() {
    let fixed = ["Cargo.toml", "station", "drivers", "deploy", "dashboards", "tests", "README.md"];
    let besides =
        ["Cargo.lock", "LICENSE-APACHE", "LICENSE-MIT", "clippy.toml", "deny.toml", "rustfmt.toml", "target"];
    for entry in std::fs::read_dir(workspace::root()).unwrap() {
        let name = entry.unwrap().file_name().into_string().unwrap();
        let known =
            name.starts_with('.') || fixed.contains(&name.as_str()) || besides.contains(&name.as_str());
        assert!(known, "{name} does not belong at the top level: design §3");
    }
    for needed in ["Cargo.toml", "Cargo.lock", "station", "drivers", "tests", "README.md", ".ci/run"] {
        assert!(workspace::root().join(Path::new(needed)).exists(), "{needed} is missing at the top level");
    }
}
