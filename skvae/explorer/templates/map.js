"use strict";
// The map: rows in the plane of two codes, and the point that is decoded.

const MAP_MARGIN = { l: 58, r: 12, t: 8, b: 44 };
const MANY = 10000; // rows, from which on the graphics card draws them
const CLICK = 4; // pixels that a click may slip
const NEAR = 7; // pixels from a row that mean this row

function startMap() {
  const codes = Array.from({ length: content.facts.n_codes }, (_, code) => [String(code), `code ${code}`]);
  options(byId("across"), codes, String(state.across));
  options(byId("up"), state.up === SCORE ? [[String(SCORE), "score"]] : codes, String(state.up));
  const columns = content.columns.map(({ name }, column) => [`column-${column}`, name]);
  const target = content.target ? [["target", content.target.name]] : [];
  options(byId("color"), [...target, ["score", "score"], ["none", "nothing"], ...columns], state.color);
  byId("across").addEventListener("change", (event) => turn("across", Number(event.target.value)));
  byId("up").addEventListener("change", (event) => turn("up", Number(event.target.value)));
  byId("color").addEventListener("change", (event) => {
    state.color = event.target.value;
    drawMap();
  });
  byId("tools").addEventListener("change", (event) => Plotly.relayout("map", { dragmode: event.target.value }));
  byId("whole").addEventListener("click", () => drawMap(viewOf("whole")));
  byId("most").addEventListener("click", firstMap);
  firstMap();
  themeListeners.push(drawMap);
  stateListeners.push((what) => {
    if (what !== "point") return drawMap();
    const isHidden = state.row !== null && !isWithin(mapRanges(), state.point[state.across], pointHeight());
    return isHidden ? drawMap(viewOf("whole")) : movePoint();
  });
  listenToMap();
}

function turn(axisName, code) {
  state[axisName] = code;
  firstMap();
  changed("axes");
}

function mapRanges() {
  const { xaxis, yaxis } = byId("map").layout || {};
  const [across, up] = viewOf("first");
  return [xaxis?.range || across, yaxis?.range || up];
}

// What is seen at first, and in words how many rows are not.
function firstMap() {
  const n = rowsOutside(viewOf("first")), rows = n === 1 ? "row lies" : "rows lie";
  byId("outside").hidden = byId("most").hidden = n === 0;
  byId("outside").textContent = `${n} ${rows} far from the others, outside of the first view. ` +
    "The button \u201cwhole map\u201d shows all rows, \u201cmost rows\u201d the first view.";
  drawMap(viewOf("first"));
}

function drawMap(ranges) {
  const [x, y] = Array.isArray(ranges) ? ranges : mapRanges();
  const { colors, entries } = colorsOf(state.color);
  const isMany = content.n > MANY;
  const rows = {
    type: isMany ? "scattergl" : "scatter", mode: "markers", hoverinfo: "none",
    x: valuesAlong(state.across), y: valuesAlong(state.up),
    marker: { color: colors, size: isMany ? 4 : Math.min(9, Math.max(5, 4000 / content.n)), opacity: isMany ? 0.6 : 0.85,
      line: { width: isMany || !isDark() ? 0 : 0.6, color: shade("soft") } },
    selectedpoints: state.chosen.length ? state.chosen : null,
    selected: { marker: { opacity: 1 } }, unselected: { marker: { opacity: 0.18 } },
  };
  const tool = document.querySelector("#tools input:checked").value;
  const layout = layoutOf(axis(nameAlong(state.across), { range: [...x] }), axis(nameAlong(state.up), { range: [...y] }),
    { margin: MAP_MARGIN, dragmode: tool });
  Plotly.react(byId("map"), [rows, pointTrace()], layout, CONFIG);
  byId("legend").replaceChildren(...entries);
}

function pointTrace() {
  return {
    type: "scatter", mode: "markers", hoverinfo: "skip", x: [state.point[state.across]], y: [pointHeight()],
    marker: { ...pointSign(), line: { width: 3, color: shade("mark") } }, selectedpoints: [0],
    unselected: { marker: { opacity: 1 } },
  };
}

// A cross; of a code alone, at which there is no row, a line from the bottom to the top.
function pointSign() {
  const isLine = state.up === SCORE && state.row === null;
  return { symbol: isLine ? "line-ns" : "cross-thin", size: isLine ? 4000 : 22 };
}

function movePoint() {
  const { symbol, size } = pointSign();
  const place = { x: [[state.point[state.across]]], y: [[pointHeight()]] };
  Plotly.restyle("map", { ...place, "marker.symbol": symbol, "marker.size": size }, [1]);
}

// Colours of rows, and what the legend says of them.
function colorsOf(choice) {
  if (choice === "none") return { colors: lighter(OURS), entries: [] };
  if (choice === "score") return ramp("score", (row) => content.scores[row]);
  const column = choice === "target" ? content.target : content.columns[Number(choice.split("-")[1])];
  const valueOf = choice === "target"
    ? (row) => column.values[row]
    : (row) => cellOf(row, Number(choice.split("-")[1]));
  return column.classes ? classColors(column, valueOf) : column.kind === "number"
    ? ramp(column.name, valueOf)
    : column.kind === "date"
    ? ramp(column.name, valueOf, (value) => dateText(value, column.letters))
    : { colors: lighter(OURS), entries: [word("too many levels to tell apart")] };
}

function classColors(column, valueOf) {
  const { names, colors, of, values } = column.classes;
  const shown = colors.map((color, i) => classColor(names[i], color));
  const absent = shown[names.indexOf("missing")] || shade("line");
  const places = values ? new Map(values.map((value, i) => [value, of[i]])) : null;
  const color = (value) => {
    const place = places ? places.get(value) : of[value];
    return place === undefined ? absent : shown[place];
  };
  const entries = names.map((name, i) => legendEntry(element("span", { class: "dot", style: `background: ${shown[i]}` }), name));
  return { colors: Array.from({ length: content.n }, (_, row) => color(valueOf(row))), entries };
}

// Classes have their colours on any page; what is no class stands back, or out, on a dark one.
function classColor(name, color) {
  if (!isDark()) return color;
  return { other: "#5f646b", missing: "#f1f3f4" }[name] || color;
}

function legendEntry(sign, text) {
  return element("span", { role: "listitem" }, sign, word(text));
}

function ramp(name, valueOf, textOf = formatted) {
  const values = Float64Array.from({ length: content.n }, (_, row) => valueOf(row) ?? NaN);
  const present = values.filter((value) => Number.isFinite(value)).sort();
  const quantile = (share) => present[Math.round(share * (present.length - 1))] ?? NaN;
  const low = quantile(0.01), high = quantile(0.99);
  const colors = Array.from(values, (value) => {
    if (!Number.isFinite(value)) return shade("line");
    const place = Math.min(Math.max((value - low) / (high - low || 1), 0), 1) * (VIRIDIS.length - 1);
    return between(VIRIDIS[Math.floor(place)], VIRIDIS[Math.ceil(place)], place % 1);
  });
  const bar = element("span", { class: "ramp", style: `background: linear-gradient(to right, ${VIRIDIS.join(", ")})` });
  return { colors, entries: [legendEntry("", name), legendEntry("", textOf(low)), bar, legendEntry("", textOf(high))] };
}

function between(first, second, share) {
  const parts = [1, 3, 5].map((at) => {
    const [a, b] = [first, second].map((color) => parseInt(color.slice(at, at + 2), 16));
    return Math.round(a + share * (b - a));
  });
  return `rgb(${parts.join(",")})`;
}

function listenToMap() {
  const map = byId("map");
  let pressed = null;
  map.addEventListener("pointerdown", (event) => { pressed = [event.clientX, event.clientY]; }, true);
  window.addEventListener("pointerup", (event) => {
    const from = pressed;
    pressed = null;
    if (from && Math.hypot(event.clientX - from[0], event.clientY - from[1]) <= CLICK) clickMap(event);
  }, true);
  map.addEventListener("keydown", keyOnMap);
  map.on("plotly_selected", (event) => {
    const rows = (event?.points || []).filter(({ curveNumber }) => curveNumber === 0).map(({ pointIndex }) => pointIndex);
    if (rows.length) choose(rows); // drawing anew tells of a lasso around nothing
  });
  map.on("plotly_hover", ({ points, event }) => showTooltip(points[0].pointIndex, event.clientX, event.clientY));
  map.on("plotly_unhover", hideTooltip);
}

// Where the axes lie on the screen, and how many pixels a step of one takes.
function mapFrame() {
  const box = byId("map").getBoundingClientRect(), [x, y] = mapRanges();
  const width = box.width - MAP_MARGIN.l - MAP_MARGIN.r, height = box.height - MAP_MARGIN.t - MAP_MARGIN.b;
  return {
    left: box.left + MAP_MARGIN.l, bottom: box.bottom - MAP_MARGIN.b, width, height, x, y,
    perX: width / (x[1] - x[0]), perY: height / (y[1] - y[0]),
  };
}

function clickMap(event) {
  const frame = mapFrame();
  const across = event.clientX - frame.left, up = frame.bottom - event.clientY;
  if (across < 0 || up < 0 || across > frame.width || up > frame.height) return;
  pointAt(frame.x[0] + across / frame.perX, frame.y[0] + up / frame.perY, frame);
}

function pointAt(x, y, frame) {
  const { row, distance } = nearestRow(x, y, frame.perX, frame.perY);
  if (distance <= NEAR) return goToRow(row);
  const codes = Float64Array.from(state.point);
  codes[state.across] = x;
  if (state.up !== SCORE) codes[state.up] = y;
  return goTo(codes);
}

const STEPS = { ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, 1], ArrowDown: [0, -1] };

function keyOnMap(event) {
  const frame = mapFrame(), [x, y] = [state.point[state.across], pointHeight()];
  const nearest = () => nearestRow(x, y, frame.perX, frame.perY).row;
  if (STEPS[event.key]) {
    const step = STEPS[event.key], codes = Float64Array.from(state.point);
    codes[state.across] += (step[0] * (frame.x[1] - frame.x[0])) / 50;
    if (state.up !== SCORE) codes[state.up] += (step[1] * (frame.y[1] - frame.y[0])) / 50;
    goTo(codes);
  } else if (event.key === "Enter") {
    goToRow(nearest());
  } else if (event.key === " ") {
    const row = nearest();
    choose(state.chosen.includes(row) ? state.chosen.filter((own) => own !== row) : [...state.chosen, row]);
  } else if (event.key === "Escape") {
    choose([]);
  } else return;
  event.preventDefault();
}
