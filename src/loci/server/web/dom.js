// Elements and words. Whatever is shown comes in as text: there is no way from a string to markup here.

const SVG = "http://www.w3.org/2000/svg";
const DRAWN = new Set(["svg", "g", "rect", "path", "circle", "line", "text", "title", "polyline"]);

// An element with attributes and children. Functions are listeners, strings are text, what is null or false is left out.
export function h(tag, attributes, ...children) {
  return filled(document.createElement(tag), attributes, children);
}

export function s(tag, attributes, ...children) {
  if (!DRAWN.has(tag) && tag !== "a") throw new Error(`${tag} is not drawn here`);
  return filled(document.createElementNS(SVG, tag), attributes, children);
}

function filled(element, attributes, children) {
  for (const [name, value] of Object.entries(attributes ?? {})) {
    if (value === null || value === undefined || value === false) continue;
    if (typeof value === "function") element.addEventListener(name, value);
    else if (name === "href" && !/^(#|\/web\/)/.test(value)) throw new Error("a link leads nowhere but into this page");
    else if (name === "value") element.value = value;
    else if (name === "style") Object.assign(element.style, value);
    else element.setAttribute(name, value === true ? "" : value);
  }
  put(element, children);
  return element;
}

export function put(element, children) {
  for (const child of [children].flat(Infinity)) {
    if (child === null || child === undefined || child === false) continue;
    element.append(child instanceof Node ? child : document.createTextNode(String(child)));
  }
  return element;
}

export function fill(element, ...children) {
  element.replaceChildren();
  return put(element, children);
}

// -- words ------------------------------------------------------------------------------------------------------------

const NUMBER = new Intl.NumberFormat();
const DATE = new Intl.DateTimeFormat(undefined, { dateStyle: "medium", timeZone: "UTC" });
const MOMENT = new Intl.DateTimeFormat(undefined, { dateStyle: "medium", timeStyle: "short" });

export const number = (value) => NUMBER.format(value);
export const day = (iso) => DATE.format(new Date(`${iso.slice(0, 10)}T00:00:00Z`));

export function bytes(value) {
  const units = ["B", "kB", "MB", "GB", "TB"];
  const power = Math.min(value ? Math.floor(Math.log(value) / Math.log(1000)) : 0, units.length - 1);
  return `${(value / 1000 ** power).toFixed(power && value / 1000 ** power < 100 ? 1 : 0)} ${units[power]}`;
}

export function when(iso, none = "no date") {
  return iso ? h("time", { datetime: iso, title: iso }, MOMENT.format(new Date(iso))) : none;
}

export const several = (count, one, more = `${one}s`) => `${number(count)} ${count === 1 ? one : more}`;
export const at = (id) => `#/memory/${encodeURIComponent(id)}`;

// The words of a message, as spans count them (`Message.words`).
export function words(message) {
  return message.caption ? `${message.text} [shares a photo: ${message.caption}]`.trimStart() : message.text;
}

// -- pieces -----------------------------------------------------------------------------------------------------------

export function chip(text, kind = "") {
  return h("span", { class: `chip ${kind}` }, text);
}

export function facts(pairs) {
  const shown = pairs.filter(([, value]) => value !== null && value !== undefined && value !== "");
  return h("dl", { class: "facts" }, shown.map(([name, value]) => h("div", {}, h("dt", {}, name), h("dd", {}, value))));
}

export function heading(title, line) {
  return h("header", { class: "heading" }, h("h1", { tabindex: "-1" }, title), line && h("p", {}, line));
}

// Words with what is typed at a command line between backticks.
export function prose(text) {
  return text.split("`").map((piece, place) => (place % 2 ? h("code", {}, piece) : piece));
}

export function notice(text, kind = "") {
  return h("p", { class: `notice ${kind}`, role: kind === "bad" ? "alert" : null }, prose(text));
}

export function wrong(error) {
  const title = error.status === 403 ? "Not for this key. " : error.status === 501 ? "" : "That did not work. ";
  return notice(title + error.message, error.status === 403 || error.status === 501 ? "" : "bad");
}

// A part of a view that fills itself, and that says so itself where it cannot.
export function panel(title, signal, load, more = {}) {
  const body = h("div", { class: "body", "aria-busy": "true" }, h("p", { class: "muted" }, "…"));
  const made = h("section", { class: `panel ${more.class ?? ""}`, "aria-label": title }, h("h2", {}, title), more.line && h("p", { class: "muted" }, more.line), body);
  load().then((children) => fill(body, children), (error) => signal.aborted || fill(body, wrong(error))).finally(() => body.removeAttribute("aria-busy"));
  return made;
}

export function table(caption, columns, rows, none = "Nothing.") {
  if (!rows.length) return h("p", { class: "muted" }, prose(none));
  const used = columns.map((name, place) => [name, place]).filter(([, place]) => rows.some((row) => row[place] !== ""));
  const head = h("tr", {}, used.map(([name]) => h("th", { scope: "col" }, name)));
  const body = rows.map((row) => h("tr", {}, used.map(([name, place]) => cell(name, row[place]))));
  return h("div", { class: "scroll", tabindex: "0", role: "region", "aria-label": `${caption}, as a table` }, h("table", {}, h("caption", { class: "unseen" }, caption), h("thead", {}, head), h("tbody", {}, body)));
}

// A column is never narrower than its words, but for those that no column has room for: hashes, addresses.
function cell(name, child) {
  const made = h("td", { "data-of": name }, child);
  if (/\S{25}/.test(made.textContent)) made.classList.add("long");
  return made;
}

export function tell(text) {
  document.getElementById("told").textContent = text;
}

export function option(value, text, chosen) {
  return h("option", { value, selected: value === chosen }, text);
}

export function later(milliseconds, work) {
  let timer = 0;
  return (...given) => {
    clearTimeout(timer);
    timer = setTimeout(() => work(...given), milliseconds);
  };
}
