// A call site by epoch and by group.
"use strict";

const shareOf = (share) => share === null ? "unknown" : percent(share);

function historyFigure(label, { history, noun, adjective }) {
  const epochs = history.epochs.map((epoch, index) => ({
    epoch, zero: history.inactive_fraction[index],
    dead: history.dead[index] === null ? null : history.dead[index] / history.units[index],
    nan: history.nan_fraction[index],
    died: history.deaths[index], revived: history.revivals[index],
  }));
  const [first, last] = [epochs[0], epochs.at(-1)];
  const hasNaNs = epochs.some((each) => each.nan);
  return figure(`By epoch${label && `, ${label}`}`,
    element("p", {}, `Solid: share of ${noun}. Dashed: share of dead units. ▼: units died. △: units were revived.${hasNaNs ? " Dotted: share of NaN inputs." : ""}`),
    plot([first, last].map((each) => `epoch ${each.epoch}: ${shareOf(each.zero)} ${adjective}, ${shareOf(each.dead)} of the units dead`).join("; "), {
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

function groupsFigure(label, { groups, noun, adjective }) {
  return figure(`By group${label && `, ${label}`}`,
    plot(groups.map((group) => `${group.name}: ${percent(group.inactive)} ${adjective}`).join("; "), {
      height: 70 + 22 * groups.length, marginLeft: 110,
      x: { label: `share of ${noun}`, domain: [0, 1], tickFormat: "%", ticks: 5 },
      y: { label: null, domain: groups.map((group) => group.name), tickFormat: (name) => name.length > 16 ? `${name.slice(0, 15)}…` : name },
      marks: [
        Plot.barX(groups, { y: "name", x: "inactive", fill: "var(--zeroed)" }),
        Plot.text(groups, { y: "name", x: "inactive", text: (group) => percent(group.inactive), textAnchor: "end", dx: -4, fill: "black" }),
      ],
    }));
}
