"""An MCP server over stdio that offers what a saved list holds: the stand-in for a real server of that version."""

import json
import sys

with open(sys.argv[1], encoding="utf-8") as file:
    saved = json.load(file)


def answer(message):
    match message["method"]:
        case "initialize":
            return {
                "protocolVersion": saved["protocolVersion"],
                "capabilities": {"tools": {}},
                "serverInfo": saved["serverInfo"],
            } | ({"instructions": saved["instructions"]} if "instructions" in saved else {})
        case "tools/list":
            return {"tools": saved["tools"]}
        case _:
            return None


for line in sys.stdin:
    message = json.loads(line)
    if "id" not in message:
        continue
    result = answer(message)
    reply = {"error": {"code": -32601, "message": "Method not found"}} if result is None else {"result": result}
    print(json.dumps({"jsonrpc": "2.0", "id": message["id"]} | reply), flush=True)
