// Wires the page: the feed comes in, the parts draw. Holds what the viewer chose, and nothing else.

import { actions, askBy } from "./actions.js";
import { Feed } from "./feed.js";
import { head } from "./head.js";
import { History } from "./history.js";
import { incidents } from "./incidents.js";
import * as log from "./log.js";
import { scopes } from "./scopes.js";
import { say } from "./text.js";

const $ = (id) => document.getElementById(id);
const view = { filter: "", sort: "severity", paused: false };
let history = new History();
let latest = null;
let heardAt = 0;
let run = null;

function draw() {
  if (!latest) return;
  head(latest, history);
  scopes(latest, history, view);
  incidents(latest);
  actions(latest, feed.token && feed.ask);
}

function link(state, detail) {
  $("link").className = `link ${state}`;
  say($("link"), detail ? `${state}: ${detail}` : state);
}

const feed = new Feed({
  state(state) {
    if (run !== state.run) {
      run = state.run;
      history = new History();
      log.restart();
    }
    latest = state;
    heardAt = performance.now();
    $("door").hidden = true;
    history.record(state);
    log.entries(state.log);
    if (!view.paused) draw();
  },
  record(kind, seq, body) {
    log.record(kind, seq, body);
  },
  missed: (records) => log.missed(records),
  link,
  denied(tried) {
    link("locked");
    $("door").hidden = false;
    say($("door-said"), tried ? "That is not the token." : "");
    $("token").focus();
  },
});

askBy((path) => feed.ask(path));

$("door").addEventListener("submit", (event) => {
  event.preventDefault();
  feed.useToken($("token").value.trim());
  $("token").value = "";
  feed.run();
});
$("filter").addEventListener("input", () => {
  view.filter = $("filter").value;
  draw();
});
$("sort").addEventListener("change", () => {
  view.sort = $("sort").value;
  draw();
});

function pause() {
  view.paused = !view.paused;
  $("pause").setAttribute("aria-pressed", String(view.paused));
  say($("pause"), view.paused ? "Go on" : "Pause");
  document.body.classList.toggle("paused", view.paused);
  draw();
}

function theme(name) {
  document.documentElement.dataset.theme = name;
  localStorage.setItem("sentinel-theme", name);
  say($("theme"), name === "dark" ? "Light" : "Dark");
}

const isDark = () => document.documentElement.dataset.theme === "dark";
theme(localStorage.getItem("sentinel-theme") ?? (matchMedia("(prefers-color-scheme: light)").matches ? "light" : "dark"));
$("pause").addEventListener("click", pause);
$("theme").addEventListener("click", () => theme(isDark() ? "light" : "dark"));
document.addEventListener("keydown", (event) => {
  if (event.ctrlKey || event.metaKey || event.altKey || event.target.matches("input, select")) {
    if (event.key === "Escape") event.target.blur();
    return;
  }
  if (event.key === "/") {
    event.preventDefault();
    $("filter").focus();
  } else if (event.key === "p") pause();
  else if (event.key === "t") theme(isDark() ? "light" : "dark");
});
setInterval(() => {
  if (!latest || !$("link").classList.contains("live")) return;
  const late = (performance.now() - heardAt) / 1000;
  if (late > 3 + (2 * latest.agent.interval_ms) / 1000) link("live", `no tick for ${late.toFixed(0)} s`);
  else link("live");
}, 1000);
feed.run();
