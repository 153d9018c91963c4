//! Grants in Redis. They are few and rarely change: a change reads, decides here, and is written only if nobody else
//! was faster. Whether one has expired is told by the clock of the gateway that asks.

use super::RedisStore;
use super::connection::Repeat;
use crate::clock::Timestamp;
use crate::policy::StoreError;
use crate::state::grants::{
    GRANTS_MAX, Grant, GrantCreated, GrantName, GrantRevoked, GrantState, GrantStore, TokenHash, full,
};
use redis::Script;
use serde::{Deserialize, Serialize};
use std::collections::{BTreeSet, HashMap};
use std::sync::LazyLock;

static CHANGE: LazyLock<Script> = LazyLock::new(|| Script::new(include_str!("change_grant.lua")));
static FIND: LazyLock<Script> = LazyLock::new(|| Script::new(include_str!("find_grant.lua")));

/// How often a change is tried when others change the same grant at the same time.
const ATTEMPTS_MAX: usize = 8;

/// A grant as it is kept; times in milliseconds.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct KeptGrant {
    name: String,
    servers: BTreeSet<String>,
    policy: Option<String>,
    token: String,
    created: u64,
    expires: Option<u64>,
    revoked: Option<u64>,
}

fn print(grant: &Grant) -> Result<String, StoreError> {
    let kept = KeptGrant {
        name: grant.name.as_str().to_owned(),
        servers: grant.servers.clone(),
        policy: grant.policy.clone(),
        token: grant.token.hex(),
        created: grant.created.millis(),
        expires: grant.expires.map(Timestamp::millis),
        revoked: grant.revoked.map(Timestamp::millis),
    };
    serde_json::to_string(&kept).map_err(|error| StoreError::Unavailable(error.to_string()))
}

fn read(text: &str) -> Option<Grant> {
    let kept: KeptGrant = serde_json::from_str(text).ok()?;
    Some(Grant {
        name: GrantName::parse(&kept.name).ok()?,
        servers: kept.servers,
        policy: kept.policy,
        token: TokenHash::parse(&kept.token)?,
        created: Timestamp::from_millis(kept.created),
        expires: kept.expires.map(Timestamp::from_millis),
        revoked: kept.revoked.map(Timestamp::from_millis),
    })
}

/// What to do about a grant that was read.
enum GrantStep<T> {
    /// Nothing; this is the answer.
    Leave(T),
    /// Put this in its place, and then this is the answer.
    Put(Box<Grant>, T),
}

impl RedisStore {
    fn grant(&self, text: &str) -> Result<Grant, StoreError> {
        let damaged = || {
            StoreError::Damaged(format!(
                "`{}`: a grant under `{}` cannot be read",
                self.pool.address(),
                self.key("grants")
            ))
        };
        read(text).ok_or_else(damaged)
    }

    fn change<T>(&self, name: &GrantName, decide: impl Fn(Option<Grant>) -> GrantStep<T>) -> Result<T, StoreError> {
        for _ in 0..ATTEMPTS_MAX {
            let text: Option<String> = self.pool.with(Repeat::Safe, |connection| {
                redis::cmd("HGET").arg(self.key("grants")).arg(name.as_str()).query(connection)
            })?;
            let known = text.as_deref().map(|text| self.grant(text)).transpose()?;
            let old = known.as_ref().map(|grant| grant.token);
            let (grant, answer) = match decide(known) {
                GrantStep::Leave(answer) => return Ok(answer),
                GrantStep::Put(grant, answer) => (grant, answer),
            };
            let worthless = old.filter(|token| *token != grant.token).map(|token| token.hex());
            let mut script = CHANGE.prepare_invoke();
            script.key(self.key("grants")).key(self.key("grant-tokens")).key(self.key("granted-servers"));
            script.arg(name.as_str()).arg(text.unwrap_or_default()).arg(print(&grant)?);
            script.arg(worthless.unwrap_or_default()).arg(grant.token.hex()).arg(GRANTS_MAX);
            for server in &grant.servers {
                script.arg(server);
            }
            // Sent twice, it finds its own change and is tried anew; then there is a grant of this name.
            match self.pool.run::<String>(Repeat::Never, &script)?.as_str() {
                "done" => return Ok(answer),
                "full" => return Err(full()),
                "changed" => {}
                _ => return Err(self.odd()),
            }
        }
        Err(StoreError::Unavailable(format!("others change the grant `{name}` all the time")))
    }
}

impl GrantStore for RedisStore {
    fn create(&self, now: Timestamp, grant: &Grant) -> Result<GrantCreated, StoreError> {
        self.change(&grant.name, |known| match known {
            Some(known) if known.state(now) == GrantState::Active => GrantStep::Leave(GrantCreated::Exists(known)),
            Some(_) | None => GrantStep::Put(Box::new(grant.clone()), GrantCreated::Done),
        })
    }

    fn list(&self) -> Result<Vec<Grant>, StoreError> {
        let kept: HashMap<String, String> = self
            .pool
            .with(Repeat::Safe, |connection| redis::cmd("HGETALL").arg(self.key("grants")).query(connection))?;
        let mut grants: Vec<Grant> = kept.values().map(|text| self.grant(text)).collect::<Result<_, _>>()?;
        grants.sort_by(|a, b| a.name.cmp(&b.name));
        Ok(grants)
    }

    fn revoke(&self, now: Timestamp, name: &GrantName) -> Result<GrantRevoked, StoreError> {
        self.change(name, |known| match known {
            None => GrantStep::Leave(GrantRevoked::Unknown),
            Some(grant) if grant.revoked.is_some() => GrantStep::Leave(GrantRevoked::Already(grant)),
            Some(grant) => {
                let revoked = Grant { revoked: Some(now), ..grant };
                GrantStep::Put(Box::new(revoked.clone()), GrantRevoked::Done(revoked))
            }
        })
    }

    fn find(&self, token: &TokenHash) -> Result<Option<Grant>, StoreError> {
        let mut script = FIND.prepare_invoke();
        script.key(self.key("grants")).key(self.key("grant-tokens")).arg(token.hex());
        let text: Option<String> = self.pool.run(Repeat::Safe, &script)?;
        text.map(|text| self.grant(&text)).transpose()
    }

    fn any_for(&self, server: &str) -> Result<bool, StoreError> {
        self.pool.with(Repeat::Safe, |connection| {
            redis::cmd("SISMEMBER").arg(self.key("granted-servers")).arg(server).query(connection)
        })
    }
}
