// The frame: which view, which cube, the key, and the keyboard.

import { call, dropKey, hasKey, isReading, onKeyWanted } from "./api.js";
import { fill, h, option, s, tell, wrong } from "./dom.js";
import { overview } from "./views/overview.js";

const later = (name) => async (...given) => (await import(`./views/${name}.js`))[name](...given);
const VIEWS = [
  ["", "Overview", overview], ["search", "Search", later("search")], ["timeline", "Timeline", later("timeline")],
  ["review", "Review", later("review")], ["work", "Jobs and plan", later("work")], ["access", "Cubes and grants", later("access")],
  ["audit", "Audit", later("audit")], ["storage", "Storage", later("storage")],
];
const MEMORY = ["memory", "Memory", later("memory")];
const KEPT = "loci-cube";
const SCOPED = new Set(["count", "list", "search", "review", "activations", "adapters"]);
const main = document.getElementById("main");
const bar = document.getElementById("bar");
let running = new AbortController();
let cubes = [];
let cube = sessionStorage.getItem(KEPT);
let scopes = [], scope = null; // of a key that may look at no more than a part of the cube

// -- where we are ------------------------------------------------------------------------------------------------------

function place() {
  const [, path, query] = location.hash.match(/^#?\/?([^?]*)\??(.*)$/s);
  const [name, ...rest] = path.split("/");
  return { name, rest: rest.map(decodeURIComponent), query: new URLSearchParams(query) };
}

async function show() {
  const { name, rest, query } = place();
  const [, title, view] = [...VIEWS, MEMORY].find(([known]) => known === name) ?? VIEWS[0];
  running.abort();
  running = new AbortController();
  const { signal } = running;
  document.title = `${title} · Loci`;
  frame(name);
  main.setAttribute("aria-busy", "true");
  try {
    if (!cubes.length) cubes = (await call("cubes", {}, signal)).items;
    if (signal.aborted) return;
    if (!cubes.includes(cube)) cube = cubes.includes("main") ? "main" : cubes[0];
    frame(name);
    if (!cube) throw new Error("There is no cube that you have to do with. `loci add` makes one, and `loci grant` lets somebody at it.");
    const room = h("div", { class: `view ${name || "overview"}` });
    fill(main, room);
    const context = { cube, cubes, signal, query, open: (verb, fields) => asked(verb, fields, signal), vault: (verb, fields) => call(verb, fields, signal) };
    await view(room, context, ...rest);
    if (!signal.aborted && !room.contains(document.activeElement)) main.focus({ preventScroll: true });
    tell(title);
  } catch (error) {
    if (!signal.aborted) fill(main, h("div", { class: "view" }, h("h1", {}, title), wrong(error)));
  } finally {
    if (!signal.aborted) main.removeAttribute("aria-busy");
  }
}

// A verb of the cube. Who may look at a part of it alone names that part, as the grant does.
async function asked(verb, fields = {}, signal = undefined) {
  const named = Object.fromEntries(Object.entries(fields).filter(([, value]) => value !== null && value !== ""));
  try {
    return await call(`cubes/${encodeURIComponent(cube)}/${verb}`, SCOPED.has(verb) ? { ...scope, ...named } : named, signal);
  } catch (error) {
    if (error.status !== 403 || !SCOPED.has(verb) || scope) throw error;
    scopes = (await call("grants", {}, signal)).items.filter(covers).map(({ user, agent, session }) => ({ user, agent, session })).filter(({ user, agent, session }) => user || agent || session);
    if (!scopes.length) throw error;
    [scope] = scopes;
    frame(place().name);
    return asked(verb, fields, signal);
  }
}

const covers = (grant) => grant.cube === "*" || grant.cube === cube || (grant.cube.endsWith(".*") && cube.startsWith(grant.cube.slice(0, -1)));
const scopeName = (one) => Object.entries(one).filter(([, value]) => value).map(([word, value]) => `${word} ${value}`).join(", ");

function frame(name) {
  const links = VIEWS.map(([key, title], place) => h("li", {}, h("a", { href: `#/${key}`, "aria-current": key === name ? "page" : null, title: `${title} (${place + 1})` }, title)));
  const nav = h("nav", { "aria-label": "Views", id: "nav" }, h("ul", {}, links));
  const menu = h("button", { type: "button", class: "menu", "aria-expanded": "false", "aria-controls": "nav", click: () => open(menu, nav) }, "Menu");
  const chosen = h("select", { "aria-label": "Cube", change: (event) => choose(event.target.value) }, cubes.map((one) => option(one, one, cube)));
  const part = scope && h("select", { "aria-label": "Part of the cube", change: (event) => { scope = scopes[Number(event.target.value)]; show(); } }, scopes.map((one, place) => option(String(place), scopeName(one), String(scopes.indexOf(scope)))));
  fill(bar, h("a", { class: "brand", href: "#/" }, mark(), "Loci", isReading && h("span", { class: "chip quiet", title: "It is served for reading only: nothing can be changed here." }, "read only")), h("label", { class: "cube" }, h("span", {}, "Cube"), chosen), part && h("label", { class: "cube" }, h("span", {}, "Of it"), part), menu, nav,
    h("div", { class: "foot" }, h("button", { type: "button", class: "plain", click: help }, "Keyboard"), hasKey() && h("button", { type: "button", class: "plain", click: forget }, "Forget the key")));
}

function mark() {
  return s("svg", { viewBox: "0 0 32 32", width: 26, height: 26, "aria-hidden": "true" }, s("path", { d: "M16 28s9-8.4 9-15a9 9 0 0 0-18 0c0 6.600 9 15 9 15z", class: "pin" }), s("circle", { cx: 16, cy: 13, r: 3.2, class: "dot" }));
}

function open(menu, nav) {
  const is = nav.classList.toggle("open");
  menu.setAttribute("aria-expanded", String(is));
  if (is) nav.querySelector("a").focus();
}

function choose(name) {
  cube = name;
  scopes = [];
  scope = null;
  sessionStorage.setItem(KEPT, name);
  if (place().name === "memory") location.hash = "#/";
  else show();
}

function forget() {
  dropKey();
  cubes = scopes = [];
  scope = null;
  location.hash = "#/";
  show();
}

// -- the key -----------------------------------------------------------------------------------------------------------

onKeyWanted((told) => new Promise((done) => {
  const field = h("input", { id: "key", type: "password", autocomplete: "off", spellcheck: "false", required: true, "aria-describedby": "key-told" });
  const dialog = h("dialog", { class: "ask", "aria-labelledby": "key-title", cancel: (event) => event.preventDefault() },
    h("form", { submit: (event) => { event.preventDefault(); dialog.remove(); done(field.value.trim()); } },
      h("h2", { id: "key-title" }, "Who are you?"),
      h("p", { id: "key-told", class: told ? "bad" : "muted", role: told ? "alert" : null }, told || "This vault is open to those with an API key. The key stays in this tab, until it is closed."),
      h("label", { for: "key" }, "API key"), field,
      h("button", { type: "submit", class: "main" }, "Open"),
      h("p", { class: "muted small" }, "Where the vault is, `loci key NAME` makes one, and `loci grant NAME reader --on CUBE` says what it may.")));
  document.body.append(dialog);
  dialog.showModal();
  field.focus();
}));

// -- the keyboard ------------------------------------------------------------------------------------------------------

const KEYS = [["/", "search"], ["1 … 8", "the views, in their order"], ["↑ ↓", "from one result or row to the next"], ["Enter", "opens it"], ["Home End", "the first, the last row of a list"], ["← →", "a day of the timeline; Page ↑ ↓ a month"], ["Esc", "closes, leaves a field, goes back from a memory"], ["?", "this"]];

function help() {
  const dialog = h("dialog", { class: "ask", "aria-labelledby": "help", close: () => dialog.remove() },
    h("h2", { id: "help" }, "Keyboard"), h("dl", { class: "keys" }, KEYS.map(([key, what]) => h("div", {}, h("dt", {}, h("kbd", {}, key)), h("dd", {}, what)))),
    h("button", { type: "button", class: "main", click: () => dialog.close() }, "Close"));
  document.body.append(dialog);
  dialog.showModal();
}

document.addEventListener("keydown", (event) => {
  if (event.ctrlKey || event.metaKey || event.altKey || document.querySelector("dialog[open]")) return;
  const isWriting = event.target.matches?.("input:not([type=range], [type=radio], [type=checkbox]), textarea, select");
  if (event.key === "Escape") return leave(isWriting, event.target);
  if (isWriting) return;
  if (event.key === "/") {
    event.preventDefault();
    const field = document.getElementById("question");
    if (field) field.focus();
    else location.hash = "#/search";
  } else if (event.key === "?") help();
  else if (/^[1-8]$/.test(event.key)) location.hash = `#/${VIEWS[Number(event.key) - 1][0]}`;
});

function leave(isWriting, target) {
  const nav = document.getElementById("nav");
  if (nav?.classList.contains("open")) {
    open(bar.querySelector(".menu"), nav);
    bar.querySelector(".menu").focus();
  } else if (isWriting) target.blur();
  else if (place().name === "memory") history.back();
}

document.querySelector(".skip").addEventListener("click", (event) => { event.preventDefault(); main.focus(); });
window.addEventListener("hashchange", show);
show();
