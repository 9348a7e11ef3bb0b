//! A little identity provider on loopback: documents that tests replace, a count of what was asked, and a pen that
//! signs whatever it is given.

use std::collections::{BTreeMap, BTreeSet};
use std::net::SocketAddr;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};

use axum::Router;
use axum::extract::State;
use axum::http::Uri;
use axum::response::{IntoResponse, Response};
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use ring::rand::SystemRandom;
use ring::rsa::PublicKeyComponents;
use ring::signature::{
    ECDSA_P256_SHA256_ASN1_SIGNING, ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair, EcdsaSigningAlgorithm,
    KeyPair, RSA_PKCS1_SHA256, RsaKeyPair,
};
use serde_json::{Value, json};

use crate::people::oidc::{Algorithm, OidcConfig};
use crate::people::{Grant, Role};

/// The time in all these tests, milliseconds and seconds since 1970.
pub const NOW_MS: i64 = 1_790_000_000_000;
pub const NOW: i64 = NOW_MS / 1000;
pub const AUDIENCE: &str = "api://drayage";
pub const SUBSCRIPTION: &str = "11111111-1111-1111-1111-111111111111";

pub fn b64(bytes: impl AsRef<[u8]>) -> String {
    URL_SAFE_NO_PAD.encode(bytes)
}

/// A private key that signs for the provider, or pretends to.
pub enum Pen {
    Rsa(Box<RsaKeyPair>),
    P256 { pkcs8: Vec<u8> },
}

impl Pen {
    pub fn rsa() -> Self {
        Self::rsa_of(include_bytes!("keys/test-only-one.pkcs8.der"))
    }

    pub fn other_rsa() -> Self {
        Self::rsa_of(include_bytes!("keys/test-only-other.pkcs8.der"))
    }

    fn rsa_of(pkcs8: &[u8]) -> Self {
        Self::Rsa(Box::new(RsaKeyPair::from_pkcs8(pkcs8).expect("a key")))
    }

    pub fn p256() -> Self {
        let made = EcdsaKeyPair::generate_pkcs8(&ECDSA_P256_SHA256_FIXED_SIGNING, &SystemRandom::new());
        Self::P256 { pkcs8: made.expect("a key").as_ref().to_vec() }
    }

    fn pair(pkcs8: &[u8], form: &'static EcdsaSigningAlgorithm) -> EcdsaKeyPair {
        EcdsaKeyPair::from_pkcs8(form, pkcs8, &SystemRandom::new()).expect("a key")
    }

    pub fn sign(&self, text: &str) -> Vec<u8> {
        match self {
            Self::Rsa(pair) => {
                let mut signature = vec![0; pair.public().modulus_len()];
                pair.sign(&RSA_PKCS1_SHA256, &SystemRandom::new(), text.as_bytes(), &mut signature)
                    .expect("signed");
                signature
            }
            Self::P256 { pkcs8 } => Self::signed(&Self::pair(pkcs8, &ECDSA_P256_SHA256_FIXED_SIGNING), text),
        }
    }

    /// An ECDSA signature in the form of certificates, which is not that of tokens.
    pub fn sign_in_asn1(&self, text: &str) -> Vec<u8> {
        let Self::P256 { pkcs8 } = self else { panic!("only ECDSA has two forms") };
        Self::signed(&Self::pair(pkcs8, &ECDSA_P256_SHA256_ASN1_SIGNING), text)
    }

    fn signed(pair: &EcdsaKeyPair, text: &str) -> Vec<u8> {
        pair.sign(&SystemRandom::new(), text.as_bytes()).expect("signed").as_ref().to_vec()
    }

    /// The modulus, or the point: what an attacker would take for a shared secret.
    pub fn public_bytes(&self) -> Vec<u8> {
        match self {
            Self::Rsa(pair) => PublicKeyComponents::<Vec<u8>>::from(pair.public()).n,
            Self::P256 { pkcs8 } => {
                Self::pair(pkcs8, &ECDSA_P256_SHA256_FIXED_SIGNING).public_key().as_ref().to_vec()
            }
        }
    }

    pub fn jwk(&self, kid: &str) -> Value {
        match self {
            Self::Rsa(pair) => {
                let parts = PublicKeyComponents::<Vec<u8>>::from(pair.public());
                json!({"kty": "RSA", "use": "sig", "alg": "RS256", "kid": kid, "n": b64(parts.n), "e": b64(parts.e)})
            }
            Self::P256 { .. } => {
                let point = self.public_bytes();
                json!({"kty": "EC", "crv": "P-256", "kid": kid, "x": b64(&point[1..33]), "y": b64(&point[33..65])})
            }
        }
    }

    pub fn token(&self, header: &Value, claims: &Value) -> String {
        self.token_of(&header.to_string(), claims.to_string())
    }

    /// From the very bytes, also such as no JSON writer writes.
    pub fn token_of(&self, header: &str, claims: impl AsRef<[u8]>) -> String {
        let text = format!("{}.{}", b64(header), b64(claims));
        let signature = self.sign(&text);
        format!("{text}.{}", b64(signature))
    }
}

/// What the provider says, and what it was asked.
pub struct Pages {
    pub pages: Mutex<BTreeMap<String, (u16, String)>>,
    pub asked: Mutex<Vec<String>>,
    pub keys_asked: AtomicUsize,
}

pub struct Issuer {
    pub address: SocketAddr,
    pub rsa: Pen,
    pub p256: Pen,
    pub pages: Arc<Pages>,
}

pub const KEYS: &str = "/keys";
pub const DISCOVERY: &str = "/tenant/.well-known/openid-configuration";

impl Issuer {
    pub async fn start() -> Self {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let issuer = Self::at(address, "http");
        let app = issuer.app();
        tokio::spawn(async move {
            axum_server::from_tcp(listener.into_std().unwrap()).unwrap().serve(app.into_make_service()).await
        });
        issuer
    }

    /// One that somebody else serves, under that scheme.
    pub fn at(address: SocketAddr, scheme: &str) -> Self {
        let pages =
            Pages { pages: Mutex::default(), asked: Mutex::default(), keys_asked: AtomicUsize::new(0) };
        let issuer = Self { address, rsa: Pen::rsa(), p256: Pen::p256(), pages: Arc::new(pages) };
        let base = format!("{scheme}://{address}");
        issuer.say(
            DISCOVERY,
            &json!({"issuer": format!("{base}/tenant"), "jwks_uri": format!("{base}{KEYS}")}),
        );
        issuer.publish(&[issuer.rsa.jwk("rsa-1"), issuer.p256.jwk("ec-1")]);
        issuer
    }

    pub fn app(&self) -> Router {
        Router::new().fallback(answer).with_state(self.pages.clone())
    }

    pub fn publish(&self, keys: &[Value]) {
        self.say(KEYS, &json!({ "keys": keys }));
    }

    pub fn say(&self, path: &str, page: &Value) {
        self.say_text(path, 200, page.to_string());
    }

    pub fn say_text(&self, path: &str, status: u16, text: String) {
        self.pages.pages.lock().unwrap().insert(path.to_owned(), (status, text));
    }

    pub fn keys_asked(&self) -> usize {
        self.pages.keys_asked.load(Ordering::SeqCst)
    }

    pub fn url(&self) -> String {
        format!("http://{}/tenant", self.address)
    }

    pub fn config(&self) -> OidcConfig {
        let roles = [("leads", Role::Lead), ("auditors", Role::Auditor), ("customers", Role::Customer)];
        let grant: Grant = "/subscriptions/aa/resourceGroups/moves".parse().unwrap();
        OidcConfig {
            issuer: self.url(),
            audience: AUDIENCE.to_owned(),
            algorithms: BTreeSet::from([Algorithm::Rs256, Algorithm::Es256]),
            ca_certificates: None,
            proxy: None,
            id_claim: "sub".to_owned(),
            roles_claim: "roles".to_owned(),
            roles: roles.into_iter().map(|(name, role)| (name.to_owned(), BTreeSet::from([role]))).collect(),
            customers: BTreeMap::from([("customers".to_owned(), vec![grant])]),
            subscriptions_claim: Some("subs".to_owned()),
            leeway_seconds: 60,
            refetch_ms: 3_600_000,
            request_ms: 10_000,
            keys_age_ms: 3_600_000,
        }
    }

    /// Claims that count.
    pub fn claims(&self) -> Value {
        json!({"iss": self.url(), "aud": AUDIENCE, "sub": "k.lee", "exp": NOW + 300, "iat": NOW - 5, "roles": ["leads"]})
    }

    /// Claims that count but for one.
    pub fn claims_with(&self, name: &str, value: Value) -> Value {
        let mut claims = self.claims();
        claims[name] = value;
        claims
    }

    pub fn claims_without(&self, name: &str) -> Value {
        let mut claims = self.claims();
        claims.as_object_mut().unwrap().remove(name);
        claims
    }
}

pub fn rs256() -> Value {
    json!({"alg": "RS256", "typ": "JWT", "kid": "rsa-1"})
}

pub fn es256() -> Value {
    json!({"alg": "ES256", "typ": "JWT", "kid": "ec-1"})
}

async fn answer(State(pages): State<Arc<Pages>>, uri: Uri) -> Response {
    pages.asked.lock().unwrap().push(uri.path().to_owned());
    if uri.path() == KEYS {
        pages.keys_asked.fetch_add(1, Ordering::SeqCst);
    }
    let page = pages.pages.lock().unwrap().get(uri.path()).cloned();
    let (status, text) = page.unwrap_or((404, String::new()));
    let status = axum::http::StatusCode::from_u16(status).unwrap();
    if status.is_redirection() {
        return (status, [("location", text)]).into_response();
    }
    (status, text).into_response()
}
