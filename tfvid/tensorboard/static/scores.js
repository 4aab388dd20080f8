// The numbers of an explanation, each as a bar where it is a share of one.
import { el, number } from "./dom.js";

const MEANING = {
  OS: ["original", "Original score: the probability of the target class for the clip as it is"],
  FS: ["freeze", "Freeze score: the probability of the target class with the masked frames frozen"],
  RS: ["reverse", "Reverse score: the probability of the target class with the masked frames played backwards"],
  CS: ["true class", "Class score: the probability of the true class for the clip as it is"],
};

export const meaningOf = (name) => (Object.hasOwn(MEANING, name) ? MEANING[name][1] : name);

// Where none of the four is known, as for a method without a mask, they are not listed.
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
