// The plugin's page. TensorBoard imports this module into an empty frame and calls `render`.
import { fetchSteps, fetchTags } from "./api.js";
import { Controls } from "./controls.js";
import { el } from "./dom.js";
import { listen } from "./keys.js";
import { Panel } from "./panel.js";
import { Player } from "./player.js";
import { guard } from "./policy.js";
import { Series } from "./series.js";
import { followTheme } from "./theme.js";
import { recall, remember } from "./visit.js";

const HOW = `result = tfvid.TemporalMask(model)(clips)
with tf.summary.create_file_writer("logs").as_default():
    tfvid.summary.explanation("freeze mask", clips, step=0, scores=result)`;

class Page {
  constructor() {
    this.controls = new Controls({
      chose: () => this.attempt(() => this.open()),
      reload: () => this.attempt(() => this.reload()),
      play: () => this.player.play(!this.player.playing),
      frame: (frame) => this.player.step(frame - this.player.frame),
      step: (index) => this.attempt(() => this.go(index)),
      look: () => {
        this.remember();
        this.draw();
      },
    });
    this.player = new Player(() => this.draw());
    this.tags = {};
    this.panels = []; // the visible panels, the chosen run's first
    this.steps = [];
    this.index = -1; // into steps
    this.turn = 0; // number of requests so far: a response to an earlier request is ignored
    this.problem = el("p", { class: "problem", role: "alert", hidden: true });
    this.empty = el("div", { class: "empty", hidden: true },
      el("h2", {}, "No explanations in this log directory yet"),
      el("p", {}, "These lines of Python write one:"),
      el("pre", {}, el("code", {}, HOW)),
      el("button", { type: "button", click: () => this.attempt(() => this.reload()) }, "Reload"));
    this.main = el("main", {});
    this.content = el("div", {}, this.controls.element, this.main);
    this.content.hidden = true;
    this.element = el("div", { class: "page" }, this.problem, this.empty, this.content);
    listen({
      play: () => this.player.play(!this.player.playing),
      frame: (by) => this.player.step(by),
      step: (by) => this.attempt(() => this.go(this.index + by)),
    });
  }

  // Runs an action and shows its error, if any, above the page.
  async attempt(action) {
    this.main.setAttribute("aria-busy", "true");
    this.problem.hidden = true;
    try {
      await action();
    } catch (error) {
      this.problem.textContent = error.message;
      this.problem.hidden = false;
    }
    this.main.setAttribute("aria-busy", "false");
  }

  // Loads the list of runs and clips, and shows the current choice or `wish`, the choice of an earlier visit.
  async reload(wish) {
    this.tags = await fetchTags();
    const some = Object.values(this.tags).some((names) => Object.keys(names).length);
    this.empty.hidden = some;
    this.content.hidden = !some;
    if (some) await this.open(wish);
    else this.player.play(false);
  }

  async open(wish) {
    const { controls } = this;
    controls.offer(this.tags, wish);
    const { run, name, clip, compare } = controls.chosen;
    const turn = ++this.turn;
    const runs = compare ? [run, compare] : [run];
    const before = this.index < this.steps.length - 1 ? this.steps[this.index].step : null; // null: the latest
    let steps;
    try {
      steps = await Promise.all(runs.map((each) => fetchSteps(each, name, clip)));
      if (steps.some((each) => !each.length)) throw new Error(`clip ${clip} of ${name}: it has no readable step`);
    } catch (error) {
      if (turn === this.turn) this.show([], []);
      throw error;
    }
    if (turn !== this.turn) return;
    const panels = runs.map((each, place) => this.panelOf(new Series(each, name, clip, steps[place])));
    this.show(panels, steps[0]);
    this.remember();
    await this.go(before === null ? this.steps.length - 1 : panels[0].series.nearest(before));
  }

  show(panels, steps) {
    this.panels.forEach((panel) => panel.close());
    this.panels = panels;
    this.steps = steps;
    this.main.replaceChildren(...panels.map((panel) => panel.element));
  }

  panelOf(series) {
    const panel = new Panel({
      seek: (frame) => this.player.step(this.clockOf(frame, panel) - this.player.frame),
      choose: (index) => this.attempt(() => this.go(this.panels[0].series.nearest(series.steps[index].step))),
    });
    series.seen = (index, info) => panel.history.add(index, info);
    panel.open(series);
    return panel;
  }

  // Shows step `index` of the chosen run in its panel, and the nearest step of the other run in the other panel.
  async go(index) {
    if (!this.steps.length) return;
    this.index = Math.min(this.steps.length - 1, Math.max(0, index));
    const { step } = this.steps[this.index];
    const turn = ++this.turn;
    this.update();
    const { panels } = this;
    const wanted = panels.map((panel) => panel.series.nearest(step));
    const samples = await Promise.allSettled(panels.map((panel, place) => panel.series.sample(wanted[place])));
    if (turn !== this.turn) return;
    panels.forEach((panel, place) => {
      const { value, reason } = samples[place];
      if (value) panel.show(wanted[place], value);
      else panel.fail(reason);
      panel.series.ahead(wanted[place]);
    });
    this.player.resize(Math.max(...panels.map((panel) => panel.length)));
    this.draw();
  }

  // A shorter film shows fewer frames in the same time.
  frameOf(panel) {
    return Math.floor((this.player.frame * panel.length) / this.player.length);
  }

  clockOf(frame, panel) {
    return Math.ceil((frame * this.player.length) / panel.length);
  }

  draw() {
    const { look } = this.controls;
    this.player.speed = look.speed;
    for (const panel of this.panels) panel.draw(this.frameOf(panel), look);
    this.update();
  }

  update() {
    const { playing, frame, length } = this.player;
    const mask = this.panels[0]?.value.textContent ?? "";
    if (this.steps.length) this.controls.update({ playing, frame, length, index: this.index, steps: this.steps, mask });
  }

  remember() {
    remember({ ...this.controls.chosen, ...this.controls.look });
  }
}

function styled() {
  const link = el("link", { rel: "stylesheet", href: new URL("page.css", import.meta.url) });
  document.head.append(link);
  return new Promise((done) => {
    link.addEventListener("load", done);
    link.addEventListener("error", done);
  });
}

export async function render() {
  guard();
  document.documentElement.lang = "en";
  document.title = "Video explanations";
  followTheme();
  await styled();
  const page = new Page();
  document.body.append(page.element);
  const earlier = recall();
  page.controls.look = earlier;
  await page.attempt(() => page.reload(earlier));
  if (!matchMedia("(prefers-reduced-motion: reduce)").matches) page.player.play(page.steps.length > 0);
}
