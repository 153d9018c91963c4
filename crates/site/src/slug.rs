//! File names out of names that servers chose: never a path, never hidden, never two alike.

use crate::model::Fingerprint;
use std::collections::BTreeSet;

/// Longest name made from another one, in bytes, without what tells it from others.
const SLUG_BYTES_MAX: usize = 60;
/// Names that mean something else to a web server or an operating system.
const RESERVED: [&str; 5] = ["index", "con", "prn", "aux", "nul"];

/// A name as part of a path: lower-case ASCII letters, digits, `_` and `-`, beginning with a letter or digit. Where that
/// loses anything, eight digits of the name's fingerprint follow.
pub(crate) fn slug(name: &str) -> String {
    let mut slug = String::new();
    for c in name.chars() {
        let safe = if c.is_ascii_alphanumeric() || c == '_' { c.to_ascii_lowercase() } else { '-' };
        let dangling = matches!(safe, '-' | '_') && slug.is_empty() || safe == '-' && slug.ends_with('-');
        if !dangling && slug.len() < SLUG_BYTES_MAX {
            slug.push(safe);
        }
    }
    slug.truncate(slug.trim_end_matches('-').len());
    let is_port = |kind: &str| slug.strip_prefix(kind).is_some_and(|rest| rest.len() == 1);
    let is_reserved = RESERVED.contains(&slug.as_str()) || is_port("com") || is_port("lpt");
    if slug == name && !slug.is_empty() && !is_reserved {
        return slug;
    }
    let fingerprint = Fingerprint::of(&name.into());
    let digits = fingerprint.as_str().get(..8).unwrap_or_default();
    if slug.is_empty() { format!("x-{digits}") } else { format!("{slug}-{digits}") }
}

/// The names that are taken in one folder.
#[derive(Debug, Default)]
pub(crate) struct Slugs(BTreeSet<String>);

impl Slugs {
    /// A file name for this name; one that is asked for twice gets a number the second time.
    pub fn take(&mut self, name: &str) -> String {
        let plain = slug(name);
        let mut free = plain.clone();
        let mut count = 1_u32;
        while !self.0.insert(free.clone()) {
            count += 1;
            free = format!("{plain}-{count}");
        }
        free
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_safe_and_never_shared() {
        assert_eq!(slug("create_issue"), "create_issue");
        let mut seen = BTreeSet::new();
        for hostile in [
            "../../etc/passwd",
            "a/b",
            "a:b",
            "A B",
            "",
            ".",
            "..",
            "nul",
            "index",
            "-x",
            "ä",
            "a\0b",
            "Create_issue",
            "a.b",
        ] {
            let made = slug(hostile);
            assert!(made.chars().all(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || "_-".contains(c)), "{made}");
            assert!(made.starts_with(|c: char| c.is_ascii_alphanumeric()), "{made}");
            assert!(made.len() <= SLUG_BYTES_MAX + 9, "{made}");
            assert!(seen.insert(made), "{hostile}");
        }
        assert_eq!(slug(&"x".repeat(SLUG_BYTES_MAX)).len(), SLUG_BYTES_MAX);
        let mut slugs = Slugs::default();
        assert_eq!((slugs.take("a"), slugs.take("a"), slugs.take("a-2")), ("a".into(), "a-2".into(), "a-2-2".into()));
    }
}
