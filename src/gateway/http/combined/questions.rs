//! What servers ask the client: their ids may be equal, so each question gets an id that is unique in the session, and
//! the client's answer finds its way back by it.

use crate::gateway::mediate::lock;
use crate::gateway::task_owners::TASK_ID_BYTES_MAX;
use crate::mcp::envelope::Id;
use std::collections::BTreeMap;
use std::sync::Mutex;

/// Questions of one server that may wait for the client in one session; the oldest is forgotten for the next.
pub(super) const QUESTIONS_MAX: usize = 256;
/// Tasks of the client that servers of one session may know.
pub(super) const CLIENT_TASKS_MAX: usize = 1024;

/// A question of one server.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct ServerQuestion {
    /// Who asks.
    pub(super) server: String,
    /// Under which id.
    pub(super) id: Id,
    /// The token under which it wants to hear of progress, as JSON.
    pub(super) token: Option<String>,
}

/// The questions of one session that wait for the client.
#[derive(Debug, Default)]
pub(super) struct Questions(Mutex<QuestionTable>);

#[derive(Debug, Default)]
struct QuestionTable {
    last: i64,
    open: BTreeMap<i64, ServerQuestion>,
    /// Tasks that the client works on, and for whom.
    tasks: BTreeMap<String, String>,
}

impl Questions {
    /// A server asks. Answers the id under which the client hears of it: the same when the same question comes again on
    /// a stream that was taken up again.
    pub(super) fn ask(&self, question: ServerQuestion) -> i64 {
        let mut table = lock(&self.0);
        let same = |open: &ServerQuestion| open.server == question.server && open.id == question.id;
        if let Some(number) = table.open.iter().find(|(_, open)| same(open)).map(|(number, _)| *number) {
            table.open.insert(number, question);
            return number;
        }
        let of_server = |open: &&ServerQuestion| open.server == question.server;
        if table.open.values().filter(of_server).count() >= QUESTIONS_MAX {
            let oldest = table.open.iter().find(|(_, open)| open.server == question.server).map(|(number, _)| *number);
            oldest.and_then(|number| table.open.remove(&number));
        }
        table.last += 1;
        let number = table.last;
        table.open.insert(number, question);
        number
    }

    /// The client has answered; the server waits for no second answer.
    pub(super) fn answered(&self, id: &Id) -> Option<ServerQuestion> {
        let Id::Integer(number) = id else { return None };
        lock(&self.0).open.remove(number)
    }

    /// The question that the client reports progress of.
    pub(super) fn in_progress(&self, id: &Id) -> Option<ServerQuestion> {
        let Id::Integer(number) = id else { return None };
        lock(&self.0).open.get(number).cloned()
    }

    /// A server takes a question back. Answers the id under which the client knows it.
    pub(super) fn withdrawn(&self, server: &str, id: &Id) -> Option<i64> {
        let mut table = lock(&self.0);
        let number = table.open.iter().find(|(_, open)| open.server == server && open.id == *id).map(|(n, _)| *n)?;
        table.open.remove(&number);
        Some(number)
    }

    /// The session with a server is over: it waits for nothing any more.
    pub(super) fn forget(&self, server: &str) {
        let mut table = lock(&self.0);
        table.open.retain(|_, open| open.server != server);
        table.tasks.retain(|_, owner| owner != server);
    }

    /// The client works on a task for a server.
    pub(super) fn took_up(&self, task: &str, server: &str) {
        let mut table = lock(&self.0);
        if table.tasks.len() < CLIENT_TASKS_MAX && task.len() <= TASK_ID_BYTES_MAX {
            table.tasks.entry(task.to_owned()).or_insert_with(|| server.to_owned());
        }
    }

    /// For whom the client works on a task.
    pub(super) fn task_of(&self, task: &str) -> Option<String> {
        lock(&self.0).tasks.get(task).cloned()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn question(server: &str, id: i64) -> ServerQuestion {
        ServerQuestion { server: server.to_owned(), id: Id::Integer(id), token: None }
    }

    #[test]
    fn equal_ids_of_two_servers_are_two_questions_and_each_is_answered_once() {
        let questions = Questions::default();
        let (one, two) = (questions.ask(question("one", 1)), questions.ask(question("two", 1)));
        assert_ne!(one, two);
        assert_eq!(questions.ask(question("one", 1)), one, "a stream that was taken up again says it again");
        assert_eq!(questions.answered(&Id::Integer(two)), Some(question("two", 1)));
        assert_eq!(questions.answered(&Id::Integer(two)), None);
        assert_eq!(questions.answered(&Id::Text(one.to_string().into())), None);
        assert_eq!(questions.withdrawn("two", &Id::Integer(1)), None);
        assert_eq!(questions.withdrawn("one", &Id::Integer(1)), Some(one));
        assert_eq!(questions.answered(&Id::Integer(one)), None);
        questions.ask(question("one", 2));
        let kept = questions.ask(question("two", 2));
        questions.forget("one");
        assert_eq!(questions.in_progress(&Id::Integer(kept)), Some(question("two", 2)));
        assert_eq!(questions.withdrawn("one", &Id::Integer(2)), None);
    }

    #[test]
    fn a_server_that_asks_and_asks_crowds_out_only_itself() {
        let questions = Questions::default();
        let other = questions.ask(question("other", 0));
        let asked: Vec<i64> = (0..QUESTIONS_MAX).map(|id| questions.ask(question("one", id as i64))).collect();
        assert!(questions.in_progress(&Id::Integer(asked[0])).is_some());
        questions.ask(question("one", QUESTIONS_MAX as i64));
        assert!(questions.in_progress(&Id::Integer(asked[0])).is_none());
        assert!(questions.in_progress(&Id::Integer(asked[1])).is_some());
        assert!(questions.in_progress(&Id::Integer(other)).is_some());
    }

    #[test]
    fn tasks_of_the_client_belong_to_who_asked_and_are_bounded() {
        let questions = Questions::default();
        questions.took_up("t", "one");
        questions.took_up("t", "two");
        assert_eq!(questions.task_of("t").as_deref(), Some("one"));
        for number in 1..=CLIENT_TASKS_MAX {
            questions.took_up(&number.to_string(), "one");
        }
        assert!(questions.task_of(&(CLIENT_TASKS_MAX - 1).to_string()).is_some());
        assert!(questions.task_of(&CLIENT_TASKS_MAX.to_string()).is_none());
    }
}
