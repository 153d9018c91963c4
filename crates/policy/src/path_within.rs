//! `path_within`: whether a path lies inside a directory, by its text alone. Symbolic links are not followed.

/// A directory that paths may lie in.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Directory {
    absolute: bool,
    segments: Vec<String>,
}

/// What a path's parts are told by, which no other character may stand for.
const MEANT: [char; 5] = ['.', '/', '\\', '~', '%'];

/// Whether some reader could drop the character or take it for one of those that paths are made of: a control, one that
/// is not seen, or one whose NFKC form holds such a character, as that of the full-width slash does.
fn is_doubtful(c: char) -> bool {
    let mut found = c.is_control() || crate::text::is_hidden(c);
    if !c.is_ascii() {
        crate::text::decompose(c, |part| found |= MEANT.contains(&part));
    }
    found
}

/// Whether another reader could take the text for another path than we do.
fn is_ambiguous(text: &str) -> bool {
    // `~` names a home directory that we do not know; some readers look for it at each part.
    text.is_empty()
        || text.contains('\\')
        || text.contains(is_doubtful)
        || text.split('/').any(|part| part.starts_with('~'))
        || is_encoded(text)
}

/// Whether a server may decode something in the text. Which characters that gives is up to the server: a dot or a slash
/// has long forms too, that are no UTF-8.
fn is_encoded(text: &str) -> bool {
    text.as_bytes().windows(3).any(|it| it[0] == b'%' && it[1].is_ascii_hexdigit() && it[2].is_ascii_hexdigit())
}

impl Directory {
    /// Reads the value of a condition.
    pub fn parse(text: &str) -> Result<Self, String> {
        if is_ambiguous(text) {
            return Err(
                "a directory has no control character, backslash, `~`, percent-encoding, or character that stands for \
                        one of these, a dot or a slash"
                    .to_owned(),
            );
        }
        let segments: Vec<String> =
            text.split('/').filter(|part| !part.is_empty() && *part != ".").map(str::to_owned).collect();
        if segments.iter().any(|part| part == "..") {
            return Err("a directory has no `..`".to_owned());
        }
        Ok(Self { absolute: text.starts_with('/'), segments })
    }

    /// Whether one of the directories holds the path; `None` where that cannot be told from the text.
    pub fn any_holds(directories: &[Self], path: &str) -> Option<bool> {
        if is_ambiguous(path) {
            return None;
        }
        let mut doubt = false;
        for directory in directories {
            match directory.holds(path) {
                Some(true) => return Some(true),
                Some(false) => {}
                None => doubt = true,
            }
        }
        if doubt { None } else { Some(false) }
    }

    fn holds(&self, path: &str) -> Option<bool> {
        if path.starts_with('/') != self.absolute || (!self.absolute && self.names_another_root(path)) {
            return None;
        }
        let mut stack: Vec<&str> = Vec::new();
        // Once a path was inside it must stay there: `/data/../data/x` leaves, whatever `/data` links to.
        let mut entered = self.is_start_of(&stack);
        for part in path.split('/').filter(|part| !part.is_empty() && *part != ".") {
            if part == ".." {
                stack.pop()?;
            } else {
                stack.push(part);
            }
            let inside = self.is_start_of(&stack);
            if entered && !inside {
                return None;
            }
            entered = inside;
        }
        Some(entered)
    }

    /// Whether a relative path may be no path here at all: `file:///etc/passwd` and `C:/x` start with a segment like any
    /// other, and a server may well take them for what they look like.
    fn names_another_root(&self, path: &str) -> bool {
        let first = path.split('/').next().unwrap_or_default();
        first.contains(':') && self.segments.first().is_none_or(|segment| segment != first)
    }

    fn is_start_of(&self, stack: &[&str]) -> bool {
        stack.len() >= self.segments.len() && self.segments.iter().zip(stack).all(|(a, b)| a == b)
    }
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "a test may stop at what should not happen")]
    use super::*;
    use proptest::prelude::*;

    fn check(directory: &str, path: &str, expected: Option<bool>) {
        let directory = Directory::parse(directory).unwrap();
        assert_eq!(Directory::any_holds(&[directory], path), expected, "{path:?}");
    }

    #[test]
    fn segments_are_compared_whole_and_climbing_is_refused() {
        for (directory, path, expected) in [
            ("/data", "/data/x", Some(true)),
            ("/data", "/data", Some(true)),
            ("/data", "/data/", Some(true)),
            ("/data/", "//data//./x", Some(true)),
            ("/data", "/database", Some(false)),
            ("/data", "/Data/x", Some(false)),
            ("/data", "/data/x/../y", Some(true)),
            ("/data", "/data/../etc/passwd", None),
            ("/data", "/data/../data/x", None),
            ("/etc", "/data/x/../../etc/passwd", Some(true)),
            ("/data", "/../data/x", None),
            ("/data", "/data/..", None),
            ("/data", "/data/...", Some(true)),
            ("/data", "/data/%2e%2e/etc", None),
            ("/data", "/data/%2E./etc", None),
            ("/data", "/data/..%c0%af", None),
            ("/data", "/data/a%20b", None),
            ("/data", "/data/100%", Some(true)),
            ("/data", "/data/~root", None),
            ("/data", "/data/file~", Some(true)),
            ("/data", "/data/\u{200b}../etc", None),
            ("/data", "/data/..\u{ad}/x", None),
            ("/data", "/data/.\u{200b}./etc", None),
            ("/data", "/data/..\u{feff}/", None),
            ("/data", "/data/..%2fetc", None),
            ("/data", "/data/%252e%252e/etc", None),
            ("/data", "/data/x\0.png", None),
            ("/data", "/data\\..\\etc", None),
            ("/data", "C:\\data\\x", None),
            ("/data", "/data/a\nb", None),
            ("/data", "/data/a\u{7f}", None),
            ("/data", "/data/a\u{85}", None),
            ("/data", "/data/\u{ff0e}\u{ff0e}/etc", None),
            ("/data", "/data/\u{2025}/etc", None),
            ("/data", "/data/..\u{ff0f}etc", None),
            ("/data", "/data/..\u{ff3c}etc", None),
            ("/data", "/data/\u{ff05}2e", None),
            ("/data", "/data/\u{ff5e}x", None),
            ("/data", "/data/\u{2100}", None),
            ("/data", "/data/\u{2026}", None),
            ("/data", "/data/\u{e9}\u{4e2d}", Some(true)),
            ("/data", "data/x", None),
            ("/data", "~/data", None),
            ("/data", "file:///data/x", None),
            ("/data", "", None),
            ("/", "/anything", Some(true)),
            ("/", "/..", None),
            ("notes", "notes/a", Some(true)),
            ("notes", "./notes/a", Some(true)),
            ("notes", "other", Some(false)),
            ("notes", "/notes/a", None),
            (".", "a/b", Some(true)),
            (".", "a/../../b", None),
            (".", "file:///etc/passwd", None),
            (".", "C:/Windows", None),
            (".", "./a:b", Some(true)),
            (".", "a/b:c", Some(true)),
            ("notes", "file:notes/a", None),
            ("C:/data", "C:/data/x", Some(true)),
            ("C:/data", "D:/data/x", None),
        ] {
            check(directory, path, expected);
        }
    }

    #[test]
    fn one_of_several_directories_is_enough() {
        let both = ["/a", "/b"].map(|text| Directory::parse(text).unwrap());
        assert_eq!(Directory::any_holds(&both, "/b/x"), Some(true));
        assert_eq!(Directory::any_holds(&both, "/a/../b/x"), Some(true));
        assert_eq!(Directory::any_holds(&both, "/c"), Some(false));
    }

    #[test]
    fn directories_are_plain() {
        for bad in ["", "/a/../b", "/a\\b", "~", "/%2e%2e", "/a\0", "/a\n", "/\u{ff0e}"] {
            assert!(Directory::parse(bad).is_err(), "{bad:?}");
        }
    }

    /// A path as a careless reader takes it: cut at NUL, other controls dropped, after NFKC, percent-decoded, both
    /// slashes alike; then resolved.
    fn carelessly(path: &str) -> Vec<String> {
        let cut = path.split('\0').next().unwrap_or_default();
        let mut plain = String::new();
        for c in cut.chars().filter(|c| !c.is_control()) {
            crate::text::decompose(c, |part| plain.push(part));
        }
        let plain = plain.replace("%2e", ".").replace("%2f", "/").replace('\\', "/");
        let mut stack = Vec::new();
        for part in plain.split('/').filter(|part| !part.is_empty() && *part != ".") {
            if part == ".." {
                stack.pop();
            } else {
                stack.push(part.to_owned());
            }
        }
        stack
    }

    proptest! {
        #[test]
        fn what_is_held_lies_below_for_careless_readers_too(
            parts in prop::collection::vec(prop::sample::select(vec!["/", "a", "..", ".", "\u{ff0e}", "\u{ff0f}", "\u{2025}",
                "%2e", "%2f", "\0", "\n", "\u{9f}", "\\", "b", "\u{ff3c}", "\u{2024}"]), 0..10)
        ) {
            let path = format!("/a/{}", parts.concat());
            let directory = Directory::parse("/a").unwrap();
            if Directory::any_holds(&[directory], &path) == Some(true) {
                let found = carelessly(&path);
                prop_assert_eq!(found.first().map(String::as_str), Some("a"));
            }
        }

        #[test]
        fn what_is_held_lies_below_when_resolved(path in "[/a-c.]{0,16}") {
            let directory = Directory::parse("/a").unwrap();
            if Directory::any_holds(&[directory], &path) == Some(true) {
                let mut stack = Vec::new();
                for part in path.split('/').filter(|p| !p.is_empty() && *p != ".") {
                    if part == ".." { stack.pop(); } else { stack.push(part); }
                }
                prop_assert_eq!(stack.first(), Some(&"a"));
            }
        }
    }
}
