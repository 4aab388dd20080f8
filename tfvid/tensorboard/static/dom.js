// Creates an element from attributes and text nodes only, so that a logged name or label never becomes markup.
export function el(tag, attributes = {}, ...children) {
  const element = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) {
    if (typeof value === "function") element.addEventListener(name, value);
    else if (value !== false && value !== null && value !== undefined) {
      element.setAttribute(name, value === true ? "" : value);
    }
  }
  element.append(...children.filter((child) => child !== null && child !== undefined));
  return element;
}

// Fills a <select> and keeps its choice if that is still an option. `options` are [value, text] pairs.
export function fill(select, options) {
  const before = select.value;
  select.replaceChildren(...options.map(([value, text]) => el("option", { value }, text)));
  if (options.some(([value]) => value === before)) select.value = before;
}

// Formats a number with a suitable number of digits: 0.934, 12.3, 1234, 0.00012.
export function number(value) {
  if (typeof value !== "number") return "–";
  const size = Math.abs(value);
  const text = size > 0 && size < 0.01 ? value.toPrecision(2) : value.toFixed(size < 10 ? 3 : size < 1000 ? 1 : 0);
  return text.replace("-", "−");
}
