/** How figures are written. */
import type { Metric } from './api.ts';

const whole = new Intl.NumberFormat('en-GB', { maximumFractionDigits: 0 });
const tenth = new Intl.NumberFormat('en-GB', { maximumFractionDigits: 1 });
const exact = new Intl.NumberFormat('en-GB', { minimumFractionDigits: 2, maximumFractionDigits: 2 });
const short = new Intl.NumberFormat('en-GB', { notation: 'compact', maximumFractionDigits: 1 });

/** 1,234 */
export const count = (value: number): string => whole.format(value);
/** 1.2K, for axes. */
export const compact = (value: number): string => short.format(value);

/** 1m 05s */
export const seconds = (value: number): string => {
  const all = Math.round(value);
  const [hours, minutes, rest] = [Math.floor(all / 3600), Math.floor(all / 60) % 60, all % 60];
  if (hours) return `${hours}h ${String(minutes).padStart(2, '0')}m`;
  return minutes ? `${minutes}m ${String(rest).padStart(2, '0')}s` : `${rest}s`;
};

/** 0.71 becomes 71 %; never a rounded 100 % where something is missing. */
export const share = (value: number): string =>
  value < 1 && value > 0.999 ? '> 99.9%' : `${tenth.format(value * 100)}%`;

export const milliseconds = (value: number): string =>
  value >= 1000 ? `${exact.format(value / 1000)} s` : `${whole.format(value)} ms`;

export interface MetricKind {
  label: string;
  write: (value: number) => string;
  /** Whether more is better; nothing where that cannot be said. */
  better?: 'more' | 'less';
  /** Where there is nobody, it is 0; of nobody, a mean or share is nothing. */
  counts?: true;
  /** A share, whose change is told in points. */
  points?: true;
}

const METRICS: Record<string, MetricKind> = {
  visitors: { label: 'Visitors', write: count, better: 'more', counts: true },
  visits: { label: 'Visits', write: count, better: 'more', counts: true },
  pageviews: { label: 'Page views', write: count, better: 'more', counts: true },
  views_per_visit: { label: 'Views per visit', write: (value) => exact.format(value), better: 'more' },
  bounce_rate: { label: 'Bounce rate', write: (value) => `${tenth.format(value)}%`, better: 'less', points: true },
  visit_duration: { label: 'Visit length', write: seconds, better: 'more' },
  events: { label: 'Events', write: count, better: 'more', counts: true },
  scroll_depth: { label: 'Scroll depth', write: (value) => `${tenth.format(value)}%`, better: 'more', points: true },
  time_on_page: { label: 'Time on page', write: seconds, better: 'more' },
  crashes: { label: 'Crashes', write: count, better: 'less', counts: true },
  clicks: { label: 'Clicks', write: count, better: 'more', counts: true },
  samples: { label: 'Samples', write: count },
};

/** A metric's name, how its values are written and which way is good. */
export const kindOf = (metric: Metric): MetricKind => {
  const known = METRICS[metric];
  if (known) return known;
  const [vital, quantile] = metric.split('_');
  const write = vital === 'cls' ? (value: number) => exact.format(value) : milliseconds;
  return { label: `${vital?.toUpperCase()} ${quantile ?? ''}`.trim(), write, better: 'less' };
};

/** A value, or that it is withheld: fewer than k visitors stand behind it. */
export const value = (metric: Metric, given: number | null | undefined, k: number): string =>
  given === null || given === undefined ? `< ${k} visitors` : kindOf(metric).write(given);

/** A change as the API gives it: in per cent, of a share in points. */
export const change = (metric: Metric, given: number): string =>
  `${given > 0 ? '+' : ''}${tenth.format(given)}${kindOf(metric).points ? ' points' : '%'}`;

const names = (type: 'region' | 'language') => {
  const list = new Intl.DisplayNames(['en'], { type, fallback: 'code' });
  return (code: string): string => {
    try {
      return list.of(code) ?? code;
    } catch {
      return code;
    }
  };
};
const country = names('region');
const language = names('language');

/** A dimension's value as people read it. */
export const dimensionValue = (dimension: string, given: string): string => {
  if (!given) return '(none)';
  if (dimension === 'visit:country') return country(given);
  if (dimension === 'visit:language') return language(given);
  return given;
};

const DIMENSIONS: Record<string, string> = {
  'event:page': 'Page',
  'event:hostname': 'Host',
  'event:name': 'Event',
  'event:point': 'Function point',
  'event:crash': 'Crash',
  'visit:utm_source': 'UTM source',
  'visit:utm_medium': 'UTM medium',
  'visit:utm_campaign': 'Campaign',
  'visit:utm_content': 'UTM content',
  'visit:utm_term': 'UTM term',
  'visit:os': 'System',
  'visit:os_version': 'System version',
};

/** A dimension's name: `visit:entry_page` is an Entry page. */
export const dimensionName = (dimension: string): string => {
  const plain = dimension.split(':')[1]?.replace(/_/g, ' ') ?? dimension;
  return DIMENSIONS[dimension] ?? plain.charAt(0).toUpperCase() + plain.slice(1);
};
