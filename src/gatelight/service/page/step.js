"use strict";
// One step of one layer, as the note draws its cell, with the numbers of that very step.

const CELL = { wide: 66, high: 24, gap: 46, left: 74, top: 64 };
// Each column: the quantity, whether of the step before, and the sign that leads to it. `-` before a name: 1 minus it.
const PICTURES = {
  lstm: { flow: [["cell_state", true], ["forget_gate", false, "×"], ["input_gate", false, "+"],
    ["candidate", false, "×"], ["cell_state", false, "="], ["output_gate", false, "tanh ×"], ["hidden_state", false, "="]],
    fed: ["forget_gate", "input_gate", "candidate", "output_gate"] },
  gru: { flow: [["hidden_state", true], ["update_gate", false, "×"], ["-update_gate", false, "+"],
    ["candidate", false, "×"], ["hidden_state", false, "="], ["reset_gate", false, ""]],
    fed: ["update_gate", "candidate", "reset_gate"] },
  rnn: { flow: [["hidden_state", true], ["hidden_state", false, "tanh"]], fed: ["hidden_state"] },
};
PICTURES.peephole = PICTURES.lstm;

// What a column shows at a token: the numbers of the chosen units. Before the first step all states are zero.
function numbersOf(trace, name, before, token, columns) {
  const at = before ? token - (trace.direction ? -1 : 1) : token;
  const row = trace.values[name.replace("-", "")][at];
  return columns.map((column) => (row ? (name.startsWith("-") ? 1 - row[column] : row[column]) : 0));
}

function drawStep(place, trace, token, columns) {
  place.textContent = "";
  const { flow, fed } = PICTURES[trace.cell], { wide, high, gap, left, top } = CELL, colours = palette();
  const body = columns.length * high, bus = top + body + 26, below = bus + 38;
  const width = Math.max(left + flow.length * (wide + gap) - gap, left + 3 * (wide + gap) + 120) + 16, height = below + body + 12;
  const label = `${say("step")}: ${trace.tokens[token]}`;
  const svg = make(place, "svg", { width, height, role: "img", "aria-label": label });
  const column = (x, y, name, before) => {
    const values = numbersOf(trace, name, before, token, columns);
    const span = name === "cell_state" ? Math.max(1, ...values.map(Math.abs)) : 1;
    values.forEach((value, k) => {
      make(svg, "rect", { x, y: y + k * high, width: wide, height: high - 2, rx: 3, class: "box" })
        .style.fill = colours.colour(value / span);
      const text = make(svg, "text", { x: x + wide / 2, y: y + k * high + 16, class: "mid", "data-quantity": name,
        "data-before": before, "data-unit": trace.units[columns[k]] }, number(value));
      text.style.fill = colours.over(value / span);
    });
  };
  flow.forEach(([name, before, sign], k) => {
    const x = left + k * (wide + gap), title = say((before ? "before_" : name[0] === "-" ? "rest_" : "") + name.replace("-", ""));
    const lines = title.split("|");
    lines.forEach((line, n) => make(svg, "text", { x: x + wide / 2, y: top - 10 - 15 * (lines.length - 1 - n), class: "mid" }, line));
    column(x, top, name, before);
    if (sign) make(svg, "text", { x: x - gap / 2, y: top + body / 2 + 5, class: sign.length > 1 ? "mid" : "sign" }, sign);
    if (!before && fed.includes(name))
      make(svg, "path", { d: `M${x + wide / 2} ${bus}V${top + body + 4}m-4 7l4 -7l4 7`, class: "wire" });
  });
  columns.forEach((at, k) => make(svg, "text", { x: left - 8, y: top + k * high + 16, class: "end soft" },
    `${say("unit")} ${trace.units[at]}`));
  const word = left, old = left + 2 * (wide + gap);
  const last = Math.max(...flow.map(([name, before], k) => (!before && fed.includes(name) ? k : 0)));
  const end = Math.max(left + last * (wide + gap), old) + wide / 2;
  make(svg, "path", { d: `M${word + wide / 2} ${below}V${bus}H${end}M${old + wide / 2} ${below}V${bus}`, class: "wire" });
  make(svg, "rect", { x: word - 20, y: below, width: wide + 40, height: 30, rx: 6, class: "box" });
  const shown = trace.tokens[token];
  make(svg, "text", { x: word + wide / 2, y: below + 20, class: "mid" }, shown.length > 14 ? `${shown.slice(0, 13)}…` : shown);
  make(svg, "text", { x: word + wide / 2, y: below + 46, class: "mid soft" }, say("input"));
  column(old, below, "hidden_state", true);
  make(svg, "text", { x: old + wide + 8, y: below + 16, class: "soft" }, flat("previous"));
  make(svg, "text", { x: old + wide + 8, y: bus - 6, class: "soft" }, say("joined"));
}
