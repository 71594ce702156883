/** How complete the figures are: a badge that says it in two numbers and explains every one behind them. */
import type { Completeness } from './api.ts';
import { button, fill, h, openDialog, say, scroller } from './dom.ts';
import { count, share } from './format.ts';

const REASONS: Record<string, string> = {
  consent_absent: 'no signal of consent came with it',
  consent_denied: 'the visitor said no to analytics',
  consent_vetoed: 'the browser objects (Global Privacy Control or Do Not Track)',
  consent_malformed: 'the signal of consent could not be read, which counts as a no',
  duplicate: 'it had been counted before; the sender sent it again',
  bot: 'a program sent it, and this site does not want any',
  erased: 'the visitor had it erased before it was stored',
  subject_withdrawn: 'the visitor has withdrawn consent',
};

const LINES: readonly (readonly [key: 'stored' | 'in_flight' | 'quarantined' | 'rejected', name: string, meaning: string])[] = [
  ['stored', 'Stored', 'in ClickHouse: what the figures on this page are made from'],
  ['in_flight', 'In flight', 'safe on the collector\'s disk, on the way to ClickHouse; in the figures within seconds'],
  ['quarantined', 'Quarantined', 'set aside by the leak alarm or because ClickHouse will not take it; an operator is told'],
  ['rejected', 'Rejected', 'not a valid event; the sender was told why'],
];

const explain = (given: Completeness): void => {
  const dropped = Object.entries(given.dropped);
  const all = dropped.reduce((sum, [, number]) => sum + number, 0);
  const open = given.received - given.stored - given.in_flight - given.quarantined - given.rejected - all;
  const row = (name: string, number: number, meaning: string, kind = '') =>
    h('tr', { class: kind }, h('th', { scope: 'row' }, name), h('td', {}, count(number)), h('td', { class: 'meaning' }, meaning));
  openDialog(
    'How complete are these figures?',
    h(
      'p',
      {},
      'The collector writes down of every event what became of it. An event is kept only where the visitor has agreed to analytics: ',
      'what was dropped for lack of consent cannot be shown, only counted.',
    ),
    scroller(
      'The books',
      'scroll-x',
      h(
        'table',
        { class: 'books' },
        h('caption', {}, 'The site\'s events of the period, whatever the filters'),
        h('thead', {}, h('tr', {}, ['What', 'Events', 'Meaning'].map((text) => h('th', { scope: 'col', class: text === 'Meaning' ? 'meaning' : undefined }, text)))),
        h(
          'tbody',
          {},
          row('Received', given.received, 'came in', 'sum'),
          LINES.map(([key, name, meaning]) => row(name, given[key], meaning)),
          row('Dropped', all, dropped.length ? 'let in and not kept, because:' : 'let in and not kept'),
          dropped.map(([reason, number]) => row(reason, number, REASONS[reason] ?? 'see the README for this reason', 'sub')),
        ),
      ),
    ),
    h(
      'p',
      { class: open ? 'fault' : 'balance' },
      open
        ? `${count(Math.abs(open))} events are ${open > 0 ? 'not accounted for' : 'counted more than once'}: please tell whoever runs the collector.`
        : `The books balance: ${count(given.received)} received = stored + in flight + quarantined + rejected + dropped.`,
    ),
    given.share_consented !== null &&
      h('p', {}, `${share(given.share_consented)} of the events about whose consent was decided had it. Figures are of those who agreed; the others may behave otherwise.`),
  );
};

/** The badge; `show` gives it the latest books. */
export const badge = (): { element: HTMLElement; show(given: Completeness | undefined): void } => {
  let latest: Completeness | undefined;
  const element = button('', () => latest && explain(latest), { class: 'badge', 'aria-haspopup': 'dialog', hidden: true, id: 'completeness' });
  return {
    element,
    show: (given) => {
      latest = given;
      element.hidden = !given;
      if (!given) return;
      const parts = [
        given.share_stored === null ? undefined : `${share(given.share_stored)} of events stored`,
        given.share_consented === null ? undefined : `${share(given.share_consented)} consented`,
      ].filter(Boolean);
      fill(element, h('span', { class: 'dot', 'aria-hidden': 'true' }), parts.join(', ') || 'Nothing received');
      element.classList.toggle('warn', given.quarantined > 0);
      if (given.quarantined > 0) say('Some events are quarantined.');
    },
  };
};
