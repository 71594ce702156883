/** Cookiebot: `data-consent="cookiebot"`, its category statistics. Implied consent is no answer. */

import { ask, stateOf, type Watch } from './watch.ts';

export const cookiebot: Watch = (say) => {
  ask(
    say,
    () => {
      const { consent, hasResponse } = window.Cookiebot;
      const yes = consent.statistics === true;
      return stateOf(yes, hasResponse && (!yes || consent.method === 'explicit'));
    },
    'CookiebotOnConsentReady',
    'CookiebotOnAccept',
    'CookiebotOnDecline',
  );
};
