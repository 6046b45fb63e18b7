/** A step: what it does, what it changed, and both of memblock's arrays after it. */

/** @import { Change, Region } from "./data.js" */
/** @import { State } from "./film.js" */
/** @import { Track } from "./map.js" */

import { searchOf } from "./details.js";
import { stillness, total } from "./film.js";
import { answer } from "./player.js";
import { byId, counted, el, exact, firstByte, lastByte, link, rounded } from "./text.js";

/** So many rows of a list are shown at first, and so many more each time. */
const ROWS = 60;
const SIGNS = { add: "+", reserve: "+", remove: "−", free: "−", refused: "×", mark: "•" };
const NAMES = { add: "memory added", reserve: "reserved", remove: "memory removed", free: "freed", refused: "no room", mark: "marked" };

export class Arrays {
  /**
   * @param {Track[]} tracks
   * @param {string[]} flags memblock's flags in words, by their bits
   */
  constructor(tracks, flags) {
    this.tracks = tracks;
    this.flags = flags;
    this.panel = el("div", { id: "step" });
    byId("details").after(this.panel);
    /** Which of the lists are open. @type {Set<string>} */
    this.open = new Set(["changes"]);
  }

  show() {
    this.panel.replaceChildren(...this.tracks.map((track) => this.track(track)));
  }

  /** @param {Track} track */
  track(track) {
    const { plan, state } = track;
    const { frame } = state;
    const { later } = frame;
    if (track.still) return el("section", { class: "step", "aria-label": `Step ${plan.label}` }, el("h3", {}, plan.label), el("p", { class: "note" }, stillness(track)));
    const title = later ? `After boot: ${frame.what}` : frame.step;
    const name = this.tracks.length > 1 ? `${plan.label}: ${title}` : title;
    const said = frame.said.map((text) => el("li", {}, text));
    if (frame.unsaid) said.push(el("li", {}, `and ${counted(frame.unsaid, "more line")}`));
    if (later)
      return el(
        "section",
        { class: "step", "aria-label": `Step ${name}` },
        el("h3", {}, name),
        el("p", {}, `${answer(later.accepted)}${later.why ? `: ${later.why}` : ""}; MemTotal ${later.total}`),
        said.length ? this.list("said", `What the kernel says: ${counted(frame.said.length + frame.unsaid, "line")}`, () => el("ul", { class: "said" }, ...said)) : null,
        this.list("blocks", "Memory blocks after it", () => rows(later.blocks, blockRow, ["blocks", "node", "state", "zones"])),
      );
    return el(
      "section",
      { class: "step", "aria-label": `Step ${name}` },
      el("h3", {}, name, el("small", {}, ` ${frame.source}`)),
      el("p", {}, frame.what),
      frame.changes.length === 0
        ? el("p", { class: "note" }, "This step changes nothing in memory.")
        : this.list("changes", `What this step did: ${did(frame.changes)}`, () => rows(frame.changes, (change) => changeRow(change, state, plan), ["", "what", "from", "to", "size", "owner", "called by"])),
      said.length ? this.list("said", `What the kernel says: ${counted(frame.said.length + frame.unsaid, "line")}`, () => el("ul", { class: "said" }, ...said)) : null,
      this.list("memory", `memblock.memory after it: ${array(state.memory)}`, () => regions(state.memory, frame.memory.come, this.flags)),
      this.list("reserved", `memblock.reserved after it: ${array(state.reserved)}`, () => regions(state.reserved, frame.reserved.come, this.flags)),
    );
  }

  /**
   * A list that is made when it is opened.
   * @param {string} key
   * @param {string} title
   * @param {() => Node} make
   */
  list(key, title, make) {
    const body = el("div", {});
    const made = el("details", { open: this.open.has(key) }, el("summary", {}, title), body);
    const fill = () => {
      if (made.open && !body.firstChild) body.append(make());
    };
    made.addEventListener("toggle", () => {
      if (made.open) this.open.add(key);
      else this.open.delete(key);
      fill();
    });
    fill();
    return made;
  }
}

/** @param {string[]} cells */
function blockRow(cells) {
  return el("tr", {}, ...cells.map((cell, at) => el("td", { class: at === 1 ? "right" : null }, cell)));
}

/** @param {Region[]} all */
function array(all) {
  return `${counted(all.length, "region")}, ${rounded(total(all))}`;
}

/** @param {Change[]} changes */
function did(changes) {
  const bytes = (/** @type {string} */ op) => total(changes.filter((change) => change.op === op));
  const parts = Object.entries(NAMES)
    .map(([op, name]) => ({ name, count: changes.filter((change) => change.op === op).length, size: bytes(op) }))
    .filter(({ count }) => count)
    .map(({ name, count, size }) => `${name} ${count} × (${rounded(size)})`);
  return parts.join(", ");
}

/**
 * @param {Change} change
 * @param {State} state
 * @param {import("./data.js").Plan} plan
 */
function changeRow(change, state, plan) {
  const op = /** @type {keyof typeof NAMES} */ (change.op);
  const size = change.end - change.start;
  const each = change.count > 1 ? ` (${change.count} × ${exact(size / change.count)})` : "";
  const place = op === "refused" ? ["-", "-", "-"] : [link(firstByte(change), { step: state.frame.step, at: firstByte(change) }), lastByte(change), exact(size) + each];
  const owner = change.owner ? change.owner.name : change.asked;
  const search = searchOf(change, plan);
  const how = change.asked && search ? el("details", {}, el("summary", {}, "how"), el("p", {}, change.asked), search) : null;
  return el(
    "tr",
    { class: `op-${op}` },
    el("td", { "aria-hidden": "true" }, SIGNS[op]),
    el("td", {}, NAMES[op]),
    el("td", {}, place[0]),
    el("td", {}, place[1]),
    el("td", { class: "right" }, place[2]),
    el("td", {}, owner, how),
    el("td", {}, change.caller),
  );
}

/**
 * @param {Region[]} all
 * @param {Region[]} come
 * @param {string[]} flags
 */
function regions(all, come, flags) {
  const fresh = new Set(come);
  const row = (/** @type {Region} */ region) =>
    el(
      "tr",
      { class: fresh.has(region) ? "op-reserve" : null },
      el("td", {}, fresh.has(region) ? "+" : ""),
      el("td", {}, link(firstByte(region), { at: firstByte(region) })),
      el("td", {}, lastByte(region)),
      el("td", { class: "right" }, exact(region.end - region.start)),
      el("td", { class: "right" }, region.node < 0 ? "-" : String(region.node)),
      el("td", {}, flags.filter((_, bit) => region.flags & (1 << bit)).join(", ")),
    );
  return rows(all, row, ["", "from", "to", "size", "node", "flags"]);
}

/**
 * A table of the first rows, and a button for more.
 * @template T
 * @param {T[]} items
 * @param {(item: T) => HTMLTableRowElement} row
 * @param {string[]} heads
 */
function rows(items, row, heads) {
  if (!items.length) return el("p", { class: "note" }, "nothing");
  const body = el("tbody", {});
  const more = el("button", { type: "button", class: "more" });
  const add = () => {
    const shown = body.rows.length;
    body.append(...items.slice(shown, shown + ROWS).map(row));
    const left = items.length - body.rows.length;
    more.hidden = !left;
    more.textContent = `Show more: ${counted(left, "row")} left`;
  };
  more.addEventListener("click", add);
  add();
  const right = ["size", "node"];
  const head = heads.map((name) => (name ? el("th", { scope: "col", class: right.includes(name) ? "right" : null }, name) : el("td", {})));
  return el("div", {}, el("div", { class: "scroll", tabindex: 0, role: "group", "aria-label": "Rows" }, el("table", {}, el("thead", {}, el("tr", {}, ...head)), body)), more);
}
