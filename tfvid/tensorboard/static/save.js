// Saves what a panel shows: its films at the current frame as PNG, and its numbers as CSV.
import { el } from "./dom.js";
import { csvText } from "./download.js";

const GAP = 4; // pixels between two films

// The visible canvases of a panel side by side, as a PNG Blob.
export function pngOf(canvases) {
  const picture = el("canvas", {
    width: canvases.reduce((sum, { width }) => sum + width + GAP, -GAP),
    height: Math.max(...canvases.map(({ height }) => height)),
  });
  let left = 0;
  for (const canvas of canvases) {
    picture.getContext("2d").drawImage(canvas, left, 0);
    left += canvas.width + GAP;
  }
  return new Promise((done) => picture.toBlob(done, "image/png"));
}

// One row per frame: where it is from, its mask value, and the clip's scores.
export function csvOf({ run, name, clip, step }, { num_frames, mask, scores }) {
  const rows = [["run", "name", "clip", "step", "frame", "mask", ...Object.keys(scores)]];
  for (let frame = 0; frame < num_frames; frame++) {
    rows.push([run, name, clip, step, frame + 1, mask?.[frame], ...Object.values(scores)]);
  }
  return new Blob([csvText(rows)], { type: "text/csv" });
}
