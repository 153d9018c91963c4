// Compares what the conformance suite found directly and through the gateway, check by check, and prints one table.
//
//   node table.mjs RESULTS SERVER:full|partial|foreign@VERSION …
//
// RESULTS holds, for each, SERVER-VERSION-direct and SERVER-VERSION-gateway. `full`: everything must pass directly,
// otherwise a row could be equal for nothing. `partial`: a server that lacks what the suite asks for. `foreign`: a
// server of the other era, whose refusals must survive.
import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';

// What may differ, and why. Everything else must be the same, check by check.
const improved = [
  {
    server: 'everything',
    check: /^localhost-host-rebinding-rejected$/,
    why: 'the gateway checks Host and Origin, the server does not',
  },
  {
    server: 'everything',
    check: /^sep-2575-http-server-error-jsonrpc-id$/,
    why: 'what the gateway refuses itself names the request that it answers',
  },
  {
    server: 'everything',
    check: /^sep-2575-http-server-header-mismatch-400$/,
    why: 'the gateway compares headers with the body before the server sees either',
  },
  {
    check: /^sep-2575-http-server-method-not-found-404$/,
    why: 'the gateway refuses methods that no revision knows itself',
  },
];

// Where the gateway is stricter on purpose than the suite would have it.
const stricter = [
  {
    check: /^sep-2663-(tasks-methods-non-declaring|tasks-result-removed-method-not-found)$/,
    why: 'a task that the gateway did not see begin is answered as one that does not exist, before the server is asked',
  },
];

const [results, ...runs] = process.argv.slice(2);

// scenario -> check id -> statuses in their order. What is only told (INFO) depends on how bytes arrive.
function read(folder) {
  const scenarios = new Map();
  for (const entry of readdirSync(folder).sort()) {
    const name = entry.match(/^server-(.+?)-\d{4}-\d\d-\d\dT/)?.[1];
    if (!name) continue;
    const checks = new Map();
    for (const check of JSON.parse(readFileSync(join(folder, entry, 'checks.json'), 'utf8'))) {
      if (check.status === 'INFO') continue;
      const list = checks.get(check.id) ?? [];
      list.push({ status: check.status, error: check.errorMessage });
      checks.set(check.id, list);
    }
    scenarios.set(name, checks);
  }
  return scenarios;
}

const statuses = (list) => (list ?? []).map((check) => check.status).join(' ') || 'absent';
const failures = (list) => (list ?? []).filter((check) => check.status !== 'SUCCESS').length;
const passed = (list) => list?.length > 0 && list.every((check) => check.status === 'SUCCESS');
const score = (checks) => {
  if (!checks) return '-';
  const all = [...checks.values()].flat();
  return `${all.filter((check) => check.status === 'SUCCESS').length}/${all.length}`;
};

const cut = (name, width) => (name.length > width ? `${name.slice(0, width - 1)}…` : name.padEnd(width));

const columns = runs.map((run) => {
  const [, server, kind, version] = run.match(/^(.+):(full|partial|foreign)@(.+)$/);
  const side = (side) => read(join(results, `${server}-${version}-${side}`));
  return { server, kind, version, direct: side('direct'), gateway: side('gateway') };
});

const problems = [];
const notes = new Set();
let rows = 0;
for (const version of new Set(columns.map((column) => column.version))) {
  const here = columns.filter((column) => column.version === version);
  const cell = (text) => text.padStart(6);
  const head = here.map(({ server }) => server.padStart(12)).join('');
  console.log(`\n${version.padEnd(44)}${head}\n${''.padEnd(44)}${here.map(() => cell('alone') + cell('gate')).join('')}`);
  const names = new Set(here.flatMap(({ direct, gateway }) => [...direct.keys(), ...gateway.keys()]));
  for (const name of [...names].sort()) {
    let mark = ' ';
    const cells = here.map(({ server, kind, direct, gateway }) => {
      const [one, other] = [direct.get(name), gateway.get(name)];
      const problem = (text) => {
        mark = '!';
        problems.push(`${version} ${server} ${name}: ${text}`);
      };
      for (const id of new Set([...(one?.keys() ?? []), ...(other?.keys() ?? [])])) {
        rows += 1;
        const [before, after] = [one?.get(id), other?.get(id)];
        if (kind === 'full' && !passed(before)) {
          problem(`${id} fails without the gateway: ${statuses(before)}: ${before?.[0]?.error ?? ''}`);
        }
        if (statuses(before) === statuses(after)) continue;
        const known = improved.find(
          (entry) => (entry.server ?? server) === server && (entry.kind ?? kind) === kind && entry.check.test(id),
        );
        const wanted = stricter.find((entry) => entry.check.test(id));
        if (wanted && after && !passed(after)) {
          mark = mark === '!' ? mark : '-';
          notes.add(`- ${server}, ${id}: ${wanted.why}`);
        } else if (known && after && failures(after) < failures(before)) {
          mark = mark === '!' ? mark : '+';
          notes.add(`+ ${server}, ${id}: ${known.why}`);
        } else {
          const error = after?.find((check) => check.error)?.error;
          problem(`${id}: ${statuses(before)} directly, ${statuses(after)} through the gateway${error ? `: ${error}` : ''}`);
        }
      }
      return cell(score(one)) + cell(score(other));
    });
    console.log(`${mark} ${cut(name, 42)}${cells.join('')}`);
  }
}
// A suite that ran nothing finds no difference either.
for (const { server, kind, version, direct } of columns) {
  const least = kind === 'full' ? 30 : 20;
  if (direct.size < least) problems.push(`${version} ${server}: only ${direct.size} scenarios ran`);
}
console.log();
for (const note of notes) console.log(note);
for (const problem of problems) console.log(`! ${problem}`);
console.log(`${rows} checks compared, ${problems.length} differ or fail, ${notes.size} better or stricter through the gateway`);
process.exit(problems.length ? 1 : 0);
