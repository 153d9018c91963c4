//! `mcpol login` and `mcpol logout`: tokens of servers that ask for OAuth, and their use by other commands.

use super::{Failure, output, state};
use crate::cli::{LoginArgs, LoginServer, LogoutArgs};
use crate::exit::Exit;
use crate::gateway::config::{self, BadConfig};
use crate::gateway::login::{self, DevicePrompt, LoginError, LoginOptions};
use crate::gateway::plan::{Backend, Plan};
use crate::gateway::said::Said;
use crate::mcp::target::{HttpTarget, redacted};
use crate::model::ServerName;
use crate::text::escape;
use std::time::Duration;
use url::Url;

pub(super) fn run(args: LoginArgs) -> Result<Exit, Failure> {
    let url = address(&args.server)?;
    let folder = state::folder("MCPOL_STATE_DIR")?;
    let options = LoginOptions { client_id: args.client_id, scopes: args.scope };
    let logged_in = if args.device {
        login::login_by_device(&folder, &url, &options, &show_code)
    } else {
        let show = |address: &str| {
            output::people(&format!(
                "Open this address in a browser on this machine, and log in there:\n\n  {}\n\n",
                escape(address)
            ));
        };
        login::login(&folder, &url, &options, &show)
    };
    logged_in.map_err(|error| failed(&error, &url))?;
    output::people(&format!(
        "Logged in at {}. `mcpol scan` and `mcpol enforce --upstream` use it from now on.\n",
        redacted(&url)
    ));
    Ok(Exit::Clean)
}

/// Tells what to do in a browser elsewhere.
fn show_code(prompt: &DevicePrompt<'_>) {
    let mut text = format!(
        "Open this address in a browser on any machine, and enter the code there:\n\n  {}\n\n  {}\n\n",
        escape(prompt.address),
        escape(prompt.code)
    );
    if let Some(address) = prompt.complete {
        text.push_str(&format!("Or this one, which has the code in it:\n\n  {}\n\n", escape(address)));
    }
    text.push_str(&format!("The code is good for {}.\n", length(prompt.good_for)));
    output::people(&text);
}

fn length(time: Duration) -> String {
    match time.as_secs() {
        seconds @ 0..120 => format!("{seconds} seconds"),
        seconds => format!("{} minutes", seconds / 60),
    }
}

pub(super) fn forget(args: &LogoutArgs) -> Result<Exit, Failure> {
    let url = address(&args.server)?;
    let known = login::logout(&state::folder("MCPOL_STATE_DIR")?, &url).map_err(|error| failed(&error, &url))?;
    let url = redacted(&url);
    output::people(&if known {
        format!("The login at {url} is forgotten here. Its owner may still list it: take it back there as well.\n")
    } else {
        format!("There is no login at {url}.\n")
    });
    Ok(Exit::Clean)
}

/// Gives a target the token of the login at its server, unless it brings credentials of its own.
pub(super) fn attach(target: &mut HttpTarget) -> Result<(), Failure> {
    if target.headers.keys().any(|name| name.eq_ignore_ascii_case("authorization")) {
        return Ok(());
    }
    // Without a home there are no logins.
    let Ok(folder) = state::folder("MCPOL_STATE_DIR") else { return Ok(()) };
    target.token =
        login::token(&folder, &target.url, super::voice::say).map_err(|error| failed(&error, &target.url))?;
    Ok(())
}

/// The same for all servers of a plan. One whose login has ended does not keep the others from being served.
pub(super) fn attach_all(plan: &mut Plan) {
    for (name, served) in &mut plan.servers {
        if let Backend::Http(target) = &mut served.backend
            && let Err(failure) = attach(target)
        {
            let help = failure.help.map_or_else(String::new, |help| format!("; {help}"));
            super::voice::say(&Said::error(format!("{}{help}", failure.message)).of(name.as_str()));
        }
    }
}

/// The URL that is meant.
fn address(server: &LoginServer) -> Result<Url, Failure> {
    let text = &server.server;
    if let Some(url) = Url::parse(text).ok().filter(|url| matches!(url.scheme(), "http" | "https") && url.has_host()) {
        return Ok(url);
    }
    let unknown = |what: String| {
        Failure::usage(what).with_help("name a URL such as `https://mcp.example.com/mcp`, or a server of mcpol.toml")
    };
    if !server.config.exists() {
        return Err(unknown(format!(
            "`{}` is no URL, and there is no `{}` that could name a server",
            escape(text),
            server.config.display()
        )));
    }
    let environment = |name: &str| std::env::var(name).ok();
    let checked = config::load(&server.config, &environment);
    let config = checked.map_err(bad_config)?.config;
    match config.plan.servers.get(&ServerName::new(text)).map(|served| &served.backend) {
        Some(Backend::Http(target)) => Ok(target.url.clone()),
        Some(Backend::Stdio(_)) => Err(unknown(format!("the server `{}` is a command", escape(text)))),
        None => Err(unknown(format!("`{}` names no server `{}`", server.config.display(), escape(text)))),
    }
}

fn bad_config(error: BadConfig) -> Failure {
    let failure = Failure::usage(error.to_string());
    match error {
        BadConfig::Unreadable { .. } => failure,
        BadConfig::Invalid { problems, .. } => failure.with_problems(problems),
    }
}

fn failed(error: &LoginError, url: &Url) -> Failure {
    let failure = Failure::usage(error.to_string());
    match error {
        LoginError::Ended(_) => failure.with_help(format!("log in again: `mcpol login {}`", redacted(url))),
        LoginError::Protocol(_) => failure.with_exit(Exit::Unreachable).with_help(
            "give a token with --bearer-env, or a client id of the server's owner with `mcpol login --client-id`",
        ),
        LoginError::Refused(_) | LoginError::TimedOut | LoginError::CodeExpired => failure.with_exit(Exit::Unreachable),
        LoginError::NoDevices => failure.with_exit(Exit::Unreachable).with_help(
            "leave out --device, and log in with a browser on this machine; or give a token with --bearer-env",
        ),
        LoginError::Listen(_) => failure,
        LoginError::File { .. } => failure.with_help("`mcpol logout` removes it; then log in again"),
    }
}
