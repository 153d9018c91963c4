//! Connections to Redis: made when they are needed, bounded in time, and made again by themselves.

use super::address::{Encryption, RedisAddress};
use crate::clock::Timestamp;
use crate::policy::StoreError;
use redis::{
    Client, ClientTlsConfig, Connection, ConnectionAddr, ErrorKind, FromRedisValue, IntoConnectionInfo as _,
    RedisConnectionInfo, RedisError, ScriptInvocation, ServerErrorKind, TlsCertificates,
};
use rustls::CertificateError;
use std::error::Error;
use std::fmt;
use std::io::Read as _;
use std::path::Path;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

/// How long Redis may take to be connected to, and how long to answer, before the call is denied.
pub const REDIS_TIMEOUT: Duration = Duration::from_millis(1000);
/// A Redis that could not be reached is not tried again for this long.
const PAUSE: Duration = Duration::from_millis(100);
/// Connections kept while nobody uses them.
const IDLE_MAX: usize = 32;
/// Longest file of certificates that is read, in bytes: the authorities of a whole system are shorter.
const PEM_BYTES_MAX: u64 = 4 << 20;

/// Whether a script may be sent once more when a connection that was kept turns out to be dead. It may have run the
/// first time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Repeat {
    /// Running it twice errs on the strict side at most.
    Safe,
    /// Running it twice would not.
    Never,
}

/// The connections of one store.
pub(super) struct RedisPool {
    address: RedisAddress,
    idle: Mutex<Vec<Connection>>,
    health: Mutex<Health>,
}

/// What is known of the server.
#[derive(Clone, Debug)]
enum Health {
    /// Nothing bad.
    Up,
    /// It could not be used. One caller at a time tries again; the others are told at once and do not queue up.
    Down { error: StoreError, since: Instant, probing: bool },
}

impl fmt::Debug for RedisPool {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RedisPool").field("address", &self.address).finish_non_exhaustive()
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    // What is behind the locks here is whole between any two statements.
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl RedisPool {
    pub(super) fn new(address: RedisAddress) -> Self {
        Self { address, idle: Mutex::default(), health: Mutex::new(Health::Up) }
    }

    pub(super) fn address(&self) -> &RedisAddress {
        &self.address
    }

    /// Runs a script to its end.
    pub(super) fn run<T: FromRedisValue>(
        &self,
        repeat: Repeat,
        script: &ScriptInvocation<'_>,
    ) -> Result<T, StoreError> {
        self.with(repeat, |connection| script.invoke(connection))
    }

    /// Runs one command or script on a connection of its own.
    pub(super) fn with<T>(
        &self,
        repeat: Repeat,
        work: impl Fn(&mut Connection) -> Result<T, RedisError>,
    ) -> Result<T, StoreError> {
        let kept = lock(&self.idle).pop();
        if let Some(mut connection) = kept {
            match work(&mut connection) {
                Err(error) if is_dead(&error) => {
                    // The others were made before it and are dead as well, or soon will be.
                    lock(&self.idle).clear();
                    if error.is_timeout() || repeat == Repeat::Never {
                        return Err(self.broken(&error));
                    }
                }
                answer => return self.answered(connection, answer),
            }
        }
        let mut connection = self.connect()?;
        let answer = work(&mut connection);
        self.answered(connection, answer)
    }

    fn answered<T>(&self, connection: Connection, answer: Result<T, RedisError>) -> Result<T, StoreError> {
        match answer {
            Ok(value) => {
                self.keep(connection);
                Ok(value)
            }
            // An answer that is late would be taken for that of the next command.
            Err(error) if is_dead(&error) => Err(self.broken(&error)),
            Err(error) => {
                self.keep(connection);
                Err(self.explain(&error))
            }
        }
    }

    fn keep(&self, connection: Connection) {
        let mut idle = lock(&self.idle);
        if idle.len() < IDLE_MAX {
            idle.push(connection);
        }
    }

    fn connect(&self) -> Result<Connection, StoreError> {
        if let Health::Down { error, since, probing } = &mut *lock(&self.health) {
            if *probing || since.elapsed() < PAUSE {
                return Err(error.clone());
            }
            *probing = true;
        }
        match open(&self.address) {
            Ok(connection) => {
                *lock(&self.health) = Health::Up;
                Ok(connection)
            }
            Err(ConnectionRefused::Broken(error)) => Err(self.broken(&error)),
            Err(ConnectionRefused::BadFile(why)) => {
                let address = &self.address;
                Err(self.down(StoreError::Unavailable(format!("`{address}`: {why}"))))
            }
            Err(ConnectionRefused::Forgetful(policy)) => {
                let address = &self.address;
                Err(self.down(StoreError::Unavailable(format!(
                    "`{address}` drops keys when its memory is full (`maxmemory-policy {policy}`), so no limit would \
                     hold; set `maxmemory-policy noeviction`"
                ))))
            }
        }
    }

    fn broken(&self, error: &RedisError) -> StoreError {
        self.down(self.explain(error))
    }

    fn down(&self, error: StoreError) -> StoreError {
        *lock(&self.health) = Health::Down { error: error.clone(), since: Instant::now(), probing: false };
        error
    }

    fn explain(&self, error: &RedisError) -> StoreError {
        let address = &self.address;
        let unavailable = |what: &str| StoreError::Unavailable(format!("`{address}` {what}"));
        match (error.code(), error.kind()) {
            (Some("MCPOLDAMAGED"), _) => {
                let key = error.detail().unwrap_or_default();
                StoreError::Damaged(format!("`{address}`: the key `{key}` cannot be read; delete it to start anew"))
            }
            (Some("MCPOLJUMPED"), _) => {
                let times = error.detail().unwrap_or_default().split_once(' ');
                let time = |text: &str| Timestamp::from_millis(text.parse().unwrap_or_default());
                let (latest, now) = times.map_or((time(""), time("")), |(latest, now)| (time(latest), time(now)));
                StoreError::jumped(latest, now)
            }
            (Some("WRONGTYPE"), _) => StoreError::Damaged(format!("`{address}`: a key of ours holds something else")),
            (_, ErrorKind::UnexpectedReturnType | ErrorKind::Parse) => {
                StoreError::Damaged(format!("`{address}` answered something else than was asked"))
            }
            (_, ErrorKind::Server(ServerErrorKind::Moved | ServerErrorKind::Ask | ServerErrorKind::ClusterDown)) => {
                unavailable(
                    "is a node of a cluster that does not hold the keys of mcpol; name the node that holds the slot of \
                 `{mcpol}`",
                )
            }
            (_, ErrorKind::AuthenticationFailed) => unavailable("does not take this user and password"),
            _ if error.is_timeout() => unavailable(&format!("did not answer within {} s", REDIS_TIMEOUT.as_secs_f32())),
            _ if error.is_connection_refusal() => unavailable("cannot be reached: connection refused"),
            _ if let Some(why) = untrusted(error) => unavailable(&why),
            _ => StoreError::Unavailable(format!("`{address}`: {error}")),
        }
    }
}

/// Whether the connection cannot be used any more. After an answer to something else, nobody knows what the next one is
/// an answer to.
fn is_dead(error: &RedisError) -> bool {
    let is_foreign = matches!(error.kind(), ErrorKind::UnexpectedReturnType | ErrorKind::Parse);
    is_foreign || error.is_io_error() || error.is_unrecoverable_error() || error.is_timeout()
}

/// Why a connection is of no use.
enum ConnectionRefused {
    /// It could not be made.
    Broken(RedisError),
    /// A file that it needs is of no use.
    BadFile(String),
    /// The server throws keys away to make room, by this policy.
    Forgetful(String),
}

impl From<RedisError> for ConnectionRefused {
    fn from(error: RedisError) -> Self {
        Self::Broken(error)
    }
}

fn open(address: &RedisAddress) -> Result<Connection, ConnectionRefused> {
    let host = address.host.clone();
    let place = match address.encryption {
        Encryption::Plain => ConnectionAddr::Tcp(host, address.port),
        Encryption::Tls => {
            // Another part of the program may have chosen already; there is one choice.
            let _ = rustls::crypto::ring::default_provider().install_default();
            ConnectionAddr::TcpTls { host, port: address.port, insecure: false, tls_params: None }
        }
    };
    let mut settings = RedisConnectionInfo::default().set_db(address.database);
    if let Some(user) = &address.user {
        settings = settings.set_username(user);
    }
    if let Some(password) = &address.password {
        settings = settings.set_password(password.reveal());
    }
    let place = place.into_connection_info()?.set_redis_settings(settings);
    let client = match address.encryption {
        Encryption::Plain => Client::open(place)?,
        Encryption::Tls => Client::build_with_tls(place, certificates(address)?)
            .map_err(|error| ConnectionRefused::BadFile(format!("its certificates cannot be used: {error}")))?,
    };
    let mut connection = client.get_connection_with_timeout(REDIS_TIMEOUT)?;
    connection.set_read_timeout(Some(REDIS_TIMEOUT))?;
    connection.set_write_timeout(Some(REDIS_TIMEOUT))?;
    match redis::cmd("INFO").arg("memory").query::<String>(&mut connection) {
        Ok(info) => forgetful(&info).map_or(Ok(connection), |policy| Err(ConnectionRefused::Forgetful(policy))),
        Err(error) if is_dead(&error) => Err(error.into()),
        // A server that does not let us look: whoever runs it must know.
        Err(_) => Ok(connection),
    }
}

/// The certificates that the address names.
fn certificates(address: &RedisAddress) -> Result<TlsCertificates, ConnectionRefused> {
    let client_tls = match &address.files.own {
        Some((certificate, key)) => Some(ClientTlsConfig { client_cert: pem(certificate)?, client_key: pem(key)? }),
        None => None,
    };
    Ok(TlsCertificates { client_tls, root_cert: address.files.authorities.as_deref().map(pem).transpose()? })
}

fn pem(path: &Path) -> Result<Vec<u8>, ConnectionRefused> {
    let mut text = Vec::new();
    let read = std::fs::File::open(path).and_then(|file| file.take(PEM_BYTES_MAX).read_to_end(&mut text));
    let bad = |why: &str| ConnectionRefused::BadFile(format!("cannot use `{}`: {why}", path.display()));
    read.map_err(|error| bad(&crate::problem::reason(&error)))?;
    // A file without any would be an empty list, and trusting nobody says less about why.
    if memchr::memmem::find(&text, b"-----BEGIN ").is_none() { Err(bad("it is no PEM file")) } else { Ok(text) }
}

/// Why a certificate is not trusted, if that is what has gone wrong.
fn untrusted(error: &RedisError) -> Option<String> {
    let cause = error.source()?.downcast_ref::<Arc<dyn Error + Send + Sync>>()?;
    let cause = cause.downcast_ref::<std::io::Error>()?.get_ref()?.downcast_ref::<rustls::Error>()?;
    let why = match cause {
        rustls::Error::InvalidCertificate(why) => match why {
            // A trusted authority that only has the same name is not the one that has signed.
            CertificateError::UnknownIssuer
            | CertificateError::BadSignature
            | CertificateError::UnsupportedSignatureAlgorithmContext { .. }
            | CertificateError::UnsupportedSignatureAlgorithmForPublicKeyContext { .. } => {
                "shows a certificate of an authority that is not trusted; `?ca=FILE` in the URL names one that is"
            }
            CertificateError::NotValidForName | CertificateError::NotValidForNameContext { .. } => {
                "shows a certificate for another host"
            }
            CertificateError::Expired | CertificateError::ExpiredContext { .. } => {
                "shows a certificate that has expired"
            }
            other => return Some(format!("shows a certificate that is not good: {other}")),
        },
        rustls::Error::AlertReceived(alert) => {
            return Some(format!(
                "refuses the connection (`{alert:?}`); if it asks who connects, `?cert=FILE&key=FILE` in the URL say so"
            ));
        }
        other => return Some(format!("cannot be talked to: {other}")),
    };
    Some(why.to_owned())
}

/// How the server makes room, if it has a bound and makes room by dropping keys.
fn forgetful(info: &str) -> Option<String> {
    let value = |name: &str| info.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(':')).map(str::trim);
    let bounded = value("maxmemory").is_some_and(|bytes| bytes != "0");
    value("maxmemory_policy").filter(|policy| bounded && *policy != "noeviction").map(str::to_owned)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_server_that_drops_keys_is_known_by_what_it_says() {
        for (info, expected) in [
            ("", None),
            ("maxmemory:0\r\nmaxmemory_policy:allkeys-lru\r\n", None),
            ("maxmemory:100\r\nmaxmemory_policy:noeviction\r\n", None),
            (
                "# Memory\r\nmaxmemory:100\r\nmaxmemory_human:100B\r\nmaxmemory_policy:volatile-ttl\r\n",
                Some("volatile-ttl"),
            ),
            ("maxmemory:100\r\nmaxmemory_policy:allkeys-lru\r\n", Some("allkeys-lru")),
        ] {
            assert_eq!(forgetful(info).as_deref(), expected, "{info:?}");
        }
    }
}
