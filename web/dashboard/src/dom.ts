/** Makes elements. Text becomes text nodes, never markup: what a visitor's browser sent cannot run here. */

export type Child = Node | string | number | undefined | false | Child[];
type Value = string | number | boolean | undefined | ((event: never) => void);

const append = (to: Element, child: Child): void => {
  if (child === undefined || child === false) return;
  if (Array.isArray(child)) for (const one of child) append(to, one);
  else to.append(child instanceof Node ? child : String(child));
};

/**
 * An element with attributes and children. A function is a listener for the event that its name says after "on"; `true` is
 * an empty attribute, `false` and `undefined` are none.
 */
export const h = <Tag extends keyof HTMLElementTagNameMap>(
  tag: Tag,
  attributes: Record<string, Value> = {},
  ...children: Child[]
): HTMLElementTagNameMap[Tag] => {
  const element = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) {
    if (typeof value === 'function') element.addEventListener(name.slice(2), value as (event: Event) => void);
    else if (value !== undefined && value !== false) element.setAttribute(name, value === true ? '' : String(value));
  }
  append(element, children);
  return element;
};

/** Replaces what is in `element`. */
export const fill = (element: Element, ...children: Child[]): void => {
  element.replaceChildren();
  append(element, children);
};

/** A real button; `title` is its name where the text is a sign. */
export const button = (text: Child, onclick: (event: MouseEvent) => void, attributes: Record<string, Value> = {}) =>
  h('button', { type: 'button', onclick, ...attributes }, text);

/** A labelled list of choices; calls `onchange` with the chosen value. */
export const select = (
  label: string,
  choices: readonly (readonly [value: string, text: string])[],
  chosen: string,
  onchange: (value: string) => void,
): HTMLLabelElement => {
  const list = h(
    'select',
    { onchange: () => onchange(list.value) },
    choices.map(([value, text]) => h('option', { value, selected: value === chosen }, text)),
  );
  return h('label', { class: 'field' }, h('span', {}, label), list);
};

/** Text that screen readers say and nobody sees. */
export const unseen = (text: string): HTMLElement => h('span', { class: 'unseen' }, text);

/** A box that scrolls by itself, also by the keyboard. */
export const scroller = (label: string, kind: 'scroll' | 'scroll-x', ...children: Child[]): HTMLElement =>
  h('div', { class: kind, tabindex: 0, role: 'region', 'aria-label': label }, children);

let numbers = 0;
/** An id that nothing else on the page has. */
export const uniqueId = (stem: string): string => `${stem}-${++numbers}`;

const said = h('p', { class: 'unseen', role: 'status', id: 'said' });
/** Where screen readers hear what has changed. */
export const statusElement = said;
export const say = (text: string): void => {
  said.textContent = text;
};

/** Opens a dialog with a title and a button that closes it; focus returns to where it was. */
export const openDialog = (title: string, ...children: Child[]): HTMLDialogElement => {
  const heading = uniqueId('title');
  const dialog = h(
    'dialog',
    { 'aria-labelledby': heading, onclose: () => dialog.remove() },
    h(
      'div',
      { class: 'dialog-head' },
      h('h2', { id: heading, tabindex: -1 }, title),
      button('Close', () => dialog.close(), { class: 'quiet' }),
    ),
    children,
  );
  // A click beside the dialog closes it, as Escape does.
  dialog.addEventListener('click', (event) => event.target === dialog && dialog.close());
  document.body.append(dialog);
  dialog.showModal();
  return dialog;
};
