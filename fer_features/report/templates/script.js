"use strict";

// Theme: the system's, until the button is pressed.
const root = document.documentElement;
const toggle = document.getElementById("theme");
const system = matchMedia("(prefers-color-scheme: dark)");
const isDark = () => (root.dataset.theme ? root.dataset.theme === "dark" : system.matches);
const showTheme = () => toggle.setAttribute("aria-pressed", String(isDark()));
toggle.addEventListener("click", () => {
  root.dataset.theme = isDark() ? "light" : "dark";
  showTheme();
});
system.addEventListener("change", showTheme);
showTheme();

// Tables: a heading's button sorts by its column, numbers from the highest down at first. Rows
// without a value, and the published one, stay at the end.
const compareCells = (a, b, place, sign) => {
  const [x, y] = [a, b].map((row) => row.cells[place].dataset.value);
  if (x === "" || y === "") return (x === "") - (y === "");
  const numbers = [Number(x), Number(y)];
  if (numbers.some(Number.isNaN)) return sign * x.localeCompare(y);
  return sign * (numbers[0] - numbers[1]);
};
const sortBy = (table, heading) => {
  const place = heading.cellIndex;
  const now = heading.getAttribute("aria-sort");
  const first = heading.classList.contains("num") ? "descending" : "ascending";
  const other = first === "descending" ? "ascending" : "descending";
  const order = now === first ? other : first;
  for (const one of heading.parentElement.cells) one.removeAttribute("aria-sort");
  heading.setAttribute("aria-sort", order);
  const body = table.tBodies[0];
  const last = (row) => Number(row.classList.contains("published"));
  const sign = order === "ascending" ? 1 : -1;
  const rows = [...body.rows].sort(
    (a, b) => last(a) - last(b) || compareCells(a, b, place, sign),
  );
  body.append(...rows);
};
for (const table of document.querySelectorAll("table.sortable")) {
  for (const button of table.querySelectorAll("thead button")) {
    button.addEventListener("click", () => sortBy(table, button.closest("th")));
  }
}
