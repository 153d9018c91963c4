//! The words by which parameters that hand something over are known: what ends their names, and what their texts say.

use super::hazard::Hazard;
use crate::model::Category;

/// A hazard with the words that end such a parameter's name, and words of which one in its text means it.
pub(super) struct HazardKind {
    pub(super) hazard: Hazard,
    pub(super) names: &'static [&'static str],
    pub(super) told: &'static [&'static str],
}

/// In the order in which a name is looked up: what it is, its last word says (a `folderUid` is an id and no folder).
pub(super) const KINDS: &[HazardKind] = &[
    HazardKind {
        hazard: Hazard::Code,
        names: &[
            "bash",
            "cmd",
            "code",
            "command",
            "commands",
            "cypher",
            "eval",
            "exec",
            "expression",
            "function",
            "javascript",
            "pipeline",
            "program",
            "python",
            "script",
            "scripts",
            "shell",
            "sql",
            "statement",
        ],
        told: &[
            "execut",
            "run ",
            "runs ",
            "evaluat",
            "code to",
            "script to",
            "command to",
            "javascript",
            "python",
            "shell",
            "sql",
            "query to",
            "pipeline",
        ],
    },
    HazardKind {
        hazard: Hazard::Credentials,
        names: &[
            "account",
            "apikey",
            "auth",
            "authorization",
            "credential",
            "credentials",
            "kubeconfig",
            "passphrase",
            "password",
            "profile",
            "secret",
            "token",
        ],
        told: &[
            "access key",
            "account",
            "api key",
            "auth",
            "credential",
            "key",
            "log in",
            "login",
            "password",
            "permission",
            "profile",
            "secret",
            "token",
        ],
    },
    HazardKind {
        hazard: Hazard::Arguments,
        names: &["arg", "args", "argv", "cliflags"],
        told: &["argument", "args", "command line", "command-line", "flag", "launch", "option", "pass", "process"],
    },
    HazardKind {
        hazard: Hazard::Headers,
        names: &["cookie", "cookies", "header", "headers"],
        told: &["header", "cookie"],
    },
    HazardKind {
        hazard: Hazard::Recipient,
        names: &[
            "address",
            "attendees",
            "bcc",
            "cc",
            "channel",
            "chat",
            "email",
            "emails",
            "invitees",
            "phone",
            "recipient",
            "recipients",
            "to",
        ],
        told: &["attendee", "cc ", "deliver", "invite", "notif", "recipient", "send", "sent", "share"],
    },
    HazardKind {
        hazard: Hazard::Url,
        names: &[
            "callback",
            "endpoint",
            "host",
            "hostname",
            "href",
            "link",
            "origin",
            "proxy",
            "uri",
            "url",
            "urls",
            "webhook",
            "websocket",
        ],
        told: &[
            "call back",
            "callback",
            "connect",
            "deliver",
            "download",
            "fetch",
            "forward",
            "load",
            "navigate",
            "notif",
            "open",
            "post",
            "proxy",
            "redirect",
            "request",
            "send",
            "upload",
            "webhook",
        ],
    },
    HazardKind {
        hazard: Hazard::Path,
        names: &[
            "cwd",
            "dest",
            "destination",
            "dir",
            "directory",
            "file",
            "filename",
            "filepath",
            "files",
            "folder",
            "glob",
            "output",
            "path",
            "paths",
            "root",
            "workdir",
        ],
        told: &[
            "absolute",
            "directory",
            "disk",
            "export to",
            "filesystem",
            "file system",
            "local",
            "output file",
            "save",
            "saving",
            "upload",
            "working dir",
            "write",
            "written",
        ],
    },
];

/// Words before `code` and `expression`, `token` and `profile` that make something harmless of them.
pub(super) const HARMLESS: [&str; 24] = [
    "area",
    "continuation",
    "country",
    "cron",
    "currency",
    "cursor",
    "error",
    "exit",
    "language",
    "locale",
    "max",
    "next",
    "page",
    "postal",
    "promo",
    "region",
    "response",
    "start",
    "state",
    "status",
    "sync",
    "time",
    "voice",
    "zip",
];
/// What the text of a parameter says that points to code which is there, and hands none over.
pub(super) const LOCATING: [&str; 12] = [
    "address by",
    "addressing",
    "containing function",
    "fully qualified",
    "name of the function",
    "name of the method",
    "named function",
    "symbol",
    "text of the line",
    "text of the target line",
    "to look up",
    "where it is defined",
];
/// What the text of a `header` says that goes with a request.
pub(super) const REQUESTS: [&str; 4] = ["authoriz", "bearer", "http", "request"];
/// Words of names around the address of somebody from whom something comes.
pub(super) const SENDERS: [&str; 5] = ["author", "committer", "from", "sender", "tagger"];
/// Words of names of a state that a caller has seen.
pub(super) const STATES: [&str; 7] = ["checksum", "etag", "expected", "hash", "revision", "sha", "version"];
/// What a text says of a value that has to be met before anything is done.
pub(super) const HOLDS: [&str; 6] =
    ["does not match", "has changed since", "is rejected if", "only if it still", "still match", "unless it matches"];
/// What places that are no files of the machine lie in.
pub(super) const ELSEWHERE: [&str; 12] = [
    "branch",
    "bucket",
    "drive",
    "issue",
    "json path",
    "jsonpath",
    "notebook",
    "object",
    "project",
    "remote",
    "repo",
    "url path",
];
/// Words of switches that set something aside or do more harm.
pub(super) const FORCE: [&str; 21] = [
    "admin",
    "bypass",
    "cascade",
    "delete",
    "destructive",
    "disable",
    "force",
    "insecure",
    "override",
    "overwrite",
    "permanent",
    "privileged",
    "prune",
    "purge",
    "recursive",
    "skip",
    "sudo",
    "trust",
    "unrestricted",
    "unsafe",
    "wipe",
];
/// Acts beside those of [`VALUES`] that are held back where nobody forces them.
pub(super) const FORCED: [&str; 14] = [
    "close", "install", "kill", "merge", "publish", "push", "rebase", "refund", "reset", "restart", "stop", "unlock",
    "update", "write",
];
/// What a switch's text says when a safeguard goes.
pub(super) const FORCE_TOLD: [&str; 25] = [
    "approval",
    "bypass",
    "cascad",
    "confirm",
    "danger",
    "delet",
    "destr",
    "disable check",
    "even if",
    "irrevers",
    "overwrit",
    "permanent",
    "permission",
    "protect",
    "purge",
    "recursiv",
    "remov",
    "safe",
    "sandbox",
    "skip valid",
    "unmerged",
    "verif",
    "warning",
    "wipe",
    "without check",
];
/// Names of switches and texts that hold a call back or try it out.
pub(super) const GUARDS: [&str; 11] = [
    "confirm",
    "confirmation",
    "confirmed",
    "dry",
    "dryrun",
    "preview",
    "readonly",
    "safe",
    "sandbox",
    "simulate",
    "validate",
];
/// Words of names that take what is sent along.
pub(super) const CONTENT: [&str; 6] = ["attach", "attachment", "attachments", "forward", "forwarded", "forwarding"];
/// What lists of ids name that are put on one thing, and are not what is acted on.
pub(super) const PARTS: [&str; 11] =
    ["attribute", "categories", "category", "facet", "genre", "hashtag", "keyword", "label", "skill", "tag", "topic"];
/// Words of names that take many things at once.
pub(super) const BULK: [&str; 4] = ["all", "batch", "bulk", "everything"];
/// Words of a value which destroys, runs, or opens to everyone, with the category that they make of a tool.
pub(super) const VALUES: [(&str, Category); 21] = [
    ("clear", Category::Delete),
    ("delete", Category::Delete),
    ("destroy", Category::Delete),
    ("drop", Category::Delete),
    ("prune", Category::Delete),
    ("purge", Category::Delete),
    ("remove", Category::Delete),
    ("truncate", Category::Delete),
    ("wipe", Category::Delete),
    ("deploy", Category::Execute),
    ("eval", Category::Execute),
    ("exec", Category::Execute),
    ("execute", Category::Execute),
    ("force", Category::Execute),
    ("kill", Category::Execute),
    ("run", Category::Execute),
    ("shell", Category::Execute),
    ("stop", Category::Execute),
    ("sudo", Category::Execute),
    ("reset", Category::Write),
    ("public", Category::Write),
];
/// Words that a value begins with which asks for something.
pub(super) const READING: [&str; 11] =
    ["check", "count", "describe", "fetch", "find", "get", "list", "query", "search", "show", "view"];
/// Words of the text of an expression that computes a value or picks one.
pub(super) const FORMULAS: [&str; 8] =
    ["cron", "filter", "jmespath", "jsonpath", "math", "metric", "regular expression", "xpath"];
/// Names of objects that say something about a thing.
pub(super) const ABOUT: [&str; 4] = ["annotations", "labels", "meta", "metadata"];
/// Names of parameters whose value says what is done.
pub(super) const ACTIONS: [&str; 10] =
    ["action", "actions", "command", "method", "mode", "op", "operation", "operations", "task", "verb"];
