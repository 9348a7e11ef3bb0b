//! The workspace as cargo describes it.

use std::path::{Path, PathBuf};
use std::process::Command;

use serde_json::Value;

/// The repository's top folder.
pub fn root() -> PathBuf {
    let here = Path::new(env!("CARGO_MANIFEST_DIR"));
    here.ancestors().nth(2).expect("tests/system lies two folders below the top").to_owned()
}

/// One crate of the workspace.
pub struct Member {
    /// Its name.
    pub name: String,
    /// Its folder below [`root`].
    pub folder: PathBuf,
    /// The names of everything it depends on: normal, build and test dependencies alike.
    pub dependencies: Vec<String>,
}

/// Every crate of the workspace, by what its manifest says.
pub fn members() -> Vec<Member> {
    let metadata = metadata(&["--no-deps"]);
    list(&metadata["packages"]).iter().map(member).collect()
}

/// `cargo metadata` of the workspace, downloading nothing that is there.
pub fn metadata(more: &[&str]) -> Value {
    let cargo = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    let output = Command::new(cargo)
        .args(["metadata", "--format-version=1"])
        .args(more)
        .current_dir(root())
        .output()
        .expect("cargo runs the tests, so it can be started");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    serde_json::from_slice(&output.stdout).expect("cargo metadata writes JSON")
}

/// A JSON array's elements; anything else has none.
pub fn list(value: &Value) -> &[Value] {
    value.as_array().map_or(&[], Vec::as_slice)
}

/// A JSON string's text; anything else is the empty text.
pub fn text(value: &Value) -> &str {
    value.as_str().unwrap_or_default()
}

fn member(package: &Value) -> Member {
    let manifest = Path::new(text(&package["manifest_path"]));
    let folder = manifest.parent().expect("a manifest lies in a folder");
    Member {
        name: text(&package["name"]).to_owned(),
        folder: folder.strip_prefix(root()).expect("a member lies below the top").to_owned(),
        dependencies: list(&package["dependencies"])
            .iter()
            .map(|dependency| text(&dependency["name"]).to_owned())
            .collect(),
    }
}
