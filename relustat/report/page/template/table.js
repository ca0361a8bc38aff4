// Sorts and filters the call sites, and opens them.
"use strict";

const table = document.querySelector("table.sites");
const layers = new Map([...document.querySelectorAll("script.layer")].map((script) => [script.dataset.name, script]));
const openers = new Map();

function makeOpener(holder, place) {
  const name = place.querySelector(".name");
  const opener = element("button", { type: "button", class: "opener", "aria-expanded": "false" });
  name.replaceWith(opener);
  opener.append(name);
  let view = null;
  opener.addEventListener("click", () => {
    const opened = opener.getAttribute("aria-expanded") !== "true";
    opener.setAttribute("aria-expanded", String(opened));
    if (opened && view === null) {
      view = detail(holder, JSON.parse(layers.get(holder.dataset.name).textContent));
    } else {
      view.hidden = !opened;
    }
    if (opened) remember(holder.dataset.name);
  });
  openers.set(holder.dataset.name, opener);
}

// A page within another page has no address of its own.
function remember(name) {
  if (location.protocol !== "about:") history.replaceState(null, "", `#${encodeURIComponent(name)}`);
}

function detail(holder, layer) {
  if (holder.tagName !== "TBODY") {
    const view = holder.appendChild(element("div"));
    view.append(layerView(layer));
    return view;
  }
  const cell = element("td", { class: "detail", colspan: table.tHead.rows[0].cells.length });
  holder.append(element("tr", {}, cell));
  cell.append(layerView(layer));
  return cell.parentElement;
}

function open(name) {
  const opener = openers.get(name);
  const holder = opener.closest("tbody, li");
  if (holder.hidden) resetFilters();
  if (opener.getAttribute("aria-expanded") !== "true") opener.click();
  holder.scrollIntoView({ block: "start" });
  opener.focus({ preventScroll: true });
}

function valueOf(body, column) {
  return body.rows[0].cells[column].dataset.value;
}

function makeSortable(head, column) {
  const button = element("button", { type: "button" }, ...head.childNodes);
  head.replaceChildren(button);
  button.addEventListener("click", () => {
    const bodies = [...table.tBodies];
    const isNumber = bodies[0].rows[0].cells[column].classList.contains("number");
    // Numbers begin with the largest, which people look for; call sites with the first that ran.
    const before = head.getAttribute("aria-sort");
    const descending = before === null ? isNumber && column > 0 : before === "ascending";
    for (const other of table.tHead.rows[0].cells) other.removeAttribute("aria-sort");
    head.setAttribute("aria-sort", descending ? "descending" : "ascending");
    const compare = isNumber ? (a, b) => a - b : (a, b) => a.localeCompare(b, "en", { numeric: true });
    bodies.sort((one, two) => {
      const [a, b] = [valueOf(one, column), valueOf(two, column)];
      // What is not known comes last, whichever way.
      if (isNumber && (a === "" || b === "")) return (a === "") - (b === "");
      return descending ? compare(b, a) : compare(a, b);
    });
    table.append(...bodies);
  });
}

const byName = document.getElementById("filter-name");
const byKind = document.getElementById("filter-kind");

function filter() {
  const text = byName.value.trim().toLowerCase();
  const kind = byKind.value;
  let shown = 0;
  for (const body of table.tBodies) {
    const { name, kinds } = body.dataset;
    body.hidden = !name.toLowerCase().includes(text) || (kind !== "" && !kinds.split("|").includes(kind));
    shown += !body.hidden;
  }
  document.getElementById("shown").textContent = `${shown.toLocaleString("en")} of ${plural(table.tBodies.length, "call site")}`;
}

function resetFilters() {
  byName.value = byKind.value = "";
  filter();
}

if (table) {
  for (const body of table.tBodies) makeOpener(body, body.rows[0].cells[0]);
  for (const [column, head] of [...table.tHead.rows[0].cells].entries()) {
    if (!head.dataset.column.endsWith("histogram")) makeSortable(head, column);
  }
  for (const control of [byName, byKind]) control.addEventListener("input", filter);
  for (const hidden of document.querySelectorAll(".controls, .hint")) hidden.hidden = false;
  document.querySelector(".controls").addEventListener("submit", (event) => event.preventDefault());
  filter();
}
// On paper nothing can be opened.
addEventListener("beforeprint", () => {
  for (const closed of document.querySelectorAll("#warnings details")) closed.open = true;
});
for (const item of document.querySelectorAll(".in-one li")) makeOpener(item, item);
for (const link of document.querySelectorAll("a[data-open]")) {
  link.addEventListener("click", (event) => {
    event.preventDefault();
    open(link.dataset.open);
  });
}

function openLinked() {
  for (const name of openers.keys()) {
    if (location.hash === `#${encodeURIComponent(name)}`) open(name);
  }
}

addEventListener("hashchange", openLinked);
openLinked();
