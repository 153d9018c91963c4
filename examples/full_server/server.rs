//! The server's side of the protocol, by rmcp: what it can do, and who hears of changes.

use super::{answers, offers, tools};
use rmcp::model::*;
use rmcp::service::{NotificationContext, RequestContext, SubscriptionContext};
use rmcp::task_manager::TaskManager;
use rmcp::{ErrorData, RoleServer, ServerHandler};
use serde_json::json;
use std::borrow::Cow;
use std::collections::BTreeSet;
use std::sync::{Arc, Mutex};
use tokio::sync::broadcast;

#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Era {
    Legacy,
    Modern,
}

impl Era {
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Legacy => "legacy",
            Self::Modern => "modern",
        }
    }
}

#[derive(Clone, Copy)]
pub enum Change {
    Tools,
    Prompts,
}

/// What all sessions and requests of this process share.
pub struct Shared {
    changes: broadcast::Sender<Change>,
    watched: Mutex<BTreeSet<String>>,
    seal: RequestStateCodec,
    pub tasks: TaskManager,
}

impl Shared {
    pub fn new() -> Self {
        let mut key = [0; 32];
        getrandom::fill(&mut key).expect("the system gives random numbers");
        Self {
            changes: broadcast::channel(64).0,
            watched: Mutex::default(),
            seal: RequestStateCodec::new(key.to_vec()),
            tasks: TaskManager::new(),
        }
    }

    /// Tells everybody who subscribed to such changes.
    pub fn announce(&self, change: Change) {
        // Nobody listens: nobody need know.
        self.changes.send(change).ok();
    }

    pub fn seal(&self, state: &str) -> String {
        self.seal.seal(state.as_bytes())
    }

    /// The state that the client brought back, if it brought any.
    ///
    /// # Errors
    /// When it is not what [`Self::seal`] made.
    pub fn opened(&self, request: &CallToolRequestParams) -> Result<Option<String>, ErrorData> {
        let Some(sealed) = &request.request_state else { return Ok(None) };
        let opened = self.seal.open(sealed).ok().and_then(|bytes| String::from_utf8(bytes).ok());
        opened.map(Some).ok_or_else(|| ErrorData::invalid_params("requestState is not ours", None))
    }
}

/// One of them serves a session, or one request of the stateless era.
pub struct Server {
    era: Era,
    pub shared: Arc<Shared>,
    pub tools: Vec<Tool>,
    /// Heard from the beginning: a change right after a subscription is acknowledged must not be missed.
    changes: Mutex<broadcast::Receiver<Change>>,
}

impl Server {
    pub fn new(era: Era, shared: Arc<Shared>) -> Self {
        let changes = Mutex::new(shared.changes.subscribe());
        Self { era, shared, tools: tools::list(era), changes }
    }
}

impl ServerHandler for Server {
    fn supported_protocol_versions(&self) -> Cow<'static, [ProtocolVersion]> {
        match self.era {
            Era::Legacy => Cow::Borrowed(ProtocolVersion::known_up_to(&ProtocolVersion::V_2025_11_25)),
            Era::Modern => Cow::Owned(vec![ProtocolVersion::V_2026_07_28]),
        }
    }

    fn get_info(&self) -> ServerConfig {
        let capabilities = ServerCapabilities::builder()
            .enable_tools()
            .enable_tool_list_changed()
            .enable_prompts()
            .enable_prompts_list_changed()
            .enable_resources()
            .enable_resources_subscribe()
            .enable_completions();
        let capabilities = match self.era {
            Era::Legacy => capabilities.enable_logging().build(),
            Era::Modern => capabilities.enable_tasks().build(),
        };
        ServerConfig::new(capabilities)
            .with_server_info(Implementation::new("full-server", env!("CARGO_PKG_VERSION")))
            .with_instructions("Every tool, prompt and resource is there to be tested.")
    }

    async fn discover(&self, _: RequestContext<RoleServer>) -> Result<DiscoverResult, ErrorData> {
        match self.era {
            // Servers of that time did not know the method.
            Era::Legacy => Err(ErrorData::method_not_found::<DiscoverRequestMethod>()),
            Era::Modern => {
                Ok(DiscoverResult::from_server_info(self.supported_protocol_versions().into_owned(), self.get_info()))
            }
        }
    }

    fn get_tool(&self, name: &str) -> Option<Tool> {
        self.tools.iter().find(|tool| tool.name == name).cloned()
    }

    async fn list_tools(
        &self,
        _: Option<PaginatedRequestParams>,
        _: RequestContext<RoleServer>,
    ) -> Result<ListToolsResult, ErrorData> {
        answers::cacheable(json!({ "tools": self.tools }))
    }

    async fn call_tool(
        &self,
        request: CallToolRequestParams,
        context: RequestContext<RoleServer>,
    ) -> Result<CallToolResponse, ErrorData> {
        tools::call(self, request, context).await
    }

    async fn list_prompts(
        &self,
        _: Option<PaginatedRequestParams>,
        _: RequestContext<RoleServer>,
    ) -> Result<ListPromptsResult, ErrorData> {
        offers::prompts(self.era == Era::Modern)
    }

    async fn get_prompt(
        &self,
        request: GetPromptRequestParams,
        _: RequestContext<RoleServer>,
    ) -> Result<GetPromptResponse, ErrorData> {
        offers::prompt(&request)
    }

    async fn list_resources(
        &self,
        _: Option<PaginatedRequestParams>,
        _: RequestContext<RoleServer>,
    ) -> Result<ListResourcesResult, ErrorData> {
        offers::resources()
    }

    async fn list_resource_templates(
        &self,
        _: Option<PaginatedRequestParams>,
        _: RequestContext<RoleServer>,
    ) -> Result<ListResourceTemplatesResult, ErrorData> {
        offers::templates()
    }

    async fn read_resource(
        &self,
        request: ReadResourceRequestParams,
        _: RequestContext<RoleServer>,
    ) -> Result<ReadResourceResponse, ErrorData> {
        offers::resource(&request.uri).map(Into::into)
    }

    async fn complete(
        &self,
        request: CompleteRequestParams,
        _: RequestContext<RoleServer>,
    ) -> Result<CompleteResult, ErrorData> {
        offers::completions(&request)
    }

    async fn set_level(&self, _: SetLevelRequestParams, _: RequestContext<RoleServer>) -> Result<(), ErrorData> {
        match self.era {
            // Only `test_tool_with_logging` writes anything, and every client that calls it wants all of it.
            Era::Legacy => Ok(()),
            Era::Modern => Err(ErrorData::method_not_found::<SetLevelRequestMethod>()),
        }
    }

    async fn subscribe(
        &self,
        request: SubscribeRequestParams,
        context: RequestContext<RoleServer>,
    ) -> Result<(), ErrorData> {
        if self.era == Era::Modern {
            return Err(ErrorData::method_not_found::<SubscribeRequestMethod>());
        }
        self.watched().insert(request.uri.clone());
        let update = ResourceUpdatedNotificationParam::new(request.uri);
        // The first news of it; whoever has no stream open misses it.
        context.peer.notify_resource_updated(update).await.ok();
        Ok(())
    }

    async fn unsubscribe(
        &self,
        request: UnsubscribeRequestParams,
        _: RequestContext<RoleServer>,
    ) -> Result<(), ErrorData> {
        if self.era == Era::Modern {
            return Err(ErrorData::method_not_found::<UnsubscribeRequestMethod>());
        }
        self.watched().remove(&request.uri);
        Ok(())
    }

    async fn get_task(
        &self,
        request: GetTaskParams,
        _: RequestContext<RoleServer>,
    ) -> Result<GetTaskResult, ErrorData> {
        self.shared.tasks.get_task(&request.task_id).map(GetTaskResult::new)
    }

    async fn update_task(&self, request: UpdateTaskParams, _: RequestContext<RoleServer>) -> Result<(), ErrorData> {
        self.shared.tasks.update_task(&request.task_id, request.input_responses)
    }

    async fn cancel_task(&self, request: CancelTaskParams, _: RequestContext<RoleServer>) -> Result<(), ErrorData> {
        self.shared.tasks.cancel_task(&request.task_id)
    }

    fn accepted_subscription_filter(&self, requested: &SubscriptionFilter) -> Option<SubscriptionFilter> {
        Some(requested.supported_by(&self.get_info().capabilities))
    }

    async fn listen(&self, context: SubscriptionContext) -> Result<(), ErrorData> {
        let mut changes = {
            let mut unheard = self.changes.lock().expect("no holder of this lock panics");
            let later = unheard.resubscribe();
            std::mem::replace(&mut *unheard, later)
        };
        loop {
            let change = tokio::select! {
                () = context.cancelled() => return Ok(()),
                change = changes.recv() => change,
            };
            // What the subscriber did not ask for, the sink refuses.
            match change {
                Ok(Change::Tools) => context.sink().notify_tool_list_changed().await.ok(),
                Ok(Change::Prompts) => context.sink().notify_prompt_list_changed().await.ok(),
                Err(_) => return Ok(()),
            };
        }
    }

    async fn on_initialized(&self, _: NotificationContext<RoleServer>) {}
}

impl Server {
    fn watched(&self) -> std::sync::MutexGuard<'_, BTreeSet<String>> {
        self.shared.watched.lock().expect("no holder of this lock panics")
    }
}
