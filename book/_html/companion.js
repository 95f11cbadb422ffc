// A link to a cell unfolds its code. Without scripts the link still leads there, and the code opens by hand.
function unfold() {
  const cell = document.getElementById(decodeURIComponent(location.hash.slice(1)));
  const folded = cell?.querySelector(":scope > details.above-input");
  if (folded) {
    folded.open = true;
    cell.scrollIntoView();
    folded.querySelector("summary").focus({ preventScroll: true });
  }
}
addEventListener("hashchange", unfold);
addEventListener("load", unfold);
// The address does not change when it names the cell already.
addEventListener("click", (event) => {
  const link = event.target.closest?.("a[href*='#cell-']");
  if (link && link.href === location.href) unfold();
});
