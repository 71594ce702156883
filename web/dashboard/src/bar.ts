/** The bar above the figures: which site, which period, compared or not, and the filters as chips. */
import type { DateRange, Site } from './api.ts';
import { button, fill, h, openDialog, say, select, unseen } from './dom.ts';
import { dimensionName, dimensionValue } from './format.ts';
import type { Page } from './page.ts';
import { PERIODS, rangeName, today } from './period.ts';

const CUSTOM = 'custom';
const OPERATORS: Record<string, string> = {
  is: 'is',
  is_not: 'is not',
  contains: 'contains',
  contains_not: 'does not contain',
  matches: 'matches',
  matches_not: 'does not match',
};

const chooseDates = (page: Page, current: DateRange): void => {
  const now = today(page.site.time_zone);
  const [from, to] = Array.isArray(current) ? [current[0].slice(0, 10), current[1].slice(0, 10)] : [now, now];
  const box = (label: string, value: string) => {
    const input = h('input', { type: 'date', required: true, value, max: now, min: page.site.first_day ?? undefined });
    return { input, element: h('label', { class: 'field' }, h('span', {}, label), input) };
  };
  const [first, last] = [box('From', from), box('To', to)];
  const submit = (event: SubmitEvent): void => {
    event.preventDefault();
    const dates = [first.input.value, last.input.value].sort() as [string, string];
    dialog.close();
    page.change({ period: dates, interval: '' });
  };
  const dialog = openDialog(
    'Choose days',
    h('form', { class: 'dialog-tools', onsubmit: submit }, first.element, last.element, h('button', { type: 'submit' }, 'Show')),
  );
};

const periodChoice = (page: Page): HTMLElement => {
  const { period } = page.state;
  const own = Array.isArray(period);
  const choices: (readonly [string, string])[] = [...PERIODS, [CUSTOM, own ? rangeName(period, page.site.time_zone) : 'Choose days…']];
  const list = select('Period', choices, own ? CUSTOM : String(period), (chosen) => {
    if (chosen === CUSTOM) chooseDates(page, period);
    else page.change({ period: chosen, interval: '' });
  });
  return own ? h('span', { class: 'pair' }, list, button('Edit days', () => chooseDates(page, period), { class: 'quiet' })) : list;
};

const chips = (page: Page): HTMLElement | false => {
  const { filters } = page.state;
  if (!filters.length) return false;
  const remove = (at: number): void => {
    page.change({ filters: filters.filter((_, other) => other !== at) });
    say('The filter was removed.');
    // The chip that had the focus is gone.
    (document.querySelector<HTMLElement>('.chip') ?? document.querySelector<HTMLElement>('#main'))?.focus();
  };
  return h(
    'ul',
    { class: 'chips', 'aria-label': 'Filters' },
    filters.map(([operator, dimension, values], at) => {
      const words = values.map((value) => dimensionValue(dimension, value)).join(' or ');
      const text = `${dimensionName(dimension)} ${OPERATORS[operator] ?? operator} ${words}`;
      return h('li', {}, button([unseen('Remove the filter: '), text, h('span', { 'aria-hidden': 'true' }, ' ×')], () => remove(at), { class: 'chip', title: 'Remove this filter' }));
    }),
    filters.length > 1 && h('li', {}, button('Remove all', () => page.change({ filters: [] }), { class: 'quiet' })),
  );
};

/** The bar; `show` draws it for the present state. */
export const bar = (page: Page, sites: () => Site[]): { element: HTMLElement; show(): void } => {
  const element = h('div', { class: 'bar-top', role: 'group', 'aria-label': 'What is shown' });
  const show = (): void => {
    const { state } = page;
    // Drawn anew under the hands of whoever uses the keyboard: the same control keeps the focus.
    const controls = () => [...element.querySelectorAll<HTMLElement>('select, input, button')];
    const focused = controls().indexOf(document.activeElement as HTMLElement);
    const compare = h('input', {
      type: 'checkbox',
      checked: state.compare,
      disabled: state.period === 'all',
      onchange: () => page.change({ compare: compare.checked }),
    });
    fill(
      element,
      h(
        'div',
        { class: 'choices' },
        sites().length > 1
          ? select('Site', sites().map(({ id }) => [id, id]), state.site, (site) => page.change({ site, filters: [], steps: [] }))
          : h('p', { class: 'only-site' }, unseen('Site: '), state.site),
        periodChoice(page),
        h('label', { class: 'check' }, compare, ' Compare with the former period'),
      ),
      chips(page),
    );
    if (focused >= 0) controls()[focused]?.focus();
  };
  return { element, show };
};
