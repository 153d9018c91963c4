//! What a server's process sees of ours: the few variables that programs need to start, and its home.
//!
//! Everything else reaches it by name only. A scanned server gets an empty home, because being started is enough for
//! some to write caches, download models or read other programs' credentials; the package runners in front of it (npx,
//! uvx) keep their real caches and settings, or every scan would download everything again.

use super::target::Secret;
use std::collections::BTreeMap;
use std::ffi::OsString;
use std::path::{Path, PathBuf};

/// The home directory that a server's process sees.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Home {
    /// An empty directory that is removed afterwards.
    Scratch,
    /// The user's own.
    Real,
}

/// Variables passed on from our environment where they are set: search path, language, temporary files, proxies,
/// certificates, and what the platform needs to start any program.
const PASSED: &[&str] = &[
    "PATH",
    "LANG",
    "LANGUAGE",
    "LC_ALL",
    "LC_CTYPE",
    "TZ",
    "TMPDIR",
    "TMP",
    "TEMP",
    "USER",
    "LOGNAME",
    "SHELL",
    "HTTP_PROXY",
    "HTTPS_PROXY",
    "NO_PROXY",
    "ALL_PROXY",
    "http_proxy",
    "https_proxy",
    "no_proxy",
    "all_proxy",
    "SSL_CERT_FILE",
    "SSL_CERT_DIR",
    "NODE_EXTRA_CA_CERTS",
    "REQUESTS_CA_BUNDLE",
    "CURL_CA_BUNDLE",
    "PIP_CERT",
    // Package runners: where packages come from and where they are kept.
    "npm_config_registry",
    "npm_config_cafile",
    "UV_INDEX_URL",
    "UV_DEFAULT_INDEX",
    "UV_PYTHON",
    "PIP_INDEX_URL",
    // Containers are reached through a socket that these name.
    "DOCKER_HOST",
    "XDG_RUNTIME_DIR",
    // Windows.
    "SYSTEMROOT",
    "SYSTEMDRIVE",
    "WINDIR",
    "COMSPEC",
    "PATHEXT",
    "PROGRAMFILES",
    "PROGRAMFILES(X86)",
    "PROGRAMDATA",
    "COMMONPROGRAMFILES",
    "NUMBER_OF_PROCESSORS",
    "PROCESSOR_ARCHITECTURE",
    "USERNAME",
];

/// Variables that say where the user's home is.
const HOMES: &[&str] = &[
    "HOME",
    "USERPROFILE",
    "HOMEDRIVE",
    "HOMEPATH",
    "APPDATA",
    "LOCALAPPDATA",
    "XDG_CACHE_HOME",
    "XDG_CONFIG_HOME",
    "XDG_DATA_HOME",
    "XDG_STATE_HOME",
];

/// Where package runners and version managers look when the home is another: the variable that tells them, the variable
/// with the base directory that they would have used, and the path below it or else below the home.
const TOOLS: &[Tool] = &[
    Tool::new("npm_config_cache", None, ".npm"),
    Tool::new("npm_config_userconfig", None, ".npmrc"),
    Tool::new("UV_CACHE_DIR", Some(("XDG_CACHE_HOME", "uv")), ".cache/uv"),
    Tool::new("UV_TOOL_DIR", Some(("XDG_DATA_HOME", "uv/tools")), ".local/share/uv/tools"),
    Tool::new("UV_PYTHON_INSTALL_DIR", Some(("XDG_DATA_HOME", "uv/python")), ".local/share/uv/python"),
    Tool::new("UV_CONFIG_FILE", Some(("XDG_CONFIG_HOME", "uv/uv.toml")), ".config/uv/uv.toml").only_if_there(),
    Tool::new("PIP_CACHE_DIR", Some(("XDG_CACHE_HOME", "pip")), ".cache/pip"),
    Tool::new("PIP_CONFIG_FILE", Some(("XDG_CONFIG_HOME", "pip/pip.conf")), ".config/pip/pip.conf").only_if_there(),
    Tool::new("PIPX_HOME", None, ".local/share/pipx").only_if_there(),
    Tool::new("BUN_INSTALL", None, ".bun").only_if_there(),
    Tool::new("DENO_DIR", Some(("XDG_CACHE_HOME", "deno")), ".cache/deno").only_if_there(),
    Tool::new("DOCKER_CONFIG", None, ".docker").only_if_there(),
    Tool::new("PYENV_ROOT", None, ".pyenv").only_if_there(),
    Tool::new("NVM_DIR", None, ".nvm").only_if_there(),
    Tool::new("VOLTA_HOME", None, ".volta").only_if_there(),
    Tool::new("ASDF_DATA_DIR", None, ".asdf").only_if_there(),
    Tool::new("MISE_DATA_DIR", Some(("XDG_DATA_HOME", "mise")), ".local/share/mise").only_if_there(),
    Tool::new("RUSTUP_HOME", None, ".rustup").only_if_there(),
    Tool::new("CARGO_HOME", None, ".cargo").only_if_there(),
];

/// What the names of our own variables begin with, and of those that say where our telemetry goes: they hold addresses
/// with passwords, tokens of collectors, and where the state lies.
const OURS: &[&str] = &["MCPOL_", "OTEL_"];

/// What a command inherits that stands in the place where the client would have started it: our whole environment, but
/// for what is ours.
pub fn inherited() -> BTreeMap<String, Secret> {
    let variables = std::env::vars_os().filter_map(|(name, value)| Some((name.into_string().ok()?, value)));
    variables
        .filter(|(name, _)| !is_ours(name))
        .filter_map(|(name, value)| Some((name, Secret::new(value.into_string().ok()?))))
        .collect()
}

fn is_ours(name: &str) -> bool {
    // Windows knows no case here.
    OURS.iter().any(|ours| name.get(..ours.len()).is_some_and(|begins| begins.eq_ignore_ascii_case(ours)))
}

struct Tool {
    variable: &'static str,
    base: Option<(&'static str, &'static str)>,
    below_home: &'static str,
    only_if_there: bool,
}

impl Tool {
    const fn new(variable: &'static str, base: Option<(&'static str, &'static str)>, below_home: &'static str) -> Self {
        Self { variable, base, below_home, only_if_there: false }
    }

    const fn only_if_there(mut self) -> Self {
        self.only_if_there = true;
        self
    }
}

/// The whole environment of a server's process. `ours` looks a variable up in our own environment, `scratch` is the
/// empty home if it gets one, and `on_purpose` wins over everything.
pub(super) fn of_server(
    ours: &dyn Fn(&str) -> Option<OsString>,
    scratch: Option<&Path>,
    on_purpose: &BTreeMap<String, Secret>,
) -> BTreeMap<String, OsString> {
    let mut all = BTreeMap::new();
    let mut pass = |names: &[&str]| {
        all.extend(names.iter().filter_map(|name| Some(((*name).to_owned(), ours(name)?))));
    };
    pass(PASSED);
    match scratch {
        None => pass(HOMES),
        Some(scratch) => {
            for tool in TOOLS {
                if let Some(place) = ours(tool.variable).or_else(|| place_of(tool, ours)) {
                    all.insert(tool.variable.to_owned(), place);
                }
            }
            for name in ["HOME", "USERPROFILE"] {
                all.insert(name.to_owned(), scratch.into());
            }
            if cfg!(windows) {
                all.insert("APPDATA".to_owned(), scratch.join("AppData").join("Roaming").into());
                all.insert("LOCALAPPDATA".to_owned(), scratch.join("AppData").join("Local").into());
            }
        }
    }
    all.extend(on_purpose.iter().map(|(name, value)| (name.clone(), value.reveal().into())));
    all
}

fn place_of(tool: &Tool, ours: &dyn Fn(&str) -> Option<OsString>) -> Option<OsString> {
    // On Windows the runners keep their things in LOCALAPPDATA under other names.
    if cfg!(windows) {
        let below = match tool.variable {
            "npm_config_cache" => "npm-cache",
            "UV_CACHE_DIR" => "uv\\cache",
            "PIP_CACHE_DIR" => "pip\\Cache",
            _ => return None,
        };
        return Some(PathBuf::from(ours("LOCALAPPDATA")?).join(below).into());
    }
    let based = tool.base.and_then(|(base, below)| Some(PathBuf::from(ours(base)?).join(below)));
    let place = based.or_else(|| Some(PathBuf::from(ours("HOME")?).join(tool.below_home)))?;
    (!tool.only_if_there || place.exists()).then(|| place.into())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn with(ours: &[(&str, &str)], scratch: Option<&str>, on_purpose: &[(&str, &str)]) -> BTreeMap<String, String> {
        let ours = |name: &str| ours.iter().find(|(known, _)| *known == name).map(|(_, value)| value.into());
        let on_purpose = on_purpose.iter().map(|(name, value)| ((*name).to_owned(), Secret::new(*value))).collect();
        let all = of_server(&ours, scratch.map(Path::new), &on_purpose);
        all.into_iter().map(|(name, value)| (name, value.to_string_lossy().into_owned())).collect()
    }

    #[test]
    fn secrets_of_our_environment_stay_here_unless_named() {
        let ours = [("PATH", "/bin"), ("HOME", "/home/me"), ("AWS_SECRET_ACCESS_KEY", "s"), ("TERM", "xterm")];
        assert_eq!(
            with(&ours, None, &[("KEY", "v")]).into_iter().collect::<Vec<_>>(),
            [
                ("HOME".to_owned(), "/home/me".to_owned()),
                ("KEY".to_owned(), "v".to_owned()),
                ("PATH".to_owned(), "/bin".to_owned()),
            ]
        );
    }

    #[cfg(unix)]
    #[test]
    fn a_scratch_home_leaves_package_runners_their_caches() {
        let got = with(&[("HOME", "/home/me"), ("XDG_CACHE_HOME", "/cache")], Some("/scratch"), &[]);
        assert_eq!(got.get("HOME").map(String::as_str), Some("/scratch"));
        assert_eq!(got.get("npm_config_cache").map(String::as_str), Some("/home/me/.npm"));
        assert_eq!(got.get("UV_CACHE_DIR").map(String::as_str), Some("/cache/uv"));
        assert_eq!(got.get("XDG_CACHE_HOME"), None);
        assert_eq!(got.get("CARGO_HOME"), None);
    }

    #[test]
    fn what_is_passed_on_purpose_wins() {
        let got = with(&[("HOME", "/home/me")], Some("/scratch"), &[("HOME", "/mine")]);
        assert_eq!(got.get("HOME").map(String::as_str), Some("/mine"));
    }
}
