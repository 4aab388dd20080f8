main.append(...cards.map((card) => card.element), unprinted);
form.hidden = main.hidden = cards.length === 0;
if (narrow) document.querySelectorAll("details.wide").forEach((details) => { details.open = false; });
for (const card of cards) {
  card.button.addEventListener("click", () => play(card, !card.playing));
  labelPlay(card);
}
labelPlayAll();
filter();
showModels();
look("map");
cards.slice(0, 2).forEach(fill); // immediately, so that the layout does not jump
follow();
watch("300px", (card, near) => {
  card.visible = near;
  if (near) fill(card);
});
watch("4000px", (card, near) => {
  if (!near && !matchMedia("print").matches) empty(card); // all cards stay while printing
});
tick();
