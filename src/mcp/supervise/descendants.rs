//! What a supervised command has started, wherever it has gone: found by who its parent is, and reaped.

use rustix::process::{Pid, Signal, kill_process};

/// Has the system give this process every orphan among its descendants, in place of `init`. Answers whether it does.
pub(super) fn adopt() -> bool {
    #[cfg(target_os = "linux")]
    return rustix::process::set_child_subreaper(Some(rustix::process::getpid())).is_ok();
    #[cfg(not(target_os = "linux"))]
    false
}

/// Sends a signal to every descendant of this process.
pub(super) fn signal_all(signal: Signal) {
    for pid in all() {
        // It fails for one that has ended meanwhile, or that has become another user's.
        let _ = kill_process(pid, signal);
    }
}

/// All descendants of this process, parents before their children. Empty where the system does not tell.
#[cfg(target_os = "linux")]
fn all() -> Vec<Pid> {
    use std::collections::BTreeMap;
    let mut children: BTreeMap<i32, Vec<i32>> = BTreeMap::new();
    for entry in std::fs::read_dir("/proc").into_iter().flatten().flatten() {
        let Some(pid) = entry.file_name().to_str().and_then(|name| name.parse::<i32>().ok()) else { continue };
        if let Some(parent) = std::fs::read(entry.path().join("stat")).ok().and_then(|stat| parent_of(&stat)) {
            children.entry(parent).or_default().push(pid);
        }
    }
    let mut found = vec![rustix::process::getpid().as_raw_nonzero().get()];
    let mut at = 0;
    while let Some(parent) = found.get(at) {
        found.extend(children.remove(parent).unwrap_or_default());
        at += 1;
    }
    found.into_iter().skip(1).filter_map(Pid::from_raw).collect()
}

#[cfg(not(target_os = "linux"))]
fn all() -> Vec<Pid> {
    Vec::new()
}

/// The parent in the text of `/proc/PID/stat`: the second field after the name, which stands in parentheses and may hold
/// any byte.
#[cfg(target_os = "linux")]
fn parent_of(stat: &[u8]) -> Option<i32> {
    let rest = &stat[memchr::memrchr(b')', stat)? + 1..];
    std::str::from_utf8(rest).ok()?.split_ascii_whitespace().nth(1)?.parse().ok()
}

#[cfg(all(test, target_os = "linux"))]
mod tests {
    use super::*;

    #[test]
    fn a_parent_is_found_behind_any_name() {
        for (stat, parent) in [
            (&b"7 (sh) S 4 7 7 0 -1"[..], Some(4)),
            (b"7 (a) S 9 (b)) Z 5 7", Some(5)),
            (b"7 (\xff\n 1 2 3) R 6 7", Some(6)),
            (b"", None),
            (b"7 (sh) S", None),
        ] {
            assert_eq!(parent_of(stat), parent, "{}", String::from_utf8_lossy(stat));
        }
    }
}
