/** What the page shows, kept in the address after "#": a link, a bookmark and the back button bring it back. */
import type { DateRange, Filter } from './api.ts';
import { type Interval, PERIODS } from './period.ts';

export interface Step {
  kind: 'page' | 'event' | 'point';
  value: string;
}

export interface State {
  site: string;
  period: DateRange;
  compare: boolean;
  /** '' is the best for the period. */
  interval: Interval | '';
  metric: string;
  filters: Filter[];
  steps: Step[];
  /** Which tab of each group of tables is open. */
  tabs: Record<string, string>;
  share: string;
}

const DEFAULTS: State = {
  site: '',
  period: '28d',
  compare: false,
  interval: '',
  metric: 'visitors',
  filters: [],
  steps: [],
  tabs: {},
  share: '',
};

const OPERATORS = ['is', 'is_not', 'contains', 'contains_not', 'matches', 'matches_not'];
const KINDS = ['page', 'event', 'point'];
const FILTERS_MAX = 20;
const STEPS_MAX = 10;

const join = (parts: string[]): string => parts.map((part) => encodeURIComponent(part)).join(',');
const split = (text: string): string[] =>
  text.split(',').map((part) => {
    try {
      return decodeURIComponent(part);
    } catch {
      return part;
    }
  });

/** Reads an address; what it cannot be is left out, so that a damaged link still shows something. */
export const read = (hash: string): State => {
  const given = new URLSearchParams(hash.replace(/^#/, ''));
  const state: State = { ...DEFAULTS, tabs: {}, filters: [], steps: [] };
  state.site = given.get('site') ?? '';
  state.share = given.get('share') ?? '';
  const [from = '', to] = split(given.get('period') ?? '');
  if (to && !Number.isNaN(Date.parse(from)) && !Number.isNaN(Date.parse(to))) state.period = [from, to];
  else if (PERIODS.some(([value]) => value === from)) state.period = from;
  state.compare = given.get('compare') === '1';
  const interval = given.get('by') ?? '';
  if (['hour', 'day', 'week', 'month'].includes(interval)) state.interval = interval as Interval;
  state.metric = given.get('metric') ?? DEFAULTS.metric;
  for (const [operator = '', dimension = '', ...values] of given.getAll('f').slice(0, FILTERS_MAX).map(split)) {
    const known = OPERATORS.includes(operator) && /^(visit|event):[a-z_]+$/.test(dimension);
    if (known && values.length) state.filters.push([operator, dimension, values]);
  }
  for (const [kind = '', value = ''] of given.getAll('step').slice(0, STEPS_MAX).map(split)) {
    if (KINDS.includes(kind) && value) state.steps.push({ kind: kind as Step['kind'], value });
  }
  for (const [group = '', tab = ''] of given.getAll('tab').map(split)) state.tabs[group] = tab;
  return state;
};

/** The address of a state; what is as usual is left out. */
export const write = (state: State): string => {
  const given = new URLSearchParams();
  if (state.share) given.set('share', state.share);
  if (state.site) given.set('site', state.site);
  if (state.period !== DEFAULTS.period) given.set('period', Array.isArray(state.period) ? join(state.period) : state.period);
  if (state.compare) given.set('compare', '1');
  if (state.interval) given.set('by', state.interval);
  if (state.metric !== DEFAULTS.metric) given.set('metric', state.metric);
  for (const [operator, dimension, values] of state.filters) given.append('f', join([operator, dimension, ...values]));
  for (const { kind, value } of state.steps) given.append('step', join([kind, value]));
  for (const [group, tab] of Object.entries(state.tabs)) given.append('tab', join([group, tab]));
  return `#${given}`;
};

/** The filters with one value more; a second value of the same dimension widens that filter. */
export const withFilter = (filters: Filter[], dimension: string, value: string): Filter[] => {
  const same = filters.find(([operator, named]) => operator === 'is' && named === dimension);
  if (!same) return [...filters, ['is', dimension, [value]]];
  if (same[2].includes(value)) return filters;
  return filters.map((filter) => (filter === same ? ['is', dimension, [...same[2], value]] : filter));
};
