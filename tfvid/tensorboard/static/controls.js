// The selects, sliders and buttons above the films. They hold the user's choices; index.js handles their events.
import { COLORMAPS } from "./colormaps.js";
import { el, fill } from "./dom.js";
import { hint } from "./keys.js";

const SPEEDS = [0.25, 0.5, 1, 2, 4];

// sorts "run 9" before "run 10"
const natural = new Intl.Collator(undefined, { numeric: true }).compare;

function labelled(text, ...inputs) {
  return el("label", {}, el("span", {}, text), ...inputs);
}

export class Controls {
  // `on` holds the event handlers: chose(), reload(), play(), frame(number), step(index), look().
  constructor(on) {
    this.run = el("select", { name: "run", change: on.chose });
    this.compare = el("select", { name: "compare", change: on.chose });
    this.name = el("select", { name: "name", change: on.chose });
    this.clip = el("select", { name: "clip", change: on.chose });
    this.about = el("p", { class: "about" });

    this.play = el("button", { type: "button", class: "play", click: on.play, title: "Space" });
    this.frame = el("input", {
      type: "range", name: "frame", min: 1, input: () => on.frame(this.frame.valueAsNumber - 1),
    });
    this.frameText = el("span", { class: "readout" });
    this.step = el("input", { type: "range", name: "step", min: 0, input: () => on.step(this.step.valueAsNumber) });
    this.stepText = el("span", { class: "readout" });
    this.opacity = el("input", {
      type: "range", name: "opacity", min: 0, max: 1, step: 0.05, value: 0.75, input: () => on.look(),
    });
    this.opacityText = el("span", { class: "readout" });
    this.colormap = el("select", { name: "colormap", change: on.look });
    fill(this.colormap, Object.keys(COLORMAPS).map((name) => [name, name]));
    this.speed = el("select", { name: "speed", change: on.look });
    fill(this.speed, SPEEDS.map((speed) => [String(speed), `${speed} ×`]));
    this.speed.value = "1";

    this.element = el("form",
      { class: "tools", "aria-label": "Display options", submit: (event) => event.preventDefault() },
      el("div", { class: "line" },
        labelled("Run", this.run),
        labelled("Compare with", this.compare),
        labelled("Name", this.name),
        labelled("Clip", this.clip),
        hint(),
        el("button", { type: "button", class: "reload", click: on.reload, title: "Load new data" }, "Reload")),
      this.about,
      el("div", { class: "line" },
        this.play,
        labelled("Speed", this.speed),
        el("div", { class: "wide" }, labelled("Frame", this.frame), this.frameText),
        el("div", { class: "wide" }, labelled("Training step", this.step), this.stepText),
        el("div", {}, labelled("Heat opacity", this.opacity), this.opacityText),
        labelled("Colour map", this.colormap)));
  }

  // Fills the selects from `tags`. Keeps each choice that is still available; `wish` holds the choices of an earlier
  // visit.
  offer(tags, wish = {}) {
    const choose = (select, values, none = []) => {
      fill(select, [...none, ...values.map((value) => [value, value])]);
      if (values.includes(wish[select.name])) select.value = wish[select.name];
    };
    const runs = Object.keys(tags).sort(natural);
    choose(this.run, runs);
    const names = tags[this.run.value] ?? {};
    choose(this.name, Object.keys(names).sort(natural));
    const { clips = [], description = "" } = names[this.name.value] ?? {};
    choose(this.clip, clips);
    const { run, name, clip } = this.chosen;
    const others = runs.filter((other) => other !== run && tags[other][name]?.clips?.includes(clip));
    choose(this.compare, others, [["", others.length ? "none" : "no other run has this clip"]]);
    this.compare.disabled = !others.length;
    this.about.textContent = description;
    this.about.hidden = !description;
  }

  get chosen() {
    return { run: this.run.value, name: this.name.value, clip: this.clip.value, compare: this.compare.value };
  }

  get look() {
    const [opacity, speed] = [this.opacity.valueAsNumber, Number(this.speed.value)];
    return { colormap: this.colormap.value, opacity, speed };
  }

  set look({ colormap, opacity, speed }) {
    if (SPEEDS.includes(speed)) this.speed.value = String(speed);
    if (colormap in COLORMAPS) this.colormap.value = colormap;
    if (opacity >= 0 && opacity <= 1) this.opacity.value = opacity;
  }

  // Sets the sliders and their texts to the current frame and step. `mask` describes the mask's value.
  update({ playing, frame, length, index, steps, mask }) {
    this.play.textContent = playing ? "Pause" : "Play";
    this.frame.max = length;
    this.frame.value = frame + 1;
    this.frameText.textContent = `${frame + 1} of ${length}`;
    this.frame.setAttribute("aria-valuetext", `frame ${frame + 1} of ${length}${mask && `, mask ${mask}`}`);
    this.step.max = steps.length - 1;
    this.step.value = index;
    this.step.disabled = steps.length < 2;
    const { step } = steps[index];
    this.stepText.textContent = `${step} (${index + 1} of ${steps.length})`;
    this.step.setAttribute("aria-valuetext", `step ${step}, ${index + 1} of ${steps.length}`);
    this.opacityText.textContent = `${Math.round(100 * this.opacity.valueAsNumber)} %`;
  }
}
