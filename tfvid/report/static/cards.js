// Cards. A card always has its heading; its films exist only while it is near the visible part of the page.

const cards = run.clips.map((clip, index) => {
  const button = make("button", { type: "button", class: "play", "aria-label": `Play or pause ${clip.heading}` }, "Play");
  const ranked = make("p", { class: "ranked" });
  const link = make("a", { class: "link", href: "#", title: "The address of this clip in this view" }, "Link");
  const body = make("div", { class: "models" });
  const heading = make("div", {}, make("h2", {}, clip.heading), make("p", { class: "id" }, clip.id));
  if (clip.damage) heading.append(make("p", { class: "doubt" }, `Damaged file: ${clip.damage}`));
  const header = make("header", {}, heading, ranked, link, button);
  const element = make("article", { class: "card", "data-index": index }, header, body);
  const words = [clip.heading, clip.label ?? "", clip.id, ...clip.rows.map((row) => row.predicted)];
  return {
    clip, element, header, button, link, ranked, body,
    key: clip.key ?? clip.id,
    text: words.join(" ").toLowerCase(),
    length: Math.max(...clip.rows.map((row) => row.mask.length)),
    films: [], // of the shown models, while the card is near
    maps: null, // the <select> of its maps, while the card is near
    chosen: null, // the map that was chosen for this clip; null: the one chosen for all clips
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
  if (run.methods.length > 1) addMaps(card);
  showMaps(card);
  show(card, card.frame);
  card.films.forEach((film) => film.row.reel && load(card, film));
}

function empty(card) {
  card.wanted = false;
  card.films = [];
  card.maps?.remove();
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
