// @ts-check
/**
 * The demo's own part: the consent buttons, and a log of what the tracker hands to the browser for sending.
 * It wraps fetch and sendBeacon, so the log shows what really leaves: each event in its envelope,
 * with the collector's answer.
 */

/** @typedef {{ consent(choice: unknown): void, withdraw(): void, event(name: string, props?: object): void, granted: boolean }} Api */

/** @param {string} id */
const element = (id) => {
  const found = document.getElementById(id);
  if (!found) throw new Error(`no element ${id}`);
  return found;
};

/** Set by the tracker's script, which runs after this one. @returns {Api | undefined} */
const tracker = () => /** @type {any} */ (window).consentry;

const LOG_ROWS_MAX = 100;
let events = 0;
/** For this page only: a refusal is not stored. */
let refused = false;

/** @param {Api | undefined} api */
const explain = (api) => {
  if (api?.granted) return 'You agreed: this page is measured';
  // The tracker takes this signal for a no, whatever is pressed here.
  if (/** @type {any} */ (navigator).globalPrivacyControl === true) return 'Your browser sends Global Privacy Control: nothing is sent';
  return refused ? 'You refused: nothing is sent' : 'No consent: nothing is sent';
};

const refresh = () => {
  const granted = tracker()?.granted === true;
  element('state').textContent = explain(tracker());
  element('state').classList.toggle('granted', granted);
  element('question').textContent = granted ? 'You may change your mind at any time.' : 'May this site count your visit?';
  element('accept').hidden = granted;
  element('refuse').hidden = granted;
  element('withdraw').hidden = !granted;

  const stored = Object.keys(localStorage).filter((key) => key.startsWith('consentry.'));
  const rows = stored.flatMap((key) => {
    const term = document.createElement('dt');
    term.textContent = key;
    const value = document.createElement('dd');
    value.textContent = localStorage.getItem(key);
    return [term, value];
  });
  element('stored').replaceChildren(...rows);
  element('stored').hidden = !rows.length;
  element('nothing-stored').hidden = !!rows.length;
};

/**
 * Shows each event of an envelope; returns what to call with the collector's answer.
 * @param {unknown} body
 * @param {string} how
 */
const show = (body, how) => {
  const { events: batch, ...envelope } = JSON.parse(String(body));
  const notes = batch.map((/** @type {{ type: string }} */ event) => {
    const row = document.createElement('li');
    const details = row.appendChild(document.createElement('details'));
    const summary = details.appendChild(document.createElement('summary'));
    summary.append(event.type, ' ');
    const note = summary.appendChild(document.createElement('span'));
    note.textContent = how;
    details.appendChild(document.createElement('pre')).textContent = JSON.stringify({ ...envelope, events: [event] }, null, 2);
    element('sent').prepend(row);
    return note;
  });
  while (element('sent').children.length > LOG_ROWS_MAX) element('sent').lastElementChild?.remove();
  events += notes.length;
  element('count').textContent = String(events);
  element('sent').hidden = false;
  element('nothing-sent').hidden = true;
  refresh();
  return (/** @type {string} */ answer) => notes.forEach((/** @type {HTMLElement} */ note) => (note.textContent = `${how}, ${answer}`));
};

/** @param {unknown} url */
const isOurs = (url) => new URL(String(url), location.href).pathname === '/v1/events';

const plainFetch = window.fetch;
window.fetch = async (url, init) => {
  if (!isOurs(url)) return plainFetch(url, init);
  const answered = show(init?.body, 'fetch');
  try {
    const answer = await plainFetch(url, init);
    answered(`answered ${answer.status}`);
    return answer;
  } catch (error) {
    answered('no answer');
    throw error;
  }
};

const plainBeacon = navigator.sendBeacon.bind(navigator);
navigator.sendBeacon = (url, body) => {
  const taken = plainBeacon(url, body);
  if (isOurs(url) && taken) show(body, 'beacon');
  return taken;
};

const pages = {
  '/demo': ['A page that measures only with consent', 'Consentry demo', 'Go to the tour'],
  '/demo/tour': ['The tour: a page view without a page load', 'Tour, Consentry demo', 'Back to the start'],
};

const showPage = () => {
  const [heading, title, link] = pages[location.pathname === '/demo/tour' ? '/demo/tour' : '/demo'];
  element('page-title').textContent = heading ?? '';
  document.title = title ?? '';
  element('navigate').textContent = link ?? '';
};

/** @param {string} id @param {() => void} work */
const onPress = (id, work) =>
  element(id).addEventListener('click', () => {
    work();
    refresh();
  });

onPress('accept', () => {
  tracker()?.consent(true);
  // The pressed button disappears; the keyboard's place moves to the one that took over.
  refresh();
  element(tracker()?.granted ? 'withdraw' : 'accept').focus();
});
onPress('refuse', () => {
  refused = true;
  tracker()?.consent(false);
});
onPress('withdraw', () => {
  tracker()?.withdraw();
  refresh();
  element('accept').focus();
});
onPress('navigate', () => {
  history.pushState(null, '', location.pathname === '/demo/tour' ? '/demo' : '/demo/tour');
  showPage();
});
onPress('custom', () => tracker()?.event('demo_custom', { plan: 'pro', seats: 3 }));
element('throw').addEventListener('click', () => {
  throw new TypeError('Thrown by the demo, on purpose');
});

window.addEventListener('popstate', showPage);
// A choice made in another tab counts here as well, once the tracker has heard of it.
window.addEventListener('storage', () => setTimeout(refresh));
window.addEventListener('DOMContentLoaded', () => {
  showPage();
  refresh();
});
