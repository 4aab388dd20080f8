"use strict";

// The page defines `run` before this script: groups, models, measures, and the clips with one row per model.

const form = document.querySelector(".tools");
const main = document.querySelector("main");
const still = matchMedia("(prefers-reduced-motion: reduce)").matches;

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

// Cards. A card always has its heading; its films exist only while it is near the visible part of the page.

const cards = run.clips.map((clip, index) => {
  const button = make("button", { type: "button", class: "play", "aria-label": `Play or pause ${clip.heading}` }, "Play");
  const ranked = make("p", { class: "ranked" });
  const body = make("div", { class: "models" });
  const heading = make("div", {}, make("h2", {}, clip.heading), make("p", { class: "id" }, clip.id));
  if (clip.damage) heading.append(make("p", { class: "doubt" }, `Damaged file: ${clip.damage}`));
  const element = make("article", { class: "card", "data-index": index },
    make("header", {}, heading, ranked, button), body);
  const words = [clip.heading, clip.label ?? "", clip.id, ...clip.rows.map((row) => row.predicted)];
  return {
    clip, element, button, ranked, body,
    text: words.join(" ").toLowerCase(),
    length: Math.max(...clip.rows.map((row) => row.mask.length)),
    films: [], // of the shown models, while the card is near
    playing: !still,
    visible: false,
    wanted: false, // whether its films were requested
    held: false, // paused because the pointer is on a frame
    frame: still ? clip.poster : 0, // of the longest film; shorter films show fewer frames in the same time
  };
});

function fill(card) {
  if (card.wanted) return;
  card.wanted = true;
  const shown = card.clip.rows.filter((row) => isShown(row.model));
  card.films = shown.map((row) => makeFilm(card, row));
  card.body.replaceChildren(...shown.map((row, index) => makeModel(card, row, card.films[index])));
  show(card, card.frame);
  card.films.forEach((film) => film.row.reel && load(card, film));
}

function empty(card) {
  card.wanted = false;
  card.films = [];
  card.body.replaceChildren();
}

async function load(card, film) {
  const reel = new Image();
  reel.src = film.row.reel.file;
  try {
    await reel.decode();
    film.reel = reel;
    film.panes.classList.add("loaded");
    draw(film, frameOf(card, film));
  } catch {
    film.panes.classList.add("missing");
  }
}

// One model's part of a card

function makeModel(card, row, film) {
  const model = run.models[row.model];
  const outcome = row.correct === null ? "" : row.correct ? "right" : "wrong";
  const mark = make("span", outcome ? { class: outcome, role: "img", "aria-label": outcome } : {},
    { right: "✓ ", wrong: "✗ " }[outcome] ?? "");
  const explained = row.target === row.predicted ? " (predicted and explained)" : ` · explained: ${row.target}`;
  const section = make("section", { class: `model g${model.group}` },
    make("h3", {}, mark, make("b", {}, model.name), `: ${row.predicted}${explained}`),
    film.element,
    make("div", { class: "numbers" }, makeScores(row), makeTop(row), makeMeasures(row)));
  if (row.map) section.append(make("p", { class: "map" }, row.map));
  if (row.doubt) section.append(make("p", { class: "doubt" }, row.doubt));
  const links = Object.entries(row.files).map(([name, file]) => make("a", { href: file }, name));
  if (links.length) section.append(make("p", { class: "files" }, ...links));
  return section;
}

function makeFilm(card, row) {
  const name = run.models[row.model].name;
  const panes = make("div", { class: "panes" });
  const canvases = row.reel ? row.panes.map((pane) => {
    const [width, height] = row.reel.size;
    const canvas = make("canvas", { width, height });
    panes.append(make("figure", {}, make("figcaption", {}, pane), canvas));
    return canvas;
  }) : [];
  const slider = make("input",
    { type: "range", min: 1, max: row.mask.length, value: 1, "aria-label": `Frame, ${name}` });
  const now = make("p", { class: "now", "aria-hidden": "true" });
  const strip = make("div", { class: "lane" });
  strip.append(stripOf(row.mask));
  const timeline = make("div", { class: "timeline", style: `--length:${row.mask.length}` }, strip);
  if (card.clip.event) timeline.append(makeEvent(card.clip.event, row.mask.length));
  timeline.append(slider);
  const perturbed = row.mask.flatMap((value, frame) => (value > 0.5 ? [frame + 1] : []));
  const said = perturbed.length
    ? `frames ${perturbed.join(", ")} of ${row.mask.length} perturbed` : "no frame perturbed";
  const label = row.objective === "sufficient" ? row.suffices : said;
  const element = make("div", { class: "film", role: "group", "aria-label": `${name}: ${label}` }, panes, timeline, now);
  if (row.objective === "both") {
    const lane = make("div", { class: "lane" });
    lane.append(stripOf(row.sufficient));
    element.append(make("div", { class: "timeline", title: "frames that suffice" }, lane));
  }
  if (row.suffices) element.append(make("p", { class: "now" }, row.suffices));
  const film = { row, element, panes, canvases, slider, now, mask: row.mask, reel: null };
  slider.addEventListener("input", () => {
    play(card, false);
    seek(card, film, slider.value - 1);
  });
  timeline.addEventListener("pointermove", (event) => {
    if (event.pointerType !== "mouse" || event.buttons) return; // with touch, the slider itself is dragged
    const box = timeline.getBoundingClientRect();
    const frame = Math.floor(((event.clientX - box.left) / box.width) * row.mask.length);
    card.held = true;
    seek(card, film, Math.min(Math.max(frame, 0), row.mask.length - 1));
  });
  timeline.addEventListener("pointerleave", () => { card.held = false; });
  return film;
}

/** Draws the mask as SVG, like `overlay.mask_strip`: one cell per frame, with the value as a level. */
function stripOf(mask) {
  const cells = mask.flatMap((value, frame) => {
    const perturbed = value > 0.5;
    const part = (y, height, strong) => height <= 0 ? [] : [makeSvg("rect", {
      class: `${perturbed ? "perturbed" : "kept"}${strong ? "" : " pale"}`, x: frame + 0.03, y, width: 0.94, height,
    })];
    return [...part(0, 1 - value, !perturbed), ...part(1 - value, value, perturbed)];
  });
  return makeSvg("svg", {
    class: "strip", viewBox: `0 0 ${mask.length} 1`, preserveAspectRatio: "none", "aria-hidden": "true",
  }, ...cells);
}

function makeEvent([start, stop], length) {
  const place = `margin-left:${(100 * start) / length}%;width:${(100 * (stop - start)) / length}%`;
  return make("div", { class: "event", title: "the event", style: place });
}

const SCORES = {
  OS: "original: the clip as it is", FS: "frozen: the perturbed frames stand still",
  RS: "reversed: the perturbed frames run backwards", CS: "true class, on the clip as it is",
  KS: "kept: only the frames that suffice move",
};

function makeScores(row) {
  const rows = Object.entries(row.scores).map(([name, value]) => make("tr", { title: SCORES[name] },
    make("th", { scope: "row" }, name),
    make("td", { class: "track" }, make("div", { class: `bar ${name}`, style: `width:${100 * value}%` })),
    make("td", {}, value.toFixed(2))));
  return make("table", { class: "scores", "aria-label": "Scores" }, ...rows);
}

/** Lists the classes with the highest probabilities; records of earlier versions have none. */
function makeTop(row) {
  if (!row.top.length) return "";
  const rows = row.top.map(([name, probability, role]) => make("li", { class: role ? "known" : "" },
    make("span", { class: "name" }, run.classes[name], role && " ", role && make("small", {}, role)),
    make("span", {}, probability.toFixed(2)),
    make("div", { class: "bar", style: `width:${100 * probability}%` })));
  const title = `Top ${row.top.length} classes by probability`;
  return make("div", { class: "top-classes" }, make("p", {}, title), make("ol", { "aria-label": title }, ...rows));
}

function makeMeasures(row) {
  const list = make("dl", { class: "measures" });
  for (const { key, title, unit, listed } of run.measures) {
    if (!listed) continue;
    const value = row.values[key];
    const number = make("dd", {}, value === undefined ? "–" : short(value));
    const beside = key === "mask_length" ? `of ${row.mask.length}` : unit;
    if (value !== undefined && beside) number.append(" ", make("small", {}, beside));
    if (key === "temporal_iou" && value !== undefined) {
      const others = Object.entries(row.baselines).map(([name, other]) => `${name} ${other.toFixed(2)}`);
      number.append(" ", make("small", {}, others.join(", ")));
    }
    const state = key === main.dataset.sorted ? "sorted" : "";
    list.append(make("div", { "data-measure": key, class: state }, make("dt", {}, title), number));
  }
  return list;
}

// Showing frames. All films of a card are synchronised.

const frameOf = (card, film) => Math.floor((card.frame * film.mask.length) / card.length);

function seek(card, film, frame) {
  show(card, Math.ceil((frame * card.length) / film.mask.length));
}

function show(card, frameOfLongest) {
  card.frame = frameOfLongest;
  for (const film of card.films) {
    const frame = frameOf(card, film);
    if (film.reel) draw(film, frame);
    film.slider.value = frame + 1;
    const value = film.mask[frame];
    const states = film.row.objective === "sufficient" ? ["moves", "held"] : ["perturbed", "kept"];
    const state = states[value > 0.5 ? 0 : 1];
    const second = film.row.seconds[frame];
    const words = [`frame ${frame + 1} of ${film.mask.length}`, ...(second === undefined ? [] : [`${second.toFixed(2)} s`]),
      state, `mask ${value.toFixed(2)}`];
    film.slider.setAttribute("aria-valuetext", words.join(", "));
    film.now.textContent = words.join(" · ");
  }
}

function draw(film, frame) {
  const row = Math.floor(frame / film.row.reel.columns);
  film.canvases.forEach((canvas, pane) => {
    const { width, height } = canvas;
    const column = (frame % film.row.reel.columns) * film.canvases.length + pane;
    canvas.getContext("2d").drawImage(film.reel, column * width, row * height, width, height, 0, 0, width, height);
  });
}

// One timer advances all visible cards that are playing.

setInterval(() => {
  for (const card of cards) {
    if (card.playing && card.visible && !card.held) show(card, (card.frame + 1) % card.length);
  }
}, 1000 / run.fps);

const playAll = document.getElementById("play-all");

function play(card, playing) {
  card.playing = playing;
  labelPlay(card);
  labelPlayAll();
}

function labelPlay(card) {
  card.button.textContent = card.playing ? "Pause" : "Play";
  card.button.setAttribute("aria-pressed", card.playing);
}

function labelPlayAll() {
  const any = cards.some((card) => card.playing);
  playAll.textContent = any ? "Pause all" : "Play all";
  playAll.setAttribute("aria-pressed", any);
}

playAll.addEventListener("click", () => {
  const playing = !cards.some((card) => card.playing);
  for (const card of cards) {
    card.playing = playing;
    labelPlay(card);
  }
  labelPlayAll();
});

// Filtering and sorting

form.addEventListener("submit", (event) => event.preventDefault());
form.addEventListener("input", (event) => {
  if (event.target.name === "show") showModels();
  else if (["sort", "of", "order"].includes(event.target.name)) sort();
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
    form.scrollIntoView();
    form.elements.sort.focus({ preventScroll: true });
  });
});

// Choosing the models whose films are shown

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

// Cards near the visible part of the page are filled and others are emptied, so that memory does not grow with the clips.

function watch(margin, changed) {
  const observer = new IntersectionObserver((entries) => {
    for (const entry of entries) changed(cards[entry.target.dataset.index], entry.isIntersecting);
  }, { rootMargin: margin });
  cards.forEach((card) => observer.observe(card.element));
}

// Only the first of the chosen clips are printed, to limit the number of pages.

const MOST_PRINTED = 24;
const unprinted = document.getElementById("unprinted"); // states how many clips are not printed

addEventListener("beforeprint", () => {
  const chosen = [...main.querySelectorAll(".card:not([hidden])")].map((element) => cards[element.dataset.index]);
  chosen.slice(0, MOST_PRINTED).forEach(fill);
  chosen.forEach((card, place) => card.element.classList.toggle("unprinted", place >= MOST_PRINTED));
  unprinted.hidden = chosen.length <= MOST_PRINTED;
  unprinted.textContent = `Printed: the first ${MOST_PRINTED} of ${chosen.length} clips. Choose fewer to print others.`;
});

main.append(...cards.map((card) => card.element), unprinted);
form.hidden = main.hidden = cards.length === 0;
for (const card of cards) {
  card.button.addEventListener("click", () => play(card, !card.playing));
  labelPlay(card);
}
labelPlayAll();
filter();
showModels();
cards.slice(0, 2).forEach(fill); // immediately, so that the layout does not jump
watch("300px", (card, near) => {
  card.visible = near;
  if (near) fill(card);
});
watch("4000px", (card, near) => {
  if (!near && !matchMedia("print").matches) empty(card); // all cards stay while printing
});
