//! Where a web-hook may go: https, to addresses that are everybody's.
//!
//! A station stands in a network with storage, management boards and metadata services in it, and whoever may add a
//! web-hook must not reach those through it. So every address that a name resolves to is held against [`Guard`] at the
//! moment of connecting, by the resolver of the client itself: there is no second look-up that could say otherwise.
//! Networks that are meant (a receiver in the house) are configured. Plain http only to a loopback address that is.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::str::FromStr;
use std::sync::Arc;

use reqwest::Url;
use reqwest::dns::{Addrs, Name, Resolve, Resolving};
use thiserror::Error;

/// A subscription's URL is stored and listed; nobody needs a longer one.
pub const URL_BYTES_MAX: usize = 2048;

/// A network, `10.1.0.0/16`, or one address.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Network {
    address: IpAddr,
    prefix: u8,
}

/// A text that is no network.
#[derive(Debug, Error, PartialEq, Eq)]
#[error("{0:?} is no network: write 10.1.0.0/16, fd00::/8 or an address")]
pub struct NotANetwork(String);

/// Which addresses web-hooks may go to beside the public ones.
#[derive(Clone, Debug, Default)]
pub struct Guard {
    allowed: Arc<[Network]>,
}

/// Why a URL is no receiver.
#[derive(Debug, Error, PartialEq, Eq)]
pub enum UrlRefused {
    /// Not a URL at all, or not one with a host.
    #[error("it is not an absolute URL with a host")]
    Unreadable,
    /// Longer than is stored.
    #[error("it is longer than {URL_BYTES_MAX} bytes")]
    Long,
    /// Another scheme than https.
    #[error("only https is delivered to, and plain http only to a loopback address that is configured")]
    Scheme,
    /// A name or password in it, which would be stored and listed.
    #[error("it carries a user name or a password")]
    Credentials,
    /// A part that is never sent.
    #[error("it has a fragment, which is never sent")]
    Fragment,
    /// An address inside, that is not configured.
    #[error("{0} is not a public address, and no configured network has it")]
    Address(IpAddr),
}

impl Guard {
    /// A guard that lets through what is public, and these networks.
    pub fn new(allowed: impl IntoIterator<Item = Network>) -> Self {
        Self { allowed: allowed.into_iter().collect() }
    }

    /// Whether a delivery may connect to this address.
    pub fn allows(&self, address: IpAddr) -> bool {
        let address = unmapped(address);
        is_public(address) || self.allowed.iter().any(|network| network.contains(address))
    }

    /// Reads a receiver's URL; names in it are looked up, and held against the guard, when it is connected to.
    pub fn check(&self, text: &str) -> Result<Url, UrlRefused> {
        if text.len() > URL_BYTES_MAX {
            return Err(UrlRefused::Long);
        }
        let url = Url::parse(text).map_err(|_| UrlRefused::Unreadable)?;
        let host = url.host_str().ok_or(UrlRefused::Unreadable)?;
        let literal = host.trim_start_matches('[').trim_end_matches(']').parse::<IpAddr>().ok();
        match (url.scheme(), literal) {
            ("https", _) => {}
            ("http", Some(address)) if unmapped(address).is_loopback() => {}
            _ => return Err(UrlRefused::Scheme),
        }
        if !url.username().is_empty() || url.password().is_some() {
            return Err(UrlRefused::Credentials);
        }
        if url.fragment().is_some() {
            return Err(UrlRefused::Fragment);
        }
        match literal {
            Some(address) if !self.allows(address) => Err(UrlRefused::Address(address)),
            _ => Ok(url),
        }
    }
}

/// The look-up of a delivery's connection: a name with one address that is refused is refused whole.
impl Resolve for Guard {
    fn resolve(&self, name: Name) -> Resolving {
        let guard = self.clone();
        Box::pin(async move {
            let found: Vec<SocketAddr> = tokio::net::lookup_host((name.as_str(), 0)).await?.collect();
            if let Some(refused) = found.iter().find(|address| !guard.allows(address.ip())) {
                return Err(UrlRefused::Address(refused.ip()).into());
            }
            Ok(Box::new(found.into_iter()) as Addrs)
        })
    }
}

impl Network {
    fn contains(&self, address: IpAddr) -> bool {
        match (self.address, address) {
            (IpAddr::V4(own), IpAddr::V4(other)) => {
                let shift = 32 - u32::from(self.prefix);
                own.to_bits().checked_shr(shift) == other.to_bits().checked_shr(shift)
            }
            (IpAddr::V6(own), IpAddr::V6(other)) => {
                let shift = 128 - u32::from(self.prefix);
                own.to_bits().checked_shr(shift) == other.to_bits().checked_shr(shift)
            }
            _ => false,
        }
    }
}

impl FromStr for Network {
    type Err = NotANetwork;

    fn from_str(text: &str) -> Result<Self, NotANetwork> {
        let wrong = || NotANetwork(text.to_owned());
        let (address, prefix) = text.split_once('/').map_or((text, None), |(a, p)| (a, Some(p)));
        let address: IpAddr = address.parse().map_err(|_| wrong())?;
        let longest = if address.is_ipv4() { 32 } else { 128 };
        let prefix = prefix.map_or(Ok(longest), str::parse).map_err(|_| wrong())?;
        if prefix > longest { Err(wrong()) } else { Ok(Self { address, prefix }) }
    }
}

/// An IPv4 address in IPv6 clothes is judged as what it is.
fn unmapped(address: IpAddr) -> IpAddr {
    match address {
        IpAddr::V6(six) => six.to_ipv4_mapped().map_or(address, IpAddr::V4),
        IpAddr::V4(_) => address,
    }
}

fn is_public(address: IpAddr) -> bool {
    match address {
        IpAddr::V4(four) => is_public_v4(four),
        IpAddr::V6(six) => is_public_v6(six),
    }
}

/// Everything but what the IANA's special-purpose registry takes out.
fn is_public_v4(address: Ipv4Addr) -> bool {
    let [a, b, c, _] = address.octets();
    let special = matches!(
        (a, b, c),
        (0 | 10 | 127, _, _)
            | (169, 254, _)
            | (192, 168, _)
            | (100, 64..=127, _)
            | (172, 16..=31, _)
            | (198, 18..=19, _)
            | (192, 0, 0 | 2)
            | (198, 51, 100)
            | (203, 0, 113)
            | (192, 88, 99)
    );
    !special && a < 224
}

/// Global unicast without the parts of it that carry an IPv4 address or are for papers only.
fn is_public_v6(address: Ipv6Addr) -> bool {
    match address.segments() {
        // 6to4 goes to the IPv4 address inside it.
        [0x2002, high, low, ..] => {
            is_public_v4(Ipv4Addr::from_bits((u32::from(high) << 16) | u32::from(low)))
        }
        // NAT64, the same.
        [0x64, 0xff9b, 0, 0, 0, 0, high, low] => {
            is_public_v4(Ipv4Addr::from_bits((u32::from(high) << 16) | u32::from(low)))
        }
        // Teredo and the other assignments below 2001:200::, documentation.
        [0x2001, second, ..] if second < 0x200 || second == 0xdb8 => false,
        [0x3fff, ..] => false,
        [first, ..] => (0x2000..0x4000).contains(&first),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn guard(networks: &[&str]) -> Guard {
        Guard::new(networks.iter().map(|text| text.parse().unwrap()))
    }

    #[test]
    fn nothing_inside_is_reached_without_being_configured() {
        let inside = [
            "127.0.0.1",
            "10.0.0.1",
            "172.16.0.1",
            "172.31.255.255",
            "192.168.1.1",
            "169.254.169.254",
            "100.64.0.1",
            "0.0.0.0",
            "224.0.0.1",
            "255.255.255.255",
            "192.0.0.1",
            "198.18.0.1",
            "::1",
            "::",
            "fe80::1",
            "fc00::1",
            "fd12::1",
            "fec0::1",
            "ff02::1",
            "::ffff:10.0.0.1",
            "::ffff:127.0.0.1",
            "64:ff9b::a00:1",
            "2002:7f00:1::",
            "2001::1",
            "2001:db8::1",
            "::127.0.0.1",
        ];
        for text in inside {
            assert!(!guard(&[]).allows(text.parse().unwrap()), "{text}");
        }
    }

    #[test]
    fn the_public_internet_is_reached() {
        for text in ["8.8.8.8", "172.32.0.1", "100.128.0.1", "192.0.1.1", "2606:4700::1", "::ffff:8.8.8.8"] {
            assert!(guard(&[]).allows(text.parse().unwrap()), "{text}");
        }
    }

    #[test]
    fn a_configured_network_is_reached_and_its_neighbours_are_not() {
        let guard = guard(&["10.1.0.0/16", "fd00::/8", "127.0.0.1"]);
        for (text, reached) in [
            ("10.1.255.1", true),
            ("10.2.0.1", false),
            ("fd99::1", true),
            ("fc00::1", false),
            ("127.0.0.1", true),
            ("127.0.0.2", false),
            ("::ffff:10.1.0.1", true),
        ] {
            assert_eq!(guard.allows(text.parse().unwrap()), reached, "{text}");
        }
        let all: Guard = Guard::new(["0.0.0.0/0".parse().unwrap()]);
        assert!(all.allows("10.0.0.1".parse().unwrap()) && !all.allows("::1".parse().unwrap()));
    }

    #[test]
    fn networks_are_read_strictly() {
        for text in ["", "10.0.0.0/33", "::/129", "10.0.0.0/", "10.0.0/8", "localhost", "10.0.0.0/-1"] {
            assert_eq!(text.parse::<Network>(), Err(NotANetwork(text.to_owned())));
        }
    }

    #[test]
    fn urls_that_are_no_receivers_are_refused_with_the_reason() {
        let open = guard(&["127.0.0.0/8"]);
        let refused = |text: &str| open.check(text).err();
        assert_eq!(refused("https://hooks.example/a?b=c"), None);
        assert_eq!(refused("http://127.0.0.1:8080/"), None);
        assert_eq!(refused("http://hooks.example/"), Some(UrlRefused::Scheme));
        assert_eq!(refused("http://localhost/"), Some(UrlRefused::Scheme));
        assert_eq!(refused("file:///etc/passwd"), Some(UrlRefused::Unreadable));
        assert_eq!(refused("gopher://hooks.example/"), Some(UrlRefused::Scheme));
        assert_eq!(refused("https://a:b@hooks.example/"), Some(UrlRefused::Credentials));
        assert_eq!(refused("https://hooks.example/#x"), Some(UrlRefused::Fragment));
        assert_eq!(refused("hooks"), Some(UrlRefused::Unreadable));
        assert_eq!(refused(&format!("https://h.example/{}", "x".repeat(3000))), Some(UrlRefused::Long));
        // The spellings of 127.0.0.1 that browsers and curl take are the address, not names.
        let closed = guard(&[]);
        for text in
            ["https://127.1/", "https://2130706433/", "https://0x7f.1/", "https://[::ffff:127.0.0.1]/"]
        {
            assert!(matches!(closed.check(text), Err(UrlRefused::Address(_))), "{text}");
        }
    }

    #[tokio::test]
    async fn a_name_that_leads_inside_is_refused_when_it_is_connected_to() {
        let name: Name = "localhost".parse().unwrap();
        assert!(guard(&[]).resolve(name).await.is_err());
        let name: Name = "localhost".parse().unwrap();
        assert!(guard(&["127.0.0.0/8", "::1"]).resolve(name).await.is_ok());
    }
}
