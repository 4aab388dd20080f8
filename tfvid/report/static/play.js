// Playing: one timer advances all visible cards that are playing. Space and the arrow keys move the card in use.

function tick() {
  for (const card of cards) {
    if (card.playing && card.visible && !card.held) show(card, (card.frame + 1) % card.length);
  }
  setTimeout(tick, 1000 / (run.fps * Number(form.elements.speed.value)));
}

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

// Whether a control handles the key itself.
function handles(target, key) {
  if (target.matches("select, [type=search], textarea")) return true;
  if (key === " ") return target.matches("button, summary, [type=checkbox]");
  return target.matches("input");
}

let used = null; // the card that the reader used last

for (const event of ["pointerdown", "focusin"]) {
  main.addEventListener(event, ({ target }) => {
    const element = target.closest(".card");
    if (element) used = cards[element.dataset.index];
  });
}

/** The card that keys move: the one used last if it is on the screen, else the first one on the screen. */
function currentCard() {
  const top = matchMedia("(max-width: 700px), (max-height: 560px)").matches ? 0 : form.offsetHeight;
  const onScreen = ({ element, visible }) => {
    const box = element.getBoundingClientRect();
    return visible && box.bottom > top + 40 && box.top < innerHeight - 40;
  };
  if (used && onScreen(used)) return used;
  const shown = [...main.querySelectorAll(".card:not([hidden])")].map((element) => cards[element.dataset.index]);
  return shown.find(onScreen);
}

document.addEventListener("keydown", (event) => {
  const { key, target } = event;
  if (event.altKey || event.ctrlKey || event.metaKey || handles(target, key)) return;
  const step = { ArrowLeft: -1, ArrowRight: 1 }[key];
  const card = step || key === " " ? currentCard() : null;
  if (key === "Escape") document.querySelectorAll("figure.large").forEach((figure) => enlarge(figure, false));
  if (!card) return;
  event.preventDefault();
  if (key === " ") {
    play(card, !card.playing);
  } else {
    play(card, false);
    show(card, (card.frame + step + card.length) % card.length);
  }
});
