"use strict";
// What the page knows: rows, columns, decoder, and what a person looks at.

let content = null;
const SCORE = -1; // in the place of a code: how the map goes up where there is but one
const state = { across: 0, up: 1, color: "none", point: null, row: null, chosen: [] };
const stateListeners = [];

function startModel(tree) {
  content = tree;
  content.n = content.rows.length;
  content.place = new Int32Array(content.n).fill(-1); // of a row among those whose cells are known
  content.kept.forEach((row, place) => { content.place[row] = place; });
  content.isLevel = content.columns.map(({ kind }) => kind === "level");
  state.up = content.facts.n_codes > 1 ? 1 : SCORE;
  state.color = content.target ? "target" : "score";
  state.point = meanCodes();
}

function changed(what) {
  stateListeners.forEach((listener) => listener(what));
}

function codesOf(code) {
  const { n_codes } = content.facts, values = new Float64Array(content.n);
  for (let row = 0; row < content.n; row++) values[row] = content.codes[row * n_codes + code];
  return values;
}

// Rows along an axis of the map, the ends of the axis, and its name.
function valuesAlong(code) {
  return code === SCORE ? Float64Array.from(content.scores) : codesOf(code);
}

function extentAlong(code) {
  return code === SCORE ? content.extents.score : content.extents.codes[code];
}

// Ends of both axes of the map: "whole", or "first", which leaves out a few rows that are far.
function viewOf(name) {
  return [state.across, state.up].map((code) => extentAlong(code)[name]);
}

function isWithin(view, x, y) {
  return [x, y].every((value, i) => value >= view[i][0] && value <= view[i][1]);
}

function rowsOutside(view) {
  const x = valuesAlong(state.across), y = valuesAlong(state.up);
  return x.reduce((n, value, row) => n + !isWithin(view, value, y[row]), 0);
}

function nameAlong(code) {
  return code === SCORE ? "score, nats" : `code ${code}`;
}

// How high the point lies: what is no row has no score, and lies at the mean of all.
function pointHeight() {
  if (state.up !== SCORE) return state.point[state.up];
  return state.row === null ? content.facts.score : content.scores[state.row];
}

function codesOfRow(row) {
  const { n_codes } = content.facts;
  return Float64Array.from(content.codes.subarray(row * n_codes, (row + 1) * n_codes));
}

function meanCodes() {
  return Float64Array.from({ length: content.facts.n_codes }, (_, code) =>
    codesOf(code).reduce((sum, value) => sum + value, 0) / content.n);
}

function rowName(row) {
  return content.labels ? content.labels[row] : String(content.rows[row]);
}

// The cell of a row in a column; undefined where the page does not have it.
function cellOf(row, column) {
  const place = content.place[row];
  if (place < 0) return undefined;
  return content.columns[column].values[place];
}

function told(column, value) {
  if (value === undefined) return "not on the page";
  if (column.kind === "number") return formatted(Math.abs(value) < 1e-5 * (column.spread || 1) ? 0 : value, column.whole);
  if (column.kind === "date") return dateText(value, column.letters);
  return value === column.missing || Number.isNaN(value) ? "missing" : column.levels[value];
}

function decodedAt(codes) {
  return decoded(content.decoder, codes, [state.across, state.up], content.isLevel);
}

// Decoded by itself, a grid knows the plane of the map alone, and no row.
function reconstructionOf(row) {
  return content.decoder.kind === "network" ? decodedAt(codesOfRow(row)) : null;
}

function nearestRow(x, y, perX, perY) {
  const across = valuesAlong(state.across), up = valuesAlong(state.up);
  let best = -1, least = Infinity;
  for (let row = 0; row < content.n; row++) {
    const dx = (across[row] - x) * perX, dy = (up[row] - y) * perY;
    const distance = dx * dx + dy * dy;
    if (distance < least) [best, least] = [row, distance];
  }
  return { row: best, distance: Math.sqrt(least) };
}

function goTo(codes, row = null) {
  state.point = Float64Array.from(codes);
  state.row = row;
  changed("point");
}

function goToRow(row) {
  goTo(codesOfRow(row), row);
}

function choose(rows) {
  state.chosen = [...new Set(rows)].sort((a, b) => a - b);
  changed("chosen");
}
