// What is drawn: bars, a histogram of days, a calendar, the shares of a hit, a memory among its links.

import { at, day, h, number, s, several } from "./dom.js";

const DAY = 86_400_000;
const FEWEST = 30; // days of an axis: a single one, drawn alone, is a block that says nothing
const OLDEST = "1900-01-01", AHEAD = 3653, APART = 7305; // what is dated before, ten years from now, or twenty from all others is on no axis
export const FAMILIES = [
  ["words", "Words", (name) => /^(words|covered)/.test(name)],
  ["meaning", "Meaning", (name) => name.startsWith("meaning")],
  ["claim", "Claims", (name) => name === "claim" || name.startsWith("hop")],
  ["people", "People", (name) => ["own", "speaker", "named"].includes(name)],
  ["time", "Time", (name) => ["time", "date"].includes(name)],
  ["context", "Context", () => true],
];

export const familyOf = (signal) => FAMILIES.find(([, , is]) => is(signal))[0];
export const dayNumber = (iso) => Math.floor(Date.parse(`${iso.slice(0, 10)}T00:00:00Z`) / DAY);
export const isoOf = (days) => new Date(days * DAY).toISOString().slice(0, 10);

// The days that an axis is made of, up to today at least, and what is dated too far from them: a date that no clock made (0001-01-01) leaves no room for others.
export function axis(days, today) {
  const dated = Object.entries(days).map(([iso, count]) => [dayNumber(iso), count]).filter(([place]) => Number.isFinite(place)).sort((one, other) => one[0] - other[0]);
  const likely = dated.filter(([place]) => place >= dayNumber(OLDEST) && place <= today + AHEAD);
  const all = likely.reduce((sum, [, count]) => sum + count, 0);
  let begin = 0, before = 0;
  likely.forEach(([place, count], which) => {
    before += count;
    const isFar = (likely[which + 1]?.[0] ?? today) - place > APART;
    if (isFar && (which === begin || before <= all / 50) && before <= all / 2) begin = which + 1; // one day alone, or hardly anything
  });
  const kept = likely.slice(begin);
  const first = Math.min(kept[0]?.[0] ?? today, today - FEWEST + 1), last = Math.max(kept.at(-1)?.[0] ?? today, today);
  return { first, last, off: dated.filter(([place]) => place < first || place > last) };
}

// Names with counts, the most first; each leads where `link` says.
export function bars(counts, { link = null, most = 8, none = "none" } = {}) {
  const entries = Object.entries(counts).sort((a, b) => b[1] - a[1]);
  const top = Math.max(...entries.map(([, count]) => count), 1);
  const shown = entries.slice(0, most).map(([name, count]) => {
    const label = name || none, size = label.length > 28 ? "long" : null;
    const inside = [h("span", { class: "name" }, label), h("span", { class: "track" }, h("span", { class: "fill", style: { width: `${Math.max((count / top) * 100, 0.5)}%` } })), h("span", { class: "count" }, number(count))];
    return h("li", {}, link?.(name) ? h("a", { href: link(name), class: size }, inside) : h("div", { class: size }, inside));
  });
  const rest = entries.length - shown.length;
  return [h("ul", { class: "bars" }, shown), rest > 0 && h("p", { class: "muted small" }, `and ${several(rest, "other")}`)];
}

// One line in parts.
export function parts(counts, kinds) {
  const total = Object.values(counts).reduce((sum, count) => sum + count, 0) || 1;
  const told = kinds.filter(([kind]) => counts[kind]);
  return h("div", { class: "parts" },
    h("div", { class: "line", "aria-hidden": "true" }, told.map(([kind, , tone]) => h("span", { class: `tone-${tone}`, style: { width: `${(counts[kind] / total) * 100}%` } }))),
    h("ul", {}, told.map(([kind, name, tone]) => h("li", {}, h("i", { class: `tone-${tone}`, "aria-hidden": "true" }), `${name} `, h("b", {}, number(counts[kind]))))));
}

// Counts by day, in as many columns as are told; what lies after `until` (a day) is pale.
export function histogram(days, first, last, { columns = 120, height = 96, until = null } = {}) {
  const step = Math.max(1, Math.ceil((last - first + 1) / columns));
  const found = new Array(Math.max(1, Math.ceil((last - first + 1) / step))).fill(0);
  for (const [iso, count] of Object.entries(days)) {
    const place = Math.floor((dayNumber(iso) - first) / step);
    if (place >= 0 && place < found.length) found[place] += count;
  }
  const top = Math.max(...found, 1);
  const width = (last - first + 1) / step;
  const marks = found.map((count, place) => count && s("rect", { x: place + 0.08, width: 0.84, y: height - Math.max((count / top) * (height - 6), 2), height: Math.max((count / top) * (height - 6), 2), class: until !== null && first + place * step > until ? "later" : "" }, s("title", {}, `${day(isoOf(first + place * step))}: ${several(count, "memory", "memories")}`)));
  const all = found.reduce((sum, count) => sum + count, 0);
  return s("svg", { class: "histogram", viewBox: `0 0 ${width} ${height}`, preserveAspectRatio: "none", role: "img", "aria-label": `When they were said: ${several(all, "memory", "memories")} from ${day(isoOf(first))} to ${day(isoOf(last))}, at most ${number(top)} in ${several(step, "day")}.` }, marks);
}

// Where the years begin, in per cent of the way from the first day to the last.
export function years(first, last) {
  const marks = [];
  for (let year = Number(isoOf(first).slice(0, 4)); year <= Number(isoOf(last).slice(0, 4)) + 1; year += 1) {
    const place = dayNumber(`${year}-01-01`);
    if (place >= first && place <= last) marks.push([String(year), (place - first) / Math.max(last - first, 1)]);
  }
  if (marks.length < 2) {
    for (const month of [4, 7, 10]) {
      for (const year of new Set([isoOf(first).slice(0, 4), isoOf(last).slice(0, 4)])) {
        const place = dayNumber(`${year}-${String(month).padStart(2, "0")}-01`);
        if (place >= first && place <= last) marks.push([new Date(place * DAY).toLocaleDateString(undefined, { month: "short", year: "numeric", timeZone: "UTC" }), (place - first) / Math.max(last - first, 1)]);
      }
    }
  }
  marks.sort((one, other) => one[1] - other[1]);
  const every = Math.ceil(marks.length / 10);
  return h("div", { class: "years", "aria-hidden": "true" }, marks.filter((_, place) => place % every === 0).map(([name, share]) => h("span", { style: { left: `${share * 100}%` } }, h("span", { style: { transform: `translateX(${-share * 100}%)` } }, name))));
}

// A year of days as squares, darker for more; a week is a column.
export function calendar(days, year) {
  const first = dayNumber(`${year}-01-01`), last = dayNumber(`${year}-12-31`);
  const before = (new Date(first * DAY).getUTCDay() + 6) % 7;
  const counts = [];
  for (let one = first; one <= last; one += 1) counts.push(days[isoOf(one)] ?? 0);
  const sorted = counts.filter(Boolean).sort((a, b) => a - b);
  const level = (count) => (count ? 1 + Math.min(3, Math.floor((4 * sorted.indexOf(count)) / sorted.length)) : 0);
  const squares = counts.map((count, place) => {
    const cell = place + before;
    return s("rect", { x: Math.floor(cell / 7) * 13 + 1, y: (cell % 7) * 13 + 16, width: 11, height: 11, rx: 2.5, class: `level-${level(count)}` }, s("title", {}, `${day(isoOf(first + place))}: ${several(count, "memory", "memories")}`));
  });
  const months = Array.from({ length: 12 }, (_, month) => {
    const place = dayNumber(`${year}-${String(month + 1).padStart(2, "0")}-01`) - first + before;
    return s("text", { x: Math.floor(place / 7) * 13 + 1, y: 10 }, new Date((first + place - before) * DAY).toLocaleDateString(undefined, { month: "short", timeZone: "UTC" }));
  });
  const all = counts.reduce((sum, count) => sum + count, 0), active = sorted.length;
  return h("div", { class: "scroll", tabindex: "0", role: "region", "aria-label": `Days of ${year}` }, s("svg", { class: "calendar", viewBox: "0 0 702 110", width: 702, height: 110, role: "img", "aria-label": `${year}: ${several(all, "memory", "memories")}, said on ${several(active, "day")}.` }, months, squares));
}

// What each signal gave to a score: what speaks for it to the right, what speaks against it to the left. `scale` is the same for all hits.
export function shares(given, scale) {
  const found = Object.fromEntries(FAMILIES.map(([family]) => [family, 0]));
  let against = 0;
  for (const [signal, value] of Object.entries(given)) {
    if (value >= 0) found[familyOf(signal)] += value;
    else against -= value;
  }
  const told = FAMILIES.filter(([family]) => found[family] > 0).map(([family, name]) => `${name} ${found[family].toFixed(1)}`);
  const part = (family, value) => h("span", { class: `signal-${family}`, style: { width: `${(value / scale) * 100}%` } });
  return h("div", { class: "shares", role: "img", "aria-label": `${told.join(", ") || "nothing"}${against ? `; against it ${against.toFixed(1)}` : ""}` },
    h("div", { class: "line" }, FAMILIES.filter(([family]) => found[family] > 0).map(([family]) => part(family, found[family]))),
    against > 0 && h("div", { class: "line against" }, part("against", against)));
}

export function legend(used) {
  return h("ul", { class: "legend" }, FAMILIES.filter(([family]) => used.has(family)).map(([family, name]) => h("li", {}, h("i", { class: `signal-${family}`, "aria-hidden": "true" }), name)),
    used.has("against") && h("li", {}, h("i", { class: "signal-against", "aria-hidden": "true" }), "Against it"));
}

// How many of its letters stand in one line of a box: a capital takes more room than a small letter, a sign of Chinese that of two.
function fitting(said) {
  let left = 34, place = 0;
  for (const letter of said) {
    left -= letter >= "\u2e80" ? 1.9 : /[\p{Lu}mw@%]/u.test(letter) ? 1.4 : 1;
    if (left < 0) break;
    place += letter.length;
  }
  return place;
}

// A memory in the middle, what it is linked to around it. `near` is [id, words, kind of link].
export function graph(text, near) {
  const width = 1000, row = 84, sides = [near.filter((_, place) => place % 2 === 0), near.filter((_, place) => place % 2 === 1)];
  const height = Math.max(sides[0].length, 1.4) * row, middle = height / 2;
  const box = (x, y, said, kind) => [s("rect", { x: x - 130, y: y - 26, width: 260, height: 52, rx: 10, class: kind }), lines(said).map((line, place, all) => s("text", { x, y: y + 4 + (place - (all.length - 1) / 2) * 15, "text-anchor": "middle" }, line))];
  const lines = (said) => {
    const room = fitting(said);
    if (room === said.length) return [said];
    const first = said.slice(0, room).replace(/\s\S*$/, ""), rest = said.slice(first.length).trim();
    return [first, fitting(rest) === rest.length ? rest : `${rest.slice(0, fitting(rest) - 1)}…`];
  };
  const drawn = sides.flatMap((side, right) => side.map(([id, said, kind], place) => {
    const x = right ? width - 132 : 132, y = middle + (place - (side.length - 1) / 2) * row;
    const from = right ? width / 2 + 130 : width / 2 - 130, to = right ? x - 130 : x + 130;
    return [s("path", { d: `M${from} ${middle}C${(from + to) / 2} ${middle} ${(from + to) / 2} ${y} ${to} ${y}`, class: "edge" }), s("text", { x: (from + to) / 2, y: (middle + y) / 2 - 6, "text-anchor": "middle", class: "kind" }, kind), s("a", { href: at(id) }, s("title", {}, said), box(x, y, said, "node"))];
  }));
  return h("div", { class: "scroll wide", tabindex: "0", role: "region", "aria-label": "Links, drawn" }, s("svg", { class: "graph", viewBox: `0 0 ${width} ${height}`, role: "group", "aria-label": `Linked to ${several(near.length, "memory", "memories")}` }, drawn, s("g", { class: "self" }, box(width / 2, middle, text, "node"))));
}
