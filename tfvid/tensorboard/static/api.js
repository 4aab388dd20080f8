// The plugin's HTTP routes. Every failure is an Error whose message is one line to show.

async function get(route, query = {}) {
  const url = new URL(route, import.meta.url); // beside this file, whatever prefix TensorBoard runs under
  url.search = new URLSearchParams(query);
  let answer;
  try {
    answer = await fetch(url);
  } catch {
    throw new Error("TensorBoard does not answer. Is it still running?");
  }
  if (!answer.ok) {
    const said = answer.headers.get("Content-Type")?.startsWith("text/plain") && (await answer.text()).trim();
    throw new Error(said ? said.slice(0, 400) : `TensorBoard failed to answer (HTTP ${answer.status}); try Reload`);
  }
  return answer;
}

// {run: {name: {description, clips: [clip, ...]}}}
export const fetchTags = async () => (await get("tags")).json();

// [{step, wall_time}, ...], ascending
export const fetchSteps = async (run, name, clip) => (await get("steps", { run, name, clip })).json();

// {info, blobs}: the JSON of one explanation, and the encoded images after it as Uint8Arrays
export async function fetchSample(run, name, clip, step) {
  return unpacked(await (await get("sample", { run, name, clip, step })).arrayBuffer());
}

// A count, that many lengths (uint32, little-endian), then the parts.
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
    throw new Error(`an answer of ${buffer.byteLength} bytes that is no explanation`);
  }
}
