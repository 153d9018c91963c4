//! Circles of imports among the files of one crate: files that can only be understood together.
//!
//! An import is a path to another file's item, in a `use` or in the code; a `pub use` of a file below only hands on, and
//! who imports by it imports from the file that holds the item.

use crate::{code_only, is_test, without_tests};
use regex::Regex;
use std::collections::{BTreeMap, BTreeSet};

/// Most files that may import each other in a circle.
const CIRCLE_FILES_MAX: usize = 5;
/// Longest way from one `pub use` to the next that is followed.
const HANDS_MAX: usize = 8;

/// The path of a module from the crate's root, or of an item in it.
type Segments = Vec<String>;

/// One file: the modules that it declares, what it hands on under which name, and what it names.
#[derive(Default)]
struct Unit {
    module: Segments,
    declares: BTreeSet<String>,
    hands_on: BTreeMap<String, Segments>,
    names: Vec<Segments>,
}

/// The files of one crate.
pub struct Crate {
    units: BTreeMap<String, Unit>,
    by_module: BTreeMap<Segments, String>,
}

impl Crate {
    /// Reads the files below `source`, tests aside.
    pub fn read(source: &str, sources: &[(String, String)]) -> Self {
        let mut units = BTreeMap::new();
        for (file, text) in sources {
            let Some(inside) = file.strip_prefix(source).and_then(|rest| rest.strip_prefix('/')) else { continue };
            if !is_test(file) {
                units.insert(file.clone(), Unit::read(inside, &code_only(without_tests(text))));
            }
        }
        let by_module = units.iter().map(|(file, unit)| (unit.module.clone(), file.clone())).collect();
        Self { units, by_module }
    }

    /// The file that a path of `file` leads to; none outside of the crate.
    fn find(&self, file: &str, path: &[String], hands: usize) -> Option<&str> {
        let unit = self.units.get(file)?;
        let (mut module, mut at) = (unit.module.clone(), 0);
        match path.first()?.as_str() {
            "crate" => {
                module.clear();
                at = 1;
            }
            "super" | "self" => {
                for segment in path.iter().take_while(|segment| matches!(segment.as_str(), "super" | "self")) {
                    if segment == "super" {
                        module.pop()?;
                    }
                    at += 1;
                }
            }
            below if unit.declares.contains(below) => {}
            _ => return None,
        }
        while let Some(segment) = path.get(at) {
            module.push(segment.clone());
            if !self.by_module.contains_key(&module) {
                module.pop();
                break;
            }
            at += 1;
        }
        let found = self.by_module.get(&module)?;
        let handed = path.get(at).and_then(|item| self.units.get(found)?.hands_on.get(item));
        match handed.filter(|_| found != file && hands > 0) {
            Some(path) => self.find(found, path, hands - 1).or(Some(found)),
            None => Some(found),
        }
    }

    /// Who imports from whom, by which paths.
    fn imports(&self) -> BTreeMap<&str, BTreeMap<&str, String>> {
        let of = |file: &str, unit: &Unit| {
            let found = unit.names.iter().filter_map(|path| Some((self.find(file, path, HANDS_MAX)?, path.join("::"))));
            found.filter(|(other, _)| *other != file).collect()
        };
        self.units.iter().map(|(file, unit)| (file.as_str(), of(file, unit))).collect()
    }

    /// Circles of too many files, each with the imports that make it.
    pub fn too_large(&self) -> Vec<String> {
        let imports = self.imports();
        let circles = circles(&imports).into_iter().filter(|circle| circle.len() > CIRCLE_FILES_MAX);
        let show = |circle: BTreeSet<&str>| {
            let mut text = format!("{} files import each other:", circle.len());
            for file in &circle {
                let within = imports[file].iter().filter(|(other, _)| circle.contains(*other));
                let within: Vec<_> = within.map(|(other, path)| format!("{other} ({path})")).collect();
                text.push_str(&format!("\n    {file} from {}", within.join(", ")));
            }
            text
        };
        circles.map(show).collect()
    }
}

/// Sets of files that reach each other. A crate has a few hundred files, so each is simply asked what it reaches.
fn circles<'c>(imports: &BTreeMap<&'c str, BTreeMap<&'c str, String>>) -> Vec<BTreeSet<&'c str>> {
    let reach = |from: &'c str| {
        let (mut reached, mut open) = (BTreeSet::new(), vec![from]);
        while let Some(file) = open.pop() {
            open.extend(imports[file].keys().filter(|other| reached.insert(**other)));
        }
        reached
    };
    let reached: BTreeMap<&str, BTreeSet<&str>> = imports.keys().map(|file| (*file, reach(file))).collect();
    let circle = |file: &&'c str| -> BTreeSet<&'c str> {
        reached[file].iter().filter(|other| reached[*other].contains(file)).copied().collect()
    };
    let found: BTreeSet<_> = imports.keys().map(circle).filter(|circle| circle.len() > 1).collect();
    found.into_iter().collect()
}

impl Unit {
    /// Reads a file's code; `inside` is its path below the folder of sources.
    fn read(inside: &str, code: &str) -> Self {
        let mut module: Segments = inside.trim_end_matches(".rs").split('/').map(str::to_owned).collect();
        if module.last().is_some_and(|last| last == "mod" || last == "lib") {
            module.pop();
        }
        let mut unit = Self { module, ..Self::default() };
        let mods = Regex::new(r"(?m)^\s*(?:pub(?:\([^)]*\))? )?mod (\w+);").unwrap();
        unit.declares = mods.captures_iter(code).map(|found| found[1].to_owned()).collect();
        let uses = Regex::new(r"(?m)^[ \t]*(pub(?:\([^)]*\))? )?use ([^;]+);").unwrap();
        for found in uses.captures_iter(code) {
            for path in leaves(&found[2]) {
                let name = path.iter().rev().find(|segment| *segment != "self").cloned().unwrap_or_default();
                if found.get(1).is_some() {
                    unit.hands_on.insert(name, path);
                } else {
                    unit.names.push(path);
                }
            }
        }
        // `pub(in crate::…)` says who may look, and imports nothing.
        let rest = uses.replace_all(code, "").replace("(in crate", "(");
        let paths = Regex::new(r"(?:^|[^\w:])((?:crate|super|self|[a-z_]\w*)(?:::\w+)+)").unwrap();
        unit.names.extend(paths.captures_iter(&rest).map(|found| found[1].split("::").map(str::to_owned).collect()));
        unit
    }
}

/// The paths of a `use`, groups opened and new names left out.
fn leaves(tree: &str) -> Vec<Segments> {
    fn open(before: &[String], tree: &str, found: &mut Vec<Segments>) {
        let (head, group) = match tree.split_once('{') {
            Some((head, group)) => (head, Some(group)),
            None => (tree.split(" as ").next().unwrap_or_default(), None),
        };
        let head = head.split("::").map(str::trim).filter(|segment| !segment.is_empty()).map(str::to_owned);
        let path: Segments = before.iter().cloned().chain(head).collect();
        let Some(group) = group else {
            if path.len() > before.len() {
                found.push(path);
            }
            return;
        };
        let (mut depth, mut start) = (0_usize, 0);
        for (at, c) in group.char_indices() {
            match c {
                '{' => depth += 1,
                ',' | '}' if depth == 0 => {
                    open(&path, group[start..at].trim(), found);
                    start = at + 1;
                }
                '}' => depth -= 1,
                _ => {}
            }
        }
    }
    let mut found = Vec::new();
    open(&[], tree.trim(), &mut found);
    found
}

#[test]
fn a_circle_is_seen_through_what_is_handed_on() {
    let file = |name: &str, text: &str| (format!("src/{name}"), text.to_owned());
    let sources = [
        file("lib.rs", "pub mod a;\nmod b;"),
        file("a/mod.rs", "mod c;\npub use c::{Item, Other as Another};\nuse crate::b::{self, deep::{X, Y}};"),
        file(
            "a/c.rs",
            "use crate::b;\nfn f() -> super::super::b::X { b::x() }\n#[cfg(test)]\nmod tests { use crate::lib::Z; }",
        ),
        file("b.rs", "pub(in crate::a) fn x() {}\nfn g(item: crate::a::Item) {}\n// crate::a::Comment"),
    ];
    let all = Crate::read("src", &sources);
    let imports = all.imports();
    assert_eq!(imports["src/a/mod.rs"].keys().copied().collect::<Vec<_>>(), ["src/b.rs"]);
    assert_eq!(imports["src/b.rs"].keys().copied().collect::<Vec<_>>(), ["src/a/c.rs"]);
    let circles = circles(&imports);
    assert_eq!(circles, [BTreeSet::from(["src/a/c.rs", "src/b.rs"])]);
    assert!(all.too_large().is_empty());
}
