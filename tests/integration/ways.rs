//! The matrix of ways: every promise of the gateway that can be seen from outside, on every way through it.
//!
//! A promise is one function over a [`Cell`], which is one way with a real gateway, a client at its near end and a server
//! at its far end. A new promise needs that function and one row of the table. What is known not to hold yet stands in its
//! row, with the number of the rule; such a cell is run as well and has to fail, so that the row is mended with the code.

mod answers;
mod calls;
mod client;
mod doors;
mod flows;
mod host;
mod limits;
mod lists;
mod pledges;
mod server;
mod urls;
mod waits;
mod way;
mod words;

use way::{Back, Cell, Era, Front, Setup, Way};

/// A set of ways.
type Ways = fn(Way) -> bool;

/// A promise makes its one cell out of what it needs.
type Promise = fn(&dyn Fn(&Setup) -> Cell);

const ALL: Ways = |_| true;
const URL: Ways = |way| way.back == Back::Url;
const COMMAND: Ways = |way| way.back != Back::Url;
/// Those on which the client speaks to this server alone.
const ONE_SERVER: Ways = |way| way.front != Front::Joint;
const HTTP: Ways = |way| way.front != Front::Stdio;
const SESSION: Ways = |way| way.era == Era::Session;
const COMMAND_SESSION: Ways = |way| COMMAND(way) && SESSION(way);
/// Those on which all news of a client reaches the command.
const ONE_COMMAND_SESSION: Ways = |way| ONE_SERVER(way) && SESSION(way) && way.back == Back::Command;
/// Those on which a server may ask in a result.
const STATELESS: Ways = |way| !SESSION(way);
const HTTP_SESSION: Ways = |way| HTTP(way) && SESSION(way);
const URL_SESSION: Ways = |way| URL(way) && SESSION(way);
const URL_STATELESS: Ways = |way| URL(way) && !SESSION(way);
/// Those on which the gateway is the client over HTTP; elsewhere the client writes its headers itself.
const STDIO_URL_STATELESS: Ways = |way| way.front == Front::Stdio && URL_STATELESS(way);
/// Those on which the gateway keeps the session with the server.
const HTTP_STATELESS: Ways = |way| HTTP(way) && !SESSION(way);
const HTTP_URL: Ways = |way| HTTP(way) && URL(way);
/// Those on which a session is the server's own, and several grants share the server.
const HTTP_URL_SESSION: Ways = |way| way.front == Front::Http && URL_SESSION(way);
const KEPT_SESSION: Ways = |way| way.front != Front::Http && URL_SESSION(way);
/// Those on which clients speak to all servers at once.
const JOINT: Ways = |way| way.front == Front::Joint;
/// Those on which a client may name any session, and the server takes it.
const NAMING: Ways = |way| way.front == Front::Http && URL(way);
/// Those whose state outlives the gateway: a session of the server's own, or none.
const OUTLIVING: Ways = |way| way.front == Front::Http && URL(way) || HTTP_STATELESS(way);
/// Those on which the gateway begins anew with a server without the client.
const KEPT: Ways = |way| KEPT_SESSION(way) || COMMAND_SESSION(way);
/// Those on which a call is withdrawn by a message.
const WITHDRAWING: Ways = |way| way.front == Front::Stdio || SESSION(way);

/// Names each promise, the ways that it is made for, and those on which it is known to be broken.
macro_rules! promises {
    ($($topic:ident::$promise:ident: $ways:expr $(, red $rule:literal: $red:expr)*;)*) => {$(
        #[test]
        fn $promise() {
            check($topic::$promise, $ways, &[$(($rule, $red)),*]);
        }
    )*};
}

promises! {
    calls::a_call_is_answered_and_a_refused_one_never_sent: ALL;
    calls::a_limit_holds_for_all_clients_of_a_grant: ALL;
    calls::a_limit_of_a_session_is_each_sessions_own: SESSION;
    limits::no_order_of_events_gets_more_calls_through_than_a_limit_allows: ALL;
    calls::an_unanswered_call_is_given_up_and_the_server_told: ALL;
    calls::only_a_message_that_belongs_to_the_call_keeps_it_alive: URL;
    calls::every_call_is_held_to_the_policy_of_now: ALL;
    calls::every_line_of_the_log_says_whose_it_is: ALL;
    waits::an_approved_call_is_sent_once_and_a_refused_one_never: ALL;
    waits::a_question_that_nobody_answers_is_a_refusal_and_may_be_answered_later: ALL;
    waits::an_approval_is_of_the_definition_that_the_client_was_shown: ALL;
    waits::an_approval_holds_whatever_the_trace_and_nothing_goes_on_unseen: ALL;
    waits::a_call_that_is_withdrawn_while_it_waits_is_never_sent: WITHDRAWING;
    waits::the_request_of_a_call_that_is_withdrawn_while_it_waits_ends_at_once: HTTP_SESSION;
    waits::a_call_whose_client_hangs_up_while_it_waits_is_not_sent_and_may_be_tried_again: ALL;
    waits::a_call_that_is_withdrawn_in_flight_ends_at_once_and_its_answer_goes_nowhere: WITHDRAWING;
    waits::an_old_answer_never_reaches_a_new_call: ALL;
    waits::a_call_that_is_withdrawn_while_it_waits_for_a_list_is_never_sent: WITHDRAWING;
    flows::after_a_strangers_text_calls_are_stopped_in_that_session: ALL;
    flows::a_call_that_names_what_a_stranger_wrote_is_stopped: ALL;
    flows::the_course_of_a_session_spans_all_servers: JOINT;
    flows::every_gateway_knows_the_course_of_a_session: OUTLIVING;
    flows::a_session_that_a_client_makes_up_is_no_way_around: NAMING;
    pledges::a_session_calls_nothing_but_what_it_has_pledged: ALL;
    pledges::a_pledge_may_come_with_the_greeting: SESSION;
    pledges::a_pledge_may_come_in_a_header: HTTP;
    pledges::what_is_no_pledge_is_refused: ALL;
    pledges::every_gateway_knows_what_a_session_has_pledged: HTTP_URL_SESSION;
    lists::every_page_lists_what_may_be_called_and_nothing_else: ALL;
    lists::a_schema_that_is_loosened_for_another_viewer_is_not_loosened_for_this_one: ALL;
    lists::a_schema_holds_as_it_was_last_shown: ALL;
    lists::a_schema_that_was_never_shown_is_asked_for: ALL;
    lists::what_is_not_as_it_was_locked_is_neither_listed_nor_called: ALL;
    lists::a_name_that_is_listed_twice_is_refused_whole: ALL;
    lists::missing_and_wrong_hints_are_filled_in_where_the_operator_wants_it: ALL;
    lists::what_is_offered_beside_tools_is_as_it_was_locked: ALL;
    lists::a_task_is_asked_of_the_server_that_handed_it_out: SESSION;
    answers::replies_that_nobody_asked_for_are_dropped_and_logged: ALL;
    answers::an_id_in_flight_is_refused: WITHDRAWING;
    answers::clients_that_use_the_same_ids_and_tokens_do_not_disturb_each_other: ALL;
    answers::an_id_is_free_when_its_client_has_hung_up: ALL;
    answers::a_crash_answers_every_call_in_flight_and_no_call_is_made_twice: COMMAND;
    answers::a_gateway_that_ends_lets_calls_in_flight_end_and_takes_its_server_along: ALL;
    answers::a_server_that_is_silent_in_its_second_handshake_holds_nobody_up: COMMAND_SESSION;
    words::a_result_passes_as_it_was_sent: ALL;
    words::what_is_no_call_reaches_the_server_and_its_answer_the_client: ALL;
    words::what_a_server_says_along_the_way_is_heard: ALL;
    words::what_can_be_read_in_two_ways_is_never_sent: ALL;
    words::an_answer_that_the_server_never_asked_for_goes_nowhere: ALL;
    words::a_question_of_the_server_is_answered_once: SESSION;
    words::an_answer_that_cannot_be_read_is_an_error_at_once: ALL;
    words::a_list_with_two_readings_is_never_shown: ALL;
    doors::what_a_policy_does_not_name_is_shut_beside_tools_too: ALL;
    doors::what_no_server_has_is_logged_as_refused: ALL;
    doors::a_list_beside_tools_holds_what_may_be_taken_and_nothing_else: ALL;
    doors::a_method_that_no_revision_knows_never_passes_but_by_its_exact_name: ALL;
    doors::a_server_asks_its_client_what_the_policy_lets_it: SESSION;
    doors::over_http_the_folders_of_a_server_are_the_operators: SESSION;
    doors::a_result_asks_the_client_for_what_the_policy_lets_it: STATELESS;
    doors::nothing_is_asked_of_a_client_within_something_else: ALL;
    doors::a_client_hears_no_news_of_what_it_may_not_take: ALL;
    doors::an_error_asks_the_client_for_what_the_policy_lets_it: ALL;
    doors::what_names_its_matter_in_two_ways_is_refused: ALL;
    doors::nothing_is_asked_of_a_client_that_cannot_be_logged: ONE_SERVER;
    doors::a_client_cannot_bring_folders_that_nobody_asked_for: ALL;
    doors::a_task_is_its_grants: SESSION;
    host::a_call_of_more_values_than_a_tree_may_have_is_refused_at_once: ALL;
    host::what_a_new_policy_loosens_is_in_the_log: ALL;
    host::a_pipe_in_the_policys_place_holds_nobody_up: ALL;
    host::without_reloads_the_policy_of_the_start_holds: ALL;
    host::a_command_sees_nothing_that_is_the_gateways_own: COMMAND;
    host::what_a_command_has_put_into_a_session_of_its_own_ends_with_the_gateway: COMMAND;
    host::what_a_command_has_put_into_a_session_of_its_own_ends_with_the_command: COMMAND;
    words::whatever_an_answer_looks_like_there_is_one_reply_that_says_what_was_wrong: ALL;
    words::an_error_that_names_no_request_answers_the_only_one: ALL;
    words::a_result_that_names_no_request_answers_the_only_one_with_an_error: ALL;
    words::a_server_that_answers_news_with_errors_works_all_the_same: ONE_COMMAND_SESSION;
    words::an_error_that_could_be_for_either_of_two_requests_is_said_and_answers_none: COMMAND;
    words::what_servers_read_otherwise_is_doubt: ALL;
    words::the_rules_of_a_tool_hold_for_every_spelling_that_no_list_shows: ALL;
    urls::a_redirect_within_the_origin_is_followed_while_connecting: URL_SESSION;
    urls::a_call_is_never_sent_again_for_a_redirect: URL;
    urls::nobody_is_led_to_another_origin: URL;
    urls::every_json_is_json: URL;
    urls::a_name_that_no_header_can_hold_is_encoded: URL_STATELESS;
    urls::a_session_that_the_server_has_lost_begins_anew_and_no_call_is_sent_twice: KEPT_SESSION;
    urls::a_server_that_begins_anew_hears_what_lasts: KEPT;
    urls::arguments_are_repeated_in_the_headers_that_the_schema_names: STDIO_URL_STATELESS;
    urls::a_call_that_is_refused_for_its_headers_is_made_once_more_and_counted_again: STDIO_URL_STATELESS;
    urls::a_tool_that_wants_impossible_headers_is_not_listed: URL;
    urls::headers_that_contradict_the_arguments_are_refused: HTTP_STATELESS;
    urls::what_a_header_names_is_what_the_body_names: URL_STATELESS;
    urls::a_server_hears_no_headers_but_those_that_the_gateway_writes: HTTP_URL;
    urls::a_body_is_said_to_be_json_and_nothing_more: HTTP;
    urls::no_cookie_passes_and_answers_are_what_they_were_read_as: HTTP_URL;
    urls::a_session_is_its_grants_at_every_gateway: HTTP_URL_SESSION;
    urls::no_session_opens_while_nobody_can_say_whose_it_is: HTTP_URL_SESSION;
    urls::a_server_on_this_machine_is_reached_without_a_proxy: URL;
    urls::a_server_elsewhere_is_reached_through_the_proxy: URL;
}

/// Tries a promise on all of its ways at once.
#[expect(clippy::print_stderr, reason = "the test runner shows it where a cell is wrong")]
#[track_caller]
fn check(promise: Promise, ways: Ways, red: &[(u8, Ways)]) {
    let cells: Vec<(Way, Option<u8>)> = Way::all()
        .into_iter()
        .filter(|way| ways(*way))
        .map(|way| (way, red.iter().find(|(_, is_red)| is_red(way)).map(|(rule, _)| *rule)))
        .collect();
    let run = |(way, rule): (Way, Option<u8>)| {
        let started = std::time::Instant::now();
        let outcome = std::thread::spawn(move || promise(&|setup| Cell::new(way, setup, rule.is_some()))).join();
        let why = outcome.err().map(|why| {
            let text = why.downcast_ref::<String>().cloned();
            text.or_else(|| why.downcast_ref::<&str>().map(|text| (*text).to_owned())).unwrap_or_default()
        });
        let wrong = match (&why, rule) {
            (None, None) | (Some(_), Some(_)) => None,
            (Some(why), None) => Some(format!("{way}: {why}")),
            (None, Some(rule)) => Some(format!("{way}: holds now, so take it off the list (rule {rule})")),
        };
        eprintln!("{way}: {:?} {}", started.elapsed(), why.unwrap_or_default());
        wrong
    };
    let wrong: Vec<String> = std::thread::scope(|scope| {
        let running: Vec<_> = cells.into_iter().map(|cell| scope.spawn(move || run(cell))).collect();
        running.into_iter().filter_map(|cell| cell.join().unwrap()).collect()
    });
    assert!(wrong.is_empty(), "\n{}", wrong.join("\n"));
}
