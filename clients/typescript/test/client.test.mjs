// The client against a real server: LOCI_TEST_URL (open), LOCI_TEST_LOCKED (with keys) and LOCI_TEST_KEY are given by tests/real/test_typescript.py.
import assert from "node:assert/strict";
import { createServer } from "node:http";
import { test } from "node:test";
import { LociError, Unreachable, connect } from "../dist/index.js";

const { LOCI_TEST_URL, LOCI_TEST_LOCKED, LOCI_TEST_KEY } = process.env;
const memory = connect(LOCI_TEST_URL);

test("what is added is found, corrected and explained", async () => {
  const cube = memory.cube("typed");
  const { ids } = await cube.add({ messages: [{ role: "user", text: "I live in Porto." }], user: "ann" });
  const recall = await cube.search({ question: "Where does Ann live?", user: "ann" });
  assert.deepEqual(recall.ids, ids);
  assert.match(recall.text, /Porto/);
  await cube.update({ id: ids[0], text: "I live in Lisbon.", if_version: 1 });
  const { items } = await cube.history({ id: ids[0] });
  assert.deepEqual(items.map((one) => one.text), ["I live in Porto.", "I live in Lisbon."]);
  assert.equal((await cube.why({ id: ids[0] })).sources[0].message.text, "I live in Porto.");
  assert.ok((await memory.cubes()).items.includes("typed"));
});

test("a cube can be made before anything is added to it", async () => {
  const cube = await memory.createCube("fresh");
  assert.deepEqual((await cube.search({ question: "hello?", user: "ann" })).hits, []);
});

test("errors have their code, and what is particular to them", async () => {
  const cube = memory.cube("typed");
  await assert.rejects(cube.get({ id: "nothing" }), (error) => error instanceof LociError && error.code === "missing" && error.status === 404);
  const { ids } = await cube.add({ messages: "The pond is deep." });
  await cube.update({ id: ids[0], text: "The pond is shallow." });
  await assert.rejects(cube.update({ id: ids[0], text: "Gone.", if_version: 1 }), (error) => error.problem.found === 2);
});

test("a write with a key is done once", async () => {
  const cube = memory.cube("once");
  const asking = { idempotencyKey: "k1" };
  const [first, second] = [await cube.add({ messages: "The garden is large." }, asking), await cube.add({ messages: "The garden is large." }, asking)];
  assert.deepEqual(first, second);
  assert.equal((await cube.list()).items.length, 1);
});

test("a write whose connection broke is asked for again, and done once", async () => {
  let calls = 0;
  const breaking = async (...asked) => {
    const answer = await fetch(...asked);
    calls += 1;
    if (calls === 1) throw new TypeError("the connection broke");
    return answer;
  };
  const cube = connect(LOCI_TEST_URL, { fetch: breaking }).cube("broke");
  await cube.add({ messages: "The gate is green." });
  assert.equal(calls, 2);
  assert.equal((await memory.cube("broke").list()).items.length, 1);
});

test("a file goes in, a cube comes out, and events are told", async () => {
  const cube = memory.cube("files");
  const talk = JSON.stringify([{ role: "user", content: "My dog is called Rex." }]);
  assert.equal((await cube.importFile(talk, { name: "talk.json", user: "ann" })).added, 1);
  assert.match(await (await cube.exportFile()).text(), /Rex/);
  await assert.rejects(async () => {
    for await (const _ of cube.events("activate", { about: "dogs" })) assert.fail("there is no model");
  }, (error) => error instanceof LociError && error.code === "unsupported");
});

test("a log is read page by page, whatever is done meanwhile", async () => {
  const cube = memory.cube("logged"), seen = [];
  for (let n = 0; n < 5; n += 1) await cube.add({ messages: `House ${n} is blue.` });
  for (let cursor, page; !page || cursor; cursor = page.next) {
    page = await cube.log(cursor ? { cursor } : { limit: 2 });
    seen.unshift(...page.items.map((record) => record.seq));
    await cube.add({ messages: `Garden ${seen.length} is large.` });
  }
  assert.deepEqual(seen, seen.map((_, place) => place + 1));
});

test("a key says who asks", async () => {
  await assert.rejects(connect(LOCI_TEST_LOCKED).cubes(), (error) => error.status === 401);
  const mine = connect(LOCI_TEST_LOCKED, { key: LOCI_TEST_KEY }).cube("main");
  assert.deepEqual((await mine.list({ user: "ann" })).items.map((one) => one.text), ["I live in Braga."]);
  await assert.rejects(mine.add({ messages: "x", user: "ann" }), (error) => error.code === "denied");
});

test("where nothing answers it is unreachable", async () => {
  await assert.rejects(connect("http://127.0.0.1:9").cubes(), Unreachable);
  await assert.doesNotReject(async () => memory, "a vault can be awaited without being asked");
  assert.equal(JSON.stringify(memory.cube("main")), '{"name":"main"}');
});

test("what is said goes nowhere else", async () => {
  const asked = [];
  const elsewhere = createServer((request, answer) => answer.end(asked.push(request.url) && "{}")).listen(0);
  const leading = createServer((_, answer) => answer.writeHead(307, { Location: `http://127.0.0.1:${elsewhere.address().port}/` }).end()).listen(0);
  await assert.rejects(connect(`http://127.0.0.1:${leading.address().port}`, { key: "k" }).cube("main").add({ messages: "A secret." }), Unreachable);
  assert.deepEqual(asked, []);
  for (const server of [elsewhere, leading]) server.close(), server.closeAllConnections();
});
