// The queue of jobs, and the plan of which form each body of memory should have.

import { isReading } from "../api.js";
import { bytes, chip, fill, h, heading, number, panel, prose, table, tell, when, wrong } from "../dom.js";

const FORMS = { plaintext: "words", activation: "KV memory", parametric: "adapter" };
const NO_PLAN = {
  none: "There is no model. A plan takes the rates of one that runs here: name a folder with one by the setting `engine`.",
  server: "The model is behind a server, which keeps what it likes. A plan takes the rates of one that runs here: name a folder with one by the setting `engine`.",
};

export async function work(room, { open, signal }) {
  const jobs = panel("Jobs", signal, () => queue(open, again), { line: "What is still to be done, and what failed. What is done leaves the queue." });
  function again() {
    return queue(open, again).then((found) => fill(jobs.querySelector(".body"), found), (error) => fill(jobs.querySelector(".body"), wrong(error)));
  }
  fill(room, heading("Jobs and plan"), jobs,
    panel("Placement plan", signal, () => plan(open), { line: "Which memories would be cheaper to keep as something a model has read, or learned, and why. Looking changes nothing." }));
}

async function queue(open, again) {
  const { items } = await open("jobs", { limit: 200 });
  const counts = Object.entries(Object.groupBy(items, (job) => job.state)).map(([state, found]) => chip(`${number(found.length)} ${state}`, state === "dead" ? "warn" : "quiet"));
  const act = (verb, name, job) => isReading ? "" : h("button", { type: "button", class: "small", "aria-label": `${name} job ${job.seq}`, click: async (event) => {
    event.target.disabled = true;
    try {
      await open(verb, { number: job.seq });
      tell(`${name}: job ${job.seq}`);
      await again();
    } catch (error) {
      event.target.replaceWith(wrong(error));
    }
  } }, name);
  const rows = items.map((job) => [number(job.seq), job.verb, chip(job.state, job.state === "dead" ? "warn" : "quiet"), number(job.attempts), job.error || "", job.due ? when(job.due) : "", job.state === "dead" || job.state === "cancelled" ? act("retry", "Retry", job) : job.state === "ready" ? act("cancel", "Cancel", job) : ""]);
  return [counts.length > 0 && h("p", { class: "by" }, counts), table("Jobs", ["Job", "Work", "State", "Tries", "Last met", "Due", "Do"], rows, "Nothing waits. All that was asked for is done.")];
}

async function plan(open) {
  const { engine } = await open("stats");
  if (engine !== "here") return [h("p", { class: "muted" }, prose(NO_PLAN[engine]))];
  const { items } = await open("plan");
  if (!items.length) return [h("p", { class: "muted" }, "There are no bodies of memory to place yet.")];
  const rows = items.slice(0, 200).map(({ decision, name, user, left }) => [name || decision.body.id, user ?? "", `${number(decision.body.tokens)} tokens`, number(decision.body.cited), h("span", { class: "move" }, chip(FORMS[decision.body.form], "quiet"), decision.after === decision.body.form ? " stays" : [" → ", chip(FORMS[decision.after])]),
    h("details", {}, h("summary", {}, decision.why), h("dl", { class: "facts" }, Object.entries(decision.numbers).map(([what, value]) => h("div", {}, h("dt", {}, what.replaceAll("_", " ")), h("dd", {}, what.endsWith("bytes") ? bytes(value) : Number(value).toPrecision(3)))))), left]);
  return [table("Placement plan", ["Body", "User", "Size", "Cited", "Form", "Why", "Left"], rows), items.length > rows.length && h("p", { class: "muted" }, `and ${number(items.length - rows.length)} more`)];
}
