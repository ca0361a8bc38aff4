// What is shown of a call site when it is opened.
"use strict";

const [BINS, WORDS] = ["bins", "words-of-columns"].map((id) => JSON.parse(document.getElementById(id).textContent));

function layerView({ name, sides, changes }) {
  const charts = element("div", { class: "charts" });
  const paired = sides.length > 1 && sides.every((side) => side.widths.length === 1)
    && sides[0].widths[0].units === sides[1].widths[0].units;
  charts.append(histogramFigure(sides, BINS));
  if (paired) charts.append(frequencyFigure(sides, sides.map((side) => side.widths[0]), ""));
  for (const side of sides) {
    for (const width of side.widths) {
      const ofWidth = side.widths.length > 1 ? plural(width.units, "unit") : "";
      const label = [side.label, ofWidth].filter(Boolean).join(", ");
      if (!paired) charts.append(frequencyFigure([side], [width], ofWidth));
      charts.append(stripFigure(label, width), deadFigure(label, width));
      if (width.histograms !== null) charts.append(unitHistogramFigure(label, width));
    }
    if (side.history !== null) charts.append(historyFigure(side.label, side));
    if (side.groups.length) charts.append(groupsFigure(side.label, side));
  }
  for (const change of changes) charts.append(changeFigure(change));
  return element("section", { "aria-label": `details of ${name}` }, ...sides.flatMap(sideFacts), charts);
}

function sideFacts(side) {
  const facts = element("dl", { class: "facts" });
  for (const [name, text] of Object.entries(side.facts)) {
    const title = name.replaceAll("_", " ");
    facts.append(element("div", { title: WORDS[name] }, element("dt", {}, title), element("dd", {}, element("bdi", {}, text))));
  }
  return [
    side.label ? element("h3", { class: "side-title" }, element("bdi", {}, side.label)) : null,
    ...side.warnings.map((text) => element("p", { class: "warning" }, `! ${text}`)),
    facts,
    side.units ? element("p", {}, `units: ${side.units}`) : null,
  ].filter(Boolean);
}

function deadFigure(label, width) {
  const byEpoch = width.silent_since !== null;
  const title = `Dead now${label && `, ${label}`}`;
  if (!width.dead.length) return figure(title, element("p", {}, `None of ${plural(width.units, "unit")}.`));
  const heads = ["unit", "silent for", ...(byEpoch ? ["dead since epoch"] : [])];
  const body = element("tbody");
  width.dead.forEach((unit, index) => {
    const silent = width.silent_for[index];
    const since = silent >= width.calls && width.parts === 1 ? `all ${plural(silent, "call")}` : plural(silent, "call");
    body.append(element("tr", {}, element("th", { scope: "row" }, String(unit)), element("td", {}, since),
      ...(byEpoch ? [element("td", {}, width.silent_since[index])] : [])));
  });
  const table = element("table", {},
    element("thead", {}, element("tr", {}, ...heads.map((head) => element("th", { scope: "col" }, head)))), body);
  const left = width.dead_left_out;
  const of = plural(width.calls, "call") + (width.parts > 1 ? ` in ${width.parts} parts` : "");
  return figure(title,
    element("p", {}, `${plural(width.dead.length + left, "unit")} of ${width.units.toLocaleString("en")}. There were ${of}.`),
    element("div", { class: "units-list", tabindex: "0", role: "region", "aria-label": title }, table),
    left ? element("p", {}, `${left.toLocaleString("en")} more are not listed.`) : null);
}

function changeFigure({ what, of, units, left_out: left }) {
  const listed = units.length ? units.join(", ") + (left ? `, and ${left.toLocaleString("en")} more` : "") : "none";
  return figure(`Units that ${what === "died" ? "died" : "were revived"}, of ${of.toLocaleString("en")}`,
    element("p", { class: "changed" }, listed));
}
