// Which cubes there are, who may do what, and with which keys.

import { chip, fill, h, heading, number, panel, several, table, when } from "../dom.js";

export async function access(room, { cube, cubes, vault, signal }) {
  fill(room, heading("Cubes and grants", "A cube is a file. Nobody may do anything in it without a grant."),
    panel("Cubes", signal, () => listed(cubes, cube, vault)),
    panel("Grants", signal, () => grants(vault)),
    panel("Keys", signal, () => keys(vault), { line: "Of a key nobody has the secret but its bearer." }));
}

async function listed(cubes, current, vault) {
  const shown = cubes.slice(0, 60);
  const counts = await Promise.allSettled(shown.map((name) => vault(`cubes/${encodeURIComponent(name)}/count`, { archived: true })));
  const rows = counts.map(({ value }, place) => h("li", { class: "cube-card" }, h("b", {}, shown[place]), shown[place] === current && chip("shown"), h("span", {}, value ? several(value.total, "memory holds", "memories hold") : "not for this key")));
  return [h("ul", { class: "cards" }, rows), cubes.length > shown.length && h("p", { class: "muted" }, `and ${number(cubes.length - shown.length)} more`)];
}

async function grants(vault) {
  const { items } = await vault("grants");
  const rows = items.map((grant) => [grant.principal === "*" ? "everybody" : grant.principal, chip(grant.role), grant.cube === "*" ? "every cube" : grant.cube, narrowed(grant), grant.channel ?? "", until(grant.expires), grant.uses === null ? "" : number(grant.uses), grant.by]);
  return [table("Grants", ["Who", "Role", "Cube", "Of it", "Counts as", "Until", "Uses left", "By"], rows, "None: the vault is its owner's alone.")];
}

async function keys(vault) {
  const { items } = await vault("keys");
  const rows = items.map((key) => [h("code", {}, key.id), key.principal, narrowed(key) || "all that they may", when(key.created), until(key.expires), key.revoked ? chip("ended", "warn") : chip("good")]);
  return [table("Keys", ["Key", "Whose", "Narrowed to", "Made", "Until", "State"], rows, "No keys were made.")];
}

function narrowed(one) {
  return [["role", "created" in one ? one.role : null], ["cube", "created" in one ? one.cube : null], ["user", one.user], ["agent", one.agent], ["session", one.session], ["memory", one.memory]].filter(([, value]) => value).map(([what, value]) => `${what} ${value}`).join(", ");
}

function until(moment) {
  if (!moment) return "";
  return h("span", {}, when(moment), new Date(moment) < new Date() && [" ", chip("over", "warn")]);
}
