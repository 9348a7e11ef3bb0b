//! Shared access signatures: of the account, and of the blob service (container, blob, snapshot).
//!
//! Owns their two strings to sign (spec §7.5), for `sv` 2018-11-09 and later, and every limit that a
//! signature can carry: times, addresses, protocol, service, resource types, a stored access policy.

use std::net::IpAddr;

use super::super::codes::{self, Refusal};
use super::super::request::Head;
use super::super::stamp::Stamp;
use super::super::state::{Account, Policy};
use super::{Credentials, Grant, failed};

/// Signatures of this version and later have a line for the encryption scope.
const FIRST_WITH_SCOPE: &str = "2020-12-06";
/// The oldest version whose strings are known here.
const FIRST_KNOWN: &str = "2018-11-09";

/// Checks the signature in the query.
pub(super) fn check(head: &Head, account: &Account, credentials: &Credentials) -> Result<Grant, Refusal> {
    let version = head.query("sv").unwrap_or_default();
    if version < FIRST_KNOWN {
        return Err(failed(format!("sv {version:?} is not a version that is known here")));
    }
    let of_account = head.query("ss").is_some();
    let text = if of_account { account_text(head, account) } else { service_text(head, account) };
    if !credentials.verifies(&text, head.query("sig").unwrap_or_default()) {
        let shown = text.replace('\n', "\\n");
        return Err(failed(format!("the signature does not fit; the string to sign is '{shown}'")));
    }
    let policy = stored_policy(head, account)?;
    let field = |name: &str, stored: &str| match head.query(name) {
        Some(value) if !value.is_empty() => value.to_owned(),
        _ => stored.to_owned(),
    };
    check_times(&field("st", &policy.start), &field("se", &policy.expiry), account.clock.now())?;
    check_protocol(head)?;
    check_address(head)?;
    if of_account {
        check_account_scope(head)?
    } else {
        check_service_scope(head)?
    };
    Ok(Grant::Letters(field("sp", &policy.permission)))
}

fn account_text(head: &Head, account: &Account) -> String {
    let mut lines = vec![account.name.clone()];
    lines.extend(["sp", "ss", "srt", "st", "se", "sip", "spr", "sv"].map(|name| value(head, name)));
    if value(head, "sv").as_str() >= FIRST_WITH_SCOPE {
        lines.push(value(head, "ses"));
    }
    lines.push(String::new());
    lines.join("\n")
}

fn service_text(head: &Head, account: &Account) -> String {
    let whole_container = value(head, "sr") == "c";
    let mut resource = format!("/blob/{}/{}", account.name, head.container);
    if !whole_container {
        resource.push_str(&format!("/{}", head.blob));
    }
    let mut lines: Vec<String> = ["sp", "st", "se"].map(|name| value(head, name)).into();
    lines.push(resource);
    lines.extend(["si", "sip", "spr", "sv", "sr"].map(|name| value(head, name)));
    lines.push(if value(head, "sr") == "bs" { value(head, "snapshot") } else { String::new() });
    if value(head, "sv").as_str() >= FIRST_WITH_SCOPE {
        lines.push(value(head, "ses"));
    }
    lines.extend(["rscc", "rscd", "rsce", "rscl", "rsct"].map(|name| value(head, name)));
    lines.join("\n")
}

fn value(head: &Head, name: &str) -> String {
    head.query(name).unwrap_or_default().to_owned()
}

/// What a stored access policy adds; one that was removed revokes the signature.
fn stored_policy(head: &Head, account: &Account) -> Result<Policy, Refusal> {
    let Some(id) = head.query("si") else { return Ok(Policy::default()) };
    let revoked = || failed("the stored access policy is not there");
    let container = account.container(&head.container).map_err(|_| revoked())?;
    let state = container.lock().map_err(|_| revoked())?;
    state.policies.iter().find(|policy| policy.id == id).cloned().ok_or_else(revoked)
}

fn check_times(start: &str, expiry: &str, now: Stamp) -> Result<(), Refusal> {
    if !start.is_empty() {
        let start = Stamp::parse_iso(start).ok_or_else(|| failed("st is not a time"))?;
        if now < start {
            return Err(failed(format!("the signature begins to be good at {start}; it is {now}")));
        }
    }
    let expiry = Stamp::parse_iso(expiry).ok_or_else(|| failed("se is missing or not a time"))?;
    if now >= expiry {
        return Err(failed(format!("the signature was good until {expiry}; it is {now}")));
    }
    Ok(())
}

/// The endpoint speaks plain http only, so a signature for https alone never fits.
fn check_protocol(head: &Head) -> Result<(), Refusal> {
    match head.query("spr") {
        None | Some("" | "https,http") => Ok(()),
        Some(_) => Err(codes::PROTOCOL_MISMATCH.into()),
    }
}

fn check_address(head: &Head) -> Result<(), Refusal> {
    let Some(addresses) = head.query("sip").filter(|text| !text.is_empty()) else { return Ok(()) };
    let (first, last) = addresses.split_once('-').unwrap_or((addresses, addresses));
    let inside = match (first.parse::<IpAddr>(), last.parse::<IpAddr>()) {
        (Ok(first), Ok(last)) => (first..=last).contains(&head.peer),
        _ => false,
    };
    if inside { Ok(()) } else { Err(codes::SOURCE_IP_MISMATCH.detail("SourceIP", head.peer)) }
}

fn check_account_scope(head: &Head) -> Result<(), Refusal> {
    if !value(head, "ss").contains('b') {
        return Err(codes::SERVICE_MISMATCH.into());
    }
    let need = head.operation.need().resource;
    if need != '*' && !value(head, "srt").contains(need) {
        return Err(codes::RESOURCE_TYPE_MISMATCH.into());
    }
    Ok(())
}

/// A service signature covers blobs, and of a container's operations only the listing.
fn check_service_scope(head: &Head) -> Result<(), Refusal> {
    let on_blob = !head.blob.is_empty();
    let snapshot = head.query("snapshot");
    let covered = match head.query("sr") {
        Some("b") => on_blob,
        Some("bs") => on_blob && snapshot.is_some(),
        Some("c") => matches!(head.operation.need().any_of, "" | "l") || on_blob,
        _ => return Err(failed("sr is missing or not known")),
    };
    if covered { Ok(()) } else { Err(codes::AUTHORIZATION_FAILURE.into()) }
}
