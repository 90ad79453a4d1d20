"use strict";
// Curves and heatmaps. Texts become text nodes only; colours come from the style sheet.

const SVG = "http://www.w3.org/2000/svg";
const number = (value, digits = 3) => value.toFixed(digits).replace(/^-(0\.?0*)$/, "$1");
const signed = (value) => `${value < 0 ? "−" : "+"}${number(Math.abs(value), 2)}`;
const percent = (fraction) => `${(100 * fraction).toFixed(1)} %`;

function make(parent, name, attributes = {}, text) {
  const svg = name === "svg" || parent instanceof SVGElement;
  const made = svg ? document.createElementNS(SVG, name) : document.createElement(name);
  for (const [key, value] of Object.entries(attributes)) made.setAttribute(key, value);
  if (text !== undefined) made.textContent = text;
  parent.append(made);
  return made;
}

function palette() {
  const style = getComputedStyle(document.documentElement);
  const parts = (name) => {
    const hex = style.getPropertyValue(name).trim().slice(1);
    return (hex.length === 3 ? [...hex].map((digit) => digit + digit) : hex.match(/../g)).map((two) => parseInt(two, 16));
  };
  const [plus, minus, none] = ["--for", "--against", "--none"].map(parts), css = (rgb) => `rgb(${rgb.join(",")})`;
  const mix = (value) => {  // -1 to 1
    const end = value < 0 ? minus : plus, fraction = Math.min(1, Math.abs(value));
    return none.map((part, k) => Math.round(part + (end[k] - part) * fraction));
  };
  const light = (rgb) => rgb.map((part) => (part / 255 <= 0.04045 ? part / 255 / 12.92 : ((part / 255 + 0.055) / 1.055) ** 2.4))
    .reduce((sum, part, k) => sum + part * [0.2126, 0.7152, 0.0722][k], 0);
  return {
    colour: (value) => css(mix(value)),
    // Black or white, whichever is read better (WCAG's contrast): never less than 4.5.
    over: (value) => (light(mix(value)) > 0.179 ? "#000" : "#fff"),
    ink: css(parts("--ink")),
  };
}

// The curve of one class's probability, or of the bits that tokens cost.
function curve(place, values, tokens, about, onPick, fractions, before) {
  place.textContent = "";
  if (!values.length) return;
  const width = Math.max(260, place.clientWidth), height = 120, left = 56, right = 10, top = 10, bottom = 22;
  const most = fractions ? 1 : Math.max(1, ...values);
  const x = (k) => left + (width - left - right) * (values.length < 2 ? 0.5 : k / (values.length - 1));
  const y = (value) => top + (height - top - bottom) * (1 - value / most);
  make(place, "p", { class: "soft" }, about);
  const svg = make(place, "svg", { width, height, role: "img", "aria-label": about });
  for (const at of fractions ? [0, 0.5, 1] : [0, most]) {
    make(svg, "line", { x1: left, x2: width - right, y1: y(at), y2: y(at), class: "rule" });
    make(svg, "text", { x: left - 6, y: y(at) + 4, class: "soft end" }, fractions ? `${at * 100} %` : number(at, 1));
  }
  make(svg, "polyline", { points: values.map((v, k) => `${x(k)},${y(v)}`).join(" "), class: "line" });
  const moved = values.map((value, k) => Math.abs(value - (k ? values[k - 1] : before)));
  const turn = fractions ? moved.indexOf(Math.max(...moved)) : -1;
  values.forEach((value, k) => {
    const dot = make(svg, "circle", { cx: x(k), cy: y(value), r: k === turn ? 6 : values.length > 80 ? 2 : 3.5,
      class: k === turn ? "turn" : "dot", fill: "currentColor" });
    make(dot, "title", {}, `${tokens[k]}: ${fractions ? percent(value) : number(value, 2)}`);
    dot.addEventListener("click", () => onPick(k));
  });
  if (turn >= 0) {
    const anchor = x(turn) < 120 ? "start" : x(turn) > width - 120 ? "end" : "middle";
    make(svg, "text", { x: x(turn), y: height - 5, "text-anchor": anchor, class: "soft" },
      `${say("turn")}: ${tokens[turn]}`);
  }
}

class Heatmap {
  // values[token][column]; order: columns from top to bottom; span: what is full colour.
  constructor(place, name, values, tokens, units, order, span, on) {
    Object.assign(this, { values, tokens, units, order, span, on, at: [0, 0] });
    const figure = make(place, "figure");
    const caption = make(figure, "figcaption", {}, name);
    this.scale = make(caption, "span", { class: "soft" });
    const scroll = make(figure, "div", { class: "scroll" });
    const room = scroll.clientWidth || 320;
    this.wide = Math.max(5, Math.min(26, Math.floor(room / Math.max(1, values.length))));
    this.high = Math.max(4, Math.min(12, Math.floor(260 / order.length)));
    this.labels = this.wide >= 12 ? 64 : 0;
    this.canvas = make(scroll, "canvas", { tabindex: 0, role: "img", "aria-label": `${name}. ${say("mapHelp")}` });
    this.paint();
    const cell = (event) => {
      const box = this.canvas.getBoundingClientRect();
      const token = Math.floor((event.clientX - box.left) / this.wide);
      const row = Math.floor((event.clientY - box.top) / this.high);
      return [Math.max(0, Math.min(values.length - 1, token)), Math.max(0, Math.min(order.length - 1, row))];
    };
    this.canvas.addEventListener("pointermove", (event) => this.tell(cell(event), event.clientX, event.clientY));
    this.canvas.addEventListener("pointerleave", () => on.leave());
    this.canvas.addEventListener("click", (event) => this.pick(cell(event)));
    this.canvas.addEventListener("keydown", (event) => {
      const move = { ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, -1], ArrowDown: [0, 1] }[event.key];
      if (event.key === "Enter") this.pick(this.at);
      if (!move) return;
      event.preventDefault();
      const box = this.canvas.getBoundingClientRect();
      const at = [Math.max(0, Math.min(values.length - 1, this.at[0] + move[0])),
        Math.max(0, Math.min(order.length - 1, this.at[1] + move[1]))];
      this.tell(at, box.left + at[0] * this.wide, box.top + at[1] * this.high);
    });
  }
  spread(span) {
    if (span === this.span) return;
    this.span = span;
    this.paint(this.here);
  }
  paint(here) {
    this.here = here;
    const digits = Number.isInteger(this.span) ? 0 : 2, least = this.values.some((row) => row.some((value) => value < 0));
    this.scale.textContent = ` ${number(least ? -this.span : 0, digits)} … ${number(this.span, digits)}`;
    const { canvas, values, order, wide, high } = this, scale = window.devicePixelRatio || 1, colours = palette();
    const width = values.length * wide, height = order.length * high + this.labels;
    canvas.width = width * scale; canvas.height = height * scale;
    canvas.style.width = `${width}px`; canvas.style.height = `${height}px`;
    const pen = canvas.getContext("2d");
    pen.scale(scale, scale);
    values.forEach((row, token) => order.forEach((column, k) => {
      pen.fillStyle = colours.colour(row[column] / this.span);
      pen.fillRect(token * wide, k * high, wide, high);
    }));
    pen.fillStyle = pen.strokeStyle = colours.ink;
    if (here !== undefined) pen.strokeRect(here * wide + 0.5, 0.5, wide - 1, order.length * high - 1);
    pen.font = "12px system-ui, sans-serif";
    if (this.labels) this.tokens.forEach((token, k) => {
      pen.save();
      pen.translate((k + 0.5) * wide + 4, order.length * high + 5);
      pen.rotate(Math.PI / 2);
      pen.textBaseline = "bottom";
      pen.fillText(token.length > 9 ? `${token.slice(0, 8)}…` : token, 0, 6);
      pen.restore();
    });
  }
  tell(at, x, y) {
    this.at = at;
    const column = this.order[at[1]];
    this.on.tell(`${this.tokens[at[0]]} · ${say("unit")} ${this.units[column]} · ${number(this.values[at[0]][column])}`, x, y);
  }
  pick(at) { this.on.pick(at[0], this.order[at[1]]); }
}
