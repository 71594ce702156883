/**
 * Stand-ins for inner modules of web-vitals (lib/bfcache, initMetric, bindReporter, initUnique, whenActivated), put in
 * place by build.mjs. The tracker starts on a page that is seen, and sends each metric's value and nothing else, once
 * per page load; so ratings, ids, deltas, navigation types, prerendering and the second measurement after a restore
 * from the back/forward cache would be dead weight.
 */

interface Metric {
  name: string;
  value: number;
  entries: PerformanceEntry[];
}

export const onBFCacheRestore = (): void => {};

export const initMetric = (name: string, value = -1): Metric => ({ name, value, entries: [] });

/** Reports every change: vitals.ts asks for that, and keeps the last value. */
export const bindReporter = (report: (metric: Metric) => void, metric: Metric) => (): void => {
  if (metric.value >= 0) report(metric);
};

export const initUnique = <T>(_options: unknown, Manager: new () => T): T => new Manager();

export const whenActivated = (work: () => void): void => work();
