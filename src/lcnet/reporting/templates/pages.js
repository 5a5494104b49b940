// What the pages of lcnet serve and lcnet label have in common.

const at = (id) => document.getElementById(id);
const part = (tag, name, text = "") => Object.assign(document.createElement(tag), { className: name, textContent: text });
const many = (count, one, more) => `${count.toLocaleString("en")} ${count === 1 ? one : more}`;
const WORDS = new Map([[true, "present"], [false, "absent"], [null, "unknown"]]);
const AFTER = new Map([[null, true], [true, false], [false, null]]);  // what a click makes of a state

// In percent; what is just above 0 or below 1 is not rounded to it.
function percent(value, digits = 0) {
  const shown = 100 * value, least = 10 ** -digits;
  if (shown > 0 && shown < least) return `< ${least} %`;
  if (shown < 100 && shown > 100 - least) return `> ${100 - least} %`;
  return `${shown.toFixed(digits)} %`;
}

// The answer to a POST. Its error has the status, and says what the server said, or `silent` where it said nothing.
async function post(address, body, silent, headers = {}) {
  let answer;
  try {
    answer = await fetch(address, { method: "POST", body, headers });
  } catch {
    throw new Error(silent);
  }
  const said = await answer.json().catch(() => ({}));
  if (!answer.ok) throw Object.assign(new Error(said.error || `The server failed (${answer.status}).`), { status: answer.status });
  return said;
}
const JSON_TYPE = { "Content-Type": "application/json" };

// A label's line: its name, a bar, its number and state. With `press` it is a button.
function makeLine(label, press) {
  const row = part("li", ""), line = part(press ? "button" : "div", "line");
  if (press) line.type = "button";
  line.dataset.label = label;
  const track = part("span", "track");
  track.append(part("i", ""), part("b", ""));
  line.append(part("span", "what"), track, part("span", "number"), part("span", "state"), part("span", "note"));
  row.append(line);
  return row;
}

// Fills it. A known label has a state in place of its threshold and its number, unless it is `judged`: then its number too.
function setLine(row, { name, chance, threshold, above, state, asked = false, digits = 0, note = "", word = WORDS.get(state), judged = false }) {
  const line = row.firstChild, [what, track, number, said, small] = line.children, mark = track.lastChild;
  const isOpen = state === null && chance !== null;
  row.className = [WORDS.get(state), isOpen && above ? "above" : "", asked ? "asked" : ""].filter(Boolean).join(" ");
  what.textContent = line.title = name;
  track.firstChild.style.width = `${100 * (chance ?? 0)}%`;
  mark.hidden = !isOpen;
  mark.style.left = `${100 * threshold}%`;
  mark.title = `threshold ${percent(threshold, digits)}`;
  number.textContent = isOpen || (judged && chance !== null) ? percent(chance, digits) : "";
  said.textContent = word;
  small.textContent = note;
  if (line.localName !== "button") return;
  const parts = [judged ? word : WORDS.get(state), number.textContent ? `probability ${number.textContent}` : "", note].filter(Boolean);
  line.setAttribute("aria-label", `${name}: ${parts.join(", ")}. Change it.`);
}
