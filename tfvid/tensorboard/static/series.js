// The explanations of one clip at all its steps. Keeps the most recently used ones decoded.
import { fetchSample } from "./api.js";
import { decoded } from "./sample.js";

const KEPT = 12; // decoded samples: 16 frames of 224x224 take 3 MB, 6 MB with their perturbed frames
const NEAR = 2; // number of steps on either side that are decoded in advance
const REACH = 32; // number of steps whose masks are fetched in advance

export class Series {
  constructor(run, name, clip, steps) {
    Object.assign(this, { run, name, clip, steps });
    this.seen = () => {}; // called with (index, info) when a step is fetched for the first time
    this.samples = new Map(); // index -> promise of a sample, the most recently used last
    this.known = new Set();
    this.closed = false;
  }

  async fetched(index) {
    const { run, name, clip, steps } = this;
    const sample = await fetchSample(run, name, clip, steps[index].step);
    if (!this.closed && !this.known.has(index)) {
      this.known.add(index);
      this.seen(index, sample.info);
    }
    return sample;
  }

  sample(index) {
    const promise = this.samples.get(index) ?? this.fetched(index).then(decoded);
    this.samples.delete(index);
    this.samples.set(index, promise);
    promise.catch(() => this.samples.delete(index)); // the next request fetches it again
    if (this.samples.size > KEPT) this.samples.delete(this.samples.keys().next().value);
    return promise;
  }

  // Prefetches the neighbours of a step, then the masks of further steps, one after the other.
  async ahead(index) {
    const turn = (this.turn = Symbol());
    const away = (other) => Math.abs(other - index);
    const nearest = [...this.steps.keys()].sort((a, b) => away(a) - away(b)).slice(0, REACH);
    for (const other of nearest) {
      if (this.closed || this.turn !== turn) return;
      try {
        if (away(other) <= NEAR) await this.sample(other);
        else if (!this.known.has(other)) await this.fetched(other);
      } catch {
        // the error is shown when the user opens this step
      }
    }
  }

  // The index of the step nearest to `step`; the earlier one of two equally near steps.
  nearest(step) {
    const away = this.steps.map((entry) => Math.abs(entry.step - step));
    return away.indexOf(Math.min(...away));
  }
}
