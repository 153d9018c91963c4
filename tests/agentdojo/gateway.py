"""One session through `mcpol enforce`: a client in front of it, and behind it a server whose tools are those of an
AgentDojo suite, working on an environment of this session alone."""

import contextlib
import enum
import json
import os
import pathlib
import re
import shutil
import socket
import subprocess
import sys
import threading

from agentdojo.agent_pipeline.tool_execution import tool_result_to_str
from agentdojo.functions_runtime import FunctionsRuntime

PROTOCOL = "2025-06-18"
DECISION = "io.github.mcpol/decision"
PLEDGE = "io.github.mcpol/pledge"
RELAY = pathlib.Path(__file__).with_name("relay.py")


class Outcome(enum.Enum):
    """What became of a call."""

    PASSED = "passed"
    ASKED = "asked"
    REFUSED = "refused"


def tool_list(suite):
    """The tools of a suite as an MCP server lists them."""
    as_listed = lambda tool: {
        "name": tool.name,
        "description": tool.description,
        "inputSchema": tool.parameters.model_json_schema(),
    }
    return [as_listed(tool) for tool in suite.tools]


class Server(threading.Thread):
    """The server's side: answers from the environment until the gateway hangs up."""

    def __init__(self, suite, env, listener):
        super().__init__(daemon=True)
        self.suite, self.env, self.listener = suite, env, listener
        self.runtime = FunctionsRuntime(suite.tools)
        self.ran = []

    def run(self):
        with contextlib.suppress(OSError):
            connection, _ = self.listener.accept()
            with connection, connection.makefile("rwb") as stream:
                for line in stream:
                    answer = self.answer(json.loads(line))
                    if answer is not None:
                        stream.write(json.dumps(answer).encode() + b"\n")
                        stream.flush()

    def answer(self, message):
        if "id" not in message or "method" not in message:
            return None
        method, params = message["method"], message.get("params") or {}
        if method == "initialize":
            info = {"name": self.suite.name, "version": "0.1.35"}
            result = {"protocolVersion": PROTOCOL, "capabilities": {"tools": {}}, "serverInfo": info}
        elif method == "tools/list":
            result = {"tools": tool_list(self.suite)}
        elif method == "tools/call":
            result = self.call(params["name"], params.get("arguments") or {})
        elif method == "ping":
            result = {}
        else:
            error = {"code": -32601, "message": f"no method {method}"}
            return {"jsonrpc": "2.0", "id": message["id"], "error": error}
        return {"jsonrpc": "2.0", "id": message["id"], "result": result}

    def call(self, name, arguments):
        self.ran.append(name)
        value, error = self.runtime.run_function(self.env, name, arguments)
        text = error if error is not None else tool_result_to_str(value)
        return {"content": [{"type": "text", "text": text}], "isError": error is not None}


class Broken(Exception):
    """The gateway did something that this client does not understand."""


class Session:
    """A client that calls tools of one environment through a gateway of its own."""

    def __init__(self, mcpol, folder, name, suite, env, policy, pledge=None):
        self.mcpol, self.folder = mcpol, os.path.join(folder, name)
        os.mkdir(self.folder)
        address, self.state = os.path.join(self.folder, "sock"), os.path.join(self.folder, "state.db")
        self.listener = socket.socket(socket.AF_UNIX)
        self.listener.bind(address)
        self.listener.listen(1)
        self.server = Server(suite, env, self.listener)
        self.server.start()
        gateway = [mcpol, "enforce", "--policy", policy, "--state", self.state, "--audit", "none", "--no-reload"]
        server = ["--name", suite.name, "--", sys.executable, "-S", "-I", str(RELAY), address]
        self.errors = open(os.path.join(self.folder, "errors"), "w+b")
        pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "stderr": self.errors}
        self.gateway = subprocess.Popen([*gateway, *server], **pipes)
        self.ids = 0
        meta = {"_meta": {PLEDGE: {"tools": sorted(pledge)}}} if pledge is not None else {}
        info = {"name": "agentdojo", "version": "0.1.35"}
        self.request("initialize", {"protocolVersion": PROTOCOL, "capabilities": {}, "clientInfo": info, **meta})
        self.send({"method": "notifications/initialized"})
        self.request("tools/list", {})

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.gateway.stdin.close()
        self.gateway.terminate()
        self.gateway.wait()
        self.gateway.stdout.close()
        self.listener.close()
        self.server.join()
        self.errors.close()
        shutil.rmtree(self.folder)

    def send(self, message):
        self.gateway.stdin.write(json.dumps({"jsonrpc": "2.0", **message}).encode() + b"\n")
        self.gateway.stdin.flush()

    def request(self, method, params, on_question=None):
        """The answer to a request; `on_question` hears the id of the approval that it waits for. Where that is not to be
        answered (`on_question` says no), there is none."""
        self.ids += 1
        self.send({"id": self.ids, "method": method, "params": params})
        for line in self.gateway.stdout:
            message = json.loads(line)
            if message.get("id") == self.ids and "method" not in message:
                return message
            waits = re.fullmatch(r"waiting for approval (\S+)", (message.get("params") or {}).get("message") or "")
            if waits and on_question:
                if not on_question(waits[1]):
                    return None
                on_question = None
        raise Broken(f"the gateway ended: {pathlib.Path(self.errors.name).read_text()}")

    def call(self, call, answer):
        """Makes a call; a person who is asked about it gives `answer`: `approve`, `deny`, or none, and then the session
        is over."""
        asked = []

        def decide(approval):
            asked.append(approval)
            if answer is not None:
                command = [self.mcpol, "approvals", "--state", self.state, answer, approval]
                subprocess.run(command, check=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
            return answer is not None

        params = {"name": call.function, "arguments": dict(call.args), "_meta": {"progressToken": self.ids}}
        message = self.request("tools/call", params, decide)
        if message is None:
            return Outcome.ASKED
        decision = (message.get("result") or {}).get("_meta", {}).get(DECISION)
        if decision and decision["code"] == "state_unavailable":
            raise Broken(f"the gateway cannot count: {decision}")
        passed = decision is None and "error" not in message
        if asked:
            if passed != (answer == "approve"):
                raise Broken(f"a call that a person was to {answer} got {message}")
            return Outcome.ASKED
        return Outcome.PASSED if passed else Outcome.REFUSED
