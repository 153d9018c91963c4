//! Tokens that an issuer has signed (JWT, RFC 7519) as the other way to know who calls.
//!
//! Signatures of public keys only: a token that says `none` or names a shared secret is refused, whatever its claims.
//! The issuer's keys are fetched again when a token names one that is not known, and from time to time; without keys
//! no caller passes.

mod fetch;
mod keys;
mod settings;

pub use fetch::{FETCH_WAIT, KEY_SET_BYTES_MAX};
pub use keys::KEYS_MAX;
pub use settings::{Jwks, Jwt};

use super::identity::{Issuer, Unauthorized};
use crate::clock::Timestamp;
use crate::gateway::decider::Notice;
use crate::gateway::filter::Nothing;
use crate::gateway::said::Said;
use crate::mcp::http::is_sealed;
use crate::mcp::json::{self, Members};
use crate::mcp::target::redacted;
use crate::state::TokenHash;
use crate::text::is_hidden;
use base64::Engine as _;
use jsonwebtoken::{Validation, decode, decode_header};
use keys::{Key, KeySet};
use serde_json::{Map, Value};
use std::collections::HashMap;
use std::fmt;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

/// How far the issuer's clock may be from ours, in seconds.
pub const LEEWAY_SECONDS: u64 = 30;
/// Longest name in a claim, in bytes.
pub const CLAIM_BYTES_MAX: usize = 256;

/// Tokens remembered at most, so that a signature is checked once and not with every request.
const REMEMBERED_MAX: usize = 4096;
/// Requests that may wait for keys at the same time; others are told to come back.
const WAITING_MAX: usize = 32;

/// When keys are fetched.
#[derive(Clone, Copy, Debug)]
struct Rhythm {
    /// Keys this old are fetched again, beside the requests.
    renew: Duration,
    /// Keys this old are not used any more.
    stale: Duration,
    /// Pause after keys were had; a token with an unknown key does not make us ask sooner.
    pause: Duration,
    /// Pause after they could not be had.
    pause_failed: Duration,
}

const RHYTHM: Rhythm = Rhythm {
    renew: Duration::from_secs(600),
    stale: Duration::from_secs(3600),
    pause: Duration::from_secs(30),
    pause_failed: Duration::from_secs(5),
};

/// Keys of an issuer that cannot be used.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum BadIssuer {
    /// The keys would come over a connection that others can change.
    #[error("the keys of the issuer would be fetched from `{0}` without encryption")]
    Unencrypted(String),
    /// The file of keys is of no use.
    #[error("{0}")]
    BadFile(String),
}

/// An issuer whose tokens say who calls.
pub struct JwtIssuer(Arc<IssuerInner>);

struct IssuerInner {
    settings: Jwt,
    rhythm: Rhythm,
    state: Mutex<IssuerState>,
    fetched: Condvar,
    remembered: Mutex<HashMap<TokenHash, GoodToken>>,
    notice: Notice,
}

#[derive(Default)]
struct IssuerState {
    keys: Option<LoadedKeys>,
    /// How often keys were loaded.
    generation: u64,
    attempt: Option<Attempt>,
    /// Requests that wait for the attempt to end.
    waiting: usize,
    /// A person has been told that keys cannot be had.
    told: bool,
}

#[derive(Clone)]
struct LoadedKeys {
    keys: Arc<KeySet>,
    generation: u64,
    at: Instant,
}

/// The newest attempt to get keys.
enum Attempt {
    Running,
    Ended { at: Instant, error: Option<String> },
}

/// What a good token says. Times in seconds since 1970.
#[derive(Clone, Debug)]
struct GoodToken {
    /// With which keys it was checked: one that the issuer has withdrawn must not live on here.
    generation: u64,
    subject: Arc<str>,
    not_before: u64,
    expires: u64,
}

impl fmt::Debug for JwtIssuer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("JwtIssuer").field("settings", &self.0.settings).finish_non_exhaustive()
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    // What is behind the locks here is whole between any two statements.
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl JwtIssuer {
    /// An issuer. Keys in a file are read at once; those at a URL are fetched meanwhile, and an issuer that is away keeps
    /// all callers out until it is back. `notice` is told when keys cannot be had, and when they can again.
    ///
    /// # Errors
    /// The file is of no use, or the URL is neither `https` nor on this machine.
    pub fn new(settings: Jwt, notice: Notice) -> Result<Self, BadIssuer> {
        Self::with_rhythm(settings, notice, RHYTHM)
    }

    fn with_rhythm(settings: Jwt, notice: Notice, rhythm: Rhythm) -> Result<Self, BadIssuer> {
        keys::install();
        let mut state = IssuerState::default();
        match &settings.jwks {
            Jwks::Url(url) if !is_sealed(url) => return Err(BadIssuer::Unencrypted(redacted(url))),
            Jwks::Url(_) => {}
            Jwks::File(_) => {
                let keys = fetch::keys(&settings.jwks).map_err(BadIssuer::BadFile)?;
                state.keys = Some(LoadedKeys { keys: Arc::new(keys), generation: 0, at: Instant::now() });
            }
        }
        let missing = state.keys.is_none();
        let issuer = Self(Arc::new(IssuerInner {
            settings,
            rhythm,
            state: Mutex::new(state),
            fetched: Condvar::new(),
            remembered: Mutex::default(),
            notice,
        }));
        if missing {
            issuer.renew();
        }
        Ok(issuer)
    }

    /// Begins to fetch keys, unless another request does or did a moment ago. Answers whether one does now.
    fn renew(&self) -> bool {
        {
            let mut state = lock(&self.0.state);
            match &state.attempt {
                Some(Attempt::Running) => return true,
                Some(Attempt::Ended { at, error }) => {
                    let pause = if error.is_some() { self.0.rhythm.pause_failed } else { self.0.rhythm.pause };
                    if at.elapsed() < pause {
                        return false;
                    }
                }
                None => {}
            }
            state.attempt = Some(Attempt::Running);
        }
        let inner = Arc::clone(&self.0);
        let work = move || inner.end_attempt(fetch::keys(&inner.settings.jwks));
        if let Err(error) = std::thread::Builder::new().name("issuer-keys".to_owned()).spawn(work) {
            self.0.end_attempt(Err(format!("no thread to fetch keys: {}", crate::problem::reason(&error))));
        }
        true
    }

    /// Keys that are not too old, waiting for them if need be. `wanted` is the name of one that has to be there.
    fn keys(&self, wanted: Option<&str>) -> Result<LoadedKeys, Unauthorized> {
        let rhythm = &self.0.rhythm;
        let fresh = |loaded: &LoadedKeys| loaded.at.elapsed() < rhythm.stale;
        let known = self.0.loaded().filter(fresh);
        if let Some(loaded) = known.filter(|loaded| wanted.is_none_or(|id| loaded.keys.knows(id))) {
            if loaded.at.elapsed() >= rhythm.renew {
                self.renew();
            }
            return Ok(loaded);
        }
        self.renew();
        let mut state = lock(&self.0.state);
        if matches!(state.attempt, Some(Attempt::Running)) {
            if state.waiting >= WAITING_MAX {
                return Err(Unauthorized::Unavailable("too many wait for the keys of the issuer".to_owned()));
            }
            state.waiting += 1;
            let running = |state: &mut IssuerState| matches!(state.attempt, Some(Attempt::Running));
            // The attempt is bounded itself; a moment more lets it say why it failed.
            let wait = FETCH_WAIT + Duration::from_secs(1);
            let waited = self.0.fetched.wait_timeout_while(state, wait, running);
            state = waited.unwrap_or_else(PoisonError::into_inner).0;
            state.waiting -= 1;
        }
        match (state.keys.clone().filter(fresh), &state.attempt) {
            // Possibly without the one that is wanted: then the token is not good.
            (Some(loaded), _) => Ok(loaded),
            (None, Some(Attempt::Ended { error: Some(error), .. })) => Err(Unauthorized::Unavailable(error.clone())),
            (None, _) => Err(Unauthorized::Unavailable("the keys of the issuer are not there yet".to_owned())),
        }
    }

    /// A token that was read before, with these keys.
    fn remembered(&self, hash: &TokenHash, generation: u64) -> Option<GoodToken> {
        lock(&self.0.remembered).get(hash).filter(|known| known.generation == generation).cloned()
    }

    /// Reads a token to the end: signature, issuer, audience, and what it says about the caller.
    fn read(&self, token: &str) -> Result<GoodToken, Unauthorized> {
        let header = decode_header(token).map_err(|_| Unauthorized::Unknown)?;
        // Extensions that a token calls critical would have to be understood (RFC 7515, section 4.1.11): there are none.
        if header.crit.is_some() {
            return Err(Unauthorized::Unknown);
        }
        let LoadedKeys { keys, generation, .. } = self.keys(header.kid.as_deref())?;
        let key = keys.find(header.kid.as_deref(), header.alg).ok_or(Unauthorized::Unknown)?;
        let claims = self.claims(token, key).ok_or(Unauthorized::Unknown)?;
        let name = claims.get(&self.0.settings.grant_claim).and_then(Value::as_str).ok_or(Unauthorized::Unknown)?;
        if !can_be_subject(name) {
            return Err(Unauthorized::Unknown);
        }
        let not_before = match claims.get("nbf") {
            None => 0,
            Some(time) => seconds(time, f64::ceil).ok_or(Unauthorized::Unknown)?,
        };
        let expires = claims.get("exp").and_then(|time| seconds(time, f64::floor)).ok_or(Unauthorized::Unknown)?;
        Ok(GoodToken { generation, subject: name.into(), not_before, expires })
    }

    /// The claims of a token whose signature, issuer and audience are right.
    fn claims(&self, token: &str, key: &Key) -> Option<Map<String, Value>> {
        let mut validation = Validation::new(key.algorithms.first().copied()?);
        validation.algorithms.clone_from(&key.algorithms);
        validation.set_issuer(&[&self.0.settings.issuer]);
        validation.set_audience(&[&self.0.settings.audience]);
        validation.set_required_spec_claims(&["exp", "iss", "aud"]);
        // Its time is judged with every request, by the clock that everything here goes by.
        validation.validate_exp = false;
        validation.validate_nbf = false;
        let claims: Map<String, Value> = decode(token, &key.key, &validation).ok()?.claims;
        // The library takes one of a list of issuers as well; a token has one (RFC 7519, section 4.1.1).
        let is_plain = claims.get("iss").is_some_and(Value::is_string) && has_one_reading(token);
        is_plain.then_some(claims)
    }
}

/// Whether no member stands twice in the header or the claims of a token, so that every reader takes the same one.
fn has_one_reading(token: &str) -> bool {
    let engine = base64::engine::general_purpose::URL_SAFE_NO_PAD;
    token.split('.').take(2).all(|part| {
        let text = engine.decode(part).ok().and_then(|bytes| String::from_utf8(bytes).ok());
        text.is_some_and(|text| {
            json::scan(&text, Members::Everywhere, &mut Nothing).is_ok_and(|seen| seen.flaw.is_none())
        })
    })
}

/// Whether a text may name a caller in a claim: 1 to [`CLAIM_BYTES_MAX`] bytes, all of them to be seen.
pub fn can_be_subject(text: &str) -> bool {
    !text.is_empty() && text.len() <= CLAIM_BYTES_MAX && !text.chars().any(is_hidden)
}

/// Seconds since 1970 of a `NumericDate` (RFC 7519, section 2), which may have a fraction.
fn seconds(time: &Value, round: fn(f64) -> f64) -> Option<u64> {
    const SECONDS_MAX: f64 = 1e15;
    match time.as_u64() {
        Some(whole) => Some(whole),
        None => {
            let rounded = round(time.as_f64()?);
            // Within these bounds every whole number has a float of its own.
            (0.0..SECONDS_MAX).contains(&rounded).then_some(rounded as u64)
        }
    }
}

impl GoodToken {
    fn at(&self, now: Timestamp) -> Result<Arc<str>, Unauthorized> {
        if now.seconds() >= self.expires.saturating_add(LEEWAY_SECONDS) {
            return Err(Unauthorized::Expired);
        }
        if now.seconds().saturating_add(LEEWAY_SECONDS) < self.not_before {
            return Err(Unauthorized::Unknown);
        }
        Ok(Arc::clone(&self.subject))
    }
}

impl IssuerInner {
    fn loaded(&self) -> Option<LoadedKeys> {
        lock(&self.state).keys.clone()
    }

    fn end_attempt(&self, outcome: Result<KeySet, String>) {
        let news = {
            let mut state = lock(&self.state);
            match &outcome {
                Ok(_) => std::mem::take(&mut state.told).then(|| Said::info("the keys of the issuer are there again")),
                Err(error) => (!std::mem::replace(&mut state.told, true)).then(|| Said::error(error.clone())),
            }
        };
        // Before any caller passes or is refused for it.
        if let Some(news) = news {
            (self.notice)(&news);
        }
        let mut state = lock(&self.state);
        let (now, error) = (Instant::now(), outcome.as_ref().err().cloned());
        if let Ok(keys) = outcome {
            state.generation += 1;
            state.keys = Some(LoadedKeys { keys: Arc::new(keys), generation: state.generation, at: now });
        }
        state.attempt = Some(Attempt::Ended { at: now, error });
        drop(state);
        self.fetched.notify_all();
    }
}

impl Issuer for JwtIssuer {
    fn subject(&self, token: &str, now: Timestamp) -> Result<Arc<str>, Unauthorized> {
        // Also for tokens that are remembered: when the keys are too old, nothing is known about any.
        let generation = self.keys(None)?.generation;
        let hash = TokenHash::of(token.as_bytes());
        if let Some(known) = self.remembered(&hash, generation) {
            return known.at(now);
        }
        let read = self.read(token)?;
        let mut remembered = lock(&self.0.remembered);
        if remembered.len() >= REMEMBERED_MAX {
            remembered.clear();
        }
        remembered.insert(hash, read.clone());
        read.at(now)
    }

    fn at_once(&self, token: &str, now: Timestamp) -> Option<Result<Arc<str>, Unauthorized>> {
        let loaded = self.0.loaded().filter(|loaded| loaded.at.elapsed() < self.0.rhythm.renew)?;
        self.remembered(&TokenHash::of(token.as_bytes()), loaded.generation).map(|known| known.at(now))
    }
}

#[cfg(test)]
mod tests;
