// The explanations of one clip at all its steps: fetched once, decoded once, the latest few kept decoded.
import { fetchSample } from "./api.js";
import { decoded } from "./sample.js";

const KEPT = 12; // decoded samples: 16 frames of 224x224 are 3 MB, twice that with their perturbed ones
const NEAR = 2; // steps on either side decoded ahead
const REACH = 32; // steps whose masks are fetched without being asked for

export class Series {
  constructor(run, name, clip, steps) {
    Object.assign(this, { run, name, clip, steps });
    this.seen = () => {}; // called with (index, info) when a step's numbers are first known
    this.samples = new Map(); // index -> promise of a sample, the latest asked for last
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
    promise.catch(() => this.samples.delete(index)); // asked for again, it is fetched again
    if (this.samples.size > KEPT) this.samples.delete(this.samples.keys().next().value);
    return promise;
  }

  // Fetches what is likely to be wanted next, one after the other: the neighbours of a step, then the masks of others.
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
        // shown when somebody goes there
      }
    }
  }

  // The index of the step nearest to `step`; of two, the earlier.
  nearest(step) {
    const away = this.steps.map((entry) => Math.abs(entry.step - step));
    return away.indexOf(Math.min(...away));
  }
}
