// Keys, the reader's own time, and keeping focus and what is typed where they were. Everything works without this file.
"use strict";

// --- Keys: every element with data-key="x" is clicked or focused by that key; the help is made from the same attributes.

const TYPING = "input:not([type=checkbox]):not([type=radio]), textarea, select, [contenteditable]";
const SWITCH = "rolecall-single-keys";

function keysAreOn() {
  return document.body.dataset.keys === "on" && localStorage.getItem(SWITCH) !== "off";
}

function visibleElement(selector) {
  return [...document.querySelectorAll(selector)].find((element) => element.checkVisibility() && !element.disabled);
}

function press(key) {
  const element = visibleElement(`[data-key="${CSS.escape(key)}"]`);
  if (!element) return false;
  if (element.matches(TYPING)) element.focus();
  else if (element.matches("summary, [tabindex='-1']")) { openAround(element); element.scrollIntoView({ block: "nearest" }); element.focus(); }
  else element.click();
  return true;
}

function openAround(element) {
  const details = element.closest("details");
  if (details) details.open = true;
}

function showKeys() {
  const dialog = document.getElementById("keys");
  const list = document.getElementById("keys-list");
  const known = new Map([["j", "Next row"], ["k", "Previous row"], ["o", "Open the row"], ["x", "Select the row"], ["?", "This help"]]);
  for (const element of document.querySelectorAll("[data-key]")) known.set(element.dataset.key, element.dataset.keyHelp || element.textContent.trim());
  if (!document.querySelector("tr[data-row]")) for (const key of "jkox") known.delete(key);
  list.replaceChildren(...[...known].flatMap(([key, help]) => {
    const term = document.createElement("dt"), text = document.createElement("dd"), cap = document.createElement("kbd");
    cap.textContent = key; term.append(cap); text.textContent = help;
    return [term, text];
  }));
  document.getElementById("keys-switch").checked = keysAreOn();
  dialog.showModal();
}

// --- The queue's cursor

function moveCursor(by) {
  const rows = [...document.querySelectorAll("tr[data-row]")];
  if (!rows.length) return false;
  const at = rows.findIndex((row) => row.classList.contains("cursor"));
  const next = rows[Math.min(Math.max(at + by, 0), rows.length - 1)];
  rows.forEach((row) => row.classList.toggle("cursor", row === next));
  next.scrollIntoView({ block: "nearest" });
  next.querySelector("a")?.focus({ preventScroll: true });
  return true;
}

function onCursor(selector) {
  const element = document.querySelector(`tr.cursor ${selector}`);
  element?.click();
  return Boolean(element);
}

const ACTIONS = {
  j: () => moveCursor(1),
  k: () => moveCursor(-1),
  o: () => onCursor("a[data-open]"),
  x: () => onCursor("input[type=checkbox]"),
  "?": () => { showKeys(); return true; },
};

document.addEventListener("keydown", (event) => {
  const typing = event.target.closest?.(TYPING);
  if (typing) {
    if (event.key === "Enter" && (event.ctrlKey || event.metaKey)) { event.preventDefault(); typing.form?.requestSubmit(); }
    else if (event.key === "Escape") typing.blur();
    return;
  }
  if (event.ctrlKey || event.metaKey || event.altKey || document.querySelector("dialog[open]")) return;
  if (!keysAreOn() && event.key !== "?") return;
  if ((ACTIONS[event.key]?.() ?? false) || press(event.key)) event.preventDefault();
});

document.addEventListener("change", (event) => {
  if (event.target.id === "keys-switch") localStorage.setItem(SWITCH, event.target.checked ? "on" : "off");
  // A filter acts when it is chosen; without this file its form has a button.
  if (event.target.matches("[data-submit]")) event.target.form.requestSubmit();
});

// --- Times: the reader's own beside UTC

function tellLocalTimes(root) {
  for (const time of root.querySelectorAll("time[datetime]")) {
    if (time.dataset.local) continue;
    time.dataset.local = "told";
    time.title += `\n${new Date(time.dateTime).toLocaleString(undefined, { timeZoneName: "short" })}`;
  }
}

// --- After a swap: what was open stays open, but the step that was just answered; focus stays where it was

function remember(answered) {
  const open = [...document.querySelectorAll("details[id][open]")].filter((details) => details !== answered).map((details) => details.id);
  return { open, focus: document.activeElement?.id };
}

// --- What is being typed outlives a swap, a reload, and a log-in where the session ended meanwhile

const TYPED = "rolecall-typed";

function typed(sent) {
  const fields = [...document.querySelectorAll("input[type=text][id], textarea[id]")];
  return fields.filter((field) => field.form !== sent && field.value !== field.defaultValue).map((field) => [field.id, field.value]);
}

function writeBack(fields) {
  for (const [id, value] of fields) {
    const field = document.getElementById(id);
    if (field) { field.value = value; openAround(field); }
  }
}

const user = document.body.dataset.user;
if (user) {
  const kept = JSON.parse(sessionStorage.getItem(TYPED) ?? "{}");
  sessionStorage.removeItem(TYPED);
  const again = kept.loggedOut || performance.getEntriesByType("navigation")[0]?.type === "reload";
  if (again && kept.user === user && kept.path === location.pathname && kept.fields.length) {
    writeBack(kept.fields);
    say("What you had typed is here again. It was not saved yet.");
  }
  addEventListener("pagehide", () => sessionStorage.setItem(TYPED, JSON.stringify({ user, path: location.pathname, fields: typed() })));
} else if (new URLSearchParams(location.search).has("next")) {
  sessionStorage.setItem(TYPED, JSON.stringify({ ...JSON.parse(sessionStorage.getItem(TYPED) ?? "{}"), loggedOut: true }));
} else {
  sessionStorage.removeItem(TYPED);
}

// The form whose request did what it asked for.
function sentBy({ xhr, requestConfig }) {
  return (xhr.status < 300 && requestConfig?.verb !== "get" && requestConfig?.elt?.closest("form")) || null;
}

let before = remember(), unsent = [];
document.addEventListener("htmx:beforeSwap", (event) => {
  const form = sentBy(event.detail);
  before = remember(form?.matches(".conclusion, details > form") ? form.closest("details[id]") : null);
  unsent = typed(form ?? undefined);
});
document.addEventListener("htmx:afterSwap", () => {
  writeBack(unsent);
  for (const id of before.open) { const details = document.getElementById(id); if (details) details.open = true; }
  if (before.focus && document.activeElement === document.body) document.getElementById(before.focus)?.focus({ preventScroll: true });
  tellLocalTimes(document);
});

function say(text, kind = "") {
  const box = document.getElementById("messages");
  const message = document.createElement("p");
  message.className = `message ${kind}`;
  message.textContent = text;
  box.replaceChildren(message);
  box.scrollIntoView({ block: "nearest" });
}

document.addEventListener("htmx:sendError", () => say("Rolecall cannot be reached. Nothing was changed; try again.", "error"));
document.addEventListener("htmx:responseError", (event) => {
  const code = event.detail.xhr.status;
  say(code === 403 ? "You may not do this, or your session ended. Reload the page." : `That did not work (${code}). Reload the page and try again.`, "error");
});

tellLocalTimes(document);
// A link into a step opens it.
function openTarget() {
  const target = location.hash && document.getElementById(decodeURIComponent(location.hash.slice(1)));
  if (target) { const details = target.matches("details") ? target : target.querySelector("details"); if (details) details.open = true; }
}
window.addEventListener("hashchange", openTarget);
openTarget();
