// Text and elements. Names of cgroups are hostile: every text goes through `safe` and becomes a text node, never markup.

const HIDDEN = /[\p{C}\p{M}\p{Zl}\p{Zp}]/gu;

/** The text with everything that does not print spelled out. */
export function safe(text) {
  return String(text ?? "").replace(HIDDEN, (char) => `\\u{${char.codePointAt(0).toString(16)}}`);
}

function put(node, props, children) {
  for (const [name, value] of Object.entries(props ?? {})) {
    if (value === undefined || value === null || value === false) continue;
    if (name === "title" || name.startsWith("aria-")) node.setAttribute(name, safe(value));
    else node.setAttribute(name, value === true ? "" : value);
  }
  for (const child of children.flat()) {
    if (child === undefined || child === null) continue;
    node.append(child instanceof Node ? child : document.createTextNode(safe(child)));
  }
  return node;
}

/** An element. */
export function el(tag, props, ...children) {
  return put(document.createElement(tag), props, children);
}

/** An element of a drawing. */
export function svg(tag, props, ...children) {
  return put(document.createElementNS("http://www.w3.org/2000/svg", tag), props, children);
}

/** Sets text only when it changed, so that a screen reader is not told twice. */
export function say(node, text) {
  const printable = safe(text);
  if (node.textContent !== printable) node.textContent = printable;
}

/** Three significant digits, thin. */
export function number(value) {
  if (value === null || value === undefined) return "–";
  if (value < 0) return `−${number(-value)}`.replace("−0", value > -0.005 ? "0" : "−0");
  const size = value;
  if (size >= 1e6) return `${(value / 1e6).toFixed(1)}M`;
  if (size >= 1e4) return `${(value / 1e3).toFixed(0)}k`;
  if (size >= 100) return value.toFixed(0);
  if (size >= 10) return value.toFixed(1);
  if (size < 0.005) return "0";
  return value.toFixed(2);
}

/** A count. */
export function whole(value) {
  return value === null || value === undefined ? "–" : Math.round(value).toLocaleString("en-GB");
}

/** With its sign. */
export function signed(value) {
  if (value === null || value === undefined) return "–";
  const text = number(value);
  return value > 0 && text !== "0" ? `+${text}` : text;
}

/** `42 s`, `12 min`, `3.5 h`. */
export function span(seconds) {
  if (seconds === null || seconds === undefined) return "–";
  if (seconds < 120) return `${Math.max(0, seconds).toFixed(0)} s`;
  if (seconds < 7200) return `${(seconds / 60).toFixed(0)} min`;
  if (seconds < 172800) return `${(seconds / 3600).toFixed(1)} h`;
  return `${(seconds / 86400).toFixed(1)} d`;
}

/** The clock of a time. */
export function clock(time) {
  const date = new Date(time);
  return Number.isNaN(date.getTime()) ? safe(time) : date.toLocaleTimeString("en-GB");
}

/** `retry_storm` as people write it. */
export function words(name) {
  return String(name ?? "").replaceAll("_", " ");
}

/** A sign for a level, so that colour is not all there is. */
export const SIGN = { veto: "▲", watch: "◆", nominal: "●", unknown: "○" };

export const RANK = { unknown: 0, nominal: 1, watch: 2, veto: 3 };
