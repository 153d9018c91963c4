//! JSON Schema of `mcpol.toml`, so that editors complete and check it. The types are for the schema alone, and their
//! comments are its descriptions: the file is read key by key ([`super::reader`]), because every problem in it is
//! reported with its place. A test holds the two together.
#![expect(dead_code, reason = "these types are never built, only described")]

use schemars::{JsonSchema, generate::SchemaSettings};
use std::collections::BTreeMap;

/// JSON Schema (2020-12) of `mcpol.toml`: `schemas/mcpol.schema.json`.
pub fn schema_text() -> String {
    let schema = SchemaSettings::draft2020_12().into_generator().into_root_schema_for::<File>();
    // A schema is a JSON value: printing it cannot fail.
    let mut text = serde_json::to_string_pretty(&schema).unwrap_or_default();
    text.push('\n');
    text
}

/// What the people of a project know better than the rules, and what the gateway runs.
#[derive(JsonSchema)]
#[schemars(title = "mcpol.toml", deny_unknown_fields)]
struct File {
    /// Verdicts of the classifier that a person has corrected.
    #[schemars(rename = "override")]
    overrides: Option<Vec<Override>>,
    /// Rules and findings that are switched off.
    disable: Option<Vec<Disable>>,
    /// Deviations from the lock that are accepted.
    accept: Option<Vec<Accept>>,
    /// The listener, and what all servers share.
    gateway: Option<Gateway>,
    /// The servers behind the gateway, by name. A name is the last segment of the server's URL: letters, digits, `-`
    /// and single `_`, at most 32.
    servers: Option<BTreeMap<String, Server>>,
    /// Callers, by name.
    grants: Option<BTreeMap<String, Grant>>,
    /// The issuer whose signed tokens callers may present.
    jwt: Option<Jwt>,
}

/// Corrects the classifier's verdict on one tool: the keys that are given replace what the rules found.
#[derive(JsonSchema)]
#[schemars(deny_unknown_fields)]
struct Override {
    /// The server, as scans call it.
    server: String,
    /// The tool, exactly as declared.
    tool: String,
    category: Option<crate::model::Category>,
    blast_radius: Option<crate::model::BlastRadius>,
    /// Without it, the risk follows from category and radius.
    risk: Option<crate::model::RiskLevel>,
    /// All flags; they replace those of the rules.
    flags: Option<Vec<crate::model::Flag>>,
    /// Why.
    reason: String,
    /// The last day on which it applies.
    expires: Option<String>,
}

#[derive(JsonSchema)]
#[schemars(deny_unknown_fields)]
struct Disable {
    /// Id of a rule or finding; `mcpol rules list` shows them.
    id: String,
    /// Why.
    reason: String,
}

#[derive(JsonSchema)]
#[schemars(deny_unknown_fields)]
struct Accept {
    /// The code of the deviation, for example `D001`.
    code: String,
    /// Only of this server.
    server: Option<String>,
    /// Only of this tool.
    tool: Option<String>,
    /// Why.
    reason: String,
    /// The last day on which it is accepted.
    expires: Option<String>,
}

#[derive(JsonSchema)]
#[schemars(deny_unknown_fields)]
struct Gateway {
    /// Address and port where clients connect; `127.0.0.1:8787` without it.
    listen: Option<String>,
    /// Address and port of `/healthz`, `/readyz`, `/metrics` and `/status`; without it there are none.
    admin: Option<String>,
    /// Counters, approvals and grants: a path, `memory:`, or `redis://…`; `${NAME}` stands for a variable.
    state: Option<String>,
    /// The audit log: a path, `-` for standard error, or `none`.
    audit: Option<String>,
    /// Certificate and key, for TLS without a reverse proxy.
    tls: Option<Tls>,
    /// Host names under which clients reach the gateway, beside those of this machine.
    hosts: Option<Vec<String>>,
    /// Origins of web pages that may call it.
    origins: Option<Vec<String>>,
    /// Web pages of these origins may read answers (CORS).
    cors: Option<bool>,
    /// Every caller needs a grant, even while there is none.
    require_grants: Option<bool>,
    /// How long a call may be without answer or progress; `10m` without it, `0s` is for ever.
    call_timeout: Option<String>,
    /// How long a call that wants approval waits for a person; `50s` without it.
    approval_wait: Option<String>,
    /// Requests that no revision of the protocol knows.
    unknown_methods: Option<UnknownMethods>,
    /// How long calls in flight may take when the gateway is asked to end; `5s` without it.
    drain: Option<String>,
}

#[derive(JsonSchema)]
#[schemars(untagged)]
enum UnknownMethods {
    /// All of them.
    All(UnknownWord),
    /// Those with exactly these methods are forwarded, and logged; the others are answered with the error: method not
    /// found.
    Some(Vec<String>),
}

#[derive(JsonSchema)]
#[schemars(rename_all = "lowercase")]
enum UnknownWord {
    /// The requests are forwarded, and logged.
    Forward,
    /// The requests are answered with the error: method not found.
    Refuse,
}

#[derive(JsonSchema)]
#[schemars(deny_unknown_fields)]
struct Tls {
    /// The certificate with its chain, PEM.
    cert: String,
    /// The private key, PEM.
    key: String,
}

/// One server: `url` or `command`.
#[derive(JsonSchema)]
#[schemars(deny_unknown_fields)]
struct Server {
    /// The server's URL (streamable HTTP).
    url: Option<String>,
    /// Program and arguments of a stdio server.
    command: Option<Vec<String>>,
    /// Headers for the URL; `${NAME}` stands for a variable.
    headers: Option<BTreeMap<String, String>>,
    /// Headers of clients that go on to the URL, by their exact names; all others end at the gateway.
    forward_headers: Option<Vec<String>>,
    /// Variables for the command, beside the few that programs need; `${NAME}` stands for a variable of the gateway.
    env: Option<BTreeMap<String, String>>,
    /// Working directory of the command.
    cwd: Option<String>,
    /// The user that the command runs as, by name or number, where the gateway is started as root.
    user: Option<String>,
    /// The group that it runs as; the user's own without it.
    group: Option<String>,
    /// Files that it may reach, beside what programs need to start (Linux, by Landlock).
    sandbox: Option<Sandbox>,
    /// Its policy.json; without it every call is refused, unless the grant brings one.
    policy: Option<String>,
    /// The lock that its tools are held to (`mcpol lock`): its entry with the server's name.
    locked: Option<String>,
    /// What becomes of calls of tools that are not as they were locked.
    on_change: Option<OnChange>,
    /// Folders, or `file://` URIs, that the server hears of when it asks a client for its roots; none without it.
    roots: Option<Vec<String>>,
    /// Which sessions share one child process of the command; each has its own without it.
    per: Option<Per>,
    /// How long a child may stay unused before it is ended; `10m` without it.
    idle: Option<String>,
    /// How many times a child that died is started again; none without it.
    restart: Option<u32>,
    /// Shadow mode: every call is decided on and logged, and forwarded all the same.
    shadow: Option<bool>,
    /// Clients are served hints of tools that the server does not declare, or declares wrongly; as declared without it.
    annotate: Option<Annotate>,
}

/// Files that a command may reach.
#[derive(JsonSchema)]
#[schemars(deny_unknown_fields)]
struct Sandbox {
    /// Files and directories that it may read, and run programs from.
    read: Option<Vec<String>>,
    /// Files and directories that it may also change.
    write: Option<Vec<String>>,
}

#[derive(JsonSchema)]
#[schemars(rename_all = "lowercase")]
enum OnChange {
    /// Calls are refused, and the tools are not listed.
    Deny,
    /// Calls are passed on and logged, and the operator is told once.
    Warn,
}

#[derive(JsonSchema)]
#[schemars(rename_all = "lowercase")]
enum Annotate {
    /// Hints that the server does not declare are filled in.
    Fill,
    /// Those, and hints that strong evidence contradicts are replaced.
    Correct,
}

#[derive(JsonSchema)]
#[schemars(rename_all = "lowercase")]
enum Per {
    /// One child for each session.
    Session,
    /// One child for all sessions of a grant.
    Grant,
}

/// One caller: `token_sha256` or `subject`.
#[derive(JsonSchema)]
#[schemars(deny_unknown_fields, extend("oneOf" = [{"required": ["token_sha256"]}, {"required": ["subject"]}]))]
struct Grant {
    /// Names of the servers that the grant is good for.
    servers: Vec<String>,
    /// The grant's own policy.json, instead of the servers'.
    policy: Option<String>,
    /// SHA-256 of its token in hexadecimal digits; or `subject`.
    token_sha256: Option<String>,
    /// The subject that an issuer's token names in its grant claim; or `token_sha256`.
    subject: Option<String>,
    /// The last day, or a moment in UTC.
    expires: Option<String>,
}

#[derive(JsonSchema)]
#[schemars(deny_unknown_fields)]
struct Jwt {
    /// The issuer's keys: an https URL or a file.
    jwks: String,
    /// The value that the token's `iss` must have.
    issuer: String,
    /// The value that the token's `aud` must contain.
    audience: String,
    /// The claim that names the caller; `sub` without it.
    grant_claim: Option<String>,
    /// Only callers whom a grant names as its `subject` are served.
    require_grant: Option<bool>,
}
