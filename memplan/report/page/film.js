/** A plan's arrays after each of its steps, put together of what each step changed. */

/** @import { Delta, Frame, Held, Moment, Plan, Range, Region } from "./data.js" */
/** @import { Track } from "./map.js" */

/**
 * Both arrays after a step, and who has what; `fresh` is what came with it, `last` says that the boot is over.
 * @typedef {{frame: Frame, index: number, last: boolean, fresh: Set<Held>, memory: Region[], reserved: Region[], held: Held[]}} State
 */

/**
 * @template {Range} T
 * @param {T[]} old
 * @param {Delta<T>} delta
 * @returns {T[]}
 */
function changed(old, { gone, come }) {
  if (!gone.length && !come.length) return old;
  /** @type {T[]} */
  const made = [];
  let next = 0;
  let skip = 0;
  old.forEach((piece, index) => {
    if (gone[skip] === index) {
      skip += 1;
      return;
    }
    while (next < come.length && come[next].start < piece.start) made.push(come[next++]);
    made.push(piece);
  });
  while (next < come.length) made.push(come[next++]);
  return made;
}

/** Before the first step: no memory is known.  @type {State} */
const NOTHING = {
  frame: {
    step: "",
    source: "",
    what: "",
    up: false,
    beforeSrat: true,
    limit: Infinity,
    changes: [],
    said: [],
    unsaid: 0,
    memory: { gone: [], come: [] },
    reserved: { gone: [], come: [] },
    held: { gone: [], come: [] },
    later: null,
  },
  index: -1,
  last: false,
  fresh: new Set(),
  memory: [],
  reserved: [],
  held: [],
};

/**
 * The state of each track at a moment, and whether it stands still there, as its plan has no such step.
 * @param {Track[]} tracks
 * @param {Moment[]} moments
 * @param {number} moment
 */
export function show(tracks, moments, moment) {
  const { frames } = moments[moment];
  const before = moment ? moments[moment - 1].frames : [];
  tracks.forEach((track, number) => {
    track.state = track.states[frames[number]] ?? NOTHING;
    track.still = frames[number] < 0 || frames[number] === before[number];
  });
}

/**
 * What is to be said of a track that stands still.
 * @param {Track} track
 */
export function stillness({ state }) {
  if (state === NOTHING) return "nothing yet, as its boot begins with a later step";
  return `this step is not here; it stays as ${state.frame.later ? state.frame.what : state.frame.step} left it`;
}

/**
 * The states after each step; lists that a step leaves as they are, are shared.
 * @param {Plan} plan
 * @returns {State[]}
 */
export function states(plan) {
  /** @type {Region[]} */
  let memory = [];
  /** @type {Region[]} */
  let reserved = [];
  /** @type {Held[]} */
  let held = [];
  const boot = plan.frames.filter((frame) => !frame.later).length;
  /** What there was of added memory.  @type {Set<string>} */
  let known = new Set();
  return plan.frames.map((frame, index) => {
    memory = changed(memory, frame.memory);
    reserved = changed(reserved, frame.reserved);
    held = changed(held, frame.held);
    const state = { frame, index, last: index >= boot - 1, fresh: new Set(frame.held.come), memory, reserved, held };
    if (frame.later) {
      const { pieces } = frame.later;
      const names = pieces.map((own) => `${own.start} ${own.end} ${own.claim.owner.name}`);
      state.held = changed(held, { gone: [], come: pieces });
      state.fresh = new Set(pieces.filter((_, at) => !known.has(names[at])));
      known = new Set(names);
    }
    return state;
  });
}

/**
 * The bytes of all ranges.
 * @param {Range[]} ranges
 */
export function total(ranges) {
  return ranges.reduce((sum, range) => sum + range.end - range.start, 0);
}

/**
 * The index of the first of the sorted ranges that ends behind `address`.
 * @param {Range[]} ranges
 * @param {number} address
 */
export function firstBehind(ranges, address) {
  let low = 0;
  let high = ranges.length;
  while (low < high) {
    const middle = (low + high) >> 1;
    if (ranges[middle].end > address) high = middle;
    else low = middle + 1;
  }
  return low;
}

/**
 * The one of the sorted ranges that holds `address`.
 * @template {Range} T
 * @param {T[]} ranges
 * @param {number} address
 * @returns {T | undefined}
 */
export function holding(ranges, address) {
  const found = ranges[firstBehind(ranges, address)];
  return found && found.start <= address ? found : undefined;
}

/** Whether a step changed memory at all, or asked for it after boot.  @param {Frame} frame */
export function active(frame) {
  return frame.changes.length > 0 || frame.later !== null;
}
