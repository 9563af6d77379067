// The page works without this file; it adds shortcuts, and keeps the focus where people expect it.
"use strict";

const PLACES = { o: "/", b: "/letters", l: "/deliveries", r: "/routing" };
const OFF = "shortcuts-off";
let goes = false;

function isOff() {
  try { return localStorage.getItem(OFF) === "1"; } catch { return false; }
}

function isTyping(target) {
  return target.closest("input, textarea, select, [contenteditable]") !== null;
}

function step(by) {
  const links = [...document.querySelectorAll("[data-testid=letter] a.title")];
  if (links.length === 0) return;
  const at = links.indexOf(document.activeElement);
  links[Math.min(Math.max(at + by, 0), links.length - 1)].focus();
}

document.addEventListener("keydown", (event) => {
  if (event.ctrlKey || event.metaKey || event.altKey || isTyping(event.target) || isOff()) return;
  if (goes) {
    goes = false;
    if (PLACES[event.key]) location.assign(PLACES[event.key]);
    return;
  }
  if (event.key === "/") {
    const field = document.querySelector("input[type=search]");
    if (field) { event.preventDefault(); field.focus(); } else location.assign("/letters");
  } else if (event.key === "j") step(1);
  else if (event.key === "k") step(-1);
  else if (event.key === "a") document.getElementById("acknowledge")?.focus();
  else if (event.key === "g") goes = true;
  else if (event.key === "?") location.assign("/help");
});

// htmx listens a moment after the field can be typed in; what was typed meanwhile is searched for, too.
document.addEventListener("htmx:after:init", (event) => {
  const field = event.target;
  if (!field.matches("input[type=search]") || field.value === field.defaultValue) return;
  field.dispatchEvent(new Event("input", { bubbles: true }));
});

document.addEventListener("change", (event) => {
  const form = event.target.closest("form[data-submit-on-change]");
  if (form && !event.target.matches("[type=search], [type=text]")) form.requestSubmit();
  const all = event.target.closest("input[data-select-all]");
  if (all) {
    for (const each of document.querySelectorAll(`input[name="${all.dataset.selectAll}"]`)) each.checked = all.checked;
  }
});

const button = document.getElementById("shortcuts");
if (button) {
  button.setAttribute("aria-pressed", String(isOff()));
  button.addEventListener("click", () => {
    try { localStorage.setItem(OFF, isOff() ? "0" : "1"); } catch { /* private browsing: not kept */ }
    button.setAttribute("aria-pressed", String(isOff()));
  });
}

// Faults of an edit stand at their fields, and what has any cannot be published.
document.addEventListener("htmx:after:swap", () => {
  const effect = document.getElementById("effect");
  if (!effect) return;
  for (const place of document.querySelectorAll("[data-faults-of]")) place.replaceChildren();
  for (const field of document.querySelectorAll("#edit [aria-invalid]")) field.removeAttribute("aria-invalid");
  for (const fault of effect.querySelectorAll("[data-for]")) {
    const field = document.getElementById(fault.dataset.for);
    if (!field) continue;
    document.querySelector(`[data-faults-of="${fault.dataset.for}"]`).append(fault);
    field.setAttribute("aria-invalid", "true");
    field.closest("details")?.setAttribute("open", "");
  }
  const publish = document.getElementById("publish");
  if (publish) publish.disabled = effect.querySelector("[data-testid=faults]") !== null;
});
for (const each of document.querySelectorAll("[data-script]")) each.hidden = false;
