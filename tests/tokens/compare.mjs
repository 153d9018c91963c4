// Compares the estimates of `mcpol scan --format ndjson` with the tokens that real vocabularies need for the same text.
// Usage: compare.mjs SCAN.ndjson FOLDER…    Exit code 1 where an error is larger than docs/tokens.md says.

import { readFileSync, readdirSync } from "node:fs";
import { join } from "node:path";
import { countTokens as cl100k } from "gpt-tokenizer/encoding/cl100k_base";
import { countTokens as o200k } from "gpt-tokenizer/encoding/o200k_base";

const [scan, ...folders] = process.argv.slice(2);

// What a client hands to a model of a tool.
const handed = ({ name, description, inputSchema }) => JSON.stringify({ name, description, inputSchema });

// The definitions of a saved list: a record of the catalogue, or what a server answered.
const definitions = (list) => (list.tools ?? []).map((tool) => tool.definition ?? tool);

const estimates = readFileSync(scan, "utf8").split("\n").filter(Boolean).map((line) => JSON.parse(line));
const key = (server, tool) => JSON.stringify([server, tool]);
const known = new Map();
for (const { server, tool, tokens } of estimates) {
  // A name that is listed twice cannot be told apart here.
  known.set(key(server, tool), known.has(key(server, tool)) ? undefined : tokens);
}

const rows = [];
let bytes = 0;
for (const folder of folders) {
  for (const file of readdirSync(folder).filter((name) => name.endsWith(".json")).sort()) {
    const list = JSON.parse(readFileSync(join(folder, file), "utf8"));
    const server = list.server ?? list.slug ?? file.replace(/\.json$/, "");
    for (const tool of definitions(list)) {
      const estimate = known.get(key(server, tool.name));
      if (estimate === undefined) continue;
      const text = handed(tool);
      bytes += Buffer.byteLength(text);
      // Text that looks like a control token is text.
      const plain = { allowedSpecial: new Set(), disallowedSpecial: new Set() };
      rows.push({ server, estimate, o200k_base: o200k(text, plain), cl100k_base: cl100k(text, plain) });
    }
  }
}
const counted = estimates.length - rows.length;
console.log(`${rows.length} tools of ${new Set(rows.map((row) => row.server)).size} servers${counted ? `, ${counted} not compared` : ""}`);

const percent = (part) => `${(100 * part).toFixed(1)} %`;
const errors = (pairs) => pairs.map(([estimate, real]) => Math.abs(estimate / real - 1)).sort((a, b) => a - b);
const at = (sorted, share) => sorted[Math.min(sorted.length - 1, Math.floor(sorted.length * share))];
const sum = (numbers) => numbers.reduce((total, number) => total + number, 0);

let failed = rows.length < 100;
for (const vocabulary of ["o200k_base", "cl100k_base"]) {
  const tools = errors(rows.map((row) => [row.estimate, row[vocabulary]]));
  const servers = errors(
    [...new Set(rows.map((row) => row.server))].map((name) => {
      const of = rows.filter((row) => row.server === name);
      return [sum(of.map((row) => row.estimate)), sum(of.map((row) => row[vocabulary]))];
    }),
  );
  const [estimate, real] = [sum(rows.map((row) => row.estimate)), sum(rows.map((row) => row[vocabulary]))];
  console.log(
    `${vocabulary}: a tool off by ${percent(at(tools, 0.5))} (median), 95 % of tools by at most ${percent(at(tools, 0.95))}; ` +
      `a server by ${percent(at(servers, 0.5))}, at most ${percent(at(servers, 1))}; in all ${estimate} for ${real} tokens; ` +
      `bytes / 4 would say ${Math.round(bytes / 4)}`,
  );
  if (vocabulary === "o200k_base") {
    failed ||= at(tools, 0.5) > 0.04 || at(tools, 0.95) > 0.1 || Math.abs(estimate / real - 1) > 0.02;
  }
}
if (failed) {
  console.error("FAILED: the estimate is further from o200k_base than docs/tokens.md says");
  process.exit(1);
}
