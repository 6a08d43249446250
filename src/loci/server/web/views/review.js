// What waits in quarantine for somebody to decide.

import { isReading } from "../api.js";
import { at, chip, fill, h, heading, notice, several, tell, when, wrong } from "../dom.js";

const DECISIONS = [["", "Waiting"], ["rejected", "Rejected"], ["reverted", "Taken back"]];

export async function review(room, { open, query, signal }) {
  const decision = query.get("decision") ?? "";
  const body = h("div");
  fill(room, heading("Review", "Words of untrusted origin that give orders, or contradict what is trusted more. They are in no answer until somebody lets them out."),
    h("nav", { class: "tabs", "aria-label": "Decisions" }, DECISIONS.map(([key, name]) => h("a", { href: key ? `#/review?decision=${key}` : "#/review", "aria-current": key === decision ? "page" : null }, name))), body);
  await load();

  async function load() {
    try {
      const { items } = await open("review", { decision });
      fill(body, items.length ? h("ol", { class: "suspects" }, items.map(one)) : h("p", { class: "empty" }, decision ? "None." : "Nothing waits. What comes from people you trust never does."));
    } catch (error) {
      if (!signal.aborted) fill(body, wrong(error));
    }
  }

  function one(suspect) {
    const { memory } = suspect;
    const reason = h("input", { type: "text", "aria-label": "Your reason", placeholder: "Your reason, for the log", autocomplete: "off" });
    const told = h("div");
    const decide = (verb, done) => async (event) => {
      event.target.disabled = true;
      try {
        await open(verb, { id: memory.id, reason: reason.value });
        tell(done);
        await load();
        (body.querySelector("button") ?? document.getElementById("main")).focus();
      } catch (error) {
        event.target.disabled = false;
        fill(told, wrong(error));
      }
    };
    return h("li", { class: "panel suspect" }, h("p", { class: "quote" }, memory.text),
      notice(suspect.reason, "warn"),
      h("p", { class: "by" }, chip(memory.origin.trust, "warn"), h("span", {}, `by ${memory.origin.channel}`), memory.origin.name && h("span", { class: "origin" }, memory.origin.name), memory.scope.user && h("span", {}, `for ${memory.scope.user}`), when(suspect.at), suspect.corroborated_by > 0 && chip(`${several(suspect.corroborated_by, "other says", "others say")} the same`)),
      h("div", { class: "decide" }, !decision && !isReading && [reason, h("button", { type: "button", class: "main", click: decide("accept", "Let out") }, "Let it out"), h("button", { type: "button", click: decide("reject", "Kept in quarantine") }, "Keep it in")], h("a", { href: at(memory.id) }, "Why it is here")), told);
  }
}
