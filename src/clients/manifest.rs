//! Descriptions of servers that are no client's file: bundles (`manifest.json` of `.mcpb`) and entries of the registry
//! (`server.json`), read as the entries that a client makes of them.

use super::Client;
use super::document::{Node, Value};

/// The document as a client would write it into its own file, and whose form it is; `None` if it is no description.
pub(super) fn as_entries(root: &Node) -> Option<(Client, Node)> {
    let name = root.get("name").and_then(Node::as_text).unwrap_or("server");
    if let Some(config) = root.at(["server", "mcp_config"]).filter(|config| config.is_object()) {
        return Some((Client::of_id("bundle")?, servers(root, vec![(name.to_owned(), config.clone())])));
    }
    let lists = ["packages", "remotes"].map(|list| root.get(list).map(items).unwrap_or_default());
    let known = |node: &&Node| node.get("registryType").is_some() || node.get("registry_type").is_some();
    if !(lists[0].iter().any(|node| known(&node))
        || (lists[1].iter().any(|it| it.get("url").is_some()) && root.get("name").is_some()))
    {
        return None;
    }
    let mut entries = Vec::new();
    for (count, node) in lists[0].iter().filter_map(package).chain(lists[1].iter().map(remote)).enumerate() {
        let name = if count == 0 { name.to_owned() } else { format!("{name} ({})", count + 1) };
        entries.push((name, node));
    }
    Some((Client::of_id("registry")?, servers(root, entries)))
}

fn servers(root: &Node, entries: Vec<(String, Node)>) -> Node {
    let like = |value| Node { value, borrowed: true, ..root.clone() };
    like(Value::Object(vec![("mcpServers".to_owned(), like(Value::Object(entries)))]))
}

fn items(node: &Node) -> &[Node] {
    match &node.value {
        Value::Array(items) => items,
        Value::Object(_) | Value::Text(_) | Value::Plain(_) | Value::Bool(_) | Value::Null => &[],
    }
}

/// The command for a package of the registry; `None` for one that is not started by a runner we know.
fn package(package: &Node) -> Option<Node> {
    let text = |names: [&str; 2]| names.iter().find_map(|name| package.get(name)).and_then(Node::as_text);
    let identifier = text(["identifier", "name"])?;
    let version = text(["version", "version"]);
    let at =
        |sign: &str| version.map_or_else(|| identifier.to_owned(), |version| format!("{identifier}{sign}{version}"));
    let (runner, before, spec): (&str, &[&str], String) = match text(["registryType", "registry_type"])? {
        "npm" => ("npx", &["-y"], at("@")),
        "pypi" => ("uvx", &[], at("==")),
        "oci" => (
            "docker",
            &["run", "-i", "--rm"],
            if identifier.contains([':', '@']) { identifier.to_owned() } else { at(":") },
        ),
        _ => return None,
    };
    let runner = text(["runtimeHint", "runtime_hint"]).unwrap_or(runner);
    let texts = |value: &str| Node { value: Value::Text(value.to_owned()), ..package.clone() };
    let mut args: Vec<Node> = before.iter().map(|&word| texts(word)).collect();
    args.extend(arguments(package, "runtimeArguments").iter().map(|word| texts(word)));
    let environment = pairs(package, "environmentVariables");
    if runner == "docker" {
        args.extend(environment.iter().flat_map(|(name, _)| [texts("-e"), texts(name)]));
    }
    args.push(texts(&spec));
    args.extend(arguments(package, "packageArguments").iter().map(|word| texts(word)));
    let like = |value| Node { value, ..package.clone() };
    let members =
        [("command", texts(runner)), ("args", like(Value::Array(args))), ("env", like(Value::Object(environment)))];
    Some(like(Value::Object(members.map(|(name, node)| (name.to_owned(), node)).into())))
}

fn remote(remote: &Node) -> Node {
    let mut members = remote.members().to_vec();
    members.retain(|(name, _)| name != "headers");
    members.push(("headers".to_owned(), Node { value: Value::Object(pairs(remote, "headers")), ..remote.clone() }));
    Node { value: Value::Object(members), ..remote.clone() }
}

/// Arguments that have a value: `{"type": "positional", "value": …}` or `{"type": "named", "name": "--x", "value": …}`.
fn arguments(package: &Node, list: &str) -> Vec<String> {
    let mut words = Vec::new();
    for argument in package.get(list).map(items).unwrap_or_default() {
        let text = |name: &str| argument.get(name).and_then(Node::as_text);
        let value = text("value").or_else(|| text("default"));
        if text("type") == Some("named") {
            words.extend(text("name").map(str::to_owned));
        }
        words.extend(value.map(str::to_owned));
    }
    words
}

/// Variables or headers, a list of objects, as an object. One without a value is asked of our environment.
fn pairs(of: &Node, list: &str) -> Vec<(String, Node)> {
    let mut pairs = Vec::new();
    for pair in of.get(list).map(items).unwrap_or_default() {
        let text = |name: &str| pair.get(name).and_then(Node::as_text);
        let Some(name) = text("name") else { continue };
        let required = pair.get("isRequired").and_then(Node::as_bool) == Some(true);
        let value = match text("value").or_else(|| text("default")) {
            Some(value) => value.to_owned(),
            None if required => format!("${{input:{name}}}"),
            None => continue,
        };
        pairs.push((name.to_owned(), Node { value: Value::Text(value), ..pair.clone() }));
    }
    pairs
}
