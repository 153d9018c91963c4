//! Which registry package a command runs, and whether it asks for one version of it.

use super::Package;

/// How many arguments of a command are looked at; the package stands near the front.
const ARGUMENTS_MAX: usize = 64;

/// A program that downloads a package and runs it.
struct Runner {
    /// The words that start it, program first.
    words: &'static [&'static str],
    registry: &'static str,
    /// Options that take the next argument as their value.
    with_value: &'static [&'static str],
    /// Options whose value is the package itself.
    package: &'static [&'static str],
}

const NPX_VALUES: &[&str] =
    &["-c", "--call", "-w", "--workspace", "--registry", "--cache", "--userconfig", "--prefix", "--node-options"];
const UV_VALUES: &[&str] = &[
    "--with",
    "--with-editable",
    "--with-requirements",
    "-p",
    "--python",
    "--index",
    "--index-url",
    "-i",
    "--extra-index-url",
    "--default-index",
    "--directory",
    "--project",
    "--cache-dir",
    "--env-file",
    "-c",
    "--constraints",
    "-b",
    "--build-constraints",
    "--overrides",
    "-w",
    "--refresh-package",
    "--exclude-newer",
    "--prerelease",
    "--python-platform",
    "--torch-backend",
    "--config-file",
    "--color",
    "--link-mode",
    "-P",
    "--upgrade-package",
    "-C",
    "--config-setting",
    "--allow-insecure-host",
    "--keyring-provider",
    "--resolution",
    "--index-strategy",
    "-f",
    "--find-links",
];
const DOCKER_VALUES: &[&str] = &[
    "-e",
    "--env",
    "--env-file",
    "-v",
    "--volume",
    "--mount",
    "-p",
    "--publish",
    "--name",
    "--network",
    "--net",
    "-w",
    "--workdir",
    "-u",
    "--user",
    "--entrypoint",
    "--add-host",
    "-h",
    "--hostname",
    "--memory",
    "-m",
    "--cpus",
    "--label",
    "-l",
    "--restart",
    "--platform",
    "--pull",
    "--security-opt",
    "--cap-add",
    "--cap-drop",
    "--device",
    "--dns",
    "--gpus",
    "--ulimit",
    "--tmpfs",
    "--ipc",
    "--pid",
    "--runtime",
    "--log-driver",
    "--log-opt",
    "--shm-size",
    "--expose",
    "--cidfile",
    "--stop-timeout",
    "--stop-signal",
    "--userns",
    "--group-add",
    "--pids-limit",
    "--cpuset-cpus",
    "--annotation",
    "-a",
];

const DENO_VALUES: &[&str] =
    &["-c", "--config", "--import-map", "--lock", "--cert", "--location", "--seed", "--env-file"];

/// Longer word lists first where one starts with another.
const RUNNERS: &[Runner] = &[
    Runner { words: &["npx"], registry: "npm", with_value: NPX_VALUES, package: &["-p", "--package"] },
    Runner { words: &["npm", "exec"], registry: "npm", with_value: NPX_VALUES, package: &["-p", "--package"] },
    Runner { words: &["npm", "x"], registry: "npm", with_value: NPX_VALUES, package: &["-p", "--package"] },
    Runner { words: &["bunx"], registry: "npm", with_value: &[], package: &["-p", "--package"] },
    Runner { words: &["bun", "x"], registry: "npm", with_value: &[], package: &["-p", "--package"] },
    Runner { words: &["pnpm", "dlx"], registry: "npm", with_value: &["-c", "-C", "--dir"], package: &["--package"] },
    Runner { words: &["pnpx"], registry: "npm", with_value: &[], package: &["--package"] },
    Runner { words: &["yarn", "dlx"], registry: "npm", with_value: &[], package: &["-p", "--package"] },
    Runner { words: &["uvx"], registry: "pypi", with_value: UV_VALUES, package: &["--from"] },
    Runner { words: &["uv", "tool", "run"], registry: "pypi", with_value: UV_VALUES, package: &["--from"] },
    Runner { words: &["uv", "x"], registry: "pypi", with_value: UV_VALUES, package: &["--from"] },
    Runner {
        words: &["pipx", "run"],
        registry: "pypi",
        with_value: &["--python", "--pip-args", "--index-url", "-i"],
        package: &["--spec"],
    },
    Runner { words: &["deno", "run"], registry: "deno", with_value: DENO_VALUES, package: &[] },
    Runner { words: &["docker", "run"], registry: "oci", with_value: DOCKER_VALUES, package: &[] },
    Runner { words: &["docker", "container", "run"], registry: "oci", with_value: DOCKER_VALUES, package: &[] },
    Runner { words: &["podman", "run"], registry: "oci", with_value: DOCKER_VALUES, package: &[] },
    Runner { words: &["nerdctl", "run"], registry: "oci", with_value: DOCKER_VALUES, package: &[] },
];

impl Package {
    /// The package that a command downloads and runs (`npx`, `uvx`, `docker run` and their like), with the version if
    /// the command asks for exactly one. A tag that moves (`latest`, `next`), a range and a missing version are `None`.
    ///
    /// A command that runs a file of this machine has no package.
    pub fn of_command(argv: &[String]) -> Option<Self> {
        let argv: Vec<&str> = argv.iter().take(ARGUMENTS_MAX).map(String::as_str).collect();
        let argv = unwrapped(&argv);
        let program = argv.first().map(|program| program_name(program))?;
        let runner = RUNNERS.iter().find(|runner| {
            runner.words[0].eq_ignore_ascii_case(program)
                && runner.words.len() <= argv.len()
                && runner.words[1..].iter().zip(&argv[1..]).all(|(word, argument)| word == argument)
        })?;
        let spec = package_argument(runner, &argv[runner.words.len()..])?;
        parse_spec(runner.registry, spec)
    }
}

/// Without `cmd /c`, `env NAME=VALUE …` and `sudo`, which start the program that counts.
fn unwrapped<'a, 'b>(argv: &'b [&'a str]) -> &'b [&'a str] {
    let mut rest = argv;
    loop {
        rest = match rest {
            [shell, flag, tail @ ..]
                if program_name(shell).eq_ignore_ascii_case("cmd") && flag.eq_ignore_ascii_case("/c") =>
            {
                tail
            }
            [env, tail @ ..] if matches!(program_name(env), "env" | "sudo") => {
                let skip = tail.iter().take_while(|word| word.contains('=') || word.starts_with('-')).count();
                &tail[skip..]
            }
            _ => return rest,
        };
    }
}

/// `C:\\bin\\npx.cmd` and `/usr/bin/npx` are `npx`.
fn program_name(path: &str) -> &str {
    let name = path.rsplit(['/', '\\']).next().unwrap_or(path);
    [".cmd", ".exe", ".ps1", ".bat"].iter().find_map(|suffix| name.strip_suffix(suffix)).unwrap_or(name)
}

/// The value of a package option, else the first argument that is no option.
fn package_argument<'a>(runner: &Runner, arguments: &[&'a str]) -> Option<&'a str> {
    let mut rest = arguments.iter();
    while let Some(argument) = rest.next() {
        if let Some((option, value)) = argument.split_once('=')
            && runner.package.contains(&option)
        {
            return Some(value);
        }
        if runner.package.contains(argument) {
            return rest.next().copied();
        }
        if *argument == "--" {
            return rest.next().copied();
        }
        if !argument.starts_with('-') {
            return Some(argument);
        }
        if runner.with_value.contains(argument) {
            rest.next();
        }
    }
    None
}

fn parse_spec(registry: &str, spec: &str) -> Option<Package> {
    if registry != "oci"
        && let Some((name, version)) = git_spec(registry, spec)
    {
        return Some(Package { registry: "git".to_owned(), name, version });
    }
    let (registry, spec) = match spec.split_once(':') {
        Some((scheme @ ("npm" | "jsr"), spec)) if registry == "deno" => (scheme, spec),
        Some(_) | None => (registry, spec),
    };
    let (name, version) = match registry {
        "npm" | "jsr" => npm_spec(spec)?,
        "pypi" => pypi_spec(spec)?,
        "oci" => image_spec(spec),
        // A file of this machine, or an address whose content nothing names.
        _ => return None,
    };
    if name.is_empty() {
        return None;
    }
    Some(Package { registry: registry.to_owned(), name: name.to_owned(), version: version.map(str::to_owned) })
}

/// A repository: `git+https://host/owner/name@COMMIT` (pip, uv), `github:owner/name#COMMIT` or `owner/name` (npm). Its name
/// is without scheme, user and password. Only a whole commit id is one version: branches and tags move.
fn git_spec(registry: &str, spec: &str) -> Option<(String, Option<String>)> {
    const HOSTS: [(&str, &str); 3] =
        [("github:", "github.com"), ("gitlab:", "gitlab.com"), ("bitbucket:", "bitbucket.org")];
    let is_word = |word: &str| !word.is_empty() && word.chars().all(|c| c.is_ascii_alphanumeric() || "-_.".contains(c));
    let (spec, commit) = match spec.split_once('#') {
        Some((spec, commit)) => (spec, Some(commit)),
        None => (spec, None),
    };
    if let Some(url) = spec.strip_prefix("git+").or_else(|| spec.starts_with("git://").then_some(spec)) {
        let bare = url.split_once("://").map_or(url, |(_, bare)| bare);
        let (host, path) = bare.split_once('/').unwrap_or((bare, ""));
        let host = host.rsplit_once('@').map_or(host, |(_, host)| host);
        let (path, at) = match path.rsplit_once('@') {
            Some((path, at)) => (path, Some(at)),
            None => (path, None),
        };
        let path = path.split('?').next().unwrap_or_default().trim_end_matches(".git");
        return Some((format!("{host}/{path}"), whole_commit(at.or(commit))));
    }
    if registry != "npm" {
        return None;
    }
    if let Some((_, host, path)) = HOSTS.iter().find_map(|(start, host)| Some((start, host, spec.strip_prefix(start)?)))
    {
        return Some((format!("{host}/{path}"), whole_commit(commit)));
    }
    let (owner, name) = spec.split_once('/')?;
    (is_word(owner) && is_word(name) && !owner.starts_with('.'))
        .then(|| (format!("github.com/{spec}"), whole_commit(commit)))
}

fn whole_commit(id: Option<&str>) -> Option<String> {
    id.filter(|id| id.len() == 40 && id.chars().all(|c| c.is_ascii_hexdigit())).map(str::to_owned)
}

/// `@scope/name@1.2.3`; a path, a URL or a git reference is no package of the registry.
fn npm_spec(spec: &str) -> Option<(&str, Option<&str>)> {
    let path = ['.', '/', '~'].iter().any(|start| spec.starts_with(*start));
    let (name, version) = match spec.get(1..).and_then(|rest| rest.rfind('@')) {
        Some(at) => (&spec[..=at], Some(&spec[at + 2..])),
        None => (spec, None),
    };
    let scoped = name.starts_with('@') && name.matches('/').count() == 1;
    if path || spec.contains(':') || (name.contains('/') && !scoped) {
        return None;
    }
    Some((name, version.filter(|version| is_exact_version(version))))
}

/// `name[extra]==1.2.3` or `name@1.2.3`.
fn pypi_spec(spec: &str) -> Option<(&str, Option<&str>)> {
    let path = ['.', '/', '~'].iter().any(|start| spec.starts_with(*start));
    if path || spec.contains("://") || spec.starts_with("git+") {
        return None;
    }
    let end = spec.find(['=', '<', '>', '~', '!', '@', ' ', ';']).unwrap_or(spec.len());
    let name = spec[..end].split('[').next().unwrap_or("");
    if name.contains('/') {
        return None;
    }
    let operator = spec[end..].trim();
    let version =
        operator.strip_prefix("===").or_else(|| operator.strip_prefix("==")).or_else(|| operator.strip_prefix('@'));
    Some((name, version.map(str::trim).filter(|version| is_exact_version(version))))
}

/// `registry:5000/name:tag@sha256:…`. A tag can be moved, so only a digest or a tag that is a full version counts.
fn image_spec(spec: &str) -> (&str, Option<&str>) {
    if let Some((name, digest)) = spec.split_once('@') {
        return (name, Some(digest));
    }
    let last = spec.rfind('/').map_or(0, |at| at + 1);
    match spec[last..].split_once(':') {
        Some((name, tag)) => (&spec[..last + name.len()], Some(tag).filter(|tag| is_exact_version(tag))),
        None => (spec, None),
    }
}

/// Three numbers or more characters after a leading digit with a dot, and nothing of a range: `1.2.3`, `2026.7.10`,
/// `0.4.1-beta.2`. `1` and `latest` move; `^1.2.3` and `1.*` are ranges.
fn is_exact_version(version: &str) -> bool {
    let version = version.strip_prefix('v').unwrap_or(version);
    version.starts_with(|c: char| c.is_ascii_digit())
        && version.contains('.')
        && version.chars().all(|c| c.is_ascii_alphanumeric() || matches!(c, '.' | '-' | '+' | '_' | '!'))
        && !version.split(['.', '-']).any(|part| part.is_empty() || part.eq_ignore_ascii_case("x"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(command: &str, expected: Option<(&str, &str, Option<&str>)>) {
        let argv: Vec<String> = command.split(' ').map(str::to_owned).collect();
        let found = Package::of_command(&argv);
        let found = found.as_ref().map(|p| (p.registry.as_str(), p.name.as_str(), p.version.as_deref()));
        assert_eq!(found, expected, "{command}");
    }

    #[test]
    fn a_package_without_one_version_is_told_from_a_pinned_one() {
        check("npx -y some-server", Some(("npm", "some-server", None)));
        check("npx -y @scope/server --flag", Some(("npm", "@scope/server", None)));
        check("npx -y @scope/server@latest", Some(("npm", "@scope/server", None)));
        check("npx -y @scope/server@^1.2.0", Some(("npm", "@scope/server", None)));
        check("npx -y @scope/server@1.2.3 -x", Some(("npm", "@scope/server", Some("1.2.3"))));
        check("npx --package=tool@1.0.1 tool-bin", Some(("npm", "tool", Some("1.0.1"))));
        check("npx -y -p tool tool-bin", Some(("npm", "tool", None)));
        check("pnpm dlx tool", Some(("npm", "tool", None)));
        check("cmd /c npx.cmd -y tool@1", Some(("npm", "tool", None)));
        check("env A=b /usr/bin/npx tool", Some(("npm", "tool", None)));
        check("uvx mcp-server-time", Some(("pypi", "mcp-server-time", None)));
        check("uvx mcp-server-time@2026.7.10", Some(("pypi", "mcp-server-time", Some("2026.7.10"))));
        check("uvx --with mcp<2 server==1.4.0", Some(("pypi", "server", Some("1.4.0"))));
        check("uvx --from pkg[cli]>=1.0 server", Some(("pypi", "pkg", None)));
        check("uv tool run server", Some(("pypi", "server", None)));
        check("docker run -i --rm -e TOKEN ghcr.io/a/b", Some(("oci", "ghcr.io/a/b", None)));
        check("docker run -i localhost:5000/b:1.2.3", Some(("oci", "localhost:5000/b", Some("1.2.3"))));
        check("npm exec -- server", Some(("npm", "server", None)));
        check("C:\\nodejs\\npx.cmd server", Some(("npm", "server", None)));
        check("npx --node-options --inspect server@2.0.0", Some(("npm", "server", Some("2.0.0"))));
        check("docker run -i b@sha256:0123", Some(("oci", "b", Some("sha256:0123"))));
    }

    #[test]
    fn a_repository_is_pinned_by_a_whole_commit() {
        const COMMIT: &str = "0123456789abcdef0123456789abcdef01234567";
        check("npx -y github:user/repo", Some(("git", "github.com/user/repo", None)));
        check("npx user/repo#main", Some(("git", "github.com/user/repo", None)));
        check(&format!("npx user/repo#{COMMIT}"), Some(("git", "github.com/user/repo", Some(COMMIT))));
        check("uvx --from git+https://example.org/x server", Some(("git", "example.org/x", None)));
        check("uvx --from git+https://me:secret@example.org/x.git@v1.2.3 s", Some(("git", "example.org/x", None)));
        let pinned = format!("uvx --from git+https://example.org/x@{COMMIT} server");
        check(&pinned, Some(("git", "example.org/x", Some(COMMIT))));
    }

    #[test]
    fn deno_runs_packages_of_npm_and_jsr() {
        check("deno run -A npm:some-mcp", Some(("npm", "some-mcp", None)));
        check("deno run --allow-net npm:@a/b@1.2.3", Some(("npm", "@a/b", Some("1.2.3"))));
        check("deno run -A jsr:@a/b", Some(("jsr", "@a/b", None)));
    }

    #[test]
    fn what_runs_from_this_machine_has_no_package() {
        check("node server.js", None);
        check("/opt/server --stdio", None);
        check("npx ./local", None);
        check("npx", None);
        check("deno run -A server.ts", None);
        check("npx owner/../x", None);
        check("docker ps", None);
    }
}
