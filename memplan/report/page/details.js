/** What is known of the chosen place: whose it is, since which step, why there and not elsewhere, what would move it. */

/** @import { Change, Held, LookedAt, Plan, Range } from "./data.js" */
/** @import { Track, Choice } from "./map.js" */

import { byId, counted, el, exact, firstByte, lastByte, link, rounded, span } from "./text.js";

/** So many ranges of one piece are told one by one. */
const TOLD = 12;

export class Details {
  /** @param {Track[]} tracks */
  constructor(tracks) {
    this.tracks = tracks;
    this.panel = byId("details");
    this.panel.hidden = false;
    set(this.panel, [el("p", { class: "note" }, "Choose a piece of the map to see whose it is, and why it lies there.")]);
  }

  /** @param {Choice} choice */
  show({ piece, lane, track }) {
    const { plan } = this.tracks[track];
    const label = this.tracks.length > 1 ? `, ${plan.label}` : "";
    if (!piece.held.length) {
      set(this.panel, [
        el("h3", {}, `Free memory${label}`),
        facts([
          ["range", `[mem ${span(piece)}]`],
          ["size", rounded(piece.end - piece.start)],
          ["where", lane.label],
          ["verdict", lane.word],
          ["why", lane.why],
        ]),
      ]);
      return;
    }
    if (piece.held.length > 1) {
      const rows = piece.held.slice(0, TOLD).map((own) => {
        const name = `${own.claim.owner.name}, ${exact(own.end - own.start)}`;
        return el("li", {}, link(firstByte(own), { at: firstByte(own) }), ` ${name}`);
      });
      if (piece.held.length > TOLD) rows.push(el("li", {}, `and ${piece.held.length - TOLD} more`));
      set(this.panel, [
        el("h3", {}, `${counted(piece.held.length, "range")} too small to tell apart at this scale${label}`),
        el("ul", {}, ...rows),
      ]);
      return;
    }
    this.one(piece.held[0], plan, lane.label, label);
  }

  /**
   * @param {Held} held
   * @param {Plan} plan
   * @param {string} where
   * @param {string} label
   */
  one(held, plan, where, label) {
    const { owner, frame, beforeSrat } = held.claim;
    const step = plan.frames[frame];
    const title = el("h3", {}, owner.name, label);
    /** @type {[string, string][]} */
    const place = [
      ["range", `[mem ${firstByte(held)}-${lastByte(held)}]`],
      ["size", exact(held.end - held.start)],
      ["where", where],
    ];
    if (step?.later) {
      set(this.panel, [
        title,
        facts([
          ...place,
          ["since", el("span", {}, link("a step after boot", { step: step.step }), `: ${step.what}`)],
          ["can go again, in the end", owner.remedy],
        ]),
      ]);
      return;
    }
    const made = step && step.changes.find((change) => change.op === "reserve" && covers(change, held));
    const when = beforeSrat ? "before the SRAT was read" : "after the SRAT was read";
    set(this.panel, [
      title,
      facts([
        ...place,
        ["since", step ? el("span", {}, link(step.step, { step: step.step }), ` (${step.source}), ${when}`) : when],
        ["what would move it", owner.remedy],
        ["asked for", made?.asked ? made.asked.replace(/:$/, "") : "nothing: the place was given, not searched for"],
      ]),
      made ? searchOf(made, plan) : null,
    ]);
  }
}

/**
 * @param {HTMLElement} panel
 * @param {(Node | null)[]} children
 */
function set(panel, children) {
  panel.replaceChildren(...children.filter((child) => child !== null));
}

/**
 * @param {Range} outer
 * @param {Range} inner
 */
function covers(outer, inner) {
  return outer.start <= inner.start && inner.end <= outer.end;
}

/** @param {[string, string | Node][]} pairs */
function facts(pairs) {
  return el("dl", {}, ...pairs.filter(([, value]) => value).flatMap(([name, value]) => [el("dt", {}, name), el("dd", {}, value)]));
}

/**
 * How an allocation found its place, as a table.
 * @param {Change} change
 * @param {Plan} plan
 */
export function searchOf(change, plan) {
  if (!change.asked) return null;
  if (!change.search.length) {
    const left = plan.searchesLeftOut ? "the search is not kept in this page: memplan explain tells it" : "";
    return left ? el("p", { class: "note" }, left) : null;
  }
  const row = (/** @type {LookedAt} */ seen) => {
    const { range } = seen;
    const cells = range
      ? [link(firstByte(range), { at: firstByte(range) }), lastByte(range), rounded(range.end - range.start), seen.node < 0 ? "-" : String(seen.node), seen.became]
      : ["…", "…", "", "", `${seen.count} more: ${seen.became}`];
    return el("tr", {}, el("td", { class: "right" }, String(seen.attempt)), ...cells.map((cell, at) => el("td", { class: at === 2 || at === 3 ? "right" : null }, cell)));
  };
  const heads = ["try", "free from", "to", "size", "node", "what became of it"];
  return el(
    "div",
    { class: "scroll", tabindex: 0, role: "group", "aria-label": "The free ranges that memblock looked at" },
    el(
      "table",
      {},
      el("caption", {}, "The free ranges that memblock looked at, in order"),
      el("thead", {}, el("tr", {}, ...heads.map((head, at) => el("th", { scope: "col", class: [0, 3, 4].includes(at) ? "right" : null }, head)))),
      el("tbody", {}, ...change.search.map(row)),
    ),
  );
}
