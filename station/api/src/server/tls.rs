//! Certificates: read, checked, and exchanged while the server runs.
//!
//! A change is seen by the files' bytes, not by their times, so every way of replacing them works; SIGHUP asks to
//! look at once. What does not fit together (half a replacement, a key of another certificate) changes nothing: the
//! old one stays in use, and the log says why. Connections that are open keep the certificate they began with.

use std::fs::File;
use std::io::{self, Read};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};

use axum_server::tls_rustls::RustlsConfig;
use rustls::ServerConfig;
use rustls::crypto::ring::default_provider;
use rustls::pki_types::pem::{self, PemObject};
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use sha2::{Digest, Sha256};
use thiserror::Error;
use zeroize::Zeroizing;

use super::config::Tls;

/// A chain or a key is some KiB; what is larger is another file.
const FILE_BYTES_MAX: u64 = 1 << 20;

/// Why a certificate cannot be used.
#[derive(Debug, Error)]
pub enum TlsError {
    /// A file could not be read.
    #[error("reading {path:?}")]
    Read {
        /// Which.
        path: PathBuf,
        /// Why.
        #[source]
        source: io::Error,
    },
    /// A file is too large to be one.
    #[error("{0:?} is larger than a certificate or key can be")]
    TooLarge(PathBuf),
    /// Everybody on the machine can read the key.
    #[error("{0:?} can be read by everybody (mode {1:o}); take that right away and replace the key")]
    Open(PathBuf, u32),
    /// A file is not what it should be.
    #[error("{path:?} holds no {what} in PEM")]
    Pem {
        /// Which.
        path: PathBuf,
        /// What was looked for.
        what: &'static str,
        /// What was found.
        #[source]
        source: pem::Error,
    },
    /// The chain file holds no certificate.
    #[error("{0:?} holds no certificate in PEM")]
    Empty(PathBuf),
    /// Certificate and key do not fit, or the TLS library takes neither.
    #[error("certificate and key cannot be used together")]
    Pair(#[source] rustls::Error),
}

impl TlsError {
    fn pem(path: &Path, what: &'static str, source: pem::Error) -> Self {
        Self::Pem { path: path.to_owned(), what, source }
    }
}

/// Reads and checks one listener's files: TLS 1.2 and 1.3, HTTP/1.1.
pub(crate) fn load(files: &Tls) -> Result<Arc<ServerConfig>, TlsError> {
    read(files)?.config(files)
}

/// The bytes of both files, before anything is made of them.
struct Pair {
    certificate: Vec<u8>,
    key: Zeroizing<Vec<u8>>,
}

fn read(files: &Tls) -> Result<Pair, TlsError> {
    let certificate = read_file(&files.certificate)?.0;
    let (key, mode) = read_file(&files.key)?;
    let key = Zeroizing::new(key);
    match mode & 0o007 {
        0 => Ok(Pair { certificate, key }),
        _ => Err(TlsError::Open(files.key.clone(), mode & 0o777)),
    }
}

fn read_file(path: &Path) -> Result<(Vec<u8>, u32), TlsError> {
    let wrong = |source| TlsError::Read { path: path.to_owned(), source };
    let file = File::open(path).map_err(wrong)?;
    let metadata = file.metadata().map_err(wrong)?;
    if metadata.len() > FILE_BYTES_MAX {
        return Err(TlsError::TooLarge(path.to_owned()));
    }
    // One allocation of the right size: a buffer that grows would leave pieces of the key behind.
    let mut bytes = Vec::with_capacity(usize::try_from(metadata.len()).unwrap_or_default().saturating_add(1));
    file.take(FILE_BYTES_MAX).read_to_end(&mut bytes).map_err(wrong)?;
    Ok((bytes, metadata.permissions().mode()))
}

impl Pair {
    fn digest(&self) -> [u8; 32] {
        let mut digest = Sha256::new();
        digest.update(u64::try_from(self.certificate.len()).unwrap_or(u64::MAX).to_be_bytes());
        digest.update(&self.certificate);
        digest.update(&*self.key);
        digest.finalize().into()
    }

    fn config(&self, files: &Tls) -> Result<Arc<ServerConfig>, TlsError> {
        let chain = CertificateDer::pem_slice_iter(&self.certificate)
            .collect::<Result<Vec<_>, _>>()
            .map_err(|source| TlsError::pem(&files.certificate, "certificate", source))?;
        if chain.is_empty() {
            return Err(TlsError::Empty(files.certificate.clone()));
        }
        let key = PrivateKeyDer::from_pem_slice(&self.key)
            .map_err(|source| TlsError::pem(&files.key, "private key", source))?;
        let mut config = ServerConfig::builder_with_provider(Arc::new(default_provider()))
            .with_protocol_versions(&[&rustls::version::TLS13, &rustls::version::TLS12])
            .map_err(TlsError::Pair)?
            .with_no_client_auth()
            .with_single_cert(chain, key)
            .map_err(TlsError::Pair)?;
        config.alpn_protocols = vec![b"http/1.1".to_vec()];
        Ok(Arc::new(config))
    }
}

/// One listener's certificate, exchangeable.
#[derive(Clone)]
pub(super) struct Certificate {
    files: Tls,
    live: RustlsConfig,
    seen: Arc<Mutex<[u8; 32]>>,
}

impl Certificate {
    pub(super) fn open(files: &Tls) -> Result<Self, TlsError> {
        let pair = read(files)?;
        let live = RustlsConfig::from_config(pair.config(files)?);
        Ok(Self { files: files.clone(), live, seen: Arc::new(Mutex::new(pair.digest())) })
    }

    /// What the acceptor asks for each new connection.
    pub(super) fn live(&self) -> RustlsConfig {
        self.live.clone()
    }

    /// Takes the files into use if they changed. Reads files: not for the threads that serve.
    pub(super) fn refresh(&self) -> Result<bool, TlsError> {
        let pair = read(&self.files)?;
        let digest = pair.digest();
        let mut seen = self.seen.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        if *seen == digest {
            return Ok(false);
        }
        self.live.reload_from_config(pair.config(&self.files)?);
        *seen = digest;
        Ok(true)
    }

    pub(super) fn path(&self) -> &Path {
        &self.files.certificate
    }
}
