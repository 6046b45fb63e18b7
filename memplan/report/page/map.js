/** The map: memory to scale, a strip a node; one place is chosen, and the view moves by wheel, keys, drag and pinch. */

/** @import { Family, Move, Plan, PlanNode, Range } from "./data.js" */
/** @import { State } from "./film.js" */
/** @import { Drawn, Lane, Piece, Stretch, View } from "./pieces.js" */

import { holding } from "./film.js";
import { cover, drawn, HOTPLUG, lanes, outsideOf } from "./pieces.js";
import { button, byId, el, hex, rounded, set, svg } from "./text.js";

/** A plan, its states, which of them is shown, and whether another plan's step is told there.  @typedef {{plan: Plan, states: State[], state: State, still: boolean}} Track */
/** @typedef {{piece: Piece, lane: Lane, track: number}} Choice */
/** @typedef {{piece: Piece, lane: number, track: number, shape: SVGGElement, top: number}} Spot */

const PAGE = 4096;
const STRIP = 30;
const LABEL = 20;
const GAP = 14;
const BETWEEN = 26;
/** How far a line between two plans goes straight down before it bends. */
const BEND = 12;
const AXIS = 22;
const OVERVIEW = 16;
/** So wide must a piece be, in pixels, for its letter. */
const LETTER = 12;
/** So wide, in pixels, for its hatching to be seen: as wide as the pattern. */
const HATCH = 7;
/** The width of a sheet between its margins. */
const PAPER = 680;
/** A wheel that has just scrolled the page does not begin to zoom. */
const SCROLLED = 350;

export class MemoryMap {
  /**
   * @param {Track[]} tracks one plan, or two to compare
   * @param {Family[]} families
   * @param {Move[]} moves
   * @param {(choice: Choice) => void} chosen told when a place is chosen
   */
  constructor(tracks, families, moves, chosen) {
    this.tracks = tracks;
    this.families = families;
    this.moves = moves;
    this.chosen = chosen;
    this.nodes = nodesOf(tracks.map((track) => track.plan));
    this.outside = outsideOf(this.nodes, tracks.flatMap((track) => track.states));
    const ends = [...this.nodes.flatMap((node) => node.ranges), ...this.outside].map((range) => range.end);
    /** @type {View} */
    this.all = { low: 0, high: Math.max(PAGE, ...ends) };
    /** @type {View} */
    this.view = { ...this.all };
    /** @type {Spot[]} */
    this.spots = [];
    /** The chosen place: an address and the lane's first node. @type {{address: number, node: number, track: number} | null} */
    this.choice = null;
    this.width = 0;
    /** All memory, small: it changes with the width alone. */
    this.overview = svg("g");
    this.pending = 0;
    this.scrolled = 0;
    const container = byId("map");
    this.tools = el("div", { class: "tools", role: "toolbar", "aria-label": "Map" });
    // Without a tabindex a browser may make the picture itself a stop, as it listens for the focus of its pieces.
    this.picture = svg("svg", { class: "picture", role: "group", "aria-label": "Memory to scale", tabindex: -1 });
    this.tip = el("div", { class: "tip", hidden: true, role: "presentation" });
    this.scale = el("p", { class: "note scale" });
    container.replaceChildren(
      this.tools,
      el("div", { class: "frame" }, this.picture, this.tip),
      this.scale,
      el(
        "p",
        { class: "note help" },
        "Wheel or pinch zooms, dragging moves. On the map: arrow keys go from piece to piece and from node to node, + and - zoom, Shift with an arrow moves, 0 shows all, Enter zooms to the piece.",
      ),
    );
    this.buildTools();
    this.listen(container);
    new ResizeObserver(() => this.resized()).observe(container);
    window.addEventListener("beforeprint", () => this.fit(PAPER));
    window.addEventListener("afterprint", () => this.resized());
    this.resized();
  }

  buildTools() {
    this.tools.append(
      button("+", "Zoom in", () => this.zoom(0.5)),
      button("−", "Zoom out", () => this.zoom(2)),
      button("All", "Show all memory", () => this.show(this.all)),
    );
    const pick = el("select", { "aria-label": "Show a node" }, el("option", { value: "" }, "node…"));
    for (const node of this.nodes) pick.append(el("option", { value: node.node }, `node ${node.node}`));
    pick.addEventListener("change", () => {
      const node = this.nodes.find((own) => String(own.node) === pick.value);
      if (node) this.show(spread(node.ranges));
      pick.value = "";
    });
    if (this.nodes.length > 1) this.tools.append(pick);
  }

  // -- the view ---------------------------------------------------------------------------------------------------

  /**
   * Shows these addresses, with a little room beside them.
   * @param {View} view
   */
  show(view) {
    const size = Math.max(PAGE, view.high - view.low);
    const middle = (view.low + view.high) / 2;
    this.setView(middle - size / 2, middle + size / 2);
  }

  /**
   * @param {number} low
   * @param {number} high
   */
  setView(low, high) {
    const size = Math.min(Math.max(high - low, PAGE), this.all.high);
    const start = Math.min(Math.max(0, low), this.all.high - size);
    this.view = { low: start, high: start + size };
    this.redraw();
  }

  /**
   * Zooms around an address: the middle of the view, or the chosen piece where that is in view.
   * @param {number} factor
   * @param {number} [address]
   */
  zoom(factor, address) {
    const { low, high } = this.view;
    let middle = address;
    if (middle === undefined) {
      const at = this.choice?.address ?? -1;
      middle = at >= low && at < high ? at : (low + high) / 2;
    }
    const size = Math.min(Math.max((high - low) * factor, PAGE), this.all.high);
    const part = (middle - low) / (high - low);
    this.setView(middle - size * part, middle + size * (1 - part));
  }

  /**
   * Moves the view by a part of its width.
   * @param {number} part
   */
  pan(part) {
    const { low, high } = this.view;
    const by = (high - low) * part;
    this.setView(low + by, high + by);
  }

  /**
   * Chooses the piece at an address, and shows it large enough to be told from its neighbours.
   * @param {number} address
   */
  goTo(address) {
    const track = this.tracks.find(({ state }) => state.held.some((own) => own.start <= address && address < own.end));
    const { state } = track ?? this.tracks[0];
    const held = state.held.find((own) => own.start <= address && address < own.end);
    const size = this.view.high - this.view.low;
    const own = held ? held.end - held.start : PAGE;
    const inView = address >= this.view.low && address < this.view.high && (own / size) * this.width >= LETTER;
    this.choice = { address, node: this.nodeAt(address), track: track ? this.tracks.indexOf(track) : 0 };
    if (!inView) this.show(around(held ?? { start: address, end: address + PAGE }, 16));
    this.draw();
    this.tell();
  }

  /** @param {number} address */
  nodeAt(address) {
    const found = this.nodes.find((node) => node.ranges.some((range) => range.start <= address && address < range.end));
    return found ? found.node : -1;
  }

  // -- drawing ----------------------------------------------------------------------------------------------------

  resized() {
    this.fit(Math.floor(byId("map").clientWidth));
  }

  /**
   * Draws anew where the width is another one.
   * @param {number} width in pixels; 0 while nothing is shown
   */
  fit(width) {
    if (!width || width === this.width) return;
    this.width = width;
    this.buildOverview();
    this.draw();
  }

  /** Draws each node at its place in all memory; neighbours are told apart by their shade. */
  buildOverview() {
    const whole = this.width / this.all.high;
    /** @type {[Stretch[], Stretch[]]} */
    const shades = [[], []];
    let right = -1;
    this.nodes.forEach((node, index) => {
      for (const range of node.ranges) {
        const left = range.start * whole;
        const end = Math.max(left + 1, range.end * whole);
        if (end <= right) continue;
        right = end;
        cover(shades[index % 2], { left, width: end - left });
      }
    });
    this.overview.replaceChildren(
      svg("rect", { class: "overview", x: 0, y: 2, width: this.width, height: OVERVIEW - 4 }),
      blocks("node", shades[0], 2, OVERVIEW - 4),
      blocks("node odd", shades[1], 2, OVERVIEW - 4),
    );
  }

  /** Draws in the next frame, once however often it is asked for. */
  redraw() {
    if (this.pending) return;
    this.pending = requestAnimationFrame(() => this.draw());
  }

  draw() {
    cancelAnimationFrame(this.pending);
    this.pending = 0;
    const focused = this.picture.contains(document.activeElement);
    const shown = lanes(this.nodes, this.outside, this.view);
    const body = document.createDocumentFragment();
    this.spots = [];
    /** The top of each lane's first strip. @type {number[]} */
    const tops = [];
    let top = OVERVIEW + AXIS;
    shown.forEach((lane, index) => {
      top += LABEL;
      const group = svg("g", { class: "lane", role: "group", "aria-label": laneName(lane) });
      group.append(svg("text", { x: 0, y: top - 6, class: "name" }, lane.label, word(lane)));
      tops.push(top);
      this.tracks.forEach((track, number) => {
        const strip = drawn(track.state, track.plan, this.families, lane, this.view, this.width);
        group.append(this.strip(strip, index, number, top));
        top += STRIP + (number < this.tracks.length - 1 ? BETWEEN : 0);
      });
      body.append(group);
      top += this.tracks.length > 1 ? GAP + LABEL / 2 : GAP;
    });
    // Behind the strips: a line between two of them does not seem to belong to one that it passes.
    if (this.moves.length) body.prepend(this.joins(shown, tops));
    body.prepend(this.ground(top));
    this.picture.replaceChildren(body);
    set(this.picture, { viewBox: `0 0 ${this.width} ${top}`, width: this.width, height: top });
    this.scale.textContent = `${hex(this.view.low)} to ${hex(this.view.high - 1)}: ${rounded(this.view.high - this.view.low)}, a pixel is ${rounded((this.view.high - this.view.low) / this.width)}`;
    this.markChoice(focused);
  }

  /**
   * The overview, the axis, and the line of the limit in force.
   * @param {number} height
   */
  ground(height) {
    const made = svg("g", { class: "ground", "aria-hidden": "true" });
    const whole = this.width / this.all.high;
    made.append(this.overview);
    const [from, to] = [this.view.low * whole, this.view.high * whole];
    made.append(svg("rect", { class: "window", x: from, y: 1, width: Math.max(3, to - from), height: OVERVIEW - 2 }));
    const scale = this.width / (this.view.high - this.view.low);
    for (const address of ticks(this.view, this.width)) {
      const x = (address - this.view.low) * scale;
      made.append(svg("line", { class: "tick", x1: x, x2: x, y1: OVERVIEW + AXIS - 4, y2: height - GAP }));
      const anchor = x < 30 ? "start" : x > this.width - 40 ? "end" : "middle";
      made.append(svg("text", { class: "axis", x: anchor === "start" ? 0 : x, y: OVERVIEW + AXIS - 7, "text-anchor": anchor }, tickName(address, this.view)));
    }
    for (const { state } of this.tracks) {
      const { limit } = state.frame;
      if (limit <= this.view.low || limit >= this.view.high) continue;
      const x = (limit - this.view.low) * scale;
      made.append(svg("line", { class: "limit", x1: x, x2: x, y1: OVERVIEW + AXIS, y2: height - GAP }));
    }
    return made;
  }

  /**
   * Lines from where ranges lie in the first plan to where they lie in the second, as far as both have them by now.
   * @param {Lane[]} shown
   * @param {number[]} tops
   */
  joins(shown, tops) {
    const made = svg("g", { class: "joins", "aria-hidden": "true" });
    const scale = this.width / (this.view.high - this.view.low);
    const spot = (/** @type {Range} */ range, /** @type {number} */ track) => {
      const { state } = this.tracks[track];
      const middle = (range.start + range.end) / 2;
      const lane = shown.findIndex((own) => own.ranges.some((part) => part.start <= middle && middle < part.end));
      const x = Math.round((middle - this.view.low) * scale);
      const held = holding(state.held, range.start);
      return lane < 0 || !held ? null : { x, lane, owner: held.claim.owner.name };
    };
    const seen = new Set();
    for (const { owner, from, to } of this.moves) {
      if (Math.max(from.end, to.end) < this.view.low || Math.min(from.start, to.start) > this.view.high) continue;
      const [left, right] = [spot(from, 0), spot(to, 1)];
      if (left?.owner !== owner || right?.owner !== owner) continue;
      const [y1, y2] = [tops[left.lane] + STRIP, tops[right.lane] + STRIP + BETWEEN];
      const path = `M${left.x} ${y1}C${left.x} ${y1 + BEND} ${right.x} ${y2 - BEND} ${right.x} ${y2}`;
      if (!seen.has(path)) made.append(svg("path", { d: path }, svg("title", {}, owner)));
      seen.add(path);
    }
    return made;
  }

  /**
   * @param {Drawn} strip
   * @param {number} index the lane's
   * @param {number} track
   * @param {number} top
   */
  strip(strip, index, track, top) {
    const made = svg("g", { class: "strip" });
    const label = this.tracks[track].plan.label;
    for (const [css, stretches] of Object.entries(strip.ground)) if (stretches.length) made.append(blocks(css, stretches, top, STRIP));
    for (const piece of strip.pieces) {
      const name = this.tracks.length > 1 ? `${label}: ${piece.label}` : piece.label;
      const shape = svg("g", { class: `piece ${piece.css}${piece.fresh ? " fresh" : ""}`, role: "button", tabindex: -1, "aria-label": name });
      shape.append(svg("rect", { x: piece.left, y: top, width: piece.width, height: STRIP }));
      if (piece.memory && piece.memory.flags & HOTPLUG && piece.held.length && piece.width >= HATCH)
        shape.append(svg("rect", { class: "hot", x: piece.left, y: top, width: piece.width, height: STRIP }));
      if (piece.letter && piece.width >= LETTER)
        shape.append(svg("text", { x: piece.left + piece.width / 2, y: top + STRIP / 2 + 5, class: "letter" }, piece.letter));
      made.append(shape);
      this.spots.push({ piece, lane: index, track, shape, top });
    }
    if (this.tracks.length > 1) made.append(svg("text", { x: 2, y: top + STRIP + 12, class: "track" }, label));
    return made;
  }

  // -- choosing ---------------------------------------------------------------------------------------------------

  /** The spot of the chosen place; null where it is not in view. */
  chosenSpot() {
    const { choice } = this;
    if (!choice) return null;
    const { address } = choice;
    const all = this.spots.filter((spot) => spot.piece.start <= address && address < spot.piece.end);
    return all.find((spot) => spot.track === choice.track) ?? all[0] ?? null;
  }

  /**
   * Marks the chosen piece, and makes one piece the one that the Tab key comes to.
   * @param {boolean} focused whether a piece had the focus before
   */
  markChoice(focused) {
    const spot = this.chosenSpot();
    spot?.shape.classList.add("chosen");
    const entry = spot ?? this.spots[0];
    if (!entry) return;
    entry.shape.setAttribute("tabindex", "0");
    if (focused) entry.shape.focus({ preventScroll: true });
  }

  /**
   * @param {Spot} spot
   * @param {boolean} focus
   */
  choose(spot, focus) {
    this.chosenSpot()?.shape.classList.remove("chosen");
    this.picture.querySelector('[tabindex="0"]')?.setAttribute("tabindex", "-1");
    this.choice = { address: spot.piece.start, node: this.nodeAt(spot.piece.start), track: spot.track };
    spot.shape.classList.add("chosen");
    spot.shape.setAttribute("tabindex", "0");
    if (focus) spot.shape.focus({ preventScroll: true });
    this.tell();
  }

  /** Tells what is chosen now. */
  tell() {
    const spot = this.chosenSpot();
    if (!spot) return;
    const lane = lanes(this.nodes, this.outside, this.view)[spot.lane];
    this.chosen({ piece: spot.piece, lane, track: spot.track });
  }

  /**
   * @param {EventTarget | null} target
   * @returns {Spot | undefined}
   */
  spotOf(target) {
    const shape = target instanceof Element ? target.closest(".piece") : null;
    return shape ? this.spots.find((spot) => spot.shape === shape) : undefined;
  }

  // -- input ------------------------------------------------------------------------------------------------------

  /** @param {HTMLElement} container */
  listen(container) {
    const { picture } = this;
    window.addEventListener("scroll", () => (this.scrolled = performance.now()), { passive: true });
    picture.addEventListener("wheel", (event) => this.wheel(event), { passive: false });
    picture.addEventListener("keydown", (event) => this.key(event));
    picture.addEventListener("focusin", (event) => {
      const spot = this.spotOf(event.target);
      if (spot && spot !== this.chosenSpot()) this.choose(spot, false);
    });
    picture.addEventListener("pointermove", (event) => this.hover(event));
    picture.addEventListener("pointerleave", () => (this.tip.hidden = true));
    this.drag();
    container.addEventListener("dblclick", (event) => {
      const spot = this.spotOf(event.target);
      if (spot) this.show(around(spot.piece, 1.1));
    });
  }

  /** @param {MouseEvent} event */
  addressAt(event) {
    const box = this.picture.getBoundingClientRect();
    const part = Math.min(Math.max((event.clientX - box.left) / box.width, 0), 1);
    return this.view.low + part * (this.view.high - this.view.low);
  }

  /** @param {WheelEvent} event */
  wheel(event) {
    const sideways = Math.abs(event.deltaX) > Math.abs(event.deltaY) || event.shiftKey;
    const whole = this.view.high - this.view.low >= this.all.high;
    if (!event.ctrlKey && performance.now() - this.scrolled < SCROLLED) return;
    if (!sideways && whole && event.deltaY > 0) return;
    event.preventDefault();
    if (sideways) this.pan((event.deltaX || event.deltaY) / this.width);
    else this.zoom(Math.exp(event.deltaY * (event.ctrlKey ? 0.01 : 0.002)), this.addressAt(event));
  }

  /** @param {KeyboardEvent} event */
  key(event) {
    if (event.ctrlKey || event.altKey || event.metaKey) return;
    const spot = this.spotOf(event.target);
    const along = event.key === "ArrowRight" ? 1 : event.key === "ArrowLeft" ? -1 : 0;
    const across = event.key === "ArrowDown" ? 1 : event.key === "ArrowUp" ? -1 : 0;
    if (along && event.shiftKey) this.pan(along / 4);
    else if (along && spot) this.step(spot, along);
    else if (across && spot) this.cross(spot, across);
    else if (event.key === "+" || event.key === "=") this.zoom(0.5);
    else if (event.key === "-") this.zoom(2);
    else if (event.key === "0") this.show(this.all);
    else if (event.key === "Home") this.choose(this.spots[0], true);
    else if (event.key === "End") this.choose(this.spots[this.spots.length - 1], true);
    else if ((event.key === "Enter" || event.key === " ") && spot) this.show(around(spot.piece, 1.1));
    else return;
    event.preventDefault();
  }

  /**
   * @param {Spot} spot
   * @param {number} by
   */
  step(spot, by) {
    const next = this.spots[this.spots.indexOf(spot) + by];
    if (next) this.choose(next, true);
  }

  /**
   * The piece of the next strip that is the nearest.
   * @param {Spot} spot
   * @param {number} by
   */
  cross(spot, by) {
    const tops = [...new Set(this.spots.map((own) => own.top))];
    const top = tops[tops.indexOf(spot.top) + by];
    const middle = (/** @type {Spot} */ own) => own.piece.left + own.piece.width / 2;
    const there = this.spots.filter((own) => own.top === top);
    there.sort((one, other) => Math.abs(middle(one) - middle(spot)) - Math.abs(middle(other) - middle(spot)));
    if (there[0]) this.choose(there[0], true);
  }

  /** @param {PointerEvent} event */
  hover(event) {
    const spot = this.spotOf(event.target);
    this.tip.hidden = !spot || event.pointerType === "touch";
    if (!spot || this.tip.hidden) return;
    const since = spot.piece.held.length === 1 ? this.tracks[spot.track].plan.frames[spot.piece.held[0].claim.frame] : null;
    this.tip.replaceChildren(el("b", {}, spot.piece.label), since ? `since ${since.step}` : "");
    const box = this.picture.getBoundingClientRect();
    const left = Math.min(event.clientX - box.left + 12, Math.max(0, this.width - this.tip.offsetWidth - 4));
    this.tip.style.left = `${left}px`;
    this.tip.style.top = `${event.clientY - box.top + 18}px`;
  }

  /** Dragging with one pointer moves the view, two pointers zoom; a click without a drag chooses. */
  drag() {
    const { picture } = this;
    /** @type {Map<number, PointerEvent>} */
    const down = new Map();
    let moved = 0;
    let inOverview = false;
    picture.addEventListener("pointerdown", (event) => {
      if (event.button) return;
      const box = picture.getBoundingClientRect();
      inOverview = event.clientY - box.top < OVERVIEW;
      if (inOverview) this.centre(event);
      down.set(event.pointerId, event);
      moved = 0;
    });
    picture.addEventListener("pointermove", (event) => {
      const before = down.get(event.pointerId);
      if (!before) return;
      const by = event.clientX - before.clientX;
      moved += Math.abs(by);
      if (moved > 4 && !picture.hasPointerCapture(event.pointerId)) picture.setPointerCapture(event.pointerId);
      if (inOverview) this.centre(event);
      else if (down.size === 1 && moved > 4) this.pan(-by / this.width);
      else if (down.size === 2) {
        const other = [...down].filter(([id]) => id !== event.pointerId)[0][1];
        const [was, is] = [before, event].map((own) => Math.max(10, Math.abs(own.clientX - other.clientX)));
        this.zoom(was / is, (this.addressAt(event) + this.addressAt(other)) / 2);
      }
      down.set(event.pointerId, event);
    });
    const up = (/** @type {PointerEvent} */ event) => {
      down.delete(event.pointerId);
      const spot = this.spotOf(event.target);
      if (event.type === "pointerup" && moved <= 4 && spot && !inOverview) this.choose(spot, true);
    };
    picture.addEventListener("pointerup", up);
    picture.addEventListener("pointercancel", up);
  }

  /**
   * Moves the view to where the overview is pointed at.
   * @param {PointerEvent} event
   */
  centre(event) {
    const box = this.picture.getBoundingClientRect();
    const address = ((event.clientX - box.left) / box.width) * this.all.high;
    const half = (this.view.high - this.view.low) / 2;
    this.setView(address - half, address + half);
  }
}

/**
 * Stretches of one height as one shape: a page with thousands of them stays quick.
 * @param {string} css
 * @param {Stretch[]} stretches
 * @param {number} top
 * @param {number} height
 */
function blocks(css, stretches, top, height) {
  const path = stretches.map(({ left, right }) => `M${left.toFixed(2)} ${top}H${right.toFixed(2)}v${height}H${left.toFixed(2)}z`);
  return svg("path", { class: css, d: path.join("") });
}

/**
 * The nodes of all plans, upwards; a node that several have has the ranges of all.
 * @param {Plan[]} plans
 * @returns {PlanNode[]}
 */
function nodesOf(plans) {
  /** @type {Map<number, PlanNode>} */
  const found = new Map();
  for (const plan of plans)
    for (const node of plan.nodes) {
      const known = found.get(node.node);
      if (!known) found.set(node.node, { ...node, ranges: [...node.ranges] });
      else {
        const more = node.ranges.filter((range) => !known.ranges.some((own) => own.start <= range.start && range.end <= own.end));
        known.ranges.push(...more);
        if (known.word !== node.word) {
          known.word = `${known.word} / ${node.word}`;
          known.why = "";
        }
      }
    }
  return [...found.values()].filter((node) => node.ranges.length).sort((one, other) => one.ranges[0].start - other.ranges[0].start);
}

/** @param {Lane} lane */
function laneName(lane) {
  return lane.word ? `${lane.label}: ${lane.word}` : lane.label;
}

/** @param {Lane} lane */
function word(lane) {
  return lane.word ? svg("tspan", { class: "fate", dx: 8 }, lane.word) : null;
}

/**
 * @param {Range[]} ranges
 * @returns {View}
 */
function spread(ranges) {
  return { low: Math.min(...ranges.map((own) => own.start)), high: Math.max(...ranges.map((own) => own.end)) };
}

/**
 * A view so many times as wide as a range, with that in its middle.
 * @param {Range} range
 * @param {number} times
 * @returns {View}
 */
function around(range, times) {
  const half = (Math.max(PAGE, range.end - range.start) * times) / 2;
  const middle = (range.start + range.end) / 2;
  return { low: middle - half, high: middle + half };
}

/**
 * Addresses for the axis: multiples of a power of two.
 * @param {View} view
 * @param {number} width
 */
function ticks(view, width) {
  const step = tickStep(view, width);
  const found = [];
  for (let at = Math.ceil(view.low / step) * step; at < view.high; at += step) found.push(at);
  return found;
}

/**
 * @param {View} view
 * @param {number} width
 */
function tickStep(view, width) {
  return 2 ** Math.ceil(Math.log2(((view.high - view.low) / width) * 110));
}

/**
 * @param {number} address
 * @param {View} view
 */
function tickName(address, view) {
  const unit = 2 ** (10 * Math.floor(Math.log2(Math.max(address, 1)) / 10));
  const short = Number((address / unit).toPrecision(3)) === address / unit;
  return view.high - view.low >= 2 ** 28 && short ? rounded(address) : "0x" + address.toString(16);
}
