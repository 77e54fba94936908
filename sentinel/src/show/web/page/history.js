// What values were, for the little drawings: the last two minutes of each signal that is listed, and nothing older.

const SECONDS = 90;
const AHEAD = 24;

/** Past values by key. */
export class History {
  constructor() {
    this.lines = new Map();
  }

  /** Takes note of a document. */
  record(state) {
    const now = state.unix_ms / 1000;
    for (const scope of state.scopes) {
      for (const signal of scope.signals) this.add(key(scope, signal), now, signal.value);
    }
    for (const [name, value] of Object.entries(state.host.rates)) this.add(`host ${name}`, now, value);
    this.add("own cpu", now, state.agent.own.cpu_share);
    for (const [name, line] of this.lines) {
      if (line.at(-1).at < now - SECONDS) this.lines.delete(name);
    }
  }

  add(name, at, value) {
    const line = this.lines.get(name) ?? [];
    if (line.length && line.at(-1).at >= at) return;
    line.push({ at, value });
    while (line.length && line[0].at < at - SECONDS) line.shift();
    this.lines.set(name, line);
  }

  of(name) {
    return this.lines.get(name) ?? [];
  }
}

/** The key of one signal of one scope. */
export function key(scope, signal) {
  return `${scope.kind} ${scope.cgroup_id} ${signal.signal}`;
}

/** Where a line runs in a drawing of this size: past as a path, the course ahead as another, the usual as a band. */
export function course(line, now, width, height, signal) {
  const known = line.filter((point) => point.value !== null && point.value !== undefined);
  if (!known.length) return null;
  const values = known.map((point) => point.value);
  const usual = signal?.baseline;
  const last = known.at(-1);
  const ahead = signal ? aheadOf(last, signal) : [];
  const limitLow = Math.min(0, ...values);
  const limitHigh = Math.max(...values, usual ? usual.mean + 2 * usual.sigma : 0, least(signal));
  const reach = limitHigh - limitLow;
  // The course is drawn until it leaves the picture: what comes after that is noise carried too far.
  const inside = (point) => point.value >= limitLow - reach * 0.05 && point.value <= limitHigh + reach * 0.6;
  const leaves = ahead.findIndex((point) => !inside(point));
  const shown = leaves < 0 ? ahead : ahead.slice(0, leaves);
  const high = Math.max(limitHigh, ...shown.map((point) => point.value));
  const low = Math.min(limitLow, ...shown.map((point) => point.value));
  const seconds = SECONDS + (signal ? AHEAD : 0);
  const x = (at) => ((at - (now - SECONDS)) / seconds) * width;
  const y = (value) => height - 2 - ((value - low) / (high - low || 1)) * (height - 4);
  const path = (points) => points.map((point, index) => `${index ? "L" : "M"}${x(point.at).toFixed(1)} ${y(point.value).toFixed(1)}`).join("");
  return {
    past: path(known),
    area: `${path(known)}L${x(last.at).toFixed(1)} ${y(low)}L${x(known[0].at).toFixed(1)} ${y(low)}Z`,
    ahead: shown.length ? path([last, ...shown]) : "",
    now: { x: x(last.at), y: y(last.value) },
    band: usual ? { y: y(usual.mean + 2 * usual.sigma), height: Math.max(1, y(Math.max(low, usual.mean - 2 * usual.sigma)) - y(usual.mean + 2 * usual.sigma)) } : null,
  };
}

/** The least that fills a drawing, so that noise near zero stays low. */
function least(signal) {
  return { jitter: 1, fever: 1, amplification: 2 }[signal?.signal] ?? 0;
}

/** Velocity and acceleration carried on for a while. */
function aheadOf(last, signal) {
  if (signal.velocity_per_s === null) return [];
  const points = [];
  for (let t = 0.5; t <= AHEAD; t += 0.5) {
    const bend = 0.5 * (signal.acceleration_per_s2 ?? 0) * t * t;
    points.push({ at: last.at + t, value: last.value + signal.velocity_per_s * t + bend });
  }
  return points;
}
