// Writes what a page shows as markdown. An expression; its value is a function of the helpers in page.js.
((helpers) => {
  "use strict";

  const { isShown, cut, valueOf, nameOf, shadowOf } = helpers;

  const TEXT_MAX = 4_000_000;
  const LINKS_MAX = 20_000;
  const LINK_LINES_MAX = 200;
  const BLOCKS = new Set([
    "address", "article", "aside", "blockquote", "body", "center", "dd", "details", "dialog", "div", "dl", "dt",
    "fieldset", "figcaption", "figure", "footer", "form", "header", "hr", "html", "legend", "li", "main", "menu", "nav",
    "ol", "p", "pre", "search", "section", "summary", "ul", "table", "h1", "h2", "h3", "h4", "h5", "h6",
  ]);

  return (onlyVisible) => {
    const blocks = [];
    const links = [];
    const numbers = new Map();
    let size = 0;
    let line = "";
    let prefix = "";
    let linkLines = 0;
    let leftOut = 0;

    const put = (block) => {
      if (size > TEXT_MAX) return;
      blocks.push(block);
      size += block.length + 2;
    };

    const flush = () => {
      const text = line.replace(/[ \t\n\r]+/g, " ").trim();
      line = "";
      if (!text) return;
      // Long runs of nothing but links are menus and indexes.
      linkLines = /^\[[^\]]*\]\(#\d+\)$/.test(text) ? linkLines + 1 : 0;
      if (linkLines > LINK_LINES_MAX) {
        leftOut += 1;
        return;
      }
      if (leftOut) {
        put(`(${leftOut} more links)`);
        leftOut = 0;
      }
      put(prefix + text);
    };

    const linkTo = (element) => {
      const url = element.href instanceof Object ? element.href.baseVal : element.href;
      if (!/^https?:/.test(url ?? "") || links.length >= LINKS_MAX) return null;
      if (!numbers.has(url)) {
        links.push(url);
        numbers.set(url, links.length);
      }
      return numbers.get(url);
    };

    const isNear = (element) => {
      if (!onlyVisible) return true;
      const box = element.getBoundingClientRect();
      // What has no size itself may hold what has, such as a body of positioned elements.
      if (box.width === 0 || box.height === 0) return true;
      return box.bottom > 0 && box.right > 0 && box.top < innerHeight && box.left < innerWidth;
    };

    const children = (node) => {
      const shadow = shadowOf(node);
      if (shadow) return [...shadow.childNodes];
      if (node.localName === "slot") {
        const given = node.assignedNodes({ flatten: true });
        return given.length ? given : [...node.childNodes];
      }
      return [...node.childNodes];
    };

    const within = (before, visit) => {
      const outer = prefix;
      flush();
      prefix = before(outer);
      visit();
      flush();
      prefix = outer;
    };

    const row = (tr) => {
      const cells = [...tr.cells].map((cell) => inlineOf(cell).replace(/\|/g, "\\|"));
      return `| ${cells.join(" | ")} |`;
    };

    // The text of an element on one line.
    const inlineOf = (element) => {
      const [outer, outerLine, from] = [prefix, line, blocks.length];
      prefix = "";
      line = "";
      children(element).forEach(visit);
      flush();
      const text = blocks.splice(from).join(" ");
      prefix = outer;
      line = outerLine;
      return text;
    };

    const isDataTable = (table) =>
      table.rows.length > 1 && table.rows[0].cells.length > 1 && !table.querySelector("table") &&
      table.getAttribute("role") !== "presentation";

    const table = (element) => {
      if (!isDataTable(element)) return children(element).forEach(visit);
      flush();
      const shown = [...element.rows].filter((tr) => isShown(tr) && isNear(tr));
      const lines = shown.map(row);
      if (element.caption) put(inlineOf(element.caption));
      if (lines.length) lines.splice(1, 0, `|${" --- |".repeat(shown[0].cells.length)}`);
      // Rows are put in parts, so that a long table can be cut.
      for (let at = 0; at < lines.length; at += 50) put(lines.slice(at, at + 50).map((text) => prefix + text).join("\n"));
    };

    const control = (element) => {
      const name = nameOf(element);
      const kind = element.localName === "input" ? element.type : element.localName;
      if (kind === "hidden") return;
      if (kind === "checkbox" || kind === "radio") {
        line += ` [${element.checked ? "x" : " "}] ${element.labels?.length ? "" : name} `;
      } else if (["submit", "button", "reset", "image"].includes(kind)) {
        line += ` [${kind === "button" && element.localName === "button" ? cut(element.innerText, 80) : name || kind}] `;
      } else if (kind === "select") {
        const options = [...element.options].slice(0, 50).map((option) => cut(option.label, 60));
        line += ` [list ${name}: ${valueOf(element)} (of: ${options.join(", ")})] `;
      } else {
        line += ` [field ${name}: ${kind === "password" ? "***" : valueOf(element) ?? ""}] `;
      }
    };

    const frame = (element) => {
      let inner = null;
      try {
        inner = element.contentDocument;
      } catch {
        return;
      }
      if (inner?.body) within((outer) => outer, () => visit(inner.body));
    };

    const code = (element) => {
      flush();
      const text = element.innerText.replace(/\n+$/, "");
      if (text.trim()) put(`\`\`\`\n${text}\n\`\`\``);
    };

    const item = (element) => {
      const list = element.parentElement;
      const place = [...(list?.children ?? [])].indexOf(element) + (list?.start ?? 1);
      const mark = list?.localName === "ol" ? `${place}. ` : "- ";
      let first = true;
      flush();
      const outer = prefix;
      const deeper = outer.replace(/(- |\d+\. )$/, (text) => " ".repeat(text.length));
      prefix = deeper + mark;
      for (const child of children(element)) {
        const before = blocks.length;
        visit(child);
        if (first && blocks.length > before) {
          first = false;
          prefix = deeper + " ".repeat(mark.length);
        }
      }
      flush();
      prefix = outer;
    };

    const link = (element) => {
      const number = linkTo(element);
      const text = inlineOf(element);
      if (!text) return;
      line += number ? `[${text.replace(/[\[\]]/g, "")}](#${number})` : text;
    };

    const picture = (element) => {
      const alt = cut(element.getAttribute("alt") || element.getAttribute("aria-label"), 200);
      if (alt) line += ` ![${alt}] `;
    };

    const element = (node) => {
      const name = node.localName;
      if (!isShown(node) || !isNear(node)) return undefined;
      if (/^h[1-6]$/.test(name)) return within(() => `${"#".repeat(Number(name[1]))} `, () => children(node).forEach(visit));
      switch (name) {
        case "a": return link(node);
        case "br": return flush();
        case "hr": return flush(), put("---");
        case "img": case "svg": return picture(node);
        case "iframe": case "frame": return frame(node);
        case "input": case "select": case "textarea": case "button": return control(node);
        case "pre": return code(node);
        case "table": return table(node);
        case "li": return item(node);
        case "blockquote": return within((outer) => `${outer}> `, () => children(node).forEach(visit));
        default:
      }
      const isBlock = BLOCKS.has(name);
      if (isBlock) flush();
      children(node).forEach(visit);
      if (isBlock) flush();
      return undefined;
    };

    function visit(node) {
      if (size > TEXT_MAX) return;
      if (node.nodeType === Node.TEXT_NODE) line += node.data;
      else if (node.nodeType === Node.ELEMENT_NODE) element(node);
    }

    if (document.body) visit(document.body);
    flush();
    if (leftOut) put(`(${leftOut} more links)`);
    return { blocks, links, cut: size > TEXT_MAX };
  };
})
