// Builds elements. Text always becomes text nodes, never HTML, whatever a record holds.

/** An element with attributes, listeners (`onclick: …`) and children; null and false children are left out. */
export function h(tag, attributes = {}, ...children) {
  const element = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) {
    if (value === null || value === undefined || value === false) continue;
    if (name.startsWith("on")) element.addEventListener(name.slice(2), value);
    else if (name === "value") element.value = value;
    else if (name === "checked" || name === "selected") element[name] = value;
    else element.setAttribute(name, value === true ? "" : value);
  }
  fill(element, children);
  return element;
}

/** Replace an element's children. */
export function show(element, ...children) {
  element.replaceChildren();
  fill(element, children);
  return element;
}

function fill(element, children) {
  for (const child of children.flat(Infinity)) {
    if (child === null || child === undefined || child === false) continue;
    element.append(child instanceof Node ? child : String(child));
  }
}

/** A labelled field: `label` above `control`. */
export const field = (label, control, hint = null) =>
  h("label", { class: "field" }, h("span", {}, label), control, hint && h("small", {}, hint));

/** Show a message for a few seconds; errors stay until they are closed. */
export function notify(text, kind = "good") {
  const item = h("div", { class: `message ${kind}` }, h("span", {}, text),
    h("button", { type: "button", "aria-label": "Close the message", onclick: () => item.remove() }, "×"));
  document.getElementById("messages").append(item);
  if (kind === "good") setTimeout(() => item.remove(), 5000);
}

/** Run a click's work: the button is disabled meanwhile, an error is shown. */
export const guarded = (work) => async (event) => {
  const button = event?.currentTarget instanceof HTMLButtonElement ? event.currentTarget : null;
  event?.preventDefault?.();
  if (button) button.disabled = true;
  try {
    return await work(event);
  } catch (error) {
    notify(error.message, "bad");
  } finally {
    if (button) button.disabled = false;
  }
};

/** A dialog; resolves when it is closed. `build(close)` returns the contents. */
export function dialog(title, build) {
  return new Promise((resolve) => {
    const box = h("dialog", { "aria-label": title });
    const close = (value = null) => { box.close(); box.remove(); resolve(value); };
    box.addEventListener("cancel", () => { box.remove(); resolve(null); });
    show(box, h("header", {}, h("h2", {}, title),
      h("button", { type: "button", class: "plain", "aria-label": "Close", onclick: () => close() }, "×")), build(close));
    document.body.append(box);
    box.showModal();
  });
}

/** Ask for a name to be typed before something is destroyed; true if it was. */
export function typeBack(title, explanation, name) {
  return dialog(title, (close) => {
    const input = h("input", { autocomplete: "off", spellcheck: "false", name: "typed" });
    const button = h("button", { type: "submit", class: "danger", disabled: true }, title);
    input.addEventListener("input", () => { button.disabled = input.value !== name; });
    return h("form", { onsubmit: (event) => { event.preventDefault(); close(input.value === name); } },
      h("p", {}, explanation), field(`Type ${name} to confirm`, input), h("p", { class: "actions" }, button));
  });
}

/** A tab list whose panels are built when they are first opened; arrow keys move between tabs. */
export function tabs(label, items, initial, onchange) {
  const panel = h("section", { role: "tabpanel", id: "panel", "aria-labelledby": `tab-${initial}` });
  const buttons = items.map(({ id, title }) => h("button",
    { type: "button", role: "tab", id: `tab-${id}`, "aria-controls": "panel", onclick: () => open(id) }, title));
  const bar = h("div", { role: "tablist", "aria-label": label, onkeydown: (event) => {
    const step = { ArrowRight: 1, ArrowLeft: -1 }[event.key];
    if (!step) return;
    const index = buttons.indexOf(document.activeElement);
    const next = (index + step + items.length) % items.length;
    buttons[next].focus();
    open(items[next].id);
  } }, buttons);
  function open(id) {
    items.forEach((item, index) => {
      buttons[index].setAttribute("aria-selected", String(item.id === id));
      buttons[index].tabIndex = item.id === id ? 0 : -1;
    });
    panel.setAttribute("aria-labelledby", `tab-${id}`);
    show(panel, items.find((item) => item.id === id).build());
    onchange(id);
  }
  open(items.some((item) => item.id === initial) ? initial : items[0].id);
  return [bar, panel];
}
