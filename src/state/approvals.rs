//! Questions to people in the SQLite file: asked by a gateway, answered from another terminal, used once.

use super::rows::{integer, millis};
use crate::clock::Timestamp;
use crate::model::ToolName;
use crate::policy::{
    Answer, Answered, Approval, ApprovalRequest, ApprovalState, Binding, GRANT_PENDING_MAX, PENDING_MAX, StoreError,
};
use rusqlite::{Connection, Error, OptionalExtension as _, Row, params};

/// Lapsed questions that are kept; more are forgotten, the oldest first.
pub const LAPSED_MAX: u64 = 1000;
/// Questions are kept this long after they lapsed, in milliseconds.
const KEEP_LAPSED_MS: u64 = 7 * 24 * 3600 * 1000;

const COLUMNS: &str = "id, state, created, expires, ttl, grant_name, server, tool, definition, arguments_hash, policy, rule, message, arguments";

const PENDING: i64 = 0;
const APPROVED: i64 = 1;
const DENIED: i64 = 2;
const USED: i64 = 3;
const WITHDRAWN: i64 = 4;

fn approval(row: &Row<'_>, now: Timestamp) -> Result<Approval, Error> {
    let expires = Timestamp::from_millis(millis(row.get("expires")?)?);
    let state = match row.get("state")? {
        USED => ApprovalState::Used,
        WITHDRAWN => ApprovalState::Withdrawn,
        _ if expires <= now => ApprovalState::Expired,
        PENDING => ApprovalState::Pending,
        APPROVED => ApprovalState::Approved,
        DENIED => ApprovalState::Denied,
        other => return Err(Error::IntegralValueOutOfRange(1, other)),
    };
    let request = ApprovalRequest {
        binding: Binding {
            grant: row.get("grant_name")?,
            server: row.get("server")?,
            tool: ToolName::new(row.get::<_, String>("tool")?),
            definition: row.get("definition")?,
            arguments: row.get("arguments_hash")?,
            policy: row.get("policy")?,
        },
        rule: row.get("rule")?,
        message: row.get("message")?,
        ttl_s: millis(row.get("ttl")?)?,
        arguments: row.get("arguments")?,
    };
    let created = Timestamp::from_millis(millis(row.get("created")?)?);
    Ok(Approval { id: row.get("id")?, state, request, created, expires })
}

/// The inner error is that too many questions wait.
pub(super) fn request(
    connection: &Connection,
    now: Timestamp,
    request: &ApprovalRequest,
) -> Result<Result<Approval, StoreError>, Error> {
    let key = request.binding.key();
    if let Some(known) = find(connection, now, &key)? {
        return Ok(Ok(known));
    }
    connection
        .prepare_cached("DELETE FROM approvals WHERE expires < ?1")?
        .execute([integer(now.millis().saturating_sub(KEEP_LAPSED_MS))])?;
    // A client that asks without end must not fill the disk with questions that lapse at once.
    connection
        .prepare_cached(
            "DELETE FROM approvals WHERE id IN
             (SELECT id FROM approvals WHERE expires <= ?1 ORDER BY expires DESC, id LIMIT -1 OFFSET ?2)",
        )?
        .execute(params![integer(now.millis()), integer(LAPSED_MAX)])?;
    connection
        .prepare_cached("UPDATE approvals SET arguments = NULL WHERE expires <= ?1 AND arguments IS NOT NULL")?
        .execute([integer(now.millis())])?;
    let (all, of_grant): (i64, i64) = connection
        .prepare_cached(
            "SELECT count(*), count(CASE WHEN grant_name = ?3 THEN 1 END) FROM approvals WHERE state = ?1 AND expires > ?2",
        )?
        .query_row(params![PENDING, integer(now.millis()), request.binding.grant], |row| {
            Ok((row.get(0)?, row.get(1)?))
        })?;
    for (count, max) in [(of_grant, GRANT_PENDING_MAX), (all, PENDING_MAX)] {
        if millis(count)? >= max {
            return Ok(Err(StoreError::TooManyQuestions(max)));
        }
    }
    let mut random = [0; 5];
    getrandom::fill(&mut random).map_err(|error| Error::ToSqlConversionFailure(Box::new(error)))?;
    let id: String = random.iter().map(|byte| format!("{byte:02x}")).collect();
    let expires = Timestamp::from_millis(now.millis().saturating_add(request.ttl_s.saturating_mul(1000)));
    let binding = &request.binding;
    connection
        .prepare_cached(
            "INSERT INTO approvals (id, key, state, created, expires, ttl, grant_name, server, tool, definition,
             arguments_hash, policy, rule, message, arguments)
             VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13, ?14, ?15)",
        )?
        .execute(params![
            id,
            key,
            PENDING,
            integer(now.millis()),
            integer(expires.millis()),
            integer(request.ttl_s),
            binding.grant,
            binding.server,
            binding.tool.as_str(),
            binding.definition,
            binding.arguments,
            binding.policy,
            request.rule,
            request.message,
            request.arguments
        ])?;
    let request = request.clone();
    Ok(Ok(Approval { id, state: ApprovalState::Pending, request, created: now, expires }))
}

pub(super) fn find(connection: &Connection, now: Timestamp, key: &str) -> Result<Option<Approval>, Error> {
    connection
        .prepare_cached(&format!(
            "SELECT {COLUMNS} FROM approvals WHERE key = ?1 AND state NOT IN ({USED}, {WITHDRAWN}) AND expires > ?2
             ORDER BY created DESC, id LIMIT 1"
        ))?
        .query_row(params![key, integer(now.millis())], |row| approval(row, now))
        .optional()
}

/// One statement, so that of two gateways exactly one gets the approval. The arguments are not needed any more.
pub(super) fn take(connection: &Connection, now: Timestamp, key: &str) -> Result<bool, Error> {
    let changed = connection
        .prepare_cached(&format!(
            "UPDATE approvals SET state = {USED}, arguments = NULL WHERE id =
             (SELECT id FROM approvals WHERE key = ?1 AND state = {APPROVED} AND expires > ?2 LIMIT 1)"
        ))?
        .execute(params![key, integer(now.millis())])?;
    Ok(changed == 1)
}

pub(super) fn get(connection: &Connection, now: Timestamp, id: &str) -> Result<Option<Approval>, Error> {
    connection
        .prepare_cached(&format!("SELECT {COLUMNS} FROM approvals WHERE id = ?1"))?
        .query_row([id], |row| approval(row, now))
        .optional()
}

pub(super) fn list(connection: &Connection, now: Timestamp) -> Result<Vec<Approval>, Error> {
    connection
        .prepare_cached(&format!("SELECT {COLUMNS} FROM approvals ORDER BY created, id"))?
        .query_map([], |row| approval(row, now))?
        .collect()
}

pub(super) fn decide(connection: &Connection, now: Timestamp, id: &str, answer: Answer) -> Result<Answered, Error> {
    let Some(known) = get(connection, now, id)? else { return Ok(Answered::Unknown) };
    if known.state != ApprovalState::Pending {
        return Ok(Answered::TooLate(known));
    }
    let state = match answer {
        Answer::Approve => APPROVED,
        Answer::Deny => DENIED,
        Answer::Withdraw => {
            connection
                .prepare_cached("UPDATE approvals SET state = ?1, arguments = NULL WHERE id = ?2")?
                .execute(params![WITHDRAWN, id])?;
            return Ok(get(connection, now, id)?.map_or(Answered::Unknown, Answered::Done));
        }
    };
    // A person may have taken most of the time to answer: the approval lives as long again.
    let expires = now.millis().saturating_add(known.request.ttl_s.saturating_mul(1000));
    connection.prepare_cached("UPDATE approvals SET state = ?1, expires = ?2 WHERE id = ?3")?.execute(params![
        state,
        integer(expires),
        id
    ])?;
    Ok(get(connection, now, id)?.map_or(Answered::Unknown, Answered::Done))
}
