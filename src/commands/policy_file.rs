//! Reading policy files: what several commands start with.

use super::Failure;
use crate::policy::{self, Policy};
use std::path::Path;

/// Reads a policy.
///
/// # Errors
/// The file cannot be read, or is no valid policy: then with every problem.
pub(super) fn read(path: &Path) -> Result<Policy, Failure> {
    let text = text(path)?;
    let file = path.to_string_lossy();
    policy::parse(&text, &file)
        .map_err(|problems| Failure::usage(format!("`{file}` is not a valid policy")).with_problems(problems))
}

/// Reads the text of a policy.
///
/// # Errors
/// The file is missing or not UTF-8. What is too large is left to the parser to say.
pub(super) fn text(path: &Path) -> Result<String, Failure> {
    text_within(path, policy::POLICY_BYTES_MAX)
}

/// Reads a text file up to one byte past a bound, so that its parser can see that there is too much.
///
/// # Errors
/// The file is missing or not UTF-8.
pub(super) fn text_within(path: &Path, bytes_max: usize) -> Result<String, Failure> {
    use std::io::Read as _;
    let cannot = |why: String| Failure::usage(format!("cannot read `{}`: {why}", path.display()));
    let file = std::fs::File::open(path).map_err(|error| match error.kind() {
        std::io::ErrorKind::NotFound => {
            cannot("no such file".to_owned()).with_help("`mcpol gen-policy -o policy.json …` writes one")
        }
        _ => cannot(error.to_string().to_lowercase()),
    })?;
    let mut bytes = Vec::new();
    // One byte past the bound is enough to see that there are too many.
    file.take(bytes_max as u64 + 1)
        .read_to_end(&mut bytes)
        .map_err(|error| cannot(error.to_string().to_lowercase()))?;
    String::from_utf8(bytes).map_err(|_| cannot("it is not UTF-8".to_owned()))
}
