"use strict";
// What is at a point: what the decoder makes there, the row if there is one, and sliders of codes.

const MOST_CELLS = 300; // columns that are listed
const MOST_SHARES = 8; // levels of a column that have a bar
const LEAST_SHARE = 0.001; // of a level beside the likeliest one
const IN_TOOLTIP = 8; // columns that a tooltip lists

function startPoint() {
  byId("sliders").replaceChildren(...content.extents.codes.map(slider));
  byId("mean").addEventListener("click", () => goTo(meanCodes()));
  byId("exactness").textContent = exactness();
  stateListeners.push((what) => {
    if (what !== "chosen") showPoint();
  });
  themeListeners.push(showPoint);
  showPoint();
}

function exactness() {
  const { decoder, columns } = content;
  if (decoder.kind === "grid") {
    return `Approximate: ${decoder.why}. The page interpolates between ${decoder.side} by ${decoder.side} decoded points of ` +
      "the planes of the first codes, the other codes at their mean; rows have no reconstruction here.";
  }
  const curved = decoder.columns.flatMap((link, i) => (link.kind === "curve" ? [columns[i].name] : []));
  const rest = curved.length ? ` Approximate, by a table of values: ${curved.map((name) => shortText(name, 30)).join(", ")}.` : "";
  return `The decoder itself runs in this page: what it makes is that of inverse_transform, up to rounding.${rest}`;
}

function slider({ first: [low, high] }, code) {
  const input = element("input", {
    type: "range", min: low, max: high, step: (high - low) / 200, value: state.point[code], id: `slider-${code}`,
  });
  const output = element("output", { id: `slider-value-${code}` });
  output.htmlFor = `slider-${code}`;
  input.addEventListener("input", () => {
    const codes = Float64Array.from(state.point);
    codes[code] = Number(input.value);
    goTo(codes);
  });
  return element("div", { class: "slider" }, element("label", { htmlFor: `slider-${code}` }, `code ${code}`), input, output);
}

function showPoint() {
  const { row } = state, made = row === null ? decodedAt(state.point) : reconstructionOf(row) || decodedAt(state.point);
  content.extents.codes.forEach((_, code) => {
    const input = byId(`slider-${code}`);
    if (document.activeElement !== input) input.value = state.point[code];
    byId(`slider-value-${code}`).textContent = formatted(state.point[code]);
  });
  byId("point-words").replaceChildren(...(row === null
    ? ["No row is here: what the decoder makes."]
    : ["Row ", word(rowName(row)), `, score ${formatted(content.scores[row])} nats, and what the decoder makes of its codes.`]));
  byId("pictures").replaceChildren(...(content.picture ? picturesAt(row, made, 120) : []));
  byId("cells").replaceChildren(made ? cellTable(row, made) : element("p", {}, "This plane was not decoded: choose two of the first codes."));
}

function picturesAt(row, made, size) {
  const found = [];
  if (row !== null && content.place[row] >= 0) {
    found.push(picture(content.columns.map((_, column) => cellOf(row, column)), "row", size));
  }
  if (made) found.push(picture(made.map(({ value }) => value), "decoder", size));
  return found;
}

function picture(values, caption, size) {
  const { height, width, n_colors, colors_first, low, high } = content.picture;
  const canvas = element("canvas", { width, height, role: "img", "aria-label": `${caption} as an image` });
  const scale = size / Math.max(width, height);
  canvas.style.width = `${Math.round(width * scale)}px`;
  canvas.style.height = `${Math.round(height * scale)}px`;
  const image = new ImageData(width, height), n = width * height;
  for (let i = 0; i < n; i++) {
    for (let color = 0; color < 3; color++) {
      const own = n_colors === 1 ? 0 : color;
      const value = values[colors_first ? own * n + i : i * n_colors + own];
      image.data[4 * i + color] = (255 * (value - low)) / (high - low || 1);
    }
    image.data[4 * i + 3] = 255;
  }
  canvas.getContext("2d").putImageData(image, 0, 0);
  return element("figure", {}, canvas, element("figcaption", {}, caption));
}

function cellTable(row, made) {
  const shown = content.columns.slice(0, MOST_CELLS);
  const heads = row === null ? ["column", "decoder"] : ["column", "row", "decoder"];
  const rows = shown.map((column, i) => {
    const own = row === null ? [] : [word(told(column, cellOf(row, i)))];
    return [word(column.name), ...own, decodedCell(column, made[i])];
  });
  const rest = content.columns.length - shown.length;
  const found = table(heads, rows);
  return rest > 0 ? element("div", {}, found, element("p", { class: "hint" }, `and ${rest} more columns`)) : found;
}

function decodedCell(column, { value, shares }) {
  if (column.kind !== "level" || !shares) return word(told({ ...column, whole: column.whole && content.decoder.kind !== "network" }, value));
  const levels = shares.map((share, level) => [share, level]).filter(([share]) => share !== undefined)
    .sort((a, b) => b[0] - a[0]).slice(0, MOST_SHARES).filter(([share], i) => i === 0 || share >= LEAST_SHARE);
  return element("div", { class: "shares" }, ...levels.flatMap(([share, level]) => [
    word(column.levels[level]),
    element("span", { class: "bar", style: `width: ${Math.round(100 * share)}%` }),
    element("span", { class: "number" }, `${(100 * share).toFixed(share < 0.1 ? 1 : 0)} %`),
  ]));
}

function showTooltip(row, x, y) {
  const tip = byId("tooltip"), made = reconstructionOf(row);
  const heading = element("p", {}, "Row ", word(rowName(row)), `, score ${formatted(content.scores[row])}`);
  const target = content.target ? [element("p", {}, word(content.target.name), ": ", word(told(content.target, content.target.values[row])))] : [];
  const body = content.picture
    ? [element("div", { class: "pair" }, ...picturesAt(row, made, 84))]
    : [table(made ? ["column", "row", "decoder"] : ["column", "row"], content.columns.slice(0, IN_TOOLTIP).map((column, i) =>
      [word(column.name), word(told(column, cellOf(row, i))), ...(made ? [word(told({ ...column, whole: false }, made[i].value))] : [])]))];
  const rest = content.columns.length - IN_TOOLTIP;
  if (!content.picture && rest > 0) body.push(element("p", { class: "hint" }, `and ${rest} more: click`));
  tip.replaceChildren(heading, ...target, ...body);
  tip.hidden = false;
  const box = tip.getBoundingClientRect();
  tip.style.left = `${Math.max(4, x + 14 + box.width > innerWidth ? x - 14 - box.width : x + 14)}px`;
  tip.style.top = `${Math.max(4, Math.min(y + 14, innerHeight - box.height - 4))}px`;
}

function hideTooltip() {
  byId("tooltip").hidden = true;
}
