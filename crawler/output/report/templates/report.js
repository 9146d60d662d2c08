"use strict";
// Tables that sort by a click on a column's name and show only rows with a word. Without this script they are just tables.

const order = (cell) => cell.dataset.order === undefined ? cell.textContent.trim() : Number(cell.dataset.order);

const compare = (a, b) => {
  if (typeof a === "number" && typeof b === "number") return a - b;
  return String(a).localeCompare(String(b), "en", {numeric: true});
};

const sort = (head, direction) => {
  const table = head.closest("table"), body = table.tBodies[0];
  const place = [...head.parentElement.children].indexOf(head);
  const rows = [...body.rows].map((row) => [order(row.cells[place]), row]);
  rows.sort((a, b) => direction * compare(a[0], b[0]));
  body.append(...rows.map((pair) => pair[1]));
  for (const other of head.parentElement.children) other.removeAttribute("aria-sort");
  head.setAttribute("aria-sort", direction > 0 ? "ascending" : "descending");
};

const makeSortable = (head) => {
  const button = document.createElement("button");
  button.type = "button";
  button.append(...head.childNodes);
  head.append(button);
  button.addEventListener("click", () => sort(head, head.getAttribute("aria-sort") === "ascending" ? -1 : 1));
};

const makeFilter = (section) => {
  const box = section.querySelector(".filter"), input = box.querySelector("input"), output = box.querySelector("output");
  const rows = [...section.querySelectorAll("tbody > tr")];
  const texts = rows.map((row) => row.textContent.toLowerCase());
  input.addEventListener("input", () => {
    const words = input.value.toLowerCase().split(/\s+/).filter(Boolean);
    let shown = 0;
    rows.forEach((row, place) => {
      row.hidden = !words.every((word) => texts[place].includes(word));
      shown += row.hidden ? 0 : 1;
    });
    output.textContent = words.length ? `${shown} of ${rows.length} rows` : "";
  });
  box.hidden = false;
};

for (const section of document.querySelectorAll(".finding")) {
  const table = section.querySelector("table");
  if (table === null || table.tBodies[0].rows.length < 2) continue;
  for (const head of table.tHead.rows[0].cells) makeSortable(head);
  if (table.tBodies[0].rows.length > 5) makeFilter(section);
}

addEventListener("beforeprint", () => {
  for (const details of document.querySelectorAll(".sources details")) details.open = true;
});
