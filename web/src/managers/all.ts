/** Makes one answer of what several managers say. */

import { safe } from '../safe.ts';
import { POLLS_MAX, POLL_MS, type Options, type Payload, type State, type Watch } from './watch.ts';

/** Yes, no, or nothing: undefined also takes a yes back. */
export type Tell = (yes: boolean | undefined, payload?: Payload) => void;

export const watchAll = (watches: Record<string, Watch>, options: Options, tell: Tell): void => {
  const names = (options.consent || '').match(/\w+/g) || [];
  const states: Partial<Record<string, State>> = {};
  const payloads: Partial<Record<string, Payload>> = {};
  let told = false;

  const decide = (late?: boolean): void => {
    const all = names.map((name) => states[name]);
    const denied = all.includes('denied');
    const granted = !denied && !all.includes(undefined) && all.includes('granted');
    // While the managers load, their silence is no reason to forget a visit that they are about to confirm.
    told ||= denied || granted || !!late;
    if (granted) tell(true, Object.assign({}, ...names.map((name) => payloads[name])));
    else if (told) tell(denied ? false : undefined);
  };

  for (const name of names) {
    let news = '';
    const say = safe((state: State, payload?: Payload) => {
      // Managers repeat themselves. A yes from before a withdrawal in another tab must not count as a new one.
      if (news === (news = JSON.stringify([state, payload]))) return;
      states[name] = state;
      payloads[name] = payload;
      decide();
    });
    try {
      watches[name]!(say, options);
    } catch {
      // A manager that is named and cannot be read could be ignoring a no.
      console.warn(`consentry: cannot read the consent manager "${name}"`);
      say('denied');
    }
  }
  setTimeout(() => {
    for (const name of names) states[name] ||= 'unknown';
    decide(true);
  }, POLL_MS * POLLS_MAX);
};
