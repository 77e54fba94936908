// The decision log: verdicts and outcomes as they come, newest first. What reached watch or veto is also spoken.

import { RANK, SIGN, clock, el, safe, say, words } from "./text.js";

const MOST = 200;
const WELL = ["began", "effective", "ended"];
let last = 0;
let total = 0;

/** The agent was started anew: its numbers begin at 1 again. */
export function restart() {
  last = 0;
}

/** Entries that a document repeats. */
export function entries(list) {
  list.forEach((entry) => add(entry));
}

/** A whole record of the event stream, as an entry. */
export function record(kind, seq, body) {
  const scope = typeof body.scope === "string" ? body.scope : body.scope.unit || body.scope.path || body.scope.kind;
  const name = scope.split("/").filter(Boolean).pop() ?? scope;
  const well = kind === "outcome" ? WELL.includes(body.result.kind) || body.result.code === 0 : null;
  const text = kind === "verdict" ? body.summary : `${words(body.action)} ${ended(body.result)}`;
  add({ seq, kind, name, well, text, time: body.time, signal: body.signal, level: body.level ?? null, previous: body.previous ?? null, cause: body.cause, phase: body.phase, plan: body.plan ?? [] });
}

function planned(action) {
  const name = words(action.action) + (action.rule ? ` (rule ${action.rule})` : "");
  if (action.forbidden) return `${name} held back: ${action.forbidden}`;
  if (action.would) return `would ${action.rule ? "begin" : "run"} ${name}`;
  if (action.waits) return `${name} waits for approval`;
  return `${action.rule ? "begins" : "runs"} ${name}`;
}

function ended(result) {
  if (result.kind === "exited") return result.code === 0 ? "succeeded" : `failed with exit code ${result.code}`;
  return [words(result.kind), result.detail ?? result.measured ?? result.why ?? result.reason].filter(Boolean).join(": ");
}

/** Records that are gone. */
export function missed(records) {
  place(el("li", { class: "missed" }, `${records} records came and went while this page was away`));
}

function add(entry) {
  if (entry.seq <= last) return;
  last = entry.seq;
  total += 1;
  const level = entry.level ?? (entry.well ? "nominal" : "watch");
  const change = entry.previous && entry.previous !== entry.level ? `${entry.previous} → ${entry.level}` : entry.level ?? "action";
  const plan = entry.plan.map((action) => el("div", { class: "plan" }, `→ ${planned(action)}`));
  const phase = entry.phase && entry.phase !== "healthy" ? el("span", { class: "phase" }, ` · ${entry.phase}`) : null;
  place(
    el(
      "li",
      { class: `lv-${level}` },
      el("div", { class: "entry-head" }, el("time", { datetime: safe(entry.time) }, clock(entry.time)), el("span", { class: "sign", "aria-hidden": "true" }, SIGN[level]), el("b", {}, entry.name), el("span", { class: "dim" }, [entry.signal, change].filter(Boolean).join(" · "))),
      el("div", { class: "entry-text" }, entry.text, phase),
      plan,
    ),
  );
  if (RANK[entry.level] >= 2) say(document.getElementById("said"), `${entry.level}: ${entry.text}`);
}

function place(node) {
  const list = document.getElementById("log");
  list.querySelector(".quiet")?.remove();
  list.prepend(node);
  while (list.children.length > MOST) list.lastElementChild.remove();
  say(document.getElementById("log-count"), `${total} since this page was opened`);
}
