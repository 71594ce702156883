import assert from 'node:assert/strict';
import { mock, test, type TestContext } from 'node:test';
import { BATCH_EVENTS, FLUSH_AFTER_MS, HELD_EVENTS_MAX, createQueue } from '../src/queue.ts';

interface Sent {
  events: number[];
  hiding: boolean;
}

const RETRY_MS_MAX = 5000;

/** A queue whose answers are written down beforehand; after the last one every batch is taken. */
const setUp = (context: TestContext, answers: (number | Error)[] = []) => {
  mock.timers.enable({ apis: ['setTimeout'] });
  context.after(() => mock.timers.reset());
  const sent: Sent[] = [];
  const [push, flush, discard] = createQueue<number>(async (events, hiding) => {
    sent.push({ events, hiding });
    const answer = answers.shift() ?? 0;
    if (answer instanceof Error) throw answer;
    return answer;
  });
  const wait = async (ms: number) => {
    mock.timers.tick(ms);
    // Lets the promises between a request and its answer settle.
    for (let i = 0; i < 10; i++) await Promise.resolve();
  };
  return { sent, push, flush, discard, wait };
};

test('waits a second and sends what came together', async (t) => {
  const { sent, push, wait } = setUp(t);
  push(1);
  push(2);
  await wait(FLUSH_AFTER_MS - 1);
  assert.equal(sent.length, 0);
  await wait(1);
  assert.deepEqual(sent, [{ events: [1, 2], hiding: false }]);
});

test('sends at once when a batch is full', async (t) => {
  const { sent, push, wait } = setUp(t);
  for (let i = 0; i < BATCH_EVENTS; i++) push(i);
  assert.equal(sent.length, 1);
  await wait(FLUSH_AFTER_MS);
  assert.equal(sent.length, 1, 'the timer finds nothing more');
});

test('a page that goes away sends at once, and nothing twice', async (t) => {
  const { sent, push, flush, wait } = setUp(t);
  push(1);
  flush(true);
  flush(true);
  await wait(FLUSH_AFTER_MS);
  assert.deepEqual(sent, [{ events: [1], hiding: true }]);
});

test('retries once after the wait it was told, and fresh events wait too', async (t) => {
  const { sent, push, wait } = setUp(t, [7000, 7000]);
  push(1);
  await wait(FLUSH_AFTER_MS);
  push(2);
  await wait(6999);
  assert.equal(sent.length, 1);
  await wait(1);
  assert.deepEqual(sent.slice(1).map((batch) => batch.events), [[1], [2]]);
  await wait(60_000);
  assert.equal(sent.length, 3, 'no third try');
});

test('retries once after a network error, within five seconds', async (t) => {
  const { sent, push, wait } = setUp(t, [new Error('offline'), new Error('offline')]);
  push(1);
  await wait(FLUSH_AFTER_MS);
  await wait(1999);
  assert.equal(sent.length, 1);
  await wait(RETRY_MS_MAX - 1999);
  assert.equal(sent.length, 2);
  await wait(60_000);
  assert.equal(sent.length, 2);
});

test('holds at most a hundred events, also those under way', async (t) => {
  const { sent, push, wait } = setUp(t);
  for (let i = 0; i < HELD_EVENTS_MAX + 50; i++) push(i);
  assert.equal(sent.length, HELD_EVENTS_MAX / BATCH_EVENTS);
  await wait(0);
  push(1000);
  await wait(FLUSH_AFTER_MS);
  assert.deepEqual(sent.at(-1)?.events, [1000], 'answered batches make room');
});

test('a withdrawal discards what is queued and what waits for its retry', async (t) => {
  const { sent, push, discard, wait } = setUp(t, [3000]);
  push(1);
  await wait(FLUSH_AFTER_MS);
  push(2);
  discard();
  await wait(60_000);
  assert.equal(sent.length, 1);
});

test('a withdrawal while a batch is under way prevents its retry', async (t) => {
  const { sent, push, discard, wait } = setUp(t, [3000]);
  push(1);
  mock.timers.tick(FLUSH_AFTER_MS);
  discard();
  await wait(60_000);
  assert.equal(sent.length, 1);
});
