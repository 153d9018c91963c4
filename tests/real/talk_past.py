"""Tries to talk past the gateway to a server written with the official Python SDK.

    talk_past.py PYTHON MCPOL

The server has a tool that the policy hides and one that it allows with one argument only. Each message below is some way
of saying one thing to the gateway and another to the server. Directly the server does many of them; through the gateway
it must do none that the policy does not permit.
"""

import json
import os
import subprocess
import sys
import tempfile
import threading

SERVER = '''
import json, os
try:
    from mcp.server.fastmcp import FastMCP as Server
except ImportError:
    from mcp.server import MCPServer as Server
server = Server("doer")
def done(*what):
    with open(os.environ["DONE"], "a") as file:
        file.write(json.dumps(what) + "\\n")
    return "done"
@server.tool()
def good(x: int = 0, y: int | None = None) -> str:
    return done("good", x, y)
@server.tool()
def evil(x: int = 0) -> str:
    return done("evil", x)
server.run()
'''
POLICY = {"version": "1", "default": "deny", "hide": ["evil"], "tools": {"good": {
    "require": [{"path": "args.x", "op": "eq", "value": 1}],
    "deny_if": [{"path": "args.y", "op": "exists", "value": True}]}}}
HANDSHAKE = [
    '{"jsonrpc":"2.0","id":"first","method":"initialize","params":{"protocolVersion":"2025-06-18","capabilities":{},'
    '"clientInfo":{"name":"t","version":"1"}}}',
    '{"jsonrpc":"2.0","method":"notifications/initialized"}',
]
EVIL = '{"name":"evil","arguments":{"x":1}}'
GOOD = '{"name":"good","arguments":{"x":1}}'
PING = '{"jsonrpc":"2.0","id":1,"method":"ping"}'


def call(params, id="1", method='"tools/call"'):
    return f'{{"jsonrpc":"2.0","id":{id},"method":{method},"params":{params}}}'


def arguments(text):
    return call(f'{{"name":"good","arguments":{text}}}')


MESSAGES = [
    call(EVIL), arguments('{"x":2}'),
    # Two members with one name.
    call('{"name":"good","name":"evil","arguments":{"x":1}}'), call('{"name":"evil","name":"good","arguments":{"x":1}}'),
    call('{"name":"good","n\\u0061me":"evil","arguments":{"x":1}}'),
    arguments('{"x":1,"x":2}'), arguments('{"x":2,"x":1}'), arguments('{"x":1,"\\u0078":2}'),
    call('{"name":"good","arguments":{"x":1},"arguments":{"x":2}}'),
    call('{"name":"good","arguments":{"x":2},"arguments":{"x":1}}'),
    f'{{"jsonrpc":"2.0","id":1,"method":"ping","method":"tools/call","params":{EVIL}}}',
    f'{{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{GOOD},"params":{EVIL}}}',
    # One line here, several there.
    PING + "\r" + call(EVIL, "2"), f'{{"a":\r{call(EVIL)}\r}}',
    f'{{"jsonrpc":"2.0","id":1,"method":"ping","params":\r{call(EVIL)}\r}}',
    f'{{"jsonrpc":"2.0","id":1,"method":"ping","params":{{"_meta":\r{call(EVIL)}\r}}}}',
    *(PING + end + call(EVIL, "2") for end in ["\u2028", "\u2029", "\x85", "\x0b", "\x0c", "\x1c", "\x1d", "\x1e"]),
    '{"jsonrpc":"2.0","id":1,"method":"ping","params":{"_meta":{"x":"\u2028' + call(EVIL).replace('"', '\\"') + '\u2028"}}}',
    # More than one message.
    f"[{call(EVIL)}]", f'[{call(GOOD)},{call(EVIL, "2")}]', call(EVIL) + " {}", call(EVIL) + call(EVIL, "2"),
    f'{{"jsonrpc":"2.0","id":1,"method":"tools/call","result":{{}},"params":{EVIL}}}',
    f'{{"jsonrpc":"2.0","id":1,"result":{{}},"method":"tools/call","params":{EVIL},"error":{{"code":1,"message":""}}}}',
    # Odd ids.
    *(call(EVIL, id) for id in ["null", "1.0", "1.5", "1e0", "-0", "true", '"1"', "[]", "9007199254740993"]),
    f'{{"jsonrpc":"2.0","method":"tools/call","params":{EVIL}}}',
    # Odd spellings.
    "\ufeff" + call(EVIL), " \t" + call(EVIL), "\x0b" + call(EVIL), "\x85" + call(EVIL), "\x1e" + call(EVIL), "\x00" + call(EVIL),
    *(call(EVIL, method=method) for method in ['"tools\\/call"', '"TOOLS/CALL"', '" tools/call"', '"tools/call\\u0000"']),
    call('{"name":"evil\\u0000","arguments":{"x":1}}'), call('{"name":"\\u0065vil","arguments":{"x":1}}'),
    call('{"name":"good\\u0000","arguments":{"x":2}}'), call('{"name":" good","arguments":{"x":2}}'),
    call('{"Name":"evil","name":"good","arguments":{"x":1}}'), call('{"name":["evil"],"arguments":{"x":1}}'),
    # Odd arguments.
    *(arguments(text) for text in [
        '{"X":2,"x":1}', '{"X":2}', '{"x":"1"}', '{"x":"2"}', '{"x":true}', '{"x":2.0}', '{"x":2e0}', '{"x":[2]}', '{"x":null}',
        '{"x":1,"y":"5"}', '{"x":1,"y":5.0}', '{"x":1,"y":NaN}', '{"x":1,"Y":5}', '{"x":1,"y\\u0000":5}', '{"x":1,"\\ud800":2}',
        '{"x":1,"__proto__":{"y":2}}', '"{\\"x\\":2}"', "null", "[]", '{"arguments":{"x":2}}', '{"x":2}}, {"x":1',
    ]),
    call('["good"]'), call("null"), call('{"name":"evil","arguments":{"x":1},"task":{"ttl":1}}'),
    call('{"name":"good","arguments":{"x":2},"_meta":{"progressToken":{"a":1}}}'),
]


def run(command, folder, name):
    """What the server did when it heard everything."""
    done = os.path.join(folder, name)
    open(done, "w").close()
    environment = {**os.environ, "DONE": done, "MCPOL_STATE_DIR": os.path.join(folder, "state")}
    child = subprocess.Popen(
        command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, env=environment, cwd=folder)
    first, last = threading.Event(), threading.Event()

    def read():
        for line in child.stdout:
            if b'"first"' in line:
                first.set()
            if b'"last"' in line:
                last.set()

    threading.Thread(target=read, daemon=True).start()

    def send(lines):
        child.stdin.write("".join(line + "\n" for line in lines).encode("utf-8", "surrogatepass"))
        child.stdin.flush()

    send(HANDSHAKE)
    assert first.wait(60), f"{name}: no answer to initialize"
    for message in MESSAGES:
        send([message])
    # A server that has answered this one has read all the others; it ends when they are done.
    send([call(GOOD, '"last"')])
    assert last.wait(60), f"{name}: no answer after everything"
    child.stdin.close()
    child.wait(60)
    with open(done) as file:
        return [json.loads(line) for line in file]


def main(python, mcpol):
    permitted = ["good", 1, None]
    with tempfile.TemporaryDirectory() as folder:
        for name, text in [("server.py", SERVER), ("policy.json", json.dumps(POLICY))]:
            with open(os.path.join(folder, name), "w") as file:
                file.write(text)
        server = [python, "server.py"]
        directly = run(server, folder, "directly")
        through = run([mcpol, "enforce", "--policy", "policy.json", "--audit", "none", "--", *server], folder, "through")
    wrong = [what for what in through if what != permitted]
    bites = [what for what in directly if what != permitted]
    print(f"  {len(MESSAGES)} messages: {len(bites)} acts against the policy directly, {len(wrong)} through the gateway")
    if wrong:
        sys.exit(f"the server did: {wrong}")
    if len(bites) < 10 or permitted not in through:
        sys.exit("these messages prove nothing")


main(*sys.argv[1:])
