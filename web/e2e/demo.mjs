/**
 * Walks through the demo page as a visitor would, and watches the wire.
 *
 *   npm ci && node demo.mjs http://127.0.0.1:8080
 *
 * Prints one line of JSON, the events sent by type, e.g. {"pageview":4,"click":3,...}; exits 1 with a sentence on
 * stderr when a promise does not hold. CHROMIUM names the browser (default: /usr/bin/chromium).
 */
import assert from 'node:assert/strict';
import { launch, record } from './recorder.mjs';

const STEP_MS_MAX = 10_000;
/** Longer than the tracker waits before it sends a batch. */
const QUIET_MS = 1500;

const collector = process.argv[2];
if (!collector) {
  console.error('usage: node demo.mjs BASE_URL');
  process.exit(2);
}

const eventsOf = (log, type) =>
  log.envelopes.flatMap((envelope) => envelope.events).filter((event) => !type || event.type === type);

const until = async (what, holds) => {
  const deadline = Date.now() + STEP_MS_MAX;
  while (!holds()) {
    if (Date.now() > deadline) throw new Error(`waited ${STEP_MS_MAX} ms for: ${what}`);
    await new Promise((wake) => setTimeout(wake, 50));
  }
};

const quiet = (page) => page.waitForTimeout(QUIET_MS);

/** What the tracker left behind; cookies are the context's, so no page can hide one. */
const stored = async (page) => ({
  local: await page.evaluate(() => Object.keys(localStorage).sort()),
  session: await page.evaluate(() => Object.keys(sessionStorage)),
  cookies: await page.context().cookies(),
});
const NOTHING = { local: [], session: [], cookies: [] };

const open = async (page, log) => {
  const answer = await page.goto(`${log.base}/demo`);
  assert.equal(answer?.status(), 200, '/demo is served');
  await page.waitForFunction(() => 'granted' in (globalThis.consentry ?? {}), null, { timeout: STEP_MS_MAX });
};

const beforeConsent = async (page, log) => {
  await open(page, log);
  await page.click('[data-point="demo.buy"]');
  await page.click('#custom');
  await page.click('#refuse');
  await quiet(page);
  assert.deepEqual(eventsOf(log), [], 'nothing is sent before consent');
  assert.deepEqual(await stored(page), NOTHING, 'nothing is stored before consent');
};

const withConsent = async (page, log) => {
  await page.click('#accept');
  await until('the page view', () => eventsOf(log, 'pageview').length === 1);
  assert.deepEqual((await stored(page)).local, ['consentry.consent', 'consentry.visit']);
  for (const point of ['demo.buy', 'demo.like', 'demo.share']) await page.click(`[data-point="${point}"]`);
  await page.click('#navigate');
  // Long enough for the batch to leave, so that each page view keeps the title of its own page.
  await quiet(page);
  await page.evaluate(() => history.pushState(null, '', `${location.pathname}#only-the-fragment`));
  await page.goBack();
  await page.goBack();
  await page.click('#custom');
  // The demo throws from a handler: an uncaught error of the page, as intended.
  await page.click('#throw');
  await page.evaluate(() => void Promise.reject(new RangeError('rejected on purpose')));
  await quiet(page);
  // Leaving the page makes the tracker send what it still holds.
  await page.goto('about:blank');
  await until('engagement', () => eventsOf(log, 'engagement').length > 0);
  await until('performance', () => eventsOf(log, 'performance').length > 0);

  const views = eventsOf(log, 'pageview');
  assert.deepEqual(views.map((view) => new URL(view.url).pathname), ['/demo', '/demo/tour', '/demo'], 'page views, each once');
  assert.deepEqual(views.map((view) => view.title), ['Consentry demo', 'Tour, Consentry demo', 'Consentry demo']);
  assert.deepEqual(views.map((view) => view.prev_url && new URL(view.prev_url).pathname), [undefined, '/demo', '/demo/tour']);
  assert.equal(new Set(views.map((view) => view.page_id)).size, 3, 'a page_id of its own for each view');
  assert.deepEqual(eventsOf(log, 'click').map((event) => event.point), ['demo.buy', 'demo.like', 'demo.share']);
  assert.deepEqual(eventsOf(log, 'custom').map(({ name, props }) => ({ name, props })), [
    { name: 'demo_custom', props: { plan: 'pro', seats: 3 } },
  ]);
  assert.deepEqual(eventsOf(log, 'crash').map((event) => event.crash.kind), ['TypeError', 'RangeError']);
  const [performance, ...more] = eventsOf(log, 'performance');
  assert.equal(more.length, 0, 'one performance event for each page load');
  for (const name of ['ttfb', 'fcp', 'lcp', 'cls', 'dom', 'load']) assert.ok(performance.vitals[name] >= 0, `${name} in vitals`);
  assert.equal(performance.page_id, views[0].page_id, 'performance belongs to the page that was loaded');
  for (const event of eventsOf(log, 'engagement')) {
    assert.ok(event.engaged_ms > 0, 'no empty engagement');
    assert.ok(views.some((view) => view.page_id === event.page_id), 'engagement belongs to a page view');
  }
};

const remembered = async (page, log) => {
  const views = eventsOf(log, 'pageview').length;
  const [{ context: earlier }] = log.envelopes;
  await open(page, log);
  await until('the page view of a remembered visitor', () => eventsOf(log, 'pageview').length === views + 1);
  assert.equal(log.envelopes.at(-1).context.visit.id, earlier.visit.id, 'a new page load is the same visit');
};

const afterWithdrawal = async (page, log) => {
  await page.click('[data-point="demo.like"]');
  const sent = eventsOf(log).length;
  await page.click('#withdraw');
  await page.click('[data-point="demo.buy"]');
  await page.click('#custom');
  await page.click('#navigate');
  await quiet(page);
  assert.deepEqual(await stored(page), NOTHING, 'withdrawal removes all that was stored');
  await open(page, log);
  await quiet(page);
  await page.goto('about:blank');
  await page.waitForTimeout(200);
  assert.equal(eventsOf(log).length, sent, 'nothing is sent after withdrawal, and what was queued is discarded');
};

const everyEnvelope = (log) => {
  assert.ok(log.envelopes.every((envelope) => envelope.consent?.analytics === true), 'each envelope carries the consent');
  assert.ok(log.envelopes.every((envelope) => envelope.site === 'demo'), 'each envelope names the site');
  const ids = eventsOf(log).map((event) => event.id);
  assert.equal(new Set(ids).size, ids.length, 'no event is sent twice');
  assert.ok(log.statuses.length > 0 && log.statuses.every((status) => status === 202), `answers: ${log.statuses}`);
};

const globalPrivacyControl = async (browser, log) => {
  const context = await browser.newContext();
  await context.addInitScript(() => Object.defineProperty(navigator, 'globalPrivacyControl', { value: true }));
  const page = await context.newPage();
  const sent = eventsOf(log).length;
  await open(page, log);
  await page.click('#accept');
  await page.click('[data-point="demo.buy"]');
  await quiet(page);
  assert.equal(eventsOf(log).length, sent, 'nothing is sent under Global Privacy Control');
  assert.deepEqual(await stored(page), NOTHING, 'nothing is stored under Global Privacy Control');
  await context.close();
};

const browser = await launch();
const log = await record(collector);
try {
  const context = await browser.newContext();
  const elsewhere = [];
  context.on('request', (request) => request.url().startsWith(log.base) || elsewhere.push(request.url()));
  const page = await context.newPage();
  await beforeConsent(page, log);
  await withConsent(page, log);
  await remembered(page, log);
  await afterWithdrawal(page, log);
  everyEnvelope(log);
  assert.deepEqual(elsewhere.filter((url) => !url.startsWith('about:')), [], 'no request to anybody else');
  await globalPrivacyControl(browser, log);
  const counts = {};
  for (const { type } of eventsOf(log)) counts[type] = (counts[type] ?? 0) + 1;
  console.log(JSON.stringify(counts));
} catch (error) {
  console.error(`demo: ${error.message}`);
  process.exitCode = 1;
} finally {
  await browser.close();
  log.close();
}
