//! The catalogue of findings: what each id means and what to do about it.

use crate::model::{Finding, Severity};

/// One kind of finding. An id never changes its meaning.
#[derive(Clone, Copy, Debug)]
pub struct Kind {
    /// The stable id.
    pub id: &'static str,
    /// The worst severity that it is raised with.
    pub severity: Severity,
    /// What it is, in a few words.
    pub title: &'static str,
    /// What it means, in one or two sentences.
    pub meaning: &'static str,
    /// What to do about it.
    pub advice: &'static str,
    /// Where more is written: OWASP MCP Top Ten, CWE, the specification.
    pub references: &'static [&'static str],
}

/// The kind with this id.
pub fn find(id: &str) -> Option<&'static Kind> {
    KINDS.iter().find(|kind| kind.id == id)
}

/// A finding about one tool; an empty name is the server.
pub(super) fn finding(id: &'static str, severity: Severity, tool: &str, message: String) -> Finding {
    Finding { id: id.to_owned(), severity, message, tool: tool.to_owned() }
}

/// Every kind, in the order of the ids.
pub const KINDS: &[Kind] = &[
    Kind {
        id: "annotation-contradicts",
        severity: Severity::Error,
        title: "an annotation contradicts what the tool does",
        meaning: "The server declares the tool read-only, or its deletion harmless, while name, text or schema say otherwise. \
                  Clients that trust the annotation will not ask before they call it.",
        advice: "Believe the class, not the annotation. Report it to the server's authors; keep the tool behind a limit or an approval.",
        references: &["MCP specification, ToolAnnotations", "CWE-451"],
    },
    Kind {
        id: "annotations-missing",
        severity: Severity::Note,
        title: "no tool of the server carries annotations",
        meaning: "Not one tool says whether it reads, writes or destroys, so clients cannot tell them apart and ask for all or for none.",
        advice: "Nothing to do for a policy, which does not rest on annotations. Ask the authors to add readOnlyHint and destructiveHint.",
        references: &["MCP specification, ToolAnnotations"],
    },
    Kind {
        id: "annotations-uniform",
        severity: Severity::Warning,
        title: "every tool carries the same annotations although they differ",
        meaning: "Tools that read and tools that change or delete are declared alike: the annotations were filled in without looking.",
        advice: "Treat the server's annotations as absent.",
        references: &["MCP specification, ToolAnnotations"],
    },
    Kind {
        id: "declared-twice",
        severity: Severity::Warning,
        title: "one name, two definitions on one server",
        meaning: "The server lists a tool twice with different definitions. Which of the two a client shows and which one runs is anybody's guess.",
        advice: "Judge the name by the worse of the two; report it to the authors.",
        references: &["CWE-694"],
    },
    Kind {
        id: "dispatches-tools",
        severity: Severity::Warning,
        title: "the tool calls other tools",
        meaning: "The caller names another tool and hands over its arguments. A rule for the inner tool by its name does not see such a call.",
        advice: "Hide it, or hold the argument that names the inner tool to a list (`args.NAME in [...]`).",
        references: &["OWASP MCP Top Ten: MCP02 privilege escalation via scope creep", "CWE-441"],
    },
    Kind {
        id: "hidden-characters",
        severity: Severity::Error,
        title: "characters that people do not see and models read",
        meaning: "Bidirectional overrides, tag characters, terminal escapes or runs of invisible characters show a person another text than the \
                  model gets. A single zero-width character in running text is mostly a leftover, and only noted.",
        advice: "Error and warning: do not allow the tool before you know why they are there. Note: nothing.",
        references: &["OWASP MCP Top Ten: MCP03 tool poisoning", "CWE-1007", "Unicode TR 36"],
    },
    Kind {
        id: "instructs-model",
        severity: Severity::Error,
        title: "the text gives the model orders that the user does not see",
        meaning: "A text asks the assistant for something beyond the tool's own job: its own context or private files carried along, other tools \
                  bent, later sessions changed, orders fetched from elsewhere, something kept from the user; or it has two independent signs of \
                  tool poisoning.",
        advice: "Read the definition as a whole (`mcpol explain`). If it does what it says, do not connect to the server.",
        references: &["OWASP MCP Top Ten: MCP03 tool poisoning", "OWASP LLM01 prompt injection", "CWE-1427"],
    },
    Kind {
        id: "lethal-trifecta",
        severity: Severity::Warning,
        title: "private data, text from strangers and a way out in one set",
        meaning: "Taken together the tools read private data, take in text that strangers wrote, and can send data out. Whoever writes that text can \
                  make the agent carry the data away; no single tool is at fault. One path of three tools is named; a way out by code that runs is a note.",
        advice: "Do not give one agent all three legs: split the servers, or hide, limit or approve the way out.",
        references: &["OWASP Agentic: ASI01 agent goal hijack", "CWE-200"],
    },
    Kind {
        id: "lookalike-name",
        severity: Severity::Error,
        title: "a name that imitates another with look-alike letters",
        meaning: "The name mixes Latin letters with Cyrillic, Greek or full-width ones inside one word, so that it looks like a name that it is not.",
        advice: "Do not allow the tool before its authors explain the name.",
        references: &["CWE-1007", "Unicode TR 39"],
    },
    Kind {
        id: "plain-http",
        severity: Severity::Warning,
        title: "the server is reached over unencrypted HTTP",
        meaning: "Whoever is on the way can read the calls and rewrite tools and results.",
        advice: "Use https; plain http is for this machine only.",
        references: &["CWE-319"],
    },
    Kind {
        id: "read-only-claim",
        severity: Severity::Note,
        title: "a query tool whose read-only is only said",
        meaning: "The tool takes a free-form statement and says that it runs only reading ones. Nothing in the schema holds it to that.",
        advice: "Give the server a database account that can only read.",
        references: &["CWE-250"],
    },
    Kind {
        id: "same-name",
        severity: Severity::Warning,
        title: "the same tool name on two servers",
        meaning: "A client that does not prefix names calls whichever server comes last; a model may mean one and get the other. Warned of where \
                  the two differ in class, noted otherwise.",
        advice: "Give policies per server. In clients without prefixes, drop one of the two.",
        references: &["OWASP MCP Top Ten: MCP09 shadow servers", "CWE-694"],
    },
    Kind {
        id: "secret-in-config",
        severity: Severity::Warning,
        title: "a secret is written out in the configuration",
        meaning: "A token, key or password stands in the configuration or on the command line, where backups, process lists and other programs read it.",
        advice: "Refer to an environment variable or an input of the client instead, and rotate the secret if the file was shared.",
        references: &["OWASP MCP Top Ten: MCP01 token mismanagement and secret exposure", "CWE-798"],
    },
    Kind {
        id: "speaks-of-other-server",
        severity: Severity::Warning,
        title: "the text speaks of another server's tool",
        meaning: "The description names a tool that only another server of the set offers. That is how one server bends the use of another \
                  (tool shadowing); it may also be an honest hint.",
        advice: "Read the sentence. If it changes how the other tool is used, do not connect the two to one agent.",
        references: &["OWASP MCP Top Ten: MCP03 tool poisoning", "CWE-1427"],
    },
    Kind {
        id: "unpinned-package",
        severity: Severity::Warning,
        title: "the command runs whatever version is newest today",
        meaning: "`npx -y pkg`, `uvx pkg` and images without a digest fetch another program whenever a version is published; what you \
                  reviewed is not what runs tomorrow.",
        advice: "Name one version: `npx -y pkg@1.2.3`, `uvx pkg@1.2.3`, `image@sha256:…`.",
        references: &["OWASP MCP Top Ten: MCP04 supply chain", "CWE-494"],
    },
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_are_sorted_and_unique() {
        assert!(KINDS.windows(2).all(|pair| pair[0].id < pair[1].id));
        assert!(find("plain-http").is_some() && find("plain").is_none());
    }
}
