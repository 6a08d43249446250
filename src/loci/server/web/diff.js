// What changed between two texts, by words: the longest common subsequence.

const MOST = 1500; // words of each, beyond which all of it counts as changed

// Two lists of [text, is it changed], one for each text.
export function compared(before, after) {
  const a = cut(before), b = cut(after);
  if (a.length > MOST || b.length > MOST) return [[[before, true]], [[after, true]]];
  const width = b.length + 1, lengths = new Uint16Array((a.length + 1) * width);
  for (let i = a.length - 1; i >= 0; i -= 1) {
    for (let j = b.length - 1; j >= 0; j -= 1) {
      lengths[i * width + j] = a[i] === b[j] ? lengths[(i + 1) * width + j + 1] + 1 : Math.max(lengths[(i + 1) * width + j], lengths[i * width + j + 1]);
    }
  }
  const left = [], right = [];
  let i = 0, j = 0;
  while (i < a.length || j < b.length) {
    if (i < a.length && j < b.length && a[i] === b[j]) {
      push(left, a[i], false);
      push(right, b[j], false);
      i += 1;
      j += 1;
    } else if (j >= b.length || (i < a.length && lengths[(i + 1) * width + j] >= lengths[i * width + j + 1])) push(left, a[i++], true);
    else push(right, b[j++], true);
  }
  return [left, right];
}

const cut = (text) => text.match(/\s+|[\p{L}\p{N}_]+|[^\s\p{L}\p{N}_]/gu) ?? [];

function push(pieces, text, isChanged) {
  const last = pieces.at(-1);
  if (last && last[1] === isChanged) last[0] += text;
  else pieces.push([text, isChanged]);
}

// A text in pieces, those inside of any span marked. Spans count characters as Python does: code points, not halves of them.
export function marked(text, spans) {
  const points = Array.from(text), is = new Uint8Array(points.length);
  for (const { start, end } of spans) is.fill(1, start, end);
  const pieces = [];
  points.forEach((point, place) => push(pieces, point, is[place] === 1));
  return pieces;
}

// A text in pieces, the words that begin as one of these marked.
export function found(text, terms) {
  const stems = terms.filter((term) => term.length > 1).map((term) => term.toLowerCase()).map((term) => (term.length > 4 ? term.slice(0, -1) : term));
  const is = (word) => stems.some((stem) => word.startsWith(stem) && word.length - stem.length <= 3);
  return (text.match(/[\p{L}\p{N}]+|[^\p{L}\p{N}]+/gu) ?? []).map((word) => [word, is(word.toLowerCase())]);
}
