// What is remembered: how much, of what kind, in which state, from where, when, and what is asked for most.

import { bars, calendar, parts } from "../charts.js";
import { at, chip, fill, h, heading, number, panel, several, wrong } from "../dom.js";

const STATES = [["activated", "in use", 1], ["generated", "at rest", 2], ["merged", "merged", 3], ["frozen", "frozen", 4], ["archived", "archived", 5], ["expired", "expired", 6]];
const TRUSTS = [["trusted", "trusted", 1], ["reported", "reported", 4], ["untrusted", "untrusted", 7]];

export async function overview(room, { cube, open, signal }) {
  const top = h("div", { class: "sums" });
  fill(room, heading("Overview", `What cube ${cube} holds at present.`), top);
  let counts;
  try {
    counts = await open("count", { archived: true });
  } catch (error) {
    if (!signal.aborted) fill(top, wrong(error));
    return;
  }
  const users = Object.keys(counts.users).filter(Boolean).length, spoken = Object.keys(counts.days).length;
  fill(top, sum(counts.total, counts.total === 1 ? "memory" : "memories", "#/timeline"), sum(users, users === 1 ? "user" : "users"), sum(spoken, spoken === 1 ? "day spoken" : "days spoken"));
  const told = h("p", { class: "muted small" }, counted(counts));
  top.after(told);
  extra(top, told, counts, open, signal);
  if (!counts.total) {
    room.append(h("section", { class: "panel" }, h("h2", {}, "Nothing is remembered yet"), h("p", {}, "Words come in by `loci add`, by `loci import`, or by any program that has a key.")));
    return;
  }
  const known = Object.keys(counts.days).map((day) => day.slice(0, 4));
  room.append(
    h("div", { class: "grid" },
      section("By kind", bars(counts.types, { link: (name) => `#/timeline?type=${encodeURIComponent(name)}` })),
      section("By state", parts(counts.states, STATES), h("h3", {}, "By trust"), parts(counts.trusts, TRUSTS)),
      section("By source", bars(counts.channels, { most: 6 }), named(counts.origins) && [h("h3", {}, "Pages, tools and files"), bars(named(counts.origins), { most: 5 })]),
      section("By user", bars(counts.users, { link: (name) => name && `#/timeline?user=${encodeURIComponent(name)}`, none: "nobody's in particular" }))),
    days(counts.days, [...new Set(known)].sort()),
    panel("Heat", signal, () => hottest(counts.heat, open), { line: "What answers rest on of late. Each counts half as much a week later." }),
  );
}

function sum(count, name, href) {
  const inside = [h("b", {}, number(count)), h("span", {}, name)];
  return href ? h("a", { class: "sum", href }, inside) : h("div", { class: "sum" }, inside);
}

// What only some may see is added where it may be seen.
async function extra(top, told, counts, open, signal) {
  const [waiting, stats] = await Promise.allSettled([open("review"), open("stats")]);
  if (signal.aborted) return;
  if (stats.status === "fulfilled") fill(told, counted(counts, stats.value.memories));
  if (stats.status === "fulfilled") top.append(sum(stats.value.versions, "versions", "#/storage"));
  if (waiting.status === "fulfilled" && waiting.value.items.length) {
    const made = sum(waiting.value.items.length, "to review", "#/review");
    made.classList.add("warn");
    top.append(made);
  }
}

// What the number of memories counts, and why other views have others.
function counted({ total, states }, kept = total) {
  const archived = states.archived ?? 0, over = kept - total;
  return ["What holds at present is counted", archived > 0 && `, ${number(archived)} archived among it, which search leaves out`, ".", over > 0 && ` Storage counts ${number(over)} more, which no longer hold or wait in review.`];
}

function section(title, ...children) {
  return h("section", { class: "panel", "aria-label": title }, h("h2", {}, title), children);
}

const named = (counts) => {
  const found = Object.entries(counts).filter(([name]) => name);
  return found.length ? Object.fromEntries(found) : null;
};

function days(counts, years) {
  if (!years.length) return section("By time", h("p", { class: "muted" }, "None of them says when."));
  const drawn = h("div");
  const buttons = years.map((year) => h("button", { type: "button", class: "plain", click: () => show(year) }, year));
  function show(year) {
    buttons.forEach((button) => button.setAttribute("aria-pressed", String(button.textContent === year)));
    fill(drawn, calendar(counts, year));
  }
  const past = years.filter((year) => year <= new Date().toISOString().slice(0, 4));
  show((past.length ? past : years).reduce((best, year) => (inYear(counts, year) >= inYear(counts, best) ? year : best)));
  return section("By time", h("div", { class: "pick", role: "group", "aria-label": "Year" }, buttons), drawn, h("p", { class: "muted small" }, "A square is a day; darker, more was said. ", h("a", { href: "#/timeline" }, "The timeline"), " shows what was known on any of them."));
}

const inYear = (counts, year) => Object.entries(counts).reduce((sum, [day, count]) => sum + (day.startsWith(year) ? count : 0), 0);

async function hottest(heat, open) {
  const warmest = Object.entries(heat).sort((a, b) => b[1] - a[1]).slice(0, 8);
  if (!warmest.length) return [h("p", { class: "muted" }, "No answer has cited any of it yet.")];
  const found = await Promise.all(warmest.map(([id]) => open("get", { id })));
  const top = warmest[0][1];
  return [h("ol", { class: "heat" }, found.map((memory, place) => h("li", {}, h("a", { href: at(memory.id) },
    h("span", { class: "glow", title: `heat ${warmest[place][1].toFixed(2)}` }, h("span", { class: "fill", style: { width: `${(warmest[place][1] / top) * 100}%` } })),
    h("span", { class: "said" }, memory.text), h("span", { class: "by" }, `cited ${several(memory.cited, "time")}`, chip(memory.type))))))];
}
