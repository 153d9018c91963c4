//! Paths from the top of a repository: what forges want to see, wherever in it a check runs.

use std::path::{Component, PathBuf};

/// The folder above this one, or this one, that holds `.git`; and this one.
struct Top {
    root: PathBuf,
    here: PathBuf,
}

impl Top {
    /// The repository around the current directory; `None` outside of one.
    fn find() -> Option<Self> {
        let here = std::env::current_dir().ok()?;
        let root = here.ancestors().find(|folder| folder.join(".git").exists())?.to_path_buf();
        Some(Self { root, here })
    }

    /// A path as it is from the top, with `/` between its parts; as it was where it leads out of the repository.
    fn path(&self, file: &str) -> String {
        let mut whole = PathBuf::new();
        for part in self.here.join(file).components() {
            match part {
                Component::CurDir => {}
                Component::ParentDir => {
                    whole.pop();
                }
                part => whole.push(part),
            }
        }
        match whole.strip_prefix(&self.root) {
            Ok(inside) => {
                let parts: Vec<_> = inside.components().map(|part| part.as_os_str().to_string_lossy()).collect();
                parts.join("/")
            }
            Err(_) => file.to_owned(),
        }
    }
}

/// Paths from the top of the repository, if there is one.
pub(super) fn paths() -> impl Fn(&str) -> String {
    let top = Top::find();
    move |file| top.as_ref().map_or_else(|| file.to_owned(), |top| top.path(file))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_path_begins_at_the_top_of_its_repository() {
        let top = Top { root: PathBuf::from("/r"), here: PathBuf::from("/r/a") };
        for (file, expected) in [
            ("mcpol.lock", "a/mcpol.lock"),
            ("./b/../mcpol.lock", "a/mcpol.lock"),
            ("../policy.json", "policy.json"),
            ("/r/policy.json", "policy.json"),
            ("/elsewhere/x", "/elsewhere/x"),
            ("../../x", "../../x"),
        ] {
            assert_eq!(top.path(file), expected, "{file}");
        }
    }
}
