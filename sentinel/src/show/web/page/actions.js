// Actions that hold, with their countdown, and plans that wait for a person. Asking for one takes two clicks.

import { el, say, span, whole, words } from "./text.js";

const SURE_MS = 4000;
const cards = new Map();

/** Draws them. `send(path)` asks the agent, or is missing without a token. */
export function actions(state, send) {
  const panel = document.getElementById("actions-panel");
  const any = state.leases.length + state.waiting.length > 0;
  panel.hidden = !any;
  say(document.getElementById("actions-count"), `${state.leases.length} held, ${state.waiting.length} waiting`);
  const box = document.getElementById("actions");
  const shown = new Set();
  for (const waiting of state.waiting) wait(waiting, shown, send);
  for (const lease of state.leases) hold(lease, shown, send);
  for (const [id, card] of cards) {
    if (shown.has(id)) continue;
    card.node.remove();
    cards.delete(id);
  }
  for (const id of shown) {
    const { node } = cards.get(id);
    if (node.parentNode !== box) box.append(node);
  }
}

function wait({ plan, left_ms }, shown, send) {
  const card = find(`plan-${plan.id}`, shown, "waits", send && { verb: "Approve", path: `/api/v1/plans/${plan.id}/approve` });
  say(card.title, `${words(plan.action)} on ${plan.scope.split("/").pop()}`);
  say(card.text, plan.reason);
  say(card.facts, `${plan.expects ? `should bring ${plan.expects}; ` : ""}dropped in ${span(left_ms / 1000)}`);
  if (card.hint) say(card.hint, `sentinel veto approve ${plan.id}`);
  card.bar.style.width = "0";
}

function hold(lease, shown, send) {
  const card = find(`lease-${lease.id}`, shown, "holds", send && { verb: "Lift", path: `/api/v1/leases/${lease.id}/lift` });
  say(card.title, `${words(lease.action)} on ${lease.scope.split("/").pop()}`);
  say(card.text, lease.detail);
  const counts = lease.refused === null ? "" : `${whole(lease.refused)} refused, ${whole(lease.allowed)} let through · `;
  const effect = { pending: "effect not told yet", met: "has its effect", missed: "missed its effect", unknown: "effect cannot be told" }[lease.effect];
  say(card.facts, `${counts}${effect} · held ${span(lease.held_s)}`);
  say(card.left, `${(lease.left_ms / 1000).toFixed(0)} s`);
  card.left.title = "Lapses by itself then, unless the agent renews it";
  if (card.hint) say(card.hint, `sentinel veto lift ${lease.id}`);
  card.bar.style.width = `${Math.min(100, (100 * lease.left_ms) / lease.ttl_ms)}%`;
}

function find(id, shown, state, ask) {
  shown.add(id);
  const known = cards.get(id);
  if (known && Boolean(ask) === Boolean(known.button)) return known;
  known?.node.remove();
  const card = { title: el("b", {}), text: el("p", { class: "entry-text" }), facts: el("p", { class: "dim action-facts" }), left: el("span", { class: "left" }), bar: el("span", { class: "bar" }) };
  card.button = ask ? button(ask) : null;
  card.hint = ask ? null : el("code", { class: "hint" });
  card.node = el(
    "article",
    { class: `action ${state}`, id },
    el("div", { class: "action-head" }, el("span", { class: "tag" }, state), card.title, card.left, card.button),
    card.text,
    card.facts,
    card.hint,
    el("div", { class: "lane", "aria-hidden": "true" }, card.bar),
  );
  cards.set(id, card);
  return card;
}

function button({ verb, path }) {
  const node = el("button", { type: "button", class: "ask" }, verb);
  let sure = 0;
  node.addEventListener("click", async () => {
    if (!sure) {
      say(node, `${verb} now?`);
      node.classList.add("sure");
      sure = setTimeout(() => calm(), SURE_MS);
      return;
    }
    calm();
    node.disabled = true;
    say(document.getElementById("actions-said"), await sender(path));
    node.disabled = false;
  });
  function calm() {
    clearTimeout(sure);
    sure = 0;
    node.classList.remove("sure");
    say(node, verb);
  }
  return node;
}

let sender = null;

/** How the agent is asked. */
export function askBy(send) {
  sender = send;
}
