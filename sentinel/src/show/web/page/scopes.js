// The table of scopes: for each signal its value, where it was, where velocity and acceleration carry it, and what is said.

import { course, key } from "./history.js";
import { RANK, SIGN, el, number, safe, say, signed, span, svg, words } from "./text.js";

const WIDTH = 150;
const HEIGHT = 34;
const SIGNALS = ["jitter", "fever", "amplification"];
const UNITS = { ratio: "×" };

const rows = new Map();
const open = new Set();

/** Draws the table. `view` says what to filter and how to sort. */
export function scopes(state, history, view) {
  const wanted = view.filter.toLowerCase();
  const matching = state.scopes.filter((scope) => !wanted || `${scope.name} ${scope.path}`.toLowerCase().includes(wanted));
  // Calm scopes keep their places while their values only flicker.
  const steps = (scope) => (view.sort === "name" ? 0 : Math.floor(scope.severity * 4));
  matching.sort((a, b) => steps(b) - steps(a) || a.name.localeCompare(b.name));
  const body = document.querySelector("#scopes tbody");
  const shown = new Set();
  let place = body.firstElementChild;
  for (const scope of matching) {
    const id = `${scope.kind}-${scope.cgroup_id}`;
    shown.add(id);
    const row = rows.get(id) ?? build(id, scope);
    update(row, scope, history, state);
    if (row.node !== place) body.insertBefore(row.node, place);
    place = row.node.nextElementSibling;
    if (row.more !== place) body.insertBefore(row.more, place);
    place = row.more.nextElementSibling;
  }
  for (const [id, row] of rows) {
    if (shown.has(id)) continue;
    row.node.remove();
    row.more.remove();
    rows.delete(id);
  }
  counts(state, matching.length);
}

function counts(state, matching) {
  const total = state.scopes.length + state.rest.scopes;
  say(document.getElementById("scopes-count"), matching === total ? `${total}` : `${matching} of ${total}`);
  const rest = state.rest;
  const level = ["veto", "watch", "nominal", "unknown"].find((each) => rest.levels.some((counts) => counts[each]));
  say(document.getElementById("scopes-rest"), rest.scopes ? `${rest.scopes} more scopes are not listed; the worst of their signals is ${level}` : "");
}

function build(id, scope) {
  const name = el("button", { type: "button", class: "name", "aria-expanded": "false", "aria-controls": `more-${id}` });
  const said = el("span", { class: "scope-said" });
  const cells = SIGNALS.map(cell);
  const node = el("tr", { class: "scope", id: `row-${id}` }, el("th", { scope: "row" }, el("div", { class: "who" }, el("span", { class: "sign", "aria-hidden": "true" }), el("span", { class: "unseen level" }), name), said), cells.map((each) => each.node));
  const facts = el("dl", { class: "facts" });
  const more = el("tr", { class: "more", id: `more-${id}`, hidden: true }, el("td", { colspan: "4" }, facts));
  const row = { node, more, name, said, cells, facts };
  name.addEventListener("click", () => {
    const opened = !open.delete(id);
    if (opened) open.add(id);
    more.hidden = !opened;
    name.setAttribute("aria-expanded", String(opened));
  });
  rows.set(id, row);
  say(name, scope.name);
  return row;
}

function cell(signal) {
  const band = svg("rect", { class: "band", x: "0", width: String(WIDTH) });
  const parts = { area: svg("path", { class: "area" }), past: svg("path", { class: "past" }), ahead: svg("path", { class: "ahead" }), dot: svg("circle", { class: "dot", r: "2.2" }) };
  const drawing = svg("svg", { viewBox: `0 0 ${WIDTH} ${HEIGHT}`, class: "course", "aria-hidden": "true" }, band, parts.area, parts.past, parts.ahead, parts.dot);
  const value = el("b", { class: "value" });
  const unit = el("small", { class: "unit" });
  const speed = el("span", { class: "speed", title: "velocity" });
  const bend = el("span", { class: "bend", title: "acceleration" });
  const note = el("span", { class: "note" });
  const node = el("td", { class: "signal" }, el("div", { class: "cell" }, drawing, el("div", { class: "figures" }, el("span", { class: "now" }, value, unit), el("span", { class: "vectors" }, speed, bend)), note));
  return { signal, node, band, ...parts, value, unit, speed, bend, note };
}

function update(row, scope, history, state) {
  row.node.className = `scope lv-${scope.level} ${RANK[scope.level] >= 2 ? "alarmed" : "calm"}`;
  row.node.title = scope.path;
  say(row.node.querySelector(".sign"), SIGN[scope.level]);
  say(row.node.querySelector(".level"), `${scope.level}: `);
  say(row.name, scope.name);
  const worst = scope.signals.reduce((a, b) => (RANK[b.level] > RANK[a.level] ? b : a), scope.signals[0]);
  const path = scope.path === `/${scope.name}` ? "" : scope.path;
  // Of two that are called the same, each says where it is.
  const twins = path && state.scopes.some((other) => other !== scope && other.name === scope.name);
  say(row.said, RANK[scope.level] < 2 ? path || "" : twins ? `${path} · ${worst.summary}` : worst.summary);
  for (const each of row.cells) show(each, scope, scope.signals.find((signal) => signal.signal === each.signal), history, state);
  if (!row.more.hidden) facts(row.facts, scope);
}

function show(box, scope, signal, history, state) {
  const level = signal?.level ?? "unknown";
  box.node.className = `signal lv-${level} ${RANK[level] >= 2 ? "alarmed" : ""}`;
  const drawn = signal && course(history.of(key(scope, signal)), state.unix_ms / 1000, WIDTH, HEIGHT, signal);
  box.area.setAttribute("d", drawn?.area ?? "");
  box.past.setAttribute("d", drawn?.past ?? "");
  box.ahead.setAttribute("d", drawn?.ahead ?? "");
  box.dot.setAttribute("cx", drawn?.now.x ?? 0);
  box.dot.setAttribute("cy", drawn?.now.y ?? 0);
  box.dot.setAttribute("r", drawn ? 2.2 : 0);
  box.band.setAttribute("y", drawn?.band?.y ?? 0);
  box.band.setAttribute("height", drawn?.band?.height ?? 0);
  say(box.value, signal ? number(signal.value) : "");
  say(box.unit, signal && signal.value !== null ? UNITS[signal.unit] ?? ` ${signal.unit}` : "");
  say(box.speed, signal?.velocity_per_s == null || signal.value === null ? "" : `${arrow(signal.velocity_per_s)} ${signed(signal.velocity_per_s)}/s`);
  say(box.bend, signal?.acceleration_per_s2 == null || signal.value === null ? "" : `${signed(signal.acceleration_per_s2)}/s²`);
  say(box.note, signal ? note(signal) : "");
}

function arrow(velocity) {
  if (Math.abs(velocity) < 0.005) return "→";
  return velocity > 0 ? "↗" : "↘";
}

function note(signal) {
  const parts = [];
  if (RANK[signal.level] >= 2) parts.push(`${signal.level} · ${words(signal.cause)}`);
  if (signal.phase && signal.phase !== "healthy") parts.push(signal.phase);
  if (signal.forecast) parts.push(`full in ${span(signal.forecast.exhaustion_s)}`);
  if (signal.risk && signal.risk.overload >= 1) parts.push(`a failure would sustain itself (${number(signal.risk.overload)}×)`);
  return parts.join(" · ");
}

function facts(list, scope) {
  const pairs = [["path", scope.path || scope.name]];
  if (scope.unit) pairs.push(["unit", scope.unit]);
  if (scope.container) pairs.push(["container", scope.container]);
  for (const signal of scope.signals) {
    const usual = signal.baseline ? `usual ${number(signal.baseline.mean)} ± ${number(signal.baseline.sigma)} ${signal.unit} over ${signal.baseline.samples} readings` : "no past yet";
    const far = signal.sigma === null ? "" : `, now ${signed(signal.sigma)} sigmas`;
    const since = signal.since ? `; ${signal.previous} → ${signal.level} at ${signal.since}` : "";
    pairs.push([signal.signal, `${signal.level}; ${usual}${far}${since}`]);
    if (signal.summary) pairs.push(["", signal.summary]);
    if (signal.destination) pairs.push(["", `most failures at ${signal.destination.address} port ${signal.destination.port}: ${signal.destination.failures} of ${signal.destination.attempts}`]);
    if (signal.forecast) pairs.push(["", `memory is full in ${span(signal.forecast.exhaustion_s)} (${span(signal.forecast.earliest_s)} to ${signal.forecast.latest_s === null ? "never" : span(signal.forecast.latest_s)})`]);
    for (const action of signal.plan) pairs.push(["", `${action.forbidden ? `held back (${action.forbidden})` : action.would ? "would" : "does"}: ${action.action}`]);
  }
  const text = JSON.stringify(pairs);
  if (list.dataset.shown === safe(text)) return;
  list.dataset.shown = safe(text);
  list.replaceChildren(...pairs.flatMap(([name, value]) => [el("dt", {}, name), el("dd", {}, value)]));
}
