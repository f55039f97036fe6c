// The gallery: filters, sorts and renders the documents of the page's data, a screenful at a time.
// Everything from a receipt enters the page as text, never as markup.
"use strict";
(() => {
  const CHUNK = 20;
  const data = JSON.parse(document.getElementById("data").textContent);
  const form = document.getElementById("filters");
  const cards = document.getElementById("cards");
  if (!form || !cards) return;
  const shown = document.getElementById("shown");
  const NAMES = ["field", "outcome", "document", "search", "sort"];
  const RIGHT = new Set(["matched", "both_absent"]);
  const sentinel = element("div");
  let matching = [];
  let rendered = 0;

  function element(tag, className, ...children) {
    const made = document.createElement(tag);
    if (className) made.className = className;
    made.append(...children);
    return made;
  }

  // Filters

  function option(select, value, label) {
    const made = element("option", "", label);
    made.value = value;
    select.append(made);
  }

  function fillForm() {
    const present = new Set(data.documents.flatMap((d) => d.leaves.map((leaf) => leaf[1])));
    data.fields.forEach((field, i) => present.has(i) && option(form.elements.field, field, field));
    const kinds = new Set(data.documents.flatMap((d) => d.leaves.map((leaf) => leaf[2])));
    for (const [kind, label] of Object.entries(data.kinds)) if (kinds.has(kind)) option(form.elements.outcome, kind, label);
    for (const [kind, label] of Object.entries(data.documents_by)) option(form.elements.document, kind, label);
    for (const [order, label] of Object.entries(data.sorts)) option(form.elements.sort, order, label);
  }

  function readFragment() {
    const wanted = new URLSearchParams(location.hash.slice(1));
    if (!NAMES.some((name) => wanted.has(name))) return false;
    for (const name of NAMES) {
      const control = form.elements[name];
      control.value = wanted.get(name) ?? "";
      if (control.selectedIndex === -1) control.value = "";
    }
    return true;
  }

  function writeFragment() {
    const state = new URLSearchParams();
    for (const name of NAMES) if (form.elements[name].value) state.set(name, form.elements[name].value);
    const query = state.toString();
    history.replaceState(null, "", query ? `#${query}` : "#documents");
  }

  const haystacks = new Map();
  function haystack(doc) {
    if (!haystacks.has(doc)) {
      const texts = [doc.file, doc.id, ...doc.errors.flat(), ...doc.checks.flat()];
      for (const [path, field, , expected, predictions] of doc.leaves) {
        texts.push(path ?? data.fields[field], plain(expected), ...predictions.map(([value]) => plain(value)));
      }
      haystacks.set(doc, texts.join("\n").toLowerCase());
    }
    return haystacks.get(doc);
  }

  const DOCUMENT = {
    failed: (doc) => doc.errors.length > 0,
    read: (doc) => doc.errors.length === 0,
    checked: (doc) => doc.checks.length > 0,
    fixed: (doc) => doc.document === "fixed",
    broken: (doc) => doc.document === "broken",
    neither: (doc) => doc.document === null,
  };
  const ORDER = {
    faults: (a, b) => b.faults - a.faults,
    slowest: (a, b) => (b.ms ?? 0) - (a.ms ?? 0),
    file: (a, b) => (a.file < b.file ? -1 : a.file > b.file ? 1 : 0),
  };

  function chosenLeaf() {
    const field = form.elements.field.value ? data.fields.indexOf(form.elements.field.value) : null;
    const kind = form.elements.outcome.value || null;
    if (field === null && kind === null) return null;
    return (leaf) => (field === null || leaf[1] === field) && (kind === null || leaf[2] === kind);
  }

  function apply() {
    const leafFits = chosenLeaf();
    const documentFits = DOCUMENT[form.elements.document.value];
    const words = form.elements.search.value.toLowerCase().trim();
    matching = data.documents.filter(
      (doc) =>
        (!leafFits || doc.leaves.some(leafFits)) &&
        (!documentFits || documentFits(doc)) &&
        (!words || haystack(doc).includes(words)),
    );
    const order = ORDER[form.elements.sort.value];
    if (order) matching.sort(order);
    shown.textContent = `${matching.length.toLocaleString("en")} of ${data.documents.length.toLocaleString("en")} documents`;
    rendered = 0;
    cards.replaceChildren(sentinel);
    more(CHUNK);
  }

  function more(number) {
    const leafFits = chosenLeaf();
    const next = matching.slice(rendered, rendered + number);
    sentinel.before(...next.map((doc) => card(doc, leafFits)));
    rendered += next.length;
  }

  // Cards

  function card(doc, leafFits) {
    const made = element("article", "card", picture(doc), element("h3", "", doc.file));
    made.append(element("p", "meta", meta(doc)));
    for (const [code, message] of doc.errors) made.append(element("p", "error", message ? `${code}: ${message}` : code));
    for (const [check, message] of doc.checks) made.append(element("p", "error", `${check}: ${message}`));
    const chosen = leafFits ? doc.leaves.filter(leafFits) : doc.leaves;
    const others = leafFits ? doc.leaves.filter((leaf) => !leafFits(leaf)) : [];
    const failed = "ms" in doc && doc.errors.length > 0;
    if (chosen.length) made.append(failed ? folded(`Expected values (${chosen.length})`, chosen) : table(chosen));
    if (others.length) made.append(folded(`Others in this document (${others.length})`, others));
    return made;
  }

  function meta(doc) {
    const unlisted = doc.faults - doc.leaves.length;
    const parts = [];
    if (doc.document) parts.push(`document ${doc.document}`);
    if (doc.right === null) parts.push("no ground truth");
    else if ("right" in doc) parts.push(`${doc.right} right, ${doc.faults} wrong`);
    if (doc.ms) parts.push(doc.ms >= 1000 ? `${(doc.ms / 1000).toFixed(2)} s` : `${Math.round(doc.ms)} ms`);
    parts.push(doc.id);
    if (unlisted > 0) parts.push(`${unlisted} more not listed here`);
    return parts.join(" · ");
  }

  function picture(doc) {
    const none = (why) => element("div", "none", why);
    const holder = element("div", "picture");
    if (!doc.preview) {
      holder.append(none("No preview: the image is missing or cannot be read."));
      return holder;
    }
    const image = element("img");
    image.loading = "lazy";
    image.decoding = "async";
    image.alt = `Image ${doc.file}`;
    const link = doc.original ? element("a", "", image) : element("span", "", image);
    if (doc.original) {
      link.href = data.base + doc.original;
      link.title = "The image in full";
    }
    image.addEventListener("error", () => holder.replaceChildren(none("The preview is not where this page looks for it.")));
    image.src = data.base + doc.preview;
    holder.append(link);
    return holder;
  }

  function folded(title, leaves) {
    const details = element("details", "", element("summary", "", title));
    details.addEventListener("toggle", () => details.children.length === 1 && details.append(table(leaves)));
    return details;
  }

  function table(leaves) {
    const head = element("tr", "", heading("Place", "place"), ...data.columns.map((column) => heading(column)));
    const made = element("table", `columns-${data.columns.length}`, element("caption", "hidden", "Expected and predicted values"));
    made.append(element("thead", "", head), element("tbody", "", ...leaves.map(row)));
    return made;
  }

  function heading(text, className) {
    const made = element("th", className, text);
    made.scope = "col";
    return made;
  }

  function row([path, field, kind, expected, given, expectedReading]) {
    const predictions = given.map(([value, outcome, canonical]) => [value, outcome ?? kind, canonical]);
    const place = element("th", "", path ?? data.fields[field]);
    place.scope = "row";
    const against = predictions.find(([, outcome]) => !RIGHT.has(outcome)) ?? predictions[0];
    const left = cell(0, expected, against[0], RIGHT.has(against[1]), "expected");
    reading(left, expectedReading);
    const cells = predictions.map(([value, outcome, canonical], i) => {
      const made = cell(i + 1, value, expected, RIGHT.has(outcome), "predicted");
      made.append(element("span", `outcome ${outcome}`, data.outcomes[outcome] ?? outcome));
      reading(made, canonical);
      return made;
    });
    return element("tr", "", place, left, ...cells);
  }

  function reading(into, canonical) {
    if (canonical) into.append(element("span", "reading", `read as ${canonical}`));
  }

  function cell(column, value, other, right, className) {
    const made = element("td", className);
    made.dataset.column = data.columns[column];
    made.append(right || value === null || other === null ? plainValue(value) : marked(plain(value), plain(other), value));
    return made;
  }

  function plain(value) {
    return value === null ? "" : typeof value === "string" ? value : value.j;
  }

  function plainValue(value) {
    if (value === null) return element("span", "absent", "nothing");
    if (value === "") return element("span", "absent", "empty text");
    return element("span", typeof value === "string" ? "value" : "value json", plain(value));
  }

  // Characters of `text` that `other` lacks are marked: those outside a longest common subsequence.
  function marked(text, other, value) {
    if (!text) return plainValue(value);
    const made = element("span", typeof value === "string" ? "value" : "value json");
    const characters = [...text];
    const kept = common(characters, [...other]);
    for (let start = 0; start < characters.length; ) {
      let end = start;
      while (end < characters.length && kept[end] === kept[start]) end += 1;
      const part = characters.slice(start, end).join("");
      made.append(kept[start] ? part : element("mark", "", part));
      start = end;
    }
    return made;
  }

  function common(a, b) {
    const width = b.length + 1;
    const lengths = new Uint16Array((a.length + 1) * width);
    for (let i = a.length - 1; i >= 0; i -= 1) {
      for (let j = b.length - 1; j >= 0; j -= 1) {
        lengths[i * width + j] =
          a[i] === b[j]
            ? lengths[(i + 1) * width + j + 1] + 1
            : Math.max(lengths[(i + 1) * width + j], lengths[i * width + j + 1]);
      }
    }
    const kept = new Array(a.length).fill(false);
    for (let i = 0, j = 0; i < a.length && j < b.length; ) {
      if (a[i] === b[j]) {
        kept[i] = true;
        i += 1;
        j += 1;
      } else if (lengths[(i + 1) * width + j] >= lengths[i * width + j + 1]) i += 1;
      else j += 1;
    }
    return kept;
  }

  fillForm();
  form.hidden = false;
  readFragment();
  apply();
  form.addEventListener("input", () => {
    writeFragment();
    apply();
  });
  form.addEventListener("submit", (event) => event.preventDefault());
  form.addEventListener("reset", () =>
    setTimeout(() => {
      writeFragment();
      apply();
    }),
  );
  addEventListener("hashchange", () => {
    if (!readFragment()) return;
    apply();
    document.getElementById("documents").scrollIntoView();
  });
  addEventListener("beforeprint", () => more(Infinity));
  const observer = new IntersectionObserver(
    (entries) => {
      if (rendered >= matching.length || !entries.some((entry) => entry.isIntersecting)) return;
      more(CHUNK);
      // It reports changes only: observed anew, it says whether this was enough.
      observer.unobserve(sentinel);
      observer.observe(sentinel);
    },
    { rootMargin: "1200px" },
  );
  observer.observe(sentinel);
})();
