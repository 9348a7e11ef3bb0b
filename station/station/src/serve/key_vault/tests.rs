//! What is wrong with `[keys]` is named, and what is right asks nobody before it is used.

use super::*;

const VAULT: &str = "key_vault = \"https://v.vault.azure.net/keys/station\"\n";
const MANAGED: &str = "[identity]\nkind = \"managed\"\n";

fn read(text: &str) -> KeysConfig {
    let builder =
        config::Config::builder().add_source(config::File::from_str(text, config::FileFormat::Toml));
    builder.build().unwrap().try_deserialize().unwrap_or_else(|error| panic!("{text}: {error}"))
}

fn problems(text: &str) -> Vec<String> {
    read(text).problems()
}

#[test]
fn a_station_without_key_vault_says_nothing_of_it() {
    for text in ["", "file = \"/etc/drayage/master.key\""] {
        assert_eq!(problems(text), Vec::<String>::new());
        assert!(read(text).customer_keys().is_none());
    }
}

#[test]
fn every_mistake_is_named_with_its_key() {
    let table = [
        (VAULT.to_owned(), "keys.key_vault: needs an identity"),
        ("customer_keys = true".to_owned(), "keys.customer_keys: needs an identity"),
        (format!("key_vault = \"https://evil.example/keys/k\"\n{MANAGED}"), "keys.key_vault: evil.example"),
        (format!("key_vault = \"http://v.vault.azure.net/keys/k\"\n{MANAGED}"), "keys.key_vault: the key's URL is not https"),
        (format!("key_vault = \"https://v.vault.azure.net/secrets/k\"\n{MANAGED}"), "keys.key_vault: the key's URL is not of the form"),
        (format!("trusted_vaults = [\"https://kms.example\"]\n{MANAGED}"), "keys.trusted_vaults: \"https://kms.example\""),
        (format!("trusted_vaults = [\"kms.example/keys\"]\n{MANAGED}"), "keys.trusted_vaults: \"kms.example/keys\""),
        (format!("trusted_vaults = [\"u@kms.example\"]\n{MANAGED}"), "keys.trusted_vaults: \"u@kms.example\""),
        (format!("trusted_vaults = [\"\"]\n{MANAGED}"), "keys.trusted_vaults: \"\""),
        (format!("ca_file = \"/nonexistent/ca.pem\"\n{MANAGED}"), "keys.ca_file: /nonexistent/ca.pem cannot be read"),
        (format!("{MANAGED}authority = \"https://login.microsoftonline.us\""), "keys.identity.authority: belongs to another kind"),
        (format!("{MANAGED}secret_file = \"/a\""), "keys.identity.secret_file: belongs to another kind"),
        ("[identity]\nkind = \"workload\"\nclient_id = \"c\"\ntenant_id = \"t\"".to_owned(), "keys.identity.token_file: this kind of identity needs it"),
        ("[identity]\nkind = \"workload\"\nclient_id = \"c\"\ntenant_id = \"t\"\ntoken_file = \"/nonexistent/t\"".to_owned(), "keys.identity.token_file: /nonexistent/t cannot be read"),
        ("[identity]\nkind = \"client-secret\"\nsecret_file = \"/a\"".to_owned(), "keys.identity.client_id: this kind of identity needs it"),
        ("[identity]\nkind = \"client-secret\"\nclient_id = \"c\"\ntenant_id = \"t\"\nsecret_file = \"/nonexistent/s\"".to_owned(), "keys.identity.secret_file: private file /nonexistent/s: it does not exist"),
        ("[identity]\nkind = \"client-secret\"\nclient_id = \"c\"\ntenant_id = \"t\"\nsecret_file = \"/a\"\nauthority = \"http://login.example\"".to_owned(), "keys.identity.authority: begins with https://"),
    ];
    for (text, expected) in table {
        let found = problems(&text);
        assert!(
            found.len() == 1 && found[0].starts_with(expected)
                || found.iter().any(|problem| problem.starts_with(expected)),
            "{text}: {found:?}"
        );
    }
    let all = problems("key_vault = \"x\"\ncustomer_keys = true\ntrusted_vaults = [\"/\"]");
    assert_eq!(all.len(), 4, "all at once: {all:?}");
}

#[test]
fn an_identity_is_what_customers_are_shown_where_their_keys_are_offered() {
    let text = format!("{VAULT}customer_keys = true\n{MANAGED}principal_id = \"p\"\ntenant_id = \"t\"");
    assert_eq!(problems(&text), Vec::<String>::new());
    let shown = read(&text).customer_keys().unwrap();
    assert_eq!((shown.principal_id.as_deref(), shown.tenant_id.as_deref()), (Some("p"), Some("t")));
    assert!(read(&text.replace("customer_keys = true", "")).customer_keys().is_none());
    assert!(read(&text).wrapping().is_ok());
}

#[test]
fn a_key_file_that_is_missing_or_not_wrapped_is_named_before_the_start() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("master.key");
    let plain = read(&format!("file = {path:?}"));
    assert!(format!("{:#}", plain.check_file().unwrap_err()).contains("it does not exist"));
    let id = keys::KeyFile::generate(&path).unwrap();
    assert!(plain.check_file().is_ok());
    let guarded = read(&format!("file = {path:?}\n{VAULT}{MANAGED}"));
    assert_eq!(guarded.problems(), Vec::<String>::new());
    let problem = format!("{:#}", guarded.check_file().unwrap_err());
    assert!(problem.contains(&id.to_string()), "{problem}");
    assert!(problem.contains("is not wrapped by https://v.vault.azure.net/keys/station"), "{problem}");
    assert!(read("").check_file().is_ok(), "the credential is there for the service alone");
}

/// The lines of the sample that are only commented out, as an operator would take them in.
#[test]
fn what_the_sample_offers_beside_its_defaults_is_taken() {
    let sample = include_str!("../../../../../deploy/config.toml");
    let (_, section) = sample.split_once("\n[keys]\n").unwrap();
    let (section, _) = section.split_once("\n[custody]").unwrap();
    let is_setting = |text: &str| {
        text.starts_with('[') || text.split_once(" = ").is_some_and(|(key, _)| !key.contains(' '))
    };
    let taken: Vec<&str> = section
        .lines()
        .filter_map(|line| match line.strip_prefix("# ") {
            Some(text) => is_setting(text).then_some(text),
            None => Some(line),
        })
        .filter(|line| !line.starts_with("ca_file"))
        .collect();
    let keys = read(&taken.join("\n").replace("[keys.identity]", "[identity]"));
    assert_eq!(keys.problems(), Vec::<String>::new());
    assert!(
        keys.wrapping().is_ok() && keys.customer_keys().is_some_and(|shown| shown.principal_id.is_some())
    );
    assert_eq!(keys.trusted_vaults, ["vault.example.com"]);
}

#[test]
fn what_the_handbook_says_to_configure_is_taken() {
    let handbook = include_str!("../../../../../deploy/keys.md");
    let blocks: Vec<&str> =
        handbook.split("```toml\n").skip(1).map(|rest| rest.split("```").next().unwrap()).collect();
    assert_eq!(blocks.len(), 2);
    for block in blocks {
        let keys = read(&block.replace("[keys]\n", "").replace("[keys.identity]", "[identity]"));
        assert_eq!(keys.problems(), Vec::<String>::new(), "{block}");
    }
}
