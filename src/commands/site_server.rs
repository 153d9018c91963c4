//! `mcpol catalog serve`: a built site on this machine alone, for a person who looks at it.

use super::site::is_site;
use super::{Failure, output};
use crate::cli::CatalogServeArgs;
use crate::exit::Exit;
use crate::problem::reason;
use std::io::{self, BufRead as _, BufReader, Read as _, Write as _};
use std::net::{IpAddr, Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

/// Longest head of a request, in bytes.
const HEAD_BYTES_MAX: u64 = 16 << 10;
/// Longest path that is looked for, in bytes.
const PATH_BYTES_MAX: usize = 512;
/// Most requests that are answered at the same time.
const CALLERS_MAX: usize = 64;
/// Longest wait for a caller that sends or takes nothing.
const CALLER_WAIT: Duration = Duration::from_secs(10);

/// What else every answer says.
const HEADERS: &str = "Cache-Control: no-cache\r\nX-Content-Type-Options: nosniff\r\nReferrer-Policy: no-referrer\r\n\
                       Cross-Origin-Resource-Policy: same-origin\r\nConnection: close\r\n";

pub(super) fn run(args: &CatalogServeArgs) -> Result<Exit, Failure> {
    let top = args.site.canonicalize().unwrap_or_else(|_| args.site.clone());
    if !is_site(&top) {
        return Err(Failure::usage(format!("`{}` is no site of mcpol", args.site.display()))
            .with_help("`mcpol catalog build -o DIR` makes one"));
    }
    let address = SocketAddr::new(IpAddr::V4(Ipv4Addr::LOCALHOST), args.port);
    let listener = TcpListener::bind(address).map_err(|error| {
        Failure::usage(format!("cannot listen on {address}: {}", reason(&error)))
            .with_help("choose another port with `--port`, or 0 for any")
    })?;
    let bound = listener.local_addr().map_err(output::internal)?;
    output::coloured(&format!("http://{bound}/\n"))?;
    let (callers, top) = (Arc::new(AtomicUsize::new(0)), Arc::new(top));
    for caller in listener.incoming() {
        // A caller that went away before it was heard is no loss.
        let Ok(caller) = caller else { continue };
        let (callers, top) = (Arc::clone(&callers), Arc::clone(&top));
        if callers.fetch_add(1, Ordering::SeqCst) >= CALLERS_MAX {
            callers.fetch_sub(1, Ordering::SeqCst);
            continue;
        }
        std::thread::spawn(move || {
            // An answer that cannot be sent has no one to be told to.
            let _ = answer(caller, &top, bound.port());
            callers.fetch_sub(1, Ordering::SeqCst);
        });
    }
    Ok(Exit::Clean)
}

/// One request, one answer.
fn answer(mut caller: TcpStream, top: &Path, port: u16) -> io::Result<()> {
    caller.set_read_timeout(Some(CALLER_WAIT))?;
    caller.set_write_timeout(Some(CALLER_WAIT))?;
    let mut reader = BufReader::new(caller.try_clone()?.take(HEAD_BYTES_MAX));
    let (mut first, mut hosts) = (String::new(), Vec::new());
    reader.read_line(&mut first)?;
    loop {
        let mut line = String::new();
        if reader.read_line(&mut line)? == 0 || line.trim_end().is_empty() {
            break;
        }
        if let Some((name, value)) = line.split_once(':')
            && name.eq_ignore_ascii_case("host")
        {
            hosts.push(value.trim().to_ascii_lowercase());
        }
    }
    let mut words = first.split_ascii_whitespace();
    let (method, path) = (words.next().unwrap_or_default(), words.next().unwrap_or_default());
    let status = |code: &str| format!("HTTP/1.1 {code}\r\nContent-Length: 0\r\n{HEADERS}\r\n");
    // A page of another site may have its own name lead here; its script must not read what is served.
    let own = [format!("127.0.0.1:{port}"), format!("localhost:{port}")];
    if hosts.len() != 1 || !own.contains(&hosts[0]) {
        return caller.write_all(status("421 Misdirected Request").as_bytes());
    }
    if !matches!(method, "GET" | "HEAD") {
        return caller.write_all(status("405 Method Not Allowed").as_bytes());
    }
    let Some((bytes, kind)) = file(top, path).and_then(|(file, kind)| Some((std::fs::read(file).ok()?, kind))) else {
        return caller.write_all(status("404 Not Found").as_bytes());
    };
    let head = format!("HTTP/1.1 200 OK\r\nContent-Type: {kind}\r\nContent-Length: {}\r\n{HEADERS}\r\n", bytes.len());
    caller.write_all(head.as_bytes())?;
    if method == "GET" { caller.write_all(&bytes) } else { Ok(()) }
}

/// The file that a path names, and its type. Names of a site are of few characters, so whatever else is asked for is not
/// there: nothing is decoded, and nothing leads up.
fn file(top: &Path, path: &str) -> Option<(PathBuf, &'static str)> {
    let path = path.split(['?', '#']).next()?.strip_prefix('/')?;
    let path = if path.is_empty() { "index.html" } else { path };
    let plain = |part: &str| {
        part.starts_with(|c: char| c.is_ascii_alphanumeric())
            && part.chars().all(|c| c.is_ascii_alphanumeric() || "_-.".contains(c))
    };
    if path.len() > PATH_BYTES_MAX || !path.split('/').all(plain) {
        return None;
    }
    let kind = match path.rsplit_once('.')?.1 {
        "html" => "text/html; charset=utf-8",
        "css" => "text/css; charset=utf-8",
        "js" => "text/javascript; charset=utf-8",
        "json" => "application/json",
        "svg" => "image/svg+xml",
        "xml" => "application/xml",
        "txt" => "text/plain; charset=utf-8",
        _ => return None,
    };
    Some((top.join(path), kind))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_names_of_a_site_lead_to_files() {
        let found = |path: &str| file(Path::new("/site"), path).map(|(file, _)| file);
        assert_eq!(found("/"), Some(PathBuf::from("/site/index.html")));
        assert_eq!(found("/servers/a/b.html?x#y"), Some(PathBuf::from("/site/servers/a/b.html")));
        for path in [
            "/../etc/passwd.txt",
            "/servers/../../x.html",
            "//x.html",
            "/.hidden.txt",
            "/a%2f..%2fb.html",
            "x.html",
            "/a/./b.html",
            "/x.db",
            "/servers",
        ] {
            assert_eq!(found(path), None, "{path}");
        }
    }
}
