// The film of one clip and model: its panes, its strips, and its slider.

function makeFilm(card, row) {
  const { name } = run.models[row.model];
  const panes = make("div", { class: "panes" });
  const layers = []; // {canvas, pane}: what is drawn, and the panel of the reel that it is drawn from
  if (row.reel) panes.append(...row.panes.map((title, pane) => makePane(row, title, pane, layers)));
  const slider = make("input",
    { type: "range", min: 1, max: row.mask.length, value: 1, "aria-label": `Frame, ${name}` });
  const now = make("p", { class: "now", "aria-hidden": "true" });
  const timeline = make("div", { class: "timeline", style: `--length:${row.mask.length}` }, stripOf(row.mask));
  if (card.clip.event) timeline.append(makeEvent(card.clip.event, row.mask.length));
  timeline.append(slider);
  const more = row.strips.map(({ title, mask }) => make("div", { class: "strip-below", style: `--length:${mask.length}` },
    stripOf(mask), make("p", {}, title)));
  if (row.suffices) more.push(make("p", { class: "now" }, row.suffices));
  const frames = framesOf(row.mask);
  const perturbed = frames ? `frames ${frames} of ${row.mask.length} perturbed` : "no frame perturbed";
  const label = `${name}: ${row.objective === "sufficient" ? row.suffices : perturbed}`;
  const element = make("div", { class: "film", role: "group", "aria-label": label }, panes, timeline, now, ...more);
  const film = { row, element, panes, layers, slider, now, mask: row.mask, reel: null };
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

/** The numbers of the frames whose value is above 0.5: "3, 4, 5". */
function framesOf(mask) {
  return mask.flatMap((value, frame) => (value > 0.5 ? [frame + 1] : [])).join(", ");
}

/** A picture of the film. A map is drawn over the clip, in a canvas of its own. */
function makePane(row, title, pane, layers) {
  const [width, height] = row.reel.size;
  const layer = (of, kind) => {
    const canvas = make("canvas", { width, height, class: kind });
    layers.push({ canvas, pane: of });
    return canvas;
  };
  const isMap = row.kinds[pane] === "heat";
  const stack = make("div", { class: "stack", style: `--ratio:${width / height}` },
    ...(isMap ? [layer(0, "under"), layer(pane, "heat")] : [layer(pane, row.kinds[pane])]));
  const button = make("button", { type: "button", class: "enlarge", title: "Enlarge", "aria-label": `Enlarge ${title}`,
    "aria-pressed": "false" }, "⤢");
  const caption = make("figcaption", {}, make("span", {}, title), ...(isMap ? [makeBar()] : []), button);
  const figure = make("figure", isMap ? { "data-map": title } : {}, caption, stack);
  for (const clicked of [stack, button]) clicked.addEventListener("click", () => enlarge(figure));
  return figure;
}

function enlarge(figure, large = !figure.classList.contains("large")) {
  figure.classList.toggle("large", large);
  figure.querySelector(".enlarge").setAttribute("aria-pressed", large);
}

/** A mask as in `overlay.mask_strip`: one cell per frame, with the value as a level; perturbed cells are hatched. */
function stripOf(mask) {
  const cells = mask.map((value) => make("i", { class: value > 0.5 ? "perturbed" : "kept", style: `--value:${value}` }));
  return make("div", { class: "strip", "aria-hidden": "true" }, ...cells);
}

function makeEvent([start, stop], length) {
  const place = `margin-left:${(100 * start) / length}%;width:${(100 * (stop - start)) / length}%`;
  return make("div", { class: "event", title: "the event", style: place });
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
  const { columns } = film.row.reel;
  const count = film.row.panes.length;
  for (const { canvas, pane } of film.layers) {
    const { width, height } = canvas;
    const left = ((frame % columns) * count + pane) * width;
    const top = Math.floor(frame / columns) * height;
    canvas.getContext("2d").drawImage(film.reel, left, top, width, height, 0, 0, width, height);
  }
}
