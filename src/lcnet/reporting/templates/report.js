// Sorting, choosing and tooltips on the report's page. Without a script everything is shown.

// A click on a header sorts by its column, the next click in reverse. Cells without a value stay
// last.
for (const header of document.querySelectorAll("table.sortable th")) {
  const button = document.createElement("button");
  button.textContent = header.textContent;
  header.replaceChildren(button);
  button.addEventListener("click", () => sortBy(header));
}

const valueOf = (cell) => cell.dataset.value ?? cell.textContent;

function sortBy(header) {
  const column = header.cellIndex;
  const body = header.closest("table").tBodies[0];
  const isNumber = header.classList.contains("number");
  const rises = header.ariaSort ? header.ariaSort === "descending" : !isNumber;
  for (const other of header.parentNode.cells) other.removeAttribute("aria-sort");
  header.setAttribute("aria-sort", rises ? "ascending" : "descending");
  const keyed = [...body.rows].map((row) => [valueOf(row.cells[column]), row]);
  const compare = (one, other) => isNumber
    ? one - other
    : one.localeCompare(other, undefined, { numeric: true });
  keyed.sort(([one], [other]) => {
    if (!one || !other) return !one - !other;
    return rises ? compare(one, other) : compare(other, one);
  });
  body.append(...keyed.map(([, row]) => row));
  body.parentNode.dispatchEvent(new Event("sorted"));
}

// Curves: one panel at a time, chosen in the list or by a label's link in the table.
const picker = document.getElementById("picker");

function pick(id) {
  const panel = document.getElementById(id);
  if (!panel || !panel.classList.contains("panel")) return;
  for (const other of document.querySelectorAll(".panel")) {
    other.classList.toggle("picked", other === panel);
  }
  picker.value = id;
}

picker?.addEventListener("change", () => pick(picker.value));
for (const link of document.querySelectorAll('a[href^="#label-"]')) {
  link.addEventListener("click", () => pick(link.hash.slice(1)));
}
pick("together");
pick(location.hash.slice(1));

// Matrices: the cell under the mouse, in words.
for (const matrix of document.querySelectorAll(".matrix")) {
  const { labels, words, values } = JSON.parse(matrix.querySelector("script").textContent);
  const drawing = matrix.querySelector("svg");
  const said = matrix.querySelector(".said");
  drawing.addEventListener("mousemove", (event) => {
    const box = drawing.getBoundingClientRect();
    const scale = drawing.viewBox.baseVal.width / box.width;
    const index = (pixels) => Math.floor(
      (pixels * scale - drawing.dataset.margin) / drawing.dataset.cell,
    );
    const row = index(event.clientY - box.top);
    const column = index(event.clientX - box.left);
    const isCell = labels[row] !== undefined && labels[column] !== undefined && row !== column;
    const names = { row: labels[row], column: labels[column] };
    said.textContent = isCell
      ? words.replace(/{(\w+)}/g, (_, key) => names[key] ?? values[key][row][column])
      : "";
  });
}
