"use strict";
// All text comes in as text nodes: nothing that a model wrote is read as HTML.
const $ = id => document.getElementById(id);
const {runs, games, beside} = JSON.parse($("index").textContent);
const several = runs.length > 1, details = {}, filters = {};
let sort = null, gamma = null, whole = false, shown = games.map((_, n) => n), place = {}, drawn = {};

function el(name, attributes = {}, ...children) {
  const node = document.createElement(name);
  for (const [key, value] of Object.entries(attributes)) {
    if (key.startsWith("on")) node.addEventListener(key.slice(2), value);
    else if (value !== null && value !== undefined && value !== false) node.setAttribute(key, value);
  }
  node.append(...children.flat(Infinity).filter(child => child !== null && child !== undefined && child !== false));
  return node;
}

// ---- the planner's rule (eval_agent.knowledge.planner): Eq. 13, and the agent's own verb where p_know has no weight
const blend = (step, g) => step.p_agent.map((p, i) => step.p_know ? g * p + (1 - g) * step.p_know[i] : p);
const argmax = p => p.reduce((best, value, i) => value > p[best] ? i : best, 0);
function verbAt(step, verbs, g) {
  if (g === null) return step.verb;
  return g === 1 || !step.p_know ? step.own : verbs[argmax(blend(step, g))];
}

// ---- the list of games
const count = play => play && (gamma === null || play.overruled === null ? play.overruled : play.at[Math.round(gamma * 20)]);
const result = play => play ? play.result : "not played";
const columns = [
  {name: "task", of: game => game.goal, text: true}, {name: "type", of: game => game.type, text: true, filter: true},
  {name: "split", of: game => game.split, text: true, filter: true},
  ...(several ? [{name: "differ", of: game => game.differ, text: true, filter: true, order: ["result", "way", "no"]}] : []),
  ...runs.flatMap((run, r) => [
    {name: several ? `${run.label}: result` : "result", of: game => result(game.plays[r]), filter: true, first: several, text: true, run: r},
    {name: "steps", of: game => game.plays[r]?.steps, run: r}, {name: "invalid actions", of: game => game.plays[r]?.invalid_actions, run: r},
    {name: "overruled", of: game => count(game.plays[r]), run: r},
  ]),
];

function link(game, step = 0, pair = "") {
  return "#" + [game.split, game.id, step, pair].filter(part => part !== "").map(encodeURIComponent).join("/");
}

function cell(column, c, game) {
  const value = column.of(game), attributes = {"data-name": column.name, class: (column.text ? "text " : "") + (column.first ? "first" : "")};
  if (c === 0) return el("td", attributes, el("a", {href: link(game)}, value), value === game.id ? null : el("small", {}, game.id));
  if (!column.filter) return el("td", attributes, value === null || value === undefined ? "–" : String(value));
  const play = game.plays[column.run], part = play && play.reward > 0 && play.reward < 1 ? ` (${play.reward.toFixed(2)})` : "";
  const choose = () => { filters[c] = value; list(); };
  return el("td", attributes, el("button", {type: "button", title: play?.reason ?? "show only these", class: value, onclick: choose},
    `${value}${part}`.split(/(?<=_)/).flatMap(piece => [piece, el("wbr")])));
}

function list() {
  const words = $("text").value.toLowerCase(), chosen = Object.entries(filters);
  shown = games.map((_, n) => n).filter(n => chosen.every(([c, value]) => columns[c].of(games[n]) === value)
    && `${games[n].goal} ${games[n].id} ${games[n].type}`.toLowerCase().includes(words));
  if (sort) {
    const {of, order} = columns[sort.column], rank = n => { const value = of(games[n]); return order ? order.indexOf(value) : value ?? -1; };
    shown.sort((a, b) => (rank(a) < rank(b) ? -1 : rank(a) > rank(b) ? 1 : 0) * (sort.down ? -1 : 1) || a - b);
  }
  const by = c => { sort = {column: c, down: sort?.column === c ? !sort.down : typeof columns[c].of(games[0]) === "number"}; list(); };
  $("games").tHead.replaceChildren(el("tr", {}, columns.map((column, c) => el("th", {
    scope: "col", "data-run": several && column.run !== undefined && !column.filter && runs[column.run].label, class: (column.text ? "text " : "") + (column.first ? "first" : ""),
    "aria-sort": sort?.column === c ? (sort.down ? "descending" : "ascending") : "none",
  }, el("button", {type: "button", onclick: () => by(c)}, column.name + (sort?.column === c ? (sort.down ? " ▼" : " ▲") : ""))))));
  $("games").tBodies[0].replaceChildren(...shown.map(n => el("tr", {}, columns.map((column, c) => cell(column, c, games[n])))));
  $("chips").replaceChildren(...chosen.map(([c, value]) => el("button", {
    type: "button", "aria-label": `remove the filter ${columns[c].name} ${value}`, onclick: () => { delete filters[c]; list(); },
  }, `${columns[c].name}: ${value} ×`)));
  const won = runs.map((run, r) => {
    const plays = shown.map(n => games[n].plays[r]).filter(play => play && play.result !== "not finished");
    return `${run.label} won ${plays.filter(play => play.result === "won").length} of ${plays.length}`;
  });
  $("shown").textContent = `${shown.length} of ${games.length} games. ${won.join(", ")}.`;
}

// ---- one game
function loaded(n, detail) { details[n] = detail; route(); }

function detail(n) {
  const block = $(`game-${n}`);
  if (!(n in details) && block) details[n] = JSON.parse(block.textContent);
  if (!(n in details)) {
    details[n] = null;
    const failed = () => $("game").replaceChildren(el("p", {}, `${beside}/${n}.js cannot be read: keep the folder ${beside} beside this page.`));
    document.head.append(el("script", {src: `${beside}/${n}.js`, onerror: failed}));
  }
  return details[n];
}

function bars(step, verbs, label, own) {
  const g = gamma ?? own, mixed = g === null ? step.p_agent : blend(step, g), chosen = verbAt(step, verbs, gamma);
  const rows = verbs.map((_, i) => i).filter(i => whole || Math.max(step.p_agent[i], step.p_know?.[i] ?? 0) >= 0.005 || [chosen, step.own].includes(verbs[i]));
  const bar = (name, p) => el("td", {}, p === undefined ? "–" : [el("i", {class: name, "data-p": p}), el("b", {}, p.toFixed(3))]);
  const table = el("table", {class: "bars"}, el("thead", {}, el("tr", {}, ["verb of A_u", "p_agent", "p_know", `blend, γ ${g ?? "not told"}`].map(
    name => el("th", {scope: "col"}, name)))), el("tbody", {}, rows.map(i => el("tr", {class: verbs[i] === chosen ? "chosen" : null},
    el("th", {scope: "row"}, verbs[i], verbs[i] === chosen ? " ● chosen" : "", verbs[i] === step.own && chosen !== step.own ? " ○ agent's" : ""),
    bar("agent", step.p_agent[i]), bar("know", step.p_know?.[i]), bar("blend", mixed[i])))));
  for (const node of table.querySelectorAll("i")) node.style.width = `${Math.max(0.5, 96 * node.dataset.p)}%`;
  const next = Object.entries(step.next ?? {}).map(([action, times]) => `${action} × ${times}`).join(", ");
  const near = step.n ? `${step.n} neighbours` + (next ? `, next actions: ${next}` : "") : "no neighbours: the agent's verb stands";
  const rest = verbs.length - rows.length;
  return [el("span", {class: "name"}, label ? `decision of ${label}` : "decision"), table,
    el("p", {class: "note"}, near + (rest ? `; ${rest} verbs below 0.005 not shown` : ""))];
}

function marks(step, verbs) {
  const found = [], planned = Boolean(step.p_agent), verb = planned && verbAt(step, verbs, gamma);
  if (planned && verb !== step.own) found.push(["overruled", `▲ overruled: ${step.own} → ${verb}`]);
  if (planned && verb !== step.verb) found.push(["redrawn", `◆ ${verb}; in this run ${step.verb}`]);
  if (step.invalid) found.push(["invalid", "✕ invalid action"]);
  return found;
}

function box(number, plays) {  // plays: [run, play] of those that did the same here
  const step = plays[0][1].steps[number], names = several ? plays.map(([r]) => runs[r].label).join(" and ") : "";
  const field = (name, text, node = "p") => text && [el("span", {class: "name"}, name), el("p", {}, node === "p" ? text : el(node, {}, text))];
  const knowing = plays.map(([r, play]) => {
    const here = play.steps[number], label = plays.length > 1 ? runs[r].label : "";
    return [field(label ? `state knowledge of ${label}` : "state knowledge", here.known), here.p_agent && bars(here, play.verbs, label, runs[r].gamma)];
  });
  const tags = plays.flatMap(([r, play]) => marks(play.steps[number], play.verbs));
  const unique = tags.filter(([, text], i) => tags.findIndex(tag => tag[1] === text) === i);
  return el("article", {class: "box", "data-step": number}, el("h3", {}, `Step ${number}`, names && ` · ${names}`,
    unique.map(([kind, text]) => el("span", {class: `mark ${kind}`}, text))), el("div", {class: knowing.flat().some(Boolean) ? "halves" : null},
    el("div", {}, field(number ? "observation" : "task", step.seen), field("thought", step.thought), field("action", step.action ?? "(none)", "code")),
    el("div", {}, knowing)));
}

function parting(plays) {  // the first step at which two plays differ
  const [a, b] = plays.map(([, play]) => play.steps), same = (x, y) => ["seen", "thought", "action"].every(key => x[key] === y[key]);
  const first = a.findIndex((step, i) => !b[i] || !same(step, b[i]));
  return first < 0 ? a.length : first;
}

function opening(game, [r, play]) {
  const {result, reward, steps, reason} = game.plays[r];
  const how = `${result}, reward ${reward.toFixed(2)}, ${steps} steps (${reason ?? "reason not told"})`;
  return el("div", {class: "box"}, el("h3", {}, several ? `${runs[r].label}: ` : "", how),
    play.knowledge && [el("span", {class: "name"}, play.read ? "task knowledge" : "task knowledge, not shown to the agent"), el("p", {class: "knowledge"}, play.knowledge)],
    play.trials > 0 && el("p", {}, `The last of ${play.trials + 1} trials.`),
    !play.told && el("p", {}, `${game.plays[r].invalid_actions} invalid actions; which ones, this older result does not tell.`));
}

function draw(n, found) {
  const game = games[n], there = runs.map((_, r) => r).filter(r => found[r]);
  const pair = place.pair.filter(r => there.includes(r));
  const plays = (pair.length ? pair : there.slice(0, 2)).map(r => [r, found[r]]);
  const together = plays.length > 1 ? parting(plays) : 0, longest = Math.max(...plays.map(([, play]) => play.steps.length));
  const chooser = side => el("select", {"aria-label": ["left run", "right run"][side], onchange: event => {
    const chosen = plays.map(([r]) => r); chosen[side] = Number(event.target.value); go(place.step, chosen.join("-")); }},
    there.map(r => el("option", {value: r, selected: plays[side]?.[0] === r ? "" : null}, runs[r].label)));
  const node = el("div", {});
  node.style.setProperty("--columns", plays.length);
  node.append(
    el("div", {class: "bar-row"}, el("a", {href: "#"}, "← all games"), el("button", {type: "button", onclick: () => other(-1)}, "previous game"),
      el("button", {type: "button", onclick: () => other(1)}, "next game"), there.length > 2 && [chooser(0), chooser(1)],
      el("label", {}, el("input", {type: "checkbox", id: "whole", checked: whole ? "" : null, onchange: event => { whole = event.target.checked; route(); }}), " all of A_u")),
    el("h2", {}, game.goal), el("p", {class: "note"}, `${game.id} · ${game.type} · ${game.split}`),
    el("div", {class: "pair"}, plays.map(one => opening(game, one))),
    el("nav", {"aria-label": "Steps"}, plays.map(([r, play]) => el("div", {class: "steps"}, el("span", {}, runs[r].label), play.steps.map((step, s) => {
      const found = marks(step, play.verbs);
      return el("a", {href: link(game, s, place.given), class: found.map(([kind]) => kind).join(" "), title: found.map(mark => mark[1]).join("; ") || null, "data-step": s},
        found.map(mark => mark[1][0]).join("") + s);
    })))));
  for (let s = 0; s < longest; s++) {
    if (plays.length > 1 && s === together) node.append(el("h2", {id: "parting"}, `From step ${s} on they part`));
    const row = s < together ? [box(s, plays)] : plays.map(one => one[1].steps[s] ? box(s, [one]) : el("div", {}));
    node.append(s < together ? row[0] : el("div", {class: "pair"}, row));
  }
  node.append(el("div", {class: "pair"}, plays.map(([r, play]) => el("div", {class: "box"},
    el("h3", {}, (several ? `${runs[r].label}: ` : "") + game.plays[r].result), el("p", {}, play.end || "no last observation")))));
  $("game").replaceChildren(node);
}

function route() {
  const [split, id, step = "0", given = ""] = location.hash.slice(1).split("/").map(part => {
    try { return decodeURIComponent(part); } catch { return part; }  // a link that was cut short
  });
  const n = games.findIndex(game => game.split === split && game.id === id);
  $("list").hidden = n >= 0;
  $("game").hidden = n < 0;
  if (n < 0) { place = {}; drawn = {}; document.title = "Episodes"; list(); return; }
  place = {n, step: Number(step) || 0, given, pair: given.split("-").filter(Boolean).map(Number)};
  const found = detail(n), y = scrollY, before = drawn, game = `${n} ${given}`;
  if (!found) { drawn = {}; $("game").textContent = "Loading the game …"; return; }
  drawn = {game, step: place.step, look: `${gamma} ${whole}`};
  if (game !== before.game || drawn.look !== before.look) draw(n, found);
  document.title = `${games[n].goal}, step ${place.step}`;
  for (const node of document.querySelectorAll("[data-step]")) {
    const here = Number(node.dataset.step) === place.step;
    node.classList.toggle("current", here);
    if (here) node.setAttribute("aria-current", "step"); else node.removeAttribute("aria-current");
  }
  if (game === before.game && place.step === before.step) scrollTo(0, y);  // only redrawn
  else if (place.step > 0 || game === before.game) document.querySelector("article.current")?.scrollIntoView();
  else scrollTo(0, 0);
}

function go(step, given = place.given) {
  const last = Math.max(0, ...[...document.querySelectorAll("article")].map(node => Number(node.dataset.step)));
  location.replace(link(games[place.n], Math.min(Math.max(step, 0), last), given));
  route();  // at once: the event comes later, and a quick second key would count from the old step
}

function other(way) {
  const n = shown[(shown.indexOf(place.n) + way + shown.length) % shown.length];
  location.hash = link(games[n ?? place.n], 0, place.given);
  route();
}

document.addEventListener("keydown", event => {
  if (event.ctrlKey || event.metaKey || event.altKey || ["INPUT", "SELECT"].includes(event.target.tagName)) return;
  const game = place.n !== undefined, down = game ? ["j", "ArrowRight"] : ["j", "ArrowDown"], up = game ? ["k", "ArrowLeft"] : ["k", "ArrowUp"];
  const way = down.includes(event.key) ? 1 : up.includes(event.key) ? -1 : 0;
  if (way && game) go(place.step + way);
  else if (way) {
    const links = [...document.querySelectorAll("#games tbody a")];
    links[Math.min(Math.max(links.indexOf(document.activeElement) + way, 0), links.length - 1)]?.focus();
  } else if (game && "np".includes(event.key)) other(event.key === "n" ? 1 : -1);
  else if (game && event.key === "Escape") { location.hash = ""; route(); }
  else return;
  event.preventDefault();
});

function turn(value) {
  gamma = value;
  const own = runs.filter(run => run.gamma !== null).map(run => `${run.label} ${run.gamma}`).join(", ");
  $("gamma-text").textContent = value === null ? `as played: ${own || "not told"}`
    : `${value.toFixed(2)}: decisions redrawn from the stored p_agent and p_know; later states are those of this run`;
  route();
}
$("gamma-box").hidden = !games.some(game => game.plays.some(play => play && play.overruled !== null));
$("gamma").value = runs.find(run => run.gamma !== null)?.gamma ?? 1;
$("gamma").addEventListener("input", event => turn(Number(event.target.value)));
$("as-played").addEventListener("click", () => turn(null));
$("text").addEventListener("input", list);
addEventListener("hashchange", route);
turn(null);
