//! Which registry package a command runs, told from the command alone.

use crate::model::Package;

/// A package runner: its words, the registry, its options that take a value, and those that name the package.
struct Runner {
    words: &'static [&'static str],
    registry: &'static str,
    with_value: &'static [&'static str],
    names_package: &'static [&'static str],
}

const NPM_VALUES: &[&str] =
    &["-c", "--call", "-w", "--workspace", "--registry", "--cache", "--userconfig", "--node-options"];
const UV_VALUES: &[&str] = &[
    "--with",
    "-w",
    "--python",
    "-p",
    "--index",
    "--index-url",
    "-i",
    "--default-index",
    "--extra-index-url",
    "--with-requirements",
    "--with-editable",
    "--cache-dir",
    "--directory",
    "--project",
    "--config-file",
    "--env-file",
    "-c",
    "--constraints",
    "--constraint",
    "--overrides",
    "--override",
    "--exclude-newer",
    "--prerelease",
    "--refresh-package",
    "--color",
    "-b",
];
const DOCKER_VALUES: &[&str] = &[
    "-e",
    "--env",
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
    "--env-file",
    "--platform",
    "--pull",
    "-h",
    "--hostname",
    "--add-host",
    "-m",
    "--memory",
    "--cpus",
    "-l",
    "--label",
    "--gpus",
    "--security-opt",
    "--cap-add",
    "--cap-drop",
    "--tmpfs",
    "--ulimit",
    "--log-driver",
];

const RUNNERS: &[Runner] = &[
    Runner { words: &["npx"], registry: "npm", with_value: NPM_VALUES, names_package: &["-p", "--package"] },
    Runner { words: &["npm", "exec"], registry: "npm", with_value: NPM_VALUES, names_package: &["-p", "--package"] },
    Runner { words: &["npm", "x"], registry: "npm", with_value: NPM_VALUES, names_package: &["-p", "--package"] },
    Runner { words: &["pnpm", "dlx"], registry: "npm", with_value: NPM_VALUES, names_package: &["--package"] },
    Runner { words: &["pnpx"], registry: "npm", with_value: NPM_VALUES, names_package: &["--package"] },
    Runner { words: &["yarn", "dlx"], registry: "npm", with_value: NPM_VALUES, names_package: &["-p", "--package"] },
    Runner { words: &["bunx"], registry: "npm", with_value: NPM_VALUES, names_package: &["-p", "--package"] },
    Runner { words: &["bun", "x"], registry: "npm", with_value: NPM_VALUES, names_package: &["-p", "--package"] },
    Runner { words: &["uvx"], registry: "pypi", with_value: UV_VALUES, names_package: &["--from"] },
    Runner { words: &["uv", "tool", "run"], registry: "pypi", with_value: UV_VALUES, names_package: &["--from"] },
    Runner {
        words: &["pipx", "run"],
        registry: "pypi",
        with_value: &["--python", "--index-url", "-i", "--pip-args"],
        names_package: &["--spec"],
    },
    Runner { words: &["docker", "run"], registry: "oci", with_value: DOCKER_VALUES, names_package: &[] },
    Runner { words: &["podman", "run"], registry: "oci", with_value: DOCKER_VALUES, names_package: &[] },
];

/// The package that a command fetches and runs; `None` for anything that runs what is already there, and for what
/// comes from no registry (a folder, a file, a repository).
pub fn package_of(argv: &[String]) -> Option<Package> {
    let argv = match argv {
        // How Windows configurations start npx.
        [shell, flag, rest @ ..] if basename(shell) == "cmd" && flag.eq_ignore_ascii_case("/c") => rest,
        other => other,
    };
    let (runner, mut rest) = RUNNERS.iter().find_map(|runner| {
        let (first, others) = runner.words.split_first()?;
        let (program, mut rest) = argv.split_first()?;
        if basename(program) != *first {
            return None;
        }
        for word in others {
            rest = rest.split_first().filter(|(next, _)| next == word)?.1;
        }
        Some((runner, rest))
    })?;
    let mut spec = None;
    while let Some((argument, others)) = rest.split_first() {
        rest = others;
        let (option, value) =
            argument.split_once('=').map_or((argument.as_str(), None), |(name, value)| (name, Some(value)));
        if runner.names_package.contains(&option) {
            let value = value.or_else(|| rest.split_first().map(|(next, _)| next.as_str()));
            spec = value.map(str::to_owned);
            break;
        }
        if !argument.starts_with('-') || argument == "-" {
            spec = Some(argument.clone());
            break;
        }
        if value.is_none() && runner.with_value.contains(&option) {
            rest = rest.get(1..).unwrap_or_default();
        }
    }
    let (name, version) = split_spec(&spec?, runner.registry)?;
    Some(Package { registry: runner.registry.to_owned(), name, version })
}

/// `npx` of `C:\Program Files\nodejs\npx.cmd`.
fn basename(program: &str) -> &str {
    let name = program.rsplit(['/', '\\']).next().unwrap_or(program);
    [".cmd", ".exe", ".bat"].iter().find_map(|ending| name.strip_suffix(ending)).unwrap_or(name)
}

fn split_spec(spec: &str, registry: &str) -> Option<(String, Option<String>)> {
    let from_elsewhere = spec.starts_with(['.', '/', '~'])
        || spec.contains("://")
        || spec.starts_with("git+")
        || spec.starts_with("file:");
    if spec.is_empty() || from_elsewhere {
        return None;
    }
    let (name, version) = match registry {
        // `@scope/name@1.2`: the first character may be an `@` of its own. A name with a slash and no scope is GitHub's.
        "npm" => {
            let at = spec.char_indices().skip(1).find(|(_, c)| *c == '@').map(|(at, _)| at);
            let (name, version) = at.map_or((spec, None), |at| (&spec[..at], Some(&spec[at + 1..])));
            if name.contains('/') && !name.starts_with('@') {
                return None;
            }
            // A tag or a range is whatever is newest that day.
            (
                name,
                version.filter(|version| {
                    version.starts_with(|c: char| c.is_ascii_digit()) && !version.contains(['x', '*', ' '])
                }),
            )
        }
        // `name[extra]==1.2` or uvx's `name@1.2`.
        "pypi" => {
            let end = spec.find(['[', '=', '@', '<', '>', '~', '!', ' ', ';']).unwrap_or(spec.len());
            let version = spec.split_once("==").or_else(|| spec.split_once('@')).map(|(_, version)| version.trim());
            (
                &spec[..end],
                version.filter(|version| {
                    version.starts_with(|c: char| c.is_ascii_digit()) && !version.contains(['*', ','])
                }),
            )
        }
        // `registry:5000/name:tag` or `name@sha256:…`; a tag can move, but it is a version asked for.
        _ => match spec.split_once('@') {
            Some((name, digest)) => (name, Some(digest)),
            None => match spec.rsplit_once(':') {
                Some((name, tag)) if !tag.contains('/') => (name, Some(tag).filter(|tag| *tag != "latest")),
                _ => (spec, None),
            },
        },
    };
    Some((name.to_owned(), version.map(str::to_owned)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn packages_are_told_from_commands() {
        for (command, expected) in [
            ("npx -y @scope/server@1.2.3 /tmp", "npm @scope/server 1.2.3"),
            ("npx -y server@latest", "npm server -"),
            ("npx --yes --package=server@2.0.0 run-it", "npm server 2.0.0"),
            ("npx -p server run-it", "npm server -"),
            ("C:\\nodejs\\npx.cmd server", "npm server -"),
            ("cmd /c npx -y server@1.0.0", "npm server 1.0.0"),
            ("npm exec -- server", "npm server -"),
            ("npx -y owner/repository", "none"),
            ("uvx mcp-server-time==2025.1", "pypi mcp-server-time 2025.1"),
            ("uvx --with mcp<2 mcp-server-git@1.0", "pypi mcp-server-git 1.0"),
            ("uvx --from thing[cli]==3.1 run-it", "pypi thing 3.1"),
            ("uvx --from git+https://github.com/a/b run-it", "none"),
            ("uv tool run thing", "pypi thing -"),
            ("uv run server.py", "none"),
            ("docker run -i --rm -e KEY registry.example:5000/mcp/git", "oci registry.example:5000/mcp/git -"),
            ("docker run -i mcp/git:1.0", "oci mcp/git 1.0"),
            ("node server.js", "none"),
            ("npx", "none"),
        ] {
            let argv: Vec<_> = command.split(' ').map(str::to_owned).collect();
            let got = package_of(&argv).map_or("none".to_owned(), |p| {
                format!("{} {} {}", p.registry, p.name, p.version.as_deref().unwrap_or("-"))
            });
            assert_eq!(got, expected, "{command}");
        }
    }
}
