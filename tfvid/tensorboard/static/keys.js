// The keyboard shortcuts: a table of their actions, and the hint line that lists them.
import { el } from "./dom.js";

const MOVES = {
  ArrowLeft: (on) => on.frame(-1),
  ArrowRight: (on) => on.frame(1),
  ArrowUp: (on) => on.step(1),
  ArrowDown: (on) => on.step(-1),
  PageUp: (on) => on.step(1),
  PageDown: (on) => on.step(-1),
  " ": (on) => on.play(),
};

// Whether a control handles the key itself: a select, a slider other than the frame's, or a button with the space bar.
function own(target, key) {
  if (target.matches("select")) return true;
  if (target.matches("button")) return key === " ";
  return target.matches("input:not([name=frame])") && key !== " ";
}

export function listen(on) {
  document.addEventListener("keydown", (event) => {
    if (event.altKey || event.ctrlKey || event.metaKey || own(event.target, event.key)) return;
    const move = Object.hasOwn(MOVES, event.key) && MOVES[event.key];
    if (!move) return;
    event.preventDefault();
    move(on);
  });
}

export function hint() {
  const entry = (text, ...keys) => el("span", {}, ...keys.map((key) => el("kbd", {}, key)), ` ${text}`);
  return el("p", { class: "hint" },
    entry("play", "Space"), entry("frame", "←", "→"), entry("training step", "↑", "↓", "PgUp", "PgDn"));
}
