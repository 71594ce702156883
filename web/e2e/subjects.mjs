/**
 * A subject's token: kept after consent, where the tag says so; a page of the site may use it.
 *
 *   npm ci && node subjects.mjs DIST_DIR http://127.0.0.1:8080
 *
 * Output and environment as for managers.mjs. The collector's site `demo` keeps subjects.
 */
import assert from 'node:assert/strict';
import { STEP_MS_MAX, eventsOf, page, quiet, run, stored, until } from './site.mjs';

const [, , dist, collector] = process.argv;
if (!collector) {
  console.error('usage: node subjects.mjs DIST_DIR COLLECTOR_URL');
  process.exit(2);
}

const pages = (endpoint) => ({
  '/off': page({ title: 'Off', tracker: `data-endpoint="${endpoint}"` }),
  '/on': page({ title: 'On', tracker: `data-endpoint="${endpoint}" data-subjects="on"` }),
});

const open = async (tab, url) => {
  await tab.goto(url);
  await tab.waitForFunction(() => 'granted' in (globalThis.consentry ?? {}), null, { timeout: STEP_MS_MAX });
};
const token = (tab) => tab.evaluate(() => localStorage['consentry.subject']);
const say = (tab, yes) => tab.evaluate((choice) => globalThis.consentry.consent(choice), yes);

await run({
  name: 'subjects',
  dist,
  collector,
  pages,
  test: async ({ newContext, base, log }) => {
    const context = await newContext();
    const tab = await context.newPage();
    const asked = [];
    tab.on('request', (request) => request.url().includes('subjects') && asked.push(request.url()));
    await open(tab, `${base}/off`);
    await say(tab, true);
    await until('a page view without a token', () => eventsOf(log, 'pageview').length === 1);
    assert.deepEqual(await stored(tab), ['consentry.consent', 'consentry.visit'], 'nothing where the tag does not say so');
    await say(tab, false);
    await open(tab, `${base}/on`);
    assert.equal(await token(tab), undefined, 'nothing before consent');
    assert.deepEqual(await stored(tab), []);
    await say(tab, true);
    const first = await token(tab);
    assert.match(first, /^[0-9a-f]{32}-[0-9]+$/);
    await until('a page view with the token', () => log.envelopes.some(({ context }) => context.subject === first));
    assert.equal(log.envelopes[0].context.subject, undefined);
    await open(tab, `${base}/on`);
    await until('the next page view', () => eventsOf(log, 'pageview').length === 3);
    assert.equal(await token(tab), first, 'the next page has the same token');
    await quiet(tab);
    assert.deepEqual(asked, []);
    const status = await tab.evaluate(async (to) => {
      const body = JSON.stringify({ token: localStorage['consentry.subject'] });
      return (await fetch(to, { method: 'POST', body })).status;
    }, `${log.base}/v1/subjects/withdraw`);
    assert.equal(status, 200, 'a page of the site may use the token');
    await say(tab, false);
    await quiet(tab);
    assert.deepEqual(await stored(tab), [], 'withdrawal removes it');
    assert.equal(await token(tab), undefined);
    await context.close();
    return { views: eventsOf(log, 'pageview').length };
  },
});
