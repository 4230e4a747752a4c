"use strict";
// Rows that were chosen, as a table, and as a file.

const LISTED = 200; // rows of the table
const LISTED_COLUMNS = 30;

function startSelection() {
  byId("drop").addEventListener("click", () => choose([]));
  byId("save").addEventListener("click", saveChosen);
  stateListeners.push((what) => {
    if (what === "chosen") showChosen();
  });
  showChosen();
}

function showChosen() {
  const { chosen } = state;
  byId("save").disabled = byId("drop").disabled = chosen.length === 0;
  const rest = chosen.length > LISTED ? `, of which the first ${LISTED} are listed` : "";
  byId("chosen-words").textContent = chosen.length
    ? `${chosen.length} ${chosen.length === 1 ? "row" : "rows"}${rest}.`
    : "None yet: draw a lasso around rows, or press Space on the map.";
  byId("chosen").replaceChildren(...(chosen.length ? [rowTable(chosen.slice(0, LISTED))] : []));
}

function rowTable(rows) {
  const columns = content.columns.slice(0, LISTED_COLUMNS);
  const target = content.target ? [content.target.name] : [];
  const heads = ["row", "score", ...target, ...columns.map(({ name }) => name)];
  return table(heads, rows.map((row) => [
    rowButton(row), formatted(content.scores[row]),
    ...(content.target ? [word(told(content.target, content.target.values[row]))] : []),
    ...columns.map((column, i) => word(told(column, cellOf(row, i)))),
  ]), [1]);
}

function rowButton(row) {
  const button = element("button", { type: "button", title: "show on the map" }, word(rowName(row)));
  button.addEventListener("click", () => goToRow(row));
  return button;
}

// As RFC 4180 has it: cells with commas, quotes and ends of lines stand in quotes.
function csvOf(rows) {
  const quoted = (text) => (/[",\r\n]/.test(text) ? `"${text.replace(/"/g, '""')}"` : text);
  const codes = Array.from({ length: content.facts.n_codes }, (_, code) => `code ${code}`);
  const target = content.target ? [content.target] : [];
  const heads = ["row", "score", ...codes, ...target.map(({ name }) => name), ...content.columns.map(({ name }) => name)];
  const lines = rows.map((row) => [
    rowName(row), String(content.scores[row]), ...Array.from(codesOfRow(row), String),
    ...target.map((column) => exactly(column, column.values[row])),
    ...content.columns.map((column, i) => exactly(column, cellOf(row, i))),
  ]);
  return [heads, ...lines].map((cells) => cells.map(quoted).join(",")).join("\r\n") + "\r\n";
}

// A cell as it was, empty where it is missing or not on the page.
function exactly(column, value) {
  if (value === undefined || Number.isNaN(value)) return "";
  if (column.kind === "number") return String(value);
  if (column.kind === "date") return dateText(value, column.letters);
  return value === column.missing ? "" : column.levels[value];
}

function saveChosen() {
  const url = URL.createObjectURL(new Blob([csvOf(state.chosen)], { type: "text/csv" }));
  element("a", { href: url, download: "rows.csv" }).click();
  setTimeout(() => URL.revokeObjectURL(url), 10000);
}
