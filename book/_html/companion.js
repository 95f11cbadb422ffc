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

// Numbers open their passport beside them: by the mouse that rests there, by tap, and by key. Without scripts a number in
// prose still leads to its cell, and one in a table tells the most of it on hovering.
(() => {
  const card = document.createElement("div");
  card.className = "passport";
  card.popover = "auto"; // a click elsewhere closes it
  card.role = "dialog";
  card.ariaLabel = "What is behind this number";
  card.tabIndex = -1;
  let passports, timer, of;
  const isOpen = () => card.matches(":popover-open");

  const passportOf = (target) => {
    const place = target.closest?.("[class*='passport-']");
    const key = place?.className.match(/passport-[0-9a-f]{10}/)[0];
    passports ??= JSON.parse(document.getElementById("passports")?.textContent ?? "{}");
    return passports[key] && { place, content: passports[key] };
  };

  const open = ({ place, content }) => {
    of = place;
    card.innerHTML = content;
    if (!card.isConnected) document.body.append(card);
    if (!isOpen()) card.showPopover();
    const at = place.getBoundingClientRect();
    const room = document.documentElement.clientWidth - card.offsetWidth - 8;
    const above = at.bottom + card.offsetHeight > innerHeight && at.top > card.offsetHeight;
    card.style.left = `${scrollX + Math.max(8, Math.min(at.left, room))}px`;
    card.style.top = `${scrollY + (above ? at.top - card.offsetHeight - 4 : at.bottom + 4)}px`;
  };

  addEventListener("click", (event) => {
    const found = !event.defaultPrevented && passportOf(event.target);
    if (!found || event.ctrlKey || event.metaKey || event.shiftKey) return;
    event.preventDefault();
    clearTimeout(timer);
    found.place.querySelector("a, button").focus(); // where the focus goes back to
    open(found);
    (card.querySelector("a") ?? card).focus();
  });

  addEventListener("keydown", ({ key }) => key === "Escape" && isOpen() && card.hidePopover());

  addEventListener("pointerover", (event) => {
    if (event.pointerType !== "mouse" || event.buttons) return;
    clearTimeout(timer);
    if (card.contains(event.target)) return;
    const found = passportOf(event.target);
    if (found) {
      if (!isOpen() || of !== found.place) timer = setTimeout(open, 400, found);
    } else if (isOpen() && !card.contains(document.activeElement)) {
      timer = setTimeout(() => card.hidePopover(), 300);
    }
  });

  // A number in a table becomes a button; the arrow keys walk from one to the next, and a table is one stop of the tabulator.
  addEventListener("DOMContentLoaded", () => {
    document.querySelectorAll("table:has([class*='passport-'])").forEach((table) => {
      const cells = [...table.querySelectorAll("td[class*='passport-']")].filter(passportOf);
      const buttons = cells.map((cell, place) => {
        const button = document.createElement("button");
        Object.assign(button, { type: "button", tabIndex: place ? -1 : 0 });
        button.setAttribute("aria-haspopup", "dialog");
        button.append(...cell.childNodes);
        cell.append(button);
        cell.removeAttribute("title");
        return button;
      });
      table.addEventListener("keydown", ({ key, target }) => {
        const next = buttons[buttons.indexOf(target) + ({ ArrowRight: 1, ArrowDown: 1, ArrowLeft: -1, ArrowUp: -1 }[key] ?? NaN)];
        if (!next) return;
        buttons.forEach((button) => (button.tabIndex = button === next ? 0 : -1));
        next.focus();
      });
    });
  });
})();
