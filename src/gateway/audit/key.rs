//! The file with the key of the argument hashes: made at first use, readable by its owner only (0600).

use std::io::{self, Read as _, Write as _};
use std::path::Path;

/// Bytes of the key, as many as SHA-256 gives: a longer key would make the hashes no stronger (RFC 2104, section 3).
const KEY_BYTES: usize = 32;

/// Reads the key, or makes it. Two gateways that start at the same moment end up with the same key.
///
/// # Errors
/// The file cannot be read or written, or does not hold 32 bytes.
pub fn load(path: &Path) -> io::Result<[u8; KEY_BYTES]> {
    match read(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => {}
        other => return other,
    }
    let mut key = [0; KEY_BYTES];
    getrandom::fill(&mut key).map_err(|error| io::Error::other(error.to_string()))?;
    let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
    // A temporary file is 0600 from its first byte; linking it into place fails if another process was faster.
    let mut file = tempfile::NamedTempFile::new_in(folder)?;
    file.write_all(&key)?;
    file.as_file().sync_all()?;
    match file.persist_noclobber(path) {
        Ok(_) => Ok(key),
        Err(error) if error.error.kind() == io::ErrorKind::AlreadyExists => read(path),
        Err(error) => Err(error.error),
    }
}

fn read(path: &Path) -> io::Result<[u8; KEY_BYTES]> {
    let mut bytes = Vec::new();
    crate::gateway::regular_file::open_regular(path)?.take(KEY_BYTES as u64 + 1).read_to_end(&mut bytes)?;
    <[u8; KEY_BYTES]>::try_from(bytes)
        .map_err(|_| io::Error::new(io::ErrorKind::InvalidData, "the file is not a key of 32 bytes"))
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "a test that cannot make its files must fail")]
    use super::*;
    use std::fs;

    #[test]
    fn the_key_stays_and_only_its_owner_reads_it() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("audit.key");
        let key = load(&path).unwrap();
        assert_eq!(load(&path).unwrap(), key);
        assert_ne!(key, [0; KEY_BYTES]);
        #[cfg(unix)]
        {
            use std::os::unix::fs::PermissionsExt as _;
            assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
        }
        fs::write(&path, "short").unwrap();
        assert_eq!(load(&path).unwrap_err().kind(), io::ErrorKind::InvalidData);
    }
}
