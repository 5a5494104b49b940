const SILENT = "The server does not answer. Start lcnet serve again, then try once more.";
const PLACES = new Map(PAGE.labels.map((name, place) => [name, place]));
const FEWEST = 10;     // labels that are shown at first, at least
const MOST = 300;      // labels that are listed at a time, at most
const MOVED = 0.005;   // from this change of a probability on it is said what a label was alone
const AT_ONCE = 4;     // pictures of a table that are under way at a time
const TRIES = 30;
const cards = new WeakMap();  // by their elements

const sleep = (seconds) => new Promise((resolve) => setTimeout(resolve, 1000 * seconds));
const signed = (value) => `${value < 0 ? "−" : "+"}${Math.abs(value).toFixed(1)}`;

// A picture in a form; a server that is full is asked again.
async function send(address, file) {
  const megabytes = file.size / 1e6;
  if (megabytes > PAGE.megabytes) throw new Error(`${file.name}: expected at most ${PAGE.megabytes} MB, got ${megabytes.toFixed(1)}. Choose a smaller file.`);
  for (let left = TRIES; ; left -= 1) {
    const form = new FormData();
    form.append("picture", file, file.name);
    try {
      return await post(address, form, SILENT);
    } catch (error) {
      if (error.status !== 503 || left === 0) throw error;
      await sleep(1);
    }
  }
}

// What the page needs of a prediction, by the places of labels.
function seen(found) {
  return {
    chances: PAGE.labels.map((name) => found.probabilities[name]),
    above: new Set(found.labels.map((name) => PLACES.get(name))),
    told: new Map(Object.entries(found.told || {}).map(([name, of]) => [PLACES.get(name), Object.entries(of).sort(([, one], [, other]) => Math.abs(other) - Math.abs(one))])),
  };
}

// Pictures that are looked at

async function look(files) {
  const taken = files.slice(0, PAGE.most_looked_at), shown = taken.map(makeCard);
  at("shown").replaceChildren(...shown.map((card) => card.root));
  if (files.length > taken.length) {
    at("shown").append(problem(`${many(files.length - taken.length, "more picture is", "more pictures are")} left out: at most ${PAGE.most_looked_at} are shown at a time. For more, use Many, as a table.`));
  }
  const isShown = (card) => card.root.isConnected;  // others may have been dropped meanwhile
  for (const card of shown) if (isShown(card)) await show(card);
  for (const card of shown) if (isShown(card) && card.alone) await heat(card);
}

function problem(words) {
  const card = part("section", "card problem");
  card.append(part("strong", "", "No labels. "), words);
  return card;
}

function makeCard(file) {
  const root = part("article", "card picture");
  root.append(part("h2", "", file.name), part("p", "quiet", "Looking at it ..."));
  const card = { file, root, alone: null, now: null, logits: null, known: new Map(), settled: new Map(), turn: 0, isWhole: false, sought: "", lines: new Map(), listed: [] };
  cards.set(root, card);
  return card;
}

async function show(card) {
  let found;
  try {
    found = await send("look", card.file);
  } catch (error) {
    card.root.replaceWith(problem(error.message));
    return;
  }
  card.now = card.alone = seen(found);
  card.logits = found.logits;
  const { chances, above } = card.alone;
  const rank = (place) => (above.has(place) ? 1 : 0);
  card.order = PAGE.labels.map((_, place) => place).sort((one, other) => rank(other) - rank(one) || chances[other] - chances[one]);
  card.first = Math.max(FEWEST, above.size);
  build(card, found.picture);
  draw(card);
  if (at("legend")) at("legend").hidden = false;
}

function build(card, picture) {
  const sides = part("div", "sides"), states = part("div", "states"), image = part("img", "");
  image.src = card.shown = picture;
  image.alt = `the picture ${card.file.name}`;
  card.summary = part("p", "quiet summary");
  card.told = part("div", "told");
  card.wrong = part("p", "wrong");
  card.wrong.setAttribute("role", "alert");
  card.bars = part("ul", "bars");
  card.bars.setAttribute("aria-label", `labels of ${card.file.name}`);
  states.append(card.summary, card.told, card.wrong, card.bars);
  if (PAGE.labels.length > card.first) states.append(tools(card));
  sides.append(image, states);
  card.heats = part("section", "");
  card.root.replaceChildren(part("h2", "", card.file.name), sides, card.heats);
}

// To see more labels than the first ones.
function tools(card) {
  const row = part("div", "tools"), whole = part("button", "small"), sought = part("input", "small");
  whole.type = "button";
  const name = () => {
    whole.textContent = card.isWhole ? "Fewer labels" : `All ${Math.min(PAGE.labels.length, MOST)} labels`;
    whole.setAttribute("aria-expanded", String(card.isWhole));
  };
  whole.addEventListener("click", () => { card.isWhole = !card.isWhole; name(); draw(card); });
  name();
  sought.type = "search";
  sought.placeholder = `Find one of ${PAGE.labels.length.toLocaleString("en")} labels`;
  sought.setAttribute("aria-label", sought.placeholder);
  sought.addEventListener("input", () => { card.sought = sought.value.trim().toLowerCase(); draw(card); });
  card.less = part("p", "quiet");
  row.append(whole, sought, card.less);
  return row;
}

// The labels that are listed: their order stays, so that none runs away from under a finger.
function listed(card) {
  if (card.sought) return card.order.filter((place) => PAGE.labels[place].toLowerCase().includes(card.sought)).slice(0, MOST);
  const count = card.isWhole ? MOST : card.first;
  const more = card.order.slice(count).filter((place) => card.known.has(place) || card.now.above.has(place));
  return [...card.order.slice(0, count), ...more];
}

function draw(card) {
  const places = listed(card), focused = document.activeElement;
  for (const place of places) {
    if (!card.lines.has(place)) card.lines.set(place, makeLine(place, PAGE.moves));
    const state = card.known.has(place) ? card.known.get(place) : null;
    const chance = state === null ? card.now.chances[place] : Number(state);
    setLine(card.lines.get(place), {
      name: PAGE.labels[place], chance, threshold: PAGE.thresholds[place], above: card.now.above.has(place), state, digits: 1,
      note: state === null ? note(card, place) : "", word: state === null ? "" : WORDS.get(state),
    });
  }
  if (places.join() !== card.listed.join()) {
    card.bars.replaceChildren(...places.map((place) => card.lines.get(place)));
    card.listed = places;
    if (card.bars.contains(focused)) focused.focus();
  }
  const open = [...card.now.above].filter((place) => !card.known.has(place)).length;
  const other = card.known.size ? "other " : "";
  card.summary.textContent = `${open || "No"} ${other}label${open === 1 ? "" : "s"} above ${open === 1 ? "its threshold" : "their thresholds"} (the upright mark)${PAGE.ruled ? ", as label rules leave them" : ""}`;
  if (card.less) card.less.textContent = card.isWhole && !card.sought && PAGE.labels.length > MOST ? `and ${PAGE.labels.length - MOST} less probable ones: find them by name` : "";
  drawKnown(card);
}

function drawKnown(card) {
  const names = [...card.known].map(([place, state]) => `${PAGE.labels[place]} ${WORDS.get(state)}`);
  const clear = part("button", "small", "Clear");
  clear.type = "button";
  clear.dataset.do = "clear";
  if (names.length) card.told.replaceChildren(part("p", "", `Known: ${names.join(", ")}`), clear);
  else card.told.replaceChildren(part("p", "quiet", PAGE.moves ? "Do you know some? Press a label once if it is present, twice if it is absent: the others move." : ""));
}

// What a label was before anything was known, and which known label moved it.
function note(card, place) {
  const was = card.alone.chances[place], why = card.now.told.get(place) || [];
  if (!why.length && Math.abs(card.now.chances[place] - was) < MOVED) return "";
  return [`alone ${percent(was, 1)}`, ...why.map(([name, change]) => `${signed(change)} because ${name} is known`)].join(", ");
}

// Labels that are known

async function know(card, known) {
  const turn = ++card.turn, before = card.now;
  card.known = known;
  draw(card);
  try {
    const found = await given(card);
    if (turn !== card.turn) return;
    card.now = found;
    card.settled = known;
    card.wrong.textContent = "";
  } catch (error) {
    if (turn !== card.turn) return;
    card.known = card.settled;  // what is shown is what the server has answered
    card.wrong.textContent = error.message;
  }
  draw(card);
  const moved = card.now.chances.filter((chance, place) => !card.known.has(place) && Math.abs(chance - before.chances[place]) >= MOVED).length;
  at("said").textContent = `${card.known.size ? card.told.firstChild.textContent : "Nothing is known"}. ${many(moved, "label", "labels")} moved.`;
}

async function given(card) {
  if (!card.known.size) return card.alone;
  const known = [...card.known].map(([place, state]) => [PAGE.labels[place], state]);
  if (card.logits) {
    return seen(await post("given", JSON.stringify({ logits: card.logits, known: Object.fromEntries(known) }), SILENT, JSON_TYPE));
  }
  // An exported file must look at the picture again.
  const query = new URLSearchParams(known.map(([name, state]) => [WORDS.get(state), name]));
  return seen(await send(`predict?${query}`, card.file));
}

function mark(card, place, state) {
  const known = new Map(card.known);
  if (state === null) known.delete(place);
  else known.set(place, state);
  know(card, known);
}

const MARKS = new Map([["y", true], ["n", false], ["Backspace", null], ["Delete", null]]);
const STEPS = new Map([["ArrowDown", 1], ["ArrowUp", -1]]);
document.addEventListener("keydown", (event) => {
  const line = event.target.closest(".bars button");
  if (!line || event.ctrlKey || event.metaKey || event.altKey) return;
  const key = event.key.length === 1 ? event.key.toLowerCase() : event.key, card = cards.get(line.closest(".picture"));
  if (MARKS.has(key)) mark(card, Number(line.dataset.label), MARKS.get(key));
  else if (STEPS.has(key)) {
    const lines = [...card.bars.querySelectorAll("button")];
    lines[lines.indexOf(line) + STEPS.get(key)]?.focus();
  } else return;
  event.preventDefault();
});
document.addEventListener("click", (event) => {
  const pressed = event.target.closest("button"), card = pressed && cards.get(pressed.closest(".picture"));
  if (!card) return;
  if (pressed.dataset.do === "clear") {
    know(card, new Map());
    card.bars.querySelector("button")?.focus();
  } else if (pressed.dataset.label !== undefined) {
    const place = Number(pressed.dataset.label);
    mark(card, place, AFTER.get(card.known.has(place) ? card.known.get(place) : null));
  }
});

// Heat maps

async function heat(card) {
  const section = card.heats;
  if (!PAGE.explains) return section.append(part("p", "quiet", `No heat maps: ${PAGE.kind} cannot be explained.`));
  if (!card.alone.above.size) return undefined;
  section.append(part("h3", "", "Where the evidence lies"), part("p", "quiet", "Looking for it ..."));
  try {
    const found = await send("explain", card.file);
    const left = found.left_out ? `, for the ${found.heats.length} most probable labels` : "", grid = part("div", "heats");
    grid.append(...found.heats.map((one) => heatFigure(card, one)));
    section.replaceChildren(
      part("h3", "", `Where the evidence lies${left}`), grid,
      part("p", "quiet summary", "The brighter, the more of it; circle: the peak, box: the hot area around it."),
    );
  } catch (error) {
    section.replaceChildren(part("p", "wrong", `No heat maps: ${error.message}`));
  }
  return undefined;
}

function heatFigure(card, { label, heat, peak, box, moved }) {
  const figure = part("figure", ""), lay = part("div", "lay"), under = part("img", ""), over = part("img", "heat");
  const frame = part("i", "box"), top = part("i", "peak"), place = PLACES.get(label);
  under.src = card.shown;
  under.alt = "";
  over.src = heat;
  over.alt = `heat map of ${label}`;
  const put = (element, values) => ["left", "top", "width", "height"].forEach((side, n) => { if (n < values.length) element.style[side] = `${values[n]}%`; });
  put(frame, box);
  put(top, peak);
  frame.title = "hot area around the peak";
  lay.append(under, over, frame, top);
  const words = part("figcaption", "");
  words.append(part("strong", "", label), ` ${percent(card.alone.chances[place], 1)}, threshold ${percent(PAGE.thresholds[place], 1)}`);
  if (moved.length) words.append(part("div", "quiet", `moved by other labels: ${moved.slice(0, 4).map(([name, change]) => `${name} ${change < 0 ? "−" : "+"}${Math.abs(change).toFixed(2)}`).join(", ")}`));
  figure.append(lay, words);
  return figure;
}

// Many pictures, as a table

let job = null;
async function tabulate(files) {
  if (job) job.isStopped = true;
  if (files.length > PAGE.most_in_table) {
    at("table").replaceChildren(problem(`Expected at most ${PAGE.most_in_table} pictures, got ${files.length}. Drop fewer, or use lcnet predict.`));
    return;
  }
  const mine = job = { isStopped: false, rows: new Array(files.length), done: 0 };
  const bar = Object.assign(part("progress", ""), { max: files.length, value: 0 }), words = part("p", ""), stop = part("button", "", "Stop"), card = part("section", "card");
  stop.type = "button";
  stop.addEventListener("click", () => { mine.isStopped = true; });
  const head = part("div", "head");
  head.append(words, stop);
  card.append(head, bar);
  at("table").replaceChildren(card);
  const say = () => { bar.value = mine.done; words.textContent = `${mine.done.toLocaleString("en")} of ${many(files.length, "picture", "pictures")}`; };
  say();
  let next = 0;
  const work = async () => {
    while (next < files.length && !mine.isStopped) {
      const place = next++;
      mine.rows[place] = await rowOf(files[place]);
      mine.done += 1;
      say();
    }
  };
  await Promise.all(Array.from({ length: AT_ONCE }, work));
  if (job === mine) at("table").replaceChildren(summary(mine.rows.filter(Boolean), files.length));
}

async function rowOf(file) {
  try {
    const found = await send("predict", file);
    return { image: file.name, error: "", labels: found.labels, chances: PAGE.labels.map((name) => found.probabilities[name]) };
  } catch (error) {
    return { image: file.name, error: error.message, labels: [], chances: PAGE.labels.map(() => "") };
  }
}

const record = (cells) => cells.map((cell) => (/[",\r\n]/.test(cell) ? `"${String(cell).replaceAll('"', '""')}"` : String(cell))).join(",");

function summary(rows, total) {
  const card = part("section", "card"), head = part("div", "head"), words = part("p", ""), link = part("a", "button", "Download the table (CSV)");
  const failed = rows.filter((row) => row.error), counts = new Map();
  for (const row of rows) for (const name of row.labels) counts.set(name, (counts.get(name) || 0) + 1);
  words.append(part("strong", "", `${(rows.length - failed.length).toLocaleString("en")} of ${total.toLocaleString("en")}`), " pictures have been given labels.");
  const lines = rows.map((row) => record([row.image, row.error, row.labels.join(PAGE.separator), ...row.chances]));
  // Excel reads a table as UTF-8 only if it starts with this mark.
  link.href = URL.createObjectURL(new Blob([`\ufeff${[record(PAGE.columns), ...lines].join("\n")}\n`], { type: "text/csv" }));
  link.download = "predictions.csv";
  head.append(words, link);
  card.append(head);
  if (counts.size) {
    const table = part("table", "counts"), line = (tag, ...cells) => { const row = part("tr", ""); row.append(...cells.map((cell) => part(tag, "", cell))); return row; };
    const order = [...counts].sort(([one, a], [other, b]) => b - a || (one < other ? -1 : 1));
    table.append(line("th", "label", "pictures with it"), ...order.map(([name, count]) => line("td", name, count.toLocaleString("en"))));
    card.append(table);
  }
  if (failed.length) {
    const list = part("ul", "");
    list.append(...failed.slice(0, 20).map((row) => part("li", "where", row.error)));
    card.append(part("h3", "", "Not read"), list);
    if (failed.length > 20) card.append(part("p", "quiet", `and ${failed.length - 20} more, in the table.`));
  }
  return card;
}

// Tabs and dropping

const tabs = [...document.querySelectorAll("[role=tab]")];
function turnTo(tab) {
  for (const one of tabs) {
    one.setAttribute("aria-selected", String(one === tab));
    one.tabIndex = one === tab ? 0 : -1;
    at(one.getAttribute("aria-controls")).hidden = one !== tab;
  }
  if (tab.id === "tab-graph") for (const image of document.querySelectorAll("img[data-src]:not([src])")) image.src = image.dataset.src;
}
tabs.forEach((tab, place) => {
  tab.addEventListener("click", () => turnTo(tab));
  tab.addEventListener("keydown", (event) => {
    const step = { ArrowRight: 1, ArrowLeft: -1 }[event.key];
    if (!step) return;
    const next = tabs[(place + step + tabs.length) % tabs.length];
    turnTo(next);
    next.focus();
  });
});

// A drop anywhere is for the tab that is open.
function take(files) {
  const pictures = [...files];
  if (!pictures.length || !at("graph").hidden) return;
  if (at("many").hidden) look(pictures);
  else tabulate(pictures);
}
for (const [name, work] of [["choose", look], ["choose-many", tabulate]]) {
  at(name).addEventListener("change", (event) => {
    work([...event.target.files]);
    event.target.value = "";  // so that the same picture can be chosen once more
  });
}
document.addEventListener("dragover", (event) => { event.preventDefault(); document.body.classList.add("over"); });
document.addEventListener("dragleave", (event) => { if (!event.relatedTarget) document.body.classList.remove("over"); });
document.addEventListener("drop", (event) => { event.preventDefault(); document.body.classList.remove("over"); take(event.dataTransfer.files); });
document.addEventListener("paste", (event) => take(event.clipboardData.files));
