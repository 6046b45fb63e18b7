/** Puts the page together, and follows links to a moment and a place (#step=NAME&at=0xADDRESS). */

/** @import { Scene } from "./data.js" */
/** @import { Track } from "./map.js" */

import { Arrays } from "./arrays.js";
import { scene } from "./data.js";
import { Details } from "./details.js";
import { show, states, total } from "./film.js";
import { MemoryMap } from "./map.js";
import { HOTPLUG } from "./pieces.js";
import { Player } from "./player.js";
import { Grid } from "./tables.js";
import { byId, el, rounded, svg } from "./text.js";

/** Milliseconds after which a moment and a place are worth a link. */
const SETTLED = 200;

class Page {
  /** @param {Scene} shown */
  constructor(shown) {
    this.families = shown.families;
    this.moments = shown.moments;
    this.keeping = 0;
    /** @type {Track[]} */
    this.tracks = shown.plans.map((plan) => {
      const all = states(plan);
      return { plan, states: all, state: all[all.length - 1], still: false };
    });
    show(this.tracks, this.moments, this.moments.length - 1);
    this.details = new Details(this.tracks);
    this.map = new MemoryMap(this.tracks, this.families, shown.moves, (choice) => {
      this.details.show(choice);
      this.keepPlace();
    });
    this.arrays = new Arrays(this.tracks, shown.flags);
    this.legend = el("ul", { class: "legend", "aria-label": "What the map shows" });
    byId("map").append(this.legend);
    this.player = new Player(this.tracks, this.moments, (moment) => this.moveTo(moment));
    for (const section of document.querySelectorAll("section.grid"))
      new Grid(/** @type {HTMLElement} */ (section), shown.rows[section.id]);
    this.showStep();
    window.addEventListener("hashchange", () => this.follow());
    this.follow();
  }

  /** @param {number} moment */
  moveTo(moment) {
    show(this.tracks, this.moments, moment);
    this.map.redraw();
    this.showStep();
    this.keepPlace();
  }

  showStep() {
    this.arrays.show();
    this.showLegend();
  }

  /** The families that have memory now, with how much; what else the map's colours say. */
  showLegend() {
    /** @type {Map<number, number>} */
    const sizes = new Map();
    for (const { state } of this.tracks)
      for (const own of state.held) {
        const { family } = own.claim.owner;
        sizes.set(family, (sizes.get(family) ?? 0) + own.end - own.start);
      }
    const one = this.tracks.length === 1;
    const rows = this.families.flatMap((family, index) => {
      const size = sizes.get(index);
      return size === undefined ? [] : [entry(family.css, family.letter, one ? `${family.name}, ${rounded(size)}` : family.name)];
    });
    const { state } = this.tracks[0];
    const free = total(state.memory);
    if (free) rows.push(entry("ram", "", one ? `free, of ${rounded(free)} in all` : "free"));
    if (this.tracks.some(({ state: own }) => own.memory.some(({ flags }) => flags & HOTPLUG))) rows.push(entry("hot", "", "hatched: hot-pluggable for the kernel at this moment"));
    if (this.tracks.some(({ state: own, plan }) => own.last && plan.movable.length)) rows.push(entry("movable", "", "free, can be removed"));
    if (this.tracks.some(({ state: own }) => own.frame.limit < this.map.all.high)) rows.push(entry("limit", "", "dashed: memory is allocated below it"));
    this.legend.replaceChildren(...rows);
  }

  // -- links ------------------------------------------------------------------------------------------------------

  /** Goes where the address line says. */
  follow() {
    const given = new URLSearchParams(location.hash.slice(1));
    const step = given.get("step");
    const at = given.get("at");
    if (step !== null) {
      const moment = this.moments.findIndex(({ name }) => name === step);
      if (moment >= 0 && moment !== this.player.moment) this.player.leap(moment);
    }
    if (at !== null && /^(0x[0-9a-f]+|[0-9]+)$/i.test(at)) this.map.goTo(Number(at));
    if (step !== null || at !== null) byId("boot").scrollIntoView({ block: "start" });
  }

  /** Writes the moment and the place into the address line, once they stay: browsers let few changes through. */
  keepPlace() {
    window.clearTimeout(this.keeping);
    this.keeping = window.setTimeout(() => this.writePlace(), SETTLED);
  }

  writePlace() {
    const { name } = this.moments[this.player.moment];
    const at = this.map.choice ? `&at=0x${this.map.choice.address.toString(16)}` : "";
    history.replaceState(null, "", `#step=${name}${at}`);
  }
}

/**
 * @param {string} css
 * @param {string} letter
 * @param {string} text
 */
function entry(css, letter, text) {
  const box = svg("svg", { class: "swatch", width: 18, height: 14, "aria-hidden": "true" });
  const piece = svg("g", { class: `piece ${css}` }, svg("rect", { class: ["ram", "hot", "movable"].includes(css) ? css : null, x: 0.5, y: 0.5, width: 17, height: 13 }));
  if (letter) piece.append(svg("text", { x: 9, y: 11, class: "letter" }, letter));
  box.append(piece);
  return el("li", {}, box, ` ${text}`);
}

async function start() {
  try {
    new Page(await scene());
  } catch (error) {
    byId("map").replaceChildren(el("p", { class: "note" }, `The map can't be drawn by this browser (${error}); the tables below have all of it.`));
    throw error;
  }
}

void start();
