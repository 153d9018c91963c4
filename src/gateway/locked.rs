//! The lock that a server is held to (`--locked`): a tool that is not as it was reviewed is refused until a new version
//! of the lock accepts it. The gateway knows a server's tools from the lists that it passes on, and compares the
//! newest; without one, or after the server has taken it back, it cannot tell what a call would run.

use super::audit::Whose;
use super::decider::Decider;
use super::exchange::{Note, Schema, essence};
use super::filter::{Unreadable, entries};
use super::greeting::{beside_reviewed, reviewed_only};
use super::loosened::Loosened;
use super::regular_file::open_regular;
use super::said::Said;
use crate::catalog::LockFile;
use crate::catalog::drift::Reviewed;
use crate::clock;
use crate::mcp::envelope::Received;
use crate::model::{ExtraKind, ServerName};
use crate::policy::ToolChange;
use crate::problem::Problem;
use crate::text::excerpt;
use serde_json::value::RawValue;
use std::collections::{BTreeSet, HashMap};
use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError, RwLock};

/// Most differences from one version of the lock that the operator is told of one by one; further ones are not told.
pub const TOLD_MAX: usize = 1_000;

/// What becomes of a call of a tool that is not as it was reviewed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum OnChange {
    /// The call is refused, and the tool is not listed.
    Deny,
    /// The call is passed on and logged, and the operator is told once.
    Warn,
}

/// Why a lock cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum BadLock {
    /// The file cannot be read.
    #[error("cannot read lock `{path}`: {}", crate::problem::reason(source))]
    Unreadable {
        /// The file, escaped.
        path: String,
        /// What the system said.
        source: std::io::Error,
    },
    /// The file is no lock, or was changed by hand; every problem at once.
    #[error("lock `{path}` is not valid")]
    Invalid {
        /// The file, escaped.
        path: String,
        /// All problems.
        problems: Vec<Problem>,
    },
    /// The lock has no entry with the server's name.
    #[error("lock `{path}` has no server `{server}`")]
    NoServer {
        /// The file, escaped.
        path: String,
        /// The name that was looked for.
        server: ServerName,
        /// Names that the lock has, at most [`KNOWN_MAX`].
        known: Vec<ServerName>,
    },
}

impl BadLock {
    /// All problems in the file; none if it cannot be read or lacks the server.
    pub fn problems(&self) -> &[Problem] {
        match self {
            Self::Invalid { problems, .. } => problems,
            Self::Unreadable { .. } | Self::NoServer { .. } => &[],
        }
    }

    /// The operator's next step. `naming` says how a server gets the name of an entry.
    pub fn help(&self, naming: &str) -> String {
        match self {
            Self::Unreadable { .. } => "`mcpol lock` writes down what you have reviewed".to_owned(),
            Self::Invalid { .. } => "restore it from version control, or write it anew with `mcpol lock`".to_owned(),
            Self::NoServer { known, .. } if known.is_empty() => {
                "the lock is empty: `mcpol lock --update` adds a server to it".to_owned()
            }
            Self::NoServer { known, .. } => {
                let known: Vec<_> = known.iter().map(|name| format!("`{name}`")).collect();
                format!("it has {}: {naming}", known.join(", "))
            }
        }
    }
}

/// Most names of servers in an error.
const KNOWN_MAX: usize = 10;

/// Reads what a lock says about one server.
///
/// # Errors
/// The file cannot be read, is no valid lock, or has no such server.
pub fn read(path: &Path, server: &ServerName) -> Result<Reviewed, BadLock> {
    let shown = crate::text::escape(&path.to_string_lossy()).into_owned();
    let invalid = |problems| BadLock::Invalid { path: shown.clone(), problems };
    let file = open_regular(path).map_err(|source| BadLock::Unreadable { path: shown.clone(), source })?;
    let mut lock = LockFile::open(Box::new(file), &shown).map_err(invalid)?;
    let entries = lock.servers(server).map_err(invalid)?;
    if entries.is_empty() {
        let known = lock.names().map(|(name, _)| name.clone()).take(KNOWN_MAX).collect();
        return Err(BadLock::NoServer { path: shown, server: server.clone(), known });
    }
    Ok(Reviewed::of(entries.iter().map(|(entry, _)| entry)))
}

/// The lock that every session with one server is held to, and what the operator was told of differences.
#[derive(Debug)]
pub struct Guard {
    reviewed: RwLock<Arc<Reviewed>>,
    on_change: OnChange,
    told: Mutex<BTreeSet<(String, &'static str)>>,
    /// Locked input schemas that calls were held to.
    schemas: Mutex<HashMap<String, Arc<Schema>>>,
}

impl Guard {
    /// A guard that holds a server to what was reviewed.
    pub fn new(reviewed: Reviewed, on_change: OnChange) -> Self {
        Self { reviewed: RwLock::new(Arc::new(reviewed)), on_change, told: Mutex::default(), schemas: Mutex::default() }
    }

    /// What becomes of calls of tools that are not as they were reviewed.
    pub fn on_change(&self) -> OnChange {
        self.on_change
    }

    /// What was reviewed, as of now.
    pub fn reviewed(&self) -> Arc<Reviewed> {
        Arc::clone(&self.reviewed.read().unwrap_or_else(PoisonError::into_inner))
    }

    /// Puts another version of the lock in force. Returns what it accepts that the one before did not, if it says anything
    /// else at all.
    pub fn set(&self, reviewed: Reviewed) -> Option<Loosened> {
        // In the order of [`Self::schema`], so that a reload and a call do not wait for each other.
        let mut schemas = self.schemas.lock().unwrap_or_else(PoisonError::into_inner);
        let mut slot = self.reviewed.write().unwrap_or_else(PoisonError::into_inner);
        let loosened = (**slot != reviewed).then(|| Loosened::of(reviewed.accepts_beyond(&slot)));
        *slot = Arc::new(reviewed);
        // What the operator was told about the old version may be worth telling again.
        self.told.lock().unwrap_or_else(PoisonError::into_inner).clear();
        schemas.clear();
        loosened
    }

    /// The input schema of a tool as it was locked; `None` if the lock has none.
    pub fn schema(&self, tool: &str) -> Option<Arc<Schema>> {
        // Locked before the reviewed state is read, so that no schema of an old version is kept beside a new one.
        let mut schemas = self.schemas.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(known) = schemas.get(tool) {
            return Some(Arc::clone(known));
        }
        let schema = Arc::new(Schema::new(self.reviewed().schema(tool)?));
        schemas.insert(tool.to_owned(), Arc::clone(&schema));
        Some(schema)
    }

    /// Whether a definition may be listed: a text that was not reviewed must not reach a model.
    pub fn lists(&self, name: &str, definition: &str) -> bool {
        if self.on_change == OnChange::Warn {
            return true;
        }
        essence(definition).is_some_and(|one| self.reviewed().change(name, &BTreeSet::from([one])).is_none())
    }

    /// The page of prompts, resources or templates that the client gets: the definitions that are as they were locked.
    /// `None` where it gets the page as it came.
    ///
    /// # Errors
    /// The page has no single reading: a client could see other definitions in it.
    pub fn offers(&self, kind: ExtraKind, result: &str, notes: &mut Vec<Note>) -> Result<Option<String>, Unreadable> {
        let reviewed = self.reviewed();
        if !reviewed.records(kind) {
            return Ok(None);
        }
        let reads = |definition: &str| {
            serde_json::from_str::<&RawValue>(definition).is_ok_and(|definition| reviewed.offers(kind, definition))
        };
        let page = entries(result, kind.member(), reads)?;
        if page.is_some() {
            self.tell(kind, "some", notes);
        }
        let page = page.filter(|_| self.on_change == OnChange::Deny);
        let beside = self.beside(page.as_deref().unwrap_or(result), kind.method(), kind.member(), notes);
        Ok(beside.or(page))
    }

    /// A page of a list that has a single reading, without what was not reviewed beside its entries, the member `list`;
    /// `None` where the client gets the page as it is.
    pub fn beside(&self, result: &str, method: &str, list: &str, notes: &mut Vec<Note>) -> Option<String> {
        let page = beside_reviewed(result, method, list, &self.reviewed())?;
        let what = match self.on_change {
            OnChange::Deny => "withheld",
            OnChange::Warn => "passed on",
        };
        let is_news = self.told.lock().unwrap_or_else(PoisonError::into_inner).insert((method.to_owned(), "beside"));
        if is_news {
            notes.push(Note::Notice(format!(
                "what the answer to {method} says beside its entries is not as locked; {what}"
            )));
        }
        (self.on_change == OnChange::Deny).then_some(page)
    }

    /// Whether a prompt or resource may be handed out: one that was reviewed, or that a reviewed template leads to.
    pub fn hands_out(&self, kind: ExtraKind, key: &str, notes: &mut Vec<Note>) -> bool {
        let reviewed = self.reviewed();
        let is_known = match kind {
            ExtraKind::Prompt => reviewed.has_prompt(key),
            ExtraKind::Resource | ExtraKind::Template => reviewed.has_resource(key),
        };
        if !is_known {
            self.tell(kind, key, notes);
        }
        is_known || self.on_change == OnChange::Warn
    }

    /// Notes for the operator, once for each kind and key, that it is not as it was locked.
    fn tell(&self, kind: ExtraKind, key: &str, notes: &mut Vec<Note>) {
        let mut told = self.told.lock().unwrap_or_else(PoisonError::into_inner);
        if told.len() >= TOLD_MAX || !told.insert((key.to_owned(), kind.as_str())) {
            return;
        }
        let what = match self.on_change {
            OnChange::Deny => "withheld",
            OnChange::Warn => "passed on",
        };
        let which =
            if key == "some" { format!("some {kind}s are") } else { format!("{kind} `{}` is", excerpt(key, 80)) };
        notes.push(Note::Notice(format!("{which} not as locked; {what}")));
    }

    /// The answer to `initialize` or `server/discover` that the client gets: what of it was not reviewed is left out, or
    /// passed on with [`OnChange::Warn`], and either is noted. `None` where the client gets the answer as it came.
    ///
    /// # Errors
    /// The answer has no single reading, so the client must not get it.
    pub fn greeting(&self, received: &Received<'_>, notes: &mut Vec<Note>) -> Result<Option<Vec<u8>>, Unreadable> {
        let (result, span) = (received.result().unwrap_or_default(), received.result_span().unwrap_or_default());
        let Some(greeted) = reviewed_only(result, &self.reviewed())? else { return Ok(None) };
        let what = match self.on_change {
            OnChange::Deny => "withheld",
            OnChange::Warn => "passed on",
        };
        // The empty name stands for the server: no difference of a tool has one of these words.
        let is_news = |word| self.told.lock().unwrap_or_else(PoisonError::into_inner).insert((String::new(), word));
        if greeted.instructions {
            notes.push(Note::Instructions(what, is_news("instructions")));
        }
        if greeted.words {
            notes.push(Note::Greeting(what, is_news("greeting")));
        }
        Ok((self.on_change == OnChange::Deny).then(|| {
            let text = received.text.as_bytes();
            [&text[..span.start], greeted.result.as_bytes(), &text[span.end..]].concat()
        }))
    }

    /// The change that the decider refuses a call for whose tool is not as it was reviewed; `None` where it is only logged
    /// and told. `is_listed` says whether the policy lists the tool.
    pub fn refuses(
        &self,
        change: ToolChange,
        tool: &str,
        is_listed: bool,
        whose: &Whose,
        decider: &Decider,
    ) -> Option<ToolChange> {
        match self.on_change {
            OnChange::Deny => return Some(change),
            // The operator need not hear of a tool that the policy keeps out anyway.
            OnChange::Warn if !is_listed => {}
            OnChange::Warn => {
                decider.audit().repeated(clock::now(), "tool_changed", whose, |line| {
                    line.text("tool", tool).text("change", change.as_str())
                });
                if self.is_news(tool, change) {
                    let shown = crate::text::excerpt(tool, 80);
                    let (how, server) = (change.as_str(), whose.server_name());
                    let text = format!("tool `{shown}` is not as it was locked ({how}); passed on");
                    decider.notice(&Said::warning(text).of(server));
                }
            }
        }
        None
    }

    /// Whether the operator is to be told: once for each tool and change, [`TOLD_MAX`] times in all.
    fn is_news(&self, name: &str, change: ToolChange) -> bool {
        let mut told = self.told.lock().unwrap_or_else(PoisonError::into_inner);
        told.len() < TOLD_MAX && told.insert((name.to_owned(), change.as_str()))
    }
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "a test that cannot go on must fail")]
mod tests {
    use super::*;
    use crate::catalog::LockedServer;
    use crate::classify::{Options, RuleSet, classify};

    const SAME: &str = r#"{"name":"same","description":"a"}"#;
    const CHANGED: &str = r#"{"name":"same","description":"b"}"#;

    fn reviewed(tools: &str) -> Reviewed {
        let text = format!("{{\"server\":\"s\",\"tools\":[{tools}]}}");
        let mut found = Vec::new();
        crate::catalog::read(text.as_bytes(), "x.json", &mut |it| found.push(it.unwrap())).unwrap();
        Reviewed::of([&LockedServer::of(&classify(RuleSet::builtin(), found.remove(0), &Options::default()), None)])
    }

    #[test]
    fn only_what_was_reviewed_is_listed() {
        let guard = Guard::new(reviewed(SAME), OnChange::Deny);
        assert!(guard.lists("same", SAME) && !guard.lists("same", CHANGED) && !guard.lists("other", SAME));
        // White space is no word, here as in a check.
        assert!(guard.lists("same", r#"{"name":"same","description":"\n  a "}"#));
        let loosened = guard.set(reviewed(CHANGED)).unwrap().into_things();
        assert_eq!(loosened, ["same: accepted as it is now"]);
        assert!(guard.lists("same", CHANGED));
        assert_eq!(guard.set(reviewed(CHANGED)), None, "the same again changes nothing");
        let guard = Guard::new(reviewed(SAME), OnChange::Warn);
        assert!(guard.lists("same", CHANGED));
        assert!(guard.is_news("same", ToolChange::Changed) && !guard.is_news("same", ToolChange::Changed));
    }
}
