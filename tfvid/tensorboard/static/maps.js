// Draws a heatmap over a frame: resizes it like tfvid.explain.cam.features.resized and draws it like
// tfvid.report.overlay.

// The index, among `steps` maps, of the map nearest in time to `frame` of `length` frames.
export function mapOf(frame, length, steps) {
  return Math.min(steps - 1, Math.floor(((frame + 0.5) * steps) / length));
}

// For each of `to` pixels along one side: its two neighbours among `from` pixels, and the weight of the second.
function neighbours(from, to) {
  return Array.from({ length: to }, (_, i) => {
    const place = Math.min(from - 1, Math.max(0, ((i + 0.5) * from) / to - 0.5));
    const first = Math.floor(place);
    return [first, Math.min(from - 1, first + 1), place - first];
  });
}

// Resizes a map of h x w values to H x W with bilinear interpolation.
export function resized(map, [h, w], [H, W]) {
  const out = new Float32Array(H * W);
  const columns = neighbours(w, W);
  neighbours(h, H).forEach(([up, down, v], row) => {
    columns.forEach(([left, right, u], column) => {
      const above = map[up * w + left] * (1 - u) + map[up * w + right] * u;
      const below = map[down * w + left] * (1 - u) + map[down * w + right] * u;
      out[row * W + column] = above * (1 - v) + below * v;
    });
  });
  return out;
}

// Draws `heat`, H x W in [0, 1] ([-1, 1] if signed), over a frame. The opacity is proportional to the magnitude of the
// heat. Where the heat is 0, the frame shows, in grey unless the colour map's `saturation` is 1.
export function overlaid(frame, heat, { table, saturation, signed }, opacity) {
  const image = new ImageData(frame.width, frame.height);
  const { data: from } = frame;
  const { data: to } = image;
  for (let pixel = 0, i = 0; pixel < heat.length; pixel++, i += 4) {
    const value = heat[pixel];
    const level = 3 * Math.round(255 * (signed ? (value + 1) / 2 : value));
    const alpha = opacity * Math.abs(value);
    const grey = (1 - saturation) * (0.299 * from[i] + 0.587 * from[i + 1] + 0.114 * from[i + 2]);
    for (let c = 0; c < 3; c++) {
      to[i + c] = (1 - alpha) * (saturation * from[i + c] + grey) + alpha * table[level + c];
    }
    to[i + 3] = 255;
  }
  return image;
}
