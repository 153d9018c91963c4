// Looks at a built site as browsers and readers do. Usage: node look.cjs SITE PICTURES CHROMIUM
"use strict";
const fs = require("node:fs");
const http = require("node:http");
const path = require("node:path");
const { chromium } = require("playwright-core");
const axe = require("axe-core");
const { HtmlValidate, FileSystemConfigLoader, esmResolver, cjsResolver } = require("html-validate");

const [site, pictures, executablePath] = process.argv.slice(2);
const PAGE_BYTES_MAX = 60_000;
const VIEWS = [
  { name: "phone", width: 390, height: 844 },
  { name: "desktop", width: 1280, height: 900 },
];
// Pages that are looked at one by one, and a sample of the others whose HTML is checked: every so many.
const CHECKED_EVERY = 25;
const LOOKED_AT = [
  "index.html",
  "method.html",
  "attacks.html",
  "attacks/tool-poisoning.html",
  "attacks/toxic-flow.html",
  "servers/timers.html",
  "servers/timers/pause_timer.html",
  "servers/timers/delete_timer.html",
  "servers/timers/run_script.html",
  "servers/timers/get_tip.html",
  "servers/timers/configure_everything.html",
  "servers/server-github.html",
  "servers/mcp-gitlab.html",
];

const problems = [];
const wrong = (page, what) => problems.push(`${page}: ${what}`);
const every = (folder) =>
  fs.readdirSync(folder, { withFileTypes: true }).flatMap((entry) => {
    const place = path.join(folder, entry.name);
    return entry.isDirectory() ? every(place) : [place];
  });
const pages = every(site).filter((file) => file.endsWith(".html")).map((file) => path.relative(site, file)).sort();

function sizesAndLinks() {
  const links = /(?:href|src)="([^"]*)"/g;
  for (const page of pages) {
    const text = fs.readFileSync(path.join(site, page), "utf8");
    const bytes = Buffer.byteLength(text);
    if (bytes > PAGE_BYTES_MAX) wrong(page, `${bytes} bytes`);
    for (const [, link] of text.matchAll(links)) {
      if (/^https:/.test(link)) continue;
      const [file, mark] = link.split("#");
      const target = path.join(site, path.dirname(page), file || path.basename(page));
      if (!fs.existsSync(target)) wrong(page, `leads nowhere: ${link}`);
      else if (mark && !fs.readFileSync(target, "utf8").includes(`id="${mark}"`)) wrong(page, `no such place: ${link}`);
    }
  }
}

async function valid() {
  const checker = new HtmlValidate({
    extends: ["html-validate:standard"],
    rules: { "long-title": "error", "no-inline-style": "error", "require-sri": "off" },
  });
  const checked = (page, at) => LOOKED_AT.includes(page) || page.includes("etc-script") || at % CHECKED_EVERY === 0;
  for (const page of pages.filter(checked)) {
    const report = await checker.validateString(fs.readFileSync(path.join(site, page), "utf8"));
    for (const message of report.results.flatMap((result) => result.messages)) {
      wrong(page, `HTML ${message.line}:${message.column} ${message.ruleId}: ${message.message}`);
    }
  }
}

const KINDS = { ".html": "text/html; charset=utf-8", ".css": "text/css", ".js": "text/javascript", ".json": "application/json", ".svg": "image/svg+xml" };
function serve() {
  const server = http.createServer((request, response) => {
    const file = path.join(site, decodeURIComponent(new URL(request.url, "http://x").pathname));
    if (!file.startsWith(site) || !fs.existsSync(file)) return response.writeHead(404).end();
    response.writeHead(200, { "content-type": KINDS[path.extname(file)] ?? "text/plain" }).end(fs.readFileSync(file));
  });
  return new Promise((done) => server.listen(0, "127.0.0.1", () => done(server)));
}

async function look(browser, base) {
  for (const view of VIEWS) {
    for (const colorScheme of ["light", "dark"]) {
      const context = await browser.newContext({ viewport: { width: view.width, height: view.height }, colorScheme });
      const page = await context.newPage();
      let place = "";
      page.on("console", (message) => ["error", "warning"].includes(message.type()) && wrong(place, `console: ${message.text()}`));
      page.on("pageerror", (error) => wrong(place, `script: ${error}`));
      page.on("request", (request) => request.url().startsWith(base) || wrong(place, `asks for ${request.url()}`));
      page.on("response", (answer) => answer.status() === 200 || wrong(place, `${answer.status()} ${answer.url()}`));
      for (place of LOOKED_AT) {
        await page.goto(`${base}/${place}`, { waitUntil: "load" });
        const wide = await page.evaluate(() => document.documentElement.scrollWidth - document.documentElement.clientWidth);
        if (wide > 0) wrong(place, `${wide} pixels wider than ${view.name}`);
        await page.evaluate(axe.source);
        const { violations } = await page.evaluate(() => globalThis.axe.run());
        for (const it of violations.filter((it) => ["serious", "critical"].includes(it.impact))) {
          wrong(place, `axe ${view.name} ${colorScheme} ${it.id}: ${it.nodes.slice(0, 3).map((node) => node.html.slice(0, 120)).join(" | ")}`);
        }
        const picture = `${place.replaceAll("/", "_").replace(".html", "")}-${view.name}-${colorScheme}.png`;
        await page.screenshot({ path: path.join(pictures, picture), fullPage: true });
      }
      await context.close();
    }
  }
}

async function withTheKeyboard(browser, base) {
  const context = await browser.newContext();
  const page = await context.newPage();
  await page.goto(`${base}/index.html`);
  await page.keyboard.press("Tab");
  const first = await page.evaluate(() => document.activeElement.className);
  if (first !== "skip") wrong("index.html", `the first stop of the keyboard is not the way to the content: ${first}`);
  await page.fill("#words", "pause timer");
  const hit = page.locator("#results a").first();
  if ((await hit.textContent()) !== "pause_timer") wrong("index.html", `the search finds ${await hit.textContent()}`);
  await hit.click();
  await page.waitForURL(/pause_timer\.html$/);
  await context.close();
  const bare = await browser.newContext({ javaScriptEnabled: false });
  const plain = await bare.newPage();
  await plain.goto(`${base}/index.html`);
  if (!(await plain.locator("table a").first().isVisible())) wrong("index.html", "nothing to read without scripts");
  await bare.close();
}

async function fromTheDisk(browser) {
  const page = await browser.newPage();
  page.on("console", (message) => message.type() === "error" && wrong("file:", message.text()));
  await page.goto(`file://${path.resolve(site)}/servers/timers/pause_timer.html`);
  const styled = await page.evaluate(() => getComputedStyle(document.querySelector("main")).maxWidth);
  if (styled === "none") wrong("file:", "no style");
  await page.goto(`file://${path.resolve(site)}/index.html`);
  await page.fill("#words", "pause timer");
  if ((await page.locator("#results a").count()) === 0) wrong("file:", "the search finds nothing");
  await page.close();
}

(async () => {
  fs.mkdirSync(pictures, { recursive: true });
  sizesAndLinks();
  await valid();
  const server = await serve();
  const base = `http://127.0.0.1:${server.address().port}`;
  const browser = await chromium.launch({ executablePath, args: ["--no-sandbox"] });
  try {
    await look(browser, base);
    await withTheKeyboard(browser, base);
    await fromTheDisk(browser);
  } finally {
    await browser.close();
    server.close();
  }
  const shown = [...new Set(problems)];
  for (const problem of shown.slice(0, 60)) console.error(problem);
  if (shown.length > 0) {
    console.error(`${shown.length} problems`);
    process.exit(1);
  }
  console.log(`${pages.length} pages`);
})();
