//! Tokens that count, and what they give.

use serde_json::{Value, json};

use super::issuer::{AUDIENCE, Issuer, NOW, NOW_MS, SUBSCRIPTION, es256, rs256};
use crate::people::oidc::{Oidc, OidcConfig, OidcRefused};
use crate::people::{Caller, Operation, Role, Scope, authorise};

async fn caller(config: OidcConfig, token: &str) -> Result<Caller, OidcRefused> {
    Oidc::new(config).expect("a provider").caller(token, NOW_MS).await
}

#[tokio::test]
async fn a_token_of_either_algorithm_gives_who_it_is_and_the_mapped_roles() {
    let issuer = Issuer::start().await;
    let claims = issuer.claims_with("roles", json!(["auditors", "leads", "somebody else's group"]));
    for token in [issuer.rsa.token(&rs256(), &claims), issuer.p256.token(&es256(), &claims)] {
        let caller = caller(issuer.config(), &token).await.expect("it counts");
        assert_eq!(caller.id, "oidc:k.lee");
        assert_eq!(caller.roles, [Role::Lead, Role::Auditor].into());
        assert_eq!(caller.scope, Scope::Everything);
    }
}

#[tokio::test]
async fn what_the_standard_leaves_open_is_taken() {
    let issuer = Issuer::start().await;
    let claims = [
        issuer.claims_with("aud", json!(["https://other.example", AUDIENCE])),
        issuer.claims_with("exp", json!(NOW - 59)),
        issuer.claims_with("exp", json!(0.5 + 59.0 + (NOW - 118) as f64)),
        issuer.claims_with("nbf", json!(NOW + 60)),
        issuer.claims_with("roles", json!("leads")),
        issuer.claims_without("iat"),
    ];
    for claims in claims {
        caller(issuer.config(), &issuer.rsa.token(&rs256(), &claims)).await.expect("it counts");
    }
    for kind in ["at+jwt", "application/at+JWT", "jwt"] {
        let header = json!({"alg": "RS256", "typ": kind, "kid": "rsa-1"});
        caller(issuer.config(), &issuer.rsa.token(&header, &issuer.claims())).await.expect("it counts");
    }
    let bare = json!({"alg": "RS256", "kid": "rsa-1", "x5t": "ignored"});
    caller(issuer.config(), &issuer.rsa.token(&bare, &issuer.claims())).await.expect("it counts");
}

#[tokio::test]
async fn who_has_no_mapped_role_is_known_and_may_nothing() {
    let issuer = Issuer::start().await;
    for claims in [
        issuer.claims_without("roles"),
        issuer.claims_with("roles", json!([])),
        issuer.claims_with("roles", json!({"leads": true})),
        issuer.claims_with("roles", json!([["leads"], 1, null])),
        issuer.claims_with("roles", json!("Leads")),
        issuer.claims_with("roles", json!("leads auditors")),
        issuer.claims_with("roles", json!("lead")),
    ] {
        let caller = caller(issuer.config(), &issuer.rsa.token(&rs256(), &claims)).await.expect("it counts");
        assert!(caller.roles.is_empty(), "{claims}");
        assert!(authorise(&caller, Operation::OperationsRead).is_err());
    }
}

#[tokio::test]
async fn a_customer_reaches_what_the_configuration_and_the_token_name() {
    let issuer = Issuer::start().await;
    let mut claims = issuer.claims_with("roles", json!(["customers", "auditors"]));
    claims["subs"] = json!([SUBSCRIPTION, "/subscriptions/bb/resourceGroups/x"]);
    let caller = caller(issuer.config(), &issuer.rsa.token(&rs256(), &claims)).await.expect("it counts");
    let reach = authorise(&caller, Operation::JobsRead).expect("allowed");
    assert!(reach.covers("AA", "moves") && reach.covers(SUBSCRIPTION, "any") && reach.covers("bb", "x"));
    assert!(!reach.covers("aa", "other") && !reach.covers("bb", "y") && !reach.covers("cc", "moves"));
}

#[tokio::test]
async fn roles_are_found_inside_other_claims_and_under_names_with_slashes() {
    let issuer = Issuer::start().await;
    let place = |claim: &str| OidcConfig { roles_claim: claim.to_owned(), ..issuer.config() };
    let mut claims = issuer.claims_without("roles");
    claims["realm_access"] = json!({"roles": ["leads"]});
    claims["https://example.com/roles"] = json!(["auditors"]);
    let token = issuer.rsa.token(&rs256(), &claims);
    let rows: [(&str, Vec<Role>); 4] = [
        ("/realm_access/roles", vec![Role::Lead]),
        ("https://example.com/roles", vec![Role::Auditor]),
        ("/realm_access/none", vec![]),
        ("/realm_access/roles/0/x", vec![]),
    ];
    for (claim, roles) in rows {
        let caller = caller(place(claim), &token).await.expect("it counts");
        assert_eq!(caller.roles, roles.into_iter().collect(), "{claim}");
    }
}

#[tokio::test]
async fn only_configured_algorithms_count() {
    let issuer = Issuer::start().await;
    let config: OidcConfig =
        OidcConfig { algorithms: [crate::people::oidc::Algorithm::Es256].into(), ..issuer.config() };
    let claims: Value = issuer.claims();
    caller(config.clone(), &issuer.p256.token(&es256(), &claims)).await.expect("it counts");
    let refused = caller(config, &issuer.rsa.token(&rs256(), &claims)).await;
    assert!(matches!(refused, Err(OidcRefused::Algorithm(_))));
}
