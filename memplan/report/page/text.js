/** Words, numbers and elements, as all parts of the page write them. */

/** @import { Range } from "./data.js" */

/** Digits in groups of three; made once, as it is costly to make. */
const NUMBERS = new Intl.NumberFormat("en");
const UNITS = ["bytes", "KiB", "MiB", "GiB", "TiB", "PiB", "EiB"];

/**
 * A size in three digits at most.
 * @param {number} bytes
 */
export function rounded(bytes) {
  let unit = 0;
  let value = bytes;
  while (value >= 999.5 && unit < UNITS.length - 1) {
    value /= 1024;
    unit += 1;
  }
  return `${Number(value.toPrecision(3))} ${UNITS[unit]}`;
}

/**
 * A size in the largest unit that divides it.
 * @param {number} bytes
 */
export function exact(bytes) {
  let unit = 0;
  let value = bytes;
  while (value && value % 1024 === 0 && unit < UNITS.length - 1) {
    value /= 1024;
    unit += 1;
  }
  return `${NUMBERS.format(value)} ${UNITS[unit]}`;
}

/**
 * An address as the kernel prints it.
 * @param {number} address
 */
export function hex(address) {
  return "0x" + Math.max(0, Math.floor(address)).toString(16).padStart(12, "0");
}

/** @param {Range} range */
export function firstByte(range) {
  return range.startText ?? hex(range.start);
}

/** @param {Range} range */
export function lastByte(range) {
  return range.endText ?? hex(range.end - 1);
}

/** @param {Range} range */
export function span(range) {
  return `${firstByte(range)}-${lastByte(range)}`;
}

/**
 * A number of things.
 * @param {number} count
 * @param {string} one
 * @param {string} [many]
 */
export function counted(count, one, many = `${one}s`) {
  return `${NUMBERS.format(count)} ${count === 1 ? one : many}`;
}

/** @typedef {Node | string | null | undefined | false} Child */

/**
 * An HTML element; an attribute of false or null is left out, one of true is empty.
 * @template {keyof HTMLElementTagNameMap} Tag
 * @param {Tag} tag
 * @param {Record<string, string | number | boolean | null>} [attributes]
 * @param {...Child} children
 * @returns {HTMLElementTagNameMap[Tag]}
 */
export function el(tag, attributes = {}, ...children) {
  const made = document.createElement(tag);
  set(made, attributes);
  for (const child of children) if (child) made.append(child);
  return made;
}

/**
 * An SVG element.
 * @template {keyof SVGElementTagNameMap} Tag
 * @param {Tag} tag
 * @param {Record<string, string | number | boolean | null>} [attributes]
 * @param {...Child} children
 * @returns {SVGElementTagNameMap[Tag]}
 */
export function svg(tag, attributes = {}, ...children) {
  const made = document.createElementNS("http://www.w3.org/2000/svg", tag);
  set(made, attributes);
  for (const child of children) if (child) made.append(child);
  return made;
}

/**
 * @param {Element} element
 * @param {Record<string, string | number | boolean | null>} attributes
 */
export function set(element, attributes) {
  for (const [name, value] of Object.entries(attributes)) {
    if (value === null || value === false) element.removeAttribute(name);
    else element.setAttribute(name, value === true ? "" : String(value));
  }
}

/**
 * A button with a name for those who don't see it.
 * @param {string} text
 * @param {string} name
 * @param {() => void} run
 */
export function button(text, name, run) {
  const made = el("button", { type: "button", "aria-label": name, title: name }, text);
  made.addEventListener("click", run);
  return made;
}

/**
 * A link to a moment, a place, or both.
 * @param {string} text
 * @param {{step?: string, at?: string}} where
 */
export function link(text, where) {
  const parts = Object.entries(where).map(([name, value]) => `${name}=${value}`);
  return el("a", { href: `#${parts.join("&")}` }, text);
}

/**
 * The element of that id, which the page's template has.
 * @param {string} id
 * @returns {HTMLElement}
 */
export function byId(id) {
  const found = document.getElementById(id);
  if (!found) throw new Error(`the page has no element ${id}`);
  return found;
}
