/** Web vitals of real visits, against the bounds of web.dev/articles/vitals. */
import { type Answer, query } from './api.ts';
import { type Child, button, fill, h } from './dom.ts';
import { count, kindOf, value } from './format.ts';
import { type Bounds, band, position } from './bands.ts';
import type { Page, Panel } from './page.ts';
import { card } from './panel.ts';
import { table } from './table.ts';

interface Vital extends Bounds {
  id: string;
  name: string;
}

const VITALS: readonly Vital[] = [
  { id: 'lcp', name: 'Largest Contentful Paint', good: 2500, poor: 4000 },
  { id: 'inp', name: 'Interaction to Next Paint', good: 200, poor: 500 },
  { id: 'cls', name: 'Cumulative Layout Shift', good: 0.1, poor: 0.25 },
  { id: 'fcp', name: 'First Contentful Paint', good: 1800, poor: 3000 },
  { id: 'ttfb', name: 'Time to First Byte', good: 800, poor: 1800 },
];
const QUANTILES = ['p50', 'p75', 'p95'] as const;

const bar = (vital: Vital, values: (number | null)[], k: number): Child => {
  const middle = values[1];
  const known = middle !== null && middle !== undefined;
  const marks = QUANTILES.map((quantile, at) => {
    const given = values[at];
    if (given === null || given === undefined) return false;
    const mark = h('span', { class: `mark ${quantile}` });
    mark.style.insetInlineStart = `${position(vital, given)}%`;
    return mark;
  });
  const bounds = `good up to ${kindOf(vital.id).write(vital.good)}, poor above ${kindOf(vital.id).write(vital.poor)}`;
  return h(
    'li',
    { class: 'vital', 'data-vital': vital.id },
    h('div', { class: 'vital-head' }, h('abbr', { title: vital.name }, vital.id.toUpperCase()), ' ', h('span', { class: 'soft' }, vital.name)),
    h(
      'div',
      { class: 'vital-value' },
      h('strong', {}, value(`${vital.id}_p75`, middle, k)),
      known && h('span', { class: `band ${band(vital, middle).replace(' ', '-')}` }, band(vital, middle)),
    ),
    h('div', { class: 'bands', 'aria-hidden': 'true' }, h('span', { class: 'good' }), h('span', { class: 'needs-work' }), h('span', { class: 'poor' }), marks),
    h('p', { class: 'soft' }, `Half under ${value(`${vital.id}_p50`, values[0], k)}, 95% under ${value(`${vital.id}_p95`, values[2], k)}; ${bounds}.`),
  );
};

export const vitals = (page: Page): Panel => {
  const { element, tools, body, run } = card('Web vitals', 'vitals');
  const byPage = h('div', {});
  const ask = (dimensions: string[], metrics: string[], signal: AbortSignal): Promise<Answer> =>
    query(
      {
        site: page.state.site,
        metrics,
        date_range: page.state.period,
        dimensions,
        filters: page.filters(),
        ...(dimensions.length ? { order_by: [['samples', 'desc']] as [string, 'desc'][], pagination: { limit: 10, offset: 0 } } : {}),
      },
      signal,
    );
  let signalled = new AbortController().signal;
  const showPages = async (): Promise<void> => {
    const metrics = ['samples', 'lcp_p75', 'inp_p75', 'cls_p75'];
    try {
      const answer = await ask(['event:page'], metrics, signalled);
      const breakdown = { id: 'vitals', label: 'Vitals by page', dimension: 'event:page', metrics };
      fill(byPage, h('div', { class: 'scroll-x' }, table(page, breakdown, answer)));
    } catch (fault) {
      if (!signalled.aborted) fill(byPage, h('p', { class: 'fault' }, (fault as Error).message));
    }
  };
  const expander = button('By page', () => {
    const open = expander.getAttribute('aria-expanded') !== 'true';
    expander.setAttribute('aria-expanded', String(open));
    byPage.hidden = !open;
    if (open) void showPages();
  }, { class: 'quiet', 'aria-expanded': 'false' });
  byPage.hidden = true;
  fill(tools, expander);
  body.after(byPage);
  return {
    element,
    key: () => JSON.stringify([page.state.site, page.state.period, page.state.filters]),
    load: (signal) => {
      signalled = signal;
      if (!byPage.hidden) void showPages();
      return run(signal, async () => {
        const metrics = ['samples', ...VITALS.flatMap(({ id }) => QUANTILES.map((quantile) => `${id}_${quantile}`))];
        const answer = await ask([], metrics, signal);
        const [samples, ...values] = answer.results[0]?.metrics ?? [];
        if (!samples) return h('p', { class: 'empty' }, `No measurements of at least ${answer.meta.k_anonymity} visitors in this period.`);
        return [
          h('p', { class: 'soft' }, `75th percentile of ${count(samples)} measured page loads; the marks are the 50th, 75th and 95th.`),
          h('ul', { class: 'vitals' }, VITALS.map((vital, at) => bar(vital, values.slice(at * 3, at * 3 + 3), answer.meta.k_anonymity))),
        ];
      });
    },
  };
};
