// The colours of the maps. A reel holds maps as grey levels, and SVG filters colour them: a page that is opened from disk
// may not read the pixels of its pictures, but it may filter them. As in tfvid/report/overlay.py, the opacity is
// proportional to the heat, and the clip under the map is grey unless the colour map keeps its colours.

const levels = Object.fromEntries(["R", "G", "B"].map((channel) => [channel, makeSvg(`feFunc${channel}`, { type: "table" })]));
const opacity = makeSvg("feColorMatrix", { in: "SourceGraphic", result: "opacity" });
const LUMA = "0.299 0.587 0.114 0 0 ";
document.body.append(makeSvg("svg", { width: 0, height: 0, class: "filters", "aria-hidden": "true" },
  makeSvg("filter", { id: "heat-colours", x: 0, y: 0, width: 1, height: 1, "color-interpolation-filters": "sRGB" },
    makeSvg("feComponentTransfer", { result: "colours" }, ...Object.values(levels)),
    opacity,
    makeSvg("feComposite", { in: "colours", in2: "opacity", operator: "in" })),
  makeSvg("filter", { id: "grey", x: 0, y: 0, width: 1, height: 1, "color-interpolation-filters": "sRGB" },
    makeSvg("feColorMatrix", { values: `${LUMA}${LUMA}${LUMA}0 0 0 1 0` }))));

/** Shows all maps in the colours of `name`, at most as opaque as `most`, 0 to 1. */
function colour(name, most) {
  const { table, saturation } = run.colours[name];
  const colours = table.match(/.{6}/g);
  Object.values(levels).forEach((level, channel) => {
    const values = colours.map((hex) => parseInt(hex.slice(2 * channel, 2 * channel + 2), 16) / 255);
    level.setAttribute("tableValues", values.map((value) => value.toFixed(4)).join(" "));
  });
  opacity.setAttribute("values", `0 0 0 0 0 0 0 0 0 0 0 0 0 0 0 ${most} 0 0 0 0`);
  const stops = colours.filter((_, level) => level % 15 === 0).map((hex) => `#${hex}`);
  main.style.setProperty("--ramp", `linear-gradient(90deg, ${stops.join(", ")})`);
  main.classList.toggle("coloured", saturation === 1);
}

/** The colour bar of a map. */
function makeBar() {
  const title = "0: no heat. 1: the largest value of this clip's map";
  return make("span", { class: "scale", title }, "0", make("i", { class: "ramp" }), "1");
}
