// Ask, and see what each signal gave to each answer.

import { familyOf, legend, shares } from "../charts.js";
import { found } from "../diff.js";
import { at, chip, day, facts, fill, h, heading, notice, number, option, several, tell, when, wrong } from "../dom.js";

const TYPES = ["fact", "preference", "event", "plan", "question", "instruction", "smalltalk"];

export async function search(room, { open, query, signal }) {
  const answer = h("div", { class: "answer", "aria-live": "polite" });
  const field = h("input", { id: "question", type: "search", value: query.get("q") ?? "", autocomplete: "off", placeholder: "Where does Ann live?", "aria-label": "Question", enterkeyhint: "search" });
  const user = h("input", { type: "text", value: query.get("user") ?? "", autocomplete: "off", spellcheck: "false" });
  const then = h("input", { type: "date", value: query.get("at") ?? "" });
  const type = h("select", {}, option("", "any kind", query.get("type") ?? ""), TYPES.map((name) => option(name, name, query.get("type"))));
  const limit = h("select", {}, ["5", "10", "25", "50"].map((name) => option(name, name, query.get("limit") ?? "10")));
  const form = h("form", { class: "search", role: "search", submit: (event) => { event.preventDefault(); go(); } },
    h("div", { class: "ask-line" }, field, h("button", { type: "submit", class: "main" }, "Search")),
    h("div", { class: "limits" }, named("User", user), named("As it was on", then), named("Kind", type), named("At most", limit)));
  [user, then, type, limit].forEach((one) => one.addEventListener("change", () => field.value.trim() && go()));
  fill(room, heading("Search"), form, answer);
  form.addEventListener("keydown", down);
  answer.addEventListener("keydown", walk);
  if (matchMedia("(hover: hover)").matches) field.focus();

  function go() {
    const asked = { q: field.value.trim(), user: user.value.trim(), at: then.value, type: type.value, limit: limit.value === "10" ? "" : limit.value };
    const next = `#/search?${new URLSearchParams(Object.entries(asked).filter(([, value]) => value))}`;
    if (next !== location.hash) history.replaceState(null, "", next);
    run(asked);
  }

  async function run(asked) {
    if (!asked.q) return;
    answer.setAttribute("aria-busy", "true");
    try {
      const fields = { question: asked.q, limit: Number(asked.limit || 10), user: asked.user || null, types: asked.type ? [asked.type] : [], as_of: asked.at ? `${asked.at}T23:59:59Z` : null };
      const recall = await open("search", fields);
      fill(answer, shown(recall, asked));
      tell(`${several(recall.hits.length, "memory", "memories")} found`);
    } catch (error) {
      if (!signal.aborted) fill(answer, wrong(error));
    } finally {
      answer.removeAttribute("aria-busy");
    }
  }

  function down(event) {
    if (event.key !== "ArrowDown" || event.target !== field) return;
    event.preventDefault();
    answer.querySelector(".hit > a")?.focus();
  }

  function walk(event) {
    const step = { ArrowDown: 1, ArrowUp: -1 }[event.key];
    const hits = [...answer.querySelectorAll(".hit > a")], place = hits.indexOf(document.activeElement);
    if (!step || place < 0) return;
    event.preventDefault();
    (hits[place + step] ?? (step < 0 ? field : hits[place])).focus();
  }

  if (field.value) await run({ q: field.value, user: user.value, at: then.value, type: type.value, limit: limit.value });
  else fill(answer, h("p", { class: "muted" }, "Ask in your own words. Each answer shows what spoke for it."));
}

function named(name, field) {
  return h("label", {}, h("span", {}, name), field);
}

function shown(recall, asked) {
  const { trace, hits } = recall;
  const told = [...Object.entries(trace.missing).map(([signal, why]) => notice(`The ${signal} signal is missing: ${why}`, "warn")),
    ...Object.entries(trace.withheld).map(([why, count]) => notice(`${several(count, "memory", "memories")} withheld: ${why}`, "warn"))];
  if (!hits.length) return [told, h("p", { class: "muted" }, "Nothing in memory answers that.")];
  const used = new Set(), scale = Math.max(...hits.map((hit) => Object.values(hit.shares).reduce((sum, value) => sum + Math.max(value, 0), 0)), 1e-9);
  for (const hit of hits) for (const [signal, value] of Object.entries(hit.shares)) used.add(value < 0 ? "against" : familyOf(signal));
  return [told,
    h("div", { class: "sure" }, gauge(recall.confidence), h("p", {}, `${several(hits.length, "answer")} of ${several(trace.considered, "memory that", "memories that")} ${asked.at ? `held on ${day(asked.at)}` : trace.considered === 1 ? "holds" : "hold"}, without archived ones, in ${Math.round(Object.values(trace.milliseconds).reduce((sum, one) => sum + one, 0))} ms.`)),
    legend(used),
    h("ol", { class: "hits" }, hits.map((hit, place) => one(hit, place, scale, trace))),
    plan(recall)];
}

function gauge(confidence) {
  return h("div", { class: "gauge" }, h("span", { id: "sure" }, "How sure memory is"), h("span", { class: "track" }, h("span", { class: "fill", style: { width: `${confidence * 100}%` } })), h("b", {}, `${Math.round(confidence * 100)} %`));
}

function one(hit, place, scale, trace) {
  const { memory } = hit;
  const signals = Object.entries(hit.shares).sort((a, b) => Math.abs(b[1]) - Math.abs(a[1]));
  return h("li", { class: "hit" },
    h("a", { href: at(memory.id) }, h("span", { class: "rank", "aria-hidden": "true" }, place + 1), h("span", { class: "said" }, found(memory.text, trace.call.terms).map(([text, is]) => (is ? h("mark", {}, text) : text)))),
    h("p", { class: "by" }, [memory.speaker, memory.at && when(memory.at)].filter(Boolean).map((piece) => h("span", {}, piece)), chip(memory.type), memory.valid.end && chip("no longer holds", "quiet"), !may(memory) && chip(`${memory.origin.trust}: informs only`, "warn"), hit.note && h("span", { class: "muted" }, hit.note)),
    shares(hit.shares, scale),
    h("details", {}, h("summary", {}, `Score ${hit.score.toFixed(3)}, signal by signal`),
      h("ul", { class: "signals" }, signals.map(([signal, value]) => h("li", {}, h("i", { class: `signal-${value < 0 ? "against" : familyOf(signal)}`, "aria-hidden": "true" }), h("span", {}, signal.replaceAll("_", " ")), h("b", {}, `${value < 0 ? "−" : "+"}${Math.abs(value).toFixed(2)}`)))),
      hit.duplicates.length > 0 && h("p", { class: "muted small" }, `${several(hit.duplicates.length, "other memory says", "other memories say")} nearly the same.`)));
}

const may = (memory) => memory.origin.trust === "trusted";

function plan({ trace, text, tokens }) {
  const { call } = trace;
  const pairs = [["Read as", call.intent], ["People", call.people.join(", ")], ["Words", call.terms.join(", ")], ["Asked for", call.asked.map(([who, what]) => `${who ?? "anybody"}: ${what}`).join("; ")], ["In their words", call.voiced], ["By way of", trace.via.join(" → ")], ["Ranker", trace.ranker],
    ["Time", Object.entries(trace.milliseconds).map(([step, spent]) => `${step} ${spent.toFixed(1)} ms`).join(", ")]];
  return [h("details", { class: "panel" }, h("summary", {}, "How the question was read"), facts(pairs)),
    h("details", { class: "panel" }, h("summary", {}, `What a prompt would get: ${number(tokens)} tokens`), h("pre", { tabindex: "0" }, text))];
}
