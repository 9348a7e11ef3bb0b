//! The provider's keys over time: cached, rotated, not asked for too often, and a provider that fails.

use std::time::Duration;

use serde_json::json;

use super::issuer::{DISCOVERY, Issuer, KEYS, NOW_MS, Pen, es256, rs256};
use crate::people::oidc::keys::{KeySet, KeySetError};
use crate::people::oidc::provider::{AddressError, address};
use crate::people::oidc::{FetchError, Oidc, OidcConfig, OidcRefused};
use crate::server::config::Limits;
use crate::server::tests::rig::{DEADLINE, Running, has_status, plain};

fn oidc(config: OidcConfig) -> Oidc {
    Oidc::new(config).expect("a provider")
}

async fn counts(oidc: &Oidc, token: &str) -> bool {
    oidc.caller(token, NOW_MS).await.is_ok()
}

/// Asks until it is so.
async fn until(mut is_so: impl AsyncFnMut() -> bool) {
    let waited = async {
        while !is_so().await {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    };
    tokio::time::timeout(DEADLINE, waited).await.expect("in time");
}

fn named(kid: &str) -> serde_json::Value {
    json!({"alg": "RS256", "kid": kid})
}

#[tokio::test]
async fn keys_are_fetched_once_for_many_tokens_and_many_callers_at_once() {
    let issuer = Issuer::start().await;
    let oidc = oidc(issuer.config());
    let token = issuer.rsa.token(&rs256(), &issuer.claims());
    let all = (0..20).map(|_| counts(&oidc, &token));
    assert!(futures::future::join_all(all).await.into_iter().all(|is_good| is_good));
    assert!(counts(&oidc, &issuer.p256.token(&es256(), &issuer.claims())).await);
    assert_eq!(issuer.keys_asked(), 1);
}

#[tokio::test]
async fn a_key_that_is_new_is_fetched_and_one_that_was_withdrawn_stops_counting() {
    let issuer = Issuer::start().await;
    let oidc = oidc(OidcConfig { refetch_ms: 1, ..issuer.config() });
    let old = issuer.rsa.token(&rs256(), &issuer.claims());
    assert!(counts(&oidc, &old).await);
    let pen = Pen::other_rsa();
    issuer.publish(&[pen.jwk("rsa-2")]);
    let new = pen.token(&named("rsa-2"), &issuer.claims());
    until(async || counts(&oidc, &new).await).await;
    assert!(!counts(&oidc, &old).await);
}

#[tokio::test]
async fn keys_that_are_old_are_fetched_again() {
    let issuer = Issuer::start().await;
    let oidc = oidc(OidcConfig { refetch_ms: 1, keys_age_ms: 1, ..issuer.config() });
    let old = issuer.rsa.token(&rs256(), &issuer.claims());
    assert!(counts(&oidc, &old).await);
    // Withdrawn, and no token names another: age alone brings it out.
    issuer.publish(&[issuer.p256.jwk("ec-1")]);
    until(async || !counts(&oidc, &old).await).await;
}

#[tokio::test]
async fn made_up_keys_do_not_make_us_ask_the_provider_each_time() {
    let issuer = Issuer::start().await;
    let oidc = oidc(issuer.config());
    assert!(counts(&oidc, &issuer.rsa.token(&rs256(), &issuer.claims())).await);
    for number in 0..50 {
        let token = issuer.rsa.token(&named(&format!("made-up-{number}")), &issuer.claims());
        assert!(matches!(oidc.caller(&token, NOW_MS).await, Err(OidcRefused::Key { .. })));
    }
    assert_eq!(issuer.keys_asked(), 1);
}

#[tokio::test]
async fn a_caller_who_hangs_up_does_not_make_us_ask_the_provider_again() {
    let silent = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let issuer = Issuer::at(silent.local_addr().unwrap(), "http");
    let oidc = oidc(issuer.config());
    let token = issuer.rsa.token(&rs256(), &issuer.claims());
    let asked = tokio::select! {
        _ = oidc.caller(&token, NOW_MS) => panic!("the provider has not answered"),
        asked = silent.accept() => asked.unwrap(),
    };
    // The caller is gone; the provider then fails its request.
    drop(asked);
    let next = oidc.caller(&token, NOW_MS).await;
    assert!(matches!(next, Err(OidcRefused::Provider(FetchError::JustFailed))), "{next:?}");
}

#[tokio::test]
async fn a_provider_that_is_down_is_503_and_asked_again_when_it_is_time() {
    let issuer = Issuer::start().await;
    issuer.say_text(DISCOVERY, 503, String::new());
    let oidc = oidc(OidcConfig { refetch_ms: 20, ..issuer.config() });
    let server =
        Running::start_with(plain(Limits::default()), Some(oidc), std::sync::Arc::new(|| NOW_MS)).await;
    let token = issuer.rsa.token(&rs256(), &issuer.claims());
    let answer = server.get("/jobs", Some(&token)).await;
    assert!(has_status(&answer, 503), "{answer}");
    issuer.say(
        DISCOVERY,
        &json!({"issuer": issuer.url(), "jwks_uri": format!("http://{}{KEYS}", issuer.address)}),
    );
    until(async || has_status(&server.get("/jobs", Some(&token)).await, 200)).await;
    server.stop().await;
}

#[tokio::test]
async fn keys_outlive_a_provider_that_went_down_for_a_while() {
    let issuer = Issuer::start().await;
    let oidc = oidc(OidcConfig { refetch_ms: 1, keys_age_ms: 10_000, ..issuer.config() });
    let token = issuer.rsa.token(&rs256(), &issuer.claims());
    assert!(counts(&oidc, &token).await);
    issuer.say_text(KEYS, 500, String::new());
    let unknown = issuer.rsa.token(&named("rsa-2"), &issuer.claims());
    until(async || matches!(oidc.caller(&unknown, NOW_MS).await, Err(OidcRefused::Provider(_)))).await;
    assert!(counts(&oidc, &token).await);
}

/// What fetching comes to when the provider says that.
async fn fetched(issuer: &Issuer) -> FetchError {
    let token = issuer.rsa.token(&rs256(), &issuer.claims());
    match oidc(OidcConfig { request_ms: 500, ..issuer.config() }).caller(&token, NOW_MS).await {
        Err(OidcRefused::Provider(error)) => error,
        other => panic!("{other:?}"),
    }
}

#[tokio::test]
async fn what_a_provider_may_not_say_is_refused() {
    let issuer = Issuer::start().await;
    let keys_at = |address: &str| json!({"issuer": issuer.url(), "jwks_uri": address});
    issuer.say(
        DISCOVERY,
        &json!({"issuer": "https://login.example/other", "jwks_uri": "https://login.example/keys"}),
    );
    assert!(matches!(fetched(&issuer).await, FetchError::Issuer(_)));
    issuer.say(DISCOVERY, &json!({"issuer": issuer.url()}));
    assert!(matches!(fetched(&issuer).await, FetchError::Discovery));
    issuer.say_text(
        DISCOVERY,
        200,
        format!(r#"{{"issuer":"{0}","issuer":"{0}","jwks_uri":"{0}"}}"#, issuer.url()),
    );
    assert!(matches!(fetched(&issuer).await, FetchError::Discovery));
    for address in ["http://192.0.2.1/keys", "ftp://127.0.0.1/keys", "file:///etc/passwd", "keys", ""] {
        issuer.say(DISCOVERY, &keys_at(address));
        assert!(matches!(fetched(&issuer).await, FetchError::Address(_)), "{address}");
    }
    issuer.say_text(DISCOVERY, 302, format!("http://{}/elsewhere", issuer.address));
    assert!(matches!(fetched(&issuer).await, FetchError::Status { status: 302, .. }));
    assert!(!issuer.pages.asked.lock().unwrap().contains(&"/elsewhere".to_owned()));
    issuer.say_text(DISCOVERY, 200, " ".repeat((1 << 20) + 1));
    assert!(matches!(fetched(&issuer).await, FetchError::TooLarge(_)));
}

#[tokio::test]
async fn a_provider_that_does_not_answer_is_given_up() {
    // It accepts, and says nothing.
    let silent = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let issuer = Issuer::at(silent.local_addr().unwrap(), "http");
    assert!(matches!(fetched(&issuer).await, FetchError::Request { .. }));
}

#[tokio::test]
async fn a_provider_with_a_certificate_of_its_own_needs_that_to_be_configured() {
    let made = rcgen::generate_simple_self_signed(["127.0.0.1".to_owned()]).unwrap();
    let folder = tempfile::tempdir().unwrap();
    let authority = folder.path().join("ca.pem");
    std::fs::write(&authority, made.cert.pem()).unwrap();
    let key = folder.path().join("key.pem");
    std::fs::write(&key, made.signing_key.serialize_pem()).unwrap();
    std::fs::set_permissions(&key, std::os::unix::fs::PermissionsExt::from_mode(0o600)).unwrap();
    let files = crate::server::config::Tls { certificate: authority.clone(), key };
    let tls = axum_server::tls_rustls::RustlsConfig::from_config(crate::server::tls::load(&files).unwrap());
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let issuer = Issuer::at(listener.local_addr().unwrap(), "https");
    let app = issuer.app().into_make_service();
    let serving = axum_server::from_tcp_rustls(listener, tls).unwrap();
    tokio::spawn(async move { serving.serve(app).await });
    let url = issuer.url().replacen("http", "https", 1);
    let token = issuer.rsa.token(&rs256(), &issuer.claims_with("iss", json!(url)));
    let config = OidcConfig { issuer: url, ..issuer.config() };
    let trusting = oidc(OidcConfig { ca_certificates: Some(authority), ..config.clone() });
    assert!(counts(&trusting, &token).await);
    let refused = oidc(config).caller(&token, NOW_MS).await;
    assert!(matches!(refused, Err(OidcRefused::Provider(FetchError::Request { .. }))));
}

#[test]
fn a_provider_is_https_or_on_this_machine() {
    for good in ["https://login.example/tenant", "http://127.0.0.1:99/x", "http://[::1]/x"] {
        assert!(address(good).is_ok(), "{good}");
    }
    for plain in ["http://login.example", "http://localhost/x", "http://127.0.0.1.example", "ftp://127.0.0.1"]
    {
        assert!(matches!(address(plain), Err(AddressError::Plain(_))), "{plain}");
    }
    for extra in ["https://user@login.example", "https://login.example?x", "https://login.example#x"] {
        assert!(matches!(address(extra), Err(AddressError::Extra(_))), "{extra}");
    }
    assert!(matches!(address("login.example"), Err(AddressError::Form(_))));
}

#[test]
fn keys_that_are_not_for_us_are_passed_over_and_doubtful_sets_refused() {
    let [rsa, ec] = [Pen::rsa(), Pen::p256()];
    let set = |keys: &[serde_json::Value]| KeySet::parse(json!({ "keys": keys }).to_string().as_bytes());
    let change = |name: &str, value: serde_json::Value| {
        let mut key = rsa.jwk("k");
        key[name] = value;
        key
    };
    for useless in [
        change("use", json!("enc")),
        change("alg", json!("RS512")),
        change("key_ops", json!(["sign"])),
        change("kty", json!("oct")),
        change("n", json!("!")),
        change("kid", json!(1)),
        json!({"kty": "EC", "crv": "P-384", "kid": "k", "x": "AA", "y": "AA"}),
        json!({"kty": "EC", "crv": "P-256", "kid": "k", "x": "AA", "y": "AA"}),
        json!("key"),
    ] {
        assert_eq!(set(std::slice::from_ref(&useless)), Err(KeySetError::None), "{useless}");
        assert!(set(&[useless, ec.jwk("k")]).is_ok(), "the others still count");
    }
    assert!(set(&[rsa.jwk("k"), ec.jwk("k")]).is_ok(), "of two kinds is not twice");
    assert_eq!(set(&[rsa.jwk("k"), Pen::other_rsa().jwk("k")]), Err(KeySetError::Twice("k".to_owned())));
    assert_eq!(set(&vec![rsa.jwk("k"); 101]), Err(KeySetError::TooMany(101)));
    for text in ["", "[]", "{}", r#"{"keys":{}}"#, r#"{"keys":[],"keys":[]}"#] {
        assert_eq!(KeySet::parse(text.as_bytes()), Err(KeySetError::Form), "{text}");
    }
}
