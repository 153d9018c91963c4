//! Watches the configuration's file while the gateway runs: a valid new version takes over, a bad one is refused,
//! logged and shown to the operator.

use super::changes::{changes, granted, left_without_grant, looser_access, only_at_start};
use super::{NameTaken, Surroundings, warn_of_doubles};
use crate::clock;
use crate::gateway::audit::Whose;
use crate::gateway::config::{self, BadConfig, Checked, Config};
use crate::gateway::decider::Decider;
use crate::gateway::http::Gateway;
use crate::gateway::identity::Grants;
use crate::gateway::meter::Meter;
use crate::gateway::plan::{Listener, Plan};
use crate::gateway::said::Said;
use crate::gateway::watched_file::WatchedFile;
use crate::problem::Problem;
use std::sync::Arc;

/// A running gateway, and the file of its configuration.
pub(super) struct ReloadWatch {
    pub(super) file: WatchedFile,
    pub(super) running: Config,
    pub(super) gateway: Arc<Gateway>,
    /// The name under which callers without a token are counted.
    pub(super) local: String,
    pub(super) grants: Arc<Grants>,
    pub(super) decider: Arc<Decider>,
    pub(super) meter: Arc<Meter>,
    pub(super) around: Surroundings,
}

impl ReloadWatch {
    /// Looks whether the file has changed, and puts a valid new version in force. Reads files, so it may block.
    pub(super) fn look(&mut self) {
        if !self.file.has_changed() {
            return;
        }
        match self.take() {
            Ok(()) => self.file.accept(),
            Err((error, problems)) => {
                let (rest, log) = ("the old configuration stays in force", (&*self.decider, &Whose::gateway()));
                self.file.refuse(&error, rest, &problems, log, clock::now());
            }
        }
    }

    fn say(&self, said: &Said<'_>) {
        (self.around.say)(said);
    }

    fn take(&mut self) -> Result<(), (String, Vec<Problem>)> {
        let bad = |error: BadConfig| {
            let text = error.to_string();
            match error {
                BadConfig::Unreadable { .. } => (text, Vec::new()),
                BadConfig::Invalid { problems, .. } => (text, problems),
            }
        };
        let Checked { mut config, warnings } = config::load(self.file.path(), &self.around.variable).map_err(bad)?;
        NameTaken::check(&config, &self.local).map_err(|taken| (taken.to_string(), Vec::new()))?;
        (self.around.complete)(&mut config.plan);
        // A new server must not be open before its grants are in force, nor an old one after its grants have gone:
        // while the servers change, grants of both versions count (the new one, where both are for one token or
        // subject).
        let both = self.running.grants.iter().chain(&config.grants).cloned().collect();
        self.grants.set_configured(both);
        let mut loosened = match self.gateway.reload(config.plan.clone()) {
            Ok(loosened) => loosened,
            Err(error) => {
                self.grants.set_configured(self.running.grants.clone());
                return Err((error.to_string(), Vec::new()));
            }
        };
        looser_access(&self.running, &config).into_iter().for_each(|thing| loosened.push(thing));
        // A server that has asked for tokens must not open because its grants are gone.
        self.grants.keep_asking(granted(&self.running));
        self.grants.keep_asking(granted(&config));
        self.grants.set_configured(config.grants.clone());
        self.meter.reloaded();
        let shown = self.file.path().display().to_string();
        self.decider
            .audit()
            .event(clock::now(), "reload", &Whose::gateway(), |line| loosened.log(line.text("config", &shown)));
        self.say(&loosened.said(&format!("{shown} reloaded: {}", changes(&self.running, &config))));
        for warning in warnings {
            self.say(&Said::warning(warning.to_string()));
        }
        for server in left_without_grant(&self.running, &config) {
            self.say(&Said::warning(format!(
                "`{server}` goes on asking for tokens, though no grant of the file is for it any more; start the gateway again to change that"
            )));
        }
        let (grants, say) = (Arc::clone(&self.grants), self.around.say);
        // Apart, since the store may block for long.
        drop(tokio::task::spawn_blocking(move || warn_of_doubles(&grants, say)));
        let later = only_at_start(&self.running, &config);
        if !later.is_empty() {
            let later = format!("these take effect when the gateway is started again: {}", later.join(", "));
            self.say(&Said::warning(later));
        }
        self.keep(config);
        Ok(())
    }

    /// Remembers `config` as running, but for the settings that only a new start can change: those stay the old ones,
    /// so that the next version is compared with what is in force.
    fn keep(&mut self, config: Config) {
        let old = &mut self.running;
        let kept = Config {
            plan: Plan {
                listener: Listener {
                    address: old.plan.listener.address,
                    tls: old.plan.listener.tls.clone(),
                    ..config.plan.listener.clone()
                },
                settings: old.plan.settings.clone(),
                drain: old.plan.drain,
                reloading: old.plan.reloading,
                ..config.plan
            },
            admin: old.admin,
            state: old.state.take(),
            audit: old.audit.clone(),
            token_rule: old.token_rule,
            jwt: old.jwt.take(),
            ..config
        };
        self.running = kept;
    }
}
