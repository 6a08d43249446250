// The verbs. A key, where one is wanted, is kept for as long as this tab is open, and nowhere else.

const KEPT = "loci-key";
let asking = null;
let ask = () => Promise.reject(new Error("nobody can be asked"));

export class Problem extends Error {
  constructor(status, code, detail) {
    super(detail);
    this.status = status;
    this.code = code;
  }
}

export const isReading = document.documentElement.hasAttribute("data-reading"); // nothing here may be changed
export const onKeyWanted = (work) => { ask = work; };
export const hasKey = () => sessionStorage.getItem(KEPT) !== null;
export const dropKey = () => sessionStorage.removeItem(KEPT);

// What a verb answers. Raises Problem with the server's own words.
export async function call(path, fields = {}, signal = undefined) {
  for (;;) {
    const key = sessionStorage.getItem(KEPT);
    const headers = { "Content-Type": "application/json", ...(key === null ? {} : { Authorization: `Bearer ${key}` }) };
    const answer = await sent(`/api/${path}`, { method: "POST", headers, body: JSON.stringify(fields), signal, credentials: "omit", cache: "no-store" });
    if (answer.ok) return answer.json();
    const told = await answer.json().catch(() => ({}));
    if (answer.status !== 401) throw new Problem(answer.status, told.code ?? "internal", told.detail ?? `The server answered ${answer.status}.`);
    if (key === sessionStorage.getItem(KEPT)) await newKey(key === null ? "" : "That key is none of this vault's, or it is no longer good.");
  }
}

async function sent(address, request) {
  try {
    return await fetch(address, request);
  } catch (error) {
    if (error.name === "AbortError") throw error;
    throw new Problem(0, "unavailable", "The server does not answer. Is `loci serve` still running? Load the page again when it is.");
  }
}

// Several calls that find no key ask for it once.
function newKey(wrong) {
  asking ??= ask(wrong).then((key) => sessionStorage.setItem(KEPT, key)).finally(() => { asking = null; });
  return asking;
}
