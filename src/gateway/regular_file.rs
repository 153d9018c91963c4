//! Opens the files that the gateway goes by: policies, locks, the configuration, certificates and keys. They are regular
//! files; a pipe in the place of one must not hold the gateway up.

use std::fs::File;
use std::io::{self, Read as _};
use std::path::Path;

/// Opens a regular file to read it; links are followed. A pipe in its place, which would block until a process writes to
/// it, is an error at once.
///
/// # Errors
/// There is no such file, it may not be read, or it is a pipe, socket, device or directory.
pub fn open_regular(path: &Path) -> io::Result<File> {
    let mut options = File::options();
    options.read(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::custom_flags(&mut options, rustix::fs::OFlags::NONBLOCK.bits().cast_signed());
    let file = options.open(path)?;
    if file.metadata()?.is_file() { Ok(file) } else { Err(io::Error::other("it is no regular file")) }
}

/// Reads a regular text file, of a text that is longer than `bytes_max` one byte more, so that its parser can see that
/// there is too much.
///
/// # Errors
/// As [`open_regular`], or the text is not UTF-8.
pub fn read_regular(path: &Path, bytes_max: usize) -> io::Result<String> {
    let mut text = String::new();
    open_regular(path)?.take(bytes_max as u64 + 1).read_to_string(&mut text)?;
    Ok(text)
}

#[cfg(all(test, target_os = "linux"))]
mod tests {
    #![expect(clippy::unwrap_used, reason = "a test that cannot make its files must fail")]
    use super::*;

    #[test]
    fn only_regular_files_are_read_and_none_is_waited_for() {
        let folder = tempfile::tempdir().unwrap();
        let (file, pipe) = (folder.path().join("file"), folder.path().join("pipe"));
        std::fs::write(&file, "text").unwrap();
        rustix::fs::mknodat(rustix::fs::CWD, &pipe, rustix::fs::FileType::Fifo, 0o600.into(), 0).unwrap();
        let link = folder.path().join("link");
        std::os::unix::fs::symlink(&file, &link).unwrap();
        for (path, expected) in [
            (&*file, Ok("text")),
            (&link, Ok("text")),
            (&pipe, Err("it is no regular file")),
            (folder.path(), Err("it is no regular file")),
            (Path::new("/dev/zero"), Err("it is no regular file")),
        ] {
            let read = read_regular(path, 10).map_err(|error| error.to_string());
            assert_eq!(read.as_deref().map_err(String::as_str), expected, "{}", path.display());
        }
        assert_eq!(read_regular(&file, 2).unwrap(), "tex");
    }
}
