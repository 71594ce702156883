import assert from 'node:assert/strict';
import { test, type TestContext } from 'node:test';
import { gcm } from '../src/managers/gcm.ts';
import { gpp } from '../src/managers/gpp.ts';
import { tcf } from '../src/managers/tcf.ts';
import type { Options } from '../src/managers/watch.ts';
import { openPage } from './page.ts';

const set = (...ids: number[]) => Object.fromEntries(ids.map((id) => [id, true]));
const PURPOSES = [1, 8, 9, 10];
const agreed = {
  eventStatus: 'useractioncomplete',
  gdprApplies: true,
  tcString: 'CPX',
  purpose: { consents: set(...PURPOSES), legitimateInterests: set(...PURPOSES) },
  vendor: { consents: set(755), legitimateInterests: set(755) },
  publisher: { consents: set(...PURPOSES), restrictions: {} },
};

const withTcf = (context: TestContext, options: Options = {}) => {
  let call: (data: unknown, success?: boolean) => void = () => {};
  const page = openPage(context, {
    __tcfapi: (command: string, version: number, callback: typeof call) => {
      assert.deepEqual([command, version], ['addEventListener', 2]);
      call = callback;
    },
  });
  page.watch(tcf, options);
  return { ...page, event: (change: object) => call({ ...agreed, ...change }, true), call };
};

test('tcf: an answer, remembered or given now, is read with its string', (t) => {
  const { event, said, payloads } = withTcf(t, { consentVendor: '755' });
  event({ eventStatus: 'cmpuishown' });
  assert.deepEqual(said, [], 'a question is no answer');
  event({ eventStatus: 'tcloaded' });
  event({ purpose: { consents: set(1) } });
  assert.deepEqual(said, ['granted', 'denied']);
  assert.deepEqual(payloads, [{ tcf: 'CPX' }, { tcf: 'CPX' }]);
});

test('tcf: every purpose and the vendor by consent, neither restricted', (t) => {
  const { event, last } = withTcf(t, { consentVendor: '755' });
  for (const id of PURPOSES) {
    const consents = set(...PURPOSES.filter((each) => each !== id));
    event({ purpose: { consents, legitimateInterests: set(...PURPOSES) } });
    assert.equal(last(), 'denied', `without purpose ${id}`);
  }
  event({ vendor: { consents: set(754), legitimateInterests: set(755) } });
  assert.equal(last(), 'denied', 'another vendor');
  for (const [type, state] of [[0, 'denied'], [1, 'granted'], [2, 'denied']] as const) {
    event({ publisher: { consents: {}, restrictions: { 8: { 755: type } } } });
    assert.equal(last(), state, `restriction ${type}`);
  }
});

test('tcf: without a vendor the publisher counts, the core string only where the site says so', (t) => {
  const publisher = { consents: {}, restrictions: {} };
  const own = withTcf(t);
  own.event({});
  own.event({ publisher });
  assert.deepEqual(own.said, ['granted', 'denied']);
  const core = withTcf(t, { consentTcfCore: '', consentTcfPurposes: '1, 7' });
  core.event({ publisher });
  core.event({ publisher, purpose: { consents: set(1, 7) } });
  assert.deepEqual(core.said, ['denied', 'granted']);
});

test('tcf: where it does not apply, or cannot be read, there is no answer', (t) => {
  const { event, call, said } = withTcf(t);
  event({ gdprApplies: false });
  event({ tcString: undefined });
  event({ publisher: undefined });
  call(null, false);
  assert.deepEqual(said, ['unknown', 'unknown', 'unknown', 'unknown']);
});

const bits = (...ids: number[]) => Array.from({ length: 24 }, (_, index) => ids.includes(index + 1));

const withGpp = (context: TestContext, options: Options = {}) => {
  let call: (event: unknown) => void = () => {};
  const page = openPage(context, {
    __gpp: (command: string, callback: typeof call) => {
      assert.equal(command, 'addEventListener');
      call = callback;
    },
  });
  page.watch(gpp, options);
  const event = (parsedSections: object, signalStatus = 'ready') =>
    call({ eventName: 'signalStatus', pingData: { gppString: 'DBAA', signalStatus, parsedSections } });
  return { ...page, event, call };
};

test('gpp: the European section is read as TCF, in each form that managers give it', (t) => {
  const { event, last, said, payloads } = withGpp(t, { consentVendor: '755' });
  event({ tcfeuv2: { PurposeConsents: bits(...PURPOSES), VendorConsents: [755] } }, 'not ready');
  assert.deepEqual(said, []);
  for (const PurposeConsents of [bits(...PURPOSES), PURPOSES]) {
    for (const wrap of [(core: object) => core, (core: object) => [core, { SegmentType: 3 }]]) {
      event({ tcfeuv2: wrap({ PurposeConsents, VendorConsents: [755] }) });
      assert.equal(last(), 'granted');
      event({ tcfeuv2: wrap({ PurposeConsents, VendorConsents: [754] }) });
      assert.equal(last(), 'denied');
    }
  }
  event({ tcfeuv2: [{ PurposeConsent: [1, 8, 9], VendorConsent: [755] }] });
  assert.equal(last(), 'denied');
  assert.deepEqual(payloads[0], { gpp: 'DBAA' });
});

test('gpp: the sections of the US object and never grant', (t) => {
  const { event, last } = withGpp(t);
  const tcfeuv2 = { PublisherConsents: bits(...PURPOSES) };
  event({ usnat: [{ SaleOptOut: 2, SharingOptOut: 2, TargetedAdvertisingOptOut: 0 }, { Gpc: false }] });
  assert.equal(last(), 'unknown');
  for (const usca of [{ SaleOptOut: 1 }, { SharingOptOut: 1 }, { TargetedAdvertisingOptOut: 1 }, { Gpc: true }]) {
    event({ tcfeuv2, usca });
    assert.equal(last(), 'denied');
    event({ usca: [usca], tcfeuv2 });
    assert.equal(last(), 'denied');
  }
  event({ tcfeuv2, usca: { SaleOptOut: 2 } });
  assert.equal(last(), 'granted');
});

test('gpp: what cannot be read is no answer', (t) => {
  const { call, last } = withGpp(t);
  call({ eventName: 'listenerRegistered', data: true });
  assert.equal(last(), 'unknown');
});

const gtag = (layer: unknown[], ...entry: unknown[]) => layer.push(entry);

test('gcm: the last update counts, a default never does', (t) => {
  const dataLayer: unknown[] = [];
  const { watch, said, payloads } = openPage(t, { dataLayer });
  gtag(dataLayer, 'consent', 'default', { analytics_storage: 'granted' });
  gtag(dataLayer, 'consent', 'update', { analytics_storage: 'denied' });
  gtag(dataLayer, 'consent', 'update', { analytics_storage: 'granted' });
  watch(gcm);
  assert.deepEqual(said, ['granted'], 'what came before is read as a whole');
  gtag(dataLayer, 'consent', 'update', { ad_storage: 'denied' });
  gtag(dataLayer, 'consent', 'default', { analytics_storage: 'denied' });
  gtag(dataLayer, 'consent', 'update', { analytics_storage: 'denied' });
  assert.deepEqual(said, ['granted', 'denied']);
  assert.deepEqual(payloads, [{ gcm: { analytics_storage: 'granted' } }, undefined]);
});

test('gcm: defaults alone are no answer, and the page keeps its push', (t) => {
  const { watch, said, window } = openPage(t);
  watch(gcm, { consentLayer: 'layer' });
  gtag(window.layer, 'consent', 'default', { analytics_storage: 'granted' });
  assert.equal(window.layer.push({ event: 'x' }, null, ['consent', 'update']), 4);
  assert.deepEqual(said, []);
  assert.equal(window.layer.length, 4);
});
