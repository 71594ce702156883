/** Days and hours of a site's time zone. Dates are `2026-01-31`, local times `2026-01-31 14:00:00`. */
import type { DateRange } from './api.ts';

export type Interval = 'hour' | 'day' | 'week' | 'month';

export const PERIODS: readonly (readonly [value: string, text: string])[] = [
  ['day', 'Today'],
  ['7d', 'Last 7 days'],
  ['28d', 'Last 28 days'],
  ['30d', 'Last 30 days'],
  ['91d', 'Last 91 days'],
  ['month', 'This month'],
  ['6mo', 'Last 6 months'],
  ['12mo', 'Last 12 months'],
  ['year', 'This year'],
  ['all', 'All time'],
];

const HOUR_MS = 3_600_000;
const DAY_MS = 24 * HOUR_MS;
const asUtc = (date: string): number => Date.parse(`${date.slice(0, 10)}T00:00:00Z`);

/** The date `days` later. */
export const addDays = (date: string, days: number): string =>
  new Date(asUtc(date) + days * DAY_MS).toISOString().slice(0, 10);
export const daysBetween = (from: string, to: string): number => Math.round((asUtc(to) - asUtc(from)) / DAY_MS);

/** Today's date there. */
export const today = (timeZone: string): string =>
  new Intl.DateTimeFormat('sv-SE', { timeZone, dateStyle: 'short' }).format(new Date());

/** This very hour there, as a label. */
export const thisHour = (timeZone: string): string =>
  `${new Intl.DateTimeFormat('sv-SE', { timeZone, dateStyle: 'short', timeStyle: 'medium' }).format(new Date()).slice(0, 13)}:00:00`;

/** The moment of a local time; where clocks go back, the first of the two. */
export const moment = (local: string, timeZone: string): string => {
  const wanted = Date.parse(`${local.slice(0, 10)}T${local.slice(11) || '00:00:00'}Z`);
  const shown = new Intl.DateTimeFormat('sv-SE', { timeZone, dateStyle: 'short', timeStyle: 'medium' });
  const offset = (at: number): number => Date.parse(`${shown.format(at).replace(' ', 'T')}Z`) - at;
  const at = wanted - offset(wanted - offset(wanted));
  return new Date(at).toISOString().replace('.000Z', 'Z');
};

/** First and last date of a range that the server has understood as two moments of the site's own time. */
export const datesOf = ([from, to]: [string, string]): [string, string] => {
  const end = to.slice(11, 19);
  // An end at midnight is the first moment that does not belong.
  const last = end === '00:00:00' && to.length > 10 && to.slice(0, 10) > from.slice(0, 10) ? addDays(to, -1) : to.slice(0, 10);
  return [from.slice(0, 10), last];
};

const isWholeDays = ([from, to]: [string, string]): boolean =>
  from.length === 10 || (from.slice(11, 19) === '00:00:00' && ['00:00:00', '23:59:59'].includes(to.slice(11, 19)));

/** The range of the same length just before. */
export const former = (range: [string, string]): DateRange => {
  if (isWholeDays(range)) {
    const [from, to] = datesOf(range);
    const days = daysBetween(from, to) + 1;
    return [addDays(from, -days), addDays(to, -days)];
  }
  const [from, to] = [Date.parse(range[0]), Date.parse(range[1])];
  const second = (at: number) => new Date(at).toISOString().replace(/\.\d+Z/, 'Z');
  return [second(from - (to - from)), second(from)];
};

/** How many days a range has; `firstDay` is the site's first with figures. */
export const lengthDays = (range: DateRange, firstDay: string | null, now: string): number => {
  if (Array.isArray(range)) return daysBetween(range[0], range[1]) + 1;
  const fixed: Record<string, number> = { day: 1, month: 31, '6mo': 183, '12mo': 366, year: 366 };
  if (range === 'all') return firstDay ? daysBetween(firstDay, now) + 1 : 28;
  return fixed[range] ?? Number.parseInt(range, 10);
};

/** Which intervals make a chart that can be read, the best first. */
export const intervalsFor = (days: number): Interval[] => {
  if (days <= 1) return ['hour'];
  if (days <= 7) return ['day', 'hour'];
  if (days <= 31) return ['day', 'hour', 'week'];
  if (days <= 92) return ['day', 'week', 'month'];
  return days <= 366 ? ['week', 'day', 'month'] : ['month', 'week'];
};

/** The range that the buckets `first` to `last` of a chart cover. */
export const rangeOf = (
  labels: string[],
  first: number,
  last: number,
  interval: Interval,
  whole: [string, string],
  timeZone: string,
): DateRange => {
  const [wholeFrom, wholeTo] = datesOf(whole);
  const next = labels[last + 1];
  if (interval === 'hour') {
    const begin = moment(labels[last] ?? wholeTo, timeZone);
    const hourLater = new Date(Date.parse(begin) + HOUR_MS).toISOString().replace('.000Z', 'Z');
    return [moment(labels[first] ?? wholeFrom, timeZone), next ? moment(next, timeZone) : hourLater];
  }
  const from = (labels[first] ?? wholeFrom).slice(0, 10);
  // A week or month may begin before the range does.
  return [from < wholeFrom ? wholeFrom : from, next ? addDays(next, -1) : wholeTo];
};

const written = (options: Intl.DateTimeFormatOptions) => {
  const format = new Intl.DateTimeFormat('en-GB', { ...options, timeZone: 'UTC' });
  return (label: string): string => format.format(Date.parse(`${label.slice(0, 10)}T${label.slice(11) || '00:00:00'}Z`));
};
const hour = written({ weekday: 'short', day: 'numeric', month: 'short', hour: '2-digit', minute: '2-digit' });
const day = written({ weekday: 'short', day: 'numeric', month: 'short', year: 'numeric' });
const month = written({ month: 'long', year: 'numeric' });
const shortHour = written({ hour: '2-digit', minute: '2-digit' });
const shortDay = written({ day: 'numeric', month: 'short' });
const shortMonth = written({ month: 'short', year: '2-digit' });

/** A bucket's name in full. */
export const bucketName = (label: string, interval: Interval): string => {
  if (interval === 'hour') return hour(label);
  if (interval === 'week') return `Week of ${day(label)}`;
  return interval === 'month' ? month(label) : day(label);
};

/** The same for an axis. */
export const bucketTick = (label: string, interval: Interval): string => {
  if (interval === 'hour') return label.slice(11, 13) === '00' ? shortDay(label) : shortHour(label);
  return interval === 'month' ? shortMonth(label) : shortDay(label);
};

/** A range as people say it. */
export const rangeName = (range: DateRange, timeZone: string): string => {
  if (!Array.isArray(range)) return PERIODS.find(([value]) => value === range)?.[1] ?? range;
  if (range[0].length === 10) {
    return range[0] === range[1] ? day(range[0]) : `${day(range[0])} to ${day(range[1])}`;
  }
  const local = new Intl.DateTimeFormat('en-GB', { timeZone, dateStyle: 'medium', timeStyle: 'short' });
  return `${local.format(Date.parse(range[0]))} to ${local.format(Date.parse(range[1]))}`;
};
