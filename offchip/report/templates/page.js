// SPDX-License-Identifier: Apache-2.0
"use strict";
(() => {
  const source = document.getElementById("data");
  if (!source) return;
  const data = JSON.parse(source.textContent);
  const cells = new Map(data.cells.map((cell) => [cell.id, cell]));
  const attacks = new Map(data.attacks.map((attack) => [attack.id, attack]));
  const MARK = { broken: "\u2717", held: "\u2713", degraded: "~", "not run": "\u2013" };
  const ORDER = ["broken", "not run", "degraded", "held"];
  const MEDIA = { sd: "SD", eeprom: "EEPROM", none: "" };
  const name = (scheme, medium) => scheme + (MEDIA[medium] ? " on " + MEDIA[medium] : "");
  const rdp = (cell) => (cell.switches.find((each) => /^rdp\d$/.test(each)) || "rdp1").slice(3);
  const make = (tag, className, text) => {
    const element = document.createElement(tag);
    if (className) element.className = className;
    if (text !== undefined) element.textContent = text;
    return element;
  };
  const kind = (verdict) => verdict.replace(" ", "-");

  // the matrix and its filters -----------------------------------------------------------------------------------
  const fields = [...document.querySelectorAll(".matrix td[data-attack]")].map((field) => ({
    field, cells: (field.dataset.cells || "").split(" ").filter(Boolean).map((id) => cells.get(id)),
  }));
  const filters = document.getElementById("filters");
  const chosen = () => Object.fromEntries(new FormData(filters));
  const fits = (cell, want) => {
    const attack = attacks.get(cell.attack);
    const text = [cell.id, attack.title, cell.reason, cell.why, attack.effect, "CWE-" + attack.cwe.join(" CWE-"), attack.emb3d, attack.psa].join(" ").toLowerCase();
    return (!want.medium || cell.medium === want.medium) && (!want.rdp || rdp(cell) === want.rdp) && (!want.measure || (want.measure === "none" ? !cell.switches.some((each) => data.measures[each]) : cell.switches.includes(want.measure))) && (!want.family || attack.family === want.family)
      && (!want.verdict || (want.verdict === "unexpected" ? cell.surprise : cell.verdict === want.verdict))
      && want.search.toLowerCase().split(/\s+/).every((word) => text.includes(word));
  };
  const chip = (field, found) => {
    const button = field.querySelector("button");
    if (!button) return;
    field.classList.toggle("empty", !found.length);
    button.hidden = !found.length;
    if (!found.length) return;
    const worst = ORDER.find((verdict) => found.some((cell) => cell.verdict === verdict));
    const same = found.filter((cell) => cell.verdict === worst).length;
    const label = name(found[0].scheme, found[0].medium);
    button.className = "chip " + kind(worst) + (found.some((cell) => cell.surprise) ? " surprise" : "");
    button.replaceChildren(make("span", "word", label), make("span", "", MARK[worst]));
    if (found.length > 1) button.append(make("span", "of", same < found.length ? same + "/" + found.length : "\u00d7" + found.length));
    button.setAttribute("aria-label", found[0].attack + " " + attacks.get(found[0].attack).title + ", " + label + ": " + worst + (same < found.length ? " in " + same + " of " + found.length : ""));
    button.dataset.open = found.map((cell) => cell.id).join(" ");
  };
  const apply = () => {
    const want = chosen();
    let shown = 0;
    for (const each of fields) {
      each.found = each.cells.filter((cell) => fits(cell, want));
      shown += each.found.length;
      chip(each.field, each.found);
      each.field.hidden = Boolean(want.medium) && each.field.dataset.medium !== want.medium;
    }
    for (const head of document.querySelectorAll(".matrix thead [data-medium]")) head.hidden = Boolean(want.medium) && head.dataset.medium !== want.medium;
    for (const head of document.querySelectorAll(".matrix thead [data-scheme]")) {
      const left = [...document.querySelectorAll(".matrix thead [data-of]")].filter((each) => each.dataset.of === head.dataset.scheme && !each.hidden).length;
      head.hidden = !left;
      head.colSpan = left || 1;
    }
    const narrowed = want.rdp || want.measure || want.family || want.verdict || want.search || want.medium;
    for (const row of document.querySelectorAll(".matrix tbody tr")) row.hidden = Boolean(narrowed) && !fields.some((each) => each.field.parentElement === row && each.found.length);
    document.getElementById("shown").textContent = shown === cells.size ? "" : shown + " of " + cells.size + " cells";
  };
  if (filters) {
    filters.addEventListener("input", apply);
    filters.addEventListener("submit", (event) => event.preventDefault());
    filters.addEventListener("reset", () => setTimeout(apply));
    apply();
  }

  // the story of a cell --------------------------------------------------------------------------------------------
  const dialog = document.getElementById("story");
  const body = dialog.querySelector(".story");
  const seconds = (ns) => (ns / 1e9).toFixed(3) + " s";
  const section = (title, ...parts) => {
    const kept = parts.filter((part) => part && (part.textContent || part.children.length));
    if (!kept.length) return;
    body.append(make("h3", "", title), ...kept);
  };
  const list = (items) => {
    const element = make("ul");
    for (const item of items) { const line = make("li"); line.append(item); element.append(line); }
    return items.length ? element : null;
  };
  const moments = (cell) => [
    ...cell.timeline.map(([ns, lane, text]) => ({ ns, lane: data.lanes[lane], text: data.texts[text] })),
    ...cell.evidence.map((each) => ({ ns: each.time_ns, lane: "attack", text: each.attack + " " + each.action + ": " + each.place + (each.detail ? ", " + each.detail : "") })),
  ].sort((a, b) => a.ns - b.ns);
  const strip = (told) => {
    const lanes = [...new Set(["attack", ...data.lanes])].filter((lane) => told.some((moment) => moment.lane === lane));
    const end = Math.max(...told.map((moment) => moment.ns), 1);
    const SVG = "http://www.w3.org/2000/svg";
    const draw = (tag, attributes, text) => {
      const element = document.createElementNS(SVG, tag);
      for (const [key, value] of Object.entries(attributes)) element.setAttribute(key, value);
      if (text !== undefined) element.textContent = text;
      return element;
    };
    const height = lanes.length * 18 + 22;
    const svg = draw("svg", { viewBox: "0 0 720 " + height, class: "strip", role: "img", "aria-label": "the moments below on one virtual clock, from 0 to " + seconds(end) });
    lanes.forEach((lane, row) => {
      const y = row * 18 + 10;
      svg.append(draw("text", { x: 0, y: y + 4, "font-size": 11, fill: "#4d5a6d" }, lane), draw("line", { x1: 70, x2: 712, y1: y, y2: y, stroke: "#d8dee8" }));
      for (const moment of told.filter((each) => each.lane === lane)) {
        const x = 70 + 642 * moment.ns / end;
        const dot = draw(lane === "attack" ? "rect" : "circle", lane === "attack" ? { x: x - 4, y: y - 4, width: 8, height: 8, transform: "rotate(45 " + x + " " + y + ")", fill: "#ab1f1a" } : { cx: x, cy: y, r: 3.2, fill: "#4a6fa5", "fill-opacity": .75 });
        dot.append(draw("title", {}, seconds(moment.ns) + " " + moment.text));
        svg.append(dot);
      }
    });
    for (let part = 0; part <= 4; part += 1) svg.append(draw("text", { x: 70 + 642 * part / 4, y: height - 4, "font-size": 10, fill: "#4d5a6d", "text-anchor": part === 4 ? "end" : part ? "middle" : "start" }, seconds(end * part / 4)));
    return svg;
  };
  const timeline = (cell) => {
    const told = moments(cell);
    if (!told.length) return [];
    const table_of = (some) => {
      const table = make("table", "timeline");
      const rows = table.createTBody();
      for (const moment of some) {
        const row = rows.insertRow();
        row.insertCell().textContent = seconds(moment.ns);
        row.insertCell().append(make("span", "lane " + moment.lane, moment.lane));
        row.insertCell().textContent = moment.text;
      }
      return table;
    };
    const fired = Math.max(0, told.findIndex((moment) => moment.lane === "attack"));
    if (fired < 8) return [strip(told), table_of(told)];
    const before = make("details", "small");
    before.append(make("summary", "", "Before the attack: " + fired + " moments of the device's ordinary life"), table_of(told.slice(0, fired)));
    return [strip(told), before, table_of(told.slice(fired))];
  };
  const bytes = (each) => ["before", "after", "sent", "received"].filter((part) => each[part]).map((part) => part + " " + each[part].size + " bytes " + each[part].head.slice(0, 16) + (each[part].size > 8 ? "\u2026" : "")).join(", ");
  const stops = (cell) => {
    const held = new Map();
    for (const each of cells.values()) {
      if (each.attack !== cell.attack || each.variant !== cell.variant) continue;
      if (!held.has(each.scheme)) held.set(each.scheme, true);
      if (each.verdict !== "held") held.set(each.scheme, false);
    }
    return [...held].filter(([, all]) => all).map(([scheme]) => scheme);
  };
  const source_of = (text) => {
    const line = make("span");
    const address = /https:\/\/\S+/.exec(text);
    if (!address) { line.textContent = text; return line; }
    const link = make("a", "", address[0].replace("https://", ""));
    link.href = address[0];
    line.append(link, text.slice(address.index + address[0].length));
    return line;
  };
  const show = (ids, at) => {
    const cell = cells.get(at);
    const attack = attacks.get(cell.attack);
    body.replaceChildren();
    const close = make("button", "close", "Close");
    close.addEventListener("click", () => dialog.close());
    const title = make("h2", "", cell.attack + " " + attack.title + " \u00b7 " + name(cell.scheme, cell.medium));
    title.id = "story-title";
    body.append(close, title);
    if (ids.length > 1) {
      const variants = make("div", "variants");
      for (const id of ids) {
        const each = cells.get(id);
        const column = each.scheme !== cell.scheme || each.medium !== cell.medium || each.attack !== cell.attack;
        const button = make("button", "", MARK[each.verdict] + " " + (column ? id : [each.variant, ...each.switches].filter(Boolean).join(", ") || "as shipped"));
        button.setAttribute("aria-pressed", id === at);
        button.addEventListener("click", () => { show(ids, id); });
        variants.append(button);
      }
      body.append(variants);
    }
    const result = make("p");
    result.append(make("span", "tag " + kind(cell.verdict), MARK[cell.verdict] + " " + cell.verdict), " ", cell.reason || cell.message || "");
    body.append(result);
    const setting = make("p", "soft small", [cell.variant && "variant: " + cell.variant, "readout protection: level " + rdp(cell), ...cell.switches.filter((each) => !/^rdp/.test(each)).map((each) => data.measures[each] || each + " policy"), cell.predicted && "predicted: " + cell.predicted + (cell.why ? ", because " + cell.why : "")].filter(Boolean).join(" \u00b7 "));
    body.append(setting);
    if (cell.surprise) body.append(make("p", "banner bad", "This came out otherwise than predicted" + (cell.message ? ": " + cell.message : ".")));
    section("What the attacker does", make("p", "", attack.effect), make("p", "soft small", attack.needs.length ? "He needs: " + attack.needs.join("; ") + "." : ""));
    section("What it means", make("p", "", { broken: attack.lost, held: attack.kept, degraded: attack.degraded }[cell.verdict] || ""));
    const held = stops(cell);
    section("What stops it", make("p", "", attack.remedy), make("p", "small", held.length ? "Measured here: held under " + held.join(", ") + "." : "Measured here: no scheme held."));
    section("What happened, on one virtual clock", ...timeline(cell));
    section("Evidence that the attack fired", list(cell.evidence.map((each) => { const line = make("span"); line.append(each.action + " at " + each.place + ", " + seconds(each.time_ns) + " "); line.append(make("code", "", bytes(each))); return line; })));
    section("What was observed afterwards", list(cell.observations.map((each) => make("span", "", each))));
    section("Captures", list(cell.captures.map((file) => { const link = make("a", "", file.split("/").pop()); link.href = file; return link; })),
      make("p", "soft small", cell.captures.length ? "VCD: sigrok-cli or PulseView; pcapng: Wireshark, TLS secrets inside." : "None kept for this cell; the line below makes them."));
    section("It happened", list(attack.cases.map((each) => { const line = make("span"); line.append(each.year + ": " + each.what + ". Obtained: " + each.obtained + ". "); line.append(source_of(each.source)); return line; })));
    section("What emulation cannot decide", list(attack.undecided.map((each) => { const line = make("span"); line.append(each.what + " " + each.why + " "); for (const known of each.cases) line.append(source_of(known.source), ". "); return line; })));
    section("Known as", list([attack.psa !== "-" && "PSA " + attack.psa, attack.emb3d !== "~" && "EMB3D " + attack.emb3d, ...attack.cwe.map((number) => "CWE-" + number)].filter(Boolean).map((text) => make("span", "", text))));
    if (cell.missing_check) section("Firmware", make("p", "", cell.missing_check.file + ":" + cell.missing_check.line + " has no " + cell.missing_check.check + "."));
    if (cell.other) section("The other engine", make("p", "", cell.other === cell.verdict ? "Agrees: " + cell.other + "." : "Says " + cell.other + "."));
    const again = make("p", "copy");
    const line = cell.replay + (cell.captures.length ? "" : " --captures .");
    const copy = make("button", "", "Copy");
    copy.addEventListener("click", () => { if (navigator.clipboard) navigator.clipboard.writeText(line); copy.textContent = "Copied"; });
    again.append(make("code", "", line), copy);
    section("Run it again, alone", again, make("p", "soft small", cell.instructions.toLocaleString("en") + " instructions in " + seconds(cell.virtual_time_ns) + " of virtual time."));
    dialog.scrollTop = 0;
  };
  const open = (ids, at) => {
    const known = ids.filter((id) => cells.has(id));
    if (!known.length) return;
    show(known, known.includes(at) ? at : known[0]);
    if (!dialog.open) dialog.showModal();
    history.replaceState(null, "", "#" + (at || known[0]));
  };
  document.addEventListener("click", (event) => {
    const button = event.target.closest("[data-open]");
    if (button) open(button.dataset.open.split(" "), button.dataset.at);
    else if (event.target === dialog) dialog.close();
  });
  dialog.addEventListener("close", () => history.replaceState(null, "", location.pathname + location.search));
  const linked = () => {
    const id = decodeURIComponent(location.hash.slice(1));
    if (cells.has(id)) open([...cells.values()].filter((cell) => cell.attack === cells.get(id).attack && cell.scheme === cells.get(id).scheme && cell.medium === cells.get(id).medium).map((cell) => cell.id), id);
  };
  addEventListener("hashchange", linked);
  linked();
})();
