//! Regular expressions of rules, built when they are first needed.

use regex::Regex;
use std::sync::OnceLock;

/// Most bytes that one compiled regular expression of a rule may take.
pub const REGEX_BYTES_MAX: usize = 256 * 1024;

/// A regular expression of a rule.
#[derive(Clone, Debug)]
pub(super) struct Pattern {
    text: Box<str>,
    built: OnceLock<Option<Regex>>,
}

/// When the regular expressions of rules are checked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Check {
    /// At once: rules that users bring along.
    Now,
    /// Not at all: a test does so for the rules inside the binary, and building them takes longer than most scans.
    Tested,
}

impl Pattern {
    /// The expression `text`.
    ///
    /// # Errors
    /// What is wrong with it, where it is checked now.
    pub fn new(text: &str, check: Check) -> Result<Self, regex::Error> {
        let built = match check {
            Check::Now => OnceLock::from(Some(build(text)?)),
            Check::Tested => OnceLock::new(),
        };
        Ok(Self { text: text.into(), built })
    }

    /// Whether it matches; what is no expression, and was not checked, never does.
    pub fn is_match(&self, text: &str) -> bool {
        self.built.get_or_init(|| build(&self.text).ok()).as_ref().is_some_and(|regex| regex.is_match(text))
    }
}

fn build(text: &str) -> Result<Regex, regex::Error> {
    regex::RegexBuilder::new(text).size_limit(REGEX_BYTES_MAX).build()
}
