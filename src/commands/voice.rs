//! What the gateway says to its operator: lines on standard error, escaped, never waited for, in the form that was asked
//! for.
//!
//! A client may start us with a pipe for standard error that it never reads. A full pipe must cost a line, not the
//! session.

use crate::cli::LogFormat;
use crate::clock;
use crate::clock::Timestamp;
use crate::gateway::said::{Level, Said, Speaker};
use crate::policy::utc;
use crate::text::escape;
use serde::Serialize;
use std::io::{self, Write as _};
use std::sync::OnceLock;

static FORMAT: OnceLock<LogFormat> = OnceLock::new();

/// Says everything from now on in this form; the first that is asked for holds.
pub fn set(format: LogFormat) {
    FORMAT.get_or_init(|| format);
}

/// Says something to the operator.
pub fn say(said: &Said<'_>) {
    let format = FORMAT.get().copied().unwrap_or(LogFormat::Plain);
    write(&in_form(format, said, clock::now()));
}

#[derive(Serialize)]
struct JsonLine<'a> {
    time: String,
    level: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    server: Option<&'a str>,
    from: &'static str,
    message: String,
}

/// Lines in a form, each with its line break.
fn in_form(format: LogFormat, said: &Said<'_>, now: Timestamp) -> String {
    let server = said.server.as_deref().map(escape);
    let lines = || said.text.split('\n').map(escape);
    let prefix = server.as_deref().map_or_else(String::new, |server| format!("{server}: "));
    match format {
        LogFormat::Plain => {
            let begin = match (said.speaker, said.level) {
                (Speaker::Server, _) => "server: ".to_owned(),
                (Speaker::Gateway, Level::Info) => format!("mcpol: {prefix}"),
                (Speaker::Gateway, level) => format!("mcpol: {}: {prefix}", level.as_str()),
            };
            // What follows belongs to the first line, and is indented.
            let rest = match said.speaker {
                Speaker::Server => "server: ",
                Speaker::Gateway => "mcpol: ",
            };
            let begins = std::iter::once(&*begin).chain(std::iter::repeat(rest));
            begins.zip(lines()).map(|(begin, line)| format!("{begin}{line}\n")).collect()
        }
        LogFormat::Text => {
            let begin = format!("{} {:<7} {prefix}", moment(now), said.level.as_str());
            lines().map(|line| format!("{begin}{line}\n")).collect()
        }
        LogFormat::Json => {
            let speaker = match said.speaker {
                Speaker::Gateway => "mcpol",
                Speaker::Server => "server",
            };
            let message = lines().collect::<Vec<_>>().join("\n");
            let line = JsonLine {
                time: moment(now),
                level: said.level.as_str(),
                server: server.as_deref(),
                from: speaker,
                message,
            };
            // A line of texts is always JSON.
            serde_json::to_string(&line).unwrap_or_default() + "\n"
        }
    }
}

/// A time as `2026-11-23T02:15:05.120Z`.
fn moment(now: Timestamp) -> String {
    format!("{}.{:03}Z", utc(now).trim_end_matches('Z'), now.millis() % 1000)
}

fn write(text: &str) {
    if is_ready() {
        // A stderr that is gone cannot be told about it.
        let _ = io::stderr().lock().write_all(text.as_bytes());
    }
}

#[cfg(unix)]
fn is_ready() -> bool {
    use rustix::event::{PollFd, PollFlags, Timespec, poll};
    let stderr = io::stderr();
    let mut watched = [PollFd::new(&stderr, PollFlags::OUT)];
    poll(&mut watched, Some(&Timespec { tv_sec: 0, tv_nsec: 0 })).map_or(true, |ready| ready > 0)
}

#[cfg(not(unix))]
fn is_ready() -> bool {
    true
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_has_its_time_level_and_server_in_every_form_and_nothing_that_steers_a_terminal() {
        let now = Timestamp::from_millis(1_700_000_000_042);
        let said = Said::warning("a\u{1b}[31m\nb").of("files");
        for (format, expected) in [
            (LogFormat::Plain, "mcpol: warning: files: a\\u{1b}[31m\nmcpol: b\n"),
            (
                LogFormat::Text,
                "2023-11-14T22:13:20.042Z warning files: a\\u{1b}[31m\n2023-11-14T22:13:20.042Z warning files: b\n",
            ),
            (
                LogFormat::Json,
                "{\"time\":\"2023-11-14T22:13:20.042Z\",\"level\":\"warning\",\"server\":\"files\",\"from\":\"mcpol\",\
                 \"message\":\"a\\\\u{1b}[31m\\nb\"}\n",
            ),
        ] {
            assert_eq!(in_form(format, &said, now), expected);
        }
        let line = Said::by_server("files", "ready");
        for (format, expected) in [
            (LogFormat::Plain, "server: ready\n"),
            (LogFormat::Text, "2023-11-14T22:13:20.042Z info    files: ready\n"),
            (
                LogFormat::Json,
                "{\"time\":\"2023-11-14T22:13:20.042Z\",\"level\":\"info\",\"server\":\"files\",\"from\":\"server\",\"message\":\"ready\"}\n",
            ),
        ] {
            assert_eq!(in_form(format, &line, now), expected);
        }
    }
}
