"use strict";
// The page itself: panes with a text each, what is shown below them, and what the reader chose.

const NOTE = ["The young woman went to the movies with her friends.",
  "The young woman, having found a free ticket on the ground, went to the movies."];
const EXAMPLE = "I expected to hate it. The plot is not good, but the puppets are wonderful.";
const SHOWN_UNITS = 6, SHOWN_NGRAMS = 12, WAIT = 120, ORDERS = ["activity", "halfLife", "byNumber"];
const METHODS = ["integrated-gradients", "gradient-x-input", "occlusion", "pool"];
const at = (id) => document.getElementById(id);
const report = document.getElementById("report");
const source = report ? new Report(JSON.parse(report.textContent)) : new Service();
const chosen = { mode: "one", method: METHODS[0], layer: 0, direction: 0, order: "activity", units: 32, clamp: {} };
let models = [], panes = [], step = null;

function trouble(error) {
  if (error && error.name === "AbortError") return;
  if (error && error.status === 401) at("token").hidden = false;
  at("trouble").hidden = !error;
  at("trouble").textContent = error ? error.message : "";
}

function options(select, pairs, value) {
  select.textContent = "";
  for (const [key, name] of pairs) make(select, "option", { value: key }, name);
  select.value = String(value);
}

function tip(text, x, y) {
  const box = at("tip");
  box.hidden = !text;
  if (!text) return;
  box.textContent = text;
  box.style.left = `${Math.min(x + 12, innerWidth - box.offsetWidth - 8)}px`;
  box.style.top = `${Math.min(y + 14, innerHeight - box.offsetHeight - 8)}px`;
}

function openStep(pane, token, column) {
  const units = column === undefined ? [] : [pane.trace.units[column]];
  const before = step && step.pane === pane ? step.units : pane.trace.units.slice(0, SHOWN_UNITS);
  step = { pane, token, units: [...new Set([...units, ...before])].slice(0, SHOWN_UNITS) };
  showStep();
  at("step").scrollIntoView({ block: "nearest" });
}

function showStep() {
  const { pane, units } = step, { trace } = pane;
  at("step").hidden = !trace.tokens.length;
  if (!trace.tokens.length) return;
  step.token = Math.min(step.token, trace.tokens.length - 1);
  const kept = units.filter((unit) => trace.units.includes(unit));
  step.units = kept.length ? kept : trace.units.slice(0, SHOWN_UNITS);
  at("stepHelp").textContent = say(`help_${trace.cell}`);
  at("where").textContent = `${trace.tokens[step.token]} (${step.token + 1}/${trace.tokens.length})`;
  const reads = trace.direction ? -1 : 1, inside = (token) => token >= 0 && token < trace.tokens.length;
  at("back").disabled = !inside(step.token - reads);
  at("forward").disabled = !inside(step.token + reads);
  options(at("add"), [["", "+"], ...trace.units.map((unit, k) =>
    [unit, trace.half_lives.length ? `${unit} (${say("forgets")} ${trace.half_lives[k] === null ? say("forever")
      : number(trace.half_lives[k], 1)})` : unit])], "");
  drawStep(at("cell"), trace, step.token, step.units.map((unit) => trace.units.indexOf(unit)));
  panes.forEach((one) => one.mark());
}

function walk(forward) {
  step.token += (forward ? 1 : -1) * (step.pane.trace.direction ? -1 : 1);
  showStep();
}

function arrange(mode) {
  chosen.mode = mode;
  const first = panes[0], model = first ? first.model : models[0], texts = source.live ? NOTE : source.texts;
  const example = source.live && mode !== "texts" ? EXAMPLE : texts[0];
  const text = first && first.text !== EXAMPLE ? first.text : example;
  const others = panes.slice(1).map((pane) => pane.model), second = panes[1] && panes[1].text;
  at("panes").textContent = at("maps").textContent = "";
  step = null; at("step").hidden = true;
  panes = [new Pane(model, text)];
  if (mode === "texts") panes.push(new Pane(others[0] ?? model, second && second !== text ? second : texts.find((one) => one !== text) ?? text));
  if (mode === "models") panes.push(new Pane(others[0] && others[0] !== model ? others[0] : models.find((one) => one !== model && one.kind === model.kind) ?? models.find((one) => one !== model), text));
  at("ready").hidden = mode !== "texts" || !source.live;
  controls();
  panes.forEach((pane) => pane.update());
}

function refresh() { panes.forEach((pane) => pane.update()); }

function controls() {
  const layers = Math.max(...panes.map((pane) => pane.model.layers)), both = panes.some((pane) => pane.model.directions > 1);
  chosen.layer = Math.min(chosen.layer, Math.min(...panes.map((pane) => pane.model.layers)) - 1);
  options(at("layer"), Array.from({ length: layers }, (_, k) => [k, k + 1]), chosen.layer);
  options(at("direction"), [[0, say("forwards")], ...(both ? [[1, say("backwards")]] : [])], chosen.direction);
  options(at("order"), ORDERS.map((name) => [name, say(name)]), chosen.order);
  const most = Math.max(...panes.map((pane) => pane.model.units));
  options(at("units"), [8, 16, 32, 64, 128, 256].filter((n) => n < most).concat(most).filter((n) => source.live || n <= 32)
    .map((n) => [n, n]), Math.min(chosen.units, most));
  const modes = ["one", "texts", ...(models.length > 1 ? ["models"] : [])];
  at("modes").textContent = "";
  for (const mode of modes) make(at("modes"), "button", { type: "button", id: `mode-${mode}`, "aria-pressed": mode === chosen.mode },
    say(mode)).addEventListener("click", () => arrange(mode));
  const model = panes[0].model;
  at("writing").hidden = !source.live || model.kind === "classifier";
  // Gates that all shown models have; clamps of others end.
  const gates = (one) => PICTURES[one.model.cell].fed.filter((name) => name.endsWith("_gate"));
  const shared = gates(panes[0]).filter((name) => panes.every((pane) => gates(pane).includes(name)));
  chosen.clamp = Object.fromEntries(Object.entries(chosen.clamp).filter(([name]) => shared.includes(name)));
  sliders(shared);
}

function sliders(gates) {
  at("gates").textContent = "";
  for (const name of gates) {
    const label = make(at("gates"), "label"), tick = make(label, "input", { type: "checkbox", id: `clamp-${name}` });
    make(label, "span", {}, ` ${say("clamp")} ${flat(name)} `);
    const range = make(label, "input", { type: "range", min: 0, max: 1, step: source.live ? 0.05 : 0.5, id: `at-${name}`, "aria-label": flat(name) });
    const shown = make(label, "output", {}, "");
    tick.checked = name in chosen.clamp;
    range.value = chosen.clamp[name] ?? 1;
    const changed = () => {
      shown.textContent = ` ${number(Number(range.value), 2)}`;
      if (tick.checked) {
        // A report has the answers for one gate at a time.
        if (!source.live) { chosen.clamp = {}; gates.forEach((other) => { const box = at(`clamp-${other}`); if (box && other !== name) box.checked = false; }); }
        chosen.clamp = { ...chosen.clamp, [name]: Number(range.value) };
      } else { const { [name]: dropped, ...rest } = chosen.clamp; chosen.clamp = rest; }
    };
    changed();
    range.addEventListener("input", () => { panes.forEach((pane) => { pane.busy = true; }); tick.checked = true; changed(); clearTimeout(sliders.wait); sliders.wait = setTimeout(refresh, WAIT); });
    tick.addEventListener("change", () => { changed(); refresh(); });
  }
}

async function write() {
  const model = panes[0].model, stop = new AbortController(), states = [];
  at("written").textContent = at("prompt").value;
  at("stop").disabled = false; at("write").disabled = true;
  at("stop").onclick = () => stop.abort();
  try {
    await source.generate({ model: model.name, prompt: at("prompt").value, length: Number(at("length").value), units: 64,
      temperature: Number(at("temperature").value), seed: Math.floor(Math.random() * 1e9) }, (piece) => {
      if (piece.done) return;
      at("written").append(piece.text);
      states.push(...piece.states);
      live(states);
    }, stop.signal);
    trouble(null);
  } catch (error) { trouble(error); }
  at("stop").disabled = true; at("write").disabled = false;
}

function live(states) {
  const canvas = at("live"), colours = palette(), wide = 8, high = Math.max(4, Math.floor(160 / states[0].length));
  canvas.width = states.length * wide; canvas.height = states[0].length * high;
  const pen = canvas.getContext("2d");
  states.forEach((row, token) => row.forEach((value, unit) => {
    pen.fillStyle = colours.colour(value);
    pen.fillRect(token * wide, unit * high, wide, high);
  }));
  canvas.parentElement.scrollLeft = canvas.width;
}

function speak() {
  document.documentElement.lang = language;
  document.querySelectorAll("[data-say]").forEach((one) => { one.textContent = say(one.dataset.say); });
  if (!source.live) at("whatIfHelp").textContent = `${say("whatIfHelp")} ${say("whatIfReport")}`;
  options(at("theme"), ["light", "dark"].map((name) => [name, say(name)]), document.documentElement.dataset.theme);
  if (!panes.length) return;
  controls();
  panes.forEach((pane) => pane.speak());
  if (step) showStep();
}

function paint(theme) { document.documentElement.dataset.theme = theme; speak(); }

async function begin() {
  try { models = await source.models(); } catch (error) { trouble(error); return; }
  trouble(null); at("token").hidden = true;
  arrange("one");
}

for (const key of ["layer", "direction", "units"])
  at(key).addEventListener("change", (event) => { chosen[key] = Number(event.target.value); refresh(); });
at("ready").addEventListener("click", () => {
  panes.forEach((pane, k) => { pane.find("text").value = NOTE[k]; });
  refresh();
});
at("order").addEventListener("change", (event) => { chosen.order = event.target.value; panes.forEach((pane) => pane.trace && pane.showTrace()); });
at("back").addEventListener("click", () => walk(false));
at("forward").addEventListener("click", () => walk(true));
at("add").addEventListener("change", (event) => {
  step.units = [Number(event.target.value), ...step.units.filter((unit) => unit !== Number(event.target.value))].slice(0, SHOWN_UNITS);
  showStep();
});
at("language").addEventListener("change", (event) => { language = event.target.value; speak(); });
at("theme").addEventListener("change", (event) => paint(event.target.value));
at("write").addEventListener("click", write);
at("token").addEventListener("submit", (event) => {
  event.preventDefault();
  sessionStorage.setItem("token", event.target.querySelector("input").value);
  begin();
});
addEventListener("resize", () => { clearTimeout(speak.wait); speak.wait = setTimeout(speak, WAIT); });
language = (navigator.language || "en").toLowerCase().startsWith("zh") ? "zh" : "en";
options(at("language"), [["en", "English"], ["zh", "中文"]], language);
paint(matchMedia("(prefers-color-scheme: dark)").matches ? "dark" : "light");
begin();
