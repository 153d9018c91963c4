//! Where audit lines are written: an appended file that is rotated by size, or standard error.

use super::Destination;
use super::chain::LogPart;
use std::fs::{self, File, OpenOptions};
use std::io::{self, Write as _};
use std::path::{Path, PathBuf};

/// A log file that has grown larger than this, in bytes, is rotated.
pub const AUDIT_FILE_BYTES_MAX: u64 = 64 * 1024 * 1024;
/// Rotated log files that are kept: `FILE.1` is the newest.
pub const ROTATED_FILES: usize = 5;

/// An open destination of the log. `torn` says that the file ends within a line.
#[derive(Debug)]
pub(super) enum Sink {
    File { path: PathBuf, file: File, bytes: u64, torn: bool, bytes_max: u64 },
    Stderr,
}

impl Sink {
    pub(super) fn open(destination: &Destination, part: LogPart) -> io::Result<Option<Self>> {
        Ok(match destination {
            Destination::Nowhere => None,
            Destination::Stderr => Some(Self::Stderr),
            Destination::File(path) => Some(Self::file(file_of(path, part), AUDIT_FILE_BYTES_MAX)?),
        })
    }

    pub(super) fn file(path: PathBuf, bytes_max: u64) -> io::Result<Self> {
        let file = open(&path)?;
        let bytes = file.metadata()?.len();
        let torn = bytes > 0 && !ends_with_break(&path);
        Ok(Self::File { path, file, bytes, torn, bytes_max })
    }

    /// Writes whole lines with as few system calls as possible; returns how many bytes were written.
    pub(super) fn write(&mut self, lines: &[u8]) -> (usize, io::Result<()>) {
        match self {
            Self::Stderr => {
                let result = io::stderr().lock().write_all(lines);
                (if result.is_ok() { lines.len() } else { 0 }, result)
            }
            Self::File { file, bytes, torn, .. } => {
                // A disk that was full left half a line: without a break the next line would be glued to it.
                if *torn {
                    match write_all(file, b"\n") {
                        (_, Ok(())) => *torn = false,
                        (_, Err(error)) => return (0, Err(error)),
                    }
                }
                let (count, result) = write_all(file, lines);
                *bytes += count as u64;
                *torn = count > 0 && lines[count - 1] != b'\n';
                self.rotate_if_large();
                (count, result)
            }
        }
    }

    /// Opens the file that has the log's name now, if another process has rotated the one that is open here.
    pub(super) fn follow(&mut self) {
        let Self::File { path, file, bytes, torn, .. } = self else { return };
        if is_same(path, file) {
            *bytes = file.metadata().map_or(*bytes, |metadata| metadata.len());
        } else if let Ok(new) = open(path) {
            *bytes = new.metadata().map_or(0, |metadata| metadata.len());
            *torn = *bytes > 0 && !ends_with_break(path);
            *file = new;
        }
        self.rotate_if_large();
    }

    fn rotate_if_large(&mut self) {
        let Self::File { path, file, bytes, torn, bytes_max } = self else { return };
        // A file that cannot be rotated is still a log: it is written on, and rotation is tried again at the next
        // write.
        if *bytes > *bytes_max
            && file.metadata().is_ok_and(|metadata| metadata.is_file())
            && let Ok(new) = rotate(path, file)
        {
            *bytes = new.metadata().map_or(0, |metadata| metadata.len());
            *torn = *bytes > 0 && !ends_with_break(path);
            *file = new;
        }
    }
}

fn write_all(file: &mut File, bytes: &[u8]) -> (usize, io::Result<()>) {
    let mut count = 0;
    while count < bytes.len() {
        match file.write(&bytes[count..]) {
            Ok(0) => return (count, Err(io::ErrorKind::WriteZero.into())),
            Ok(more) => count += more,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return (count, Err(error)),
        }
    }
    (count, Ok(()))
}

/// The file of one part of a log: `audit.jsonl`, and beside it `audit.refused.jsonl`. A device has both.
pub(super) fn file_of(path: &Path, part: LogPart) -> PathBuf {
    let is_device = fs::metadata(path).is_ok_and(|metadata| !metadata.is_file());
    match part {
        LogPart::Refusals if !is_device => refused(path),
        LogPart::Acts | LogPart::Refusals => path.to_owned(),
    }
}

/// The name of the file of refusals beside a log.
pub(super) fn refused(path: &Path) -> PathBuf {
    let mut name = path.file_stem().unwrap_or_default().to_owned();
    name.push(".refused");
    if let Some(extension) = path.extension() {
        name.push(".");
        name.push(extension);
    }
    path.with_file_name(name)
}

/// Opens a log to append to it. What it holds is for its owner: a file that others may read or write is closed to them.
///
/// # Errors
/// There is no such folder; the last part of the path is a symbolic link, which another could lead to a file of ours; it
/// is another's file, or no file or device at all.
fn open(path: &Path) -> io::Result<File> {
    let mut options = OpenOptions::new();
    options.append(true).create(true);
    #[cfg(unix)]
    {
        use std::os::unix::fs::OpenOptionsExt as _;
        // A pipe without a reader would not open, and hold up the start.
        let flags = rustix::fs::OFlags::NOFOLLOW | rustix::fs::OFlags::NONBLOCK;
        options.mode(0o600).custom_flags(flags.bits().cast_signed());
    }
    let file = options.open(path).map_err(|error| {
        let is_link = fs::symlink_metadata(path).is_ok_and(|metadata| metadata.is_symlink());
        if is_link { io::Error::other("it is a symbolic link, which is not followed") } else { error }
    })?;
    #[cfg(unix)]
    {
        use std::os::unix::fs::{FileTypeExt as _, PermissionsExt as _};
        let metadata = file.metadata()?;
        if !metadata.is_file() && !metadata.file_type().is_char_device() {
            return Err(io::Error::other("it is neither a file nor a device"));
        }
        if metadata.is_file() && metadata.permissions().mode() & 0o077 != 0 {
            let closed = file.set_permissions(fs::Permissions::from_mode(0o600));
            closed
                .map_err(|error| io::Error::other(format!("others may read or write it, and it stays so: {error}")))?;
        }
    }
    Ok(file)
}

fn ends_with_break(path: &Path) -> bool {
    use std::io::{Read as _, Seek as _, SeekFrom};
    let last = || -> io::Result<u8> {
        let mut file = File::open(path)?;
        file.seek(SeekFrom::End(-1))?;
        let mut byte = [0];
        file.read_exact(&mut byte)?;
        Ok(byte[0])
    };
    // A file that cannot be read back (a device) needs no repair.
    last().map_or(true, |byte| byte == b'\n')
}

#[cfg(unix)]
fn is_same(path: &Path, file: &File) -> bool {
    use std::os::unix::fs::MetadataExt as _;
    match (fs::metadata(path), file.metadata()) {
        (Ok(named), Ok(open)) => (named.dev(), named.ino()) == (open.dev(), open.ino()),
        _ => false,
    }
}

#[cfg(not(unix))]
fn is_same(_path: &Path, _file: &File) -> bool {
    // These systems do not let another process rename a file that is open.
    true
}

/// The name of the `n`th rotated log file, from 1.
pub(super) fn rotated(path: &Path, n: usize) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(format!(".{n}"));
    PathBuf::from(name)
}

/// Renames `FILE` to `FILE.1`, `FILE.1` to `FILE.2` and so on, and opens a new `FILE`. The lock on the old file makes
/// processes that share a log do this one after the other, and only the first of them renames.
fn rotate(path: &Path, file: &File) -> io::Result<File> {
    file.lock()?;
    let renamed = (|| {
        if is_same(path, file) {
            for n in (1..ROTATED_FILES).rev() {
                match fs::rename(rotated(path, n), rotated(path, n + 1)) {
                    Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
                    _ => {}
                }
            }
            fs::rename(path, rotated(path, 1))?;
        }
        open(path)
    })();
    file.unlock()?;
    renamed
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "a test that cannot make its files must fail")]
    use super::*;

    #[test]
    fn a_large_file_is_rotated_and_the_oldest_goes() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a.jsonl");
        let mut sink = Sink::file(path.clone(), 10).unwrap();
        for n in 0..ROTATED_FILES + 3 {
            sink.write(format!("line {n}\n").as_bytes()).1.unwrap();
            sink.write(b"more\n").1.unwrap();
        }
        assert_eq!(fs::read_to_string(rotated(&path, 1)).unwrap(), "line 7\nmore\n");
        assert_eq!(fs::read_to_string(rotated(&path, ROTATED_FILES)).unwrap(), "line 3\nmore\n");
        assert!(!rotated(&path, ROTATED_FILES + 1).exists());
        assert_eq!(fs::read_to_string(&path).unwrap(), "");
    }

    #[test]
    fn a_file_at_the_bound_is_not_rotated() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a.jsonl");
        let mut sink = Sink::file(path.clone(), 5).unwrap();
        sink.write(b"1234\n").1.unwrap();
        assert!(!rotated(&path, 1).exists());
        sink.write(b"\n").1.unwrap();
        assert!(rotated(&path, 1).exists());
    }

    #[test]
    fn a_process_follows_the_rotation_of_another() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a.jsonl");
        let mut one = Sink::file(path.clone(), 10).unwrap();
        let mut two = Sink::file(path.clone(), 10).unwrap();
        one.write(b"0123456789\n").1.unwrap();
        two.follow();
        two.write(b"two\n").1.unwrap();
        assert_eq!(fs::read_to_string(&path).unwrap(), "two\n");
        assert!(!rotated(&path, 2).exists());
    }

    #[cfg(unix)]
    #[test]
    fn a_log_that_was_there_is_closed_to_others_and_links_are_not_followed() {
        use std::os::unix::fs::PermissionsExt as _;
        let folder = tempfile::tempdir().unwrap();
        let (path, link) = (folder.path().join("a.jsonl"), folder.path().join("link"));
        for mode in [0o644, 0o660, 0o602] {
            fs::write(&path, "line\n").unwrap();
            fs::set_permissions(&path, fs::Permissions::from_mode(mode)).unwrap();
            Sink::file(path.clone(), 100).unwrap().write(b"next\n").1.unwrap();
            assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600, "{mode:o}");
            assert_eq!(fs::read_to_string(&path).unwrap(), "line\nnext\n");
        }
        std::os::unix::fs::symlink(&path, &link).unwrap();
        assert!(Sink::file(link.clone(), 100).unwrap_err().to_string().contains("link"));
        // One that leads nowhere would be made there.
        fs::remove_file(&path).unwrap();
        assert!(Sink::file(link, 100).is_err());
        assert!(!path.exists());
        // A pipe that no process reads must not hold up the start.
        let pipe = folder.path().join("pipe");
        rustix::fs::mknodat(rustix::fs::CWD, &pipe, rustix::fs::FileType::Fifo, 0o600.into(), 0).unwrap();
        assert!(Sink::file(pipe, 100).is_err());
    }

    #[test]
    fn refusals_have_a_file_beside_the_log() {
        for (path, expected) in
            [("a/audit.jsonl", "a/audit.refused.jsonl"), ("log", "log.refused"), ("a.b/c", "a.b/c.refused")]
        {
            assert_eq!(refused(Path::new(path)), Path::new(expected));
        }
        let device = Path::new("/dev/null");
        if device.exists() {
            assert_eq!(file_of(device, LogPart::Refusals), device);
        }
    }

    #[test]
    fn half_a_line_does_not_swallow_the_next() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a.jsonl");
        fs::write(&path, "whole\nhal").unwrap();
        let mut sink = Sink::file(path.clone(), 100).unwrap();
        sink.write(b"next\n").1.unwrap();
        assert_eq!(fs::read_to_string(&path).unwrap(), "whole\nhal\nnext\n");
    }
}
