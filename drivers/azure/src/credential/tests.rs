//! Every form a customer sends a credential in, and that none of them leaks.

use super::*;

const KEY: &str = "c3VwZXJzZWNyZXRzdXBlcnNlY3JldHN1cGVyc2VjcmV0c3VwZXJzZWNyZXQ=";
const SAS: &str = "sv=2023-11-03&ss=b&srt=sco&sp=rwl&se=2030-01-01T00%3A00%3A00Z&sig=SECRET%2Bsig%3D";

#[test]
fn every_form_is_recognised() {
    for (text, kind) in [
        (KEY.to_owned(), "account key"),
        (format!("{KEY}\n"), "account key"),
        (
            format!(
                "DefaultEndpointsProtocol=https;AccountName=acct1;AccountKey={KEY};EndpointSuffix=core.windows.net"
            ),
            "account key",
        ),
        (format!("accountname=acct1;ACCOUNTKEY={KEY}"), "account key"),
        ("UseDevelopmentStorage=true".to_owned(), "account key"),
        (
            format!("BlobEndpoint=https://acct1.blob.core.windows.net/;SharedAccessSignature={SAS}"),
            "account SAS",
        ),
        (SAS.to_owned(), "account SAS"),
        (format!("?{SAS}"), "account SAS"),
        ("sv=2023-11-03&sr=c&sp=r&sig=x%3D".to_owned(), "container SAS"),
        ("https://acct1.blob.core.windows.net/abc?sv=1&sr=c&sig=x".to_owned(), "container SAS"),
        ("sv=2023-11-03&sr=d&sdd=1&sp=r&sig=x%3D".to_owned(), "directory SAS"),
    ] {
        assert_eq!(Credential::from_text(&text).unwrap().kind(), kind, "{text}");
    }
}

#[test]
fn what_is_no_credential_is_refused_without_quoting_it() {
    for (text, expected) in [
        ("", CredentialError::Empty),
        ("hunter2 SECRET", CredentialError::Unrecognised),
        ("U0VDUkVU", CredentialError::Unrecognised),
        ("AccountName=acct1;AccountKey=SECRET*", CredentialError::Key),
        ("AccountName=acct1;EndpointSuffix=core.windows.net", CredentialError::NoSecret),
        ("AccountName=acct1;SECRET", CredentialError::Part { position: 2 }),
        ("sv=1&sr=c&sig=SECRET SECRET", CredentialError::SasCharacter),
        ("sr=c&sig=SECRET", CredentialError::SasField { field: "sv" }),
        ("sv=1&sig=SECRET", CredentialError::SasField { field: "sr or ss" }),
        ("https://acct1.blob.core.windows.net/SECRET", CredentialError::SasField { field: "sig" }),
    ] {
        let error = Credential::from_text(text).unwrap_err();
        assert!(!format!("{error} {error:?}").contains("SECRET"), "{text}");
        assert_eq!(error, expected, "{text}");
    }
}

#[test]
fn debug_shows_the_kind_only() {
    let credential = Credential::from_text(SAS).unwrap();
    assert_eq!(format!("{credential:?}"), "Credential(account SAS, redacted)");
    assert_eq!(format!("{:?}", AccountKey::from_base64(KEY).unwrap()), "AccountKey(redacted)");
}

#[test]
fn a_credential_for_another_account_is_refused() {
    let endpoint = Endpoint::parse("https://acct2.blob.core.windows.net").unwrap();
    let named = Credential::from_text(&format!("AccountName=acct1;AccountKey={KEY}")).unwrap();
    let expected = CredentialError::OtherAccount { named: "acct1".to_owned(), asked: "acct2".to_owned() };
    assert_eq!(named.check(&endpoint), Err(expected));
    let url = Credential::from_text(&format!("https://acct1.blob.core.windows.net/abc?{SAS}")).unwrap();
    assert!(matches!(url.check(&endpoint), Err(CredentialError::OtherEndpoint { .. })));
    assert!(Credential::from_text(KEY).unwrap().check(&endpoint).is_ok());
}

#[test]
fn a_connection_string_names_its_endpoint() {
    let text = format!("AccountName=acct1;AccountKey={KEY};BlobEndpoint=http://127.0.0.1:9/acct1;");
    let credential = Credential::from_text(&text).unwrap();
    assert_eq!(credential.endpoint().unwrap().to_string(), "http://127.0.0.1:9/acct1");
    let text = format!("AccountName=acct1;AccountKey={KEY};EndpointSuffix=core.windows.net");
    let credential = Credential::from_text(&text).unwrap();
    assert_eq!(credential.endpoint().unwrap().to_string(), "https://acct1.blob.core.windows.net");
    let plain = format!("AccountName=acct1;AccountKey={KEY};BlobEndpoint=http://10.0.0.1/acct1");
    assert!(matches!(
        Credential::from_text(&plain),
        Err(CredentialError::Endpoint(EndpointError::PlainHttp { .. }))
    ));
}

#[test]
fn a_sas_url_names_endpoint_and_container() {
    for url in ["https://acct1.blob.core.windows.net/a-b/x/y", "http://127.0.0.1:9/acct1/a-b/"] {
        let credential = Credential::from_text(&format!("{url}?sv=1&sr=c&sig=x")).unwrap();
        assert_eq!(credential.container(), Some("a-b"));
        assert_eq!(credential.endpoint().unwrap().account(), "acct1");
        assert!(credential.is_below_account());
    }
}
