// Words for a task, the same as those of `nbtasks.views.tree.render`.

const S = 1000;
const MIN = 60;
const HOUR = 3600;
const DAY = 86400;

function pair(many, unit, few, part) {
  return few ? `${many} ${unit} ${few} ${part}` : `${many} ${unit}`;
}

/** Format a span of milliseconds in the two largest units that matter. */
function age(ms) {
  if (ms < 9.95) return `${Math.max(ms, 0).toFixed(1)} ms`;
  if (ms < 999.5) return `${ms.toFixed(0)} ms`;
  if (ms < 59.95 * S) return `${(ms / S).toFixed(ms < 9.995 * S ? 2 : 1)} s`;
  const s = Math.round(ms / S);
  if (s < HOUR) return pair(Math.floor(s / MIN), "min", s % MIN, "s");
  if (s < DAY) return pair(Math.floor(s / HOUR), "h", Math.floor((s % HOUR) / MIN), "min");
  return pair(Math.floor(s / DAY), "d", Math.floor((s % DAY) / HOUR), "h");
}

/** Format a running span in whole seconds, so that it does not flicker. */
function soFar(ms) {
  return ms < MIN * S ? `${Math.floor(Math.max(ms, 0) / S)} s` : age(ms);
}

function dueIn(ms) {
  return ms > 0 ? `due in ${soFar(Math.ceil(ms / S) * S)}` : "due now";
}

function date(ms) {
  return `${new Date(ms).toISOString().slice(0, 16).replace("T", " ")} UTC`;
}

function plural(count, noun) {
  return `${count.toLocaleString("en")} ${noun}${count === 1 ? "" : "s"}`;
}

/** Format the time a task took, has been running, or still has to wait. */
function timeOf(store, i) {
  const state = store.states[store.state[i]];
  if (state === "waiting" && store.due[i] !== null) return dueIn(store.due[i] - store.now());
  if (store.since[i] === null) return "";
  if (state === "running" || state === "waiting") return soFar(store.now() - store.since[i]);
  return store.end[i] === null ? "" : age(store.end[i] - store.since[i]);
}

/** Return a task's progress: words for count, rate and time left, and the share done. */
function progressOf(store, i) {
  const done = store.done[i];
  if (done === null || store.states[store.state[i]] === "completed") return null;
  const total = store.total[i];
  let words = total === null ? `${done}` : `${done}/${total}`;
  const ms = store.states[store.state[i]] === "running" ? store.now() - store.since[i] : 0;
  const fresh = done - store.kids[i].filter((kid) => store.flags[kid] & REUSED).length;
  if (fresh > 0 && ms >= S) {
    const perSecond = (fresh / ms) * S;
    const [unit, seconds] = [["s", 1], ["min", MIN], ["h", HOUR]].find(([, s]) => perSecond * s >= 1)
      ?? ["d", DAY];
    const rate = perSecond * seconds;
    words += `, ${rate.toFixed(rate >= 9.95 ? 0 : 1)}/${unit}`;
    if (total !== null) words += `, ${soFar((Math.max(0, total - done) / perSecond) * S)} left`;
  }
  return { words, share: total ? Math.min(1, done / total) : null };
}

/** Return the short notes shown beside a task. */
function notesOf(store, i, state, open) {
  const notes = [];
  const extra = store.extra[i] ?? {};
  const kids = store.kids[i].length;
  const runs = store.head.noun === "run";
  if (kids && !open) notes.push(plural(kids, runs ? "run" : "subtask"));
  if (store.attempts[i] > 1) notes.push(runs ? plural(store.attempts[i], "execution") : `attempt ${store.attempts[i]}`);
  if (state === "reused" && store.end[i] !== null) notes.push(`recorded ${date(store.base + store.end[i])}`);
  if (state === "not reached") notes.push(store.underWay ? "recorded earlier" : "not reached");
  if (extra.stale) notes.push(`stale: ${extra.stale}`);
  return notes.concat(extra.notes ?? []);
}

function countsOf(store, counts) {
  return store.states
    .map((word, code) => [counts[code], word === "not reached" && store.underWay ? "recorded earlier" : word])
    .filter(([count]) => count)
    .map(([count, word]) => `${count.toLocaleString("en")} ${word}`)
    .join(", ");
}
