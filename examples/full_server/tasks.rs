//! Calls that go on after they were answered (the tasks extension): the client asks for the outcome later, with
//! `tasks/get`, and answers what the task wants to know with `tasks/update`.

use super::answers::{complete, text, typed};
use super::rounds;
use super::server::Shared;
use rmcp::ErrorData;
use rmcp::model::*;
use rmcp::task_manager::{TaskContext, TaskExit, TaskOptions};
use serde_json::{Value, json};
use std::time::Duration;

/// What a client is told to wait between two looks, in milliseconds.
const POLL_MILLISECONDS: u64 = 200;
/// What a job takes that fails in the end.
const JOB: Duration = Duration::from_millis(500);

/// One call of a tool that can become a task; `None` if no such tool exists.
pub fn call(
    shared: &Shared,
    request: &CallToolRequestParams,
    client: &ClientCapabilities,
) -> Option<Result<CallToolResponse, ErrorData>> {
    let job = match &*request.name {
        "slow_compute" => {
            let seconds = request.arguments.as_ref().and_then(|all| all.get("seconds")?.as_f64()).unwrap_or(0.0);
            if !client.supports_tasks() || seconds == 0.0 {
                return Some(said("computed at once").map(Into::into));
            }
            Job::Compute(Duration::from_secs_f64(seconds))
        }
        "failing_job" => Job::Fail,
        "protocol_error_job" => Job::Break,
        "confirm_delete" => Job::Ask(&["confirm"]),
        "multi_input" => Job::Ask(&["first", "second"]),
        "test_tool_with_task" => match rounds::content(request.input_responses.as_ref(), "user_name", "name") {
            Some(name) => Job::Greet(name),
            None => {
                let question = rounds::form("What is your name?", "name", "string");
                return Some(rounds::ask(json!({ "user_name": question }), None).map(Into::into));
            }
        },
        _ => return None,
    };
    if !client.supports_tasks() {
        let needed = ClientCapabilities::builder().enable_tasks().build();
        return Some(Err(ErrorData::missing_required_client_capability(needed)));
    }
    let options = TaskOptions::new().with_poll_interval_ms(POLL_MILLISECONDS);
    let task = shared.tasks.spawn(options, |context| Box::pin(job.run(context)));
    Some(Ok(CreateTaskResult::new(task).into()))
}

/// What a task does.
enum Job {
    Compute(Duration),
    Fail,
    Break,
    /// Asks for these all at once.
    Ask(&'static [&'static str]),
    Greet(String),
}

impl Job {
    async fn run(self, context: TaskContext) -> Result<CallToolResult, TaskExit> {
        match self {
            Self::Compute(time) => tokio::select! {
                () = tokio::time::sleep(time) => Ok(said("computed")?),
                () = context.cancelled() => Err(TaskExit::Cancelled),
            },
            Self::Fail => {
                tokio::time::sleep(JOB).await;
                Ok(complete(json!({ "isError": true, "content": text("It did not work.") }))?)
            }
            Self::Break => {
                tokio::time::sleep(JOB).await;
                Err(ErrorData::internal_error("the job broke", None).into())
            }
            Self::Ask(keys) => {
                let ask = |key: &'static str| {
                    let request: Result<InputRequest, _> = typed(rounds::form("Go on?", key, "boolean"));
                    let context = context.clone();
                    async move { context.request_input(key, request?).await }
                };
                let answers: Vec<Value> = futures_util::future::try_join_all(keys.iter().map(|key| ask(key))).await?;
                Ok(said(format!("the answers are {}", json!(answers)))?)
            }
            Self::Greet(name) => {
                tokio::time::sleep(JOB).await;
                Ok(said(format!("Hello, {name}!"))?)
            }
        }
    }
}

fn said(words: impl Into<String>) -> Result<CallToolResult, ErrorData> {
    complete(json!({ "content": text(words) }))
}
