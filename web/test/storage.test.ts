import assert from 'node:assert/strict';
import { test } from 'node:test';

/** Stands in for the browser's: properties are entries, as with the real one. */
const stub: Record<string, string> = {};
(globalThis as { localStorage?: unknown }).localStorage = stub;

// After the stub, for the module looks for localStorage when it is loaded.
const { CONSENT_KEY, STORAGE_KEYS, SUBJECT_KEY, VISIT_KEY, forget, read, write } = await import('../src/storage.ts');

test('the disclosed keys are the keys in use, all under one prefix', () => {
  assert.deepEqual(STORAGE_KEYS.map(({ key }) => key), [CONSENT_KEY, VISIT_KEY, SUBJECT_KEY]);
  for (const { key, category, purpose, duration } of STORAGE_KEYS) {
    assert.match(key, /^consentry\./);
    assert.ok(category && purpose && duration);
  }
});

test('forgetting takes all of ours and nothing of the page', () => {
  stub.cart = 'mine';
  write(CONSENT_KEY, 'granted');
  write(VISIT_KEY, 'v');
  stub['consentry.older'] = 'x';
  assert.equal(read(CONSENT_KEY), 'granted');
  forget();
  assert.deepEqual(stub, { cart: 'mine' });
  assert.equal(read(CONSENT_KEY), undefined);
});
