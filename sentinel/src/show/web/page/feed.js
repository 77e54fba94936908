// The event stream, read by hand so that a token can go in a header. Resumes after the last record it heard.

const RETRY_MS = 1000;
const SILENCE_MS = 25000;

/** Calls `on.state`, `on.record(kind, seq, record)`, `on.missed`, `on.link(state, detail)`; `on.denied` without the right token. */
export class Feed {
  constructor(on) {
    this.on = on;
    this.token = sessionStorage.getItem("sentinel-token");
    this.lastId = null;
  }

  useToken(token) {
    this.token = token;
    sessionStorage.setItem("sentinel-token", token);
  }

  headers() {
    return this.token ? { Authorization: `Bearer ${this.token}` } : {};
  }

  /** Asks the agent to do something; its answer as a sentence. */
  async ask(path) {
    try {
      const answer = await fetch(path, { method: "POST", headers: this.headers() });
      const said = await answer.json();
      return said.done ?? said.refused ?? `answered ${answer.status}`;
    } catch (error) {
      return `not asked: ${error.message}`;
    }
  }

  async run() {
    for (;;) {
      const denied = await this.once().catch((error) => {
        this.on.link("lost", error.message);
        return false;
      });
      if (denied) return;
      await new Promise((done) => setTimeout(done, RETRY_MS));
    }
  }

  async once() {
    const headers = this.headers();
    if (this.lastId) headers["Last-Event-ID"] = this.lastId;
    const stop = new AbortController();
    const answer = await fetch("/api/v1/events", { headers, cache: "no-store", signal: stop.signal });
    if (answer.status === 401) {
      this.on.denied(Boolean(this.token));
      return true;
    }
    if (!answer.ok) throw new Error(answer.status === 503 ? "busy or starting" : `answered ${answer.status}`);
    this.on.link("live");
    let silence = 0;
    const heard = () => {
      clearTimeout(silence);
      silence = setTimeout(() => stop.abort(), SILENCE_MS);
    };
    heard();
    try {
      await this.read(answer.body.getReader(), heard);
    } finally {
      clearTimeout(silence);
    }
    throw new Error("the agent has ended");
  }

  async read(reader, heard) {
    const decoder = new TextDecoder();
    let text = "";
    for (;;) {
      const { done, value } = await reader.read();
      if (done) return;
      heard();
      text += decoder.decode(value, { stream: true });
      const blocks = text.split("\n\n");
      text = blocks.pop();
      blocks.forEach((block) => this.take(block));
    }
  }

  take(block) {
    let kind = "";
    let data = "";
    let id = null;
    for (const line of block.split("\n")) {
      if (line.startsWith("event: ")) kind = line.slice(7);
      else if (line.startsWith("data: ")) data += line.slice(6);
      else if (line.startsWith("id: ")) id = line.slice(4);
    }
    if (id) this.lastId = id;
    if (!kind || !data) return;
    const body = JSON.parse(data);
    if (kind === "state") this.on.state(body);
    else if (kind === "missed") this.on.missed(body.records);
    else this.on.record(kind, Number(id.split("-").pop()), body);
  }
}
