// Finds servers and tools by the words of their names, classes and descriptions. Texts are set as texts, never as markup.
"use strict";
(() => {
  const SHOWN_MAX = 50;
  const box = document.getElementById("search");
  const words = document.getElementById("words");
  const found = document.getElementById("found");
  const results = document.getElementById("results");
  if (typeof CATALOGUE === "undefined" || !box) return;
  box.hidden = false;
  const rows = CATALOGUE.map((row) => [row, [row[0], row[1], row[3], row[4]].join(" ").toLowerCase(), row[0].toLowerCase()]);
  const look = () => {
    const wanted = words.value.toLowerCase().split(/\s+/).filter(Boolean);
    results.replaceChildren();
    if (wanted.length === 0) {
      found.textContent = "";
      return;
    }
    const hits = rows.filter(([, text]) => wanted.every((word) => text.includes(word)));
    const rank = ([, , name]) => (name === wanted[0] ? 0 : name.startsWith(wanted[0]) ? 1 : name.includes(wanted[0]) ? 2 : 3);
    hits.sort((a, b) => rank(a) - rank(b));
    found.textContent = hits.length === 1 ? "1 hit" : `${hits.length} hits${hits.length > SHOWN_MAX ? `, the first ${SHOWN_MAX}` : ""}`;
    for (const [[name, server, page, what, about]] of hits.slice(0, SHOWN_MAX)) {
      const item = document.createElement("li");
      const link = document.createElement("a");
      link.href = page;
      const code = document.createElement("code");
      code.textContent = name;
      link.append(code);
      const said = server ? ` of ${server}, ${what}${about ? `: “${about}”` : ""}` : `, server with grade ${what}`;
      item.append(link, said);
      results.append(item);
    }
  };
  words.addEventListener("input", look);
  words.addEventListener("keydown", (event) => {
    if (event.key === "Escape") {
      words.value = "";
      look();
    }
  });
  look();
})();
