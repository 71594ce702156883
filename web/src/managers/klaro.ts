/** Klaro: `data-consent="klaro"`, `data-consent-service` (default consentry), the name of a service in its configuration. */

import { ask, stateOf, type Watch } from './watch.ts';

export const klaro: Watch = (say, { consentService = 'consentry' }) => {
  let watched: unknown;
  const again = ask(say, () => {
    const manager = window.klaro.getManager();
    if (manager !== watched) {
      watched = manager;
      manager.watch({ update: () => again() });
    }
    // `consents` also holds switches that are not saved yet.
    const { confirmed, savedConsents } = manager;
    return stateOf(savedConsents[consentService] === true, confirmed && consentService in savedConsents);
  });
};
