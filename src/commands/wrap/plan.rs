//! What becomes of one entry: its policy, its lock, and the command that is put in front.

use super::super::gen_policy;
use super::super::write::{Existing, atomically};
use super::super::{Failure, load::Classifier, output};
use super::kept::{WrapStore, WrappedEntry, real, section};
use crate::catalog::{Lock, LockedServer};
use crate::cli::{PolicyProfile, WrapArgs};
use crate::clients::{Client, Configured, Front, Replaced};
use crate::model::{Classified, RiskLevel, ServerName};
use crate::text::escape;
use std::collections::BTreeSet;
use std::fmt::Write as _;
use std::path::{Path, PathBuf};

/// One entry that is wrapped.
pub(super) struct WrapPlan {
    client: Client,
    server: ServerName,
    /// The client's file, without links.
    file: PathBuf,
    section: Vec<String>,
    policy: PathBuf,
    lock: PathBuf,
    /// What is written there; `None` where something from before stays.
    texts: Option<(String, String)>,
    /// Tools by risk, the worst first.
    risks: Vec<(RiskLevel, usize)>,
    piece: Option<Replaced>,
    /// Why files from before are not to be taken.
    doubt: Option<String>,
}

impl WrapPlan {
    /// The plan for an entry; `others` are those that were made before it.
    pub fn new(
        entry: &Configured,
        classified: &Classified,
        args: &WrapArgs,
        kept: &WrapStore,
        others: &[Self],
        classifier: &Classifier,
    ) -> Result<Self, Failure> {
        let file = real(&entry.file);
        let stem = stem(entry, kept, others);
        let path = |end: &str| kept.folder().join(entry.client.id()).join(format!("{stem}.{end}"));
        let (policy, lock) = (path("policy.json"), path("lock"));
        let is_kept = !args.force && policy.exists() && lock.exists();
        let (mut texts, mut doubt) = (Some(texts(classified, args, classifier)?), None);
        if is_kept {
            doubt = misfit(&lock, classified, args);
            texts = None;
        }
        let mut risks = Vec::new();
        for risk in [RiskLevel::Critical, RiskLevel::High, RiskLevel::Medium, RiskLevel::Low] {
            let count = classified.verdicts.iter().filter(|verdict| verdict.risk == risk).count();
            risks.extend((count > 0).then_some((risk, count)));
        }
        Ok(Self {
            section: section(entry).to_vec(),
            client: entry.client,
            server: entry.name.clone(),
            file,
            policy,
            lock,
            texts,
            risks,
            piece: None,
            doubt,
        })
    }

    pub fn changed_by(mut self, piece: Replaced) -> Self {
        self.piece = Some(piece);
        self
    }

    /// Why the entry is left as it is, if it is: policy and lock from before are for something else.
    pub fn doubt(&self) -> Option<String> {
        self.doubt.clone()
    }

    /// Whether its entry stands in this file, which is named without links.
    pub fn is_in(&self, file: &Path) -> bool {
        self.file == file
    }

    /// What is put in front of the server.
    pub fn front(&self, program: &str) -> Front {
        let text = |path: &Path| path.to_string_lossy().into_owned();
        let name = self.server.as_str();
        let named = if name.starts_with('-') {
            vec![format!("--name={name}")]
        } else {
            vec!["--name".to_owned(), name.to_owned()]
        };
        let mut words = vec!["enforce".to_owned()];
        words.extend(named);
        words.extend(["--policy".to_owned(), text(&self.policy), "--locked".to_owned(), text(&self.lock)]);
        Front { program: program.to_owned(), words }
    }

    /// The same for a person who does it by hand.
    pub fn in_words(&self) -> String {
        let front = self.front("mcpol");
        format!("{} {} --", front.program, front.words.join(" "))
    }

    /// The entry, for a person.
    pub fn what(&self) -> String {
        format!("`{}` in {}", escape(self.server.as_str()), escape(&self.file.to_string_lossy()))
    }

    /// Writes policy and lock.
    pub fn write(&self) -> Result<(), Failure> {
        let Some((policy, lock)) = &self.texts else { return Ok(()) };
        if let Some(folder) = self.policy.parent() {
            crate::state::make_private_folder(folder).map_err(|error| {
                Failure::usage(format!("cannot make the directory `{}`: {error}", folder.display()))
            })?;
        }
        atomically(&self.policy, policy, Existing::Replace)?;
        atomically(&self.lock, lock, Existing::Replace)
    }

    pub fn record(&self) -> WrappedEntry {
        WrappedEntry {
            client: self.client.id().to_owned(),
            file: self.file.clone(),
            section: self.section.clone(),
            server: self.server.as_str().to_owned(),
            policy: self.policy.clone(),
            lock: self.lock.clone(),
            piece: self.piece.clone(),
        }
    }
}

/// Why a lock from before is not to be taken for what the server offers now.
fn misfit(lock: &Path, classified: &Classified, args: &WrapArgs) -> Option<String> {
    const HELP: &str =
        "`--force` writes policy and lock anew; `mcpol check` and `mcpol lock --update` take changes one by one";
    if args.profile != PolicyProfile::Standard {
        let shown = lock.display();
        return Some(format!(
            "there are a policy and a lock from before, `{shown}`, of which the profile is not known\n  help: {HELP}"
        ));
    }
    let read = || -> Option<Lock> { serde_json::from_slice(&std::fs::read(lock).ok()?).ok() };
    let names = |server: &LockedServer| -> BTreeSet<(String, String)> {
        server.tools.iter().map(|tool| (tool.name.clone(), format!("{:?}", tool.fingerprints))).collect()
    };
    let now = names(&LockedServer::of(classified, None));
    let fits =
        read().is_some_and(|lock| lock.servers.len() == 1 && lock.servers.iter().all(|server| names(server) == now));
    (!fits).then(|| {
        let shown = lock.display();
        format!("what it offers is not what the lock from before has, `{shown}`\n  help: {HELP}")
    })
}

fn texts(classified: &Classified, args: &WrapArgs, classifier: &Classifier) -> Result<(String, String), Failure> {
    let policy = gen_policy::recommended(classified, args.profile, classifier)?;
    let locked = LockedServer::of(classified, None);
    let lock = Lock::new(classifier.fingerprint(), vec![locked]).to_text().map_err(output::internal)?;
    Ok((policy, crate::text::visible_json(&lock).into_owned()))
}

/// What the files of an entry are called: after the server, with a number where another entry has that name. The same
/// entry has the same files again.
fn stem(entry: &Configured, kept: &WrapStore, others: &[WrapPlan]) -> String {
    let own = gen_policy::file_stem(entry.name.as_str());
    let is_taken = |stem: &str| {
        let policy = kept.folder().join(entry.client.id()).join(format!("{stem}.policy.json"));
        others.iter().any(|plan| plan.policy == policy)
            || kept.records().any(|record| record.policy == policy && !record.is_of(entry))
    };
    let numbered = (2..).map(|count| format!("{own}-{count}"));
    std::iter::once(own.clone()).chain(numbered).find(|stem| !is_taken(stem)).unwrap_or(own)
}

/// The program as it is put into files: by the path that the search path has for it where that is this one, so that a new
/// version in its place is found; else by its own.
pub(super) fn program() -> Result<String, Failure> {
    let own = std::env::current_exe().map_err(output::internal)?;
    let real = own.canonicalize().unwrap_or_else(|_| own.clone());
    let name = if cfg!(windows) { "mcpol.exe" } else { "mcpol" };
    let folders = std::env::var_os("PATH").unwrap_or_default();
    let found = std::env::split_paths(&folders)
        .filter(|folder| folder.is_absolute())
        .map(|folder| folder.join(name))
        .find(|path| path.canonicalize().is_ok_and(|path| path == real));
    found
        .unwrap_or(own)
        .into_os_string()
        .into_string()
        .map_err(|path| Failure::usage(format!("the path of mcpol is no text: {}", path.to_string_lossy())))
}

/// The plans, each with its risks and its policy.
pub(super) fn table<'p>(plans: impl Iterator<Item = &'p WrapPlan> + Clone) -> String {
    let mut text = String::new();
    let width = plans.clone().map(|plan| escape(plan.server.as_str()).chars().count()).max().unwrap_or(0).min(32);
    for plan in plans {
        let risks: Vec<_> = plan.risks.iter().map(|(risk, count)| format!("{count} {risk}")).collect();
        let kept = if plan.texts.is_none() { " (from before)" } else { "" };
        let _ = writeln!(
            text,
            "{:<width$}  {:<14}  {}\n{:width$}  policy {}{kept}",
            escape(plan.server.as_str()),
            plan.client.to_string(),
            if risks.is_empty() { "no tools".to_owned() } else { risks.join(", ") },
            "",
            escape(&plan.policy.to_string_lossy()),
        );
    }
    text.push('\n');
    text
}

/// What was done, and what comes next.
pub(super) fn done(plans: &[WrapPlan]) -> String {
    let files: std::collections::BTreeSet<_> = plans.iter().map(|plan| &plan.file).collect();
    let clients: std::collections::BTreeSet<_> = plans.iter().map(|plan| plan.client).collect();
    let clients: Vec<_> = clients.iter().map(ToString::to_string).collect();
    format!(
        "wrapped {} in {}; start {} again for it to count. `mcpol unwrap` takes it back\n",
        many(plans.len(), "server"),
        many(files.len(), "file"),
        clients.join(", "),
    )
}

pub(super) fn many(n: usize, noun: &str) -> String {
    format!("{n} {noun}{}", if n == 1 { "" } else { "s" })
}
