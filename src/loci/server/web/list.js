// A list of any length: only the rows in sight are there, and pages of it come as they are scrolled to.

import { at, chip, day, h, number } from "./dom.js";

const ROW = 68, AROUND = 6, PAGE = 60, HIGHEST = 8_000_000; // pixels that browsers can scroll

// `page(offset, limit)` answers with memories in the order they were remembered; the newest are shown first.
export function memories(total, page, signal) {
  const pages = new Map();
  const full = total * ROW, tall = Math.min(full, HIGHEST);
  const rows = h("ul", { class: "rows", "aria-label": `${number(total)} memories` });
  const room = h("div", { class: "room", style: { height: `${tall}px` } }, rows);
  const list = h("div", { class: "list", tabindex: "0", role: "region", "aria-label": "Memories, the newest first" }, room);
  let active = 0, isWanted = false;

  const height = () => list.clientHeight || 480;
  const virtual = () => (tall > height() ? (list.scrollTop / (tall - height())) * (full - height()) : 0);

  function draw() {
    const top = virtual();
    const first = Math.max(0, Math.floor(top / ROW) - AROUND), last = Math.min(total, Math.ceil((top + height()) / ROW) + AROUND);
    const focused = rows.contains(document.activeElement);
    const made = [];
    for (let place = first; place < last; place += 1) made.push(row(place, pages.get(Math.floor(place / PAGE))?.[place % PAGE], list.scrollTop + place * ROW - top));
    rows.replaceChildren(...made);
    for (let number = Math.floor(first / PAGE); number <= Math.floor(Math.max(last - 1, 0) / PAGE); number += 1) need(number);
    if (focused || isWanted) {
      const link = rows.querySelector(`[data-place="${active}"] a`);
      isWanted = !link; // it comes with its page
      (link ?? list).focus({ preventScroll: true });
    }
  }

  function need(number) {
    if (pages.has(number) || !total) return;
    pages.set(number, null);
    const end = total - number * PAGE, begin = Math.max(0, end - PAGE);
    page(begin, end - begin).then((found) => { pages.set(number, found.reverse()); draw(); }, (error) => {
      pages.delete(number);
      if (!signal.aborted) list.dispatchEvent(new CustomEvent("failed", { detail: error }));
    });
  }

  function row(place, memory, top) {
    const spot = { class: "row", "data-place": place, "aria-setsize": total, "aria-posinset": place + 1, style: { transform: `translateY(${top}px)` } };
    if (!memory) return h("li", { ...spot, class: "row waiting" }, h("span", { class: "unseen" }, "…"));
    return h("li", spot, h("a", { href: at(memory.id), focus: () => { active = place; } }, h("span", { class: "said" }, memory.text),
      h("span", { class: "by" }, h("span", { class: "whose" }, [memory.at && day(memory.at), memory.speaker].filter(Boolean).join(" · ")), chip(memory.type), memory.state !== "generated" && memory.state !== "activated" && chip(memory.state, "quiet"), memory.origin.trust !== "trusted" && chip(memory.origin.trust, "warn"))));
  }

  function go(place) {
    active = Math.max(0, Math.min(total - 1, place));
    const top = virtual(), above = active * ROW, below = above + ROW;
    const wanted = above < top ? above : below > top + height() ? below - height() : top;
    if (wanted !== top) list.scrollTop = full > height() ? (wanted / (full - height())) * (tall - height()) : 0;
    isWanted = true;
    draw();
  }

  list.addEventListener("keydown", (event) => {
    const step = { ArrowDown: 1, ArrowUp: -1, PageDown: Math.floor(height() / ROW), PageUp: -Math.floor(height() / ROW) }[event.key];
    if (step === undefined && event.key !== "Home" && event.key !== "End") return;
    event.preventDefault();
    const isIn = rows.contains(document.activeElement);
    go(event.key === "Home" ? 0 : event.key === "End" ? total - 1 : isIn || isWanted ? active + step : Math.ceil(virtual() / ROW));
  });
  let waits = false;
  list.addEventListener("scroll", () => {
    if (waits) return;
    waits = true;
    requestAnimationFrame(() => { waits = false; draw(); });
  }, { passive: true });
  new ResizeObserver(draw).observe(list);
  return list;
}
