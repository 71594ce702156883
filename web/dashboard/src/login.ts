/** Asks for the admin token, where the admin address wants one. It is kept for this tab and no longer. */
import { keepToken } from './api.ts';
import { h } from './dom.ts';

/** A form in the place of the page; `onenter` is called once a token was entered. */
export const login = (refused: boolean, onenter: () => void): HTMLElement => {
  const box = h('input', { type: 'password', id: 'token', required: true, autocomplete: 'off', 'aria-describedby': 'token-hint' });
  const submit = (event: SubmitEvent): void => {
    event.preventDefault();
    // A line break that came along when it was copied is no part of it.
    keepToken(box.value.trim());
    onenter();
  };
  return h(
    'form',
    { class: 'card login', onsubmit: submit },
    h('h1', {}, 'Token'),
    refused && h('p', { class: 'fault', role: 'alert' }, 'This token is not, or is no longer, valid.'),
    h('label', { for: 'token' }, 'The token of the admin address'),
    box,
    h('p', { id: 'token-hint', class: 'soft' }, 'It is the collector\'s admin_token. It stays in this tab and is forgotten when you close it.'),
    h('button', { type: 'submit' }, 'Continue'),
  );
};
