// The charts of a call site. Each function takes plain numbers and gives a <figure>.
"use strict";

const plural = (count, noun) => `${count.toLocaleString("en")} ${noun}${count === 1 ? "" : "s"}`;
const percent = (share) => `${(100 * share).toFixed(1)} %`;

// An element; texts are never read as HTML, because names come from the model.
function element(tag, attributes = {}, ...children) {
  const made = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) made.setAttribute(name, value);
  made.append(...children.filter((child) => child !== null));
  return made;
}

function figure(title, ...children) {
  return element("figure", {}, element("figcaption", {}, title), ...children);
}

function plot(label, options) {
  const { x, ...others } = options;
  const drawn = Plot.plot({
    width: 460, height: 220, marginBottom: 40, style: { fontSize: "12px", background: "none" },
    x: { labelAnchor: "center", labelArrow: "none", ...x }, ...others,
  });
  const images = drawn.matches("svg") ? [drawn] : [...drawn.querySelectorAll("svg")];
  const image = images.pop();
  // What is left is a scale of colours, whose texts say all.
  for (const scale of images) scale.setAttribute("aria-hidden", "true");
  image.setAttribute("role", "img");
  image.setAttribute("aria-label", label);
  return drawn;
}

// Which of two reports is which.
const labelled = (sides) => sides.length < 2 ? null
  : element("p", {}, `filled: `, element("bdi", {}, sides[0].label), `; line: `, element("bdi", {}, sides[1].label));

const outline = (bars) => Plot.line(
  bars.flatMap(({ low, high, height }) => [[low, height], [high, height]]), { stroke: "var(--other)", strokeWidth: 1.5 });

// Bars between edges. Their areas are the shares of the inputs, on an axis that `place` stretches.
function bars(edges, counts, place) {
  const total = counts.reduce((sum, count) => sum + count, 0) || 1;
  return counts.map((count, index) => {
    const [low, high] = [edges[index], edges[index + 1]];
    return { low, high, height: count / total / (place(high) - place(low)) };
  });
}

function histogramFigure(sides, bins) {
  const kept = sides.filter((side) => side.histogram !== null);
  const drawable = kept.filter((side) => side.histogram.linear !== null);
  if (!drawable.length) {
    const inBins = kept.some((side) => side.histogram.counts.length);
    const why = inBins ? "All inputs lie in one bin." : "No input lies within the bins.";
    return figure("Inputs", element("p", {}, kept.length ? why : "No histogram was kept."));
  }
  const holder = element("div");
  const axis = choice("axis", ["linear", "log"], redraw);
  const heights = choice("heights", ["linear", "log"], redraw);
  const flow = drawable.flatMap(({ label, histogram }) => ["underflow", "overflow", "nan"]
    .filter((name) => histogram[name])
    .map((name) => `${label} ${name}: ${histogram[name].toLocaleString("en")}`.trim()));

  function redraw() {
    holder.replaceChildren(histogramPlot(drawable, bins, axis.value(), heights.value()));
  }
  redraw();
  const isSplit = drawable[0].histogram.linear.edges.includes(0) || drawable[0].histogram.linear.edges[0] > 0;
  const colours = `Grey is set to 0, colour is passed on.${isSplit ? "" : " The bin around 0 has both."}`;
  return figure("Inputs", element("p", {}, colours), labelled(drawable),
    axis.element, heights.element, holder, flow.length ? element("p", {}, `Not drawn: ${flow.join("; ")}.`) : null);
}

function histogramPlot(sides, bins, axis, heights) {
  const reach = d3.max(sides.flatMap(({ histogram }) => d3.extent(histogram.linear.edges).map(Math.abs)));
  const constant = reach / 1000;
  const place = axis === "log" ? d3.scaleSymlog().constant(constant).domain([-1, 1]).range([-1, 1]) : (value) => value;
  const drawn = sides.map(({ histogram }) => {
    if (axis === "linear") return bars(histogram.linear.edges, histogram.linear.counts, place);
    const edges = bins[histogram.bins].slice(histogram.first, histogram.first + histogram.counts.length + 1);
    return bars(edges, histogram.counts, place);
  }).map((each) => heights === "log" ? each.filter(({ height }) => height > 0) : each);
  const [low, high] = [d3.min(drawn.flat(), (bar) => bar.low), d3.max(drawn.flat(), (bar) => bar.high)];
  const floor = heights === "log" ? d3.min(drawn.flat(), ({ height }) => height) / 2 : 0;
  const top = d3.max(drawn.flat(), ({ height }) => height);
  const x = axis === "log"
    ? { type: "symlog", constant, ticks: powers(constant, drawn.flat()), tickFormat: String }
    : { ticks: 6 };
  const label = sides.map((side) => `${side.label} histogram of the inputs from ${d3.format(".2~g")(side.histogram.linear.edges[0])} to ${d3.format(".2~g")(side.histogram.linear.edges.at(-1))}`.trim()).join("; ");
  return plot(label, {
    x: { label: "input", ...x },
    y: { type: heights, domain: [floor, top], label: "density", ticks: 4, tickFormat: heights === "log" ? "~e" : undefined, clamp: true },
    marks: [
      Plot.rectY(drawn[0], {
        x1: "low", x2: "high", y1: floor, y2: "height", inset: 0,
        fill: ({ high }) => high <= 0 ? "var(--zeroed)" : "var(--passed)",
      }),
      drawn.length > 1 ? outline(drawn[1]) : null,
      low < 0 && high > 0 ? Plot.ruleX([0], { stroke: "currentColor", strokeOpacity: 0.6 }) : null,
    ],
  });
}

// 0 and the powers of ten on both sides of it that are drawn; every second one if they are many.
function powers(constant, drawn) {
  const [low, high] = [d3.min(drawn, (bar) => bar.low), d3.max(drawn, (bar) => bar.high)];
  const last = Math.floor(Math.log10(Math.max(-low, high)));
  const first = Math.ceil(Math.log10(constant));
  const exponents = d3.range(last, first - 1, last - first > 3 ? -2 : -1);
  const sizes = exponents.map((exponent) => Number(`1e${exponent}`));
  return [...sizes.map((size) => -size).filter((size) => size >= low), 0, ...sizes.filter((size) => size <= high)].sort(d3.ascending);
}

let choices = 0;

// One of several, as radio buttons.
function choice(title, values, changed) {
  const name = `choice-${choices++}`;
  const box = element("fieldset", { class: "choice", "aria-label": title }, element("span", {}, `${title}:`));
  for (const value of values) {
    const button = element("input", { type: "radio", name, value });
    button.checked = value === values[0];
    button.addEventListener("change", changed);
    box.append(element("label", {}, button, ` ${value}`));
  }
  return { element: box, value: () => box.querySelector("input:checked").value };
}

function frequencyFigure(sides, widths) {
  const nans = sides.some((side) => side.histogram?.nan) ? " A NaN is not 0." : "";
  const never = d3.min(widths, ({ frequency }) => frequency.edges[0]) - 0.75;
  const drawn = widths.map(({ frequency }) => frequency.counts.map((count, index) => (
    { low: frequency.edges[index], high: frequency.edges[index + 1], height: count })));
  const silent = widths.map(({ frequency }) => ({ low: never, high: never + 0.25, height: frequency.never }));
  const ticks = [never + 0.125, ...d3.range(Math.ceil(never + 0.5), 1)];
  const most = d3.max([...drawn, ...silent.map((each) => [each])].flat(), ({ height }) => height);
  const label = widths.map(({ units, frequency }) => `${plural(units, "unit")}, of which ${frequency.never} never fired`).join("; ");
  return figure("How often units fire", element("p", {}, `Units by the share of their outputs that are not 0.${nans}`),
    labelled(sides),
    plot(label, {
      x: { ticks, tickFormat: (tick) => tick < never + 0.2 ? "never" : tick > -3 ? percent(10 ** tick).replace(".0", "") : `1e${tick}`, label: null },
      y: { label: "units", ticks: d3.ticks(0, most, 4).filter(Number.isInteger), grid: true, tickFormat: "d" },
      marks: [
        Plot.rectY(drawn[0], { x1: "low", x2: "high", y: "height", fill: "var(--passed)", inset: 0.5 }),
        Plot.rectY([silent[0]], { x1: "low", x2: "high", y: "height", fill: widths.length > 1 ? "var(--passed)" : "var(--dead)" }),
        ...(widths.length > 1 ? [outline(drawn[1]), outline([silent[1]])] : []),
        Plot.ruleY([0]),
      ],
    }));
}

function stripFigure(label, width) {
  const { zeros, in_cell: inCell, units, dead } = width;
  // Four times as wide as high, in whole eights, so that people can count.
  const columns = 8 * Math.ceil(Math.sqrt(4 * zeros.length) / 8);
  const silent = new Map(dead.map((unit, index) => [unit, width.silent_for[index]]));
  const cells = zeros.map((zero, index) => ({
    x: index % columns, y: Math.floor(index / columns), share: zero / 1000,
    text: (inCell > 1 ? `units ${index * inCell} to ${Math.min((index + 1) * inCell, units) - 1}` : `unit ${index}`)
      + `\n${zero === 1000 ? "all" : percent(zero / 1000)} zero`
      + (silent.has(index) && inCell === 1 ? `\nsilent for ${plural(silent.get(index), "call")}` : ""),
  }));
  const rows = Math.ceil(zeros.length / columns);
  const marked = width.marked.map((index) => cells[index]);
  const listed = element("details", { class: "all-units" }, element("summary", {}, "All units as a list"));
  listed.addEventListener("toggle", () => {
    if (listed.childElementCount > 1) return;
    const lines = cells.map(({ text }) => element("li", {}, text.replaceAll("\n", ", ")));
    listed.append(element("ul", { class: "units-list", tabindex: "0" }, ...lines));
  });
  const order = inCell > 1 ? `Each cell is the mean of ${inCell} units.` : "Each cell is a unit, in order.";
  return figure(`Units by share of zeros${label && `, ${label}`}`,
    element("p", {}, `${order} × marks ${plural(dead.length + width.dead_left_out, "unit")} dead now.`),
    plot(`${plural(units, "unit")}, ${dead.length + width.dead_left_out} dead now, ${width.always_on} always on`, {
      height: 24 + Math.min(260, rows * 426 / columns), marginTop: 12, marginBottom: 12, marginLeft: 34, marginRight: 0,
      x: { axis: null, domain: [0, columns] },
      y: { domain: [rows, 0], ticks: d3.range(0, rows, Math.ceil(rows / 4)), tickFormat: (row) => String(row * columns * inCell), label: null, tickSize: 0 },
      color: { type: "linear", scheme: "cividis", domain: [0, 1], legend: true, label: "share of zeros", tickFormat: "%", ticks: 3, width: 200 },
      marks: [
        Plot.rect(cells, { x1: "x", x2: (cell) => cell.x + 1, y1: "y", y2: (cell) => cell.y + 1, fill: "share", inset: 0.25, title: "text", tip: true }),
        Plot.text(marked, { x: (cell) => cell.x + 0.5, y: (cell) => cell.y + 0.5, text: () => "×", fill: "black", stroke: "white", strokeWidth: 2, fontSize: 12 }),
      ],
    }), listed);
}

function unitHistogramFigure(label, width) {
  const { edges, top, levels } = width.histograms;
  const bytes = Uint8Array.from(atob(levels), (letter) => letter.charCodeAt(0));
  const columns = edges.length - 1;
  const rows = bytes.length / columns;
  return figure(`Inputs of each unit${label && `, ${label}`}`, element("p", {}, "A line of colours for each unit."),
    plot(`histograms of ${plural(width.units, "unit")}`, {
      height: 260, marginLeft: 40,
      x: { label: "input", domain: [edges[0], edges[columns]], ticks: 6 },
      y: { label: "unit", domain: [rows, 0], ticks: 5, tickFormat: (row) => String(row * width.in_cell) },
      color: { type: "linear", scheme: "cividis", domain: [0, top], legend: true, label: "share of its inputs", tickFormat: ".0%", ticks: 3, width: 200 },
      marks: [
        Plot.raster(bytes, {
          width: columns, height: rows, x1: edges[0], x2: edges[columns], y1: 0, y2: rows,
          fill: (level) => level / 255 * top, imageRendering: "pixelated",
        }),
        Plot.ruleX([0], { stroke: "white", strokeDasharray: "2,3" }),
      ],
    }));
}

const shareOf = (share) => share === null ? "unknown" : percent(share);

function historyFigure(label, history) {
  const epochs = history.epochs.map((epoch, index) => ({
    epoch, zero: history.zero_fraction[index],
    dead: history.dead[index] === null ? null : history.dead[index] / history.units[index],
    nan: history.nan_fraction[index],
    died: history.deaths[index], revived: history.revivals[index],
  }));
  const [first, last] = [epochs[0], epochs.at(-1)];
  const hasNaNs = epochs.some((each) => each.nan);
  return figure(`By epoch${label && `, ${label}`}`,
    element("p", {}, `Solid: share of zeros. Dashed: share of dead units. ▼: units died. △: units were revived.${hasNaNs ? " Dotted: share of NaN inputs." : ""}`),
    plot([first, last].map((each) => `epoch ${each.epoch}: ${shareOf(each.zero)} zero, ${shareOf(each.dead)} of the units dead`).join("; "), {
      x: { label: "epoch", ticks: first === last ? [first.epoch] : d3.ticks(first.epoch, last.epoch, 6).filter(Number.isInteger), tickFormat: "d" },
      y: { domain: [0, 1.12], ticks: [0, 0.25, 0.5, 0.75, 1], tickFormat: "%", label: null, grid: true },
      marks: [
        Plot.lineY(epochs, { x: "epoch", y: "zero", stroke: "var(--passed)", marker: "dot" }),
        Plot.lineY(epochs, { x: "epoch", y: "dead", stroke: "var(--dead)", strokeDasharray: "5,3", marker: "dot" }),
        hasNaNs ? Plot.lineY(epochs, { x: "epoch", y: "nan", stroke: "currentColor", strokeDasharray: "1,3", strokeWidth: 2 }) : null,
        Plot.text(epochs.filter((each) => each.died), { x: "epoch", y: 1.1, text: () => "▼", fill: "var(--dead)", title: (each) => `${plural(each.died, "unit")} died` }),
        Plot.text(epochs.filter((each) => each.revived), { x: "epoch", y: 1.04, text: () => "△", fill: "var(--revived)", title: (each) => `${plural(each.revived, "unit")} revived` }),
      ],
    }));
}

function groupsFigure(label, groups) {
  return figure(`By group${label && `, ${label}`}`,
    plot(groups.map((group) => `${group.name}: ${percent(group.zero_fraction)} zero`).join("; "), {
      height: 70 + 22 * groups.length, marginLeft: 110,
      x: { label: "share of zeros", domain: [0, 1], tickFormat: "%", ticks: 5 },
      y: { label: null, domain: groups.map((group) => group.name), tickFormat: (name) => name.length > 16 ? `${name.slice(0, 15)}…` : name },
      marks: [
        Plot.barX(groups, { y: "name", x: "zero_fraction", fill: "var(--zeroed)" }),
        Plot.text(groups, { y: "name", x: "zero_fraction", text: (group) => percent(group.zero_fraction), textAnchor: "end", dx: -4, fill: "black" }),
      ],
    }));
}
