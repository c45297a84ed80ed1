"use strict";
const controls = document.querySelector(".controls");
if (controls) {
  const rows = document.querySelector(".rows");
  const all = [...rows.children];
  const found = controls.querySelector("output");
  const orders = {
    start: (a, b) => a.dataset.start - b.dataset.start,
    seconds: (a, b) => b.dataset.seconds - a.dataset.seconds,
    name: (a, b) => a.dataset.name.localeCompare(b.dataset.name, "en", { numeric: true }),
  };
  const { text, order, critical, failed, unfold } = controls.elements;
  const choose = () => {
    const words = text.value.toLowerCase().split(/\s+/).filter(Boolean);
    let shown = 0;
    for (const row of all) {
      const name = row.dataset.name.toLowerCase();
      row.hidden = !words.every((word) => name.includes(word)) ||
        (critical.checked && !row.classList.contains("critical")) ||
        (failed.checked && !row.classList.contains("failed"));
      shown += !row.hidden;
    }
    found.textContent = shown === all.length ? "" : `${shown} of ${all.length}`;
  };
  controls.addEventListener("input", choose);
  controls.addEventListener("submit", (event) => event.preventDefault());
  order.addEventListener("change", () => rows.append(...all.sort(orders[order.value])));
  unfold.addEventListener("click", () => {
    const shown = all.filter((row) => !row.hidden);
    const open = shown.some((row) => !row.open);
    for (const row of shown) row.open = open;
    unfold.textContent = open ? "fold" : "unfold";
  });
  const open = () => {
    const row = /^#i\d+$/.test(location.hash) && document.querySelector(location.hash);
    if (row) { row.hidden = false; row.open = true; row.scrollIntoView(); }
  };
  addEventListener("hashchange", open);
  controls.hidden = false;
  open();
}
