import assert from 'node:assert/strict';
import { test } from 'node:test';
import { band, position } from '../dashboard/src/bands.ts';
import { change, dimensionName, dimensionValue, milliseconds, seconds, share, value } from '../dashboard/src/format.ts';
import { addDays, bucketName, datesOf, former, intervalsFor, lengthDays, moment, rangeOf } from '../dashboard/src/period.ts';
import { type State, read, withFilter, write } from '../dashboard/src/state.ts';

const MADRID = 'Europe/Madrid';

test('an address brings its state back, whatever the values hold', () => {
  const state: State = {
    site: 'shop',
    period: ['2026-01-01', '2026-01-31'],
    compare: true,
    interval: 'week',
    metric: 'visits',
    filters: [['is', 'event:page', ['/a,b', '/%2C&f=#?', '/ü ñ']], ['contains_not', 'visit:source', ['x=y']]],
    steps: [{ kind: 'page', value: '/blog/*' }, { kind: 'event', value: 'sign,up' }],
    tabs: { pages: 'entry_page' },
    share: 'a.b-c_d',
  };
  assert.deepEqual(read(write(state)), state);
  assert.equal(write(read('')), '#');
});

test('a damaged address shows something', () => {
  const state = read('#site=shop&period=yesterday&f=is,event:page&f=drop,event:page,x&f=is,constructor,x&f=is,event:page,%&by=eon&step=door,x&step=page,');
  assert.equal(state.period, '28d');
  assert.deepEqual(state.filters, [['is', 'event:page', ['%']]]);
  assert.deepEqual([state.interval, state.steps], ['', []]);
  assert.deepEqual(read('#period=2026-13-45,x').period, '28d');
});

test('a second value of a dimension widens its filter', () => {
  const one = withFilter([], 'visit:channel', 'Direct');
  const two = withFilter(one, 'visit:channel', 'Email');
  assert.deepEqual(two, [['is', 'visit:channel', ['Direct', 'Email']]]);
  assert.equal(withFilter(two, 'visit:channel', 'Email'), two);
  assert.equal(withFilter(two, 'visit:device', 'mobile').length, 2);
});

test('local times become moments, also where clocks change', () => {
  assert.equal(moment('2026-01-31 14:00:00', MADRID), '2026-01-31T13:00:00Z');
  assert.equal(moment('2026-07-31 14:00:00', MADRID), '2026-07-31T12:00:00Z');
  assert.equal(moment('2026-03-29 03:00:00', MADRID), '2026-03-29T01:00:00Z');
  assert.equal(moment('2026-10-25', MADRID), '2026-10-24T22:00:00Z');
  assert.equal(moment('2026-01-31 14:00:00', 'UTC'), '2026-01-31T14:00:00Z');
});

test('an end at midnight is the day before, one at the last second is that day', () => {
  assert.deepEqual(datesOf(['2026-01-01T00:00:00+01:00', '2026-02-01T00:00:00+01:00']), ['2026-01-01', '2026-01-31']);
  assert.deepEqual(datesOf(['2026-01-01T00:00:00+01:00', '2026-01-31T23:59:59+01:00']), ['2026-01-01', '2026-01-31']);
});

test('the former period is as long and ends where this one begins', () => {
  assert.deepEqual(former(['2026-03-01T00:00:00+01:00', '2026-03-31T23:59:59+02:00']), ['2026-01-29', '2026-02-28']);
  assert.deepEqual(former(['2026-03-01', '2026-03-01']), ['2026-02-28', '2026-02-28']);
  assert.deepEqual(former(['2026-03-01T10:00:00Z', '2026-03-01T13:00:00Z']), ['2026-03-01T07:00:00Z', '2026-03-01T10:00:00Z']);
});

test('a chosen part of a chart is a range of days or hours', () => {
  const whole: [string, string] = ['2026-01-01T00:00:00+01:00', '2026-01-31T23:59:59+01:00'];
  const days = Array.from({ length: 31 }, (_, at) => addDays('2026-01-01', at));
  assert.deepEqual(rangeOf(days, 2, 5, 'day', whole, MADRID), ['2026-01-03', '2026-01-06']);
  assert.deepEqual(rangeOf(days, 30, 30, 'day', whole, MADRID), ['2026-01-31', '2026-01-31']);
  // The first week begins in December.
  const weeks = ['2025-12-29', '2026-01-05', '2026-01-12', '2026-01-19', '2026-01-26'];
  assert.deepEqual(rangeOf(weeks, 0, 1, 'week', whole, MADRID), ['2026-01-01', '2026-01-11']);
  assert.deepEqual(rangeOf(weeks, 4, 4, 'week', whole, MADRID), ['2026-01-26', '2026-01-31']);
  const hours = Array.from({ length: 24 }, (_, at) => `2026-01-01 ${String(at).padStart(2, '0')}:00:00`);
  assert.deepEqual(rangeOf(hours, 9, 11, 'hour', whole, MADRID), ['2026-01-01T08:00:00Z', '2026-01-01T11:00:00Z']);
  assert.deepEqual(rangeOf(hours, 23, 23, 'hour', whole, MADRID), ['2026-01-01T22:00:00Z', '2026-01-01T23:00:00Z']);
});

test('intervals suit the length', () => {
  assert.deepEqual(intervalsFor(1), ['hour']);
  assert.equal(intervalsFor(lengthDays('28d', null, '2026-01-31'))[0], 'day');
  assert.equal(intervalsFor(lengthDays('12mo', null, '2026-01-31'))[0], 'week');
  assert.equal(lengthDays('all', '2026-01-01', '2026-01-31'), 31);
  assert.equal(lengthDays(['2026-01-01', '2026-01-02'], null, ''), 2);
});

test('bounds belong to the better band', () => {
  const lcp = { good: 2500, poor: 4000 };
  assert.deepEqual([2500, 2501, 4000, 4001].map((one) => band(lcp, one)), ['good', 'needs work', 'needs work', 'poor']);
  assert.ok(Math.abs(position(lcp, 2500) - 100 / 3) < 1e-9);
  assert.equal(position(lcp, 1e9), 100);
});

test('figures are written as people read them', () => {
  assert.deepEqual([seconds(5), seconds(65), seconds(3720)], ['5s', '1m 05s', '1h 02m']);
  assert.equal(share(0.99999), '> 99.9%', 'never all where something is missing');
  assert.equal(share(1), '100%');
  assert.deepEqual([milliseconds(999), milliseconds(2500)], ['999 ms', '2.50 s']);
  assert.equal(value('visitors', null, 10), '< 10 visitors');
  assert.deepEqual([change('visitors', -4.25), change('bounce_rate', 2)], ['-4.3%', '+2 points']);
  assert.equal(dimensionValue('visit:country', 'ES'), 'Spain');
  assert.equal(dimensionValue('visit:country', 'not a country'), 'not a country');
  assert.equal(dimensionName('visit:entry_page'), 'Entry page');
  assert.equal(bucketName('2026-01-31 14:00:00', 'hour'), 'Sat 31 Jan, 14:00');
});
