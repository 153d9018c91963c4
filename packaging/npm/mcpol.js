#!/usr/bin/env node
// Starts the mcpol of this platform, which npm has installed as an optional package, and ends as it ends. Nothing is
// downloaded here, and no script runs at installation.
"use strict";

const { spawn } = require("node:child_process");
const path = require("node:path");

const name = `@mcpol/${process.platform}-${process.arch}`;
let program;
try {
  const suffix = process.platform === "win32" ? ".exe" : "";
  program = path.join(path.dirname(require.resolve(`${name}/package.json`)), "bin", `mcpol${suffix}`);
} catch {
  console.error(`error: the package \`${name}\` is not installed`);
  console.error("  help: install `mcpol` without `--omit=optional`; if there is none for this platform, `cargo install mcpol`");
  process.exit(127);
}

const child = spawn(program, process.argv.slice(2), { stdio: "inherit" });
// A terminal sends INT to both of us, and a second one would end a gateway in the middle of its calls.
const atTerminal = [process.stdin, process.stdout, process.stderr].some((stream) => stream.isTTY);
const handlers = ["SIGTERM", "SIGHUP", "SIGINT"].map((signal) => {
  const handler = () => (signal === "SIGINT" && atTerminal) || child.kill(signal);
  process.on(signal, handler);
  return [signal, handler];
});
child.on("error", (error) => {
  console.error(`error: cannot start \`${program}\`: ${error.message}`);
  process.exit(126);
});
child.on("exit", (code, signal) => {
  handlers.forEach(([name, handler]) => process.removeListener(name, handler));
  if (signal) process.kill(process.pid, signal);
  else process.exit(code);
});
