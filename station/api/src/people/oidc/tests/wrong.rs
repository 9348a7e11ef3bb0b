//! Every way in which a token can be wrong, each a row: what the log is told, and that the caller is told nothing.

use std::collections::BTreeSet;
use std::sync::Arc;

use ring::hmac;
use serde_json::{Value, json};

use super::issuer::{AUDIENCE, Issuer, NOW, NOW_MS, Pen, b64, es256, rs256};
use crate::people::oidc::Oidc;
use crate::people::oidc::compact::Unverified;
use crate::people::oidc::keys::KeySet;
use crate::server::config::{Limits, Rate, chain};
use crate::server::tests::rig::{Running, has_status, plain};

/// A row: what is wrong, a token that is so, and words of the reason for the log.
type Row = (&'static str, String, &'static str);

const FORM: &str = "the token's form";
const ALGORITHM: &str = "its algorithm is neither";
const SIGNATURE: &str = "the signature does not fit";
const NO_KEY: &str = "it names no key";
const UNKNOWN_KEY: &str = "the provider has no";

fn times(issuer: &Issuer) -> Vec<Row> {
    let token = |claims: Value| issuer.rsa.token(&rs256(), &claims);
    let with = |name: &str, value: Value| token(issuer.claims_with(name, value));
    vec![
        ("expired, the leeway too", with("exp", json!(NOW - 60)), "it has expired"),
        ("expired long ago", with("exp", json!(0)), "it has expired"),
        ("no end", token(issuer.claims_without("exp")), r#""exp" is not a time"#),
        ("an end in words", with("exp", json!((NOW + 300).to_string())), r#""exp" is not a time"#),
        ("no end but null", with("exp", Value::Null), r#""exp" is not a time"#),
        ("not yet", with("nbf", json!(NOW + 61)), "its time has not come"),
        ("a beginning in words", with("nbf", json!("now")), r#""nbf" is not a time"#),
        ("issued in the future", with("iat", json!(NOW + 61)), "its time has not come"),
    ]
}

fn parties(issuer: &Issuer) -> Vec<Row> {
    let token = |claims: Value| issuer.rsa.token(&rs256(), &claims);
    let with = |name: &str, value: Value| token(issuer.claims_with(name, value));
    let (other, meant) = ("the issuer is another one", "it is meant for somebody else");
    vec![
        ("another issuer", with("iss", json!("https://login.example/other")), other),
        ("nearly the issuer", with("iss", json!(format!("{}/", issuer.url()))), other),
        ("no issuer", token(issuer.claims_without("iss")), other),
        ("a list of issuers", with("iss", json!([issuer.url()])), other),
        ("another audience", with("aud", json!("api://other")), meant),
        ("part of the audience", with("aud", json!("api://dray")), meant),
        ("no audience", token(issuer.claims_without("aud")), meant),
        ("an empty list of audiences", with("aud", json!([])), meant),
        ("only others in the audience", with("aud", json!(["api://other", 1, [AUDIENCE]])), meant),
        ("nobody", token(issuer.claims_without("sub")), "it names nobody"),
        ("an empty name", with("sub", json!("")), "it names nobody"),
        ("a name with a line break", with("sub", json!("a\nlevel=error")), "it names nobody"),
        ("a name without end", with("sub", json!("a".repeat(201))), "it names nobody"),
        ("a number for a name", with("sub", json!(7)), "it names nobody"),
        ("a subscription that is none", subscription(issuer, json!("a/b")), "a subscription in it is none"),
        (
            "a subscription with a path",
            subscription(issuer, json!(["/providers/x"])),
            "a subscription in it is none",
        ),
    ]
}

fn subscription(issuer: &Issuer, value: Value) -> String {
    let mut claims = issuer.claims_with("roles", json!(["customers"]));
    claims["subs"] = value;
    issuer.rsa.token(&rs256(), &claims)
}

fn keys(issuer: &Issuer) -> Vec<Row> {
    let claims = issuer.claims();
    let with = |header: Value| issuer.rsa.token(&header, &claims);
    let own = Pen::p256();
    let own_jwk = json!({"alg": "ES256", "kid": "own", "jwk": own.jwk("own")});
    let elsewhere =
        json!({"alg": "ES256", "kid": "own", "jku": format!("http://{}/own-keys", issuer.address)});
    vec![
        ("signed by another RSA key", Pen::other_rsa().token(&rs256(), &claims), SIGNATURE),
        ("signed by another EC key", own.token(&es256(), &claims), SIGNATURE),
        ("no key named", with(json!({"alg": "RS256"})), NO_KEY),
        ("an empty key name", with(json!({"alg": "RS256", "kid": ""})), NO_KEY),
        ("a number for a key name", with(json!({"alg": "RS256", "kid": 1})), NO_KEY),
        ("an endless key name", with(json!({"alg": "RS256", "kid": "k".repeat(257)})), NO_KEY),
        ("an unknown key", with(json!({"alg": "RS256", "kid": "rsa-2"})), UNKNOWN_KEY),
        ("a path for a key name", with(json!({"alg": "RS256", "kid": "../../etc/passwd"})), UNKNOWN_KEY),
        ("a key in the token", own.token(&own_jwk, &claims), UNKNOWN_KEY),
        ("keys at another address", own.token(&elsewhere, &claims), UNKNOWN_KEY),
    ]
}

fn algorithms(issuer: &Issuer) -> Vec<Row> {
    let claims = issuer.claims();
    let rsa = |alg: Value| issuer.rsa.token(&json!({"alg": alg, "kid": "rsa-1"}), &claims);
    let unsigned = |alg: &str| {
        format!("{}.{}.", b64(json!({"alg": alg, "kid": "rsa-1"}).to_string()), b64(claims.to_string()))
    };
    let shared = |pen: &Pen, kid: &str| {
        let text =
            format!("{}.{}", b64(json!({"alg": "HS256", "kid": kid}).to_string()), b64(claims.to_string()));
        let key = hmac::Key::new(hmac::HMAC_SHA256, &pen.public_bytes());
        format!("{text}.{}", b64(hmac::sign(&key, text.as_bytes())))
    };
    vec![
        ("none", unsigned("none"), ALGORITHM),
        ("None", unsigned("None"), ALGORITHM),
        ("nOnE with a signature", rsa(json!("nOnE")), ALGORITHM),
        ("RS256 without a signature", unsigned("RS256"), "its signature is not base64url"),
        ("the RSA key as a shared secret", shared(&issuer.rsa, "rsa-1"), ALGORITHM),
        ("the EC key as a shared secret", shared(&issuer.p256, "ec-1"), ALGORITHM),
        ("RS384", rsa(json!("RS384")), ALGORITHM),
        ("PS256", rsa(json!("PS256")), ALGORITHM),
        ("in another case", rsa(json!("rs256")), ALGORITHM),
        ("a list of algorithms", rsa(json!(["RS256"])), ALGORITHM),
        ("no algorithm", issuer.rsa.token(&json!({"kid": "rsa-1"}), &claims), ALGORITHM),
        (
            "an EC key for RSA",
            issuer.p256.token(&json!({"alg": "RS256", "kid": "ec-1"}), &claims),
            UNKNOWN_KEY,
        ),
        (
            "an RSA key for ECDSA",
            issuer.rsa.token(&json!({"alg": "ES256", "kid": "rsa-1"}), &claims),
            UNKNOWN_KEY,
        ),
    ]
}

fn signatures(issuer: &Issuer) -> Vec<Row> {
    let good = issuer.rsa.token(&rs256(), &issuer.claims());
    let other = issuer.rsa.token(&rs256(), &issuer.claims_with("roles", json!(["auditors"])));
    let [header, claims, signature] = good.split('.').collect::<Vec<_>>()[..] else { panic!("three parts") };
    let [_, other_claims, other_signature] = other.split('.').collect::<Vec<_>>()[..] else {
        panic!("three parts")
    };
    let es = format!("{}.{}", b64(es256().to_string()), b64(issuer.claims().to_string()));
    let asn1 = b64(issuer.p256.sign_in_asn1(&es));
    vec![
        ("claims changed", format!("{header}.{other_claims}.{signature}"), SIGNATURE),
        ("another token's signature", format!("{header}.{claims}.{other_signature}"), SIGNATURE),
        (
            "header changed",
            format!("{}.{claims}.{signature}", b64(r#"{"alg":"RS256","kid":"rsa-1"}"#)),
            SIGNATURE,
        ),
        ("an ECDSA signature of zeros", format!("{es}.{}", b64([0; 64])), SIGNATURE),
        ("an ECDSA signature in ASN.1", format!("{es}.{asn1}"), SIGNATURE),
        ("an ECDSA signature cut in half", format!("{es}.{}", b64([7; 32])), SIGNATURE),
        ("an RSA signature of zeros", format!("{header}.{claims}.{}", b64([0; 256])), SIGNATURE),
        ("an RSA signature and a zero before", format!("{header}.{claims}.AAAA{signature}"), SIGNATURE),
    ]
}

fn shapes(issuer: &Issuer) -> Vec<Row> {
    let good = issuer.rsa.token(&rs256(), &issuer.claims());
    let [header, claims, signature] = good.split('.').collect::<Vec<_>>()[..] else { panic!("three parts") };
    let cut = |length: usize| good[..length].to_owned();
    vec![
        ("its last character cut off", cut(good.len() - 1), "its signature is not base64url"),
        ("its last four cut off", cut(good.len() - 4), ""),
        ("half of it", cut(good.len() / 2), ""),
        ("the header alone", header.to_owned(), FORM),
        ("no signature", format!("{header}.{claims}"), FORM),
        ("four parts", format!("{good}.{signature}"), FORM),
        ("five parts, as if encrypted", format!("{good}.a.b"), FORM),
        ("a dot before", format!(".{good}"), FORM),
        ("padding", format!("{good}=="), "its signature is not base64url"),
        ("the other alphabet", format!("{header}.{claims}.++//"), "its signature is not base64url"),
        ("no header", format!(".{claims}.{signature}"), "its header is not base64url"),
        ("words", "not-a-token".to_owned(), FORM),
    ]
}

fn texts(issuer: &Issuer) -> Vec<Row> {
    let token = |header: &str, claims: &str| issuer.rsa.token_of(header, claims);
    let header = rs256().to_string();
    let claims = issuer.claims().to_string();
    let twice = |name: &str, value: &str| claims.replacen('{', &format!(r#"{{"{name}":{value},"#), 1);
    let nested = claims.replacen('{', r#"{"realm":{"a":1,"b":[{"a":1,"a":2}]},"#, 1);
    let (header_form, claims_form) = ("its header is not a JSON object", "they are not a JSON object");
    vec![
        ("the audience twice", token(&header, &twice("aud", r#""api://other""#)), claims_form),
        ("the roles twice", token(&header, &twice("roles", r#"["admins"]"#)), claims_form),
        ("the end twice, alike", token(&header, &twice("exp", &(NOW + 300).to_string())), claims_form),
        ("a name twice deep inside", token(&header, &nested), claims_form),
        ("the algorithm twice", token(&header.replacen('{', r#"{"alg":"none","#, 1), &claims), header_form),
        ("the key twice", token(&header.replacen('{', r#"{"kid":"rsa-2","#, 1), &claims), header_form),
        ("claims in a list", token(&header, &format!("[{claims}]")), claims_form),
        ("claims that are no JSON", token(&header, "sub=k.lee"), claims_form),
        ("more after the claims", token(&header, &format!("{claims}{{}}")), claims_form),
        ("claims that nest without end", token(&header, &"[".repeat(5_000)), claims_form),
        ("claims that are no text", issuer.rsa.token_of(&header, [0xff, 0xfe, 0x7b]), claims_form),
        ("a header that is no object", token("[]", &claims), header_form),
        ("a header that nests without end", token(&r#"{"a":"#.repeat(2_000), &claims), header_form),
        ("critical extensions", with_header(issuer, "crit", json!(["exp"])), "it has critical extensions"),
        ("unencoded claims", with_header(issuer, "crit", json!(["b64"])), "it has critical extensions"),
        ("another type", with_header(issuer, "typ", json!("dpop+jwt")), "its type is not JWT"),
        ("a type that is no text", with_header(issuer, "typ", json!(1)), "its type is not JWT"),
    ]
}

fn with_header(issuer: &Issuer, name: &str, value: Value) -> String {
    let mut header = rs256();
    header[name] = value;
    issuer.rsa.token(&header, &issuer.claims())
}

fn rows(issuer: &Issuer) -> Vec<Row> {
    let groups = [times, parties, keys, algorithms, signatures, shapes, texts];
    groups.into_iter().flat_map(|group| group(issuer)).collect()
}

#[tokio::test]
async fn the_log_is_told_why_each_wrong_token_is_wrong() {
    let issuer = Issuer::start().await;
    let oidc = Oidc::new(issuer.config()).expect("a provider");
    oidc.caller(&issuer.rsa.token(&rs256(), &issuer.claims()), NOW_MS).await.expect("the right one counts");
    for (what, token, reason) in rows(&issuer) {
        let refused = oidc.caller(&token, NOW_MS).await.err().unwrap_or_else(|| panic!("{what} counts"));
        assert!(!refused.is_ours(), "{what}: {refused:?}");
        let told = chain(&refused);
        assert!(told.contains(reason), "{what}: {told}");
    }
    let asked: BTreeSet<String> = issuer.pages.asked.lock().unwrap().iter().cloned().collect();
    assert!(!asked.contains("/own-keys"), "an address inside a token was followed: {asked:?}");
}

#[tokio::test]
async fn every_wrong_token_is_401_and_the_caller_is_told_nothing() {
    let issuer = Issuer::start().await;
    let rate = Rate { per_second: 10_000, burst: 10_000 };
    let limits = Limits { address_rate: rate, caller_rate: rate, ..Limits::default() };
    let oidc = Oidc::new(issuer.config()).expect("a provider");
    let server = Running::start_with(plain(limits), Some(oidc), Arc::new(|| NOW_MS)).await;
    let good = issuer.rsa.token(&rs256(), &issuer.claims());
    assert!(has_status(&server.get("/jobs", Some(&good)).await, 200));
    let mut bodies = BTreeSet::new();
    for (what, token, _) in rows(&issuer) {
        let answer = server.get("/jobs", Some(&token)).await;
        assert!(has_status(&answer, 401), "{what}: {answer}");
        assert!(answer.contains("www-authenticate: Bearer\r\n"), "{what}: {answer}");
        bodies.insert(answer.split("\r\n\r\n").nth(1).unwrap_or_default().to_owned());
    }
    assert_eq!(bodies.len(), 1, "an answer tells what was wrong: {bodies:?}");
    server.stop().await;
}

#[tokio::test]
async fn a_token_of_a_megabyte_is_not_even_read() {
    let issuer = Issuer::start().await;
    let claims = issuer.claims_with("padding", json!("x".repeat(1 << 20)));
    let token = issuer.rsa.token(&rs256(), &claims);
    let oidc = Oidc::new(issuer.config()).expect("a provider");
    let server = Running::start_with(plain(Limits::default()), Some(oidc), Arc::new(|| NOW_MS)).await;
    // HTTP itself refuses such a head; what fits into a head and not into a token is 401.
    let head = format!("GET /jobs HTTP/1.1\r\nhost: x\r\nauthorization: Bearer {token}\r\n\r\n");
    let mut stream = tokio::net::TcpStream::connect(server.address).await.unwrap();
    let _ = tokio::io::AsyncWriteExt::write_all(&mut stream, head.as_bytes()).await;
    let answer = crate::server::tests::rig::rest(&mut stream).await;
    assert!(answer.is_empty() || has_status(&answer, 431), "{answer}");
    let claims = issuer.claims_with("padding", json!("x".repeat(14 << 10)));
    let answer = server.get("/jobs", Some(&issuer.rsa.token(&rs256(), &claims))).await;
    assert!(has_status(&answer, 401), "{answer}");
    server.stop().await;
}

#[tokio::test]
async fn no_character_of_a_token_can_be_another() {
    let issuer = Issuer::start().await;
    let oidc = Oidc::new(issuer.config()).expect("a provider");
    let good = issuer.p256.token(&es256(), &issuer.claims());
    oidc.caller(&good, NOW_MS).await.expect("the right one counts");
    for place in 0..good.len() {
        let mut bytes = good.clone().into_bytes();
        bytes[place] = if bytes[place] == b'A' { b'B' } else { b'A' };
        let changed = String::from_utf8(bytes).expect("ASCII");
        assert!(oidc.caller(&changed, NOW_MS).await.is_err(), "place {place}: {changed}");
    }
}

proptest::proptest! {
    #[test]
    fn no_text_makes_the_readers_panic(text in ".{0,300}", bytes in proptest::collection::vec(proptest::num::u8::ANY, 0..300)) {
        let _ = Unverified::parse(&text);
        let _ = Unverified::parse(&format!("{}.{}.{}", b64(&bytes), b64(&text), b64(&bytes)));
        let _ = Unverified::parse(&format!("{}.{}.{}", b64(&text), text, b64(&bytes)));
        let _ = KeySet::parse(&bytes);
        let _ = KeySet::parse(text.as_bytes());
        let _ = crate::people::Token::parse(&text);
        let _ = text.parse::<crate::people::Grant>();
    }
}
