//! Where the browser comes back to after a login: a listener on loopback that takes one answer.

use super::LoginError;
use http::{Method, Request, Response, StatusCode};
use http_body_util::Full;
use hyper::body::{Bytes, Incoming};
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use rmcp::transport::auth::AuthorizationCallback;
use std::convert::Infallible;
use std::net::Ipv4Addr;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;
use tokio::net::TcpListener;
use tokio::sync::mpsc;
use url::Url;

/// The path that the browser is sent to.
const PATH: &str = "/callback";
/// How long a person may take to log in.
pub const LOGIN_WAIT: Duration = Duration::from_secs(600);

/// A listener that waits for the browser.
pub(super) struct Callback {
    listener: TcpListener,
    port: u16,
}

/// What the first answer that is meant for us says.
type CallbackAnswer = Result<AuthorizationCallback, LoginError>;

impl Callback {
    /// Listens on any free port of loopback (RFC 8252, section 7.3).
    pub(super) async fn listen() -> Result<Self, LoginError> {
        let cannot = |error: std::io::Error| LoginError::Listen(crate::problem::reason(&error));
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.map_err(cannot)?;
        let port = listener.local_addr().map_err(cannot)?.port();
        Ok(Self { listener, port })
    }

    pub(super) fn url(&self) -> String {
        format!("http://127.0.0.1:{}{PATH}", self.port)
    }

    /// Waits for the answer that carries this state; anybody on this machine may send others.
    pub(super) async fn wait(self, state: &str) -> CallbackAnswer {
        let (sender, mut receiver) = mpsc::channel(1);
        let gone = || LoginError::Listen("the listener has ended".to_owned());
        tokio::select! {
            answer = receiver.recv() => answer.unwrap_or_else(|| Err(gone())),
            () = serve(self.listener, state.into(), sender.clone()) => Err(gone()),
            () = tokio::time::sleep(LOGIN_WAIT) => Err(LoginError::TimedOut),
        }
    }
}

async fn serve(listener: TcpListener, state: Arc<str>, sender: mpsc::Sender<CallbackAnswer>) {
    while let Ok((stream, _)) = listener.accept().await {
        let (state, sender) = (Arc::clone(&state), sender.clone());
        tokio::spawn(async move {
            let found = Mutex::new(None);
            let answer = service_fn(|request: Request<Incoming>| {
                let (page, answer) = page(&request, &state);
                *found.lock().unwrap_or_else(PoisonError::into_inner) = answer;
                std::future::ready(Ok::<_, Infallible>(page))
            });
            let connection = hyper::server::conn::http1::Builder::new()
                .keep_alive(false)
                .serve_connection(TokioIo::new(stream), answer);
            // A browser that goes away early is its own affair.
            let _ = connection.await;
            // Only now, so that the page is there before the program ends.
            if let Some(answer) = found.into_inner().unwrap_or_else(PoisonError::into_inner) {
                // A second answer is one too many.
                let _ = sender.try_send(answer);
            }
        });
    }
}

fn page(request: &Request<Incoming>, state: &str) -> (Response<Full<Bytes>>, Option<CallbackAnswer>) {
    let say = |status: StatusCode, text: &'static str| {
        let mut response = Response::new(Full::new(Bytes::from_static(text.as_bytes())));
        *response.status_mut() = status;
        response.headers_mut().insert("content-type", http::HeaderValue::from_static("text/plain; charset=utf-8"));
        response
    };
    if request.method() != Method::GET || request.uri().path() != PATH {
        return (say(StatusCode::NOT_FOUND, "not found\n"), None);
    }
    let Ok(url) = Url::parse(&format!("http://127.0.0.1{}", request.uri())) else {
        return (say(StatusCode::BAD_REQUEST, "not understood\n"), None);
    };
    let value = |name: &str| url.query_pairs().find(|(known, _)| known == name).map(|(_, value)| value.into_owned());
    if value("state").as_deref() != Some(state) {
        return (say(StatusCode::BAD_REQUEST, "this is not the login that mcpol waits for\n"), None);
    }
    if let Some(error) = value("error") {
        let why = value("error_description").map_or_else(String::new, |text| format!(": {text}"));
        let refused = LoginError::Refused(format!("{error}{why}"));
        return (say(StatusCode::OK, "The login was refused; mcpol says more.\n"), Some(Err(refused)));
    }
    match AuthorizationCallback::from_redirect_url(url.as_str()) {
        Ok(callback) => (say(StatusCode::OK, "mcpol has its answer. You can close this window.\n"), Some(Ok(callback))),
        Err(_) => (say(StatusCode::BAD_REQUEST, "the answer holds no code\n"), None),
    }
}
