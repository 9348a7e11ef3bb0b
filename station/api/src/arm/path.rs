//! Paths of the provider, read as ARM does: fixed segments in any case, names as given.
//!
//! A router compares segments exactly, so the surface is one handler behind this function instead. Names are
//! checked for what ARM allows in them here, before anything looks them up; that they exist is for the service.

use axum::http::Method;

use super::error::ArmError;

/// What a path names.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Target {
    /// `/providers/Microsoft.ImportExport/operations`
    Operations,
    /// `/providers/Microsoft.ImportExport/locations`
    Locations,
    /// `/providers/Microsoft.ImportExport/locations/{name}`
    Location(String),
    /// `/subscriptions/{subscription}/providers/Microsoft.ImportExport/jobs`
    SubscriptionJobs(String),
    /// `/subscriptions/{subscription}/resourceGroups/{group}/providers/Microsoft.ImportExport/jobs`
    GroupJobs(Group),
    /// `…/jobs/{name}`
    Job(Group, String),
    /// `…/jobs/{name}/listBitLockerKeys`
    BitLockerKeys(Group, String),
    /// `…/providers/Microsoft.ImportExport/moveResources`
    MoveResources(Group),
}

/// A resource group as a path names it.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Group {
    /// The subscription's id.
    pub subscription: String,
    /// The group's name.
    pub name: String,
}

const NAMESPACE: &str = "Microsoft.ImportExport";

impl Target {
    /// Reads a request's path, still percent-encoded.
    pub fn parse(path: &str) -> Result<Self, ArmError> {
        let segments = path.trim_matches('/').split('/').map(decoded).collect::<Option<Vec<_>>>();
        let segments = segments.ok_or_else(ArmError::invalid_path)?;
        let segments: Vec<&str> = segments.iter().map(String::as_str).collect();
        match segments[..] {
            [providers, ref rest @ ..] if is(providers, "providers") => Self::of_tenant(rest),
            [subscriptions, subscription, ref rest @ ..] if is(subscriptions, "subscriptions") => {
                Self::of_subscription(checked_subscription(subscription)?, rest)
            }
            _ => Err(ArmError::unknown_path()),
        }
    }

    /// The methods that the target has, as an `Allow` header lists them.
    pub const fn methods(&self) -> &'static [Method] {
        match self {
            Self::Operations
            | Self::Locations
            | Self::Location(_)
            | Self::SubscriptionJobs(_)
            | Self::GroupJobs(_) => &[Method::GET],
            Self::Job(..) => &[Method::GET, Method::PUT, Method::PATCH, Method::DELETE],
            // The first description had GET here, the later ones POST.
            Self::BitLockerKeys(..) => &[Method::POST, Method::GET],
            Self::MoveResources(_) => &[Method::POST],
        }
    }

    fn of_tenant(rest: &[&str]) -> Result<Self, ArmError> {
        match in_namespace(rest)? {
            [kind] if is(kind, "operations") => Ok(Self::Operations),
            [kind] if is(kind, "locations") => Ok(Self::Locations),
            [kind, name] if is(kind, "locations") => Ok(Self::Location((*name).to_owned())),
            other => Err(ArmError::unknown_type(other)),
        }
    }

    fn of_subscription(subscription: String, rest: &[&str]) -> Result<Self, ArmError> {
        match rest {
            [groups, name, providers, rest @ ..]
                if is(groups, "resourceGroups") && is(providers, "providers") =>
            {
                Self::of_group(Group { subscription, name: checked_group(name)? }, in_namespace(rest)?)
            }
            [providers, rest @ ..] if is(providers, "providers") => match in_namespace(rest)? {
                [kind] if is(kind, "jobs") => Ok(Self::SubscriptionJobs(subscription)),
                other => Err(ArmError::unknown_type(other)),
            },
            _ => Err(ArmError::unknown_path()),
        }
    }

    fn of_group(group: Group, rest: &[&str]) -> Result<Self, ArmError> {
        match rest {
            [kind] if is(kind, "jobs") => Ok(Self::GroupJobs(group)),
            [kind] if is(kind, "moveResources") => Ok(Self::MoveResources(group)),
            [kind, name] if is(kind, "jobs") => Ok(Self::Job(group, (*name).to_owned())),
            [kind, name, action] if is(kind, "jobs") && is(action, "listBitLockerKeys") => {
                Ok(Self::BitLockerKeys(group, (*name).to_owned()))
            }
            other => Err(ArmError::unknown_type(other)),
        }
    }
}

fn is(segment: &str, word: &str) -> bool {
    segment.eq_ignore_ascii_case(word)
}

fn in_namespace<'a, 'b>(rest: &'a [&'b str]) -> Result<&'a [&'b str], ArmError> {
    match rest {
        [namespace, rest @ ..] if is(namespace, NAMESPACE) => Ok(rest),
        _ => Err(ArmError::unknown_namespace()),
    }
}

/// ARM's subscriptions are GUIDs. Published examples mask theirs with letters that are no hexadecimal digits, and
/// a station may name its own as it likes, so letters, digits and hyphens will do.
fn checked_subscription(id: &str) -> Result<String, ArmError> {
    let fits =
        (1..=64).contains(&id.len()) && id.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-');
    if fits { Ok(id.to_owned()) } else { Err(ArmError::invalid_subscription()) }
}

/// ARM: up to 90 characters, letters, digits and `_-.()`, not ending in a dot.
fn checked_group(name: &str) -> Result<String, ArmError> {
    let allowed = |c: char| c.is_alphanumeric() || "_-.()".contains(c);
    let fits = (1..=90).contains(&name.chars().count()) && name.chars().all(allowed) && !name.ends_with('.');
    if fits { Ok(name.to_owned()) } else { Err(ArmError::invalid_group()) }
}

/// One segment with its percent-escapes resolved; `None` where they are no UTF-8, or hide a slash or a control
/// character.
fn decoded(segment: &str) -> Option<String> {
    let mut bytes = Vec::with_capacity(segment.len());
    let mut rest = segment.as_bytes();
    while let [byte, after @ ..] = rest {
        rest = after;
        match (byte, after) {
            (b'%', [high, low, after @ ..]) => {
                bytes.push(hex(*high)? << 4 | hex(*low)?);
                rest = after;
            }
            (b'%', _) => return None,
            _ => bytes.push(*byte),
        }
    }
    let text = String::from_utf8(bytes).ok()?;
    (!text.contains(|c: char| c == '/' || c.is_control())).then_some(text)
}

const fn hex(digit: u8) -> Option<u8> {
    match digit {
        b'0'..=b'9' => Some(digit - b'0'),
        b'a'..=b'f' => Some(digit - b'a' + 10),
        b'A'..=b'F' => Some(digit - b'A' + 10),
        _ => None,
    }
}
