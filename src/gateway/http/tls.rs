//! TLS of the listener for clients: a certificate and a key from files, read again when they change.

use crate::gateway::plan::TlsFiles;
use crate::gateway::regular_file::open_regular;
use crate::gateway::watched_file::Stamp;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError, RwLock};
use tokio_rustls::TlsAcceptor;
use tokio_rustls::rustls::ServerConfig;
use tokio_rustls::rustls::pki_types::pem::PemObject as _;
use tokio_rustls::rustls::pki_types::{CertificateDer, PrivateKeyDer};

/// Why the listener cannot speak TLS.
#[derive(Debug, thiserror::Error)]
pub enum BadTls {
    /// A file cannot be read, or holds no certificate or key in PEM form.
    #[error("cannot use `{}`: {detail}", path.display())]
    File {
        /// The file.
        path: PathBuf,
        /// What is wrong.
        detail: String,
    },
    /// Certificate and key do not belong together.
    #[error("certificate and key cannot be used together: {0}")]
    Pair(String),
}

/// The listener's TLS configuration, and the state of the files that it is from.
#[derive(Debug)]
pub struct Tls {
    files: TlsFiles,
    config: RwLock<Arc<ServerConfig>>,
    stamps: Mutex<[Stamp; 2]>,
}

impl Tls {
    /// Reads certificate and key.
    ///
    /// # Errors
    /// The files cannot be used.
    pub fn load(files: TlsFiles) -> Result<Self, BadTls> {
        let (stamps, config) = (stamps(&files), read(&files)?);
        Ok(Self { files, config: RwLock::new(Arc::new(config)), stamps: Mutex::new(stamps) })
    }

    /// What accepts the next connection, with the certificate of now.
    pub fn acceptor(&self) -> TlsAcceptor {
        TlsAcceptor::from(Arc::clone(&self.config.read().unwrap_or_else(PoisonError::into_inner)))
    }

    /// Reads the files again if they have changed. With bad ones the old certificate stays in use, and the error is
    /// returned once.
    ///
    /// # Errors
    /// The new files cannot be used.
    pub fn look(&self) -> Result<(), BadTls> {
        let now = stamps(&self.files);
        {
            let mut known = self.stamps.lock().unwrap_or_else(PoisonError::into_inner);
            if *known == now {
                return Ok(());
            }
            *known = now;
        }
        let config = read(&self.files)?;
        *self.config.write().unwrap_or_else(PoisonError::into_inner) = Arc::new(config);
        Ok(())
    }
}

fn stamps(files: &TlsFiles) -> [Stamp; 2] {
    [&files.cert, &files.key].map(|path| Stamp::of(path))
}

fn read(files: &TlsFiles) -> Result<ServerConfig, BadTls> {
    let bad = |path: &Path, detail: String| BadTls::File { path: path.to_owned(), detail };
    let open = |path: &Path| open_regular(path).map_err(|error| bad(path, crate::problem::reason(&error)));
    let chain = CertificateDer::pem_reader_iter(open(&files.cert)?)
        .collect::<Result<Vec<_>, _>>()
        .map_err(|error| bad(&files.cert, error.to_string()))?;
    if chain.is_empty() {
        return Err(bad(&files.cert, "no certificate in PEM form".to_owned()));
    }
    let key = PrivateKeyDer::from_pem_reader(open(&files.key)?).map_err(|error| bad(&files.key, error.to_string()))?;
    // It fails if a provider of cryptography is installed already, which then serves.
    let _ = tokio_rustls::rustls::crypto::ring::default_provider().install_default();
    let mut config = ServerConfig::builder()
        .with_no_client_auth()
        .with_single_cert(chain, key)
        .map_err(|error| BadTls::Pair(error.to_string()))?;
    config.alpn_protocols = vec![b"http/1.1".to_vec()];
    Ok(config)
}
