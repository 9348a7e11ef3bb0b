//! deploy/keys.md: its commands are run as they stand there, in another folder, and the vault takes the result.
//! Those that rotate a key need a station that serves: they are run in the whole station's tests.

use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, ensure};
use keys::{KeySource, Purpose, Sources, Vault};
use system_tests::program::station;
use system_tests::workspace;

fn handbook() -> Result<String> {
    Ok(std::fs::read_to_string(workspace::root().join("deploy/keys.md"))?)
}

/// Runs the first shell block of a section in `folder` instead of /etc/drayage.
fn run_block(section: &str, folder: &Path) -> Result<()> {
    let text = handbook()?;
    let (_, section) =
        text.split_once(&format!("\n## {section}\n")).context("the section is in the handbook")?;
    let (section, _) = section.split_once("\n## ").unwrap_or((section, ""));
    let block = section.split("```sh\n").nth(1).context("the block is in the section")?;
    let (block, _) = block.split_once("```").context("the block ends")?;
    ensure!(block.contains("/etc/drayage"), "{block}");
    let script = block.replace("/etc/drayage", folder.to_str().context("a plain path")?);
    let program = station().parent().context("a program lies in a folder")?;
    let path = std::env::var("PATH").unwrap_or_default();
    let mut command = Command::new("sh");
    command.args(["-euc", &script]).env("PATH", format!("{}:{path}", program.display()));
    let output = command.output()?;
    ensure!(output.status.success(), "{script}: {}", String::from_utf8_lossy(&output.stderr));
    Ok(())
}

async fn load(path: PathBuf) -> Result<Vault> {
    Ok(Vault::load(Sources::new(KeySource::File(path))).await?)
}

#[tokio::test]
async fn the_handbooks_commands_make_a_key() -> Result<()> {
    let folder = tempfile::tempdir()?;
    let purpose = Purpose::StorageCredential { account: "a".to_owned() };
    run_block("Make one", folder.path())?;
    let vault = load(folder.path().join("master.key")).await?;
    let sealed = vault.seal(&purpose, b"planted")?;
    ensure!(vault.open(&purpose, &sealed).await?.matches(b"planted"));
    Ok(())
}
