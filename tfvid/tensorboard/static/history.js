// The mask over training: one row per step, the newest on top, and one column per frame, aligned with the timeline. A
// row is filled when its step is loaded.
import { el } from "./dom.js";
import { meaningOf } from "./scores.js";

const COLUMNS = 3; // number of scores shown beside a row

export class History {
  // `choose` is called with the index of the clicked step.
  constructor(choose) {
    this.choose = choose;
    this.names = [];
    this.rows = [];
    this.list = el("div", { class: "rows" });
    this.heads = el("div", { class: "numbers" });
    this.element = el("section", { class: "history", "aria-label": "Mask over training" },
      el("div", { class: "lane head" }, el("span", {}, "step"), el("span", {}, "mask over training"), this.heads),
      this.list);
  }

  // Replaces the rows by empty rows for these steps. The history of a single step stays hidden.
  open(steps) {
    this.rows = steps.map(({ step }, index) => {
      const strip = el("span", { class: "strip" });
      const numbers = el("span", { class: "numbers" });
      const element = el("button", { type: "button", class: "lane", tabindex: "-1", click: () => this.choose(index) },
        el("span", { class: "step" }, String(step)), strip, numbers);
      return { element, strip, numbers };
    });
    this.list.replaceChildren(...this.rows.map((row) => row.element).reverse());
    this.element.hidden = true;
  }

  // Fills the row of a loaded step.
  add(index, info) {
    if (!info.mask || this.rows.length < 2) return;
    this.element.hidden = false;
    const names = Object.keys(info.scores).slice(0, COLUMNS);
    if (names.join() !== this.names.join()) {
      this.names = names;
      this.heads.replaceChildren(...names.map((name) => el("abbr", { title: meaningOf(name) }, name)));
    }
    const { strip, numbers } = this.rows[index];
    strip.replaceChildren(...info.mask.map((value) => {
      const part = el("i");
      part.style.setProperty("--value", value ?? 0);
      return part;
    }));
    numbers.replaceChildren(...names.map((name) => el("span", {}, info.scores[name]?.toFixed(2) ?? "–")));
  }

  mark(index) {
    this.list.querySelector("[aria-current]")?.removeAttribute("aria-current");
    const { element } = this.rows[index];
    element.setAttribute("aria-current", "step");
    const { offsetTop: top, offsetHeight: height } = element; // scrollIntoView would scroll the page, too
    const { scrollTop, clientHeight } = this.list;
    if (top < scrollTop) this.list.scrollTop = top;
    else if (top + height > scrollTop + clientHeight) this.list.scrollTop = top + height - clientHeight;
  }
}
