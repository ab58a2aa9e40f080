// Live figures and copy buttons. Everything works without this script.
"use strict";

// Texts from the server are set as text, never as HTML: callers wrote some of them.
function set(element, text) {
  if (element.textContent !== text) element.textContent = text;
}

function live(name, value) {
  for (const e of document.querySelectorAll("[data-live]")) {
    if (e.dataset.live === name) set(e, String(value));
  }
}

function addCopyButtons() {
  if (!navigator.clipboard) return;
  for (const e of document.querySelectorAll("[data-copy]")) {
    const button = document.createElement("button");
    button.type = "button";
    button.className = "copy";
    set(button, "copy");
    button.setAttribute("aria-label", "copy " + e.textContent);
    button.addEventListener("click", async () => {
      try {
        await navigator.clipboard.writeText(e.dataset.copy);
        set(button, "copied");
      } catch {
        set(button, "not copied");
      }
      setTimeout(() => set(button, "copy"), 2000);
    });
    e.after(button);
  }
}

// tell adds to the banner: it is read aloud, so only what matters goes there.
function tell(text) {
  const news = document.getElementById("news");
  news.hidden = false;
  set(news, text);
}

function listen() {
  const source = new EventSource("/api/v1/events");
  let refused = 0;
  source.addEventListener("status", (event) => {
    const status = JSON.parse(event.data);
    live("generation", status.generation);
    for (const port of status.ports) {
      for (const key of Object.keys(port)) live(port.name + "/" + key, port[key]);
    }
    if (!status.ready) tell("The server is draining.");
  });
  source.addEventListener("refusal", (event) => {
    const news = JSON.parse(event.data);
    refused += news.refusals.length + news.suppressed;
    live("refusals", refused);
    for (const e of document.querySelectorAll("[data-news]")) e.hidden = false;
  });
  source.addEventListener("reload", (event) => {
    tell("Generation " + JSON.parse(event.data).generation + " is in effect. Load this page again to see it.");
  });
  source.addEventListener("error", () => {
    // The browser opens the stream again by itself, unless the answer was a refusal.
    if (source.readyState === EventSource.CLOSED) tell("The figures are not live any more. Load this page again.");
  });
  addEventListener("pagehide", () => source.close());
}

addCopyButtons();
if (document.querySelector("[data-live]") && window.EventSource) listen();
