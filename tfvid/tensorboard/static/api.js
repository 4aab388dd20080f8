// Calls the plugin's HTTP routes. Every failure throws an Error; the page shows its one-line message.

async function get(route, query = {}) {
  const url = new URL(route, import.meta.url); // relative to this file, so that any path prefix of TensorBoard works
  url.search = new URLSearchParams(query);
  let answer;
  try {
    answer = await fetch(url);
  } catch {
    throw new Error("TensorBoard does not respond; check that it is running, then press Reload");
  }
  if (!answer.ok) {
    const message = answer.headers.get("Content-Type")?.startsWith("text/plain") && (await answer.text()).trim();
    throw new Error(message ? message.slice(0, 400) : `TensorBoard returned HTTP ${answer.status}; press Reload`);
  }
  return answer;
}

// {run: {name: {description, clips: [clip, ...]}}}
export const fetchTags = async () => (await get("tags")).json();

// [{step, wall_time}, ...], ascending
export const fetchSteps = async (run, name, clip) => (await get("steps", { run, name, clip })).json();

// {info, blobs}: the JSON of one explanation, and its encoded images as Uint8Arrays
export async function fetchSample(run, name, clip, step) {
  return unpacked(await (await get("sample", { run, name, clip, step })).arrayBuffer());
}

// Parses a response of the route "sample": the number of parts, their lengths (uint32, little-endian), then the parts.
function unpacked(buffer) {
  try {
    const view = new DataView(buffer);
    const count = view.getUint32(0, true);
    const parts = [];
    let start = 4 + 4 * count;
    for (let index = 0; index < count; index++) {
      const length = view.getUint32(4 + 4 * index, true);
      parts.push(new Uint8Array(buffer, start, length));
      start += length;
    }
    return { info: JSON.parse(new TextDecoder().decode(parts[0])), blobs: parts.slice(1) };
  } catch {
    throw new Error(`expected an explanation, got a response of ${buffer.byteLength} bytes in another format`);
  }
}
