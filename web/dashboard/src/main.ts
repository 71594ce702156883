/**
 * The dashboard: one page over the statistics API. What it shows stands in the address (state.ts); each card asks for itself
 * (panel.ts) and loads again only when what it depends on has changed.
 */
import './style.css';
import { type Answer, ApiError, type Site, hasToken, keepToken, sites as askSites, useShare } from './api.ts';
import { bar } from './bar.ts';
import { badge } from './completeness.ts';
import { crashList } from './crashes.ts';
import { button, fill, h, say, statusElement } from './dom.ts';
import { funnelPanel } from './funnel.ts';
import { login } from './login.ts';
import { overview } from './overview.ts';
import type { Page, Panel } from './page.ts';
import { now } from './realtime.ts';
import { openShare } from './share.ts';
import { type State, read, withFilter, write } from './state.ts';
import { GROUPS, tables } from './table.ts';
import { themeSwitch } from './theme.ts';
import { vitals } from './vitals.ts';

/** Changes that the back button takes back; the others are only kept in the address. */
const STEPS_BACK: readonly (keyof State)[] = ['site', 'period', 'compare', 'filters', 'steps'];

const app = document.getElementById('app') as HTMLElement;
let state = read(location.hash);
let sites: Site[] = [];
const loads = new Map<Panel, { key: string; controller: AbortController }>();

const page: Page = {
  get state() {
    return state;
  },
  get site() {
    const known = sites.find(({ id }) => id === state.site) ?? sites[0];
    return known ?? { id: state.site, time_zone: 'UTC', k_anonymity: 10, first_day: null };
  },
  change(part) {
    state = { ...state, ...part };
    const back = STEPS_BACK.some((key) => key in part);
    history[back ? 'pushState' : 'replaceState'](null, '', write(state));
    refresh();
  },
  toggleFilter(dimension, value) {
    const [operator, values] = ['is', [value]];
    const stands = state.filters.some(([how, what, which]) => how === operator && what === dimension && which.includes(value));
    const without = state.filters
      .map((filter): typeof filter => (filter[0] === operator && filter[1] === dimension ? [operator, dimension, filter[2].filter((one) => one !== value)] : filter))
      .filter(([, , left]) => left.length);
    say(stands ? 'The filter was removed.' : `Filtered by ${values.join()}.`);
    page.change({ filters: stands ? without : withFilter(state.filters, dimension, value) });
  },
  filters: () => state.filters,
};

const notes = h('div', { class: 'notes' });
const completeness = badge();
const top = bar(page, () => sites);

const onanswer = ({ meta, completeness: books }: Answer): void => {
  completeness.show(books);
  const { noise, warnings = [] } = meta;
  const epsilon = typeof noise === 'object' ? noise.epsilon : noise;
  fill(
    notes,
    noise !== undefined && noise !== null && h('p', { class: 'note' }, `Shared figures: noise is added to each number (epsilon ${epsilon}).`),
    warnings.map((warning) => h('p', { class: 'note' }, typeof warning === 'string' ? warning : warning.message)),
  );
};

const first = overview(page, onanswer);
const panels: Panel[] = [first, now(page), ...GROUPS.map((group) => tables(page, group)), vitals(page), crashList(page), funnelPanel(page)];

const forget = button('Forget the token', () => {
  keepToken('');
  location.reload();
}, { class: 'quiet' });
const shareButton = button('Share', () => openShare(page), { class: 'quiet', 'aria-haspopup': 'dialog' });
const main = h('main', { id: 'main', tabindex: -1 });
const header = h(
  'header',
  {},
  h(
    'div',
    { class: 'head' },
    h('h1', {}, 'Consentry'),
    completeness.element,
    h('div', { class: 'tools' }, shareButton, themeSwitch(() => first.redraw()), forget),
  ),
  top.element,
  statusElement,
);
const skip = h('a', { class: 'skip', href: '#main', onclick: (event: MouseEvent) => {
  // The address after "#" is the state's.
  event.preventDefault();
  main.focus();
} }, 'Skip to the figures');

function askForToken(refused: boolean): void {
  for (const { controller } of loads.values()) controller.abort();
  loads.clear();
  keepToken('');
  fill(main, login(refused, () => void start()));
  for (const part of [top.element, shareButton, forget]) part.hidden = true;
  main.querySelector('input')?.focus();
}

function refresh(): void {
  top.show();
  document.title = `${state.site || 'Consentry'} · Consentry`;
  for (const panel of panels) {
    const key = panel.key();
    const last = loads.get(panel);
    if (last?.key === key) continue;
    last?.controller.abort();
    const controller = new AbortController();
    loads.set(panel, { key, controller });
    panel.load(controller.signal).catch((fault: unknown) => {
      if (controller.signal.aborted) return;
      if (fault instanceof ApiError && fault.status === 401) askForToken(true);
      else throw fault;
    });
  }
}

async function start(): Promise<void> {
  const had = hasToken();
  useShare(state.share);
  fill(main, h('p', { class: 'empty' }, 'Loading…'));
  try {
    sites = await askSites();
  } catch (fault) {
    if (fault instanceof ApiError && fault.status === 401) return askForToken(had || Boolean(state.share));
    const message = fault instanceof Error ? fault.message : '';
    fill(main, h('p', { class: 'fault', role: 'alert' }, message), button('Try again', () => void start()));
    return;
  }
  if (!sites.some(({ id }) => id === state.site)) {
    const [only] = sites;
    if (!only) return fill(main, h('p', { class: 'empty' }, 'No site is configured. Add a [[site]] to the collector\'s configuration.'));
    state = { ...state, site: only.id };
    history.replaceState(null, '', write(state));
  }
  for (const part of [top.element, shareButton, forget]) part.hidden = false;
  shareButton.hidden = Boolean(state.share);
  forget.hidden = !hasToken() || Boolean(state.share);
  fill(main, notes, h('div', { class: 'cards' }, panels.map(({ element }) => element)));
  refresh();
}

addEventListener('popstate', () => {
  const { share } = state;
  const next = read(location.hash);
  if (next.share !== share) return location.reload();
  state = sites.some(({ id }) => id === next.site) ? next : { ...next, site: sites[0]?.id ?? '' };
  if (main.contains(first.element)) refresh();
});

fill(app, skip, header, main);
top.element.hidden = true;
shareButton.hidden = true;
forget.hidden = true;
void start();
