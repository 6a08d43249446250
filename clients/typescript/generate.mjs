// Writes src/schema.ts and src/verbs.ts from openapi.json, which `make docs` writes from the code.
import { readFileSync, writeFileSync } from "node:fs";
import openapiTS, { astToString } from "openapi-typescript";

const document = JSON.parse(readFileSync(new URL("openapi.json", import.meta.url), "utf8"));
const head = "// Made by generate.mjs from openapi.json; not written by hand.\n";
writeFileSync(new URL("src/schema.ts", import.meta.url), head + astToString(await openapiTS(document)));

const once = Object.entries(document.paths)
  .filter(([, { post }]) => post?.parameters?.some(({ name }) => name === "Idempotency-Key"))
  .map(([path]) => path.split("/").at(-1));
writeFileSync(
  new URL("src/verbs.ts", import.meta.url),
  `${head}\n/** Writes that are safe to ask for again with their key. */\nexport const REPEATABLE: ReadonlySet<string> = new Set(${JSON.stringify(once)});\n`,
);
