/** What a strip of the map shows of a stretch of memory: pieces, each as wide as it is, but at least to be seen. */

/** @import { Family, Held, Plan, PlanNode, Range, Region } from "./data.js" */
/** @import { State } from "./film.js" */

import { firstBehind, holding } from "./film.js";
import { counted, rounded, span } from "./text.js";

/** A stretch of addresses that is in view.  @typedef {{low: number, high: number}} View */
/**
 * One or several nodes that are shown as one, or what belongs to none.
 * @typedef {{nodes: PlanNode[], ranges: Range[], label: string, word: string, why: string}} Lane
 */
/**
 * Something that can be pointed at.  `held` are the reserved ranges in it; free memory has none.
 * @typedef {{left: number, width: number, start: number, end: number, css: string, letter: string, held: Held[],
 *   fresh: boolean, memory: Region | null, label: string}} Piece
 */
/** From where to where something goes, in pixels.  @typedef {{left: number, right: number}} Stretch */
/** What lies behind the pieces: for each class of the style the stretches that have it, upwards.  @typedef {Record<string, Stretch[]>} Ground */
/** @typedef {{pieces: Piece[], ground: Ground}} Drawn */

/** The flag of memory that the kernel takes for hot-pluggable. */
export const HOTPLUG = 1;
/** So narrow, in pixels, are pieces put together with a neighbour that touches them. */
const NARROW = 2;
const LEAST = 1.5;
/** Free memory that is narrower, in pixels, can't be pointed at; it is seen all the same. */
const POINTED = 4;
/** Stretches that are nearer to each other, in pixels, look like one. */
const APART = 0.5;
/** The most lanes that are shown at once. */
const LANES = 12;

/**
 * The lanes of what is in view: a lane a node, or several nodes together where there are many.
 * @param {PlanNode[]} nodes upwards
 * @param {Range[]} outside what belongs to no node
 * @param {View} view
 * @returns {Lane[]}
 */
export function lanes(nodes, outside, view) {
  const met = (/** @type {Range} */ range) => range.start < view.high && range.end > view.low;
  const seen = nodes.filter((node) => node.ranges.some(met));
  const together = Math.ceil(seen.length / LANES);
  /** @type {Lane[]} */
  const made = [];
  for (let at = 0; at < seen.length; at += together) made.push(laneOf(seen.slice(at, at + together)));
  if (outside.some(met)) made.push({ nodes: [], ranges: outside, label: "outside all nodes", word: "", why: "" });
  return made;
}

/**
 * @param {PlanNode[]} nodes
 * @returns {Lane}
 */
function laneOf(nodes) {
  const ranges = nodes.flatMap((node) => node.ranges).sort((one, other) => one.start - other.start);
  const size = rounded(ranges.reduce((sum, range) => sum + range.end - range.start, 0));
  const [first, last] = [nodes[0], nodes[nodes.length - 1]];
  const name = nodes.length === 1 ? `node ${first.node}` : `nodes ${first.node}-${last.node}`;
  const words = new Set(nodes.map((node) => node.word));
  const word = words.size === 1 ? first.word : "different verdicts";
  return { nodes, ranges, label: `${name}, ${size}`, word, why: words.size === 1 ? first.why : "" };
}

/**
 * What lies between and behind the nodes' ranges, as far as anything of a film ever was there.
 * @param {PlanNode[]} nodes
 * @param {State[]} states
 * @returns {Range[]}
 */
export function outsideOf(nodes, states) {
  const known = nodes.flatMap((node) => node.ranges).sort((one, other) => one.start - other.start);
  /** @type {Map<number, Range>} */
  const found = new Map();
  const seen = new Set();
  for (const { memory, held } of states)
    for (const list of [memory, held]) {
      if (seen.has(list)) continue;
      seen.add(list);
      for (const piece of list)
        for (const gap of without(piece, known)) {
          const before = found.get(gap.start);
          if (!before || before.end < gap.end) found.set(gap.start, gap);
        }
    }
  return joined([...found.values()].sort((one, other) => one.start - other.start));
}

/**
 * Sorted ranges, those that touch or overlap as one.
 * @param {Range[]} ranges
 */
function joined(ranges) {
  /** @type {Range[]} */
  const made = [];
  for (const range of ranges) {
    const last = made[made.length - 1];
    if (last && range.start <= last.end) last.end = Math.max(last.end, range.end);
    else made.push({ start: range.start, end: range.end });
  }
  return made;
}

/**
 * The parts of a range that none of the sorted `others` has.
 * @param {Range} range
 * @param {Range[]} others
 * @returns {Range[]}
 */
function without(range, others) {
  /** @type {Range[]} */
  const left = [];
  let low = range.start;
  for (let at = firstBehind(others, low); at < others.length && others[at].start < range.end; at += 1) {
    if (low < others[at].start) left.push({ start: low, end: others[at].start });
    low = Math.max(low, others[at].end);
  }
  if (low < range.end) left.push({ start: low, end: range.end });
  return left;
}

/**
 * The parts of the sorted `others` within a range.
 * @template {Range} T
 * @param {Range} range
 * @param {T[]} others
 * @returns {{start: number, end: number, of: T}[]}
 */
function within(range, others) {
  const found = [];
  for (let at = firstBehind(others, range.start); at < others.length && others[at].start < range.end; at += 1)
    found.push({
      start: Math.max(range.start, others[at].start),
      end: Math.min(range.end, others[at].end),
      of: others[at],
    });
  return found;
}

/**
 * What a lane shows.
 * @param {State} state
 * @param {Plan} plan
 * @param {Family[]} families
 * @param {Lane} lane
 * @param {View} view
 * @param {number} width of the strip, in pixels
 * @returns {Drawn}
 */
export function drawn(state, plan, families, lane, view, width) {
  const scale = width / (view.high - view.low);
  const { fresh } = state;
  const place = (/** @type {Range} */ part) => {
    const left = Math.max(0, (part.start - view.low) * scale);
    return { left, width: Math.max(LEAST, Math.min(width, (part.end - view.low) * scale) - left) };
  };
  /** @type {Drawn} */
  const made = { pieces: [], ground: { ram: [], movable: [], hot: [] } };
  const seen = { start: view.low, end: view.high };
  for (const { start, end } of within(seen, lane.ranges)) {
    const range = { start, end };
    for (const part of within(range, state.memory)) {
      cover(made.ground.ram, place(part));
      if (part.of.flags & HOTPLUG) cover(made.ground.hot, place(part));
      for (const cut of state.last ? cuts(part, plan.movable) : [{ ...part, movable: false }]) {
        if (cut.movable) cover(made.ground.movable, place(cut));
        for (const free of without(cut, state.held)) {
          if ((free.end - free.start) * scale < POINTED) continue;
          made.pieces.push(freePiece(state, plan, lane, free, place(free), part.of, cut.movable));
        }
      }
    }
    for (const part of within(range, state.held)) {
      const at = place(part);
      const last = made.pieces[made.pieces.length - 1];
      if (last && last.held.length && at.width < NARROW && last.width < NARROW * 2 && at.left < last.left + last.width) {
        last.held.push(part.of);
        last.end = part.end;
        last.width = Math.max(last.width, at.left + at.width - last.left);
        last.fresh = last.fresh || fresh.has(part.of);
        continue;
      }
      const memory = holding(state.memory, part.start) ?? null;
      made.pieces.push({ ...at, start: part.start, end: part.end, css: "", letter: "", held: [part.of], label: "", memory, fresh: fresh.has(part.of) });
    }
  }
  for (const piece of made.pieces) if (piece.held.length) named(piece, families);
  made.pieces.sort((one, other) => one.start - other.start || one.end - other.end);
  return made;
}

/**
 * Adds a stretch to others, upwards; one that can't be told from the last makes that one longer.
 * @param {Stretch[]} stretches
 * @param {{left: number, width: number}} at
 */
export function cover(stretches, { left, width }) {
  const last = stretches[stretches.length - 1];
  if (last && left - last.right < APART) last.right = Math.max(last.right, left + width);
  else stretches.push({ left, right: left + width });
}

/**
 * A range cut where it begins or ceases to be movable.
 * @param {Range} range
 * @param {Range[]} movable
 */
function cuts(range, movable) {
  return [
    ...within(range, movable).map(({ start, end }) => ({ start, end, movable: true })),
    ...without(range, movable).map(({ start, end }) => ({ start, end, movable: false })),
  ];
}

/**
 * @param {State} state
 * @param {Plan} plan
 * @param {Lane} lane
 * @param {Range} free
 * @param {{left: number, width: number}} at
 * @param {Region} memory
 * @param {boolean} movable
 * @returns {Piece}
 */
function freePiece(state, plan, lane, free, at, memory, movable) {
  const marked = memory.flags & HOTPLUG ? ", marked hot-pluggable" : "";
  const fate = state.last && plan.movable.length + lane.nodes.length ? (movable ? ", can be removed" : ", stays") : marked;
  const label = `free${fate}: ${rounded(free.end - free.start)}, ${span(free)}`;
  return { ...at, start: free.start, end: free.end, css: "free", letter: "", held: [], fresh: false, memory, label };
}

/**
 * Gives a piece its colour, letter and name: those of its one owner, or of the family that has most of it.
 * @param {Piece} piece
 * @param {Family[]} families
 */
function named(piece, families) {
  /** @type {Map<number, number>} */
  const sizes = new Map();
  for (const own of piece.held) {
    const family = own.claim.owner.family;
    sizes.set(family, (sizes.get(family) ?? 0) + own.end - own.start);
  }
  const [most] = [...sizes].sort((one, other) => other[1] - one[1])[0];
  const family = families[most];
  piece.css = family.css;
  piece.letter = family.letter;
  const owners = [...new Set(piece.held.map((own) => own.claim.owner.name))];
  const size = rounded(piece.held.reduce((sum, own) => sum + own.end - own.start, 0));
  const names = owners.length > 3 ? `${owners.slice(0, 3).join(", ")} and others` : owners.join(", ");
  const where = span(piece.held.length === 1 ? piece.held[0] : piece);
  piece.label =
    piece.held.length === 1 ? `${names}: ${size}, ${where}` : `${counted(piece.held.length, "range")}: ${names}, ${size}, ${where}`;
}
