//! From listings to verdicts, with the user's rule layers: read once, used for every server.

use super::super::{Failure, output};
use super::layers;
use crate::classify::settings::{Applied, Date, Settings};
use crate::classify::{Options, RuleSet};
use crate::cli::RuleArgs;
use crate::clock;
use crate::model::{Classified, Extra, Finding, Fingerprint, Listing, SetFinding, ToolDefinition, Verdict};
use crate::report::Explained;
use std::borrow::Cow;
use std::cell::RefCell;
use std::collections::BTreeSet;
use std::num::NonZeroUsize;
use std::thread;

/// Most threads that judge servers at the same time.
const THREADS_MAX: usize = 8;

/// Rules and options, ready to judge any number of servers.
pub(in crate::commands) struct Classifier {
    rules: Cow<'static, RuleSet>,
    options: Options,
    settings: Settings,
    today: Date,
    applied: RefCell<Applied>,
}

impl Classifier {
    /// Reads the rule layers and the settings that the arguments name.
    ///
    /// # Errors
    /// A rule file or the settings are not valid: with every problem of every file.
    pub fn new(args: &RuleArgs) -> Result<Self, Failure> {
        let (rules, settings) = layers::rules_and_settings(args)?;
        Ok(Self {
            rules,
            settings,
            today: Date::of(clock::now()),
            applied: RefCell::default(),
            options: Options { ignore_annotations: args.ignore_annotations, ..Options::default() },
        })
    }

    /// SHA-256 over everything that decides about classes: the rules, the overrides, how far annotations are believed.
    pub fn fingerprint(&self) -> String {
        let Options { ignore_annotations, trust_annotations } = &self.options;
        let overrides = self.settings.in_force(self.today);
        let parts = serde_json::json!([self.rules.fingerprint(), ignore_annotations, trust_annotations, overrides]);
        Fingerprint::of(&parts).as_str().to_owned()
    }

    /// The verdicts of one server; `findings` are those of its configuration.
    pub fn one(&self, listing: Listing, findings: Vec<Finding>) -> Classified {
        self.settle(crate::classify::classify(&self.rules, listing, &self.options), findings)
    }

    /// The verdicts of several servers, in their order, as [`Self::one`] gives them for each: every processor judges a share.
    pub fn several(&self, servers: Vec<(Listing, Vec<Finding>)>) -> Vec<Classified> {
        let threads = thread::available_parallelism().map_or(1, NonZeroUsize::get).min(THREADS_MAX);
        let share = servers.len().div_ceil(threads).max(1);
        let (rules, options) = (self.rules.as_ref(), &self.options);
        let judge = |listing: Listing| crate::classify::classify(rules, listing, options);
        let (mut listings, findings): (Vec<_>, Vec<_>) = servers.into_iter().unzip();
        let judged: Vec<Classified> = thread::scope(|scope| {
            let mut others = Vec::new();
            while listings.len() > share {
                let rest = listings.split_off(share);
                let taken = std::mem::replace(&mut listings, rest);
                others.push(scope.spawn(move || taken.into_iter().map(judge).collect::<Vec<_>>()));
            }
            let last: Vec<_> = listings.into_iter().map(judge).collect();
            let others =
                others.into_iter().map(|other| other.join().unwrap_or_else(|it| std::panic::resume_unwind(it)));
            others.flatten().collect::<Vec<_>>().into_iter().chain(last).collect()
        });
        judged.into_iter().zip(findings).map(|(classified, findings)| self.settle(classified, findings)).collect()
    }

    /// What the settings make of verdicts, with the findings of the configuration.
    fn settle(&self, mut classified: Classified, findings: Vec<Finding>) -> Classified {
        self.settings.apply(self.today, &mut classified, &self.options, &mut self.applied.borrow_mut());
        classified.findings.extend(findings.into_iter().filter(|finding| !self.is_off(&finding.id)));
        classified
    }

    /// The rules.
    pub fn rules(&self) -> &RuleSet {
        &self.rules
    }

    /// How servers are judged by them.
    pub fn options(&self) -> Options {
        self.options
    }

    /// The findings and rules that are switched off.
    pub fn off(&self) -> BTreeSet<String> {
        self.settings.disabled.keys().cloned().collect()
    }

    /// Whether a finding is switched off.
    pub fn is_off(&self, id: &str) -> bool {
        self.settings.disabled.contains_key(id)
    }

    /// Judges changed definitions as tools of a server.
    pub fn judge_like(&self, listing: &Listing) -> impl Fn(&ToolDefinition) -> Verdict {
        crate::classify::judge_like(&self.rules, listing, &self.options)
    }

    /// Findings about the text of a prompt, resource or template, without those that are switched off.
    pub fn of_extra(&self, extra: &Extra) -> Vec<Finding> {
        let mut found = crate::classify::findings::of_extra(extra);
        found.retain(|finding| !self.is_off(&finding.id));
        found
    }

    /// Findings about the whole set, without those that are switched off.
    pub fn together(&self, set: &[Classified]) -> Vec<SetFinding> {
        let mut found = crate::classify::findings::of_set(set);
        self.settings.filter(&mut found);
        found
    }

    /// Says on stderr which overrides did not apply, once every server was judged.
    pub fn say_what_did_not_apply(&self) {
        for warning in self.settings.warnings(self.today, &self.applied.borrow()) {
            output::people(&format!("warning: {warning}\n"));
        }
    }

    /// Why one tool of a server, by its place in the listing, has its class.
    pub fn explain(&self, listing: &Listing, at: usize) -> Explained {
        let verdict = self.one(listing.clone(), Vec::new()).verdicts.swap_remove(at);
        let spoke = verdict.evidence.iter().map(|evidence| evidence.rule.clone());
        let rules = spoke.filter_map(|id| Some((id.clone(), self.rules.rule(&id)?.why))).collect();
        let mut explained = Explained { rules, ..Explained::new(&listing.server, &listing.tools[at], verdict) };
        if let Some(why) = crate::classify::explain(&self.rules, listing, at, &self.options) {
            explained.decided_by = why.decided_by;
            explained.runner_up = why.runner_up;
            explained.changes = why.changes;
        }
        explained
    }
}
