// The units of a call site.
"use strict";

function frequencyFigure(sides, widths, of) {
  const isZero = widths[0].adjective === "zero";
  const nans = isZero && sides.some((side) => side.histogram?.nan) ? " A NaN is not 0." : "";
  const never = d3.min(widths, ({ frequency }) => frequency.edges[0]) - 0.75;
  const drawn = widths.map(({ frequency }) => frequency.counts.map((count, index) => (
    { low: frequency.edges[index], high: frequency.edges[index + 1], height: count })));
  const silent = widths.map(({ frequency }) => ({ low: never, high: never + 0.25, height: frequency.never }));
  const ticks = [never + 0.125, ...d3.range(Math.ceil(never + 0.5), 1)];
  const most = d3.max([...drawn, ...silent.map((each) => [each])].flat(), ({ height }) => height);
  const label = widths.map(({ units, frequency }) => `${plural(units, "unit")}, of which ${frequency.never} never fired`).join("; ");
  return figure(`How often units fire${of && `, ${of}`}`, element("p", {}, `Units by the share of their ${isZero ? "outputs that are not 0" : "inputs that are not inactive"}.${nans}`),
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
  const { zeros, in_cell: inCell, units, dead, noun, adjective } = width;
  // Four times as wide as high, in whole eights, so that people can count.
  const columns = 8 * Math.ceil(Math.sqrt(4 * zeros.length) / 8);
  const silent = new Map(dead.map((unit, index) => [unit, width.silent_for[index]]));
  const cells = zeros.map((zero, index) => ({
    x: index % columns, y: Math.floor(index / columns), share: zero / 1000,
    text: (inCell > 1 ? `units ${index * inCell} to ${Math.min((index + 1) * inCell, units) - 1}` : `unit ${index}`)
      + `\n${zero === 1000 ? "all" : percent(zero / 1000)} ${adjective}`
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
  return figure(`Units by share of ${noun}${label && `, ${label}`}`,
    element("p", {}, `${order} × marks ${plural(dead.length + width.dead_left_out, "unit")} dead now.`),
    plot(`${plural(units, "unit")}, ${dead.length + width.dead_left_out} dead now, ${width.always_on} always on`, {
      height: 24 + Math.min(260, rows * 426 / columns), marginTop: 12, marginBottom: 12, marginLeft: 34, marginRight: 0,
      x: { axis: null, domain: [0, columns] },
      y: { domain: [rows, 0], ticks: d3.range(0, rows, Math.ceil(rows / 4)), tickFormat: (row) => String(row * columns * inCell), label: null, tickSize: 0 },
      color: { type: "linear", scheme: "cividis", domain: [0, 1], legend: true, label: `share of ${noun}`, tickFormat: "%", ticks: 3, width: 200 },
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
        edges[0] < 0 && edges[columns] > 0 ? Plot.ruleX([0], { stroke: "white", strokeDasharray: "2,3" }) : null,
      ],
    }));
}
