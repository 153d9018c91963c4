//! The user's rule directories and settings file, read from disk.

use super::super::Failure;
use crate::classify::settings::{SETTINGS_BYTES_MAX, Settings};
use crate::classify::{RULE_FILE_BYTES_MAX, RuleSet};
use crate::cli::RuleArgs;
use crate::exit::Exit;
use crate::problem::{Problem, reason};
use std::borrow::Cow;
use std::fs;
use std::io::{self, Read as _};
use std::path::{Path, PathBuf};

/// The settings file that is read where none is named.
const SETTINGS_FILE: &str = "mcpol.toml";
/// Most rule files of one directory.
const FILES_MAX: usize = 1000;

/// Rule files of one directory: the name to show, and the text.
pub(in crate::commands) type Layer = Vec<(String, String)>;

/// The files of every `--rules DIR`, one layer a directory, in the order given; within one, in the order of names.
///
/// # Errors
/// A directory or a file cannot be read, or a directory holds no rule file: all of them at once.
pub(in crate::commands) fn layers(directories: &[PathBuf]) -> Result<Vec<Layer>, Failure> {
    let (mut layers, mut problems) = (Vec::new(), Vec::new());
    for directory in directories {
        match layer(directory) {
            Ok(layer) => layers.push(layer),
            Err(mut found) => problems.append(&mut found),
        }
    }
    if problems.is_empty() { Ok(layers) } else { Err(Failure::usage("cannot read the rules").with_problems(problems)) }
}

fn layer(directory: &Path) -> Result<Layer, Vec<Problem>> {
    let entries = fs::read_dir(directory).map_err(|error| vec![problem(directory, reason(&error))])?;
    let mut paths = Vec::new();
    for entry in entries.take(FILES_MAX + 1) {
        let path = entry.map_err(|error| vec![problem(directory, reason(&error))])?.path();
        if path.extension().is_some_and(|extension| extension == "toml") {
            paths.push(path);
        }
    }
    if paths.len() > FILES_MAX {
        return Err(vec![problem(directory, format!("more than {FILES_MAX} files"))]);
    }
    if paths.is_empty() {
        return Err(vec![problem(directory, "holds no `.toml` file".to_owned())]);
    }
    paths.sort();
    let (mut layer, mut problems) = (Vec::new(), Vec::new());
    for path in paths {
        match read(&path, RULE_FILE_BYTES_MAX) {
            Ok(text) => layer.push((path.display().to_string(), text)),
            Err(error) => problems.push(problem(&path, reason(&error))),
        }
    }
    if problems.is_empty() { Ok(layer) } else { Err(problems) }
}

/// The rules with the user's directories and without what the settings switch off; and the settings.
///
/// # Errors
/// A rule or settings file is not valid: with every problem.
pub(in crate::commands) fn rules_and_settings(args: &RuleArgs) -> Result<(Cow<'static, RuleSet>, Settings), Failure> {
    let mut layers = layers(&args.rules)?;
    let rules = ruleset(&layers)?;
    let settings = settings(args.settings.as_deref(), &rules)?;
    let switched_off = settings.rule_layer();
    if switched_off.is_empty() {
        return Ok((rules, settings));
    }
    layers.push(vec![(settings.file.clone(), switched_off)]);
    Ok((ruleset(&layers)?, settings))
}

/// The built-in rules with layers on top.
///
/// # Errors
/// The rule files are not valid: with every problem.
pub(in crate::commands) fn ruleset(layers: &[Layer]) -> Result<Cow<'static, RuleSet>, Failure> {
    if layers.is_empty() {
        return Ok(Cow::Borrowed(RuleSet::builtin()));
    }
    let views = views(layers);
    let views: Vec<&[(&str, &str)]> = views.iter().map(Vec::as_slice).collect();
    RuleSet::layered(&views).map(Cow::Owned).map_err(invalid)
}

/// The layers as the library takes them.
pub(in crate::commands) fn views(layers: &[Layer]) -> Vec<Vec<(&str, &str)>> {
    layers.iter().map(|layer| layer.iter().map(|(file, text)| (file.as_str(), text.as_str())).collect()).collect()
}

/// The failure for rule files that are not valid.
pub(in crate::commands) fn invalid(problems: Vec<Problem>) -> Failure {
    let help = "`mcpol rules lint --rules DIR` checks rule files; docs/rules.md says what they may hold";
    Failure::usage("the rules are not valid").with_problems(problems).with_help(help)
}

fn settings(named: Option<&Path>, rules: &RuleSet) -> Result<Settings, Failure> {
    let path = named.unwrap_or(Path::new(SETTINGS_FILE));
    let text = match read(path, SETTINGS_BYTES_MAX) {
        Ok(text) => text,
        // Only a file that was asked for must be there.
        Err(error) if named.is_none() && error.kind() == io::ErrorKind::NotFound => return Ok(Settings::default()),
        Err(error) => {
            return Err(Failure::usage(format!("cannot read the settings `{}`: {}", path.display(), reason(&error))));
        }
    };
    let ids = rules.rules().map(|rule| rule.id).collect();
    Settings::parse(&path.display().to_string(), &text, &ids)
        .map_err(|problems| Failure::usage("the settings are not valid").with_exit(Exit::Usage).with_problems(problems))
}

fn read(path: &Path, most: usize) -> io::Result<String> {
    let mut text = String::new();
    let limit = u64::try_from(most).unwrap_or(u64::MAX).saturating_add(1);
    fs::File::open(path)?.take(limit).read_to_string(&mut text)?;
    Ok(text)
}

fn problem(path: &Path, message: String) -> Problem {
    Problem { file: path.display().to_string(), place: None, pointer: String::new(), message, help: None }
}
