// One run's view of the clip: its films side by side, the mask below them, the scores, and the mask over training.
import { COLORMAPS, SIGNED } from "./colormaps.js";
import { el, number } from "./dom.js";
import { download } from "./download.js";
import { History } from "./history.js";
import { mapOf, overlaid, resized } from "./maps.js";
import { csvOf, pngOf } from "./save.js";
import { scoresList } from "./scores.js";
import { Timeline, maskText, stateOf } from "./timeline.js";

const LEAST = 180, MOST = 400; // pixels: smallest and largest side of a film on the page, unless it is enlarged
const GAP = 10; // pixels between two films, as in page.css
const SMALL = 128; // pixels: clips with a smaller longer side are enlarged by a whole factor without interpolation

// The width at which frames of `height` x `width` are shown if `count` films share `available` pixels. On a narrow page
// two films still fit side by side.
function shownWidth([height, width], available, count) {
  const side = Math.max(height, width);
  const room = Math.min(MOST, (available - GAP * (count - 1)) / count);
  const pair = (available - GAP) / 2;
  if (side >= SMALL) return Math.min(Math.max(Math.min(LEAST, pair), room), (MOST * width) / height);
  const least = Math.min(Math.ceil(LEAST / side), Math.floor(pair / side));
  return width * Math.max(1, least, Math.floor(room / side));
}

// The width of an enlarged film: it fits into the panel and into the window.
const largeWidth = ([height, width], available) => Math.min(available, (0.8 * innerHeight * width) / height);

class Film {
  // `enlarged` is called when the user enlarges the film or makes it small again.
  constructor(name, enlarged) {
    this.large = false;
    const enlarge = () => {
      this.large = !this.large;
      this.button.setAttribute("aria-pressed", this.large);
      enlarged();
    };
    this.canvas = el("canvas", { role: "img", "aria-label": name, class: name, click: enlarge });
    this.name = el("span", {}, name);
    this.note = el("span", { class: "note" });
    const label = { title: "Enlarge", "aria-label": `enlarge ${name}`, "aria-pressed": "false" };
    this.button = el("button", { type: "button", class: "enlarge", ...label, click: enlarge }, "⤢");
    this.element = el("figure", {}, this.canvas, el("figcaption", {}, this.name, this.note, this.button));
  }

  draw(image) {
    const { canvas } = this;
    if (canvas.width !== image.width) canvas.width = image.width;
    if (canvas.height !== image.height) canvas.height = image.height;
    canvas.getContext("2d").putImageData(image, 0, 0);
  }
}

export class Panel {
  // Calls `seek` with a frame of this panel's clip, and `choose` with the index of one of its steps.
  constructor({ seek, choose }) {
    this.sample = null;
    this.title = el("h2");
    this.facts = el("p", { class: "facts" });
    const fit = () => this.fit();
    this.clip = new Film("clip", fit);
    this.overlay = new Film("overlay", fit);
    this.lowest = el("span");
    this.highest = el("span");
    this.ramp = el("canvas", { class: "ramp", width: 256, height: 1, "aria-hidden": "true" });
    this.overlay.note.append(this.lowest, this.ramp, this.highest);
    this.perturbed = new Film("perturbed", fit);
    this.films = [this.clip, this.overlay, this.perturbed];
    this.panes = el("div", { class: "panes" }, ...this.films.map((film) => film.element));
    this.scores = el("div");
    this.lane = el("span");
    this.timeline = new Timeline(seek);
    this.value = el("span", { class: "value" });
    this.history = new History(choose);
    this.problem = el("p", { class: "problem", role: "alert", hidden: true });
    const button = (text, title, click) => el("button", { type: "button", title, click }, text);
    this.saving = el("span", { class: "saving" },
      button("Save PNG", "The films at this frame", () => this.savePicture()),
      button("Save CSV", "The mask of each frame, and the scores", () => this.saveNumbers()));
    this.body = el("div", {},
      this.facts,
      el("div", { class: "films" }, this.panes, this.scores),
      el("div", { class: "lane now" }, this.lane, this.timeline.element, this.value),
      this.history.element,
      this.saving);
    this.element = el("section", { class: "panel" }, this.title, this.problem, this.body);
    new ResizeObserver(fit).observe(this.panes);
  }

  get length() {
    return this.sample ? this.sample.info.num_frames : 1;
  }

  open(series) {
    this.close();
    this.series = series;
    this.title.textContent = series.run === "." ? "this run" : series.run;
    this.element.setAttribute("aria-label", `run ${series.run}`);
    this.history.open(series.steps);
  }

  close() {
    if (this.series) this.series.closed = true;
  }

  show(index, sample) {
    const { info } = sample;
    this.sample = sample;
    this.index = index;
    this.problem.hidden = true;
    this.body.hidden = false;
    this.facts.replaceChildren(...facts(info, this.series.steps[index].step));
    this.scores.replaceChildren(scoresList(info.scores));
    this.scores.hidden = Object.values(info.scores).every((value) => value === null);
    this.lane.textContent = info.mask ? "mask" : "frames";
    this.timeline.show(info);
    this.history.mark(index);
    this.overlay.element.hidden = !sample.heat;
    this.perturbed.element.hidden = !sample.perturbed;
    this.perturbed.name.textContent = stateOf(info);
    if (info.map) {
      const { low, high, signed } = info.map;
      const most = Math.max(Math.abs(low), Math.abs(high));
      this.lowest.textContent = signed ? number(-most) : "0";
      this.highest.textContent = number(signed ? most : high);
    }
    this.fit();
  }

  fail(error) {
    this.sample = null;
    this.body.hidden = true;
    this.problem.hidden = false;
    this.problem.textContent = error.message;
  }

  fit() {
    if (!this.sample) return;
    const { info } = this.sample;
    const films = this.films.filter((film) => !film.element.hidden);
    const available = this.panes.clientWidth;
    const width = shownWidth(info.size, available, films.length);
    for (const { element, canvas, large } of films) {
      element.style.width = `${large ? largeWidth(info.size, available) : width}px`;
      canvas.style.imageRendering = Math.max(...info.size) < SMALL ? "pixelated" : "auto";
    }
  }

  // Where the shown explanation is from.
  get place() {
    const { run, name, clip, steps } = this.series;
    return { run, name, clip, step: steps[this.index].step };
  }

  async savePicture() {
    const shown = this.films.filter((film) => !film.element.hidden).map((film) => film.canvas);
    download(await pngOf(shown), "png", ...Object.values(this.place), "frame", this.frame + 1);
  }

  saveNumbers() {
    download(csvOf(this.place, this.sample.info), "csv", ...Object.values(this.place));
  }

  // Draws a frame. `look` is {colormap, opacity}.
  draw(frame, { colormap, opacity }) {
    if (!this.sample) return;
    this.frame = frame;
    const { info, frames, heat, perturbed } = this.sample;
    this.clip.draw(frames[frame]);
    if (heat) {
      const map = heat[mapOf(frame, info.num_frames, info.map.frames)];
      const look = info.map.signed ? SIGNED : COLORMAPS[colormap];
      drawRamp(this.ramp, look);
      this.overlay.draw(overlaid(frames[frame], resized(map, info.map.size, info.size), look, opacity));
    }
    if (perturbed) this.perturbed.draw(perturbed(frame));
    this.timeline.mark(frame);
    this.value.textContent = maskText(info, frame);
    this.element.style.setProperty("--frame", frame);
    this.element.style.setProperty("--length", info.num_frames);
  }
}

// Draws a colour map from its lowest value to its highest.
function drawRamp(canvas, { table }) {
  const image = new ImageData(256, 1);
  for (let level = 0; level < 256; level++) image.data.set([...table.slice(3 * level, 3 * level + 3), 255], 4 * level);
  canvas.getContext("2d").putImageData(image, 0, 0);
}

// "step 40   target = predicted left ✗ wrong   true right": roles of the same class are listed together.
function facts({ labels, method }, step) {
  const fact = (name, value, mark = null) => el("span", { class: "fact" }, `${name} `, el("b", {}, value), mark);
  const roles = ["target", "predicted", "true"].filter((role) => labels[role] !== null);
  const classes = Map.groupBy(roles, (role) => labels[role]);
  const right = labels.predicted === labels.true;
  const judged = el("span", { class: right ? "right" : "wrong" }, right ? " ✓ right" : " ✗ wrong");
  return [
    fact("step", String(step)),
    ...[...classes].map(([name, of]) =>
      fact(of.join(" = "), name, of.includes("predicted") && roles.includes("true") ? judged : null)),
    fact("method", method),
  ];
}
