/** Tables that sort by a click on a column's name and filter by words; rows that the page has no room for come from its data. */

import { counted, el } from "./text.js";

/** @typedef {{name: string, right: boolean, kind: string}} Column */

/** So many rows are shown at first, and so many more each time. */
const ROWS = 100;
/** Below so many rows a filter is of no use. */
const FEW = 6;
const UNITS = "KMGTPE";

export class Grid {
  /**
   * @param {HTMLElement} section what the template made: a title, a table
   * @param {string[][] | undefined} rows all rows, where the table has not room for them
   */
  constructor(section, rows) {
    const table = /** @type {HTMLTableElement} */ (section.querySelector("table"));
    this.body = table.tBodies[0];
    this.heads = [.../** @type {HTMLTableSectionElement} */ (table.tHead).rows[0].cells];
    this.columns = this.heads.map((head) => ({ right: head.classList.contains("right"), kind: head.dataset.kind ?? "", name: head.textContent ?? "" }));
    this.all = rows ?? [...this.body.rows].map((row) => [...row.cells].map((cell) => cell.textContent ?? ""));
    this.order = this.all.map((_, index) => index);
    this.words = "";
    /** The rows that the filter lets through, in order. @type {number[]} */
    this.met = this.order;
    this.sorted = { column: -1, down: false };
    this.count = el("span", { class: "count", role: "status" });
    this.more = el("button", { type: "button", class: "more" });
    this.more.addEventListener("click", () => this.add());
    section.querySelector(".rest")?.remove();
    section.append(this.more);
    this.more.hidden = true;
    if (this.all.length >= FEW) this.addFilter(section, table);
    this.heads.forEach((head, column) => this.addSort(head, column));
    if (rows) this.fill();
  }

  /**
   * @param {HTMLElement} section
   * @param {HTMLTableElement} table
   */
  addFilter(section, table) {
    const title = section.querySelector("h3")?.textContent ?? "";
    const input = el("input", { type: "search", "aria-label": `Filter ${title}`, placeholder: "filter", autocomplete: "off" });
    input.addEventListener("input", () => {
      this.words = input.value.trim().toLowerCase();
      this.fill();
    });
    table.parentElement?.before(el("p", { class: "filter" }, input, " ", this.count));
  }

  /**
   * @param {HTMLTableCellElement} head
   * @param {number} column
   */
  addSort(head, column) {
    const button = el("button", { type: "button" }, ...head.childNodes);
    head.replaceChildren(button);
    button.addEventListener("click", () => {
      const down = this.sorted.column === column && !this.sorted.down;
      this.sorted = { column, down };
      this.heads.forEach((own, at) => {
        if (at === column) own.setAttribute("aria-sort", down ? "descending" : "ascending");
        else own.removeAttribute("aria-sort");
      });
      const keys = this.all.map((row) => sortKey(row[column], this.columns[column].kind));
      this.order.sort((one, other) => compared(keys[one], keys[other]) * (down ? -1 : 1) || one - other);
      this.fill();
    });
  }

  fill() {
    const words = this.words.split(/\s+/).filter(Boolean);
    this.met = this.order.filter((index) => {
      const text = this.all[index].join("\t").toLowerCase();
      return words.every((word) => text.includes(word));
    });
    this.body.replaceChildren();
    this.add();
    this.count.textContent = words.length ? `${this.met.length} of ${counted(this.all.length, "row")}` : "";
  }

  /** Shows the next rows, below those that are shown. */
  add() {
    const shown = this.body.rows.length;
    this.body.append(...this.met.slice(shown, shown + ROWS).map((index) => this.row(this.all[index])));
    const left = this.met.length - this.body.rows.length;
    this.more.hidden = !left;
    this.more.textContent = `Show more: ${counted(left, "row")} left`;
  }

  /** @param {string[]} cells */
  row(cells) {
    return el("tr", {}, ...cells.map((cell, at) => el("td", { class: this.columns[at].right ? "right" : null }, ...linked(cell, this.columns[at].kind))));
  }
}

/**
 * A cell: an address leads to its place on the map, a step to its moment.
 * @param {string} cell
 * @param {string} kind
 * @returns {(string | Node)[]}
 */
function linked(cell, kind) {
  if (kind === "address" && cell.startsWith("0x")) return [el("a", { href: `#at=${cell}` }, cell)];
  if (kind !== "step") return [cell];
  return cell.split(", ").flatMap((name, at) => [at ? ", " : "", el("a", { href: `#step=${name}` }, name)]);
}

/**
 * What a cell is sorted by: a number where it begins with one, else its text.
 * @param {string} cell
 * @param {string} kind
 * @returns {number | string}
 */
function sortKey(cell, kind) {
  if (/^0x[0-9a-f]+$/.test(cell)) return Number(cell);
  const found = /^([0-9.]+)([KMGTPE]?)$/.exec(cell);
  if (!found) return cell === "-" ? -1 : cell.toLowerCase();
  return Number(found[1]) * (kind === "size" ? 1024 ** (UNITS.indexOf(found[2] || "-") + 1) : 1);
}

/**
 * Numbers come before texts.
 * @param {number | string} one
 * @param {number | string} other
 */
function compared(one, other) {
  if (typeof one === "number" && typeof other === "number") return one - other;
  if (typeof one === "string" && typeof other === "string") return one < other ? -1 : one > other ? 1 : 0;
  return typeof one === "number" ? -1 : 1;
}
