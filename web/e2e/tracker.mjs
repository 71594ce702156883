/**
 * The tracker on a site without a consent manager: a busy collector, and titles in a page that changes its address.
 *
 *   npm ci && node tracker.mjs ../dist [http://127.0.0.1:8080]
 *
 * Arguments, output and environment as for managers.mjs.
 */
import assert from 'node:assert/strict';
import { STEP_MS_MAX, eventsOf, page, quiet, run, until } from './site.mjs';

const [, , dist, collector] = process.argv;
if (!dist) {
  console.error('usage: node tracker.mjs DIST_DIR [COLLECTOR_URL]');
  process.exit(2);
}

const TITLES = { '/': 'Start', '/next': 'Next', '/last': 'Last' };

const pages = (endpoint) => ({
  '/': page({
    title: 'Start',
    tracker: `data-endpoint="${endpoint}"`,
    // Before the tracker's own listener, as a framework's may be.
    head: `<script>
      addEventListener('popstate', () => { document.title = ${JSON.stringify(TITLES)}[location.pathname]; }, true);
    </script>`,
  }),
});

const agree = async (newContext, base) => {
  const context = await newContext();
  const tab = await context.newPage();
  const scripts = [];
  tab.on('request', (request) => scripts.push(new URL(request.url()).pathname));
  await tab.goto(`${base}/`);
  await tab.waitForFunction(() => 'granted' in (globalThis.consentry ?? {}), null, { timeout: STEP_MS_MAX });
  await tab.evaluate(() => globalThis.consentry.consent(true));
  return { tab, scripts, close: () => context.close() };
};

/** A 503 is asked once more, no earlier than it says; what happens meanwhile waits too, and nothing comes twice. */
const busy = async ({ newContext, base, log }) => {
  log.busy = 1;
  const { tab, scripts, close } = await agree(newContext, base);
  await until('the refused batch', () => log.statuses.length === 1);
  await tab.evaluate(() => globalThis.consentry.event('meanwhile'));
  await until('the second try', () => log.statuses.length === 3);
  assert.deepEqual(log.statuses, [503, 202, 202]);
  const [first, again, fresh] = log.envelopes.map(({ events }) => events.map(({ id }) => id));
  assert.deepEqual([...again, ...fresh].sort(), [...new Set([...first, ...again, ...fresh])].sort(), 'each event once');
  assert.ok([again, fresh].some((ids) => ids.join() === first.join()), 'the refused batch comes again as it was');
  const waited = log.moments[1] - log.moments[0];
  assert.ok(waited >= log.retryAfterS * 1000, `Retry-After: ${log.retryAfterS}, waited ${waited} ms`);
  assert.ok(!scripts.includes('/js/consentry-managers.js'), 'no second file where no manager is named');
  await close();
  return { waited_ms: waited };
};

/** Each page view carries its own page's title, however soon the visitor goes on. */
const titles = async ({ newContext, base, log }) => {
  const before = eventsOf(log, 'pageview').length;
  const { tab, close } = await agree(newContext, base);
  await quiet(tab);
  await tab.evaluate(async () => {
    const popped = () => new Promise((then) => addEventListener('popstate', () => setTimeout(then), { once: true }));
    const visit = (path, title, titleFirst) => {
      if (titleFirst) document.title = title;
      history.pushState(null, '', path);
      document.title = title;
    };
    visit('/next', 'Next', false);
    await new Promise((then) => setTimeout(then, 50));
    visit('/last', 'Last', true);
    await new Promise((then) => setTimeout(then, 50));
    history.back();
    await popped();
    history.back();
    await popped();
  });
  const views = () => eventsOf(log, 'pageview').slice(before);
  await until('five page views', () => views().length === 5);
  const seen = views().map(({ url, title }) => [new URL(url).pathname, title]);
  assert.deepEqual(seen, ['/', '/next', '/last', '/next', '/'].map((path) => [path, TITLES[path]]));
  await close();
};

await run({
  name: 'tracker',
  dist,
  collector,
  pages,
  test: async (world) => {
    const result = await busy(world);
    await titles(world);
    return result;
  },
});
