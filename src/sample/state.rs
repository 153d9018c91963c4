//! What the sample server keeps in memory, and what each of its tools does to it.

use serde_json::{Value, json};
use std::collections::BTreeMap;

/// Most tasks kept; a client that creates more is told so.
const TASKS_MAX: usize = 10_000;
/// Most exported files kept; the oldest by name goes first.
const FILES_MAX: usize = 100;

/// Tasks, the focus timer, and a count of everything that would have left the house.
#[derive(Debug)]
pub(super) struct SampleState {
    tasks: BTreeMap<u64, SampleTask>,
    next_id: u64,
    session: Option<FocusSession>,
    started: u64,
    mails: u64,
    credits: u64,
    files: BTreeMap<String, String>,
}

#[derive(Debug)]
struct SampleTask {
    title: String,
    project: String,
    priority: String,
    due: Option<String>,
    done: bool,
    comments: Vec<String>,
}

#[derive(Debug)]
struct FocusSession {
    minutes: u64,
    task: Option<u64>,
    paused: bool,
}

impl Default for SampleState {
    fn default() -> Self {
        let task = |title: &str, project: &str, done| SampleTask {
            title: title.to_owned(),
            project: project.to_owned(),
            priority: "normal".to_owned(),
            due: None,
            done,
            comments: Vec::new(),
        };
        let tasks = [
            (1, task("Draft the quarterly report", "work", false)),
            (2, task("Answer the landlord", "home", false)),
            (3, task("Book the dentist", "home", true)),
        ];
        Self {
            tasks: tasks.into(),
            next_id: 4,
            session: None,
            started: 0,
            mails: 0,
            credits: 0,
            files: BTreeMap::new(),
        }
    }
}

impl SampleState {
    /// Runs one tool. The error is what the tool's result says, with `isError`.
    pub(super) fn call(&mut self, tool: &str, arguments: &Value) -> Result<Value, String> {
        match tool {
            "list_tasks" => Ok(self.list(text(arguments, "project")?, text(arguments, "status")?)),
            "get_task" => self.task(arguments).map(|(id, task)| task.to_json(id)),
            "search_tasks" => self.search(required(arguments, "query")?),
            "get_focus_stats" => Ok(self.stats()),
            "get_daily_tip" => Ok(json!("Put the telephone in another room.")),
            "create_task" => self.create(arguments),
            "update_task" => self.update(arguments),
            "complete_task" => self.complete(arguments),
            "add_comment" => self.comment(arguments),
            "email_tasks" => self.email(arguments),
            "export_tasks" => self.export(arguments),
            "start_focus_session" => self.start(arguments),
            "pause_focus_session" => self.pause(),
            "buy_focus_credits" => self.buy(arguments),
            "delete_task" => self.delete(arguments),
            "purge_completed_tasks" => self.purge(arguments),
            other => Err(format!("`{other}` is listed but does nothing")),
        }
    }

    fn list(&self, project: Option<&str>, status: Option<&str>) -> Value {
        let wanted = |task: &SampleTask| {
            project.is_none_or(|name| task.project == name) && status.is_none_or(|word| (word == "done") == task.done)
        };
        self.tasks.iter().filter(|(_, task)| wanted(task)).map(|(id, task)| task.to_json(*id)).collect()
    }

    fn search(&self, query: &str) -> Result<Value, String> {
        let query = query.to_lowercase();
        let found = self.tasks.iter().filter(|(_, task)| task.title.to_lowercase().contains(&query));
        Ok(found.map(|(id, task)| task.to_json(*id)).collect())
    }

    fn create(&mut self, arguments: &Value) -> Result<Value, String> {
        if self.tasks.len() >= TASKS_MAX {
            return Err(format!("there are {TASKS_MAX} tasks already"));
        }
        let task = SampleTask {
            title: required(arguments, "title")?.to_owned(),
            project: text(arguments, "project")?.unwrap_or("inbox").to_owned(),
            priority: text(arguments, "priority")?.unwrap_or("normal").to_owned(),
            due: text(arguments, "due")?.map(str::to_owned),
            done: false,
            comments: Vec::new(),
        };
        let id = self.next_id;
        self.next_id += 1;
        let made = task.to_json(id);
        self.tasks.insert(id, task);
        Ok(made)
    }

    fn update(&mut self, arguments: &Value) -> Result<Value, String> {
        let (title, priority) = (text(arguments, "title")?, text(arguments, "priority")?);
        let due = text(arguments, "due")?;
        let (id, task) = self.task_mut(arguments)?;
        if let Some(title) = title {
            task.title = title.to_owned();
        }
        if let Some(priority) = priority {
            task.priority = priority.to_owned();
        }
        if let Some(due) = due {
            task.due = Some(due.to_owned());
        }
        Ok(task.to_json(id))
    }

    fn complete(&mut self, arguments: &Value) -> Result<Value, String> {
        let (id, task) = self.task_mut(arguments)?;
        task.done = true;
        Ok(task.to_json(id))
    }

    fn comment(&mut self, arguments: &Value) -> Result<Value, String> {
        let comment = required(arguments, "text")?.to_owned();
        let (id, task) = self.task_mut(arguments)?;
        task.comments.push(comment);
        Ok(task.to_json(id))
    }

    fn email(&mut self, arguments: &Value) -> Result<Value, String> {
        let to = required(arguments, "to")?;
        let tasks = self.list(text(arguments, "project")?, Some("open"));
        let count = tasks.as_array().map_or(0, Vec::len);
        self.mails += 1;
        Ok(json!({"to": to, "tasks": count, "mails_sent": self.mails}))
    }

    fn export(&mut self, arguments: &Value) -> Result<Value, String> {
        let path = required(arguments, "path")?;
        let content = match text(arguments, "format")?.unwrap_or("json") {
            "csv" => self.tasks.iter().map(|(id, task)| format!("{id},{:?}\n", task.title)).collect(),
            _ => self.list(None, None).to_string(),
        };
        let bytes = content.len();
        self.files.insert(path.to_owned(), content);
        if self.files.len() > FILES_MAX {
            self.files.pop_first();
        }
        Ok(json!({"path": path, "bytes": bytes}))
    }

    fn start(&mut self, arguments: &Value) -> Result<Value, String> {
        let minutes = number(arguments, "minutes")?.unwrap_or(25);
        let task = match number(arguments, "task_id")? {
            Some(_) => Some(self.task(arguments)?.0),
            None => None,
        };
        self.started += 1;
        self.session = Some(FocusSession { minutes, task, paused: false });
        Ok(json!({"minutes": minutes, "task_id": task, "state": "running"}))
    }

    fn stats(&self) -> Value {
        let state = self.session.as_ref().map_or("none", |session| if session.paused { "paused" } else { "running" });
        json!({"started": self.started, "session": state})
    }

    fn pause(&mut self) -> Result<Value, String> {
        let session = self.session.as_mut().ok_or("no focus session is running")?;
        session.paused = true;
        Ok(json!({"minutes": session.minutes, "task_id": session.task, "state": "paused"}))
    }

    fn buy(&mut self, arguments: &Value) -> Result<Value, String> {
        let amount = number(arguments, "amount")?.ok_or("`amount` must be a whole number from 0 up")?;
        let currency = required(arguments, "currency")?;
        self.credits = self.credits.saturating_add(amount);
        Ok(json!({"charged": amount, "currency": currency, "credits": self.credits}))
    }

    fn delete(&mut self, arguments: &Value) -> Result<Value, String> {
        let (id, _) = self.task(arguments)?;
        self.tasks.remove(&id);
        Ok(json!({"deleted": id}))
    }

    fn purge(&mut self, arguments: &Value) -> Result<Value, String> {
        let project = text(arguments, "project")?;
        let before = self.tasks.len();
        self.tasks.retain(|_, task| !(task.done && project.is_none_or(|name| task.project == name)));
        Ok(json!({"deleted": before - self.tasks.len()}))
    }

    fn task(&self, arguments: &Value) -> Result<(u64, &SampleTask), String> {
        let id = number(arguments, "task_id")?.ok_or("`task_id` must be a whole number from 0 up")?;
        self.tasks.get(&id).map(|task| (id, task)).ok_or_else(|| format!("no task {id}"))
    }

    fn task_mut(&mut self, arguments: &Value) -> Result<(u64, &mut SampleTask), String> {
        let id = self.task(arguments)?.0;
        self.tasks.get_mut(&id).map(|task| (id, task)).ok_or_else(|| format!("no task {id}"))
    }
}

impl SampleTask {
    fn to_json(&self, id: u64) -> Value {
        json!({
            "id": id, "title": self.title, "project": self.project, "priority": self.priority, "due": self.due,
            "status": if self.done { "done" } else { "open" }, "comments": self.comments,
        })
    }
}

/// A member that must be a string where it is present.
fn text<'a>(arguments: &'a Value, key: &str) -> Result<Option<&'a str>, String> {
    match arguments.get(key) {
        None | Some(Value::Null) => Ok(None),
        Some(Value::String(text)) => Ok(Some(text)),
        Some(_) => Err(format!("`{key}` must be a string")),
    }
}

fn required<'a>(arguments: &'a Value, key: &str) -> Result<&'a str, String> {
    text(arguments, key)?.ok_or_else(|| format!("`{key}` must be a string"))
}

/// A member that must be a whole number where it is present.
fn number(arguments: &Value, key: &str) -> Result<Option<u64>, String> {
    match arguments.get(key) {
        None | Some(Value::Null) => Ok(None),
        Some(value) => value.as_u64().map(Some).ok_or_else(|| format!("`{key}` must be a whole number from 0 up")),
    }
}
