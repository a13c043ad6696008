"use strict";
for (const table of document.querySelectorAll("table.sortable")) {
  const heads = [...table.tHead.rows[0].cells], body = table.tBodies[0];
  const key = (row, i) => {
    const cell = row.cells[i];
    return "v" in cell.dataset ? Number(cell.dataset.v.replace("inf", "Infinity")) : cell.textContent;
  };
  heads.forEach((head, i) => head.querySelector("button").addEventListener("click", () => {
    const down = head.getAttribute("aria-sort") === "ascending" ? -1 : 1;
    for (const other of heads) other.removeAttribute("aria-sort");
    head.setAttribute("aria-sort", down > 0 ? "ascending" : "descending");
    const compare = (a, b) => typeof a === "number" && typeof b === "number" ? (a > b) - (a < b)
      : String(a).localeCompare(String(b), "en", { numeric: true });
    const rows = [...body.rows].map((row) => [key(row, i), row]);
    rows.sort((a, b) => down * compare(a[0], b[0]));
    body.append(...rows.map((pair) => pair[1]));
  }));
}
