/** Tables of groups. A row's name is a button that filters everything by it. */
import { type Answer, type Query, download, query } from './api.ts';
import { type Child, button, fill, h, openDialog, say, scroller } from './dom.ts';
import { change, count, dimensionName, dimensionValue, kindOf, value } from './format.ts';
import type { Page, Panel } from './page.ts';
import { card, tabs } from './panel.ts';

export interface Breakdown {
  /** Name in the address. */
  id: string;
  label: string;
  dimension: string;
  metrics: string[];
  /** Whether those without a value are of no interest, as visits without a campaign; they stand in the list of all rows. */
  named?: true;
}

export interface Group {
  id: string;
  title: string;
  breakdowns: Breakdown[];
}

const BY_VISIT = ['visitors', 'visits'];
const visit = (id: string, label: string): Breakdown => ({ id, label, dimension: `visit:${id}`, metrics: BY_VISIT });
const named = (id: string, label: string): Breakdown => ({ ...visit(id, label), named: true });

export const GROUPS: readonly Group[] = [
  {
    id: 'pages',
    title: 'Pages',
    breakdowns: [
      { id: 'page', label: 'Pages', dimension: 'event:page', metrics: ['visitors', 'pageviews', 'time_on_page'] },
      visit('entry_page', 'Entry'),
      visit('exit_page', 'Exit'),
      { id: 'hostname', label: 'Hosts', dimension: 'event:hostname', metrics: ['visitors', 'pageviews'] },
    ],
  },
  {
    id: 'sources',
    title: 'Sources',
    breakdowns: [visit('channel', 'Channels'), visit('source', 'Sources'), named('referrer', 'Referrers')],
  },
  {
    id: 'campaigns',
    title: 'Campaigns',
    breakdowns: [
      named('utm_campaign', 'Campaign'),
      named('utm_source', 'Source'),
      named('utm_medium', 'Medium'),
      named('utm_content', 'Content'),
      named('utm_term', 'Term'),
    ],
  },
  {
    id: 'devices',
    title: 'Devices',
    breakdowns: [visit('device', 'Devices'), visit('browser', 'Browsers'), visit('os', 'Systems'), visit('screen', 'Screens')],
  },
  { id: 'places', title: 'Countries', breakdowns: [visit('country', 'Countries'), visit('language', 'Languages')] },
  {
    id: 'events',
    title: 'Events',
    breakdowns: [
      { id: 'name', label: 'Events', dimension: 'event:name', metrics: ['events', 'visitors'] },
      { id: 'point', label: 'Function points', dimension: 'event:point', metrics: ['clicks', 'visitors'] },
    ],
  },
];

const ROWS = 8;
const DETAIL_ROWS = 50;
/** Each search is a question of its own to the server, which is wary of many that differ by little. */
const SEARCH_WAIT_MS = 600;

interface Sort {
  by: string;
  direction: 'asc' | 'desc';
}

/** The query behind a table. */
export const tableQuery = (page: Page, { dimension, metrics }: Breakdown, limit: number, offset = 0, sort?: Sort): Query => ({
  site: page.state.site,
  metrics,
  date_range: page.state.period,
  dimensions: [dimension],
  filters: page.filters(),
  include: {
    total_rows: true,
    ...(page.state.compare && page.state.period !== 'all' ? { comparisons: { mode: 'previous_period' as const } } : {}),
  },
  order_by: [[sort?.by ?? metrics[0] ?? 'visitors', sort?.direction ?? 'desc']],
  pagination: { limit, offset },
});

const head = (breakdown: Breakdown, comparing: boolean, sort: Sort | undefined, onsort: ((by: string) => void) | undefined): HTMLElement =>
  h(
    'thead',
    {},
    h(
      'tr',
      {},
      h('th', { scope: 'col' }, dimensionName(breakdown.dimension)),
      breakdown.metrics.map((metric, at) => {
        const { label } = kindOf(metric);
        const sorted = sort?.by === metric ? (sort.direction === 'desc' ? 'descending' : 'ascending') : undefined;
        return h('th', { scope: 'col', class: at > 1 ? 'extra' : undefined, 'aria-sort': sorted }, onsort ? button(label, () => onsort(metric), { class: 'sort' }) : label);
      }),
      comparing && h('th', { scope: 'col' }, 'Change'),
    ),
  );

const withheld = ({ meta }: Answer, metrics: string[], comparing: boolean): Child => {
  const groups = meta.withheld?.groups ?? 0;
  if (!groups) return false;
  const told = meta.withheld?.metrics;
  return h(
    'tr',
    { class: 'withheld' },
    h('th', { scope: 'row' }, `${count(groups)} more, withheld for the sake of those with fewer than ${meta.k_anonymity} visitors`),
    metrics.map((metric, at) => h('td', { class: at > 1 ? 'extra' : undefined }, told && told[at] !== null && told[at] !== undefined ? kindOf(metric).write(told[at]) : 'withheld')),
    comparing && h('td', {}),
  );
};

/** The rows of an answer as a table. */
export const table = (
  page: Page,
  breakdown: Breakdown,
  answer: Answer,
  options: { sort?: Sort; onsort?: (by: string) => void; onfilter?: () => void } = {},
): HTMLElement => {
  const { dimension, metrics, label } = breakdown;
  const comparing = answer.results.some((row) => row.comparison);
  const k = answer.meta.k_anonymity;
  const most = Math.max(...answer.results.map((row) => row.metrics[0] ?? 0), 1);
  const active = page.state.filters.find(([operator, named]) => operator === 'is' && named === dimension)?.[2] ?? [];
  const rows = answer.results.map((row) => {
    const given = row.dimensions[0] ?? '';
    const chosen = active.includes(given);
    const bar = h('span', { class: 'bar', 'aria-hidden': 'true' });
    bar.style.inlineSize = `${(100 * (row.metrics[0] ?? 0)) / most}%`;
    const name = button(dimensionValue(dimension, given), () => {
      options.onfilter?.();
      page.toggleFilter(dimension, given);
    }, {
      class: 'row-name',
      title: `${chosen ? 'Remove the filter' : 'Filter by'}: ${dimensionName(dimension)} is ${dimensionValue(dimension, given)}`,
      'data-value': given,
      'aria-pressed': String(chosen),
    });
    const percent = row.comparison?.change[0];
    return h(
      'tr',
      {},
      h('th', { scope: 'row' }, bar, name),
      metrics.map((metric, at) => h('td', { class: at > 1 ? 'extra' : undefined }, value(metric, row.metrics[at], k))),
      comparing && h('td', {}, percent === null || percent === undefined ? 'new' : change(metrics[0] ?? '', percent)),
    );
  });
  const caption = h('caption', { class: 'unseen' }, `${label}: ${metrics.map((metric) => kindOf(metric).label).join(', ')}. A name filters all figures.`);
  return h('table', { class: 'groups' }, caption, head(breakdown, comparing, options.sort, options.onsort), h('tbody', {}, rows, withheld(answer, metrics, comparing)));
};

const saveAs = (page: Page, breakdown: Breakdown, format: 'csv' | 'jsonl' | 'parquet', sort?: Sort): void => {
  const { include: _, pagination: __, ...asked } = tableQuery(page, breakdown, DETAIL_ROWS, 0, sort);
  download(asked, format, `${page.state.site}-${breakdown.id}`).then(
    () => say('The file was saved.'),
    (fault: Error) => say(fault.message),
  );
};

/** All rows of a breakdown: searched, sorted, page by page. */
const details = (page: Page, breakdown: Breakdown): void => {
  let [offset, search]: [number, string] = [0, ''];
  let sort: Sort = { by: breakdown.metrics[0] ?? 'visitors', direction: 'desc' };
  let loading = new AbortController();
  const shown = scroller(`All ${breakdown.label}`, 'scroll');
  const pager = h('div', { class: 'pager' });
  const turn = (to: number): void => {
    offset = to;
    void load();
  };
  const load = async (): Promise<void> => {
    loading.abort();
    loading = new AbortController();
    const asked = tableQuery(page, breakdown, DETAIL_ROWS, offset, sort);
    if (search) asked.filters = [...(asked.filters ?? []), ['contains', breakdown.dimension, [search]]];
    try {
      const answer = await query(asked, loading.signal);
      const onsort = (by: string): void => {
        sort = { by, direction: sort.by === by && sort.direction === 'desc' ? 'asc' : 'desc' };
        turn(0);
      };
      fill(shown, table(page, breakdown, answer, { sort, onsort, onfilter: () => dialog.close() }));
      const last = offset + answer.results.length;
      const all = answer.meta.total_rows ?? last;
      fill(
        pager,
        button('Before', () => turn(offset - DETAIL_ROWS), { disabled: offset === 0 }),
        h('span', { role: 'status' }, all ? `${count(offset + 1)} to ${count(last)} of ${count(all)}` : 'Nothing found'),
        button('Next', () => turn(offset + DETAIL_ROWS), { disabled: last >= all }),
      );
    } catch (fault) {
      if (!loading.signal.aborted) fill(shown, h('p', { class: 'fault' }, (fault as Error).message));
    }
  };
  let typing: ReturnType<typeof setTimeout>;
  const box = h('input', {
    type: 'search',
    oninput: () => {
      clearTimeout(typing);
      typing = setTimeout(() => {
        search = box.value.trim();
        turn(0);
      }, SEARCH_WAIT_MS);
    },
  });
  const formats = [['csv', 'CSV'], ['jsonl', 'JSON Lines'], ['parquet', 'Parquet']] as const;
  const tools = h(
    'div',
    { class: 'dialog-tools' },
    h('label', { class: 'field' }, h('span', {}, 'Search'), box),
    formats.map(([format, text]) => button(text, () => saveAs(page, breakdown, format, sort), { class: 'quiet', 'aria-label': `Download as ${text}` })),
  );
  const dialog = openDialog(`${breakdown.label}, all`, tools, shown, pager);
  void load();
};

/** A card of tables, one tab each; more than five choices would not fit beside each other and become a list. */
export const tables = (page: Page, group: Group): Panel => {
  const { element, tools, body, run } = card(group.title, group.id);
  const open = (): Breakdown => {
    const first = group.breakdowns[0] as Breakdown;
    return group.breakdowns.find(({ id }) => id === page.state.tabs[group.id]) ?? first;
  };
  const chooser = h('div', {});
  const choose = (id: string): void => page.change({ tabs: { ...page.state.tabs, [group.id]: id } });
  const showChooser = (): void => {
    if (chooser.querySelector('[aria-selected=true]')?.getAttribute('data-value') === open().id) return;
    const choices = group.breakdowns.map(({ id, label }) => [id, label] as const);
    const focused = chooser.contains(document.activeElement);
    fill(chooser, tabs(group.title, choices, open().id, body, choose));
    if (focused) chooser.querySelector<HTMLElement>('[aria-selected=true]')?.focus();
  };
  if (group.breakdowns.length > 1) body.before(chooser);
  fill(
    tools,
    button('CSV', () => saveAs(page, open(), 'csv'), { class: 'quiet', 'aria-label': `Download ${group.title} as CSV` }),
    button('All', () => details(page, open()), { class: 'quiet', 'aria-label': `All ${group.title}` }),
  );
  return {
    element,
    key: () => {
      const { site, period, compare, filters } = page.state;
      return JSON.stringify([site, period, compare, filters, open().id]);
    },
    load: async (signal) => {
      if (group.breakdowns.length > 1) showChooser();
      await run(signal, async () => {
        const answer = await query(tableQuery(page, open(), ROWS + 1), signal);
        const kept = answer.results.filter((row) => !open().named || row.dimensions[0]);
        answer.results = kept.slice(0, ROWS);
        if (!answer.results.length && !answer.meta.withheld?.groups) return h('p', { class: 'empty' }, 'Nothing in this period.');
        return h('div', { class: 'scroll-x' }, table(page, open(), answer));
      });
    },
  };
};
