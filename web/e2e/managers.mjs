/**
 * Visits sites with real consent managers, and presses their buttons as a visitor would: refuse, accept, withdraw.
 *
 *   npm ci && node managers.mjs ../dist [http://127.0.0.1:8080]
 *
 * The first argument is a folder with the built tracker, the second a collector whose site `demo` takes loopback origins;
 * without one a stub takes the events. Prints one line of JSON, for each manager the events sent by type, and of all
 * how many the collector said it accepted; exits 1 with a sentence on stderr when a promise does not hold.
 * CHROMIUM names the browser (default: /usr/bin/chromium), SCREENSHOTS a folder for a picture of each dialog.
 */
import assert from 'node:assert/strict';
import { join } from 'node:path';
import { STEP_MS_MAX, eventsOf, page, quiet, run, stored, until } from './site.mjs';

const [, , dist, collector] = process.argv;
if (!dist) {
  console.error('usage: node managers.mjs DIST_DIR [COLLECTOR_URL]');
  process.exit(2);
}

const KLARO = `<script>
  var klaroConfig = {
    version: 1,
    acceptAll: true,
    services: [
      { name: 'shop', title: 'Shop', purposes: ['functional'], required: true },
      { name: 'measuring', title: 'Consentry', purposes: ['analytics'], default: true },
    ],
  };
</script>`;

const COOKIE_CONSENT = `{
  hideFromBots: false,
  categories: { necessary: { enabled: true, readOnly: true }, analytics: {} },
  language: { default: 'en', translations: { en: {
    consentModal: {
      title: 'Cookies', description: 'May we measure?',
      acceptAllBtn: 'Accept all', acceptNecessaryBtn: 'Reject all', showPreferencesBtn: 'Preferences',
    },
    preferencesModal: {
      title: 'Preferences', acceptAllBtn: 'Accept all', acceptNecessaryBtn: 'Reject all', savePreferencesBtn: 'Save',
      sections: [
        { title: 'Necessary', description: 'The shop itself', linkedCategory: 'necessary' },
        { title: 'Analytics', description: 'Counts visits', linkedCategory: 'analytics' },
      ],
    },
  } } },
}`;

/** Loads a script some time after the tracker has looked for it in vain. */
const late = (source, then = '') => `<script>
  setTimeout(() => {
    const script = document.createElement('script');
    script.src = '${source}';
    script.onload = () => { ${then} };
    document.head.append(script);
  }, 700);
</script>`;

const pages = (endpoint) => {
  const klaro = { tracker: `data-endpoint="${endpoint}" data-consent="klaro" data-consent-service="measuring"` };
  const cookieconsent = { tracker: `data-endpoint="${endpoint}" data-consent="cookieconsent"` };
  const klaroButton = '<button type="button" onclick="klaro.show(undefined, true)">Cookie settings</button>';
  const ccButton = '<button type="button" onclick="CookieConsent.showPreferences()">Cookie settings</button>';
  const css = '<link rel="stylesheet" href="/cookieconsent.css">';
  return {
    '/klaro': page({
      ...klaro,
      title: 'A site with Klaro',
      head: `${KLARO}<script defer src="/klaro.js"></script>`,
      body: klaroButton,
    }),
    '/klaro-late': page({ ...klaro, title: 'A site with Klaro, late', head: KLARO + late('/klaro.js'), body: klaroButton }),
    '/cookieconsent': page({
      ...cookieconsent,
      title: 'A site with CookieConsent',
      head: `${css}<script src="/cookieconsent.js"></script>`,
      body: `${ccButton}<script>CookieConsent.run(${COOKIE_CONSENT})</script>`,
    }),
    '/cookieconsent-late': page({
      ...cookieconsent,
      title: 'A site with CookieConsent, late',
      head: css + late('/cookieconsent.js', `CookieConsent.run(${COOKIE_CONSENT})`),
      body: ccButton,
    }),
    '/both': page({
      tracker: `data-endpoint="${endpoint}" data-consent="klaro, cookieconsent" data-consent-service="measuring"`,
      title: 'A site with two managers',
      head: `${KLARO}<script defer src="/klaro.js"></script>${css}<script src="/cookieconsent.js"></script>`,
      body: `${klaroButton}<script>CookieConsent.run(${COOKIE_CONSENT})</script>`,
    }),
  };
};

const packages = {
  '/klaro.js': 'klaro/dist/klaro.js',
  '/cookieconsent.js': 'vanilla-cookieconsent/dist/cookieconsent.umd.js',
  '/cookieconsent.css': 'vanilla-cookieconsent/dist/cookieconsent.css',
};

const press = (scope, name) => scope.getByRole('button', { name, exact: true }).click();
const settings = (tab) => press(tab, 'Cookie settings');

const granted = (tab) => tab.evaluate(() => globalThis.consentry.granted);

/** Moves Klaro's switch of the purpose, whose checkbox is drawn by its label, and saves. */
const switchKlaro = async (dialog, beforeSaving) => {
  const before = await granted(dialog.page());
  await dialog.locator('label[for="purpose-item-analytics"]').click();
  await dialog.page().waitForTimeout(500);
  assert.equal(await granted(dialog.page()), before, 'a switch that is not saved is no choice');
  await beforeSaving?.();
  await press(dialog, 'Save');
};

/** How a visitor does it: in the question that the site opens with, and later in the manager's own settings. */
const managers = {
  klaro: {
    question: '.cookie-notice',
    dialog: '.cookie-modal .cm-modal',
    refuse: (tab) => press(tab.locator('.cookie-notice'), 'I decline'),
    accept: switchKlaro,
    withdraw: switchKlaro,
    choice: async (context) => (await context.cookies()).find(({ name }) => name === 'klaro')?.value,
  },
  cookieconsent: {
    question: '.cm',
    dialog: '.pm',
    refuse: (tab) => press(tab.locator('.cm'), 'Reject all'),
    accept: (dialog) => press(dialog, 'Accept all'),
    withdraw: async (dialog, beforeSaving) => {
      await dialog.locator('.section__toggle-wrapper').nth(1).click();
      await beforeSaving();
      await press(dialog, 'Save');
    },
    choice: async (context) => (await context.cookies()).find(({ name }) => name === 'cc_cookie')?.value,
  },
};

const picture = (tab, name) =>
  process.env.SCREENSHOTS && tab.screenshot({ path: join(process.env.SCREENSHOTS, `${name}.png`) });

const open = async (tab, url) => {
  await tab.goto(url);
  await tab.waitForFunction(() => 'granted' in (globalThis.consentry ?? {}), null, { timeout: STEP_MS_MAX });
};

const buyQuietly = async (tab) => {
  await tab.locator('[data-point]').click();
  await quiet(tab);
};

/** What was sent from one site: all are visited at the same time. */
const sentFrom = ({ log }, path) => {
  const envelopes = () => log.envelopes.filter(({ events }) => new URL(events[0].url).pathname === path);
  const events = (type) => eventsOf({ envelopes: envelopes() }, type);
  return { envelopes, events };
};

/** One visitor of one site, from the first question to the withdrawal. */
const visitor = async (world, name, path) => {
  const { newContext, base } = world;
  const { envelopes, events } = sentFrom(world, path);
  const { question, dialog, refuse, accept, withdraw, choice } = managers[name];
  const context = await newContext();
  const tab = await context.newPage();
  const sent = () => events().length;
  const openDialog = async () => {
    await settings(tab);
    await tab.locator(dialog).waitFor();
    // It slides in.
    await tab.waitForTimeout(500);
    await picture(tab, `${path.slice(1)}-dialog`);
    return tab.locator(dialog);
  };

  // A choice that the tracker remembers counts for nothing beside a manager that has not been answered.
  await context.addInitScript(() => {
    if (sessionStorage.seen) return;
    sessionStorage.seen = true;
    localStorage['consentry.consent'] = 'granted';
    localStorage['consentry.visit'] = `${'0'.repeat(32)} ${Date.now()} ${Date.now()}`;
  });
  await open(tab, base + path);
  await tab.locator(question).waitFor();
  await buyQuietly(tab);
  assert.equal(sent(), 0, 'nothing is sent before the visitor answers');
  await picture(tab, `${path.slice(1)}-question`);

  await refuse(tab);
  await buyQuietly(tab);
  assert.equal(sent(), 0, 'nothing is sent after a refusal');
  assert.deepEqual(await stored(tab), [], 'a refusal removes what was stored');
  await tab.evaluate(() => globalThis.consentry.consent(true));
  await buyQuietly(tab);
  assert.equal(sent(), 0, "the manager's no overrides the site's yes");
  await open(tab, base + path);
  await buyQuietly(tab);
  assert.equal(sent(), 0, 'a remembered refusal counts');
  assert.deepEqual(await stored(tab), []);

  await accept(await openDialog());
  await until('the page view after consent', () => sent() > 0);
  assert.deepEqual(await stored(tab), ['consentry.consent', 'consentry.visit']);
  await tab.locator('[data-point]').click();
  await until('the click', () => events('click').length === 1);
  const first = envelopes().at(-1).context.visit.id;

  // The next page: the manager remembers, and the visit goes on.
  await open(tab, base + path);
  await until('the page view of a remembered visitor', () => events('pageview').length === 2);
  assert.equal(envelopes().at(-1).context.visit.id, first, 'a new page load is the same visit');

  const raw = await choice(context);
  assert.ok(raw, 'the manager keeps a cookie');
  const secrets = [raw, ...(decodeURIComponent(raw).match(/[0-9a-f-]{36}/g) ?? [])];
  for (const envelope of envelopes()) {
    assert.deepEqual(envelope.consent, { analytics: true }, 'the state and nothing else');
    for (const secret of secrets) assert.ok(!JSON.stringify(envelope).includes(secret), "none of the manager's identifiers");
  }

  // A site that asks by itself as well may say no, and yes again.
  await tab.evaluate(() => globalThis.consentry.consent(false));
  assert.deepEqual(await stored(tab), [], "the site's no overrides the manager's yes");
  await tab.evaluate(() => globalThis.consentry.consent(true));
  await until('the page view after the site agreed again', () => events('pageview').length === 3);
  await quiet(tab);

  // A second tab hears of a withdrawal in the first.
  const other = await context.newPage();
  await open(other, base + path);
  await until('the page view in the other tab', () => events('pageview').length === 4);
  await quiet(other);
  await tab.bringToFront();
  const box = await openDialog();
  await quiet(tab);
  const last = sent();
  await withdraw(box, () => tab.evaluate(() => globalThis.consentry.event('queued')));
  assert.equal(await granted(tab), false, 'a withdrawal counts at once');
  assert.deepEqual(await stored(tab), [], 'a withdrawal removes what was stored');
  await picture(tab, `${path.slice(1)}-withdrawn`);
  await buyQuietly(tab);
  await buyQuietly(other);
  await open(tab, base + path);
  await buyQuietly(tab);
  await tab.goto('about:blank');
  await other.close();
  await new Promise((wake) => setTimeout(wake, 300));
  assert.equal(sent(), last, 'nothing is sent after a withdrawal, and what was queued is discarded');
  await context.close();
};

/** Two managers on one site: one no is a no. */
const both = async (world, path) => {
  const { newContext, base } = world;
  const { events } = sentFrom(world, path);
  const context = await newContext();
  const tab = await context.newPage();
  await open(tab, base + path);
  await press(tab.locator('.cm'), 'Accept all');
  await tab.locator('.cm').waitFor({ state: 'hidden' });
  await press(tab.locator('.cookie-notice'), 'I decline');
  await buyQuietly(tab);
  await open(tab, base + path);
  await buyQuietly(tab);
  assert.equal(events().length, 0, 'one no of two answers is a no');
  assert.deepEqual(await stored(tab), []);
  await settings(tab);
  await switchKlaro(tab.locator(managers.klaro.dialog));
  await until('the page view after both agreed', () => events('pageview').length === 1);
  // Leaving the page makes the tracker send what it still holds.
  await tab.goto('about:blank');
  await until('the last of it', () => events('performance').length === 1);
  await context.close();
};

await run({
  name: 'managers',
  dist,
  collector,
  pages,
  packages,
  test: async (world) => {
    const { log } = world;
    await Promise.all([
      visitor(world, 'klaro', '/klaro'),
      visitor(world, 'klaro', '/klaro-late'),
      visitor(world, 'cookieconsent', '/cookieconsent'),
      visitor(world, 'cookieconsent', '/cookieconsent-late'),
      both(world, '/both'),
    ]);
    assert.ok(log.statuses.every((status) => status === 202), `answers: ${log.statuses}`);
    await until('the answers', () => log.answers.length === log.envelopes.length);
    const accepted = log.answers.reduce((sum, answer) => sum + answer.accepted, 0);
    assert.equal(accepted, eventsOf(log).length, 'the collector accepts what the tracker sends');
    const counts = {};
    for (const { url, type } of eventsOf(log)) {
      const own = (counts[new URL(url).pathname.slice(1)] ??= {});
      own[type] = (own[type] ?? 0) + 1;
    }
    return { ...counts, accepted };
  },
});
