/** A funnel: how many visits went through one step after another. The steps stand in the address. */
import { funnel } from './api.ts';
import { type Child, button, fill, h, say, scroller, select, unseen } from './dom.ts';
import { count, share } from './format.ts';
import type { Page, Panel } from './page.ts';
import { card } from './panel.ts';
import type { Step } from './state.ts';

const STEPS_MIN = 2;
const STEPS_MAX = 8;
const WINDOW_S = 1800;
const KINDS = [
  ['page', 'Page'],
  ['event', 'Event'],
  ['point', 'Function point'],
] as const;

export const funnelPanel = (page: Page): Panel => {
  const { element, body, run } = card('Funnel', 'funnel');
  const editor = h('form', { class: 'funnel-form', onsubmit: (event: SubmitEvent) => submit(event) });
  body.before(editor);
  let draft: Step[] = [];

  const submit = (event: SubmitEvent): void => {
    event.preventDefault();
    const steps = draft.map((step) => ({ ...step, value: step.value.trim() })).filter((step) => step.value);
    if (steps.length < STEPS_MIN) say(`A funnel needs at least ${STEPS_MIN} steps.`);
    else page.change({ steps });
  };
  const line = (step: Step, at: number): Child => {
    const box = h('input', {
      type: 'text',
      value: step.value,
      maxlength: 500,
      placeholder: step.kind === 'page' ? '/basket or /blog/*' : step.kind === 'event' ? 'sign_up' : 'nav.buy',
      'aria-label': `Step ${at + 1}: ${KINDS.find(([kind]) => kind === step.kind)?.[1] ?? ''}`,
      oninput: () => (draft[at] = { ...(draft[at] ?? step), value: box.value }),
    });
    return h(
      'li',
      {},
      select(`Step ${at + 1}`, KINDS, step.kind, (kind) => {
        draft[at] = { kind: kind as Step['kind'], value: box.value };
        edit();
        editor.querySelectorAll('select')[at]?.focus();
      }),
      box,
      draft.length > STEPS_MIN &&
        button(['×', unseen(`Remove step ${at + 1}`)], () => {
          draft.splice(at, 1);
          edit();
          editor.querySelectorAll('input')[Math.max(at - 1, 0)]?.focus();
        }, { class: 'quiet' }),
    );
  };
  const edit = (): void => {
    fill(
      editor,
      h('ol', { class: 'steps' }, draft.map(line)),
      h(
        'div',
        { class: 'tools' },
        draft.length < STEPS_MAX &&
          button('Add a step', () => {
            draft.push({ kind: 'page', value: '' });
            edit();
            editor.querySelectorAll('input')[draft.length - 1]?.focus();
          }, { class: 'quiet' }),
        h('button', { type: 'submit' }, 'Show'),
      ),
    );
  };

  return {
    element,
    key: () => {
      const { site, period, filters, steps } = page.state;
      return JSON.stringify([site, steps, steps.length ? [period, filters] : 0]);
    },
    load: async (signal) => {
      const { steps } = page.state;
      draft = steps.length >= STEPS_MIN ? structuredClone(steps) : [{ kind: 'page', value: '/' }, { kind: 'page', value: '' }];
      edit();
      if (steps.length < STEPS_MIN) {
        fill(body, h('p', { class: 'empty' }, 'Name the pages, events or function points that a visit should pass, in their order.'));
        return;
      }
      await run(signal, async () => {
        const answer = await funnel(
          {
            site: page.state.site,
            date_range: page.state.period,
            steps: steps.map(({ kind, value }) => ({ [kind]: value })),
            window_s: WINDOW_S,
            filters: page.filters(),
          },
          signal,
        );
        const part = (given: number | null): string => (given === null ? 'withheld' : share(given));
        const rows = answer.steps.map((step, at) => {
          const bar = h('span', { class: 'bar', 'aria-hidden': 'true' });
          bar.style.inlineSize = `${100 * (step.share_of_first ?? 0)}%`;
          return h(
            'tr',
            {},
            h('th', { scope: 'row' }, bar, h('span', {}, `${at + 1}. ${step.label}`)),
            h('td', {}, step.visits === null ? 'withheld' : count(step.visits)),
            h('td', {}, part(step.share_of_first)),
            h('td', {}, at ? part(step.share_of_former) : ''),
          );
        });
        const heads = ['Step', 'Visits', 'Of the first', 'Of the step before'].map((text) => h('th', { scope: 'col' }, text));
        return scroller(
          'Steps',
          'scroll-x',
          h('table', { class: 'groups' }, h('caption', {}, `Visits that went on within ${WINDOW_S / 60} minutes.${answer.steps.some((step) => step.visits === null) ? ` Withheld: fewer than ${answer.meta.k_anonymity} visitors came to the step, or stayed behind before it.` : ''}`), h('thead', {}, h('tr', {}, heads)), h('tbody', {}, rows)),
        );
      });
    },
  };
};
