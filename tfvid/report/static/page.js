"use strict";

// One clock moves every card that plays and can be seen. All films of a card keep in step.
const still = matchMedia("(prefers-reduced-motion: reduce)").matches;
const cards = [...document.querySelectorAll(".card")].map((element) => ({
  element,
  button: element.querySelector(".play"),
  films: [...element.querySelectorAll(".film")].map((film) => ({
    canvases: [...film.querySelectorAll("canvas")],
    slider: film.querySelector("input"),
    mask: film.dataset.mask.split(" ").map(Number),
    columns: Number(film.dataset.columns), // frames in a row of the reel
    reel: null, // loaded when the card comes near
  })),
  playing: false,
  visible: false,
  wanted: false,
  frame: 0, // of the longest film; shorter ones pass as much time in fewer frames
}));
const longest = (card) => Math.max(...card.films.map((film) => film.mask.length));

function show(card, frameOfLongest) {
  card.frame = frameOfLongest;
  for (const film of card.films) {
    const frame = Math.floor((card.frame * film.mask.length) / longest(card));
    if (film.reel) draw(film, frame);
    film.slider.value = frame + 1;
    const value = film.mask[frame];
    const state = value > 0.5 ? "frozen" : "kept";
    film.slider.setAttribute("aria-valuetext",
      `frame ${frame + 1} of ${film.mask.length}, ${state}, mask ${value.toFixed(2)}`);
  }
}

function draw(film, frame) {
  const row = Math.floor(frame / film.columns);
  film.canvases.forEach((canvas, pane) => {
    const { width, height } = canvas;
    const column = (frame % film.columns) * film.canvases.length + pane;
    canvas.getContext("2d").drawImage(film.reel, column * width, row * height, width, height, 0, 0, width, height);
  });
}

async function load(card) {
  card.wanted = true;
  await Promise.all([...card.element.querySelectorAll(".film")].map(async (film, index) => {
    const reel = new Image();
    reel.src = film.dataset.reel;
    try {
      await reel.decode();
      card.films[index].reel = reel;
    } catch {
      film.querySelector(".panes").classList.add("missing");
    }
  }));
  show(card, card.frame);
}

function play(card, playing) {
  card.playing = playing;
  card.button.textContent = playing ? "Pause" : "Play";
  card.button.setAttribute("aria-pressed", playing);
  const all = cards.some((other) => other.playing);
  playAll.textContent = all ? "Pause all" : "Play all";
  playAll.setAttribute("aria-pressed", all);
}

const playAll = document.getElementById("play-all");
playAll.addEventListener("click", () => {
  const playing = !cards.some((card) => card.playing);
  cards.forEach((card) => play(card, playing));
});

const seen = new IntersectionObserver((entries) => {
  for (const entry of entries) {
    const card = cards[entry.target.dataset.index];
    card.visible = entry.isIntersecting;
    if (card.visible && !card.wanted) load(card);
  }
}, { rootMargin: "300px" });

cards.forEach((card, index) => {
  card.element.dataset.index = index;
  seen.observe(card.element);
  card.button.addEventListener("click", () => play(card, !card.playing));
  for (const film of card.films) {
    film.slider.addEventListener("input", () => {
      play(card, false);
      show(card, Math.ceil(((film.slider.value - 1) * longest(card)) / film.mask.length));
    });
  }
  show(card, still ? Number(card.element.dataset.still) : 0);
  play(card, !still);
});

setInterval(() => {
  for (const card of cards) {
    if (card.playing && card.visible) show(card, (card.frame + 1) % longest(card));
  }
}, 1000 / Number(document.querySelector("main").dataset.fps));

const form = document.querySelector(".tools");
form.addEventListener("submit", (event) => event.preventDefault());
form.addEventListener("input", filter);

function filter() {
  const words = form.elements.search.value.toLowerCase().split(/\s+/).filter(Boolean);
  const wanted = [...form.querySelectorAll("select")].filter((choice) => choice.value !== "");
  let count = 0;
  for (const { element } of cards) {
    const fits = words.every((word) => element.dataset.text.includes(word))
      && wanted.every((choice) => element.getAttribute(choice.name) === choice.value);
    element.hidden = !fits;
    count += fits;
  }
  document.getElementById("count").textContent = `${count} of ${cards.length} clips`;
  document.getElementById("none").hidden = count > 0;
}
filter();
