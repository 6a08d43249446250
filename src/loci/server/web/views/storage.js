// What lies where: words, what a model has read, what a model has learned.

import { parts } from "../charts.js";
import { bytes, chip, fill, h, heading, number, panel, several, table, when } from "../dom.js";

const TIERS = [["words", "words, in the cube's file", 1], ["read", "read by a model (KV)", 4], ["learned", "learned by a model", 7]];
const ROWS = [["sources", "messages, as they were said"], ["memories", "memories, with those that no longer hold"], ["versions", "versions of them"], ["claims", "claims"], ["links", "links"], ["vectors", "vectors"], ["audit", "audit records"], ["jobs", "jobs"]];

export async function storage(room, { cube, cubes, open, vault, signal }) {
  const held = Promise.all([open("stats"), open("activations"), open("adapters"), open("count", { archived: true })]);
  fill(room, heading("Storage", "Words are the truth. What a model has read or learned of them is made anew when they change, and goes when they go."),
    panel("By tier", signal, () => held.then(([stats, read, learned, counts]) => tiers(stats, read.items, learned.items, counts))),
    panel("KV memories", signal, () => held.then(([, read]) => [table("KV memories", ["Id", "Memories", "Tokens", "Bytes", "Codec", "Used", "Last"], read.items.map((one) => [h("code", {}, one.id), number(one.memories.length), number(one.tokens), bytes(one.bytes), [one.codec, one.method].filter(Boolean).join(", "), several(one.uses, "time"), one.last_used ? when(one.last_used) : ""]), "None. `loci activate` lets a model that runs here read memories once and for all.")])),
    panel("Adapters", signal, () => held.then(([, , learned]) => [table("Adapters", ["Id", "Memories", "Stage", "State", "Bytes", "Used"], learned.items.map((one) => [h("code", {}, one.id), number(one.memories.length), chip(one.stage, one.is_valid ? "" : "warn"), one.is_mounted ? "mounted" : one.state, bytes(one.bytes), several(one.uses, "time")]), "None. `loci distil` lets a model learn memories.")])),
    cubes.length > 1 && panel("Every cube", signal, () => beside(cubes, cube, vault), { line: "Memories with those that no longer hold." }));
}

function tiers(stats, read, learned, counts) {
  const sum = (found) => found.reduce((all, one) => all + one.bytes, 0);
  const held = { words: stats.bytes, read: sum(read), learned: sum(learned) }, total = held.words + held.read + held.learned;
  const archived = counts.states.archived ?? 0;
  return [h("div", { class: "sums" }, h("div", { class: "sum" }, h("b", {}, bytes(total)), h("span", {}, "in all")), TIERS.map(([key, name, tone]) => h("div", { class: "sum" }, h("b", {}, bytes(held[key])), h("span", {}, h("i", { class: `tone-${tone}`, "aria-hidden": "true" }), name)))),
    parts(held, TIERS.map(([key, name, tone]) => [key, name, tone])).querySelector(".line"),
    h("p", {}, stats.encrypted ? chip("encrypted") : chip("not encrypted", "quiet"), " ", `${several(counts.total, "memory holds", "memories hold")} at present. `, archived ? `${several(archived, "memory is", "memories are")} archived: in the file, and in no answer.` : "Nothing is archived."),
    h("ul", { class: "checked" }, ROWS.map(([key, name]) => h("li", {}, h("b", {}, number(stats[key])), ` ${name}`)))];
}

async function beside(cubes, current, vault) {
  const shown = cubes.slice(0, 60);
  const found = await Promise.allSettled(shown.map((name) => vault(`cubes/${encodeURIComponent(name)}/stats`)));
  return [table("Every cube", ["Cube", "Bytes", "Memories", "KV memories", "Adapters"], found.map(({ value }, place) => [h("b", {}, shown[place], shown[place] === current && " (shown)"), ...(value ? [bytes(value.bytes), number(value.memories), number(value.activations), number(value.adapters)] : ["not for this key", "", "", ""])]))];
}
