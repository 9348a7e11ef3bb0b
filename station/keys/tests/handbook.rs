//! deploy/keys.md: its commands are run as they stand there, in another folder, and the vault takes the result. Those
//! that rotate a key need a station that serves: they are run in the whole station's tests.

use std::path::{Path, PathBuf};
use std::process::Command;

use keys::{CREDENTIAL_NAME, KeyFile, KeySource, Purpose, Sources, Vault};

/// Set in the process that plays the service.
const CHILD: &str = "DRAYAGE_TEST_IS_SERVICE";

fn handbook() -> String {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../deploy/keys.md");
    std::fs::read_to_string(path).unwrap()
}

/// Runs the first shell block of a section, in `folder` instead of /etc/drayage and without changing owners.
fn run_block(section: &str, folder: &Path) {
    let text = handbook();
    let (_, section) = text.split_once(&format!("\n## {section}\n")).expect("the section is in the handbook");
    let (_, block) = section.split_once("```sh\n").unwrap();
    let (block, _) = block.split_once("```").unwrap();
    assert!(block.contains("/etc/drayage"));
    let block: String =
        block.lines().filter(|line| !line.starts_with("chown ")).map(|l| format!("{l}\n")).collect();
    let script = block.replace("/etc/drayage", folder.to_str().unwrap());
    let output = Command::new("sh").args(["-euc", &script]).output().unwrap();
    assert!(output.status.success(), "{script}: {}", String::from_utf8_lossy(&output.stderr));
}

async fn load(path: PathBuf) -> Vault {
    Vault::load(Sources::new(KeySource::File(path))).await.unwrap_or_else(|error| panic!("{error}"))
}

#[tokio::test]
async fn the_handbooks_commands_make_a_key() {
    let folder = tempfile::tempdir().unwrap();
    run_block("Make one", folder.path());
    let vault = load(folder.path().join("master.key")).await;
    let purpose = Purpose::StorageCredential { account: "a".to_owned() };
    let sealed = vault.seal(&purpose, b"planted").unwrap();
    let opened = vault.open(&purpose, &sealed).await.unwrap_or_else(|error| panic!("{error}"));
    assert!(opened.matches(b"planted"));
}

/// The variable cannot be set in a process that runs tests side by side, so a child plays the service.
#[tokio::test]
async fn a_credential_of_the_service_manager_is_found() {
    if std::env::var_os(CHILD).is_some() {
        let vault = Vault::load(Sources::new(KeySource::SystemdCredential)).await;
        let ids = vault.map(|vault| vault.key_ids()).map_err(|error| error.to_string());
        return println!("loaded: {ids:?}");
    }
    let folder = tempfile::tempdir().unwrap();
    let id = KeyFile::generate(&folder.path().join(CREDENTIAL_NAME)).unwrap();
    let service = |directory: Option<&Path>| {
        let mut command = Command::new(std::env::current_exe().unwrap());
        command.args(["--exact", "a_credential_of_the_service_manager_is_found", "--nocapture"]);
        command.env(CHILD, "1").env_remove("CREDENTIALS_DIRECTORY");
        command.envs(directory.map(|directory| ("CREDENTIALS_DIRECTORY", directory)));
        String::from_utf8(command.output().unwrap().stdout).unwrap()
    };
    let said = service(Some(folder.path()));
    assert!(said.contains(&format!("loaded: Ok([{id}])")), "{said}");
    let said = service(None);
    assert!(said.contains("CREDENTIALS_DIRECTORY is not set"), "{said}");
}
