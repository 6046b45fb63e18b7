/**
 * Reads the data that the page carries.
 *
 * Ranges are half-open in bytes.  A number that would be rounded (from 2^53 on) comes as hexadecimal text; its value here
 * is near enough to be drawn, and its text is kept to be shown.
 */

/**
 * An edge of a range: its value, and its exact text where the value is rounded.
 * @typedef {{start: number, end: number, startText?: string, endText?: string}} Range
 */

/** @typedef {Range & {node: number, flags: number}} Region a region of one of memblock's arrays; node -1 is none */
/** @typedef {Range & {claim: Claim}} Held a reserved range and whose it is */
/** @typedef {{name: string, family: number, remedy: string}} Owner */
/** @typedef {{owner: Owner, frame: number, beforeSrat: boolean}} Claim */
/** @typedef {{attempt: number, range: Range | null, node: number, became: string, count: number}} LookedAt */
/**
 * @typedef {Range & {op: string, owner: Owner | null, caller: string, count: number, asked: string,
 *   search: LookedAt[]}} Change
 */
/** @template T @typedef {{gone: number[], come: T[]}} Delta */
/**
 * What a step after boot did: whether the kernel took it (null: not known), why, MemTotal after it as text, what is there
 * of added memory, and all memory blocks as sysfs shows them: numbers, node, state, zones.
 * @typedef {{accepted: boolean | null, why: string, total: string, pieces: Held[], blocks: string[][]}} Later
 */
/**
 * A step of the boot, or one after it, which has `later`.
 * @typedef {{step: string, source: string, what: string, up: boolean, beforeSrat: boolean, limit: number,
 *   changes: Change[], said: string[], unsaid: number, later: Later | null,
 *   memory: Delta<Region>, reserved: Delta<Region>, held: Delta<Held>}} Frame
 */
/** A node, with what is added to it after boot.  @typedef {{node: number, ranges: Range[], word: string, why: string}} PlanNode */
/**
 * @typedef {{label: string, kernel: string, blockSize: number, nodes: PlanNode[], movable: Range[], frames: Frame[],
 *   searchesLeftOut: number}} Plan
 */
/** @typedef {{name: string, letter: string, css: string}} Family */
/** A position of the slider: a step's name, and for each plan the index of its frame (-1: none yet).  @typedef {{name: string, frames: number[]}} Moment */
/** A range that lies elsewhere in the second plan.  @typedef {{owner: string, from: Range, to: Range}} Move */
/**
 * @typedef {{families: Family[], flags: string[], plans: Plan[], moments: Moment[], moves: Move[],
 *   rows: Record<string, string[][]>}} Scene
 */

/** What a step changes that changes nothing.  @type {Delta<any>} */
const UNCHANGED = { gone: [], come: [] };

/**
 * The document of that name; null where the page has none.
 * @param {string} id
 * @returns {Promise<any>}
 */
export async function carried(id) {
  const element = document.getElementById(id);
  if (!element) return null;
  const text = element.textContent ?? "";
  if (element.getAttribute("type") === "application/json") return JSON.parse(text);
  const bytes = Uint8Array.from(atob(text), (char) => char.charCodeAt(0));
  const unpacked = new Blob([bytes]).stream().pipeThrough(new DecompressionStream("gzip"));
  return new Response(unpacked).json();
}

/** @typedef {(from: number | string, size: number | string) => Range} Reader */

/**
 * Reads ranges that are told one after the other, each by its distance from the end of the one before and its size.
 * @returns {Reader}
 */
function places() {
  let last = 0;
  return (from, size) => {
    if (typeof from === "string" || typeof size === "string") {
      last = 0;
      return { start: Number(from), end: Number(size), startText: String(from), endText: lastByte(String(size)) };
    }
    const start = last + from;
    last = start + size;
    return { start, end: last };
  };
}

/**
 * The last byte of a range that ends before `end`, both as hexadecimal text.
 * @param {string} end
 */
function lastByte(end) {
  return "0x" + (BigInt(end) - 1n).toString(16);
}

/**
 * Rising numbers that are told by their distances.
 * @param {number[]} distances
 */
function rising(distances) {
  let last = 0;
  return distances.map((distance) => (last += distance));
}

/**
 * @template T
 * @param {any[]} flat
 * @param {number} width
 * @param {(row: any[], place: Reader) => T} make
 * @returns {T[]}
 */
function rows(flat, width, make) {
  const place = places();
  /** @type {T[]} */
  const made = [];
  for (let at = 0; at < flat.length; at += width) made.push(make(flat.slice(at, at + width), place));
  return made;
}

/**
 * @param {any[][]} pair
 * @returns {Delta<Region>}
 */
function regions([gone, come]) {
  const make = (/** @type {any[]} */ row, /** @type {Reader} */ place) => ({
    ...place(row[0], row[1]),
    node: row[2],
    flags: row[3],
  });
  return { gone: rising(gone), come: rows(come, 4, make) };
}

/**
 * The nodes with what is added to each after boot; a node that has nothing else comes last.
 * @param {PlanNode[]} nodes
 * @param {{node: number, ranges: Range[]}[]} added
 */
function withAdded(nodes, added) {
  const found = new Map(nodes.map((own) => [own.node, own]));
  for (const { node, ranges } of added) {
    const known = found.get(node);
    if (known) known.ranges.push(...ranges);
    else found.set(node, { node, ranges, word: "added after boot", why: "" });
  }
  return [...found.values()];
}

/**
 * @param {any} raw
 * @returns {Plan}
 */
function planOf(raw) {
  /** @type {Owner[]} */
  const owners = raw.owners.map((/** @type {any[]} */ own) => ({ name: own[0], family: own[1], remedy: own[2] }));
  /** @type {Claim[]} */
  const claims = raw.claims.map((/** @type {number[]} */ own) => ({
    owner: owners[own[0]],
    frame: own[1],
    beforeSrat: own[2] === 1,
  }));
  const text = (/** @type {number} */ index) => (index < 0 ? "" : raw.texts[index]);
  const search = (/** @type {any[][]} */ found) => {
    const place = places();
    return found.map((row) =>
      row.length === 3
        ? { attempt: row[0], range: null, node: -1, became: text(row[2]), count: row[1] }
        : { attempt: row[0], range: place(row[1], row[2]), node: row[3], became: text(row[4]), count: 1 },
    );
  };
  const change = (/** @type {any[]} */ row, /** @type {Reader} */ place) => ({
    op: row[0],
    ...place(row[1], row[2]),
    owner: row[3] < 0 ? null : owners[row[3]],
    caller: text(row[4]),
    count: row[5],
    asked: text(row[6]),
    search: row.length > 7 ? search(row[7]) : [],
  });
  const held = (/** @type {any[]} */ flat) => rows(flat, 3, (row, place) => ({ ...place(row[0], row[1]), claim: claims[row[2]] }));
  const frame = (/** @type {any} */ own) => {
    const place = places();
    return {
      step: own.step,
      source: own.source,
      what: own.what,
      up: own.up,
      beforeSrat: own.before_srat,
      limit: Number(own.limit),
      changes: own.events.map((/** @type {any[]} */ row) => change(row, place)),
      said: own.said,
      unsaid: own.unsaid,
      later: null,
      memory: regions(own.memory),
      reserved: regions(own.reserved),
      held: {
        gone: rising(own.held[0]),
        come: held(own.held[1]),
      },
    };
  };
  const ranges = (/** @type {any[]} */ flat) => rows(flat, 2, (row, place) => place(row[0], row[1]));
  /** @type {Frame[]} */
  const boot = raw.frames.map(frame);
  const after = raw.after.map((/** @type {any} */ own) => ({
    ...boot[boot.length - 1],
    step: own.step,
    source: "",
    what: own.what,
    changes: [],
    said: own.said,
    unsaid: own.unsaid,
    later: { accepted: own.accepted, why: own.why, total: own.total, pieces: held(own.held), blocks: own.blocks },
    memory: UNCHANGED,
    reserved: UNCHANGED,
    held: UNCHANGED,
  }));
  return {
    label: raw.label,
    kernel: raw.kernel,
    blockSize: raw.block_size,
    nodes: withAdded(
      raw.nodes.map((/** @type {any} */ own) => ({ ...own, ranges: ranges(own.ranges) })),
      raw.added.map((/** @type {any} */ own) => ({ node: own.node, ranges: ranges(own.ranges) })),
    ),
    movable: ranges(raw.movable),
    frames: [...boot, ...after],
    searchesLeftOut: raw.searches_left_out,
  };
}

/**
 * What the page shows.
 * @returns {Promise<Scene>}
 */
export async function scene() {
  const raw = await carried("film");
  const place = places();
  return {
    families: raw.families.map((/** @type {string[]} */ own) => ({ name: own[0], letter: own[1], css: own[2] })),
    flags: raw.flags,
    plans: raw.plans.map(planOf),
    moments: raw.moments.map((/** @type {[string, ...number[]]} */ [name, ...frames]) => ({ name, frames })),
    moves: raw.moves.map((/** @type {any[]} */ row) => ({ owner: row[0], from: place(row[1], row[2]), to: place(row[3], row[4]) })),
    rows: raw.rows,
  };
}
