//! What we take from others: licences, where it comes from, and nothing twice. The policy is
//! `deny.toml`, so that `cargo deny check` says the same where it is installed.

use std::collections::BTreeMap;

use serde_json::Value;
use system_tests::workspace::{self, list, text};
use toml::Table;

#[test]
fn every_dependency_has_a_licence_that_is_allowed() {
    let policy = policy();
    let allowed = strings(&policy["licenses"]["allow"]);
    for package in outside() {
        let expression = text(&package["license"]);
        let parsed = spdx::Expression::parse_mode(expression, spdx::ParseMode::LAX)
            .unwrap_or_else(|error| panic!("{}: licence {expression:?}: {error}", named(&package)));
        let is_allowed = parsed.evaluate(|need| allowed.iter().any(|licence| need.to_string() == *licence));
        assert!(is_allowed, "{} is {expression:?}, which deny.toml does not allow", named(&package));
    }
}

#[test]
fn every_dependency_comes_from_crates_io() {
    for package in outside() {
        let source = text(&package["source"]);
        assert_eq!(source, "registry+https://github.com/rust-lang/crates.io-index", "{}", named(&package));
    }
}

#[test]
fn nothing_banned_and_nothing_twice() {
    let policy = policy();
    let bans = policy["bans"].as_table().unwrap();
    let banned = names(&bans["deny"]);
    let tolerated = names(&bans["skip"]);
    let mut versions: BTreeMap<String, Vec<String>> = BTreeMap::new();
    for package in outside() {
        let name = text(&package["name"]).to_owned();
        assert!(!banned.contains(&name), "{name} is banned by deny.toml");
        versions.entry(name).or_default().push(text(&package["version"]).to_owned());
    }
    let is_twice =
        |(name, versions): &(&String, &Vec<String>)| versions.len() > 1 && !tolerated.contains(name);
    let twice: Vec<_> = versions.iter().filter(is_twice).collect();
    assert!(twice.is_empty(), "in more than one version, and not in deny.toml's skip list: {twice:#?}");
}

fn policy() -> Table {
    std::fs::read_to_string(workspace::root().join("deny.toml")).unwrap().parse().unwrap()
}

/// Every package of the lock file that this platform builds and that is not ours.
fn outside() -> Vec<Value> {
    let metadata = workspace::metadata(&["--locked", "--filter-platform=x86_64-unknown-linux-gnu"]);
    let packages = list(&metadata["packages"]).iter().filter(|package| !package["source"].is_null());
    let packages: Vec<Value> = packages.cloned().collect();
    assert!(!packages.is_empty(), "cargo metadata knows no dependencies");
    packages
}

fn named(package: &Value) -> String {
    format!("{} {}", text(&package["name"]), text(&package["version"]))
}

fn strings(value: &toml::Value) -> Vec<String> {
    value.as_array().unwrap().iter().map(|item| item.as_str().unwrap().to_owned()).collect()
}

/// The crates of a list of `{ crate = "name" }`.
fn names(value: &toml::Value) -> Vec<String> {
    let tables = value.as_array().unwrap().iter();
    tables.map(|item| item["crate"].as_str().unwrap().to_owned()).collect()
}
