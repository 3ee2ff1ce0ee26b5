"use strict";
// Paper cannot be unfolded: what is folded up is printed open, and folded up again as it was.
(function () {
  const folded = () => [...document.querySelectorAll("details:not(.numbers)")];
  const before = new Map();
  addEventListener("beforeprint", () => folded().forEach((each) => { before.set(each, each.open); each.open = true; }));
  addEventListener("afterprint", () => folded().forEach((each) => { each.open = before.get(each); }));
})();
