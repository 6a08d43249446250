// The audit log as the chain that it is, and a button that checks it against everything else.

import { fill, h, heading, notice, number, option, several, tell, when, wrong } from "../dom.js";

const PAGE = 50;
const TOLD = {
  changes: "What was changed, by whom. Who looked at what is under “reads”: this page's own looks are there too.",
  reads: "Who looked at what, this page among them.",
  "": "Changes and reads, this page's own looks among them.",
};

export async function audit(room, { cube, open, signal }) {
  const verdict = h("div", { "aria-live": "polite" }), log = h("ol", { class: "chain" }), more = h("div"), told = h("p", { class: "muted small" });
  const button = h("button", { type: "button", class: "main", click: verify }, "Verify");
  const kind = h("select", { change: begin }, option("changes", "changes", "changes"), option("reads", "reads", "changes"), option("", "all", "changes"));
  const verb = h("input", { type: "text", placeholder: "any", autocomplete: "off", spellcheck: "false" });
  const who = h("input", { type: "text", placeholder: "anybody", autocomplete: "off", spellcheck: "false" });
  const form = h("form", { class: "limits", submit: (event) => { event.preventDefault(); begin(); } }, h("label", {}, h("span", {}, "Records of"), kind), h("label", {}, h("span", {}, "Verb"), verb), h("label", {}, h("span", {}, "Who"), who), h("button", { type: "submit" }, "Show"));
  fill(room, heading("Audit", `Who did what to what in cube ${cube}. Each record holds the hash of the one before; none holds words.`),
    h("section", { class: "panel verify", "aria-label": "Verify" }, h("div", {}, h("h2", {}, "Is it all still as it was written?"), h("p", { class: "muted" }, "Words against their hashes, quotes against sources, indexes against contents, the chain of this log.")), button, verdict), form, told, log, more);
  await begin();

  async function verify() {
    button.disabled = true;
    fill(verdict, h("p", { class: "muted" }, "Checking …"));
    try {
      const [report, head] = await Promise.all([open("verify"), open("head")]);
      const checked = h("ul", { class: "checked" }, Object.entries(report.checked).map(([what, count]) => h("li", {}, h("b", {}, number(count)), ` ${what}`)));
      fill(verdict, report.is_clean ? notice("Nothing is wrong.", "good") : notice(report.advice, "bad"), checked,
        h("ul", { class: "faults" }, report.faults.map((fault) => h("li", {}, h("b", {}, fault.where), `: ${fault.what}`))),
        report.let_go.length > 0 && notice(`${several(report.let_go.length, "KV memory or adapter was", "KV memories or adapters were")} let go of: the files were gone.`, "warn"),
        h("p", { class: "muted small" }, `Record ${number(head.seq)} is the last; its hash is `, h("code", {}, head.hash), ". Who keeps it elsewhere can tell later whether the log before it is the same."));
      tell(report.is_clean ? "Nothing is wrong." : "Faults were found.");
    } catch (error) {
      if (!signal.aborted) fill(verdict, wrong(error));
    } finally {
      button.disabled = false;
    }
  }

  async function begin() {
    verb.disabled = kind.value === "reads"; // they have one verb
    fill(told, TOLD[kind.value]);
    fill(log);
    await add(null);
  }

  async function add(before) {
    fill(more);
    try {
      const { items } = await open("log", { limit: PAGE, verb: kind.value === "reads" ? "read" : verb.value.trim() || null, changes: kind.value === "changes", principal: who.value.trim() || null, before });
      if (signal.aborted) return;
      log.append(...items.reverse().map(one));
      if (!log.children.length) fill(more, h("p", { class: "empty" }, "No record is like that."));
      else if (items.length === PAGE) fill(more, h("button", { type: "button", click: () => add(items.at(-1).seq) }, "Older records"));
    } catch (error) {
      if (!signal.aborted) fill(more, wrong(error));
    }
  }
}

function one(record) {
  const detail = Object.entries(record.detail);
  return h("li", { "data-seq": record.seq }, h("p", { class: "by" }, h("b", {}, record.verb), record.verb === "read" && record.detail.verb && h("span", {}, `by ${record.detail.verb}`), h("span", {}, record.principal), when(record.at), h("code", { class: "hash", title: record.hash }, record.hash.slice(0, 10))),
    h("details", {}, h("summary", {}, `Record ${number(record.seq)}: `, h("code", {}, record.object)), detail.length ? h("dl", { class: "facts" }, detail.map(([name, value]) => h("div", {}, h("dt", {}, name.replaceAll("_", " ")), h("dd", {}, typeof value === "object" ? JSON.stringify(value) : String(value))))) : h("p", { class: "muted" }, "It says no more.")));
}
