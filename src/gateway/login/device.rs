//! A login without a browser on this machine (OAuth 2.0 device authorization, RFC 8628): a person enters a code elsewhere,
//! and meanwhile the authorization server is asked whether that has happened.

use super::store::LoginFile;
use super::{LoginError, LoginOptions, block_on, manager, protocol};
use crate::clock;
use crate::mcp::ConnectError;
use crate::mcp::http::{Follow, fetch, is_loopback, is_sealed};
use oauth2::basic::{BasicErrorResponse, BasicRevocationErrorResponse, BasicTokenIntrospectionResponse};
use oauth2::{
    ClientId, DeviceAuthorizationUrl, DeviceCodeErrorResponseType, HttpRequest, HttpResponse, RequestTokenError, Scope,
    StandardDeviceAuthorizationResponse, StandardRevocableToken, TokenResponse as _, TokenUrl,
};
use rmcp::transport::auth::{AuthorizationManager, AuthorizationMetadata, OAuthTokenResponse, StoredCredentials};
use serde_json::{Value, json};
use std::path::Path;
use std::time::Duration;
use url::Url;

/// How long a person may take to enter a code, whatever the server allows.
pub const DEVICE_WAIT_MAX: Duration = Duration::from_secs(30 * 60);
/// A server that wants to be asked less often than this is refused.
pub const INTERVAL_MAX: Duration = Duration::from_secs(5 * 60);
/// How often a server is asked at most, whatever it says.
const INTERVAL_MIN: Duration = Duration::from_secs(1);
/// How long one request may take.
pub(super) const REQUEST_WAIT: Duration = Duration::from_secs(30);
/// Longest answer, in bytes; tokens may carry claims.
pub(super) const ANSWER_BYTES_MAX: usize = 256 * 1024;
/// The grant's name (RFC 8628, section 3.4).
const DEVICE_GRANT: &str = "urn:ietf:params:oauth:grant-type:device_code";

type DeviceClient = oauth2::Client<
    BasicErrorResponse,
    OAuthTokenResponse,
    BasicTokenIntrospectionResponse,
    StandardRevocableToken,
    BasicRevocationErrorResponse,
>;

/// What a person needs to log in. All of it is the server's text.
#[derive(Clone, Copy, Debug)]
pub struct DevicePrompt<'p> {
    /// The address to open, on any machine.
    pub address: &'p str,
    /// The code to enter there.
    pub code: &'p str,
    /// An address that has the code in it, if the server offers one.
    pub complete: Option<&'p str>,
    /// How long the code is good.
    pub good_for: Duration,
}

/// Logs in at a server: `show` is given what a person needs. Tokens are kept as those of a login in a browser.
///
/// # Errors
/// The server knows no such logins, refuses this one, or no person enters the code in time.
pub fn login_by_device(
    state: &Path,
    url: &Url,
    options: &LoginOptions,
    show: &dyn Fn(&DevicePrompt<'_>),
) -> Result<(), LoginError> {
    block_on(async {
        let mut manager = manager(state, url).await?;
        let metadata = manager.resolve_metadata().await.map_err(protocol)?.metadata;
        let endpoint = metadata.additional_fields.get("device_authorization_endpoint").and_then(Value::as_str);
        let endpoint = trusted(url, endpoint.ok_or(LoginError::NoDevices)?)?;
        let token_endpoint = trusted(url, &metadata.token_endpoint)?;
        manager.set_metadata(metadata.clone());
        let scopes = match options.scopes.as_slice() {
            [] => manager.select_initial_scopes(&[]).await,
            chosen => chosen.to_vec(),
        };
        let id = match &options.client_id {
            Some(id) => id.clone(),
            None => register(url, &metadata, &scopes).await?,
        };
        let resource = resource(&mut manager, url, &id).await;
        let client = DeviceClient::new(ClientId::new(id.clone()))
            .set_token_uri(TokenUrl::from_url(token_endpoint))
            .set_device_authorization_url(DeviceAuthorizationUrl::from_url(endpoint));

        let request = client.exchange_device_code().add_extra_param("resource", resource.as_str());
        let request = request.add_scopes(scopes.iter().cloned().map(Scope::new));
        let details: StandardDeviceAuthorizationResponse =
            request.request_async(&send).await.map_err(|error| failed(&error, |_| None))?;
        let prompt = prompt(&details)?;
        show(&prompt);

        let polls = client.exchange_device_access_token(&details).add_extra_param("resource", resource.as_str());
        let pause = |interval: Duration| tokio::time::sleep(interval.max(INTERVAL_MIN));
        let polls = polls.request_async(&send, pause, Some(prompt.good_for));
        let told = |kind: &DeviceCodeErrorResponseType| match kind {
            DeviceCodeErrorResponseType::AccessDenied => Some(LoginError::Refused("somebody said no".to_owned())),
            DeviceCodeErrorResponseType::ExpiredToken => Some(LoginError::CodeExpired),
            DeviceCodeErrorResponseType::AuthorizationPending
            | DeviceCodeErrorResponseType::SlowDown
            | DeviceCodeErrorResponseType::Basic(_) => None,
        };
        // Whatever the pauses come to.
        let token = tokio::time::timeout(prompt.good_for + REQUEST_WAIT, polls).await;
        let token = token.unwrap_or(Err(RequestTokenError::Other("no answer in time".to_owned())));
        let token = token.map_err(|error| failed(&error, told))?;

        let granted = token.scopes().map(|scopes| scopes.iter().map(|scope| scope.to_string()).collect());
        let kept = StoredCredentials::new(id, Some(token), granted.unwrap_or(scopes), Some(clock::now().seconds()));
        LoginFile::of(state, url).write(&kept.with_issuer(metadata.issuer))
    })
}

/// What the answer asks of a person, if that can be shown.
fn prompt(details: &StandardDeviceAuthorizationResponse) -> Result<DevicePrompt<'_>, LoginError> {
    if details.interval() > INTERVAL_MAX {
        return Err(LoginError::Protocol(format!(
            "it wants to be asked every {} s only",
            details.interval().as_secs()
        )));
    }
    let address = details.verification_uri();
    if !matches!(address.url().scheme(), "https" | "http") {
        return Err(LoginError::Protocol("its address for entering the code is none of the web".to_owned()));
    }
    let complete = details.verification_uri_complete().map(|address| address.secret().as_str());
    let is_of_the_web = |address: &&str| address.starts_with("https://") || address.starts_with("http://");
    Ok(DevicePrompt {
        address,
        code: details.user_code().secret(),
        complete: complete.filter(is_of_the_web),
        good_for: details.expires_in().min(DEVICE_WAIT_MAX),
    })
}

/// An endpoint to which secrets may be sent: encrypted, or on this machine like the server itself.
pub(super) fn trusted(server: &Url, text: &str) -> Result<Url, LoginError> {
    let is_safe = |url: &Url| is_sealed(url) && (url.scheme() == "https" || is_loopback(server));
    let untrusted = || LoginError::Protocol("an address that tokens would come from is no https URL".to_owned());
    Url::parse(text).ok().filter(is_safe).ok_or_else(untrusted)
}

/// A request that got no answer.
#[derive(Debug, thiserror::Error)]
enum RequestFailed {
    #[error(transparent)]
    Http(#[from] ConnectError),
    #[error("no answer within {} s", REQUEST_WAIT.as_secs())]
    TimedOut,
}

async fn send(request: HttpRequest) -> Result<HttpResponse, RequestFailed> {
    let answer = tokio::time::timeout(REQUEST_WAIT, fetch(request, Follow::Never, ANSWER_BYTES_MAX)).await;
    let mut answer = answer.map_err(|_| RequestFailed::TimedOut)??;
    // Some say "not yet" with a status of success.
    let says_error = || serde_json::from_slice::<Value>(answer.body()).is_ok_and(|it| it.get("error").is_some());
    if answer.status().is_success() && says_error() {
        *answer.status_mut() = http::StatusCode::BAD_REQUEST;
    }
    Ok(answer)
}

/// Registers a client of this flow (RFC 7591): the SDK knows only that of the browser.
async fn register(server: &Url, metadata: &AuthorizationMetadata, scopes: &[String]) -> Result<String, LoginError> {
    let endpoint = metadata.registration_endpoint.as_deref();
    let endpoint = endpoint.ok_or_else(|| LoginError::Protocol("it registers no clients by itself".to_owned()))?;
    let mut wanted = json!({
        "client_name": "mcpol",
        "redirect_uris": [],
        "grant_types": [DEVICE_GRANT, "refresh_token"],
        "response_types": [],
        "token_endpoint_auth_method": "none",
        "application_type": "native",
    });
    if !scopes.is_empty() {
        wanted["scope"] = scopes.join(" ").into();
    }
    let not_registered = |why: String| LoginError::Protocol(format!("it registers no client: {why}"));
    let request = http::Request::post(trusted(server, endpoint)?.as_str())
        .header(http::header::CONTENT_TYPE, "application/json")
        .header(http::header::ACCEPT, "application/json")
        .body(wanted.to_string().into_bytes())
        .map_err(|error| not_registered(error.to_string()))?;
    let answer = send(request).await.map_err(|error| not_registered(error.to_string()))?;
    let text: Value = serde_json::from_slice(answer.body()).unwrap_or_default();
    match text.get("client_id").and_then(Value::as_str) {
        Some(id) if answer.status().is_success() => Ok(id.to_owned()),
        Some(_) | None => Err(not_registered(format!("the answer is {}", answer.status()))),
    }
}

/// For which server the token is to be good (RFC 8707). The SDK has found that out, and says it in the address of the other
/// flow only.
async fn resource(manager: &mut AuthorizationManager, url: &Url, client_id: &str) -> String {
    let mut address = None;
    if manager.configure_client_id(client_id).is_ok() {
        address = manager.get_authorization_url(&[]).await.ok().and_then(|address| Url::parse(&address).ok());
    }
    let named = address.iter().flat_map(Url::query_pairs).find(|(name, _)| name == "resource");
    named.map_or_else(|| url.to_string(), |(_, resource)| resource.into_owned())
}

/// What has gone wrong; `told` knows errors that have a meaning of their own. Nothing of an answer that could hold a token
/// is repeated.
fn failed<K: oauth2::ErrorResponseType + std::fmt::Display>(
    error: &RequestTokenError<RequestFailed, oauth2::StandardErrorResponse<K>>,
    told: impl Fn(&K) -> Option<LoginError>,
) -> LoginError {
    match error {
        RequestTokenError::ServerResponse(answer) => told(answer.error()).unwrap_or_else(|| {
            let why = answer.error_description().map_or_else(String::new, |text| format!(": {text}"));
            LoginError::Protocol(format!("{}{why}", answer.error()))
        }),
        RequestTokenError::Request(error) => LoginError::Protocol(error.to_string()),
        RequestTokenError::Parse(..) => LoginError::Protocol("its answer cannot be understood".to_owned()),
        RequestTokenError::Other(why) => LoginError::Protocol(why.clone()),
    }
}
