// The head of the page: how the host is in one sentence, a lamp for each signal, gauges, and what the agent itself costs.

import { course } from "./history.js";
import { el, number, say, span, svg } from "./text.js";

const WIDTH = 120;
const HEIGHT = 26;
const GAUGES = [
  ["run_queue", "Run queue", "tasks per CPU"],
  ["waiting_ms_per_s", "Waiting", "ms/s"],
  ["memory_mb_per_s", "Memory", "MB/s"],
  ["packets_per_s", "Packets", "per s"],
  ["attempts_per_s", "Connects", "per s"],
];
const $ = (id) => document.getElementById(id);

/** Draws the head. */
export function head(state, history) {
  say($("host"), `${state.host.name} · Linux ${state.host.kernel} · ${state.host.cpus} CPUs`);
  say($("autonomy"), state.agent.autonomy);
  $("autonomy").title = {
    observe: "Says what it would do, does nothing",
    approve: "Does what a person approves",
    auto: "Acts by itself",
  }[state.agent.autonomy];
  overall(state);
  lamps(state.levels);
  gauges(state, history);
  foot(state);
}

function overall(state) {
  const open = state.incidents.filter((incident) => !incident.ended).length + state.incidents_not_listed;
  const sum = (level) => state.levels.reduce((all, counts) => all + counts[level], 0);
  const worst = sum("veto") ? "veto" : sum("watch") ? "watch" : sum("nominal") ? "nominal" : "unknown";
  const text = {
    veto: `${sum("veto")} at veto${sum("watch") ? `, ${sum("watch")} at watch` : ""}`,
    watch: `${sum("watch")} at watch`,
    nominal: "all nominal",
    unknown: "warming up",
  }[worst];
  $("verdict").className = `overall lv-${worst}`;
  say($("verdict"), open ? `${text} · ${open} open ${open === 1 ? "incident" : "incidents"}` : text);
  document.title = worst === "veto" || worst === "watch" ? `(${worst}) sentinel · ${state.host.name}` : `sentinel · ${state.host.name}`;
}

function lamps(levels) {
  const box = $("lamps");
  if (!box.children.length) {
    for (const counts of levels) {
      box.append(el("div", { class: "lamp", id: `lamp-${counts.signal}` }, el("span", { class: "lamp-name" }, counts.signal), el("span", { class: "lamp-said" })));
    }
  }
  for (const counts of levels) {
    const lamp = $(`lamp-${counts.signal}`);
    const level = ["veto", "watch", "nominal"].find((each) => counts[each]) ?? "unknown";
    lamp.className = `lamp lv-${level} lit-${level}`;
    const parts = ["veto", "watch"].filter((each) => counts[each]).map((each) => `${counts[each]} ${each}`);
    const known = counts.nominal + counts.watch + counts.veto;
    say(lamp.lastChild, parts.join(" · ") || (known ? `${counts.nominal} nominal` : "not known"));
  }
}

function gauge(id, name, unit) {
  const line = svg("svg", { viewBox: `0 0 ${WIDTH} ${HEIGHT}`, class: "spark", "aria-hidden": "true" }, svg("path", { class: "area" }), svg("path", { class: "past" }));
  return el("div", { class: "gauge", id }, el("span", { class: "gauge-name" }, name), el("span", { class: "gauge-value" }, el("b", {}), " ", el("small", {}, unit)), line);
}

function gauges(state, history) {
  const box = $("gauges");
  if (!box.children.length) {
    for (const [key, name, unit] of GAUGES) box.append(gauge(`gauge-${key}`, name, unit));
    box.append(gauge("gauge-own", "sentinel itself", "of one CPU"));
  }
  const now = state.unix_ms / 1000;
  for (const [key] of GAUGES) draw($(`gauge-${key}`), number(state.host.rates[key]), history.of(`host ${key}`), now);
  const own = state.agent.own;
  const share = own.cpu_share === null ? "–" : `${(100 * own.cpu_share).toFixed(2)} %`;
  draw($("gauge-own"), share, history.of("own cpu"), now);
  const memory = own.resident_bytes === null ? "memory not known" : `${(own.resident_bytes / 1048576).toFixed(1)} MiB`;
  say($("gauge-own").querySelector("small"), memory);
  const of = (share) => (share === null ? "not known" : `${(100 * share).toFixed(2)} %`);
  const cost = `its programs in the kernel included ${of(own.cost_share)}, budget ${of(own.budget_share)}`;
  $("gauge-own").title = `Share of one CPU, and resident memory; ${cost}`;
}

function draw(box, value, line, now) {
  say(box.querySelector("b"), value);
  const drawn = course(line, now, WIDTH, HEIGHT, null);
  box.querySelector(".area").setAttribute("d", drawn?.area ?? "");
  box.querySelector(".past").setAttribute("d", drawn?.past ?? "");
}

/** What is wrong with a surface, or was. */
function unwell(surface) {
  const said = [surface.unwell, surface.lost ? `${surface.lost} lost` : null].filter((part) => part !== null);
  return `${surface.name}: ${said.join(", ")}`;
}

function foot(state) {
  const agent = state.agent;
  const lost = Object.entries(state.losses).map(([kind, count]) => `${kind} ${count}`);
  const parts = [
    `sentinel ${agent.version}`,
    `up ${span(agent.uptime_s)}`,
    `${agent.ticks} ticks, ${agent.late_ticks ? `${agent.late_ticks} late` : "none late"}`,
    lost.length ? `lost or less exact: ${lost.join(", ")}` : "nothing lost",
    ...agent.surfaces.filter((surface) => surface.unwell !== null || surface.lost).map(unwell),
    ...state.unavailable.map((sensor) => `does not run: ${sensor.sensor}: ${sensor.reason}`),
  ];
  say($("foot"), parts.join("  ·  "));
}
