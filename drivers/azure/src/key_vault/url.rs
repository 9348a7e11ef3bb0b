//! Where a key in Key Vault is: `https://{vault}.vault.azure.net/keys/{name}[/{version}]`.
//!
//! Owns which hosts are believed to be Key Vault. A job's `kekUrl` comes from a customer, and whoever
//! answers under it is sent the station's token; so only Microsoft's own domains are taken, and hosts that
//! the station's configuration names. Invariant: a [`KeyUrl`] is https (or loopback, and then named in the
//! configuration), has no port, user, query or fragment beside those, and no segment that would be read as
//! another path.

use std::fmt;

use azure_core::http::Url;

/// Microsoft's domains with Key Vaults and Managed HSMs: public cloud, China, US government.
const DOMAINS: [&str; 6] = [
    "vault.azure.net",
    "managedhsm.azure.net",
    "vault.azure.cn",
    "managedhsm.azure.cn",
    "vault.usgovcloudapi.net",
    "managedhsm.usgovcloudapi.net",
];
/// Longest name of a key or version; both are documented to have at most 127 characters.
const NAME_CHARS_MAX: usize = 127;

/// The URL of a key, with or without its version.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct KeyUrl {
    origin: String,
    scope: String,
    name: String,
    version: Option<String>,
}

/// Why a text is not the URL of a key that may be asked for.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum KeyUrlError {
    /// Not a URL.
    #[error("the key's URL is no URL")]
    NotAUrl,
    /// Not `/keys/name/version`.
    #[error("the key's URL is not of the form https://VAULT/keys/NAME or https://VAULT/keys/NAME/VERSION")]
    Form,
    /// Plain HTTP to somewhere else than this machine.
    #[error("the key's URL is not https")]
    NotHttps,
    /// Somebody who is not Key Vault would get the station's token.
    #[error("{host} is no Azure Key Vault, and not named as a trusted host in the configuration")]
    Host {
        /// The host.
        host: String,
    },
}

impl KeyUrl {
    /// Reads a key's URL. `trusted_hosts` are taken besides Microsoft's, each as `host` or `host:port`.
    ///
    /// # Errors
    /// Why it is none, or not trusted.
    pub fn parse(text: &str, trusted_hosts: &[String]) -> Result<KeyUrl, KeyUrlError> {
        let url = Url::parse(text).map_err(|_| KeyUrlError::NotAUrl)?;
        let host = url.host_str().ok_or(KeyUrlError::Form)?.to_ascii_lowercase();
        let authority = url.port().map_or_else(|| host.clone(), |port| format!("{host}:{port}"));
        let is_named = trusted_hosts.iter().any(|trusted| trusted.eq_ignore_ascii_case(&authority));
        let is_loopback = matches!(host.as_str(), "localhost" | "127.0.0.1" | "[::1]");
        if url.scheme() != "https" && !(url.scheme() == "http" && is_loopback && is_named) {
            return Err(KeyUrlError::NotHttps);
        }
        if !url.username().is_empty() || url.password().is_some() {
            return Err(KeyUrlError::Form);
        }
        let scope = match (domain_of(&host), is_named) {
            (Some(domain), _) if url.port().is_none() => format!("https://{domain}/.default"),
            (_, true) => "https://vault.azure.net/.default".to_owned(),
            _ => return Err(KeyUrlError::Host { host: authority }),
        };
        let (name, version) = segments(&url)?;
        Ok(KeyUrl { origin: format!("{}://{authority}", url.scheme()), scope, name, version })
    }

    /// Whether one version is meant, not the latest.
    pub fn is_versioned(&self) -> bool {
        self.version.is_some()
    }

    /// Whether `other` is a version of this key; the same version, if this names one.
    pub fn includes(&self, other: &KeyUrl) -> bool {
        self.is_same_key(other) && (self.version.is_none() || self.version == other.version)
    }

    /// Whether this is the same vault and key, whichever version.
    pub fn is_same_key(&self, other: &KeyUrl) -> bool {
        self.origin == other.origin && self.name.eq_ignore_ascii_case(&other.name)
    }

    /// What a token for it is for.
    pub(super) fn scope(&self) -> &str {
        &self.scope
    }

    /// The host, as messages name the vault.
    pub(super) fn host(&self) -> &str {
        self.origin.split_once("://").map_or("", |(_, authority)| authority)
    }

    pub(super) fn is_https(&self) -> bool {
        self.origin.starts_with("https:")
    }
}

impl fmt::Display for KeyUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/keys/{}", self.origin, self.name)?;
        self.version.as_ref().map_or(Ok(()), |version| write!(f, "/{version}"))
    }
}

/// Microsoft's domain, if the host is one label below it.
fn domain_of(host: &str) -> Option<&'static str> {
    let (label, domain) = host.split_once('.')?;
    let is_label = !label.is_empty() && label.chars().all(|c| c.is_ascii_alphanumeric() || c == '-');
    DOMAINS.into_iter().find(|known| is_label && *known == domain)
}

fn segments(url: &Url) -> Result<(String, Option<String>), KeyUrlError> {
    // Published samples have two slashes after the host, and `id`s end in one at times.
    let path: Vec<&str> = url.path().split('/').filter(|segment| !segment.is_empty()).collect();
    let is_plain = |text: &&str| {
        text.len() <= NAME_CHARS_MAX && text.chars().all(|c| c.is_ascii_alphanumeric() || c == '-')
    };
    if url.query().is_some() || url.fragment().is_some() || !path.iter().all(is_plain) {
        return Err(KeyUrlError::Form);
    }
    match path.as_slice() {
        ["keys", name] => Ok(((*name).to_owned(), None)),
        ["keys", name, version] => Ok(((*name).to_owned(), Some((*version).to_owned()))),
        _ => Err(KeyUrlError::Form),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_of_all_clouds_are_taken_with_the_scope_of_their_cloud() {
        for (text, scope) in [
            ("https://v.vault.azure.net/keys/k", "https://vault.azure.net/.default"),
            ("https://V.vault.azure.net//keys/k/0a1b/", "https://vault.azure.net/.default"),
            ("https://v-1.managedhsm.azure.net/keys/k/1", "https://managedhsm.azure.net/.default"),
            ("https://v.vault.azure.cn/keys/k/1", "https://vault.azure.cn/.default"),
            ("https://v.vault.usgovcloudapi.net/keys/k", "https://vault.usgovcloudapi.net/.default"),
        ] {
            assert_eq!(KeyUrl::parse(text, &[]).unwrap().scope(), scope);
        }
        let url = KeyUrl::parse("https://V.vault.azure.net//keys/k/0a1b/", &[]).unwrap();
        assert_eq!(url.to_string(), "https://v.vault.azure.net/keys/k/0a1b");
        assert!(url.is_versioned());
    }

    #[test]
    fn a_customers_url_cannot_send_the_stations_token_elsewhere() {
        for text in [
            "https://evil.example/keys/k",
            "https://vault.azure.net.evil.example/keys/k",
            "https://evilvault.azure.net/keys/k",
            "https://vault.azure.net/keys/k",
            "https://a.b.vault.azure.net/keys/k",
            "https://v.vault.azure.net:8443/keys/k",
            "https://127.0.0.1/keys/k",
            "https://169.254.169.254/keys/k",
        ] {
            assert!(matches!(KeyUrl::parse(text, &[]), Err(KeyUrlError::Host { .. })), "{text}");
        }
        for text in
            ["http://v.vault.azure.net/keys/k", "http://127.0.0.1:80/keys/k", "ftp://localhost/keys/k"]
        {
            assert_eq!(KeyUrl::parse(text, &[]), Err(KeyUrlError::NotHttps), "{text}");
        }
    }

    #[test]
    fn what_is_not_a_keys_path_is_refused() {
        for text in [
            "https://v.vault.azure.net/",
            "https://v.vault.azure.net/keys",
            "https://v.vault.azure.net/secrets/k",
            "https://v.vault.azure.net/keys/k/1/wrapkey",
            "https://v.vault.azure.net/keys/k%2F1",
            "https://v.vault.azure.net/keys/k?x=1",
            "https://v.vault.azure.net/keys/k#x",
            "https://user@v.vault.azure.net/keys/k",
            "https://v.vault.azure.net@evil.example/keys/k",
        ] {
            assert!(KeyUrl::parse(text, &[]).is_err(), "{text}");
        }
        assert_eq!(KeyUrl::parse("key", &[]), Err(KeyUrlError::NotAUrl));
        let long = format!("https://v.vault.azure.net/keys/{}", "k".repeat(128));
        assert_eq!(KeyUrl::parse(&long, &[]), Err(KeyUrlError::Form));
    }

    #[test]
    fn a_key_includes_its_versions_and_a_version_only_itself() {
        let [key, first, second, other] = ["k", "K/1", "k/2", "l/1"]
            .map(|path| KeyUrl::parse(&format!("https://v.vault.azure.net/keys/{path}"), &[]).unwrap());
        assert!(key.includes(&key) && key.includes(&first) && key.includes(&second));
        assert!(first.includes(&first) && !first.includes(&second) && !first.includes(&key));
        assert!(!key.includes(&other) && !other.is_same_key(&key) && first.is_same_key(&second));
        let elsewhere = KeyUrl::parse("https://w.vault.azure.net/keys/k/1", &[]).unwrap();
        assert!(!key.includes(&elsewhere));
    }

    #[test]
    fn loopback_is_taken_only_where_the_configuration_names_it() {
        let trusted = ["127.0.0.1:1234".to_owned(), "kms.example".to_owned()];
        let url = KeyUrl::parse("http://127.0.0.1:1234/keys/k", &trusted).unwrap();
        assert_eq!((url.host(), url.is_https()), ("127.0.0.1:1234", false));
        assert!(KeyUrl::parse("https://kms.example/keys/k", &trusted).is_ok());
        assert_eq!(KeyUrl::parse("http://kms.example/keys/k", &trusted), Err(KeyUrlError::NotHttps));
        assert!(KeyUrl::parse("https://127.0.0.1:9/keys/k", &trusted).is_err());
    }
}
