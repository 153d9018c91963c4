"""An npm registry of what lies in a folder, on a port of loopback that it prints: every package has one version."""

import base64
import hashlib
import http.server
import json
import pathlib
import sys
import tarfile
import urllib.parse

packages = {}
for file in pathlib.Path(sys.argv[1]).glob("*.tgz"):
    with tarfile.open(file) as archive:
        manifest = json.load(archive.extractfile("package/package.json"))
    packages[manifest["name"]] = (manifest, file)


class Registry(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        name = urllib.parse.unquote(self.path.lstrip("/").split("?")[0])
        tarball = [file for _, file in packages.values() if name == file.name]
        if tarball:
            return self.answer(200, tarball[0].read_bytes(), "application/octet-stream")
        if name not in packages:
            return self.answer(404, b'{"error":"not found"}', "application/json")
        manifest, file = packages[name]
        integrity = "sha512-" + base64.b64encode(hashlib.sha512(file.read_bytes()).digest()).decode()
        tarball = f"http://127.0.0.1:{self.server.server_port}/{file.name}"
        version = manifest["version"]
        found = {**manifest, "dist": {"tarball": tarball, "integrity": integrity}}
        body = {"name": name, "dist-tags": {"latest": version}, "versions": {version: found}}
        return self.answer(200, json.dumps(body).encode(), "application/json")

    def answer(self, status, body, kind):
        self.send_response(status)
        self.send_header("Content-Type", kind)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_):
        pass


server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Registry)
print(server.server_port, flush=True)
server.serve_forever()
