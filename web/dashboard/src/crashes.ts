/** Crashes: what, how often, since when, and the stack. */
import { type Crash, crashes } from './api.ts';
import { type Child, h } from './dom.ts';
import { count } from './format.ts';
import type { Page, Panel } from './page.ts';
import { card } from './panel.ts';

const SHOWN = 20;

const item = (crash: Crash): Child =>
  h(
    'li',
    {},
    h(
      'details',
      { class: 'crash', 'data-fingerprint': crash.fingerprint },
      h(
        'summary',
        {},
        h('span', { class: 'crash-name' }, h('strong', {}, crash.kind || 'Error'), ' ', crash.message),
        h('span', { class: 'crash-count' }, `${count(crash.crashes)} crashes, ${count(crash.visitors)} visitors`),
      ),
      h(
        'dl',
        {},
        h('dt', {}, 'Where'),
        h('dd', {}, crash.source || 'not known'),
        h('dt', {}, 'Seen'),
        h('dd', {}, crash.first_seen ? `${crash.first_seen.slice(0, 10)} to ${crash.last_seen?.slice(0, 10) ?? ''}` : 'not known'),
        h('dt', {}, 'Versions'),
        h('dd', {}, crash.versions.join(', ') || 'not known'),
      ),
      h('pre', { tabindex: 0, role: 'region', 'aria-label': `Stack of ${crash.kind || 'the error'}` }, crash.stack || 'No stack was sent.'),
    ),
  );

export const crashList = (page: Page): Panel => {
  const { element, run } = card('Crashes', 'crashes');
  return {
    element,
    key: () => JSON.stringify([page.state.site, page.state.period, page.state.filters]),
    load: (signal) =>
      run(signal, async () => {
        const answer = await crashes(page.state.site, page.state.period, page.filters(), signal);
        const { k_anonymity } = answer.meta;
        const groups = answer.meta.withheld?.groups ?? 0;
        const withheld = groups > 0 && h('p', { class: 'soft' }, `${count(groups)} more ${groups === 1 ? 'is' : 'are'} withheld, so that nobody of fewer than ${k_anonymity} visitors is told of.`);
        if (!answer.crashes.length) return [h('p', { class: 'empty' }, `No crash of at least ${k_anonymity} visitors in this period.`), withheld];
        const more = answer.crashes.length - SHOWN;
        return [
          h('ul', { class: 'crash-list' }, answer.crashes.slice(0, SHOWN).map(item)),
          more > 0 && h('p', { class: 'soft' }, `${count(more)} more, fewer times each.`),
          withheld,
        ];
      }),
  };
};
