// The clock that all films share. It counts in frames of the longest one.
const FPS = 5;

export class Player {
  // `changed` is called whenever the frame or the state of play has changed.
  constructor(changed) {
    this.changed = changed;
    this.length = 1;
    this.frame = 0;
    this.playing = false;
  }

  // Films of `length` frames from now on; the place is kept as well as it can be.
  resize(length) {
    this.length = length;
    this.frame = Math.min(this.frame, length - 1);
  }

  seek(frame) {
    this.frame = ((frame % this.length) + this.length) % this.length;
    this.changed();
  }

  // A frame forward or back by hand, which ends play.
  step(by) {
    this.playing = false;
    this.seek(this.frame + by);
  }

  // Animation frames, not a timer: they stop while the tab is hidden.
  play(playing) {
    if (playing === this.playing) return;
    this.playing = playing;
    let last = performance.now();
    const tick = (now) => {
      if (!this.playing || this.ticking !== tick) return;
      if (now - last >= 1000 / FPS) {
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
