"""An MCP client of its own: reads the file of one client (JSON with comments, TOML or YAML), starts what the entries say as
that client would, and makes one call through each. The calls come as lines `SERVER TOOL ARGUMENTS` on standard input."""
import json
import os
import re
import subprocess
import sys


def read(path):
    text = open(path, encoding="utf-8").read()
    if path.endswith(".toml"):
        import tomllib
        return tomllib.loads(text)
    if path.endswith(".yaml"):
        import yaml
        return yaml.safe_load(text)
    text = re.sub(r'("(?:\\.|[^"\\])*")|//[^\n]*|/\*.*?\*/', lambda found: found[1] or "", text, flags=re.S)
    return json.loads(re.sub(r'("(?:\\.|[^"\\])*")|,(?=\s*[}\]])', lambda found: found[1] or "", text))


def entries(document):
    for name in ("mcpServers", "servers", "context_servers", "mcp_servers", "extensions"):
        if name in document:
            return {name: entry for name, entry in document[name].items() if entry.get("type") != "builtin"}
    raise SystemExit("no servers")


class Session:
    def __init__(self, entry):
        command = entry.get("command") or entry["cmd"]
        env = {**os.environ, **(entry.get("env") or entry.get("envs") or {})}
        self.process = subprocess.Popen([command, *entry.get("args", [])], env=env, stdin=subprocess.PIPE,
                                        stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True)
        self.count = 0
        self.ask("initialize", {"protocolVersion": "2025-06-18", "capabilities": {},
                                "clientInfo": {"name": "newcomer", "version": "1"}})
        self.send({"method": "notifications/initialized"})

    def send(self, message):
        self.process.stdin.write(json.dumps({"jsonrpc": "2.0", **message}) + "\n")
        self.process.stdin.flush()

    def ask(self, method, params):
        self.count += 1
        self.send({"id": self.count, "method": method, "params": params})
        for line in self.process.stdout:
            answer = json.loads(line)
            if answer.get("id") == self.count and "method" not in answer:
                return answer
            if "method" in answer and "id" in answer:
                self.send({"id": answer["id"], "error": {"code": -32601, "message": "no"}})
        raise SystemExit(f"no answer to {method}")

    def end(self):
        self.process.stdin.close()
        self.process.wait(20)


servers = entries(read(sys.argv[1]))
mcpol = sys.argv[2]
calls = [line.split(" ", 2) for line in sys.stdin.read().splitlines()]
assert {name for name, _, _ in calls} == set(servers), (calls, sorted(servers))
for name, tool, arguments in calls:
    command = servers[name].get("command") or servers[name]["cmd"]
    assert os.path.realpath(command) == os.path.realpath(mcpol), f"{name} is not wrapped"
    session = Session(servers[name])
    tools = [each["name"] for each in session.ask("tools/list", {})["result"]["tools"]]
    assert tool in tools, (name, tools)
    answer = session.ask("tools/call", {"name": tool, "arguments": json.loads(arguments)})
    # What the server itself says counts, be it that it has no account; a refusal of the gateway does not.
    assert "[POLICY" not in json.dumps(answer), (name, answer)
    assert "result" in answer or answer["error"]["code"] != -32601, (name, answer)
    session.end()
    print(f"  {name:<12} {len(tools):>3} tools, {tool}")
