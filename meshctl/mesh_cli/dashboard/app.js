// Keeps the page up to date and moves between its rows. It builds no markup: the server has escaped all of it.
"use strict";

const main = document.getElementById("main");
const state = document.getElementById("state");
const filter = document.getElementById("filter");
const help = document.getElementById("help");
const every = Number(state.dataset.every) * 1000;

let at = "";
let heard = null; // When what is shown was true, by this browser's own clock.

function details() {
  return [...main.querySelectorAll("details")];
}

function visible() {
  return details().filter((row) => !row.parentElement.classList.contains("hidden"));
}

function applyFilter() {
  const wanted = filter.value.trim().toLowerCase();
  for (const row of details()) {
    row.parentElement.classList.toggle("hidden", !row.dataset.key.toLowerCase().includes(wanted));
  }
}

// What is open stays open, and the row with the focus keeps it.
function show(markup) {
  const open = new Set(details().filter((row) => row.open).map((row) => row.dataset.key));
  const focused = document.activeElement.closest?.("details")?.dataset.key;
  const fresh = new DOMParser().parseFromString(markup, "text/html");
  main.replaceChildren(...fresh.body.childNodes);
  for (const row of details()) {
    row.open = open.has(row.dataset.key);
    if (row.dataset.key === focused) {
      row.querySelector("summary").focus({ preventScroll: true });
    }
  }
  applyFilter();
}

function tell() {
  if (heard === null) {
    return;
  }
  const age = Math.max(0, performance.now() - heard);
  const stale = age > 3 * every + 2000;
  const words = `${Math.round(age / 1000)} s ago, at ${at}`;
  state.textContent = stale ? `stale: nothing new since ${words}` : `live: ${words}`;
  state.classList.toggle("stale", stale);
  document.body.classList.toggle("stale", stale);
}

const events = new EventSource("events");
events.onmessage = (event) => {
  const news = JSON.parse(event.data);
  at = news.at;
  heard = performance.now() - news.age * 1000;
  show(news.main);
  tell();
};
setInterval(tell, 500);

function move(step) {
  const rows = visible();
  const here = rows.findIndex((row) => row.contains(document.activeElement));
  const next = here < 0 ? (step > 0 ? 0 : rows.length - 1) : Math.min(rows.length - 1, Math.max(0, here + step));
  rows[next]?.querySelector("summary").focus();
}

filter.addEventListener("input", applyFilter);
document.addEventListener("keydown", (event) => {
  if (event.ctrlKey || event.metaKey || event.altKey) {
    return;
  }
  if (event.key === "Escape") {
    help.close();
    filter.value = "";
    applyFilter();
    filter.blur();
  } else if (event.target === filter) {
    if (event.key === "Enter") {
      move(1);
    }
  } else if (event.key === "j" || event.key === "k") {
    move(event.key === "j" ? 1 : -1);
  } else if (event.key === "/") {
    event.preventDefault();
    filter.focus();
  } else if (event.key === "?" && !help.open) {
    help.showModal();
  }
});
