//! The socket of the command line on this machine.

use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use tokio::io::AsyncWriteExt;
use tokio::net::UnixStream;

use crate::people::{Doorkeeper, Refused, Role, system_clock};
use crate::server::config::{Config, Local};
use crate::server::{BindError, Peer, Server, Surface};

use super::rig::{Running, has_status, rest, tokens};

fn config(socket: &Path, roles: &[Role]) -> Config {
    let local = Local { socket: socket.to_owned(), roles: roles.iter().copied().collect() };
    Config { local: Some(local), ..Config::default() }
}

async fn ask(socket: &Path, request: &str) -> String {
    let mut stream = UnixStream::connect(socket).await.expect("it accepts");
    stream.write_all(request.as_bytes()).await.unwrap();
    rest(&mut stream).await
}

const READ: &str = "GET /jobs HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n";
const WRITE: &str = "POST /length HTTP/1.1\r\nhost: x\r\ncontent-length: 0\r\nconnection: close\r\n\r\n";

#[tokio::test]
async fn the_services_own_account_has_the_configured_roles_and_no_more() {
    let folder = tempfile::tempdir().unwrap();
    let socket = folder.path().join("api.sock");
    let server = Running::start(config(&socket, &[Role::Auditor])).await;
    let mode = std::fs::metadata(&socket).unwrap().permissions().mode();
    assert_eq!(mode & 0o777, 0o600);
    assert!(has_status(&ask(&socket, READ).await, 200));
    assert!(has_status(&ask(&socket, WRITE).await, 403));
    server.stop().await;
    assert!(!socket.exists(), "it is taken away at the end");
}

#[tokio::test]
async fn a_token_over_the_socket_counts_before_who_sent_it() {
    let folder = tempfile::tempdir().unwrap();
    let socket = folder.path().join("api.sock");
    let server = Running::start(config(&socket, &[Role::Admin])).await;
    let with = READ.replace("host: x", "host: x\r\nauthorization: Bearer nonsense");
    assert!(has_status(&ask(&socket, &with).await, 401));
    server.stop().await;
}

#[tokio::test]
async fn another_user_is_nobody_and_the_network_is_no_socket() {
    let keeper = Doorkeeper::new(tokens(), None, system_clock()).with_local(1000, [Role::Admin].into());
    let none = axum::http::HeaderMap::new();
    for uid in [0, 1000] {
        let caller = keeper.caller(&none, Peer::Local { uid }).await.expect("somebody");
        assert_eq!(caller.id, format!("local:{uid}"));
    }
    assert!(matches!(keeper.caller(&none, Peer::Local { uid: 1001 }).await, Err(Refused::Stranger(1001))));
    let network = Peer::Network("127.0.0.1".parse().unwrap());
    assert!(matches!(keeper.caller(&none, network).await, Err(Refused::Missing)));
}

#[tokio::test]
async fn a_dead_socket_is_replaced_and_a_living_one_or_a_file_is_not() {
    let folder = tempfile::tempdir().unwrap();
    let socket = folder.path().join("api.sock");
    drop(std::os::unix::net::UnixListener::bind(&socket).unwrap());
    let server = Running::start(config(&socket, &[Role::Admin])).await;
    assert!(has_status(&ask(&socket, READ).await, 200));
    assert!(matches!(bind(&socket).await, Err(BindError::Socket { .. })), "the first one lives");
    assert!(has_status(&ask(&socket, READ).await, 200), "and goes on");
    server.stop().await;
    std::fs::write(&socket, "somebody's file").unwrap();
    assert!(bind(&socket).await.is_err());
    assert_eq!(std::fs::read_to_string(&socket).unwrap(), "somebody's file");
}

async fn bind(socket: &Path) -> Result<Server, BindError> {
    let surface = Surface { router: axum::Router::new(), public: &[] };
    Server::bind(&config(socket, &[Role::Admin]), surface, Doorkeeper::new(tokens(), None, system_clock()))
        .await
}
