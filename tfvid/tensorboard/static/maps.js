// A heatmap over a frame: resized as tfvid.explain.cam.features.resized does, drawn as tfvid.report.overlay does.

// Which of `steps` maps belongs to `frame` of `length`: nearest in time.
export function mapOf(frame, length, steps) {
  return Math.min(steps - 1, Math.floor(((frame + 0.5) * steps) / length));
}

// For each of `to` pixels along one side: its two neighbours among `from`, and the share of the second.
function neighbours(from, to) {
  return Array.from({ length: to }, (_, i) => {
    const place = Math.min(from - 1, Math.max(0, ((i + 0.5) * from) / to - 0.5));
    const first = Math.floor(place);
    return [first, Math.min(from - 1, first + 1), place - first];
  });
}

// Bilinear: a map of h x w values at H x W.
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

// The frame under its heat, H x W in [0, 1] or, signed, in [-1, 1]. Opacity falls with heat in proportion; where
// there is none the clip shows, in grey unless the colour map's `saturation` is 1.
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
