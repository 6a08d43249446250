// One memory: its words where they were said, its versions side by side, what happened to it, what it is linked to.

import { graph } from "../charts.js";
import { compared, marked } from "../diff.js";
import { at, chip, facts, fill, h, heading, number, option, panel, several, table, when, words, wrong } from "../dom.js";

const MOST_LINKED = 12;

export async function memory(room, { open, signal }, id) {
  fill(room, heading("Memory"), h("p", { class: "muted" }, "…"));
  let why;
  try {
    why = await open("why", { id });
  } catch (error) {
    if (!signal.aborted) fill(room, heading("Memory"), wrong(error));
    return;
  }
  const { memory: found, versions } = why;
  document.title = `${found.text.slice(0, 60)} · Loci`;
  fill(room, h("p", { class: "crumbs" }, h("button", { type: "button", class: "plain", click: () => history.back() }, "← Back")),
    h("header", { class: "heading" }, h("p", { class: "by" }, [found.speaker, found.at && when(found.at)].filter(Boolean).map((piece) => h("span", {}, piece)), found.kind === "plaintext" ? chip(found.type) : chip(found.kind), chip(found.state, "quiet"), found.origin.trust !== "trusted" && chip(found.origin.trust, "warn")), h("h1", { class: "quote", tabindex: "-1" }, found.text)),
    section("Its words, where they were said", sources(why)),
    section(versions.length > 1 ? `${versions.length} versions` : "One version", versions.length > 1 ? sideBySide(versions) : [], story(why)),
    panel("Links", signal, () => linked(why, open)),
    h("div", { class: "grid" }, section("What it says", said(found)), section("What it is", header(found))),
    section("In the audit log", records(why.records)));
}

function section(title, ...children) {
  return h("section", { class: "panel", "aria-label": title }, h("h2", {}, title), children);
}

function sources({ memory: found, sources: told, versions }) {
  const last = new Set(found.spans.map((span) => span.source));
  return [...told].sort((one, other) => last.has(other.id) - last.has(one.id)).map((source) => {
    const spans = (last.has(source.id) ? found : versions.findLast((version) => version.spans.some((span) => span.source === source.id))).spans.filter((span) => span.source === source.id);
    const by = [source.message.speaker ?? source.message.role, `by ${source.channel}`, source.origin, `journaled for ${source.principal}`];
    return h("figure", { class: "source" }, h("blockquote", {}, marked(words(source.message), spans).map(([text, is]) => (is ? h("mark", {}, text) : h("span", { class: "around" }, text)))),
      h("figcaption", { class: "by" }, by.filter(Boolean).map((piece) => h("span", {}, piece)), when(source.message.at ?? source.recorded), source.trust !== "trusted" && chip(source.trust, "warn"), !last.has(source.id) && chip("of a former version", "quiet")));
  });
}

function sideBySide(versions) {
  const left = h("div"), right = h("div");
  const pick = (name, chosen, change) => h("label", { class: "pick" }, h("span", {}, name), h("select", { change }, versions.map((version, place) => option(String(place), `version ${version.version}`, String(chosen)))));
  let before = versions.length - 2, after = versions.length - 1;
  function draw() {
    const [old, now] = compared(versions[before].text, versions[after].text);
    fill(left, text(versions[before], old, "del"));
    fill(right, text(versions[after], now, "ins"));
  }
  const made = h("div", { class: "beside" },
    h("div", {}, pick("From", before, (event) => { before = Number(event.target.value); draw(); }), left),
    h("div", {}, pick("To", after, (event) => { after = Number(event.target.value); draw(); }), right));
  draw();
  return made;
}

function text(version, pieces, tag) {
  return [h("p", { class: "text" }, pieces.map(([piece, is]) => (is ? h(tag, {}, piece) : piece))),
    facts([["By", version.author], ["Because", version.reason], ["True", span(version.valid)], ["Known", span(version.recorded)], ["Ended", version.ending]])];
}

function span({ start, end }) {
  return h("span", {}, start ? ["from ", when(start)] : "always", end ? [" to ", when(end)] : "");
}

// What happened to it, in the order of time: its versions and the steps of its life.
function story({ versions, transitions }) {
  const steps = [...versions.map((version) => [version.recorded.start, `version ${version.version}`, version.reason, version.author]), ...versions.slice(-1).filter((version) => version.ending).map((version) => [version.valid.end ?? version.recorded.end, "no longer holds", version.ending, ""]),
    ...transitions.map((step) => [step.at, `${step.before} → ${step.after}`, step.reason, step.author])];
  steps.sort((a, b) => Date.parse(a[0]) - Date.parse(b[0]));
  return h("ol", { class: "story" }, steps.map(([moment, what, reason, author]) => h("li", {}, h("b", {}, what), " ", when(moment), h("span", { class: "muted" }, [reason, author && `by ${author}`].filter(Boolean).join(", ")))));
}

async function linked({ memory: found, links }, open) {
  if (!links.length) return [h("p", { class: "muted" }, "It is linked to nothing.")];
  const ends = links.map((link) => [link.source === found.id ? link.target : link.source, link]);
  const ids = [...new Set(ends.map(([id]) => id))].slice(0, MOST_LINKED);
  const near = await Promise.allSettled(ids.map((id) => open("get", { id })));
  const text = Object.fromEntries(ids.map((id, place) => [id, near[place].status === "fulfilled" ? near[place].value.text : "not for this key"]));
  const rows = ends.filter(([id]) => text[id]).map(([id, link]) => [link.source === found.id ? `this ${link.type}` : `${link.type} this`, h("a", { href: at(id) }, text[id]), link.reason, when(link.at)]);
  return [graph(found.text, ids.map((id) => [id, text[id], ends.find(([end]) => end === id)[1].type])), table("Links", ["Link", "Memory", "Why", "Since"], rows), ends.length > rows.length && h("p", { class: "muted" }, `and ${number(ends.length - rows.length)} more`)];
}

function said(found) {
  const claims = found.claims.map((claim) => h("li", {}, h("b", {}, claim.subject), ` ${claim.attribute.replaceAll("_", " ")}: `, h("b", {}, claim.value), claim.closed_by && [" ", h("a", { href: at(claim.closed_by) }, "superseded")]));
  const times = found.times.map((time) => h("li", {}, `“${time.words}”: `, when(time.earliest), " to ", when(time.latest)));
  return [claims.length + times.length ? h("ul", { class: "plain" }, claims, times) : h("p", { class: "muted" }, "It claims nothing by a key, and names no time."), facts([["About", found.about], ["Names", found.entities.join(", ")], ["Words", found.keywords.join(", ")]])];
}

function header(found) {
  return facts([["Id", h("code", {}, found.id)], ["Version", number(found.version)], ["User", found.scope.user], ["Agent", found.scope.agent], ["Session", found.scope.session], ["Came by", found.origin.channel], ["From", found.origin.name], ["Found", several(found.uses, "time")], ["Cited", several(found.cited, "time")], ["Heat", found.heat.toFixed(2)], ["Stable for", `${found.stability_days.toFixed(1)} days`], ["Expires", found.expires && when(found.expires)], ["Checksum", h("code", {}, found.checksum)]]);
}

function records(found) {
  const reads = found.filter((record) => record.verb === "read"), others = found.filter((record) => record.verb !== "read");
  return [table("Audit records", ["When", "Who", "What"], others.map((record) => [when(record.at), record.principal, record.verb]), "None that you may see."), reads.length > 0 && h("p", { class: "muted small" }, `Read ${several(reads.length, "time")}, last `, when(reads.at(-1).at), ` by ${reads.at(-1).principal}.`)];
}
