//! From arguments to servers to ask: a URL or a command typed here, with what is handed to it on purpose.

use super::super::{Failure, login};
use super::live::Job;
use crate::cli::TargetArgs;
use crate::mcp::target::{HttpTarget, Secret, StdioTarget, Target, shown_address};
use crate::model::{Package, ServerName};
use std::collections::BTreeMap;
use std::path::Path;

/// The servers that the command line itself names.
///
/// # Errors
/// A URL that is none, or an environment variable that is not set.
pub(super) fn typed(args: &TargetArgs) -> Result<Vec<Job>, Failure> {
    if args.command.first().is_some_and(String::is_empty) {
        return Err(Failure::usage("the command after `--` is empty"));
    }
    let nameless = args.name.is_some() && args.url.is_none() && args.command.is_empty();
    if nameless || (!args.env.is_empty() && args.command.is_empty()) {
        let option = if nameless { "--name" } else { "--env" };
        let whose = if nameless { "a URL or a command" } else { "a command" };
        return Err(Failure::usage(format!("{option} is for {whose}, and none is given"))
            .with_help("a command stands after `--`; servers of a configuration have names and variables there"));
    }
    let mut jobs = Vec::new();
    if let Some(text) = &args.url {
        jobs.push(Job::new(Target::Http(http(text, args)?)));
    }
    if !args.command.is_empty() {
        let name = args.name.clone().map_or_else(|| name_of_command(&args.command), ServerName::new);
        let mut target = StdioTarget::new(name, args.command.clone());
        target.env = environment(&args.env)?;
        jobs.push(Job::new(Target::Stdio(target)));
    }
    Ok(jobs)
}

/// What the server that the command line names is called; `None` where it names none.
///
/// # Errors
/// A URL without a host.
pub(in crate::commands) fn server_name(args: &TargetArgs) -> Result<Option<ServerName>, Failure> {
    Ok(match (&args.name, &args.url) {
        (Some(name), _) => Some(ServerName::new(name)),
        (None, Some(url)) => Some(name_of_url(url)?),
        (None, None) if args.command.is_empty() => None,
        (None, None) => Some(name_of_command(&args.command)),
    })
}

/// What the server of a URL is called: after its host.
///
/// # Errors
/// It is no http or https URL.
pub(in crate::commands) fn name_of_url(text: &str) -> Result<ServerName, Failure> {
    let url = url::Url::parse(text).ok().filter(|url| matches!(url.scheme(), "http" | "https"));
    match url.as_ref().and_then(url::Url::host_str) {
        Some(host) => Ok(ServerName::new(host)),
        None => Err(Failure::usage(format!("`{}` is not an http or https URL", shown_address(text)))
            .with_help("a server is a URL such as `https://mcp.example.com/mcp`; a command stands after `--`")),
    }
}

fn http(text: &str, args: &TargetArgs) -> Result<HttpTarget, Failure> {
    let host = || url::Url::parse(text).ok().and_then(|url| url.host_str().map(str::to_owned));
    let name = ServerName::new(args.name.clone().or_else(host).unwrap_or_default());
    let handed =
        HandedHeaders { headers: &args.header, from_env: &args.header_env, bearer_env: args.bearer_env.as_deref() };
    http_target(text, name, &handed)
}

/// The headers that are handed to a URL on purpose.
pub(in crate::commands) struct HandedHeaders<'a> {
    /// `Name: value`.
    pub headers: &'a [String],
    /// Names, with the variables of our environment that hold the values.
    pub from_env: &'a [(String, String)],
    /// The variable that holds a bearer token.
    pub bearer_env: Option<&'a str>,
}

/// A server behind a URL, with what is handed to it on purpose.
///
/// # Errors
/// A URL that is none, or an environment variable that is not set.
pub(in crate::commands) fn http_target(
    text: &str,
    server: ServerName,
    handed: &HandedHeaders<'_>,
) -> Result<HttpTarget, Failure> {
    let url = url::Url::parse(text).ok().filter(|url| matches!(url.scheme(), "http" | "https") && url.has_host());
    let Some(url) = url else {
        let help = if Path::new(text).exists() {
            format!(
                "to read a saved tool list: `--tools {text}`; a client's configuration: `--config {text}`; to run it: `-- {text}`"
            )
        } else {
            "a server is a URL such as `https://mcp.example.com/mcp`; a command stands after `--`".to_owned()
        };
        return Err(Failure::usage(format!("`{}` is not an http or https URL", shown_address(text))).with_help(help));
    };
    let mut headers = BTreeMap::new();
    let twice = |headers: &BTreeMap<String, Secret>, name: &str| {
        // Names of headers have no case (RFC 9110, section 5.1).
        headers.keys().any(|known| known.eq_ignore_ascii_case(name)).then(|| {
            Failure::usage(format!("the header `{name}` is given twice"))
                .with_help("give it once; several values stand in one header, with commas between them")
        })
    };
    for header in handed.headers {
        if let Some((name, value)) = header.split_once(':') {
            if let Some(failure) = twice(&headers, name.trim()) {
                return Err(failure);
            }
            headers.insert(name.trim().to_owned(), Secret::new(value.trim()));
        }
    }
    let of_env = |variable: &str, option: &str| {
        let value = std::env::var(variable).ok().filter(|value| !value.trim().is_empty());
        value.ok_or_else(|| {
            Failure::usage(format!("the environment variable `{variable}` of {option} is not set"))
                .with_help(format!("set it first, for example `read -rs {variable} && export {variable}`"))
        })
    };
    for (name, variable) in handed.from_env {
        let value = of_env(variable, "--header-env")?;
        if let Some(failure) = twice(&headers, name) {
            return Err(failure);
        }
        if value.contains(char::is_control) {
            return Err(Failure::usage(format!("the value in `{variable}` of --header-env holds a control character")));
        }
        headers.insert(name.clone(), Secret::new(value.trim()));
    }
    if let Some(variable) = handed.bearer_env {
        let token = of_env(variable, "--bearer-env")?;
        if let Some(failure) = twice(&headers, "Authorization") {
            return Err(failure.with_help("`--bearer-env` makes this header: give one of the two"));
        }
        headers.insert("Authorization".to_owned(), Secret::new(format!("Bearer {}", token.trim())));
    }
    let mut target = HttpTarget { server, url, headers, token: None, forward_headers: Vec::new() };
    login::attach(&mut target)?;
    Ok(target)
}

/// `NAME` is taken from our environment, `NAME=VALUE` is what it says. Every name that is missing is told at once.
fn environment(given: &[String]) -> Result<BTreeMap<String, Secret>, Failure> {
    let (mut all, mut missing) = (BTreeMap::new(), Vec::new());
    for entry in given {
        match entry.split_once('=') {
            Some((name, value)) => {
                all.insert(name.to_owned(), Secret::new(value));
            }
            None => match std::env::var(entry) {
                Ok(value) => {
                    all.insert(entry.clone(), Secret::new(value));
                }
                Err(_) => missing.push(format!("`{entry}`")),
            },
        }
    }
    if missing.is_empty() {
        return Ok(all);
    }
    let (what, verb, it, values) =
        if missing.len() == 1 { ("variable", "is", "it", "value") } else { ("variables", "are", "them", "values") };
    Err(Failure::usage(format!("environment {what} {} of --env {verb} not set here", missing.join(", ")))
        .with_help(format!("export {it}, or give the {values} as `--env NAME=VALUE`")))
}

/// What a command's server is called: after its package, else after the script or program that is run.
pub(in crate::commands) fn name_of_command(argv: &[String]) -> ServerName {
    if let [program, word] = argv
        && (stem(program), word.as_str()) == ("mcpol", "sample-server")
    {
        return ServerName::new(crate::sample::NAME);
    }
    const INTERPRETERS: [&str; 10] = ["node", "python", "python3", "deno", "bun", "ruby", "java", "sh", "bash", "env"];
    if let Some(package) = Package::of_command(argv) {
        // `@playwright/mcp` says more in its scope than in its name.
        let name = package.name.trim_start_matches('@');
        return ServerName::new(match name.rsplit_once('/') {
            Some((scope, name @ ("mcp" | "server" | "mcp-server"))) => format!("{}-{name}", stem(scope)),
            Some((_, name)) => name.to_owned(),
            None => name.to_owned(),
        });
    }
    let program = stem(argv.first().map_or("", String::as_str));
    // What follows `-c` or `-e` is a program, not the name of one.
    let inline = |argument: &&String| matches!(argument.as_str(), "-c" | "-e" | "-lc" | "-p" | "--eval" | "--print");
    let script = argv.iter().skip(1).find(|argument| !argument.starts_with('-'));
    let script = script.filter(|_| !argv.iter().skip(1).take_while(|it| it.starts_with('-')).any(|it| inline(&it)));
    match script {
        Some(script) if INTERPRETERS.contains(&program) => ServerName::new(stem(script)),
        _ => ServerName::new(program),
    }
}

fn stem(path: &str) -> &str {
    Path::new(path).file_stem().and_then(|stem| stem.to_str()).unwrap_or(path)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn commands_are_called_after_their_package_or_script() {
        let check = |command: &str, expected: &str| {
            let argv: Vec<_> = command.split(' ').map(str::to_owned).collect();
            assert_eq!(name_of_command(&argv).as_str(), expected, "{command}");
        };
        check("npx -y @modelcontextprotocol/server-everything@2026.8.31 stdio", "server-everything");
        check("npx -y @playwright/mcp@0.0.83", "playwright-mcp");
        check("uvx mcp-server-time", "mcp-server-time");
        check("node --inspect build/server.js", "server");
        check("./target/debug/thing --flag", "thing");
        check("python3 -u", "python3");
        check("python3 -m some_server --port 1", "some_server");
        check("sh -c TOKEN=abc;server", "sh");
        check("node -e code --flag", "node");
        check("/usr/bin/mcpol sample-server", "sample");
    }
}
