"use strict";
// During a crawl, the overview keeps itself up to date. Without this script, it is reloaded by hand.

const live = document.getElementById("live");

const refresh = async () => {
  if (document.hidden) return;
  const response = await fetch("/live", {cache: "no-store"});
  if (!response.ok) return;
  const focused = live.contains(document.activeElement);
  const text = await response.text();
  if (focused || !window.getSelection().isCollapsed) return; // somebody is reading or on the way to a link
  live.replaceChildren(...new DOMParser().parseFromString(text, "text/html").body.childNodes);
};

if (live !== null && live.dataset.running !== undefined) setInterval(() => refresh().catch(() => {}), 2000);
