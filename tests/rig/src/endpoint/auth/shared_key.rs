//! Shared Key: the string that a client signs with the account's key.

use super::super::codes::Refusal;
use super::super::request::Head;
use super::super::state::Account;
use super::{Credentials, Grant, check_skew, failed};

/// The headers whose values are signed by position; `content-length` and `date` have rules of their own.
const BEFORE_LENGTH: [&str; 2] = ["content-encoding", "content-language"];
const AFTER_LENGTH: [&str; 2] = ["content-md5", "content-type"];
const CONDITIONS: [&str; 5] =
    ["if-modified-since", "if-match", "if-none-match", "if-unmodified-since", "range"];

/// Checks `account:signature`.
pub(super) fn check(
    head: &Head,
    account: &Account,
    credentials: &Credentials,
    value: &str,
) -> Result<Grant, Refusal> {
    let (name, signature) = value.split_once(':').ok_or_else(|| failed("no account in the credential"))?;
    if name != account.name {
        return Err(failed("the credential is another account's"));
    }
    check_skew(head, &account.clock)?;
    let text = string_to_sign(head, &account.name);
    if credentials.verifies(&text, signature) {
        Ok(Grant::Everything)
    } else {
        let shown = text.replace('\n', "\\n");
        Err(failed(format!("the MAC does not fit; the string that was signed here is '{shown}'")))
    }
}

/// The string to sign, spec §7.5.
fn string_to_sign(head: &Head, account: &str) -> String {
    let mut text = format!("{}\n", head.method());
    let mut line = |value: &str| {
        text.push_str(value);
        text.push('\n');
    };
    let value = |name: &str| head.header(name).unwrap_or_default();
    BEFORE_LENGTH.iter().for_each(|name| line(value(name)));
    // A body of no bytes is signed as no length at all since version 2015-02-21.
    line(if value("content-length") == "0" { "" } else { value("content-length") });
    AFTER_LENGTH.iter().for_each(|name| line(value(name)));
    line(if head.header("x-ms-date").is_some() { "" } else { value("date") });
    CONDITIONS.iter().for_each(|name| line(value(name)));
    text.push_str(&canonical_headers(head));
    text.push_str(&canonical_resource(head, account));
    text
}

fn canonical_headers(head: &Head) -> String {
    let own = head.headers().iter().filter(|(name, _)| name.as_str().starts_with("x-ms-"));
    // By name and not by line: `x-ms-range` comes before `x-ms-range-get-content-md5`.
    let mut pairs: Vec<(&str, String)> = own
        .map(|(name, value)| (name.as_str(), String::from_utf8_lossy(value.as_bytes()).trim().to_owned()))
        .collect();
    pairs.sort_unstable();
    pairs.iter().map(|(name, value)| format!("{name}:{value}\n")).collect()
}

fn canonical_resource(head: &Head, account: &str) -> String {
    let mut text = format!("/{account}{}", head.path());
    let mut pairs: Vec<(String, &str)> =
        head.queries().iter().map(|(key, value)| (key.to_lowercase(), value.as_str())).collect();
    pairs.sort_unstable();
    for group in pairs.chunk_by(|first, second| first.0 == second.0) {
        let values: Vec<&str> = group.iter().map(|(_, value)| *value).collect();
        text.push_str(&format!("\n{}:{}", group[0].0, values.join(",")));
    }
    text
}
