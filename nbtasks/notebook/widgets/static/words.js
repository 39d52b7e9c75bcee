// Words for a task and for the run, the same as those of `nbtasks.views.tree.words`.

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

const MONTHS = ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"];

/** Format an instant to the second, in UTC. */
function exact(ms) {
  return `${new Date(ms).toISOString().slice(0, 19).replace("T", " ")} UTC`;
}

/** Format an instant in the zone of this page, with the year only if it is another one. */
function local(ms, now) {
  const then = new Date(ms);
  const year = then.getFullYear() === new Date(now).getFullYear() ? "" : ` ${then.getFullYear()}`;
  const two = (part) => String(part).padStart(2, "0");
  return `${then.getDate()} ${MONTHS[then.getMonth()]}${year}, ${two(then.getHours())}:${two(then.getMinutes())}`;
}

/** Format a past instant: relative within a day. */
function when(ms, now) {
  const minutes = Math.floor((now - ms) / (MIN * S));
  if (minutes < 1) return "just now";
  if (minutes < HOUR / MIN) return `${minutes} min ago`;
  if (minutes < DAY / MIN) return `${Math.floor(minutes / (HOUR / MIN))} h ago`;
  return local(ms, now);
}

/** Format a count, with a separator of thousands. */
function number(count) {
  return count.toLocaleString("en");
}

function plural(count, noun) {
  return `${number(count)} ${noun}${count === 1 ? "" : "s"}`;
}

/** Format the time a task took, has been running, or still has to wait. */
function timeOf(store, i) {
  const state = store.states[store.state[i]];
  if (store.interrupted && (state === "running" || state === "waiting")) return ""; // nobody knows
  if (state === "waiting" && store.due[i] !== null) return dueIn(store.due[i] - store.now());
  if (store.since[i] === null) return "";
  if (state === "running" || state === "waiting") return soFar(store.now() - store.since[i]);
  return store.end[i] === null ? "" : age(store.end[i] - store.since[i]);
}

const FRACTIONS = 1_000_000; // the total of a progress that was reported in fractions

/** Return units per second, as `per_second` of `progress.py`; null if too little is known. */
function perSecond(fresh, ms) {
  return fresh > 0 && ms >= S ? (fresh / ms) * S : null;
}

/** Format a rate in the shortest unit in which it is at least one. */
function rateLabel(rate) {
  const [unit, seconds] = [["s", 1], ["min", MIN], ["h", HOUR]].find(([, s]) => rate * s >= 1) ?? ["d", DAY];
  const many = rate * seconds;
  return `${many >= 9.95 ? number(Math.round(many)) : many.toFixed(1)}/${unit}`;
}

/** Return the units per second of a running task; null if too little is known. */
function rateOf(store, i) {
  if (store.done[i] === null || store.since[i] === null || store.state[i] !== store.code.running) return null;
  const before = (store.extra[i]?.before ?? 0) + store.summary().reusedKids[i];
  return perSecond(store.done[i] - before, store.now() - store.since[i]);
}

/** Return the remaining time of a task in milliseconds; null if it cannot be known. */
function taskTimeLeft(store, i) {
  if (store.state[i] === store.code.waiting && store.due[i] !== null && !store.extra[i]?.error) {
    return Math.max(0, store.due[i] - store.now());
  }
  const rate = rateOf(store, i);
  if (rate === null || store.total[i] === null) return null;
  return (Math.max(0, store.total[i] - store.done[i]) / rate) * S;
}

function progressLabel(done, total, rate) {
  if (total === FRACTIONS) return `${Math.floor((100 * done) / total)} %`;
  const label = total === null ? number(done) : `${number(done)} of ${number(total)}`;
  return rate === null ? label : `${label}, ${rateLabel(rate)}`;
}

/** Return a task's progress: words for count, rate and time left, and the share done. */
function progressOf(store, i) {
  const done = store.done[i];
  if (done === null || store.isSuccess(i)) return null;
  const total = store.total[i];
  let words = progressLabel(done, total, rateOf(store, i));
  const left = store.state[i] === store.code.running ? taskTimeLeft(store, i) : null;
  if (left !== null) words += `, ${soFar(left)} left`;
  return { words, share: total ? Math.min(1, done / total) : null };
}

/** Return the short notes shown beside a task. */
function notesOf(store, i, state, open) {
  const notes = [];
  const extra = store.extra[i] ?? {};
  const kids = store.kids[i].length;
  const runs = store.head.noun === "run";
  if (kids && !open) notes.push(plural(kids, "subtask"));
  if (store.attempts[i] > 1) notes.push(runs ? plural(store.attempts[i], "execution") : `attempt ${store.attempts[i]}`);
  if (runs) {
    const now = store.base + store.now();
    if (extra.bars) notes.unshift(extra.bars);
    if (store.since[i] !== null) notes.push(when(store.base + store.since[i], now));
  }
  if (state === "not reached") notes.push(store.unreached);
  else if (state !== "reused" && store.summary().reused[i]) notes.push("reused");
  if (extra.stale) notes.push(`stale: ${extra.stale}`);
  return notes.concat(extra.notes ?? []);
}

/** Return the number of tasks in each state; `recorded` is said of the reused ones. */
function countsOf(store, counts, recorded = "") {
  const words = { "not reached": store.unreached };
  if (recorded) words.reused = `reused (recorded ${recorded})`;
  return store.states
    .map((word, code) => [counts[code], words[word] ?? word])
    .filter(([count]) => count)
    .map(([count, word]) => `${number(count)} ${word}`)
    .join(", ");
}

/** Return the label in place of tasks that are not drawn. */
function foldLabel(store, counts) {
  const total = counts.reduce((sum, count) => sum + count, 0);
  const several = counts.filter(Boolean).length > 1;
  return `… ${several ? `${plural(total, store.head.noun)}: ` : ""}${countsOf(store, counts)}`;
}

function span(first, last) {
  return first === last ? first : `${first} to ${last}`;
}

/** Return how far the run is, in tasks. */
function progressWords(store, { done, total }) {
  if (!store.size) return "";
  if (total === null) return `${number(done)} done`;
  return store.head.status === "completed" ? plural(total, "task") : `${number(done)} of ${number(total)}`;
}

/** Return the remaining time of what runs; empty if a task that runs tells nothing about its end. */
function leftOf(store) {
  if (!store.underWay) return "";
  const { waiting, running } = store.code;
  const busy = store.roots.filter((i) => store.flags[i] & REACHED && (store.state[i] === running || store.state[i] === waiting));
  const left = busy.map((i) => taskTimeLeft(store, i));
  if (!busy.length || left.includes(null)) return "";
  return `about ${soFar(Math.max(...left))} left${busy.length === 1 ? ` in ${store.key[busy[0]]}` : ""}`;
}

/** Return the line of counts, and the exact instants in it. */
function countsLine(store, summary) {
  const { base, head } = store;
  if (head.noun === "run") return [[plural(store.size, "run"), countsOf(store, summary.counts)].filter(Boolean).join(": "), null];
  const now = store.now() + base;
  const parts = [];
  const instants = [];
  let recorded = "";
  if (summary.recorded !== null) {
    const [first, last] = summary.recorded.map((ms) => base + ms);
    recorded = span(when(first, now), when(last, now));
    instants.push(`recorded ${span(exact(first), exact(last))}`);
  }
  const counts = countsOf(store, summary.counts, recorded);
  const { toCome } = summary.progress;
  parts.push(toCome ? `${counts}, ${number(toCome)} ${store.underWay ? "to come" : "not started"}` : counts, leftOf(store));
  if (base) {
    parts.push(`started ${when(base, now)}`);
    instants.push(`started ${exact(base)}`);
  }
  return [parts.filter(Boolean).join(" · "), instants.join(", ")];
}
