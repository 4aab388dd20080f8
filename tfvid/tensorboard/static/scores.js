// The scores of an explanation. A score between 0 and 1 is also drawn as a bar.
import { el, number } from "./dom.js";

const MEANING = {
  OS: ["original", "Original score: the probability of the target class for the original clip"],
  FS: ["freeze", "Freeze score: the probability of the target class with the masked frames frozen"],
  RS: ["reverse", "Reverse score: the probability of the target class with the masked frames played backwards"],
  CS: ["true class", "Class score: the probability of the true class for the original clip"],
};

export const meaningOf = (name) => (Object.hasOwn(MEANING, name) ? MEANING[name][1] : name);

// The four scores are not listed if none of them is known, e.g. for a method without a mask.
export function scoresList(scores) {
  const masked = Object.keys(MEANING).some((name) => (scores[name] ?? null) !== null);
  const listed = Object.entries(scores).filter(([name]) => masked || !Object.hasOwn(MEANING, name));
  const entries = listed.map(([name, value]) => {
    const share = value >= 0 && value <= 1 && value !== null;
    const bar = el("div", { class: "bar", hidden: !share });
    bar.style.setProperty("--share", share ? value : 0);
    const term = el("dt", {}, el("abbr", { title: meaningOf(name) }, name));
    if (Object.hasOwn(MEANING, name)) term.append(" ", el("small", {}, MEANING[name][0]));
    return el("div", {}, term, el("dd", {}, number(value)), bar);
  });
  return el("dl", { class: "scores" }, ...entries);
}
