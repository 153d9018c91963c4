//! Watches the configuration's file while the gateway runs: a valid new version takes over, a bad one is refused,
//! logged and shown to the operator.

use super::changes::{changes, granted, left_without_grant, only_at_start};
use super::{Around, NameTaken, warn_of_doubles};
use crate::clock;
use crate::gateway::audit::Whose;
use crate::gateway::config::{self, BadConfig, Checked, Config};
use crate::gateway::desk::Desk;
use crate::gateway::http::Gateway;
use crate::gateway::identity::Grants;
use crate::gateway::meter::Meter;
use crate::gateway::plan::{Listener, Plan};
use crate::gateway::reload::Stamp;
use crate::problem::Problem;
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// The configuration's file, with the state in which it was last looked at.
#[derive(Debug)]
pub struct WatchedFile {
    path: PathBuf,
    stamp: Stamp,
    refused: Option<String>,
}

impl WatchedFile {
    /// Begins to watch a file. To be called before the file is read, so that a change in between is seen at the first
    /// look.
    pub fn new(path: &Path) -> Self {
        Self { path: path.to_owned(), stamp: Stamp::of(path), refused: None }
    }

    /// The file, as the user named it.
    pub fn path(&self) -> &Path {
        &self.path
    }
}

/// A running gateway, and the file of its configuration.
pub(super) struct Watch {
    pub(super) file: WatchedFile,
    pub(super) running: Config,
    pub(super) gateway: Arc<Gateway>,
    /// The name under which callers without a token are counted.
    pub(super) local: String,
    pub(super) grants: Arc<Grants>,
    pub(super) desk: Arc<Desk>,
    pub(super) meter: Arc<Meter>,
    pub(super) around: Around,
}

impl Watch {
    /// Looks whether the file has changed, and puts a valid new version in force. Reads files, so it may block.
    pub(super) fn look(&mut self) {
        let stamp = Stamp::of(&self.file.path);
        if stamp == self.file.stamp {
            return;
        }
        self.file.stamp = stamp;
        match self.take() {
            Ok(()) => self.file.refused = None,
            Err(text) => self.refuse(text),
        }
    }

    fn say(&self, text: &str) {
        (self.around.say)(text);
    }

    fn take(&mut self) -> Result<(), String> {
        let checked = config::load(&self.file.path, &self.around.variable).map_err(told)?;
        let Checked { mut config, warnings } = checked;
        NameTaken::check(&config, &self.local)
            .map_err(|taken| format!("{taken}; the old configuration stays in force"))?;
        (self.around.complete)(&mut config.plan);
        // A new server must not be open before its grants are in force, nor an old one after its grants have gone:
        // while the servers change, grants of both versions count (the new one, where both are for one token or
        // subject).
        let both = self.running.grants.iter().chain(&config.grants).cloned().collect();
        self.grants.set_configured(both);
        if let Err(error) = self.gateway.reload(config.plan.clone()) {
            self.grants.set_configured(self.running.grants.clone());
            return Err(error.to_string());
        }
        // A server that has asked for tokens must not open because its grants are gone.
        self.grants.keep_asking(granted(&self.running));
        self.grants.keep_asking(granted(&config));
        self.grants.set_configured(config.grants.clone());
        self.meter.reloaded();
        let shown = self.file.path.display().to_string();
        self.desk.audit().event(clock::now(), "reload", &Whose::gateway(), |line| line.text("config", &shown));
        self.say(&format!("{shown} reloaded: {}", changes(&self.running, &config)));
        for warning in warnings {
            self.say(&format!("warning: {warning}"));
        }
        for server in left_without_grant(&self.running, &config) {
            self.say(&format!(
                "`{server}` goes on asking for tokens, though no grant of the file is for it any more; start the gateway again to change that"
            ));
        }
        let (grants, say) = (Arc::clone(&self.grants), self.around.say);
        // Apart, since the store may block for long.
        drop(tokio::task::spawn_blocking(move || warn_of_doubles(&grants, say)));
        let later = only_at_start(&self.running, &config);
        if !later.is_empty() {
            self.say(&format!("these take effect when the gateway is started again: {}", later.join(", ")));
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
                settings: old.plan.settings,
                drain: old.plan.drain,
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

    fn refuse(&mut self, text: String) {
        // A file that stays bad is reported once.
        if self.file.refused.as_ref() == Some(&text) {
            return;
        }
        self.meter.reload_refused();
        let reason = text.lines().next().unwrap_or_default().to_owned();
        self.desk.audit().event(clock::now(), "reload_refused", &Whose::gateway(), |line| line.text("reason", &reason));
        self.say(&text);
        self.file.refused = Some(text);
    }
}

fn told(error: BadConfig) -> String {
    let mut text = format!("{error}; the old configuration stays in force");
    let problems: &[Problem] = match &error {
        BadConfig::Unreadable { .. } => &[],
        BadConfig::Invalid { problems, .. } => problems,
    };
    for problem in problems {
        text.push_str(&format!("\n  {problem}"));
    }
    text
}
