// Filtering and sorting the clips, and choosing the models whose films are shown.

form.addEventListener("submit", (event) => event.preventDefault());
form.addEventListener("input", ({ target: { name } }) => {
  if (name === "show") showModels();
  else if (["sort", "of", "order"].includes(name)) sort();
  else if (["map", "colormap", "opacity", "speed"].includes(name)) look(name);
  else filter();
});

function filter() {
  const words = form.elements.search.value.toLowerCase().split(/\s+/).filter(Boolean);
  const label = form.elements.label?.value;
  const outcomes = run.groups.map((_, group) => form.elements[`outcome-${group}`]?.value);
  let count = 0;
  for (const { clip, element, text } of cards) {
    const fits = words.every((word) => text.includes(word))
      && (!label || clip.label === label)
      && outcomes.every((outcome, group) => !outcome || outcomeOf(clip, group) === outcome);
    element.hidden = !fits;
    count += fits;
  }
  document.getElementById("count").textContent = `${count} of ${cards.length} clips`;
  document.getElementById("none").hidden = count > 0;
}

const rowsOf = (clip, group) => clip.rows.filter((row) => run.models[row.model].group === group);

/** "right", "wrong", or "mixed" if the group's models disagree; "" if the true class is unknown. */
function outcomeOf(clip, group) {
  const known = rowsOf(clip, group).map((row) => row.correct).filter((correct) => correct !== null);
  if (!known.length) return "";
  if (known.every(Boolean)) return "right";
  return known.some(Boolean) ? "mixed" : "wrong";
}

/** A clip's measure: the mean over the group's models, undefined if none has a value. */
function measureOf(clip, group, key) {
  const values = rowsOf(clip, group).map((row) => row.values[key]).filter((value) => value !== undefined);
  return values.length ? values.reduce((sum, value) => sum + value, 0) / values.length : undefined;
}

function sort() {
  const measure = run.measures.find(({ key }) => key === form.elements.sort.value);
  const order = Number(form.elements.order.value);
  const of = form.elements.of?.value ?? "0";
  let sorted = [...cards];
  if (measure) {
    const rank = new Map(cards.map((card) => [card, rankOf(card, measure, of)]));
    const known = (card) => rank.get(card) !== undefined;
    sorted.sort((a, b) => (known(b) - known(a)) || (known(a) ? order * (rank.get(a) - rank.get(b)) : 0));
  } else {
    cards.forEach((card) => { card.ranked.textContent = ""; });
  }
  main.append(...sorted.map((card) => card.element), unprinted);
  main.dataset.sorted = measure?.key ?? "";
  document.querySelectorAll("[data-measure]").forEach((item) => {
    item.classList.toggle("sorted", item.dataset.measure === measure?.key);
  });
}

/** Returns the value by which `card` is sorted, and writes the values into its heading. */
function rankOf(card, measure, of) {
  const values = run.groups.map((_, group) => measureOf(card.clip, group, measure.key));
  const texts = values.map((value, group) => `${run.groups[group]} ${value === undefined ? "–" : short(value)}`);
  card.ranked.textContent = `${measure.title}: ${texts.join(" · ")}`;
  if (of !== "difference") return values[Number(of)];
  if (values.length === 2) {
    const [first, second] = values;
    return first === undefined || second === undefined ? undefined : first - second;
  }
  const known = values.filter((value) => value !== undefined);
  return known.length > 1 ? Math.max(...known) - Math.min(...known) : undefined;
}

document.querySelectorAll("[data-sort]").forEach((button) => {
  button.addEventListener("click", () => {
    form.elements.sort.value = button.dataset.sort;
    sort();
    openPart("clips");
    form.scrollIntoView();
    form.elements.sort.focus({ preventScroll: true });
  });
});

function isShown(model) {
  const boxes = form.querySelectorAll("[name=show]");
  return boxes.length === 0 || boxes[model].checked;
}

function showModels() {
  const boxes = [...form.querySelectorAll("[name=show]")];
  main.classList.toggle("single", boxes.length === 0 || boxes.filter((box) => box.checked).length < 2);
  for (const card of cards.filter((card) => card.wanted)) {
    empty(card);
    fill(card);
  }
}
