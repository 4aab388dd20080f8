// The clock that all films share. It counts the frames of the longest film.
const FPS = 5; // at speed 1

export class Player {
  // `changed` is called when the frame changes, and when playing starts or stops.
  constructor(changed) {
    this.changed = changed;
    this.length = 1;
    this.frame = 0;
    this.playing = false;
    this.speed = 1;
  }

  // Sets the length in frames. The current frame is kept if it exists.
  resize(length) {
    this.length = length;
    this.frame = Math.min(this.frame, length - 1);
  }

  seek(frame) {
    this.frame = ((frame % this.length) + this.length) % this.length;
    this.changed();
  }

  // Stops playing and moves by a number of frames.
  step(by) {
    this.playing = false;
    this.seek(this.frame + by);
  }

  // Uses animation frames instead of a timer, because they stop while the tab is hidden.
  play(playing) {
    if (playing === this.playing) return;
    this.playing = playing;
    let last = performance.now();
    const tick = (now) => {
      if (!this.playing || this.ticking !== tick) return;
      if (now - last >= 1000 / (FPS * this.speed)) {
        last = now;
        this.seek(this.frame + 1);
      }
      requestAnimationFrame(tick);
    };
    this.ticking = tick;
    requestAnimationFrame(tick);
    this.changed();
  }
}
