// Makes the packages for npm:  node packaging/npm/pack.mjs OUT PLATFORM=FOLDER…
// PLATFORM is Node's name of one, such as `linux-x64`; FOLDER has its programs. The package `mcpol` has a launcher, and
// depends on one optional package a platform, of which npm installs the one that fits.
import { execFileSync } from "node:child_process";
import { chmodSync, copyFileSync, existsSync, mkdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import path from "node:path";
import { fileURLToPath } from "node:url";

const here = path.dirname(fileURLToPath(import.meta.url));
const top = path.join(here, "..", "..");
const [out, ...platforms] = process.argv.slice(2);
if (!platforms.length || platforms.some((platform) => !/^[a-z0-9]+-[a-z0-9]+=./.test(platform))) {
  console.error("usage: node pack.mjs OUT PLATFORM=FOLDER…");
  process.exit(2);
}

const cargo = readFileSync(path.join(top, "Cargo.toml"), "utf8");
const of = (key) => cargo.match(new RegExp(`^${key} = "(.*)"$`, "m"))[1];
const common = {
  version: of("version"),
  license: of("license"),
  homepage: of("homepage"),
  repository: { type: "git", url: `git+${of("repository")}.git` },
};

// Writes a package's folder, with what `files` names of others, and packs it into OUT.
function pack(manifest, files) {
  const folder = path.join(out, manifest.name);
  rmSync(folder, { recursive: true, force: true });
  mkdirSync(path.join(folder, "bin"), { recursive: true });
  for (const [from, to] of [...files, ["LICENSE-MIT", "LICENSE-MIT"], ["LICENSE-APACHE", "LICENSE-APACHE"]]) {
    copyFileSync(path.resolve(top, from), path.join(folder, to));
    if (to.startsWith("bin/")) chmodSync(path.join(folder, to), 0o755);
  }
  writeFileSync(path.join(folder, "package.json"), JSON.stringify(manifest, null, 2) + "\n");
  execFileSync("npm", ["pack", "--silent", "--pack-destination", path.resolve(out)], { cwd: folder, stdio: "inherit" });
}

mkdirSync(out, { recursive: true });
const optional = {};
for (const given of platforms) {
  const [platform, folder] = [given.slice(0, given.indexOf("=")), path.resolve(given.slice(given.indexOf("=") + 1))];
  const [os, cpu] = platform.split("-");
  const suffix = os === "win32" ? ".exe" : "";
  // There is no supervisor where there are no process groups.
  const programs = ["mcpol", "mcpol-supervise"].map((name) => name + suffix).filter((name) => os !== "win32" || existsSync(path.join(folder, name)));
  const manifest = {
    name: `@mcpol/${platform}`,
    description: `The programs of mcpol for ${platform}; install \`mcpol\`.`,
    ...common,
    os: [os],
    cpu: [cpu],
    files: ["bin"],
    preferUnplugged: true,
  };
  pack(manifest, programs.map((name) => [path.join(folder, name), `bin/${name}`]));
  optional[manifest.name] = common.version;
}
const manifest = {
  name: "mcpol",
  description: of("description"),
  keywords: ["mcp", "security", "policy", "gateway", "ai-agents"],
  ...common,
  bin: { mcpol: "bin/mcpol.js" },
  files: ["bin"],
  engines: { node: ">=18" },
  optionalDependencies: optional,
};
pack(manifest, [[path.join(here, "mcpol.js"), "bin/mcpol.js"], ["README.md", "README.md"]]);
