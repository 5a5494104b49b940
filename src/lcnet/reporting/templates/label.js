const WINDOW = Array.from(crypto.getRandomValues(new Uint8Array(12)), (n) => n.toString(16).padStart(2, "0")).join("");
const trail = [];      // the pictures that this window has had, in order
let place = -1;        // where in the trail it is
let view = null;       // what the server said of the picture
let skipped = new Map();  // by picture: the questions that were skipped
const UNDOS = `lcnet undo ${PAGE.table}`, MOST_UNDOS = 200;
const undos = keptUndos();  // answers, the last one last: picture, and what each label was and became
let busy = false;
let failed = false;    // the last call failed, so what is shown may not be what is kept
let hot = false;
let ready = false;     // the picture is on the screen, or cannot be

const SILENT = "The server does not answer, so the last answer may not be kept. Start lcnet label again, then go on here.";
async function call(name, values = {}) {
  try {
    return await post(name, JSON.stringify({ table: PAGE.table, window: WINDOW, ...values }), SILENT, JSON_TYPE);
  } catch (error) {
    if (error.status >= 500) error.message += " The last answer may not be kept.";
    throw error;
  }
}

// The window keeps them, so that a page that is loaded again can undo too.
function keptUndos() {
  try {
    return JSON.parse(sessionStorage.getItem(UNDOS)) || [];
  } catch {
    return [];
  }
}
function keepUndo(answer) {
  if (answer) undos.push(answer);
  else undos.pop();
  try {
    sessionStorage.setItem(UNDOS, JSON.stringify(undos.slice(-MOST_UNDOS)));
  } catch { /* a browser that keeps nothing forgets them when it loads again */ }
}

// One thing after the other: a key that comes while an answer is under way is dropped, since its
// question is already answered.
async function once(work) {
  if (busy) return;
  busy = true;
  at("desk").setAttribute("aria-busy", "true");
  try {
    // After a failure the key is of what was shown then: look first, and let the person look too.
    if (failed && view && view.picture !== null) {
      show(await call("open", { picture: view.picture }));
      at("said").textContent = "The server is back, and this is what is kept. Go on.";
    } else {
      await work();
    }
    failed = false;
    at("wrong").textContent = "";
  } catch (error) {
    failed = true;
    at("wrong").textContent = error.message;
  }
  busy = false;
  at("desk").removeAttribute("aria-busy");
}

function show(found) {
  const isNew = !view || view.picture !== found.picture;
  view = found;
  at("left").textContent = left(found.left);
  at("done").hidden = found.picture !== null;
  at("desk").hidden = found.picture === null;
  if (found.picture === null) return showDone(found.left);
  if (isNew) showPicture();
  showQuestion();
  showBars();
  showHeat();
}

function left(counts) {
  if (PAGE.correct) return leftToCorrect(counts);
  const parts = [
    many(counts.pictures, "picture with blank cells", "pictures with blank cells"),
    many(counts.cells, "blank cell", "blank cells"),
    `${many(counts.worth, "answer", "answers")} still worth giving`,
  ];
  if (counts.unscored) parts[2] += ` in the pictures looked at so far (${many(counts.unscored, "to come", "to come")})`;
  if (counts.unreadable) parts.push(`${many(counts.unreadable, "picture cannot", "pictures cannot")} be read`);
  if (counts.failure) parts.push(`looking ahead failed: ${counts.failure}`);
  return parts.join(" · ");
}

function isLookingFirst(counts) {
  return PAGE.correct && !counts.pictures && counts.unscored > 0 && !counts.failure;
}

function leftToCorrect(counts) {
  if (isLookingFirst(counts)) return `looking at the pictures ... (${many(counts.unscored, "to come", "to come")})`;
  const parts = [`${many(counts.doubtful, "given label", "given labels")} worth a look`];
  if (counts.cells) parts.push(many(counts.cells, "blank cell", "blank cells"));
  const where = `in ${many(counts.pictures, "picture", "pictures")} of ${counts.total.toLocaleString("en")}`;
  let words = `${parts.join(" and ")}${counts.cells ? ", together" : ""} ${where}`;
  if (counts.unscored) words += ` so far (${many(counts.unscored, "to come", "to come")})`;
  if (counts.unreadable) words += ` \u00b7 ${many(counts.unreadable, "picture cannot", "pictures cannot")} be read`;
  if (counts.failure) words += ` \u00b7 looking ahead failed: ${counts.failure}`;
  return words;
}

function showDone(counts) {
  at("done-buttons").hidden = isLookingFirst(counts);
  if (PAGE.correct && !counts.pictures) {
    const isLooking = isLookingFirst(counts);
    at("done-title").textContent = isLooking ? "Looking at the pictures" : "Nothing is left that is worth a look";
    at("done-text").textContent = isLooking
      ? `${many(counts.unscored, "picture", "pictures")} to come. This page goes on by itself.`
      : `The model gives ${percent(PAGE.doubtful)} or less to no given label that nobody has answered. ${many(counts.total, "picture is", "pictures are")} in ${PAGE.out}.`;
    return;
  }
  at("done-title").textContent = counts.pictures ? "No picture is free" : "All cells are filled";
  at("done-text").textContent = counts.pictures
    ? `The pictures that ${PAGE.correct ? "are worth a look" : "have blank cells"} are open in other windows. Look again in some minutes.`
    : `${many(counts.total, "picture is", "pictures are")} labelled in ${PAGE.out}.`;
}

function showPicture() {
  const image = at("picture");
  for (const old of at("frame").querySelectorAll("p")) old.remove();
  ready = false;
  image.hidden = Boolean(view.error);
  at("heat").hidden = true;
  at("name").textContent = view.name;
  image.alt = `picture ${view.name}`;
  if (view.error) {
    unreadable(view.error);
  } else {
    image.src = `${PAGE.table}/pictures/${view.picture}.jpg`;
  }
}

function unreadable(why) {
  const words = document.createElement("p");
  words.className = "bad";
  words.textContent = `${why} Go on with Next.`;
  at("frame").append(words);
  at("picture").hidden = true;
  ready = true;
}
at("picture").addEventListener("load", () => { ready = true; });
at("picture").addEventListener("error", () => unreadable("This picture cannot be shown."));

// The label that is asked: the first that was not skipped, by the server's order.
function asked() {
  const left = skipped.get(view.picture);
  const found = (view.questions || []).find((label) => !left || !left.has(label));
  return found === undefined ? null : found;
}

function showQuestion() {
  const label = asked();
  const isBlank = view.states.some((state) => state === null);
  at("question").textContent = label !== null ? `${PAGE.correct ? "Is " : ""}${PAGE.labels[label]}${PAGE.correct ? " present" : ""}?`
    : view.error ? "This picture cannot be read"
    : PAGE.correct ? "Nothing is left to ask here" : isBlank ? "All other questions are skipped" : "This picture is labelled";
  at("chance").textContent = label === null || PAGE.correct ? "" : percent(view.chances[label]);
  if (PAGE.correct) showGiven(label);
  for (const name of ["present", "absent", "skip"]) button(name).disabled = label === null;
  button("fill").disabled = !isUnfinished();
  button("undo").disabled = undos.length === 0;
  button("previous").disabled = place <= 0;
  if (at("heat-button")) at("heat-button").disabled = label === null;
  const here = view.error || (PAGE.correct ? !isUnfinished() : !isBlank) ? ""
    : PAGE.correct ? hereToCorrect()
    : view.worth ? `${many(view.worth, "answer", "answers")} worth giving in this picture`
    : "The rest of this picture is clear to the model: Enter takes it as predicted.";
  at("here").textContent = view.elsewhere ? `Open in another window too. ${here}` : here;
}
// What Enter would do something about: a blank cell, or when correcting a given label that nobody has answered.
const isUnfinished = () => !view.error && (view.states.includes(null) || (PAGE.correct && view.answered.includes(false)));

// What the table says of the label that is asked, and what the model says.
function showGiven(label) {
  const state = label === null ? null : view.states[label];
  const given = state === null ? part("span", "", "blank") : part("strong", WORDS.get(state), WORDS.get(state));
  at("given").replaceChildren(...(label === null ? [] : [state === null ? "" : "given: ", given, ` \u00b7 model: ${percent(view.chances[label])}`]));
  for (const [name, means] of [["present", true], ["absent", false]]) {
    const how = state === null ? "" : state === means ? ", keep" : ", change";
    button(name).firstChild.textContent = `${means ? "Present" : "Absent"}${how}`;
  }
  button("fill").firstChild.textContent = view.states.includes(null) ? "The rest as given, blank cells as predicted" : "The rest is right as given";
}
function hereToCorrect() {
  const parts = [];
  if (view.doubtful) parts.push(`${many(view.doubtful, "given label", "given labels")} worth a look`);
  if (view.states.includes(null)) parts.push(many(view.states.filter((state) => state === null).length, "blank cell", "blank cells"));
  return parts.length ? `${parts.join(" and ")} in this picture` : "The model does not contradict the given labels of this picture. A click on one changes it.";
}
const button = (name) => document.querySelector(`#ask [data-do=${name}]`);

function showBars() {
  const focused = document.activeElement?.dataset?.label;
  const order = PAGE.labels.map((_, label) => label);
  const rank = (label) => (PAGE.correct && view.chances ? rankToCorrect(label) : view.chances ? view.chances[label] : { true: 1, false: 0, null: 0.5 }[view.states[label]]);
  order.sort((one, other) => rank(other) - rank(one) || one - other);
  at("bars").replaceChildren(...order.map(bar));
  if (focused !== undefined) at("bars").querySelector(`[data-label="${focused}"]`)?.focus();
  const first = at("bars").querySelector(".asked");
  if (first && getComputedStyle(at("bars")).overflowY === "auto") {
    const top = first.offsetTop - at("bars").offsetTop;
    at("bars").scrollTop = top - at("bars").clientHeight / 2;
  }
}

// What is asked comes first, as it is asked; then the labels that are given as present.
function rankToCorrect(label) {
  const asked = view.questions.indexOf(label);
  return asked >= 0 ? 3 - asked / view.questions.length : Number(view.states[label] === true) + view.chances[label];
}

function bar(label) {
  const chance = view.chances ? view.chances[label] : null, threshold = PAGE.thresholds[label];
  const row = makeLine(label, true);
  const state = view.states[label], isAnswered = PAGE.correct && state !== null && view.answered?.[label];
  const word = `${WORDS.get(state)}${isAnswered ? " \u2713" : ""}`;
  setLine(row, { name: PAGE.labels[label], chance, threshold, above: chance > threshold, state, asked: label === asked(), word, judged: PAGE.correct });
  return row;
}

function showHeat() {
  const label = asked(), heat = at("heat");
  const isOn = hot && PAGE.explains && label !== null && !view.error;
  at("heat-button")?.setAttribute("aria-pressed", String(hot));
  at("frame").classList.toggle("hot", isOn);
  if (!isOn) {
    heat.hidden = true;
    at("heated").textContent = "";
    return;
  }
  const source = `${PAGE.table}/pictures/${view.picture}/heat/${label}.png`;
  if (heat.getAttribute("src") === source && !heat.dataset.failed) {
    heat.hidden = false;
    at("heated").textContent = `what speaks for ${PAGE.labels[label]}`;
    return;
  }
  heat.hidden = true;
  delete heat.dataset.failed;
  at("heated").textContent = "looking for it ...";
  heat.onload = () => showHeat();
  heat.onerror = () => { heat.dataset.failed = "yes"; at("heated").textContent = "there is no heat map of it"; };
  heat.alt = `heat map of ${PAGE.labels[label]}`;
  heat.dataset.failed = "yes";
  heat.onload = () => { delete heat.dataset.failed; showHeat(); };
  heat.src = source;
}

// What a person can do

async function goTo(found) {
  show(found);
  if (found.picture !== null && trail[place] !== found.picture) {
    trail.length = place + 1;
    trail.push(found.picture);
    place = trail.length - 1;
    showQuestion();
  }
}

// A link such as ?picture=images/7.jpg opens that picture first.
async function begin() {
  const path = new URLSearchParams(location.search).get("picture");
  const found = path ? await call("find", { path }) : null;
  if (found && found.picture !== null) return goTo(found);
  await next();
  const words = `This table has no picture that is called ${path}, or more than one.`;
  if (path) at(view.picture === null ? "done-text" : "said").textContent = words;
}

async function next() {
  if (place < trail.length - 1) {
    place += 1;
    return show(await call("open", { picture: trail[place] }));
  }
  skipped.delete(view?.picture);
  return goTo(await call("next"));
}

async function previous() {
  const back = view && view.picture === null ? place : place - 1;
  if (back < 0) return;
  const found = await call("open", { picture: trail[back] });
  place = back;
  show(found);
}

async function change(picture, changes, isUndo = false) {
  const found = await call("answer", { picture, changes, undo: isUndo });
  if (!isUndo) keepUndo({ picture, changes });
  told(found, changes);
  if (trail[place] !== picture) {
    const there = trail.indexOf(picture);
    place = there < 0 ? trail.push(picture) - 1 : there;
  }
  show(found);
  return found;
}

function told(found, changes) {
  const names = Object.entries(changes);
  const [was, is] = names[0][1];
  let words = names.length === 1 ? `${names[0][0]}: ${WORDS.get(is)}${was === is ? ", as given" : ""}. Saved.` : `${many(names.length, "label", "labels")} changed. Saved.`;
  for (const cell of found.differing || []) {
    const how = cell.was === null ? "was made unknown" : `was answered ${WORDS.get(cell.was)}`;
    const who = !cell.by ? "by somebody else" : cell.by === PAGE.annotator ? "in another window" : `by ${cell.by}`;
    words += ` ${cell.label} ${how} ${who}; your answer counts now.`;
  }
  at("said").textContent = words;
}

async function answer(label, state) {
  const name = PAGE.labels[label];
  const found = await change(view.picture, { [name]: [view.states[label], state] });
  const isDone = PAGE.correct ? asked() === null : !found.states.includes(null) && trail.at(-1) === found.picture;
  if (isDone) await onward();
}

async function onward() {
  const words = at("said").textContent;
  await next();
  at("said").textContent = words;
}

async function fill() {
  const picture = view.picture;
  const found = await call("fill", { picture });
  const changes = {};
  for (const [label, was] of Object.entries(found.before)) changes[label] = [was, found.states[PAGE.labels.indexOf(label)]];
  if (Object.keys(changes).length) keepUndo({ picture, changes });
  const all = Object.keys(changes).length, predicted = Object.keys(changes).filter((label) => changes[label][0] === null);
  const present = predicted.filter((label) => changes[label][1]);
  const list = present.length ? present.join(", ") : "none of them";
  const parts = [];
  if (all > predicted.length) parts.push(`${many(all - predicted.length, "label", "labels")} as given`);
  if (predicted.length || !all) parts.push(`${many(predicted.length, "label", "labels")} as predicted, present: ${list}`);
  at("said").textContent = `${view.name}: ${parts.join(", ")}. Saved.`;
  show(found);
  await onward();
}

async function undo() {
  const last = undos.at(-1);
  if (!last) return;
  const back = {};
  for (const [label, [was, became]] of Object.entries(last.changes)) back[label] = [became, was];
  const found = await change(last.picture, back, true);
  keepUndo(null);
  showQuestion();
  const names = Object.keys(back);
  const words = at("said").textContent;
  at("said").textContent = `Undone: ${names.length === 1 ? names[0] : many(names.length, "label", "labels")}. ${(found.differing || []).length ? words : "Saved."}`;
}

async function skip() {
  const label = asked();
  if (!skipped.has(view.picture)) skipped.set(view.picture, new Set());
  skipped.get(view.picture).add(label);
  at("said").textContent = `${PAGE.labels[label]}: skipped.`;
  if (PAGE.correct && asked() === null) return onward();
  showQuestion();
  showBars();
  showHeat();
  return undefined;
}

const ACTIONS = {
  present: { runs: () => answer(asked(), true), needs: () => ready && asked() !== null },
  absent: { runs: () => answer(asked(), false), needs: () => ready && asked() !== null },
  skip: { runs: skip, needs: () => asked() !== null },
  fill: { runs: fill, needs: () => ready && isUnfinished() },
  heat: { runs: () => { hot = !hot; showHeat(); }, needs: () => PAGE.explains },
};
function act(name) {
  const action = ACTIONS[name];
  if (!action) return once({ undo, next, previous }[name]);
  if (!view || view.picture === null || !action.needs()) return undefined;
  return once(async () => action.runs());
}

const KEYS = { y: "present", n: "absent", s: "skip", " ": "skip", u: "undo", h: "heat", Enter: "fill", ArrowLeft: "previous", ArrowRight: "next" };
document.addEventListener("keydown", (event) => {
  const name = KEYS[event.key.length === 1 ? event.key.toLowerCase() : event.key];
  if (!name || event.ctrlKey || event.metaKey || event.altKey) return;
  // A button that was reached with the tab key takes these two itself.
  if ((event.key === "Enter" || event.key === " ") && document.activeElement?.matches("button, a, summary")) return;
  event.preventDefault();
  if (!event.repeat) act(name);  // a key that is held down answers one question
});
document.addEventListener("click", (event) => {
  const pressed = event.target.closest("button");
  if (!pressed) return;
  if (event.detail > 0) pressed.blur();  // by hand: the keys stay free for the questions
  if (pressed.dataset.do) return void act(pressed.dataset.do);
  if (pressed.dataset.label === undefined || !view || view.picture === null) return;
  const label = Number(pressed.dataset.label);
  const state = AFTER.get(view.states[label]);
  once(() => change(view.picture, { [PAGE.labels[label]]: [view.states[label], state] }));
});
window.addEventListener("pagehide", () => {
  const body = JSON.stringify({ table: PAGE.table, window: WINDOW });
  fetch("leave", { method: "POST", headers: { "Content-Type": "application/json" }, body, keepalive: true }).catch(() => {});
});
// While the server looks at the pictures, what is left changes by itself.
setInterval(async () => {
  if (busy || !view || !view.left.unscored || document.hidden) return;
  if (view.picture === null) return PAGE.correct && void once(next);
  const found = await call("left").catch(() => null);
  if (found && view.picture !== null) {
    view.left = found.left;
    at("left").textContent = left(found.left);
  }
}, 3000);
once(begin);
