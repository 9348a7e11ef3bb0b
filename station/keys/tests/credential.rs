//! A master key that the service manager hands over.

use std::path::Path;
use std::process::Command;

use keys::{CREDENTIAL_NAME, KeyFile, KeySource, Sources, Vault};

/// Set in the process that plays the service.
const CHILD: &str = "DRAYAGE_TEST_IS_SERVICE";

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
