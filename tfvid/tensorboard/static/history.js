// The mask over training: one row a step, the newest on top; one column a frame, so that the rows lie under the
// timeline. A row fills in once its step has been loaded.
import { el } from "./dom.js";
import { meaningOf } from "./scores.js";

const COLUMNS = 3; // scores beside a row

export class History {
  // `choose` is called with the index of the step that was clicked.
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

  // Begins anew with these steps; a single one has no history.
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

  // What a loaded step says.
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
    const { offsetTop: top, offsetHeight: height } = element; // scrolled by hand: scrollIntoView would move the page
    const { scrollTop, clientHeight } = this.list;
    if (top < scrollTop) this.list.scrollTop = top;
    else if (top + height > scrollTop + clientHeight) this.list.scrollTop = top + height - clientHeight;
  }
}
