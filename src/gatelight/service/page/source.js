"use strict";
// Where views come from: the service that sent this page, or the report that this page is.

class HttpError extends Error {
  constructor(status, message) { super(message); this.status = status; }
}

class Service {
  constructor() {
    this.live = true;
    // A token in the address stays on this machine: what follows # is not sent.
    const given = new URLSearchParams(location.hash.slice(1)).get("token");
    if (given) { sessionStorage.setItem("token", given); history.replaceState(null, "", location.pathname); }
  }
  async send(path, body, signal) {
    const headers = { "Content-Type": "application/json" };
    const token = sessionStorage.getItem("token");
    if (token) headers.Authorization = `Bearer ${token}`;
    const how = body === undefined ? { headers } : { method: "POST", headers, body: JSON.stringify(body), signal };
    const answer = await fetch(path, how);
    if (answer.ok) return answer;
    const told = await answer.json().catch(() => ({}));
    throw new HttpError(answer.status, told.error || answer.statusText);
  }
  async ask(path, body, signal) { return (await this.send(path, body, signal)).json(); }
  async models() { return (await this.ask("v1/models")).models; }
  running(asked, signal) { return this.ask("v1/running", asked, signal); }
  explain(asked, signal) { return this.ask("v1/explain", asked, signal); }
  trace(asked, signal) { return this.ask("v1/trace", asked, signal); }
  async generate(asked, onPiece, signal) {
    const answer = await this.send("v1/generate", asked, signal);
    const reader = answer.body.pipeThrough(new TextDecoderStream()).getReader();
    let rest = "";
    for (;;) {
      const { value, done } = await reader.read();
      if (done) return;
      const lines = (rest + value).split("\n");
      rest = lines.pop();
      lines.forEach((line) => onPiece(JSON.parse(line)));
    }
  }
}

class Report {
  constructor(data) { this.live = false; this.data = data; this.texts = data.views.map((view) => view.text); }
  async models() { return [this.data.model]; }
  view(asked) { return this.data.views.find((view) => view.text === asked.text); }
  async running(asked) {
    const gates = Object.entries(asked.clamp || {});
    const key = gates.map(([name, value]) => `${asked.layer} ${name} ${value}`).join();
    return gates.length ? this.view(asked).clamped[key] : this.view(asked).running;
  }
  async explain(asked) { return this.view(asked).explain[asked.method]; }
  async trace(asked) {
    const found = this.view(asked).trace.find((m) => m.layer === asked.layer && m.direction === asked.direction);
    const kept = found.units.slice(0, asked.units), values = {};
    for (const name of found.names) values[name] = found.values[name].map((row) => row.slice(0, asked.units));
    return { ...found, values, units: kept };
  }
}
