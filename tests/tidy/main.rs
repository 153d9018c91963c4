//! The house rules that a compiler does not hold: who may import whom, what stays pure, how files begin and how long
//! they may be. Each message names the file, so that the rule is learnt where it is broken.

#![expect(clippy::unwrap_used, clippy::panic, reason = "a test that cannot go on must fail")]

mod circles;

use regex::Regex;
use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};

/// Longest file, in lines. A file that outgrows it holds two ideas.
const FILE_LINES_MAX: usize = 600;
/// The one file that asks the system for the time.
const CLOCK: &str = "crates/base/src/clock.rs";

fn repository() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

/// Every Rust file of the repository, by its path from the top, with its text.
fn sources() -> Vec<(String, String)> {
    let mut found = Vec::new();
    for top in ["src", "crates", "tests", "benches", "examples", "fuzz"] {
        walk(&repository().join(top), &mut found);
    }
    found.sort();
    let read = |path: &PathBuf| {
        let name = path.strip_prefix(repository()).unwrap().to_str().unwrap().replace('\\', "/");
        (name, fs::read_to_string(path).unwrap())
    };
    let sources: Vec<_> = found.iter().map(read).collect();
    assert!(sources.len() > 30, "the walk found the repository");
    sources
}

fn walk(folder: &Path, found: &mut Vec<PathBuf>) {
    for entry in fs::read_dir(folder).into_iter().flatten() {
        let path = entry.unwrap().path();
        let name = path.file_name().unwrap().to_str().unwrap();
        if path.is_dir() && !path.is_symlink() && name != "target" && !name.starts_with('.') {
            walk(&path, found);
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            found.push(path);
        }
    }
}

/// The manifests of the workspace, by their path from the top, with their text.
fn manifests() -> Vec<(String, String)> {
    let read = |name: String| {
        let text = fs::read_to_string(repository().join(&name)).unwrap();
        (name, text)
    };
    let crates = fs::read_dir(repository().join("crates")).unwrap();
    let names = crates.map(|entry| format!("crates/{}/Cargo.toml", entry.unwrap().file_name().to_str().unwrap()));
    let mut manifests: Vec<_> = names.chain(["Cargo.toml".to_owned()]).map(read).collect();
    manifests.sort();
    assert!(manifests.len() > 3, "the crates were found");
    manifests
}

/// The public modules of a crate's `lib.rs`, top to bottom.
fn modules(source: &str) -> Vec<String> {
    let lib = fs::read_to_string(repository().join(source).join("lib.rs")).unwrap();
    let order = Regex::new(r"(?m)^pub mod (\w+);").unwrap();
    order.captures_iter(&lib).map(|found| found[1].to_owned()).collect()
}

/// The folder of sources and the crate's module that a file belongs to; `None` for each `lib.rs`, the binaries and
/// everything that is no part of a library.
fn module_of(file: &str) -> Option<(&str, &str)> {
    let inside = if file.starts_with("crates/") { file.find("/src/")? + 1 } else { 0 };
    let rest = file[inside..].strip_prefix("src/")?;
    let first = rest.split('/').next()?;
    let module = first.strip_suffix(".rs").unwrap_or(first);
    (!matches!(module, "lib" | "main" | "supervise")).then_some((&file[..inside + "src".len()], module))
}

/// The top-level modules that a text names after `crate::`, groups and nested groups included.
fn imports(text: &str) -> BTreeSet<String> {
    let code = code_only(text);
    let mut found = BTreeSet::new();
    for (at, _) in code.match_indices("crate::") {
        // `mcpol_crate::` or a longer word is another path.
        if code[..at].chars().next_back().is_some_and(|before| before.is_alphanumeric() || before == '_') {
            continue;
        }
        let rest = &code[at + "crate::".len()..];
        if let Some(group) = rest.strip_prefix('{') {
            found.extend(group_heads(group));
        } else {
            found.insert(head(rest));
        }
    }
    found
}

fn head(path: &str) -> String {
    path.trim_start().chars().take_while(|c| c.is_alphanumeric() || *c == '_').collect()
}

/// The first segment of each entry of a `{…}` group whose opening brace is already taken off.
fn group_heads(group: &str) -> Vec<String> {
    let (mut depth, mut start, mut heads) = (0_usize, 0, Vec::new());
    for (at, c) in group.char_indices() {
        match c {
            '{' => depth += 1,
            '}' if depth == 0 => {
                heads.push(head(&group[start..at]));
                break;
            }
            '}' => depth -= 1,
            ',' if depth == 0 => {
                heads.push(head(&group[start..at]));
                start = at + 1;
            }
            _ => {}
        }
    }
    heads.retain(|name| !name.is_empty());
    heads
}

/// The text without whole-line comments, which may speak of anything.
fn code_only(text: &str) -> String {
    text.lines().filter(|line| !line.trim_start().starts_with("//")).collect::<Vec<_>>().join("\n")
}

/// Whether a file of `src` is compiled for tests only, going by its name.
fn is_test(file: &str) -> bool {
    let names = ["/tests.rs", "_tests.rs", "/contract.rs", "/promises.rs"];
    file.contains("/tests/") || names.iter().any(|name| file.ends_with(name))
}

/// The text up to its unit tests.
fn without_tests(text: &str) -> &str {
    text.find("#[cfg(test)]").map_or(text, |at| &text[..at])
}

#[track_caller]
fn none(what: &str, broken: &[String]) {
    assert!(broken.is_empty(), "{what}:\n  {}", broken.join("\n  "));
}

#[test]
fn modules_import_only_from_those_above_them() {
    let mut broken = Vec::new();
    for source in ["src", "crates/base/src"] {
        let order = modules(source);
        assert!(order.len() > 4, "{source}/lib.rs lists the modules");
        let place = |name: &str| order.iter().position(|module| module == name);
        for (file, text) in sources() {
            let Some((_, own)) = module_of(&file).filter(|(of, _)| *of == source) else { continue };
            let here = place(own).unwrap_or_else(|| panic!("{file}: `{own}` is not in {source}/lib.rs"));
            // Tests may borrow from below: a policy is tested against the real stores.
            if is_test(&file) {
                continue;
            }
            for import in imports(without_tests(&text)) {
                if place(&import).is_some_and(|there| there > here) {
                    broken.push(format!("{file}: `{own}` stands above `{import}`"));
                }
            }
        }
    }
    none("a module imports from one below it in lib.rs", &broken);
}

#[test]
fn no_circle_of_imports_is_large() {
    let sources = sources();
    let mut broken = Vec::new();
    for source in ["src", "crates/base/src", "crates/classify/src", "crates/policy/src", "crates/site/src"] {
        broken.extend(circles::Crate::read(source, &sources).too_large());
    }
    none("files that can only be understood together", &broken);
}

/// Files whose types have the names of others for a reason: one describes them for a schema, the other ones stand for
/// them where a feature is left out.
const STANDS_FOR_OTHERS: [&str; 3] =
    ["src/gateway/config/schema.rs", "src/state/redis_left_out.rs", "crates/policy/src/schema_left_out.rs"];

#[test]
fn a_type_name_stands_once_in_a_crate() {
    let declared = Regex::new(r"(?m)^(?:pub(?:\([a-z: ]+\))? )?(?:struct|enum|trait|type) ([A-Z]\w*)").unwrap();
    let mut places: BTreeMap<(String, String), BTreeSet<String>> = BTreeMap::new();
    for (file, text) in sources() {
        let crates = file.split_once("/src/").map_or("", |(top, _)| top);
        let source = if file.starts_with("src/") { "src" } else { crates };
        if source.is_empty() {
            continue;
        }
        if is_test(&file) || STANDS_FOR_OTHERS.contains(&file.as_str()) {
            continue;
        }
        for name in declared.captures_iter(without_tests(&text)) {
            places.entry((source.to_owned(), name[1].to_owned())).or_default().insert(file.clone());
        }
    }
    assert!(places.len() > 500, "the types were found: {}", places.len());
    let twice = places.iter().filter(|(_, files)| files.len() > 1);
    let broken: Vec<String> = twice.map(|((_, name), files)| format!("`{name}`: {files:?}")).collect();
    none("one name for two types, so that a reader has to ask which", &broken);
}

#[test]
fn classify_and_policy_are_strangers() {
    // Of a crate's own manifest, because the compiler holds the rest.
    let mut broken = Vec::new();
    for (file, text) in manifests() {
        let stranger = match file.as_str() {
            "crates/classify/Cargo.toml" => "mcpol-policy",
            "crates/policy/Cargo.toml" => "mcpol-classify",
            _ => continue,
        };
        if text.contains(stranger) {
            broken.push(format!("{file}: imports `{stranger}`"));
        }
    }
    none("what a tool is and what is allowed do not know each other", &broken);
}

#[test]
fn the_crates_below_are_pure() {
    // No clock, file, socket, process or log: time and texts come in as values.
    let impure = Regex::new(
        r"std::(fs|process|env|thread|time::(SystemTime|Instant))\b|\b(TcpStream|TcpListener|UdpSocket|ToSocketAddrs|tokio|reqwest|tracing|rusqlite|clock::now)\b",
    )
    .unwrap();
    let mut broken = Vec::new();
    for (file, text) in sources() {
        // A bench measures, and is part of no crate.
        let pure = file.starts_with("crates/") && !file.contains("/benches/") && file != CLOCK;
        if pure && !is_test(&file) {
            let code = code_only(without_tests(&text));
            broken.extend(impure.find_iter(&code).map(|found| format!("{file}: `{}`", found.as_str())));
        }
    }
    none("pure modules take values and return values", &broken);
}

#[test]
fn only_the_clock_asks_for_the_time_of_day() {
    let mut broken = Vec::new();
    for (file, text) in sources() {
        if module_of(&file).is_some() && file != CLOCK && code_only(&text).contains("SystemTime") {
            broken.push(file);
        }
    }
    none("`SystemTime` outside the clock", &broken);
}

#[test]
fn only_main_ends_the_process_and_the_library_does_not_print() {
    let ends = Regex::new(r"process::(exit|abort)\(|\be?print(ln)?!\(").unwrap();
    let mut broken = Vec::new();
    for (file, text) in sources() {
        if module_of(&file).is_some() {
            let code = code_only(without_tests(&text));
            broken.extend(ends.find_iter(&code).map(|found| format!("{file}: `{}`", found.as_str())));
        }
    }
    none("library code returns", &broken);
}

#[test]
fn files_say_what_they_are_for_and_hold_one_idea() {
    let mut broken = Vec::new();
    for (file, text) in sources() {
        if !text.starts_with("//! ") {
            broken.push(format!("{file}: the first line is not `//! …`"));
        }
        let lines = text.lines().count();
        if lines > FILE_LINES_MAX {
            broken.push(format!("{file}: {lines} lines, at most {FILE_LINES_MAX}"));
        }
    }
    none("files", &broken);
}

#[test]
fn no_untagged_input_and_no_bare_allow() {
    // `untagged` gives people who mistyped a field a message that helps nobody; what is only written may use it.
    // `expect` says when it is out of date, `allow` never does. The words are put together here so that this file
    // does not match itself.
    let (untagged, allow) = (["un", "tagged"].concat(), Regex::new(&format!(r"#!?\[{}\(", "allow")).unwrap());
    let mut broken = Vec::new();
    for (file, text) in sources() {
        let code = code_only(&text);
        broken.extend(allow.find_iter(&code).map(|found| format!("{file}: `{}`", found.as_str())));
        let lines: Vec<_> = code.lines().collect();
        for (at, line) in lines.iter().enumerate() {
            let around = &lines[at.saturating_sub(3)..(at + 4).min(lines.len())];
            if line.contains(&untagged)
                && around.iter().any(|line| line.contains("Deserialize"))
                && !file.starts_with("tests/tidy/")
            {
                broken.push(format!("{file}: `{}`", line.trim()));
            }
        }
    }
    none("banned attributes", &broken);
}

#[test]
fn every_dependency_says_what_it_is_for() {
    let (mut seen, mut broken) = (0, Vec::new());
    for (file, manifest) in manifests() {
        let mut section = "";
        for line in manifest.lines() {
            if line.starts_with('[') {
                section = line;
            } else if section.ends_with("dependencies]") && line.contains('=') && !line.starts_with('#') {
                // What the workspace hands on is described there.
                let inherited = section != "[workspace.dependencies]" && line.contains("workspace = true");
                seen += 1;
                if !inherited && !line.contains(" # ") {
                    broken.push(format!("{file}: {line}"));
                }
            }
        }
    }
    assert!(seen > 20, "Cargo.toml was read");
    none("a dependency without a word about its use", &broken);
}

#[test]
fn the_import_reader_sees_groups() {
    let text = "use crate::{model::{Tool, Flag}, text};\nuse crate::exit::Exit;\n// crate::gateway\nfn f() { crate::report::g() }";
    let expected: BTreeSet<_> = ["exit", "model", "report", "text"].map(str::to_owned).into();
    assert_eq!(imports(text), expected);
    assert_eq!(module_of("src/gateway/http/mod.rs"), Some(("src", "gateway")));
    assert_eq!(module_of("crates/base/src/text.rs"), Some(("crates/base/src", "text")));
    assert_eq!(module_of("crates/base/src/lib.rs"), None);
    assert_eq!(module_of("src/exit.rs"), Some(("src", "exit")));
    assert_eq!(module_of("src/main.rs"), None);
}
