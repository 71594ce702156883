import assert from 'node:assert/strict';
import { test } from 'node:test';
import { VISIT_IDLE_MS, VISIT_LENGTH_MAX_MS, randomId, subjectAt, visitAt } from '../src/visit.ts';

const T = 1_763_848_800_000;

test('an id is 128 random bits in hex', () => {
  assert.match(randomId(), /^[0-9a-f]{32}$/);
  assert.notEqual(randomId(), randomId());
});

test('nothing stored begins a visit', () => {
  const [visit, record] = visitAt(null, T);
  assert.equal(visit.started_at, T);
  assert.equal(record, `${visit.id} ${T} ${T}`);
});

test('one millisecond before the idle limit is the same visit', () => {
  const [first, record] = visitAt(null, T);
  const [second] = visitAt(record, T + VISIT_IDLE_MS - 1);
  assert.deepEqual(second, first);
});

test('exactly at the idle limit is a new visit', () => {
  const [first, record] = visitAt(null, T);
  const [second] = visitAt(record, T + VISIT_IDLE_MS);
  assert.notEqual(second.id, first.id);
  assert.equal(second.started_at, T + VISIT_IDLE_MS);
});

test('a visit that never idles ends after 24 hours', () => {
  let [visit, record] = visitAt(null, T);
  const first = visit.id;
  const step = VISIT_IDLE_MS / 2;
  let now = T;
  while (now + step < T + VISIT_LENGTH_MAX_MS) {
    now += step;
    [visit, record] = visitAt(record, now);
    assert.equal(visit.id, first);
  }
  [visit] = visitAt(record, T + VISIT_LENGTH_MAX_MS);
  assert.notEqual(visit.id, first);
});

test('a damaged record begins a new visit', () => {
  for (const record of ['', 'abc', 'abc x y', `abc ${T}`, `abc x ${T}`]) {
    const [visit] = visitAt(record, T);
    assert.equal(visit.started_at, T, record);
    assert.match(visit.id, /^[0-9a-f]{32}$/);
  }
});

test('a token is kept for 13 months and no longer', () => {
  const first = subjectAt(undefined, T);
  assert.match(first, /^[0-9a-f]{32}-[0-9]+$/);
  const end = T + 395 * VISIT_LENGTH_MAX_MS;
  assert.equal(subjectAt(first, end - 1), first);
  assert.notEqual(subjectAt(first, end), first);
  assert.match(subjectAt('damaged', T), /^[0-9a-f]{32}-[0-9]+$/);
});
