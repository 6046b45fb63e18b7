/** The slider over the boot's steps, with play and pause, and the direction in which memblock allocates. */

/** @import { Moment } from "./data.js" */
/** @import { Track } from "./map.js" */

import { active, stillness } from "./film.js";
import { button, byId, el } from "./text.js";

/** Milliseconds that a step is shown. */
const PACE = 700;
const CALM = 1500;

/**
 * What the kernel answers to a step after boot.
 * @param {boolean | null} accepted
 */
export function answer(accepted) {
  if (accepted === null) return "whether the kernel does this can't be known";
  return accepted ? "the kernel does this" : "the kernel refuses this";
}

export class Player {
  /**
   * @param {Track[]} tracks
   * @param {Moment[]} moments
   * @param {(moment: number) => void} moved
   */
  constructor(tracks, moments, moved) {
    this.tracks = tracks;
    this.moments = moments;
    this.last = moments.length - 1;
    this.moved = moved;
    this.moment = this.last;
    this.timer = 0;
    this.playButton = button("Play", "Play", () => this.toggle());
    this.slider = el("input", { type: "range", min: 0, max: this.last, step: 1, value: this.moment, "aria-label": "Step of the boot" });
    this.slider.addEventListener("input", () => {
      this.pause();
      this.go(Number(this.slider.value));
    });
    this.where = el("output", { class: "where" });
    this.direction = el("p", { class: "direction" });
    const panel = byId("player");
    panel.replaceChildren(
      el(
        "div",
        { class: "controls", role: "group", "aria-label": "Film of the boot" },
        button("|◀", "First step", () => this.leap(0)),
        button("◀", "Step back", () => this.leap(this.next(-1))),
        this.playButton,
        button("▶", "Step forward", () => this.leap(this.next(1))),
        button("▶|", "Last step", () => this.leap(this.last)),
        this.slider,
      ),
      this.where,
      this.direction,
    );
    panel.hidden = false;
    this.tell();
  }

  /** The next moment in that direction in which memory changes; the last one where there is none. @param {number} by */
  next(by) {
    let at = this.moment + by;
    while (at > 0 && at < this.last && !this.changes(at)) at += by;
    return Math.min(Math.max(at, 0), this.last);
  }

  /**
   * Whether memory changes in a plan at this moment.
   * @param {number} moment
   */
  changes(moment) {
    const { frames } = this.moments[moment];
    const before = moment ? this.moments[moment - 1].frames : [];
    return frames.some((at, number) => at >= 0 && at !== before[number] && active(this.tracks[number].plan.frames[at]));
  }

  /** @param {number} moment */
  leap(moment) {
    this.pause();
    this.go(moment);
  }

  /** @param {number} moment */
  go(moment) {
    this.moment = moment;
    this.slider.value = String(moment);
    this.moved(moment);
    this.tell();
  }

  toggle() {
    if (this.timer) {
      this.pause();
      return;
    }
    if (this.moment === this.last) this.go(0);
    this.playButton.textContent = "Pause";
    this.playButton.setAttribute("aria-label", "Pause");
    this.playButton.title = "Pause";
    const calm = matchMedia("(prefers-reduced-motion: reduce)").matches;
    this.timer = window.setInterval(
      () => {
        this.go(this.next(1));
        if (this.moment === this.last) this.pause();
      },
      calm ? CALM : PACE,
    );
  }

  pause() {
    window.clearInterval(this.timer);
    this.timer = 0;
    this.playButton.textContent = "Play";
    this.playButton.setAttribute("aria-label", "Play");
    this.playButton.title = "Play";
  }

  tell() {
    const later = this.tracks.find(({ state, still }) => state.frame.later && !still);
    const name = later ? `after boot, ${later.state.frame.what}` : this.moments[this.moment].name;
    const where = `step ${this.moment + 1} of ${this.moments.length}: ${name}`;
    this.where.textContent = where;
    this.slider.setAttribute("aria-valuetext", where);
    this.direction.replaceChildren(
      ...this.tracks.map((track) => {
        const { plan, state, still } = track;
        const { up, beforeSrat, later: after } = state.frame;
        const who = this.tracks.length > 1 ? `${plan.label}: ` : "";
        if (still) return el("span", {}, `${who}${stillness(track)}`);
        if (after) return el("span", {}, `${who}${answer(after.accepted)}; MemTotal ${after.total}`);
        const text = `${up ? "allocates upwards, from the kernel image" : "allocates downwards, from the limit"}; the SRAT ${beforeSrat ? "is not read yet" : "has been read"}`;
        return el("span", { class: up ? "up" : "down" }, el("span", { class: "arrow", "aria-hidden": "true" }, up ? "→" : "←"), ` ${who}${text}`);
      }),
    );
  }
}
