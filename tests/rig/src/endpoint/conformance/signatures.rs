//! Checks of credentials: the account's key, account and service signatures, stored access policies.

use super::client::{Ask, Credential};
use super::sign::{AccountSas, ServiceSas};
use super::{Bench, Check};
use crate::endpoint::stamp::{Clock, Stamp};

pub(super) const CHECKS: &[Check] = &[
    ("the account's key has to fit", key),
    ("an account signature allows what it says", account_sas),
    ("a container's signature allows what it says", container_sas),
    ("a blob's signature is for that blob", blob_sas),
    ("a signature has its limits", limits),
    ("a stored access policy can be revoked", policies),
];

const REFUSED: &str = "403 AuthenticationFailed";
const TOO_FEW: &str = "403 AuthorizationPermissionMismatch";

fn now() -> Stamp {
    Clock::default().now()
}

fn later() -> String {
    now().plus_seconds(3_600).iso_seconds()
}

fn key(bench: &mut Bench) {
    bench.send(bench.put("a", b"x"));
    let get = |bench: &Bench| bench.blob("GET", "a");
    let wrong = Credential::Header("SharedKey devstoreaccount1:AAAA".to_owned());
    bench.ask(
        "wrong signature",
        get(bench).by(wrong.clone()).header("x-ms-date", now().http_date()),
        REFUSED,
    );
    let old = Stamp::from_unix_seconds(now().unix_seconds() - 16 * 60);
    bench.ask("16 minutes ago", get(bench).at(old), REFUSED);
    bench.ask("in 16 minutes", get(bench).at(now().plus_seconds(16 * 60)), REFUSED);
    bench.ask(
        "14 minutes ago",
        get(bench).at(Stamp::from_unix_seconds(now().unix_seconds() - 14 * 60)),
        "200",
    );
    let answer = bench.send(get(bench).by(Credential::None));
    let refused = matches!(answer.status, 401 | 403 | 404 | 409);
    bench.see("no credential", &refused.to_string(), "true");
    let ask = get(bench).query("b", "2").query("a", "1 & +").header("x-ms-client-request-id", "x");
    bench.ask("everything is signed", ask.header("range", "bytes=0-0"), "206");
}

fn account_sas(bench: &mut Bench) {
    let sas = |permissions: &str, services: &str, types: &str| AccountSas {
        permissions: permissions.to_owned(),
        services: services.to_owned(),
        resource_types: types.to_owned(),
        expiry: later(),
        ..AccountSas::default()
    };
    let (account, key) = bench.client.account();
    let by = |sas: AccountSas| Credential::Sas(sas.query(account, key));
    let (all, reads) = (by(sas("rwdlac", "b", "sco")), by(sas("r", "b", "sco")));
    let (creates, files) = (by(sas("c", "b", "sco")), by(sas("rwdlac", "f", "sco")));
    let objects = by(sas("rwdlac", "b", "o"));
    bench.ask("put", bench.put("a", b"x").by(all.clone()), "201");
    bench.ask("get", bench.blob("GET", "a").by(all.clone()), "200");
    bench.ask("list containers", Ask::new("GET", "/").query("comp", "list").by(all.clone()), "200");
    bench.ask("list blobs", bench.container("GET").query("comp", "list").by(all), "200");
    bench.ask("read only: get", bench.blob("GET", "a").by(reads.clone()), "200");
    bench.ask("read only: put", bench.put("b", b"x").by(reads), TOO_FEW);
    bench.ask("create only: new", bench.put("new", b"x").by(creates.clone()), "201");
    bench.ask("create only: put block", bench.block("b", "1", b"x").by(creates.clone()), TOO_FEW);
    bench.ask("create only: overwrite", bench.put("a", b"x").by(creates), TOO_FEW);
    bench.ask("of files", bench.blob("GET", "a").by(files), "403 AuthorizationServiceMismatch");
    let list = bench.container("GET").query("comp", "list").by(objects.clone());
    bench.ask("objects only: list", list, "403 AuthorizationResourceTypeMismatch");
    bench.ask("objects only: get", bench.blob("GET", "a").by(objects), "200");
}

fn container_sas(bench: &mut Bench) {
    let sas = |permissions: &str| ServiceSas {
        permissions: permissions.to_owned(),
        expiry: later(),
        ..ServiceSas::default()
    };
    let of = bench.client.account();
    let by = |sas: ServiceSas| Credential::Sas(sas.query(of, &bench.container, None));
    let (all, writes, lists) = (by(sas("racwdl")), by(sas("w")), by(sas("l")));
    bench.ask("put block", bench.block("a", "1", b"x").by(all.clone()), "201");
    bench.ask("block list", bench.list("a", &["1"]).by(all.clone()), "201");
    bench.ask("list blobs", bench.container("GET").query("comp", "list").by(all.clone()), "200");
    bench.ask("delete", bench.blob("DELETE", "a").by(all.clone()), "202");
    bench.ask("write only: put", bench.put("a", b"x").by(writes.clone()), "201");
    bench.ask("write only: get", bench.blob("GET", "a").by(writes), TOO_FEW);
    bench.ask("list only: get", bench.blob("GET", "a").by(lists), TOO_FEW);
    bench.ask("another container", Ask::new("GET", "/check-000/a").by(all.clone()), REFUSED);
    let answer = bench.send(bench.container("DELETE").by(all));
    bench.see("the container itself", &answer.status.to_string(), "403");
}

fn blob_sas(bench: &mut Bench) {
    bench.send(bench.put("d/a%20b", b"x"));
    bench.send(bench.put("other", b"x"));
    let sas = ServiceSas { permissions: "r".to_owned(), expiry: later(), ..ServiceSas::default() };
    let by = Credential::Sas(sas.query(bench.client.account(), &bench.container, Some("d/a b")));
    bench.ask("that blob", bench.blob("GET", "d/a%20b").by(by.clone()), "200");
    bench.ask("another blob", bench.blob("GET", "other").by(by.clone()), REFUSED);
    bench.ask("a letter too few", bench.put("d/a%20b", b"y").by(by), TOO_FEW);
}

fn limits(bench: &mut Bench) {
    bench.send(bench.put("a", b"x"));
    let sas = || AccountSas {
        permissions: "r".to_owned(),
        services: "b".to_owned(),
        resource_types: "sco".to_owned(),
        expiry: later(),
        ..AccountSas::default()
    };
    let ago = Stamp::from_unix_seconds(now().unix_seconds() - 60).iso_seconds();
    let soon = now().plus_seconds(600).iso_seconds();
    for (label, sas, expected) in [
        ("expired", AccountSas { expiry: ago.clone(), ..sas() }, REFUSED),
        ("not begun", AccountSas { start: soon, ..sas() }, REFUSED),
        ("begun", AccountSas { start: ago, ..sas() }, "200"),
        (
            "https only",
            AccountSas { protocol: "https".to_owned(), ..sas() },
            "403 AuthorizationProtocolMismatch",
        ),
        ("http too", AccountSas { protocol: "https,http".to_owned(), ..sas() }, "200"),
        (
            "other addresses",
            AccountSas { addresses: "10.0.0.1-10.0.0.9".to_owned(), ..sas() },
            "403 AuthorizationSourceIPMismatch",
        ),
        ("these addresses", AccountSas { addresses: "127.0.0.0-127.0.0.9".to_owned(), ..sas() }, "200"),
    ] {
        let (account, key) = bench.client.account();
        let by = Credential::Sas(sas.query(account, key));
        bench.ask(label, bench.blob("GET", "a").by(by), expected);
    }
    let (account, key) = bench.client.account();
    let query = sas().query(account, key).replace("sp=r", "sp=rw");
    bench.ask("forged", bench.put("a", b"y").by(Credential::Sas(query)), REFUSED);
}

fn policies(bench: &mut Bench) {
    bench.send(bench.put("a", b"x"));
    let policy = format!(
        "<SignedIdentifiers><SignedIdentifier><Id>p1</Id><AccessPolicy><Start>2020-01-01T00:00:00.0000000Z</Start>\
         <Expiry>{}</Expiry><Permission>r</Permission></AccessPolicy></SignedIdentifier></SignedIdentifiers>",
        now().plus_seconds(3_600).iso()
    );
    let set = |bench: &Bench| bench.container("PUT").query("comp", "acl");
    bench.ask("set", set(bench).body(policy), "200");
    let answer = bench.ask("get", bench.container("GET").query("comp", "acl"), "200");
    bench.see("its id", &answer.elements("Id").join(" "), "p1");
    let sas = ServiceSas { policy: "p1".to_owned(), ..ServiceSas::default() };
    let by = Credential::Sas(sas.query(bench.client.account(), &bench.container, None));
    bench.ask("read by it", bench.blob("GET", "a").by(by.clone()), "200");
    bench.ask("write by it", bench.put("a", b"y").by(by.clone()), TOO_FEW);
    bench.ask("revoke", set(bench).body("<SignedIdentifiers></SignedIdentifiers>"), "200");
    bench.ask("read by it after", bench.blob("GET", "a").by(by), REFUSED);
}
