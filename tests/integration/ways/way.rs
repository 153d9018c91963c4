//! The ways through the gateway, and one gateway on one of them.

use super::client::Client;
use super::server::{Act, Script, Seen, Server};
use crate::gateway::http::Served;
use crate::gateway::{Gateway, LINE_SECONDS_MAX, log_in, only, sandbox};
use crate::harness::Sandbox;
use crate::wire::scripted;
use serde_json::{Value, json};
use std::fmt;
use std::sync::Arc;
use std::time::{Duration, Instant};

/// How clients come in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Front {
    /// Standard streams of a process of their own.
    Stdio,
    /// The server's own endpoint over HTTP.
    Http,
    /// The endpoint of all servers together.
    Joint,
}

/// What the server is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Back {
    /// Reached over HTTP.
    Url,
    /// A child process for each session.
    Command,
    /// A child process for all sessions of a grant.
    Shared,
}

/// What binds requests together.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Era {
    /// A handshake and a session.
    Session,
    /// Nothing: every request stands alone.
    Stateless,
}

/// One way from a client to a server.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Way {
    pub front: Front,
    pub back: Back,
    pub era: Era,
}

impl fmt::Display for Way {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?} -> {:?}, {:?}", self.front, self.back, self.era)
    }
}

/// The server's name in the gateway.
pub const NAME: &str = "one";

impl Way {
    /// Every way there is.
    pub fn all() -> Vec<Self> {
        let mut ways = Vec::new();
        for front in [Front::Stdio, Front::Http, Front::Joint] {
            for back in [Back::Url, Back::Command, Back::Shared] {
                for era in [Era::Session, Era::Stateless] {
                    // Over standard streams there is one session; what stands alone always shares a child.
                    if back != Back::Shared || (front != Front::Stdio && era == Era::Session) {
                        ways.push(Self { front, back, era });
                    }
                }
            }
        }
        ways
    }

    /// A tool's name as the client knows it.
    pub fn tool(self, own: &str) -> String {
        if self.front == Front::Joint { format!("{NAME}__{own}") } else { own.to_owned() }
    }

    /// A listed tool with the server's own name; `None` for one of another server.
    pub fn own(self, mut tool: Value) -> Option<Value> {
        if self.front == Front::Joint {
            let own = tool["name"].as_str().unwrap().strip_prefix(NAME)?.strip_prefix("__")?.to_owned();
            tool["name"] = own.into();
        }
        Some(tool)
    }

    /// Whether the server is a child process.
    pub fn is_command(self) -> bool {
        self.back != Back::Url
    }
}

/// What a promise is tried with.
#[derive(Clone)]
pub struct Setup {
    policy: Value,
    tools: Value,
    script: Script,
    call_timeout: u32,
    approval_wait: u32,
    restart: u32,
    grants: bool,
    reviewed: Option<Value>,
    upstream: Option<String>,
    proxy: Option<String>,
    patience: u64,
    variables: &'static [(&'static str, &'static str)],
    tells: bool,
    flags: &'static [&'static str],
    audit: Option<&'static str>,
    annotate: Option<&'static str>,
}

/// Stands for the server's own address in [`Setup::proxy`].
pub const ITSELF: &str = "itself";

impl Setup {
    /// These tools may be called, by these rules, and the server has no others.
    pub fn of(rules: &Value) -> Self {
        Self::policy(&only(rules.clone()))
    }

    /// A whole policy, and a server with the tools that it names.
    pub fn policy(policy: &Value) -> Self {
        let names = policy["tools"].as_object().map(|tools| tools.keys().cloned().collect::<Vec<_>>());
        let tools: Vec<Value> = names.unwrap_or_default().iter().map(|name| tool(name)).collect();
        Self {
            policy: policy.clone(),
            tools: tools.into(),
            script: Arc::new(|_| Act::Usual),
            call_timeout: 600,
            approval_wait: 50,
            restart: 0,
            grants: false,
            reviewed: None,
            upstream: None,
            proxy: None,
            patience: LINE_SECONDS_MAX,
            variables: &[],
            tells: false,
            flags: &[],
            audit: None,
            annotate: None,
        }
    }

    /// The server lists these tools.
    pub fn listing(self, tools: &Value) -> Self {
        Self { tools: tools.clone(), ..self }
    }

    /// A script looks at every message that reaches the server.
    pub fn script(self, script: impl Fn(&mut super::server::Asked) -> Act + Send + Sync + 'static) -> Self {
        Self { script: Arc::new(script), ..self }
    }

    /// Calls of these tools are held back until the test answers them.
    pub fn holding(self, tools: &'static [&'static str]) -> Self {
        self.script(|asked| if tools.iter().any(|tool| asked.seen.calls(tool)) { Act::Held } else { Act::Usual })
    }

    /// A call is given up after so many seconds.
    pub fn call_timeout(self, seconds: u32) -> Self {
        Self { call_timeout: seconds, ..self }
    }

    /// A call waits so many seconds for a person.
    pub fn approval_wait(self, seconds: u32) -> Self {
        Self { approval_wait: seconds, ..self }
    }

    /// Nothing may take longer than so many seconds, because a bound of the gateway is much shorter.
    pub fn patience(self, seconds: u64) -> Self {
        Self { patience: seconds, ..self }
    }

    /// A child that died is started again so often.
    pub fn restart(self, times: u32) -> Self {
        Self { restart: times, ..self }
    }

    /// The gateway holds the server to a lock of these tools.
    pub fn locked(self, reviewed: &Value) -> Self {
        self.locked_list(&json!({"tools": reviewed}))
    }

    /// The gateway holds the server to a lock of this saved list: tools, and what is offered beside them.
    pub fn locked_list(self, list: &Value) -> Self {
        Self { reviewed: Some(list.clone()), ..self }
    }

    /// The gateway is told this URL, and a proxy in its environment; [`ITSELF`] is the server's own address.
    pub fn proxy(self, upstream: Option<&str>, proxy: &str) -> Self {
        Self { upstream: upstream.map(str::to_owned), proxy: Some(proxy.to_owned()), ..self }
    }

    /// The gateway has these variables in its environment.
    pub fn variables(self, variables: &'static [(&'static str, &'static str)]) -> Self {
        Self { variables, ..self }
    }

    /// The gateway is started with these flags as well.
    pub fn flags(self, flags: &'static [&'static str]) -> Self {
        Self { flags, ..self }
    }

    /// The gateway serves hints of tools so.
    pub fn annotate(self, how: &'static str) -> Self {
        Self { annotate: Some(how), ..self }
    }

    /// The log goes there.
    pub fn audit(self, path: &'static str) -> Self {
        Self { audit: Some(path), ..self }
    }

    /// A command tells what it sees, and leaves a process behind; see [`scripted::TELLS`].
    pub fn telling(self) -> Self {
        Self { tells: true, ..self }
    }

    /// Two grants, [`Who::Alice`] and [`Who::Bob`].
    pub fn grants(self) -> Self {
        Self { grants: true, ..self }
    }
}

/// Whose grant a client has.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Who {
    Alice,
    Bob,
}

impl Who {
    fn name(self) -> &'static str {
        match self {
            Self::Alice => "alice",
            Self::Bob => "bob",
        }
    }

    /// The token, and its SHA-256 in hexadecimal digits.
    fn token(self) -> (&'static str, &'static str) {
        match self {
            Self::Alice => ("mcpol_token-of-alice", "94ab40bd3046a011c7dc0958533f817d5ddb97550ae32845f4283490c56ff317"),
            Self::Bob => ("mcpol_token-of-bob", "98b342f20586292e7745bea37791378d33d58886f1b7f89998c053ab95134852"),
        }
    }
}

/// A tool that takes anything.
pub fn tool(name: &str) -> Value {
    json!({"name": name, "description": format!("Does {name}."), "inputSchema": {"type": "object"}})
}

/// One way, and everything that stands along it.
pub struct Cell {
    pub way: Way,
    pub server: Server,
    sandbox: Sandbox,
    setup: Setup,
    served: Option<Served>,
    patience: Duration,
}

/// How long a cell may wait that is known to be red: it is to fail, and need not take a minute for it.
const RED_SECONDS: u64 = 4;

impl Cell {
    /// Starts the server, and over HTTP the gateway.
    pub fn new(way: Way, setup: &Setup, is_known_red: bool) -> Self {
        let patience = Duration::from_secs(if is_known_red { RED_SECONDS } else { setup.patience });
        let server = Server::start(&setup.tools, Arc::clone(&setup.script), patience);
        let mut sandbox = sandbox(&setup.policy);
        if let Some(proxy) = &setup.proxy {
            let proxy = if proxy == ITSELF { server.url.trim_end_matches("/mcp") } else { proxy };
            for name in ["http_proxy", "HTTP_PROXY", "ALL_PROXY"] {
                sandbox = sandbox.with_env(name, proxy);
            }
        }
        for (name, value) in setup.variables {
            sandbox = sandbox.with_env(name, value);
        }
        if let Some(reviewed) = &setup.reviewed {
            let mut list = reviewed.clone();
            list["slug"] = NAME.into();
            sandbox.write("list.json", &list.to_string());
            sandbox.run(&["lock", "--tools", "list.json"]).both(0);
        }
        let mut cell = Self { way, server, sandbox, setup: setup.clone(), served: None, patience };
        if way.front != Front::Stdio {
            cell.sandbox.write("mcpol.toml", &cell.config());
            cell.serve();
        }
        cell
    }

    fn serve(&mut self) {
        let args = [&["enforce", "--config", "mcpol.toml"], self.setup.flags].concat();
        self.served = Some(Served::run(self.sandbox.command(&args)));
    }

    /// Clients come to another gateway from now on, which has the state of the one before. Over standard streams each has
    /// its own anyway.
    pub fn another_gateway(&mut self) {
        if self.served.take().is_some() {
            self.serve();
        }
    }

    fn upstream(&self) -> &str {
        self.setup.upstream.as_deref().unwrap_or(&self.server.url)
    }

    fn environment(&self) -> impl Iterator<Item = (&'static str, String)> {
        let tells = self.setup.tells.then(|| (scripted::TELLS, "1".to_owned()));
        let played = [(scripted::SCRIPT, "wire".to_owned()), (scripted::PORT, self.server.port.to_string())];
        played.into_iter().chain(tells)
    }

    fn config(&self) -> String {
        let setup = &self.setup;
        let mut one = json!({"policy": "policy.json", "roots": ["file:///srv/of-operator"]});
        if self.way.is_command() {
            one["command"] = scripted::target("wire").argv.into();
            one["env"] = self.environment().map(|(name, value)| (name, Value::from(value))).collect();
            one["per"] = if self.way.back == Back::Shared { "grant" } else { "session" }.into();
            one["restart"] = setup.restart.into();
        } else {
            one["url"] = self.upstream().into();
        }
        if setup.reviewed.is_some() {
            one["locked"] = "mcpol.lock".into();
        }
        if let Some(how) = setup.annotate {
            one["annotate"] = how.into();
        }
        let mut config = json!({
            "gateway": {"listen": "127.0.0.1:0", "call_timeout": format!("{}s", setup.call_timeout),
                        "approval_wait": format!("{}s", setup.approval_wait)},
            "servers": {NAME: one},
        });
        if let Some(path) = setup.audit {
            config["gateway"]["audit"] = path.into();
        }
        if self.way.front == Front::Joint {
            let other = Server::start(&json!([tool("other")]), Arc::new(|_| Act::Usual), self.patience);
            config["servers"]["two"] = json!({"url": other.url, "policy": "policy.json"});
        }
        if setup.grants {
            for who in [Who::Alice, Who::Bob] {
                let servers = if self.way.front == Front::Joint { json!([NAME, "two"]) } else { json!([NAME]) };
                config["grants"][who.name()] = json!({"servers": servers, "token_sha256": who.token().1});
            }
        }
        toml::to_string(&config).unwrap()
    }

    /// A client after its handshake.
    #[track_caller]
    pub fn client(&self) -> Client {
        self.client_of(Who::Alice)
    }

    /// A client that says in its handshake what it can do.
    #[track_caller]
    pub fn client_with(&self, capabilities: &Value) -> Client {
        let mut client = self.connect(Who::Alice).with_capabilities(capabilities);
        client.greet();
        client
    }

    /// A client that has not shaken hands.
    pub fn stranger(&self) -> Client {
        self.stranger_of(Who::Alice)
    }

    /// A client of one of two grants that has not shaken hands.
    pub fn stranger_of(&self, who: Who) -> Client {
        self.connect(who)
    }

    /// A client of one of two grants.
    #[track_caller]
    pub fn client_of(&self, who: Who) -> Client {
        let mut client = self.connect(who);
        client.greet();
        client
    }

    fn connect(&self, who: Who) -> Client {
        match &self.served {
            Some(served) => {
                let headers = match self.setup.grants {
                    true => vec![format!("Authorization: Bearer {}", who.token().0)],
                    false => Vec::new(),
                };
                let path = if self.way.front == Front::Joint { "/mcp".to_owned() } else { format!("/mcp/{NAME}") };
                Client::http(self.way, &served.address, &path, headers, self.patience)
            }
            None => Client::stdio(self.way, self.gateway(who), self.patience),
        }
    }

    fn gateway(&self, who: Who) -> Gateway {
        let setup = &self.setup;
        let (timeout, wait) = (setup.call_timeout.to_string(), setup.approval_wait.to_string());
        let restart = setup.restart.to_string();
        let grant = if setup.grants { who.name() } else { "local" };
        let mut args = vec!["enforce", "--policy", "policy.json", "--name", NAME, "--grant", grant];
        args.extend(["--call-timeout", &timeout, "--approval-wait", &wait]);
        args.extend(setup.flags);
        args.extend(setup.audit.iter().flat_map(|path| ["--audit", *path]));
        if setup.reviewed.is_some() {
            args.extend(["--locked", "mcpol.lock"]);
        }
        args.extend(setup.annotate.iter().flat_map(|how| ["--annotate", *how]));
        let target = scripted::target("wire");
        if self.way.is_command() {
            args.extend(["--restart", &restart, "--"]);
            args.extend(target.argv.iter().map(String::as_str));
        } else {
            args.extend(["--upstream", self.upstream()]);
        }
        let mut command = self.sandbox.command(&args);
        command.envs(self.environment());
        Gateway::run(command)
    }

    /// Writes another policy; returns when the gateway has taken it.
    #[track_caller]
    pub fn set_policy(&self, policy: &Value) {
        let before = self.log().iter().filter(|line| line["event"] == "reload").count();
        self.sandbox.write("policy.json", &policy.to_string());
        self.logs_nth(before + 1, "a reload", |line| line["event"] == "reload");
    }

    /// Where the gateway runs.
    pub fn sandbox(&self) -> &Sandbox {
        &self.sandbox
    }

    /// The folder of policy, lock and configuration.
    pub fn folder(&self) -> std::path::PathBuf {
        self.sandbox.dir()
    }

    /// Waits until the gateway has said something like this on standard error.
    #[track_caller]
    pub fn says(&self, client: &Client, part: &str) {
        match &self.served {
            Some(served) => drop(served.hear(part)),
            None => client.hears_said(part),
        }
    }

    /// Runs `mcpol` beside the gateway; standard output.
    #[track_caller]
    pub fn run(&self, args: &[&str]) -> String {
        self.sandbox.run(args).both(0).0
    }

    /// What the log says so far.
    pub fn log(&self) -> Vec<Value> {
        log_in(&self.sandbox.dir().join("state"))
    }

    /// Waits until the log has so many lines like this; the last of them.
    #[track_caller]
    pub fn logs_nth(&self, times: usize, what: &str, is_it: impl Fn(&Value) -> bool) -> Value {
        let deadline = Instant::now() + self.patience;
        loop {
            let log = self.log();
            if let Some(line) = log.iter().filter(|line| is_it(line)).nth(times - 1) {
                return line.clone();
            }
            assert!(Instant::now() < deadline, "the log never had {what} ({times}): {log:#?}");
            // Nothing tells when a file grows; this only keeps the looks apart.
            std::thread::park_timeout(Duration::from_millis(5));
        }
    }

    /// Waits for a line of the log.
    #[track_caller]
    pub fn logs(&self, what: &str, is_it: impl Fn(&Value) -> bool) -> Value {
        self.logs_nth(1, what, is_it)
    }

    /// Waits until a call waits for a person; the approval's id.
    #[track_caller]
    pub fn question(&self, number: usize) -> String {
        let line = self.logs_nth(number, "a question", |line| line["verdict"] == "ask");
        line["approval"].as_str().unwrap_or_else(|| panic!("{line}")).to_owned()
    }

    /// A person says yes.
    #[track_caller]
    pub fn approve(&self, approval: &str) {
        self.run(&["approvals", "approve", approval]);
    }

    /// A person says yes, to what may not be asked any longer.
    pub fn approve_late(&self, approval: &str) {
        let _ = self.sandbox.run(&["approvals", "approve", approval]).code;
    }

    /// Asks the gateway to end.
    pub fn terminate(&self, client: &Client) {
        let pid = self.served.as_ref().map_or_else(|| client.pid(), |served| served.child.id());
        crate::gateway::http::terminate(pid);
    }

    /// Waits until nobody is asked any longer.
    #[track_caller]
    pub fn asks_nothing(&self) {
        let deadline = Instant::now() + self.patience;
        loop {
            let list = self.run(&["approvals", "list"]);
            if list.is_empty() {
                return;
            }
            assert!(Instant::now() < deadline, "still asked: {list}");
            // As above.
            std::thread::park_timeout(Duration::from_millis(50));
        }
    }

    /// How many calls of a tool have reached the server.
    pub fn calls(&self, tool: &str) -> usize {
        self.server.count(|seen: &Seen| seen.calls(tool))
    }
}
