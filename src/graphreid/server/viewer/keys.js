// Keys for those who want them: every page works without.
"use strict";
const tiles = () => [...document.querySelectorAll("a.tile")];
const keys = document.getElementById("keys");
const help = document.getElementById("help");

function toggle() {
  keys.hidden = !keys.hidden;
  help.setAttribute("aria-expanded", String(!keys.hidden));
}

// The nearest tile in a direction, by its middle on the screen.
function next(dx, dy) {
  const all = tiles();
  const from = document.activeElement;
  if (!all.includes(from)) return all[0];
  const middle = (tile) => {
    const box = tile.getBoundingClientRect();
    return [box.left + box.width / 2, box.top + box.height / 2];
  };
  const [x, y] = middle(from);
  let best = null;
  let least = Infinity;
  for (const tile of all) {
    const [a, b] = middle(tile);
    const along = (a - x) * dx + (b - y) * dy;
    const aside = Math.abs((a - x) * dy) + Math.abs((b - y) * dx);
    const cost = along + 3 * aside;
    if (tile !== from && along > 4 && cost < least) [best, least] = [tile, cost];
  }
  return best;
}

const moves = {
  ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, -1], ArrowDown: [0, 1],
  h: [-1, 0], l: [1, 0], k: [0, -1], j: [0, 1],
};

if (help) {
  help.hidden = false;
  help.addEventListener("click", toggle);
}
document.addEventListener("keydown", (event) => {
  if (event.ctrlKey || event.metaKey || event.altKey || /^(INPUT|SELECT|TEXTAREA)$/.test(event.target.tagName)) return;
  if (event.key in moves) {
    // arrows scroll the page until an image is chosen
    if (event.key.startsWith("Arrow") && !tiles().includes(document.activeElement)) return;
    const tile = next(...moves[event.key]);
    if (tile) {
      tile.focus();
      event.preventDefault();
    }
  } else if (event.key === "/") {
    const find = document.getElementById("find");
    if (find) find.focus();
    else location.href = "/";
    event.preventDefault();
  } else if (event.key === "g") location.href = "/";
  else if (event.key === "m") location.href = "/map";
  else if (event.key === "?" && help) toggle();
});
