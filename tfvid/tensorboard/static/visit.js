// Keeps the user's choices when the browser reloads TensorBoard.
const KEY = "tfvid";

export function remember(choices) {
  try {
    sessionStorage.setItem(KEY, JSON.stringify(choices));
  } catch {
    // storage is switched off: the choices are not kept
  }
}

export function recall() {
  try {
    return JSON.parse(sessionStorage.getItem(KEY)) ?? {};
  } catch {
    return {};
  }
}
