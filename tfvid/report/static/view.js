// The view: which maps are shown, their colours and the speed; and the address of a clip in a view, after the "#".

const VIEW = ["map", "colormap", "opacity", "speed"]; // the names of the controls of the view
const usual = Object.fromEntries(VIEW.map((name) => [name, form.elements[name]?.value])); // as the page opens

function look(name) {
  if (name === "map") cards.forEach((card) => { card.chosen = null; });
  if (name === "map") cards.filter((card) => card.wanted).forEach(showMaps);
  colour(form.elements.colormap.value, form.elements.opacity.valueAsNumber);
  document.getElementById("opacity").textContent = `${Math.round(100 * form.elements.opacity.valueAsNumber)} %`;
}

/** Adds the menu of the maps of one clip. */
function addMaps(card) {
  card.maps = form.elements.map.cloneNode(true);
  card.maps.setAttribute("aria-label", `Maps of ${card.clip.heading}`);
  card.maps.addEventListener("change", () => {
    card.chosen = card.maps.value;
    showMaps(card);
  });
  card.header.insertBefore(card.maps, card.link);
}

/** Shows the chosen maps of a card: one, or all side by side. */
function showMaps(card) {
  const chosen = card.chosen ?? form.elements.map?.value ?? "";
  if (card.maps) card.maps.value = chosen;
  for (const figure of card.body.querySelectorAll("[data-map]")) {
    figure.hidden = chosen !== "" && figure.dataset.map !== chosen;
  }
}

// Addresses

/** The address of a clip in the present view: "#clip=a&map=rise&frame=4". What is as usual is left out. */
function addressOf(card) {
  const now = Object.fromEntries(VIEW.map((name) => [name, form.elements[name]?.value]));
  if (card.chosen !== null) now.map = card.chosen;
  const view = Object.entries(now).filter(([name, value]) => value !== undefined && value !== usual[name]);
  return `#${new URLSearchParams([["clip", card.key], ...view, ...(card.playing ? [] : [["frame", card.frame + 1]])])}`;
}

main.addEventListener("click", ({ target }) => {
  if (!target.matches(".link")) return;
  target.href = addressOf(cards[target.closest(".card").dataset.index]); // the browser goes there next
});

/** Shows what the address names: a part of the page, or a clip in a view. */
function follow() {
  const text = location.hash.slice(1);
  main.querySelector(".linked")?.classList.remove("linked");
  if (!text.includes("=")) {
    openPart(text);
    return;
  }
  const wanted = new URLSearchParams(text);
  for (const name of VIEW) setControl(form.elements[name], wanted.get(name) ?? usual[name]);
  look("map");
  const card = cards.find(({ key }) => key === wanted.get("clip"));
  if (!card) return;
  openPart("clips");
  card.element.hidden = false; // also if the filters leave it out
  card.element.classList.add("linked");
  fill(card);
  const frame = Number(wanted.get("frame"));
  if (frame >= 1 && frame <= card.length) {
    play(card, false);
    show(card, frame - 1);
  }
  used = card;
  card.element.scrollIntoView();
  requestAnimationFrame(() => card.element.scrollIntoView()); // the cards above have got their size
}

/** Sets a control; a value that it does not have is ignored. */
function setControl(control, value) {
  if (!control || value === undefined) return;
  const before = control.value;
  control.value = value;
  if (control.value === "" && value !== "") control.value = before;
}

addEventListener("hashchange", follow);

// The parts of a study: one is on the screen at a time. Printed are all.

const parts = [...document.querySelectorAll(".parts a")].map((link) => ({
  link,
  id: link.hash.slice(1),
  elements: link.hash === "#clips" ? [form, main] : [document.querySelector(link.hash)],
}));

function openPart(id) {
  const open = parts.find((part) => part.id === id) ?? parts.find((part) => part.link.hasAttribute("aria-current")) ?? parts[0];
  for (const part of parts) {
    part.elements.forEach((element) => element.classList.toggle("off", part !== open));
    if (part === open) part.link.setAttribute("aria-current", "true");
    else part.link.removeAttribute("aria-current");
  }
}
