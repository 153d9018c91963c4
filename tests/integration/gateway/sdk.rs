//! The official SDK at both ends and the gateway between them, over HTTP, in both eras of the protocol.

#![expect(deprecated, reason = "the older revisions have logging, sampling and roots, and clients still use them")]

#[expect(dead_code, reason = "an example has a `main`, which is not run here")]
#[path = "../../../examples/full_server/main.rs"]
mod full_server;

use super::*;
use full_server::Era;
use rmcp::model::{
    ArgumentInfo, CallToolRequestParams, CallToolResult, ClientCapabilities, ClientConfig, CompleteRequestParams,
    CreateMessageRequestParams, CreateMessageResult, ElicitRequestParams, ElicitResult, ElicitationAction, ErrorData,
    GetPromptRequestParams, Implementation, ListRootsResult, LoggingLevel, LoggingMessageNotificationParam,
    ProgressNotificationParam, ProtocolVersion, ReadResourceRequestParams, Reference, ResourceUpdatedNotificationParam,
    Root, SamplingMessage, ServerNotification, SetLevelRequestParams, SubscribeRequestParams, SubscriptionFilter,
    UnsubscribeRequestParams,
};
use rmcp::service::{NotificationContext, RequestContext, RunningService};
use rmcp::transport::StreamableHttpClientTransport;
use rmcp::{ClientHandler, ClientLifecycleMode, ClientServiceExt as _, RoleClient};
use std::net::SocketAddr;
use tokio::sync::mpsc::{UnboundedReceiver, UnboundedSender, unbounded_channel};

/// Longest that one step may take; generous, because nothing is measured by it.
const STEP: Duration = Duration::from_secs(60);

/// A client that answers every question and says what it heard.
struct Client {
    heard: UnboundedSender<String>,
}

impl ClientHandler for Client {
    fn get_info(&self) -> ClientConfig {
        let capabilities = ClientCapabilities::builder().enable_elicitation().enable_sampling().enable_roots().build();
        ClientConfig::new(capabilities, Implementation::new("test", "1"))
    }

    async fn create_message(
        &self,
        request: CreateMessageRequestParams,
        _: RequestContext<RoleClient>,
    ) -> Result<CreateMessageResult, ErrorData> {
        self.say("sampling", &json!(request.messages));
        Ok(CreateMessageResult::new(SamplingMessage::assistant_text("Paris."), "model".into()))
    }

    async fn create_elicitation(
        &self,
        request: ElicitRequestParams,
        _: RequestContext<RoleClient>,
    ) -> Result<ElicitResult, ErrorData> {
        self.say("elicitation", &json!(request));
        let all = json!({"name": "Ada", "color": "green", "ok": true, "username": "ada", "email": "ada@host.example"});
        Ok(ElicitResult::new(ElicitationAction::Accept).with_content(all))
    }

    async fn list_roots(&self, _: RequestContext<RoleClient>) -> Result<ListRootsResult, ErrorData> {
        Ok(ListRootsResult::new(vec![Root::new("file:///workspace")]))
    }

    async fn on_progress(&self, progress: ProgressNotificationParam, _: NotificationContext<RoleClient>) {
        self.say("progress", &json!(progress.progress));
    }

    async fn on_logging_message(&self, message: LoggingMessageNotificationParam, _: NotificationContext<RoleClient>) {
        self.say("log", &message.data);
    }

    async fn on_resource_updated(&self, update: ResourceUpdatedNotificationParam, _: NotificationContext<RoleClient>) {
        self.say("updated", &json!(update.uri));
    }
}

impl Client {
    fn say(&self, what: &str, value: &Value) {
        self.heard.send(format!("{what} {value}")).unwrap();
    }
}

/// Servers of one era, the gateway in front of them, and a client that is connected to the gateway.
struct Chain {
    client: RunningService<RoleClient, Client>,
    heard: UnboundedReceiver<String>,
    gateway: Child,
    servers: tokio::task::JoinSet<()>,
    _sandbox: Sandbox,
}

impl Chain {
    /// One server.
    async fn new(era: Era, policy: &Value, lifecycle: ClientLifecycleMode) -> Self {
        let mut servers = tokio::task::JoinSet::new();
        let url = serve(&mut servers, era);
        let sandbox = sandbox(policy);
        let mut args = vec!["enforce", "--policy", "policy.json", "--listen", "127.0.0.1:0", "--state", "memory:"];
        args.extend(["--audit", "none", "--upstream", &url]);
        let (gateway, address) = listening(&sandbox, &args);
        Self::connect(servers, sandbox, gateway, address, lifecycle).await
    }

    /// Several servers at the endpoint of all.
    async fn of_all(eras: &[(&str, Era)], policy: &Value, lifecycle: ClientLifecycleMode) -> Self {
        let mut servers = tokio::task::JoinSet::new();
        let mut text = String::from("[gateway]\nlisten = \"127.0.0.1:0\"\nstate = \"memory:\"\naudit = \"none\"\n");
        for (name, era) in eras {
            let url = serve(&mut servers, *era);
            text.push_str(&format!("[servers.{name}]\nurl = \"{url}\"\npolicy = \"policy.json\"\n"));
        }
        let sandbox = sandbox(policy);
        sandbox.write("mcpol.toml", &text);
        let (gateway, address) = listening(&sandbox, &["enforce", "--config", "mcpol.toml"]);
        Self::connect(servers, sandbox, gateway, address, lifecycle).await
    }

    async fn connect(
        servers: tokio::task::JoinSet<()>,
        sandbox: Sandbox,
        gateway: Child,
        address: SocketAddr,
        lifecycle: ClientLifecycleMode,
    ) -> Self {
        let (sender, heard) = unbounded_channel();
        let transport = StreamableHttpClientTransport::from_uri(format!("http://{address}/mcp"));
        let client = Client { heard: sender }.serve_with_lifecycle(transport, lifecycle);
        let client = tokio::time::timeout(STEP, client).await.unwrap().unwrap();
        Self { client, heard, gateway, servers, _sandbox: sandbox }
    }

    async fn call(&self, tool: &str, arguments: Value) -> CallToolResult {
        let request =
            CallToolRequestParams::new(tool.to_owned()).with_arguments(arguments.as_object().unwrap().clone());
        tokio::time::timeout(STEP, self.client.call_tool(request)).await.unwrap().unwrap()
    }

    async fn says(&self, tool: &str, arguments: Value) -> String {
        let result = self.call(tool, arguments).await;
        assert_ne!(result.is_error, Some(true), "{result:?}");
        result.content[0].as_text().unwrap().text.clone()
    }

    async fn hears(&mut self) -> String {
        tokio::time::timeout(STEP, self.heard.recv()).await.unwrap().unwrap()
    }

    /// Ends the client, and the gateway as an operator does.
    async fn end(mut self) {
        self.client.cancel().await.unwrap();
        let pid = self.gateway.id().to_string();
        std::process::Command::new("kill").args(["-TERM", &pid]).status().unwrap();
        let status = tokio::task::spawn_blocking(move || self.gateway.wait().unwrap()).await.unwrap();
        assert_eq!(status.code(), Some(0));
        self.servers.shutdown().await;
    }
}

/// Starts a server on a free port.
fn serve(servers: &mut tokio::task::JoinSet<()>, era: Era) -> String {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    listener.set_nonblocking(true).unwrap();
    let url = format!("http://{}/mcp", listener.local_addr().unwrap());
    servers.spawn(async move { full_server::serve(era, tokio::net::TcpListener::from_std(listener).unwrap()).await });
    url
}

/// Starts the gateway on a free port, and waits until it says where.
fn listening(sandbox: &Sandbox, args: &[&str]) -> (Child, SocketAddr) {
    let mut command = sandbox.command(args);
    let mut child = command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::piped()).spawn().unwrap();
    let mut words = BufReader::new(child.stderr.take().unwrap());
    let mut said = String::new();
    let address = loop {
        assert_ne!(words.read_line(&mut said).unwrap(), 0, "the gateway does not listen: {said}");
        if let Some((_, rest)) = said.split_once("listening on http://127.0.0.1:") {
            let port: String = rest.chars().take_while(char::is_ascii_digit).collect();
            break SocketAddr::from(([127, 0, 0, 1], port.parse().unwrap()));
        }
    };
    std::thread::spawn(move || std::io::copy(&mut words, &mut std::io::sink()));
    (child, address)
}

/// Runs a test that needs a client's event loop.
fn on_runtime(test: impl Future<Output = ()>) {
    // The SDK's client wants to know whose TLS to use, though it speaks plain HTTP here; another test may have said so.
    let _ = rustls::crypto::ring::default_provider().install_default();
    tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap().block_on(test);
}

fn policy() -> Value {
    json!({
        "version": "1", "default": "allow", "client": {"roots": "allow"}, "hide": ["test_audio_content"],
        "tools": {
            "test_image_content": {"action": "deny", "reason": "no pictures"},
            "test_simple_text": {"limits": [{"counter": "few", "window": "8784h", "max": 2, "scope": "grant"}]},
        },
    })
}

/// What holds in both eras.
async fn common(chain: &Chain) {
    let tools = chain.client.list_all_tools().await.unwrap();
    assert!(tools.iter().any(|tool| tool.name == "test_simple_text"), "{tools:?}");
    assert!(!tools.iter().any(|tool| tool.name == "test_audio_content"), "{tools:?}");
    assert_eq!(chain.says("test_simple_text", json!({})).await, "This is a simple text response for testing.");
    assert_eq!(chain.says("test_simple_text", json!({})).await, "This is a simple text response for testing.");
    let third = chain.call("test_simple_text", json!({})).await;
    assert_eq!(third.is_error, Some(true), "{third:?}");
    let denied = chain.call("test_image_content", json!({})).await;
    assert_eq!(denied.is_error, Some(true), "{denied:?}");
    assert!(denied.content[0].as_text().unwrap().text.contains("no pictures"), "{denied:?}");
    let prompt = GetPromptRequestParams::new("test_prompt_with_arguments")
        .with_arguments(json!({"arg1": "one", "arg2": "two"}).as_object().unwrap().clone());
    let prompt = chain.client.get_prompt(prompt).await.unwrap();
    assert!(json!(prompt).to_string().contains("arg1='one', arg2='two'"), "{prompt:?}");
    let resource = ReadResourceRequestParams::new("test://template/7/data");
    let resource = chain.client.read_resource(resource).await.unwrap();
    assert!(json!(resource).to_string().contains("Data for ID: 7"), "{resource:?}");
    let missing = chain.client.read_resource(ReadResourceRequestParams::new("test://nowhere")).await;
    assert!(missing.unwrap_err().to_string().contains("Resource not found"));
}

#[test]
fn the_sdk_speaks_through_the_gateway_in_sessions() {
    on_runtime(async {
        let mut chain = Chain::new(Era::Legacy, &policy(), ClientLifecycleMode::Initialize).await;
        common(&chain).await;
        // The server asks the client while its call is under way.
        let said = chain.says("test_elicitation", json!({"message": "Who is there?"})).await;
        assert!(said.contains("ada@host.example"), "{said}");
        assert!(chain.hears().await.contains("Who is there?"));
        let said = chain.says("test_sampling", json!({"prompt": "Capital of France?"})).await;
        assert!(said.contains("Paris."), "{said}");
        assert!(chain.hears().await.contains("Capital of France?"));
        // Messages arrive one by one, on the stream that the client keeps open.
        chain.says("test_tool_with_logging", json!({})).await;
        let mut heard = vec![chain.hears().await, chain.hears().await, chain.hears().await];
        heard.sort();
        assert_eq!(
            heard,
            ["log \"Tool execution completed\"", "log \"Tool execution started\"", "log \"Tool processing data\""]
        );
        chain.end().await;
    });
}

#[test]
fn the_sdk_speaks_through_the_gateway_without_sessions() {
    on_runtime(async {
        let lifecycle = ClientLifecycleMode::Discover { preferred_versions: vec![ProtocolVersion::V_2026_07_28] };
        let mut chain = Chain::new(Era::Modern, &policy(), lifecycle).await;
        common(&chain).await;
        // The client asks its user and its model, and calls again with the answers and the server's state.
        let said = chain.says("test_input_required_result_multi_round", json!({})).await;
        assert_eq!(said, "So it is green.");
        let said = chain.says("test_input_required_result_multiple_inputs", json!({})).await;
        assert_eq!(said, "All three arrived.");
        // An argument that the client repeats in a header, in letters that no header can have.
        assert_eq!(chain.says("test_region_header", json!({"region": "Zürich"})).await, "You are in Zürich.");
        let filter = SubscriptionFilter::builder().tools_list_changed().build();
        let mut subscription = chain.client.listen(filter).await.unwrap();
        chain.says("test_trigger_tool_change", json!({})).await;
        let change = tokio::time::timeout(STEP, subscription.next()).await.unwrap().unwrap();
        assert!(matches!(change, Some(ServerNotification::ToolListChangedNotification(_))), "{change:?}");
        subscription.cancel().await.unwrap();
        while !chain.hears().await.starts_with("sampling") {}
        chain.end().await;
    });
}

#[test]
fn a_client_that_knows_both_eras_finds_out_what_the_server_speaks() {
    on_runtime(async {
        let lifecycle = ClientLifecycleMode::Auto {
            preferred_versions: vec![ProtocolVersion::V_2026_07_28],
            legacy_version: Some(ProtocolVersion::V_2025_11_25),
        };
        let chain = Chain::new(Era::Modern, &policy(), lifecycle).await;
        common(&chain).await;
        chain.end().await;
    });
}

/// Everything that two servers give in sessions, to one client at one URL.
#[test]
fn the_sdk_uses_all_servers_at_once_in_sessions() {
    on_runtime(async {
        let eras = [("one", Era::Legacy), ("two", Era::Legacy), ("new", Era::Modern)];
        let mut chain = Chain::of_all(&eras, &policy(), ClientLifecycleMode::Initialize).await;
        let info = chain.client.peer_info().unwrap().clone();
        assert!(
            info.instructions.as_deref().is_some_and(|text| text.contains("## one") && text.contains("## two")),
            "{info:?}"
        );
        let tools = chain.client.list_all_tools().await.unwrap();
        let has = |name: &str| tools.iter().any(|tool| tool.name == name);
        assert!(has("one__test_sampling") && has("two__test_sampling"), "{tools:?}");
        assert!(!has("one__test_audio_content") && !tools.iter().any(|tool| tool.name.starts_with("new__")));
        let denied = chain.call("two__test_image_content", json!({})).await;
        assert!(denied.content[0].as_text().unwrap().text.contains("no pictures"), "{denied:?}");
        // Both servers ask at the same time, with ids of their own that begin at the same number.
        let (first, second) = tokio::join!(
            chain.says("one__test_sampling", json!({"prompt": "Capital of France?"})),
            chain.says("two__test_elicitation", json!({"message": "Who is there?"}))
        );
        assert!(first.contains("Paris.") && second.contains("ada@host.example"), "{first} {second}");
        assert_eq!(chain.says("two__test_roots", json!({})).await, "file:///workspace");
        let mut asked = vec![chain.hears().await, chain.hears().await];
        asked.sort();
        assert!(asked[0].starts_with("elicitation") && asked[1].starts_with("sampling"), "{asked:?}");
        chain.says("one__test_tool_with_progress", json!({})).await;
        // The client's SDK hears each on a task of its own, so in any order.
        let mut heard = [chain.hears().await, chain.hears().await, chain.hears().await];
        heard.sort();
        assert_eq!(heard, ["progress 0.0", "progress 100.0", "progress 50.0"]);
        let level = SetLevelRequestParams::new(LoggingLevel::Debug);
        chain.client.set_level(level).await.unwrap();
        chain.says("two__test_tool_with_logging", json!({})).await;
        let mut heard = [chain.hears().await, chain.hears().await, chain.hears().await];
        heard.sort();
        assert!(heard[0].contains("completed") && heard[2].contains("processing"), "{heard:?}");
        // The answer to a subscription is the first news of it, on the stream that the client listens on.
        chain.client.subscribe(SubscribeRequestParams::new("test://watched-resource")).await.unwrap();
        assert_eq!(chain.hears().await, "updated \"test://watched-resource\"");
        chain.client.unsubscribe(UnsubscribeRequestParams::new("test://watched-resource")).await.unwrap();
        let prompt = Reference::for_prompt("two__test_prompt_with_arguments");
        let typed = ArgumentInfo::new("arg1", "par");
        let completed = chain.client.complete(CompleteRequestParams::new(prompt, typed)).await.unwrap();
        assert_eq!(completed.completion.values, ["paris", "park", "party"]);
        let resource = ReadResourceRequestParams::new("test://template/7/data");
        let resource = chain.client.read_resource(resource).await.unwrap();
        assert!(json!(resource).to_string().contains("Data for ID: 7"), "{resource:?}");
        chain.end().await;
    });
}

/// The same without sessions.
#[test]
fn the_sdk_uses_all_servers_at_once_without_sessions() {
    on_runtime(async {
        let lifecycle = ClientLifecycleMode::Discover { preferred_versions: vec![ProtocolVersion::V_2026_07_28] };
        let eras = [("one", Era::Modern), ("two", Era::Modern), ("old", Era::Legacy)];
        let mut chain = Chain::of_all(&eras, &policy(), lifecycle).await;
        let tools = chain.client.list_all_tools().await.unwrap();
        assert!(tools.iter().any(|tool| tool.name == "two__test_region_header"), "{tools:?}");
        assert!(!tools.iter().any(|tool| tool.name.starts_with("old__")), "{tools:?}");
        let said = chain.says("two__test_input_required_result_multi_round", json!({})).await;
        assert_eq!(said, "So it is green.");
        assert_eq!(chain.says("one__test_region_header", json!({"region": "Zürich"})).await, "You are in Zürich.");
        let filter = SubscriptionFilter::builder().tools_list_changed().build();
        let mut subscription = chain.client.listen(filter).await.unwrap();
        for trigger in ["one__test_trigger_tool_change", "two__test_trigger_tool_change"] {
            chain.says(trigger, json!({})).await;
            let change = tokio::time::timeout(STEP, subscription.next()).await.unwrap().unwrap();
            assert!(matches!(change, Some(ServerNotification::ToolListChangedNotification(_))), "{change:?}");
        }
        subscription.cancel().await.unwrap();
        let resource = ReadResourceRequestParams::new("test://template/7/data");
        let resource = chain.client.read_resource(resource).await.unwrap();
        assert!(json!(resource).to_string().contains("Data for ID: 7"), "{resource:?}");
        while !chain.hears().await.starts_with("elicitation") {}
        chain.end().await;
    });
}
