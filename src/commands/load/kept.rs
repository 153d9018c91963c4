//! Listings of servers that were asked a short while ago, kept in the user's cache: what follows a scan need not start
//! everything again. Whatever is wrong with the cache, there is nothing in it.
//!
//! A file is named by a keyed hash of what was started, so that neither its name nor its text tells a secret; the text
//! is what a record may hold. Files and folder are for their owner alone, and one that others may write to is not read.

use crate::catalog::{kept_text, read_kept};
use crate::clock::{self, Timestamp};
use crate::gateway::audit::key;
use crate::gateway::regular_file::read_regular;
use crate::mcp::target::{HttpTarget, Secret, StdioTarget, Target};
use crate::mcp::{EnumerateOptions, Home, Wanted};
use crate::model::Listing;
use hmac::{Hmac, KeyInit as _, Mac as _};
use sha2::Sha256;
use std::collections::BTreeMap;
use std::fs::{self, Metadata};
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::time::Duration;

/// How long a listing is kept.
const AGE_MAX: Duration = Duration::from_secs(15 * 60);
/// Longest listing that is kept, in bytes.
const LISTING_BYTES_MAX: usize = 4 * 1024 * 1024;
/// Most listings that are kept.
const LISTINGS_MAX: usize = 64;

/// The listings of a user.
pub(in crate::commands) struct KeptListings {
    folder: PathBuf,
    key: [u8; 32],
}

/// One that is not too old.
pub(in crate::commands) struct KeptOne {
    /// What the server answered.
    pub listing: Listing,
    /// How long ago.
    pub age: Duration,
}

impl KeptListings {
    /// The user's own; `None` where there are none.
    pub fn open() -> Option<Self> {
        Self::open_in(&place()?)
    }

    /// The user's own, whose folder is made where it is missing; `None` where it cannot be.
    pub fn open_or_make() -> Option<Self> {
        Self::make_in(&place()?)
    }

    fn make_in(folder: &Path) -> Option<Self> {
        crate::state::make_private_folder(folder).ok()?;
        Self::open_in(folder)
    }

    fn open_in(folder: &Path) -> Option<Self> {
        is_own(&fs::symlink_metadata(folder).ok()?).then_some(())?;
        let key = key::load(&folder.join("key")).ok()?;
        Some(Self { folder: folder.to_owned(), key })
    }

    /// What a server answered to the same question a short while ago.
    pub fn find(&self, target: &Target, options: &EnumerateOptions) -> Option<KeptOne> {
        self.find_at(target, options, clock::now())
    }

    fn find_at(&self, target: &Target, options: &EnumerateOptions, now: Timestamp) -> Option<KeptOne> {
        let path = self.path(target, options);
        is_own(&fs::symlink_metadata(&path).ok()?).then_some(())?;
        let text = read_regular(&path, LISTING_BYTES_MAX).ok().filter(|text| text.len() <= LISTING_BYTES_MAX)?;
        let (listing, at) = read_kept(&text)?;
        // One that comes from the future was not kept by this clock.
        let age = Duration::from_millis(now.millis().checked_sub(at.millis())?);
        (age <= AGE_MAX && listing.server == *target.server()).then_some(KeptOne { listing, age })
    }

    /// Keeps what a server answered just now. What cannot be kept is not.
    pub fn keep(&self, target: &Target, options: &EnumerateOptions, listing: &Listing) {
        let kept = kept_text(listing, clock::now()).ok().filter(|text| text.len() <= LISTING_BYTES_MAX);
        // What was kept before is not what the server says now.
        let _ = fs::remove_file(self.path(target, options));
        self.make_room();
        let write = |text: String| {
            // A temporary file is 0600 from its first byte.
            let mut file = tempfile::Builder::new().prefix(".new-").tempfile_in(&self.folder)?;
            file.write_all(text.as_bytes())?;
            file.persist(self.path(target, options)).map_err(|error| error.error)
        };
        let _ = kept.map(write);
    }

    /// Takes away what is too old, and the oldest where there are too many.
    fn make_room(&self) {
        let entries = fs::read_dir(&self.folder).into_iter().flatten().flatten();
        let mut listings: Vec<(Duration, PathBuf)> = entries
            .filter(|entry| entry.file_name().to_str().is_some_and(is_kept_one))
            .filter_map(|entry| {
                Some((entry.metadata().ok()?.modified().ok()?.elapsed().unwrap_or_default(), entry.path()))
            })
            .collect();
        listings.sort();
        let is_over = |(at, (age, _)): &(usize, &(Duration, PathBuf))| *at + 1 >= LISTINGS_MAX || *age > AGE_MAX;
        for (_, (_, path)) in listings.iter().enumerate().filter(is_over) {
            let _ = fs::remove_file(path);
        }
    }

    /// Where the answer of a server to a question is kept.
    fn path(&self, target: &Target, options: &EnumerateOptions) -> PathBuf {
        let mut words = Words(Vec::new());
        words.push(env!("CARGO_PKG_VERSION"));
        words.push(target.server().as_str());
        words.push(&options.capabilities.to_string());
        words.push(match options.wanted {
            Wanted::Everything => "everything",
            Wanted::Tools => "tools",
        });
        words.push(match options.home {
            Home::Scratch => "scratch",
            Home::Real => "real",
        });
        match target {
            Target::Stdio(target) => words.command(target),
            Target::Http(target) => words.url(target),
        }
        // A key of this length is always taken.
        let digest = Hmac::<Sha256>::new_from_slice(&self.key).map(|mac| mac.chain_update(&words.0).finalize());
        let name: String = digest
            .map(|digest| digest.into_bytes().iter().map(|byte| format!("{byte:02x}")).collect())
            .unwrap_or_default();
        self.folder.join(format!("{name}.json"))
    }
}

/// Whether a file is named as those are that are kept, or half kept. Others in the folder are not ours.
fn is_kept_one(name: &str) -> bool {
    let digest = name.strip_suffix(".json").filter(|digest| digest.len() == 64);
    name.starts_with(".new-") || digest.is_some_and(|digest| digest.bytes().all(|byte| byte.is_ascii_hexdigit()))
}

/// The folder of the user's listings; `None` where there is to be none.
fn place() -> Option<PathBuf> {
    Some(crate::state::cache_folder(|name| std::env::var_os(name))?.join("scans"))
}

/// Words one after the other, so that no two lists of them are the same bytes.
struct Words(Vec<u8>);

impl Words {
    fn push(&mut self, word: &str) {
        self.0.extend(word.len().to_le_bytes());
        self.0.extend(word.as_bytes());
    }

    fn secrets(&mut self, secrets: &BTreeMap<String, Secret>) {
        self.push(&secrets.len().to_string());
        for (name, value) in secrets {
            self.push(name);
            self.push(value.reveal());
        }
    }

    /// What would be started: program, arguments, variables, and the place where it would be. Of files that are named, also
    /// how they are: a server that is just being written is another one after each change.
    fn command(&mut self, target: &StdioTarget) {
        self.push("command");
        let folder = target.cwd.clone().or_else(|| std::env::current_dir().ok()).unwrap_or_default();
        self.push(&folder.to_string_lossy());
        self.push(&std::env::var("PATH").unwrap_or_default());
        for word in &target.argv {
            self.push(word);
            if let Some(found) = fs::metadata(folder.join(word)).ok().filter(Metadata::is_file) {
                self.push(&format!("{} {:?}", found.len(), found.modified().ok()));
            }
        }
        self.secrets(&target.env);
        self.push(&format!("{:?}", target.confinement));
    }

    fn url(&mut self, target: &HttpTarget) {
        self.push("url");
        self.push(target.url.as_str());
        self.secrets(&target.headers);
        self.push(target.token.as_ref().map(|token| token.get()).as_ref().map_or("", Secret::reveal));
    }
}

/// Whether only our user can have written this.
#[cfg(unix)]
fn is_own(found: &Metadata) -> bool {
    use std::os::unix::fs::MetadataExt as _;
    !found.is_symlink() && found.uid() == rustix::process::geteuid().as_raw() && found.mode() & 0o022 == 0
}

#[cfg(not(unix))]
fn is_own(found: &Metadata) -> bool {
    !found.is_symlink()
}

/// `a moment`, `1 minute`, `12 minutes`.
pub(in crate::commands) fn ago(age: Duration) -> String {
    match age.as_secs() / 60 {
        0 => "a moment".to_owned(),
        1 => "1 minute".to_owned(),
        minutes => format!("{minutes} minutes"),
    }
}

#[cfg(test)]
#[cfg(unix)]
#[expect(clippy::unwrap_used, reason = "a test that cannot go on must fail")]
mod tests {
    use super::*;
    use crate::model::ServerName;
    use std::os::unix::fs::PermissionsExt as _;

    fn target(argv: &[&str], key: &str) -> Target {
        let mut target = StdioTarget::new(ServerName::new("s"), argv.iter().map(|&word| word.to_owned()).collect());
        target.env.insert("KEY".to_owned(), Secret::new(key));
        Target::Stdio(target)
    }

    fn listing() -> Listing {
        let mut found = Vec::new();
        let text = r#"{"server":"s","tools":[{"name":"a"}]}"#;
        crate::catalog::read(text.as_bytes(), "s.json", &mut |it| found.push(it.unwrap())).unwrap();
        found.remove(0)
    }

    fn options() -> EnumerateOptions {
        EnumerateOptions::new(Duration::from_secs(1))
    }

    fn kept() -> (tempfile::TempDir, KeptListings) {
        let folder = tempfile::tempdir().unwrap();
        let place = folder.path().join("cache").join("scans");
        assert!(KeptListings::open_in(&place).is_none(), "looking makes nothing");
        let kept = KeptListings::make_in(&place).unwrap();
        (folder, kept)
    }

    fn files(kept: &KeptListings) -> Vec<PathBuf> {
        let all = fs::read_dir(&kept.folder).unwrap().map(|entry| entry.unwrap().path());
        all.filter(|path| path.extension().is_some_and(|end| end == "json")).collect()
    }

    #[test]
    fn the_same_question_alone_has_the_same_answer() {
        let (folder, kept) = kept();
        let (one, options) = (target(&["npx", "a"], "hush"), options());
        kept.keep(&one, &options, &listing());
        assert_eq!(kept.find(&one, &options).unwrap().listing.tools.len(), 1);
        for other in [target(&["npx", "b"], "hush"), target(&["npx", "a"], "other"), target(&["npxa"], "hush")] {
            assert!(kept.find(&other, &options).is_none());
        }
        let others = [
            EnumerateOptions { home: Home::Real, ..options.clone() },
            EnumerateOptions { wanted: Wanted::Tools, ..options.clone() },
            EnumerateOptions { capabilities: serde_json::json!({"roots": {}}), ..options.clone() },
        ];
        assert!(others.iter().all(|other| kept.find(&one, other).is_none()));
        // Another user of this machine has another key, so the names of files say nothing to anyone.
        let other = KeptListings::make_in(&folder.path().join("other")).unwrap();
        assert_ne!(kept.path(&one, &options).file_name(), other.path(&one, &options).file_name());
    }

    #[test]
    fn a_program_that_was_changed_is_another_one() {
        let (folder, kept) = kept();
        let program = folder.path().join("server.py");
        fs::write(&program, "1").unwrap();
        let one = target(&["python3", program.to_str().unwrap()], "hush");
        kept.keep(&one, &options(), &listing());
        assert!(kept.find(&one, &options()).is_some());
        fs::write(&program, "1 and more").unwrap();
        assert!(kept.find(&one, &options()).is_none());
    }

    #[test]
    fn what_is_old_or_of_tomorrow_is_not_taken() {
        let (_folder, kept) = kept();
        let (one, options) = (target(&["npx"], "hush"), options());
        kept.keep(&one, &options, &listing());
        let at = read_kept(&fs::read_to_string(kept.path(&one, &options)).unwrap()).unwrap().1.millis();
        let most = u64::try_from(AGE_MAX.as_millis()).unwrap();
        for (now, is_found) in [(at, true), (at + most, true), (at + most + 1, false), (at - 1, false)] {
            let found = kept.find_at(&one, &options, Timestamp::from_millis(now));
            assert_eq!(found.is_some(), is_found, "{now}");
        }
    }

    #[test]
    fn what_is_broken_or_not_ours_is_nothing() {
        let (_folder, kept) = kept();
        let (one, options) = (target(&["npx"], "hush"), options());
        kept.keep(&one, &options, &listing());
        let path = kept.path(&one, &options);
        assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
        assert_eq!(fs::metadata(&kept.folder).unwrap().permissions().mode() & 0o777, 0o700);
        let text = fs::read_to_string(&path).unwrap();
        assert!(!text.contains("hush"), "{text}");
        let set = |path: &Path, mode| fs::set_permissions(path, fs::Permissions::from_mode(mode)).unwrap();
        set(&path, 0o666);
        assert!(kept.find(&one, &options).is_none(), "others could have written it");
        set(&path, 0o600);
        for broken in ["", "{}", &text[..text.len() / 2], &"x".repeat(LISTING_BYTES_MAX + 1)] {
            fs::write(&path, broken).unwrap();
            assert!(kept.find(&one, &options).is_none());
        }
        let elsewhere = path.with_extension("elsewhere");
        fs::write(&elsewhere, &text).unwrap();
        fs::remove_file(&path).unwrap();
        std::os::unix::fs::symlink(&elsewhere, &path).unwrap();
        assert!(kept.find(&one, &options).is_none(), "a link is no file of ours");
        set(&kept.folder, 0o777);
        assert!(KeptListings::make_in(&kept.folder).is_none(), "others can put files there");
        set(&kept.folder, 0o700);
        fs::write(kept.folder.join("key"), "short").unwrap();
        assert!(KeptListings::make_in(&kept.folder).is_none());
    }

    #[test]
    fn only_so_many_are_kept() {
        let (_folder, kept) = kept();
        let options = options();
        let of_others = kept.folder.join("notes.json");
        fs::write(&of_others, "{}").unwrap();
        for number in 0..LISTINGS_MAX + 3 {
            kept.keep(&target(&[&number.to_string()], "hush"), &options, &listing());
        }
        fs::remove_file(of_others).unwrap();
        assert_eq!(files(&kept).len(), LISTINGS_MAX);
        assert!(kept.find(&target(&[&(LISTINGS_MAX + 2).to_string()], "hush"), &options).is_some(), "the newest stays");
    }
}
