/** A card with a heading: busy while it loads, and saying what went wrong where something did. */
import { ApiError } from './api.ts';
import { type Child, button, fill, h, uniqueId } from './dom.ts';

export interface Card {
  element: HTMLElement;
  /** Beside the heading. */
  tools: HTMLElement;
  body: HTMLElement;
  /** Runs `task` with the card busy and shows what it gives, or its error with a way to try again. */
  run(signal: AbortSignal, task: (signal: AbortSignal) => Promise<Child>): Promise<void>;
}

const explain = (fault: unknown): string => {
  if (!(fault instanceof ApiError)) return 'The page could not show this answer. Reload it; if that does not help, report it.';
  const where = fault.field ? ` (field ${fault.field})` : '';
  const later = fault.retryAfterS ? ` Try again in ${fault.retryAfterS} s.` : '';
  return `${fault.message}${where}${later}`;
};

export const card = (title: string, id: string): Card => {
  const heading = uniqueId(id);
  const tools = h('div', { class: 'tools' });
  const body = h('div', { class: 'body' });
  const element = h(
    'section',
    { class: `card card-${id}`, id, 'aria-labelledby': heading },
    h('div', { class: 'card-head' }, h('h2', { id: heading }, title), tools),
    body,
  );
  const run: Card['run'] = async (signal, task) => {
    element.setAttribute('aria-busy', 'true');
    try {
      const shown = await task(signal);
      signal.throwIfAborted();
      fill(body, shown);
    } catch (fault) {
      // A later load has taken over, or the login has.
      if (signal.aborted) return;
      if (!(fault instanceof ApiError)) console.error(fault);
      if (fault instanceof ApiError && fault.status === 401) throw fault;
      const again = button('Try again', () => void run(signal, task).catch(() => location.reload()));
      fill(body, h('p', { class: 'fault' }, explain(fault)), again);
    }
    element.removeAttribute('aria-busy');
  };
  return { element, tools, body, run };
};

/** Tabs of a card (WAI-ARIA pattern: arrow keys move, the chosen one is in the tab order). */
export const tabs = (
  label: string,
  choices: readonly (readonly [value: string, text: string])[],
  chosen: string,
  panel: HTMLElement,
  onchange: (value: string) => void,
): HTMLElement => {
  panel.id ||= uniqueId('tabpanel');
  panel.setAttribute('role', 'tabpanel');
  const list = h('div', { role: 'tablist', class: 'tabs', 'aria-label': label });
  const mark = (value: string): void => {
    for (const tab of list.children as HTMLCollectionOf<HTMLElement>) {
      const is = tab.dataset['value'] === value;
      tab.setAttribute('aria-selected', String(is));
      tab.tabIndex = is ? 0 : -1;
      if (is) panel.setAttribute('aria-labelledby', tab.id);
    }
  };
  const choose = (value: string): void => {
    mark(value);
    onchange(value);
  };
  for (const [value, text] of choices) {
    list.append(
      button(text, () => choose(value), {
        role: 'tab',
        id: uniqueId('tab'),
        'data-value': value,
        'aria-controls': panel.id,
      }),
    );
  }
  list.addEventListener('keydown', (event) => {
    const all = [...list.children] as HTMLElement[];
    const at = all.indexOf(document.activeElement as HTMLElement);
    const to = { ArrowRight: at + 1, ArrowLeft: at - 1, Home: 0, End: all.length - 1 }[event.key];
    if (to === undefined || at < 0) return;
    event.preventDefault();
    const tab = all[(to + all.length) % all.length];
    tab?.focus();
    tab?.click();
  });
  mark(chosen);
  return list;
};
