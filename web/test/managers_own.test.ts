import assert from 'node:assert/strict';
import { test } from 'node:test';
import { cookiebot } from '../src/managers/cookiebot.ts';
import { cookieconsent } from '../src/managers/cookieconsent.ts';
import { didomi } from '../src/managers/didomi.ts';
import { klaro } from '../src/managers/klaro.ts';
import { onetrust } from '../src/managers/onetrust.ts';
import { osano } from '../src/managers/osano.ts';
import { trustarc } from '../src/managers/trustarc.ts';
import { usercentrics } from '../src/managers/usercentrics.ts';
import { wpConsent } from '../src/managers/wp_consent.ts';
import { openPage } from './page.ts';

test('onetrust: its groups count once the visitor has answered', async (t) => {
  const { window, watch, said, poll, dispatch, later } = openPage(t);
  watch(onetrust);
  // The stub is there long before the script is.
  window.OneTrust = {};
  await poll();
  assert.deepEqual(said, []);
  let answered = false;
  window.OneTrust.IsAlertBoxClosed = () => answered;
  window.OnetrustActiveGroups = ',C0001,C0002,';
  await poll();
  answered = true;
  dispatch('OneTrustGroupsUpdated');
  window.OnetrustActiveGroups = ',C0001,C00021,';
  dispatch('OneTrustGroupsUpdated');
  assert.deepEqual(said, ['unknown', 'granted', 'denied']);
  // Asks again: the event may come before the page knows.
  window.OnetrustActiveGroups = ',C0002,';
  await later();
  assert.equal(said.at(-1), 'granted');
  window.OneTrust.IsAlertBoxClosedAndValid = () => false;
  dispatch('OneTrustGroupsUpdated');
  assert.equal(said.at(-1), 'unknown', 'an answer that is asked for again');
});

test('trustarc: asserted preferences, counted from one in its API', async (t) => {
  const { window, watch, said, posted, poll, dispatch } = openPage(t);
  watch(trustarc);
  let decision: object = { consentDecision: [1, 2, 3], source: 'implied' };
  window.PrivacyManagerAPI = {
    callApi: (...args: unknown[]) => {
      assert.deepEqual(args, ['getGDPRConsentDecision', 'shop.example']);
      return decision;
    },
  };
  await poll();
  assert.equal(posted.length, 1);
  assert.equal(JSON.parse(posted[0]!).PrivacyManagerAPI.action, 'getConsentDecision');
  decision = { consentDecision: [1, 2], source: 'asserted' };
  dispatch('message', { data: { other: 'message' } });
  assert.deepEqual(said, ['unknown'], 'not a message of its own');
  dispatch('message', { data: '{"PrivacyManagerAPI":{"action":"getConsentDecision"}}' });
  decision = { consentDecision: [1, 3], source: 'asserted' };
  dispatch('message', { data: '{"source":"preference_manager","message":"submit_preferences"}' });
  assert.deepEqual(said, ['unknown', 'granted', 'denied']);
  assert.equal(posted.length, 1);
});

test('trustarc: another bucket', (t) => {
  const { watch, said } = openPage(t, {
    PrivacyManagerAPI: { callApi: () => ({ consentDecision: [1, 3], source: 'asserted' }) },
  });
  watch(trustarc, { consentBucket: '2' });
  assert.deepEqual(said, ['granted']);
});

test('cookiebot: explicit statistics', (t) => {
  const Cookiebot = { hasResponse: false, consent: { statistics: false, method: null as string | null } };
  const { watch, said, dispatch } = openPage(t, { Cookiebot });
  watch(cookiebot);
  Cookiebot.hasResponse = true;
  dispatch('CookiebotOnDecline');
  Cookiebot.consent = { statistics: true, method: 'implied' };
  dispatch('CookiebotOnConsentReady');
  Cookiebot.consent = { statistics: true, method: 'explicit' };
  dispatch('CookiebotOnAccept');
  assert.deepEqual(said, ['unknown', 'denied', 'unknown', 'granted']);
});

test('cookiebot: what can no longer be read is no answer', (t) => {
  const { window, watch, said, dispatch } = openPage(t, {
    Cookiebot: { hasResponse: true, consent: { statistics: true, method: 'explicit' } },
  });
  watch(cookiebot);
  delete window.Cookiebot;
  dispatch('CookiebotOnAccept');
  assert.deepEqual(said, ['granted', 'unknown']);
});

test('didomi: the configured purpose, once decided on', (t) => {
  const { window, watch, said } = openPage(t);
  watch(didomi, { consentPurpose: 'audience' });
  let consent: object = { enabled: [], disabled: [] };
  let changed = () => {};
  const api = {
    getUserStatus: () => ({ user_id: 'secret', purposes: { consent } }),
    on: (event: string, work: () => void) => {
      assert.equal(event, 'consent.changed');
      changed = work;
    },
  };
  for (const work of window.didomiOnReady) work(api);
  consent = { enabled: ['cookies', 'audience'], disabled: [] };
  changed();
  consent = { enabled: ['cookies'], disabled: ['audience'] };
  changed();
  assert.deepEqual(said, ['unknown', 'granted', 'denied']);
});

test('klaro: a saved switch, not one that is merely moved', (t) => {
  let update = () => {};
  const manager = {
    confirmed: false,
    consents: { analytics: true } as Record<string, boolean>,
    savedConsents: { analytics: true } as Record<string, boolean>,
    watch: (watcher: { update: () => void }) => (update = () => watcher.update()),
  };
  const { watch, said } = openPage(t, { klaro: { getManager: () => manager } });
  watch(klaro, { consentService: 'analytics' });
  assert.deepEqual(said, ['unknown'], 'a default');
  manager.confirmed = true;
  manager.savedConsents = { analytics: false };
  update();
  manager.consents = { analytics: true };
  update();
  manager.savedConsents = { analytics: true };
  update();
  manager.confirmed = false;
  update();
  assert.deepEqual(said, ['unknown', 'denied', 'denied', 'granted', 'unknown']);
});

test('klaro: comes late, and a service it does not have is no answer', async (t) => {
  const { window, watch, said, poll } = openPage(t);
  watch(klaro);
  await poll();
  const getManager = () => {
    throw new TypeError('no configuration yet');
  };
  window.klaro = { getManager };
  await poll();
  assert.deepEqual(said, []);
  window.klaro.getManager = () => ({ confirmed: true, savedConsents: { analytics: true }, watch: () => {} });
  await poll();
  assert.deepEqual(said, ['unknown']);
});

test('osano: no object without an answer', async (t) => {
  const { window, watch, said, poll } = openPage(t);
  watch(osano);
  const on: Record<string, (consent: unknown) => void> = {};
  window.Osano = { cm: { addEventListener: (type: string, work: (consent: unknown) => void) => (on[type] = work) } };
  await poll();
  on['osano-cm-initialized']!(undefined);
  on['osano-cm-consent-saved']!({ ESSENTIAL: 'ACCEPT', ANALYTICS: 'ACCEPT' });
  on['osano-cm-consent-saved']!({ ESSENTIAL: 'ACCEPT', ANALYTICS: 'DENY' });
  assert.deepEqual(said, ['unknown', 'granted', 'denied']);
});

test('usercentrics 2: explicit, by service or by all of a category', (t) => {
  const service = (id: string, status: boolean, type: string) => ({
    id,
    name: id.toUpperCase(),
    categorySlug: 'analytics',
    consent: { status, history: [{ type: 'implicit' }, { type }] },
  });
  let services = [service('a', true, 'implicit'), service('b', true, 'implicit')];
  const UC_UI = { isInitialized: () => true, getServicesBaseInfo: () => services };
  const { watch, said, dispatch } = openPage(t, { UC_UI });
  watch(usercentrics);
  services = [service('a', true, 'explicit'), service('b', true, 'explicit')];
  dispatch('UC_UI_CMP_EVENT');
  services = [service('a', true, 'explicit'), service('b', false, 'explicit')];
  dispatch('UC_UI_CMP_EVENT');
  assert.deepEqual(said, ['unknown', 'granted', 'denied']);
  for (const consentService of ['a', 'B']) watch(usercentrics, { consentService });
  watch(usercentrics, { consentCategory: 'marketing' });
  assert.deepEqual(said.slice(3), ['granted', 'denied', 'unknown'], 'by id, by name, a category without services');
});

test('usercentrics 3: answers with a promise, and the last question counts', async (t) => {
  const details = (given: boolean, type = 'EXPLICIT') => ({
    consent: { type, controllerId: 'secret' },
    services: { x: { name: 'Consentry', category: 'analytics', consent: { given } } },
  });
  let answer: Promise<object> = Promise.resolve(details(true, 'IMPLICIT'));
  const { window, watch, said, poll, settle, dispatch } = openPage(t);
  watch(usercentrics, { consentService: 'Consentry' });
  window.__ucCmp = { getConsentDetails: () => answer };
  await poll();
  assert.deepEqual(said, ['unknown']);
  let late = (_: object) => {};
  answer = new Promise((resolve) => (late = resolve));
  dispatch('UC_UI_CMP_EVENT');
  answer = Promise.resolve(details(false));
  dispatch('UC_UI_CMP_EVENT');
  await settle();
  late(details(true));
  await settle();
  assert.deepEqual(said, ['unknown', 'denied']);
});

test('wp_consent: what is stored, not what its function makes of nothing', (t) => {
  const { document, watch, said, dispatch } = openPage(t, { wp_has_consent: () => true });
  document.cookie = 'wp_consent_statistics-anonymous=allow';
  watch(wpConsent);
  document.cookie = 'a=b; wp_consent_statistics=allow';
  dispatch('wp_listen_for_consent_change');
  document.cookie = 'wp_consent_statistics=deny; wp_consent_marketing=allow';
  dispatch('wp_listen_for_consent_change');
  assert.deepEqual(said, ['unknown', 'granted', 'denied']);
});

test('wp_consent: another prefix', (t) => {
  const { document, watch, said } = openPage(t, {
    wp_has_consent: () => true,
    consent_api: { cookie_prefix: 'own' },
  });
  document.cookie = 'wp_consent_statistics=deny; own_statistics=allow';
  watch(wpConsent);
  assert.deepEqual(said, ['granted']);
});

test('cookieconsent: its events tell the categories', (t) => {
  const { watch, said, dispatch } = openPage(t);
  watch(cookieconsent);
  dispatch('cc:onConsent', { detail: { cookie: { categories: ['necessary'], consentId: 'secret' } } });
  dispatch('cc:onChange', { detail: { cookie: { categories: ['necessary', 'analytics'] } } });
  dispatch('cc:onChange', { detail: {} });
  assert.deepEqual(said, ['denied', 'granted', 'unknown']);
});

test('cookieconsent: an answer given before we listened, by its API', async (t) => {
  let valid = false;
  const api = { validConsent: () => valid, getCookie: () => ({ categories: ['stats'] }) };
  const { watch, said, poll } = openPage(t, { CookieConsent: api });
  watch(cookieconsent, { consentCategory: 'stats' });
  await poll();
  assert.deepEqual(said, []);
  valid = true;
  await poll();
  assert.deepEqual(said, ['granted']);
});

test('cookieconsent: an answer given before we listened, without its API', async (t) => {
  const { document, watch, said, poll, giveUp } = openPage(t);
  document.readyState = 'loading';
  document.cookie = `a=b; cc_cookie=${encodeURIComponent('{"categories":["analytics"],"consentId":"secret"}')}`;
  watch(cookieconsent);
  await poll();
  assert.deepEqual(said, []);
  document.readyState = 'complete';
  await poll();
  await giveUp();
  assert.deepEqual(said, ['granted']);
});

test('polling ends', async (t) => {
  const { window, watch, said, giveUp, poll } = openPage(t);
  for (const each of [cookiebot, cookieconsent, klaro, onetrust, osano, trustarc, usercentrics, wpConsent]) watch(each);
  await giveUp();
  window.klaro = { getManager: () => ({ confirmed: true, savedConsents: { consentry: true }, watch: () => {} }) };
  await poll();
  assert.deepEqual(said, []);
});
