// The histogram of the inputs of a call site.
"use strict";

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
  return figure("Inputs", element("p", {}, coloursOf(drawable[0])), labelled(drawable),
    axis.element, heights.element, holder, flow.length ? element("p", {}, `Not drawn: ${flow.join("; ")}.`) : null);
}

function coloursOf({ knee, adjective, histogram: { linear: { edges } } }) {
  if (knee === null) return "";
  const isMixed = edges.some((edge, index) => edge < knee && edges[index + 1] > knee);
  const grey = adjective === "zero" ? "Grey is set to 0, colour is passed on." : "Grey is inactive.";
  return `${grey}${isMixed ? ` The bin around ${knee} has both.` : ""}`;
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
        fill: ({ high }) => sides[0].knee !== null && high <= sides[0].knee ? "var(--zeroed)" : "var(--passed)",
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
