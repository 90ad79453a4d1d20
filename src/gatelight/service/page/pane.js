"use strict";
// One text under one model: what it says, why, and its gates and states. What the reader chose is in page.js.

// What is full colour: 1 for gates and candidates, for states the largest of all texts that are shown.
function spanOf(name) {
  if (!name.endsWith("_state")) return 1;
  const largest = panes.map((pane) => (pane.trace && pane.trace.values[name] || []).reduce((most, row) =>
    row.reduce((least, value) => Math.max(least, Math.abs(value)), most), 0));
  return Math.max(0.01, ...largest);
}

class Pane {
  constructor(model, text) {
    this.root = at("pane").content.firstElementChild.cloneNode(true);
    this.find = (name) => this.root.querySelector(`.${name}`);
    at("panes").append(this.root);
    this.place = make(at("maps"), "div", { class: "maps" });
    Object.assign(this, { model, running: null, free: null, why: null, trace: null, maps: [], turn: 0 });
    options(this.find("model"), models.map((one) => [one.name, one.name]), model.name);
    this.find("model").closest(".row").hidden = models.length < 2;
    this.find("model").addEventListener("change", (event) => {
      this.model = models.find((one) => one.name === event.target.value);
      arrange(chosen.mode);
    });
    this.speak();
    this.find("method").addEventListener("change", (event) => { chosen.method = event.target.value; refresh(); });
    const typed = this.find("text"), listed = this.find("texts");
    typed.hidden = !source.live; listed.hidden = source.live;
    if (!source.live) options(listed, source.texts.map((one) => [one, one]), text);
    typed.value = text;
    typed.addEventListener("input", () => { this.busy = true; clearTimeout(this.wait); this.wait = setTimeout(() => this.update(), WAIT); });
    listed.addEventListener("change", () => this.update());
    this.find("words").addEventListener("keydown", (event) => {
      const next = { ArrowRight: "nextElementSibling", ArrowLeft: "previousElementSibling" }[event.key];
      if (next && event.target[next]) event.target[next].focus();
    });
  }
  speak() {
    const pools = (this.model.pool || "").startsWith("max"), methods = METHODS.filter((name) => name !== "pool" || pools);
    options(this.find("method"), methods.map((name) => [name, say(name)]), chosen.method);
    this.root.querySelectorAll("[data-say]").forEach((one) => { one.textContent = say(one.dataset.say); });
    if (this.running) this.showAnswer();
    if (this.trace) this.showTrace();
  }
  get text() { return source.live ? this.find("text").value : this.find("texts").value; }
  // Ask for everything; what was asked before and has not come is no longer wanted.
  async update() {
    const turn = ++this.turn;
    this.busy = true;
    const { text, model } = this, classifies = model.kind === "classifier";
    this.stop?.abort();
    this.stop = new AbortController();
    const asked = { model: model.name, text, layer: chosen.layer, clamp: chosen.clamp }, signal = this.stop.signal;
    const clamped = Object.keys(chosen.clamp).length > 0, current = () => turn === this.turn;
    try {
      const running = await source.running(asked, signal);
      if (!current()) return;
      this.running = running;
      this.free = clamped ? await source.running({ ...asked, clamp: {} }, signal) : null;
      if (!current()) return;
      this.why = null;
      this.showAnswer();
      const how = { ...asked, direction: Math.min(chosen.direction, model.directions - 1), units: chosen.units };
      const [why, trace] = await Promise.all([
        classifies && running.tokens.length ? source.explain({ ...asked, method: chosen.method }, signal) : null,
        source.trace(how, signal)]);
      if (!current()) return;
      this.why = why; this.trace = trace;
      this.showAnswer(); this.showTrace();
      if (step && step.pane === this) showStep();
      trouble(null);
    } catch (error) { if (current()) trouble(error); }
    if (current()) this.busy = false;
  }
  get target() { return this.why ? this.running.classes.indexOf(this.why.target) : this.best; }
  get best() { const fractions = this.running.probabilities; return fractions.indexOf(Math.max(...fractions)); }
  showAnswer() {
    const { running, free, why } = this, target = this.target, verdict = this.find("verdict");
    verdict.textContent = "";
    if (running.bits) {
      const mean = running.bits.reduce((sum, bits) => sum + bits, 0) / Math.max(1, running.bits.length);
      verdict.textContent = `${number(mean, 2)} ${say("bitsEach")}`;
    } else {
      make(verdict, "strong", { class: "label" }, [].concat(running.label).join(", ") || "–");
      make(verdict, "span", { class: "fraction" }, ` ${percent(running.probabilities[this.best])}`);
      if (free) make(verdict, "span", { class: "soft free" },
        ` · ${say("without")}: ${[].concat(free.label).join(", ")} ${percent(Math.max(...free.probabilities))}`);
    }
    if (running.unknown) make(verdict, "span", { class: "soft" }, ` · ${say("unknownShare")}: ${percent(running.unknown)}`);
    const names = running.tokens.map((token) => token.text);
    const values = running.bits || running.running.map((row) => row[target]);
    const alone = this.model.wide ? ` (${say("alone")})` : "";
    const about = running.bits ? say("bitsCurve") : `${say("curve")}: ${running.classes[target]}${alone}`;
    this.find("chart").dataset.tokens = values.length;
    curve(this.find("chart"), values, names, about, (k) => this.open(k), !running.bits, running.before[target]);
    this.showWords(why);
  }
  showWords(why) {
    const { tokens, bits } = this.running, words = this.find("words"), colours = palette();
    const fractions = new Map(why ? why.places.map((place, k) => [place, why.contributions[k]]) : (bits || []).map((b, k) => [k, b / 4]));
    const most = Math.max(1e-9, ...[...fractions.values()].map(Math.abs)), read = why && new Set(why.places);
    words.textContent = "";
    words.classList.toggle("letters", !this.model.words);
    tokens.forEach((token, k) => {
      const word = make(words, "button", { class: "word", type: "button", tabindex: k ? -1 : 0 }, token.text);
      const about = [];
      if (fractions.has(k)) {
        const fraction = Math.max(-1, Math.min(1, fractions.get(k) / most));
        word.style.backgroundColor = colours.colour(fraction * 0.85);
        word.style.color = colours.over(fraction * 0.85);
        about.push(bits ? `${number(bits[k], 2)} bits` : `${say("contribution")} ${number(fractions.get(k))}`);
      }
      word.classList.toggle("strange", !token.known);
      if (!token.known) about.push(`→ ${token.read_as ?? say("nothing")}`);
      const lost = read && token.read_as !== null && !read.has(k);
      word.classList.toggle("unread", Boolean(lost));
      if (lost) about.push(say("unread"));
      word.title = about.join(" · ");
      word.addEventListener("click", () => this.open(k));
    });
    const strange = new Map(tokens.filter((token) => !token.known).map((token) => [token.text, token.read_as ?? say("nothing")]));
    this.find("unknown").textContent = strange.size
      ? `${say("unknownAre")}: ${[...strange].slice(0, 12).map((pair) => pair.join(" → ")).join(", ")}` : "";
    this.showNgrams(why, colours);
    const legend = this.find("legend");
    legend.textContent = "";
    legend.parentElement.hidden = !why;
    if (!why) return;
    make(legend, "span", { class: "plus" }, `■ ${say("speaksFor")} ${why.target}`);
    legend.append(" ");
    make(legend, "span", { class: "minus" }, `■ ${say("against")}`);
    if (why.gap !== null) legend.append(` · ${say("gap")}: ${number(why.gap)} ${say("nats")} ${say("of")} ${number(why.score - why.base)}`);
  }
  showNgrams(why, colours) {
    const list = this.find("ngrams"), longest = new Map();
    list.textContent = "";
    if (!why || !why.ngrams.length) return;
    // Those that only occur together contribute the same: the longest stands for them.
    for (const one of why.ngrams) {
      const before = longest.get(one.contribution);
      if (!before || before.length < one.ngram.length) longest.set(one.contribution, one.ngram);
    }
    const shown = [...longest].slice(0, SHOWN_NGRAMS), most = Math.max(1e-9, ...shown.map(([part]) => Math.abs(part)));
    const words = why.contributions.reduce((sum, part) => sum + part, 0);
    const all = why.gap === null ? "" : ` (${signed(why.score - why.base - why.gap - words)} ${say("nats")})`;
    make(list, "span", {}, `${say("ngrams")}${all}: `);
    for (const [part, ngram] of shown) {
      const one = make(list, "span", { class: "ngram" }, `${ngram.replaceAll(" ", "␣")} ${signed(part)}`);
      one.style.backgroundColor = colours.colour(part / most * 0.85);
      one.style.color = colours.over(part / most * 0.85);
      list.append(" ");
    }
  }
  showTrace() {
    const { trace, place } = this;
    place.textContent = "";
    this.maps = [];
    if (!trace.tokens.length) return;
    const life = new Map(trace.units.map((unit, k) => [unit, trace.half_lives[k] ?? Infinity]));
    const columns = trace.units.map((unit, k) => k);
    if (chosen.order === "halfLife") columns.sort((a, b) => life.get(trace.units[b]) - life.get(trace.units[a]));
    if (chosen.order === "byNumber") columns.sort((a, b) => trace.units[a] - trace.units[b]);
    this.order = columns;
    for (const name of trace.names) {
      const values = trace.values[name];
      this.maps.push(new Heatmap(place, flat(name), values, trace.tokens, trace.units, columns, spanOf(name), {
        name, tell: (text, x, y) => tip(text, x, y), leave: () => tip(""), pick: (token, column) => openStep(this, token, column) }));
    }
    panes.forEach((pane) => pane.maps.forEach((map) => map.spread(spanOf(map.on.name))));
    this.mark();
  }
  open(k) {
    const token = this.trace ? this.trace.places.indexOf(k) : -1;
    if (token >= 0) openStep(this, token);
  }
  mark() {
    const here = step && step.pane === this ? step.token : undefined;
    this.maps.forEach((map) => map.paint(here));
    const place = here === undefined || !this.trace ? -1 : this.trace.places[here];
    [...this.find("words").children].forEach((word, k) => word.classList.toggle("here", k === place));
  }
}
