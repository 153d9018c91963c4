//! Logins at servers, as they are kept: one file a server in the state directory, for its owner only.

use super::LoginError;
use crate::state::make_private_folder;
use rmcp::transport::auth::{AuthError, CredentialRefreshGuard, CredentialStore, StoredCredentials};
use sha2::{Digest as _, Sha256};
use std::fs::File;
use std::io::{self, Write as _};
use std::path::{Path, PathBuf};
use url::Url;

/// The folder of logins in the state directory.
const FOLDER: &str = "logins";
/// Largest file of a login, in bytes; tokens may carry claims.
const LOGIN_BYTES_MAX: u64 = 256 * 1024;

/// The file of the login at one server.
#[derive(Clone, Debug)]
pub(super) struct LoginFile {
    folder: PathBuf,
    path: PathBuf,
}

impl LoginFile {
    /// The file for a server's URL, in this state directory. A fragment is no part of what a server is.
    pub(super) fn of(state: &Path, url: &Url) -> Self {
        let mut plain = url.clone();
        plain.set_fragment(None);
        let name: String = Sha256::digest(plain.as_str().as_bytes()).iter().map(|byte| format!("{byte:02x}")).collect();
        let folder = state.join(FOLDER);
        let path = folder.join(format!("{name}.json"));
        Self { folder, path }
    }

    pub(super) fn path(&self) -> &Path {
        &self.path
    }

    /// The credentials, if there are any.
    pub(super) fn read(&self) -> Result<Option<StoredCredentials>, LoginError> {
        use io::Read as _;
        let file = match File::open(&self.path) {
            Ok(file) => file,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(self.broken(&error)),
        };
        let mut text = Vec::new();
        file.take(LOGIN_BYTES_MAX).read_to_end(&mut text).map_err(|error| self.broken(&error))?;
        // The parser's message would repeat a part of the text.
        let damaged = |_| self.broken(&io::Error::other("it cannot be understood"));
        serde_json::from_slice(&text).map(Some).map_err(damaged)
    }

    /// Puts credentials in place, whole.
    pub(super) fn write(&self, credentials: &StoredCredentials) -> Result<(), LoginError> {
        let text =
            serde_json::to_vec(credentials).map_err(|_| LoginError::Protocol("no text for a token".to_owned()))?;
        let write = || -> io::Result<()> {
            make_private_folder(&self.folder)?;
            // Made for the owner only, and put in place whole.
            let mut file = tempfile::NamedTempFile::new_in(&self.folder)?;
            file.write_all(&text)?;
            file.persist(&self.path).map(drop).map_err(|error| error.error)
        };
        write().map_err(|error| self.broken(&error))
    }

    /// Removes it. Answers whether it was there.
    pub(super) fn remove(&self) -> Result<bool, LoginError> {
        match std::fs::remove_file(&self.path) {
            Ok(()) => Ok(true),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(false),
            Err(error) => Err(self.broken(&error)),
        }
    }

    /// One process at a time renews a login: a token that renews is often good once.
    fn lock(&self) -> io::Result<File> {
        make_private_folder(&self.folder)?;
        let mut options = std::fs::OpenOptions::new();
        options.append(true).create(true);
        #[cfg(unix)]
        std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
        let file = options.open(self.path.with_extension("lock"))?;
        file.lock()?;
        Ok(file)
    }

    fn broken(&self, error: &io::Error) -> LoginError {
        LoginError::File { path: self.path.clone(), reason: crate::problem::reason(error) }
    }
}

fn store_error(error: LoginError) -> AuthError {
    AuthError::CredentialStoreError(error.to_string())
}

#[async_trait::async_trait]
impl CredentialStore for LoginFile {
    async fn load(&self) -> Result<Option<StoredCredentials>, AuthError> {
        self.read().map_err(store_error)
    }

    async fn save(&self, credentials: StoredCredentials) -> Result<(), AuthError> {
        self.write(&credentials).map_err(store_error)
    }

    async fn clear(&self) -> Result<(), AuthError> {
        self.remove().map(drop).map_err(store_error)
    }

    async fn acquire_refresh_guard(&self) -> Result<Option<CredentialRefreshGuard>, AuthError> {
        let file = self.lock().map_err(|error| store_error(self.broken(&error)))?;
        Ok(Some(CredentialRefreshGuard::new(file)))
    }
}
