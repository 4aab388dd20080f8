// Decodes one explanation of one clip: its frames, its map and its perturbed frames, all as pixels.
import { mixed } from "./mixing.js";

const canvas = document.createElement("canvas"); // shared by all images: only its pixels are read
const context = canvas.getContext("2d", { willReadFrequently: true });

async function pixels(bytes, type, what) {
  let bitmap;
  try {
    bitmap = await createImageBitmap(new Blob([bytes], { type }), { colorSpaceConversion: "none" });
  } catch {
    throw new Error(`${what} cannot be decoded`);
  }
  canvas.width = bitmap.width;
  canvas.height = bitmap.height;
  context.drawImage(bitmap, 0, 0);
  bitmap.close();
  return context.getImageData(0, 0, canvas.width, canvas.height);
}

async function reel(blobs, type, what) {
  const images = [];
  for (const [index, bytes] of blobs.entries()) {
    images.push(await pixels(bytes, type, `${what} ${index + 1} of ${blobs.length}`));
  }
  return images;
}

/* Decodes the result of `fetchSample`. Returns
     info       the JSON, see tfvid/tensorboard/summary.py
     frames     T ImageData
     heat       null, or T' Float32Array of h x w in [0, 1] ([-1, 1] if the map is signed)
     perturbed  null, or a function from the index of a frame to ImageData                                 */
export async function decoded({ info, blobs }) {
  const length = info.num_frames;
  const maps = info.map ? info.map.frames : 0;
  const expected = length + maps + (info.perturbed_frames ? length : 0);
  if (blobs.length !== expected) throw new Error(`expected ${expected} images, got ${blobs.length}`);
  const frames = await reel(blobs.slice(0, length), "image/jpeg", "frame");
  const grey = await reel(blobs.slice(length, length + maps), "image/png", "map");
  const stored = await reel(blobs.slice(length + maps), "image/jpeg", "perturbed frame");
  return {
    info,
    frames,
    heat: info.map && grey.map((image) => heatOf(image, info.map)),
    perturbed: stored.length ? (frame) => stored[frame] : info.mixing && memoised(frames, info.mixing),
  };
}

// Converts grey levels 0..255 to values low..high, then divides by the largest magnitude, so that 0 stays 0 (no heat).
function heatOf({ data }, { low, high, signed }) {
  const most = signed ? Math.max(Math.abs(low), Math.abs(high)) : high;
  const heat = new Float32Array(data.length / 4);
  for (let i = 0; i < heat.length; i++) {
    const value = (low + ((high - low) * data[4 * i]) / 255) / most;
    heat[i] = most > 0 ? Math.min(1, Math.max(signed ? -1 : 0, value)) : 0;
  }
  return heat;
}

// A function that computes each mixed frame once.
function memoised(frames, mixing) {
  const made = [];
  return (frame) => (made[frame] ??= mixed(frames, mixing[frame]));
}
