//! What a new version of a policy, lock or configuration lets pass that the one before did not, in words for the operator
//! and the log: a file that is edited while the gateway runs is one way to undo it.

use super::audit::Line;
use super::said::Said;
use crate::policy::{self, Policy};
use crate::text::escape;
use std::collections::BTreeSet;

/// Most things that the operator is told one by one.
const TOLD_MAX: usize = 20;

/// What has become looser, one thing an entry.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Loosened(Vec<String>);

impl Loosened {
    /// What one policy lets pass that another before it did not.
    pub fn between(old: &Policy, new: &Policy) -> Self {
        let changes = policy::diff(old, new, &BTreeSet::new());
        let looser = changes.iter().filter(|change| change.direction.is_looser()).map(|change| {
            let tool = if change.tool.is_empty() { "(all tools)" } else { &*change.tool };
            format!("{tool}: {}", change.what)
        });
        Self(looser.collect())
    }

    /// These things.
    pub fn of(things: impl IntoIterator<Item = String>) -> Self {
        Self(things.into_iter().collect())
    }

    /// Adds what has become looser for one server.
    pub fn of_server(&mut self, server: &str, other: Self) {
        self.0.extend(other.0.into_iter().map(|thing| format!("{server}: {thing}")));
    }

    /// The things themselves.
    pub fn into_things(self) -> Vec<String> {
        self.0
    }

    /// Adds one thing.
    pub fn push(&mut self, thing: String) {
        self.0.push(thing);
    }

    /// Adds to a line of the log how many things there are, and the first of them.
    pub fn log<'l>(&self, line: Line<'l>) -> Line<'l> {
        if self.0.is_empty() {
            return line;
        }
        line.number("looser", self.0.len() as u64).text("first", &self.0.join("; "))
    }

    /// What the operator is shown: the news, and a warning where something has become looser.
    pub fn said(&self, news: &str) -> Said<'static> {
        let text = self.after(news);
        if self.0.is_empty() { Said::info(text) } else { Said::warning(text) }
    }

    /// What the operator reads: the news, and then every thing on a line of its own.
    fn after(&self, news: &str) -> String {
        let mut text = news.to_owned();
        if self.0.is_empty() {
            return text;
        }
        text.push_str(&format!("; LOOSER ({}):", self.0.len()));
        for thing in self.0.iter().take(TOLD_MAX) {
            text.push_str(&format!("\n  {}", escape(thing)));
        }
        if self.0.len() > TOLD_MAX {
            text.push_str(&format!("\n  … and {} more", self.0.len() - TOLD_MAX));
        }
        text
    }
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "a test may stop at what should not happen")]
    use super::*;

    #[test]
    fn only_what_is_looser_is_told_and_not_without_end() {
        let read = |tools: &str| {
            policy::parse(&format!(r#"{{"version":"1","default":"deny","tools":{{{tools}}}}}"#), "p").unwrap()
        };
        let (strict, loose) =
            (read(r#""a":{"rate_limit":"1/minute"},"b":{}"#), read(r#""a":{"rate_limit":"9/minute"}"#));
        let told = Loosened::between(&strict, &loose).after("news");
        assert!(told.starts_with("news; LOOSER (1):\n  a: 9 calls a minute"), "{told}");
        assert_eq!(Loosened::between(&loose, &strict).after("news").matches("\n").count(), 1, "b is new");
        assert_eq!(Loosened::between(&strict, &strict).after("news"), "news");
        let many: Vec<String> = (0..TOLD_MAX + 5).map(|n| format!("\"t{n}\":{{}}")).collect();
        let told = Loosened::between(&strict, &read(&many.join(","))).after("news");
        // Every new tool, and what `a` and `b` lose is stricter.
        assert!(told.contains("LOOSER (25)") && told.ends_with("… and 5 more"), "{told}");
    }
}
