//! Where the account is: the checked base of every URL.
//!
//! Owns the two shapes of an endpoint (account in the host name, account in the path) and the rule
//! that plain HTTP goes to this machine only. Invariant: a URL made here has exactly the encoded
//! path of `encode`, because that text is what Shared Key signs. azure-storage.md §7.5, §8.

use std::fmt;
use std::net::IpAddr;

use azure_core::http::Url;
use model::BlobPath;

use crate::encode::append_path;

/// The blob endpoint of one account.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Endpoint {
    /// Scheme, host, port, and the account for path-style; no slash at the end.
    base: String,
    account: String,
    https: bool,
}

impl Endpoint {
    /// Reads `https://ACCOUNT.blob.core.windows.net` or `http://127.0.0.1:10000/devstoreaccount1`.
    ///
    /// # Errors
    /// The first rule that the text breaks.
    pub fn parse(text: &str) -> Result<Endpoint, EndpointError> {
        let url = Url::parse(text.trim()).map_err(|_| EndpointError::NotAUrl)?;
        let https = match url.scheme() {
            "https" => true,
            "http" => false,
            _ => return Err(EndpointError::Scheme),
        };
        if url.query().is_some() || url.fragment().is_some() {
            return Err(EndpointError::Query);
        }
        if !url.username().is_empty() || url.password().is_some() {
            return Err(EndpointError::UserInfo);
        }
        let host = url.host_str().ok_or(EndpointError::NotAUrl)?;
        if !https && !is_loopback(host) {
            return Err(EndpointError::PlainHttp { host: host.to_owned() });
        }
        let (account, path_style) = account_of(host, url.path())?;
        let port = url.port().map(|port| format!(":{port}")).unwrap_or_default();
        let path = if path_style { format!("/{account}") } else { String::new() };
        Ok(Endpoint { base: format!("{}://{host}{port}{path}", url.scheme()), account, https })
    }

    /// The account's name, as signatures need it.
    pub fn account(&self) -> &str {
        &self.account
    }

    /// Whether the connection is encrypted; plain HTTP is for loopback only.
    pub fn is_https(&self) -> bool {
        self.https
    }

    /// The URL of a resource, without a query.
    pub(crate) fn url(&self, resource: Resource<'_>) -> String {
        let mut url = self.base.clone();
        url.push('/');
        match resource {
            Resource::Account => {}
            Resource::Container(container) => url.push_str(container),
            Resource::Blob(path) => {
                url.push_str(path.container());
                url.push('/');
                append_path(&mut url, path.name());
            }
        }
        url
    }
}

impl fmt::Display for Endpoint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.base)
    }
}

/// What a request is about.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Resource<'a> {
    Account,
    Container(&'a str),
    Blob(&'a BlobPath),
}

impl fmt::Display for Resource<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Resource::Account => f.write_str("the account"),
            Resource::Container(container) => f.write_str(container),
            Resource::Blob(path) => path.fmt(f),
        }
    }
}

/// Why a text is not a blob endpoint. None of the messages quotes the text: it may hold a SAS.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum EndpointError {
    /// No URL at all.
    #[error("the endpoint is not a URL; expected https://ACCOUNT.blob.core.windows.net")]
    NotAUrl,
    /// Neither http nor https.
    #[error("the endpoint must begin with https:// (http:// is for 127.0.0.1, ::1 and localhost only)")]
    Scheme,
    /// A query, which would be a SAS.
    #[error("the endpoint has a query; a SAS belongs into the credential, not into the endpoint")]
    Query,
    /// A user name or password.
    #[error("the endpoint has a user name or password, which the storage service does not know")]
    UserInfo,
    /// Bytes and signatures would cross the network in the clear.
    #[error("the endpoint {host} must be https: plain http is for 127.0.0.1, ::1 and localhost only")]
    PlainHttp {
        /// The host as given.
        host: String,
    },
    /// The Data Lake endpoint, which has another API.
    #[error("{host} is the Data Lake endpoint; give the account's blob endpoint, which serves it too")]
    DataLake {
        /// The host as given.
        host: String,
    },
    /// No account in host or path.
    #[error("the endpoint {host} does not name the account; expected ACCOUNT.blob… or HOST/ACCOUNT")]
    NoAccount {
        /// The host as given.
        host: String,
    },
    /// A container or more after the account.
    #[error("the endpoint has more path than the account; containers are named by the manifest")]
    Path,
    /// Characters that no account has.
    #[error("{found:?} is not an account name: 3 to 24 lower-case letters and digits are")]
    AccountName {
        /// The name found.
        found: String,
    },
}

/// `ACCOUNT.blob.…` and `ACCOUNT.z12.blob.…` name the account first; anything else is path-style.
fn account_of(host: &str, path: &str) -> Result<(String, bool), EndpointError> {
    let path = path.trim_matches('/');
    let mut labels = host.split('.');
    let first = labels.next().unwrap_or_default();
    let service = if is_ip(host) { None } else { labels.find(|label| matches!(*label, "blob" | "dfs")) };
    match service {
        Some("dfs") => Err(EndpointError::DataLake { host: host.to_owned() }),
        Some(_) if !path.is_empty() => Err(EndpointError::Path),
        Some(_) => check_account(first).map(|account| (account, false)),
        None if path.is_empty() => Err(EndpointError::NoAccount { host: host.to_owned() }),
        None if path.contains('/') => Err(EndpointError::Path),
        None => check_account(path).map(|account| (account, true)),
    }
}

/// Account names are 3 to 24 characters of a–z and 0–9; the secondary of a read-only replica
/// ends with `-secondary`, which cannot be written to.
fn check_account(name: &str) -> Result<String, EndpointError> {
    let allowed = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit();
    if (3..=24).contains(&name.len()) && name.chars().all(allowed) {
        Ok(name.to_owned())
    } else {
        Err(EndpointError::AccountName { found: name.to_owned() })
    }
}

fn is_ip(host: &str) -> bool {
    host.trim_matches(['[', ']']).parse::<IpAddr>().is_ok()
}

fn is_loopback(host: &str) -> bool {
    host == "localhost"
        || host.ends_with(".localhost")
        || host.trim_matches(['[', ']']).parse::<IpAddr>().is_ok_and(|address| address.is_loopback())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_shapes_name_their_account() {
        for (text, account, shown) in [
            ("https://acct1.blob.core.windows.net", "acct1", "https://acct1.blob.core.windows.net"),
            ("https://acct1.blob.core.windows.net/", "acct1", "https://acct1.blob.core.windows.net"),
            ("https://acct1.z12.blob.storage.azure.net", "acct1", "https://acct1.z12.blob.storage.azure.net"),
            (
                "http://127.0.0.1:10000/devstoreaccount1",
                "devstoreaccount1",
                "http://127.0.0.1:10000/devstoreaccount1",
            ),
            (
                "http://[::1]:10000/devstoreaccount1/",
                "devstoreaccount1",
                "http://[::1]:10000/devstoreaccount1",
            ),
            ("https://storage.example:8443/acct1", "acct1", "https://storage.example:8443/acct1"),
            ("http://acct1.blob.localhost:10000", "acct1", "http://acct1.blob.localhost:10000"),
        ] {
            let endpoint = Endpoint::parse(text).unwrap();
            assert_eq!((endpoint.account(), endpoint.to_string().as_str()), (account, shown), "{text}");
        }
    }

    #[test]
    fn plain_http_is_refused_except_on_loopback() {
        assert_eq!(
            Endpoint::parse("http://acct1.blob.core.windows.net"),
            Err(EndpointError::PlainHttp { host: "acct1.blob.core.windows.net".to_owned() })
        );
        assert_eq!(
            Endpoint::parse("http://10.0.0.1/acct1").unwrap_err().to_string(),
            "the endpoint 10.0.0.1 must be https: plain http is for 127.0.0.1, ::1 and localhost only"
        );
        assert!(Endpoint::parse("http://127.9.9.9/acct1").is_ok());
        assert!(Endpoint::parse("http://localhost:1/acct1").is_ok());
    }

    #[test]
    fn each_broken_rule_is_named_without_quoting_a_secret() {
        for (text, expected) in [
            ("acct1", EndpointError::NotAUrl),
            ("ftp://acct1.blob.core.windows.net", EndpointError::Scheme),
            ("https://acct1.blob.core.windows.net/?sig=SECRET", EndpointError::Query),
            ("https://u:SECRET@acct1.blob.core.windows.net/", EndpointError::UserInfo),
            ("https://acct1.blob.core.windows.net/container", EndpointError::Path),
            ("https://10.0.0.1/acct1/container", EndpointError::Path),
            ("https://files.example", EndpointError::NoAccount { host: "files.example".to_owned() }),
            (
                "https://acct1.dfs.core.windows.net",
                EndpointError::DataLake { host: "acct1.dfs.core.windows.net".to_owned() },
            ),
            (
                "https://acct1-secondary.blob.core.windows.net",
                EndpointError::AccountName { found: "acct1-secondary".to_owned() },
            ),
        ] {
            let error = Endpoint::parse(text).unwrap_err();
            assert!(!error.to_string().contains("SECRET"));
            assert_eq!(error, expected, "{text}");
        }
    }

    proptest::proptest! {
        #[test]
        fn any_name_the_model_allows_survives_the_url_library(name in "\\PC{1,60}") {
            let endpoint = Endpoint::parse("http://127.0.0.1:1/acct1").unwrap();
            if let Ok(path) = BlobPath::new("abc", &name) {
                let text = endpoint.url(Resource::Blob(&path));
                let url = Url::parse(&text).unwrap();
                proptest::prop_assert_eq!(url.as_str(), &text);
                let encoded = url.path().strip_prefix("/acct1/abc/").unwrap();
                proptest::prop_assert_eq!(crate::encode::decode(encoded), name);
            }
        }
    }

    #[test]
    fn urls_carry_the_name_byte_for_byte() {
        let endpoint = Endpoint::parse("http://127.0.0.1:1/acct1").unwrap();
        let url = |path: &str| endpoint.url(Resource::Blob(&BlobPath::parse(path).unwrap()));
        assert_eq!(url("abc/a b//c%2F#?+é"), "http://127.0.0.1:1/acct1/abc/a%20b//c%252F%23%3F%2B%C3%A9");
        assert_eq!(url("$root/x"), "http://127.0.0.1:1/acct1/$root/x");
        assert_eq!(endpoint.url(Resource::Account), "http://127.0.0.1:1/acct1/");
    }
}
