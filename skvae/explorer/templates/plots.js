"use strict";
// Plots in the colours of the page, drawn anew when these change.

const VIRIDIS = ["#440154", "#482878", "#3e4a89", "#31688e", "#26828e", "#1f9e89", "#35b779", "#6dcd59", "#b4de2c", "#fde725"];
const OURS = "#1f6fb4", THEIRS = "#d9731a"; // as in the pictures of skvae
const CONFIG = { displayModeBar: false, responsive: true, doubleClick: false, showTips: false };

function axis(title, more = {}) {
  return {
    title: { text: title, standoff: 6 }, gridcolor: shade("line"), zeroline: false, linecolor: shade("soft"),
    tickcolor: shade("soft"), ...more,
  };
}

function layoutOf(x, y, more = {}) {
  return {
    margin: { l: 62, r: 14, t: 12, b: 46 }, paper_bgcolor: "rgba(0,0,0,0)", plot_bgcolor: "rgba(0,0,0,0)",
    font: { color: shade("ink"), size: 12 }, xaxis: x, yaxis: y, showlegend: false, hovermode: "closest",
    hoverlabel: { bgcolor: shade("card"), font: { color: shade("ink") } }, dragmode: false, ...more,
  };
}

// Draws a plot now, and whenever the colours change.
function drawn(id, traces, layout) {
  const draw = () => Plotly.react(byId(id), traces(), layout(), CONFIG);
  themeListeners.push(draw);
  return draw();
}

function lighter(color) { // of our two, what can be read on a dark page
  return isDark() ? { [OURS]: "#7db8ee", [THEIRS]: "#f0a35e" }[color] : color;
}
