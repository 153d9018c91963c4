//! What is remembered for one grant beyond a request: what shortened names stand for, and which server lists which
//! resource. What one grant was shown is not known to another.

use super::names;
use crate::gateway::mediate::lock;
use crate::gateway::task_owners::TaskOwners;
use std::collections::hash_map::RandomState;
use std::collections::{BTreeMap, HashMap, HashSet};
use std::hash::BuildHasher as _;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

/// Grants that something is remembered for; beyond, everything is learnt again.
pub(super) const GRANTS_MAX: usize = 4096;
/// What the names may take that are remembered for one grant because they had to be shortened, in bytes.
pub(super) const NAMES_BYTES_MAX: usize = 4 * 1024 * 1024;
/// Resources, and templates, of one server that are remembered for one grant; of longer lists the rest is looked up again.
pub(super) const PLACES_MAX: usize = 20_000;
/// How long a list of resources is believed where the server says nothing of changes.
const PLACES_KEPT: Duration = Duration::from_secs(300);
/// A list that does not hold what is asked for is read again if it is older.
const PLACES_FRESH: Duration = Duration::from_secs(5);

/// The memories of all grants.
#[derive(Debug, Default)]
pub(super) struct LearnedByGrant(Mutex<HashMap<Arc<str>, Arc<Learned>>>);

impl LearnedByGrant {
    /// What is remembered for a grant.
    pub(super) fn of(&self, grant: &Arc<str>) -> Arc<Learned> {
        let mut memories = lock(&self.0);
        if memories.len() >= GRANTS_MAX && !memories.contains_key(grant) {
            memories.clear();
        }
        Arc::clone(memories.entry(Arc::clone(grant)).or_default())
    }
}

/// What is remembered for one grant.
#[derive(Debug, Default)]
pub(super) struct Learned {
    names: Mutex<ShortNames>,
    places: Mutex<BTreeMap<String, ListedPlaces>>,
    hasher: RandomState,
    /// Tasks of requests without session.
    pub(super) tasks: TaskOwners,
}

#[derive(Debug, Default)]
struct ShortNames {
    /// Server, kind of list, the rest of the shortened name.
    known: HashMap<(String, &'static str, String), String>,
    bytes: usize,
}

/// What one server lists.
#[derive(Debug, Default)]
struct ListedPlaces {
    /// Hashes, with a key that no server knows: URIs can be long.
    resources: Option<(Instant, HashSet<u64>)>,
    templates: Option<(Instant, Vec<Box<str>>)>,
}

/// What a server has listed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Listed {
    /// Resources, by URI.
    Resources,
    /// Templates of URIs.
    Templates,
}

/// What is known of a server's list.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Age {
    /// It was read a moment ago.
    Fresh,
    /// It is believed.
    Known,
    /// It has to be read.
    Unknown,
}

impl Learned {
    /// A server lists a tool or prompt under this name.
    pub(super) fn learn_name(&self, server: &str, key: &'static str, name: &str, joined: &str) {
        let Some((_, rest)) = names::split(joined).filter(|(_, rest)| names::is_shortened(rest)) else {
            return;
        };
        let mut names = lock(&self.names);
        if names.bytes + name.len() > NAMES_BYTES_MAX {
            // They are learnt again from the servers' lists.
            *names = ShortNames::default();
        }
        let old = names.known.insert((server.to_owned(), key, rest.to_owned()), name.to_owned());
        if old.is_none() {
            names.bytes += name.len() + joined.len();
        }
    }

    /// The server's own name of a tool or prompt.
    pub(super) fn name(&self, server: &str, key: &'static str, rest: &str) -> Option<String> {
        if !names::is_shortened(rest) {
            return Some(rest.to_owned());
        }
        lock(&self.names).known.get(&(server.to_owned(), key, rest.to_owned())).cloned()
    }

    /// A server's list was read to its end.
    pub(super) fn learn_places<'a>(&self, server: &str, listed: Listed, all: impl Iterator<Item = &'a str>) {
        let mut places = lock(&self.places);
        let places = places.entry(server.to_owned()).or_default();
        let all = all.take(PLACES_MAX);
        match listed {
            Listed::Resources => {
                places.resources = Some((Instant::now(), all.map(|uri| self.hasher.hash_one(uri)).collect()));
            }
            Listed::Templates => places.templates = Some((Instant::now(), all.map(Into::into).collect())),
        }
    }

    /// A server says that it lists other resources now.
    pub(super) fn forget_places(&self, server: &str) {
        lock(&self.places).remove(server);
    }

    /// How well a server's list is known.
    pub(super) fn age(&self, server: &str, listed: Listed) -> Age {
        let places = lock(&self.places);
        let read = places.get(server).and_then(|places| match listed {
            Listed::Resources => places.resources.as_ref().map(|(read, _)| *read),
            Listed::Templates => places.templates.as_ref().map(|(read, _)| *read),
        });
        match read.map(|read| read.elapsed()) {
            Some(age) if age <= PLACES_FRESH => Age::Fresh,
            Some(age) if age <= PLACES_KEPT => Age::Known,
            Some(_) | None => Age::Unknown,
        }
    }

    /// The first of these servers that lists a URI, else the one whose template fits it best.
    pub(super) fn place<'s>(&self, uri: &str, servers: &[&'s str]) -> Option<&'s str> {
        let (places, hash) = (lock(&self.places), self.hasher.hash_one(uri));
        let believed = |read: &Instant| read.elapsed() <= PLACES_KEPT;
        let lists = |server: &&&str| {
            let resources = places.get(**server).and_then(|places| places.resources.as_ref());
            resources.is_some_and(|(read, hashes)| believed(read) && hashes.contains(&hash))
        };
        if let Some(server) = servers.iter().find(lists) {
            return Some(server);
        }
        let mut best: Option<(usize, &str)> = None;
        for server in servers {
            let templates = places.get(*server).and_then(|places| places.templates.as_ref());
            let Some((_, templates)) = templates.filter(|(read, _)| believed(read)) else { continue };
            let fit = templates.iter().filter_map(|template| fits(template, uri)).max();
            // The longest is the one that says most; of equals the first.
            best = match (best, fit) {
                (Some((so_far, _)), Some(fit)) if fit <= so_far => best,
                (_, Some(fit)) => Some((fit, server)),
                (_, None) => best,
            };
        }
        best.map(|(_, server)| server)
    }

    /// The first of these servers that lists a template to the letter.
    pub(super) fn place_of_template<'s>(&self, template: &str, servers: &[&'s str]) -> Option<&'s str> {
        let places = lock(&self.places);
        let lists = |server: &&&str| {
            let templates = places.get(**server).and_then(|places| places.templates.as_ref());
            templates.is_some_and(|(_, all)| all.iter().any(|known| &**known == template))
        };
        servers.iter().find(lists).copied()
    }
}

/// Whether a template (RFC 6570) can make this URI, going by the text between its expressions; how many bytes of it that
/// is.
fn fits(template: &str, uri: &str) -> Option<usize> {
    let mut pieces = template.split('{').enumerate().map(|(at, piece)| match at {
        0 => piece,
        _ => piece.split_once('}').map_or("", |(_, after)| after),
    });
    let first = pieces.next().unwrap_or_default();
    let mut rest = uri.strip_prefix(first)?;
    let (mut bytes, mut last) = (first.len(), None);
    for piece in pieces {
        if let Some(middle) = last.replace(piece) {
            rest = &rest[rest.find(middle)? + middle.len()..];
        }
        bytes += piece.len();
    }
    let is_whole = last.map_or(rest.is_empty(), |last| rest.ends_with(last));
    is_whole.then_some(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_template_fits_what_it_can_make() {
        for (template, uri, expected) in [
            ("a://{id}/data", "a://7/data", Some(9)),
            ("a://{id}/data", "a://7/other", None),
            ("a://{id}/data", "a:///data", Some(9)),
            ("a://{id}", "b://7", None),
            ("{+path}", "anything", Some(0)),
            ("a://x", "a://x", Some(5)),
            ("a://x", "a://xy", None),
            ("a://{x}/b/{y}", "a://1/b/2", Some(7)),
            ("a://{x}/b/{y}", "a://1/c/2", None),
            ("a://{x", "a://1", Some(4)),
        ] {
            assert_eq!(fits(template, uri), expected, "{template} {uri}");
        }
    }

    #[test]
    fn who_lists_a_uri_comes_before_who_could_make_it_and_says_most_before_less() {
        let memory = Learned::default();
        let servers = ["one", "three", "two"];
        assert_eq!(memory.age("one", Listed::Resources), Age::Unknown);
        memory.learn_places("one", Listed::Templates, ["{+any}", "x://{id}"].into_iter());
        memory.learn_places("two", Listed::Resources, ["x://1"].into_iter());
        memory.learn_places("three", Listed::Templates, ["x://deep/{id}"].into_iter());
        assert_eq!(memory.age("one", Listed::Templates), Age::Fresh);
        for (uri, expected) in [("x://1", "two"), ("x://2", "one"), ("x://deep/2", "three"), ("y://", "one")] {
            assert_eq!(memory.place(uri, &servers), Some(expected), "{uri}");
        }
        assert_eq!(memory.place("x://1", &["three"]), None);
        assert_eq!(memory.place_of_template("x://deep/{id}", &servers), Some("three"));
        memory.forget_places("two");
        assert_eq!(memory.place("x://1", &servers), Some("one"));
    }

    #[test]
    fn what_is_remembered_is_bounded() {
        let memory = Learned::default();
        let uris: Vec<String> = (0..=PLACES_MAX).map(|number| number.to_string()).collect();
        memory.learn_places("one", Listed::Resources, uris.iter().map(String::as_str));
        assert_eq!(memory.place(&uris[PLACES_MAX - 1], &["one"]), Some("one"));
        assert_eq!(memory.place(&uris[PLACES_MAX], &["one"]), None);
        let long = "x".repeat(NAMES_BYTES_MAX / 4);
        for number in 0..3 {
            memory.learn_name("one", "tools", &format!("{long}{number}"), &format!("one___{number}"));
        }
        assert!(memory.name("one", "tools", "_0").is_some_and(|name| name.len() == long.len() + 1));
        memory.learn_name("one", "tools", &long, "one___long");
        assert!(memory.name("one", "tools", "_0").is_none() && memory.name("one", "tools", "_long").is_some());
        memory.learn_name("one", "tools", "x", "one___x");
        assert_eq!(memory.name("one", "tools", "_0"), None);
        assert_eq!(memory.name("one", "tools", "_x").as_deref(), Some("x"));
        let memories = LearnedByGrant::default();
        let first = memories.of(&"0".into());
        (1..GRANTS_MAX).for_each(|number| drop(memories.of(&number.to_string().into())));
        assert!(Arc::ptr_eq(&first, &memories.of(&"0".into())));
        memories.of(&"one more".into());
        assert!(!Arc::ptr_eq(&first, &memories.of(&"0".into())));
    }

    #[test]
    fn one_grant_does_not_know_what_another_was_shown() {
        let memories = LearnedByGrant::default();
        let (alice, bob) = (memories.of(&"alice".into()), memories.of(&"bob".into()));
        alice.learn_name("one", "tools", "odd name", "one___hash");
        alice.learn_places("one", Listed::Resources, ["a://b"].into_iter());
        assert_eq!(alice.name("one", "tools", "_hash").as_deref(), Some("odd name"));
        assert_eq!(bob.name("one", "tools", "_hash"), None);
        assert_eq!(bob.place("a://b", &["one"]), None);
    }
}
