// Computes a perturbed frame as a mixture of the clip's frames: perturbed[t] = sum of weight * frame[source], as in
// tfvid/perturb/temporal.py. `row` is [[source, weight], ...]; the weights sum to 1.
export function mixed(frames, row) {
  if (row.length === 1) return frames[row[0][0]];
  const { width, height } = frames[0];
  const sum = new Float32Array(4 * width * height);
  for (const [source, weight] of row) {
    const { data } = frames[source];
    for (let i = 0; i < sum.length; i++) sum[i] += weight * data[i];
  }
  const image = new ImageData(width, height);
  image.data.set(sum); // clamps and rounds
  return image;
}
