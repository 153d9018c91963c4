//! The codes of `mcpol check` and `mcpol policy check`: stable, one documented page each (`docs/checks/`).

use crate::model::Severity;
use serde::{Deserialize, Serialize};
use std::fmt;
use std::str::FromStr;

macro_rules! codes {
    ($($code:ident, $least:ident..$worst:ident, $title:literal, $help:literal;)+) => {
        /// What kind of difference or mistake a finding is about. A code never changes its meaning.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, schemars::JsonSchema)]
        pub enum Code {
            $(#[doc = $title] $code,)+
        }

        impl Code {
            /// Every code, in order.
            pub const ALL: &'static [Self] = &[$(Self::$code),+];

            /// The code as it is written.
            pub const fn as_str(self) -> &'static str {
                match self { $(Self::$code => stringify!($code)),+ }
            }

            /// What it is, in a few words.
            pub const fn title(self) -> &'static str {
                match self { $(Self::$code => $title),+ }
            }

            /// What to do about it, in a sentence or two.
            pub const fn help(self) -> &'static str {
                match self { $(Self::$code => $help),+ }
            }

            /// The least and the worst severity that it is raised with.
            pub const fn severities(self) -> (Severity, Severity) {
                match self { $(Self::$code => (Severity::$least, Severity::$worst)),+ }
            }
        }
    };
}

codes! {
    D001, Note..Error, "new tool", "Look at the tool with `mcpol explain`; accept it with `mcpol lock --update SERVER/TOOL`, or pin the server's version.";
    D002, Note..Note, "tool gone", "Remove the tool from the policy and accept the change with `mcpol lock --update`.";
    D003, Warning..Warning, "tool renamed", "Rules go by name: move those of the old name to the new one, then accept with `mcpol lock --update`.";
    D004, Note..Note, "server gone", "Remove it with `mcpol lock`, or name it again among the servers that are checked.";
    D010, Note..Note, "description changed", "Read the new text as the model will, then accept it with `mcpol lock --update`.";
    D011, Note..Error, "text gained a cue", "Do not accept the text before somebody can say why it has to be there.";
    D012, Note..Note, "title changed", "Clients show titles to people who approve calls: read the new one, then accept it.";
    D020, Note..Error, "schema opened", "Calls pass that were refused before: bound the parameter in the policy, or accept it.";
    D021, Note..Note, "schema narrowed", "Calls that worked may be refused: look at what relies on them, then accept it.";
    D022, Note..Warning, "schema changed otherwise", "What is accepted stays the same as far as can be told; read the difference, then accept it.";
    D023, Note..Note, "output schema changed", "Whatever reads the results may have to follow; accept it with `mcpol lock --update`.";
    D030, Note..Error, "class went up", "Give the tool the rules that its new class deserves (`mcpol gen-policy`), then accept it.";
    D031, Note..Note, "class went down", "Make sure that the tool really does less, and not only says so; then accept it.";
    D040, Note..Warning, "annotation flipped to the safer side", "Clients may stop asking: believe the claim only if the tool really does less now.";
    D041, Note..Warning, "annotation flipped to the riskier side", "The server itself says that the tool does more: give it stricter rules, then accept it.";
    D042, Note..Note, "other member changed", "Read the difference, then accept it with `mcpol lock --update`.";
    D050, Note..Error, "source changed", "Make sure that this is the server that you mean, then write the lock anew.";
    D051, Note..Note, "what the server says of itself changed", "Nothing to do if the update was yours; accept it with `mcpol lock --update`.";
    D060, Note..Error, "new prompt or resource", "Read it as the model will, then accept it with `mcpol lock --update SERVER`.";
    D061, Note..Warning, "prompt or resource gone", "Nothing to do if nobody needs it; accept it with `mcpol lock --update SERVER`.";
    D062, Note..Note, "prompt or resource changed", "Read the new text as the model will, then accept it with `mcpol lock --update SERVER`.";
    D063, Note..Error, "prompt or resource gained a cue", "Do not accept the text before somebody can say why it has to be there.";
    D064, Warning..Error, "template opened", "Make sure that the server itself refuses what must not be read, then accept it.";
    R001, Note..Warning, "reclassified by new rules", "The tool is as it was, the rules are not: look at the new class, then accept it with `mcpol lock --update`.";
    P001, Warning..Error, "policy allows a tool that nobody reviewed", "Review the tool and lock it, or take it out of the policy.";
    P002, Note..Error, "policy names a tool that does not exist", "Correct the name, or remove the entry.";
    P003, Note..Error, "policy is weaker than recommended", "Tighten it (`mcpol check --fix-policy` writes the change), or accept it in mcpol.toml with a reason.";
    P004, Warning..Error, "condition cannot match any more", "The rule protects nothing now: write it for the schema as it is.";
    P005, Warning..Warning, "policy changed since the lock", "If the change was reviewed, accept it with `mcpol lock --update`.";
    P010, Error..Error, "file is no policy", "Correct what the message names: until then nothing of the file holds.";
    P011, Warning..Error, "no call can pass", "Take one of the two rules back, or hide the tool if nobody is meant to call it.";
    P012, Warning..Warning, "requirement says what is not allowed", "Write it as a refusal (`deny_if`), or say what is allowed.";
    P013, Warning..Warning, "hidden tool has rules", "Remove the rules, or take the tool out of `hide`.";
    P014, Warning..Warning, "limit never bites", "Remove the limit, or set it below the one that is always reached first.";
    P015, Error..Error, "part is not portable", "Leave it out, or do not ask for `--portable`.";
    P016, Warning..Warning, "refusal is escaped by leaving an argument out", "Require the argument as well (`exists`), or require what is allowed instead.";
    P017, Note..Warning, "expression matches anywhere", "Anchor it: `^` in front and `$` behind.";
    P018, Note..Warning, "rule is never read", "Remove the rule, or put it before the one that decides.";
    P019, Error..Error, "schema cannot be used", "Leave `validate` out for this tool, and write the conditions yourself.";
    P020, Warning..Warning, "decisions are not enforced", "Remove `mode` once the log shows what is refused.";
    P021, Warning..Error, "operator never compares the argument", "Use an operator for the type that the schema declares.";
    P022, Warning..Error, "tool has no such argument", "Correct the name, or remove the condition.";
    P023, Note..Warning, "tool is not mentioned", "`mcpol gen-policy --merge` adds rules for what is new.";
    P024, Warning..Warning, "value never occurs", "Correct the value: the schema lists those that there are.";
    P025, Warning..Error, "policy allows what has an open finding", "Read the text as a model would: hide it, or ask a person first; what is explained can be switched off in mcpol.toml with a reason.";
    P026, Note..Error, "entry matches nothing that the server offers", "Correct the name or the URI, or remove the entry.";
    P027, Warning..Warning, "entry allows everything", "Name what may be taken, or say with `\"allow\"` that all may be.";
    P028, Warning..Warning, "flow never decides", "Give the tools that it is about their `flags` (`mcpol gen-policy --flows` writes them), or remove it.";
    P029, Warning..Warning, "flags leave out what the tool is", "Add the flag, so that `flows` know the tool for what it is.";
}

impl fmt::Display for Code {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}

impl FromStr for Code {
    type Err = String;
    fn from_str(text: &str) -> Result<Self, String> {
        Self::ALL.iter().copied().find(|code| code.as_str().eq_ignore_ascii_case(text)).ok_or_else(|| {
            let known: Vec<_> = Self::ALL.iter().map(|code| code.as_str()).collect();
            format!("`{}` is not one of {}", crate::text::excerpt(text, 40), known.join(", "))
        })
    }
}
