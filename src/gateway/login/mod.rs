//! Logins at servers that ask for OAuth 2.1, by the SDK: discovery, registration, PKCE, and tokens that are renewed.

mod callback;
mod device;
mod store;

use crate::gateway::said::Said;
pub use callback::LOGIN_WAIT;
use device::{ANSWER_BYTES_MAX, REQUEST_WAIT, trusted};
pub use device::{DEVICE_WAIT_MAX, DevicePrompt, INTERVAL_MAX, login_by_device};

use crate::clock;
use crate::mcp::http::{Follow, fetch, is_loopback};
use crate::mcp::target::{LiveToken, Secret, redacted};
use callback::Callback;
use rmcp::transport::auth::{
    AuthError, AuthorizationManager, AuthorizationRequest, AuthorizationSession, OAuthHttpClient,
    OAuthHttpClientFuture, OAuthHttpRedirectPolicy, OAuthHttpRequest, StoredCredentials,
};
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;
use store::LoginFile;
use url::Url;

/// A token is renewed when it is good for less than this, or for less than half of its time if that is shorter. The SDK
/// goes by the same rule.
const RENEW_BEFORE_SECONDS: u64 = 30;
/// Pause after a renewal failed.
const RENEW_PAUSE: Duration = Duration::from_secs(30);
/// Pause between two renewals, however short tokens live.
const RENEW_PAUSE_MIN: Duration = Duration::from_secs(1);

/// Tokens that are renewed already, by their file, so that a configuration that is read again starts no second thread.
static RENEWED: Mutex<BTreeMap<PathBuf, LiveToken>> = Mutex::new(BTreeMap::new());

/// Why there is no login.
#[derive(Debug, thiserror::Error)]
pub enum LoginError {
    /// The server, or who answers for it, does not do what the specification says.
    #[error("the server's login cannot be used: {0}")]
    Protocol(String),
    /// The person or the server said no.
    #[error("the login was refused: {0}")]
    Refused(String),
    /// No person came back from the browser.
    #[error("nobody logged in within {} minutes", LOGIN_WAIT.as_secs() / 60)]
    TimedOut,
    /// No person entered the code.
    #[error("nobody entered the code in time")]
    CodeExpired,
    /// The authorization server knows no device codes.
    #[error("the server's login knows no device codes")]
    NoDevices,
    /// Tokens cannot be renewed any more.
    #[error("the login at `{0}` has ended")]
    Ended(String),
    /// No port to listen on.
    #[error("cannot listen for the browser: {0}")]
    Listen(String),
    /// The file of a login cannot be used.
    #[error("cannot use the login in `{path}`: {reason}")]
    File {
        /// The file.
        path: PathBuf,
        /// A fragment.
        reason: String,
    },
}

/// How to log in.
#[derive(Clone, Debug, Default)]
pub struct LoginOptions {
    /// The client id that the server's owner has given out; else one is registered.
    pub client_id: Option<String>,
    /// Scopes to ask for; else those that the server names.
    pub scopes: Vec<String>,
}

/// Logs in at a server: `show` is given the address that a person opens in a browser. Tokens are kept in the state
/// directory.
///
/// # Errors
/// The server asks for no login, refuses it, or no person comes back from the browser.
pub fn login(state: &Path, url: &Url, options: &LoginOptions, show: &dyn Fn(&str)) -> Result<(), LoginError> {
    block_on(async {
        let mut manager = manager(state, url).await?;
        let asked = discover(&mut manager, url).await?;
        trusted(url, &asked)?;
        let callback = Callback::listen().await?;
        let mut request =
            AuthorizationRequest::new(callback.url()).with_client_name("mcpol").with_initial_scope_selection();
        if let Some(id) = &options.client_id {
            request = request.with_preregistered_client(id);
        }
        if !options.scopes.is_empty() {
            request = request.with_scopes(&options.scopes);
        }
        let session = AuthorizationSession::new(manager, request).await.map_err(|(_, error)| protocol(error))?;
        let address = session.get_authorization_url();
        let state = Url::parse(address)
            .ok()
            .and_then(|url| url.query_pairs().find(|(name, _)| name == "state").map(|(_, value)| value.into_owned()))
            .ok_or_else(|| LoginError::Protocol("its address carries no state".to_owned()))?;
        show(address);
        let answer = callback.wait(&state).await?;
        // Keeps the tokens.
        let kept = session.handle_callback_with_issuer(&answer.code, &answer.csrf_token, answer.issuer.as_deref());
        kept.await.map(drop).map_err(protocol)
    })
}

/// Forgets a login. Answers whether there was one.
///
/// # Errors
/// The file cannot be removed.
pub fn logout(state: &Path, url: &Url) -> Result<bool, LoginError> {
    LoginFile::of(state, url).remove()
}

/// The token of the login at a server, renewed first if need be and from then on for as long as this process runs;
/// nothing without a login. `notice` is told when it cannot be renewed.
///
/// # Errors
/// There is a login that cannot be used any more.
pub fn token(
    state: &Path,
    url: &Url,
    notice: impl Fn(&Said<'_>) + Send + 'static,
) -> Result<Option<LiveToken>, LoginError> {
    let file = LoginFile::of(state, url);
    let Some(kept) = file.read()? else { return Ok(None) };
    let mut renewed = RENEWED.lock().unwrap_or_else(PoisonError::into_inner);
    if let Some(live) = renewed.get(file.path()) {
        return Ok(Some(live.clone()));
    }
    let first = match good(&kept) {
        Some(token) => token,
        None => renew(state, url)?,
    };
    let live = LiveToken::new(Secret::new(first));
    renewed.insert(file.path().to_owned(), live.clone());
    let (state, url, token) = (state.to_owned(), url.clone(), live.clone());
    let keep = move || {
        keep_fresh(&state, &url, &token, &notice);
        RENEWED.lock().unwrap_or_else(PoisonError::into_inner).remove(LoginFile::of(&state, &url).path());
    };
    // Without the thread the token is good for its time; the server then says that it is over.
    let _ = std::thread::Builder::new().name("login".to_owned()).spawn(keep);
    Ok(Some(live))
}

/// Renews a token before it ends, again and again.
fn keep_fresh(state: &Path, url: &Url, token: &LiveToken, notice: &dyn Fn(&Said<'_>)) {
    let file = LoginFile::of(state, url);
    let mut told = false;
    loop {
        let Ok(Some(kept)) = file.read() else { return };
        // One that does not say when it ends is good until the server says otherwise.
        let Some(left) = left(&kept) else { return };
        std::thread::sleep(left.max(RENEW_PAUSE_MIN));
        // Another process may have renewed it, or a person logged in anew.
        let fresh = match file.read() {
            Ok(Some(kept)) => good(&kept).map_or_else(|| renew(state, url), Ok),
            Ok(None) => return,
            Err(error) => Err(error),
        };
        match fresh {
            Ok(fresh) => {
                token.set(Secret::new(fresh));
                told = false;
            }
            Err(error) => {
                if !std::mem::replace(&mut told, true) {
                    let text = format!("{error}; `mcpol login {}` logs in again", redacted(url));
                    notice(&Said::error(text));
                }
                std::thread::sleep(RENEW_PAUSE);
            }
        }
    }
}

/// A part of the server's answer about its token, as it is written on the wire (RFC 6749, section 5.1).
fn part(kept: &StoredCredentials, name: &str) -> Option<serde_json::Value> {
    serde_json::to_value(kept.token_response.as_ref()?).ok()?.get(name).cloned()
}

/// How long it is until a token has to be renewed, if it says when it ends.
fn left(kept: &StoredCredentials) -> Option<Duration> {
    let (received, lives) = (kept.token_received_at?, part(kept, "expires_in")?.as_u64()?);
    let ends = received.saturating_add(lives);
    let renew_at = ends.saturating_sub(RENEW_BEFORE_SECONDS.min(lives / 2).max(1));
    Some(Duration::from_secs(renew_at.saturating_sub(clock::now().seconds())))
}

/// The token, if it need not be renewed yet.
fn good(kept: &StoredCredentials) -> Option<String> {
    let lasts = left(kept).is_none_or(|left| !left.is_zero());
    part(kept, "access_token").filter(|_| lasts)?.as_str().map(str::to_owned)
}

/// Renews the token, one process at a time.
fn renew(state: &Path, url: &Url) -> Result<String, LoginError> {
    block_on(async {
        let ended = || LoginError::Ended(redacted(url));
        let mut manager = manager(state, url).await?;
        discover(&mut manager, url).await?;
        if !manager.initialize_from_store().await.map_err(protocol)? {
            return Err(ended());
        }
        match manager.get_access_token().await {
            Ok(token) => Ok(token),
            Err(AuthError::AuthorizationRequired) => Err(ended()),
            Err(error) => Err(protocol(error)),
        }
    })
}

async fn manager(state: &Path, url: &Url) -> Result<AuthorizationManager, LoginError> {
    // Another part of the program may have chosen already; there is one choice.
    let _ = rustls::crypto::ring::default_provider().install_default();
    // The SDK's client keeps what a server elsewhere says of logins from leading to addresses in here, and goes by the
    // proxies of the environment; for a server on this machine there is nothing to keep in, and no proxy.
    let manager = if is_loopback(url) {
        AuthorizationManager::new_with_oauth_http_client(url.clone(), Arc::new(Direct)).await
    } else {
        AuthorizationManager::new(url.clone()).await
    };
    let mut manager = manager.map_err(protocol)?;
    manager.set_credential_store(LoginFile::of(state, url));
    Ok(manager)
}

/// The program's own client, as the SDK asks for one.
struct Direct;

impl OAuthHttpClient for Direct {
    fn execute(&self, request: OAuthHttpRequest) -> OAuthHttpClientFuture<'_> {
        Box::pin(async move {
            let follow = match request.redirect_policy {
                OAuthHttpRedirectPolicy::Follow => Follow::Yes,
                _ => Follow::Shown,
            };
            let answer = fetch(request.request, follow, ANSWER_BYTES_MAX);
            match tokio::time::timeout(request.timeout.unwrap_or(REQUEST_WAIT), answer).await {
                Ok(answer) => answer.map_err(Into::into),
                Err(late) => Err(late.into()),
            }
        })
    }
}

/// Finds out who answers for the server, and answers where a person is to be sent. Secrets go to no address that others
/// could listen to.
async fn discover(manager: &mut AuthorizationManager, url: &Url) -> Result<String, LoginError> {
    let found = manager.resolve_metadata().await.map_err(protocol)?.metadata;
    trusted(url, &found.token_endpoint)?;
    found.registration_endpoint.iter().try_for_each(|endpoint| trusted(url, endpoint).map(drop))?;
    let asked = found.authorization_endpoint.clone();
    manager.set_metadata(found);
    Ok(asked)
}

fn protocol(error: AuthError) -> LoginError {
    match error {
        AuthError::AuthorizationFailed(why) => LoginError::Refused(why),
        other => LoginError::Protocol(in_short(&other.to_string())),
    }
}

/// Runs to the end on an event loop of its own.
fn block_on<T>(work: impl Future<Output = Result<T, LoginError>>) -> Result<T, LoginError> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    let runtime = runtime.map_err(|error| LoginError::Listen(crate::problem::reason(&error)))?;
    runtime.block_on(work)
}

/// What the SDK says, each of its words once, and without the page that a server sent in place of JSON.
fn in_short(text: &str) -> String {
    let lower = text.to_ascii_lowercase();
    let page = ["<!doctype", "<html"].iter().filter_map(|begin| lower.find(begin)).min();
    let mut parts: Vec<&str> = Vec::new();
    for part in text[..page.unwrap_or(text.len())].split(": ").map(|part| part.trim_end_matches([':', ' '])) {
        if !part.is_empty() && !parts.contains(&part) {
            parts.push(part);
        }
    }
    let words = parts.join(": ");
    if page.is_some() { format!("{words} (a web page where JSON is due: it may have no login)") } else { words }
}

#[cfg(test)]
mod tests {
    use super::in_short;

    #[test]
    fn a_page_in_place_of_an_answer_is_not_shown() {
        for (text, expected) in [
            (
                "Registration failed: Dynamic registration failed: Registration failed: HTTP 404 Not Found: <!DOCTYPE html><p>x",
                "Registration failed: Dynamic registration failed: HTTP 404 Not Found (a web page where JSON is due: it may have no login)",
            ),
            ("No authorization support detected", "No authorization support detected"),
            ("a: b: \u{e9}<html>", "a: b: \u{e9} (a web page where JSON is due: it may have no login)"),
        ] {
            assert_eq!(in_short(text), expected);
        }
    }
}
