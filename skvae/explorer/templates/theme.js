"use strict";
// Light and dark: as the browser asks for, until the button says otherwise.

const darkAsked = window.matchMedia("(prefers-color-scheme: dark)");
const themeListeners = [];

function isDark() {
  const own = document.documentElement.dataset.theme;
  return own ? own === "dark" : darkAsked.matches;
}

function shade(name) {
  return getComputedStyle(document.documentElement).getPropertyValue(`--${name}`).trim();
}

function themeChanged() {
  byId("theme").textContent = isDark() ? "light colours" : "dark colours";
  themeListeners.forEach((listener) => listener());
}

function startTheme() {
  byId("theme").addEventListener("click", () => {
    document.documentElement.dataset.theme = isDark() ? "light" : "dark";
    themeChanged();
  });
  darkAsked.addEventListener("change", themeChanged);
  themeChanged();
}
