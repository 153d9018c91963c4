//! What lasts is served for as long as its client may call the server: a token that is taken back, or whose time is over,
//! ends the streams that were opened with it.
//!
//! All streams of one caller share a watch over a token, and watches over tokens are looked at once a second, away from the event loop.

use super::Server;
use crate::clock::Timestamp;
use crate::gateway::identity::{Identify, Identity, Unauthorized};
use http::HeaderValue;
use std::collections::{BTreeMap, HashMap};
use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, RwLock, Weak};
use std::time::{Duration, Instant};
use tokio::sync::watch;

/// How long streams go on while no store can tell whether their tokens are good.
pub const UNSURE_MAX: Duration = Duration::from_secs(60);

/// Who asks, and with what.
#[derive(Clone)]
pub struct Holder {
    /// The value of `Authorization`.
    pub presented: Option<HeaderValue>,
    /// Who that is.
    pub who: Identity,
}

impl fmt::Debug for Holder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Holder").field("who", &self.who).finish_non_exhaustive()
    }
}

/// A caller of one server, looked after.
pub struct TokenWatch {
    presented: Option<HeaderValue>,
    server: Arc<Server>,
    who: RwLock<Identity>,
    unsure: Mutex<Option<Instant>>,
    ended: watch::Sender<bool>,
}

impl fmt::Debug for TokenWatch {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TokenWatch").field("who", &self.who).finish_non_exhaustive()
    }
}

impl TokenWatch {
    /// Who it is: the grant stays, its policy may become another one.
    pub fn who(&self) -> Identity {
        self.who.read().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Whether it is over.
    pub fn is_over(&self) -> bool {
        *self.ended.borrow()
    }

    /// The caller was let in just now, or looked up again. Under another policy tools may appear otherwise.
    fn renew(&self, who: Identity) {
        let differs = {
            let mut known = self.who.write().unwrap_or_else(PoisonError::into_inner);
            let differs = known.policy != who.policy;
            *known = who;
            differs
        };
        if differs {
            self.server.appears_otherwise();
        }
    }

    /// Waits until the watch is over, and holds it meanwhile.
    pub fn ended(self: &Arc<Self>) -> impl Future<Output = ()> + Send + Sync + use<> {
        let token_watch = Arc::clone(self);
        async move {
            // There is an end to wait for as long as there is a watch over a token.
            let _ = token_watch.ended.subscribe().wait_for(|ended| *ended).await;
        }
    }

    /// What was found out about the token.
    fn judge(&self, found: Result<Identity, Unauthorized>, now: Instant) {
        let mut unsure = self.unsure.lock().unwrap_or_else(PoisonError::into_inner);
        match found {
            Ok(who) if who.grant == self.who().grant => {
                *unsure = None;
                self.renew(who);
            }
            Err(Unauthorized::Unavailable(_)) => {
                let since = *unsure.get_or_insert(now);
                if now.saturating_duration_since(since) >= UNSURE_MAX {
                    self.ended.send_replace(true);
                }
            }
            Ok(_) | Err(_) => drop(self.ended.send_replace(true)),
        }
    }
}

/// The token and the place of the server in memory, which is its own for as long as the watch lasts.
type WatchKey = (Option<Box<[u8]>>, usize);

/// All watches over tokens of a gateway.
#[derive(Debug, Default)]
pub struct TokenWatches(Mutex<HashMap<WatchKey, Weak<TokenWatch>>>);

impl TokenWatches {
    fn lock(&self) -> MutexGuard<'_, HashMap<WatchKey, Weak<TokenWatch>>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The watch of a client that was let in.
    pub fn of(&self, server: &Arc<Server>, holder: &Holder) -> Arc<TokenWatch> {
        let presented = holder.presented.as_ref().map(|value| value.as_bytes().into());
        let key = (presented, Arc::as_ptr(server) as usize);
        let mut token_watches = self.lock();
        if let Some(token_watch) = token_watches.get(&key).and_then(Weak::upgrade) {
            if !*token_watch.ended.borrow() && token_watch.who().grant == holder.who.grant {
                drop(token_watches);
                token_watch.renew(holder.who.clone());
                return token_watch;
            }
            // The token is another grant's now.
            token_watch.ended.send_replace(true);
        }
        let token_watch = Arc::new(TokenWatch {
            presented: holder.presented.clone(),
            server: Arc::clone(server),
            who: RwLock::new(holder.who.clone()),
            unsure: Mutex::default(),
            ended: watch::Sender::new(false),
        });
        token_watches.insert(key, Arc::downgrade(&token_watch));
        token_watch
    }

    /// Ends what is no longer good. Blocks as long as the stores do.
    pub(super) fn look(&self, servers: &BTreeMap<String, Arc<Server>>, identify: &dyn Identify, now: Timestamp) {
        let token_watches: Vec<Arc<TokenWatch>> = {
            let mut token_watches = self.lock();
            token_watches.retain(|_, token_watch| token_watch.strong_count() > 0);
            token_watches.values().filter_map(Weak::upgrade).collect()
        };
        for token_watch in token_watches {
            let name = &token_watch.server.name;
            let is_served = servers.get(name.as_str()).is_some_and(|server| Arc::ptr_eq(server, &token_watch.server));
            if !is_served {
                token_watch.ended.send_replace(true);
                continue;
            }
            let presented = token_watch.presented.as_ref().map(HeaderValue::as_bytes);
            token_watch.judge(identify.identify(presented, name, now), Instant::now());
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::gateway::identity::PolicyChoice;

    fn token_watch() -> TokenWatch {
        TokenWatch {
            presented: None,
            server: crate::gateway::http::tests::server(),
            who: RwLock::new(who("alice", PolicyChoice::Server)),
            unsure: Mutex::default(),
            ended: watch::Sender::new(false),
        }
    }

    fn who(grant: &str, policy: PolicyChoice) -> Identity {
        Identity { grant: grant.into(), policy }
    }

    #[test]
    fn a_lease_lasts_while_the_token_is_its_grants() {
        let (now, other) = (Instant::now(), PolicyChoice::File(std::path::Path::new("other.json").into()));
        for (found, lasts) in [
            (Ok(who("alice", PolicyChoice::Server)), true),
            (Ok(who("alice", other.clone())), true),
            (Ok(who("bob", PolicyChoice::Server)), false),
            (Err(Unauthorized::Missing), false),
            (Err(Unauthorized::Expired), false),
            (Err(Unauthorized::Revoked), false),
            (Err(Unauthorized::Unavailable("away".to_owned())), true),
        ] {
            let token_watch = token_watch();
            token_watch.judge(found.clone(), now);
            assert_eq!(!*token_watch.ended.borrow(), lasts, "{found:?}");
        }
        let token_watch = token_watch();
        token_watch.judge(Ok(who("alice", other.clone())), now);
        assert_eq!(token_watch.who().policy, other, "the newest policy counts");
    }

    #[test]
    fn what_nobody_can_tell_is_taken_for_good_for_a_while_only() {
        let (token_watch, start) = (token_watch(), Instant::now());
        let away = || Err(Unauthorized::Unavailable("away".to_owned()));
        let good = || Ok(who("alice", PolicyChoice::Server));
        let short = UNSURE_MAX - Duration::from_millis(1);
        token_watch.judge(away(), start);
        token_watch.judge(away(), start + short);
        token_watch.judge(good(), start + short);
        token_watch.judge(away(), start + UNSURE_MAX);
        assert!(!*token_watch.ended.borrow(), "it was told in between");
        token_watch.judge(away(), start + UNSURE_MAX + UNSURE_MAX);
        assert!(*token_watch.ended.borrow());
    }
}
