//! Regular expressions of a policy: checked when the policy is loaded, compiled when first needed.

use regex::{Regex, RegexBuilder};
use regex_syntax::hir::{Hir, HirKind};
use std::sync::OnceLock;

/// Largest compiled size of one expression, in bytes.
pub const COMPILED_BYTES_MAX: usize = 1024 * 1024;
/// Below this estimate an expression is sure to stay under [`COMPILED_BYTES_MAX`] and need not be compiled to know it.
const SURELY_SMALL_UNITS: u64 = 2_000;

/// A regular expression (the syntax of the `regex` crate: linear time, no look-around, unanchored).
#[derive(Debug)]
pub(crate) struct Pattern {
    text: String,
    compiled: OnceLock<Option<Regex>>,
}

impl Pattern {
    /// Checks an expression; the error has a message and a next step.
    pub fn parse(text: &str) -> Result<Self, (String, Option<String>)> {
        let hir = regex_syntax::Parser::new().parse(text).map_err(|error| {
            let help = ["(?=", "(?!", "(?<=", "(?<!"].iter().any(|look| text.contains(look)).then(|| {
                "look-around is not supported: say what must match with `regex` and what must not with `not_regex`"
                    .to_owned()
            });
            (format!("not a regular expression: {}", reason(&error)), help)
        })?;
        let pattern = Self { text: text.to_owned(), compiled: OnceLock::new() };
        // Compiling thousands of expressions takes longer than starting everything else: only those that could be
        // too large are compiled here, the others when a call first needs them.
        if units(&hir) > SURELY_SMALL_UNITS && pattern.regex().is_none() {
            let help = "shorten the counted repetitions, or use `(?-u)` for classes of ASCII only".to_owned();
            return Err(("the regular expression takes more than 1 MiB when compiled".to_owned(), Some(help)));
        }
        Ok(pattern)
    }

    /// Whether it matches somewhere; `None` where it cannot be compiled, which counts as doubt.
    pub fn is_match(&self, text: &str) -> Option<bool> {
        self.regex().map(|regex| regex.is_match(text))
    }

    fn regex(&self) -> Option<&Regex> {
        self.compiled.get_or_init(|| RegexBuilder::new(&self.text).size_limit(COMPILED_BYTES_MAX).build().ok()).as_ref()
    }
}

/// The reason alone, without the expression and the marks below it that the crate draws over several lines.
fn reason(error: &regex_syntax::Error) -> String {
    match error {
        regex_syntax::Error::Parse(error) => error.kind().to_string(),
        regex_syntax::Error::Translate(error) => error.kind().to_string(),
        _ => "it is not valid".to_owned(),
    }
}

/// How many bytes and ranges of an automaton the expression stands for, counted repetitions multiplied out.
fn units(hir: &Hir) -> u64 {
    match hir.kind() {
        HirKind::Empty | HirKind::Look(_) => 1,
        HirKind::Literal(literal) => literal.0.len() as u64,
        // A range of characters becomes several ranges of bytes, in either direction.
        HirKind::Class(class) => match class {
            regex_syntax::hir::Class::Unicode(class) => class.ranges().len() as u64 * 8,
            regex_syntax::hir::Class::Bytes(class) => class.ranges().len() as u64,
        },
        HirKind::Repetition(repetition) => {
            let times = repetition.max.unwrap_or(repetition.min).max(repetition.min).max(1);
            units(&repetition.sub).saturating_mul(u64::from(times)).saturating_add(1)
        }
        HirKind::Capture(capture) => units(&capture.sub).saturating_add(2),
        HirKind::Concat(parts) | HirKind::Alternation(parts) => {
            parts.iter().fold(1, |sum: u64, part| sum.saturating_add(units(part)))
        }
    }
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "a test may stop at what should not happen")]
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn look_around_and_large_expressions_are_load_errors() {
        let (message, help) = Pattern::parse("(?!x)y").unwrap_err();
        assert!(message.contains("look-around"), "{message}");
        assert!(help.unwrap().contains("not_regex"));
        assert!(Pattern::parse(r"\w{1000}").unwrap_err().0.contains("1 MiB"));
        assert!(Pattern::parse("(").is_err());
        assert!(Pattern::parse("(?:a{100}){100}b").is_ok());
    }

    #[test]
    fn what_was_not_compiled_at_load_can_be_compiled() {
        for text in ["^a+$", r"\d{3}", "x{600}", r"[\p{Greek}]+", "(?i)straße"] {
            assert!(Pattern::parse(text).unwrap().is_match("").is_some(), "{text}");
        }
    }

    proptest! {
        #[test]
        fn an_accepted_expression_always_answers(text in r"[a-z\\wd.*+?(){}\[\]|,0-9^$-]{0,20}") {
            if let Ok(pattern) = Pattern::parse(&text) {
                prop_assert!(pattern.is_match("abc").is_some());
            }
        }
    }
}
