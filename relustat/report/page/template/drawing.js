// What all charts share. Each chart is a <figure>, made of plain numbers.
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

// Which of two reports is drawn how.
function labelled(sides) {
  const [first, second] = sides.map(({ label }) => element("bdi", {}, label));
  if (second) return element("p", {}, "filled: ", first, "; line: ", second);
  return sides[0].label ? element("p", {}, "of ", first) : null;
}

const outline = (bars) => Plot.line(
  bars.flatMap(({ low, high, height }) => [[low, height], [high, height]]), { stroke: "var(--other)", strokeWidth: 1.5 });

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
