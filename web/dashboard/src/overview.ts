/** The first card: the figures of the period, each a button that draws it over time, and the chart. */
import { type Answer, type DateRange, type Query, download, query } from './api.ts';
import { type Series, chart, wholeButton } from './chart.ts';
import { type Child, button, fill, h, say, select } from './dom.ts';
import { change, kindOf, value } from './format.ts';
import { type Page, type Panel } from './page.ts';
import { card } from './panel.ts';
import { type Interval, former, intervalsFor, lengthDays, rangeName, rangeOf, thisHour, today } from './period.ts';

const METRICS = ['visitors', 'visits', 'pageviews', 'views_per_visit', 'bounce_rate', 'visit_duration'];
const BUCKETS_MAX = 1000;

const trend = (metric: string, percent: number | null | undefined): Child => {
  if (percent === null || percent === undefined) return false;
  const { better } = kindOf(metric);
  const good = percent === 0 || !better ? '' : percent > 0 === (better === 'more') ? 'good' : 'poor';
  const arrow = percent === 0 ? '' : percent > 0 ? '↑ ' : '↓ ';
  return h('span', { class: `change ${good}` }, `${arrow}${change(metric, percent)}`);
};

/** What stands where the answer has no such group: nobody, or fewer than k, which is a gap. */
const missing = (metric: string, answer: Answer): 0 | null =>
  kindOf(metric).counts && !answer.meta.withheld?.groups ? 0 : null;

const byLabel = (answer: Answer, metric: string, labels: string[]): (number | null)[] => {
  const found = new Map(answer.results.map((row) => [row.dimensions[0], row.metrics[0] ?? null]));
  return labels.map((label) => found.get(label) ?? (found.has(label) ? null : missing(metric, answer)));
};

const labelsOf = (answer: Answer): string[] => answer.meta.time_labels ?? answer.results.map((row) => row.dimensions[0] ?? '');

/** The overview; `onanswer` is told each answer about the whole period, for the badge and the warnings. */
export const overview = (page: Page, onanswer: (answer: Answer) => void): Panel & { redraw(): void } => {
  const { element, tools, body, run } = card('Overview', 'overview');
  const tiles = h('div', { class: 'tiles', role: 'group', 'aria-label': 'Figures; each can be drawn over time' });
  const plotted = h('div', { class: 'plotted' });
  const above = h('p', { class: 'range' });
  let drawn: ReturnType<typeof chart> | undefined;

  const base = (): Omit<Query, 'metrics'> => ({
    site: page.state.site,
    date_range: page.state.period,
    filters: page.filters(),
  });
  const metric = (): string => (METRICS.includes(page.state.metric) ? page.state.metric : 'visitors');
  const intervals = (): Interval[] =>
    intervalsFor(lengthDays(page.state.period, page.site.first_day, today(page.site.time_zone)));
  const interval = (): Interval => {
    const all = intervals();
    return all.find((one) => one === page.state.interval) ?? all[0] ?? 'day';
  };
  const overTime = (range: DateRange, metrics: string[]): Query => ({
    ...base(),
    metrics,
    date_range: range,
    dimensions: [`time:${interval()}`],
    include: { time_labels: true },
    pagination: { limit: BUCKETS_MAX, offset: 0 },
  });

  const showTiles = (answer: Answer): void => {
    const [row] = answer.results;
    fill(
      tiles,
      METRICS.map((name, at) => {
        const before = row?.comparison?.metrics[at];
        const nobody = !row && !answer.meta.withheld?.groups;
        const shown = nobody ? (kindOf(name).counts ? kindOf(name).write(0) : '–') : value(name, row?.metrics[at], answer.meta.k_anonymity);
        return button(
          [
            h('span', { class: 'tile-name' }, kindOf(name).label),
            h('span', { class: 'tile-value' }, shown),
            trend(name, row?.comparison?.change[at]),
            row?.comparison && h('span', { class: 'before' }, `before: ${value(name, before, answer.meta.k_anonymity)}`),
          ],
          () => page.change({ metric: name }),
          { class: 'tile', 'data-metric': name, 'aria-pressed': String(name === metric()) },
        );
      }),
    );
  };

  const showTools = (): void => {
    fill(
      tools,
      Array.isArray(page.state.period) && wholeButton(() => page.change({ period: '28d', interval: '' })),
      select(
        'By',
        intervals().map((one) => [one, one]),
        interval(),
        (chosen) => page.change({ interval: chosen as Interval }),
      ),
      button('CSV', () => void save(), { class: 'quiet', 'aria-label': 'Download the figures over time as CSV' }),
    );
  };
  const save = async (): Promise<void> => {
    const { include: _, ...asked } = overTime(page.state.period, METRICS);
    try {
      await download(asked, 'csv', `${page.state.site}-by-${interval()}`);
      say('The file was saved.');
    } catch (fault) {
      say(fault instanceof Error ? fault.message : 'The file could not be saved.');
    }
  };

  const load = (signal: AbortSignal): Promise<void> =>
    run(signal, async () => {
      const comparing = page.state.compare && page.state.period !== 'all';
      const include: Query['include'] = comparing ? { comparisons: { mode: 'previous_period' } } : {};
      const [answer, line] = await Promise.all([
        query({ ...base(), metrics: METRICS, include }, signal),
        query(overTime(page.state.period, [metric()]), signal),
      ]);
      const range = line.query.date_range as [string, string];
      const all = labelsOf(line);
      // What is still to come is no gap.
      const now = thisHour(line.meta.time_zone);
      const labels = all.filter((label) => label <= now);
      const series: Series = {
        metric: metric(),
        interval: interval(),
        labels,
        values: byLabel(line, metric(), labels),
        k: line.meta.k_anonymity,
      };
      if (comparing) {
        const then = await query(overTime(former(range), [metric()]), signal);
        const thenLabels = labelsOf(then).slice(0, labels.length);
        series.former = { labels: thenLabels, values: byLabel(then, metric(), thenLabels) };
      }
      signal.throwIfAborted();
      onanswer(answer);
      showTiles(answer);
      showTools();
      // How long whoever opened the page waited for a figure: performance.getEntriesByName('figures').
      if (!performance.getEntriesByName('figures').length) performance.mark('figures');
      const first = answer.results[0]?.metrics[0];
      const name = rangeName(page.state.period, line.meta.time_zone);
      const lines = comparing ? ' Solid: this period; dashed: the former one.' : '';
      fill(above, `${name}, time zone ${line.meta.time_zone}. Gaps: fewer than ${line.meta.k_anonymity} visitors.${lines}`);
      say(`${name}: ${value('visitors', first, answer.meta.k_anonymity)} visitors.`);
      drawn?.destroy();
      drawn = chart(series, (from, to) => {
        page.change({ period: rangeOf(all, from, to, series.interval, range, line.meta.time_zone), interval: '' });
      });
      fill(plotted, drawn.element);
      return [tiles, above, plotted];
    });
  fill(body, tiles, above, plotted);
  const key = (): string => {
    const { site, period, compare, filters } = page.state;
    return JSON.stringify([site, period, compare, interval(), metric(), filters]);
  };
  return { element, load, key, redraw: () => drawn?.draw() };
};
