// The page defines `run` before this script: groups, models, measures, colours, and the clips with one row per model.

const form = document.querySelector(".tools");
const main = document.querySelector("main");
const still = matchMedia("(prefers-reduced-motion: reduce)").matches;
const narrow = matchMedia("(max-width: 700px)").matches;

/** Creates an element with attributes, child elements and texts. Texts are never interpreted as markup. */
function make(tag, attributes, ...content) {
  return filled(document.createElement(tag), attributes, content);
}

/** Creates an SVG element in the same way. */
function makeSvg(tag, attributes, ...content) {
  return filled(document.createElementNS("http://www.w3.org/2000/svg", tag), attributes, content);
}

function filled(element, attributes, content) {
  for (const [name, value] of Object.entries(attributes)) element.setAttribute(name, value);
  element.append(...content);
  return element;
}

/** Formats a value with a number of decimals that suits its size. */
function short(value) {
  const digits = Number.isInteger(value) || Math.abs(value) >= 100 ? 0 : Math.abs(value) >= 10 ? 1 : 2;
  const text = value.toFixed(digits);
  return Number(text) === 0 ? text.replace("-", "") : text.replace("-", "−");
}
