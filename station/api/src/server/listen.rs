//! Addresses taken, and each served through the same door.
//!
//! The Unix socket has mode 0600. Between its making and that mode there is a moment, so who connects is asked for
//! their user as well: only root and the socket's owner are somebody (see [`crate::people::Doorkeeper`]).

use std::io;
use std::net::{SocketAddr, TcpListener};
use std::os::unix::fs::{FileTypeExt, MetadataExt, PermissionsExt};
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::{Path, PathBuf};
use std::time::Duration;

use axum::Router;
use axum_server::tls_rustls::RustlsAcceptor;
use axum_server::{Address, Control, Handle};
use tracing::{debug, warn};

use super::BindError;
use super::config::{Config, Limits, Listen, Local};
use super::door::{Door, Peer};
use super::seats::Seats;
use super::tls::Certificate;

/// Heads larger than this are refused: 16 KiB is what large bearer tokens with many groups need.
const HEAD_BYTES_MAX: usize = 32 << 10;
/// Headers of one request; browsers and SDKs send under 30.
const HEADERS_MAX: usize = 64;

/// One address that was taken.
pub(super) enum Listener {
    Network { socket: TcpListener, address: SocketAddr, certificate: Option<Certificate> },
    Local { socket: UnixListener, path: PathBuf, owner: u32 },
}

/// What all listeners share.
#[derive(Clone)]
pub(super) struct Shared {
    seats: Seats<Peer>,
    header: Duration,
    unread: Duration,
}

impl Shared {
    pub(super) fn new(limits: &Limits) -> Self {
        Self {
            seats: Seats::new(limits.connections_max, limits.connections_per_address_max),
            header: Duration::from_millis(limits.header_ms),
            unread: Duration::from_millis(limits.unread_ms),
        }
    }

    fn door(&self, is_tls: bool) -> Door {
        Door { seats: self.seats.clone(), unread: self.unread, is_tls }
    }
}

/// Takes every address of the configuration, or none.
pub(super) fn bind_all(config: &Config) -> Result<Vec<Listener>, BindError> {
    let network = config.listen.iter().map(bind_network);
    network.chain(config.local.iter().map(bind_local)).collect()
}

fn bind_network(listen: &Listen) -> Result<Listener, BindError> {
    let wrong = |source| BindError::Address { address: listen.address, source };
    let certificate = listen.tls.as_ref().map(Certificate::open).transpose().map_err(BindError::Tls)?;
    let socket = TcpListener::bind(listen.address).map_err(wrong)?;
    let address = socket.local_addr().map_err(wrong)?;
    Ok(Listener::Network { socket, address, certificate })
}

fn bind_local(local: &Local) -> Result<Listener, BindError> {
    let path = local.socket.clone();
    let bound = bind_socket(&path).and_then(|socket| {
        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o600))?;
        Ok((socket, std::fs::metadata(&path)?.uid()))
    });
    match bound {
        Ok((socket, owner)) => Ok(Listener::Local { socket, path, owner }),
        Err(source) => Err(BindError::Socket { path, source }),
    }
}

fn bind_socket(path: &Path) -> io::Result<UnixListener> {
    match UnixListener::bind(path) {
        Err(error) if error.kind() == io::ErrorKind::AddrInUse => {
            remove_if_dead(path)?;
            UnixListener::bind(path)
        }
        bound => bound,
    }
}

/// Removes a socket that nobody listens on. A living station's, and what is no socket, stay.
fn remove_if_dead(path: &Path) -> io::Result<()> {
    if !std::fs::symlink_metadata(path)?.file_type().is_socket() {
        return Err(io::Error::new(io::ErrorKind::AlreadyExists, "there is a file that is not a socket"));
    }
    match UnixStream::connect(path) {
        Ok(_) => Err(io::Error::new(io::ErrorKind::AddrInUse, "another station listens on it")),
        Err(error) if error.kind() == io::ErrorKind::ConnectionRefused => std::fs::remove_file(path),
        Err(error) => Err(error),
    }
}

impl Listener {
    pub(super) fn address(&self) -> Option<SocketAddr> {
        match self {
            Self::Network { address, .. } => Some(*address),
            Self::Local { .. } => None,
        }
    }

    pub(super) fn certificate(&self) -> Option<&Certificate> {
        match self {
            Self::Network { certificate, .. } => certificate.as_ref(),
            Self::Local { .. } => None,
        }
    }

    /// The user whose socket it is: this process'.
    pub(super) fn owner(&self) -> Option<u32> {
        match self {
            Self::Network { .. } => None,
            Self::Local { owner, .. } => Some(*owner),
        }
    }

    pub(super) fn name(&self) -> String {
        match self {
            Self::Network { address, certificate: Some(_), .. } => format!("https://{address}"),
            Self::Network { address, certificate: None, .. } => format!("http://{address}"),
            Self::Local { path, .. } => format!("unix:{}", path.display()),
        }
    }

    /// Serves until the control says stop.
    pub(super) async fn serve(self, app: Router, shared: Shared, control: Control) -> io::Result<()> {
        match self {
            Self::Network { socket, certificate: Some(certificate), .. } => {
                let server = prepared(axum_server::from_tcp(socket)?, &shared, control);
                let tls = RustlsAcceptor::new(certificate.live()).handshake_timeout(shared.header);
                server.acceptor(tls.acceptor(shared.door(true))).serve(app.into_make_service()).await
            }
            Self::Network { socket, certificate: None, .. } => {
                let server = prepared(axum_server::from_tcp(socket)?, &shared, control);
                server.acceptor(shared.door(false)).serve(app.into_make_service()).await
            }
            Self::Local { socket, path, .. } => {
                let server = prepared(axum_server::from_unix(socket)?, &shared, control);
                let served = server.acceptor(shared.door(false)).serve(app.into_make_service()).await;
                if let Err(error) = std::fs::remove_file(&path) {
                    debug!(event = "socket_left", path = %path.display(), err = %error);
                }
                served
            }
        }
    }
}

/// HTTP's own limits, the same for every listener.
///
/// HTTP/1.1 only. Over HTTP/2 a client that opens no window leaves its answers with us for as long as it likes, and
/// pings keep its connection: nothing there waits where [`super::door`] could see it. Whole bodies to a few clients
/// gain too little from it.
fn prepared<A: Address + std::fmt::Debug + 'static, S>(
    server: axum_server::Server<A, S>,
    shared: &Shared,
    control: Control,
) -> axum_server::Server<A, S> {
    let mut server = server.http1_only();
    server
        .http_builder()
        .http1()
        .header_read_timeout(shared.header)
        .max_headers(HEADERS_MAX)
        .max_buf_size(HEAD_BYTES_MAX);
    server.handle(Handle::with_control(control)).first_request_timeout(shared.header).accept_error_handler(
        |peer, error| match error.kind() {
            io::ErrorKind::ConnectionRefused => {
                warn!(event = "connection_refused", peer = ?peer, err = %error)
            }
            _ => debug!(event = "connection_failed", peer = ?peer, err = %error),
        },
    )
}
