//! Checks of leases on blobs and containers.

use super::client::Ask;
use super::{Bench, Check};

pub(super) const CHECKS: &[Check] = &[
    ("a lease guards a blob's writes", writes),
    ("the five lease actions", actions),
    ("a broken lease", breaking),
    ("a lease of a container guards its deletion", of_container),
];

const ONE: &str = "11111111-1111-4111-8111-111111111111";
const TWO: &str = "22222222-2222-4222-8222-222222222222";

fn lease(bench: &Bench, action: &str) -> Ask {
    bench.blob("PUT", "a").query("comp", "lease").header("x-ms-lease-action", action)
}

fn acquire(bench: &Bench, id: &str, seconds: &str) -> Ask {
    lease(bench, "acquire").header("x-ms-lease-duration", seconds).header("x-ms-proposed-lease-id", id)
}

fn writes(bench: &mut Bench) {
    bench.send(bench.put("a", b"1"));
    let answer = bench.ask("acquire", acquire(bench, ONE, "-1"), "201");
    bench.see_header(&answer, "x-ms-lease-id", ONE);
    let answer = bench.send(bench.blob("HEAD", "a"));
    bench.see_header(&answer, "x-ms-lease-state", "leased");
    bench.see_header(&answer, "x-ms-lease-status", "locked");
    bench.see_header(&answer, "x-ms-lease-duration", "infinite");
    let with = |ask: Ask, id: &str| ask.header("x-ms-lease-id", id);
    let metadata = |bench: &Bench| bench.blob("PUT", "a").query("comp", "metadata");
    bench.ask("put blob without", bench.put("a", b"2"), "412 LeaseIdMissing");
    let ask = with(bench.put("a", b"2"), TWO);
    bench.ask("put blob with another", ask, "412 LeaseIdMismatchWithBlobOperation");
    bench.ask("put block without", bench.block("a", "1", b"2"), "412 LeaseIdMissing");
    bench.ask("put block with", with(bench.block("a", "1", b"2"), ONE), "201");
    bench.ask("block list without", bench.list("a", &["1"]), "412 LeaseIdMissing");
    bench.ask("block list with", with(bench.list("a", &["1"]), ONE), "201");
    bench.ask("metadata without", metadata(bench), "412 LeaseIdMissing");
    bench.ask("delete without", bench.blob("DELETE", "a"), "412 LeaseIdMissing");
    bench.ask("read without", bench.blob("GET", "a"), "200");
    let ask = with(bench.blob("GET", "a"), TWO);
    bench.ask("read with another", ask, "412 LeaseIdMismatchWithBlobOperation");
    bench.ask("put blob with", with(bench.put("a", b"2"), ONE), "201");
    let answer = bench.send(bench.blob("HEAD", "a"));
    bench.see("the lease outlives an overwrite", answer.header("x-ms-lease-state").unwrap_or("-"), "leased");
    bench.ask("delete with", with(bench.blob("DELETE", "a"), ONE), "202");
    bench.send(bench.put("b", b"1"));
    let ask = with(bench.put("b", b"2"), ONE);
    bench.ask("no lease", ask, "412 LeaseNotPresentWithBlobOperation");
}

fn actions(bench: &mut Bench) {
    bench.ask("of nothing", acquire(bench, ONE, "-1"), "404 BlobNotFound");
    bench.send(bench.put("a", b"1"));
    bench.ask("too short", acquire(bench, ONE, "14"), "400 InvalidHeaderValue");
    bench.ask("too long", acquire(bench, ONE, "61"), "400 InvalidHeaderValue");
    bench.ask("acquire", acquire(bench, ONE, "15"), "201");
    bench.ask("by another", acquire(bench, TWO, "15"), "409 LeaseAlreadyPresent");
    bench.ask("by the same", acquire(bench, ONE, "30"), "201");
    let renew = |bench: &Bench, id: &str| lease(bench, "renew").header("x-ms-lease-id", id);
    bench.ask("renew", renew(bench, ONE), "200");
    bench.ask("renew by another", renew(bench, TWO), "409 LeaseIdMismatchWithLeaseOperation");
    let change = lease(bench, "change").header("x-ms-lease-id", ONE);
    let answer = bench.ask("change", change.header("x-ms-proposed-lease-id", TWO), "200");
    bench.see_header(&answer, "x-ms-lease-id", TWO);
    let release = |bench: &Bench, id: &str| lease(bench, "release").header("x-ms-lease-id", id);
    bench.ask("release by another", release(bench, ONE), "409 LeaseIdMismatchWithLeaseOperation");
    bench.ask("release", release(bench, TWO), "200");
    let answer = bench.send(lease(bench, "acquire").header("x-ms-lease-duration", "-1"));
    let id = answer.header("x-ms-lease-id").unwrap_or_default().to_owned();
    bench.see("an id is made up", &id.len().to_string(), "36");
    bench.ask("release it", release(bench, &id), "200");
    let answer = bench.send(acquire(bench, "not-a-guid", "15"));
    bench.see("an id that is none", &answer.status.to_string(), "400");
}

fn breaking(bench: &mut Bench) {
    bench.send(bench.put("a", b"1"));
    bench.ask("of none", lease(bench, "break"), "409 LeaseNotPresentWithLeaseOperation");
    bench.send(acquire(bench, ONE, "-1"));
    let answer =
        bench.ask("in a minute", lease(bench, "break").header("x-ms-lease-break-period", "60"), "202");
    bench.see_header(&answer, "x-ms-lease-time", "60");
    let answer = bench.send(bench.blob("HEAD", "a"));
    bench.see_header(&answer, "x-ms-lease-state", "breaking");
    bench.ask("acquire meanwhile", acquire(bench, ONE, "-1"), "409 LeaseIsBreakingAndCannotBeAcquired");
    bench.ask("acquire meanwhile by another", acquire(bench, TWO, "-1"), "409 LeaseAlreadyPresent");
    bench.ask("write meanwhile", bench.put("a", b"2"), "412 LeaseIdMissing");
    let answer = bench.ask("at once", lease(bench, "break").header("x-ms-lease-break-period", "0"), "202");
    bench.see("no time is left", answer.header("x-ms-lease-time").unwrap_or("-"), "0");
    let renew = lease(bench, "renew").header("x-ms-lease-id", ONE);
    bench.ask("renew", renew, "409 LeaseIsBrokenAndCannotBeRenewed");
    bench.ask("write after", bench.put("a", b"2"), "201");
    bench.ask("acquire after", acquire(bench, TWO, "-1"), "201");
}

fn of_container(bench: &mut Bench) {
    let ask = bench.container("PUT").query("comp", "lease").header("x-ms-lease-action", "acquire");
    let ask = ask.header("x-ms-lease-duration", "-1").header("x-ms-proposed-lease-id", ONE);
    bench.ask("acquire", ask, "201");
    bench.ask("delete without", bench.container("DELETE"), "412 LeaseIdMissing");
    let ask = bench.container("DELETE").header("x-ms-lease-id", TWO);
    bench.ask("delete with another", ask, "412 LeaseIdMismatchWithContainerOperation");
    bench.ask("blobs are free", bench.put("a", b"1"), "201");
    bench.ask("delete with", bench.container("DELETE").header("x-ms-lease-id", ONE), "202");
}
