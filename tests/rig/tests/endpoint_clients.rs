//! The official clients against our endpoint: what they can do with Azure, they can do here.
use std::collections::BTreeMap;
use std::path::Path;
use std::process::Command;
use std::time::Duration;

use rig::endpoint::conformance::client::{Ask, Client};
use rig::endpoint::{Endpoint, EndpointConfig, Store};
use rig::setup::Tools;

#[test]
fn the_official_python_client_works_with_the_endpoint() {
    let test = "the_official_python_client_works_with_the_endpoint";
    let Some(python) = Tools::installed().python else {
        return rig::skipped(test, "azure-storage-blob is not installed (DRAYAGE_PYTHON)");
    };
    let folder = tempfile::tempdir().expect("a scratch folder");
    for store in [Store::Memory, Store::Disk(folder.path().to_owned())] {
        let endpoint = Endpoint::start(EndpointConfig::with_store(store)).expect("started");
        let script = concat!(env!("CARGO_MANIFEST_DIR"), "/python/blob_client.py");
        let mut command = Command::new(&python);
        let output = command.arg(script).arg(endpoint.connection_string()).arg("walk").output();
        let output = output.expect("python runs");
        let said = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "{said}\n{}", last_requests(&endpoint));
    }
}

#[test]
fn azcopy_copies_a_tree_to_the_endpoint_and_back() {
    let test = "azcopy_copies_a_tree_to_the_endpoint_and_back";
    let Some(azcopy) = Tools::installed().azcopy else {
        return rig::skipped(test, "azcopy is not installed (DRAYAGE_AZCOPY)");
    };
    let endpoint = Endpoint::start(EndpointConfig::default()).expect("started");
    let scratch = tempfile::tempdir().expect("a scratch folder");
    let tree = make_tree(&scratch.path().join("tree"));
    let sas = endpoint.account_sas("rwdlac", Duration::from_secs(3_600));
    let url = |path: &str| format!("{}/{path}?{sas}", endpoint.url());
    let run = |arguments: &[&str]| {
        let mut command = Command::new(&azcopy);
        command.args(arguments).args(["--output-level", "essential"]);
        for variable in ["AZCOPY_LOG_LOCATION", "AZCOPY_JOB_PLAN_LOCATION"] {
            command.env(variable, scratch.path().join("azcopy"));
        }
        command.env("AZCOPY_DISABLE_SYSLOG", "true").env("AZCOPY_SKIP_VERSION_CHECK", "true");
        let output = command.output().expect("azcopy runs");
        let said = String::from_utf8_lossy(&output.stdout).into_owned();
        assert!(output.status.success(), "{said}\n{}", last_requests(&endpoint));
        said
    };
    // azcopy's own `make` does not know path-style addresses.
    let create = Ask::new("PUT", "/tree").query("restype", "container");
    let created = Client::new(endpoint.address(), endpoint.account(), endpoint.key()).send(&create);
    assert_eq!(created.expect("answered").status, 201);
    let source = scratch.path().join("tree").join("*");
    let source = source.to_string_lossy();
    let said = run(&[
        "copy",
        &source,
        &url("tree"),
        "--recursive",
        "--put-md5",
        "--from-to",
        "LocalBlob",
        "--block-size-mb",
        "1",
    ]);
    assert!(said.contains("Final Job Status: Completed\n"), "{said}");
    let landed: BTreeMap<String, u64> =
        endpoint.blobs().into_iter().map(|blob| (blob.name, blob.length)).collect();
    let sent: BTreeMap<String, u64> =
        tree.iter().map(|(name, bytes)| (name.clone(), bytes.len() as u64)).collect();
    assert_eq!(landed, sent);
    let back = scratch.path().join("back");
    run(&[
        "copy",
        &url("tree"),
        &back.to_string_lossy(),
        "--recursive",
        "--from-to",
        "BlobLocal",
        "--check-md5",
        "FailIfDifferentOrMissing",
    ]);
    for (name, bytes) in &tree {
        assert_eq!(&std::fs::read(back.join("tree").join(name)).expect(name), bytes, "{name}");
    }
}

fn make_tree(root: &Path) -> BTreeMap<String, Vec<u8>> {
    let large: Vec<u8> =
        (0..5_000_000_u32).map(|number| number.to_le_bytes()[0] ^ number.to_le_bytes()[1]).collect();
    let files = [
        ("empty", Vec::new()),
        ("ü b.txt", b"small".to_vec()),
        ("d/e/large.bin", large),
        ("d/100%.txt", b"percent".to_vec()),
        ("d/a+b&c.txt", b"plus".to_vec()),
    ];
    for (name, bytes) in &files {
        let path = root.join(name);
        std::fs::create_dir_all(path.parent().expect("a folder")).expect("made");
        std::fs::write(path, bytes).expect("written");
    }
    files.map(|(name, bytes)| (name.to_owned(), bytes)).into()
}

/// The end of the request log, for whoever has to find out why a client failed.
fn last_requests(endpoint: &Endpoint) -> String {
    let entries = endpoint.log().entries();
    let lines = entries.iter().rev().take(12).rev().map(|entry| {
        let code = entry.error_code.as_deref().unwrap_or_default();
        format!("{} {} {:?} -> {} {code}\n", entry.operation, entry.path, entry.query, entry.status)
    });
    lines.collect()
}
