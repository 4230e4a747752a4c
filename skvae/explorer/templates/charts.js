"use strict";
// Scores, loadings, curves by the number of codes, the course of the training.

const MOST_LOADINGS = 30; // cells of the heat map
const MOST_ARROWS = 12; // of the biplot
const N_ODDEST = 20;
// From blue by the colour of the page to orange: colour-blind eyes tell the ends apart.
const diverging = () => [[0, "#1f6fb4"], [0.5, isDark() ? "#1d1f23" : "#ffffff"], [1, "#d9731a"]];

function startCharts() {
  drawScores();
  drawOddest();
  drawLoadings();
  drawByCodes();
  drawTraining();
}

function drawScores() {
  const sorted = Float64Array.from(content.scores).sort();
  const low = sorted[Math.floor(0.005 * sorted.length)], high = sorted[sorted.length - 1];
  const start = sorted.length > 200 ? low : sorted[0];
  const shown = Array.from(content.scores).filter((score) => score >= start);
  const size = (high - start || 1) / 60, { pca_score, score } = content.facts;
  drawn("scores",
    () => [{ type: "histogram", x: shown, xbins: { start, end: high + size, size }, marker: { color: lighter(OURS) } }],
    () => layoutOf(axis("log-likelihood, nats per row"), axis("rows"), {
      shapes: [score, pca_score].map((x, i) => ({
        type: "line", x0: x, x1: x, y0: 0, y1: 1, yref: "paper", line: { color: i ? lighter(THEIRS) : shade("ink"), dash: i ? "dash" : "solid" },
      })).filter(({ x0 }) => x0 >= start && x0 <= high + size),
    }));
  const beyond = content.n - shown.length;
  byId("scores-words").textContent = `Line: mean of these rows, ${formatted(score)}. Dashed: PCA's in the training, ${formatted(pca_score)}` +
    `${pca_score < start ? " (left of the picture)" : ""}.${beyond ? ` ${beyond} rows have less than ${formatted(start)}.` : ""}`;
}

function drawOddest() {
  const order = Array.from(content.kept).sort((a, b) => content.scores[a] - content.scores[b]);
  byId("oddest").replaceChildren(rowTable(order.slice(0, N_ODDEST)));
}

function strongest(codes, most) {
  const { cells, values } = content.loadings;
  const strength = cells.map((_, cell) => Math.max(...codes.map((code) => Math.abs(values[code * cells.length + cell]))));
  return cells.map((_, cell) => cell).sort((a, b) => strength[b] - strength[a]).slice(0, most);
}

function drawLoadings() {
  const { cells, values } = content.loadings, n = content.facts.n_codes;
  const codes = Array.from({ length: n }, (_, code) => code);
  const chosen = strongest(codes, MOST_LOADINGS).sort((a, b) => a - b);
  const z = chosen.map((cell) => codes.map((code) => values[code * cells.length + cell]));
  const most = Math.max(...z.flat().map(Math.abs)) || 1;
  byId("loadings").style.height = `${Math.max(220, 90 + 17 * chosen.length)}px`;
  drawn("loadings",
    () => [{
      type: "heatmap", z, x: codes, y: chosen.map((_, i) => i), zmin: -most, zmax: most, colorscale: diverging(), xgap: 1, ygap: 1,
      hovertemplate: "code %{x}: %{z:.2f}<extra></extra>", colorbar: { thickness: 12, outlinewidth: 0 },
    }],
    () => layoutOf(axis("code", { showgrid: false, dtick: n > 20 ? 5 : 1 }), axis("", {
      showgrid: false, autorange: "reversed", tickvals: chosen.map((_, i) => i), ticktext: chosen.map((cell) => plain(cells[cell], 22)),
    }), { margin: { l: 170, r: 10, t: 8, b: 42 } }));
  const rest = cells.length - chosen.length;
  byId("loadings-words").textContent = "Change of a column, in its standard deviations, as a code moves by one of its own." +
    (rest > 0 ? ` The ${chosen.length} of ${cells.length} that codes move most.` : "");
  byId("biplot-section").hidden = n < 2; // one code is all in the picture above
  if (n < 2) return;
  const draw = () => drawBiplot();
  stateListeners.push((what) => { if (what === "axes") draw(); });
  themeListeners.push(draw);
  draw();
}

function drawBiplot() {
  const { cells, values } = content.loadings, pair = [state.across, state.up];
  const chosen = strongest(pair, MOST_ARROWS);
  const at = (code) => chosen.map((cell) => values[code * cells.length + cell]);
  const [x, y] = pair.map(at);
  const lines = { x: x.flatMap((own) => [0, own, null]), y: y.flatMap((own) => [0, own, null]) };
  const most = [x, y].map((values) => Math.max(...values.map(Math.abs)) * 1.25 || 1);
  const size = Math.max(320, byId("loadings").offsetHeight);
  byId("biplot").style.height = `${Math.min(size, 520)}px`;
  Plotly.react(byId("biplot"), [
    { type: "scatter", mode: "lines", ...lines, line: { color: shade("soft"), width: 1 }, hoverinfo: "skip" },
    {
      type: "scatter", mode: "markers", x, y, marker: { color: lighter(OURS), size: 7 },
      hovertemplate: chosen.map((cell) => `${plain(cells[cell], 60).replace(/%\{/g, "%\u200b{")}<extra></extra>`),
    },
  ], layoutOf(axis(`on code ${pair[0]}`, { range: [-most[0], most[0]] }), axis(`on code ${pair[1]}`, { range: [-most[1], most[1]] }), {
    annotations: apart(x, y, most, byId("biplot").clientHeight).map((shift, i) => ({
      x: x[i], y: y[i], text: plain(cells[chosen[i]], 18), showarrow: Boolean(shift), ax: 0, ay: shift, yshift: shift ? 0 : 10,
      arrowwidth: 0.5, arrowcolor: shade("soft"), arrowhead: 0, font: { size: 11, color: shade("ink") }, bgcolor: shade("card"), borderpad: 0,
    })),
  }), CONFIG);
}

// How far each name moves up or down, in pixels, so that none lies on another.
function apart(x, y, most, height) {
  const taken = [], perUnit = (height - 58) / (2 * most[1]), width = byId("biplot").clientWidth || 400;
  return x.map((own, i) => {
    const across = (own * (width - 76)) / (2 * most[0]), up = y[i] * perUnit;
    const free = [0, 26, -26, 42, -42, 58, -58, 74, -74, 90, -90].find((shift) =>
      taken.every(([a, b]) => Math.abs(a - across) > 110 || Math.abs(b - (up - shift + (shift ? 0 : 10))) > 15)) ?? 0;
    taken.push([across, up - free + (free ? 0 : 10)]);
    return free;
  });
}

function drawByCodes() {
  const { unexplained, wrong, likelihood } = content.by_codes;
  const x = likelihood.map((_, n) => n);
  const lines = [["unexplained variance of numbers", unexplained, OURS], ["share of wrong levels", wrong, THEIRS]]
    .filter(([, values]) => values.some((value) => value !== null));
  drawn("by-codes",
    () => [
      ...lines.map(([name, y, color]) => ({ type: "scatter", mode: "lines+markers", name, x, y, line: { color: lighter(color) } })),
      { type: "scatter", mode: "lines+markers", name: "likelihood", x, y: likelihood, xaxis: "x2", yaxis: "y2", line: { color: lighter(OURS) } },
    ],
    () => layoutOf(axis("codes", { domain: [0, 0.43] }), axis("error", { rangemode: "tozero" }), {
      xaxis2: axis("codes", { domain: [0.59, 1], anchor: "y2" }), yaxis2: axis("nats per row", { anchor: "x2" }),
    }));
  const words = lines.map(([name, , color]) => `${color === OURS ? "Blue" : "Orange"}: ${name}.`).join(" ");
  byId("by-codes-words").textContent = `Only the first codes are told, the others stay at their mean. Left: error of the reconstruction. ${words} ` +
    "Right: log-likelihood of rows given these codes.";
}

function drawTraining() {
  const { n_pass, bound, reconstruction, kl } = content.training;
  const line = (name, y, color, place) => ({
    type: "scatter", mode: n_pass.length < 40 ? "lines+markers" : "lines", name, x: n_pass, y, line: { color }, ...place,
  });
  const { kept } = content.facts;
  byId("training").hidden = n_pass.length === 0;
  byId("training-words").textContent = n_pass.length === 0
    ? "Nothing was trained: the model is the linear start."
    : kept === 0
      ? "Held-out rows found nothing better than the linear start: the model is PCA."
      : `Of the training ${kept === 1 ? "all" : `${formatted(100 * kept)} %`} was kept; the first value is PCA's.`;
  if (n_pass.length === 0) return;
  drawn("training",
    () => [
      line("bound", bound, lighter(OURS), {}),
      line("reconstruction", reconstruction, lighter(OURS), { xaxis: "x2", yaxis: "y2" }),
      line("KL divergence", kl, lighter(THEIRS), { xaxis: "x3", yaxis: "y3" }),
    ],
    () => layoutOf(axis("passes", { domain: [0, 0.43] }), axis("held-out bound, nats"), {
      xaxis2: axis("", { domain: [0.59, 1], anchor: "y2", showticklabels: false }), yaxis2: axis("reconstr.", { domain: [0.56, 1], anchor: "x2" }),
      xaxis3: axis("passes", { domain: [0.59, 1], anchor: "y3" }), yaxis3: axis("KL", { domain: [0, 0.44], anchor: "x3" }),
    }));
}
