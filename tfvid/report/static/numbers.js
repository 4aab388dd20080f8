// One model's part of a card: what it predicts, its film, its scores and its files.

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
  section.append(makeFiles(card, row));
  return section;
}

/** The files to save: those of the run, and a table that the page makes. */
function makeFiles(card, row) {
  const links = Object.entries(row.files).map(([name, file]) => make("a", { href: file, download: "" }, name));
  const csv = make("button", { type: "button", title: "The mask of each frame, and the scores" }, "CSV");
  csv.addEventListener("click", () => {
    download(new Blob([csvText(tableOf(card.clip, row))], { type: "text/csv" }), "csv",
      card.key, run.models[row.model].name);
  });
  return make("p", { class: "files" }, "Save ", ...links, csv);
}

/** The rows of a clip's CSV file: one per frame. */
function tableOf(clip, row) {
  const scores = Object.entries(row.scores);
  const head = ["clip", "model", "explained", "frame", "second", "mask", ...row.strips.map(({ title }) => title)];
  return [
    [...head, ...scores.map(([name]) => name)],
    ...row.mask.map((value, frame) => [
      clip.key ?? clip.id, run.models[row.model].name, row.target, frame + 1, row.seconds[frame], value,
      ...row.strips.map(({ mask }) => mask[frame]), ...scores.map(([, score]) => score),
    ]),
  ];
}

const SCORES = {
  OS: ["original", "Original score: the probability of the explained class for the clip as it is"],
  FS: ["frozen", "Freeze score: the same while the perturbed frames stand still"],
  RS: ["reversed", "Reverse score: the same while the perturbed frames run backwards"],
  CS: ["true class", "Class score: the probability of the true class for the clip as it is"],
  KS: ["kept", "Kept score: the probability of the explained class if only the frames that suffice move"],
};

function makeScores(row) {
  const rows = Object.entries(row.scores).map(([name, value]) => make("tr", { title: SCORES[name][1] },
    make("th", { scope: "row" }, make("abbr", { title: SCORES[name][1] }, name), " ", make("small", {}, SCORES[name][0])),
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
