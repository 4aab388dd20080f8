// The mask as a strip below the film: one cell per frame, red = perturbed, green = kept. A value between 0 and 1 is
// drawn as a level, as in tfvid/report/overlay.py: the saturated part of a perturbed cell reaches from the bottom up to
// the value, the saturated part of a kept cell from the top down to it. Perturbed cells are also hatched, so that the
// strip does not depend on colour.
import { el } from "./dom.js";

const NARROW = 24; // pixels: narrower cells have no room for their value
const short = (value) => value?.toFixed(2).replace(/^0/, "").replace("1.00", "1.0") ?? "–"; // .93

// The name of the film of the perturbed clip.
export const stateOf = ({ perturbation }) =>
  ({ freeze: "frozen", reverse: "reversed", blur: "blurred" })[perturbation] ?? "perturbed";

// "0.93 perturbed", or "" without a mask
export function maskText(info, frame) {
  if (!info.mask) return "";
  const value = info.mask[frame];
  if (value === null) return "no value";
  return `${value.toFixed(2)} ${value > 0.5 ? "perturbed" : "kept"}`;
}

function cell(info, frame) {
  const value = info.mask?.[frame] ?? null;
  const kind = value === null ? "none" : value > 0.5 ? "perturbed" : "kept";
  const title = [`frame ${frame + 1}`, info.mask && `mask ${maskText(info, frame)}`].filter(Boolean).join(" · ");
  const element = el("div", { class: `cell ${kind}`, title });
  element.style.setProperty("--value", value ?? 0);
  return element;
}

export class Timeline {
  // `seek` is called with the frame that the user clicks or drags to.
  constructor(seek) {
    this.cells = el("div", { class: "cells", role: "img" });
    this.event = el("div", { class: "event" });
    this.values = el("div", { class: "values", "aria-hidden": "true" });
    this.element = el("div", { class: "timeline" }, this.cells, this.event, this.values);
    this.length = 0;
    const drag = ({ clientX, buttons }) => {
      const { left, width } = this.cells.getBoundingClientRect();
      const frame = Math.floor(((clientX - left) / width) * this.length);
      if (buttons & 1 && this.length) seek(Math.min(this.length - 1, Math.max(0, frame)));
    };
    this.cells.addEventListener("pointerdown", (event) => {
      this.cells.setPointerCapture(event.pointerId);
      drag(event);
    });
    this.cells.addEventListener("pointermove", drag);
    new ResizeObserver(() => this.fit()).observe(this.cells);
  }

  show(info) {
    this.length = info.num_frames;
    this.cells.replaceChildren(...Array.from({ length: this.length }, (_, frame) => cell(info, frame)));
    this.values.replaceChildren(...(info.mask ?? []).map((value) => el("span", {}, short(value))));
    this.cells.setAttribute("aria-label", summary(info));
    this.event.hidden = !info.event;
    if (info.event) {
      const [start, stop] = info.event;
      this.event.title = `the known event: frames ${start + 1} to ${stop}`;
      this.event.style.left = `${(100 * start) / this.length}%`;
      this.event.style.width = `${(100 * (stop - start)) / this.length}%`;
    }
    this.fit();
  }

  fit() {
    this.values.hidden = this.cells.clientWidth < NARROW * this.length;
  }

  mark(frame) {
    for (const row of [this.cells, this.values]) {
      row.querySelector(".current")?.classList.remove("current");
      row.children[frame]?.classList.add("current");
    }
  }
}

function summary(info) {
  if (!info.mask) return `${info.num_frames} frames, no mask`;
  const perturbed = info.mask.flatMap((value, frame) => (value > 0.5 ? [frame + 1] : []));
  return `mask over ${info.num_frames} frames; perturbed: ${perturbed.join(", ") || "none"}`;
}
