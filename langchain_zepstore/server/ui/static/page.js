"use strict";
// Shows times in the reader's zone. Everything else works without this file.
(() => {
  const format = new Intl.DateTimeFormat(undefined, { dateStyle: "medium", timeStyle: "short" });
  const localize = (root) => {
    for (const time of root.querySelectorAll("time[datetime]:not([title])")) {
      const moment = new Date(time.dateTime);
      if (Number.isNaN(moment.getTime())) continue;
      time.title = time.textContent;
      time.textContent = format.format(moment);
    }
  };
  localize(document);
  for (const zone of document.querySelectorAll("[data-zone]")) {
    zone.textContent = "in " + Intl.DateTimeFormat().resolvedOptions().timeZone;
  }
  document.addEventListener("htmx:load", (event) => localize(event.target.parentNode || document));
})();
