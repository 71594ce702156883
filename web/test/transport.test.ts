import assert from 'node:assert/strict';
import { test } from 'node:test';
import { RETRY_AFTER_MAX_S, retryWaitMs } from '../src/transport.ts';

test('only a busy collector is asked again', () => {
  for (const status of [200, 202, 400, 403, 404, 408, 413, 500, 502]) assert.equal(retryWaitMs(status, '1'), 0, `${status}`);
  for (const status of [429, 503]) assert.equal(retryWaitMs(status, '1'), 1000, `${status}`);
});

test('without a readable Retry-After the queue chooses', () => {
  assert.ok(Number.isNaN(retryWaitMs(503, null)));
  assert.ok(Number.isNaN(retryWaitMs(503, 'soon')));
  assert.ok(Number.isNaN(retryWaitMs(503, '0')));
});

test('Retry-After exactly at the limit is kept', () => {
  assert.equal(retryWaitMs(503, `${RETRY_AFTER_MAX_S}`), RETRY_AFTER_MAX_S * 1000);
});

test('Retry-After one over the limit gives up', () => {
  assert.equal(retryWaitMs(503, `${RETRY_AFTER_MAX_S + 1}`), 0);
});
