/**
 * A statistics API for the dashboard's tests: answers in the shapes of the real one over sixty made-up days of one shop, and hands
 * every other path to a collector. Small and slow; nothing of it is in the product.
 */
import { createServer, request } from 'node:http';
import { bodyOf } from './recorder.mjs';

const ZONE = 'Europe/Madrid';
const K = 10;
const DAYS = 60;
const DAY_MS = 86_400_000;

/** mulberry32: the same days each time. */
const random = (seed) => () => {
  seed = (seed + 0x6d2b79f5) | 0;
  let t = Math.imul(seed ^ (seed >>> 15), 1 | seed);
  t = (t + Math.imul(t ^ (t >>> 7), 61 | t)) ^ t;
  return ((t ^ (t >>> 14)) >>> 0) / 4294967296;
};

/** Text that would be a program if it were taken for markup. */
export const HOSTILE = '<img src=x onerror="document.title=1">';

const PAGES = ['/', '/blog', '/blog/hello', '/basket', '/thanks', '/about', '/shop/shoes', '/shop/hats', `/q/${HOSTILE}`, '/a/very/long/path/that/does/not/fit/into/a/narrow/card/at/all', '/imprint'];
const SOURCES = [
  ['Direct', 'direct', '', ''],
  ['Organic Search', 'google', 'www.google.com', ''],
  ['Organic Social', 'mastodon', 'mastodon.example', ''],
  ['Email', 'newsletter', '', 'autumn'],
  ['Referral', 'friend.example', 'friend.example', ''],
  ['Paid Search', 'google', 'www.google.com', 'brand'],
];
const DEVICES = [
  ['mobile', 'Chrome', '141', 'Android', '16', 'w390'],
  ['desktop', 'Firefox', '145', 'Windows', '10', 'w1920'],
  ['desktop', 'Chrome', '142', 'macOS', '15', 'w1440'],
  ['mobile', 'Safari', '26', 'iOS', '26', 'w390'],
  ['tablet', 'Safari', '26', 'iPadOS', '26', 'w820'],
];
const COUNTRIES = ['ES', 'DE', 'FR', 'GB', 'US', 'IS'];
const LANGUAGES = ['es', 'de-DE', 'fr', 'en-GB'];
const VITALS = { ttfb: 900, fcp: 1500, lcp: 2300, inp: 180, cls: 0.16, dom: 2000, load: 2600 };

/** A local date `back` days ago. */
const today = () => new Intl.DateTimeFormat('sv-SE', { timeZone: ZONE, dateStyle: 'short' }).format(new Date());
const addDays = (date, days) => new Date(Date.parse(`${date}T00:00:00Z`) + days * DAY_MS).toISOString().slice(0, 10);

/** Hits: one row for each thing that happened, with what is known of its visit. */
const makeHits = () => {
  const draw = random(7);
  // The first of a list is the most frequent.
  const pick = (list) => list[Math.floor(list.length * draw() ** 2)];
  const hits = [];
  let number = 0;
  for (let day = 0; day < DAYS; day++) {
    const date = addDays(today(), day - DAYS + 1);
    const visits = 60 + Math.floor(60 * draw()) + (day % 7 < 5 ? 40 : 0);
    for (let visit = 0; visit < visits; visit++) {
      const [channel, source, referrer, utm_campaign] = pick(SOURCES);
      const [device, browser, browser_version, os, os_version, screen] = pick(DEVICES);
      const pages = Array.from({ length: 1 + Math.floor(5 * draw() ** 2) }, () => pick(PAGES));
      const start = Math.floor(1380 * draw());
      const visitor = `${date} ${Math.floor(visits * 0.9 * draw())}`;
      const duration = pages.length * 20 * draw();
      const own = { visit: number++, visitor, date, duration, bounce: pages.length === 1 && duration < 10, channel, source, referrer };
      const utm = utm_campaign ? { utm_campaign, utm_source: source, utm_medium: 'email', utm_content: 'top', utm_term: 'shoes' } : {};
      const place = { country: pick(COUNTRIES), language: pick(LANGUAGES), entry_page: pages[0], exit_page: pages.at(-1) };
      const base = { ...own, ...utm, ...place, device, browser, browser_version, os, os_version, screen, hostname: 'shop.example' };
      pages.forEach((page, at) => {
        const minute = Math.min(1439, start + at);
        const clock = `${String(Math.floor(minute / 60)).padStart(2, '0')}:${String(minute % 60).padStart(2, '0')}:00`;
        const hit = (type, more = {}) => hits.push({ ...base, type, page, at: `${date} ${clock}`, ...more });
        hit('pageview', { engaged: 5 + 40 * draw(), scroll: Math.floor(100 * draw()) });
        if (draw() < 0.25) hit('custom', { name: pick(['add_to_cart', 'sign_up', 'search', 'rare_event']) });
        if (draw() < 0.3) hit('click', { point: pick(['nav.buy', 'hero.more', 'foot.help']) });
        if (draw() < 0.5) {
          hit('performance', { vitals: Object.fromEntries(Object.entries(VITALS).map(([name, typical]) => [name, typical * (0.3 + 1.4 * draw())])) });
        }
      });
    }
  }
  return hits;
};

class Refused extends Error {
  constructor(status, code, message, field) {
    super(message);
    Object.assign(this, { status, code, field });
  }
}

const distinct = (hits, key) => new Set(hits.map((hit) => hit[key])).size;
const firstOfVisits = (hits) => [...new Map(hits.map((hit) => [hit.visit, hit])).values()];
const mean = (list) => (list.length ? list.reduce((sum, one) => sum + one, 0) / list.length : 0);
const ofType = (hits, type) => hits.filter((hit) => hit.type === type);

const METRICS = {
  visitors: (hits) => distinct(hits, 'visitor'),
  visits: (hits) => distinct(hits, 'visit'),
  pageviews: (hits) => ofType(hits, 'pageview').length,
  views_per_visit: (hits) => Math.round((100 * ofType(hits, 'pageview').length) / Math.max(1, distinct(hits, 'visit'))) / 100,
  bounce_rate: (hits) => Math.round(1000 * mean(firstOfVisits(hits).map(({ bounce }) => Number(bounce)))) / 10,
  visit_duration: (hits) => Math.round(mean(firstOfVisits(hits).map(({ duration }) => duration))),
  events: (hits) => ofType(hits, 'custom').length,
  clicks: (hits) => ofType(hits, 'click').length,
  crashes: () => 0,
  scroll_depth: (hits) => Math.round(mean(ofType(hits, 'pageview').map(({ scroll }) => scroll))),
  time_on_page: (hits) => Math.round(mean(ofType(hits, 'pageview').map(({ engaged }) => engaged))),
  samples: (hits) => ofType(hits, 'performance').length,
};

const measure = (metric, hits) => {
  if (METRICS[metric]) return METRICS[metric](hits);
  const [, vital, percent] = /^([a-z]+)_p(50|75|95)$/.exec(metric) ?? [];
  if (!(vital in VITALS)) throw new Refused(400, 'metric_unknown', `There is no such metric. Known are ${Object.keys(METRICS).join(', ')}.`, 'metrics');
  const sorted = ofType(hits, 'performance').map(({ vitals }) => vitals[vital]).sort((a, b) => a - b);
  return sorted[Math.floor((sorted.length * percent) / 100)] ?? null;
};

const monday = (date) => addDays(date, -((new Date(`${date}T00:00:00Z`).getUTCDay() + 6) % 7));
const bucket = (hit, unit) => {
  const date = hit.at.slice(0, 10);
  if (unit === 'hour') return `${hit.at.slice(0, 13)}:00:00`;
  if (unit === 'week') return monday(date);
  return unit === 'month' ? `${date.slice(0, 7)}-01` : date;
};
const dimensionOf = (hit, dimension) => {
  const [kind, name] = dimension.split(':');
  return kind === 'time' ? bucket(hit, name) : hit[name];
};

const matches = (hit, [operator, dimension, values]) => {
  if (operator === 'and') return dimension.every((filter) => matches(hit, filter));
  if (operator === 'or') return dimension.some((filter) => matches(hit, filter));
  if (operator === 'not') return !matches(hit, dimension);
  const given = dimensionOf(hit, dimension) ?? '';
  const found = {
    is: values.includes(given),
    is_not: !values.includes(given),
    contains: values.some((value) => given.toLowerCase().includes(value.toLowerCase())),
    contains_not: !values.some((value) => given.toLowerCase().includes(value.toLowerCase())),
  }[operator];
  if (found === undefined) throw new Refused(400, 'filter_invalid', 'This operator is not known.', 'filters[0][0]');
  return found;
};

/** First and last local date. */
const datesOf = (range) => {
  const now = today();
  if (Array.isArray(range)) return range.map((one) => (one.length === 10 ? one : localDate(one)));
  const months = { '6mo': -183, '12mo': -365, year: -365, all: 1 - DAYS }[range];
  if (months !== undefined) return [addDays(now, months), now];
  if (range === 'day') return [now, now];
  if (range === 'month') return [`${now.slice(0, 7)}-01`, now];
  const days = /^([0-9]+)d$/.exec(range)?.[1];
  if (!days) throw new Refused(400, 'date_range_invalid', 'A date_range is "7d", "month" or two dates.', 'date_range');
  return [addDays(now, 1 - Number(days)), now];
};
const local = new Intl.DateTimeFormat('sv-SE', { timeZone: ZONE, dateStyle: 'short', timeStyle: 'medium' });
const localDate = (stamp) => local.format(Date.parse(stamp)).slice(0, 10);

const inRange = (hits, range) => {
  const [from, to] = Array.isArray(range) && range[0].length > 10 ? range.map((one) => local.format(Date.parse(one))) : datesOf(range);
  return from.length > 10 ? hits.filter(({ at }) => at >= from && at < to) : hits.filter(({ date }) => date >= from && date <= to);
};

const labelsOf = ([from, to], unit, range) => {
  const labels = new Set();
  for (let date = from; date <= to; date = addDays(date, 1)) {
    const hours = unit === 'hour' ? Array.from({ length: 24 }, (_, hour) => String(hour).padStart(2, '0')) : ['00'];
    for (const hour of hours) labels.add(bucket({ at: `${date} ${hour}:00:00` }, unit));
  }
  const [first, last] = Array.isArray(range) && range[0].length > 10 ? range.map((one) => local.format(Date.parse(one))) : ['', '9'];
  return [...labels].filter((label) => unit !== 'hour' || (label >= first && label < last));
};

const offset = (date) => (new Date(`${date}T12:00:00Z`).getUTCMonth() % 11 ? '+02:00' : '+01:00');
const stamps = (range) =>
  Array.isArray(range) && range[0].length > 10 ? range : datesOf(range).map((date, end) => `${date}T${end ? '23:59:59' : '00:00:00'}${offset(date)}`);

const books = (hits) => {
  const stored = hits.length;
  const dropped = { consent_absent: Math.round(stored * 0.2), consent_denied: Math.round(stored * 0.1), duplicate: 12 };
  const lost = Object.values(dropped).reduce((sum, one) => sum + one, 0);
  const received = stored + lost + 3 + 7;
  const share_consented = stored / (stored + dropped.consent_absent + dropped.consent_denied);
  return { received, stored, in_flight: 3, quarantined: 0, rejected: 7, dropped, share_stored: stored / received, share_consented };
};

const grouped = (hits, dimensions, metrics) => {
  const groups = new Map();
  for (const hit of hits) {
    const values = dimensions.map((dimension) => dimensionOf(hit, dimension));
    if (values.some((value) => value === undefined || (value === '' && !dimensions[0].endsWith('referrer')))) continue;
    const key = JSON.stringify(values);
    if (!groups.has(key)) groups.set(key, []);
    groups.get(key).push(hit);
  }
  const rows = [];
  const small = [];
  for (const [key, own] of groups) {
    if (distinct(own, 'visitor') < K) small.push(own);
    else rows.push({ dimensions: JSON.parse(key), metrics: metrics.map((metric) => measure(metric, own)) });
  }
  const together = small.flat();
  const told = distinct(together, 'visitor') >= K;
  return { rows, withheld: { groups: small.length, metrics: told ? metrics.map((metric) => measure(metric, together)) : null } };
};

const percent = (is, was) => (was ? Math.round((1000 * (is - was)) / was) / 10 : null);

const answerQuery = (hits, body, paged = true) => {
  const { site, metrics, date_range, dimensions = [], filters = [], include = {}, order_by = [], pagination = {} } = body;
  if (site !== 'shop' && site !== 'blog') throw new Refused(404, 'site_unknown', 'There is no such site.', 'site');
  if (JSON.stringify(filters).includes('refuse-me')) {
    throw new Refused(422, 'too_narrow', 'This query differs from a recent one by one narrow filter. Widen the filter.', 'filters[0]');
  }
  const matching = hits.filter((hit) => filters.every((filter) => matches(hit, filter)));
  const own = inRange(matching, date_range);
  const { rows, withheld } = grouped(own, dimensions, metrics);
  if (include.comparisons) {
    const [from, to] = datesOf(date_range);
    const days = Math.round((Date.parse(to) - Date.parse(from)) / DAY_MS) + 1;
    const before = grouped(inRange(matching, [addDays(from, -days), addDays(to, -days)]), dimensions, metrics).rows;
    for (const row of rows) {
      const then = before.find((other) => other.dimensions.join() === row.dimensions.join())?.metrics ?? metrics.map(() => null);
      // Of a share, in points.
      const change = (was, at) => (metrics[at] === 'bounce_rate' && was !== null ? Math.round(row.metrics[at] - was) : percent(row.metrics[at], was));
      row.comparison = { metrics: then, change: then.map(change) };
    }
  }
  const [by, direction] = order_by[0] ?? [metrics[0], 'desc'];
  const at = metrics.indexOf(by);
  rows.sort((a, b) => (direction === 'asc' ? 1 : -1) * (a.metrics[at] - b.metrics[at]));
  const unit = dimensions[0]?.startsWith('time:') ? dimensions[0].slice(5) : undefined;
  const start = pagination.offset ?? 0;
  return {
    results: paged ? rows.slice(start, start + (pagination.limit ?? 100)) : rows,
    meta: {
      ...(include.time_labels && unit ? { time_labels: labelsOf(datesOf(date_range), unit, date_range) } : {}),
      ...(include.total_rows ? { total_rows: rows.length } : {}),
      withheld,
      k_anonymity: K,
      time_zone: ZONE,
    },
    query: { ...body, date_range: stamps(date_range) },
    completeness: books(inRange(hits, date_range)),
  };
};

const exported = (hits, { format = 'csv', ...body }) => {
  const { results } = answerQuery(hits, body, false);
  const names = [...(body.dimensions ?? []), ...body.metrics];
  const cells = results.map((row) => [...row.dimensions, ...row.metrics]);
  if (format === 'jsonl') return cells.map((row) => JSON.stringify(Object.fromEntries(names.map((name, at) => [name, row[at]])))).join('\n');
  const quoted = (cell) => (/[",\n]/.test(String(cell)) ? `"${String(cell).replaceAll('"', '""')}"` : String(cell ?? ''));
  return [names, ...cells].map((row) => row.map(quoted).join(',')).join('\n');
};

const glob = (pattern) => new RegExp(`^${pattern.split('*').map((part) => part.replace(/[.+?^${}()|[\]\\]/g, '\\$&')).join('.*')}$`);
const funnelOf = (hits, { date_range, steps, filters = [] }) => {
  const visits = new Map();
  for (const hit of inRange(hits, date_range)) {
    if (!filters.every((filter) => matches(hit, filter))) continue;
    if (!visits.has(hit.visit)) visits.set(hit.visit, 0);
    const step = steps[visits.get(hit.visit)];
    if (!step) continue;
    const is =
      (step.page && hit.type === 'pageview' && glob(step.page).test(hit.page)) ||
      (step.event && hit.name === step.event) ||
      (step.point && hit.point === step.point);
    if (is) visits.set(hit.visit, visits.get(hit.visit) + 1);
  }
  const counts = steps.map((_, at) => [...visits.values()].filter((reached) => reached > at).length);
  return {
    steps: steps.map((step, at) => {
      const count = counts[at] < K ? null : counts[at];
      const part = (of) => (count === null || !of ? null : count / of);
      return { label: Object.values(step)[0], visits: count, share_of_first: part(counts[0]), share_of_former: part(counts[at - 1] ?? counts[0]) };
    }),
    meta: { k_anonymity: K, time_zone: ZONE },
    completeness: books(inRange(hits, date_range)),
  };
};

const CRASHES = ['TypeError', 'RangeError'].map((kind, at) => ({
  fingerprint: `00000000000000a${at}`,
  kind,
  message: `${HOSTILE} is not a function`,
  stack: `${kind}: x is not a function\n    at buy (https://shop.example/app.js:10:5)\n    at ${HOSTILE}`,
  source: '/app.js:10:5',
  versions: ['1.2.3', '1.2.4'],
  crashes: 120 - at * 70,
  visitors: 60 - at * 40,
  first_seen: addDays(today(), -9),
  last_seen: today(),
}));

const realtime = () => ({
  visitors: 37,
  minutes: Array.from({ length: 30 }, (_, at) => (at % 10 === 3 ? null : 12 + ((at * 7) % 23))),
  pages: [{ page: '/', visitors: 21 }, { page: '/blog', visitors: 12 }],
  k_anonymity: K,
});

const sites = () => ['shop', 'blog'].map((id) => ({ id, time_zone: ZONE, k_anonymity: K, first_day: addDays(today(), 1 - DAYS) }));

/**
 * Starts it in front of the collector's admin address `collector`; with `token`, only who sends it is answered. Resolves to its base
 * URL, the requests it answered itself, and `close()`.
 */
export const fakeStats = async (collector, token) => {
  const hits = makeHits();
  const asked = [];
  const shares = new Map();
  const target = new URL(collector);

  const answer = async (path, query, body, epsilon) => {
    const noisy = (given) => (epsilon ? { ...given, meta: { ...given.meta, noise: { epsilon } } } : given);
    if (path === 'sites') return { sites: epsilon === undefined ? sites() : sites().slice(0, 1) };
    if (path === 'query') return noisy(answerQuery(hits, body));
    if (path === 'realtime') return realtime();
    if (path === 'funnel') return funnelOf(hits, body);
    if (path === 'crashes') return { crashes: CRASHES, meta: { k_anonymity: K, time_zone: ZONE } };
    if (path === 'export') return exported(hits, body);
    if (path === 'shares' && epsilon === undefined) {
      const made = `share-${shares.size}`;
      shares.set(made, body.epsilon ?? 0);
      return { token: made, expires_at: new Date(Date.now() + body.expires_in_s * 1000).toISOString(), path: `/dashboard#share=${made}` };
    }
    throw new Refused(404, 'not_found', 'There is nothing here.');
  };

  const own = async (incoming, outgoing, url) => {
    const text = (await bodyOf(incoming)).toString();
    const body = text ? JSON.parse(text) : undefined;
    const path = url.pathname.slice('/v1/stats/'.length);
    asked.push({ path, body });
    const say = (status, given, type = 'application/json') => {
      outgoing.writeHead(status, { 'content-type': type, 'cache-control': 'no-store', 'x-content-type-options': 'nosniff' });
      outgoing.end(typeof given === 'string' ? given : JSON.stringify(given));
    };
    try {
      const sent = incoming.headers.authorization?.replace(/^Bearer /, '');
      const shared = shares.get(sent);
      if (token && sent !== token && shared === undefined) throw new Refused(401, 'unauthorized', 'Send the token of the admin address.');
      const given = await answer(path, url.searchParams, body, shared);
      say(200, given, typeof given === 'string' ? 'text/csv; charset=utf-8' : undefined);
    } catch (fault) {
      if (!(fault instanceof Refused)) throw fault;
      const { status, code, message, field } = fault;
      say(status, { error: { code, message, ...(field ? { field } : {}) } });
    }
  };

  const server = createServer((incoming, outgoing) => {
    const url = new URL(incoming.url, 'http://fake');
    if (url.pathname.startsWith('/v1/stats/')) {
      own(incoming, outgoing, url).catch((fault) => {
        console.error(fault);
        outgoing.destroy();
      });
      return;
    }
    const { method, headers } = incoming;
    const forwarded = request({ host: target.hostname, port: target.port, method, path: incoming.url, headers }, (given) => {
      outgoing.writeHead(given.statusCode, given.headers);
      given.pipe(outgoing);
    });
    forwarded.on('error', () => outgoing.writeHead(502).end());
    incoming.pipe(forwarded);
  });
  await new Promise((listening) => server.listen(0, '127.0.0.1', listening));
  const close = () => {
    server.closeAllConnections();
    server.close();
  };
  return { base: `http://127.0.0.1:${server.address().port}`, asked, close };
};
