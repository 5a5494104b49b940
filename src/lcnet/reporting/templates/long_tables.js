// Long tables: a search, and {{ rows_shown }} rows at a time. Without a script, and in short tables, all rows are shown.

const ROWS = {{ rows_shown }};
for (const table of document.querySelectorAll("table.paged")) {
  if (table.tBodies[0].rows.length > ROWS) addPages(table);
}

function addPages(table) {
  const body = table.tBodies[0], bar = document.createElement("div");
  bar.className = "pager";
  bar.innerHTML = '<input type="search" placeholder="find a label" aria-label="Find a label"><span class="said" aria-live="polite"></span><button aria-label="Rows before">&#8249;</button><button aria-label="Rows after">&#8250;</button>';
  (table.closest(".scroll") ?? table).before(bar);
  const [search, said, before, after] = bar.children;
  let first = 0;

  function show() {
    const wanted = search.value.trim().toLowerCase(), found = [];
    for (const row of body.rows) {
      row.hidden = true;
      if (row.cells[0].textContent.toLowerCase().includes(wanted)) found.push(row);
    }
    first = Math.max(0, Math.min(first, found.length - 1));
    const shown = found.slice(first, first + ROWS), number = (count) => count.toLocaleString("en");
    for (const row of shown) row.hidden = false;
    said.textContent = found.length ? `${number(first + 1)} to ${number(first + shown.length)} of ${number(found.length)}` : "none found";
    before.disabled = !first;
    after.disabled = first + ROWS >= found.length;
  }

  function from(row) {
    first = row;
    show();
  }

  search.addEventListener("input", () => from(0));
  before.addEventListener("click", () => from(first - ROWS));
  after.addEventListener("click", () => from(first + ROWS));
  table.addEventListener("sorted", () => from(0));
  show();
  table.classList.add("cut");
}
