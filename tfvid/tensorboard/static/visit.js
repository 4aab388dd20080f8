// What was chosen stays chosen when the browser reloads TensorBoard.
const KEY = "tfvid";

export function remember(choices) {
  try {
    sessionStorage.setItem(KEY, JSON.stringify(choices));
  } catch {
    // storage is switched off: nothing is lost but this
  }
}

export function recall() {
  try {
    return JSON.parse(sessionStorage.getItem(KEY)) ?? {};
  } catch {
    return {};
  }
}
