"use strict";

function factsText() {
  const { facts, columns, n, kept } = content;
  const some = n < facts.n_rows ? `${n} of ${facts.n_rows} rows, drawn at random` : `${n} rows`;
  const cells = kept.length < n ? ` (cells of ${kept.length} of them)` : "";
  return `${some}${cells}, ${columns.length} columns, ${facts.n_codes} ${facts.n_codes === 1 ? "code" : "codes"}; ` +
    `mean log-likelihood ${formatted(facts.score)} nats per row.`;
}

// The library is a script of its own, made of the letters that the page carries.
async function startPlotly() {
  const buffer = await inflated(byId("plotly").textContent);
  document.head.append(element("script", { text: new TextDecoder().decode(buffer) }));
}

async function start() {
  const [tree] = await Promise.all([unpacked(byId("content").textContent), startPlotly()]);
  startModel(tree);
  document.querySelector("main").hidden = false;
  byId("facts").textContent = factsText();
  startTheme();
  startMap();
  startPoint();
  startSelection();
  document.documentElement.dataset.shown = "yes";
  await new Promise((resume) => setTimeout(resume)); // the map is there before what lies below it
  startCharts();
  document.documentElement.dataset.ready = "yes";
}

if (typeof document !== "undefined") {
  start().catch((error) => {
    byId("facts").textContent = `This page needs a browser of 2023 or later: ${error.message}`;
    throw error;
  });
}
