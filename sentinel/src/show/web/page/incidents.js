// Incidents on a line of time: the last quarter of an hour, a bar for each, open ones first.

import { SIGN, el, number, say, span, words } from "./text.js";

const LONGEST_S = 900;
const WINDOWS_S = [120, 300, LONGEST_S];
const MOST = 12;

/** Draws the incidents. */
export function incidents(state) {
  const now = state.unix_ms;
  const open = state.incidents.filter((incident) => !incident.ended);
  const recent = state.incidents.filter((incident) => !incident.ended || now - Date.parse(incident.ended) < LONGEST_S * 1000);
  say(document.getElementById("incidents-count"), `${open.length + state.incidents_not_listed} open, ${state.totals.incidents} so far`);
  const box = document.getElementById("incidents");
  const oldest = Math.max(0, ...recent.map((incident) => (now - Date.parse(incident.began)) / 1000));
  const window_s = WINDOWS_S.find((each) => each >= oldest * 1.1) ?? LONGEST_S;
  const lines = recent.slice(0, MOST).map((incident) => line(incident, now, window_s));
  if (!lines.length) lines.push(el("p", { class: "quiet" }, "No incident in the last 15 minutes."));
  else lines.push(el("div", { class: "axis", "aria-hidden": "true" }, el("span", {}, `${window_s / 60} min ago`), el("span", {}, "now")));
  box.replaceChildren(...lines);
}

function line(incident, now, window_s) {
  const level = incident.ended ? incident.peak_level : incident.level;
  const from = share(now - Date.parse(incident.began), window_s);
  const to = incident.ended ? share(now - Date.parse(incident.ended), window_s) : 100;
  const bar = el("span", { class: `bar ${incident.ended ? "ended" : "open"}` });
  bar.style.left = `${from}%`;
  bar.style.width = `${Math.max(0.8, to - from)}%`;
  const peak = incident.peak === null ? "" : `, peak ${number(incident.peak)} ${incident.unit === "ratio" ? "×" : incident.unit}`;
  const lasted = incident.ended ? `lasted ${span(incident.seconds)}` : `for ${span(incident.seconds)}`;
  const follows = incident.follows ? " · follows another" : "";
  return el(
    "div",
    { class: `incident lv-${level} ${incident.ended ? "ended" : ""}`, title: incident.summary },
    el("div", { class: "incident-head" }, el("span", { class: "sign", "aria-hidden": "true" }, incident.ended ? "✓" : SIGN[level]), el("b", {}, incident.name), el("span", { class: "dim" }, ` ${incident.signal} · ${words(incident.cause)}${incident.flapping ? " · flapping" : ""}${follows}`), el("span", { class: "lasted" }, lasted + peak)),
    el("div", { class: "lane", "aria-hidden": "true" }, bar),
  );
}

function share(ago_ms, window_s) {
  return Math.min(100, Math.max(0, 100 - ago_ms / (window_s * 10)));
}
