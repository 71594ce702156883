import assert from 'node:assert/strict';
import { test } from 'node:test';
import { STEP_MAX_MS, engagementClock } from '../src/engagement.ts';

test('counts active time only', () => {
  const [run, take] = engagementClock();
  run(false, 0);
  run(true, 1000);
  run(false, 3500);
  run(false, 9000);
  run(true, 10_000);
  run(true, 10_100);
  assert.equal(take(), 2600);
});

test('hands out each millisecond once', () => {
  const [run, take] = engagementClock();
  run(true, 0);
  run(true, 400);
  assert.equal(take(), 400);
  assert.equal(take(), 0);
  run(false, 1000);
  assert.equal(take(), 600);
});

test('a page that was never active has nothing to report', () => {
  const [run, take] = engagementClock();
  run(false, 0);
  run(false, 60_000);
  assert.equal(take(), 0);
});

test('a machine that slept counts one step at most', () => {
  const [run, take] = engagementClock();
  run(true, 0);
  run(true, 8 * 3_600_000);
  assert.equal(take(), STEP_MAX_MS);
});
