// What held, or what was known, on any day: drag, and the list is of that day.

import { axis, bars, dayNumber, histogram, isoOf, years } from "../charts.js";
import { day, fill, h, heading, later, number, option, several, tell, wrong } from "../dom.js";
import { memories } from "../list.js";

const WAY = { true: "as_of", known: "known_at" };

export async function timeline(room, { open, query, signal }) {
  const asked = { type: query.get("type") ?? "", user: query.get("user") ?? "", at: query.get("at") ?? "", by: query.get("by") === "known" ? "known" : "true" };
  const body = h("div", { class: "timeline" });
  fill(room, heading("Timeline", "Drag to a day, and see what held then. Nothing is overwritten, so every day is still there; what is archived now is left out."), body);
  let all;
  try {
    all = await open("count", narrowed());
  } catch (error) {
    if (!signal.aborted) fill(body, wrong(error));
    return;
  }
  const today = dayNumber(new Date().toISOString());
  const { first, last, off } = axis(all.days, today);
  const within = (place) => (Number.isFinite(place) ? Math.min(Math.max(place, first), last) : today);
  let chosen = within(dayNumber(asked.at));

  const drawn = h("div", { class: "drawn" }), held = h("p", { class: "held", "aria-live": "polite" }), kinds = h("div", { class: "kinds" }), listed = h("div", { class: "listed" });
  const slider = h("input", { type: "range", min: first, max: last, value: chosen, step: 1, "aria-label": "Day", input: () => move(Number(slider.value)) });
  slider.addEventListener("keydown", (event) => {
    const step = { PageUp: 30, PageDown: -30 }[event.key];
    if (!step) return;
    event.preventDefault();
    move(within(chosen + step));
  });
  const date = h("input", { type: "date", min: isoOf(first), max: isoOf(last), "aria-label": "Date", change: () => date.value && move(within(dayNumber(date.value))) });
  const way = (value, name) => h("label", {}, h("input", { type: "radio", name: "by", value, checked: asked.by === value, change: () => { asked.by = value; move(chosen); } }), name);
  const user = h("select", { "aria-label": "User", change: () => { asked.user = user.value; again(); } }, option("", "every user", asked.user), [...new Set([...Object.keys(all.users).filter(Boolean), asked.user].filter(Boolean))].map((name) => option(name, name, asked.user)));
  const type = h("select", { "aria-label": "Kind", change: () => { asked.type = type.value; again(); } }, option("", "every kind", asked.type), ["fact", "preference", "event", "plan", "question", "instruction", "smalltalk"].map((name) => option(name, name, asked.type)));
  fill(body,
    h("div", { class: "tools" }, h("fieldset", {}, h("legend", { class: "unseen" }, "Show"), way("true", "What was true"), way("known", "What was known")), user, type, date, h("button", { type: "button", class: "plain", click: () => move(today) }, "Today")),
    h("div", { class: "axis" }, drawn, slider, years(first, last)), off.length > 0 && h("p", { class: "muted small" }, beside(off)), held, kinds, listed);
  listed.addEventListener("failed", (event) => fill(listed, wrong(event.detail)), true);

  function narrowed() {
    return { user: asked.user || null, types: asked.type ? [asked.type] : [] };
  }

  function again() {
    keep();
    window.dispatchEvent(new HashChangeEvent("hashchange"));
  }

  function keep() {
    const kept = { type: asked.type, user: asked.user, at: chosen === today ? "" : isoOf(chosen), by: asked.by === "known" ? "known" : "" };
    const told = new URLSearchParams(Object.entries(kept).filter(([, value]) => value)).toString();
    history.replaceState(null, "", `#/timeline${told ? `?${told}` : ""}`);
  }

  function move(to) {
    chosen = to;
    slider.value = String(to);
    slider.setAttribute("aria-valuetext", day(isoOf(to)));
    date.value = isoOf(to);
    const share = (chosen - first) / Math.max(last - first, 1);
    fill(drawn, histogram(all.days, first, last, { until: chosen }), h("span", { class: "now", "aria-hidden": "true", style: { left: `${share * 100}%` } }, h("span", { style: { transform: `translateX(${-share * 100}%)` } }, day(isoOf(to)))));
    keep();
    show();
  }

  let turn = 0;
  const show = later(120, async () => {
    const mine = ++turn;
    const fields = { ...narrowed(), ...(chosen === today ? {} : { [WAY[asked.by]]: `${isoOf(chosen)}T23:59:59Z` }) };
    try {
      const counts = await open("count", fields);
      if (mine !== turn || signal.aborted) return;
      const what = several(counts.total, "memory", "memories");
      fill(held, h("b", {}, what), chosen === today ? " hold today" : asked.by === "known" ? ` known on ${day(isoOf(chosen))}` : ` held on ${day(isoOf(chosen))}`, chosen !== today && h("span", { class: "muted" }, ` · ${number(all.total)} hold today`));
      tell(held.textContent);
      fill(kinds, counts.total ? bars(counts.types, { most: 7 })[0] : []);
      fill(listed, counts.total ? memories(counts.total, (offset, limit) => open("list", { ...fields, offset, limit }).then(({ items }) => items), signal) : h("p", { class: "muted" }, asked.by === "known" ? "Nothing was in memory yet on that day: it was taken in later. “What was true” asks about the world instead." : "Nothing that memory knows of held on that day."));
    } catch (error) {
      if (mine === turn && !signal.aborted) fill(listed, wrong(error));
    }
  });
  move(chosen);
}

// What is not on the axis, and why.
function beside(off) {
  const told = off.slice(0, 3).map(([place]) => day(isoOf(place))).join(", "), count = off.reduce((sum, [, one]) => sum + one, 0);
  return `${several(count, "memory is", "memories are")} dated ${told}${off.length > 3 ? " and more" : ""}: too far from today, or from all others, for this line of days.`;
}
