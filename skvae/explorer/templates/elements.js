"use strict";
// Elements of the page. Text of the data goes in as text, never as HTML.

const byId = (id) => document.getElementById(id);

function element(tag, options = {}, ...children) {
  const made = document.createElement(tag);
  for (const [name, value] of Object.entries(options)) {
    if (name === "class") made.className = value;
    else if (name in made) made[name] = value;
    else made.setAttribute(name, value);
  }
  made.append(...children);
  return made;
}

// A word of the data: apart from its surroundings where it runs from right to left.
function word(text, options = {}) {
  const shown = shortText(text, 120);
  return element("span", { class: "word", title: shown === text ? "" : text, ...options }, shown);
}

function shortText(text, longest) {
  const line = String(text).replace(/\s+/g, " ");
  return line.length > longest ? `${line.slice(0, longest - 1)}\u2026` : line;
}

// For the text of plots, of which plotly takes some signs for its own.
function plain(text, longest = 28) {
  const safe = shortText(text, longest).replace(/&/g, "&amp;").replace(/</g, "&lt;").replace(/>/g, "&gt;");
  return `\u2068${safe}\u2069`;
}

function table(heads, rows, numbers = []) {
  const cell = (tag, content, i, options = {}) =>
    element(tag, { class: numbers.includes(i) ? "number" : "", ...options }, content);
  const head = element("tr", {}, ...heads.map((text, i) => cell("th", word(text), i, { scope: "col" })));
  const body = rows.map((cells) => element("tr", {}, ...cells.map((content, i) =>
    i === 0 ? cell("th", content, i, { scope: "row" }) : cell("td", content, i))));
  return element("table", {}, element("thead", {}, head), element("tbody", {}, ...body));
}

function formatted(number, isWhole = false) {
  if (number === null || Number.isNaN(number)) return "missing";
  if (isWhole && Number.isInteger(number)) return String(number).replace("-", "\u2212");
  const text = Math.abs(number) >= 1e7 || (number !== 0 && Math.abs(number) < 1e-3)
    ? number.toExponential(2)
    : String(Number(number.toPrecision(4)));
  return text.replace("-", "\u2212");
}

// A date, from milliseconds since 1970, as far as its column tells it.
function dateText(milliseconds, letters) {
  if (Number.isNaN(milliseconds)) return "missing";
  return new Date(milliseconds).toISOString().slice(0, letters).replace("T", " ");
}

function options(select, entries, chosen) {
  select.replaceChildren(...entries.map(([value, text]) =>
    element("option", { value, selected: value === chosen }, shortText(text, 60))));
}
