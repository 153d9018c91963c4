//! Who calls: from the `Authorization` header of a client's request to the grant that it is counted on. A token that is
//! presented is always judged, also where none is needed: a client that sends a wrong one must hear of it, and not be
//! served as a caller without a token.

use crate::clock::Timestamp;
use crate::model::ServerName;
use crate::policy::StoreError;
use crate::state::{Grant, GrantName, GrantState, GrantStore, TokenHash};
use std::collections::{BTreeSet, HashMap};
use std::fmt;
use std::net::SocketAddr;
use std::path::Path;
use std::sync::{Arc, PoisonError, RwLock};

/// Longest token that is looked at, in bytes: tokens of issuers carry claims and a signature.
pub const TOKEN_BYTES_MAX: usize = 16 * 1024;

/// The grant that a call is counted on, and the policy that it is judged by.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Identity {
    /// The grant's name.
    pub grant: Arc<str>,
    /// Which policy judges the calls.
    pub policy: PolicyChoice,
}

/// Which policy judges a caller's calls.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum PolicyChoice {
    /// The server's policy; without one every call is denied.
    Server,
    /// The grant's own policy, in this file, and not the server's.
    File(Arc<Path>),
}

/// Why a client's request is not served in any grant's name. The client learns no more than
/// [`Unauthorized::www_authenticate`] says; the variants are for the log.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Unauthorized {
    /// The request has no token, and one is needed.
    #[error("no token")]
    Missing,
    /// The request has several `Authorization` headers, another scheme, or characters that no token has.
    #[error("malformed authorization")]
    Malformed,
    /// No grant has this token.
    #[error("unknown token")]
    Unknown,
    /// The grant's or the token's time is over.
    #[error("expired token")]
    Expired,
    /// The grant was revoked.
    #[error("revoked token")]
    Revoked,
    /// The grant is good for other servers only.
    #[error("token for another server")]
    OtherServer,
    /// The subject of an issuer's token has no grant, and one is needed.
    #[error("token of somebody without a grant")]
    NoGrant,
    /// The grant of the store has the name of a grant of the configuration, or of callers without a token.
    #[error("token of a grant whose name somebody else has")]
    NameTaken,
    /// Tokens cannot be judged at the moment: the answer is 503, and the same token may be good later.
    #[error("tokens cannot be judged: {0}")]
    Unavailable(String),
}

impl Unauthorized {
    /// The value of `WWW-Authenticate` (RFC 6750, section 3). Unknown, expired and revoked tokens, and those for other
    /// servers, look alike to the client.
    pub fn www_authenticate(&self) -> &'static str {
        match self {
            // Without credentials there is no error code (RFC 6750, section 3.1).
            Self::Missing => "Bearer realm=\"mcpol\"",
            Self::Malformed => "Bearer realm=\"mcpol\", error=\"invalid_request\"",
            Self::Unknown
            | Self::Expired
            | Self::Revoked
            | Self::OtherServer
            | Self::NoGrant
            | Self::NameTaken
            | Self::Unavailable(_) => "Bearer realm=\"mcpol\", error=\"invalid_token\"",
        }
    }

    /// The HTTP status: 401, or 503 where tokens cannot be judged.
    pub fn status(&self) -> u16 {
        match self {
            Self::Missing
            | Self::Malformed
            | Self::Unknown
            | Self::Expired
            | Self::Revoked
            | Self::OtherServer
            | Self::NoGrant
            | Self::NameTaken => 401,
            Self::Unavailable(_) => 503,
        }
    }

    /// The variant's fixed word in logs and counters.
    pub fn word(&self) -> &'static str {
        match self {
            Self::Missing => "missing",
            Self::Malformed => "malformed",
            Self::Unknown => "unknown",
            Self::Expired => "expired",
            Self::Revoked => "revoked",
            Self::OtherServer => "other_server",
            Self::NoGrant => "no_grant",
            Self::NameTaken => "name_taken",
            Self::Unavailable(_) => "unavailable",
        }
    }
}

impl From<StoreError> for Unauthorized {
    fn from(error: StoreError) -> Self {
        Self::Unavailable(error.to_string())
    }
}

/// Finds out who calls. It is asked once for every request and server, and may wait for a disk, for Redis or for an
/// issuer's keys, each within a bound: an event loop calls it on a thread that may block.
pub trait Identify: Send + Sync {
    /// The identity of the caller; `authorization` is the value of the one `Authorization` header (see
    /// [`authorization`]), if there was one.
    ///
    /// # Errors
    /// The caller is not known, or may not call this server.
    fn identify(
        &self,
        authorization: Option<&[u8]>,
        server: &ServerName,
        now: Timestamp,
    ) -> Result<Identity, Unauthorized>;

    /// What [`Self::identify`] would return, if it is known without asking an issuer and without checking a signature;
    /// else `None`. It may still wait for the store.
    fn at_once(
        &self,
        authorization: Option<&[u8]>,
        server: &ServerName,
        now: Timestamp,
    ) -> Option<Result<Identity, Unauthorized>> {
        Some(self.identify(authorization, server, now))
    }
}

/// The value of the one `Authorization` header of a request, if there is one.
///
/// # Errors
/// There are several: two readers could take different ones for the caller's.
pub fn authorization(headers: &http::HeaderMap) -> Result<Option<&[u8]>, Unauthorized> {
    let mut values = headers.get_all(http::header::AUTHORIZATION).iter();
    match (values.next(), values.next()) {
        (first, None) => Ok(first.map(http::HeaderValue::as_bytes)),
        (_, Some(_)) => Err(Unauthorized::Malformed),
    }
}

/// The token of `Bearer TOKEN` (RFC 6750, section 2.1; the scheme in any case, RFC 9110, section 11.1).
fn bearer(value: &[u8]) -> Result<&[u8], Unauthorized> {
    const SCHEME: &[u8] = b"bearer";
    let (scheme, rest) = value.split_at_checked(SCHEME.len()).ok_or(Unauthorized::Malformed)?;
    let token = rest.trim_ascii_start();
    if !scheme.eq_ignore_ascii_case(SCHEME) || token.len() == rest.len() || token.len() > TOKEN_BYTES_MAX {
        return Err(Unauthorized::Malformed);
    }
    // b64token: digits, and at most two `=` at the end.
    let digits = token.trim_ascii_end();
    let digits = digits.strip_suffix(b"==").or_else(|| digits.strip_suffix(b"=")).unwrap_or(digits);
    let known = |byte: &u8| byte.is_ascii_alphanumeric() || b"-._~+/".contains(byte);
    if digits.is_empty() || !digits.iter().all(known) {
        return Err(Unauthorized::Malformed);
    }
    Ok(token.trim_ascii_end())
}

/// For which servers callers need a token.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TokenRule {
    /// For servers that a grant was ever made for: one in the store, expired or revoked ones included, or one in a
    /// configuration of this process.
    WhereGranted,
    /// For all servers.
    Always,
}

impl TokenRule {
    /// The rule for a gateway that listens on `address`, if the operator has asked for `self`. An address that other
    /// machines reach must not leave the servers without a grant open to all, so there it is [`Self::Always`]; `None`,
    /// an error, if neither the operator asks for tokens nor the configuration has grants or an issuer (`known`).
    pub fn at(self, address: SocketAddr, known: bool) -> Option<Self> {
        match (address.ip().is_loopback(), self, known) {
            (true, rule, _) => Some(rule),
            (false, Self::WhereGranted, false) => None,
            (false, _, _) => Some(Self::Always),
        }
    }
}

/// Begins the name that a caller with an issuer's token and without a grant is counted under. No grant can have such a
/// name.
pub const JWT_GRANT_PREFIX: &str = "jwt:";

/// Judges the signed tokens of an issuer, the other way to know a caller beside the gateway's own tokens.
pub trait Issuer: Send + Sync {
    /// The subject of a signed token: the value of its grant claim.
    ///
    /// # Errors
    /// The token is not good, or the keys to judge it cannot be fetched.
    fn subject(&self, token: &str, now: Timestamp) -> Result<Arc<str>, Unauthorized>;

    /// What [`Self::subject`] would return for a token that was judged before and whose keys are still there; else
    /// `None`.
    fn at_once(&self, token: &str, now: Timestamp) -> Option<Result<Arc<str>, Unauthorized>>;
}

/// Which subjects of an issuer's tokens are served.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SubjectRule {
    /// All subjects. One without a grant is served as [`JWT_GRANT_PREFIX`] and the subject, on every server, by the
    /// server's policy.
    Any,
    /// Subjects that a grant of the configuration names.
    Granted,
}

/// A grant in the gateway's configuration.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ConfiguredGrant {
    /// The name under which calls are counted and logged.
    pub name: GrantName,
    /// Names of the servers that it is good for; 1 to [`GRANT_SERVERS_MAX`](crate::state::GRANT_SERVERS_MAX).
    pub servers: BTreeSet<String>,
    /// Absolute path of its own policy; without one the server's policy holds.
    pub policy: Option<String>,
    /// From when on it is no longer good; `None` for never.
    pub expires: Option<Timestamp>,
    /// What its caller presents.
    pub known_by: KnownBy,
}

/// What the caller of a grant presents.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum KnownBy {
    /// A token with this SHA-256.
    Token(TokenHash),
    /// An issuer's token that names this subject in its grant claim.
    Subject(String),
}

impl ConfiguredGrant {
    fn identity(&self, server: &ServerName, now: Timestamp) -> Result<Identity, Unauthorized> {
        let state = match self.expires {
            Some(expires) if expires <= now => GrantState::Expired,
            Some(_) | None => GrantState::Active,
        };
        identity(&self.name, state, &self.servers, self.policy.as_deref(), server)
    }
}

/// The identity that a grant in this state gives its caller on a server.
fn identity(
    name: &GrantName,
    state: GrantState,
    servers: &BTreeSet<String>,
    policy: Option<&str>,
    server: &ServerName,
) -> Result<Identity, Unauthorized> {
    match state {
        GrantState::Active if servers.contains(server.as_str()) => Ok(Identity {
            grant: name.as_str().into(),
            policy: policy.map_or(PolicyChoice::Server, |path| PolicyChoice::File(Path::new(path).into())),
        }),
        GrantState::Active => Err(Unauthorized::OtherServer),
        GrantState::Expired => Err(Unauthorized::Expired),
        GrantState::Revoked => Err(Unauthorized::Revoked),
    }
}

/// Knows callers by grants of the state store, by grants of the configuration, and by tokens of an issuer.
pub struct Grants {
    store: Arc<dyn GrantStore>,
    configured: RwLock<Arc<ConfiguredGrants>>,
    issuer: Option<(Box<dyn Issuer>, SubjectRule)>,
    rule: TokenRule,
    local: Identity,
    /// Names of servers that callers needed a token for in this process; they need one until it ends.
    asking: RwLock<BTreeSet<String>>,
}

/// The grants of the configuration, as they are looked up.
#[derive(Debug, Default)]
struct ConfiguredGrants {
    by_token: HashMap<TokenHash, ConfiguredGrant>,
    by_subject: HashMap<String, ConfiguredGrant>,
    names: BTreeSet<String>,
}

impl ConfiguredGrants {
    fn names(&self, server: &ServerName) -> bool {
        let mut grants = self.by_token.values().chain(self.by_subject.values());
        grants.any(|grant| grant.servers.contains(server.as_str()))
    }
}

impl fmt::Debug for Grants {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Grants").field("rule", &self.rule).field("local", &self.local).finish_non_exhaustive()
    }
}

impl Grants {
    /// Knows the grants of this store alone. Callers without a token, where none is needed, are counted on `local`.
    pub fn new(store: Arc<dyn GrantStore>, rule: TokenRule, local: &str) -> Self {
        Self {
            store,
            configured: RwLock::default(),
            issuer: None,
            rule,
            local: Identity { grant: local.into(), policy: PolicyChoice::Server },
            asking: RwLock::default(),
        }
    }

    /// Adds an issuer's tokens; a token is then needed for every server.
    #[must_use]
    pub fn with_issuer(mut self, issuer: Box<dyn Issuer>, subjects: SubjectRule) -> Self {
        self.issuer = Some((issuer, subjects));
        self.rule = TokenRule::Always;
        self
    }

    /// Puts the grants of a configuration in force, for the next request, beside those of the store. Of several for one
    /// token or subject the last of the configuration counts, and the store's only if the configuration has none.
    pub fn set_configured(&self, grants: Vec<ConfiguredGrant>) {
        let mut configured = ConfiguredGrants::default();
        for grant in grants {
            configured.names.insert(grant.name.as_str().to_owned());
            match &grant.known_by {
                KnownBy::Token(token) => configured.by_token.insert(*token, grant),
                KnownBy::Subject(subject) => configured.by_subject.insert(subject.clone(), grant),
            };
        }
        *self.configured.write().unwrap_or_else(PoisonError::into_inner) = Arc::new(configured);
    }

    fn configured(&self) -> Arc<ConfiguredGrants> {
        Arc::clone(&self.configured.read().unwrap_or_else(PoisonError::into_inner))
    }

    /// Has callers of these servers need a token for as long as the process lives, whatever becomes of the grants: a
    /// configuration that loses its last grant must not open a server that was closed.
    pub fn keep_asking(&self, servers: impl IntoIterator<Item = String>) {
        self.asking.write().unwrap_or_else(PoisonError::into_inner).extend(servers);
    }

    /// Names of active grants of the store that a grant of the configuration has too, or callers without a token. The
    /// two would share sessions and counters, so the store's tokens are refused.
    ///
    /// # Errors
    /// The store cannot be used.
    pub fn doubles(&self, now: Timestamp) -> Result<Vec<GrantName>, StoreError> {
        let stored = self.store.list()?;
        let is_double = |grant: &Grant| grant.state(now) == GrantState::Active && self.is_taken(&grant.name);
        Ok(stored.into_iter().filter(is_double).map(|grant| grant.name).collect())
    }

    /// Whether the configuration, or callers without a token, already use this name of a grant of the store.
    fn is_taken(&self, name: &GrantName) -> bool {
        *self.local.grant == *name.as_str() || self.configured().names.contains(name.as_str())
    }

    fn without_token(&self, server: &ServerName) -> Result<Identity, Unauthorized> {
        let needed = match self.rule {
            TokenRule::Always => true,
            TokenRule::WhereGranted => {
                self.asking.read().unwrap_or_else(PoisonError::into_inner).contains(server.as_str())
                    || self.configured().names(server)
                    || self.is_granted_by_store(server)?
            }
        };
        if needed { Err(Unauthorized::Missing) } else { Ok(self.local.clone()) }
    }

    fn is_granted_by_store(&self, server: &ServerName) -> Result<bool, StoreError> {
        let is_granted = self.store.any_for(server.as_str())?;
        if is_granted {
            self.keep_asking([server.as_str().to_owned()]);
        }
        Ok(is_granted)
    }

    /// The issuer with its rule, and the token as text, if it can be one of the issuer's.
    fn signed<'t>(&self, token: &'t [u8]) -> Option<(&dyn Issuer, SubjectRule, &'t str)> {
        let (issuer, rule) = self.issuer.as_ref().filter(|_| looks_signed(token))?;
        std::str::from_utf8(token).ok().map(|token| (&**issuer, *rule, token))
    }

    /// The identity of a subject that an issuer knows. A grant for the subject holds in full: when it has expired or is
    /// good for other servers, the subject is refused, and not served as one without a grant.
    fn of_subject(
        &self,
        subject: &str,
        rule: SubjectRule,
        server: &ServerName,
        now: Timestamp,
    ) -> Result<Identity, Unauthorized> {
        match (self.configured().by_subject.get(subject), rule) {
            (Some(grant), _) => grant.identity(server, now),
            (None, SubjectRule::Granted) => Err(Unauthorized::NoGrant),
            (None, SubjectRule::Any) => {
                Ok(Identity { grant: format!("{JWT_GRANT_PREFIX}{subject}").into(), policy: PolicyChoice::Server })
            }
        }
    }
}

impl Identify for Grants {
    fn identify(
        &self,
        authorization: Option<&[u8]>,
        server: &ServerName,
        now: Timestamp,
    ) -> Result<Identity, Unauthorized> {
        let Some(value) = authorization else { return self.without_token(server) };
        let token = bearer(value)?;
        if let Some((issuer, rule, token)) = self.signed(token) {
            return self.of_subject(&issuer.subject(token, now)?, rule, server, now);
        }
        let hash = TokenHash::of(token);
        if let Some(grant) = self.configured().by_token.get(&hash) {
            return grant.identity(server, now);
        }
        let grant: Grant = self.store.find(&hash)?.ok_or(Unauthorized::Unknown)?;
        if self.is_taken(&grant.name) {
            return Err(Unauthorized::NameTaken);
        }
        identity(&grant.name, grant.state(now), &grant.servers, grant.policy.as_deref(), server)
    }

    fn at_once(
        &self,
        authorization: Option<&[u8]>,
        server: &ServerName,
        now: Timestamp,
    ) -> Option<Result<Identity, Unauthorized>> {
        match authorization.and_then(|value| self.signed(bearer(value).ok()?)) {
            Some((issuer, rule, token)) => {
                let subject = issuer.at_once(token, now)?;
                Some(subject.and_then(|subject| self.of_subject(&subject, rule, server, now)))
            }
            None => Some(self.identify(authorization, server, now)),
        }
    }
}

/// Whether a token has the three parts of a signed one (RFC 7515, section 3.1); the gateway's own tokens have one.
fn looks_signed(token: &[u8]) -> bool {
    token.iter().filter(|byte| **byte == b'.').count() == 2
}

#[cfg(test)]
#[path = "identity_tests.rs"]
mod tests;
