/** What the modules for the consent managers share. Each reduces what it reads to a state at once and keeps nothing. */

import { listen } from '../safe.ts';

/** `granted` and `denied` are acts of the visitor; a default, an implied choice or no answer yet is `unknown`. */
export type State = 'granted' | 'denied' | 'unknown';

/** What the server reads for itself. None of it tells one visitor from another. */
export interface Payload {
  tcf?: string;
  gpp?: string;
  gcm?: { analytics_storage: string };
}

export type Say = (state: State, payload?: Payload) => void;

/** The data attributes of the tracker's tag: `data-consent-group` is `consentGroup`. */
export type Options = DOMStringMap;

/** Reads the present state and every later one. Says nothing while the manager is not there. */
export type Watch = (say: Say, options: Options) => void;

/** Their scripts often come after ours. */
export const POLL_MS = 250;
export const POLLS_MAX = 80;
/** Some announce a choice before they have written it down. */
export const SETTLE_MS = 400;

declare global {
  /** What the managers leave in a page; each is as its documentation has it, or not there. */
  interface Window {
    Cookiebot?: any;
    CookieConsent?: any;
    OnetrustActiveGroups?: any;
    OneTrust?: any;
    Osano?: any;
    PrivacyManagerAPI?: any;
    UC_UI?: any;
    __gpp?: any;
    __tcfapi?: any;
    __ucCmp?: any;
    didomiOnReady?: any;
    klaro?: any;
    wp_has_consent?: any;
    consent_api?: any;
  }
}

/** Tries at once and then every 250 ms, 20 seconds at most, until `attempt` neither throws nor returns false. */
export const retry = (attempt: () => unknown, left = POLLS_MAX): void => {
  try {
    if (attempt() !== false) return;
  } catch {
    // Not there yet.
  }
  if (left) setTimeout(retry, POLL_MS, attempt, left - 1);
};

/** For what a manager calls back with: what cannot be read is no answer, and no error of the page. */
export const heed =
  <A extends unknown[]>(say: Say, hear: (...args: A) => void) =>
  (...args: A): void => {
    try {
      hear(...args);
    } catch {
      say('unknown');
    }
  };

/** `yes` where the visitor answered, else nothing. */
export const stateOf = (yes: unknown, answered: unknown): State =>
  answered ? (yes ? 'granted' : 'denied') : 'unknown';

/**
 * For managers that can be asked at any time. `read` throws while its manager is not there; once it was, what cannot
 * be read is no answer. Returns what asks again, which each of the window's `events` does too.
 */
export const ask = (say: Say, read: () => State | Promise<State>, ...events: string[]): (() => void) => {
  let there = false;
  /** An answer that took its time must not undo a later one. */
  let asked = 0;
  const look = async (): Promise<void> => {
    const turn = ++asked;
    let state: State = 'unknown';
    try {
      const answer = read();
      // Not awaited where that is not needed: a withdrawal counts before the event that tells of it is over.
      state = typeof answer === 'string' ? answer : await answer;
      there = true;
    } catch {
      if (!there) return;
    }
    if (turn === asked) say(state);
  };
  const again = (): void => {
    void look();
    setTimeout(look, SETTLE_MS);
  };
  for (const event of events) listen(window, event, again);
  retry(() => {
    void look();
    return there;
  });
  return again;
};
