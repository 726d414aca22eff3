// Helpers that look at a page from a world of their own: the page's scripts neither see nor change them.
// An expression; its value is the object whose methods the driver calls.
(() => {
  "use strict";

  const TEXT_FIELDS = new Set(["", "text", "search", "email", "url", "tel", "password", "number"]);
  const PICKED_FIELDS = new Set(["date", "time", "month", "week", "datetime-local", "color", "range"]);

  const cut = (text, max) => {
    const flat = String(text ?? "").replace(/\s+/g, " ").trim();
    return flat.length > max ? `${flat.slice(0, max - 1)}…` : flat;
  };

  // --- Stillness -----------------------------------------------------------------------------------------------

  let changedAt = performance.now();
  let changes = 0;
  new MutationObserver(() => {
    changedAt = performance.now();
    changes += 1;
  }).observe(document, { subtree: true, childList: true, characterData: true, attributes: true });

  const quiet = () => ({ unchanged: performance.now() - changedAt, changes });

  // --- Shadow roots --------------------------------------------------------------------------------------------

  // Roots that the page keeps closed, by their hosts; the driver shows them to us.
  const closed = new WeakMap();

  const reveal = (root) => {
    closed.set(root.host, root);
  };

  const shadowOf = (element) => element.shadowRoot ?? closed.get(element) ?? null;

  const count = () => document.getElementsByTagName("*").length;

  // --- Elements ------------------------------------------------------------------------------------------------

  // The innermost element at a place, through open shadow roots and frames of the same site.
  const elementAt = (x, y, root = document) => {
    const element = root.elementFromPoint(x, y);
    if (!element) return null;
    const shadow = shadowOf(element);
    if (shadow && shadow !== root) return elementAt(x, y, shadow) ?? element;
    if (element.localName === "iframe" || element.localName === "frame") {
      let inner = null;
      try {
        inner = element.contentDocument;
      } catch {
        return element;
      }
      if (!inner) return element;
      const box = element.getBoundingClientRect();
      return elementAt(x - box.left - element.clientLeft, y - box.top - element.clientTop, inner) ?? element;
    }
    return element;
  };

  const ROLES = {
    a: "link", button: "button", select: "list", textarea: "text field", img: "picture", iframe: "frame",
    label: "label", option: "option", summary: "summary", video: "video", canvas: "canvas", h1: "heading",
    h2: "heading", h3: "heading", h4: "heading", h5: "heading", h6: "heading", td: "cell", th: "cell",
  };

  const roleOf = (element) => {
    const given = element.getAttribute("role");
    if (given) return cut(given, 30);
    if (element.localName === "input") {
      const kind = element.type;
      if (["button", "submit", "reset", "image"].includes(kind)) return "button";
      if (kind === "checkbox" || kind === "radio") return `${kind} (${element.checked ? "on" : "off"})`;
      return TEXT_FIELDS.has(kind) ? "text field" : `${kind} field`;
    }
    if (element.isContentEditable) return "text field";
    return ROLES[element.localName] ?? element.localName;
  };

  const nameOf = (element) => {
    const labels = element.labels?.length ? [...element.labels].map((label) => label.innerText).join(" ") : "";
    const isField = ["input", "textarea", "select"].includes(element.localName);
    const isButton = element.localName === "input" && ["button", "submit", "reset"].includes(element.type);
    return cut(
      element.getAttribute("aria-label") || labels || element.getAttribute("alt") || element.getAttribute("title") ||
        (isButton ? element.value : "") || element.getAttribute("placeholder") ||
        (isField ? element.name : element.innerText) || element.textContent, 80);
  };

  const ACTS = "a[href],button,input,select,textarea,label,option,summary,[role=button],[role=link],[role=menuitem]," +
    "[role=tab],[role=checkbox],[role=radio],[role=option],[onclick],[contenteditable=''],[contenteditable=true]";

  const described = (element) => {
    const name = nameOf(element);
    return name ? `${roleOf(element)} ${JSON.stringify(name)}` : roleOf(element);
  };

  // What is at a place, as a person would call it.
  const hit = (x, y) => {
    const element = elementAt(x, y);
    if (!element) return null;
    return described(element.closest(ACTS) ?? element);
  };

  const focused = () => {
    let element = document.activeElement;
    for (;;) {
      const within = element && shadowOf(element)?.activeElement;
      if (within) {
        element = within;
        continue;
      }
      let inner = null;
      try {
        inner = element?.contentDocument?.activeElement;
      } catch {
        // A frame of another site.
      }
      if (!inner) return element;
      element = inner;
    }
  };

  const valueOf = (element) => {
    if (element.type === "password") return null;
    if (element.localName === "input" && (element.type === "checkbox" || element.type === "radio")) {
      return element.checked ? "on" : "off";
    }
    if (element.localName === "select") return cut([...element.selectedOptions].map((o) => o.label).join(", "), 200);
    if ("value" in element && element.localName !== "li") return cut(element.value, 200);
    return element.isContentEditable ? cut(element.innerText, 200) : null;
  };

  // Where text would go.
  const focus = () => {
    const element = focused();
    if (!element || element === document.body || element === document.documentElement) return { kind: "none" };
    const isInput = element.localName === "input";
    let kind = "other";
    if (isInput && PICKED_FIELDS.has(element.type)) kind = "picked";
    else if ((isInput && TEXT_FIELDS.has(element.type)) || element.localName === "textarea") kind = "text";
    else if (element.isContentEditable) kind = "text";
    else if (element.localName === "iframe") kind = "frame";
    if (kind === "text" && (element.readOnly || element.disabled)) kind = "read-only";
    return { kind, type: isInput ? element.type : element.localName, called: described(element), value: valueOf(element) };
  };

  const announce = (element) => {
    element.dispatchEvent(new Event("input", { bubbles: true, composed: true }));
    element.dispatchEvent(new Event("change", { bubbles: true }));
  };

  // Sets a field that takes no text, such as a date.
  const setValue = (value) => {
    const element = focused();
    const before = element.value;
    element.value = value;
    if (element.value !== value && element.type !== "range" && element.type !== "color") {
      element.value = before;
      return { fault: `a field of type ${element.type} takes no ${JSON.stringify(cut(value, 50))}` };
    }
    announce(element);
    return { value: valueOf(element) };
  };

  const select = (x, y, wanted) => {
    const at = elementAt(x, y);
    const list = at?.closest("select") ?? at?.closest("label")?.control ?? null;
    if (list?.localName !== "select") return { fault: at ? `there is no list there but ${hit(x, y)}` : "nothing is there" };
    const same = (text) => cut(text, 1e4).toLowerCase() === cut(wanted, 1e4).toLowerCase();
    const options = [...list.options];
    const found = options.find((o) => same(o.label)) ?? options.find((o) => o.value === wanted) ??
      options.find((o) => same(o.value));
    if (!found) {
      const some = options.slice(0, 20).map((o) => cut(o.label, 40));
      return { fault: `the list has no option ${JSON.stringify(cut(wanted, 50))}; it has ${JSON.stringify(some)}` };
    }
    if (found.disabled) return { fault: `the option ${JSON.stringify(cut(found.label, 50))} cannot be chosen` };
    list.focus();
    if (list.multiple) found.selected = true;
    else list.value = found.value, found.selected = true;
    announce(list);
    return { value: valueOf(list), called: described(list) };
  };

  // --- Scrolling -----------------------------------------------------------------------------------------------

  const scrollerAt = (x, y, sideways) => {
    for (let element = elementAt(x, y); element; element = element.parentElement ?? element.getRootNode().host) {
      const [size, room] = sideways ? [element.scrollWidth, element.clientWidth] : [element.scrollHeight, element.clientHeight];
      const style = getComputedStyle(element)[sideways ? "overflowX" : "overflowY"];
      const isRoot = element === document.scrollingElement;
      if (size > room + 1 && (isRoot || style === "auto" || style === "scroll")) return element;
    }
    return document.scrollingElement ?? document.documentElement;
  };

  const scrolled = (x, y, sideways) => {
    const element = scrollerAt(x, y, sideways);
    return sideways
      ? [Math.round(element.scrollLeft), element.scrollWidth - element.clientWidth]
      : [Math.round(element.scrollTop), element.scrollHeight - element.clientHeight];
  };

  const scrollToEnd = (x, y, bottom) => {
    const element = scrollerAt(x, y, false);
    element.scrollTo({ top: bottom ? element.scrollHeight : 0, behavior: "instant" });
    return scrolled(x, y, false);
  };

  const state = () => {
    const root = document.scrollingElement ?? document.documentElement;
    return {
      title: cut(document.title, 300), url: location.href, load: document.readyState,
      page: { width: root?.scrollWidth ?? 0, height: root?.scrollHeight ?? 0 },
      scroll: { x: Math.round(scrollX), y: Math.round(scrollY) },
    };
  };

  // --- Text ----------------------------------------------------------------------------------------------------

  const SKIPPED = new Set(["script", "style", "noscript", "template", "head", "object", "embed", "audio", "video"]);

  const isShown = (element) =>
    !SKIPPED.has(element.localName) && element.getAttribute("aria-hidden") !== "true" &&
    (element.localName === "option" || element.checkVisibility?.({ visibilityProperty: true, opacityProperty: false }) !== false ||
      getComputedStyle(element).display === "contents");

  // Calls `visit` with each text that is shown, shadow roots included, for as long as it returns true.
  const eachText = (root, visit) => {
    const walk = document.createTreeWalker(root, NodeFilter.SHOW_ELEMENT | NodeFilter.SHOW_TEXT, (node) =>
      node.nodeType === Node.TEXT_NODE || isShown(node) ? NodeFilter.FILTER_ACCEPT : NodeFilter.FILTER_REJECT);
    for (let node = walk.currentNode; node; node = walk.nextNode()) {
      if (node.nodeType === Node.TEXT_NODE) {
        if (!visit(node)) return false;
        continue;
      }
      const shadow = node.nodeType === Node.ELEMENT_NODE ? shadowOf(node) : null;
      if (shadow && !eachText(shadow, visit)) return false;
    }
    return true;
  };

  let searched = { text: "", at: -1 };

  const find = (wanted, next) => {
    const needle = cut(wanted, 200).toLowerCase();
    const places = [];
    eachText(document.body ?? document, (node) => {
      const text = node.data.replace(/\s+/g, " ").toLowerCase();
      for (let at = text.indexOf(needle); at >= 0; at = text.indexOf(needle, at + needle.length)) places.push(node);
      return places.length < 1000;
    });
    if (!places.length) {
      const whole = cut(document.body?.innerText, 5e6).toLowerCase();
      return { count: 0, spread: whole.includes(needle) };
    }
    const at = next && searched.text === needle ? (searched.at + 1) % places.length : 0;
    searched = { text: needle, at };
    const node = places[at];
    const around = node.parentElement ?? node.getRootNode().host;
    around.scrollIntoView({ block: "center", behavior: "instant" });
    const range = document.createRange();
    range.selectNodeContents(node);
    const box = range.getBoundingClientRect();
    return {
      count: places.length, at: at + 1, x: Math.round(box.left + box.width / 2), y: Math.round(box.top + box.height / 2),
      line: cut(around.innerText || node.data, 200),
    };
  };

  const has = (wanted) => {
    const needle = cut(wanted, 200).toLowerCase();
    const isThere = (text) => cut(text, 5e6).toLowerCase().includes(needle);
    if (isThere(document.body?.innerText)) return true;
    return !eachText(document.body ?? document, (node) => !isThere(node.data));
  };

  // Elements that can be acted on in the visible part, for models that see no pictures.
  const elements = (max) => {
    const found = [];
    const visit = (root) => {
      for (const element of root.querySelectorAll("*")) {
        if (found.length >= max) return;
        const shadow = shadowOf(element);
        if (shadow) visit(shadow);
        if (!element.matches(ACTS) && getComputedStyle(element).cursor !== "pointer") continue;
        if (element.localName === "option" || (element.localName === "label" && element.control)) continue;
        if (element.parentElement?.closest("a[href],button") && !element.matches("input,select,textarea")) continue;
        const box = element.getBoundingClientRect();
        const [x, y] = [box.left + box.width / 2, box.top + box.height / 2];
        if (box.width < 2 || box.height < 2 || x < 0 || y < 0 || x >= innerWidth || y >= innerHeight) continue;
        if (!isShown(element)) continue;
        const value = ["input", "textarea", "select"].includes(element.localName) ? valueOf(element) : null;
        found.push({ x: Math.round(x), y: Math.round(y), called: described(element), value });
      }
    };
    visit(document);
    return found;
  };

  return {
    quiet, hit, focus, setValue, select, scrolled, scrollToEnd, state, find, has, elements,
    isShown, cut, valueOf, roleOf, nameOf, reveal, shadowOf, count,
  };
})()
