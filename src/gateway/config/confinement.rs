//! Reads `user`, `group` and `sandbox` of `[servers.NAME]`: what a command is held to beyond the rights of the gateway's
//! user.

use super::reader::{Reader, Table};
use crate::mcp::supervise::sandbox_is_there;
use crate::mcp::target::{Confinement, FileSandbox};
use std::path::PathBuf;

/// A user of the system, as its programs know it.
#[derive(Debug)]
pub(super) struct Account {
    /// The name.
    pub name: String,
    /// The home directory.
    pub home: PathBuf,
    user: u32,
    group: u32,
}

impl Reader<'_> {
    /// Takes the three keys; with them the account that the command runs under, if it is another. What cannot be had on
    /// this system is a problem: a command must not start without what it is to be held to.
    pub(super) fn confinement(&mut self, table: &mut Table<'_>) -> (Confinement, Option<Account>) {
        let mut confinement = Confinement::NONE;
        let (user, group) = (self.text_of(table, "user"), self.text_of(table, "group"));
        let account = user.and_then(|text| {
            let found = account(&text.text);
            self.found(found, text.at, &table.key("user"), &text.text)
        });
        if let Some(account) = &account {
            (confinement.user, confinement.group) = (Some(account.user), Some(account.group));
        }
        if let Some(text) = group {
            let found = group_id(&text.text);
            confinement.group = self.found(found, text.at, &table.key("group"), &text.text).or(confinement.group);
        }
        if (confinement.user.is_some() || confinement.group.is_some()) && !is_root() {
            let message = "runs under another user or group, which only root can give it: it will not start";
            self.warn(table.at, &table.path, message, "start mcpol as root, or take `user` and `group` out");
        }
        confinement.sandbox = self.sandbox(table);
        (confinement, account)
    }

    fn found<T>(&mut self, found: Result<T, String>, at: usize, pointer: &str, text: &str) -> Option<T> {
        found.map_err(|why| self.report(at, pointer, format!("`{}` {why}", crate::text::excerpt(text, 40)), None)).ok()
    }

    fn sandbox(&mut self, table: &mut Table<'_>) -> Option<FileSandbox> {
        let value = table.take("sandbox")?;
        let at = value.span().start;
        let mut inner = self.table(&table.key("sandbox"), value)?;
        let mut sandbox = FileSandbox::default();
        for (key, paths) in [("read", &mut sandbox.read), ("write", &mut sandbox.write)] {
            for text in self.texts_of(&mut inner, key).unwrap_or_default() {
                let path = self.path(&text.text);
                if path.exists() {
                    paths.push(path);
                } else {
                    let message = format!("`{}` is not there", path.display());
                    self.report(text.at, &inner.key(key), message, Some("make it first: a sandbox opens what exists"));
                }
            }
        }
        self.finish(&inner);
        if let Err(why) = sandbox_is_there() {
            let message = format!("cannot be had here: {why}");
            self.report(at, &table.key("sandbox"), message, Some("take it out, or confine the command by other means"));
        }
        Some(sandbox)
    }
}

#[cfg(unix)]
fn is_root() -> bool {
    rustix::process::geteuid().is_root()
}

#[cfg(unix)]
fn account(text: &str) -> Result<Account, String> {
    use nix::unistd::{Uid, User};
    let found = text.parse().map_or_else(|_| User::from_name(text), |id| User::from_uid(Uid::from_raw(id)));
    let found = found.map_err(|error| format!("cannot be looked up: {error}"))?;
    let user = found.ok_or_else(|| "is no user of this system".to_owned())?;
    Ok(Account { name: user.name, home: user.dir, user: user.uid.as_raw(), group: user.gid.as_raw() })
}

#[cfg(unix)]
fn group_id(text: &str) -> Result<u32, String> {
    use nix::unistd::{Gid, Group};
    let found = text.parse().map_or_else(|_| Group::from_name(text), |id| Group::from_gid(Gid::from_raw(id)));
    let found = found.map_err(|error| format!("cannot be looked up: {error}"))?;
    found.map(|group| group.gid.as_raw()).ok_or_else(|| "is no group of this system".to_owned())
}

#[cfg(not(unix))]
fn is_root() -> bool {
    false
}

#[cfg(not(unix))]
fn account(_text: &str) -> Result<Account, String> {
    Err("cannot be had: only Unix has users for this".to_owned())
}

#[cfg(not(unix))]
fn group_id(_text: &str) -> Result<u32, String> {
    Err("cannot be had: only Unix has groups for this".to_owned())
}
