/**
 * A client of `loci serve`. Every verb has the fields and the answer that the server's OpenAPI document gives it:
 *
 *     const memory = connect("http://127.0.0.1:8377", { key });
 *     const cube = memory.cube("main");
 *     await cube.add({ messages: "I live in Porto.", user: "ann" });
 *     const recall = await cube.search({ question: "Where does Ann live?", user: "ann" });
 */
import type { components, paths } from "./schema.js";
import { REPEATABLE } from "./verbs.js";

export type Schemas = components["schemas"];
type Problem = Schemas["Problem"];

/** What a server refused: `code` is for programs, the message says what to do next. */
export class LociError extends Error {
  constructor(readonly problem: Problem) {
    super(problem.detail);
    this.name = "LociError";
  }
  get code(): string {
    return this.problem.code;
  }
  get status(): number {
    return this.problem.status;
  }
}

/** Nothing answered, or no Loci did. */
export class Unreachable extends Error {
  override name = "Unreachable";
}

export interface Options {
  /** An API key; none for a server that is open. */
  key?: string;
  fetch?: typeof fetch;
}

export interface Asking {
  /** New for each write; made if it is not given, so that a write whose connection broke is asked for again and done once. */
  idempotencyKey?: string;
  signal?: AbortSignal;
}

export interface Event {
  kind: "progress" | "begun" | "piece" | "answer";
  value: unknown;
}

type Post<P extends keyof paths> = NonNullable<paths[P]["post"]>;
type Fields<P extends keyof paths> = Post<P> extends { requestBody?: { content: { "application/json": infer B } } } ? B : Record<string, never>;
type Answer<P extends keyof paths> = Post<P> extends { responses: { 200: { content: { "application/json": infer A } } } } ? A : never;
type Call<P extends keyof paths> =
  {} extends Fields<P> ? (fields?: Fields<P>, asking?: Asking) => Promise<Answer<P>> : (fields: Fields<P>, asking?: Asking) => Promise<Answer<P>>;
type OfCube = "/api/cubes/{cube}/";
type Carried = "import_file" | "export";

/** The verbs of a cube. */
export type CubeVerbs = { [P in keyof paths as P extends `${OfCube}${infer V}` ? (V extends Carried ? never : V) : never]: Call<P> };
/** The verbs of the vault. */
export type VaultVerbs = {
  [P in keyof paths as P extends `/api/${infer V}` ? (V extends "cube" | `${string}/${string}` ? never : V) : never]: Call<P>;
};

/** A cube of a vault behind a server. */
export interface Cube extends CubeVerbs {
  readonly name: string;
  /** The verb's events as they come: progress, pieces of an answer, and last the answer. */
  events<V extends keyof CubeVerbs>(verb: V, fields: Parameters<CubeVerbs[V]>[0], asking?: Asking): AsyncGenerator<Event>;
  /** Takes in a file; its fields are those of `import_file`. */
  importFile(body: Blob | Uint8Array | string, fields: { name: string } & Record<string, string>): Promise<Schemas["Imported"]>;
  /** The whole cube as a file. */
  exportFile(): Promise<Blob>;
}

/** A vault behind a server. */
export interface Memory extends VaultVerbs {
  /** The cube of that name, whether it is there or not. What is first added to it makes it. */
  cube(name: string): Cube;
  /** The cube of that name, made where it is not there. */
  createCube(name: string): Promise<Cube>;
}

/** The vault that `loci serve` has at an address. */
export function connect(url: string, options: Options = {}): Memory {
  const link = new Link(url.replace(/\/+$/, ""), options);
  return verbs("/api", link, {
    cube: (name: string) => cubeOf(name, link),
    createCube: async (name: string) => {
      await link.call("/api/cube", "cube", { name });
      return cubeOf(name, link);
    },
  }) as unknown as Memory;
}

function cubeOf(name: string, link: Link): Cube {
  const path = `/api/cubes/${encodeURIComponent(name)}`;
  return verbs(path, link, {
    name,
    events: (verb: string, fields: unknown, asking?: Asking) => link.events(`${path}/${verb}`, fields, asking),
    importFile: async (body: BodyInit, fields: Record<string, string>) =>
      (await link.asked(`${path}/import_file?${new URLSearchParams(fields)}`, body, {})).json(),
    exportFile: async () => (await link.asked(`${path}/export`, "{}", {})).blob(),
  }) as unknown as Cube;
}

/** What the language itself asks of an object: to await it, and to write it as JSON. */
const NO_VERBS = new Set(["then", "toJSON"]);

/** An object that has, beside its own, a method for each verb. */
function verbs(path: string, link: Link, own: Record<string, unknown>): object {
  return new Proxy(own, {
    get: (target, verb) =>
      typeof verb !== "string" || NO_VERBS.has(verb) || verb in target
        ? Reflect.get(target, verb)
        : (fields?: unknown, asking?: Asking) => link.call(`${path}/${verb}`, verb, fields, asking),
  });
}

class Link {
  readonly #url: string;
  readonly #headers: Record<string, string>;
  readonly #fetch: typeof fetch;

  constructor(url: string, options: Options) {
    this.#url = url;
    this.#headers = options.key === undefined ? {} : { Authorization: `Bearer ${options.key}` };
    this.#fetch = options.fetch ?? fetch;
  }

  /** A verb's answer. A write that is done once for its key is asked for again where the connection broke. */
  async call(path: string, verb: string, fields: unknown, asking: Asking = {}): Promise<unknown> {
    const isRepeatable = REPEATABLE.has(verb);
    const key = asking.idempotencyKey ?? (isRepeatable ? crypto.randomUUID() : undefined);
    const init = { headers: key === undefined ? {} : { "Idempotency-Key": key }, ...(asking.signal && { signal: asking.signal }) };
    const body = JSON.stringify(fields ?? {});
    try {
      return await (await this.asked(path, body, init)).json();
    } catch (error) {
      if (!(isRepeatable && error instanceof Unreachable)) throw error;
    }
    return (await this.asked(path, body, init)).json();
  }

  async *events(path: string, fields: unknown, asking: Asking = {}): AsyncGenerator<Event> {
    const headers = { Accept: "text/event-stream", ...(asking.idempotencyKey && { "Idempotency-Key": asking.idempotencyKey }) };
    const answer = await this.asked(path, JSON.stringify(fields ?? {}), { headers, ...(asking.signal && { signal: asking.signal }) });
    let text = "";
    for await (const chunk of answer.body!.pipeThrough(new TextDecoderStream())) {
      text += chunk;
      const whole = text.split("\n\n");
      text = whole.pop()!;
      for (const one of whole) {
        const [kind, data] = one.split("\n").map((line) => line.slice(line.indexOf(": ") + 2));
        const value = JSON.parse(data!);
        if (kind === "error") throw new LociError(value);
        yield { kind: kind as Event["kind"], value };
      }
    }
  }

  async asked(path: string, body: BodyInit, init: RequestInit): Promise<Response> {
    let answer: Response;
    try {
      answer = await this.#fetch(this.#url + path, {
        ...init,
        method: "POST",
        redirect: "error", // what was said is for this server alone
        body,
        headers: { "Content-Type": "application/json", ...this.#headers, ...(init.headers as Record<string, string>) },
      });
    } catch (error) {
      if (init.signal?.aborted) throw error;
      throw new Unreachable(`${this.#url} did not answer. Is \`loci serve\` running there?`, { cause: error });
    }
    if (answer.ok) return answer;
    const told = await answer.json().catch(() => undefined);
    if (typeof told?.code !== "string") throw new Unreachable(`What answered with ${answer.status} is no \`loci serve\`.`);
    throw new LociError(told);
  }
}
