//! The official SDK at both ends and the gateway between them, over HTTP, in both eras of the protocol.

#![expect(deprecated, reason = "the older revisions have logging, sampling and roots, and clients still use them")]

#[expect(dead_code, reason = "an example has a `main`, which is not run here")]
#[path = "../../../examples/full_server/main.rs"]
mod full_server;

use super::*;
use full_server::Era;
use rmcp::model::{
    CallToolRequestParams, CallToolResult, ClientCapabilities, ClientConfig, CreateMessageRequestParams,
    CreateMessageResult, ElicitRequestParams, ElicitResult, ElicitationAction, ErrorData, GetPromptRequestParams,
    Implementation, ListRootsResult, LoggingMessageNotificationParam, ProgressNotificationParam, ProtocolVersion,
    ReadResourceRequestParams, Root, SamplingMessage, ServerNotification, SubscriptionFilter,
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
}

impl Client {
    fn say(&self, what: &str, value: &Value) {
        self.heard.send(format!("{what} {value}")).unwrap();
    }
}

/// A server of one era, the gateway in front of it, and a client that is connected to the gateway.
struct Chain {
    client: RunningService<RoleClient, Client>,
    heard: UnboundedReceiver<String>,
    gateway: Child,
    server: tokio::task::JoinHandle<()>,
    _sandbox: Sandbox,
}

impl Chain {
    async fn new(era: Era, policy: &Value, lifecycle: ClientLifecycleMode) -> Self {
        let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        listener.set_nonblocking(true).unwrap();
        let url = format!("http://{}/mcp", listener.local_addr().unwrap());
        let server = tokio::spawn(async move {
            full_server::serve(era, tokio::net::TcpListener::from_std(listener).unwrap()).await;
        });
        let sandbox = sandbox(policy);
        let (gateway, address) = listening(&sandbox, &["--upstream", &url]);
        let (sender, heard) = unbounded_channel();
        let transport = StreamableHttpClientTransport::from_uri(format!("http://{address}/mcp"));
        let client = Client { heard: sender }.serve_with_lifecycle(transport, lifecycle);
        let client = tokio::time::timeout(STEP, client).await.unwrap().unwrap();
        Self { client, heard, gateway, server, _sandbox: sandbox }
    }

    async fn call(&self, tool: &'static str, arguments: Value) -> CallToolResult {
        let request = CallToolRequestParams::new(tool).with_arguments(arguments.as_object().unwrap().clone());
        tokio::time::timeout(STEP, self.client.call_tool(request)).await.unwrap().unwrap()
    }

    async fn says(&self, tool: &'static str, arguments: Value) -> String {
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
        self.server.abort();
    }
}

/// Starts the gateway on a free port, and waits until it says where.
fn listening(sandbox: &Sandbox, options: &[&str]) -> (Child, SocketAddr) {
    let mut args = vec!["enforce", "--policy", "policy.json", "--listen", "127.0.0.1:0", "--state", "memory:"];
    args.extend(["--audit", "none"]);
    args.extend(options);
    let mut command = sandbox.command(&args);
    let mut child = command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::piped()).spawn().unwrap();
    let mut words = BufReader::new(child.stderr.take().unwrap());
    let mut said = String::new();
    let address = loop {
        assert_ne!(words.read_line(&mut said).unwrap(), 0, "the gateway does not listen: {said}");
        let url = said.split_whitespace().find_map(|word| word.split_once("http://127.0.0.1:"));
        if let Some((_, rest)) = url {
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
        "version": "1", "default": "allow", "hide": ["test_audio_content"],
        "tools": {
            "test_image_content": {"action": "deny", "reason": "no pictures"},
            "test_simple_text": {"limits": [{"counter": "few", "window": "day", "max": 2, "scope": "grant"}]},
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
