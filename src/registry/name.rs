//! Names of entries: `namespace/name`, with a version behind `@` where one is meant.

use std::fmt;
use std::str::FromStr;

/// Longest name, in characters, as the registry's schema has it.
const NAME_CHARS_MAX: usize = 200;
/// Longest version, in characters, as the registry's schema has it.
const VERSION_CHARS_MAX: usize = 255;

/// The name of an entry, and the version that is asked for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct EntryName {
    name: String,
    version: Option<String>,
}

/// A text that no entry of a registry can be called.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
#[error("must be `namespace/name` as a registry has it, such as `io.github.user/weather`, or that with `@VERSION`")]
pub struct NotAName;

impl EntryName {
    /// `namespace/name`.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The version that is asked for; `None` is the newest.
    pub fn version(&self) -> Option<&str> {
        self.version.as_deref()
    }
}

impl FromStr for EntryName {
    type Err = NotAName;

    fn from_str(text: &str) -> Result<Self, NotAName> {
        let (name, version) = match text.split_once('@') {
            Some((name, version)) => (name, Some(version)),
            None => (text, None),
        };
        let (space, last) = name.split_once('/').ok_or(NotAName)?;
        let is_word = |word: &str, more: &str| {
            !word.is_empty() && word.chars().all(|c| c.is_ascii_alphanumeric() || more.contains(c))
        };
        let fits = name.chars().count() <= NAME_CHARS_MAX && is_word(space, ".-") && is_word(last, "._-");
        // What would change the path of an address is no version.
        let is_version = |version: &str| {
            !matches!(version, "" | "." | "..")
                && version.chars().count() <= VERSION_CHARS_MAX
                && version.chars().all(|c| c.is_ascii_graphic() && c != '/' && c != '\\')
        };
        let dots = |word: &str| word.chars().all(|c| c == '.');
        if !fits || dots(space) || dots(last) || !version.is_none_or(is_version) {
            return Err(NotAName);
        }
        Ok(Self { name: name.to_owned(), version: version.map(str::to_owned) })
    }
}

impl fmt::Display for EntryName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.name)?;
        self.version.as_ref().map_or(Ok(()), |version| write!(f, "@{version}"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_those_of_the_published_schema() {
        let check = |text: &str, expected: Option<(&str, Option<&str>)>| {
            let read: Result<EntryName, _> = text.parse();
            assert_eq!(read.as_ref().ok().map(|it| (it.name(), it.version())), expected, "{text}");
            assert!(read.is_err() || read.is_ok_and(|it| it.to_string() == text), "{text}");
        };
        check("io.github.user/weather", Some(("io.github.user/weather", None)));
        check("a/b_c@1.0.0+20130313", Some(("a/b_c", Some("1.0.0+20130313"))));
        for bad in ["weather", "a/b/c", "/b", "a/", "a/b@", "a b/c", "a/b@x/../y", "../x", "a/..", "a/b@..", "ä/b"] {
            check(bad, None);
        }
        check(&format!("a/{}", "b".repeat(NAME_CHARS_MAX - 2)), Some((&format!("a/{}", "b".repeat(198)), None)));
        check(&format!("a/{}", "b".repeat(NAME_CHARS_MAX - 1)), None);
    }
}
