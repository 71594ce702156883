import assert from 'node:assert/strict';
import { test, type TestContext } from 'node:test';
import { watchAll } from '../src/managers/all.ts';
import type { Say, Watch } from '../src/managers/watch.ts';
import { openPage } from './page.ts';

/** Managers a and b, whose `say` the test holds, and all that the tracker would be told. */
const setUp = (context: TestContext, consent: string) => {
  const page = openPage(context);
  const says: Record<string, Say> = {};
  const told: unknown[] = [];
  const watch = (name: string): Watch => (say) => {
    says[name] = say;
  };
  const broken: Watch = () => {
    throw new Error('the page is not as expected');
  };
  const warn = context.mock.method(console, 'warn', () => {});
  watchAll({ a: watch('a'), b: watch('b'), broken }, { consent }, (yes, payload) => {
    told.push(payload && Object.keys(payload).length ? [yes, payload] : yes);
  });
  return { ...page, told, warn, a: says.a!, b: says.b! };
};

test('a manager that has not spoken is no answer, until it has been waited for', async (t) => {
  const { told, giveUp } = setUp(t, 'a');
  assert.deepEqual(told, []);
  await giveUp();
  assert.deepEqual(told, [undefined]);
});

test('no answer at first is not told: a stored visit may be confirmed any moment', (t) => {
  const { told, a } = setUp(t, 'a');
  a('unknown');
  assert.deepEqual(told, []);
  a('granted');
  assert.deepEqual(told, [true]);
});

test('refuse, accept, withdraw', (t) => {
  const { told, a } = setUp(t, 'a');
  a('denied');
  a('granted');
  a('denied');
  a('granted');
  a('unknown');
  assert.deepEqual(told, [false, true, false, true, undefined]);
});

test('a grant waits for the other managers, a denial does not', (t) => {
  const { told, a, b } = setUp(t, 'a, b');
  a('granted');
  assert.deepEqual(told, []);
  b('unknown');
  assert.deepEqual(told, [true]);
  b('denied');
  assert.deepEqual(told, [true, false]);
});

test('a grant waits no longer than the polling does', async (t) => {
  const { told, b, giveUp } = setUp(t, 'a b');
  b('granted');
  await giveUp();
  assert.deepEqual(told, [true]);
});

test('a manager that comes too late is heard all the same', async (t) => {
  const { told, a, giveUp } = setUp(t, 'a');
  await giveUp();
  a('granted');
  a('denied');
  assert.deepEqual(told, [undefined, true, false]);
});

test('the same again is no news, another TC string is', (t) => {
  const { told, a } = setUp(t, 'a');
  a('granted', { tcf: 'CPX' });
  a('granted', { tcf: 'CPX' });
  a('granted', { tcf: 'CPY' });
  assert.deepEqual(told, [[true, { tcf: 'CPX' }], [true, { tcf: 'CPY' }]]);
});

test('what the server reads goes along with a grant, and with nothing else', (t) => {
  const { told, a, b } = setUp(t, 'a,b');
  a('unknown', { gpp: 'DBAA' });
  b('granted', { tcf: 'CPX' });
  b('denied', { tcf: 'CPY' });
  assert.deepEqual(told, [[true, { gpp: 'DBAA', tcf: 'CPX' }], false]);
});

test('a name that nobody knows, or a manager that cannot be watched, denies and says so', (t) => {
  for (const name of ['kalro', 'broken']) {
    const { told, a, warn } = setUp(t, `a ${name}`);
    a('granted');
    assert.deepEqual(told, [false, false]);
    assert.match(String(warn.mock.calls[0]?.arguments[0]), new RegExp(name));
    warn.mock.restore();
  }
});
