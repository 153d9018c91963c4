"""Uses everything that server-everything offers, twice: directly and through the gateway, and compares every message.

    both_ways.py [--gateway WORD ... --] -- SERVER WORD ...

One session for each revision of the protocol, both ways at the same time. Compared is the text of each line that the
client receives, in order, with only what the server makes up anew each time (ids of tasks, times) replaced.
"""

import json
import os
import queue
import re
import subprocess
import sys
import threading

REVISIONS = ["2024-11-05", "2025-03-26", "2025-06-18", "2025-11-25", "2026-07-28"]
# Ten servers start at once.
LINE_SECONDS_MAX = 180
CAPABILITIES = {
    "roots": {"listChanged": True},
    "sampling": {},
    "elicitation": {"form": {}, "url": {}},
    "tasks": {
        "list": {},
        "cancel": {},
        "requests": {"sampling": {"createMessage": {}}, "elicitation": {"create": {}}},
    },
}
CREATED = "2026-01-02T03:04:05Z"


class Session:
    """A client of one server. Everything that comes is kept, under the step in which it came."""

    def __init__(self, command, revision):
        self.revision = revision
        # A command behind the gateway sees nothing of the gateway's own, so one without it must not either.
        own = {} if "enforce" in command else {"env": {k: v for k, v in os.environ.items() if not k.startswith("MCPOL_")}}
        self.child = subprocess.Popen(command, **own, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
        self.lines = queue.Queue()
        self.errors = []
        threading.Thread(target=self.read, daemon=True).start()
        threading.Thread(target=self.read_errors, daemon=True).start()
        self.transcript = []
        self.features = set()
        self.id = 0
        self.asked = {}
        self.begun = set()

    def read(self):
        for line in self.child.stdout:
            self.lines.put(line.decode())
        self.lines.put(None)

    def read_errors(self):
        for line in self.child.stderr:
            self.errors.append(line.decode(errors="replace"))

    def send(self, message):
        self.child.stdin.write((json.dumps({"jsonrpc": "2.0", **message}) + "\n").encode())
        self.child.stdin.flush()

    def next(self):
        """The next message; requests of the server are answered before it is handed on."""
        line = self.lines.get(timeout=LINE_SECONDS_MAX)
        if line is None:
            raise EOFError("the server closed its output\n" + "".join(self.errors[-20:]))
        message = json.loads(line)
        method = message.get("method")
        if "result" in message and "task" in message["result"]:
            self.begun.add(message["result"]["task"]["taskId"])
        # Whose a task is stands in the answer that begins it: news of it from before that go to nobody.
        if method != "notifications/tasks/status" or message["params"]["taskId"] in self.begun:
            self.transcript.append(normal(line))
        if method:
            self.features.add(method)
        if method and "id" in message:
            self.send({"id": message["id"], "result": self.answer(method, message.get("params", {}))})
        return message

    def answer(self, method, params):
        """What the person and the model behind this client say."""
        task = {"taskId": "t1", "status": "completed", "createdAt": CREATED, "lastUpdatedAt": CREATED, "ttl": 60000}
        results = {
            "roots/list": {"roots": [{"uri": "file:///srv/one", "name": "one"}, {"uri": "file:///srv/two"}]},
            "sampling/createMessage": {
                "role": "assistant", "model": "none", "stopReason": "endTurn", "content": {"type": "text", "text": "said"}
            },
            "elicitation/create": {"action": "accept", "content": {"name": "A", "interpretation": "snake", "integer": 7}},
            "tasks/get": task,
        }
        if method == "tasks/result":
            return results[self.asked[params["taskId"]]]
        if params.get("mode") == "url":
            return {"action": "accept"}
        if "task" in params:
            self.asked["t1"] = method
            return {"task": task}
        return results.get(method, {})

    def until(self, *wanted):
        """Reads until each of these has come, in any order: a reply by its id, a notification or request by its method."""
        missing = list(wanted)
        reply = None
        while missing:
            message = self.next()
            if "method" not in message:
                reply = message
            what = message["method"] if "method" in message else message["id"]
            if what in missing:
                missing.remove(what)
        return reply

    def ask(self, method, params=None, also=()):
        self.id += 1
        self.transcript.append(normal(f"> {method} {json.dumps(params)[:100]}"))
        self.features.add(method)
        self.send({"id": self.id, "method": method, "params": params or {}})
        return self.until(self.id, *also)

    def call(self, tool, arguments=None, also=(), **more):
        return self.ask("tools/call", {"name": tool, "arguments": arguments or {}, **more}, also)


def normal(line):
    if '\\"PATH\\"' in line:
        # The environment: who starts a process decides on the order of its variables.
        line = "\\n".join(sorted(line.replace(",\\n", "\\n").split("\\n")))
    line = re.sub(r'("taskId"\s*:\s*")(?!t1")[0-9a-zA-Z-]{8,}"', r'\1TASK"', line)
    line = re.sub(r"\b[0-9a-f]{32}\b|\b[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}\b", "UUID", line)
    line = re.sub(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?Z", "TIME", line)
    line = re.sub(r"\d{1,2}:\d\d:\d\d( ?[AP]M)?", "CLOCK", line)
    # A resource that holds the time of day, in base64: "Resource ".
    line = re.sub(r'"blob":"UmVzb3VyY2Ug[^"]*"', '"blob":"CLOCK"', line)
    # What the server logs when it is asked to log something is drawn by lot.
    return re.sub(r'"level":"\w+","data":"\w+[- ]level[- ]message', '"level":"ANY","data":"ANY', line)


def cases(session):
    """Everything once. Long operations are as short as they can be made."""
    started = session.ask(
        "initialize",
        {"protocolVersion": session.revision, "capabilities": CAPABILITIES, "clientInfo": {"name": "both", "version": "1"}},
    )
    session.transcript.append(f"= {started['result']['protocolVersion']}")
    session.send({"method": "notifications/initialized"})
    # It asks for roots by itself, and says in its log how many there are.
    session.until("roots/list", "notifications/message")
    session.send({"method": "notifications/roots/list_changed"})
    session.until("roots/list", "notifications/message")
    session.ask("ping")
    tools = [tool["name"] for tool in session.ask("tools/list")["result"]["tools"]]

    session.call("echo", {"message": "é \u2028 \U0001f600 \\ \" "})
    session.call("get-sum", {"a": 1e300, "b": -0.5})
    session.call("get-sum", {"a": "no number"})
    session.call("get-env")
    session.call("get-structured-content", {"location": "Chicago"})
    session.call("get-annotated-message", {"messageType": "error", "includeImage": True})
    session.call("get-tiny-image")
    session.call("get-resource-links", {"count": 3})
    session.call("get-resource-reference", {"resourceType": "Blob", "resourceId": 2})
    session.call("get-roots-list")
    session.call("gzip-file-as-resource", {"name": "x", "data": "data:text/plain,hello", "outputType": "resource"})
    session.call("no-such-tool")
    session.ask("no/such-method")

    session.ask("resources/list")
    session.ask("resources/templates/list")
    session.ask("resources/read", {"uri": "demo://resource/dynamic/text/1"})
    session.ask("resources/read", {"uri": "demo://resource/dynamic/blob/1"})
    session.ask("resources/read", {"uri": "demo://resource/nowhere"})
    uri = "demo://resource/dynamic/text/1"
    session.ask("resources/subscribe", {"uri": uri})
    session.call("toggle-subscriber-updates", also=["notifications/resources/updated"])
    session.call("toggle-subscriber-updates")
    session.ask("resources/unsubscribe", {"uri": uri})

    session.ask("prompts/list")
    session.ask("prompts/get", {"name": "simple-prompt"})
    session.ask("prompts/get", {"name": "args-prompt", "arguments": {"city": "Paris"}})
    session.ask("prompts/get", {"name": "resource-prompt", "arguments": {"resourceType": "Text", "resourceId": "1"}})
    session.ask("prompts/get", {"name": "no-such-prompt"})
    for argument, value in [("department", "E"), ("name", "")]:
        session.ask(
            "completion/complete",
            {
                "ref": {"type": "ref/prompt", "name": "completable-prompt"},
                "argument": {"name": argument, "value": value},
                "context": {"arguments": {"department": "Engineering"}},
            },
        )
    session.ask(
        "completion/complete",
        {"ref": {"type": "ref/resource", "uri": "demo://resource/dynamic/text/{resourceId}"},
         "argument": {"name": "resourceId", "value": "1"}},
    )

    session.ask("logging/setLevel", {"level": "debug"})
    session.call("toggle-simulated-logging", also=["notifications/message"])
    session.call("toggle-simulated-logging")
    session.ask("logging/setLevel", {"level": "emergency"})

    session.call("trigger-long-running-operation", {"duration": 0.3, "steps": 3}, _meta={"progressToken": "p"})
    # Withdrawn after the first step, long before the second: no answer comes, though this server goes on to the last one.
    session.id += 1
    withdrawn = session.id
    session.send({"id": withdrawn, "method": "tools/call", "params": {
        "name": "trigger-long-running-operation", "arguments": {"duration": 6, "steps": 3}, "_meta": {"progressToken": 7}}})
    session.until("notifications/progress")
    session.send({"method": "notifications/cancelled", "params": {"requestId": withdrawn, "reason": "enough"}})
    session.until("notifications/progress", "notifications/progress")
    session.ask("ping")

    session.call("trigger-sampling-request", {"prompt": "say", "maxTokens": 5})
    session.call("trigger-elicitation-request")
    if "trigger-url-elicitation" in tools:
        arguments = {"url": "https://example.com/x", "message": "go", "elicitationId": "e1"}
        session.call("trigger-url-elicitation", arguments)
        session.call("trigger-url-elicitation", {**arguments, "elicitationId": "e2", "errorPath": True})
    session.call("trigger-sampling-request-async", {"prompt": "say later"})
    session.call("trigger-elicitation-request-async")

    # A task of the server that needs an answer on its way, looked at until it is done, and one that is given up.
    made = session.call("simulate-research-query", {"topic": "python", "ambiguous": True}, task={"ttl": 60000})
    task = made["result"]["task"]["taskId"]
    session.ask("tasks/get", {"taskId": task})
    session.ask("tasks/result", {"taskId": task})
    session.ask("tasks/get", {"taskId": task})
    session.ask("tasks/list")
    made = session.call("simulate-research-query", {"topic": "x"}, task={"ttl": 60000})
    session.ask("tasks/cancel", {"taskId": made["result"]["task"]["taskId"]})
    return tools


def run(way, command, revision, out):
    session = Session(command, revision)
    try:
        tools = cases(session)
        session.child.stdin.close()
        if way == "direct":
            # This server outlives its input.
            session.child.kill()
        out.append((session.transcript, session.features, tools, session.child.wait(LINE_SECONDS_MAX)))
    except Exception as error:
        out.append(error)
        session.child.kill()
        for line in session.transcript[-5:]:
            print("   ", line.strip()[:200], file=sys.stderr)
        raise


def main(words):
    split = words.index("--")
    gateway, server = words[:split], words[split + 1:]
    runs = {}
    for revision in REVISIONS:
        for way, command in [("direct", server), ("gateway", [*gateway, "--", *server])]:
            out = runs[revision, way] = []
            thread = threading.Thread(target=run, args=(way, command, revision, out), daemon=True)
            thread.start()
            out.append(thread)
    differ = 0
    for revision in REVISIONS:
        results = []
        for way in ["direct", "gateway"]:
            thread = runs[revision, way][0]
            thread.join(timeout=4 * LINE_SECONDS_MAX)
            if len(runs[revision, way]) < 2 or isinstance(runs[revision, way][1], Exception):
                sys.exit(f"{revision}, {way}: {(runs[revision, way] + ['no end'])[1]}")
            results.append(runs[revision, way][1])
        (direct, features, tools, _), (through, _, _, code) = results
        before = differ
        for at, (one, other) in enumerate(zip(direct, through)):
            if one != other:
                step = next(line for line in reversed(direct[: at + 1]) if line.startswith(">"))
                print(f"{revision}, after {step}\n  directly: {one[:400]}\n  gateway:  {other[:400]}", file=sys.stderr)
                differ += 1
        if len(direct) != len(through):
            print(f"{revision}: {len(direct)} lines directly, {len(through)} through the gateway", file=sys.stderr)
            differ += 1
        if code != 0:
            print(f"{revision}: the gateway ended with {code}", file=sys.stderr)
            differ += 1
        answered = next(line for line in direct if line.startswith("="))[2:]
        print(f"  {revision} (answered {answered}): {len(direct)} lines{' alike' * (differ == before)}, {len(tools)} tools, {len(features)} methods")
    sys.exit(1 if differ else 0)


main(sys.argv[1:])
