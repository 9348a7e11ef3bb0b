//! Configuration: what is refused, and that all of it is said at once.

use std::path::PathBuf;

use crate::people::{Doorkeeper, system_clock};
use crate::server::config::{Config, Limits, Listen, Local, Rate, Tls};
use crate::server::{BindError, Server, Surface};

use super::rig::tokens;

fn keys(config: &Config) -> Vec<String> {
    config.problems().into_iter().map(|problem| problem.key).collect()
}

#[test]
fn a_plain_listener_that_others_can_reach_is_refused() {
    for (address, is_fine) in [
        ("127.0.0.1:0", true),
        ("127.9.9.9:0", true),
        ("[::1]:0", true),
        ("[::ffff:127.0.0.1]:0", true),
        ("0.0.0.0:0", false),
        ("[::]:0", false),
        ("192.0.2.1:80", false),
        ("[::ffff:192.0.2.1]:80", false),
    ] {
        let listen = vec![Listen { address: address.parse().unwrap(), tls: None }];
        let config = Config { listen, ..Config::default() };
        assert_eq!(config.problems().is_empty(), is_fine, "{address}");
    }
}

#[tokio::test]
async fn every_problem_is_said_at_once_and_nothing_is_bound() {
    let tls =
        Tls { certificate: PathBuf::from("/nowhere/chain.pem"), key: PathBuf::from("/nowhere/key.pem") };
    let mut config = Config {
        listen: vec![
            Listen { address: "0.0.0.0:0".parse().unwrap(), tls: None },
            Listen { address: "127.0.0.1:0".parse().unwrap(), tls: Some(tls) },
        ],
        local: Some(Local { socket: PathBuf::from("relative"), roles: [].into() }),
        ..Config::default()
    };
    config.limits.body_bytes_max = 0;
    config.limits.caller_rate.burst = 0;
    let expected = [
        "listen[0].address",
        "listen[1].tls",
        "local.socket",
        "local.roles",
        "limits.body_bytes_max",
        "limits.caller_rate",
    ];
    assert_eq!(keys(&config), expected);
    let surface = Surface { router: axum::Router::new(), public: &[] };
    let bound = Server::bind(&config, surface, Doorkeeper::new(tokens(), None, system_clock())).await;
    let Err(BindError::Config(problems)) = bound else { panic!("it must not start") };
    assert_eq!(problems.len(), expected.len());
    assert!(problems[0].to_string().contains("without `tls` anybody on the way could read the tokens"));
}

#[test]
fn a_server_that_listens_nowhere_is_refused() {
    assert_eq!(keys(&Config::default()), ["listen"]);
}

#[test]
fn an_unknown_key_is_refused() {
    let text = "[limits]\nbody_bytes_mx = 5\n";
    let error = toml::from_str::<Config>(text).expect_err("a misspelt limit is no limit");
    assert!(error.to_string().contains("body_bytes_mx"), "{error}");
}

#[test]
fn a_whole_configuration_is_read() {
    let text = r#"
        [[listen]]
        address = "0.0.0.0:8443"
        tls = { certificate = "/etc/drayage/tls/chain.pem", key = "/etc/drayage/tls/key.pem" }
        [local]
        socket = "/run/drayage/api.sock"
        roles = ["lead", "auditor"]
        [limits]
        connections_max = 10
        caller_rate = { per_second = 5, burst = 10 }
        [oidc]
        issuer = "https://login.example/tenant/v2.0"
        audience = "api://drayage"
        algorithms = ["RS256"]
        roles_claim = "/realm_access/roles"
        subscriptions_claim = "https://example.com/subscriptions"
        [oidc.roles]
        "Drayage Leads" = ["lead"]
        "customer-a" = ["customer"]
        [oidc.customers]
        "customer-a" = ["/subscriptions/11111111-1111-1111-1111-111111111111"]
    "#;
    let config: Config = toml::from_str(text).expect("it is whole");
    assert_eq!(config.limits.connections_max, 10);
    assert_eq!(config.limits.requests_max, 128, "what is left out has its default");
    assert_eq!(keys(&config), ["listen[0].tls"], "only the certificate is not there");
}

#[test]
fn no_algorithm_but_the_two_can_be_configured() {
    for algorithm in ["none", "HS256", "HS512", "RS512", "PS256", "ES384", "EdDSA", "rs256", ""] {
        let text = format!(
            "issuer = 'https://login.example'\naudience = 'a'\nroles = {{ a = ['lead'] }}\nalgorithms = ['{algorithm}']"
        );
        assert!(toml::from_str::<crate::people::oidc::OidcConfig>(&text).is_err(), "{algorithm}");
    }
}

/// The handbook's page about all this.
const HANDBOOK: &str = include_str!("../../../../../deploy/access.md");

#[test]
fn the_handbooks_examples_are_configurations() {
    let examples: Vec<&str> =
        HANDBOOK.split("```toml\n").skip(1).filter_map(|rest| rest.split("```").next()).collect();
    assert_eq!(examples.len(), 2);
    for example in examples {
        let whole: toml::Table = toml::from_str(example).expect("TOML");
        let config: Config = whole["server"].clone().try_into().expect("a configuration");
        let wrong = config
            .problems()
            .into_iter()
            .filter(|problem| !["listen", "listen[0].tls"].contains(&&*problem.key));
        assert_eq!(wrong.count(), 0, "only the files and the other listeners are not there");
    }
}

#[test]
fn the_handbook_names_the_defaults_of_every_limit() {
    let limits = Limits::default();
    let Limits { body_bytes_max, header_ms, body_ms, request_ms, unread_ms, .. } = limits;
    let Limits { requests_max, shutdown_ms, certificate_check_ms, .. } = limits;
    let rate = |rate: Rate| format!("`{{ per_second = {}, burst = {} }}`", rate.per_second, rate.burst);
    for row in [
        format!("`body_bytes_max` | {body_bytes_max} |"),
        format!("`header_ms` | {header_ms} |"),
        format!("`body_ms` | {body_ms} |"),
        format!("`request_ms` | {request_ms} |"),
        format!("`unread_ms` | {unread_ms} |"),
        format!(
            "`connections_max`, `connections_per_address_max` | {}, {} |",
            limits.connections_max, limits.connections_per_address_max
        ),
        format!("`requests_max` | {requests_max} |"),
        format!("`address_rate` | {} |", rate(limits.address_rate)),
        format!("`caller_rate` | {} |", rate(limits.caller_rate)),
        format!("`shutdown_ms` | {shutdown_ms} |"),
        format!("`certificate_check_ms` ({} s)", certificate_check_ms / 1000),
    ] {
        assert!(HANDBOOK.contains(&row), "{row}");
    }
}

#[test]
fn the_handbook_names_every_role() {
    for role in crate::people::Role::ALL {
        assert!(HANDBOOK.contains(&format!("| `{role}` |")), "{role}");
    }
}
